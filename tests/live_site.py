"""A live page on a real server, in the hands of the test."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

from service.model import Entry, body_digest


class LiveSite:
    """Serves one page as JSON-LD. Set `entries` (oldest first) or `fault` to change it."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.fault: web.Response | None = None
        self.headers: dict[str, str] = {}
        self.polls = 0
        self.url = ""

    def body(self) -> bytes:
        """The page as it is now."""
        updates = [update(entry) for entry in reversed(self.entries)]
        posting = {
            "@type": "LiveBlogPosting",
            "headline": "A live page",
            "url": self.url,
            "liveBlogUpdate": updates,
        }
        script = json.dumps(posting).replace("<", "\\u003c")
        return (
            "<!doctype html><html><head><title>A live page</title>"
            f'<script type="application/ld+json">{script}</script></head><body></body></html>'
        ).encode()

    async def page(self, request: web.Request) -> web.StreamResponse:
        """Answer one poll."""
        self.polls += 1
        if self.fault is not None:
            return web.Response(
                status=self.fault.status, body=self.fault.body, headers=self.fault.headers
            )
        body = self.body()
        etag = f'"{body_digest(body)}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        return web.Response(
            body=body, headers={"ETag": etag, "Content-Type": "text/html", **self.headers}
        )


def update(entry: Entry) -> dict[str, object]:
    """An entry as schema.org has it."""
    return {
        "@type": "BlogPosting",
        "@id": f"#{entry.id}",
        "headline": entry.title,
        "articleBody": entry.text,
        "datePublished": entry.published.isoformat() if entry.published else None,
    }


@asynccontextmanager
async def live_site(entries: Iterable[Entry] = ()) -> AsyncIterator[LiveSite]:
    """A running site."""
    site = LiveSite()
    site.entries = list(entries)
    app = web.Application()
    app.add_routes([web.get("/live", site.page)])
    async with TestServer(app) as server:
        site.url = str(server.make_url("/live"))
        yield site
