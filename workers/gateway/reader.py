"""Redis as the gateway sees it: stream positions, ranges, and page states.

It only reads, but for the name that it gives to a deployment that has none.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, cast

import msgspec
import structlog
from msgspec import Struct
from redis.asyncio import Redis

from service.errors import CorruptionError
from service.events import AlertEvent, EntryEvent, from_json, rfc3339, structured
from service.history import unpacked
from service.keys import Keys
from service.model import EntryState, Health, Page, PageMeta, PageRef
from workers.gateway.protocol import (
    KnownEntry,
    PageSnapshot,
    Position,
    StreamId,
    StreamName,
    cursor,
)
from workers.gateway.ring import Frame

log: structlog.stdlib.BoundLogger = structlog.get_logger()


Entries = Sequence[tuple[bytes, dict[bytes, bytes]]]
STREAMS: tuple[StreamName, ...] = ("events", "alerts")


class Bounds(Struct, frozen=True):
    """last: the position after all that there is. lost: everything up to here was trimmed."""

    last: Position
    lost: Position


class Reader:
    """Reads one partition.

    deployment: names the data that cursors lead into. Redis keeps the name beside the stream: data
    that was emptied, or is another deployment's, has another one.
    """

    deployment = ""

    def __init__(self, redis: Redis, keys: Keys, now: Callable[[], datetime]) -> None:
        self._redis, self._keys, self._now = redis, keys, now

    async def ping(self) -> None:
        """Raises what redis-py raises when Redis is not there."""
        await self._redis.ping()

    async def bounds(self) -> Bounds:
        """Where the streams begin and end.

        Once anything was trimmed, all before the first entry counts as lost. Servers before 7.0
        don't say whether something was, which may reset a reader that missed nothing.
        """
        await self._name()
        last = lost = Position(self.deployment)
        async with self._redis.pipeline(transaction=True) as pipe:
            for stream in STREAMS:
                pipe.xinfo_stream(self.key(stream))
            found = await pipe.execute(raise_on_error=False)
        for stream, info in zip(STREAMS, found, strict=True):
            if not isinstance(info, Exception):
                end, trimmed = _ends(info)
                last, lost = last.past(stream, end), lost.past(stream, trimmed)
            elif "no such key" not in str(info).lower():
                raise info
        return Bounds(last, lost)

    def key(self, stream: StreamName) -> str:
        """Where a stream is."""
        return self._keys.events if stream == "events" else self._keys.alerts

    async def _name(self) -> None:
        """Know the deployment's name, and give it one that it keeps."""
        key = self._keys.deployment
        if (name := await self._redis.get(key)) is None:
            await self._redis.set(key, secrets.token_hex(6), nx=True)
            name = await self._redis.get(key)
        self.deployment = cast("bytes", name or b"").decode()

    async def after(
        self, position: Position, most: int, until: Position | None = None
    ) -> list[Frame]:
        """Up to `most` frames after a position. until: leave out what is further than that."""
        async with self._redis.pipeline(transaction=True) as pipe:
            for stream in STREAMS:
                last = str(until.in_(stream)) if until else "+"
                pipe.xrange(self.key(stream), f"({position.in_(stream)}", last, count=most)
            events, alerts = await pipe.execute()
        return self.frames(position, events, alerts, most=most)

    def frames(
        self, position: Position, events: Entries, alerts: Entries, *, most: int | None = None
    ) -> list[Frame]:
        """What comes after a position as frames, about in the order in which it happened."""
        sent = rfc3339(self._now())
        both: list[tuple[StreamName, StreamId, dict[bytes, bytes]]] = [
            *(("events", StreamId.of(id_), fields) for id_, fields in events),
            *(("alerts", StreamId.of(id_), fields) for id_, fields in alerts),
        ]
        both.sort(key=lambda one: one[1].ms)  # it keeps the order in each stream
        found = []
        for stream, id_, fields in both[:most]:
            position = position.past(stream, id_)
            found.append(_frame(stream, id_, position, fields, sent))
        return found

    async def alerts_after(self, position: Position, most: int) -> list[Frame]:
        """Up to `most` frames of the alerts stream after a position."""
        found = await self._redis.xrange(self._keys.alerts, f"({position.alerts}", "+", count=most)
        return self.frames(position, (), cast("Entries", found))

    async def before_newest_alerts(self, most: int) -> Position:
        """The position that so many frames of the alerts stream come after, or all of them."""
        await self._name()
        newest = cast("Entries", await self._redis.xrevrange(self._keys.alerts, count=most))
        start = Position(self.deployment)
        return start.past("alerts", _before(StreamId.of(newest[-1][0]))) if newest else start

    async def history(self, page: str) -> list[EntryEvent]:
        """The events of a page's entries that are kept, oldest first."""
        return unpacked(await self._redis.xrange(self._keys.history(page)))

    async def _pages(self) -> dict[bytes, bytes]:
        answer = self._redis.hgetall(self._keys.pages)
        return await cast("Awaitable[dict[bytes, bytes]]", answer)

    async def health(self) -> dict[str, Health]:
        """The health of every page that is followed, as its poller wrote it."""
        pages = await self._pages()
        if not pages:
            return {}
        ids = sorted(pages)
        values = await self._redis.mget([self._keys.health(page.decode()) for page in ids])
        return {
            page.decode(): _health(pages[page], cast("bytes | None", value))
            for page, value in zip(ids, values, strict=True)
        }

    async def snapshots(self, wanted: Callable[[str], bool]) -> tuple[Position, list[PageSnapshot]]:
        """The state of pages, and the position that it is true at: one transaction."""
        pages = {key.decode(): value for key, value in (await self._pages()).items()}
        ids = sorted(filter(wanted, pages))
        at = (await self.bounds()).last  # where an emptied stream stands
        async with self._redis.pipeline(transaction=True) as pipe:
            for stream in STREAMS:
                pipe.xrevrange(self.key(stream), count=1)
            for page in ids:
                pipe.hget(self._keys.meta(page), "meta")
                pipe.hgetall(self._keys.entries(page))
                pipe.get(self._keys.health(page))
            events, alerts, *rest = await pipe.execute()
        at = at.past("events", StreamId.of(events[0][0])) if events else at
        at = at.past("alerts", StreamId.of(alerts[0][0])) if alerts else at
        parts = zip(ids, rest[0::3], rest[1::3], rest[2::3], strict=True)
        return at, [
            _snapshot(at, pages[page], meta, entries, health)
            for page, meta, entries, health in parts
        ]


def _ends(info: dict[str, Any]) -> tuple[StreamId, StreamId]:
    """Of a stream the last id, and the last that was trimmed."""
    last = StreamId.of(info["last-generated-id"])
    first = StreamId.of(info["first-entry"][0]) if info["first-entry"] else last
    whole = info.get("entries-added") == info["length"]
    return last, StreamId() if whole else _before(first)


def _before(first: StreamId) -> StreamId:
    if first.number:
        return StreamId(first.ms, first.number - 1)
    return StreamId(first.ms - 1, 10**18 - 1)


def _health(page_json: bytes, health_json: bytes | None) -> Health:
    """A page that an operator paused is not seen, and everybody may know why."""
    health = msgspec.json.decode(health_json, type=Health) if health_json else Health()
    if not msgspec.json.decode(page_json, type=Page).paused:
        return health
    return msgspec.structs.replace(
        health,
        status="stale",
        reason="page.paused",
        detail="not polled: an operator paused it",
        next_poll=None,
    )


def _snapshot(
    at: Position,
    page_json: bytes,
    meta_json: bytes | None,
    entries: dict[bytes, bytes],
    health: bytes | None,
) -> PageSnapshot:
    page = msgspec.json.decode(page_json, type=Page)
    meta = msgspec.json.decode(meta_json, type=PageMeta) if meta_json else PageMeta()
    states = [msgspec.json.decode(value, type=EntryState) for value in entries.values()]
    states.sort(key=_age, reverse=True)
    return PageSnapshot(
        cursor=cursor(at),
        page=PageRef(id=page.id, url=page.url, title=meta.head.title, source=meta.source),
        status=meta.status,
        summary=meta.head.summary,
        health=_health(page_json, health),
        sequence=meta.sequence,
        entries=tuple(
            KnownEntry(s.entry, s.revision, s.baseline, s.removed, s.changed) for s in states
        ),
    )


def _age(state: EntryState) -> tuple[float, str]:
    published = state.entry.published
    return (published.timestamp() if published else 0.0, state.entry.id)


def _frame(
    stream: StreamName, id_: StreamId, at: Position, fields: dict[bytes, bytes], sent: str
) -> Frame:
    """A stream entry as a frame. One that is no event is said in the log and reaches nobody."""
    try:
        whole = structured(fields)
        event = from_json(whole)
        if isinstance(event, AlertEvent) != (stream == "alerts"):
            raise CorruptionError("event.misplaced", f"{event.type} is not of this stream")
        return Frame(stream, id_, at, event, whole, sent)
    except CorruptionError as error:
        log.error(
            "event.dropped", code=error.code, stream=stream, stream_id=str(id_), detail=str(error)
        )
        return Frame(stream, id_, at, None, b"", sent)
