"""What a channel does with an alert: send, drop, give up, and when to try again."""

from __future__ import annotations

from typing import Any

import aiohttp
import aiosmtplib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.alert_samples import alert_event
from workers.alerts.channels import Undeliverable
from workers.alerts.delivery import (
    LAST_TRY_MS,
    Pace,
    may_have_arrived,
    next_step,
    pause_in_s,
    retry_in_s,
)
from workers.alerts.queue import Taken

PACE = Pace()
DRAWS = st.floats(0, 1, allow_nan=False)


def taken(**given: Any) -> Taken:
    known: dict[str, Any] = {
        "alert": "a", "token": 1, "attempt": 1, "event": b"", "event_id": "e", "told": None,
        "handle": None, "doubt": None, "left_ms": 60_000, "reason": None, "is_probe": False,
        "is_replay": False,
    }  # fmt: skip
    return Taken(**(known | given))


def failed(code: str = "http_503", cause: Exception | None = None, **given: Any) -> Undeliverable:
    failure = Undeliverable(code, "it failed", **({"retryable": True} | given))
    failure.__cause__ = cause
    return failure


@pytest.mark.parametrize(
    ("kind", "given", "is_left_alone", "step"),
    [
        ("raised", {}, False, "send"),
        ("updated", {}, False, "send"),
        ("raised", {"left_ms": 0}, False, "expire"),
        ("updated", {"left_ms": -1}, False, "expire"),
        # The last try of one that failed before is due at the deadline.
        ("raised", {"left_ms": -1, "attempt": 2}, False, "send"),
        ("raised", {"left_ms": -1, "attempt": 2}, True, "expire"),
        ("raised", {"left_ms": -LAST_TRY_MS, "attempt": 2}, False, "expire"),
        # A retraction goes where something was told, or may have been.
        ("retracted", {}, False, "drop"),
        ("retracted", {"left_ms": -1}, False, "drop"),
        ("retracted", {"told": "e"}, False, "send"),
        ("retracted", {"doubt": "e"}, False, "send"),
        ("retracted", {"told": "e", "left_ms": -1}, False, "expire"),
    ],
)
def test_what_is_done_with_an_alert(
    kind: str, given: dict[str, Any], is_left_alone: bool, step: str
) -> None:
    assert next_step(taken(**given), alert_event(kind), is_left_alone=is_left_alone) == step


@given(attempt=st.integers(1, 10_000), left_s=st.floats(-5, 10_000), draw=DRAWS)
def test_a_retry_is_never_past_the_deadline_nor_sooner_than_asked_for(
    attempt: int, left_s: float, draw: float
) -> None:
    for asked_s in (None, 0.0, 30.0, 1e9):
        wait_s = retry_in_s(failed(retry_after_s=asked_s), attempt, left_s, draw, PACE)
        assert wait_s <= left_s
        assert wait_s == left_s or wait_s >= max(asked_s or 0.0, PACE.retry_s / 2)


@given(failures=st.integers(1, 10_000), draw=DRAWS)
def test_the_pause_of_a_channel_grows_and_has_a_ceiling(failures: int, draw: float) -> None:
    pause_s = pause_in_s(failed(), failures, draw, PACE)
    assert PACE.pause_s / 2 <= pause_s <= pause_in_s(failed(), failures + 1, draw, PACE)
    assert pause_in_s(failed(retry_after_s=1e9), failures, draw, PACE) == PACE.pause_ceiling_s


def refused_connection() -> Exception:
    key = aiohttp.client_reqrep.ConnectionKey("host", 443, True, None, None, None, None)  # type: ignore[arg-type]
    return aiohttp.ClientConnectorError(key, OSError(111, "refused"))


@pytest.mark.parametrize(
    ("channel", "failure", "may_have"),
    [
        ("slack:desk", failed("timeout"), True),
        ("slack:desk", failed("unreachable", aiohttp.ServerDisconnectedError()), True),
        ("slack:desk", failed("unreachable", refused_connection()), False),
        ("slack:desk", failed("http_503"), False),
        ("slack:desk", failed("http_429"), False),
        ("slack:desk", failed("http_504"), True),
        ("slack:desk", failed("answer_malformed"), True),
        ("slack:desk", failed("slack_ratelimited"), False),
        ("slack:desk", failed("http_400", retryable=False), False),
        ("apprise:desk", failed("apprise_failed"), True),
        ("email:desk", failed("unreachable", aiosmtplib.SMTPConnectError("refused")), False),
        ("email:desk", failed("timeout", aiosmtplib.SMTPConnectTimeoutError("slow")), False),
        ("email:desk", failed("smtp_451"), True),  # a few recipients may have taken it
        ("email:desk", failed("smtp_550", retryable=False), False),
        ("push", failed("http_503"), True),  # as may a few browsers
        ("push", failed("http_400", retryable=False), False),
        ("console", failed("channel_broke"), True),
    ],
)
def test_a_failed_try_may_have_told_people_or_not(
    channel: str, failure: Undeliverable, may_have: bool
) -> None:
    assert may_have_arrived(channel, failure) is may_have
