"""The webhook channel's decisions: what an answer means, and which settings are refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from service.config import WebhookSettings
from service.errors import ConfigError
from tests.alert_samples import alert_event
from tests.receivers.webhook import WebhookReceiver
from workers.alerts.channels import Undeliverable
from workers.alerts.channels.guard import open_sessions
from workers.alerts.channels.http import verdict
from workers.alerts.channels.webhook import WebhookChannel

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
    assert failure.gone == (status == 410)


@pytest.mark.parametrize(
    ("url", "secret", "setting"),
    [
        ("http://receiver.example:99999/", SECRET, "alerts.webhooks.ops.url"),
        ("http://[::1/", SECRET, "alerts.webhooks.ops.url"),
        ("http://127.0.0.1/", SECRET, "alerts.webhooks.ops.url"),
        ("https://receiver.example/", "whsec_" + "A" * 33, "alerts.webhooks.ops.secret"),
    ],
)
async def test_a_setting_that_cannot_be_used_is_refused_by_name(
    url: str, secret: str, setting: str
) -> None:
    async with open_sessions() as sessions:
        with pytest.raises(ConfigError) as refused:
            WebhookChannel("ops", WebhookSettings(url=url, secret=secret), sessions, lambda: NOW)
    assert refused.value.where == setting
    assert secret not in str(refused.value)


async def test_while_secrets_change_a_receiver_can_verify_with_any_of_them() -> None:
    """Standard Webhooks, "Webhook signatures": several, separated by spaces."""
    secrets = ["whsec_" + letter * 32 for letter in "ABC"]
    async with open_sessions() as sessions:
        for secret in secrets:
            async with WebhookReceiver(secret).serving() as receiver:
                settings = WebhookSettings(
                    url=f"{receiver.url}/hook",
                    secret=secrets[0],
                    earlier_secrets=tuple(secrets[1:]),
                    allow_private=True,
                )
                channel = WebhookChannel("ops", settings, sessions, lambda: datetime.now(UTC))
                await channel.send(alert_event())
                assert len(receiver.events) == 1
                assert len(set(receiver.signatures)) == 3


class Inside(AbstractResolver):
    """Leads every name to this machine."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        local = ResolveResult(
            hostname=host, host="127.0.0.1", port=port, family=0, proto=0, flags=0
        )
        return [local]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("host", "retryable"), [("receiver.example", True), ("127.1", False), ("0x7f000001", True)]
)
async def test_a_receiver_that_is_on_this_machine_is_not_connected_to(
    host: str, retryable: bool
) -> None:
    """A name may lead elsewhere later, so the alert is not given up at once."""
    async with WebhookReceiver(SECRET).serving() as receiver, open_sessions(Inside()) as sessions:
        url = receiver.url.replace("127.0.0.1", host) + "/hook"
        settings = WebhookSettings(url=url, secret=SECRET)
        channel = WebhookChannel("ops", settings, sessions, lambda: datetime.now(UTC))
        with pytest.raises(Undeliverable) as failed:
            await channel.send(alert_event())
        assert (failed.value.code, failed.value.retryable) == ("address_refused", retryable)
        assert receiver.requests == 0
