"""From the poll that sees a change to the WebSocket client, in `stoppress up`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from statistics import median
from typing import cast

import aiohttp
from msgspec import Struct
from redis.asyncio import Redis

from service.client import subscribe
from service.connection import connect
from service.model import Entry
from service.subscriber import EventMessage, Message, Position
from tests.benchmarks.bbc_site import WINDOW, BbcSite, bbc_site, posts
from tests.benchmarks.figures import Figure, p99
from tests.benchmarks.processes import opened, up

CHANGES = 100
OFTEN = "[poll]\nfloor_s = 0.05\nceiling_s = 0.05\n"
FOLLOWED, BARE = "followed", "bare"
STREAM = "benchmark:bare"
_Added = list[tuple[bytes, dict[bytes, bytes]]]


async def test_a_change_reaches_the_client(tmp_path: Path, figures: list[Figure]) -> None:
    """Each of a hundred new entries arrives as the event that it is, after the one before it."""
    entries = posts(WINDOW + CHANGES)
    async with (
        bbc_site(entries[:WINDOW]) as site,
        up(tmp_path / "up", [site.url(FOLLOWED)], OFTEN) as running,
        aiohttp.ClientSession() as session,
        connect(running.redis_url) as redis,
        connect(running.redis_url) as blocking,
        aclosing(subscribe(running.gateway).messages()) as feed,
    ):
        await opened(running, 1 + WINDOW)
        await _joined(feed)
        bare = BareTrip(site, session, redis, blocking)
        delays_ms, bare_ms = [], []
        for entry in entries[WINDOW:]:
            delay_ms, event = await _delay(site, entry, feed)
            delays_ms.append(delay_ms)
            bare_ms.append(await bare.ms(event))
    assert site.polls[FOLLOWED] - site.not_modified[FOLLOWED] == 1 + CHANGES
    than = "GET of the page, XADD and XREAD alone"
    middle, worst = (median(delays_ms), median(bare_ms)), (p99(delays_ms), p99(bare_ms))
    figures += [
        Figure("page to WebSocket client: median", *middle, "ms", than, "under 20 ms"),
        Figure("  99th percentile", *worst, "ms", than),
    ]


async def _joined(feed: AsyncGenerator[Message, None]) -> None:
    """The feed has told what is known, and only events can follow."""
    async for message in feed:
        if isinstance(message, Position):
            return


async def _delay(
    site: BbcSite, entry: Entry, feed: AsyncGenerator[Message, None]
) -> tuple[float, bytes]:
    """Milliseconds from the changed body's last byte to its event, and that event."""
    site.publish(entry)
    async with asyncio.timeout(20):
        while not isinstance(message := await anext(feed), EventMessage):
            pass
    arrived_s = time.perf_counter()
    event = message.event
    assert (event.type, event.subject) == ("stoppress.entry.published", entry.id)
    return (arrived_s - site.written_s[FOLLOWED]) * 1000, message.raw


class BareTrip(Struct, frozen=True):
    """The same way without a program in between: the same body, server and stream entry."""

    site: BbcSite
    session: aiohttp.ClientSession
    redis: Redis
    blocking: Redis

    async def ms(self, event: bytes) -> float:
        """Milliseconds from the body's last byte to the answer of a waiting XREAD."""
        after = await self._last_id()
        waiting = asyncio.ensure_future(self._next(after))
        async with self.session.get(self.site.url(BARE)) as response:
            await response.read()
        await self.redis.xadd(STREAM, {"data": event})
        fields = await waiting
        arrived_s = time.perf_counter()
        assert fields == {b"data": event}
        return (arrived_s - self.site.written_s[BARE]) * 1000

    async def _next(self, after: bytes) -> dict[bytes, bytes]:
        answer = await self.blocking.xread({STREAM: after}, block=5000)
        ((_, [(_, fields)]),) = cast("list[tuple[bytes, _Added]]", answer)
        return fields

    async def _last_id(self) -> bytes:
        newest = cast("_Added", await self.redis.xrevrange(STREAM, count=1))
        return newest[0][0] if newest else b"0"
