"""What the gateway answers over HTTP, as types: docs/feed.md, and the OpenAPI document. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from service.errors import StoppressError
from service.events import Run
from service.history import Revision
from service.model import Health, Page, PageRef, PageStatus
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
