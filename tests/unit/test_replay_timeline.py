"""A timeline runs from the oldest entry to the recorded state, one change a step."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.model import Entry, Paragraph, content, content_digest
from service.replay.forms import Recorded
from service.replay.playback import Clocked, Stepped, offsets_s
from service.replay.script import (
    Consent,
    Edit,
    Item,
    Label,
    Outage,
    Placed,
    Stale,
    Withdrawal,
)
from service.replay.timeline import Change, Timeline, build

START = datetime(2025, 4, 25, 6, 0, tzinfo=UTC)
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def recorded(count: int = 5) -> list[Recorded]:
    """Entries ten minutes apart; number 1 is the newest and Breaking; number 4 pauses the page."""
    return [
        Recorded(
            number=number,
            at=at(10 * (count - number)),
            entry=Entry(
                id=f"e{number}",
                title=f"Title {number}",
                published=at(10 * (count - number)),
                labels=("breaking",) if number == 1 else (),
                body=(
                    Paragraph(f"Entry {number}: three people"),
                    Paragraph("We're pausing our live coverage" if number == 4 else "It goes on"),
                ),
            ),
        )
        for number in range(1, count + 1)
    ]


def timeline(*items: Item, window: int = 20, count: int = 5) -> Timeline:
    placed = sorted((Placed("script", item) for item in items), key=lambda one: one.item.at)
    return build(recorded(count), placed, window=window)


FIGURE = Edit(at=at(15), entry=4, before="two people", after="three people", what="figure")
WITHDRAWN = (
    Label(at=at(33), entry=2, label="breaking"),
    Withdrawal(at=at(36), entry=2),
)


def test_first_step_shows_the_oldest_entry_alone() -> None:
    first = timeline().steps[0]
    assert [entry.id for entry in first.entries] == ["e5"]
    assert first.changes == (Change("published", "e5"),)


def test_entries_appear_by_their_times_and_stand_newest_first() -> None:
    steps = timeline().steps
    assert [step.at for step in steps] == [at(10 * n) for n in range(5)]
    assert [entry.id for entry in steps[-1].entries] == ["e1", "e2", "e3", "e4", "e5"]


def test_page_is_cut_to_its_window() -> None:
    steps = timeline(window=2).steps
    assert [entry.id for entry in steps[-1].entries] == ["e1", "e2"]


def test_edited_entry_has_its_earlier_form_until_then() -> None:
    steps = timeline(FIGURE).steps
    before, after = steps[1].entries[0], steps[2].entries[0]
    assert (before.text, after.text) == (
        "Entry 4: two people\nWe're pausing our live coverage",
        "Entry 4: three people\nWe're pausing our live coverage",
    )
    assert steps[2].changes == (Change("edited", "e4", "figure"),)


def test_several_edits_of_an_entry_are_undone_in_turn() -> None:
    typo = Edit(at=at(17), entry=4, before="Tittle", after="Title", what="typo")
    again = Edit(at=at(12), entry=4, before="no people", after="two people", what="figure")
    steps = timeline(FIGURE, typo, again).steps
    forms = [(s.entries[0].title, s.entries[0].text.split("\n")[0]) for s in steps[1:5]]
    assert forms == [
        ("Tittle 4", "Entry 4: no people"),
        ("Tittle 4", "Entry 4: two people"),
        ("Tittle 4", "Entry 4: three people"),
        ("Title 4", "Entry 4: three people"),
    ]


def test_label_is_absent_until_it_is_gained() -> None:
    line = timeline(
        Label(at=at(12), entry=4, label="breaking"), Withdrawal(at=at(13), entry=4)
    ).steps
    assert (line[1].entries[0].labels, line[2].entries[0].labels) == ((), ("breaking",))
    assert line[2].changes == (Change("edited", "e4", "label"),)


def test_withdrawn_entry_is_gone_for_good() -> None:
    steps = timeline(*WITHDRAWN).steps
    gone = next(n for n, s in enumerate(steps) if Change("removed", "e2") in s.changes)
    assert all("e2" not in {e.id for e in step.entries} for step in steps[gone:])
    assert gone < len(steps) - 1


def test_pause_and_resumption_belong_to_the_entries_that_bring_them() -> None:
    steps = timeline().steps
    assert steps[1].changes == (Change("published", "e4"), Change("paused", "e4"))
    assert steps[2].changes == (Change("published", "e3"), Change("resumed", "e3"))


def test_what_happens_below_the_window_is_not_expected_of_a_reader() -> None:
    late = Edit(at=at(35), entry=4, before="two people", after="three people", what="figure")
    assert timeline(late, window=2).expected.edited == ()
    assert timeline(late, window=4).expected.edited == (("e4", "figure"),)


def test_hazard_changes_nothing_and_the_page_is_that_of_the_step_before() -> None:
    outage = Outage(at=at(22), for_s=60, polls=3)
    line = timeline(outage)
    assert line.steps[3].hazard is outage
    assert (line.steps[3].changes, line.steps[3].entries) == ((), line.steps[2].entries)
    assert line.origin(3) == 2


def test_stale_copy_is_the_page_of_so_long_ago_and_never_a_hazard_itself() -> None:
    line = timeline(
        Consent(at=at(22), for_s=60, polls=1), Stale(at=at(35), age_s=11 * 60, for_s=60, polls=2)
    )
    stale = next(n for n, s in enumerate(line.steps) if isinstance(s.hazard, Stale))
    assert line.steps[line.copy(stale)].at == at(20)


def test_expected_lists_what_a_follower_must_have_seen() -> None:
    expected = timeline(FIGURE, *WITHDRAWN).expected
    assert expected.published == ("e5", "e4", "e3", "e2", "e1")
    assert expected.baseline == ("e5",)
    assert expected.edited == (("e4", "figure"), ("e2", "label"))
    assert expected.removed == ("e2",)
    assert expected.alerts == ("e2", "e1")
    assert (expected.paused, expected.resumed) == (("e4",), ("e3",))


def test_baseline_never_alerts() -> None:
    one = recorded(1)
    assert build(one, (), window=20).expected.alerts == ()


def differences(before: tuple[Entry, ...], after: tuple[Entry, ...]) -> int:
    old = {e.id: content_digest(e) for e in before}
    new = {e.id: content_digest(e) for e in after}
    return sum(old.get(key) != new.get(key) for key in old | new)


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                FIGURE,
                *WITHDRAWN,
                Outage(at=at(22), for_s=60, polls=3),
                Stale(at=at(39), age_s=1200, for_s=50, polls=2),
                Consent(at=at(12), for_s=60, polls=1),
            ]
        ),
        unique=True,
    )
)
def test_every_step_is_one_change_or_a_hazard_and_the_end_is_the_recording(
    items: list[Item],
) -> None:
    if any(item is WITHDRAWN[0] for item in items) and WITHDRAWN[1] not in items:
        items.append(WITHDRAWN[1])
    line = timeline(*items)
    for before, after in pairwise(line.steps):
        assert differences(before.entries, after.entries) == (after.hazard is None)
    final = {e.id: content(e) for e in line.steps[-1].entries}
    recording = {one.entry.id: content(one.entry) for one in recorded()}
    for key in line.expected.removed:
        del recording[key]
    assert final == recording


# --- playback ------------------------------------------------------------------------------------


def test_at_speed_0_a_poll_moves_on_only_after_a_whole_answer() -> None:
    playback = Stepped(timeline(), NOW)
    assert playback.poll(NOW).step == 0
    assert playback.poll(NOW).step == 0, "the first one was cut off"
    playback.answered()
    assert playback.poll(NOW).step == 1
    assert playback.look(NOW).step == 1


def test_at_speed_0_a_hazard_lasts_its_polls_and_the_last_step_stays() -> None:
    line = timeline(Outage(at=at(12), for_s=60, polls=3), Consent(at=at(31), for_s=60, polls=2))
    playback = Stepped(line, NOW)
    seen = []
    for _ in range(12):
        seen.append((playback.poll(NOW).step, playback.look(NOW).hazard is not None))
        playback.answered()
    fine, bad = False, True
    assert seen == [
        *[(0, fine), (1, fine), (2, bad), (2, bad), (2, bad), (3, fine), (4, fine)],
        *[(5, bad), (5, bad), (6, fine), (6, fine), (6, fine)],
    ]
    assert playback.look(NOW).finished


def test_at_speed_0_page_dates_from_the_poll_that_it_came_with() -> None:
    line = timeline(Outage(at=at(12), for_s=60, polls=1))
    playback = Stepped(line, NOW)
    for n in range(3):
        shown = playback.poll(NOW + timedelta(seconds=n))
        playback.answered()
    assert (shown.step, shown.page, shown.since) == (2, 1, NOW + timedelta(seconds=1))


def test_clock_moves_the_page_at_its_speed() -> None:
    playback = Clocked(timeline(), NOW, 60, None)
    looks = [playback.look(NOW + timedelta(seconds=s)) for s in (-5, 0, 9.9, 10, 40, 4000)]
    assert [look.step for look in looks] == [0, 0, 0, 1, 4, 4]
    assert [look.finished for look in looks] == [False] * 4 + [True] * 2
    assert looks[3].since == NOW + timedelta(seconds=10)
    assert looks[2].at == at(9.9)


def test_clock_ends_a_hazard_and_the_page_is_back() -> None:
    line = timeline(Stale(at=at(15), age_s=600, for_s=60, polls=2))
    playback = Clocked(line, NOW, 60, None)
    during, after = (playback.look(NOW + timedelta(seconds=s)) for s in (15.5, 16.5))
    assert (during.step, during.page, after.step, after.page) == (2, 0, 2, 1)
    assert after.hazard is None


def test_quiet_gaps_are_cut_but_hazards_last() -> None:
    line = timeline(Outage(at=at(12), for_s=180, polls=1), count=3)
    assert offsets_s(line.steps, None) == [0, 600, 720, 1200]
    assert offsets_s(line.steps, 30) == [0, 30, 60, 270]


@pytest.mark.parametrize("speed", [1, 60, 7200])
@pytest.mark.parametrize("max_gap_s", [None, 30])
def test_clock_shows_every_step_in_order(speed: float, max_gap_s: float | None) -> None:
    line = timeline(FIGURE, *WITHDRAWN)
    playback = Clocked(line, NOW, speed, max_gap_s)
    offsets = offsets_s(line.steps, max_gap_s)
    shown = [playback.look(NOW + timedelta(seconds=o / speed + 1e-4)).step for o in offsets]
    assert shown == list(range(len(line.steps)))
