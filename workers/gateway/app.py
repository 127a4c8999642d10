"""The gateway's doors: the feed, REST reads, probes, metrics and the web page."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service import config, history
from service.config import GatewaySettings
from service.errors import ConfigError, SubscriberError
from service.events import EntryEvent
from service.keys import Keys
from service.observability import REGISTRY
from workers.gateway.hub import Hub, judged
from workers.gateway.protocol import GOING_AWAY, SUBPROTOCOL, PageSnapshot, problem
from workers.gateway.reader import Reader
from workers.gateway.session import Session
from workers.gateway.subscription import Subscription, parse

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


class Gateway:
    """Handlers over one hub."""

    def __init__(
        self, hub: Hub, settings: GatewaySettings, *, silence_s: float, now: Callable[[], datetime]
    ) -> None:
        self._hub, self._settings, self._now = hub, settings, now
        self._silence_s = silence_s
        self._sessions: set[Session] = set()

    def app(self) -> web.Application:
        """The application with its routes."""
        app = web.Application(middlewares=[_problems], handler_args={"access_log": None})
        app.add_routes(
            [
                web.get("/", self._index),
                web.static("/static", STATIC),
                web.get("/v1/feed", self._feed),
                web.get("/v1/pages", self._pages),
                web.get("/v1/pages/{page}", self._page),
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

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        subscription, resume = parse(list(request.query.items()))
        if not self._hub.ready:
            raise UnavailableError("gateway.not_ready", "Redis is not there; try again soon")
        if len(self._sessions) >= self._settings.max_subscribers:
            raise UnavailableError("gateway.full", "too many subscribers; try again later")
        ws = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            heartbeat=self._settings.heartbeat_s,
            compress=False,
            max_msg_size=self._settings.max_message_bytes,
            timeout=CLOSE_S,
        )
        session = Session(ws, self._hub, self._settings, subscription)
        self._sessions.add(session)
        try:
            await ws.prepare(request)
            await session.run(resume)
        finally:
            self._sessions.discard(session)
        return ws

    async def _end_sessions(self, _: web.Application) -> None:
        for session in self._sessions:
            session.end(GOING_AWAY)
        await asyncio.gather(*(session.ended.wait() for session in self._sessions))

    async def _pages(self, _: web.Request) -> web.Response:
        snapshots = (await self._hub.reader.snapshots(Subscription().shows))[1]
        return _json({"pages": [self._summary(snapshot) for snapshot in snapshots]})

    async def _page(self, request: web.Request) -> web.Response:
        wanted = request.match_info["page"]
        _, snapshots = await self._hub.reader.snapshots(
            Subscription(pages=frozenset({wanted})).shows
        )
        if not snapshots:
            raise NotFoundError("page.unknown", f"no page {wanted!r} is followed")
        details = {"cursor": snapshots[0].cursor, "entries": snapshots[0].entries}
        return _json(self._summary(snapshots[0]) | details)

    async def _history(self, request: web.Request) -> web.Response:
        """Every entry of a page as it was at a moment, or as it is."""
        events = await self._events(request)
        at = request.query.get("at")
        moment = None if at is None else _moment(at)
        return _json({"kept_since": _began(events), "entries": history.as_of(events, moment)})

    async def _revisions(self, request: web.Request) -> web.Response:
        """All that is kept of one entry; with `from` and `to`, what differs between two of them."""
        events, wanted = await self._events(request), request.match_info["entry"]
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

    async def _events(self, request: web.Request) -> list[EntryEvent]:
        page = request.match_info["page"]
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


def _json(value: object, status: int = 200, kind: str = "application/json") -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type=kind)


@web.middleware
async def _problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Errors as problem details (RFC 9457)."""
    try:
        return await handler(request)
    except SubscriberError as error:
        return _problem(error, getattr(error, "status", 400))
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
) -> None:
    """Run the gateway until cancelled. connect: makes a Redis client. ready: told the address.

    Raises ConfigError when the address cannot be listened on.
    """
    redis, blocking = connect(), connect()
    silence_s = SILENT_HEARTBEATS * settings.heartbeat_s
    hub = Hub(
        blocking,
        Reader(redis, keys),
        keys,
        capacity=settings.ring_events,
        silence_s=silence_s,
        now=now,
    )
    runner = web.AppRunner(
        Gateway(hub, settings, silence_s=silence_s, now=now).app(), shutdown_timeout=3
    )
    try:
        await runner.setup()
        await _listen(runner, settings)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(hub.run())
            await hub.begun()
            ready(f"http://{_printable(settings.host)}:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()
        await redis.aclose()
        await blocking.aclose()


async def _listen(runner: web.AppRunner, settings: GatewaySettings) -> None:
    site = web.TCPSite(runner, settings.host, settings.port)
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
