"""The one tail of a process: reads the stream into the ring, watches health, wakes sessions.

It reads from a concrete id, so that a lost connection loses nothing. When the stream turns out to
end before that id (Redis lost data), a new epoch begins and every subscriber is told `reset`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import cast

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.keys import Keys
from service.model import Health
from service.observability import PAGE_HEALTH, PAGE_LAG
from workers.gateway.protocol import BEGINNING, StreamId
from workers.gateway.reader import Reader, frame
from workers.gateway.ring import Ring

log: structlog.stdlib.BoundLogger = structlog.get_logger()

BLOCK_MS = 2000
RETRY_S = 0.5
HEALTH_EVERY_S = 1.0
BATCH = 500


class Hub:
    """What all sessions of a process share. blocking: a client of its own for blocking reads."""

    def __init__(
        self,
        blocking: Redis,
        reader: Reader,
        keys: Keys,
        *,
        capacity: int,
        silence_s: float,
        now: Callable[[], datetime],
    ) -> None:
        self._begun = asyncio.Event()
        self._blocking, self.reader, self._keys = blocking, reader, keys
        self._capacity, self._silence_s, self._now = capacity, silence_s, now
        self._wake = asyncio.Event()
        self.ring = Ring(BEGINNING, capacity)
        self.epoch = 0
        self.ready = False
        self.healths: dict[str, Health] = {}

    async def run(self) -> None:
        """Tail until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tail())
            tasks.create_task(self._watch_health())

    async def begun(self) -> None:
        """Wait until the place in the stream is known."""
        await self._begun.wait()

    async def news(self) -> None:
        """Wait until something changed, or for the next check of health, every second."""
        await self._wake.wait()

    def _notify(self) -> None:
        self._wake.set()
        self._wake = asyncio.Event()

    # the stream

    async def _tail(self) -> None:
        while True:
            try:
                await self._begin()
                while True:
                    await self._read()
            except (RedisError, OSError) as error:
                if self.ready:
                    log.warning("stream.lost", detail=str(error))
                self.ready = False
                await asyncio.sleep(RETRY_S)

    async def _begin(self) -> None:
        """Go on where we were; from the stream's end the first time, or when it lost our place."""
        bounds = await self.reader.bounds()
        if self.epoch == 0 or bounds.last < self.ring.end:
            if self.epoch:
                log.error("stream.rewound", ours=str(self.ring.end), theirs=str(bounds.last))
            self.ring = Ring(bounds.last, self._capacity)
            self.epoch += 1
        self.ready = True
        self._begun.set()
        log.info("stream.tailed", position=str(self.ring.end))
        self._notify()

    async def _read(self) -> None:
        answer = await self._blocking.xread(
            {self._keys.events: str(self.ring.end)}, count=BATCH, block=BLOCK_MS
        )
        if not answer:
            return await self._check_place()
        streams = cast("list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]", answer)
        for stream_id, fields in streams[0][1]:
            self.ring.append(frame(StreamId.of(stream_id), fields))
        self._notify()
        return None

    async def _check_place(self) -> None:
        """A stream that was emptied while we waited on it would leave us waiting for ever."""
        if (await self.reader.bounds()).last < self.ring.end:
            await self._begin()

    # health

    async def _watch_health(self) -> None:
        while True:
            try:
                before, stored = self.healths, await self.reader.health()
                self.healths = {page: self._judged(health) for page, health in stored.items()}
                self._measure(before.keys() - self.healths.keys())
            except (RedisError, OSError, msgspec.MsgspecError) as error:
                log.debug("health.unread", detail=str(error))
            self._notify()  # sessions keep their heartbeat by this
            await asyncio.sleep(HEALTH_EVERY_S)

    def _judged(self, health: Health) -> Health:
        return judged(health, self._now(), self._silence_s)

    def _measure(self, gone: set[str]) -> None:
        now = self._now()
        for page in gone:
            with suppress(KeyError):  # a page that was never polled has no lag
                PAGE_HEALTH.remove(page)
                PAGE_LAG.remove(page)
        for page, health in self.healths.items():
            PAGE_HEALTH.labels(page).set(health.status in {"healthy", "ended"})
            if health.last_good_poll is not None:
                PAGE_LAG.labels(page).set((now - health.last_good_poll).total_seconds())


def judged(health: Health, now: datetime, silence_s: float) -> Health:
    """Health as a reader must take it: a poll that is long overdue means that nobody looks."""
    if health.next_poll is None or now <= health.next_poll + timedelta(seconds=silence_s):
        return health
    return msgspec.structs.replace(
        health,
        status="stale",
        reason="poller.silent",
        detail=f"no poll since {health.last_poll:%H:%M:%S} UTC; is the poller running?",
        since=health.next_poll,
    )
