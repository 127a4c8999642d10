"""Those who are judged: the real poll, in memory or over HTTP with the real store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace
from redis.asyncio import Redis

from service import health as healths
from service.config import PollSettings
from service.diff import CLOCK
from service.errors import PageError
from service.events import EntryEvent, PageEvent
from service.fetch import Fetched, Fetcher, NotModified, Request, clocks
from service.keys import Keys
from service.model import Health, Page, PageState, Reading, Selectors
from service.poll import Poll, Polled
from service.sources import Document
from service.store import Store
from tests.simulator.day import Subject
from tests.simulator.edge import Answer, Edge
from tests.simulator.judge import Event, Told
from tests.simulator.markup import MARKUPS
from tests.stream import events_in

SETTINGS = PollSettings()


def page_of(markup: str, url: str) -> Page:
    """The page as a person would add it."""
    module = MARKUPS[markup]
    selectors = getattr(module, "SELECTORS", None)
    if selectors is None:
        return Page(id="day", url=url)
    return Page(
        id="day", url=url, source=module.SOURCE, reading=Reading(selectors=Selectors(**selectors))
    )


def told(events: list[Event], polled: Polled) -> Told:
    return Told(
        events=tuple(events),
        error=polled.error.code if polled.error else None,
        held=polled.error is None and CLOCK in polled.state.meta.pending,
    )


def health_after(before: Health, polled: Polled, edge: Edge) -> Health:
    if polled.error is not None:
        return healths.after_bad(before, polled.error, edge.now)
    return healths.after_good(before, polled.state.meta, edge.now)


# --- in memory ------------------------------------------------------------------------------------


class Wire:
    """Stands for the fetcher: asks the edge as HTTP would."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def fetch(self, request: Request) -> Fetched | NotModified:
        validators = {
            "If-None-Match": request.etag,
            "If-Modified-Since": request.last_modified,
        }
        headers = {name: value for name, value in validators.items() if value}
        answer = self._edge.answer(_path(request.url), headers)
        if answer.status == 304 and headers:
            return NotModified()
        return self._fetched(request.url, answer)

    async def part(self, address: str) -> Document:
        answer = self._edge.answer(_path(address), {})
        if answer.status == 404:
            return Document(address, b"", "", self._edge.now, status=404)
        return self._fetched(address, answer).document

    def crawl_delay_s(self, _url: str) -> float:
        return 0.0

    def _fetched(self, url: str, answer: Answer) -> Fetched:
        if answer.is_cut:
            raise PageError("http.cut_off", "the answer was cut off", where=url, health="stale")
        if answer.status != 200:
            raise PageError(f"http.{answer.status}", "refused", where=url, status=answer.status)
        told = answer.headers
        return Fetched(
            document=Document(url, answer.body, told.get("Content-Type", ""), self._edge.now),
            status=200,
            etag=told.get("ETag"),
            last_modified=told.get("Last-Modified"),
            clocks=clocks(told, self._edge.now),
        )


def _path(url: str) -> str:
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


class Ledger:
    """Stands for the store: keeps what a poll commits."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def commit(
        self, _token: int, _before: object, _after: object, events: list[Event], _health: object
    ) -> None:
        self.events += events

    async def pages(self) -> Mapping[str, Page]:
        return {}


class InMemory:
    """The real poll of one page, without a network and without Redis."""

    def __init__(self, edge: Edge) -> None:
        self.state = PageState(page=page_of(edge.markup, edge.desk.url))
        self._edge, self._ledger, self._health = edge, Ledger(), Health()
        self._poll = Poll(
            self._ledger,  # type: ignore[arg-type]
            Wire(edge),  # type: ignore[arg-type]
            SETTINGS,
            now=lambda: edge.now,
        )

    async def poll(self) -> Told:
        before = len(self._ledger.events)
        polled = await self._poll.once(self.state, self._health, 1)
        self.state, self._health = polled.state, health_after(self._health, polled, self._edge)
        return told(self._ledger.events[before:], polled)


async def in_memory(edge: Edge) -> Subject:
    return InMemory(edge)


# --- over HTTP, with the real store ------------------------------------------------------------


class Site:
    """The edge on a real server."""

    def __init__(self) -> None:
        self.edge: Edge | None = None
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.edge is None or request.path == "/robots.txt":
            return web.Response(status=404)
        answer = self.edge.answer(request.raw_path, request.headers)
        if not answer.is_cut:
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        length = {"Content-Length": str(len(answer.body) + 1)}
        response = web.StreamResponse(status=answer.status, headers=answer.headers | length)
        await response.prepare(request)
        await response.write(answer.body)
        assert request.transport is not None
        request.transport.close()
        return response


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """A running site."""
    served, app = Site(), web.Application()
    app.add_routes([web.get("/{path:.*}", served.answer)])
    async with TestServer(app) as server:
        served.url = str(server.make_url("/news/live/c1abc"))
        yield served


class OverHttp:
    """The real poll with the real fetcher, and the real store. It loads its state again before
    each poll, as a poller does that has just taken over."""

    def __init__(
        self, edge: Edge, redis: Redis, keys: Keys, session: aiohttp.ClientSession
    ) -> None:
        self._edge, self._redis, self._keys = edge, redis, keys
        self._store = Store(redis, keys, max_events=10_000)
        self._page = page_of(edge.markup, edge.desk.url)
        self.state = PageState(page=self._page)
        fetcher = Fetcher(
            session, contact=None, timeout_s=5, max_body_bytes=10_000_000, now=lambda: edge.now
        )
        self._poll = Poll(self._store, fetcher, SETTINGS, now=lambda: edge.now)
        self._told = 0

    async def open(self) -> Subject:
        """Follow the page."""
        await self._store.put_page(self._page)
        self._token = await self._store.acquire(self._page.id, 600_000) or 0
        return self

    async def poll(self) -> Told:
        state, health = await self._load()
        polled = await self._poll.once(state, health, self._token)
        self.state = polled.state
        health = health_after(health, polled, self._edge)
        await self._store.save_health(self._page.id, self._token, health)
        events = await events_in(self._redis, self._keys.events)
        new = [one for one in events[self._told :] if isinstance(one, EntryEvent | PageEvent)]
        self._told = len(events)
        return told(new, polled)

    async def _load(self) -> tuple[PageState, Health]:
        state, health = await self._store.load(self._page), await self._store.health(self._page.id)
        seen = (state.meta.last_good_poll, health.last_good_poll)
        last = max(filter(None, seen), default=None)
        return replace(state, meta=replace(state.meta, last_good_poll=last)), health
