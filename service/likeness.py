"""Whether an entry under an unknown id is one that has just gone. Pure.

Neither text nor time may rest on one ratio: two goals told in one template are 80 % alike, and one
event told again may be 36 % alike. So an entry is only ever compared with entries that have gone
from the same page in the same poll; its time, or else its place among its neighbours, has to agree;
and it has to be far more like that one than like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from rapidfuzz.distance import Indel

from service.model import Entry

# As like as this, and nothing else nearly so: one entry.
SAME = 0.75
# By so much the best pair must beat every other that either of the two could be in.
MARGIN = 0.15
# As like as this, it cannot be told whether they are one entry or two.
UNCERTAIN = 0.5
# Without times, the text must be as like as this, or the title the same.
NEARLY = 0.95
# Fewer words may be said twice.
TELLING_WORDS = 8
# With more pairs than this, only those are compared that few others agree with.
MOST_PAIRS = 10_000
# Longer texts are compared by their beginnings.
MOST_CHARS = 2_000


class Seen(Struct, frozen=True):
    """An entry and where it stands. under: the nearest older entry that both polls show."""

    entry: Entry
    under: str | None


class Likeness(Struct, frozen=True):
    """same: new ids that are gone entries, by native id. uncertain: ids of which it can't be told,
    new and gone."""

    same: dict[str, str]
    uncertain: frozenset[str]


def likeness(new: Sequence[Seen], gone: Sequence[Seen]) -> Likeness:
    """Which of the new entries are which of those that have gone.

    A pair counts when it beats every rival by the margin. Such pairs are part of the assignment
    with the greatest sum, whatever becomes of the others.
    """
    scores = {
        (one.entry.id, other.entry.id): score
        for one, other in _candidates(new, gone)
        if (score := alike(one, other)) >= UNCERTAIN
    }
    same = {n: g for (n, g), score in scores.items() if _wins((n, g), score, scores)}
    settled = {*same, *same.values()}
    doubtful = frozenset(key for pair in scores for key in pair if key not in settled)
    return Likeness(same, doubtful)


def _candidates(new: Sequence[Seen], gone: Sequence[Seen]) -> list[tuple[Seen, Seen]]:
    """Pairs that agree in time, title or place; the others cannot be one entry."""
    places: dict[object, list[Seen]] = {}
    for other in gone:
        for mark in _marks(other):
            places.setdefault(mark, []).append(other)
    if len(new) * len(gone) > MOST_PAIRS:  # then only what says the same, or nearly
        places = {mark: some for mark, some in places.items() if len(some) <= 2}
    pairs = {
        (one.entry.id, other.entry.id): (one, other)
        for one in new
        for mark in _marks(one)
        for other in places.get(mark, ())
    }
    return list(pairs.values())


def _marks(one: Seen) -> list[object]:
    marks: list[object] = [("under", one.under)]
    if one.entry.published:
        marks.append(one.entry.published)
    if one.entry.title:
        marks.append(one.entry.title)
    marks.append(("begins", *one.entry.text.split(None, TELLING_WORDS)[:TELLING_WORDS]))
    return marks


def _wins(pair: tuple[str, str], score: float, scores: Mapping[tuple[str, str], float]) -> bool:
    rivals = (
        other
        for key, other in scores.items()
        if key != pair and (key[0] == pair[0] or key[1] == pair[1])
    )
    return score >= SAME and all(score >= rival + MARGIN for rival in rivals)


def alike(one: Seen, other: Seen) -> float:
    """From 0 to 1. Half is the text, a fifth the title, the rest that time or place agrees.

    Entries of different times are never one, unless they say the very same at length: then it
    cannot be told.
    """
    new, gone = one.entry, other.entry
    text, title = _ratios(new, gone)
    if not new.published or not gone.published:
        return _untimed(one, other, text, title)
    if new.published == gone.published:
        return 0.5 * text + 0.2 * title + 0.3
    is_told_again = text == title == 1.0 and len(new.text.split()) >= TELLING_WORDS
    return UNCERTAIN if is_told_again else 0.0


def _untimed(one: Seen, other: Seen, text: float, title: float) -> float:
    """Without times: what comes in the place of another in one template is not it."""
    if one.under != other.under:
        return 0.0
    is_told = text >= NEARLY and len(one.entry.text.split()) >= TELLING_WORDS
    is_named = title == 1.0 and bool(one.entry.title)
    score = 0.5 * text + 0.2 * title + 0.3
    return score if is_told or is_named else min(score, UNCERTAIN)


def _ratios(new: Entry, gone: Entry) -> tuple[float, float]:
    """How alike text and title are; one that neither has counts as the other does."""
    text, title = _ratio(new.text, gone.text), _ratio(new.title, gone.title)
    said = [ratio for ratio in (text, title) if ratio is not None] or [0.0]
    return said[0], said[-1]


def _ratio(one: str | None, other: str | None) -> float | None:
    """None when neither says anything."""
    if not one and not other:
        return None
    words = [(text or "")[:MOST_CHARS].split() for text in (one, other)]
    return Indel.normalized_similarity(*words)
