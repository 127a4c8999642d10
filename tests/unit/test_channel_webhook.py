"""The webhook channel's decisions: what an answer means, and which settings are refused."""

from __future__ import annotations

from datetime import UTC, datetime

import aiohttp
import pytest

from service.config import WebhookSettings
from service.errors import ConfigError
from workers.alerts.channels.webhook import WebhookChannel, verdict

NOW = datetime(2025, 4, 25, 9, 0, tzinfo=UTC)
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_success(status: int) -> None:
    assert verdict(status, None, NOW) is None


@pytest.mark.parametrize("status", [301, 302, 400, 401, 404, 408, 410, 429, 500, 502, 503, 504])
def test_what_may_pass_is_retryable_and_the_rest_is_final(status: int) -> None:
    retryable = status in (408, 429, 500, 502, 503, 504)
    failure = verdict(status, "7", NOW)
    assert failure is not None
    assert failure.code == f"http_{status}"
    assert failure.retryable == retryable
    assert failure.retry_after_s == (7.0 if retryable else None)


@pytest.mark.parametrize(
    ("url", "secret", "setting"),
    [
        ("http://receiver.example:99999/", SECRET, "alerts.webhooks.ops.url"),
        ("http://[::1/", SECRET, "alerts.webhooks.ops.url"),
        ("https://receiver.example/", "whsec_" + "A" * 33, "alerts.webhooks.ops.secret"),
    ],
)
async def test_a_setting_that_cannot_be_used_is_refused_by_name(
    url: str, secret: str, setting: str
) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ConfigError) as refused:
            WebhookChannel("ops", WebhookSettings(url=url, secret=secret), session, lambda: NOW)
    assert refused.value.where == setting
    assert secret not in str(refused.value)
