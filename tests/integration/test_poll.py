"""One page's polls, driven one by one: several answers, a successor, another source."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import urljoin

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from redis.asyncio import Redis

from service import sources
from service.config import PollSettings
from service.errors import PageError
from service.fetch import Fetcher
from service.keys import Keys
from service.model import Entry, Head, Health, Page, Paragraph, Reading, Snapshot
from service.poll import MOST_PARTS, Poll, Polled
from service.sources import Document, Memo, Source
from service.store import Store
from tests.stream import events_in

SETTINGS = PollSettings(floor_s=0.05, ceiling_s=0.1, retry_ceiling_s=0.1)


class Site:
    """Answers by path: text, or a status."""

    def __init__(self) -> None:
        self.answers: dict[str, str | int] = {}
        self.asked: list[str] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        found = self.answers.get(request.path_qs, 404)
        if isinstance(found, int):
            return web.Response(status=found)
        if found.startswith("location: "):
            raise web.HTTPFound(found.removeprefix("location: "))
        tag = f'"{hash(found)}"'
        is_known = request.headers.get("If-None-Match") == tag
        return web.Response(
            status=304 if is_known else 200, text=None if is_known else found, headers={"ETag": tag}
        )


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """A running site."""
    served = Site()
    app = web.Application()
    app.add_routes([web.get("/{path:.*}", served.answer)])
    async with TestServer(app) as server:
        served.url = str(server.make_url("/live"))
        yield served


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def told(document: Document) -> Snapshot:
    """An entry for each line that is no address, of the page and of its parts."""
    found = [*lines(document.body.decode())]
    for part in document.parts.values():
        found += lines(part.body.decode()) if part.status == 200 else [f"status {part.status}"]
    entries = tuple(
        Entry(id=line, title=line, body=(Paragraph(line),), position=place)
        for place, line in enumerate((one for one in found if not one.startswith("->")), 1)
    )
    return Snapshot(
        source="lines", head=Head(title="Lines"), entries=entries, seen_at=document.seen_at
    )


def wants(document: Document) -> tuple[str, ...]:
    """What the lines "-> path" of the page name: once, or with "->!" on every poll."""
    named = [line for line in lines(document.body.decode()) if line.startswith("->")]
    addresses = {urljoin(document.url, one.lstrip("->! ")): "!" in one for one in named}
    held = document.parts
    return tuple(
        address
        for address, each_time in addresses.items()
        if address not in held or (each_time and held[address].seen_at < document.seen_at)
    )


LINES = Source("lines", lambda document: False, lambda document, memo: told(document), wants)


class Desk:
    """One page and its polls."""

    def __init__(self, store: Store, poll: Poll, page: Page) -> None:
        self.store, self.poll, self.page = store, poll, page

    async def open(self) -> None:
        await self.store.put_page(self.page)
        self.token = await self.store.acquire(self.page.id, 60_000) or 0
        self.state = await self.store.load(self.page)

    async def sees(self) -> Polled:
        polled = await self.poll.once(self.state, Health(), self.token)
        self.state = polled.state
        return polled

    async def shown(self) -> list[str]:
        """The entries that the page is seen to have."""
        polled = await self.sees()
        assert polled.error is None, polled.error
        return list(self.state.meta.window)


@asynccontextmanager
async def desk(
    redis: Redis, keys: Keys, url: str, source: str | None = "lines", **fields: object
) -> AsyncIterator[Desk]:
    page = Page(id="page", url=url, source=source, **fields)  # type: ignore[arg-type]
    store = Store(redis, keys, max_events=1000)
    async with aiohttp.ClientSession() as session:
        fetcher = Fetcher(
            session,
            contact=None,
            timeout_s=5,
            max_body_bytes=10_000_000,
            now=lambda: datetime.now(UTC),
        )
        opened = Desk(store, Poll(store, fetcher, SETTINGS, now=lambda: datetime.now(UTC)), page)
        await opened.open()
        yield opened


@pytest.fixture(autouse=True)
def with_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sources.SOURCES, "lines", LINES)


async def test_a_source_is_given_the_answers_that_it_wants(redis: Redis, keys: Keys) -> None:
    async with site() as served, desk(redis, keys, served.url) as page:
        served.answers = {"/live": "a\n-> /one\n->! /two?x=%2F1", "/one": "b"}
        served.answers["/two?x=%2F1"] = "c"
        assert set(await page.shown()) == {"a", "b", "c"}
        served.answers["/two?x=%2F1"] = "c\nd"
        await page.shown()
        assert "d" in page.state.meta.window
        assert [path for path in served.asked if path != "/robots.txt"] == [
            *("/live", "/one", "/two?x=%2F1"),
            *("/live", "/two?x=%2F1"),
        ]


async def test_after_a_restart_the_answers_are_asked_for_again(redis: Redis, keys: Keys) -> None:
    """The page itself is as it was, and says so; that says nothing of its parts."""
    async with site() as served:
        served.answers = {"/live": "a\n->! /one", "/one": "b"}
        async with desk(redis, keys, served.url) as page:
            await page.shown()
            token = page.token
        served.answers["/one"] = "b\nc"
        async with desk(redis, keys, served.url) as page:
            page.token = page.token or token
            assert "c" in await page.shown()


async def test_answers_that_are_the_same_cost_no_reading(redis: Redis, keys: Keys) -> None:
    async with site() as served, desk(redis, keys, served.url) as page:
        served.answers = {"/live": "a\n->! /one", "/one": "b"}
        await page.shown()
        assert (await page.sees()).outcome == "unchanged"


async def test_an_answer_that_is_not_there_is_named_to_the_source(redis: Redis, keys: Keys) -> None:
    async with site() as served, desk(redis, keys, served.url) as page:
        served.answers = {"/live": "a\n-> /one"}
        assert set(await page.shown()) == {"a", "status 404"}


@pytest.mark.parametrize(("status", "health"), [(503, "stale"), (429, "blocked"), (403, "blocked")])
async def test_an_answer_that_cannot_be_had_makes_the_poll_fail(
    redis: Redis, keys: Keys, status: int, health: str
) -> None:
    async with site() as served, desk(redis, keys, served.url) as page:
        served.answers = {"/live": "a\n->! /one", "/one": "b"}
        await page.shown()
        served.answers["/one"] = status
        error = (await page.sees()).error
        assert isinstance(error, PageError)
        assert (error.code, error.health) == (f"http.{status}", health)
        assert error.where.endswith("/one")


async def test_a_page_cannot_send_us_to_another_host(redis: Redis, keys: Keys) -> None:
    async with site() as served, desk(redis, keys, served.url) as page:
        served.answers = {"/live": "a\n-> http://localhost:1/one"}
        error = (await page.sees()).error
        assert error is not None
        assert error.code == "page.foreign_part"


async def test_nor_can_an_answer(redis: Redis, keys: Keys) -> None:
    async with site() as served, site() as other, desk(redis, keys, served.url) as page:
        other.answers = {"/live": "b"}
        served.answers = {"/live": "a\n-> /one", "/one": f"location: {other.url}"}
        error = (await page.sees()).error
        assert error is not None
        assert error.code == "page.foreign_part"


async def test_a_page_cannot_keep_us_busy(redis: Redis, keys: Keys) -> None:
    async with site() as served, desk(redis, keys, served.url) as page:
        named = [f"/{number}" for number in range(MOST_PARTS + 1)]
        served.answers = dict.fromkeys(named, "b")
        served.answers["/live"] = "\n".join(f"-> {path}" for path in named)
        error = (await page.sees()).error
        assert error is not None
        assert error.code == "page.too_many_parts"


# --- another page, another source ----------------------------------------------------------------


def live_blog(*updates: tuple[str, str]) -> str:
    listed = [
        {
            "@id": f"#{name}",
            "headline": name,
            "articleBody": body,
            "datePublished": f"2025-04-25T10:0{number}:00Z",
        }
        for number, (name, body) in enumerate(updates)
    ]
    return json.dumps(
        {"@type": "LiveBlogPosting", "headline": "Day", "liveBlogUpdate": listed[::-1]}
    )


async def test_the_page_that_coverage_goes_on_at_is_followed_when_that_is_wanted(
    redis: Redis, keys: Keys
) -> None:
    async with (
        site() as served,
        desk(
            redis, keys, served.url, "jsonld", follow_next=True, reading=Reading(zone="UTC")
        ) as page,
    ):
        served.answers["/live"] = live_blog(("a", "First."))
        await page.sees()
        closing = 'This live page is closing. Join us <a href="/live-2">here</a>.'
        served.answers["/live"] = live_blog(("a", "First."), ("b", f"<p>{closing}</p>"))
        last_seen = page.state.meta.last_good_poll
        await page.sees()
        followed = await page.store.pages()
        (successor,) = followed.keys() - {"page"}
        told = followed[successor]
        assert told.url == urljoin(served.url, "/live-2")
        assert told.follow_next
        assert told.reading == page.page.reading
        assert told.since is not None
        assert last_seen is not None
        assert told.since > last_seen
        events = await events_in(redis, keys.events)
        assert events[-1].type == "stoppress.page.ended"
        await page.store.remove_page(successor)
        await page.sees()
        assert successor not in await page.store.pages()


async def test_without_that_wish_no_other_page_is_followed(redis: Redis, keys: Keys) -> None:
    closing = '<p>This live page has closed. Follow our new live page <a href="/2">here</a>.</p>'
    async with site() as served, desk(redis, keys, served.url, "jsonld") as page:
        served.answers["/live"] = live_blog(("a", "First."), ("b", closing))
        await page.sees()
        assert list(await page.store.pages()) == ["page"]
        assert page.state.meta.successor == urljoin(served.url, "/2")


async def test_a_page_switched_to_another_source_is_taken_as_that_reads_it(
    redis: Redis, keys: Keys
) -> None:
    async with site() as served, desk(redis, keys, served.url) as page:
        served.answers["/live"] = live_blog(("a", "First."))
        await page.sees()
        before = len(await events_in(redis, keys.events))
        page.page = msgspec.structs.replace(page.page, source="jsonld")
        page.state = await page.store.load(page.page)
        await page.sees()
        assert await page.store.load(page.page) == page.state
        assert page.state.entries["a"].entry.text == "First."
        assert len(await events_in(redis, keys.events)) == before


async def test_what_was_read_before_makes_no_difference() -> None:
    """A memo only ever saves time."""
    body = live_blog(("a", "First."), ("b", "<p>Second</p>")).encode()
    document = Document("http://127.0.0.1/", body, "application/json", datetime.now(UTC))
    memo = Memo()
    first = sources.read(document, memo=memo)
    assert sources.read(document, memo=memo) == first == sources.read(document)
