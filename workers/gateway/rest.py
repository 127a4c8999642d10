"""Reads of pages, entries, their past and alerts over HTTP, and for operators: which pages are
followed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol, get_args

import msgspec
from aiohttp import web

from service import config, history
from service.config import PageSettings
from service.errors import SubscriberError
from service.events import AlertState, EntryEvent
from service.model import Page
from workers.gateway.alert_board import AlertBoard
from workers.gateway.answers import (
    Alerts,
    Difference,
    Entries,
    Followed,
    History,
    PageDetails,
    Pages,
    PageSummary,
    Revisions,
)
from workers.gateway.hub import judged
from workers.gateway.protocol import PageSnapshot
from workers.gateway.reader import Reader
from workers.gateway.replies import (
    GRANT,
    NotFoundError,
    answer,
    check_operator,
    json_body,
    named,
    number,
    tagged,
)
from workers.gateway.subscription import Subscription, may_see
from workers.gateway.syndication import atom, json_feed


class Following(Protocol):
    """Says which pages are followed."""

    def named(self, wanted: PageSettings) -> Page:
        """The page that is meant. Raises ConfigError when it cannot be followed."""

    async def add(self, page: Page) -> tuple[Page, bool]:
        """Follow it; as it is followed now, and whether it is new.

        Raises ConfigError when its id is another page's, StoreError.
        """

    async def remove(self, page: str) -> bool:
        """Follow it no more; False if nobody did. Raises StoreError."""


class Rest:
    """Handlers over one reader."""

    def __init__(
        self,
        reader: Reader,
        following: Following,
        *,
        silence_s: float,
        now: Callable[[], datetime],
    ) -> None:
        self._reader, self._following = reader, following
        self._silence_s, self._now = silence_s, now
        self._board = AlertBoard(reader)

    def routes(self) -> list[web.RouteDef]:
        """Paths and their handlers."""
        return [
            web.get("/v1/pages", self._pages),
            web.post("/v1/pages", self._follow),
            web.get("/v1/pages/{page}", self._page),
            web.delete("/v1/pages/{page}", self._unfollow),
            web.get("/v1/pages/{page}/entries", self._entries),
            web.get("/v1/pages/{page}/feed.json", self._json_feed),
            web.get("/v1/pages/{page}/feed.atom", self._atom),
            web.get("/v1/pages/{page}/history", self._history),
            web.get("/v1/pages/{page}/entries/{entry:.+}/revisions", self._revisions),
            web.get("/v1/alerts", self._alerts),
        ]

    # which pages are followed

    async def _follow(self, request: web.Request) -> web.Response:
        """Follow a page, as with `stoppress pages add`."""
        check_operator(request)
        page = self._following.named(config.page_asked(await json_body(request)))
        check_operator(request, page.id)
        followed, is_new = await self._following.add(page)
        where = {"Location": f"/v1/pages/{page.id}"}
        return answer(Followed(followed, is_new), 201 if is_new else 200, headers=where)

    async def _unfollow(self, request: web.Request) -> web.Response:
        """Follow a page no more, and forget it."""
        wanted = request.match_info["page"]
        check_operator(request, wanted)
        if not await self._following.remove(wanted):
            raise NotFoundError("page.unknown", f"no page {wanted!r} is followed")
        return web.Response(status=204)

    # as it is now

    async def _pages(self, request: web.Request) -> web.Response:
        shows = Subscription(within=request[GRANT].pages).shows
        snapshots = (await self._reader.snapshots(shows))[1]
        return answer(Pages(tuple(self._summary(snapshot) for snapshot in snapshots)))

    async def _page(self, request: web.Request) -> web.Response:
        snapshot = await self._snapshot(request)
        summary = msgspec.structs.asdict(self._summary(snapshot))
        details = PageDetails(**summary, cursor=snapshot.cursor, entries=snapshot.entries)
        return tagged(request, msgspec.json.encode(details))

    async def _entries(self, request: web.Request) -> web.Response:
        """Entries newest first, `limit` of them, from the `after`th on."""
        limit = number(request, "limit", default=50, most=200, least=1)
        first = number(request, "after", default=0, most=10**8)
        snapshot = await self._snapshot(request)
        shown = snapshot.entries[first : first + limit]
        is_more = first + limit < len(snapshot.entries)
        return tagged(
            request, msgspec.json.encode(Entries(shown, first + limit if is_more else None))
        )

    async def _json_feed(self, request: web.Request) -> web.Response:
        body = json_feed(await self._snapshot(request), _own_url(request))
        return tagged(request, body, "application/feed+json")

    async def _atom(self, request: web.Request) -> web.Response:
        body = atom(await self._snapshot(request), _own_url(request))
        return tagged(request, body, "application/atom+xml")

    async def _snapshot(self, request: web.Request) -> PageSnapshot:
        wanted = request.match_info["page"]
        _, snapshots = await self._reader.snapshots(
            Subscription(pages=frozenset({wanted}), within=request[GRANT].pages).shows
        )
        if not snapshots:
            raise NotFoundError("page.unknown", f"no page {wanted!r} is followed")
        return snapshots[0]

    def _summary(self, snapshot: PageSnapshot) -> PageSummary:
        return PageSummary(
            page=snapshot.page,
            status=snapshot.status,
            summary=snapshot.summary,
            health=judged(snapshot.health, self._now(), self._silence_s),
            sequence=snapshot.sequence,
            entry_count=sum(not known.removed for known in snapshot.entries),
        )

    # as it was

    async def _history(self, request: web.Request) -> web.Response:
        """Every entry of a page as it was at a moment, or as it is."""
        events = await self._kept(request)
        at = request.query.get("at")
        moment = None if at is None else config.moment(at)
        return answer(History(_began(events), tuple(history.as_of(events, moment))))

    async def _revisions(self, request: web.Request) -> web.Response:
        """All that is kept of one entry; with `from` and `to`, what differs between two of them."""
        events, wanted = await self._kept(request), request.match_info["entry"]
        kept = history.revisions(events, wanted)
        if not kept:
            raise NotFoundError("entry.unknown", f"nothing is kept of an entry {wanted!r}")
        numbered = {str(one.revision): one.entry for one in kept}
        pair = [request.query[name] for name in ("from", "to") if name in request.query]
        if not pair:
            return answer(Revisions(tuple(kept)))
        if len(pair) != 2 or not numbered.keys() >= set(pair):
            said = f"give from and to, each one of {', '.join(numbered)}"
            raise NotFoundError("revision.unknown", said)
        before, after = (numbered[number] for number in pair)
        return answer(Difference(history.difference(before, after)))

    async def _kept(self, request: web.Request) -> list[EntryEvent]:
        page = request.match_info["page"]
        events = await self._reader.history(page) if may_see(request[GRANT].pages, page) else []
        if not events:
            raise NotFoundError("page.unknown", f"nothing is kept of a page {page!r}")
        return events

    # alerts

    async def _alerts(self, request: web.Request) -> web.Response:
        """What has become of each alert, those raised last first."""
        wanted = named(request, "page", "rule", "state", also=("limit", "after"))
        if strange := wanted["state"] - set(get_args(AlertState)):
            allowed = ", ".join(get_args(AlertState))
            raise SubscriberError(
                "filter.state",
                f"no state {min(strange)!r}",
                where="state",
                fix=f"allowed: {allowed}",
            )
        limit = number(request, "limit", default=50, most=200, least=1)
        first = number(request, "after", default=0, most=10**8)
        shows = Subscription(frozenset(wanted["page"]), within=request[GRANT].pages).shows
        chosen = [
            one
            for one in await self._board.alerts()
            if shows(one.page.id)
            and one.rule in (wanted["rule"] or {one.rule})
            and one.state in (wanted["state"] or {one.state})
        ]
        is_more = first + limit < len(chosen)
        found = Alerts(tuple(chosen[first : first + limit]), first + limit if is_more else None)
        return tagged(request, msgspec.json.encode(found))


def _own_url(request: web.Request) -> str:
    return str(request.url.with_query(None))


def _began(events: Sequence[EntryEvent]) -> datetime:
    return min(event.observed_at for event in events)
