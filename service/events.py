"""Events: CloudEvents 1.0, their data, their ids and chain, and both wire forms. Pure.

In Redis every attribute is a field of the stream entry and `data` is JSON; on a socket an event is
one JSON object (CloudEvents JSON format 1.0, section 3). `sequence` and `previousid` are extension
attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import MAXYEAR, UTC, datetime
from typing import Any, Literal, assert_never

import msgspec
from msgspec import Struct

from service.errors import CorruptionError
from service.model import Entry, Health, PageRef, PageStatus, digest

EntryType = Literal[
    "stoppress.entry.published",
    "stoppress.entry.edited",
    "stoppress.entry.removed",
    "stoppress.entry.restored",
]
PageType = Literal[
    "stoppress.page.opened",
    "stoppress.page.updated",
    "stoppress.page.paused",
    "stoppress.page.resumed",
    "stoppress.page.ended",
    "stoppress.page.degraded",
    "stoppress.page.recovered",
]
AlertType = Literal[
    "stoppress.alert.raised", "stoppress.alert.updated", "stoppress.alert.retracted"
]
AlertState = Literal["raised", "updated", "retracted"]

Kind = Literal[
    "none", "correction", "figure", "polarity", "name", "label", "append", "typo", "rewrite"
]
Run = tuple[Literal["equal", "delete", "insert"], str]


class Significance(Struct, frozen=True):
    """What an edit amounts to, and the words that show it."""

    kind: Kind
    evidence: tuple[str, ...] = ()


class Observed(Struct, frozen=True):
    """after: the last good poll that did not show this, if any. at: the first that did."""

    after: datetime | None
    at: datetime


class EntryData(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Data of an entry event. All from `changed` on belong to edits alone.

    uncertain: it is published or removed, and may also be an entry whose id has changed.
    gained: labels that the entry did not have before.
    """

    page: PageRef
    entry: Entry
    revision: int
    baseline: bool
    observed: Observed
    uncertain: bool = False
    changed: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()
    edits: dict[str, tuple[Run, ...]] = {}
    significance: Significance | None = None

    def __post_init__(self) -> None:
        if self.revision < 1:
            raise ValueError("revision counts from 1")


class PageData(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Data of a page event. at: the moment that the page gives for a pause or a resumption.

    next: the address at which the page says that its coverage goes on, once it has ended here.
    """

    page: PageRef
    status: PageStatus
    observed: Observed
    summary: str | None = None
    at: datetime | None = None
    next: str | None = None
    health: Health | None = None
    changed: tuple[str, ...] = ()
    edits: dict[str, tuple[Run, ...]] = {}


class Listed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the entries that an alert is about. withdrawn: it is not what was told any more."""

    entry: str
    title: str | None = None
    url: str | None = None
    withdrawn: bool = False


class AlertData(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Data of an alert event. event: id of the entry event that raised it.

    entries: where the alert is about several entries of the page, all of them, oldest first.
    """

    alert: str
    rule: str
    priority: Literal["high", "normal"]
    page: PageRef
    entry: Entry
    event: str
    reason: str
    deadline: datetime
    entries: tuple[Listed, ...] = ()


class Attributes(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The CloudEvents context attributes that all events share."""

    specversion: Literal["1.0"]
    id: str
    source: str
    subject: str
    time: str
    datacontenttype: Literal["application/json"]
    sequence: str | None = None
    previousid: str | None = None

    @property
    def number(self) -> int:
        """`sequence` as a number; 0 for an event outside of a page's chain."""
        return int(self.sequence or 0)

    @property
    def observed_at(self) -> datetime:
        """`time` as a datetime."""
        return datetime.fromisoformat(self.time)


class EntryEvent(Attributes, frozen=True, kw_only=True):
    """An entry was published, edited, removed or restored."""

    type: EntryType
    data: EntryData


class PageEvent(Attributes, frozen=True, kw_only=True):
    """Something happened to a page as a whole, or to our sight of it."""

    type: PageType
    data: PageData


class AlertEvent(Attributes, frozen=True, kw_only=True):
    """An alert was raised, updated or retracted."""

    type: AlertType
    data: AlertData

    @property
    def state(self) -> AlertState:
        """The state that the alert is in after this event."""
        match self.type:
            case "stoppress.alert.raised":
                return "raised"
            case "stoppress.alert.updated":
                return "updated"
            case "stoppress.alert.retracted":
                return "retracted"
            case _:
                assert_never(self.type)


Event = EntryEvent | PageEvent | AlertEvent


class CanaryData(Struct, frozen=True):
    """every_s: a next one is due after so many seconds."""

    every_s: float


class CanaryEvent(Attributes, frozen=True, kw_only=True):
    """No news: it shows that the way from the poller to whoever reads this is open.

    Outside of all chains, and shown to nobody who did not ask for it.
    """

    type: Literal["stoppress.canary"]
    data: CanaryData


StreamEvent = Event | CanaryEvent


def canary(at: datetime, every_s: float) -> CanaryEvent:
    """The canary of this moment."""
    time = rfc3339(at)
    return CanaryEvent(
        specversion="1.0",
        id=digest("canary", time),
        source="stoppress:poller",
        type="stoppress.canary",
        subject="canary",
        time=time,
        datacontenttype="application/json",
        data=CanaryData(every_s),
    )


class EntryChange(Struct, frozen=True):
    """An entry event before it has its place in the chain. content: digest of what is now true."""

    type: EntryType
    data: EntryData
    content: str


class PageChange(Struct, frozen=True):
    """A page event before it has its place in the chain."""

    type: PageType
    data: PageData
    content: str


Change = EntryChange | PageChange


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: 2025-04-25T09:17:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def chain(
    changes: Sequence[Change], *, sequence: int, previousid: str | None, at: datetime
) -> list[EntryEvent | PageEvent]:
    """Give changes their place after event number `sequence` with id `previousid`; at: event time.

    The id depends on place and content, not on when or by whom it was seen, so that two pollers
    (or one that retries) that see the same change after the same state make the same event.
    """
    events: list[EntryEvent | PageEvent] = []
    for change in changes:
        sequence += 1
        page = change.data.page
        subject = change.data.entry.id if isinstance(change, EntryChange) else page.id
        attributes: dict[str, Any] = {
            "specversion": "1.0",
            "id": digest(previousid, page.id, sequence, change.type, subject, change.content),
            "source": page.url,
            "subject": subject,
            "time": rfc3339(at),
            "datacontenttype": "application/json",
            "sequence": f"{sequence:020d}",
            "previousid": previousid,
        }
        if isinstance(change, EntryChange):
            events.append(EntryEvent(type=change.type, data=change.data, **attributes))
        else:
            events.append(PageEvent(type=change.type, data=change.data, **attributes))
        previousid = attributes["id"]
    return events


# --- wire forms ----------------------------------------------------------------------------------

ATTRIBUTES = (
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "sequence",
    "previousid",
    "datacontenttype",
)
_FAMILIES: dict[str, type[StreamEvent]] = {
    "entry": EntryEvent,
    "page": PageEvent,
    "alert": AlertEvent,
    "canary": CanaryEvent,
}


def to_json(event: StreamEvent) -> bytes:
    """The structured JSON form of CloudEvents."""
    return msgspec.json.encode(event)


def to_fields(event: StreamEvent) -> dict[str, bytes]:
    """The fields of a Redis stream entry; absent attributes are absent fields."""
    fields = {
        name: str(value).encode()
        for name in ATTRIBUTES
        if (value := getattr(event, name, None)) is not None
    }
    fields["data"] = msgspec.json.encode(event.data)
    return fields


def structured(fields: Mapping[bytes, bytes]) -> bytes:
    """The structured JSON form, made from stream fields without decoding `data`.

    Raises CorruptionError when a required field is absent.
    """
    try:
        known = {
            name: fields[name.encode()].decode() for name in ATTRIBUTES if name.encode() in fields
        }
        return msgspec.json.encode(known | {"data": msgspec.Raw(fields[b"data"])})
    except (KeyError, UnicodeDecodeError) as error:
        raise CorruptionError(
            "event.malformed", f"a stream entry is no event: {error!r}"
        ) from error


def from_json(data: bytes) -> StreamEvent:
    """The event in a structured JSON form. Raises CorruptionError when it is none of ours."""
    try:
        kind = msgspec.json.decode(data, type=_Typed).type
        event = msgspec.json.decode(data, type=_FAMILIES[kind.split(".")[1]])
        _check_time(event.observed_at)
        return event
    except (msgspec.MsgspecError, KeyError, IndexError, ValueError, RecursionError) as error:
        raise CorruptionError(
            "event.malformed",
            f"not an event of this version: {error}",
            fix="see docs/events.md for what an event holds",
        ) from error


def _check_time(moment: datetime) -> None:
    if moment.tzinfo is None or moment.year == MAXYEAR:
        raise ValueError(f"{moment} is no time that one can reckon with")


def from_fields(fields: Mapping[bytes, bytes]) -> StreamEvent:
    """The event in a Redis stream entry. Raises CorruptionError when it is none of ours."""
    return from_json(structured(fields))


class _Typed(Struct):
    type: str
