"""A few who don't take an event are tried again a few times, and remembered no longer than that."""

from __future__ import annotations

from workers.alerts.channels import Stragglers


def test_each_event_has_its_own_tries() -> None:
    stragglers = Stragglers(3)
    assert [stragglers.may_try_again("a") for _ in range(4)] == [True, True, False, False]
    assert stragglers.may_try_again("b")


def test_the_oldest_events_are_forgotten() -> None:
    stragglers = Stragglers(2)
    assert stragglers.may_try_again("old")
    for number in range(Stragglers.MAX_EVENTS):
        stragglers.may_try_again(f"e{number}")
    assert stragglers.may_try_again("old")
    assert len(stragglers._tries) == Stragglers.MAX_EVENTS
