"""Word-level edits between two texts: what a reader would mark in red and green.

Owns how text is cut into words and how two texts are compared. It never normalises: every character
of both texts comes back, in order. What an edit means is for `service.significance`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import groupby, takewhile
from typing import Literal

from rapidfuzz.distance import Indel

from service.events import Run

# The comparison takes one bit for each pair of words. Beyond this (12.5 MB: 10,000 words all
# changed) the differing middle is given as one replacement, so that no page decides our memory.
MAX_COMPARED_PAIRS = 100_000_000

# `\w` leaves combining marks out, yet they are parts of words (Arabic vowels, Devanagari, Polish in
# two code points), and so are joiners. The first plane holds the scripts that news is written in.
MARKS = (
    "".join(
        mark for mark in map(chr, range(0x300, 0x1_0000)) if unicodedata.category(mark)[0] == "M"
    )
    + "\u200c\u200d"
)
# Written without spaces, so that a whole sentence would be one word: one character is one word.
IDEOGRAPH = "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
_LETTER = f"(?:(?!{IDEOGRAPH})[\\w{MARKS}])"
_TOKEN = re.compile(
    rf"\s+|{IDEOGRAPH}"
    rf"|{_LETTER}+(?:(?:['’\-‐‑]|(?<=\d)[.,:٫٬](?=\d)){_LETTER}+)*(?:(?<=\d)[%٪])?"
    rf"|.[{MARKS}]*",
    re.DOTALL,
)


def tokens(text: str) -> list[str]:
    """Text as words, runs of white space and single punctuation marks. Joined they are `text`.

    A word keeps its inner apostrophes and hyphens, a number its inner separators and per cent sign.
    """
    return _TOKEN.findall(text)


def edits(before: str, after: str) -> tuple[Run, ...]:
    """The smallest set of word changes from one text to the other, as runs in reading order.

    Joined, equal and delete runs give `before`, equal and insert runs give `after`. Between two
    equal runs stand at most one delete and then at most one insert, and no run is empty.
    """
    return tuple(_merged(_pieces(_spaced(before), _spaced(after))))


# A word with the white space before it. Only words are compared: white space that happens to stand
# on both sides would otherwise hold two different sentences together word by word.
_Spaced = tuple[str, str]


def _spaced(text: str) -> list[_Spaced]:
    """Every word with its leading space. The last is an empty word, after any trailing space."""
    pairs, space = [], ""
    for token in tokens(text):
        if token.isspace():
            space = token
        else:
            pairs.append((space, token))
            space = ""
    return [*pairs, (space, "")]


def _pieces(old: list[_Spaced], new: list[_Spaced]) -> Iterator[Run]:
    old_at = new_at = 0
    for old_start, new_start, count in _matches([w for _, w in old], [w for _, w in new]):
        yield from _replaced(old[old_at:old_start], new[new_at:new_start])
        old_at, new_at = old_start + count, new_start + count
        for (old_space, word), (new_space, _) in zip(
            old[old_start:old_at], new[new_start:new_at], strict=True
        ):
            yield from _space(old_space, new_space)
            yield ("equal", word)


def _replaced(old: list[_Spaced], new: list[_Spaced]) -> Iterator[Run]:
    if old and new:
        yield from _space(old[0][0], new[0][0])
        old, new = [("", old[0][1]), *old[1:]], [("", new[0][1]), *new[1:]]
    yield ("delete", "".join(space + word for space, word in old))
    yield ("insert", "".join(space + word for space, word in new))


def _space(old: str, new: str) -> tuple[Run, ...]:
    return (("equal", old),) if old == new else (("delete", old), ("insert", new))


def _matches(old: list[str], new: list[str]) -> Iterator[tuple[int, int, int]]:
    """Stretches of words that both hold: start in old, start in new, length. In order."""
    head = _shared(old, new)
    tail = _shared(reversed(old[head:]), reversed(new[head:]))
    yield 0, 0, head
    yield from (
        (head + old_start, head + new_start, count)
        for old_start, new_start, count in _inner(
            old[head : len(old) - tail], new[head : len(new) - tail]
        )
    )
    yield len(old) - tail, len(new) - tail, tail


def _shared(old: Iterable[str], new: Iterable[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))


def _inner(old: list[str], new: list[str]) -> Iterator[tuple[int, int, int]]:
    if len(old) * len(new) > MAX_COMPARED_PAIRS:
        return
    numbers: dict[str, int] = {}  # rapidfuzz compares hashes; numbers cannot collide
    coded = [[numbers.setdefault(word, len(numbers)) for word in words] for words in (old, new)]
    for op in Indel.opcodes(*coded):
        if op.tag == "equal":
            yield op.src_start, op.dest_start, op.src_end - op.src_start


def _merged(pieces: Iterable[Run]) -> Iterator[Run]:
    filled = (piece for piece in pieces if piece[1])
    for same, group in groupby(filled, key=lambda piece: piece[0] == "equal"):
        if same:
            yield ("equal", "".join(text for _, text in group))
        else:
            yield from _delete_first(list(group))


_CHANGES: tuple[Literal["delete", "insert"], ...] = ("delete", "insert")


def _delete_first(changes: list[Run]) -> Iterator[Run]:
    for op in _CHANGES:
        if text := "".join(text for change, text in changes if change == op):
            yield (op, text)
