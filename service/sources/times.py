"""When an entry was published, from the words a page shows. Pure: the observation time is given.

Owns the rules for what such words leave out: the year, the date, the zone. Never guesses a zone
that it does not know: then there is no time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from msgspec import Struct

# A clock that is a little slow must not push a new entry into last year, or into yesterday.
_YEAR_SLACK = timedelta(days=1)
_DAY_SLACK = timedelta(minutes=5)
# 29 February can be eight years back: 1896 and 1904, 2096 and 2104.
_YEARS_BACK = 8

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)

_OFFSETS_MINUTES = {
    "utc": 0,
    "coordinated universal time": 0,
    "gmt": 0,
    "greenwich mean time": 0,
    "western european time": 0,
    "western european summer time": 60,
    "bst": 60,
    "british summer time": 60,
    "irish standard time": 60,
    "cet": 60,
    "central european time": 60,
    "central european standard time": 60,
    "west africa time": 60,
    "west africa standard time": 60,
    "cest": 120,
    "central european summer time": 120,
    "eet": 120,
    "eastern european time": 120,
    "eastern european standard time": 120,
    "central africa time": 120,
    "south africa standard time": 120,
    "israel standard time": 120,
    "israel daylight time": 180,
    "eest": 180,
    "eastern european summer time": 180,
    "east africa time": 180,
    "moscow standard time": 180,
    "arabian standard time": 180,
    "gulf standard time": 240,
    "pakistan standard time": 300,
    "india standard time": 330,
    "indochina time": 420,
    "china standard time": 480,
    "hong kong standard time": 480,
    "singapore standard time": 480,
    "australian western standard time": 480,
    "japan standard time": 540,
    "korean standard time": 540,
    "australian eastern standard time": 600,
    "aest": 600,
    "australian eastern daylight time": 660,
    "aedt": 660,
    "new zealand standard time": 720,
    "new zealand daylight time": 780,
    "brasilia standard time": -180,
    "argentina standard time": -180,
    "atlantic standard time": -240,
    "atlantic daylight time": -180,
    "est": -300,
    "eastern standard time": -300,
    "edt": -240,
    "eastern daylight time": -240,
    "cst": -360,
    "central standard time": -360,
    "cdt": -300,
    "central daylight time": -300,
    "mst": -420,
    "mountain standard time": -420,
    "mdt": -360,
    "mountain daylight time": -360,
    "pst": -480,
    "pacific standard time": -480,
    "pdt": -420,
    "pacific daylight time": -420,
}

_WORDS = re.compile(
    r"(?:published at\s+)?(?P<hour>\d{1,2}):(?P<minute>\d{2})"
    r"(?:\s+(?P<zone>(?!\d)\D[^\d+-]*?(?:[+-]\d{1,2}(?::?\d{2})?)?))?"
    r"(?:,?\s+(?P<day>\d{1,2})\s+(?P<month>[a-z]+)(?:\s+(?P<year>\d{4}))?)?",
    re.IGNORECASE,
)
_DATE = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")
_SHIFTED = re.compile(r"(?:utc|gmt)\s*([+-])(\d{1,2})(?::?(\d{2}))?", re.IGNORECASE)


class _Clock(Struct, frozen=True):
    """What the words say. day, month, year: None where they say nothing."""

    hour: int
    minute: int
    zone: str | None
    day: int | None
    month: int | None
    year: int | None


def published(text: str, *, seen_at: datetime, default_zone: str = "UTC") -> datetime | None:
    """The instant (UTC) that words like "10:17 British Summer Time 25 April" mean.

    A year that is not said is the latest that puts the instant no more than a day after `seen_at`;
    a date that is not said is the latest that puts it no more than five minutes after. Words
    without a zone are read in `default_zone` (IANA name). None when the words, or their zone, are
    not known.
    """
    clock = _read(text)
    if clock is None:
        return None
    zone = ZoneInfo(default_zone) if clock.zone is None else named_zone(clock.zone)
    if zone is None:
        return None
    try:
        return _latest(clock, zone, seen_at.astimezone(UTC))
    except OverflowError:  # the first or last days of the calendar
        return None


def instant(text: str) -> datetime | None:
    """An ISO 8601 date-time with a zone as an instant in UTC; None for anything else.

    Years before the web or far ahead are a publisher's slip, and no time zone can bear year 1.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        believable = moment.tzinfo is not None and 1990 <= moment.year < 2200
        return moment.astimezone(UTC) if believable else None
    except (ValueError, OverflowError):
        return None


def compact(moment: datetime) -> str:
    """An instant to the minute as part of an id: 20250425T0917Z."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%MZ")


def named_zone(name: str) -> timezone | None:
    """The fixed offset that an English zone name stands for ("British Summer Time", "GMT+2")."""
    words = " ".join(name.lower().replace("(", " ").replace(")", " ").split())
    if words in _OFFSETS_MINUTES:
        return timezone(timedelta(minutes=_OFFSETS_MINUTES[words]))
    shifted = _SHIFTED.fullmatch(words)
    if shifted is None:
        return None
    minutes = int(shifted[2]) * 60 + int(shifted[3] or 0)
    if minutes > 14 * 60:
        return None
    return timezone(timedelta(minutes=-minutes if shifted[1] == "-" else minutes))


def recorded_at(name: str) -> datetime | None:
    """The end of the day (UTC) that a file name gives as YYYY-MM-DD: when a recording was seen."""
    found = _DATE.search(name)
    return instant(f"{found[0]}T23:59:00Z") if found else None


def _read(text: str) -> _Clock | None:
    found = _WORDS.fullmatch(" ".join(text.split()))
    if found is None:
        return None
    hour, minute = int(found["hour"]), int(found["minute"])
    month = _month(found["month"]) if found["month"] else None
    if hour > 23 or minute > 59 or (found["month"] and month is None):
        return None
    return _Clock(hour, minute, found["zone"], _number(found["day"]), month, _number(found["year"]))


def _number(digits: str | None) -> int | None:
    return None if digits is None else int(digits)


def _month(word: str) -> int | None:
    """1 for "January" or "Jan"."""
    names = [name for name in _MONTHS if len(word) >= 3 and name.startswith(word.lower())]
    return _MONTHS.index(names[0]) + 1 if names else None


def _latest(clock: _Clock, zone: tzinfo, seen_at: datetime) -> datetime | None:
    """The latest instant that fits the words and is not in the future of the observation."""
    if clock.day is None or clock.month is None:
        today = seen_at.astimezone(zone).date()
        days = iter([today - timedelta(days=back) for back in (-1, 0, 1)])
        latest = seen_at + _DAY_SLACK
    elif clock.year is not None:
        days = _dates(clock.day, clock.month, [clock.year])
        latest = None
    else:
        years = range(seen_at.year + 1, seen_at.year - _YEARS_BACK - 1, -1)
        days = _dates(clock.day, clock.month, years)
        latest = seen_at + _YEAR_SLACK
    instants = (_at(day, clock, zone, seen_at) for day in days)
    return next((one for one in instants if latest is None or one <= latest), None)


def _dates(day: int, month: int, years: Iterable[int]) -> Iterator[date]:
    """The day of the month in each of these years, where it exists."""
    for year in years:
        try:
            yield date(year, month, day)
        except ValueError:
            continue


def _at(day: date, clock: _Clock, zone: tzinfo, seen_at: datetime) -> datetime:
    """The instant of a wall clock time.

    One that happens twice is the later unless that is still to come; fold 0 moves a time that the
    clock skips forward (PEP 495).
    """
    wall = datetime(day.year, day.month, day.day, clock.hour, clock.minute, tzinfo=zone)
    first, second = wall.astimezone(UTC), wall.replace(fold=1).astimezone(UTC)
    return second if first < second <= seen_at else first
