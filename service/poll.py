"""The polls of one page: fetch, parse, diff, commit. Waits and decides nothing.

What a source wants beside the page is fetched too, from the page's own host only. Bodies are read
in a thread, so that a huge page keeps no other waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

import structlog
from msgspec import Struct
from msgspec.structs import replace
from yarl import URL

from service import config, sources
from service import health as healths
from service.config import PollSettings
from service.diff import Doubt, Policy, Step, advance, degraded, diff
from service.errors import ConfigError, PageError, StoppressError
from service.fetch import Fetched, Fetcher, NotModified, Request
from service.model import Health, Page, PageState, body_digest, digest
from service.observability import EVENTS
from service.schedule import Outcome
from service.sources import Document, Memo, Source
from service.store import Store

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# A source that wants more than this for one poll has gone wrong.
MOST_PARTS = 200
# Answers that are kept from poll to poll; the oldest go first.
MOST_KEPT_BYTES = 64 * 1024 * 1024
MOST_KEPT = 500
# Bodies of less are read in less time than a thread takes to begin.
THREAD_FROM_BYTES = 64 * 1024

Checkpoint = Callable[[str], None]


class Polled(Struct, frozen=True):
    """What one poll came to."""

    outcome: Outcome
    state: PageState
    events: int = 0
    body_bytes: int = 0
    error: PageError | None = None


class Poll:
    """Polls one page, again and again; what it read last time makes reading faster.

    now: the clock (UTC). checkpoint: called with the name of each step that a poll reaches; a test
    uses it to fail there.
    """

    def __init__(
        self,
        store: Store,
        fetcher: Fetcher,
        settings: PollSettings,
        *,
        now: Callable[[], datetime],
        checkpoint: Checkpoint = lambda step: None,
    ) -> None:
        self._store, self._fetcher, self._now, self._reached = store, fetcher, now, checkpoint
        self._degraded_after = settings.degraded_after_polls
        self._policy = Policy(settings.confirm_polls, settings.mass_loss, settings.gap_s)
        self._memo = Memo()
        self._parts: dict[str, Document] = {}

    async def once(self, state: PageState, health: Health, token: int) -> Polled:
        """One poll. Raises StoreError when its outcome could not be written."""
        try:
            return await self._see(state, health, token)
        except (PageError, ConfigError) as error:
            failure = error if isinstance(error, PageError) else _as_page_error(error)
        except StoppressError:
            raise
        except Exception as error:
            # One page that we are not up to must not end the others.
            log.exception("poll.broken", url=state.page.url)
            failure = PageError(
                "page.broke_us", f"a fault of ours: {error!r}", where=state.page.url
            )
        # What it drags along (frames, and in them the body) must not outlive the poll.
        failure.__traceback__ = failure.__context__ = failure.__cause__ = None
        state, events = await self._report_blindness(state, health, failure, token)
        return Polled("failed", state, events=events, error=failure)

    async def go_on(self, state: PageState) -> None:
        """Follow the page's successor, if it has named one and that is wanted."""
        page, next_url = state.page, state.meta.successor
        if not page.follow_next or next_url is None:
            return
        successor = Page(
            id=config.page_id(next_url),
            url=next_url,
            source=page.source,
            reading=page.reading,
            follow_next=True,
            since=state.meta.last_good_poll,
        )
        followed = await self._store.pages()
        if successor.id in followed or any(one.url == next_url for one in followed.values()):
            return
        await self._store.put_page(successor)
        log.info("page.succeeded", successor=successor.id, url=next_url)

    # seeing

    async def _see(self, state: PageState, health: Health, token: int) -> Polled:
        meta = state.meta
        # To confirm a change, to be read by another source, or to be read together with its parts,
        # the page itself must come again.
        forced = state.page.source
        is_asked = (forced or meta.source) != meta.source or state.page.rereads > meta.rereads
        bare = bool(meta.pending) or meta.degraded or is_asked
        conditional = not bare and not self._parts
        request = Request(
            url=state.page.url,
            etag=meta.etag if conditional else None,
            last_modified=meta.last_modified if conditional else None,
        )
        fetched = await self._fetcher.fetch(request)
        self._reached("fetched")
        if isinstance(fetched, NotModified):
            return Polled("unchanged", self._seen_again(state))
        reading = state.page.reading
        document = replace(
            fetched.document, reading=replace(reading, older_pages=0) if meta.opened else reading
        )
        source = sources.choose(document, forced or meta.source)
        document = await with_parts(self._fetcher, document, source, self._parts)
        seen, size = _digest(document), _size(document)
        if seen == meta.body_digest and not bare:
            return Polled("unchanged", self._seen_again(state), body_bytes=size)
        step = await self._read(state, replace(fetched, document=document), source)
        # That the page itself is as it was says nothing about its parts.
        alone = fetched if not document.parts else replace(fetched, etag=None, last_modified=None)
        meta = replace(
            step.meta, etag=alone.etag, last_modified=alone.last_modified, body_digest=seen
        )
        step = replace(step, meta=meta)
        return await self._believe(state, health, step, document.seen_at, token, size)

    def _seen_again(self, state: PageState) -> PageState:
        """The same state, seen to be true now."""
        return replace(state, meta=replace(state.meta, last_good_poll=self._now()))

    async def _read(self, state: PageState, fetched: Fetched, source: Source) -> Step:
        """The step that the page has made. Raises PageError when it is not believed."""
        work = partial(self._decide, state, fetched, source)
        if _size(fetched.document) < THREAD_FROM_BYTES:
            return work()
        return await asyncio.to_thread(work)

    def _decide(self, state: PageState, fetched: Fetched, source: Source) -> Step:
        document = fetched.document
        snapshot = sources.read(document, source.name, self._memo)
        self._reached("parsed")
        step = diff(state, snapshot, self._policy, fetched.clocks)
        if isinstance(step, Doubt):
            raise PageError(
                step.code, step.detail, where=document.url, fix=step.fix, health=step.health
            )
        self._reached("diffed")
        return step

    # writing

    async def _believe(
        self, state: PageState, health: Health, step: Step, at: datetime, token: int, size: int
    ) -> Polled:
        seen = healths.after_good(health, step.meta, at)
        after, events = await self._commit(state, step, seen, at, token)
        if not state.meta.opened and state.page.reading.older_pages:
            self._parts.clear()  # older pages are read for the baseline alone
        if step.meta.successor != state.meta.successor:
            await self.go_on(after)
        outcome: Outcome = (
            "confirming" if step.meta.pending else "changed" if step.changes else "unchanged"
        )
        return Polled(outcome, after, events=events, body_bytes=size)

    async def _report_blindness(
        self, state: PageState, health: Health, error: PageError, token: int
    ) -> tuple[PageState, int]:
        """Say so in the stream, once, after enough bad polls in a row."""
        now = self._now()
        blind = healths.after_bad(health, error, now)
        if state.meta.degraded or blind.failures < self._degraded_after:
            return state, 0
        return await self._commit(state, degraded(state, blind, now), blind, now, token)

    async def _commit(
        self, state: PageState, step: Step, health: Health, at: datetime, token: int
    ) -> tuple[PageState, int]:
        events, after = advance(state, step, at)
        self._reached("committing")
        await self._store.commit(token, state, after, events, health)
        self._reached("committed")
        for event in events:
            EVENTS.labels(event.type).inc()
        return after, len(events)


async def with_parts(
    fetcher: Fetcher, document: Document, source: Source, parts: dict[str, Document]
) -> Document:
    """The document with the further answers that its source wants, each from this host.

    parts: the answers of earlier polls, to which new ones are added.
    Raises PageError when one of them cannot be had.
    """
    fetched = 0
    while wanted := source.wants(replace(document, parts=parts)):
        for address in wanted:
            fetched += 1
            _check_part(document.url, address, fetched)
            await asyncio.sleep(fetcher.crawl_delay_s(address))
            parts.pop(address, None)  # so that the last one is the newest
            part = await fetcher.part(address)
            _check_part(document.url, part.url, fetched)  # it may have been sent on
            parts[address] = part
    _forget(parts)
    return replace(document, parts=dict(parts)) if parts else document


def _forget(parts: dict[str, Document]) -> None:
    """The oldest answers beyond what a page may have us hold."""
    held = sum(len(part.body) for part in parts.values())
    for address in list(parts):
        if len(parts) <= MOST_KEPT and held <= MOST_KEPT_BYTES:
            return
        held -= len(parts.pop(address).body)


def _answers(document: Document) -> Sequence[Document]:
    return (document, *document.parts.values())


def _size(document: Document) -> int:
    return sum(len(one.body) for one in _answers(document))


def _digest(document: Document) -> str:
    """Of all the answers together."""
    if not document.parts:
        return body_digest(document.body)
    return digest([(one.url, one.status, body_digest(one.body)) for one in _answers(document)])


def _check_part(page_url: str, address: str, count: int) -> None:
    """Raises PageError when a page leads us astray."""
    if URL(address).origin() != URL(page_url).origin():
        raise PageError(
            "page.foreign_part",
            "a part of the page lies on another host",
            where=address,
            fix="follow that address itself, if it is right",
        )
    if count > MOST_PARTS:
        raise PageError(
            "page.too_many_parts",
            f"the page wants more than {MOST_PARTS} further answers at once",
            where=page_url,
            fix="follow fewer of its older pages",
        )


def _as_page_error(error: StoppressError) -> PageError:
    return PageError(error.code, error.what, where=error.where, fix=error.fix, health="degraded")
