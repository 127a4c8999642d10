"""What an entry said and when: its revisions, read back from its events. Pure.

Part of the language that everybody may use: the events of a page in their order go in, in whatever
place they were kept.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import cast

from msgspec import Struct

from service.errors import CorruptionError
from service.events import EntryEvent, Observed, Run, Significance, from_json, to_json
from service.model import Entry, content, digest
from service.words import edits

# A page's events hold much the same words again and again; more costs time and saves little.
_LEVEL = 3


class Revision(Struct, frozen=True, kw_only=True):
    """One state of an entry, as an event published it.

    revision: its number. type: of the event. time: when that was published; observed: between which
    polls it happened. edits, significance: against the revision before.
    """

    revision: int
    type: str
    event: str
    time: datetime
    observed: Observed
    entry: Entry
    baseline: bool = False
    uncertain: bool = False
    edits: dict[str, tuple[Run, ...]] = {}
    significance: Significance | None = None

    @property
    def is_removal(self) -> bool:
        """Was the entry withdrawn with this?"""
        return self.type == "stoppress.entry.removed"


def revision_of(event: EntryEvent) -> Revision:
    """What an entry's event says of it."""
    data = event.data
    return Revision(
        revision=data.revision,
        type=event.type,
        event=event.id,
        time=event.observed_at,
        observed=data.observed,
        entry=data.entry,
        baseline=data.baseline,
        uncertain=data.uncertain,
        edits=data.edits,
        significance=data.significance,
    )


def revisions(events: Iterable[EntryEvent], entry: str) -> list[Revision]:
    """All that is kept of one entry, oldest first."""
    return [revision_of(event) for event in events if event.subject == entry]


def as_of(events: Iterable[EntryEvent], moment: datetime | None = None) -> list[Revision]:
    """The last revision of every entry at a moment (None: now), newest entry first.

    An entry that was withdrawn by then is there with its removal.
    """
    last: dict[str, Revision] = {}
    for event in events:
        if moment is None or event.observed_at <= moment:
            last[event.subject] = revision_of(event)
    return sorted(last.values(), key=_age, reverse=True)


def _age(revision: Revision) -> tuple[float, str]:
    published = revision.entry.published
    return (published.timestamp() if published else 0.0, revision.entry.id)


def difference(before: Entry, after: Entry) -> dict[str, tuple[Run, ...]]:
    """Word by word what differs between any two revisions, by text field."""
    return text_edits(before, after, changed_fields(before, after))


def changed_fields(before: Entry, after: Entry) -> tuple[str, ...]:
    """Names of the fields whose change is an edit, in the order of `content`."""
    old, new = content(before), content(after)
    return tuple(name for name in new if digest(old[name]) != digest(new[name]))


def text_edits(before: Entry, after: Entry, changed: Sequence[str]) -> dict[str, tuple[Run, ...]]:
    """Word-level runs of the text fields that changed: `title`, and `body` for the entry's text."""
    runs = {}
    if "title" in changed:
        runs["title"] = edits(before.title or "", after.title or "")
    if "body" in changed and before.text != after.text:
        runs["body"] = edits(before.text, after.text)
    return runs


# --- as it is kept -------------------------------------------------------------------------------


def packed(event: EntryEvent) -> bytes:
    """An event as a page's history keeps it: its JSON form, compressed (RFC 1950)."""
    return zlib.compress(to_json(event), _LEVEL)


def unpacked(answer: object) -> list[EntryEvent]:
    """The events in what Redis answers to XRANGE.

    Raises CorruptionError when one of them is none of ours.
    """
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", answer)
    return [_unpacked(fields[b"event"]) for _, fields in entries]


def _unpacked(kept: bytes) -> EntryEvent:
    try:
        event = from_json(zlib.decompress(kept))
    except zlib.error as error:
        raise CorruptionError(
            "history.malformed", f"a kept revision cannot be read: {error}"
        ) from error
    if not isinstance(event, EntryEvent):
        raise CorruptionError("history.malformed", f"a {event.type} is no revision of an entry")
    return event
