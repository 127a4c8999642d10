"""What counts as a change at once, what must be confirmed, and what is doubted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest

from service.diff import Doubt, Policy, advance, degraded, diff
from service.events import EntryEvent, PageEvent
from service.model import Clocks, Entry, Head, Health, Mark, PageState, Paragraph, Snapshot
from tests.pages import at, entry, new_state, page_of

POLICY = Policy(confirm_polls=3, mass_loss=0.5, gap_s=3600)
Events = list[EntryEvent | PageEvent]


def see(
    state: PageState, snapshot: Snapshot, clocks: Clocks | None = None, policy: Policy = POLICY
) -> tuple[list[str], PageState, Events]:
    """One poll: what was published as short words, and the state after."""
    step = diff(state, snapshot, policy, clocks)
    assert not isinstance(step, Doubt), step
    events, after = advance(state, step, snapshot.seen_at)
    kinds = [f"{e.type.removeprefix('stoppress.')} {e.subject}" for e in events]
    return kinds, after, events


def opened(*entries: Entry, head: Head | None = None) -> PageState:
    return see(new_state(), page_of(entries, minute=0, head=head))[1]


def doubt(state: PageState, snapshot: Snapshot, clocks: Clocks | None = None) -> str:
    step = diff(state, snapshot, POLICY, clocks)
    assert isinstance(step, Doubt), "believed"
    return step.code


def numbers(*wanted: int) -> list[Entry]:
    return [entry(number) for number in wanted]


def changed(number: int, text: str) -> Entry:
    return entry(number, text=text)


OUTRUN = ["page.degraded page", "page.recovered page"]


def published(*wanted: int) -> list[str]:
    return [f"entry.published e{number}" for number in wanted]


def test_the_first_snapshot_opens_the_page_and_publishes_the_baseline_oldest_first() -> None:
    kinds, _, events = see(new_state(), page_of(numbers(1, 2, 3)))
    assert kinds == ["page.opened page", *published(1, 2, 3)]
    assert all(event.data.baseline for event in events if isinstance(event, EntryEvent))


def test_a_new_entry_is_no_baseline_and_names_the_polls_around_it() -> None:
    kinds, _, events = see(opened(*numbers(1, 2)), page_of(numbers(1, 2, 3), minute=7))
    assert kinds == published(3)
    assert isinstance(events[0], EntryEvent)
    data = events[0].data
    assert not data.baseline
    assert (data.observed.after, data.observed.at) == (at(0), at(7))


def test_several_new_entries_come_oldest_first_whichever_way_the_page_runs() -> None:
    state = opened(*numbers(1, 2))
    down = page_of(numbers(1, 2, 3, 4))
    up = msgspec.structs.replace(down, entries=down.entries[::-1])
    assert see(state, down)[0] == see(state, up)[0] == published(3, 4)


def test_the_same_page_again_is_no_event() -> None:
    state = opened(*numbers(1, 2))
    assert see(state, page_of(numbers(1, 2), minute=5))[0] == []


def test_position_and_update_time_are_no_edit() -> None:
    state = opened(*numbers(1, 2))
    touched = [entry(1, updated=at(9), url="http://x/#1"), entry(2, updated=at(9))]
    assert see(state, page_of(touched))[0] == []


def test_an_edit_says_which_fields_which_words_and_what_it_amounts_to() -> None:
    state = opened(entry(1), entry(2, text="Police say 12 were killed in the blast."))
    edited = changed(2, "Police say 120 were killed in the blast.")
    kinds, after, events = see(state, page_of([entry(1), edited]))
    assert kinds == ["entry.edited e2"]
    assert isinstance(events[0], EntryEvent)
    data = events[0].data
    assert data.changed == ("body",)
    assert [run for run in data.edits["body"] if run[0] != "equal"] == [
        ("delete", "12"),
        ("insert", "120"),
    ]
    assert data.significance is not None
    assert data.significance.kind == "figure"
    assert (data.revision, after.entries["e2"].revision) == (2, 2)


def test_gaining_a_label_is_an_edit_of_labels() -> None:
    kinds, _, events = see(
        opened(*numbers(1, 2)), page_of([entry(1), entry(2, labels=("breaking",))])
    )
    assert kinds == ["entry.edited e2"]
    assert isinstance(events[0], EntryEvent)
    assert events[0].data.changed == ("labels",)


def test_a_time_that_a_copy_leaves_out_is_not_forgotten() -> None:
    assert see(opened(*numbers(1, 2)), page_of([entry(1, published=None), entry(2)]))[0] == []


# going back: confirmed by polls that agree


def confirm(state: PageState, snapshot: Snapshot, polls: int = 2) -> PageState:
    """Polls that agree but are not yet enough."""
    for _ in range(polls):
        kinds, state, _ = see(state, snapshot)
        assert kinds == []
    return state


def test_an_entry_missing_inside_the_window_is_removed_once_three_polls_agree() -> None:
    state = confirm(opened(*numbers(1, 2, 3)), page_of(numbers(1, 3), minute=5))
    kinds, after, events = see(state, page_of(numbers(1, 3), minute=6))
    assert kinds == ["entry.removed e2"]
    assert after.entries["e2"].removed
    assert events[0].data.observed.at == at(5)
    assert see(after, page_of(numbers(1, 3)))[0] == []


def test_the_newest_entry_can_be_withdrawn_too() -> None:
    state = confirm(opened(*numbers(1, 2, 3)), page_of(numbers(1, 2)))
    assert see(state, page_of(numbers(1, 2)))[0] == ["entry.removed e3"]


def test_an_entry_that_comes_back_before_that_was_never_removed() -> None:
    state = confirm(opened(*numbers(1, 2, 3)), page_of(numbers(1, 3)))
    state = confirm(state, page_of(numbers(1, 2, 3)), polls=1)
    state = confirm(state, page_of(numbers(1, 3)))
    assert not state.entries["e2"].removed


def test_new_entries_come_through_while_a_removal_waits() -> None:
    state = confirm(opened(*numbers(1, 2, 3)), page_of(numbers(1, 3)), polls=1)
    kinds, state, _ = see(state, page_of(numbers(1, 3, 4)))
    assert kinds == published(4)
    assert see(state, page_of(numbers(1, 3, 4)))[0] == ["entry.removed e2"]


def test_an_entry_that_leaves_the_bottom_of_the_window_was_not_removed() -> None:
    state = opened(*numbers(1, 2, 3))
    for step in range(4, 9):
        kinds, state, _ = see(state, page_of(numbers(step - 2, step - 1, step)))
        assert kinds == published(step)
    assert not any(known.removed for known in state.entries.values())


def test_a_missing_entry_that_the_window_passes_by_is_dropped_unsaid() -> None:
    state = confirm(opened(*numbers(1, 2, 3, 4)), page_of(numbers(1, 3, 4)), polls=1)
    kinds, state, _ = see(state, page_of(numbers(3, 4, 5)))
    assert kinds == published(5)
    assert state.meta.pending == {}
    assert confirm(state, page_of(numbers(3, 4, 5)), polls=5).entries["e2"].removed is False


def test_a_page_that_is_known_to_be_complete_can_lose_its_oldest_entry() -> None:
    state = see(new_state(), page_of(numbers(1, 2, 3), complete=True))[1]
    without = page_of(numbers(2, 3), complete=True)
    assert see(confirm(state, without), without)[0] == ["entry.removed e1"]


def test_an_entry_that_slides_up_from_below_the_baseline_is_no_news() -> None:
    kinds, _, events = see(opened(*numbers(5, 6, 7)), page_of(numbers(4, 5, 7)))
    assert kinds == published(4)
    assert isinstance(events[0], EntryEvent)
    assert events[0].data.baseline


def baselines(events: Events) -> list[bool]:
    return [event.data.baseline for event in events if isinstance(event, EntryEvent)]


def test_news_with_a_wrong_early_time_is_news_all_the_same() -> None:
    """A Breaking entry on top must not be swallowed because its time lies before the baseline."""
    early = entry(9, published=at(-60), labels=("breaking",))
    kinds, _, events = see(opened(*numbers(5, 6, 7)), page_of([*numbers(5, 6, 7), early]))
    assert kinds == published(9)
    assert baselines(events) == [False]


def test_without_times_what_slides_up_when_something_went_is_no_news() -> None:
    untimed = [entry(number, published=None) for number in range(1, 6)]
    kinds, _, events = see(opened(*untimed[1:]), page_of([untimed[0], *untimed[1:3], untimed[4]]))
    assert (kinds, baselines(events)) == (published(1), [True])


def test_after_a_gap_what_slides_up_from_it_is_no_news_either() -> None:
    state = opened(*numbers(1, 2, 3))
    state = see(state, page_of(numbers(70, 71, 72), minute=120))[1]
    kinds, _, events = see(state, page_of(numbers(69, 70, 72), minute=121))
    assert (kinds, baselines(events)) == (published(69), [True])


def test_one_wrong_time_does_not_turn_the_page_round() -> None:
    old_pause = changed(1, PAUSE)
    state = opened(old_pause, *numbers(2, 3, 4))
    early = entry(5, published=at(-60))
    assert see(state, page_of([old_pause, *numbers(2, 3, 4), early]))[0] == published(5)


def test_a_page_that_another_source_reads_is_doubted() -> None:
    other = msgspec.structs.replace(page_of(numbers(1)), source="jsonld")
    assert doubt(opened(*numbers(1)), other) == "page.source_changed"


def test_mass_loss_is_doubted_after_a_gap_too() -> None:
    state = opened(*numbers(*range(1, 11)))
    assert doubt(state, page_of(numbers(1, 2, 10), minute=120)) == "page.mass_loss"


def test_a_return_to_an_earlier_wording_is_an_edit_once_confirmed() -> None:
    first = opened(*numbers(1, 2))
    kinds, second, _ = see(first, page_of([entry(1), changed(2, "Other words.")]))
    assert kinds == ["entry.edited e2"]
    third = confirm(second, page_of(numbers(1, 2)))
    kinds, after, _ = see(third, page_of(numbers(1, 2)))
    assert kinds == ["entry.edited e2"]
    assert after.entries["e2"].revision == 3


def test_a_withdrawn_entry_is_restored_once_confirmed() -> None:
    state = confirm(opened(*numbers(1, 2, 3)), page_of(numbers(1, 3)))
    state = see(state, page_of(numbers(1, 3)))[1]
    state = confirm(state, page_of(numbers(1, 2, 3)))
    kinds, after, _ = see(state, page_of(numbers(1, 2, 3)))
    assert kinds == ["entry.restored e2"]
    assert (after.entries["e2"].removed, after.entries["e2"].revision) == (False, 1)


def test_a_stale_copy_without_any_clock_produces_nothing() -> None:
    """Old copies take entries and wordings away; a fresh copy in between forgets that."""
    early = page_of(numbers(1, 2, 3))
    late = page_of([entry(1), changed(2, "Now with other words."), entry(3), entry(4)])
    state = see(opened(*numbers(1, 2, 3)), late)[1]
    for _ in range(4):
        for copy in (early, early, late):
            kinds, state, _ = see(state, copy)
            assert kinds == []


# doubt


@pytest.mark.parametrize("clock", ["modified", "generated"])
def test_a_copy_older_than_one_accepted_is_doubted(clock: str) -> None:
    snapshot = page_of(numbers(1, 2))
    state = see(new_state(), snapshot, Clocks(**{clock: at(10)}))[1]
    assert doubt(state, page_of(numbers(1, 2, 3)), Clocks(**{clock: at(9)})) == "page.stale_copy"
    assert see(state, page_of(numbers(1, 2, 3)), Clocks(**{clock: at(11)}))[0] == published(3)


def test_clocks_are_only_compared_with_themselves() -> None:
    state = see(new_state(), page_of(numbers(1)), Clocks(generated=at(10)))[1]
    assert see(state, page_of(numbers(1, 2)), Clocks(modified=at(5)))[0] == published(2)
    assert see(state, page_of(numbers(1, 2)), Clocks())[0] == published(2)


def test_servers_that_disagree_by_a_second_are_believed() -> None:
    state = see(new_state(), page_of(numbers(1)), Clocks(generated=at(10)))[1]
    skewed = Clocks(generated=at(10) - timedelta(seconds=1))
    assert see(state, page_of(numbers(1, 2)), skewed)[0] == published(2)


def test_a_page_that_loses_most_of_its_entries_at_once_is_doubted() -> None:
    state = opened(*numbers(*range(1, 11)))
    assert doubt(state, page_of(numbers(1, 2, 10))) == "page.mass_loss"


def test_a_page_that_shares_no_entry_with_the_known_one_is_doubted() -> None:
    state = opened(*numbers(1, 2, 3))
    another = Head(title="Another page")
    assert doubt(state, page_of(numbers(11, 12, 13), head=another)) == "page.no_overlap"


def test_a_page_that_went_on_by_more_than_it_shows_is_followed_and_says_so() -> None:
    kinds, _, events = see(opened(*numbers(1, 2, 3)), page_of(numbers(11, 12, 13), minute=20))
    assert kinds == [*OUTRUN, *published(11, 12, 13)]
    assert events[0].data.health.reason == "page.outrun"
    assert not any(event.data.baseline for event in events if isinstance(event, EntryEvent))


def test_a_page_that_shows_one_entry_as_old_as_the_known_ones_did_not_go_on() -> None:
    strangers = [entry(2, id="other"), *numbers(11, 12)]
    assert doubt(opened(*numbers(1, 3, 4)), page_of(strangers)) == "page.no_overlap"


def test_after_a_gap_what_is_new_is_baseline() -> None:
    kinds, _, events = see(opened(*numbers(1, 2, 3)), page_of(numbers(11, 12), minute=61))
    assert kinds == [*OUTRUN, *published(11, 12)]
    assert all(event.data.baseline for event in events if isinstance(event, EntryEvent))


# identity


def test_an_id_that_the_publisher_issues_anew_is_the_same_entry() -> None:
    state = opened(*numbers(1, 2, 3))
    renamed = msgspec.structs.replace(entry(2), id="other")
    kinds, state, _ = see(state, page_of([entry(1), renamed, entry(3)]))
    assert kinds == []
    edited = msgspec.structs.replace(renamed, body=(Paragraph("Edited later."),))
    assert see(state, page_of([entry(1), edited, entry(3)]))[0] == ["entry.edited e2"]


def named(native: str, number: int, **fields: object) -> Entry:
    return msgspec.structs.replace(entry(number, **fields), id=native)  # type: ignore[arg-type]


def test_a_re_issued_id_is_remembered_while_it_is_away() -> None:
    state = opened(*numbers(1, 2, 3))
    state = see(state, page_of([entry(1), named("b", 2), entry(3)]))[1]
    state = see(state, page_of(numbers(1, 3)))[1]
    back = page_of([entry(1), named("b", 2, text="Edited."), entry(3)])
    assert see(state, back)[0] == ["entry.edited e2"]


def test_two_ids_that_were_one_are_two_entries_again_when_both_show() -> None:
    state = opened(*numbers(1, 2, 3))
    state = see(state, page_of([entry(1), named("b", 2), entry(3)]))[1]
    both = page_of([entry(1), entry(2), named("b", 2, text="Another."), entry(3)])
    kinds, state, _ = see(state, both)
    assert kinds == ["entry.published b"]
    assert see(state, both)[0] == []


def test_an_id_made_from_place_that_is_handed_on_is_no_edit() -> None:
    """Two posts of one minute: when the lower leaves, the upper takes its id over."""
    lower, upper = named("m", 1, text="Lower."), named("m-2", 1, text="Upper.")
    state = opened(lower, upper, *numbers(5, 6))
    alone = msgspec.structs.replace(upper, id="m")
    kinds, state, _ = see(state, page_of([alone, *numbers(5, 6, 7)]))
    assert kinds == published(7)
    assert state.entries["m-2"].removed is False


def test_two_entries_with_equal_content_stay_two() -> None:
    goal = {"title": "Goal!", "published": None, "text": "It is a goal."}
    twins = [entry(1, **goal), entry(2, **goal)]  # type: ignore[arg-type]
    kinds, state, _ = see(new_state(), page_of(twins))
    assert kinds == ["page.opened page", *published(1, 2)]
    third = entry(3, **goal)  # type: ignore[arg-type]
    assert see(state, page_of([*twins, third]))[0] == published(3)


# the page


PAUSE = "That's all. We're now pausing our live coverage, for more on this story:"


def test_coverage_pauses_with_the_entry_that_says_so_and_resumes_with_the_next() -> None:
    state = opened(*numbers(1, 2))
    kinds, state, events = see(state, page_of([*numbers(1, 2), changed(3, PAUSE)]))
    assert kinds == ["entry.published e3", "page.paused page"]
    assert isinstance(events[1], PageEvent)
    assert (events[1].data.at, events[1].data.status) == (at(3), "paused")
    kinds, state, events = see(state, page_of([*numbers(1, 2), changed(3, PAUSE), entry(4)]))
    assert kinds == ["page.resumed page", "entry.published e4"]
    assert isinstance(events[0], PageEvent)
    assert (events[0].data.at, state.meta.status) == (at(4), "live")


def test_a_pause_and_the_resumption_between_two_polls_are_both_told() -> None:
    kinds = see(opened(entry(1)), page_of([entry(1), changed(2, PAUSE), entry(3)]))[0]
    assert kinds == ["entry.published e2", "page.paused page", "page.resumed page", *published(3)]


def test_a_page_that_was_paused_before_opens_as_paused() -> None:
    _, state, events = see(new_state(), page_of([entry(1), changed(2, PAUSE)]))
    assert isinstance(events[0], PageEvent)
    assert events[0].data.status == state.meta.status == "paused"


def test_a_stale_copy_that_ends_with_the_pause_does_not_pause_again() -> None:
    state = see(opened(entry(1)), page_of([entry(1), changed(2, PAUSE), entry(3)]))[1]
    confirm(state, page_of([entry(1), changed(2, PAUSE)]))


def test_the_end_is_told_once_and_a_page_without_a_word_on_it_stays_as_it_is() -> None:
    state = opened(entry(1), head=Head(title="T", live=True))
    over = page_of([entry(1)], head=Head(title="T", live=False))
    kinds, state, _ = see(state, over)
    assert kinds == ["page.ended page"]
    assert see(state, over)[0] == []
    assert see(state, page_of([entry(1)], head=Head(title="T")))[0] == []


def test_a_new_title_is_told_and_a_missing_one_is_not() -> None:
    state = opened(entry(1), head=Head(title="Before", summary="Same"))
    kinds, state, events = see(state, page_of([entry(1)], head=Head(title="After")))
    assert kinds == ["page.updated page"]
    assert isinstance(events[0], PageEvent)
    assert (events[0].data.changed, events[0].data.page.title) == (("title",), "After")
    assert see(state, page_of([entry(1)], head=Head()))[0] == []


def test_blindness_and_its_end_are_one_event_each() -> None:
    state = opened(*numbers(1, 2))
    health = Health(status="blocked", reason="http.403", failures=3)
    events, blind = advance(state, degraded(state, health, at(5)), at(5))
    assert [e.type for e in events] == ["stoppress.page.degraded"]
    assert isinstance(events[0], PageEvent)
    assert events[0].data.health == health
    kinds, after, _ = see(blind, page_of(numbers(1, 2, 3)))
    assert kinds == ["page.recovered page", *published(3)]
    assert not after.meta.degraded


def short(events: Sequence[EntryEvent | PageEvent]) -> list[tuple[str | None, str | None]]:
    return [(event.previousid, event.id) for event in events]


def test_ids_depend_on_what_was_seen_and_not_on_when() -> None:
    state = opened(*numbers(1, 2))
    early, late = (see(state, page_of(numbers(1, 2, 3), minute=m))[2] for m in (5, 50))
    assert short(early) == short(late)
    other = see(state, page_of([*numbers(1, 2), changed(3, "Other.")]))[2]
    assert other[0].id != early[0].id


@pytest.mark.parametrize(("minute", "is_baseline"), [(1, True), (9, False)])
def test_an_old_entry_that_is_pinned_on_top_is_no_news(minute: int, is_baseline: bool) -> None:
    state = opened(*numbers(5, 6, 7))
    pinned = entry(minute, labels=("pinned",))
    kinds, _, events = see(state, page_of([*numbers(5, 6, 7), pinned]))
    assert kinds == published(minute)
    assert isinstance(events[0], EntryEvent)
    assert events[0].data.baseline is is_baseline


# --- what the page says of itself ----------------------------------------------------------------


def saying(snapshot: Snapshot, **fields: object) -> Snapshot:
    return msgspec.structs.replace(snapshot, **fields)


def test_what_the_page_says_is_gone_is_gone_at_once() -> None:
    state = opened(*numbers(1, 2, 3))
    page = saying(page_of(numbers(1, 3)), withdrawn=("e2", "never-seen"))
    kinds, after, _ = see(state, page)
    assert kinds == ["entry.removed e2"]
    assert see(after, page)[0] == []


def test_in_a_log_of_changes_absence_says_nothing() -> None:
    state = opened(*numbers(1, 2, 3))
    for _ in range(4):
        kinds, state, _ = see(state, saying(page_of(numbers(3)), partial=True))
        assert kinds == []
    kinds, state, _ = see(state, saying(page_of([changed(2, "New.")]), partial=True))
    assert kinds == ["entry.edited e2"]
    assert see(state, saying(page_of(()), partial=True, withdrawn=("e1",)))[0] == [
        "entry.removed e1"
    ]


def test_a_page_whose_own_clock_goes_back_changes_nothing_until_three_polls_agree() -> None:
    state = see(new_state(), saying(page_of(numbers(1, 2), minute=0), modified=at(10)))[1]
    older = saying(page_of([changed(1, "An unknown older wording."), entry(2)]), modified=at(5))
    for _ in range(2):
        kinds, state, _ = see(state, older)
        assert kinds == []
    kinds, state, _ = see(state, older)
    assert kinds == ["entry.edited e1"]
    assert state.meta.clocks.said == at(5)


def test_a_fresh_copy_between_two_older_ones_begins_the_count_again() -> None:
    fresh = saying(page_of(numbers(1, 2), minute=0), modified=at(10))
    older = saying(page_of([changed(1, "Older."), entry(2)]), modified=at(5))
    state = see(new_state(), fresh)[1]
    for _ in range(3):
        for page in (older, older, fresh):
            kinds, state, _ = see(state, page)
            assert kinds == []


def test_a_wording_that_the_publisher_dates_before_the_known_one_is_confirmed_first() -> None:
    state = opened(entry(1, updated=at(9)), entry(2))
    older = page_of([entry(1, text="Older.", updated=at(3)), entry(2)])
    for expected in ([], [], ["entry.edited e1"]):
        kinds, state, _ = see(state, older)
        assert kinds == expected


def test_a_page_without_any_entry_is_doubted_even_when_it_had_one() -> None:
    assert doubt(opened(entry(1)), page_of(())) == "page.emptied"


def test_a_page_that_opens_without_entries_is_followed_from_there() -> None:
    state = opened()
    kinds, _, events = see(state, page_of(numbers(1)))
    assert kinds == published(1)
    assert isinstance(events[0], EntryEvent)
    assert not events[0].data.baseline


def test_another_page_in_the_place_of_a_small_one_is_doubted() -> None:
    state = opened(entry(1), head=Head(title="A", url="https://e.org/live/a"))
    other = page_of(numbers(7), head=Head(title="B", url="https://e.org/live/b"))
    assert doubt(state, other) == "page.other_page"


# --- how it is read ------------------------------------------------------------------------------


def test_the_form_that_a_source_reads_never_flips_by_itself() -> None:
    state = see(new_state(), saying(page_of(numbers(1, 2)), variant="data"))[1]
    assert doubt(state, saying(page_of(numbers(1, 2)), variant="markup")) == "page.source_changed"


def test_a_source_that_a_person_switches_to_is_taken_as_it_reads_without_an_event() -> None:
    state = opened(*numbers(1, 2, 3))
    chosen = msgspec.structs.replace(state.page, source="bbc")
    state = msgspec.structs.replace(state, page=chosen)
    page = saying(page_of([entry(1), changed(2, "As bbc reads it."), entry(4)]), source="bbc")
    kinds, state, _ = see(state, page)
    assert kinds == []
    assert state.meta.source == "bbc"
    assert state.entries["e2"].entry.text == "As bbc reads it."
    assert state.entries["e4"].baseline
    again = saying(page_of([entry(1), changed(2, "Edited."), *numbers(4, 5)]), source="bbc")
    assert see(state, again)[0] == ["entry.edited e2", *published(5)]


# --- coverage that goes on elsewhere -------------------------------------------------------------


def closing(number: int) -> Entry:
    words = "This live page is closing. Join us here for the latest."
    start = words.index("here")
    link = Mark(start, start + 4, "link", "http://127.0.0.1/live-day-2#top")
    return entry(number, body=(Paragraph(words, (link,)),))


def test_a_page_that_says_where_it_goes_on_has_ended_and_names_it() -> None:
    kinds, after, events = see(opened(*numbers(1, 2)), page_of([*numbers(1, 2), closing(3)]))
    assert kinds == [*published(3), "page.ended page"]
    assert isinstance(events[-1], PageEvent)
    assert events[-1].data.next == after.meta.successor == "http://127.0.0.1/live-day-2"


@pytest.mark.parametrize(
    "text",
    ["The road is closing. Read more here.", "Our live coverage has ended.", "Join us here."],
)
def test_a_link_alone_or_an_end_alone_names_no_successor(text: str) -> None:
    link = Mark(0, 3, "link", "http://127.0.0.1/other")
    said = entry(3, body=(Paragraph(text, (link,) if "here" in text else ()),))
    assert see(opened(entry(1)), page_of([entry(1), said]))[0] == published(3)


def test_what_came_after_we_left_the_page_before_is_news_on_its_successor() -> None:
    state = new_state()
    page = msgspec.structs.replace(state.page, since=at(2))
    state = msgspec.structs.replace(state, page=page)
    _, _, events = see(state, page_of(numbers(1, 2, 3)))
    flags = [event.data.baseline for event in events if isinstance(event, EntryEvent)]
    assert flags == [True, True, False]


# --- what an answer has no place for -------------------------------------------------------------


def test_a_field_that_answers_had_no_place_for_is_learned_without_an_edit() -> None:
    poor = [entry(n, title=None) for n in (1, 2)]
    state = see(new_state(), saying(page_of(poor), silent=("title",)))[1]
    kinds, state, _ = see(state, page_of(numbers(1, 2)))
    assert kinds == []
    assert state.entries["e1"].entry.title == "Title 1"
    kinds, state, _ = see(state, page_of([entry(1, title="Another"), entry(2)]))
    assert kinds == ["entry.edited e1"]


def test_what_an_answer_has_no_place_for_stays_as_it_was() -> None:
    state = opened(*numbers(1, 2))
    poor = [entry(1, title=None), entry(2, title=None, text="New words.")]
    kinds, state, _ = see(state, saying(page_of(poor), silent=("title",)))
    assert kinds == ["entry.edited e2"]
    assert state.entries["e2"].entry.title == "Title 2"
    assert see(state, page_of([entry(1), changed(2, "New words.")]))[0] == []
