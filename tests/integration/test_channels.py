"""Every channel that speaks HTTP, against a receiver that fails: what is named and what is seen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct
from structlog.testing import capture_logs

from service.config import (
    DiscordSettings,
    NtfySettings,
    SlackSettings,
    TelegramSettings,
    WebhookSettings,
)
from tests.alert_samples import alert_event
from tests.receivers.discord import DiscordReceiver
from tests.receivers.http import Fault, HttpReceiver, Status
from tests.receivers.ntfy import NtfyReceiver
from tests.receivers.slack import SlackReceiver
from tests.receivers.telegram import TelegramReceiver
from tests.receivers.webhook import WebhookReceiver
from workers.alerts.channels import Channel, Undeliverable
from workers.alerts.channels.discord import DiscordChannel
from workers.alerts.channels.gate import Gate
from workers.alerts.channels.guard import Sessions, open_sessions
from workers.alerts.channels.ntfy import NtfyChannel
from workers.alerts.channels.slack import SlackChannel
from workers.alerts.channels.telegram import TelegramChannel
from workers.alerts.channels.webhook import WebhookChannel
from workers.alerts.text import Templates

SECRET = "whsec_" + "A" * 32
# Short enough to wait for, long enough for any answer on loopback that is not withheld.
TIMEOUT_S = 1.0


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


WORDS = Templates()


LOCAL = "127.0.0.1"


def common(host: str) -> dict[str, Any]:
    return {"timeout_s": TIMEOUT_S, "allow_private": host == LOCAL}


def at(receiver: HttpReceiver, host: str) -> str:
    return receiver.url.replace(LOCAL, host)


@asynccontextmanager
async def webhook(sessions: Sessions, host: str = LOCAL) -> AsyncIterator[Rig]:
    async with WebhookReceiver(SECRET).serving() as receiver:
        settings = WebhookSettings(url=f"{at(receiver, host)}/hook", secret=SECRET, **common(host))
        yield Rig(WebhookChannel("desk", settings, sessions, now), receiver, False, 1)


@asynccontextmanager
async def ntfy(sessions: Sessions, host: str = LOCAL) -> AsyncIterator[Rig]:
    async with NtfyReceiver("tk_1").serving() as receiver:
        settings = NtfySettings(topic="desk", url=at(receiver, host), token="tk_1", **common(host))
        yield Rig(NtfyChannel("desk", settings, sessions, WORDS, now), receiver, True, 1)


@asynccontextmanager
async def slack(sessions: Sessions, host: str = LOCAL) -> AsyncIterator[Rig]:
    async with SlackReceiver().serving() as receiver:
        settings = SlackSettings(
            token="xoxb-1", channel="C1", api_url=f"{at(receiver, host)}/api", **common(host)
        )
        yield Rig(SlackChannel("desk", settings, sessions, WORDS, now), receiver, True, 2)


@asynccontextmanager
async def slack_webhook(sessions: Sessions, host: str = LOCAL) -> AsyncIterator[Rig]:
    async with SlackReceiver().serving() as receiver:
        settings = SlackSettings(
            webhook_url=f"{at(receiver, host)}/services/T1/B1/key", **common(host)
        )
        yield Rig(SlackChannel("desk", settings, sessions, WORDS, now), receiver, False, 2)


@asynccontextmanager
async def discord(sessions: Sessions, host: str = LOCAL) -> AsyncIterator[Rig]:
    async with DiscordReceiver().serving() as receiver:
        settings = DiscordSettings(url=f"{at(receiver, host)}/api/webhooks/1/token", **common(host))
        yield Rig(DiscordChannel("desk", settings, sessions, WORDS, now), receiver, True, 2)


@asynccontextmanager
async def telegram(sessions: Sessions, host: str = LOCAL) -> AsyncIterator[Rig]:
    async with TelegramReceiver().serving() as receiver:
        settings = TelegramSettings(
            token="1:A-b_c", chat="-100", api_url=at(receiver, host), **common(host)
        )
        yield Rig(TelegramChannel("desk", settings, sessions, WORDS, now), receiver, True, 2)


KINDS: dict[str, Callable[..., AbstractAsyncContextManager[Rig]]] = {
    rig.__name__: rig for rig in (webhook, ntfy, slack, slack_webhook, discord, telegram)
}


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
        (Fault.GARBAGE, "unreachable", True, None),
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
    assert "token" not in str(failure)
    assert "A-b_c" not in str(failure)
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


class Inside(AbstractResolver):
    """Leads every name to this machine."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host=LOCAL, port=port, family=0, proto=0, flags=0)]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("kind", KINDS)
async def test_no_channel_connects_to_a_name_that_leads_into_our_network(kind: str) -> None:
    async with open_sessions(Inside()) as sessions, KINDS[kind](sessions, "news.example") as rig:
        failure = await failure_of(rig.channel.send(alert_event(), None))
        assert (failure.code, failure.retryable) == ("address_refused", True)
        assert rig.receiver.requests == 0


async def test_an_update_and_a_retraction_are_seen(rig: Rig) -> None:
    handle = None
    for kind in ("raised", "updated", "retracted"):
        handle = await rig.channel.send(alert_event(kind), handle) or handle
    words = [seen.split(":")[0] for seen in rig.receiver.visible()]
    assert words == (["RETRACTED"] if rig.edits else ["BREAKING", "UPDATED", "RETRACTED"])


NASTY = "<!channel> @everyone <b>x</b> **x** ||x|| [a](https://evil.example) `x` &lt; _x_ # \\"


async def test_what_a_page_says_is_seen_as_it_is(rig: Rig) -> None:
    await rig.channel.send(alert_event(title=NASTY), None)
    (seen,) = rig.receiver.visible()
    assert seen.split("\n")[0].replace("\u2060", "") == f"BREAKING: {NASTY}"


async def test_the_same_change_sent_again_is_seen_once(rig: Rig) -> None:
    """The worker may die between the sending and the recording of it."""
    handle = await rig.channel.send(alert_event(), None)
    updated = alert_event("updated")
    again = await rig.channel.send(updated, handle) or handle
    await rig.channel.send(updated, again)
    assert len(rig.receiver.visible()) == (1 if rig.edits else rig.copies + 1)


async def test_an_update_of_what_was_never_delivered_is_news_of_its_own(rig: Rig) -> None:
    await rig.channel.send(alert_event("updated"), None)
    (seen,) = rig.receiver.visible()
    assert seen.startswith("UPDATED: ")


async def test_a_receiver_that_is_gone_gets_nothing_more_until_the_next_start(rig: Rig) -> None:
    gate = Gate(rig.channel)
    rig.receiver.faults = [Status(410)]
    with capture_logs() as logs:
        failure = await failure_of(gate.send(alert_event(), None))
        assert (failure.code, failure.retryable, failure.gone) == ("http_410", False, True)
        failure = await failure_of(gate.send(alert_event(entry="e2"), None))
        assert (failure.code, failure.retryable, failure.gone) == ("gone", False, True)
    assert logs == [
        {
            "event": "channel.disabled",
            "log_level": "error",
            "channel": rig.channel.name,
            "reason": "http_410",
            "detail": "the receiver answered 410",
        }
    ]
    assert rig.receiver.requests == 1
    assert gate.name == rig.channel.name
