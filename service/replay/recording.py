"""A recorded page with its script, read and checked before anything is served."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import msgspec
from msgspec import Struct

from service import sources
from service.errors import ConfigError, PageError
from service.model import Entry, Head, Snapshot
from service.replay.forms import Recorded
from service.replay.script import Placed, beside, placed, read_script
from service.replay.timeline import Timeline, build
from service.sources.base import Document, decode

DEFAULT_WINDOW = 20
_FIRST_ENTRY = re.compile(r"^[ \t]*1\. ", re.MULTILINE)


class Recording(Struct, frozen=True):
    """A page's final state and what else it did. preamble: the text above its entries."""

    path: Path
    head: Head
    preamble: str
    recorded: tuple[Recorded, ...]
    items: tuple[Placed, ...] = ()

    def timeline(self, window: int = DEFAULT_WINDOW) -> Timeline:
        """The page step by step; window: how many entries it shows."""
        return build(self.recorded, self.items, window=window)


def load(path: Path, *, now: datetime) -> Recording:
    """The recording in a text file, with the script beside it if there is one.

    Its times have no year: they are read as seen at the end of the day that the file name gives
    (YYYY-MM-DD), or else `now`. Raises ConfigError in one line.
    """
    document = _document(path, now)
    recorded = _recorded(path, snapshot := _snapshot(document, path))
    script = beside(path)
    recording = Recording(
        path=path,
        head=msgspec.structs.replace(snapshot.head, url=None),
        preamble=_preamble(decode(document)),
        recorded=recorded,
        items=placed(read_script(script), script),
    )
    recording.timeline()  # a script that doesn't fit is refused here
    return recording


def _document(path: Path, now: datetime) -> Document:
    try:
        body = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            "recording.missing", "no such file", where=str(path), fix="give a recorded page as text"
        ) from None
    except OSError as error:
        what = error.strerror or str(error)
        raise ConfigError("recording.unreadable", what, where=str(path)) from error
    return Document(
        url=path.absolute().as_uri(),
        body=body,
        content_type="text/plain; charset=utf-8",
        seen_at=sources.recorded_at(path.name) or now,
    )


def _snapshot(document: Document, path: Path) -> Snapshot:
    try:
        return sources.read(document, "text")
    except PageError as error:
        raise ConfigError(
            "recording.malformed",
            error.what,
            where=str(path),
            fix="a recording is the text of a live page with its numbered entries",
        ) from error


def _recorded(path: Path, snapshot: Snapshot) -> tuple[Recorded, ...]:
    """The entries under ids that stay the same whatever becomes of their words."""
    name = uuid5(NAMESPACE_URL, f"stoppress:recording:{path.name}")
    return tuple(
        Recorded(
            number=number,
            at=_published(path, number, entry),
            entry=msgspec.structs.replace(entry, id=f"asset:{uuid5(name, str(number))}", url=None),
        )
        for number, entry in enumerate(snapshot.entries, start=1)
    )


def _published(path: Path, number: int, entry: Entry) -> datetime:
    if entry.published is None:
        raise ConfigError(
            "recording.malformed",
            f"entry {number} has no time",
            where=str(path),
            fix='write it as "published at 10:17 British Summer Time 25 April"',
        )
    return entry.published


def _preamble(text: str) -> str:
    found = _FIRST_ENTRY.search(text)
    return text[: found.start()] if found else ""
