"""Every channel that speaks HTTP, against a receiver that fails: what is named and what is seen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

import pytest
from msgspec import Struct

from service.config import WebhookSettings
from tests.alert_samples import alert_event
from tests.receivers.http import Fault, HttpReceiver, Status
from tests.receivers.webhook import WebhookReceiver
from workers.alerts.channels import Channel, Undeliverable
from workers.alerts.channels.gate import Gate
from workers.alerts.channels.guard import Sessions, open_sessions
from workers.alerts.channels.webhook import WebhookChannel

SECRET = "whsec_" + "A" * 32
# Short enough to wait for, long enough for any answer on loopback that is not withheld.
TIMEOUT_S = 2.0


class Rig(Struct):
    """A channel and its receiver. edits: a later event changes the message in place.

    copies: how many are seen when an answer was lost and the alert was sent again.
    """

    channel: Channel
    receiver: HttpReceiver
    edits: bool
    copies: int


def now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def webhook(sessions: Sessions) -> AsyncIterator[Rig]:
    async with WebhookReceiver(SECRET).serving() as receiver:
        settings = WebhookSettings(
            url=f"{receiver.url}/hook", secret=SECRET, timeout_s=TIMEOUT_S, allow_private=True
        )
        yield Rig(WebhookChannel("desk", settings, sessions, now), receiver, False, 1)


KINDS: dict[str, Callable[[Sessions], AbstractAsyncContextManager[Rig]]] = {"webhook": webhook}


@pytest.fixture
async def sessions() -> AsyncIterator[Sessions]:
    async with open_sessions() as sessions:
        yield sessions


@pytest.fixture(params=KINDS)
async def rig(request: pytest.FixtureRequest, sessions: Sessions) -> AsyncIterator[Rig]:
    async with KINDS[request.param](sessions) as rig:
        yield rig


async def failure_of(sending: Awaitable[str | None]) -> Undeliverable:
    with pytest.raises(Undeliverable) as failed:
        await sending
    return failed.value


@pytest.mark.parametrize(
    ("fault", "code", "retryable", "retry_after_s"),
    [
        (Fault.SLOW, "timeout", True, None),
        (Fault.CUT, "unreachable", True, None),
        (Status(429, {"Retry-After": "7"}), "http_429", True, 7.0),
        (Status(500), "http_500", True, None),
        (Status(503, {"Retry-After": "9"}), "http_503", True, 9.0),
        (Status(418), "http_418", False, None),
    ],
)
async def test_what_a_receiver_does_not_take_is_named_and_the_next_try_is_seen_once(
    rig: Rig, fault: Fault | Status, code: str, retryable: bool, retry_after_s: float | None
) -> None:
    event = alert_event()
    rig.receiver.faults = [fault]
    failure = await failure_of(rig.channel.send(event, None))
    assert rig.receiver.fired == [fault]
    assert (failure.code, failure.retryable, failure.gone) == (code, retryable, False)
    assert failure.retry_after_s == retry_after_s
    assert rig.receiver.visible() == []
    await rig.channel.send(event, None)
    (seen,) = rig.receiver.visible()
    assert seen.startswith("BREAKING: General killed in car bomb attack - reports")


async def test_what_was_taken_without_an_answer_is_tried_again(rig: Rig) -> None:
    """The receiver has it, and we can't know: at least once."""
    event = alert_event()
    rig.receiver.faults = [Fault.LOST]
    failure = await failure_of(rig.channel.send(event, None))
    assert (failure.code, failure.retryable) == ("unreachable", True)
    await rig.channel.send(event, None)
    assert len(rig.receiver.visible()) == rig.copies


async def test_a_redirect_is_not_followed(rig: Rig) -> None:
    rig.receiver.faults = [Status(307, {"Location": f"{rig.receiver.url}/hook"})]
    failure = await failure_of(rig.channel.send(alert_event(), None))
    assert (failure.code, failure.retryable) == ("http_307", False)
    assert rig.receiver.requests == 1


async def test_an_update_and_a_retraction_are_seen(rig: Rig) -> None:
    handle = None
    for kind in ("raised", "updated", "retracted"):
        handle = await rig.channel.send(alert_event(kind), handle) or handle
    words = [seen.split(":")[0] for seen in rig.receiver.visible()]
    assert words == (["RETRACTED"] if rig.edits else ["BREAKING", "UPDATED", "RETRACTED"])


async def test_an_update_of_what_was_never_delivered_is_news_of_its_own(rig: Rig) -> None:
    await rig.channel.send(alert_event("updated"), None)
    (seen,) = rig.receiver.visible()
    assert seen.startswith("UPDATED: ")


async def test_a_receiver_that_is_gone_gets_nothing_more_until_the_next_start(rig: Rig) -> None:
    gate = Gate(rig.channel)
    rig.receiver.faults = [Status(410)]
    failure = await failure_of(gate.send(alert_event(), None))
    assert (failure.code, failure.retryable, failure.gone) == ("http_410", False, True)
    failure = await failure_of(gate.send(alert_event(entry="e2"), None))
    assert (failure.code, failure.retryable, failure.gone) == ("gone", False, True)
    assert rig.receiver.requests == 1
    assert gate.name == rig.channel.name
