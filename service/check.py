"""What `stoppress check` tells of a page: what its source sees, and what is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec
from rich.table import Table
from rich.text import Text

from service.model import Entry, Head, Snapshot
from service.plain import plain


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome as `--json` prints it."""

    ok: bool
    where: str
    source: str | None = None
    head: Head | None = None
    entries: tuple[Entry, ...] = ()
    problems: tuple[str, ...] = ()


def report(where: str, snapshot: Snapshot) -> Report:
    """What a snapshot shows, with everything a person should know before following the page."""
    return Report(
        ok=True,
        where=where,
        source=snapshot.source,
        head=snapshot.head,
        entries=snapshot.entries,
        problems=tuple(_problems(snapshot)),
    )


def _problems(snapshot: Snapshot) -> Iterator[str]:
    yield from snapshot.warnings
    entries = snapshot.entries
    untimed = sum(entry.published is None for entry in entries)
    if untimed:
        yield f"{untimed} of {len(entries)} entries have no time that can be read"
    silent = sum(not entry.title and not entry.text for entry in entries)
    if silent:
        yield f"{silent} of {len(entries)} entries have neither title nor text"
    if not snapshot.head.title:
        yield "the page has no title"
    ahead = [e for e in entries if e.published and e.published > snapshot.seen_at]
    if ahead:
        yield f"{len(ahead)} entries lie in the future of {_minute(snapshot.seen_at)} UTC"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def table(shown: Report) -> Table:
    """The entries as a table for a terminal."""
    rows = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("#", "published (UTC)", "labels", "title", "text"):
        rows.add_column(name, no_wrap=name != "title")
    for entry in shown.entries:
        rows.add_row(
            str(entry.position),
            _minute(entry.published) if entry.published else "-",
            Text(", ".join(entry.labels), style="bold red" if "breaking" in entry.labels else ""),
            Text(plain(entry.title or "-")),
            f"{len(entry.text.split())} words",
        )
    return rows
