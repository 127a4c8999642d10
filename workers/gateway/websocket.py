"""The WebSocket of one subscriber, from the end of its handshake on: frames in, words to its
session; and the closing handshake (RFC 6455, 7).

aiohttp hears the request and then lets go of the connection. What it holds for a request would cost
more than all else that an idle subscriber needs.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1

from aiohttp import web
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from workers.gateway.protocol import CLOUDEVENTS_SUBPROTOCOL, STALLED, SUBPROTOCOL
from workers.gateway.replies import UnavailableError
from workers.gateway.session import Session

CLOSE_S = 2.0  # how long a subscriber may take to agree to a close
LOST = 1006  # no close frame came (RFC 6455, 7.4.1)
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


def subprotocol(request: web.Request) -> str | None:
    """What is to be spoken, of what the client offers. Raises HTTPBadRequest for no handshake."""
    ready = web.WebSocketResponse(protocols=(SUBPROTOCOL, CLOUDEVENTS_SUBPROTOCOL)).can_prepare(
        request
    )
    if not ready.ok:
        raise web.HTTPBadRequest(reason="No WebSocket UPGRADE hdr")
    return ready.protocol


def taken(request: web.Request) -> asyncio.Transport:
    """The connection of a request, which is aiohttp's no more. Raises UnavailableError if lost."""
    transport, protocol = request.transport, request.protocol
    if transport is None or transport.is_closing():
        raise UnavailableError("gateway.gone", "the connection was lost")
    protocol.transport = None  # or it would be closed
    protocol.connection_lost(None)
    return transport


class Taken(web.StreamResponse):
    """The answer to a request whose connection was taken: nothing more."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """There is nothing to send."""

    async def write_eof(self, data: bytes = b"") -> None:
        """There is nothing to end."""


class WebSocket(asyncio.Protocol):
    """Reads what a subscriber sends, and ends the connection.

    max_bytes: of one message. gone: told once the connection is over.
    """

    __slots__ = (
        "_code",
        "_gone",
        "_is_deaf",
        "_max_bytes",
        "_parts",
        "_patience",
        "_session",
        "_size",
        "_wire",
    )

    def __init__(self, session: Session, *, max_bytes: int, gone: Callable[[], None]) -> None:
        self._session, self._max_bytes, self._gone = session, max_bytes, gone
        self._wire: Connection | None = None  # made when first something comes
        self._parts: list[str | bytes] = []  # of a message that comes in several frames
        self._size = 0
        self._is_deaf = False
        self._code = LOST
        self._patience: asyncio.TimerHandle | None = None
        session.hang_up = self.hang_up

    def begin(self, request: web.Request, spoken: str | None) -> None:
        """Answer the handshake, and hear what follows."""
        accept = sha1(f"{request.headers['Sec-WebSocket-Key']}{_GUID}".encode())  # noqa: S324 - RFC 6455, 4.2.2
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {b64encode(accept.digest()).decode()}",
            *([f"Sec-WebSocket-Protocol: {spoken}"] if spoken else []),
        ]
        self._session.transport.write("\r\n".join([*lines, "", ""]).encode())
        self._session.transport.set_protocol(self)
        self._session.transport.pause_reading()  # `hello` comes before any answer
        self._session.greeted = self._session.transport.resume_reading
        socket = self._session.transport.get_extra_info("socket")
        if socket is not None and self._session.transport.get_extra_info("sslcontext") is None:
            self._session.fd = socket.fileno()

    # what comes

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._is_deaf:
            return
        wire = self._wired()
        wire.receive_data(data)
        for event in wire.events():
            if isinstance(event, CloseConnection):
                self._agree(event)
            elif not self._session.is_ended:
                self._take(event)

    def _take(self, event: Event) -> None:
        self._session.answered()
        if isinstance(event, Ping):
            self._send(event.response())
        elif isinstance(event, TextMessage | BytesMessage):
            self._collect(event)

    def _collect(self, event: TextMessage | BytesMessage) -> None:
        part = event.data
        self._size += len(part.encode() if isinstance(part, str) else part)
        if self._size > self._max_bytes:
            return self._fail(CloseReason.MESSAGE_TOO_BIG)
        self._parts.append(part if isinstance(part, str) else bytes(part))
        if event.message_finished and not self._session.is_ended:
            message = self._parts[0][:0].join(self._parts)  # type: ignore[arg-type]
            self._parts, self._size = [], 0
            self._session.hear(message)
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over. Its socket is closed after this."""
        if self._patience is not None:
            self._patience.cancel()
        why = self._session.why
        self._session.closed(why.code if why else self._code)
        self._gone()

    # the end

    def hang_up(self) -> None:
        """Close from here, as the session says why. Who takes no bytes cannot be told it."""
        why = self._session.why
        assert why is not None
        if why is STALLED and self._session.backlog():
            self._session.transport.abort()
        else:
            self._close(why.code, why.name)

    def _agree(self, event: CloseConnection) -> None:
        """The other side closes, or agrees that we do; or what it sent is no frame."""
        self._session.stop()
        if self._wired().state in {ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING}:
            return self._fail(CloseReason(event.code))
        self._code = int(event.code)
        if self._patience is None:
            self._send(event.response())
        return self._session.transport.close()

    def _fail(self, code: CloseReason) -> None:
        """Say what is wrong. What still comes is thrown away, or it would undo our close frame."""
        self._session.stop()
        self._is_deaf, self._code = True, int(code)
        self._close(code, "")
        if self._session.transport.can_write_eof():
            self._session.transport.write_eof()  # the server ends it first (RFC 6455, 7.1.1)

    def _close(self, code: int, reason: str) -> None:
        """Send a close frame, and wait for the other's; not for long."""
        if self._patience is not None:
            return
        loop, transport = asyncio.get_running_loop(), self._session.transport
        self._patience = loop.call_later(CLOSE_S, transport.abort)
        self._send(CloseConnection(code, reason or None))

    def _send(self, event: Event) -> None:
        self._session.transport.write(self._wired().send(event))

    def _wired(self) -> Connection:
        if self._wire is None:
            self._wire = Connection(ConnectionType.SERVER)
        return self._wire
