"""Channels and Redis that are away for a while: nothing is lost, nothing is doubled, nobody is
pressed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.config import AlertSettings, WebhookSettings
from service.connection import connect
from service.embedded import embedded
from service.events import Event, canary, to_fields
from service.keys import Keys
from service.observability import REGISTRY
from service.store import Store
from tests.alert_samples import QUICK, Receiver, entry_event, until
from tests.integration.test_alerts import edited, make_due, named, until_done, until_empty
from tests.waiting import eventually
from workers.alerts.canary import CANARIES
from workers.alerts.delivery import Pace
from workers.alerts.worker import alerts_worker

CHANNEL = "webhook:ops"
# Open after five, and no probe unless the test lets time go by.
TRIPPING = Pace(retry_s=0.01, retry_ceiling_s=0.02, trip=5, pause_s=1000, pause_ceiling_s=1000)
# Open after five, and tried again at once.
PROBING = Pace(retry_s=0.01, retry_ceiling_s=0.02, trip=5, pause_s=0.02, pause_ceiling_s=0.05)


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[EventDict]]:
    with capture_logs() as captured:
        yield captured


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().serving() as receiver:
        yield receiver


@asynccontextmanager
async def worker(
    connected: Callable[[], Redis],
    keys: Keys,
    receiver: Receiver,
    pace: Pace = QUICK,
    **settings: Any,
) -> AsyncIterator[None]:
    """A worker whose one channel is the receiver."""
    webhook = WebhookSettings(
        url=receiver.url, secret=Receiver.SECRET, allow_private=True, timeout_s=5
    )
    given = {"console": False, "webhooks": {"ops": webhook}} | settings
    ready = asyncio.Event()
    task = asyncio.create_task(
        alerts_worker(
            connected, keys, AlertSettings(**given), max_events=1000,
            now=lambda: datetime.now(UTC), ready=ready.set, pace=pace,
        )
    )  # fmt: skip
    try:
        await until(lambda: ready.is_set() or task.done())
        yield
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError), ended


async def publish(redis: Redis, keys: Keys, *events: Event) -> None:
    for event in events:
        await redis.xadd(keys.events, to_fields(event))  # type: ignore[arg-type]


def alerts(count: int, first: int = 1) -> list[Event]:
    return [entry_event(entry=f"e{n}", sequence=n) for n in range(first, first + count)]


def queues(logs: list[EventDict], event: str) -> set[str]:
    """The channels of which it was said. The canary's is among them, and may be first or last."""
    return {entry["channel"] for entry in named(logs, event)}


async def looked(redis: Redis, keys: Keys, channel: str = CHANNEL) -> None:
    """Until the worker has looked into the queue after now."""
    count = await redis.zcard(keys.queue(channel))
    await redis.zadd(keys.queue(channel), {"no-such-alert": 1})  # swept away by the next look

    async def swept() -> bool:
        return await redis.zcard(keys.queue(channel)) <= count

    await eventually(swept, "a look into the queue")


# --- a channel that fails ------------------------------------------------------------------------


async def test_after_five_failures_in_a_row_a_channel_is_left_alone(
    redis: Redis, redis_url: str, keys: Keys, receiver: Receiver, logs: list[EventDict]
) -> None:
    """Of any alerts: here each fails once or twice. What is under way then may still fail."""
    receiver.always = (503, {})
    async with worker(lambda: connect(redis_url), keys, receiver, TRIPPING):
        await publish(redis, keys, *alerts(3))
        await until(lambda: named(logs, "channel.open"))
        tries = len(receiver.received)
        assert 5 <= tries <= 8
        gauge = REGISTRY.get_sample_value("stoppress_channel_open", {"channel": CHANNEL})
        await publish(redis, keys, *alerts(3, first=4))
        await until_done(redis, keys.events, "alerts")
        for _ in range(2):
            await make_due(redis, keys)
            await looked(redis, keys)
    assert gauge == 1
    assert len(receiver.received) <= 8
    (opened,) = named(logs, "channel.open")
    assert opened.pop("pause_s") >= 500
    assert opened == {
        "event": "channel.open", "log_level": "error", "channel": CHANNEL, "reason": "http_503",
    }  # fmt: skip
    assert await redis.zcard(keys.queue(CHANNEL)) == 6


async def test_one_probe_shows_whether_a_channel_works_again(
    redis: Redis, redis_url: str, keys: Keys, receiver: Receiver, logs: list[EventDict]
) -> None:
    receiver.always = (503, {})
    async with worker(lambda: connect(redis_url), keys, receiver, TRIPPING):
        await publish(redis, keys, *alerts(12))
        await until(lambda: named(logs, "channel.open"))
        await settled_down(redis, keys)
        for number in range(2):  # it fails: the pause begins anew
            tries = len(receiver.received)
            await make_due(redis, keys)
            await redis.hset(keys.breaker(CHANNEL), "until", "0")
            await until(lambda tries=tries: len(receiver.received) > tries)  # type: ignore[misc]
            await settled_down(redis, keys)
            await looked(redis, keys)
            assert len(receiver.received) == tries + 1, number
        receiver.always = (200, {})
        await redis.hset(keys.breaker(CHANNEL), "until", "0")
        await make_due(redis, keys)
        await until_empty(redis, keys, CHANNEL)
    assert len(receiver.delivered) == len(set(receiver.delivered)) == 12
    assert [entry["channel"] for entry in named(logs, "channel.closed")] == [CHANNEL]
    assert len(named(logs, "channel.open")) == 1
    assert REGISTRY.get_sample_value("stoppress_channel_open", {"channel": CHANNEL}) == 0


async def settled_down(redis: Redis, keys: Keys) -> None:
    """Until nothing is being sent."""

    async def none() -> bool:
        members = await redis.zrange(keys.queue(CHANNEL), 0, -1)
        states = [await redis.hget(keys.ledger(m.decode()), f"{CHANNEL}:state") for m in members]
        return b"sending" not in states

    await eventually(none, "all tries to end")


async def test_a_deadline_holds_while_a_channel_is_left_alone(
    redis: Redis, redis_url: str, keys: Keys, receiver: Receiver, logs: list[EventDict]
) -> None:
    receiver.always = (503, {})
    async with worker(lambda: connect(redis_url), keys, receiver, TRIPPING, deadline_s=2.0):
        await publish(redis, keys, *alerts(1))
        await until(lambda: named(logs, "channel.open"))
        await publish(redis, keys, *alerts(1, first=2))
        await until(lambda: len(named(logs, "alert.dead")) == 2)
        await until_empty(redis, keys, CHANNEL)
    letters = [letter for _, letter in await redis.xrange(keys.dead)]
    found = {(letter[b"reason"], letter[b"attempts"]) for letter in letters}
    assert found == {(b"http_503", b"5"), (b"expired", b"0")}
    assert len(receiver.received) == 5


async def test_a_refusal_for_good_is_an_answer_and_opens_nothing(
    redis: Redis, redis_url: str, keys: Keys, receiver: Receiver, logs: list[EventDict]
) -> None:
    receiver.always = (400, {})
    async with worker(lambda: connect(redis_url), keys, receiver, TRIPPING):
        await publish(redis, keys, *alerts(12))
        await until(lambda: len(named(logs, "alert.dead")) == 12)
    assert not named(logs, "channel.open")


async def test_two_workers_send_once_when_an_outage_ends(
    redis: Redis, redis_url: str, keys: Keys, receiver: Receiver, logs: list[EventDict]
) -> None:
    receiver.always = (503, {})

    def connected() -> Redis:
        return connect(redis_url)

    async with (
        worker(connected, keys, receiver, PROBING),
        worker(connected, keys, receiver, PROBING),
    ):
        await publish(redis, keys, *alerts(40))
        await until(lambda: named(logs, "channel.open"))
        await until_done(redis, keys.events, "alerts")
        receiver.always = (200, {})
        await until_empty(redis, keys, CHANNEL)
    assert len(receiver.delivered) == len(set(receiver.delivered)) == 40
    assert await redis.xlen(keys.dead) == 0


async def test_a_fault_of_ours_in_a_channel_is_a_failed_try(
    redis: Redis,
    redis_url: str,
    keys: Keys,
    receiver: Receiver,
    logs: list[EventDict],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("workers.alerts.channels.webhook.WebhookChannel._headers", broken)
    async with worker(lambda: connect(redis_url), keys, receiver):
        await publish(redis, keys, *alerts(1))
        await until(lambda: named(logs, "alert.failed"))
        monkeypatch.undo()
        await until_empty(redis, keys, CHANNEL)
    assert {entry["reason"] for entry in named(logs, "alert.failed")} == {"channel_broke"}
    assert named(logs, "channel.broke")
    assert len(receiver.delivered) == 1


# --- workers that are slow, or end ----------------------------------------------------------------


async def test_a_delivery_that_takes_long_keeps_its_lease(
    redis: Redis, redis_url: str, keys: Keys, receiver: Receiver, logs: list[EventDict]
) -> None:
    """Three times as long as a lease lasts, and another worker looks for what it may take over."""
    receiver.always = Receiver.HANG

    def connected() -> Redis:
        return connect(redis_url)

    async with (
        worker(connected, keys, receiver, claim_after_s=0.5),
        worker(connected, keys, receiver, claim_after_s=0.5),
    ):
        await publish(redis, keys, *alerts(1))
        await until(lambda: receiver.received)
        before = await redis.zscore(keys.queue(CHANNEL), receiver.ids[0])
        assert before is not None

        async def renewed() -> bool:
            now = await redis.zscore(keys.queue(CHANNEL), receiver.ids[0])
            return now is not None and now > before + 1500

        await eventually(renewed, "the lease to be renewed")
        receiver.release()
        await until_empty(redis, keys, CHANNEL)
    assert len(receiver.received) == 1
    assert not named(logs, "lease.lost")


async def test_whoever_lost_a_lease_undoes_nothing(
    redis: Redis, redis_url: str, keys: Keys, receiver: Receiver, logs: list[EventDict]
) -> None:
    """Its machine was suspended while it sent: another had the same sent and recorded by then."""
    receiver.answers = [Receiver.HANG]

    def connected() -> Redis:
        return connect(redis_url)

    async with worker(connected, keys, receiver), worker(connected, keys, receiver):
        await publish(redis, keys, *alerts(1))
        await until(lambda: receiver.received)
        await make_due(redis, keys)
        await until_empty(redis, keys, CHANNEL)
        ledger = await redis.hgetall(keys.ledger(receiver.ids[0]))
        receiver.release()
        await until(lambda: named(logs, "lease.lost"))
        assert await redis.hgetall(keys.ledger(receiver.ids[0])) == ledger
    assert len(receiver.received) == 2
    assert len(set(receiver.ids)) == 1
    assert ledger[f"{CHANNEL}:state".encode()] == b"delivered"


async def test_a_worker_that_is_told_to_end_finishes_what_it_is_sending(
    redis: Redis, redis_url: str, keys: Keys, receiver: Receiver, logs: list[EventDict]
) -> None:
    receiver.answers = [Receiver.HANG]
    async with worker(lambda: connect(redis_url), keys, receiver):
        await publish(redis, keys, *alerts(1))
        await until(lambda: receiver.received)
        asyncio.get_running_loop().call_later(0.2, receiver.release)
    assert named(logs, "alert.delivered")
    assert await redis.zcard(keys.queue(CHANNEL)) == 0


# --- Redis ---------------------------------------------------------------------------------------


class Lossy:
    """Makes clients that lose a tenth of all answers to scripts, and as many questions."""

    def __init__(self, url: str, seed: int) -> None:
        self._url, self._dice = url, random.Random(seed)
        self.lost = self.unasked = 0

    def __call__(self) -> Redis:
        redis = connect(self._url)
        execute = redis.execute_command

        async def execute_some(*args: Any, **options: Any) -> Any:
            draw = self._dice.random() if args[0] == "EVALSHA" else 1.0
            if draw < 0.1:
                self.unasked += 1
                raise RedisConnectionError("not asked")
            answer = await execute(*args, **options)
            if draw < 0.2:
                self.lost += 1
                raise RedisConnectionError("the answer is lost")
            return answer

        redis.execute_command = execute_some  # type: ignore[method-assign]
        return redis


@pytest.mark.parametrize("seed", range(3))
async def test_answers_that_are_lost_cost_nothing_and_double_nothing(
    redis: Redis, redis_url: str, keys: Keys, receiver: Receiver, seed: int
) -> None:
    """Each step has been done, or has not: nobody knows, and asks again."""
    receiver.answers = [(503, {})] * 10
    lossy = Lossy(redis_url, seed)
    async with worker(lossy, keys, receiver), worker(lossy, keys, receiver):
        await publish(redis, keys, *alerts(15))
        await until_done(redis, keys.events, "alerts")
        await until_empty(redis, keys, CHANNEL)
        await publish(redis, keys, *(edited(99, entry=f"e{n}") for n in range(1, 16)))
        await until_done(redis, keys.events, "alerts")
        await until_empty(redis, keys, CHANNEL)
    assert len(receiver.delivered) == len(set(receiver.delivered)) == 30
    assert await redis.xlen(keys.alerts) == 30
    assert await redis.xlen(keys.dead) == 0
    assert lossy.lost > 5
    assert lossy.unasked > 5


async def test_a_server_that_is_killed_and_comes_back_costs_and_doubles_nothing(
    tmp_path: Path, keys: Keys, receiver: Receiver, logs: list[EventDict]
) -> None:
    """Its writes are synced. What is being sent meanwhile is recorded when it is back."""
    receiver.answers = [Receiver.HANG]
    with ExitStack() as servers:
        url = servers.enter_context(embedded(tmp_path, sync=True))

        def connected() -> Redis:
            return connect(url)

        async with worker(connected, keys, receiver):
            async with connect(url) as redis:
                await publish(redis, keys, *alerts(3))
                await until(lambda: len(receiver.received) == 3)
                os.kill((await redis.info("server"))["process_id"], signal.SIGKILL)
            await until(lambda: named(logs, "queue.lost"))
            receiver.release()
            servers.close()
            servers.enter_context(embedded(tmp_path, sync=True))
            async with connect(url) as redis:
                await publish(redis, keys, *alerts(3, first=4))
                await until_done(redis, keys.events, "alerts")
                await until_empty(redis, keys, CHANNEL)
            await until(lambda: queues(logs, "queue.recovered") == queues(logs, "queue.lost"))
    assert len(receiver.received) == len(set(receiver.ids)) == 6


# --- canaries ------------------------------------------------------------------------------------


async def test_canaries_go_the_whole_way_and_it_is_said_when_they_do_not(
    redis: Redis, redis_url: str, keys: Keys, receiver: Receiver, logs: list[EventDict]
) -> None:
    store = Store(redis, keys, max_events=100)

    def connected() -> Redis:
        return connect(redis_url)

    async with worker(connected, keys, receiver), worker(connected, keys, receiver):
        event = canary(datetime.now(UTC), 0.2)
        await store.send_canary(event)
        await until(lambda: len(named(logs, "canary.missing")) == 2)
        await store.send_canary(canary(datetime.now(UTC), 60))
        await until(lambda: len(named(logs, "canary.back")) == 2)
    missing = named(logs, "canary.missing")
    assert [(line["part"], line["every_s"]) for line in missing] == [("alerts", 0.2)] * 2
    assert all(line["silent_s"] >= CANARIES * 0.2 - 1 for line in missing)
    assert await redis.xlen(keys.alerts) == 0
    assert receiver.received == []
    ledgers = [key async for key in redis.scan_iter(keys.ledger("*"))]
    lives_s = [await redis.ttl(ledger) for ledger in ledgers]
    assert [0 < life_s <= 2 * 3600 for life_s in lives_s] == [True] * 2


async def test_a_canary_that_is_read_again_is_carried_once(
    redis: Redis, redis_url: str, keys: Keys, receiver: Receiver, logs: list[EventDict]
) -> None:
    event = canary(datetime.now(UTC), 60)
    async with worker(lambda: connect(redis_url), keys, receiver):
        for _ in range(3):
            await redis.xadd(keys.events, to_fields(event))  # type: ignore[arg-type]
        await until_done(redis, keys.events, "alerts")
        await until_empty(redis, keys, "canary")
    said = [line for line in named(logs, "alert.delivered") if line["channel"] == "canary"]
    assert [line["log_level"] for line in said] == ["debug"]
