"""The gateway: the feed, probes, metrics, the web page, and how a process of it runs."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.asyncio import Redis

from service.config import AlertSettings, GatewaySettings
from service.errors import SubscriberError
from service.headers import origin_of
from service.keys import Keys
from service.observability import REGISTRY
from workers.gateway.access import Access, check_exposure
from workers.gateway.answers import Status
from workers.gateway.doors import Doors, http_log, listen
from workers.gateway.forms import FORM_OF, Form
from workers.gateway.hub import Hub
from workers.gateway.protocol import GOING_AWAY, STALLED, position
from workers.gateway.pushes import Pushes
from workers.gateway.reader import Reader
from workers.gateway.replies import (
    GRANT,
    Handler,
    TooManyError,
    UnavailableError,
    answer,
    asked,
    number,
    problems,
)
from workers.gateway.rest import Following, Rest
from workers.gateway.rules import RuleDesk
from workers.gateway.session import BATCH, Session
from workers.gateway.subscription import Subscription
from workers.gateway.websocket import CLOSE_S, LOST, Taken, WebSocket, subprotocol, taken
from workers.rulebook import Rulebook
from workers.subscriptions import Subscriptions

Whose = list[tuple[str, str]]  # of each limit that a connection counts for, its kind and name
STATIC = Path(__file__).parent / "static"
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "worker-src 'self'; img-src http: https: data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
KEEPALIVE_S = 75.0  # how long a connection may stay between two requests
ENDS_PER_S = 2000  # so many connections are ended when the gateway stops
GONE_S = 1.0  # how soon it is noticed that a reader of server-sent events has gone
MAX_WAIT_S = 60
EVENT_STREAM = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy must pass it on as it comes
}


class Gateway:
    """Handlers over one hub. routes: all others. heard: told of each request as it comes."""

    def __init__(self, hub: Hub, settings: GatewaySettings, routes: Iterable[web.RouteDef]) -> None:
        self._hub, self._settings, self._routes = hub, settings, tuple(routes)
        self.heard: Callable[[web.Request], None] = lambda request: None
        self._access = Access(settings)
        self._sessions: set[Session] = set()
        self._emptied = asyncio.Event()
        self._open: Counter[tuple[str, str]] = Counter()  # connections by address, and by key

    def app(self) -> web.Application:
        """The application with its routes."""
        middlewares = [problems, self._gate]
        app = web.Application(middlewares=middlewares)
        app.add_routes(
            [
                web.get("/", self._index),
                web.static("/static", STATIC),
                web.get("/v1/feed", self._feed),
                web.get("/v1/events", self._events),
                *self._routes,
                web.get("/sw.js", self._service_worker),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/openapi.json", self._description),
                web.get("/asyncapi.json", self._description),
            ]
        )
        app.on_response_prepare.append(_secure)
        app.on_shutdown.append(self._end_sessions)
        return app

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in who may come in; say to a browser which web pages may read the answer."""
        self.heard(request)
        request = self._access.unwrapped(request)
        request[GRANT] = await self._access.grant(request)
        response = await handler(request)
        origin = request.headers.get("Origin")
        if origin in self._settings.allowed_origins and not response.prepared:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Vary"] = "Origin"
        return response

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        """The feed over WebSocket."""
        subscription, resume = asked(request)
        who = self._admitted(request)
        spoken = subprotocol(request)
        session = self._session(taken(request), subscription, FORM_OF[spoken], who)
        gone = partial(self._forget, session, who)
        socket = WebSocket(session, max_bytes=self._settings.max_message_bytes, gone=gone)
        socket.begin(request, spoken)
        session.start(resume)
        return Taken()

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """The feed as server-sent events, or what comes after a cursor as one answer."""
        accepted = request.headers.get("Accept", "")
        if "text/event-stream" not in accepted:
            return await self._catch_up(request)
        subscription, resume = asked(request)
        if said := request.headers.get("Last-Event-ID"):
            resume = position(said)
        try:
            who = self._admitted(request)
        except (UnavailableError, TooManyError) as error:
            return _come_again(error)
        response = web.StreamResponse(headers=EVENT_STREAM)
        response.enable_chunked_encoding()
        await response.prepare(request)
        if request.transport is None:
            return response
        session = self._session(request.transport, subscription, "sse", who)
        try:
            session.start(resume)
            await self._until_gone(request, session)
        finally:
            session.closed(session.why.code if session.why else LOST)
            self._forget(session, who)
        if session.why is STALLED and request.transport:
            request.transport.abort()
        return response

    async def _until_gone(self, request: web.Request, session: Session) -> None:
        """Nobody tells a handler that reads nothing that its client has gone."""
        ended = asyncio.Event()
        session.hang_up = ended.set
        while not session.is_ended:
            if request.transport is None or request.transport.is_closing():
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), GONE_S)

    async def _catch_up(self, request: web.Request) -> web.Response:
        """Up to `limit` events after a cursor; with `wait`, not before there is one."""
        subscription, resume = asked(request, "wait", "limit")
        wait_s = number(request, "wait", default=0, most=MAX_WAIT_S)
        limit = number(request, "limit", default=BATCH, most=BATCH, least=1)
        found = await self._hub.catch_up(subscription, resume, limit=limit, wait_s=wait_s)
        # What follows a cursor is the same for ever once it fills the answer, for who may see it.
        whose = "private" if request[GRANT].name else "public"
        held = f"{whose}, max-age=31536000, immutable" if len(found.events) == limit else "no-store"
        return answer(found, headers={"Cache-Control": held})

    def _admitted(self, request: web.Request) -> Whose:
        """Whom a new subscriber counts for. Raises UnavailableError, TooManyError."""
        if not self._hub.ready:
            raise UnavailableError("gateway.not_ready", "Redis is not there; try again soon")
        if len(self._sessions) >= self._settings.max_subscribers:
            raise UnavailableError("gateway.full", "too many subscribers; try again later")
        key = request[GRANT].name
        who = [("address", request.remote or ""), *([("key", key)] if key else [])]
        limits = {"address": self._settings.max_per_address, "key": self._settings.max_per_key}
        for kind, name in who:
            if self._open[kind, name] >= limits[kind]:
                raise TooManyError("gateway.too_many", f"too many connections with this {kind}")
        return who

    def _session(
        self, transport: asyncio.Transport, first: Subscription, form: Form, who: Whose
    ) -> Session:
        session = Session(transport, self._hub, self._settings, form=form, first=first)
        self._sessions.add(session)
        self._open.update(who)
        return session

    def _forget(self, session: Session, who: Whose) -> None:
        self._sessions.discard(session)
        if not self._sessions:
            self._emptied.set()
        self._open.subtract(who)
        for one in who:
            if not self._open[one]:
                del self._open[one]

    async def _end_sessions(self, _: web.Application) -> None:
        """One after the other, so that they do not all come back at once."""
        for session in list(self._sessions):
            session.end(GOING_AWAY)
            await asyncio.sleep(1 / ENDS_PER_S)
        self._emptied = asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S + 1 if self._sessions else 0):
                await self._emptied.wait()

    async def _healthz(self, _: web.Request) -> web.Response:
        """The process is alive."""
        return answer(Status("ok"))

    async def _readyz(self, _: web.Request) -> web.Response:
        """Redis answers and the stream is being read."""
        await self._hub.reader.ping()
        if not self._hub.ready:
            raise UnavailableError("gateway.not_ready", "the stream is not being read")
        return answer(Status("ready"))

    async def _metrics(self, _: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(REGISTRY), headers=headers)

    async def _description(self, request: web.Request) -> web.FileResponse:
        """What can be asked here, and what is heard, for programs."""
        return web.FileResponse(STATIC / request.path.removeprefix("/"))

    async def _service_worker(self, _: web.Request) -> web.FileResponse:
        """What shows pushes in a browser: of the whole origin, so it comes from its root."""
        headers = {"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "no-cache"}
        return web.FileResponse(STATIC / "sw.js", headers=headers)

    async def _index(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(STATIC / "index.html")


def _come_again(error: SubscriberError) -> web.Response:
    """Nothing now. Any status but 200 would end an EventSource for good (WHATWG HTML, 9.2.3)."""
    pause_ms = random.randint(2000, 8000)  # noqa: S311 - spreads load
    return web.Response(
        text=f"retry: {pause_ms}\n: {error.code}: {error}\n\n",
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store"},
    )


async def _secure(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY)


async def serve(
    connect: Callable[[], Redis],
    keys: Keys,
    settings: GatewaySettings,
    *,
    following: Callable[[Redis], Following],
    now: Callable[[], datetime],
    ready: Callable[[str], None],
    alerts: AlertSettings = AlertSettings(),  # noqa: B008 - frozen
    share_port: bool = False,
) -> None:
    """Run the gateway until cancelled. connect: makes a Redis client. ready: told the address.

    following: changes which pages are followed, over a client. alerts: what the worker goes by.
    share_port: other processes listen on it as well (SO_REUSEPORT).

    Raises ConfigError when the address or the certificate cannot be used.
    """
    check_exposure(settings)
    redis, blocking = connect(), connect()
    reader = Reader(redis, keys, now)
    hub = Hub(blocking, reader, settings=settings, now=now)
    rest = Rest(reader, following(redis), silence_s=hub.silence_s, now=now)
    pushes = Pushes(Subscriptions(redis, keys), alerts.push)
    rules = RuleDesk(Rulebook(redis, keys), alerts)
    gateway = Gateway(hub, settings, [*rest.routes(), *pushes.routes(), *rules.routes()])
    runner = web.AppRunner(
        gateway.app(),
        shutdown_timeout=3,
        keepalive_timeout=KEEPALIVE_S,
        access_log=None,
        logger=http_log(),
        auto_decompress=False,  # no body of ours needs it, and a small one could become huge
    )
    try:
        await runner.setup()
        assert runner.server is not None
        doors = Doors(runner.server, request_s=settings.request_s, most=settings.max_waiting)
        gateway.heard = doors.heard
        server = await listen(doors, settings, share_port=share_port)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(hub.run())
                await hub.begun()
                port = server.sockets[0].getsockname()[1]
                scheme = "https" if settings.tls_cert else "http"
                ready(origin_of(settings.host, port, scheme=scheme))
        finally:
            server.close()
    finally:
        await runner.cleanup()
        await redis.aclose()
        await blocking.aclose()
