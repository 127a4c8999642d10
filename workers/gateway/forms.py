"""The bytes of what is said to subscribers, in each form that they can ask for. Pure.

`v1`: WebSocket, messages of `stoppress.v1.json`. `cloudevents`: WebSocket, bare CloudEvents.
`sse`: server-sent events (WHATWG HTML, 9.2) as chunks of an HTTP/1.1 body (RFC 9112, 7.1).
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from typing import Literal

import msgspec

from workers.gateway.protocol import (
    CLOUDEVENTS_SUBPROTOCOL,
    SUBPROTOCOL,
    CursorMessage,
    EventMessage,
    Message,
    encode,
    tag_of,
)

Form = Literal["v1", "cloudevents", "sse"]
FORM_OF: dict[str | None, Form] = {
    None: "v1",
    SUBPROTOCOL: "v1",
    CLOUDEVENTS_SUBPROTOCOL: "cloudevents",
}
# A ping without words (RFC 6455, 5.5.2), and a comment.
PING: dict[Form, bytes] = {
    "v1": b"\x89\x00",
    "cloudevents": b"\x89\x00",
    "sse": b"3\r\n:\n\n\r\n",
}
_TEXT = 0x81  # a whole text message
_SHORT, _LONG = 126, 65_536
# What the feed itself says has ids that nothing else said has (CloudEvents 1.0, `id`).
_PROCESS, _NUMBERS = secrets.token_hex(6), itertools.count(1)


def text_frame(payload: bytes) -> bytes:
    """A text message in one frame, as a server sends it: not masked (RFC 6455, 5.2)."""
    size = len(payload)
    if size < _SHORT:
        return bytes((_TEXT, size)) + payload
    if size < _LONG:
        return bytes((_TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT, 127)) + size.to_bytes(8, "big") + payload


def chunk(data: bytes) -> bytes:
    """Data as one chunk of a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event_bytes(form: Form, cursor: str, event: bytes, sent: str) -> bytes:
    """An event. event: its structured JSON form. sent: when this was (RFC 3339)."""
    return _EVENT[form](cursor, event, sent)


def message_bytes(form: Form, message: Message) -> bytes:
    """Any other message."""
    return _MESSAGE[form](message)


def _v1_event(cursor: str, event: bytes, sent: str) -> bytes:
    return text_frame(encode(EventMessage(cursor, sent, msgspec.Raw(event))))


def _bare_event(cursor: str, event: bytes, sent: str) -> bytes:
    """The event with position and time as extension attributes."""
    return text_frame(
        b'{"cursor":"%b","sent":"%b",%b' % (cursor.encode(), sent.encode(), event[1:])
    )


def _sse_event(cursor: str, event: bytes, sent: str) -> bytes:
    return chunk(
        b'id: %b\nevent: event\ndata: {"sent":"%b",%b\n\n'
        % (cursor.encode(), sent.encode(), event[1:])
    )


def _v1_message(message: Message) -> bytes:
    return text_frame(encode(message))


def _bare_message(message: Message) -> bytes:
    """What is no event of a page is one of the feed's own."""
    kind, own = tag_of(message).encode(), f"{_PROCESS}-{next(_NUMBERS)}".encode()
    return text_frame(
        b'{"specversion":"1.0","id":"%b","source":"/v1/feed","type":"stoppress.feed.%b",'
        b'"datacontenttype":"application/json","data":%b}' % (own, kind, encode(message))
    )


def _sse_message(message: Message) -> bytes:
    """A message named by its type. Only a position that one can come back to is an id."""
    place = b"id: %b\n" % message.cursor.encode() if isinstance(message, CursorMessage) else b""
    # An empty id: after a reset there is no position until the snapshots are in.
    place = b"id\n" if tag_of(message) == "reset" else place
    return chunk(b"%bevent: %b\ndata: %b\n\n" % (place, tag_of(message).encode(), encode(message)))


_EVENT: dict[Form, Callable[[str, bytes, str], bytes]] = {
    "v1": _v1_event,
    "cloudevents": _bare_event,
    "sse": _sse_event,
}
_MESSAGE: dict[Form, Callable[[Message], bytes]] = {
    "v1": _v1_message,
    "cloudevents": _bare_message,
    "sse": _sse_message,
}
