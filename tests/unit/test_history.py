"""Revisions read back from events: who said what, when, and what differs."""

from __future__ import annotations

import zlib

import pytest

from service.errors import CorruptionError
from service.events import EntryEvent
from service.history import as_of, difference, packed, revisions, unpacked
from service.model import PageState
from service.terminal import marked, told
from tests.pages import at, entry, new_state, page_of
from tests.unit.test_diff import see


def lived() -> tuple[PageState, list[EntryEvent]]:
    """Entry 2 is edited twice and withdrawn; entry 3 comes at minute 10."""
    two = [entry(2, text=words) for words in ("Two dead.", "Two dead, five hurt.", "Three dead.")]
    pages = [
        page_of([entry(1), two[0]], minute=5),
        page_of([entry(1), two[1], entry(3)], minute=10),
        page_of([entry(1), two[2], entry(3)], minute=15),
        *(page_of([entry(1), entry(3)], minute=20 + n) for n in range(3)),
    ]
    state, events = new_state(), []
    for page in pages:
        _, state, new = see(state, page)
        events += [event for event in new if isinstance(event, EntryEvent)]
    return state, events


def test_every_revision_of_an_entry_is_there_with_when_it_was_seen() -> None:
    kept = revisions(lived()[1], "e2")
    assert [(one.revision, one.time, one.is_removal) for one in kept] == [
        (1, at(5), False),
        (2, at(10), False),
        (3, at(15), False),
        (3, at(22), True),
    ]
    assert kept[0].baseline
    assert kept[3].observed.at == at(20)


@pytest.mark.parametrize(
    ("minute", "seen"),
    [
        (4, {}),
        (5, {"e1": 1, "e2": 1}),
        (12, {"e1": 1, "e2": 2, "e3": 1}),
        (99, {"e1": 1, "e2": 3, "e3": 1}),
    ],
)
def test_a_page_as_it_was_at_any_moment(minute: int, seen: dict[str, int]) -> None:
    page = as_of(lived()[1], at(minute))
    assert {one.entry.id: one.revision for one in page} == seen
    assert [one.entry.id for one in page] == sorted(seen, reverse=True)


def test_a_page_as_it_is_now_agrees_with_its_state() -> None:
    state, events = lived()
    now = {one.entry.id: (one.entry, one.is_removal) for one in as_of(events)}
    assert now == {key: (known.entry, known.removed) for key, known in state.entries.items()}


def test_any_two_revisions_are_compared_word_by_word() -> None:
    first, _, third, _ = (one.entry for one in revisions(lived()[1], "e2"))
    assert difference(first, third) == {
        "body": (("delete", "Two"), ("insert", "Three"), ("equal", " dead."))
    }
    assert difference(first, first) == {}


def test_what_is_kept_comes_back_as_it_was() -> None:
    events = lived()[1]
    kept = [(b"1-1", {b"event": packed(event)}) for event in events]
    assert unpacked(kept) == events


@pytest.mark.parametrize("kept", [b"", b"no zlib", zlib.compress(b"{}")])
def test_what_is_no_revision_is_named_as_such(kept: bytes) -> None:
    with pytest.raises(CorruptionError):
        unpacked([(b"1-1", {b"event": kept})])


def test_a_revision_is_told_with_its_words_marked() -> None:
    _, second, third, gone = revisions(lived()[1], "e2")
    assert "[-Two-]{+Three+} dead[-, five hurt-]." in told(third).plain
    assert "figure" in told(third).plain
    assert "withdrawn" in told(gone).plain
    assert "\x1b" not in marked((("insert", "\x1b[31mred"),)).plain
    assert told(second).plain.startswith("  2  2025-04-25 12:10:00 UTC")
