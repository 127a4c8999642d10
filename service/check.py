"""What `stoppress check` tells of a page: what its source sees, and what is wrong with it. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import datetime

import msgspec
from rich.table import Table
from rich.text import Text

from service.errors import PageError
from service.model import Entry, Head, Selectors, Snapshot
from service.plain import plain
from service.sources import css
from service.sources.base import Document
from service.suggest import suggest


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome as `--json` prints it."""

    ok: bool
    where: str
    source: str | None = None
    variant: str = ""
    head: Head | None = None
    entries: tuple[Entry, ...] = ()
    problems: tuple[str, ...] = ()


def report(where: str, snapshot: Snapshot) -> Report:
    """What a snapshot shows, with everything a person should know before following the page."""
    return Report(
        ok=True,
        where=where,
        source=snapshot.source,
        variant=snapshot.variant,
        head=snapshot.head,
        entries=snapshot.entries,
        problems=tuple(_problems(snapshot)),
    )


def refusal(where: str, error: PageError) -> Report:
    """Why a page cannot be read."""
    return Report(ok=False, where=where, problems=(str(error),))


def proposals(where: str, document: Document) -> Iterator[Text]:
    """Selectors that may read a page that no source knows, as the options that choose them."""
    for number, one in enumerate(suggest(document), 1):
        yield Text(f"{number}. {one.count} elements, such as:", style="bold")
        for sample in one.samples:
            yield Text(f"   {plain(sample)}", style="dim")
        yield Text(f"   stoppress check {shlex.quote(where)} {_options(one.selectors)}\n")


def _options(selectors: Selectors) -> str:
    chosen = msgspec.to_builtins(selectors)
    labels = chosen.pop("labels", {})
    pairs = chosen | {f"labels.{label}": selector for label, selector in labels.items()}
    return " ".join(
        f"--select {shlex.quote(f'{name}={selector}')}"
        for name, selector in pairs.items()
        if selector
    )


def matches(document: Document) -> Table:
    """How often each selector matched, and the first thing that it matched."""
    rows = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("what", "selector", "matches", "the first"):
        rows.add_column(name, no_wrap=name != "the first")
    for one in css.matched(document):
        count = Text(f"{one.count} of {one.of}", style="" if one.count else "bold red")
        rows.add_row(one.name, Text(one.selector), count, Text(plain(one.sample or "-")))
    return rows


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
