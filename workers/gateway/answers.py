"""What the gateway answers over HTTP, as types: docs/feed.md, and the OpenAPI document. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from service.errors import StoppressError
from service.events import AlertState, Listed, Run
from service.history import Revision
from service.model import Entry, Health, Page, PageRef, PageStatus
from service.rules import RuleSettings
from workers.gateway.protocol import KnownEntry


class PageSummary(Struct, frozen=True):
    """A page that is followed. entry_count: without what was withdrawn."""

    page: PageRef
    status: PageStatus
    summary: str | None
    health: Health
    sequence: int
    entry_count: int


class PageDetails(PageSummary, frozen=True):
    """One page with its entries. cursor: to go on from in the feed."""

    cursor: str
    entries: tuple[KnownEntry, ...]


class Pages(Struct, frozen=True):
    """All pages that the asker may see."""

    pages: tuple[PageSummary, ...]


class Followed(Struct, frozen=True):
    """A page that was asked for. is_new: it was not followed before."""

    page: Page
    is_new: bool


class KnownRule(Struct, frozen=True):
    """A rule for alerts. is_fixed: it is in the settings of the gateway."""

    name: str
    rule: RuleSettings
    is_fixed: bool


class Rules(Struct, frozen=True):
    """All rules. unread: by name, what is wrong with those that nobody can follow."""

    rules: tuple[KnownRule, ...]
    unread: dict[str, str]


class Entries(Struct, frozen=True):
    """A part of a page's entries, newest first. next: `after` of the following part, if any."""

    entries: tuple[KnownEntry, ...]
    next: int | None


class Events(Struct, frozen=True):
    """What follows a position, and the position after it. events: CloudEvents."""

    cursor: str
    events: tuple[msgspec.Raw, ...]


class History(Struct, frozen=True):
    """Every entry of a page as it was at a moment. kept_since: what was before is forgotten."""

    kept_since: datetime
    entries: tuple[Revision, ...]


class Revisions(Struct, frozen=True):
    """All that is kept of an entry, oldest first."""

    revisions: tuple[Revision, ...]


class Difference(Struct, frozen=True):
    """What differs between two revisions, word by word, by field."""

    edits: dict[str, tuple[Run, ...]]


class AlertChange(Struct, frozen=True):
    """One event of an alert. id: of that event. event: of the entry event that it comes from.

    seen: the poll that it comes from. at: when it stood on the alerts stream, by the clock there.
    """

    id: str
    state: AlertState
    reason: str
    event: str
    seen: datetime
    at: datetime


class AlertLag(Struct, frozen=True):
    """Where time was lost before an alert was raised. published: the publisher's clock, if given.

    seen_s: from being published to the poll that saw it. raised_s: from there to the alerts stream.
    """

    published: datetime | None
    seen: datetime
    raised: datetime
    seen_s: float | None
    raised_s: float


class Alert(Struct, frozen=True):
    """An alert and what became of it. entry: as it was when that happened last.

    entries: all of them, where it is about several.
    history: oldest first; what was trimmed is left out. lag: null once the raising was trimmed.
    """

    alert: str
    rule: str
    priority: str
    state: AlertState
    page: PageRef
    entry: Entry
    deadline: datetime
    lag: AlertLag | None
    history: tuple[AlertChange, ...]
    entries: tuple[Listed, ...] = ()


class Alerts(Struct, frozen=True):
    """A part of the alerts, newest first. next: `after` of the following part, if any."""

    alerts: tuple[Alert, ...]
    next: int | None


class Push(Struct, frozen=True):
    """What a browser needs to subscribe. key: its `applicationServerKey`, in base64url."""

    key: str


class PushSubscribed(Struct, frozen=True):
    """Pushes go there from now on. id: to end that by. is_new: they did not before."""

    id: str
    is_new: bool


class Status(Struct, frozen=True):
    """The answer to a probe."""

    status: Literal["ok", "ready"]


class Problem(Struct, frozen=True):
    """Problem details (RFC 9457). code: stable; title and detail are for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str


def problem(error: StoppressError, status: int) -> Problem:
    """An error as problem details."""
    return Problem("about:blank", error.what, status, error.code, str(error))
