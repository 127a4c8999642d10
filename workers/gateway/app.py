"""The gateway's doors: the feed, REST reads, probes, metrics and the web page."""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec
from aiohttp import WSMsgType, web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service import config, history
from service.config import GatewaySettings
from service.errors import ConfigError, SubscriberError
from service.events import EntryEvent
from service.keys import Keys
from service.model import body_digest
from service.observability import REGISTRY
from workers.gateway.access import TOKEN, Access, Grant, check_exposure
from workers.gateway.forms import FORM_OF, Form
from workers.gateway.hub import Hub, judged
from workers.gateway.protocol import (
    CLOUDEVENTS_SUBPROTOCOL,
    GOING_AWAY,
    STALLED,
    SUBPROTOCOL,
    PageSnapshot,
    StreamId,
    position,
    problem,
)
from workers.gateway.reader import Reader
from workers.gateway.session import BATCH, Session
from workers.gateway.subscription import Subscription, may_see, parse
from workers.gateway.syndication import atom, json_feed

GRANT = web.RequestKey("grant", Grant)
STATIC = Path(__file__).parent / "static"
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src http: https: data:; connect-src 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
# A page whose poll is overdue by so many heartbeats is polled by nobody.
SILENT_HEARTBEATS = 3
CLOSE_S = 2.0  # how long a subscriber may take to agree to a close
ENDS_PER_S = 2000  # so many connections are ended when the gateway stops
GONE_S = 1.0  # how soon it is noticed that a reader of server-sent events has gone
MAX_WAIT_S = 60
EVENT_STREAM = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy must pass it on as it comes
}


class Gateway:
    """Handlers over one hub."""

    def __init__(
        self, hub: Hub, settings: GatewaySettings, *, silence_s: float, now: Callable[[], datetime]
    ) -> None:
        self._hub, self._settings, self._now = hub, settings, now
        self._silence_s = silence_s
        self._access = Access(settings)
        self._sessions: set[Session] = set()
        self._addresses: Counter[str | None] = Counter()

    def app(self) -> web.Application:
        """The application with its routes."""
        middlewares = [_problems, self._gate]
        app = web.Application(middlewares=middlewares, handler_args={"access_log": None})
        app.add_routes(
            [
                web.get("/", self._index),
                web.static("/static", STATIC),
                web.get("/v1/feed", self._feed),
                web.get("/v1/events", self._events),
                web.get("/v1/pages", self._pages),
                web.get("/v1/pages/{page}", self._page),
                web.get("/v1/pages/{page}/entries", self._entries),
                web.get("/v1/pages/{page}/feed.json", self._json_feed),
                web.get("/v1/pages/{page}/feed.atom", self._atom),
                web.get("/v1/pages/{page}/history", self._history),
                web.get("/v1/pages/{page}/entries/{entry:.+}/revisions", self._revisions),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
            ]
        )
        app.on_response_prepare.append(_secure)
        app.on_shutdown.append(self._end_sessions)
        return app

    @web.middleware
    async def _gate(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Let in who may come in; say to a browser which web pages may read the answer."""
        request[GRANT] = await self._access.grant(request)
        response = await handler(request)
        origin = request.headers.get("Origin")
        if origin in self._settings.allowed_origins and not response.prepared:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Vary"] = "Origin"
        return response

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        """The feed over WebSocket."""
        subscription, resume = _asked(request)
        self._admit(request)
        ws = web.WebSocketResponse(
            protocols=(SUBPROTOCOL, CLOUDEVENTS_SUBPROTOCOL),
            autoping=False,  # a ping is answered below, a pong is a sign of life
            autoclose=False,  # nothing may follow a close frame: first leave the fan-out
            compress=False,
            max_msg_size=self._settings.max_message_bytes,
            timeout=CLOSE_S,
        )
        await ws.prepare(request)
        form = FORM_OF[ws.ws_protocol]
        hung_up: list[asyncio.Task[None]] = []

        def hang_up() -> None:
            hung_up.append(asyncio.create_task(_close(ws, session, request)))

        session = self._session(request, subscription, form, hang_up)
        try:
            session.start(resume)
            await _listen(ws, session)
        finally:
            session.stop()
            await asyncio.gather(_close(ws, session, request), *hung_up)
            session.closed(session.why.code if session.why else int(ws.close_code or 1006))
            self._forget(request, session)
        return ws

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """The feed as server-sent events, or what comes after a cursor as one answer."""
        accepted = request.headers.get("Accept", "")
        if "text/event-stream" not in accepted:
            return await self._catch_up(request)
        subscription, resume = _asked(request)
        if said := request.headers.get("Last-Event-ID"):
            resume = position(said)
        self._admit(request)
        response = web.StreamResponse(headers=EVENT_STREAM)
        response.enable_chunked_encoding()
        await response.prepare(request)
        session = self._session(request, subscription, "sse", lambda: None)
        try:
            session.start(resume)
            await self._until_gone(request, session)
        finally:
            session.closed(session.why.code if session.why else 1006)
            self._forget(request, session)
        if session.why is STALLED and request.transport:
            request.transport.abort()
        return response

    async def _until_gone(self, request: web.Request, session: Session) -> None:
        """Nobody tells a handler that reads nothing that its client has gone."""
        while not session.ended.is_set():
            if request.transport is None or request.transport.is_closing():
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(session.ended.wait(), GONE_S)

    async def _catch_up(self, request: web.Request) -> web.Response:
        """Up to `limit` events after a cursor; with `wait`, not before there is one."""
        subscription, resume = _asked(request, "wait", "limit")
        wait_s = _number(request, "wait", default=0, most=MAX_WAIT_S)
        limit = _number(request, "limit", default=BATCH, most=BATCH, least=1)
        found = await self._hub.catch_up(subscription, resume, limit=limit, wait_s=wait_s)
        # What follows a cursor is the same for ever once it fills the answer.
        held = "public, max-age=31536000, immutable" if len(found.events) == limit else "no-store"
        return _json(found, headers={"Cache-Control": held})

    def _admit(self, request: web.Request) -> None:
        if not self._hub.ready:
            raise UnavailableError("gateway.not_ready", "Redis is not there; try again soon")
        if len(self._sessions) >= self._settings.max_subscribers:
            raise UnavailableError("gateway.full", "too many subscribers; try again later")
        if self._addresses[request.remote] >= self._settings.max_per_address:
            raise TooManyError("gateway.too_many", "too many connections from this address")

    def _session(
        self,
        request: web.Request,
        first: Subscription,
        form: Form,
        hang_up: Callable[[], None],
    ) -> Session:
        if request.transport is None:
            raise UnavailableError("gateway.gone", "the connection was lost")
        session = Session(
            request.transport, self._hub, self._settings, form=form, first=first, hang_up=hang_up
        )
        self._sessions.add(session)
        self._addresses[request.remote] += 1
        return session

    def _forget(self, request: web.Request, session: Session) -> None:
        self._sessions.discard(session)
        self._addresses[request.remote] -= 1
        if not self._addresses[request.remote]:
            del self._addresses[request.remote]

    async def _end_sessions(self, _: web.Application) -> None:
        """One after the other, so that they do not all come back at once."""
        for session in list(self._sessions):
            session.end(GOING_AWAY)
            await asyncio.sleep(1 / ENDS_PER_S)

    async def _pages(self, request: web.Request) -> web.Response:
        shows = Subscription(within=request[GRANT].pages).shows
        snapshots = (await self._hub.reader.snapshots(shows))[1]
        return _json({"pages": [self._summary(snapshot) for snapshot in snapshots]})

    async def _page(self, request: web.Request) -> web.Response:
        snapshot = await self._snapshot(request)
        details = {"cursor": snapshot.cursor, "entries": snapshot.entries}
        return _tagged(request, msgspec.json.encode(self._summary(snapshot) | details))

    async def _entries(self, request: web.Request) -> web.Response:
        """Entries newest first, `limit` of them, from the `after`th on."""
        limit = _number(request, "limit", default=50, most=200, least=1)
        first = _number(request, "after", default=0, most=10**8)
        snapshot = await self._snapshot(request)
        shown = snapshot.entries[first : first + limit]
        is_more = first + limit < len(snapshot.entries)
        body = {"entries": shown, "next": first + limit if is_more else None}
        return _tagged(request, msgspec.json.encode(body))

    async def _json_feed(self, request: web.Request) -> web.Response:
        body = json_feed(await self._snapshot(request), self._own_url(request))
        return _tagged(request, body, "application/feed+json")

    async def _atom(self, request: web.Request) -> web.Response:
        body = atom(await self._snapshot(request), self._own_url(request))
        return _tagged(request, body, "application/atom+xml")

    @staticmethod
    def _own_url(request: web.Request) -> str:
        return str(request.url.with_query(None))

    async def _snapshot(self, request: web.Request) -> PageSnapshot:
        wanted = request.match_info["page"]
        _, snapshots = await self._hub.reader.snapshots(
            Subscription(pages=frozenset({wanted}), within=request[GRANT].pages).shows
        )
        if not snapshots:
            raise NotFoundError("page.unknown", f"no page {wanted!r} is followed")
        return snapshots[0]

    async def _history(self, request: web.Request) -> web.Response:
        """Every entry of a page as it was at a moment, or as it is."""
        events = await self._kept(request)
        at = request.query.get("at")
        moment = None if at is None else _moment(at)
        return _json({"kept_since": _began(events), "entries": history.as_of(events, moment)})

    async def _revisions(self, request: web.Request) -> web.Response:
        """All that is kept of one entry; with `from` and `to`, what differs between two of them."""
        events, wanted = await self._kept(request), request.match_info["entry"]
        kept = history.revisions(events, wanted)
        if not kept:
            raise NotFoundError("entry.unknown", f"nothing is kept of an entry {wanted!r}")
        numbered = {str(one.revision): one.entry for one in kept}
        pair = [request.query[name] for name in ("from", "to") if name in request.query]
        if not pair:
            return _json({"revisions": kept})
        if len(pair) != 2 or not numbered.keys() >= set(pair):
            said = f"give from and to, each one of {', '.join(numbered)}"
            raise NotFoundError("revision.unknown", said)
        before, after = (numbered[number] for number in pair)
        return _json({"edits": history.difference(before, after)})

    async def _kept(self, request: web.Request) -> list[EntryEvent]:
        page = request.match_info["page"]
        if not may_see(request[GRANT].pages, page):
            raise NotFoundError("page.unknown", f"nothing is kept of a page {page!r}")
        events = await self._hub.reader.history(page)
        if not events:
            raise NotFoundError("page.unknown", f"nothing is kept of a page {page!r}")
        return events

    def _summary(self, snapshot: PageSnapshot) -> dict[str, object]:
        return {
            "page": snapshot.page,
            "status": snapshot.status,
            "summary": snapshot.summary,
            "health": judged(snapshot.health, self._now(), self._silence_s),
            "sequence": snapshot.sequence,
            "entry_count": sum(not known.removed for known in snapshot.entries),
        }

    async def _healthz(self, _: web.Request) -> web.Response:
        """The process is alive."""
        return _json({"status": "ok"})

    async def _readyz(self, _: web.Request) -> web.Response:
        """Redis answers and the stream is being read."""
        await self._hub.reader.ping()
        if not self._hub.ready:
            raise UnavailableError("gateway.not_ready", "the stream is not being read")
        return _json({"status": "ready"})

    async def _metrics(self, _: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(REGISTRY), headers=headers)

    async def _index(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(STATIC / "index.html")


class UnavailableError(SubscriberError):
    """Not now."""

    status = 503


class TooManyError(SubscriberError):
    """Not that many."""

    status = 429


class NotFoundError(SubscriberError):
    """Not here."""

    status = 404


def _moment(text: str) -> datetime:
    """Raises SubscriberError when it is no time."""
    try:
        return config.moment(text)
    except ConfigError as error:
        raise SubscriberError(error.code, str(error)) from None


def _began(events: Sequence[EntryEvent]) -> datetime:
    return min(event.observed_at for event in events)


def _json(
    value: object,
    status: int = 200,
    kind: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    body = msgspec.json.encode(value)
    return web.Response(body=body, status=status, content_type=kind, headers=headers)


def _tagged(request: web.Request, body: bytes, kind: str = "application/json") -> web.Response:
    """An answer that a client need not fetch again while it is the same (RFC 9110, 8.8.3)."""
    tag = body_digest(body)
    if any(known.value in {tag, "*"} for known in request.if_none_match or ()):
        return web.Response(status=304, headers={"ETag": f'"{tag}"'})
    headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    charset = "utf-8" if kind.endswith("xml") else None
    return web.Response(body=body, content_type=kind, charset=charset, headers=headers)


def _asked(request: web.Request, *also: str) -> tuple[Subscription, StreamId | None]:
    """What a request asks for, as far as its sender may see it."""
    others = frozenset({*also, TOKEN})
    return parse(list(request.query.items()), within=request[GRANT].pages, also=others)


async def _listen(ws: web.WebSocketResponse, session: Session) -> None:
    """Hear what a subscriber says, until either side closes."""
    async for message in ws:
        session.answered()
        if message.type is WSMsgType.PING:
            await ws.pong(message.data)
        elif message.type in {WSMsgType.TEXT, WSMsgType.BINARY} and not session.ended.is_set():
            session.hear(message.data)


async def _close(ws: web.WebSocketResponse, session: Session, request: web.Request) -> None:
    """Close, with a code when it is our doing. Who takes no bytes cannot be told it."""
    why = session.why
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            if why is None:
                await ws.close()
                return
            if why is not STALLED or not session.backlog():
                await ws.close(code=why.code, message=why.name.encode())
                return
    if request.transport is not None:
        request.transport.abort()


def _number(request: web.Request, name: str, *, default: int, most: int, least: int = 0) -> int:
    """Raises SubscriberError when it is no number in these bounds."""
    said = request.query.get(name, str(default))
    if not (said.isascii() and said.isdigit() and least <= int(said[:9]) <= most):
        raise SubscriberError(
            f"{name}.malformed", f"this is no number from {least} to {most}", where=name
        )
    return int(said)


@web.middleware
async def _problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Errors as problem details (RFC 9457)."""
    try:
        return await handler(request)
    except SubscriberError as error:
        response = _problem(error, getattr(error, "status", 400))
        if response.status == 401:
            response.headers["WWW-Authenticate"] = 'Basic realm="Stoppress: any name, and the key"'
        return response
    except (RedisError, OSError) as error:
        what = f"Redis does not answer: {error}"
        return _problem(SubscriberError("redis.unavailable", what), 503)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _problem(SubscriberError(f"http.{error.status}", error.reason), error.status)


def _problem(error: SubscriberError, status: int) -> web.Response:
    return _json(problem(error, status), status, "application/problem+json")


async def _secure(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY)


async def serve(
    connect: Callable[[], Redis],
    keys: Keys,
    settings: GatewaySettings,
    *,
    now: Callable[[], datetime],
    ready: Callable[[str], None],
    share_port: bool = False,
) -> None:
    """Run the gateway until cancelled. connect: makes a Redis client. ready: told the address.

    share_port: other processes listen on it as well (SO_REUSEPORT).

    Raises ConfigError when the address cannot be listened on.
    """
    check_exposure(settings)
    redis, blocking = connect(), connect()
    silence_s = SILENT_HEARTBEATS * settings.heartbeat_s
    hub = Hub(
        blocking,
        Reader(redis, keys, now),
        keys,
        settings=settings,
        silence_s=silence_s,
        now=now,
    )
    runner = web.AppRunner(
        Gateway(hub, settings, silence_s=silence_s, now=now).app(), shutdown_timeout=3
    )
    try:
        await runner.setup()
        await _bind(runner, settings, share_port=share_port)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(hub.run())
            await hub.begun()
            ready(f"http://{_printable(settings.host)}:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()
        await redis.aclose()
        await blocking.aclose()


async def _bind(runner: web.AppRunner, settings: GatewaySettings, *, share_port: bool) -> None:
    site = web.TCPSite(runner, settings.host, settings.port, reuse_port=share_port or None)
    try:
        await site.start()
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        raise ConfigError(
            "port.in_use" if in_use else "address.unusable",
            "the port is in use" if in_use else f"cannot listen: {error.strerror or error}",
            where=f"{settings.host}:{settings.port}",
            fix="set gateway.port or --port to a free one, 0 takes any",
        ) from error


def _printable(host: str) -> str:
    return f"[{host}]" if ":" in host else host
