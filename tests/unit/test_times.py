"""What the words on a page mean, as instants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.sources.times import compact, instant, named_zone, published, recorded_at

LONDON = ZoneInfo("Europe/London")
EPOCH = datetime(1972, 1, 1, tzinfo=UTC)  # before, "British Standard Time" went by BST too
NAMES = {"BST": "British Summer Time", "GMT": "Greenwich Mean Time"}
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def spoken(moment: datetime) -> str:
    """As a BBC page says it, written here anew so that it checks the reader."""
    local = moment.astimezone(LONDON)
    zone = NAMES[local.tzname() or ""]
    return f"{local:%H:%M} {zone} {local.day} {MONTHS[local.month - 1]}"


@pytest.mark.parametrize(
    ("words", "seen_at", "meant"),
    [
        ("10:17 British Summer Time 25 April", "2025-04-25T12:00", "2025-04-25T09:17"),
        ("published at 10:17 British Summer Time 25 April", "2025-04-25T12:00", "2025-04-25T09:17"),
        ("10:17 british summer time 25 Apr", "2025-04-25T12:00", "2025-04-25T09:17"),
        ("10:17 BST 25 April 2021", "2025-04-25T12:00", "2021-04-25T09:17"),
        ("09:07 UTC 1 May", "2025-05-01T10:00", "2025-05-01T09:07"),
        ("9:07 Coordinated Universal Time 1 May", "2025-05-01T10:00", "2025-05-01T09:07"),
        ("12:00 Central European Summer Time 1 May", "2025-05-01T10:00", "2025-05-01T10:00"),
        ("12:00 India Standard Time 1 May", "2025-05-01T10:00", "2025-05-01T06:30"),
        ("06:00 Eastern Daylight Time 1 May", "2025-05-01T12:00", "2025-05-01T10:00"),
        ("12:00 GMT+2 1 May", "2025-05-01T12:00", "2025-05-01T10:00"),
        ("12:00 UTC-03:30 1 May", "2025-05-01T18:00", "2025-05-01T15:30"),
        ("19:10 10 June", "2025-06-10T20:00", "2025-06-10T18:10"),
        ("19:10 10 December", "2025-12-10T20:00", "2025-12-10T19:10"),
        ("19:10", "2025-06-10T20:00", "2025-06-10T18:10"),
        ("19:10", "2025-06-10T18:06", "2025-06-10T18:10"),
        ("19:10", "2025-06-10T17:00", "2025-06-09T18:10"),
        ("00:10", "2025-06-10T23:15", "2025-06-10T23:10"),
    ],
)
def test_words_on_a_page_mean_one_instant(words: str, seen_at: str, meant: str) -> None:
    found = published(words, seen_at=utc(seen_at), default_zone="Europe/London")
    assert found == utc(meant)


@pytest.mark.parametrize(
    ("words", "seen_at", "meant"),
    [
        ("23:50 Greenwich Mean Time 31 December", "2025-01-01T00:05", "2024-12-31T23:50"),
        ("00:01 Greenwich Mean Time 1 January", "2024-12-31T23:59", "2025-01-01T00:01"),
        ("12:00 Greenwich Mean Time 2 January", "2024-12-31T23:59", "2024-01-02T12:00"),
        ("12:00 Greenwich Mean Time 29 February", "2026-03-01T00:00", "2024-02-29T12:00"),
        ("12:00 Greenwich Mean Time 29 February", "2103-03-01T00:00", "2096-02-29T12:00"),
        ("12:00 Greenwich Mean Time 29 February", "2024-02-29T12:00", "2024-02-29T12:00"),
    ],
)
def test_the_year_is_the_latest_not_more_than_a_day_ahead(
    words: str, seen_at: str, meant: str
) -> None:
    assert published(words, seen_at=utc(seen_at)) == utc(meant)


def test_the_repeated_hour_in_october_is_told_by_its_zone() -> None:
    seen_at = utc("2025-10-26T12:00")
    summer = published("01:30 British Summer Time 26 October", seen_at=seen_at)
    winter = published("01:30 Greenwich Mean Time 26 October", seen_at=seen_at)
    assert summer == utc("2025-10-26T00:30")
    assert winter == utc("2025-10-26T01:30")


@pytest.mark.parametrize("words", ["01:30", "01:30 26 October"])
@pytest.mark.parametrize(
    ("seen_at", "meant"),
    [("2025-10-26T00:31", "2025-10-26T00:30"), ("2025-10-26T01:31", "2025-10-26T01:30")],
)
def test_a_repeated_time_without_a_zone_is_the_later_that_has_come(
    words: str, seen_at: str, meant: str
) -> None:
    found = published(words, seen_at=utc(seen_at), default_zone="Europe/London")
    assert found == utc(meant)


def test_a_time_that_the_clock_skips_is_moved_forward() -> None:
    found = published(
        "01:30 30 March", seen_at=utc("2025-03-30T02:00"), default_zone="Europe/London"
    )
    assert found == utc("2025-03-30T01:30")  # 02:30 British Summer Time


@pytest.mark.parametrize(
    "words",
    [
        "",
        "4 hours ago",
        "10 June",
        "25:00 10 June",
        "10:60 10 June",
        "10:17 31 June 2025",
        "10:17 10 Jupiter",
        "10:17 Lunar Standard Time 10 June",
        "10:17 GMT+99 10 June",
        "10:17 10 June 0000",
        "10:17 0 June",
        "10:17 June",
    ],
)
def test_words_that_are_not_known_mean_no_time(words: str) -> None:
    assert published(words, seen_at=utc("2025-06-10T12:00")) is None


def test_a_zone_that_is_not_known_is_not_guessed() -> None:
    assert named_zone("Lunar Standard Time") is None


_INSTANTS = st.integers(0, 34_000_000).map(lambda minutes: EPOCH + timedelta(minutes=minutes))


@given(moment=_INSTANTS, later_s=st.integers(0, 300 * 86_400))
@example(moment=utc("2024-12-31T23:59"), later_s=120)
@example(moment=utc("2024-02-29T12:00"), later_s=300 * 86_400)
@example(moment=utc("2025-10-26T00:30"), later_s=0)
@example(moment=utc("2025-10-26T01:30"), later_s=0)
@example(moment=utc("2025-03-30T00:59"), later_s=60)
@example(moment=utc("2025-03-30T01:00"), later_s=0)
def test_what_london_says_is_read_back_as_the_same_instant(moment: datetime, later_s: int) -> None:
    seen_at = moment + timedelta(seconds=later_s)
    assert published(spoken(moment), seen_at=seen_at) == moment


@given(words=st.text(max_size=40), seen_at=_INSTANTS)
def test_any_words_give_an_instant_in_utc_or_none(words: str, seen_at: datetime) -> None:
    found = published(words, seen_at=seen_at, default_zone="Europe/London")
    assert found is None or found.utcoffset() == timedelta(0)


@pytest.mark.parametrize("seen_at", ["0001-01-01T00:00", "9999-12-31T23:59"])
@pytest.mark.parametrize("words", ["10:17", "10:17 1 January", "23:59 GMT-14 31 December 9999"])
def test_the_ends_of_the_calendar_are_no_error(words: str, seen_at: str) -> None:
    published(words, seen_at=utc(seen_at), default_zone="Europe/London")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2024-08-05T21:00:18.921+01:00", datetime(2024, 8, 5, 20, 0, 18, 921000, UTC)),
        ("2024-08-05T20:00:18Z", datetime(2024, 8, 5, 20, 0, 18, tzinfo=UTC)),
        ("2024-08-05T20:00:18", None),
        ("2024-08-05", None),
        ("yesterday", None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_a_stamp_is_an_instant_only_with_its_zone(text: str, meant: datetime | None) -> None:
    assert instant(text) == meant


def test_a_compact_time_is_utc_to_the_minute() -> None:
    assert compact(datetime(2025, 4, 25, 10, 17, 5, tzinfo=LONDON)) == "20250425T0917Z"


def test_a_recording_is_seen_at_the_end_of_the_day_in_its_name() -> None:
    assert recorded_at("bbc-live-2025-04-25.txt") == utc("2025-04-25T23:59")
    assert recorded_at("bbc-live.txt") is None
    assert recorded_at("bbc-live-2025-99-25.txt") is None
