"""The feed protocol `stoppress.v1.json`: messages, cursors, close codes. Pure.

Every message is one JSON object in a text frame, told apart by `type`. docs/feed.md is written for
those who implement the other side.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from service.errors import SubscriberError
from service.model import Entry, Health, PageRef, PageStatus

SUBPROTOCOL = "stoppress.v1.json"
CLOUDEVENTS_SUBPROTOCOL = "cloudevents.json"
SCHEMA = "stoppress.v1"
_ID = r"(\d{1,15})-(\d{1,18})"


class StreamId(Struct, frozen=True, order=True):
    """The id of a Redis stream entry. Only those of one stream have an order."""

    ms: int = 0
    number: int = 0

    @classmethod
    def of(cls, text: bytes) -> StreamId:
        """Read `1745572620000-0`."""
        ms, number = text.split(b"-")
        return cls(int(ms), int(number))

    def __str__(self) -> str:
        return f"{self.ms}-{self.number}"


StreamName = Literal["events", "alerts"]


class Position(Struct, frozen=True):
    """How far a reader has got in each of a deployment's two streams.

    The streams have no common order: of two positions each can be the further one in one of them.
    All that a reader passes on its way has an order.
    """

    deployment: str
    events: StreamId = StreamId()
    alerts: StreamId = StreamId()

    def in_(self, stream: StreamName) -> StreamId:
        """How far in that stream."""
        return self.events if stream == "events" else self.alerts

    def past(self, stream: StreamName, at: StreamId) -> Position:
        """The position once this entry of a stream has been read too."""
        if stream == "events":
            return Position(self.deployment, at, self.alerts)
        return Position(self.deployment, self.events, at)

    def covers(self, other: Position) -> bool:
        """Is it as far as the other one, or further, in both streams?"""
        return self.events >= other.events and self.alerts >= other.alerts

    def joined(self, other: Position) -> Position:
        """In each stream the further of the two."""
        events, alerts = max(self.events, other.events), max(self.alerts, other.alerts)
        return Position(self.deployment, events, alerts)

    def __str__(self) -> str:
        return f"{self.events}.{self.alerts}"


def cursor(position: Position) -> str:
    """The opaque string for a position."""
    return urlsafe_b64encode(f"v1.{position.deployment}.{position}".encode()).rstrip(b"=").decode()


def position(text: str) -> Position:
    """The position in a cursor. Raises SubscriberError when it is none of ours."""
    try:
        padded = text.encode() + b"=" * (-len(text) % 4)
        plain = urlsafe_b64decode(padded).decode()
    except (binascii.Error, UnicodeError):
        plain = ""
    found = re.fullmatch(rf"v1\.([0-9a-z]{{1,32}})\.{_ID}(?:\.{_ID})?", plain, re.ASCII)
    if found is None:
        raise SubscriberError(
            "cursor.malformed",
            "this is no cursor",
            where="cursor",
            fix="send one that a message of this feed carried, or none",
        )
    events, alerts = (int(found[2]), int(found[3])), (int(found[4] or 0), int(found[5] or 0))
    return Position(found[1], StreamId(*events), StreamId(*alerts))


class KnownEntry(Struct, frozen=True):
    """An entry as it is known, in a snapshot. changed: when it was seen to have become so."""

    entry: Entry
    revision: int
    baseline: bool
    removed: bool
    changed: datetime | None = None


class Limits(Struct, frozen=True):
    """What a subscriber may send: length of a message, how many, subscriptions at once."""

    message_bytes: int
    messages_per_minute: int
    subscriptions: int


class Hello(Struct, frozen=True, tag_field="type", tag="hello"):
    """First message. cursor: where the stream ends now. oldest: the oldest that can be resumed."""

    cursor: str
    oldest: str
    heartbeat_s: float
    limits: Limits
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
    """One event. event: a CloudEvent in its structured JSON form. sent: when that was (RFC 3339).

    So whoever reads it knows how late each part was: `entry.published`, the event's `time`, `sent`.
    """

    cursor: str
    sent: str
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


class Subscribed(Struct, frozen=True, tag_field="type", tag="subscribed"):
    """The subscription counts from here on; the snapshots before this are of its pages."""

    id: str


class Unsubscribed(Struct, frozen=True, tag_field="type", tag="unsubscribed"):
    """The subscription counts no more."""

    id: str


Message = (
    Hello
    | PageSnapshot
    | EventMessage
    | CursorMessage
    | HealthMessage
    | Reset
    | Pong
    | Error
    | Subscribed
    | Unsubscribed
)


class Ping(Struct, frozen=True, tag_field="type", tag="ping"):
    """A client asks whether we are there."""


Values = tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...]


class Filters(Struct, frozen=True, forbid_unknown_fields=True):
    """The filters of a subscription, named as in an address."""

    page: Values = ()
    type: Values = ()
    label: Values = ()
    author: Values = ()
    text: Values = ()


class Subscribe(Struct, frozen=True, tag_field="type", tag="subscribe", forbid_unknown_fields=True):
    """A client wants to see more. id: to name the subscription by."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    filter: Filters = Filters()


class Unsubscribe(
    Struct, frozen=True, tag_field="type", tag="unsubscribe", forbid_unknown_fields=True
):
    """A client wants to see no more of that subscription."""

    id: str


Said = Ping | Subscribe | Unsubscribe


class Close(Struct, frozen=True):
    """Why a connection ends. Codes 4000-4499: reconnect. 4500-4999: don't."""

    code: int
    name: str


GOING_AWAY = Close(4001, "going-away")
STALLED = Close(4002, "stalled")
BROKEN = Close(4003, "internal-error")
BAD_CLIENT = Close(4500, "bad-messages")
TOO_FAST = Close(4501, "too-many-messages")
CLOSES = (GOING_AWAY, STALLED, BROKEN, BAD_CLIENT, TOO_FAST)


def encode(message: Message | Said) -> bytes:
    """A message as the payload of a text frame."""
    return msgspec.json.encode(message)


def tag_of(message: Message) -> str:
    """The `type` of a message."""
    return str(message.__struct_config__.tag)


def heard(payload: str | bytes) -> Said:
    """A client's message. Raises SubscriberError when it is none."""
    try:
        return _SAID.decode(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        what = f"not understood: {error}"
        fix = "a message is a JSON object with the type ping, subscribe or unsubscribe"
        raise SubscriberError("message.unknown", what, fix=fix) from None


_SAID: msgspec.json.Decoder[Said] = msgspec.json.Decoder(Said)
