"""The alerts worker on real parts: raised once, delivered at least once, given up in the open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from standardwebhooks import Webhook
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.config import AlertSettings, WebhookSettings
from service.connection import connect
from service.errors import ConfigError, StoreError
from service.events import (
    AlertEvent,
    EntryEvent,
    Event,
    Significance,
    from_fields,
    to_fields,
    to_json,
)
from service.keys import Keys
from tests.alert_samples import QUICK, Receiver, alert_event, entry_event, until
from workers.alerts.delivery import Pace
from workers.alerts.ledger import Ledger
from workers.alerts.queue import Ending, Queue
from workers.alerts.rules import BREAKING, alert_id
from workers.alerts.worker import alerts_worker

MAX_EVENTS = 1000
Start = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture(autouse=True)
def logs() -> Any:
    with capture_logs() as captured:
        yield captured


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().serving() as receiver:
        yield receiver


@pytest.fixture
def start(redis_url: str, keys: Keys, receiver: Receiver) -> Start:
    """Runs a worker that has the receiver as its one channel, unless told otherwise."""

    @asynccontextmanager
    async def run(pace: Pace = QUICK, **settings: Any) -> AsyncIterator[None]:
        ready = asyncio.Event()
        task = asyncio.create_task(
            alerts_worker(
                lambda: connect(redis_url),
                keys,
                alert_settings(receiver, **settings),
                max_events=MAX_EVENTS,
                ready=ready.set,
                now=lambda: datetime.now(UTC),
                pace=pace,
            )
        )
        try:
            await until(lambda: ready.is_set() or task.done())
            yield
        finally:
            task.cancel()
            (ended,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(ended, asyncio.CancelledError)

    return run


def webhook_settings(receiver: Receiver, **settings: Any) -> WebhookSettings:
    return WebhookSettings(url=receiver.url, secret=Receiver.SECRET, allow_private=True, **settings)


def alert_settings(receiver: Receiver, **settings: Any) -> AlertSettings:
    webhook = WebhookSettings(
        url=receiver.url, secret=Receiver.SECRET, allow_private=True, timeout_s=5
    )
    return AlertSettings(**{"console": False, "webhooks": {"ops": webhook}} | settings)


async def publish(redis: Redis, keys: Keys, *events: Event) -> None:
    for event in events:
        await redis.xadd(keys.events, to_fields(event))  # type: ignore[arg-type]


async def until_done(redis: Redis, stream: str, group: str) -> None:
    """Until the group has read its whole stream and acknowledged it."""
    async with asyncio.timeout(60):
        while True:
            last = (await redis.xinfo_stream(stream))["last-generated-id"]
            for info in await redis.xinfo_groups(stream):
                done = not info["pending"] and info["last-delivered-id"] == last
                if done and info["name"] == group.encode():
                    return
            await asyncio.sleep(0.005)


async def settle(redis: Redis, keys: Keys) -> None:
    """Until everything that was published is judged, and delivered or given up."""
    await until_done(redis, keys.events, "alerts")
    await until_empty(redis, keys, "webhook:ops")


async def until_empty(redis: Redis, keys: Keys, channel: str) -> None:
    """Until everything in the channel's queue is delivered or given up."""
    async with asyncio.timeout(60):
        while await redis.zcard(keys.queue(channel)):
            await asyncio.sleep(0.005)


async def settle_events(redis: Redis, keys: Keys) -> None:
    """Until everything that was published is judged."""
    await until_done(redis, keys.events, "alerts")


async def raised(redis: Redis, keys: Keys) -> list[AlertEvent]:
    events = [from_fields(fields) for _, fields in await redis.xrange(keys.alerts)]
    assert all(isinstance(event, AlertEvent) for event in events)
    return events  # type: ignore[return-value]


def named(logs: list[EventDict], event: str) -> list[EventDict]:
    return [entry for entry in logs if entry["event"] == event]


async def test_a_published_breaking_entry_gives_one_alert(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver, logs: list[EventDict]
) -> None:
    event = entry_event()
    async with start():
        await publish(redis, keys, event)
        await until(lambda: named(logs, "alert.delivered"))
        await settle(redis, keys)
    (alert,) = await raised(redis, keys)
    assert receiver.received == [(alert_id(event, BREAKING), alert)]
    (delivered,) = named(logs, "alert.delivered")
    assert delivered.pop("lag_ms") >= 0
    assert delivered == {
        "event": "alert.delivered",
        "log_level": "info",
        "alert": alert.id,
        "rule": "breaking",
        "page": "ukraine",
        "entry": "e1",
        "channel": "webhook:ops",
        "attempt": 1,
    }


async def test_a_receiver_can_verify_with_the_library_of_the_standard(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver
) -> None:
    async with start():
        await publish(redis, keys, entry_event())
        await until(lambda: receiver.ids)
    headers, body = receiver.last
    event = Webhook(Receiver.SECRET).verify(body, headers)
    assert event["type"] == "stoppress.alert.raised"
    assert headers["webhook-id"] == event["id"] == event["data"]["alert"]


async def test_an_edit_that_gains_the_label_gives_one_alert(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver
) -> None:
    async with start():
        await publish(
            redis,
            keys,
            entry_event(labels=()),
            entry_event("edited", gained=("breaking",), sequence=2),
        )
        await until(lambda: receiver.ids)
        await settle(redis, keys)
    assert len(receiver.ids) == 1


async def test_further_edits_of_an_entry_that_alerted_give_none(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver
) -> None:
    edits = [entry_event("edited", gained=("breaking",), sequence=n) for n in range(2, 6)]
    async with start():
        await publish(redis, keys, entry_event(), *edits)
        await until(lambda: receiver.ids)
        await settle(redis, keys)
    assert len(await raised(redis, keys)) == len(receiver.ids) == 1


def edited(sequence: int, **fields: Any) -> EntryEvent:
    """An edit of a figure, unless told otherwise."""
    given = {
        "changed": ("body",),
        "significance": Significance(kind="figure", evidence=("9 killed → 12 killed",)),
    }
    return entry_event("edited", sequence=sequence, **(given | fields))


def types(receiver: Receiver) -> list[str]:
    return [event.type.rpartition(".")[2] for _, event in receiver.received]


async def test_an_alert_is_updated_when_its_story_changes_and_retracted_when_it_goes(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver, logs: list[EventDict]
) -> None:
    typo = Significance(kind="typo", evidence=("teh → the",))
    async with start():
        await publish(redis, keys, entry_event())
        await until(lambda: len(receiver.received) == 1)
        await publish(redis, keys, edited(2), edited(3, significance=typo))
        await until(lambda: len(receiver.received) == 2)
        await publish(redis, keys, entry_event("removed", sequence=4), edited(5))
        await publish(redis, keys, entry_event("restored", sequence=6))
        await until(lambda: len(receiver.received) == 3)
        await settle(redis, keys)
    assert types(receiver) == ["raised", "updated", "retracted"]
    assert receiver.received[1][1].data.reason == "figure: 9 killed → 12 killed"
    assert len(set(receiver.ids)) == 3
    (updated,) = named(logs, "alert.updated")
    assert updated["reason"] == "figure: 9 killed → 12 killed"


async def test_losing_the_label_retracts_and_gaining_it_again_raises_no_other(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver
) -> None:
    async with start():
        await publish(redis, keys, entry_event())
        await until(lambda: receiver.received)
        await publish(redis, keys, edited(2, labels=(), changed=("labels",)))
        await publish(redis, keys, edited(3, gained=("breaking",), changed=("labels",)))
        await until(lambda: len(receiver.received) == 2)
        await settle(redis, keys)
    assert types(receiver) == ["raised", "retracted"]


async def test_what_never_raised_an_alert_is_neither_updated_nor_retracted(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver
) -> None:
    async with start():
        await publish(redis, keys, entry_event(labels=()), entry_event(entry="e2", baseline=True))
        await publish(redis, keys, entry_event("removed", labels=(), sequence=2))
        await publish(redis, keys, edited(2, entry="e2"))
        await publish(redis, keys, entry_event("removed", entry="e2", sequence=3))
        await settle_events(redis, keys)
    assert await raised(redis, keys) == []
    assert receiver.received == []


async def test_the_same_change_read_twice_has_its_effect_once(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver
) -> None:
    async with start(), start():
        await publish(redis, keys, entry_event())
        await until(lambda: receiver.received)
        change = edited(2)
        await publish(redis, keys, change, change, change)
        await until(lambda: len(receiver.received) == 2)
        await settle(redis, keys)
    assert types(receiver) == ["raised", "updated"]


async def test_an_update_that_comes_before_the_alert_is_delivered_is_all_that_is_told(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver
) -> None:
    receiver.always = (503, {})
    async with start():
        await publish(redis, keys, entry_event())
        await until(lambda: len(receiver.received) >= 2)
        await publish(redis, keys, edited(2), edited(3))
        await settle_events(redis, keys)
        receiver.always = (200, {})
        await settle(redis, keys)
    assert receiver.delivered == [(await raised(redis, keys))[-1].id]


async def test_what_is_retracted_before_anything_was_told_is_never_told(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver
) -> None:
    receiver.always = (503, {})
    async with start():
        await publish(redis, keys, entry_event())
        await until(lambda: receiver.received)
        await publish(redis, keys, entry_event("removed", sequence=3))
        await settle(redis, keys)
    assert set(types(receiver)) == {"raised"}
    assert await redis.xlen(keys.dead) == 0


async def test_what_may_have_been_told_is_retracted(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver, logs: list[EventDict]
) -> None:
    """The first try had no answer: nobody knows whether it was taken."""
    receiver.always = Receiver.HANG
    webhook = webhook_settings(receiver, timeout_s=0.2)
    async with start(webhooks={"ops": webhook}):
        await publish(redis, keys, entry_event())
        await until(lambda: named(logs, "alert.failed"))
        receiver.always = (200, {})
        await publish(redis, keys, entry_event("removed", sequence=3))
        await settle(redis, keys)
    assert types(receiver)[-1] == "retracted"


@pytest.mark.parametrize(
    ("refused", "told"),
    [(1, ["raised", "updated", "retracted"]), (2, ["raised", "updated"])],
)
async def test_a_channel_that_was_told_nothing_needs_no_retraction(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver, refused: int, told: list[str]
) -> None:
    """An update is news of its own: where it was told, the retraction is too."""
    receiver.answers = [(400, {})] * refused
    async with start():
        for event in (entry_event(), edited(2), entry_event("removed", sequence=3)):
            await publish(redis, keys, event)
            await settle(redis, keys)
    assert types(receiver) == told
    assert await redis.xlen(keys.dead) == refused


async def test_a_change_that_comes_before_its_alert_is_raised_is_not_lost(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver
) -> None:
    """Whoever was to raise it died, and another worker went on: events change places."""
    first = datetime.now(UTC) - timedelta(minutes=2)
    second = first + timedelta(minutes=1)
    async with start():
        await publish(redis, keys, edited(3), entry_event("removed", entry="e2", sequence=2))
        await publish(redis, keys, entry_event(at=first), entry_event(entry="e2", at=first))
        await publish(redis, keys, edited(2, at=second))
        await settle(redis, keys)
    last = {event.data.entry.id: event for _, event in receiver.received}
    assert last["e1"].id == (await raised(redis, keys))[1].id
    assert "e2" not in last or last["e2"].type == "stoppress.alert.retracted"
    states = [await redis.hget(keys.ledger(alert_event(entry=e).id), "state") for e in ("e1", "e2")]
    assert states == [b"updated", b"retracted"]
    assert len(await raised(redis, keys)) == 4


@pytest.mark.parametrize("why", ["baseline", "expired"])
async def test_what_is_no_news_gives_none_nor_does_a_later_change_of_its_labels(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver, logs: list[EventDict], why: str
) -> None:
    old = datetime.now(UTC) - timedelta(days=1)
    first = entry_event(baseline=True) if why == "baseline" else entry_event(at=old)
    relabelled = entry_event("edited", gained=("breaking",), sequence=2)
    async with start():
        await publish(redis, keys, first, relabelled, entry_event(entry="news", sequence=3))
        await until(lambda: receiver.ids)
        await settle(redis, keys)
    assert [alert.data.entry.id for alert in await raised(redis, keys)] == ["news"]
    assert why in [entry["reason"] for entry in named(logs, "alert.suppressed")]


@pytest.mark.parametrize(
    "broken",
    [
        {"x": "y"},
        {"type": "stoppress.entry.published", "data": "{"},
        {"type": "stoppress.future.thing", "data": "{}"},
        {"type": b"\xff", "data": b"\xff"},
        {"type": "stoppress.entry.published", "data": "[" * 100_000},
        to_fields(entry_event()) | {"time": b"yesterday"},
        to_fields(entry_event()) | {"time": b"2025-04-25T09:17:00"},
    ],
)
async def test_what_is_no_event_becomes_a_dead_letter_and_the_next_is_handled(
    redis: Redis,
    keys: Keys,
    start: Start,
    receiver: Receiver,
    broken: Any,
) -> None:
    async with start():
        broken_id = await redis.xadd(keys.events, broken)
        await publish(redis, keys, entry_event())
        await until(lambda: receiver.ids)
        await settle(redis, keys)
    ((_, letter),) = await redis.xrange(keys.dead)
    assert (letter[b"message"], letter[b"group"]) == (broken_id, b"alerts")
    assert letter[b"reason"] == b"event.malformed"


@pytest.mark.parametrize(
    ("broken", "reason"), [(to_json(entry_event()), "event.misplaced"), (b"{", "event.malformed")]
)
async def test_a_ledger_that_holds_no_alert_becomes_a_dead_letter(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver, broken: bytes, reason: str
) -> None:
    alert = alert_event()
    ledger = Ledger(redis, keys, max_events=MAX_EVENTS)
    await ledger.raise_alert(alert, datetime.now(UTC), ["webhook:ops"])
    await redis.hset(keys.ledger(alert.id), "latest", broken)
    async with start():
        await publish(redis, keys, entry_event(entry="e2", sequence=2))
        await until(lambda: receiver.ids)
        await settle(redis, keys)
    ((_, letter),) = await redis.xrange(keys.dead)
    assert (letter[b"reason"], letter[b"data"]) == (reason.encode(), broken)
    assert letter[b"alert"] == alert.id.encode()


async def test_a_receiver_that_fails_twice_gets_the_same_id_until_it_answers(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver, logs: list[EventDict]
) -> None:
    receiver.answers = [(500, {}), (500, {})]
    async with start():
        await publish(redis, keys, entry_event())
        await until(lambda: named(logs, "alert.delivered"))
        await settle(redis, keys)
    assert len(receiver.ids) == 3
    assert len(set(receiver.ids)) == 1
    assert [entry["reason"] for entry in named(logs, "alert.failed")] == ["http_500"] * 2
    assert [entry["attempt"] for entry in named(logs, "alert.delivered")] == [3]
    assert await redis.xlen(keys.dead) == 0


async def test_retry_after_is_honoured(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver, logs: list[EventDict]
) -> None:
    receiver.always = (429, {"Retry-After": "70"})
    async with start():
        await publish(redis, keys, entry_event())
        await until(lambda: named(logs, "alert.failed"))
        assert 60_000 < await due_in_ms(redis, keys) <= 70_000
        await make_due(redis, keys)
        await until(lambda: len(named(logs, "alert.failed")) == 2)
    assert [entry["retry_in_s"] for entry in named(logs, "alert.failed")] == [70.0, 70.0]


async def due_in_ms(redis: Redis, keys: Keys, channel: str = "webhook:ops") -> float:
    """When the first alert in a channel's queue is due, by the server's clock."""
    ((_, due_ms),) = await redis.zrange(keys.queue(channel), 0, 0, withscores=True)
    seconds, micros = await redis.time()
    return float(due_ms) - seconds * 1000 - micros / 1000


async def make_due(redis: Redis, keys: Keys, channel: str = "webhook:ops") -> None:
    """Let the time go by that everything in a channel's queue waits for."""
    for alert in await redis.zrange(keys.queue(channel), 0, -1):
        await redis.zadd(keys.queue(channel), {alert: 0}, xx=True)


async def test_a_retry_after_past_the_deadline_leaves_one_last_try_at_the_deadline(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver, logs: list[EventDict]
) -> None:
    receiver.answers = [(503, {"Retry-After": "999999999"})]
    async with start(deadline_s=1.0):
        await publish(redis, keys, entry_event())
        await settle_after(redis, keys, receiver, 2)
    assert [0 < entry["retry_in_s"] <= 1.0 for entry in named(logs, "alert.failed")] == [True]
    assert await redis.xlen(keys.dead) == 0


async def settle_after(redis: Redis, keys: Keys, receiver: Receiver, requests: int) -> None:
    await until(lambda: len(receiver.ids) >= requests)
    await settle(redis, keys)
    assert len(receiver.ids) == requests


async def test_what_fails_until_its_deadline_becomes_a_dead_letter_that_says_why(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver, logs: list[EventDict]
) -> None:
    receiver.always = (500, {})
    async with start(deadline_s=1.0):
        await publish(redis, keys, entry_event())
        await until(lambda: named(logs, "alert.dead"))
        await settle(redis, keys)
    ((_, letter),) = await redis.xrange(keys.dead)
    (alert,) = await raised(redis, keys)
    assert from_fields(letter) == alert
    assert letter[b"channel"] == b"webhook:ops"
    assert letter[b"reason"] == b"http_500"
    assert int(letter[b"attempts"]) == len(receiver.ids) > 3
    assert datetime.fromisoformat(letter[b"died_at"].decode()) >= alert.data.deadline


@pytest.mark.parametrize("status", [400, 404, 410, 302])
async def test_a_refusal_becomes_a_dead_letter_at_once(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver, logs: list[EventDict], status: int
) -> None:
    receiver.always = (status, {"Location": receiver.url, "Retry-After": "1"})
    async with start():
        await publish(redis, keys, entry_event())
        await settle_after(redis, keys, receiver, 1)
    ((_, letter),) = await redis.xrange(keys.dead)
    assert (letter[b"reason"], letter[b"attempts"]) == (f"http_{status}".encode(), b"1")
    assert not named(logs, "alert.failed")


async def test_an_alert_that_is_past_its_deadline_is_not_sent_any_more(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver
) -> None:
    """Its worker was down for too long."""
    before = datetime.now(UTC) - timedelta(hours=2)
    ledger = Ledger(redis, keys, max_events=MAX_EVENTS)
    assert await ledger.raise_alert(alert_event(at=before), before, ["webhook:ops"])
    async with start():
        await until_empty(redis, keys, "webhook:ops")
    ((_, letter),) = await redis.xrange(keys.dead)
    assert (letter[b"reason"], letter[b"attempts"]) == (b"expired", b"0")
    assert receiver.ids == []


async def test_a_channel_that_is_new_gets_what_comes_from_then_on(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver
) -> None:
    """No alert from before, but what becomes of it: an update is news of its own."""
    ledger = Ledger(redis, keys, max_events=MAX_EVENTS)
    for entry in ("e1", "e2", "e3"):
        await ledger.raise_alert(alert_event(entry=entry), datetime.now(UTC), ["console"])
    async with start():
        await publish(redis, keys, edited(2, entry="e2"), entry_event("removed", entry="e3"))
        await until(lambda: receiver.ids)
        await settle(redis, keys)
    assert [event.data.entry.id for _, event in receiver.received] == ["e2"]
    assert types(receiver) == ["updated"]
    assert await redis.xlen(keys.dead) == 0


async def test_an_unreachable_receiver_is_retried(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver, logs: list[EventDict]
) -> None:
    gone = Receiver()
    async with gone.serving():
        pass
    settings = alert_settings(gone).webhooks
    async with start(webhooks=settings):
        await publish(redis, keys, entry_event())
        await until(lambda: len(named(logs, "alert.failed")) >= 3)
    assert {entry["reason"] for entry in named(logs, "alert.failed")} == {"unreachable"}


async def test_a_hanging_receiver_delays_neither_the_console_nor_another_receiver(
    redis: Redis,
    keys: Keys,
    start: Start,
    receiver: Receiver,
    capsys: pytest.CaptureFixture[str],
    logs: list[EventDict],
) -> None:
    receiver.always = Receiver.HANG
    async with Receiver().serving() as other:
        webhooks = {
            "ops": WebhookSettings(
                url=receiver.url, secret=Receiver.SECRET, allow_private=True, timeout_s=600
            ),
            "other": webhook_settings(other),
        }
        async with start(console=True, webhooks=webhooks):
            events = [entry_event(entry=f"e{n}", sequence=n) for n in range(1, 21)]
            await publish(redis, keys, *events)
            await until_done(redis, keys.events, "alerts")
            await until_empty(redis, keys, "console")
            await until_empty(redis, keys, "webhook:other")
            await until(lambda: len(receiver.ids) == 8)
    lines = capsys.readouterr().out.splitlines()
    assert [line.rsplit("#")[-1] for line in lines] == [f"e{n}" for n in range(1, 21)]
    assert all(line.startswith("BREAKING ") for line in lines)
    assert len(set(other.ids)) == len(other.ids) == 20
    assert {entry["channel"] for entry in named(logs, "alert.delivered")} == {
        "console",
        "webhook:other",
    }


async def test_a_receiver_that_does_not_answer_in_time_is_retried(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver, logs: list[EventDict]
) -> None:
    receiver.answers = [Receiver.HANG]
    webhook = WebhookSettings(
        url=receiver.url, secret=Receiver.SECRET, allow_private=True, timeout_s=0.2
    )
    async with start(webhooks={"ops": webhook}):
        await publish(redis, keys, entry_event())
        await settle_after(redis, keys, receiver, 2)
    assert [entry["reason"] for entry in named(logs, "alert.failed")] == ["timeout"]


async def test_two_workers_deliver_each_alert_once(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver
) -> None:
    async with start(), start():
        for number in range(1, 61):
            await publish(redis, keys, entry_event(entry=f"e{number}", sequence=number))
        await until(lambda: len(receiver.ids) >= 60)
        await settle(redis, keys)
    assert len(await raised(redis, keys)) == 60
    assert len(receiver.ids) == len(set(receiver.ids)) == 60


async def test_the_same_event_read_twice_by_two_workers_is_raised_once(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver
) -> None:
    event = entry_event()
    async with start(), start():
        await publish(redis, keys, *[event] * 20)
        await until(lambda: receiver.ids)
        await settle(redis, keys)
    assert len(await raised(redis, keys)) == len(receiver.ids) == 1


async def test_killed_connections_cost_no_alert(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver
) -> None:
    killed = 0
    async with start():
        for number in range(1, 11):
            await publish(redis, keys, entry_event(entry=f"e{number}", sequence=number))
            killed += int(await redis.client_kill_filter(_type="normal", skipme=True))
        await until(lambda: len(set(receiver.ids)) == 10)
        await settle(redis, keys)
    assert killed >= 3
    assert len(await raised(redis, keys)) == 10


async def test_the_ledger_is_not_kept_for_ever(
    redis: Redis, keys: Keys, start: Start, receiver: Receiver
) -> None:
    async with start():
        await publish(redis, keys, entry_event(), entry_event(entry="old", baseline=True))
        await until(lambda: receiver.ids)
        await settle(redis, keys)
    for entry in ("e1", "old"):
        assert await redis.ttl(keys.ledger(alert_id(entry_event(entry=entry), BREAKING))) > 0
    ledger = await redis.hgetall(keys.ledger(receiver.ids[0]))
    assert ledger[b"state"] == b"raised"
    assert ledger[b"webhook:ops:state"] == b"delivered"
    assert ledger[b"webhook:ops:attempts"] == b"1"


async def test_what_a_channel_returns_is_given_to_its_next_try_of_the_same_alert(
    redis: Redis, keys: Keys
) -> None:
    """Each channel has its own, also one that is named as the ledger's own fields are."""
    now, channels = datetime.now(UTC), ("slack:told", "slack:desk")
    ledger = Ledger(redis, keys, max_events=MAX_EVENTS)
    queues = [Queue(redis, keys, name, holder="me", lease_s=30, trip=5) for name in channels]
    told = None
    for event in (alert_event(), alert_event("updated"), alert_event("retracted")):
        await ledger.raise_alert(event, now, channels)
        await ledger.change(event, channels)
        for queue in queues:
            (taken,) = (await queue.take(9)).taken
            assert (taken.told, taken.handle) == (told, told and f"C1:{queue.channel}")
            handle = None if told else f"C1:{queue.channel}"
            ending = Ending(outcome="delivered", attempts=1, went="well", handle=handle)
            assert await queue.settle(taken, ending, event, now) == ("delivered", "")
        told = event.id


async def test_who_was_told_is_corrected_also_when_the_rule_has_other_channels_by_now(
    redis: Redis, keys: Keys
) -> None:
    now, channels = datetime.now(UTC), ("console", "ntfy:phone", "ntfy:late")
    ledger = Ledger(redis, keys, max_events=MAX_EVENTS)
    await ledger.raise_alert(alert_event(), now, channels[:2])
    for name in channels[:2]:
        queue = Queue(redis, keys, name, holder="me", lease_s=30, trip=5)
        (taken,) = (await queue.take(9)).taken
        ending = Ending(outcome="delivered", attempts=1, went="well")
        assert await queue.settle(taken, ending, alert_event(), now) == ("delivered", "")
    assert await ledger.change(alert_event("retracted"), ["console"], channels[1:])
    waiting = [await redis.zcard(keys.queue(name)) for name in channels]
    assert waiting == [1, 1, 0], "ntfy:late never had to do with it"


async def test_redis_that_is_down_at_start_is_one_named_error(
    keys: Keys, receiver: Receiver, tmp_path: Any
) -> None:
    with pytest.raises(StoreError) as refused:
        await alerts_worker(
            lambda: Redis(unix_socket_path=str(tmp_path / "none.sock")),
            keys,
            alert_settings(receiver),
            max_events=MAX_EVENTS,
            now=lambda: datetime.now(UTC),
        )
    assert refused.value.code == "redis.unusable"


async def test_a_webhook_that_cannot_be_used_is_refused_at_start(
    keys: Keys, redis_url: str
) -> None:
    webhook = WebhookSettings(url="http://a:99999/", secret=Receiver.SECRET)
    with pytest.raises(ConfigError):
        await alerts_worker(
            lambda: connect(redis_url),
            keys,
            AlertSettings(webhooks={"ops": webhook}),
            max_events=MAX_EVENTS,
            now=lambda: datetime.now(UTC),
        )
