"""Each part on its Redis, as the settings say."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import aiohttp

from service import config
from service.cli.base import store_of, utc_now
from service.config import PageSettings, Settings
from service.connection import connect
from service.keys import Keys
from service.model import Page
from service.store import Store

# The parts are imported where they are started: none waits for what only another needs.
if TYPE_CHECKING:
    from service.fetch import Fetcher


async def poll_forever(settings: Settings, url: str) -> None:
    """The poller on its Redis."""
    from service.poller import Poller

    redis = connect(url)
    async with http_session() as session, redis:
        fetcher = fetcher_of(settings, session)
        await Poller(store_of(redis, settings, url), fetcher, settings.poll, now=utc_now).run()


async def alert_forever(settings: Settings, url: str, ready: Callable[[], None]) -> None:
    """The alerts worker on its Redis."""
    from workers.alerts.worker import alerts_worker

    keys = Keys(settings.redis.prefix)
    limit = settings.stream.max_events
    await alerts_worker(
        partial(connect, url), keys, settings.alerts, max_events=limit, now=utc_now, ready=ready
    )


async def serve_forever(
    settings: Settings, url: str, ready: Callable[[str], None], *, share_port: bool = False
) -> None:
    """The gateway on its Redis. share_port: others listen on it as well."""
    from workers.gateway.app import serve as gateway

    keys = Keys(settings.redis.prefix)
    await gateway(
        partial(connect, url), keys, settings.gateway,
        following=lambda redis: Following(store_of(redis, settings, url), settings),
        now=utc_now, ready=ready, alerts=settings.alerts, share_port=share_port,
    )  # fmt: skip


class Following:
    """Which pages are followed, for operators who ask the gateway."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, settings

    def named(self, wanted: PageSettings) -> Page:
        """The page that is meant. Raises ConfigError."""
        return page_of(wanted, self._settings)

    async def add(self, page: Page) -> tuple[Page, bool]:
        """Follow it; as it is followed now, and whether it is new."""
        is_new = await self._store.add_page(page)
        return (await self._store.pages())[page.id], is_new

    async def remove(self, page: str) -> bool:
        """Follow it no more."""
        is_followed = page in await self._store.pages()
        if is_followed:
            await self._store.remove_page(page)
        return is_followed


def http_session() -> aiohttp.ClientSession:
    """A session that keeps no cookies."""
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())


def fetcher_of(settings: Settings, session: aiohttp.ClientSession) -> Fetcher:
    """What fetches pages, as the settings say."""
    from service.fetch import Fetcher

    poll = settings.poll
    return Fetcher(
        session,
        contact=poll.contact,
        timeout_s=poll.timeout_s,
        max_body_bytes=poll.max_body_bytes,
        now=utc_now,
    )


async def follow(settings: Settings, url: str, urls: tuple[str, ...]) -> list[Page]:
    """Add the pages of the settings and of the command line; all pages that are followed."""
    wanted = [*settings.pages, *(config.page_settings(each) for each in urls)]
    pages = [page_of(each, settings) for each in wanted]
    async with connect(url) as redis:
        store = store_of(redis, settings, url)
        await store.add_pages(pages)
        return list((await store.pages()).values())


def page_of(wanted: PageSettings, settings: Settings) -> Page:
    """A page to follow. Raises ConfigError for an address or source that can't be."""
    from service import sources
    from service.fetch import require_contact

    require_contact(config.address(wanted.url), settings.poll.contact)
    page = config.page_of(wanted)
    sources.check_reading(page)
    return page
