"""One GET: what comes back, what is refused, and what the site's owner asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from service.errors import ConfigError, PageError
from service.fetch import Fetched, Fetcher, NotModified, Request

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
NOW = datetime(2025, 4, 25, 12, 0, tzinfo=UTC)


async def no_robots(request: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound


@asynccontextmanager
async def site(page: Handler, robots: Handler = no_robots) -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes([web.get("/robots.txt", robots), web.get("/live", page)])
    async with TestServer(app) as server:
        yield str(server.make_url("/live"))


@asynccontextmanager
async def fetcher(
    contact: str | None = None, timeout_s: float = 5.0, max_body_bytes: int = 10_000
) -> AsyncIterator[Fetcher]:
    async with aiohttp.ClientSession() as session:
        yield Fetcher(
            session,
            contact=contact,
            timeout_s=timeout_s,
            max_body_bytes=max_body_bytes,
            now=lambda: NOW,
        )


async def refusal(page: Handler, robots: Handler = no_robots, **limits: float) -> PageError:
    async with site(page, robots) as url, fetcher(**limits) as one:  # type: ignore[arg-type]
        with pytest.raises(PageError) as refused:
            await one.fetch(Request(url))
    return refused.value


def answering(status: int = 200, text: str = "page", **headers: str) -> Handler:
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=named)

    return handler


async def test_a_page_comes_with_validators_and_clocks() -> None:
    page = answering(
        ETag='"1"',
        Last_Modified="Fri, 25 Apr 2025 11:00:00 GMT",
        Date="Fri, 25 Apr 2025 11:59:00 GMT",
        Age="60",
    )
    async with site(page) as url, fetcher() as one:
        fetched = await one.fetch(Request(url))
    assert isinstance(fetched, Fetched)
    assert (fetched.document.body, fetched.etag) == (b"page", '"1"')
    assert fetched.clocks.modified == NOW - timedelta(hours=1)
    assert fetched.clocks.generated == NOW - timedelta(minutes=1)  # not two: RFC 9111, 4.2.3


async def test_a_clock_that_runs_ahead_is_set_to_ours() -> None:
    page = answering(Last_Modified="Fri, 25 Apr 2095 11:00:00 GMT")
    async with site(page) as url, fetcher() as one:
        fetched = await one.fetch(Request(url))
    assert isinstance(fetched, Fetched)
    assert fetched.clocks.modified == NOW


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": b'"\xff"', "Last-Modified": b"\xff"},
        {"Date": b"Fri, 31 Dec 9999 23:59:59 -0500", "Age": "²".encode()},
        {"Age": b"9" * 5000},
    ],
)
async def test_headers_that_make_no_sense_are_borne(headers: dict[str, bytes]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        status = b"404 \xff" if b"robots" in asked else b"200 \xff"
        lines = [f"{name}: ".encode() + value for name, value in headers.items()]
        writer.write(
            b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"Content-Length: 4", b"", b"page"])
        )
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, fetcher() as one:
        fetched = await one.fetch(Request(f"http://127.0.0.1:{port}/live"))
    assert isinstance(fetched, Fetched)
    assert msgspec.json.encode((fetched.etag, fetched.last_modified, fetched.clocks))


async def test_not_modified_unasked_is_no_page() -> None:
    """A server that always says so must not pass for a page without news."""
    assert (await refusal(answering(304))).code == "http.304"


async def test_robots_txt_for_others_is_not_for_us() -> None:
    robots = answering(text="User-agent: page\nDisallow: /\n\nUser-agent: stoppress\nAllow: /")
    async with site(answering(), robots) as url, fetcher() as one:
        assert isinstance(await one.fetch(Request(url)), Fetched)


async def test_what_we_hold_is_asked_for_conditionally_and_under_an_honest_name() -> None:
    seen: list[web.Request] = []

    async def page(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        return web.Response(status=304)

    async with site(page) as url, fetcher(contact="desk@example.org") as one:
        assert await one.fetch(Request(url, '"1"', "yesterday")) == NotModified()
    assert seen[0].headers["If-None-Match"] == '"1"'
    assert seen[0].headers["If-Modified-Since"] == "yesterday"
    assert "Stoppress/" in seen[0].headers["User-Agent"]
    assert "+desk@example.org" in seen[0].headers["User-Agent"]


@pytest.mark.parametrize(
    ("status", "health"),
    [(403, "blocked"), (429, "blocked"), (404, "degraded"), (500, "stale"), (503, "stale")],
)
async def test_a_status_says_which_health_follows(status: int, health: str) -> None:
    error = await refusal(answering(status, Retry_After="7"))
    assert (error.code, error.health, error.retry_after_s) == (f"http.{status}", health, 7)


async def test_a_page_that_is_too_large_is_refused_after_decompression() -> None:
    async def page(request: web.Request) -> web.StreamResponse:
        response = web.Response(text="x" * 20_000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    assert (await refusal(page)).code == "http.too_large"


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    release = asyncio.Event()

    async def page(request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    async with site(page) as url, fetcher(timeout_s=0.2) as one:
        with pytest.raises(PageError) as refused:
            await one.fetch(Request(url))
        release.set()
    assert (refused.value.code, refused.value.health) == ("http.timeout", "stale")


async def test_an_answer_that_is_cut_off_is_no_page() -> None:
    async def page(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"half of it")
        assert request.transport is not None
        request.transport.close()
        return response

    assert (await refusal(page)).code == "http.cut_off"


async def test_a_server_that_is_not_there_is_named() -> None:
    url = f"http://127.0.0.1:{unused_port()}/live"
    async with fetcher() as one:
        with pytest.raises(PageError, match=url) as refused:
            await one.fetch(Request(url))
    assert refused.value.health == "stale"


async def test_redirects_without_end_are_no_page() -> None:
    async def page(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/live")

    assert (await refusal(page)).code == "http.redirects"


# robots.txt (RFC 9309)


async def test_a_page_that_robots_txt_forbids_is_not_fetched() -> None:
    async def page(request: web.Request) -> web.StreamResponse:
        raise AssertionError("fetched")

    error = await refusal(page, answering(text="User-agent: *\nDisallow: /live"))
    assert (error.code, error.health) == ("robots.disallowed", "blocked")


async def test_while_robots_txt_fails_nothing_is_fetched() -> None:
    error = await refusal(answering(), answering(500))
    assert (error.code, error.health) == ("robots.unreachable", "stale")


async def test_robots_txt_is_asked_once_and_its_crawl_delay_known() -> None:
    asked = 0

    async def robots(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.Response(text="User-agent: *\nCrawl-delay: 5\nDisallow: /private")

    async with site(answering(), robots) as url, fetcher() as one:
        for _ in range(3):
            await one.fetch(Request(url))
        assert one.crawl_delay_s(url) == 5
    assert asked == 1


async def test_a_page_elsewhere_is_not_asked_without_a_contact() -> None:
    async with fetcher() as one:
        with pytest.raises(ConfigError, match="--contact"):
            await one.fetch(Request("https://news.example/live"))
