"""Redis as the poller sees it: pages, their state, leases and the one commit. Decides nothing.

Every Redis failure leaves here as a StoreError; the caller loads again and retries.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError

from service.config import HistorySettings
from service.errors import ConfigError, CorruptionError, StoreError
from service.events import CanaryEvent, EntryEvent, Event, to_fields
from service.history import packed, unpacked
from service.keys import Keys
from service.model import EntryState, Health, Page, PageMeta, PageState, Reading

_LUA = Path(__file__).parent / "lua"
T = TypeVar("T")


@asynccontextmanager
async def redis_errors(where: str) -> AsyncIterator[None]:
    """Turn what redis-py raises into a StoreError."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreError(
            "redis.unavailable",
            f"Redis does not answer as it should: {error}",
            where=where,
            fix="check that it runs, accepts writes, and that redis.url is right",
        ) from error


class Store:
    """The pages of one partition. max_events: about how many events the stream keeps."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        *,
        max_events: int,
        history: HistorySettings | None = None,
        where: str = "Redis",
    ) -> None:
        self._redis, self._keys, self._where = redis, keys, where
        self._max_events, self._history = max_events, history or HistorySettings()
        self._commit, self._acquire, self._renew, self._health = (
            redis.register_script((_LUA / f"{name}.lua").read_text("utf-8"))
            for name in ("commit", "acquire", "renew", "health")
        )

    async def ping(self) -> None:
        """Raises StoreError when Redis cannot be used."""
        async with redis_errors(self._where):
            await self._redis.ping()

    # pages

    async def pages(self) -> dict[str, Page]:
        """What is followed, by id."""
        async with redis_errors(self._where):
            stored = await _map(self._redis.hgetall(self._keys.pages))
        return {key.decode(): _decoded(value, Page, "page") for key, value in stored.items()}

    async def add_page(self, page: Page) -> bool:
        """Follow a page; False, and no change, when it is followed already. See add_pages."""
        return bool(await self.add_pages([page]))

    async def add_pages(self, pages: Sequence[Page]) -> list[Page]:
        """Follow pages; those of them that were not followed before.

        How the others are read changes where that is said.

        Raises ConfigError when an id is another page's, or the page is read by another source;
        then none is added.
        """
        known = await self.pages()
        new, changed = [], []
        for page in pages:
            if page.id not in known:
                known[page.id] = page
                new.append(page)
            _check_same(known[page.id], page)
            if (again := _as_wanted(known[page.id], page)) != known[page.id]:
                changed.append(again)
        for page in (*new, *changed):
            await self.put_page(page)
        return new

    async def put_page(self, page: Page) -> None:
        """Write a page as it is."""
        async with redis_errors(self._where):
            value = msgspec.json.encode(page)
            await _int(self._redis.hset(self._keys.pages, page.id, value.decode()))

    async def remove_page(self, page: str) -> None:
        """Stop following. The page's place in the chain stays, so that event ids never repeat."""
        async with redis_errors(self._where):
            await self._redis.transaction(partial(self._forget, page), self._keys.meta(page))

    async def _forget(self, page: str, pipe: Pipeline) -> None:
        """Queue what forgets a page; begun again when a poller commits in between."""
        stored = await _bytes(pipe.hget(self._keys.meta(page), "meta"))
        meta = _decoded(stored, PageMeta, "page meta") if stored else PageMeta()
        kept = PageMeta(
            version=meta.version + 1, sequence=meta.sequence, last_event_id=meta.last_event_id
        )
        pipe.multi()  # type: ignore[no-untyped-call]
        pipe.hdel(self._keys.pages, page)
        forgotten = (self._keys.entries, self._keys.health, self._keys.lease, self._keys.history)
        pipe.delete(*(name(page) for name in forgotten))
        pipe.hset(self._keys.meta(page), "version", str(kept.version))
        pipe.hset(self._keys.meta(page), "meta", msgspec.json.encode(kept).decode())

    # state

    async def load(self, page: Page) -> PageState:
        """What is known of a page. Raises CorruptionError when it is not ours to read."""
        async with redis_errors(self._where), self._redis.pipeline() as pipe:
            pipe.hget(self._keys.meta(page.id), "meta")
            pipe.hgetall(self._keys.entries(page.id))
            meta, entries = await pipe.execute()
        return PageState(
            page=page,
            meta=_decoded(meta, PageMeta, "page meta") if meta else PageMeta(),
            entries={
                key.decode(): _decoded(value, EntryState, "entry") for key, value in entries.items()
            },
        )

    async def health(self, page: str) -> Health:
        """The page's last known health."""
        async with redis_errors(self._where):
            value = await self._redis.get(self._keys.health(page))
        return _decoded(cast("bytes", value), Health, "health") if value else Health()

    async def save_health(self, page: str, token: int, health: Health) -> None:
        """Write the health of a page that is ours. It is no event."""
        names = [self._keys.lease(page), self._keys.health(page)]
        async with redis_errors(self._where):
            await self._health(keys=names, args=[token, msgspec.json.encode(health)])

    async def commit(
        self,
        token: int,
        before: PageState,
        after: PageState,
        events: Sequence[Event],
        health: Health,
    ) -> None:
        """Write the step from `before` to `after` with its events, once, however often it is tried.

        Raises StoreError: lease.lost or page.version when the page is not ours to write, else
        redis.unavailable, after which it is unknown whether the step was written.
        """
        page = before.page.id
        known = before.entries
        changed = [key for key, state in after.entries.items() if known.get(key) is not state]
        args: list[bytes | str | int] = [
            token,
            before.meta.version,
            after.meta.version,
            msgspec.json.encode(after.meta),
            msgspec.json.encode(health),
            self._max_events,
            *self._kept(events),
            len(changed),
        ]
        for key in changed:
            args += [key, msgspec.json.encode(after.entries[key])]
        for event in events:
            fields = to_fields(event)
            args.append(2 * len(fields))
            for name, value in fields.items():
                args += [name, value]
        keys = self._keys
        names = [keys.lease(page), keys.meta(page), keys.entries(page), keys.events]
        async with redis_errors(self._where):
            answer = await self._commit(
                keys=[*names, keys.health(page), keys.history(page)], args=args
            )
        _check(answer, page)

    def _kept(self, events: Sequence[Event]) -> list[bytes | int]:
        """What the page's history is to keep: how many, since when, and the new revisions."""
        revisions = [packed(event) for event in events if isinstance(event, EntryEvent)]
        if not revisions:
            return [0, 0, 0]
        newest = max(event.observed_at for event in events)
        oldest = newest - timedelta(days=self._history.days)
        most = self._history.max_revisions
        return [most, max(0, int(oldest.timestamp() * 1000)), len(revisions), *revisions]

    async def history(self, page: str) -> list[EntryEvent]:
        """The events of a page's entries that are kept, oldest first."""
        async with redis_errors(self._where):
            return unpacked(await self._redis.xrange(self._keys.history(page)))

    # canaries

    async def send_canary(self, event: CanaryEvent) -> None:
        """Append a canary to the stream, unless another poller has just done so."""
        alone_ms = max(1, int(900 * event.data.every_s))
        async with redis_errors(self._where):
            if await self._redis.set(self._keys.canary, event.id, nx=True, px=alone_ms):
                fields: dict[Any, Any] = dict(to_fields(event))
                await self._redis.xadd(self._keys.events, fields, maxlen=self._max_events)

    # leases

    async def acquire(self, page: str, ttl_ms: int) -> int | None:
        """A fencing token, or None while another poller holds the page or nobody follows it."""
        names = [self._keys.lease(page), self._keys.fence(page), self._keys.pages]
        async with redis_errors(self._where):
            token = await self._acquire(keys=names, args=[ttl_ms, page])
        return int(token) or None

    async def renew(self, page: str, token: int, ttl_ms: int) -> bool:
        """Keep a lease for another while; False when it is not ours any more."""
        async with redis_errors(self._where):
            return bool(await self._renew(keys=[self._keys.lease(page)], args=[token, ttl_ms]))

    async def release(self, page: str, token: int) -> None:
        """Give a lease back, if it is still ours."""
        await self.renew(page, token, 0)


def _check_same(before: Page, page: Page) -> None:
    """Is this the page that is followed under its id?"""
    if before.url != page.url:
        raise ConfigError(
            "page.id_taken",
            f"page {page.id} is {before.url}",
            where=page.url,
            fix="choose another --id: stoppress pages add URL --id NAME",
        )
    if page.source not in (None, before.source):
        raise ConfigError(
            "page.source_taken",
            f"page {page.id} is followed with another source",
            where=page.url,
            fix=f"stoppress pages source {page.id} {page.source}",
        )


def _as_wanted(before: Page, page: Page) -> Page:
    """A followed page with what is newly said of how to read it."""
    reading = before.reading if page.reading == Reading() else page.reading
    follow_next = before.follow_next or page.follow_next
    return msgspec.structs.replace(before, reading=reading, follow_next=follow_next)


def _check(answer: bytes, page: str) -> None:
    if answer == b"lease":
        raise StoreError("lease.lost", "another poller took over", where=page)
    if answer == b"version":
        raise StoreError("page.version", "another poller wrote first", where=page)


def _decoded(value: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(value, type=kind)
    except msgspec.MsgspecError as error:
        raise CorruptionError(
            "state.malformed",
            f"a stored {what} cannot be read: {error}",
            fix="was it written by a newer version? else `stoppress pages remove` and `add` it",
        ) from error


# redis-py types its commands for its blocking and its asyncio client at once.
async def _map(answer: object) -> dict[bytes, bytes]:
    return await cast("Awaitable[dict[bytes, bytes]]", answer)


async def _bytes(answer: object) -> bytes | None:
    return await cast("Awaitable[bytes | None]", answer)


async def _int(answer: object) -> int:
    return await cast("Awaitable[int]", answer)
