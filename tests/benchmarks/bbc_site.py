"""Live pages in BBC markup on a real server, in the hands of the benchmark."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_URL, uuid5

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

from service import sources
from service.coverage import announces_pause
from service.model import Entry, Head, body_digest
from service.replay.render import live_html
from service.sources.base import Document
from tests.conftest import SEED

WINDOW = 20
HEAD = Head(title="A live page", summary="What happens, as it happens")


def posts(count: int) -> list[Entry]:
    """Posts with the sample page's words, oldest first, a minute apart, the newest just now.

    None is labelled Breaking or pauses the page: a new one is one event.
    """
    sample = Document("http://127.0.0.1/", SEED.read_bytes(), "text/plain", datetime.now(UTC))
    seed = [one for one in sources.read(sample).entries if not announces_pause(one)]
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    return [
        msgspec.structs.replace(
            seed[number % len(seed)],
            id=f"asset:{uuid5(NAMESPACE_URL, str(number))}",
            title=f"{seed[number % len(seed)].title} ({number})",
            published=now - timedelta(minutes=count - number),
            labels=(),
        )
        for number in range(count)
    ]


def page_html(entries: list[Entry], *, salt: str = "salt") -> bytes:
    """A page with these entries, given oldest first."""
    return live_html(HEAD, entries[::-1], url="http://127.0.0.1/live", salt=salt).encode()


class BbcSite:
    """Any number of pages with the same entries.

    restless: markup differs in every response, though nothing is said anew, and there is no ETag.
    polls, not_modified: answers by page. written_s: by page, when its last body had been written.
    """

    def __init__(self, entries: list[Entry], *, restless: bool) -> None:
        self._entries, self._restless = entries, restless
        self._salts = map(str, itertools.count())
        self._body = page_html(entries)
        self.origin = ""
        self.polls, self.not_modified = Counter[str](), Counter[str]()
        self.written_s: dict[str, float] = {}

    def url(self, page: str) -> str:
        """The address of a page."""
        return f"{self.origin}/live/{page}"

    def publish(self, entry: Entry) -> None:
        """A new entry at the top; the oldest leaves at the bottom."""
        self._entries = [*self._entries[-WINDOW + 1 :], entry]
        self._body = page_html(self._entries)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one poll."""
        page = request.match_info["page"]
        self.polls[page] += 1
        if self._restless:
            return await self._write(request, page_html(self._entries, salt=next(self._salts)), {})
        validator = {"ETag": f'"{body_digest(self._body)}"'}
        if request.headers.get("If-None-Match") == validator["ETag"]:
            self.not_modified[page] += 1
            return web.Response(status=304, headers=validator)
        return await self._write(request, self._body, validator)

    async def _write(
        self, request: web.Request, body: bytes, validator: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/html", **validator})
        response.content_length = len(body)
        await response.prepare(request)
        await response.write_eof(body)
        self.written_s[request.match_info["page"]] = time.perf_counter()
        return response


@asynccontextmanager
async def bbc_site(entries: list[Entry], *, restless: bool = False) -> AsyncIterator[BbcSite]:
    """A running site."""
    site = BbcSite(entries, restless=restless)
    app = web.Application()
    app.add_routes([web.get("/live/{page}", site.answer)])
    async with TestServer(app) as server:
        site.origin = str(server.make_url("")).rstrip("/")
        yield site
