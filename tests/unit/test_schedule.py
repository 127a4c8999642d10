"""The pace of polling stays within what we and the server allow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.schedule import LONGEST_RETRY_AFTER_S, Limits, Outcome, Pace, next_pace, wait_s

LIMITS = Limits(floor_s=10, ceiling_s=120, retry_ceiling_s=300)
outcomes = st.sampled_from(["changed", "unchanged", "confirming", "failed"])


def pace_after(*seen: Outcome) -> Pace:
    pace = Pace(LIMITS.floor_s)
    for outcome in seen:
        pace = next_pace(pace, outcome, LIMITS)
    return pace


def test_a_quiet_page_is_polled_ever_more_slowly_up_to_its_ceiling() -> None:
    delays = [pace_after(*["unchanged"] * polls).delay_s for polls in range(1, 20)]
    assert delays == sorted(delays)
    assert delays[0] == 12.5
    assert delays[-1] == 120


def test_a_change_brings_the_pace_back_to_the_floor() -> None:
    assert pace_after(*["unchanged"] * 9, "changed") == Pace(10)


def test_a_change_that_waits_for_confirmation_is_looked_at_again_soon() -> None:
    assert pace_after(*["unchanged"] * 9, "confirming") == Pace(10)


def test_a_failing_page_is_asked_after_doubling_pauses() -> None:
    delays = [pace_after(*["failed"] * polls).delay_s for polls in range(1, 9)]
    assert delays == [10, 20, 40, 80, 160, 300, 300, 300]


def test_a_page_that_answers_again_is_polled_at_its_floor() -> None:
    assert pace_after("failed", "failed", "failed", "unchanged") == Pace(10)


@given(st.lists(outcomes, max_size=60), st.floats(0, 1), st.floats(0, 10**6))
def test_the_wait_never_undercuts_floor_or_server_and_never_runs_away(
    seen: list[Outcome], chance: float, asked_s: float
) -> None:
    wait = wait_s(pace_after(*seen), chance, at_least_s=asked_s)
    assert wait >= LIMITS.floor_s * 0.9
    assert wait >= min(asked_s, LONGEST_RETRY_AFTER_S)
    assert wait <= 1.1 * max(LIMITS.retry_ceiling_s, min(asked_s, LONGEST_RETRY_AFTER_S))
