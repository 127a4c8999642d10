"""The loop: polls many pages at once, each at its own pace. Waits and decides nothing.

A page belongs to the process that holds its lease. Its state is kept in memory between polls and
loaded again whenever the outcome of a commit is unknown.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import datetime
from functools import partial

import msgspec
import structlog

from service import health as healths
from service.config import PollSettings
from service.errors import CorruptionError, StoreError
from service.events import canary
from service.fetch import Fetcher
from service.lease import Leases
from service.model import Health, Page, PageState
from service.observability import POLL_SECONDS, POLLS
from service.poll import Checkpoint, Poll, Polled
from service.schedule import Limits, Pace, next_pace, wait_s
from service.store import Store

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# How often the list of followed pages is read.
PAGES_EVERY_S = 1.0
# How long to wait after Redis failed or our own data could not be read.
STORE_RETRY_S = 1.0


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
        self._store, self._fetcher, self._now = store, fetcher, now
        self._new_poll = partial(Poll, store, fetcher, settings, now=now, checkpoint=checkpoint)
        self._leases = Leases(store, ttl_s=settings.lease_s)
        self._limits = Limits(settings.floor_s, settings.ceiling_s, settings.retry_ceiling_s)
        self._canary_s = settings.canary_s
        self._following: dict[str, tuple[Page, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Follow pages as they are added, paused and removed, for as long as this runs."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._leases.keep())
            tasks.create_task(self._send_canaries())
            try:
                while True:
                    await self._update(tasks)
                    await asyncio.sleep(PAGES_EVERY_S)
            finally:
                for _, task in self._following.values():
                    task.cancel()

    async def _update(self, tasks: asyncio.TaskGroup) -> None:
        """Begin and end following, as the list of pages says."""
        try:
            stored = await self._store.pages()
        except StoreError as error:
            log.warning("pages.unread", code=error.code, detail=str(error))
            return
        pages = {key: page for key, page in stored.items() if not page.paused}
        if self._following and not pages:
            log.warning("pages.gone", detail="no page is followed any more; was Redis emptied?")
        for key, (page, task) in list(self._following.items()):
            if pages.get(key) != page:
                del self._following[key]
                task.cancel()
        for key in pages.keys() - self._following.keys():
            self._following[key] = pages[key], tasks.create_task(self._follow(pages[key]))

    async def _send_canaries(self) -> None:
        """Show those who read the stream that it goes on, however quiet the pages are."""
        while self._canary_s:
            await asyncio.sleep(self._canary_s)
            try:
                await self._store.send_canary(canary(self._now(), self._canary_s))
            except StoreError as error:
                log.warning("canary.unsent", code=error.code, detail=str(error))

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
            poll = self._new_poll()
            state, health = await self._load(page)
            await poll.go_on(state)
            pace = Pace(self._limits.floor_s, health.failures)
            while self._leases.holds(page.id, token):
                with POLL_SECONDS.time():
                    polled = await poll.once(state, health, token)
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

    # after a poll

    def _health(self, before: Health, polled: Polled, now: datetime) -> Health:
        if polled.error is not None:
            return healths.after_bad(before, polled.error, now)
        return healths.after_good(before, polled.state.meta, now)

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
