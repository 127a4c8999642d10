"""Events as lines for people. Page text brings no colours and no control characters of its own."""

from __future__ import annotations

from datetime import datetime, tzinfo

from rich.text import Text

from service.events import EntryEvent, Event, PageEvent, Run
from service.history import Revision
from service.model import Entry
from service.plain import plain

_VERBS = {
    "stoppress.entry.published": ("new", "green"),
    "stoppress.entry.edited": ("edited", "yellow"),
    "stoppress.entry.removed": ("withdrawn", "red"),
    "stoppress.entry.restored": ("restored", "cyan"),
}
_CONTEXT_WORDS = 4
_WIDTH = 10


def line(event: Event, zone: tzinfo | None = None) -> Text:
    """One event as one line. zone: of the times; None for the machine's own."""
    match event:
        case EntryEvent():
            return _entry_line(event, zone)
        case PageEvent():
            return _page_line(event, zone)
        case _:
            return _row("alert", "bold red", event.data.entry, event.data.reason, zone)


def _entry_line(event: EntryEvent, zone: tzinfo | None) -> Text:
    entry = event.data.entry
    verb, style = _VERBS[event.type]
    if "breaking" in entry.labels and verb in {"new", "edited"}:
        verb, style = "BREAKING", "bold white on red"
    if event.type == "stoppress.entry.edited":
        return _row(verb, style, entry, _change(event), zone)
    note = "already there" if event.data.baseline else ""
    return _row(verb, style, entry, note, zone)


def _row(verb: str, style: str, entry: Entry, note: str, zone: tzinfo | None) -> Text:
    when = entry.published.astimezone(zone).strftime("%H:%M") if entry.published else "--:--"
    said = plain(entry.title or entry.text or entry.id)
    row = Text.assemble((when, "dim"), " ", (f" {verb} ", style), " " * (_WIDTH - len(verb)), said)
    if note:
        row.append(f"  {plain(note)}", style="dim")
    return row


def _change(event: EntryEvent) -> str:
    """What an edit did: its kind, and the words that changed with a few around them."""
    significance = event.data.significance
    kind = significance.kind if significance else "edited"
    runs = next(iter(event.data.edits.values()), ())
    shown = excerpt(runs) or ", ".join(significance.evidence if significance else ())
    return f"{kind}: {shown}" if shown else kind


def excerpt(runs: tuple[Run, ...]) -> str:
    """The first change in word-level runs: "…killed [Two → Three] people…"."""
    for place, (op, text) in enumerate(runs):
        if op == "equal":
            continue
        after = runs[place + 1] if place + 1 < len(runs) else ("equal", "")
        both = op == "delete" and after[0] == "insert"
        old, new = (text, after[1]) if both else (text, "") if op == "delete" else ("", text)
        rest = runs[place + 1 + both :]
        before = runs[place - 1][1] if place else ""
        return _framed(before, old, new, rest[0][1] if rest else "")
    return ""


def _framed(before: str, old: str, new: str, after: str) -> str:
    lead = " ".join(before.split()[-_CONTEXT_WORDS:])
    tail = " ".join(after.split()[:_CONTEXT_WORDS])
    change = f"[{_short(old)} → {_short(new)}]"
    return " ".join(part for part in (lead, change, tail) if part)


def _short(text: str) -> str:
    words = text.split()
    return " ".join(words[:12]) + (" …" if len(words) > 12 else "") or "∅"


def _page_line(event: PageEvent, zone: tzinfo | None) -> Text:
    data, what = event.data, event.type.rpartition(".")[2]
    when = event.observed_at.astimezone(zone).strftime("%H:%M")
    said = plain(data.page.title or data.page.url)
    if data.health is not None:
        said = f"{said}: {plain(data.health.detail or '')}"
    style = "bold yellow" if what == "degraded" else "bold blue"
    pad = " " * max(0, _WIDTH - len(what))
    return Text.assemble((when, "dim"), " ", (f" {what} ", style), pad, said)


# --- revisions -----------------------------------------------------------------------------------


def listed(revision: Revision) -> Text:
    """An entry with the number of its revision, for a list of entries."""
    entry = revision.entry
    said = plain(entry.title or entry.text or entry.id)
    style = "dim strike" if revision.is_removal else ""
    return Text.assemble(
        (f"{revision.revision:>3}  {_minute(entry.published)}  ", "dim"),
        (f"{plain(entry.id)}  ", "cyan"),
        (said, style),
        ("  withdrawn", "red") if revision.is_removal else "",
    )


def told(revision: Revision) -> Text:
    """One revision: its number, when it was seen, by whom, what it did, and the words."""
    verb, style = _VERBS[revision.type]
    significance = revision.significance
    authors = ", ".join(plain(author.name) for author in revision.entry.authors)
    head = Text.assemble(
        (f"{revision.revision:>3}  {revision.time:%Y-%m-%d %H:%M:%S} UTC  ", "dim"),
        (f" {verb} ", style),
        f"  {significance.kind}" if significance else "",
        f"  by {authors}" if authors else "",
        ("  already there", "dim") if revision.baseline else "",
    )
    if not revision.edits:
        words = [plain(revision.entry.title or ""), plain(revision.entry.text)]
        return Text("\n").join([head, *(Text(f"     {line}") for line in words if line)])
    changes = (Text("     ") + marked(runs) for runs in revision.edits.values())
    return Text("\n").join([head, *changes])


def marked(runs: tuple[Run, ...]) -> Text:
    """Word-level runs with what went struck out in brackets, and what came in braces."""
    shown = Text()
    for op, text in runs:
        words = " ".join(plain(word) for word in text.split(" "))
        match op:
            case "equal":
                shown.append(words)
            case "delete":
                shown.append(f"[-{words}-]", style="red strike")
            case "insert":
                shown.append(f"{{+{words}+}}", style="green")
    return shown


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "-" * 16


def clock(moment: datetime | None, zone: tzinfo | None = None) -> str:
    """A time of day to the second, or a dash."""
    return moment.astimezone(zone).strftime("%H:%M:%S") if moment else "-"
