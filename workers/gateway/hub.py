"""The one tail of a process: reads the streams into the ring and fans it out, watches health.

It reads from concrete ids, so that a lost connection loses nothing. When a stream turns out to
end before that id (Redis lost data), a new epoch begins and every subscriber is told `reset`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, cast

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.config import GatewaySettings
from service.errors import SubscriberError
from service.events import AlertEvent, CanaryEvent, EntryEvent, StreamEvent
from service.model import Health
from service.observability import CANARY, EVENT_LAG, PAGE_HEALTH, PAGE_LAG
from workers.gateway.answers import Events
from workers.gateway.fanout import Fanout, Group
from workers.gateway.forms import PING, message_bytes
from workers.gateway.protocol import CursorMessage, HealthMessage, Position, cursor
from workers.gateway.reader import STREAMS, Bounds, Entries, Reader
from workers.gateway.ring import Frame, Ring
from workers.gateway.shared import Shared, State
from workers.gateway.subscription import Subscription, Wanted

log: structlog.stdlib.BoundLogger = structlog.get_logger()

SILENT_HEARTBEATS = 3
BLOCK_MS = 2000
RETRY_S = 0.5
HEALTH_EVERY_S = 1.0
BATCH = 500
CANARIES = 3  # so many that do not come out are an alarm
REPLAYS = 16  # so many subscribers read from Redis at once


class ResetError(SubscriberError):
    """What was missed cannot be given back."""

    status = 410


class Hub:
    """What all sessions of a process share. blocking: a client of its own for blocking reads.

    silence_s: a page whose poll is overdue by that is polled by nobody.
    """

    def __init__(
        self,
        blocking: Redis,
        reader: Reader,
        *,
        settings: GatewaySettings,
        now: Callable[[], datetime],
    ) -> None:
        self._begun = asyncio.Event()
        self._blocking, self.reader = blocking, reader
        self._capacity, self._heartbeat_s = settings.ring_events, settings.heartbeat_s
        self.silence_s, self._now = SILENT_HEARTBEATS * settings.heartbeat_s, now
        self.fanout = Fanout(settings.buffer_bytes)
        self.replays = asyncio.Semaphore(REPLAYS)
        self._bounds: Shared[Bounds] = Shared()
        self._states: Shared[State] = Shared()
        self._wake = asyncio.Event()
        self.ring = Ring(Position(""), settings.ring_events)
        self.epoch = 0
        self.ready = False
        self.healths: dict[str, Health] = {}
        self.healths_version = 0
        self._versions: dict[str, int] = {}  # of each page's health
        self._newest: dict[str, str] = {}  # id of each page's newest event
        self._canary: CanaryEvent | None = None  # the last that came out
        self._is_missed = False

    async def run(self) -> None:
        """Tail until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tail())
            tasks.create_task(self._watch_health())
            tasks.create_task(self._beat())

    async def begun(self) -> None:
        """Wait until the place in the stream is known."""
        await self._begun.wait()

    async def news(self) -> None:
        """Wait until the stream went on."""
        await self._wake.wait()

    async def reached(self, at: Position) -> None:
        """Wait until the ring reaches to this position, or a new epoch has begun."""
        epoch = self.epoch
        while not self.ring.end.covers(at) and self.epoch == epoch:
            await self.news()

    async def catch_up(
        self, wanted: Subscription, after: Position | None, *, limit: int, wait_s: float
    ) -> Events:
        """Up to `limit` events after a position (None: the stream's end); waits for the first.

        Raises ResetError where not all that follows the position is there.
        """
        at = self.ring.end if after is None else after
        found: list[msgspec.Raw] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s or None):
                while len(found) < limit:
                    frames = await self._following(wanted, at)
                    for each in frames:
                        if len(found) == limit:
                            break
                        if each.event is not None and wanted.matches(each.event):
                            found.append(msgspec.Raw(each.structured))
                        at = each.at
                    if not frames and (found or not wait_s):
                        break
                    if not frames:
                        await self.news()
        return Events(cursor(at), tuple(found))

    async def _following(self, wanted: Subscription, at: Position) -> list[Frame]:
        if at.deployment != self.ring.end.deployment:
            raise ResetError("cursor.foreign", "this position is of another deployment's stream")
        frames = self.ring.after(at, BATCH)
        if frames is None:
            async with self.replays:
                frames = await self.reader.after(at, BATCH)
                bounds = await self.reader.bounds()
            if wanted.misses(bounds.lost, at):
                raise ResetError("cursor.too_old", "events after this position are trimmed")
            return frames
        if not self.ring.end.covers(at) and not (await self.bounds()).last.covers(at):
            raise ResetError("cursor.ahead", "this position lies after the stream's end")
        return frames

    async def bounds(self) -> Bounds:
        """Where the stream begins and ends. Raises what redis-py raises."""
        return await self._bounds.ask("bounds", self.reader.bounds)

    async def state(self, wanted: Subscription | Wanted) -> State:
        """The present state of what is wanted. Raises what redis-py raises."""

        async def question() -> State:
            async with self.replays:
                return State(*await self.reader.snapshots(wanted.shows))

        return await self._states.ask(wanted, question)

    def new_healths(self, version: int) -> list[tuple[str, Health]]:
        """The health of the pages where it is newer than that version."""
        return [(p, h) for p, h in self.healths.items() if self._versions[p] > version]

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
        if self.epoch == 0 or self._is_rewound(bounds):
            if self.epoch:
                log.error("stream.rewound", ours=str(self.ring.end), theirs=str(bounds.last))
            self._anew(bounds.last)
        self.ready = True
        self._begun.set()
        log.info("stream.tailed", position=str(self.ring.end))
        self._notify()

    async def _read(self) -> None:
        end = self.ring.end
        places: Any = {self.reader.key(stream): str(end.in_(stream)) for stream in STREAMS}
        answer = await self._blocking.xread(places, count=BATCH, block=BLOCK_MS)
        if not answer:
            return await self._check_place()
        found = dict(cast("list[tuple[bytes, Entries]]", answer))
        frames = self.reader.frames(
            end, *(found.get(self.reader.key(stream).encode(), ()) for stream in STREAMS)
        )
        if not all(map(self._is_next, frames)):
            log.error("stream.torn", position=str(frames[0].at))
            self._anew((await self.reader.bounds()).last)
            return self._notify()
        for each in frames:
            self.ring.append(each)
            self._clock(each.event)
        self._notify()
        return await self.fanout.deliver(frames)

    def _clock(self, event: StreamEvent | None) -> None:
        """Measure how late an entry is that was published while we looked."""
        if isinstance(event, CanaryEvent):
            self._canary = event
            CANARY.labels("gateway").set(event.observed_at.timestamp())
        if not isinstance(event, EntryEvent) or event.data.baseline:
            return
        published, seen_at = event.data.entry.published, event.observed_at
        if event.type == "stoppress.entry.published" and published is not None:
            EVENT_LAG.labels("seen").observe(max(0.0, (seen_at - published).total_seconds()))
        EVENT_LAG.labels("sent").observe(max(0.0, (self._now() - seen_at).total_seconds()))

    def _is_next(self, one: Frame) -> bool:
        """Does an event follow the one of its page that came before? Else the stream lost some."""
        if one.event is None or isinstance(one.event, CanaryEvent | AlertEvent):
            return True
        page = one.event.data.page.id
        before = self._newest.get(page)
        self._newest[page] = one.event.id
        return before is None or one.event.previousid in {before, None}

    def _anew(self, at: Position) -> None:
        """Begin a new epoch: what subscribers have is not what the stream says."""
        self.ring = Ring(at, self._capacity)
        self.epoch += 1
        self._newest.clear()
        self.fanout.scatter()

    async def _check_place(self) -> None:
        """A stream that was emptied while we waited on it would leave us waiting for ever."""
        if self._is_rewound(await self.reader.bounds()):
            await self._begin()

    def _is_rewound(self, bounds: Bounds) -> bool:
        end = self.ring.end
        return not bounds.last.covers(end) or bounds.last.deployment != end.deployment

    # health

    def _watch_canary(self) -> None:
        """Say it when canaries come no more: then nothing else would come out either."""
        if (last := self._canary) is None:
            return
        silent_s = (self._now() - last.observed_at).total_seconds()
        was_missed, self._is_missed = self._is_missed, silent_s > CANARIES * last.data.every_s
        if self._is_missed and not was_missed:
            log.error("canary.missing", silent_s=round(silent_s), every_s=last.data.every_s)
        elif was_missed and not self._is_missed:
            log.info("canary.back")

    async def _watch_health(self) -> None:
        while True:
            self._watch_canary()
            try:
                before, stored = self.healths, await self.reader.health()
                self.healths = {page: self._judged(health) for page, health in stored.items()}
                self._measure(before.keys() - self.healths.keys())
                await self._tell_news(before)
            except (RedisError, OSError, msgspec.MsgspecError) as error:
                log.debug("health.unread", detail=str(error))
            await asyncio.sleep(HEALTH_EVERY_S)

    async def _tell_news(self, before: dict[str, Health]) -> None:
        version = self.healths_version + 1
        news = {p: h for p, h in self.healths.items() if _differs(before.get(p), h)}
        if not news:
            return
        self._versions |= dict.fromkeys(news, version)
        self.healths_version = version
        await self.fanout.tell(lambda group: self._healths_for(group, news))

    async def _beat(self) -> None:
        """Every heartbeat: the health of all pages, the position if it moved unsaid, a ping."""
        while True:
            await asyncio.sleep(self._heartbeat_s)
            await self.fanout.tell(self._heartbeat_for, beat=True)

    def _heartbeat_for(self, group: Group) -> bytes:
        said = self._healths_for(group, self.healths)
        if group.at != group.told:
            group.told = group.at
            said += message_bytes(group.form, CursorMessage(cursor(group.at)))
        return said + PING[group.form]

    @staticmethod
    def _healths_for(group: Group, healths: dict[str, Health]) -> bytes:
        messages = (HealthMessage(p, h) for p, h in healths.items() if group.wanted.shows(p))
        return b"".join(message_bytes(group.form, message) for message in messages)

    def _judged(self, health: Health) -> Health:
        return judged(health, self._now(), self.silence_s)

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


def _differs(before: Health | None, now: Health) -> bool:
    return before is None or (before.status, before.reason) != (now.status, now.reason)


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
