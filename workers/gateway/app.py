"""The gateway: the feed, probes, metrics, the web page, and how a process of it runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from aiohttp import WSMsgType, web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.asyncio import Redis

from service.config import GatewaySettings
from service.keys import Keys
from service.observability import REGISTRY
from workers.gateway.access import Access, check_exposure
from workers.gateway.answers import Status
from workers.gateway.doors import Doors, http_log, listen
from workers.gateway.forms import FORM_OF, Form
from workers.gateway.hub import Hub
from workers.gateway.protocol import (
    CLOUDEVENTS_SUBPROTOCOL,
    GOING_AWAY,
    STALLED,
    SUBPROTOCOL,
    position,
)
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
from workers.gateway.session import BATCH, Session
from workers.gateway.subscription import Subscription

STATIC = Path(__file__).parent / "static"
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src http: https: data:; connect-src 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
KEEPALIVE_S = 75.0  # how long a connection may stay between two requests
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
    """Handlers over one hub. heard: told of each request as it comes."""

    def __init__(self, hub: Hub, settings: GatewaySettings, rest: Rest) -> None:
        self._hub, self._settings, self._rest = hub, settings, rest
        self.heard: Callable[[web.Request], None] = lambda request: None
        self._access = Access(settings)
        self._sessions: set[Session] = set()
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
                *self._rest.routes(),
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
        subscription, resume = asked(request)
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
        subscription, resume = asked(request, "wait", "limit")
        wait_s = number(request, "wait", default=0, most=MAX_WAIT_S)
        limit = number(request, "limit", default=BATCH, most=BATCH, least=1)
        found = await self._hub.catch_up(subscription, resume, limit=limit, wait_s=wait_s)
        # What follows a cursor is the same for ever once it fills the answer.
        held = "public, max-age=31536000, immutable" if len(found.events) == limit else "no-store"
        return answer(found, headers={"Cache-Control": held})

    def _admit(self, request: web.Request) -> None:
        if not self._hub.ready:
            raise UnavailableError("gateway.not_ready", "Redis is not there; try again soon")
        if len(self._sessions) >= self._settings.max_subscribers:
            raise UnavailableError("gateway.full", "too many subscribers; try again later")
        limits = {
            "address": self._settings.max_per_address,
            "key": self._settings.max_per_key,
        }
        for who in _who(request):
            if self._open[who] >= limits[who[0]]:
                raise TooManyError("gateway.too_many", f"too many connections with this {who[0]}")

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
        self._open.update(_who(request))
        return session

    def _forget(self, request: web.Request, session: Session) -> None:
        self._sessions.discard(session)
        self._open -= Counter(_who(request))  # and forget those who have none

    async def _end_sessions(self, _: web.Application) -> None:
        """One after the other, so that they do not all come back at once."""
        for session in list(self._sessions):
            session.end(GOING_AWAY)
            await asyncio.sleep(1 / ENDS_PER_S)

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

    async def _index(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(STATIC / "index.html")


def _who(request: web.Request) -> list[tuple[str, str]]:
    """Whom a connection counts for."""
    name = request[GRANT].name
    return [("address", request.remote or ""), *([("key", name)] if name else [])]


async def _listen(ws: web.WebSocketResponse, session: Session) -> None:
    """Hear what a subscriber says, until either side closes."""
    async for message in ws:
        session.answered()
        if session.ended.is_set():
            continue
        if message.type is WSMsgType.PING:
            await ws.pong(message.data)
        elif message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
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
    share_port: bool = False,
) -> None:
    """Run the gateway until cancelled. connect: makes a Redis client. ready: told the address.

    following: changes which pages are followed, over a client. share_port: other processes listen
    on it as well (SO_REUSEPORT).

    Raises ConfigError when the address or the certificate cannot be used.
    """
    check_exposure(settings)
    redis, blocking = connect(), connect()
    reader = Reader(redis, keys, now)
    hub = Hub(blocking, reader, keys, settings=settings, now=now)
    rest = Rest(reader, following(redis), silence_s=hub.silence_s, now=now)
    gateway = Gateway(hub, settings, rest)
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
                ready(f"{scheme}://{_printable(settings.host)}:{port}")
        finally:
            server.close()
    finally:
        await runner.cleanup()
        await redis.aclose()
        await blocking.aclose()


def _printable(host: str) -> str:
    return f"[{host}]" if ":" in host else host
