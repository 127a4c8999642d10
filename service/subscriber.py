"""What a subscriber makes of the feed: its messages (docs/feed.md), and the chain. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, get_args

import msgspec
from msgspec import Struct

from service.errors import CorruptionError
from service.events import (
    AlertEvent,
    AlertType,
    Attributes,
    CanaryEvent,
    EntryEvent,
    EntryType,
    PageEvent,
    PageType,
    from_json,
)
from service.model import Entry, Health, PageRef, PageStatus

REMEMBERED = 1000  # ids of events given, for each page and of alerts
EVENT_TYPES = frozenset(k for one in (EntryType, PageType, AlertType) for k in get_args(one))


class Hello(Struct, frozen=True):
    """Connected. resumed: what was missed follows; else snapshots do: forget what you knew."""

    type: ClassVar[str] = "hello"
    cursor: str
    oldest: str
    heartbeat_s: float
    resumed: bool = False


class KnownEntry(Struct, frozen=True):
    """An entry in a snapshot."""

    entry: Entry
    revision: int
    baseline: bool
    removed: bool


class Snapshot(Struct, frozen=True):
    """All that is known of a page, up to and with its event number `sequence`."""

    type: ClassVar[str] = "snapshot"
    page: PageRef
    status: PageStatus
    health: Health
    sequence: int
    entries: tuple[KnownEntry, ...]
    summary: str | None = None


class EventMessage(Struct, frozen=True):
    """One event of a page. raw: its JSON as it came. sent: when the gateway passed it on."""

    type: ClassVar[str] = "event"
    event: EntryEvent | PageEvent
    cursor: str
    raw: bytes
    sent: datetime | None = None


class AlertMessage(Struct, frozen=True):
    """An alert was raised, updated or retracted. They come when the filter names them."""

    type: ClassVar[str] = "alert"
    event: AlertEvent
    cursor: str
    raw: bytes
    sent: datetime | None = None


class Position(Struct, frozen=True):
    """The position has moved on, or all snapshots are in."""

    type: ClassVar[str] = "cursor"
    cursor: str


class PageHealth(Struct, frozen=True):
    """How well a page is seen."""

    type: ClassVar[str] = "health"
    page: str
    health: Health


class Canary(Struct, frozen=True):
    """A sign of life from a poller, through the stream. They come when the filter names them."""

    type: ClassVar[str] = "canary"
    event: CanaryEvent
    cursor: str


class Reset(Struct, frozen=True):
    """Something was missed that cannot be given back: forget all you knew. Snapshots follow."""

    type: ClassVar[str] = "reset"
    reason: str


class Lost(Struct, frozen=True):
    """There is no connection; the next try is in `retry_s`."""

    type: ClassVar[str] = "lost"
    reason: str
    retry_s: float


Message = (
    Hello | Snapshot | EventMessage | AlertMessage | Canary | Position | PageHealth | Reset | Lost
)


# --- reading -------------------------------------------------------------------------------------


class _Typed(Struct):
    type: str


class _EventWire(Struct):
    event: msgspec.Raw
    cursor: str
    sent: datetime | None = None


class _PageOnly(Struct):
    page: PageRef


class UnknownEvent(Attributes, frozen=True, kw_only=True):
    """An event of a type that this version does not know. It is part of the chain all the same."""

    type: str
    data: _PageOnly
    cursor: str = ""


_TYPES: dict[str, type[Hello | Snapshot | Position | PageHealth | Reset]] = {
    one.type: one for one in (Hello, Snapshot, Position, PageHealth, Reset)
}


def decoded(text: str) -> Message | UnknownEvent | None:
    """A message; None for a type that this version does not know. Raises CorruptionError."""
    try:
        kind = msgspec.json.decode(text, type=_Typed).type
        if kind == "event":
            wire = msgspec.json.decode(text, type=_EventWire)
            return _event(wire)
        known = _TYPES.get(kind)
        return msgspec.json.decode(text, type=known) if known else None
    except (ValueError, RecursionError) as error:  # all of msgspec's are a ValueError
        raise CorruptionError(
            "feed.unreadable",
            f"no message of the feed: {error}",
            fix="is the gateway of a newer version than this client?",
        ) from error


def _event(wire: _EventWire) -> EventMessage | AlertMessage | Canary | UnknownEvent | None:
    """None for an event that should have a place in a chain, and has none."""
    raw = bytes(wire.event)
    try:
        event = from_json(raw)
        if isinstance(event, CanaryEvent):
            return Canary(event, wire.cursor)
        if isinstance(event, AlertEvent):
            return AlertMessage(event, wire.cursor, raw, wire.sent)
        return EventMessage(event, wire.cursor, raw, wire.sent) if event.number else None
    except CorruptionError:
        unknown = msgspec.json.decode(raw, type=UnknownEvent)
        if unknown.type in EVENT_TYPES:
            raise
        return msgspec.structs.replace(unknown, cursor=wire.cursor) if unknown.number else None


# --- the chain -----------------------------------------------------------------------------------


def remember(given: dict[str, None], event: Attributes) -> None:
    """Know this event again when it comes a second time."""
    given[event.id] = None
    if len(given) > REMEMBERED:
        del given[next(iter(given))]


class Chain:
    """One page's events as far as we have them. given: ids, to know them when they come again."""

    def __init__(self) -> None:
        self.given: dict[str, None] = {}
        self._number: int | None = None  # of the last event
        self._last: str | None = None  # its id, if it was not in a snapshot

    def begin(self, number: int | None) -> None:
        """Expect what follows this number; any event without one."""
        self._number, self._last = number, None

    def fits(self, event: Attributes) -> bool:
        """Is no event missing between the last one and this?"""
        if self._number is None or self._last is None:
            return self._number is None or event.number <= self._number + 1
        return event.previousid == self._last

    def go_on(self, event: Attributes) -> None:
        """This one has come."""
        remember(self.given, event)
        if self._last is None or self._number is None or event.number > self._number:
            self._number, self._last = event.number, event.id
