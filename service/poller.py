"""The loop: fetch, parse, diff, commit, for many pages at once. Waits and decides nothing.

A page belongs to the process that holds its lease. Its state is kept in memory between polls and
loaded again whenever the outcome of a commit is unknown.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog
from msgspec import Struct

from service import health as healths
from service import sources
from service.config import PollSettings
from service.diff import Doubt, Policy, Step, advance, degraded, diff
from service.errors import ConfigError, CorruptionError, PageError, StoppressError, StoreError
from service.fetch import Fetched, Fetcher, NotModified, Request
from service.lease import Leases
from service.model import Health, Page, PageState, body_digest
from service.observability import EVENTS, POLL_SECONDS, POLLS
from service.schedule import Limits, Outcome, Pace, next_pace, wait_s
from service.store import Store

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# How often the list of followed pages is read.
PAGES_EVERY_S = 1.0
# How long to wait after Redis failed or our own data could not be read.
STORE_RETRY_S = 1.0

Checkpoint = Callable[[str], None]


class Polled(Struct, frozen=True):
    """What one poll came to."""

    outcome: Outcome
    state: PageState
    events: int = 0
    body_bytes: int = 0
    error: PageError | None = None


class Poller:
    """Follows every page of the store that no other process follows.

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
        self._store, self._fetcher, self._settings = store, fetcher, settings
        self._now, self._reached = now, checkpoint
        self._leases = Leases(store, ttl_s=settings.lease_s)
        self._limits = Limits(settings.floor_s, settings.ceiling_s, settings.retry_ceiling_s)
        self._policy = Policy(settings.confirm_polls, settings.mass_loss, settings.gap_s)
        self._following: dict[Page, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Follow pages as they are added, paused and removed, for as long as this runs."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._leases.keep())
            try:
                while True:
                    await self._update(tasks)
                    await asyncio.sleep(PAGES_EVERY_S)
            finally:
                for task in self._following.values():
                    task.cancel()

    async def _update(self, tasks: asyncio.TaskGroup) -> None:
        """Begin and end following, as the list of pages says."""
        try:
            pages = {page for page in (await self._store.pages()).values() if not page.paused}
        except StoreError as error:
            log.warning("pages.unread", code=error.code, detail=str(error))
            return
        if self._following and not pages:
            log.warning("pages.gone", detail="no page is followed any more; was Redis emptied?")
        for page in self._following.keys() - pages:
            self._following.pop(page).cancel()
        for page in pages - self._following.keys():
            self._following[page] = tasks.create_task(self._follow(page))

    async def _follow(self, page: Page) -> None:
        """Poll a page whenever its lease is ours."""
        with structlog.contextvars.bound_contextvars(page=page.id):
            while True:
                try:
                    token = await self._leases.acquire(page.id)
                    if token is None:
                        await asyncio.sleep(self._leases.retry_s)
                        continue
                    await self._own(page, token)
                except StoreError as error:
                    log.warning("store.failed", code=error.code, detail=str(error))
                    await asyncio.sleep(STORE_RETRY_S)
                except CorruptionError as error:
                    log.error("state.unreadable", code=error.code, detail=str(error))
                    await asyncio.sleep(60 * STORE_RETRY_S)

    async def _own(self, page: Page, token: int) -> None:
        """Poll a page until its lease is lost. Raises StoreError when Redis fails."""
        try:
            state, health = await self._load(page)
            pace = Pace(self._limits.floor_s, health.failures)
            while self._leases.holds(page.id, token):
                with POLL_SECONDS.time():
                    polled = await self._poll(state, health, token)
                state, now = polled.state, self._now()
                health = self._health(health, polled, now)
                pace = next_pace(pace, polled.outcome, self._limits)
                pause_s = self._pause_s(page, pace, polled)
                health = healths.due(health, now, pause_s)
                await self._store.save_health(page.id, token, health)
                self._tell(page, polled, health, pause_s)
                await asyncio.sleep(pause_s)
        finally:
            await self._leases.release(page.id, token)

    async def _load(self, page: Page) -> tuple[PageState, Health]:
        """State and health; the health also knows of good polls that changed nothing."""
        state, health = await self._store.load(page), await self._store.health(page.id)
        last = max(filter(None, (state.meta.last_good_poll, health.last_good_poll)), default=None)
        meta = msgspec.structs.replace(state.meta, last_good_poll=last)
        return msgspec.structs.replace(state, meta=meta), health

    # one poll

    async def _poll(self, state: PageState, health: Health, token: int) -> Polled:
        """One poll of a page. Raises StoreError when its outcome could not be written."""
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

    async def _see(self, state: PageState, health: Health, token: int) -> Polled:
        meta = state.meta
        # To confirm a change, or to be read by another source, the page itself must come again.
        forced = state.page.source
        bare = bool(meta.pending) or meta.degraded or (forced or meta.source) != meta.source
        request = Request(
            url=state.page.url,
            etag=None if bare else meta.etag,
            last_modified=None if bare else meta.last_modified,
        )
        fetched = await self._fetcher.fetch(request)
        self._reached("fetched")
        match fetched:
            case NotModified():
                return Polled("unchanged", self._seen_again(state))
            case Fetched(document=document):
                seen = body_digest(document.body)
                if seen == meta.body_digest and not bare:
                    return Polled(
                        "unchanged", self._seen_again(state), body_bytes=len(document.body)
                    )
                return await self._believe(state, health, fetched, seen, token)

    def _seen_again(self, state: PageState) -> PageState:
        """The same state, seen to be true now."""
        meta = msgspec.structs.replace(state.meta, last_good_poll=self._now())
        return msgspec.structs.replace(state, meta=meta)

    async def _believe(
        self, state: PageState, health: Health, fetched: Fetched, body: str, token: int
    ) -> Polled:
        document = fetched.document
        snapshot = sources.read(document, state.page.source or state.meta.source)
        self._reached("parsed")
        step = diff(state, snapshot, self._policy, fetched.clocks)
        if isinstance(step, Doubt):
            raise PageError(
                step.code, step.detail, where=document.url, fix=step.fix, health=step.health
            )
        self._reached("diffed")
        meta = msgspec.structs.replace(
            step.meta,
            etag=fetched.etag,
            last_modified=fetched.last_modified,
            body_digest=body,
        )
        step = Step(step.changes, meta)
        seen = healths.after_good(health, meta.status, snapshot.seen_at)
        after, events = await self._commit(state, step, seen, snapshot.seen_at, token)
        outcome: Outcome = (
            "confirming" if meta.pending else "changed" if step.changes else "unchanged"
        )
        return Polled(outcome, after, events=events, body_bytes=len(document.body))

    async def _report_blindness(
        self, state: PageState, health: Health, error: PageError, token: int
    ) -> tuple[PageState, int]:
        """Say so in the stream, once, after enough bad polls in a row."""
        now = self._now()
        blind = healths.after_bad(health, error, now)
        if state.meta.degraded or blind.failures < self._settings.degraded_after_polls:
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

    # after a poll

    def _health(self, before: Health, polled: Polled, now: datetime) -> Health:
        if polled.error is not None:
            return healths.after_bad(before, polled.error, now)
        return healths.after_good(before, polled.state.meta.status, now)

    def _pause_s(self, page: Page, pace: Pace, polled: Polled) -> float:
        asked_s = (polled.error.retry_after_s if polled.error else None) or 0.0
        crawl_delay_s = self._fetcher.crawl_delay_s(page.url)
        chance = random.random()  # noqa: S311 - spreads load, keeps no secret
        return wait_s(pace, chance, at_least_s=max(asked_s, crawl_delay_s))

    def _tell(self, page: Page, polled: Polled, health: Health, pause_s: float) -> None:
        """One line and the metrics of one poll."""
        POLLS.labels(page.id, polled.error.code if polled.error else polled.outcome).inc()
        write = log.warning if polled.error else log.info if polled.events else log.debug
        write(
            "poll.failed" if polled.error else "poll.completed",
            outcome=polled.outcome,
            events=polled.events,
            entries=len(polled.state.meta.window),
            body_bytes=polled.body_bytes,
            health=health.status,
            code=health.reason,
            detail=health.detail,
            failures=health.failures,
            next_s=round(pause_s, 1),
        )


def _as_page_error(error: StoppressError) -> PageError:
    return PageError(error.code, error.what, where=error.where, fix=error.fix, health="degraded")
