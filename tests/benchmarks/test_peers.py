"""What a delivery costs the gateway, beside what it costs servers that others have made.

Server CPU only, and one core each: nginx has one worker. Each sends as many bytes to as many
subscribers. What is not installed here is skipped, and says so by its name.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

import pytest
from redis.asyncio import Redis

from service.connection import connect
from service.keys import Keys
from tests.benchmarks import test_gateway_cost
from tests.benchmarks.figures import Figure
from tests.benchmarks.peers.started import STARTS, Needs, missing, size_of_event, subscribers
from tests.benchmarks.test_gateway_cost import BURST, SUBSCRIBERS
from tests.benchmarks.test_gateway_cost import ROUNDS as ROUNDS_OF_ONE

FLOOR = "send() in C"
US = "Stoppress"
ROUNDS = {1: ROUNDS_OF_ONE, BURST: 10}
WARM_UPS = 3
# How many were there before memory is first looked at, and how many come then.
FIRST, MORE = 500, 4000
TARGETS = {(US, 1): "1.35 x", (US, BURST): "0.15 x"}

floor = test_gateway_cost.floor
pytestmark = pytest.mark.timeout(900)

Costs = dict[tuple[str, int], float]


@pytest.fixture(scope="module")
def costs(floor: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Costs:
    """CPU seconds of one delivery, by peer and burst."""
    return asyncio.run(_measured(floor, redis_url, tmp_path_factory.mktemp("peers")))


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("burst", ROUNDS)
def test_cpu_of_a_delivery(name: str, burst: int, costs: Costs, figures: list[Figure]) -> None:
    """Every subscriber gets every byte. Rounds take turns, so that all have the same machine."""
    _skip_if_missing(name)
    what = "one event" if burst == 1 else f"one of {burst} at once"
    figures.append(
        Figure(
            f"{name}: {what} to one of {SUBSCRIBERS:,}",
            costs[name, burst] * 1e6,
            costs[FLOOR, burst] * 1e6,
            "µs",
            f"{FLOOR}: server CPU",
            TARGETS.get((name, burst), ""),
        )
    )


async def test_memory_of_an_idle_subscriber(
    floor: str, tmp_path: Path, redis: Redis, redis_url: str, keys: Keys, figures: list[Figure]
) -> None:
    """Resident memory, by how much it grows. Each subscriber has had one event."""
    _skip_if_missing("nchan")
    needs = Needs(tmp_path, redis, redis_url, keys, floor, 1000)
    ours, theirs = [await _bytes_of_one(name, needs) for name in (US, "nchan")]
    what = "memory of an idle subscriber"
    figures.append(Figure(what, ours, theirs, "bytes", "nchan's", "1.3 x"))


def _skip_if_missing(name: str) -> None:
    if lack := missing(name):
        pytest.skip(lack)


async def _measured(floor: str, redis_url: str, folder: Path) -> Costs:
    """Medians of what the rounds took. A message is as long as an event of ours."""
    keys = Keys(prefix=f"peers-{os.getpid()}")
    spent: dict[tuple[str, int], list[float]] = {}
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(connect(redis_url))
        needs = Needs(folder, redis, redis_url, keys, floor, 0)
        crowds = {}
        for name in sorted(STARTS, key=lambda name: name != US):
            if missing(name) is None:
                peer = await stack.enter_async_context(STARTS[name](needs))
                all_of = subscribers(floor, peer, SUBSCRIBERS)
                crowds[name] = await stack.enter_async_context(all_of)
            if name == US:
                needs.size = await size_of_event(crowds[name])
        for burst, rounds in ROUNDS.items():
            for number in range(WARM_UPS + rounds):
                for name, crowd in crowds.items():
                    # Of several events in one millisecond the cursors are not all equally long.
                    spare = 8 * burst if name == US else 0
                    expected = needs.size * burst
                    seconds, each = await crowd.cpu_s(burst, expected - spare)
                    assert each <= expected + spare, name
                    if number >= WARM_UPS:
                        spent.setdefault((name, burst), []).append(seconds)
    return {what: median(some) / what[1] / SUBSCRIBERS for what, some in spent.items()}


async def _bytes_of_one(name: str, needs: Needs) -> float:
    """By how much resident memory grows, for each of many more subscribers."""
    async with STARTS[name](needs) as peer, subscribers(needs.floor, peer, FIRST) as first:
        await first.cpu_s(1, 500)
        before = peer.process.memory_info().rss
        async with subscribers(needs.floor, peer, MORE) as more:
            had = await more.has()
            _, size = await first.cpu_s(1, 500)
            assert await more.each_gets(had, size) == size
            return (peer.process.memory_info().rss - before) / MORE
