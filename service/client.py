"""A subscriber to the gateway's feed. It reconnects, resumes, and checks that it missed nothing.

docs/clients.md is written for its users, docs/feed.md says what the gateway sends.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, nullcontext
from datetime import UTC, datetime

import aiohttp
import msgspec
from aiohttp import WSMsgType
from msgspec import Struct
from yarl import URL

from service.errors import CorruptionError, StoppressError, SubscriberError
from service.events import Attributes, Event
from service.model import Health
from service.subscriber import (
    AlertMessage,
    Chain,
    EventMessage,
    Hello,
    Lost,
    Message,
    PageHealth,
    Position,
    Reset,
    Snapshot,
    UnknownEvent,
    decoded,
    remember,
)

SUBPROTOCOL = "stoppress.v1.json"
RETRY_S = 0.5  # doubles with every failure
CONNECT_S = 10.0
CLOSE_S = 1.0
TOO_MANY = 429
SILENT_HEARTBEATS = 2.5  # so long without any frame, and the connection counts as lost
WHOLE = frozenset({"page", "cursor", "access_token"})  # these filter out no event of a page
FAMILIES = frozenset({"entry", "page"})  # both together as types don't either
TRIES = 10  # so often in a row what cannot be read may come at one place


class ClosedError(SubscriberError):
    """The gateway has closed the feed for good: `close_code` and its name."""

    def __init__(self, close_code: int, name: str, where: str) -> None:
        self.close_code, self.name = close_code, name
        what = f"the feed was closed with {close_code} {name}".rstrip()
        super().__init__("feed.closed", what, where=where)


def subscribe(
    url: str,
    *,
    page: str | Iterable[str] = (),
    label: str | Iterable[str] = (),
    type: str | Iterable[str] = (),  # noqa: A002 - as the feed calls it
    author: str | Iterable[str] = (),
    text: str | Iterable[str] = (),
    cursor: str | None = None,
    session: aiohttp.ClientSession | None = None,
    retry_max_s: float = 10.0,
) -> Subscription:
    """Events of a feed: `async for event in subscribe("ws://127.0.0.1:8037")`.

    url: a gateway, or the address of its feed. cursor: go on after this position. type: without
    `alert` or types of alerts among them no alert comes.
    session: for proxies, certificates and headers of your own. retry_max_s: longest pause.
    """
    feed = URL(url)
    feed = feed.with_path("/v1/feed", keep_query=True) if feed.path == "/" else feed
    filters = {"page": page, "label": label, "type": type, "author": author, "text": text}
    for name, values in filters.items():
        for value in [values] if isinstance(values, str) else values:
            feed = feed.extend_query([(name, value)])
    return Subscription(feed.update_query(cursor=cursor) if cursor else feed, session, retry_max_s)


class Subscription:
    """Iterate over it for events, or over its `messages()`. Begun again, it goes on.

    cursor: position after the last event that you got. healths: how well each page is seen.
    lag: seconds from the poll that the last event comes from until you got it.
    connected: does the gateway talk to us?
    """

    def __init__(self, url: URL, session: aiohttp.ClientSession | None, retry_max_s: float) -> None:
        self.cursor: str | None = url.query.get("cursor")
        self.healths: dict[str, Health] = {}
        self.lag: float | None = None
        self.connected = False
        self._url, self._session = url.without_query_params("cursor"), session
        self._where = str(url.origin())
        self._retry_max_s = retry_max_s
        self._is_whole = _is_whole(url)
        self._alerts: dict[str, None] = {}  # ids of those given
        self._chains: dict[str, Chain] = {}
        self._reached = False
        self._silence_s = CONNECT_S
        self._doubt: tuple[str | None, str] | None = None
        self._unreadable: tuple[str | None, int] = (None, 0)
        self._mending = False  # get the snapshots, and only then go on from the cursor

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        async with aclosing(self.messages()) as messages:
            async for message in messages:
                if isinstance(message, EventMessage | AlertMessage):
                    yield message.event

    async def messages(self) -> AsyncGenerator[Message, None]:
        """All that happens. Raises StoppressError when there is no use in going on."""
        failures, clock = 0, asyncio.get_running_loop().time
        async with nullcontext(self._session) if self._session else aiohttp.ClientSession() as http:
            while True:
                before, began_s = self.cursor, clock()
                try:
                    async with aclosing(self._connection(http)) as connection:
                        async for message in connection:
                            yield message
                except _LostError as lost:
                    why = str(lost)
                    if lost.reset:
                        yield Reset(lost.reset)
                except (aiohttp.ClientError, OSError) as error:
                    why = str(error) or error.__class__.__name__
                finally:
                    self.connected = False
                was_good = self.cursor != before or clock() - began_s > self._silence_s
                failures = 0 if was_good else failures + 1
                longest_s = min(self._retry_max_s, RETRY_S * 2 ** min(failures, 30))
                retry_s = random.uniform(0, longest_s)  # noqa: S311 - spreads load
                yield Lost(why, retry_s)
                await asyncio.sleep(retry_s)

    # one connection

    async def _connection(self, http: aiohttp.ClientSession) -> AsyncGenerator[Message, None]:
        cursor = None if self._mending else self.cursor
        ws = await self._open(http, self._url.update_query(cursor=cursor) if cursor else self._url)
        self._silence_s = CONNECT_S
        try:
            while True:
                message = self._read(await self._text(ws))
                if message and (message := self._take(message, resumed=cursor is not None)):
                    yield message
        finally:
            await ws.close()

    async def _open(self, http: aiohttp.ClientSession, url: URL) -> aiohttp.ClientWebSocketResponse:
        limits = aiohttp.ClientWSTimeout(ws_close=CLOSE_S)
        try:
            async with asyncio.timeout(CONNECT_S):
                return await http.ws_connect(
                    url, protocols=[SUBPROTOCOL], autoping=False, max_msg_size=0, timeout=limits
                )
        except aiohttp.ClientResponseError as error:
            await self._ask_why(http, url)
            raise _LostError(f"the gateway answers {error.status}") from error
        except (aiohttp.ClientError, OSError) as error:
            if self._reached:
                raise
            what, fix = (
                "no gateway answers here",
                "start one with `stoppress up`, or name another",
            )
            raise SubscriberError(
                "gateway.unreachable", what, where=self._where, fix=fix
            ) from error

    async def _ask_why(self, http: aiohttp.ClientSession, url: URL) -> None:
        """An ordinary request says why an upgrade is refused. Raises that when it is for good."""
        plain = url.with_scheme({"ws": "http", "wss": "https"}.get(url.scheme, url.scheme))
        problem = _Problem("feed.refused", "this is no gateway of Stoppress")
        try:
            async with http.get(plain, timeout=aiohttp.ClientTimeout(CONNECT_S)) as answer:
                if not 400 <= answer.status < 500 or answer.status == TOO_MANY:
                    return
                problem = msgspec.json.decode(await answer.read(), type=_Problem)
        except (aiohttp.ClientError, OSError, msgspec.MsgspecError):
            if self._reached:
                return
        if problem.code == "cursor.malformed" and self._reached:  # the feed itself gave it
            self.cursor = None
            raise _LostError("the cursor is refused", reset=problem.code)
        if problem.code != "http.400":  # but for the missing upgrade, nothing was wrong
            raise SubscriberError(problem.code, problem.detail, where=self._where)

    async def _text(self, ws: aiohttp.ClientWebSocketResponse) -> str:
        """The next text frame."""
        while True:
            try:
                frame = await ws.receive(timeout=self._silence_s)
            except TimeoutError:
                raise _LostError(f"silent for {self._silence_s:g} s") from None
            if frame.type is WSMsgType.TEXT:
                return str(frame.data)
            if frame.type is WSMsgType.PING:
                await ws.pong(frame.data)
            elif frame.type is WSMsgType.CLOSE:
                name = frame.extra or ""
                if 4500 <= (frame.data or 0) <= 4999:
                    raise ClosedError(frame.data, name, self._where)
                raise _LostError(f"closed with {frame.data} {name}".rstrip())
            elif frame.type is not WSMsgType.PONG:
                raise _LostError("cut off")

    def _read(self, text: str) -> Message | UnknownEvent | None:
        try:
            return decoded(text)
        except CorruptionError as error:
            place, times = self._unreadable
            self._unreadable = (self.cursor, times + 1 if place == self.cursor else 1)
            if self._unreadable[1] >= TRIES:
                raise
            raise _LostError(str(error)) from error

    # what a message does to us

    def _take(self, message: Message | UnknownEvent, *, resumed: bool) -> Message | None:
        match message:
            case Hello():
                self.connected = self._reached = True
                self._silence_s = SILENT_HEARTBEATS * message.heartbeat_s
                if not resumed:
                    self._forget()
                return msgspec.structs.replace(message, resumed=resumed)
            case Snapshot():
                self._chain(message.page.id).begin(message.sequence)
                self.healths[message.page.id] = message.health
            case PageHealth():
                self.healths[message.page] = message.health
            case Position():
                self._reach(message.cursor)
            case EventMessage() | UnknownEvent():
                return self._event(message)
            case AlertMessage():
                return self._alert(message)
            case Reset():
                self.cursor = None
                self._forget()
        return message

    def _event(self, message: EventMessage | UnknownEvent) -> EventMessage | None:
        event = message.event if isinstance(message, EventMessage) else message
        chain = self._chain(event.data.page.id)
        is_new = event.id not in chain.given
        if is_new and self._is_whole and not chain.fits(event):
            raise self._missing(event)
        chain.go_on(event)
        if not is_new:
            return None
        self.cursor = message.cursor
        if isinstance(message, UnknownEvent):
            return None
        self.lag = (datetime.now(UTC) - message.event.observed_at).total_seconds()
        return message

    def _alert(self, message: AlertMessage) -> AlertMessage | None:
        is_new = message.event.id not in self._alerts
        remember(self._alerts, message.event)
        self.cursor = message.cursor
        return message if is_new else None

    def _missing(self, event: Attributes) -> _LostError:
        """Perhaps something was lost on the way; it was not when it is missing a second time."""
        doubt = (self.cursor, event.id)
        self._mending = self._doubt == doubt
        self._doubt = doubt
        return _LostError("events are missing", reset="chain.broken" if self._mending else "")

    def _reach(self, cursor: str) -> None:
        if self._mending:
            self._mending = False
            self._forget()
            raise _LostError("going on after what is missing")
        self.cursor = cursor

    def _chain(self, page: str) -> Chain:
        return self._chains.setdefault(page, Chain())

    def _forget(self) -> None:
        for chain in self._chains.values():
            chain.begin(None)


def _is_whole(url: URL) -> bool:
    """Does every event of the pages come from this address?"""
    types = {kind for one in url.query.getall("type", []) for kind in one.split(",")}
    return WHOLE.issuperset(url.query) or (
        WHOLE.union({"type"}).issuperset(url.query) and types >= FAMILIES
    )


class _LostError(StoppressError):
    """The connection is of no more use. reset: why state must be forgotten, if it must."""

    def __init__(self, why: str, *, reset: str = "") -> None:
        self.reset = reset
        super().__init__("feed.lost", why)


class _Problem(Struct):
    """Problem details (RFC 9457), as far as we need them."""

    code: str
    detail: str
