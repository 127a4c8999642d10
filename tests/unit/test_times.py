"""What the words on a page mean, as instants."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.sources.times import (
    compact,
    instant,
    is_clock,
    is_relative,
    named_zone,
    published,
    recorded_at,
    when,
)

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
        "yesterday",
        "10 June",
        "17.09.2024",
        "August 4, 2026",
        "Mon 10:17",
        "Goal 10:17",
        "16:03 PM",
        "0:30 am",
        "04/08/2026 16:03",
        "17.09 20:11",
        "10:17 and 10:18",
        "10 jui. 2026 10:00",
        "10:00 1 March 1066",
        "10:17" + " " * 200 + "10 June",
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


# --- forms of other publishers -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("15.14 GMT", "2026-08-04T15:14"),
        ("4:03 PM", "2026-08-04T14:03"),
        ("4.03pm", "2026-08-04T14:03"),
        ("4 p.m.", "2026-08-04T14:00"),
        ("12:05 AM", "2026-08-03T22:05"),
        ("12:05 pm", "2026-08-04T10:05"),
        ("August 4, 2026 - 4:03 PM", "2026-08-04T14:03"),
        ("Aug. 4, 2026 4:03 p.m. ET", "2026-08-04T20:03"),
        ("16:03, August 4th 2026", "2026-08-04T14:03"),
        ("4 August 2026 16:03", "2026-08-04T14:03"),
        ("16:03 Aug 4, 2026", "2026-08-04T14:03"),
        ("21:00, 5 Aug 2024", "2024-08-05T19:00"),
        ("Wed 13 Dec 2023 17.25 GMT", "2023-12-13T17:25"),
        ("Tue, 04 Aug 2026 16:03:22 GMT", "2026-08-04T16:03:22"),
        ("10:17 (CEST) on 4 August", "2026-08-04T08:17"),
        ("17.09.2024 • 20:11 Uhr", "2024-09-17T18:11"),
        ("17.09.2024, 20:11", "2024-09-17T18:11"),
        ("17.09.24 20:11 MESZ", "2024-09-17T18:11"),
        ("17.09., 20.11 Uhr", "2025-09-17T18:11"),
        ("Dienstag, 4. August 2026, 16:03 Uhr", "2026-08-04T14:03"),
        ("4. März 2026, 20 Uhr", "2026-03-04T19:00"),
        ("20h11", "2026-08-04T18:11"),
        ("mardi 4 août 2026 à 20h11", "2026-08-04T18:11"),
        ("1er févr. 2026, 20 h 11", "2026-02-01T19:11"),
        ("4 de agosto de 2026, 16:03", "2026-08-04T14:03"),
        ("mié. 5 ene 2022 16:03", "2022-01-05T15:03"),
        ("4 de março de 2026 às 16:03", "2026-03-04T15:03"),
        ("martedì 4 agosto 2026 alle 16:03", "2026-08-04T14:03"),
        ("4 sierpnia 2026, 16:03", "2026-08-04T14:03"),
        ("1 października 2025 o 16:03", "2025-10-01T14:03"),
        ("4 mrt 2026 om 16.03", "2026-03-04T15:03"),
        ("2026-08-04T16:03:22", "2026-08-04T14:03:22"),
        ("2026-08-04 16:03", "2026-08-04T14:03"),
        ("2026-08-04T16:03:22.5Z", "2026-08-04T16:03:22.5"),
        ("2026-08-04T16:03:22+01:00", "2026-08-04T15:03:22"),
    ],
)
def test_forms_of_many_publishers_are_read(words: str, meant: str) -> None:
    seen_at = utc("2026-08-04T20:30")
    assert published(words, seen_at=seen_at, default_zone="Europe/Berlin") == utc(meant)


def test_entries_of_one_page_may_each_have_their_own_zone() -> None:
    seen_at = utc("2026-08-04T23:00")
    said = ["15.14 BST", "16.14 CEST", "10.14 EDT", "10.14 ET", "14.14 GMT"]
    assert {published(words, seen_at=seen_at) for words in said} == {utc("2026-08-04T14:14")}


def test_a_zone_of_a_place_knows_summer_and_winter() -> None:
    seen_at = utc("2026-08-04T23:00")
    assert published("10:00 ET 4 August", seen_at=seen_at) == utc("2026-08-04T14:00")
    assert published("10:00 ET 4 January", seen_at=seen_at) == utc("2026-01-04T15:00")


def test_words_without_a_zone_mean_no_time_without_a_default() -> None:
    seen_at = utc("2026-08-04T20:30")
    assert when("16:03", seen_at=seen_at) is None
    assert when("4 August 2026 16:03", seen_at=seen_at) is None
    assert published("2026-08-04T16:03:22", seen_at=seen_at, default_zone=None) is None
    read = when("16:03 GMT", seen_at=seen_at)
    assert read is not None
    assert read.at == utc("2026-08-04T16:03")


@pytest.mark.parametrize(
    ("words", "is_dated", "clock"),
    [
        ("10:17 British Summer Time 25 April", True, time(10, 17)),
        ("10:17 British Summer Time", False, time(10, 17)),
        ("4.03pm", False, time(16, 3)),
        ("17.09., 20.11 Uhr", True, time(20, 11)),
        ("2025-04-25T10:17:05Z", True, time(10, 17, 5)),
        ("01:30 27 October 2024", False, time(1, 30)),
        ("01:30 BST 27 October 2024", True, time(1, 30)),
    ],
)
def test_it_is_known_whether_the_words_settle_the_time(
    words: str, is_dated: bool, clock: time
) -> None:
    read = when(words, seen_at=utc("2025-04-25T20:30"), default_zone="Europe/London")
    assert read is not None
    assert (read.dated, read.clock) == (is_dated, clock)


@pytest.mark.parametrize(
    "words",
    [
        *("21 mins ago", "2h ago", "2 h", "5m", "an hour ago", "a few seconds ago", "just now"),
        *("1 hour 5 minutes ago", "3 hours and 20 minutes ago", "about 2 hours ago", "moments ago"),
        *("Updated 5 minutes ago", "Yesterday, 10:17", "today at 4:03pm", "now"),
        *("vor 5 Minuten", "vor einer Stunde", "vor 2 Std.", "gerade eben", "gestern, 20:11 Uhr"),
        *("hace 3 horas", "ahora mismo", "há 3 horas", "3 horas atrás", "il y a 5 min"),
        *("il y a une heure", "à l’instant", "5 minuti fa", "un'ora fa", "5 minut temu"),
        *("przed chwilą", "5 minuten geleden", "zojuist"),
    ],
)
def test_relative_words_are_known_and_never_a_time(words: str) -> None:
    assert is_relative(words)
    assert not is_clock(words)
    seen_at = utc("2026-08-04T20:30")
    assert when(words, seen_at=seen_at, default_zone="Europe/Berlin") is None


@pytest.mark.parametrize(
    "words", ["", "10:17", "20h11", "today", "two hours", "5 people ago", "vor dem Spiel", "ago"]
)
def test_other_words_are_not_relative(words: str) -> None:
    assert not is_relative(words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [("21:00", True), ("10:17 BST 25 April", True), ("25 April", False), ("Goal 21:00", False)],
)
def test_a_clock_is_a_time_of_day_and_nothing_else(words: str, expected: bool) -> None:
    assert is_clock(words) is expected


_GERMAN = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember"
_FRENCH = "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc."
# Each as a publisher writes it; the words of a form without a year may be read for 300 days.
_WITH_YEAR = (
    lambda t: f"{t:%H:%M} {t.day} {MONTHS[t.month - 1]} {t.year}",
    lambda t: f"{MONTHS[t.month - 1]} {t.day}, {t.year} - {t.hour % 12 or 12}:{t:%M %p}",
    lambda t: f"{t:%d.%m.%Y} • {t:%H:%M} Uhr",
    lambda t: f"{t:%a %d %b %Y %H.%M}",
    lambda t: f"{t.day}. {_GERMAN.split()[t.month - 1]} {t.year}, {t:%H.%M} Uhr",
    lambda t: f"le {t.day} {_FRENCH.split()[t.month - 1]} {t.year} à {t:%Hh%M}",
    lambda t: f"{t:%Y-%m-%dT%H:%M:%S}",
)
_WITHOUT_YEAR = (
    lambda t: f"{t:%H:%M} {t.day} {MONTHS[t.month - 1]}",
    lambda t: f"{t:%d.%m.}, {t:%H:%M} Uhr",
    lambda t: f"{t:%b} {t.day}, {t.hour % 12 or 12}.{t:%M%p}".lower(),
)
_ZONES = st.sampled_from(["UTC", "Europe/London", "Europe/Berlin", "America/New_York"])
_MODERN = st.integers(0, 40 * 525_600).map(
    lambda minutes: utc("1991-01-01T00:00") + timedelta(minutes=minutes)
)


@given(
    moment=_MODERN,
    zone=_ZONES,
    form=st.sampled_from([*_WITH_YEAR, *_WITHOUT_YEAR]),
    later_min=st.integers(0, 300 * 1440),
    hours=st.integers(1, 48),
)
@example(utc("2025-10-26T00:30"), "Europe/London", _WITH_YEAR[0], 0, 1)
@example(utc("2025-10-26T01:30"), "Europe/London", _WITH_YEAR[0], 0, 1)
@example(utc("2024-12-31T23:59"), "UTC", _WITHOUT_YEAR[0], 0, 1)
@example(utc("2024-02-29T12:00"), "UTC", _WITHOUT_YEAR[1], 300 * 1440, 1)
def test_what_is_written_in_any_form_is_read_back_whenever_it_is_seen(
    moment: datetime, zone: str, form: Callable[[datetime], str], later_min: int, hours: int
) -> None:
    """Only a time that comes twice may depend on when it was seen; then it says so."""
    words = form(moment.astimezone(ZoneInfo(zone)))
    at_once = when(words, seen_at=moment, default_zone=zone)
    assert at_once is not None
    assert at_once.at == moment
    seen_at = moment + timedelta(minutes=later_min)
    for later in (seen_at, seen_at + timedelta(hours=hours)):
        read = when(words, seen_at=later, default_zone=zone)
        assert read is not None
        assert read.dated == at_once.dated
        assert read.at == moment or (not read.dated and read.at == moment + timedelta(hours=1))


@given(moment=_MODERN, zone=_ZONES, later_min=st.integers(0, 22 * 60))
def test_a_clock_is_of_the_day_that_ends_when_it_is_seen(
    moment: datetime, zone: str, later_min: int
) -> None:
    local = moment.astimezone(ZoneInfo(zone))
    seen_at = moment + timedelta(minutes=later_min)
    read = when(f"{local:%H.%M}", seen_at=seen_at, default_zone=zone)
    assert read is not None
    assert not read.dated
    assert seen_at - timedelta(hours=25) <= read.at <= seen_at + timedelta(minutes=5)
    assert read.at.astimezone(ZoneInfo(zone)).time() == local.time()
