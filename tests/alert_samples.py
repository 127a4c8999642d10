"""Events that alerts are made of, a webhook receiver, and a way to wait for what other tasks do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook

from service.events import (
    AlertEvent,
    EntryChange,
    EntryData,
    EntryEvent,
    EntryType,
    Observed,
    PageChange,
    PageData,
    PageEvent,
    Run,
    Significance,
    chain,
    from_json,
)
from service.model import Author, Entry, PageRef, Paragraph
from workers.alerts.delivery import Pace
from workers.alerts.rules import Change, Raise, decide

PAGE = PageRef(id="ukraine", url="https://news.example/live/1", title="War in Ukraine")
WAIT_S = 20.0
# Tries follow each other so fast that nobody has to wait for them.
QUICK = Pace(retry_s=0.01, retry_ceiling_s=0.05, trip=1000)


def entry_event(
    kind: str = "published",
    *,
    entry: str = "e1",
    labels: tuple[str, ...] = ("breaking",),
    gained: tuple[str, ...] = (),
    baseline: bool = False,
    at: datetime | None = None,
    sequence: int = 1,
    title: str | None = "General killed in car bomb attack - reports",
    changed: tuple[str, ...] = (),
    significance: Significance | None = None,
    text: str = "",
    authors: tuple[str, ...] = (),
    page: PageRef = PAGE,
    edits: dict[str, tuple[Run, ...]] | None = None,
) -> EntryEvent:
    """An entry event. kind: the last word of its type. at: when it was observed, by default now."""
    types: dict[str, EntryType] = {
        "published": "stoppress.entry.published",
        "edited": "stoppress.entry.edited",
        "removed": "stoppress.entry.removed",
        "restored": "stoppress.entry.restored",
    }
    at = at or datetime.now(UTC)
    data = EntryData(
        page=page,
        entry=Entry(
            id=entry,
            title=title,
            labels=labels,
            published=datetime(2025, 4, 25, 9, 17, tzinfo=UTC),
            url=f"{page.url}#{entry}",
            authors=tuple(map(Author, authors)),
            body=tuple(map(Paragraph, filter(None, text.split("\n")))),
        ),
        revision=sequence,
        baseline=baseline,
        observed=Observed(after=None, at=at),
        gained=gained,
        changed=changed,
        significance=significance,
        edits=edits or {},
    )
    change = EntryChange(types[kind], data, f"{kind}-{sequence}")
    (event,) = chain([change], sequence=sequence - 1, previousid=None, at=at)
    assert isinstance(event, EntryEvent)
    return event


def alert_event(kind: str = "raised", **given: Any) -> AlertEvent:
    """An alert event about an entry; updated by a figure, retracted by its withdrawal.

    given: as for entry_event.
    """
    figure = Significance(kind="figure", evidence=("9 killed → 12 killed",))
    events = {
        "raised": {"kind": "published"},
        "updated": {"kind": "edited", "significance": figure, "changed": ("body",), "sequence": 2},
        "retracted": {"kind": "removed", "sequence": 3},
    }
    event = entry_event(**(events[kind] | given))
    decision = decide(event, event.observed_at, 3600)
    assert isinstance(decision, Raise | Change)
    return decision.event


def page_event() -> PageEvent:
    """A page that was paused just now."""
    at = datetime.now(UTC)
    data = PageData(page=PAGE, status="paused", observed=Observed(None, at))
    change = PageChange("stoppress.page.paused", data, "paused")
    (event,) = chain([change], sequence=0, previousid=None, at=at)
    assert isinstance(event, PageEvent)
    return event


async def until(condition: Callable[[], object]) -> None:
    """Return as soon as the condition holds; fail when it never does."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)


class Receiver:
    """A webhook receiver on loopback that checks every signature, and its age by the clock `now`.

    answers: what to answer in turn, (status, headers) or HANG; afterwards 200.
    received: (webhook-id, event) of every request, in order of arrival. delivered: ids of those
    that were answered with 200. last: headers and body.
    """

    SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    HANG = (0, dict[str, str]())

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self.last: tuple[dict[str, str], bytes] = ({}, b"")
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.always: tuple[int, dict[str, str]] = (200, {})
        self.received: list[tuple[str, AlertEvent]] = []
        self.delivered: list[str] = []
        self.url = ""
        self._status = 503
        self._ended = asyncio.Event()

    @property
    def ids(self) -> list[str]:
        return [webhook_id for webhook_id, _ in self.received]

    def release(self) -> None:
        """Answer all that hang, with 200."""
        self._status = 200
        self._ended.set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Receiver]:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/hook"
        try:
            yield self
        finally:
            self._ended.set()
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.last = (dict(request.headers), body)
        self._verify(request, body)
        event = from_json(body)
        assert isinstance(event, AlertEvent)
        self.received.append((request.headers["webhook-id"], event))
        status, headers = self.answers.pop(0) if self.answers else self.always
        if (status, headers) == self.HANG:
            await self._ended.wait()
            status = self._status
        if status == 200:
            self.delivered.append(request.headers["webhook-id"])
        return web.Response(status=status, headers=headers)

    def _verify(self, request: web.Request, body: bytes) -> None:
        """What standardwebhooks does, by our clock."""
        assert request.content_type == "application/json"
        stamp = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)
        assert abs(self._now() - stamp) < timedelta(minutes=5)
        signature = Webhook(self.SECRET).sign(request.headers["webhook-id"], stamp, body.decode())
        assert request.headers["webhook-signature"] == signature
