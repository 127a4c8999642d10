"""The feed protocol `stoppress.v1.json`: messages, cursors, close codes. Pure.

Every message is one JSON object in a text frame, told apart by `type`. docs/feed.md is written for
those who implement the other side.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec
from msgspec import Struct

from service.errors import SubscriberError
from service.model import Entry, Health, PageRef, PageStatus

SUBPROTOCOL = "stoppress.v1.json"
SCHEMA = "stoppress.v1"


class StreamId(Struct, frozen=True, order=True):
    """The id of a Redis stream entry."""

    ms: int
    number: int

    @classmethod
    def of(cls, text: bytes) -> StreamId:
        """Read `1745572620000-0`."""
        ms, number = text.split(b"-")
        return cls(int(ms), int(number))

    def __str__(self) -> str:
        return f"{self.ms}-{self.number}"


BEGINNING = StreamId(0, 0)


def cursor(position: StreamId) -> str:
    """The opaque string for a position."""
    return urlsafe_b64encode(f"v1.0.{position}".encode()).rstrip(b"=").decode()


def position(text: str) -> StreamId:
    """The position in a cursor. Raises SubscriberError when it is none of ours."""
    try:
        padded = text.encode() + b"=" * (-len(text) % 4)
        plain = urlsafe_b64decode(padded).decode()
    except (binascii.Error, UnicodeError):
        plain = ""
    found = re.fullmatch(r"v1\.0\.(\d{1,15})-(\d{1,18})", plain)
    if found is None:
        raise SubscriberError(
            "cursor.malformed",
            "this is no cursor",
            where="cursor",
            fix="send one that a message of this feed carried, or none",
        )
    return StreamId(int(found[1]), int(found[2]))


class KnownEntry(Struct, frozen=True):
    """An entry as it is known, in a snapshot."""

    entry: Entry
    revision: int
    baseline: bool
    removed: bool


class Hello(Struct, frozen=True, tag_field="type", tag="hello"):
    """First message. cursor: where the stream ends now. oldest: the oldest that can be resumed."""

    cursor: str
    oldest: str
    heartbeat_s: float
    limits: dict[str, int]
    schema: str = SCHEMA


class PageSnapshot(Struct, frozen=True, tag_field="type", tag="snapshot"):
    """All that is known of one page. cursor: where the stream stood when this was true."""

    cursor: str
    page: PageRef
    status: PageStatus
    summary: str | None
    health: Health
    sequence: int
    entries: tuple[KnownEntry, ...]


class EventMessage(Struct, frozen=True, tag_field="type", tag="event"):
    """One event. event: a CloudEvent in its structured JSON form."""

    cursor: str
    event: msgspec.Raw


class CursorMessage(Struct, frozen=True, tag_field="type", tag="cursor"):
    """The position moved on, though nothing matched."""

    cursor: str


class HealthMessage(Struct, frozen=True, tag_field="type", tag="health"):
    """How well a page is seen: when that changes, and with every heartbeat."""

    page: str
    health: Health


class Reset(Struct, frozen=True, tag_field="type", tag="reset"):
    """What was missed cannot be given back: forget everything, snapshots follow."""

    reason: str


class Pong(Struct, frozen=True, tag_field="type", tag="pong"):
    """Answer to a client's ping."""


class Error(Struct, frozen=True, tag_field="type", tag="error"):
    """What a client sent was not understood. The connection goes on."""

    code: str
    detail: str


Message = Hello | PageSnapshot | EventMessage | CursorMessage | HealthMessage | Reset | Pong | Error


class Ping(Struct, frozen=True, tag_field="type", tag="ping"):
    """A client asks whether we are there."""


class Close(Struct, frozen=True):
    """Why a connection ends. Codes 4000-4499: reconnect. 4500-4999: don't."""

    code: int
    name: str


GOING_AWAY = Close(4001, "going-away")
STALLED = Close(4002, "stalled")
BROKEN = Close(4003, "internal-error")
BAD_CLIENT = Close(4500, "bad-messages")
CLOSES = (GOING_AWAY, STALLED, BROKEN, BAD_CLIENT)


def encode(message: Message) -> bytes:
    """A message as the payload of a text frame."""
    return msgspec.json.encode(message)


def answer(payload: str | bytes) -> Pong | Error:
    """What to say to a client's message."""
    try:
        msgspec.json.decode(payload, type=Ping)
    except (msgspec.MsgspecError, RecursionError) as error:
        return Error("message.unknown", f'not understood, only {{"type":"ping"}} is: {error}')
    return Pong()


def problem(error: SubscriberError, status: int) -> dict[str, Any]:
    """Problem details over HTTP (RFC 9457)."""
    return {
        "type": "about:blank",
        "title": error.what,
        "status": status,
        "code": error.code,
        "detail": str(error),
    }
