"""The `text` source: a live page as a person copies it, as numbered entries.

Owns that layout and nothing else. What is a label, an author, a picture or a list is told by where
a line stands and how it begins, never by the words of a title.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NoReturn

import msgspec
from msgspec import Struct

from service.errors import PageError
from service.model import (
    Author,
    Block,
    Entry,
    Head,
    Image,
    Line,
    ListBlock,
    Media,
    Paragraph,
    Snapshot,
    Video,
    digest,
)
from service.sources import times
from service.sources.base import Document, Memo, Source, body_text, decode, distinct, form
from service.sources.html import collapse

NAME = "text"
DEFAULT_ZONE = "Europe/London"

# "  1. Titlepublished at 10:17 …": less indented than the text of an entry.
_HEADING = re.compile(
    r"^ {0,3}\d{1,6}\. (?P<title>.*)"
    r"(?:(?<=\S)published at\b|published at(?=\s\d{1,2}:\d\d))(?P<time>.*)$"
)
_LINE_END = re.compile(r"\r\n|\r|\n")
_IMAGE = re.compile(r"(?P<alt>.*)Image source,(?P<credit>.*)")
_CAPTION = re.compile(r"(?P<kind>Image|Video|Media) caption,(?P<words>.*)")
_BULLET = "•"
_WATCH = "Watch: "
# A post without a headline is given this one.
_UNTITLED = "Post"
_BREAKING = "Breaking"
_AUTHOR_MAX_CHARS = 60

Group = Sequence[str]


class _Raw(Struct, frozen=True):
    """One entry as lines: those right under the heading, then the groups between empty lines."""

    title: str
    time: str
    groups: tuple[Group, ...]


def detects(document: Document) -> bool:
    """Text, neither HTML nor JSON, with at least one entry heading."""
    text = decode(document)
    return form(document, text) == "text" and any(map(_HEADING.match, _LINE_END.split(text)))


def parse(document: Document, _memo: Memo | None = None) -> Snapshot:
    """Read the page. Raises PageError for an empty body, another form, and text without entries."""
    text = body_text(document)
    if (seen := form(document, text)) != "text":
        _refuse_form(document, seen)
    lines = _LINE_END.split(text)
    starts = [index for index, line in enumerate(lines) if _HEADING.match(line)]
    if not starts:
        raise PageError(
            "page.no_entries",
            "the text has no entries",
            where=document.url,
            fix='an entry begins with a line like "1. Title published at 10:17 GMT 25 April"',
        )
    raws = [_raw(part) for part in _parts(lines, starts)]
    moments = [_when(raw, document) for raw in raws]
    names = distinct([_name(raw, moment) for raw, moment in zip(raws, moments, strict=True)])
    read = list(zip(raws, moments, names, strict=True))
    return Snapshot(
        source=NAME,
        head=_head(document, lines[: starts[0]]),
        entries=tuple(_entry(*one, position) for position, one in enumerate(read, start=1)),
        seen_at=document.seen_at,
        undated=tuple(name for _, moment, name in read if moment and not moment.dated),
        warnings=tuple(
            f'entry {position}: the time "{raw.time}" is not understood'
            for position, (raw, moment, _) in enumerate(read, start=1)
            if moment is None
        ),
    )


def _refuse_form(document: Document, seen: str) -> NoReturn:
    raise PageError(
        "page.malformed",
        f"the page is {seen}, not plain text",
        where=document.url,
        fix="leave the source out, so that it is chosen from the page",
    )


# --- head ----------------------------------------------------------------------------------------


def _head(document: Document, lines: Sequence[str]) -> Head:
    """Title and summary. A page without a title has the first line of its summary as one."""
    words = [line for line in map(collapse, lines) if line]
    split = words.index("Summary") if "Summary" in words else len(words)
    above = " ".join(words[:split])
    under = [line for line in (_uncaptioned(one) for one in words[split + 1 :]) if line]
    return Head(
        title=above or (under[0] if under else None),
        summary="\n".join(under) or None,
        url=document.url or None,
    )


def _uncaptioned(line: str) -> str:
    caption = _CAPTION.match(line)
    return caption["words"].strip() if caption else line


# --- entries -------------------------------------------------------------------------------------


def _parts(lines: Sequence[str], starts: Sequence[int]) -> Iterator[Sequence[str]]:
    for start, end in zip(starts, (*starts[1:], len(lines)), strict=True):
        yield lines[start:end]


def _raw(lines: Sequence[str]) -> _Raw:
    heading = _HEADING.match(lines[0])
    assert heading is not None
    groups: list[list[str]] = [[]]
    for line in map(collapse, lines[1:]):
        if line:
            groups[-1].append(line)
        elif groups[-1] or len(groups) == 1:
            groups.append([])
    return _Raw(collapse(heading["title"]), collapse(heading["time"]), tuple(groups))


def _when(raw: _Raw, document: Document) -> times.When | None:
    zone = document.reading.zone or DEFAULT_ZONE
    return times.when(raw.time, seen_at=document.seen_at, default_zone=zone)


def _name(raw: _Raw, moment: times.When | None) -> str:
    """The id of an entry: its time, without the day when the page does not say it."""
    if moment is None:
        return digest(NAME, raw.title)
    return times.compact(moment.at) if moment.dated else f"T{moment.clock:%H%M}"


def _entry(raw: _Raw, moment: times.When | None, name: str, position: int) -> Entry:
    under, *groups = raw.groups
    is_breaking = under[:1] == [_BREAKING]
    groups = [group for group in (under[1:] if is_breaking else under, *groups) if group]
    author = _author(groups[0]) if groups else None
    reader = _Reader()
    for line in (line for group in groups[author is not None :] for line in group):
        reader.read(line)
    watch = (Video(caption=raw.title.removeprefix(_WATCH)),) if raw.title.startswith(_WATCH) else ()
    return Entry(
        id=name,
        title=None if raw.title in ("", _UNTITLED) else raw.title,
        published=moment.at if moment else None,
        labels=("breaking",) if is_breaking else (),
        authors=(author,) if author else (),
        body=tuple(reader.body),
        media=(*watch, *reader.media),
        position=position,
    )


def _author(group: Group) -> Author | None:
    """A name and a role: two short lines that are neither a picture, a list nor a sentence."""
    if len(group) != 2 or not all(map(_is_short_label, group)):
        return None
    return Author(*group)


def _is_short_label(line: str) -> bool:
    return (
        len(line) <= _AUTHOR_MAX_CHARS
        and not line.startswith(_BULLET)
        and not line.endswith((".", "!", "?", ":"))
        and not _IMAGE.match(line)
        and not _CAPTION.match(line)
    )


class _Reader:
    """Takes the lines of one entry and tells text from what belongs to a picture."""

    def __init__(self) -> None:
        self.body: list[Block] = []
        self.media: list[Media] = []
        self._awaits_caption = False

    def read(self, line: str) -> None:
        if self._awaits_caption:
            self._caption(line)
        elif caption := _CAPTION.match(line):
            self._begin_caption(caption["kind"], caption["words"])
        elif image := _IMAGE.match(line):
            alt, credit = image["alt"].strip(), image["credit"].strip()
            self.media.append(Image(alt=alt or None, credit=credit or None))
        elif line.startswith(_BULLET):
            self._item(Line(line.removeprefix(_BULLET).strip()))
        else:
            self.body.append(Paragraph(line))

    def _begin_caption(self, kind: str, words: str) -> None:
        """What follows "Image caption,": on the same line, or else the next block."""
        last = self.media[-1] if self.media else None
        if kind != "Image":
            self.media.append(Video())
        elif not isinstance(last, Image) or last.caption is not None:
            self.media.append(Image())
        self._awaits_caption = True
        if words.strip():
            self._caption(words.strip())

    def _caption(self, line: str) -> None:
        self.media[-1] = msgspec.structs.replace(self.media[-1], caption=line)
        self._awaits_caption = False

    def _item(self, item: Line) -> None:
        last = self.body[-1] if self.body else None
        if isinstance(last, ListBlock):
            self.body[-1] = ListBlock((*last.items, item))
        else:
            self.body.append(ListBlock((item,)))


SOURCE = Source(NAME, detects, parse)
