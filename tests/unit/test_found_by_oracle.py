"""What the oracle found wrong in the core, each cut down to the polls that it takes.

A test that passes now has lost its mark: take the mark away then.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from service.diff import Doubt, Policy, advance, diff
from service.model import Entry, Head, PageState
from tests.pages import at, entry, new_state, page_of


def told(*polls: Iterable[Entry]) -> list[list[str]]:
    """What each poll publishes; entries are given oldest first. A doubted page says "doubt"."""
    state, result = new_state(), []
    for minute, shown in enumerate(polls, start=60):
        said, state = _told(state, list(shown), minute)
        result.append(said)
    return result


def _told(state: PageState, shown: list[Entry], minute: int) -> tuple[list[str], PageState]:
    is_other = shown[0].id == OTHER[0].id
    head = Head(title="Another page") if is_other else None
    snapshot = page_of(shown, minute=minute, head=head)
    step = diff(state, snapshot, Policy())
    if isinstance(step, Doubt):
        return [f"doubt {step.code}"], state
    events, state = advance(state, step, snapshot.seen_at)
    names = [f"{event.type.removeprefix('stoppress.')} {event.subject}" for event in events]
    return names, state


FULL = [entry(number) for number in range(1, 9)]
OTHER = [entry(number) for number in range(20, 27)]


def under_other_ids(entries: Iterable[Entry]) -> list[Entry]:
    return [replace(one, id=f"{one.id}-again") for one in entries]


def test_ids_issued_anew_after_a_page_that_was_cut_short_give_no_event() -> None:
    """jsonld_plain 164, 79: `match._identify` looks only among `meta.window`."""
    assert told(FULL, [FULL[5]], under_other_ids(FULL))[2] == []


def test_a_removal_half_confirmed_outlives_a_page_that_was_cut_short() -> None:
    """bbc_html 118, jsonld_plain 42: the entry stays in the state for good."""
    without = [one for one in FULL if one.id != "e5"]
    thin = [FULL[-1]]
    said = told(FULL, without, thin, without, without, without, without)
    assert ["entry.removed e5"] in said


def test_another_page_right_after_a_page_that_was_cut_short_is_doubted() -> None:
    """jsonld_ap 40: all entries of the other page are published as news."""
    assert told(FULL, [FULL[-2]], OTHER)[2] == ["doubt page.no_overlap"]


def test_entries_below_the_window_are_not_removed_because_an_older_one_was_put_on_top() -> None:
    """jsonld_mirror 12, bbc_data 21: a pinned post where the page has no mark for it."""
    first = FULL[:6]
    after = [*FULL[3:7], FULL[1]]  # e2 on top, e7 new; e1 and e3 have slid out
    assert told(first, after, after, after)[1:] == [["entry.published e7"], [], []]


def test_the_first_wording_of_an_entry_whose_change_is_dated_goes_back_in_time() -> None:
    """jsonld_plain 135: a stale copy of an entry as it was before it was ever changed."""
    now = [*FULL[:-1], entry(8, "As it was changed.", updated=at(30))]
    stale = [*FULL[:-1], entry(8, "As it was before.")]
    assert told(now, stale)[1] == []


def renamed(one: Entry, **fields: object) -> Entry:
    return replace(one, id=f"{one.id}-new-headline", title=f"New {one.title}", **fields)


LONG = "One two three four five six seven eight nine ten words."


def test_an_id_that_moves_with_the_headline_of_the_lowest_entry_is_an_edit() -> None:
    """jsonld_nyt 13, 52, 56: a second entry is published, and the first never changes again."""
    lowest = entry(1, LONG)
    assert told([lowest, *FULL[1:4]], [renamed(lowest), *FULL[1:4]])[1] == ["entry.edited e1"]


def test_an_id_that_moves_with_the_headline_of_a_pinned_entry_is_an_edit() -> None:
    """nyt 17."""
    pinned = entry(4, LONG, labels=("pinned",))
    assert told([*FULL[:3], pinned], [*FULL[:3], renamed(pinned)])[1] == ["entry.edited e4"]


def test_another_page_after_one_that_showed_only_a_withdrawn_entry_is_doubted() -> None:
    """jsonld_ap 40: the entry is coming back, and is all that the page was cut down to."""
    without = [one for one in FULL if one.id != "e7"]
    said = told(FULL, without, without, without, without, [FULL[6]], OTHER)
    assert said[-1] == ["doubt page.no_overlap"]


def test_withdrawals_behind_a_page_that_was_cut_short_do_not_blind_us_for_good() -> None:
    """jsonld_mirror 75: three of eight are gone, but the last window was of one."""
    without = [one for one in FULL if one.id not in ("e3", "e4", "e5")]
    said = told(FULL, [FULL[-1]], without, without, without)
    assert said[-1] == ["entry.removed e3", "entry.removed e4", "entry.removed e5"]


def test_of_two_entries_in_no_order_the_one_that_was_moved_is_no_anchor() -> None:
    """jsonld_ap 94: e4 is pinned on top, and one page is shorter than the others."""
    first = FULL[2:7]  # e3 to e7
    short = [FULL[6], entry(8), entry(9), FULL[3]]
    after = [FULL[5], *short]
    assert told(first, short, after, after, after)[-1] == []
    assert told(first, short, after, after)[-1] == []


def test_one_that_goes_from_the_top_to_the_bottom_does_not_hide_a_withdrawal() -> None:
    """jsonld_mirror 1: an entry is no longer pinned, where the page has no mark for it."""
    first = [*FULL[1:7], FULL[0]]  # e1 is pinned on top
    after = [one for one in FULL[:7] if one.id != "e5"]
    assert told(first, after, after, after)[1:] == [[], [], ["entry.removed e5"]]


def test_an_entry_as_old_as_the_lowest_one_was_withdrawn_if_it_stood_above_it() -> None:
    """css 197."""
    twin = entry(3, id="twin", published=FULL[1].published)
    after = FULL[1:6]
    assert told([*FULL[:2], twin, *FULL[2:6]], after, after, after)[3] == ["entry.removed twin"]
