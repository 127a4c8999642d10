"""The consumer-group loop on a real server: whoever dies, nothing is lost or dropped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from redis.asyncio import Redis
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.connection import connect
from service.embedded import embedded
from service.errors import CorruptionError
from service.keys import Keys
from tests.alert_samples import until
from workers.consumer import (
    Consumer,
    Fields,
    Handler,
    backoff_s,
    messages_claimed,
    messages_read,
    process_name,
)

GROUP = "readers"


@pytest.fixture(autouse=True)
def logs() -> Any:
    with capture_logs() as captured:
        yield captured


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Callable[[], Redis]]:
    """Makes clients, one for each consumer."""
    made: list[Redis] = []

    def make() -> Redis:
        made.append(connect(redis_url))
        return made[-1]

    yield make
    for redis in made:
        await redis.aclose()


class Seen:
    """A handler that remembers what it handled, and does `then` first."""

    def __init__(self, then: Handler | None = None) -> None:
        self.numbers: list[int] = []
        self._then = then

    async def __call__(self, message_id: bytes, fields: Fields) -> None:
        if self._then is not None:
            await self._then(message_id, fields)
        self.numbers.append(int(fields[b"n"]))


def consumer(redis: Redis, keys: Keys, handler: Handler, **options: Any) -> Consumer:
    options = {"name": process_name(), "claim_after_s": 30.0} | options
    return Consumer(
        redis, stream=keys.events, group=GROUP, handler=handler, dead=keys.dead, **options
    )


@asynccontextmanager
async def running(consumer: Consumer) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(consumer.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()


async def add(redis: Redis, keys: Keys, *numbers: int) -> list[bytes]:
    return [await redis.xadd(keys.events, {"n": number}) for number in numbers]


async def pending(redis: Redis, keys: Keys) -> int:
    return int((await redis.xpending(keys.events, GROUP))["pending"])


async def until_pending(redis: Redis, keys: Keys, count: int) -> None:
    async with asyncio.timeout(20):
        while await pending(redis, keys) != count:
            await asyncio.sleep(0.005)


def named(logs: list[EventDict], event: str) -> list[EventDict]:
    return [entry for entry in logs if entry["event"] == event]


async def test_what_came_before_the_first_start_is_handled_in_order(
    redis: Redis, keys: Keys, client: Callable[[], Redis]
) -> None:
    await add(redis, keys, 1, 2)
    seen = Seen()
    async with running(consumer(client(), keys, seen)):
        await until(lambda: seen.numbers == [1, 2])
        await add(redis, keys, 3)
        await until(lambda: seen.numbers == [1, 2, 3])
        await until_pending(redis, keys, 0)


async def test_a_new_group_can_leave_out_what_is_old(
    redis: Redis, keys: Keys, client: Callable[[], Redis]
) -> None:
    seconds, _ = await redis.time()
    for number, age_s in enumerate([86400, 3700, 3500]):
        await redis.xadd(keys.events, {"n": number}, id=f"{(seconds - age_s) * 1000}-0")
    await add(redis, keys, 3)
    seen = Seen()
    async with running(consumer(client(), keys, seen, max_age_s=3600.0)):
        await until(lambda: seen.numbers == [2, 3])


async def test_a_message_stays_pending_until_its_handler_has_returned(
    redis: Redis, keys: Keys, client: Callable[[], Redis]
) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def wait(message_id: bytes, fields: Fields) -> None:
        entered.set()
        await leave.wait()

    await add(redis, keys, 1)
    seen = Seen(wait)
    async with running(consumer(client(), keys, seen)):
        await entered.wait()
        assert await pending(redis, keys) == 1
        leave.set()
        await until_pending(redis, keys, 0)
    assert seen.numbers == [1]


async def test_a_cancelled_consumer_leaves_its_message_to_another(
    redis: Redis, keys: Keys, client: Callable[[], Redis]
) -> None:
    entered = asyncio.Event()

    async def hang(message_id: bytes, fields: Fields) -> None:
        entered.set()
        await asyncio.Event().wait()

    await add(redis, keys, 1)
    async with running(consumer(client(), keys, hang, claim_after_s=0.2)):
        await entered.wait()
    assert await pending(redis, keys) == 1
    seen = Seen()
    async with running(consumer(client(), keys, seen, claim_after_s=0.2)):
        await until(lambda: seen.numbers == [1])
        await until_pending(redis, keys, 0)


async def test_a_consumer_can_be_cancelled_at_any_moment(
    redis: Redis, keys: Keys, client: Callable[[], Redis]
) -> None:
    """On Python 3.11 asyncio.wait_for, and with it redis-py, can lose a cancellation."""
    await add(redis, keys, *range(5))
    for steps in range(120):
        async with running(consumer(client(), keys, Seen(), name=str(steps))):
            for _ in range(steps):
                await asyncio.sleep(0)


async def test_what_was_given_to_us_in_a_lost_answer_is_handled_first(
    redis: Redis, keys: Keys, client: Callable[[], Redis]
) -> None:
    seen = Seen()
    ours = consumer(client(), keys, seen, name="ours")
    await ours.ensure_group()
    await add(redis, keys, 1, 2, 3)
    await redis.xreadgroup(GROUP, "ours", {keys.events: ">"}, count=2)
    async with running(ours):
        await until(lambda: seen.numbers == [1, 2, 3])
        await until_pending(redis, keys, 0)


async def test_what_is_none_of_ours_becomes_a_dead_letter_and_the_next_is_handled(
    redis: Redis, keys: Keys, client: Callable[[], Redis], logs: list[EventDict]
) -> None:
    async def refuse_odd(message_id: bytes, fields: Fields) -> None:
        if int(fields[b"n"]) % 2:
            raise CorruptionError("event.malformed", "odd")

    odd, _ = await add(redis, keys, 1, 2)
    seen = Seen(refuse_odd)
    async with running(consumer(client(), keys, seen)):
        await until(lambda: seen.numbers == [2])
        await until_pending(redis, keys, 0)
    ((_, letter),) = await redis.xrange(keys.dead)
    assert letter == {
        b"n": b"1",
        b"reason": b"event.malformed",
        b"detail": b"odd",
        b"stream": keys.events.encode(),
        b"group": GROUP.encode(),
        b"message": odd,
    }
    (buried,) = named(logs, "message.buried")
    assert buried["message"] == odd.decode()


async def test_a_failing_handler_is_tried_again_and_holds_up_nobody_with_room(
    redis: Redis, keys: Keys, client: Callable[[], Redis], logs: list[EventDict]
) -> None:
    failures = 0

    async def fail_twice(message_id: bytes, fields: Fields) -> None:
        nonlocal failures
        if fields[b"n"] == b"1" and failures < 2:
            failures += 1
            raise RuntimeError("a fault of ours")

    await add(redis, keys, 1, 2)
    seen = Seen(fail_twice)
    async with running(consumer(client(), keys, seen, batch=2)):
        await until(lambda: seen.numbers == [2, 1])
        await until_pending(redis, keys, 0)
    assert [entry["failures"] for entry in named(logs, "message.failed")] == [1, 2]


async def test_no_more_messages_are_in_hand_than_the_batch(
    redis: Redis, keys: Keys, client: Callable[[], Redis]
) -> None:
    busy, most = 0, 0

    async def count(message_id: bytes, fields: Fields) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0)
        busy -= 1

    await add(redis, keys, *range(50))
    seen = Seen(count)
    async with running(consumer(client(), keys, seen, batch=3)):
        await until(lambda: len(seen.numbers) == 50)
    assert most <= 3
    assert sorted(seen.numbers) == list(range(50))


async def test_a_slow_handler_keeps_its_message(
    redis: Redis, keys: Keys, client: Callable[[], Redis]
) -> None:
    """Another consumer looks for stale messages all the while and gets none."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def wait(message_id: bytes, fields: Fields) -> None:
        entered.set()
        await leave.wait()

    async def claims() -> int:
        stats = await redis.info("commandstats")
        return int(stats.get("cmdstat_xautoclaim", {}).get("calls", 0))

    await add(redis, keys, 1)
    slow, quick = Seen(wait), Seen()
    async with running(consumer(client(), keys, slow, claim_after_s=1.0)):
        await entered.wait()
        async with running(consumer(client(), keys, quick, claim_after_s=1.0)):
            enough = await claims() + 6  # each waits half of the claim time: three times over
            while await claims() < enough:
                await asyncio.sleep(0.05)
            assert quick.numbers == []
            leave.set()
            await until_pending(redis, keys, 0)
    assert (slow.numbers, quick.numbers) == ([1], [])


async def test_dead_consumers_with_nothing_pending_are_removed_and_no_others(
    redis: Redis, keys: Keys, client: Callable[[], Redis]
) -> None:
    ours = consumer(client(), keys, Seen(), name="ours", claim_after_s=0.05)
    await ours.ensure_group()
    await redis.xgroup_createconsumer(keys.events, GROUP, "idle")
    # Held for ever: it is said to be as good as new, so that nobody claims it.
    (held,) = await add(redis, keys, 1)
    await redis.xreadgroup(GROUP, "busy", {keys.events: ">"})

    async def names() -> set[bytes]:
        return {info["name"] for info in await redis.xinfo_consumers(keys.events, GROUP)}

    async with running(ours):
        while b"idle" in await names():
            await redis.xclaim(keys.events, GROUP, "busy", 0, [held], idle=0, justid=True)
        assert b"ours" in await names()


async def test_a_message_that_was_trimmed_under_us_is_logged_and_acknowledged(
    redis: Redis, keys: Keys, client: Callable[[], Redis], logs: list[EventDict]
) -> None:
    seen = Seen()
    ours = consumer(client(), keys, seen, name="ours")
    await ours.ensure_group()
    await add(redis, keys, 1, 2)
    await redis.xreadgroup(GROUP, "ours", {keys.events: ">"}, count=1)
    await redis.xtrim(keys.events, maxlen=1, approximate=False)
    async with running(ours):
        await until(lambda: seen.numbers == [2])
        await until_pending(redis, keys, 0)
    assert len(named(logs, "message.trimmed")) == 1


async def test_a_killed_connection_loses_nothing(
    redis: Redis, keys: Keys, client: Callable[[], Redis]
) -> None:
    """What was handled but not acknowledged in that moment is handled again: at least once."""
    seen = Seen()
    async with running(consumer(client(), keys, seen)):
        for number in range(5):
            await add(redis, keys, number)
            await until(lambda n=number: n in seen.numbers)
            killed = await redis.client_kill_filter(_type="normal", skipme=True)
            assert int(killed) >= 1
        await add(redis, keys, 5)
        await until(lambda: 5 in seen.numbers)
        await until_pending(redis, keys, 0)
    assert list(dict.fromkeys(seen.numbers)) == list(range(6))


async def test_a_group_that_is_gone_is_made_again(
    redis: Redis, keys: Keys, client: Callable[[], Redis], logs: list[EventDict]
) -> None:
    seen = Seen()
    await add(redis, keys, 1)
    async with running(consumer(client(), keys, seen)):
        await until(lambda: seen.numbers == [1])
        await redis.delete(keys.events)
        await add(redis, keys, 2)
        await until(lambda: seen.numbers == [1, 2])
        await until(lambda: named(logs, "consumer.recovered"))


async def test_a_server_that_goes_away_is_waited_for(
    tmp_path: Path, keys: Keys, logs: list[EventDict]
) -> None:
    """Lost is said once, recovered once, and what comes afterwards is handled."""
    seen = Seen()
    with embedded(tmp_path, sync=False) as url:
        ours = connect(url)
        task = asyncio.create_task(consumer(ours, keys, seen).run())
        async with connect(url) as redis:
            await add(redis, keys, 1)
            await until(lambda: seen.numbers == [1])
    await until(lambda: named(logs, "consumer.lost"))
    with embedded(tmp_path, sync=False) as url, structlog.testing.capture_logs() as later:
        async with connect(url) as redis:
            await add(redis, keys, 2)
            await until(lambda: seen.numbers[-1] == 2)
            await until(lambda: named(later, "consumer.recovered"))
        assert not named(later, "consumer.lost")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await ours.aclose()
    assert len(named(logs, "consumer.lost")) == 1


@pytest.mark.parametrize(
    "answer",
    [
        [[b"s", [(b"1-0", {b"n": b"1"}), (b"2-0", {})]]],
        {b"s": [(b"1-0", {b"n": b"1"}), (b"2-0", None)]},
        {b"s": [[(b"1-0", {b"n": b"1"}), (b"2-0", {})]]},
    ],
)
def test_every_shape_of_an_answer_is_read(answer: Any) -> None:
    assert messages_read(answer) == [(b"1-0", {b"n": b"1"}), (b"2-0", {})]


@pytest.mark.parametrize("answer", [[], {}, ()])
def test_an_empty_answer_has_no_messages(answer: Any) -> None:
    assert messages_read(answer) == []


def test_a_claim_is_read_as_redis_6_and_later_ones_answer_it() -> None:
    entry = (b"1-0", {b"n": b"1"})
    assert messages_claimed([b"0-0", [entry, (None, None)]]) == (b"0-0", [entry], True)
    assert messages_claimed([b"7-0", [entry], [b"2-0"]]) == (b"7-0", [entry], False)


def test_backoff_doubles_up_to_its_ceiling_and_never_falls_below_half() -> None:
    most = [backoff_s(failures, 1.0) for failures in range(1, 12)]
    assert most[:4] == [0.2, 0.4, 0.8, 1.6]
    assert most[-1] == 30.0
    assert backoff_s(10_000, 0.0) == 15.0
