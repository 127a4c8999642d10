"""Laws of diff that hold for every page."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.diff import Doubt, Policy, advance, diff, fold
from service.events import EntryEvent, PageEvent, from_fields, from_json, to_fields, to_json
from service.model import Entry, EntryState, PageState, content
from tests.pages import new_state, page_of, pages

AT_ONCE = Policy(confirm_polls=1, mass_loss=1.0, gap_s=10**9)


def follow(
    history: list[list[Entry]], policy: Policy
) -> tuple[list[EntryEvent | PageEvent], PageState]:
    """Poll a page through its history."""
    state, told = new_state(), []
    for minute, shown in enumerate(history):
        snapshot = page_of(shown, minute=minute, complete=True)
        step = diff(state, snapshot, policy)
        if not isinstance(step, Doubt):
            events, state = advance(state, step, snapshot.seen_at)
            told += events
    return told, state


@given(pages())
def test_a_page_does_not_differ_from_itself(shown: list[Entry]) -> None:
    _, state = follow([shown], AT_ONCE)
    step = diff(state, page_of(shown), AT_ONCE)
    assert not isinstance(step, Doubt)
    assert step.changes == ()


@given(st.lists(pages(), min_size=1, max_size=5))
def test_the_state_shows_what_the_last_believed_snapshot_showed(history: list[list[Entry]]) -> None:
    _, state = follow(history, AT_ONCE)
    if isinstance(diff(state, page_of(history[-1], complete=True), AT_ONCE), Doubt):
        return
    present = {key: known for key, known in state.entries.items() if not known.removed}
    shown = {state.meta.aliases.get(e.id, e.id): e for e in history[-1]}
    assert {k: content(v.entry) for k, v in present.items()} == {
        k: content(e) for k, e in shown.items()
    }


@given(st.lists(pages(), min_size=1, max_size=5), st.integers(1, 3))
def test_the_state_is_the_fold_of_its_events(history: list[list[Entry]], polls: int) -> None:
    told, state = follow(history, Policy(confirm_polls=polls, mass_loss=0.5, gap_s=10**9))
    nothing: dict[str, EntryState] = {}
    assert fold(nothing, told) == state.entries


@given(st.lists(pages(), min_size=1, max_size=5), st.integers(1, 3))
def test_the_chain_has_no_gap_and_no_id_comes_twice(history: list[list[Entry]], polls: int) -> None:
    told, state = follow(history, Policy(confirm_polls=polls, mass_loss=0.5, gap_s=10**9))
    assert [event.number for event in told] == list(range(1, len(told) + 1))
    assert [event.previousid for event in told] == [None, *(event.id for event in told)][:-1]
    assert len({event.id for event in told}) == len(told)
    assert state.meta.sequence == len(told)


@given(st.lists(pages(), min_size=1, max_size=3))
def test_every_event_survives_both_wire_forms(history: list[list[Entry]]) -> None:
    told, _ = follow(history, AT_ONCE)
    for event in told:
        assert from_json(to_json(event)) == event
        fields = {name.encode(): value for name, value in to_fields(event).items()}
        assert from_fields(fields) == event


@given(pages(), pages())
def test_a_copy_that_was_accepted_before_takes_nothing_back(
    before: list[Entry], after: list[Entry]
) -> None:
    """A stale copy without any clock, seen fewer than `confirm_polls` times, brings no event."""
    policy = Policy(confirm_polls=3, mass_loss=1.0, gap_s=10**9)
    _, state = follow([before, after], policy)
    for _ in range(2):
        step = diff(state, page_of(before), policy)
        assert not isinstance(step, Doubt)
        assert step.changes == ()
        state = advance(state, step, page_of(before).seen_at)[1]
