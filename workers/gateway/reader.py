"""Redis as the gateway sees it: stream positions, ranges, and page states.

It only reads, but for the name that it gives to a deployment that has none.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, cast

import msgspec
import structlog
from msgspec import Struct
from redis.asyncio import Redis

from service.errors import CorruptionError
from service.events import EntryEvent, from_json, rfc3339, structured
from service.history import unpacked
from service.keys import Keys
from service.model import EntryState, Health, Page, PageMeta, PageRef
from workers.gateway.protocol import (
    KnownEntry,
    PageSnapshot,
    StreamId,
    cursor,
)
from workers.gateway.ring import Frame

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Bounds(Struct, frozen=True):
    """first, last: ids of the oldest and newest event. lost: everything up to here was trimmed."""

    first: StreamId
    last: StreamId
    lost: StreamId


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
        """Where the stream begins and ends.

        Once anything was trimmed, all before the first entry counts as lost. Servers before 7.0
        don't say whether something was, which may reset a reader that missed nothing.
        """
        await self._name()
        beginning = StreamId(self.deployment)
        if not await self._redis.exists(self._keys.events):
            return Bounds(beginning, beginning, beginning)
        info: dict[str, Any] = await self._redis.xinfo_stream(self._keys.events)
        last = self._at(info["last-generated-id"])
        first = self._at(info["first-entry"][0]) if info["first-entry"] else last
        whole = info.get("entries-added") == info["length"]
        return Bounds(first, last, beginning if whole else _before(first))

    async def _name(self) -> None:
        """Know the deployment's name, and give it one that it keeps."""
        key = self._keys.deployment
        if (name := await self._redis.get(key)) is None:
            await self._redis.set(key, secrets.token_hex(6), nx=True)
            name = await self._redis.get(key)
        self.deployment = cast("bytes", name or b"").decode()

    def _at(self, stream_id: bytes) -> StreamId:
        return StreamId.of(self.deployment, stream_id)

    async def after(self, position: StreamId, most: int) -> list[Frame]:
        """Up to `most` frames after a position."""
        found = await self._redis.xrange(self._keys.events, min=f"({position}", count=most)
        return self.frames(cast("list[tuple[bytes, dict[bytes, bytes]]]", found))

    def frames(self, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> list[Frame]:
        """Stream entries as frames."""
        sent = rfc3339(self._now())
        return [_frame(self._at(stream_id), fields, sent) for stream_id, fields in entries]

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

    async def snapshots(self, wanted: Callable[[str], bool]) -> tuple[StreamId, list[PageSnapshot]]:
        """The state of pages, and the position that it is true at: one transaction."""
        pages = {key.decode(): value for key, value in (await self._pages()).items()}
        ids = sorted(filter(wanted, pages))
        emptied = (await self.bounds()).last  # where an emptied stream stands
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.xrevrange(self._keys.events, count=1)
            for page in ids:
                pipe.hget(self._keys.meta(page), "meta")
                pipe.hgetall(self._keys.entries(page))
                pipe.get(self._keys.health(page))
            newest, *rest = await pipe.execute()
        at = self._at(newest[0][0]) if newest else emptied
        parts = zip(ids, rest[0::3], rest[1::3], rest[2::3], strict=True)
        return at, [
            _snapshot(at, pages[page], meta, entries, health)
            for page, meta, entries, health in parts
        ]


def _before(first: StreamId) -> StreamId:
    if first.number:
        return msgspec.structs.replace(first, number=first.number - 1)
    return msgspec.structs.replace(first, ms=first.ms - 1, number=10**18 - 1)


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
    at: StreamId,
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


def _frame(at: StreamId, fields: dict[bytes, bytes], sent: str) -> Frame:
    """A stream entry as a frame. One that is no event is said in the log and reaches nobody."""
    try:
        whole = structured(fields)
        return Frame(at, from_json(whole), whole, sent)
    except CorruptionError as error:
        log.error("event.dropped", code=error.code, stream_id=str(at), detail=str(error))
        return Frame(at, None, b"", sent)
