"""The forms that an entry went through, from its final one and the script's edits. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import assert_never

import msgspec
from msgspec import Struct

from service.model import (
    Block,
    Embed,
    Entry,
    Heading,
    Image,
    ListBlock,
    Media,
    Paragraph,
    Quote,
    Table,
    Video,
)
from service.replay.script import Edit, Label, Placed

replace = msgspec.structs.replace
Rewrite = Callable[[str], str]


class Recorded(Struct, frozen=True):
    """An entry of a recording: its number there (1 is the newest) and when it was published."""

    number: int
    at: datetime
    entry: Entry


def forms(final: Entry, edits: Sequence[Placed]) -> list[Entry]:
    """An entry as published, then as it is after each of its edits and labels, given by time.

    Raises ConfigError when an edit's text is not in the entry exactly once.
    """
    entry = final
    for one in edits:
        if isinstance(one.item, Label):
            entry = _labelled(entry, one.item.label)
    found = [entry]
    for one in reversed(edits):
        found.append(_before(found[-1], one))
    return found[::-1]


def _before(entry: Entry, placed: Placed) -> Entry:
    match placed.item:
        case Edit(before=before, after=after):
            _check_words(entry, placed, before, after)
            return _rewritten(entry, lambda text: text.replace(after, before))
        case Label(label=label):
            return replace(entry, labels=tuple(one for one in entry.labels if one != label))
        case _:
            return entry


def _labelled(entry: Entry, label: str) -> Entry:
    return entry if label in entry.labels else replace(entry, labels=(*entry.labels, label))


def _check_words(entry: Entry, placed: Placed, before: str, after: str) -> None:
    if before == after:
        raise placed.refusal("before and after are the same", "say what it said before")
    found = sum(text.count(after) for text in _texts(entry))
    if found != 1:
        times = f"{found} times" if found else "nowhere"
        raise placed.refusal(
            f"after: {after!r} is {times} in the entry", "quote words that it says exactly once"
        )


def _texts(entry: Entry) -> Iterator[str]:
    """Every text of an entry that an edit may change."""
    texts: list[str] = []

    def note(text: str) -> str:
        texts.append(text)
        return text

    _rewritten(entry, note)
    yield from texts


def _rewritten(entry: Entry, rewrite: Rewrite) -> Entry:
    return replace(
        entry,
        title=_maybe(entry.title, rewrite),
        body=tuple(_block(block, rewrite) for block in entry.body),
        media=tuple(_medium(medium, rewrite) for medium in entry.media),
    )


def _maybe(text: str | None, rewrite: Rewrite) -> str | None:
    return None if text is None else rewrite(text)


def _block(block: Block, rewrite: Rewrite) -> Block:
    """A block with its text rewritten. A recording has no links, so no marks move."""
    match block:
        case Paragraph() | Quote() | Heading():
            return replace(block, text=rewrite(block.text))
        case ListBlock():
            items = tuple(replace(item, text=rewrite(item.text)) for item in block.items)
            return replace(block, items=items)
        case Table() | Embed():
            return block
        case Image() | Video():
            return _medium(block, rewrite)
        case _:
            assert_never(block)


def _medium(medium: Media, rewrite: Rewrite) -> Media:
    match medium:
        case Image():
            return replace(
                medium, alt=_maybe(medium.alt, rewrite), caption=_maybe(medium.caption, rewrite)
            )
        case Video():
            return replace(medium, caption=_maybe(medium.caption, rewrite))
        case _:
            assert_never(medium)
