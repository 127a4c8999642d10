"""A crowd: how long until the last of very many has an event, and whether some can slow the rest.

The subscribers are programs of their own, which say when their last byte came. They run on the
same cores as the gateway, and so they do beside the loop in C.
"""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median

import aiohttp
import pytest
from redis.asyncio import Redis

from service.keys import Keys
from tests.benchmarks import test_gateway_cost
from tests.benchmarks.figures import Figure, p99
from tests.benchmarks.peers.started import Needs, Peer, size_of_event, stoppress, subscribers
from tests.benchmarks.peers.started import floor as loop_in_c
from tests.waiting import eventually

CROWD = 5000
GENERATORS = 2
ROUNDS = 30
OTHERS = 1000
STUCK = 10
PAIRS = 300
WARM_UPS = 3
# By then the buffers of who reads nothing are full: the kernel's 4 MB, and the gateway's 256 kB.
BURSTS, BURST = 13, 500

floor = test_gateway_cost.floor
pytestmark = pytest.mark.timeout(600)


async def test_the_last_of_a_crowd(
    floor: str, tmp_path: Path, redis: Redis, redis_url: str, keys: Keys, figures: list[Figure]
) -> None:
    """Every subscriber gets every byte. Rounds take turns, so that both have the same machine."""
    needs = Needs(tmp_path, redis, redis_url, keys, floor, 0)
    pairs: list[tuple[float, float]] = []
    async with (
        stoppress(needs) as gateway,
        loop_in_c(needs) as loop,
        subscribers(floor, gateway, CROWD, GENERATORS) as ours,
        subscribers(floor, loop, CROWD, GENERATORS) as theirs,
    ):
        needs.size = await size_of_event(ours)
        for number in range(WARM_UPS + ROUNDS):
            pair = await ours.last_ms(500), await theirs.last_ms(needs.size)
            if number >= WARM_UPS:
                pairs.append(pair)
    ones, others = zip(*pairs, strict=True)
    for name, what in (("median", median), ("99th percentile", p99), ("slowest", max)):
        figures.append(
            Figure(
                f"XADD to the last of {CROWD:,} subscribers: {name} of {ROUNDS}",
                what(ones),
                what(others),
                "ms",
                "send() in C, to the last",
                "2 x" if name == "99th percentile" else "",
            )
        )


async def test_some_never_read(
    floor: str, tmp_path: Path, redis: Redis, redis_url: str, keys: Keys, figures: list[Figure]
) -> None:
    """The others get every byte; who reads nothing gets nothing more. Two gateways take turns."""
    times: dict[str, list[float]] = {"with": [], "without": []}
    async with (
        _filled(STUCK, floor, tmp_path / "with", redis, redis_url, keys) as disturbed,
        _filled(0, floor, tmp_path / "without", redis, redis_url, keys) as calm,
        subscribers(floor, disturbed, OTHERS, GENERATORS) as slowed,
        subscribers(floor, calm, OTHERS, GENERATORS) as free,
    ):
        had = await _metric(disturbed, "feed_events_total")
        for number in range(PAIRS):
            turns = [("with", slowed), ("without", free)]
            for name, crowd in turns if number % 2 else reversed(turns):
                times[name].append(await crowd.last_ms(500))
        # One more is the subscriber that the gateway was filled with.
        got = await _metric(disturbed, "feed_events_total") - had
        assert got == PAIRS * (OTHERS + 1)
        assert await _metric(disturbed, "subscribers") == STUCK + OTHERS + 1
    for name, what in (("median", median), ("99th percentile", p99)):
        figures.append(
            Figure(
                f"{STUCK} never read, XADD to the last of {OTHERS:,} others: {name} of {PAIRS}",
                what(times["with"]),
                what(times["without"]),
                "ms",
                "without them",
                "1.1 x" if name == "99th percentile" else "",
            )
        )


@asynccontextmanager
async def _filled(
    stuck: int, floor: str, home: Path, redis: Redis, redis_url: str, keys: Keys
) -> AsyncIterator[Peer]:
    """A gateway that has told so much that those who read nothing get nothing more. It is patient
    with them.
    """
    home.mkdir()
    (home / "stoppress.toml").write_text("[gateway]\nstall_s = 600\n", "utf-8")
    own = Keys(prefix=f"{keys.prefix}-{home.name}")
    async with stoppress(Needs(home, redis, redis_url, own, floor, 0)) as gateway:
        with _never_reading(gateway, stuck):
            async with subscribers(floor, gateway, 1) as one:
                await _has(gateway, "subscribers", stuck + 1)
                for _ in range(BURSTS):
                    had = await _metric(gateway, "feed_events_total")
                    await one.cpu_s(BURST, 500 * BURST)
                await _has(gateway, "feed_events_total", had + BURST)
                yield gateway


@contextmanager
def _never_reading(peer: Peer, count: int) -> Iterator[None]:
    """Subscribers that take what their small buffers hold, and nothing more."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", peer.port))
            one.sendall(
                f"GET {peer.path} HTTP/1.1\r\nHost: 127.0.0.1:{peer.port}\r\n"
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
            )
        yield
    finally:
        for one in sockets:
            one.close()


async def _has(peer: Peer, name: str, number: float) -> None:
    async def there() -> bool:
        return await _metric(peer, name) == number

    await eventually(there, f"{name} to be {number:g}")


async def _metric(peer: Peer, name: str) -> float:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{peer.port}/metrics") as response,
    ):
        found = re.search(rf"^stoppress_{name} (\S+)$", await response.text(), re.MULTILINE)
        assert found
        return float(found[1])
