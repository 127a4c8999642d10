"""One event to many subscribers of one gateway process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import pytest
from redis.asyncio import Redis

from service.diff import Doubt, Policy, advance, diff
from service.events import Event
from service.keys import Keys
from service.model import PageState
from tests.benchmarks.figures import Figure, fields
from tests.benchmarks.listener import Listener, listeners
from tests.benchmarks.processes import ready, script
from tests.e2e.commands import ROOT, running
from tests.pages import PAGE, entry, page_of

ROUNDS = 20
NAIVE = ROOT / "tests" / "benchmarks" / "naive_fan_out.py"


@pytest.mark.parametrize("subscribers", [1, 100, 500])
async def test_an_event_reaches_every_subscriber(
    subscribers: int,
    tmp_path: Path,
    redis: Redis,
    redis_url: str,
    keys: Keys,
    figures: list[Figure],
) -> None:
    """Every subscriber gets every event, in order."""
    async with (
        _gateway(tmp_path, redis_url, keys) as feed,
        _naive(redis_url, keys) as naive_feed,
        listeners(feed, subscribers) as ours,
        listeners(naive_feed, subscribers) as theirs,
    ):
        pairs_ms = [
            (
                await _last_ms(redis, keys.events, e, ours),
                await _last_ms(redis, keys.dead, e, theirs),
            )
            for e in _events()
        ]
    one, other = (median(column) for column in zip(*pairs_ms, strict=True))
    figures.append(
        Figure(
            f"XADD to the last of {subscribers} subscriber{'s' * (subscribers > 1)}",
            one,
            other,
            "ms",
            "a naive loop of send_str",
        )
    )


async def _last_ms(redis: Redis, stream: str, event: Event, all_of: list[Listener]) -> float:
    """Milliseconds from the XADD until the last subscriber has the event."""
    arrivals = [one.hears(event.id.encode()) for one in all_of]
    began_s = time.perf_counter()
    await redis.xadd(stream, fields(event))
    async with asyncio.timeout(20):
        await asyncio.gather(*arrivals)
    return (time.perf_counter() - began_s) * 1000


def _events() -> Iterator[Event]:
    """New entries on one page, each seen by a poll of its own."""
    state, entries = PageState(page=PAGE), []
    for number in range(ROUNDS + 1):
        entries.append(entry(number, text="A sentence of some thirty words. " * 20))
        snapshot = page_of(entries[-20:])
        step = diff(state, snapshot, Policy())
        assert not isinstance(step, Doubt)
        events, state = advance(state, step, snapshot.seen_at)
        if number:
            yield events[-1]


@asynccontextmanager
async def _gateway(folder: Path, redis_url: str, keys: Keys) -> AsyncIterator[str]:
    """`stoppress gateway` as a process; the address of its feed."""
    # Listeners answer no ping, so none may come while they listen.
    more = {"STOPPRESS_REDIS_PREFIX": keys.prefix, "STOPPRESS_GATEWAY_HEARTBEAT_S": "600"}
    args = ["--redis-url", redis_url, "gateway", "--port", "0"]
    async with running(folder, *args, **more) as command:
        gateway = (await command.says(r"^Serving (http://\S+)/$"))[1]
        await ready(gateway)
        yield f"{gateway}/v1/feed"
        assert await command.stop() == 0


@asynccontextmanager
async def _naive(redis_url: str, keys: Keys) -> AsyncIterator[str]:
    async with script(NAIVE, redis_url, keys.dead) as (_, port):
        yield f"http://127.0.0.1:{port}/v1/feed"
