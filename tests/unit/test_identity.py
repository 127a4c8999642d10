"""Which entry is which when the publisher's ids move, and what is left in doubt."""

from __future__ import annotations

import msgspec
import pytest

from service.events import EntryEvent
from service.model import Entry, PageState
from tests.pages import at, entry, page_of
from tests.unit.test_diff import Events, opened, see

LONG = "Rescue teams have reached the village where the bridge fell on Monday night."


def seen(state: PageState, *entries: Entry) -> tuple[list[str], PageState, Events]:
    return see(state, page_of(entries, minute=30))


def renamed(number: int, name: str, **fields: object) -> Entry:
    """Entry `number` under another id."""
    return entry(number, id=name, **fields)


def uncertain(events: Events) -> list[bool]:
    return [event.data.uncertain for event in events if isinstance(event, EntryEvent)]


def test_an_id_made_of_the_headline_moves_with_it_and_the_entry_is_edited() -> None:
    state = opened(entry(1), entry(2, text=LONG, id="bridge-falls"), entry(3))
    now = renamed(2, "bridge-falls-two-dead", text=LONG, title="Bridge falls, two dead")
    kinds, after, _ = seen(state, entry(1), now, entry(3))
    assert kinds == ["entry.edited bridge-falls"]
    assert seen(after, entry(1), now, entry(3))[0] == []


def test_an_entry_of_a_headline_alone_is_edited_too() -> None:
    toll = entry(2, id="toll-356", title="Death toll in Lebanon rises to 356", body=())
    state = opened(entry(1), toll, entry(3))
    now = renamed(2, "toll-558", title="Death toll in Lebanon rises to 558", body=())
    assert seen(state, entry(1), now, entry(3))[0] == ["entry.edited toll-356"]


def test_without_times_the_place_between_neighbours_has_to_agree() -> None:
    def at_place(name: str, text: str) -> Entry:
        return entry(0, id=name, title=name.upper(), text=text, published=None)

    one, two, three = (at_place(name, f"{LONG} {name}") for name in ("a", "b", "c"))
    state = opened(one, two, three)
    assert seen(state, one, at_place("b2", f"{LONG} b"), three)[0] == ["entry.edited b"]
    kinds = seen(state, at_place("b2", f"{LONG} b"), one, three)[0]
    assert kinds == ["entry.published b2"]


def test_two_goals_in_one_template_stay_two_entries() -> None:
    def goal(number: int, scorer: str) -> Entry:
        text = f"GOAL! {scorer} heads it in from six yards and the stadium goes wild."
        return entry(number, id=f"goal-{number}", title="GOAL!", text=text)

    state = opened(entry(1), goal(2, "Smith"), entry(4))
    kinds, _, events = seen(state, entry(1), entry(4), goal(5, "Jones"))
    assert kinds == ["entry.published goal-5"]
    assert uncertain(events) == [False]


def test_with_two_that_are_nearly_as_like_it_is_neither_and_both_sides_say_so() -> None:
    state = opened(entry(1), entry(2, text=f"{LONG} One."), entry(9))
    twins = [renamed(2, f"twin-{name}", text=f"{LONG} {name}.") for name in ("Two", "Three")]
    page = [entry(1), *twins, entry(9)]
    kinds, state, events = seen(state, *page)
    assert kinds == ["entry.published twin-Two", "entry.published twin-Three"]
    assert uncertain(events) == [True, True]
    _, state, _ = seen(state, *page)
    kinds, _, events = seen(state, *page)
    assert kinds == ["entry.removed e2"]
    assert uncertain(events) == [True]


def test_what_is_told_again_under_another_id_and_time_is_left_in_doubt() -> None:
    state = opened(entry(1), entry(2, text=LONG, title="Bridge"), entry(9))
    again = entry(7, id="again", title="Bridge", text=LONG)
    kinds, _, events = seen(state, entry(1), again, entry(9))
    assert (kinds, uncertain(events)) == (["entry.published again"], [True])


def test_an_entry_that_slid_out_below_takes_no_part() -> None:
    state = opened(entry(1, text=LONG), entry(2), entry(3))
    kinds, _, events = seen(state, entry(2), entry(3), entry(4, text=LONG))
    assert (kinds, uncertain(events)) == (["entry.published e4"], [False])


@pytest.mark.parametrize("days", [1, 2])
def test_a_clock_time_without_a_date_stays_on_the_day_on_which_it_was_first_seen(days: int) -> None:
    state = opened(*map(entry, (1, 2, 3)))
    later = [entry(n, published=at(n + days * 24 * 60)) for n in (1, 2, 3)]
    page = msgspec.structs.replace(page_of(later), undated=("e1", "e2", "e3"))
    assert see(state, page)[0] == []
    moved = [entry(1), entry(2, published=at(12)), entry(3)]
    page = msgspec.structs.replace(page_of(moved), undated=("e1", "e2", "e3"))
    assert see(state, page)[0] == ["entry.edited e2"]


def test_equal_empty_posts_stay_apart() -> None:
    twins = [entry(n, id=f"t{n}", title="Photo", body=(), published=at(1)) for n in (1, 2)]
    state = opened(entry(0), *twins, entry(3))
    kinds, _, _ = seen(state, entry(0), *twins, entry(3), entry(4))
    assert kinds == ["entry.published e4"]
