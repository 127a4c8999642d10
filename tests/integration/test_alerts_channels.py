"""The alerts worker with every channel at once: raised, changed and taken back on receivers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import Struct
from redis.asyncio import Redis
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.config import (
    AlertSettings,
    AppriseSettings,
    DiscordSettings,
    EmailSettings,
    NtfySettings,
    PushSettings,
    SlackSettings,
    TelegramSettings,
    WebhookSettings,
)
from service.connection import connect
from service.events import Significance, to_fields
from service.keys import Keys
from tests.alert_samples import entry_event, until
from tests.receivers.apprise import JsonReceiver
from tests.receivers.discord import DiscordReceiver
from tests.receivers.http import HttpReceiver, Status
from tests.receivers.ntfy import NtfyReceiver
from tests.receivers.push import PushService
from tests.receivers.slack import SlackReceiver
from tests.receivers.smtp import MailReceiver
from tests.receivers.telegram import TelegramReceiver
from tests.receivers.webhook import WebhookReceiver
from workers.alerts.worker import alerts_worker
from workers.subscriptions import Subscriptions

SECRET = "whsec_" + "A" * 32
PRIVATE: dict[str, Any] = {"allow_private": True}
FIGURE = Significance(kind="figure", evidence=("9 killed → 12 killed",))


class Desk(Struct):
    """Every receiver. http: those that speak it, by the name of their channel."""

    http: dict[str, HttpReceiver]
    mail: MailReceiver

    def seen(self) -> dict[str, list[str]]:
        """The first word of what each shows, in order."""
        shown = {name: receiver.visible() for name, receiver in self.http.items()}
        shown["email:desk"] = [message["Subject"] for _, message in self.mail.mailbox]
        return {name: [text.split(":")[0] for text in texts] for name, texts in shown.items()}

    def settings(self) -> AlertSettings:
        url = {name.split(":")[0]: receiver.url for name, receiver in self.http.items()}
        email = EmailSettings(
            host="127.0.0.1",
            port=self.mail.port,
            security="none",
            sender="stoppress@news.example",
            recipients=("ana@desk.example",),
        )
        return AlertSettings(
            console=False,
            push=PushSettings(contact="mailto:a@b.example", **PRIVATE),
            webhooks={"desk": WebhookSettings(f"{url['webhook']}/hook", SECRET, **PRIVATE)},
            ntfy={"desk": NtfySettings("desk", url["ntfy"], **PRIVATE)},
            slack={"desk": SlackSettings("xoxb-1", "C1", None, f"{url['slack']}/api", **PRIVATE)},
            discord={"desk": DiscordSettings(f"{url['discord']}/api/webhooks/1/token", **PRIVATE)},
            telegram={"desk": TelegramSettings("1:A-b_c", "-100", url["telegram"], **PRIVATE)},
            email={"desk": email},
            apprise={"desk": AppriseSettings(url["apprise"].replace("http", "json", 1))},
        )


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[EventDict]]:
    with capture_logs() as captured:
        yield captured


@pytest.fixture
async def desk(redis: Redis, keys: Keys) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        push = PushService()
        http: dict[str, HttpReceiver] = {
            "webhook:desk": WebhookReceiver(SECRET),
            "ntfy:desk": NtfyReceiver(),
            "slack:desk": SlackReceiver(),
            "discord:desk": DiscordReceiver(),
            "telegram:desk": TelegramReceiver(),
            "apprise:desk": JsonReceiver(),
            "push": push,
        }
        for receiver in http.values():
            await stack.enter_async_context(receiver.serving())
        mail = await stack.enter_async_context(MailReceiver().serving())
        kept = Subscriptions(redis, keys)
        push.key = (await kept.vapid_key()).public
        _, subscription = push.subscribe("browser")
        await kept.add(subscription)
        yield Desk(http, mail)


@asynccontextmanager
async def worker(redis_url: str, keys: Keys, settings: AlertSettings) -> AsyncIterator[None]:
    ready = asyncio.Event()
    task = asyncio.create_task(
        alerts_worker(
            lambda: connect(redis_url),
            keys,
            settings,
            max_events=1000,
            now=lambda: datetime.now(UTC),
            ready=ready.set,
        )
    )
    try:
        await until(lambda: ready.is_set() or task.done())
        yield
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError)


async def delivered(logs: list[EventDict], count: int) -> None:
    """Until so many deliveries are recorded."""
    await until(lambda: len([e for e in logs if e["event"] == "alert.delivered"]) == count)


async def test_every_channel_ends_with_what_is_true(
    redis: Redis, redis_url: str, keys: Keys, desk: Desk, logs: list[EventDict]
) -> None:
    """Each event is handled by a worker of its own: what was sent is known to the next one."""
    events = [
        entry_event(),
        entry_event("edited", sequence=2, changed=("body",), significance=FIGURE),
        entry_event("removed", sequence=3),
    ]
    channels = len(desk.seen())
    for number, event in enumerate(events, start=1):
        async with worker(redis_url, keys, desk.settings()):
            await redis.xadd(keys.events, to_fields(event))  # type: ignore[arg-type]
            await delivered(logs, channels * number)
    each = ["BREAKING", "UPDATED", "RETRACTED"]
    assert desk.seen() == {
        "webhook:desk": each,
        "ntfy:desk": ["RETRACTED"],
        "slack:desk": ["RETRACTED"],
        "discord:desk": ["RETRACTED"],
        "telegram:desk": ["RETRACTED"],
        "apprise:desk": each,
        "push": ["RETRACTED"],
        "email:desk": each,
    }
    assert await redis.xlen(keys.dead) == 0


async def test_a_channel_that_is_refused_keeps_an_alert_from_no_other(
    redis: Redis, redis_url: str, keys: Keys, desk: Desk, logs: list[EventDict]
) -> None:
    desk.http["slack:desk"].faults = [Status(410)]
    async with worker(redis_url, keys, desk.settings()):
        await redis.xadd(keys.events, to_fields(entry_event()))  # type: ignore[arg-type]
        await delivered(logs, len(desk.seen()) - 1)
        await until(lambda: [e for e in logs if e["event"] == "alert.dead"])
        await redis.xadd(keys.events, to_fields(entry_event(entry="e2")))  # type: ignore[arg-type]
        await delivered(logs, 2 * (len(desk.seen()) - 1))
        await until(lambda: len([e for e in logs if e["event"] == "alert.dead"]) == 2)
    seen = desk.seen()
    assert seen.pop("slack:desk") == []
    assert set(map(len, seen.values())) == {2}
    letters = [letter for _, letter in await redis.xrange(keys.dead)]
    assert [letter[b"reason"] for letter in letters] == [b"http_410", b"gone"]
    assert {letter[b"channel"] for letter in letters} == {b"slack:desk"}
