"""Whether an event is what a condition asks for, and which parts of it are so. Pure.

A condition is looked at in three views of an event: as it is, as its entry was before an edit, and
as its entry is now apart from what the event does. What a view cannot know is None (Kleene's logic
of three values), so that nobody guesses.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import islice

from msgspec import Struct

from service.events import EntryEvent
from service.model import Entry
from service.rules import Condition, folded, regex

# So much of an entry is read: a page must not decide how long a rule takes.
TEXT_CHARACTERS = 20_000
LINES = 500

# Written without spaces between words: Thai, Lao, Burmese, Khmer, kana, ideographs.
_UNSPACED = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x4DBF)),
    *((0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)),
)
_NAMED = {
    "label": "the label",
    "author": "the author",
    "word": "the word",
    "phrase": "the phrase",
    "regex": "the pattern",
}


class Trace(Struct, frozen=True, omit_defaults=True):
    """What became of a condition, or of one part of it.

    what: `all`, `any`, `not`, or the part's name. holds: None when that can't be known.
    wanted: the values of a part; found: those of them that are there; has: what is there instead.
    """

    what: str
    holds: bool | None
    wanted: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    has: tuple[str, ...] = ()
    parts: tuple[Trace, ...] = ()


class View:
    """What a condition looks at. None is for what isn't known.

    labels: those that the entry has; absent: those that it is known not to have, None where these
    are all others. lines: its headline and the lines of its text. type, kind: of the event; ""
    where there is no event to look at.
    """

    def __init__(
        self,
        *,
        page: str,
        labels: frozenset[str],
        absent: frozenset[str] | None = None,
        authors: tuple[str, ...] | None,
        lines: tuple[str, ...] | None,
        type: str | None,  # noqa: A002 - as in a condition
        kind: str | None,
    ) -> None:
        self.page, self.labels, self.absent = page, labels, absent
        self.authors, self.lines = authors, lines
        self.type, self.kind = type, kind

    @cached_property
    def folded(self) -> tuple[str, ...] | None:
        """The lines in one spelling."""
        return None if self.lines is None else tuple(map(folded, self.lines))


class Views:
    """The three views of an event of an entry."""

    def __init__(self, event: EntryEvent) -> None:
        data = event.data
        self._event = event
        self.type = event.type.removeprefix("stoppress.entry.")
        self.kind = data.significance.kind if data.significance else ""
        self._lines = lines(data.entry.title, data.entry.text)

    @cached_property
    def event(self) -> View:
        """The event as it is."""
        return self._now(self.type, self.kind)

    @cached_property
    def entry(self) -> View:
        """The entry as it now is, whatever has just happened to it."""
        return self._now(None, None)

    @cached_property
    def before(self) -> View:
        """The entry as it was before this edit, when nothing happened to it."""
        data = self._event.data
        return View(
            page=data.page.id,
            labels=frozenset(data.entry.labels) - frozenset(data.gained),
            absent=frozenset(data.gained) if "labels" in data.changed else None,
            authors=None if "authors" in data.changed else _names(data.entry),
            lines=self._lines_before(),
            type="",
            kind="",
        )

    def _now(self, type_: str | None, kind: str | None) -> View:
        entry = self._event.data.entry
        return View(
            page=self._event.data.page.id,
            labels=frozenset(entry.labels),
            authors=_names(entry),
            lines=self._lines,
            type=type_,
            kind=kind,
        )

    def _lines_before(self) -> tuple[str, ...] | None:
        """From the words of the edit; they give back the text before it."""
        data = self._event.data
        now = {"title": data.entry.title or "", "body": data.entry.text}
        texts = []
        for name, text in now.items():
            runs = data.edits.get(name)
            if name == "title" and name in data.changed and runs is None:
                return None
            kept = (words for op, words in runs or () if op != "insert")
            texts.append(text if runs is None else "".join(kept))
        return self._lines if not data.edits else lines(*texts)


def _names(entry: Entry) -> tuple[str, ...]:
    return tuple(author.name for author in entry.authors)


def lines(title: str | None, text: str) -> tuple[str, ...]:
    """A headline and a text as lines with single spaces, as far as they are read."""
    whole = f"{title or ''}\n{text}"[:TEXT_CHARACTERS]
    spaced = (" ".join(line.split()) for line in whole.split("\n"))
    return tuple(islice(filter(None, spaced), LINES))


# --- judging -------------------------------------------------------------------------------------


def traced(condition: Condition, view: View) -> Trace:
    """What becomes of a condition in a view. Never raises, whatever the text."""
    parts = tuple(_parts(condition, view))
    return parts[0] if len(parts) == 1 else Trace("all", _every(parts), parts=parts)


def _parts(condition: Condition, view: View) -> Iterator[Trace]:
    if condition.page:
        found = [each for each in condition.page if fnmatchcase(view.page, each)]
        yield _part("page", condition.page, found, has=(view.page,))
    if condition.label:
        found = [each for each in condition.label if each in view.labels]
        has = tuple(sorted(view.labels))
        is_open = view.absent is not None and not view.absent.issuperset(condition.label)
        yield _part("label", condition.label, found, has=has, is_open=is_open)
    if condition.author:
        named = {folded(name) for name in view.authors or ()}
        found = [each for each in condition.author if folded(each) in named]
        yield _part(
            "author", condition.author, found, has=view.authors or (), is_open=view.authors is None
        )
    yield from _texts(condition, view)
    for name, wanted, value in (
        ("type", condition.type, view.type),
        ("kind", condition.kind, view.kind),
    ):
        if wanted:
            found = [each for each in wanted if each == value]
            yield _part(
                name, wanted, found, has=tuple(filter(None, [value])), is_open=value is None
            )
    if condition.all:
        parts = tuple(traced(each, view) for each in condition.all)
        yield Trace("all", _every(parts), parts=parts)
    if condition.any:
        parts = tuple(traced(each, view) for each in condition.any)
        yield Trace("any", _some(parts), parts=parts)
    if condition.not_ is not None:
        part = traced(condition.not_, view)
        yield Trace("not", None if part.holds is None else not part.holds, parts=(part,))


def _texts(condition: Condition, view: View) -> Iterator[Trace]:
    is_open = view.lines is None
    for name, wanted in (("word", condition.word), ("phrase", condition.phrase)):
        if wanted:
            found = [each for each in wanted if _is_said(folded(each), view.folded or ())]
            yield _part(name, wanted, found, is_open=is_open)
    if condition.regex:
        # As bytes: half of a surrogate pair, should one have come, is no UTF-8.
        texts = [line.encode("utf-8", "replace") for line in view.lines or ()]
        found = [each for each in condition.regex if any(map(regex(each).search, texts))]
        yield _part("regex", condition.regex, found, is_open=is_open)


def _part(
    what: str,
    wanted: Sequence[str],
    found: list[str],
    *,
    has: tuple[str, ...] = (),
    is_open: bool = False,
) -> Trace:
    holds = True if found else None if is_open else False
    return Trace(what, holds, tuple(wanted), tuple(found), () if found else has)


def _every(parts: Iterable[Trace]) -> bool | None:
    values = [part.holds for part in parts]
    return False if False in values else None if None in values else True


def _some(parts: Iterable[Trace]) -> bool | None:
    values = [part.holds for part in parts]
    return True if True in values else None if None in values else False


# --- words ---------------------------------------------------------------------------------------


def _is_said(needle: str, lines: Sequence[str]) -> bool:
    return any(_stands_in(needle, line) for line in lines)


def _stands_in(needle: str, line: str) -> bool:
    """Does it stand in the line as words of its own? Both are folded."""
    at = line.find(needle)
    while at >= 0:
        if _is_edge(line, at) and _is_edge(line, at + len(needle)):
            return True
        at = line.find(needle, at + 1)
    return False


def _is_edge(line: str, at: int) -> bool:
    """Can a word begin or end there? Not inside of letters, nor of a number such as 12,000."""
    if at in (0, len(line)):
        return True
    left, right = line[at - 1], line[at]
    if right in ".,":
        return not (left.isdigit() and line[at + 1 : at + 2].isdigit())
    if left in ".,":
        return not (right.isdigit() and line[max(0, at - 2) : at - 1].isdigit())
    is_within = _is_letter(left) and _is_letter(right)
    return not is_within or _is_unspaced(left) or _is_unspaced(right)


def _is_letter(char: str) -> bool:
    return char.isalnum() or char == "_" or unicodedata.category(char)[0] == "M"


def _is_unspaced(char: str) -> bool:
    return any(first <= ord(char) <= last for first, last in _UNSPACED)


# --- in words ------------------------------------------------------------------------------------


def told(now: Trace, before: Trace | None = None) -> list[str]:
    """What made a condition hold, in words: `the label breaking`, `the word drone`.

    before: the same condition in another view; what held there already is left out.
    """
    if now.holds is not True or now.what == "not" or (before and before.holds is True):
        return []
    if now.what in _NAMED:
        old = before.found if before else ()
        return [f"{_NAMED[now.what]} {each}" for each in now.found if each not in old]
    earlier: Sequence[Trace | None] = before.parts if before else [None] * len(now.parts)
    return [
        words for each, was in zip(now.parts, earlier, strict=True) for words in told(each, was)
    ]
