"""Quiet hours are those that clocks on the wall show, also on the days on which they change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.rules import DAYS
from workers.alerts.quiet import Quiet, quiet_of, quiet_until

LONDON = "Europe/London"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours(text: str, *days: str, zone: str = LONDON) -> Quiet:
    quiet = quiet_of(text, zone, days or DAYS, "hold")  # type: ignore[arg-type]
    assert quiet is not None
    return quiet


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2025-06-10T21:59:59", None),
        ("2025-06-10T22:00:00", "2025-06-11T06:00:00"),  # 23:00 in London's summer
        ("2025-06-11T05:59:59.999999", "2025-06-11T06:00:00"),
        ("2025-06-11T06:00:00", None),
        ("2025-01-10T23:00:00", "2025-01-11T07:00:00"),
        ("2025-01-11T12:00:00", None),
    ],
)
def test_quiet_hours_over_midnight_by_the_clock_of_their_zone(now: str, until: str | None) -> None:
    found = quiet_until(hours("23:00-07:00"), utc(now))
    assert found == (until and utc(until))


@pytest.mark.parametrize(
    ("text", "now", "until"),
    [
        # Clocks go from 01:00 to 02:00 on 30 March 2025, at 01:00 UTC.
        ("23:00-07:00", "2025-03-29T23:00:00", "2025-03-30T06:00:00"),
        ("01:30-03:00", "2025-03-30T00:59:59", None),
        ("01:30-03:00", "2025-03-30T01:00:00", "2025-03-30T02:00:00"),
        ("00:30-01:30", "2025-03-30T00:59:59", "2025-03-30T01:00:00"),
        ("00:30-01:30", "2025-03-30T01:00:00", None),
        ("01:10-01:50", "2025-03-30T01:00:00", None),
        # Clocks go from 02:00 back to 01:00 on 26 October 2025, at 01:00 UTC.
        ("23:00-07:00", "2025-10-25T22:00:00", "2025-10-26T07:00:00"),
        ("23:00-01:30", "2025-10-26T00:45:00", "2025-10-26T01:30:00"),
        ("23:00-01:30", "2025-10-26T01:15:00", "2025-10-26T01:30:00"),
        ("01:30-03:00", "2025-10-26T00:29:59", None),
        ("01:30-03:00", "2025-10-26T00:30:00", "2025-10-26T03:00:00"),
        ("01:30-03:00", "2025-10-26T01:10:00", "2025-10-26T03:00:00"),
    ],
)
def test_days_on_which_clocks_change(text: str, now: str, until: str | None) -> None:
    assert quiet_until(hours(text), utc(now)) == (until and utc(until))


def test_days_are_those_on_which_quiet_hours_begin() -> None:
    weekend = hours("23:00-07:00", "fri", "sat")
    assert quiet_until(weekend, utc("2025-01-10T23:30:00")) == utc("2025-01-11T07:00:00")  # Friday
    assert quiet_until(weekend, utc("2025-01-12T06:00:00")) == utc("2025-01-12T07:00:00")
    assert quiet_until(weekend, utc("2025-01-10T06:00:00")) is None
    assert quiet_until(weekend, utc("2025-01-12T23:30:00")) is None


def test_whole_days_that_follow_on_each_other_are_one() -> None:
    weekend = hours("00:00-24:00", "sat", "sun")
    assert quiet_until(weekend, utc("2025-01-11T10:00:00")) == utc("2025-01-13T00:00:00")
    assert quiet_until(weekend, utc("2025-01-10T23:59:59")) is None


def test_an_hour_that_a_zone_has_at_thirty_minutes_is_found() -> None:
    """Lord Howe Island moves its clocks by half an hour: from 02:00 to 02:30 on 5 October 2025."""
    quiet = hours("02:15-06:00", zone="Australia/Lord_Howe")
    assert quiet_until(quiet, utc("2025-10-04T15:29:59")) is None
    assert quiet_until(quiet, utc("2025-10-04T15:30:00")) == utc("2025-10-04T19:00:00")


def test_without_quiet_hours_it_is_never_quiet() -> None:
    assert quiet_of("none", "UTC", DAYS, "hold") is None
    assert quiet_until(None, utc("2025-01-10T23:30:00")) is None


@given(
    st.integers(1_577_836_800, 2_051_222_400),  # from 2020 to 2035
    st.sampled_from(["Europe/London", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"]),
    st.integers(0, 1439),
    st.integers(1, 1440),
    st.sets(st.sampled_from(DAYS), min_size=1, max_size=6),
)
def test_the_end_of_quiet_hours_is_ahead_and_not_quiet(
    seconds: int, zone: str, begins: int, ends: int, days: set[str]
) -> None:
    quiet = Quiet(begins, ends, zone, tuple(days))  # type: ignore[arg-type]
    now = datetime.fromtimestamp(seconds, UTC)
    until = quiet_until(quiet, now)
    if until is not None:
        assert now < until <= now + timedelta(days=8)
        assert quiet_until(quiet, until) is None
        assert quiet_until(quiet, until - timedelta(microseconds=1)) == until
