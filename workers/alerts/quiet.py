"""Quiet hours: whether it is quiet at a moment, and until when. Pure; safe where clocks change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from service.rules import DAYS, Day, QuietAction

# Quiet hours that follow on each other are one; a week of them repeats.
_MAX_SPANS = 8


class Quiet(Struct, frozen=True):
    """Hours of the day in a zone. They begin on `days` and may end on the next day.

    begins, ends: minutes after midnight; an end not after the beginning is on the next day.
    action: whether an alert of that time is held until they end, or dropped.
    """

    begins: int
    ends: int
    zone: str = "UTC"
    days: tuple[Day, ...] = DAYS
    action: QuietAction = "hold"


def quiet_of(hours: str, zone: str, days: tuple[Day, ...], action: QuietAction) -> Quiet | None:
    """From settings such as 23:00-07:00, which are known to be good; None for none."""
    if hours == "none":
        return None
    begins, ends = map(_minutes, hours.split("-"))
    return Quiet(begins, ends, zone, days, action)


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def quiet_until(quiet: Quiet | None, now: datetime) -> datetime | None:
    """When the quiet hours of this moment end, in UTC; None when it is not quiet.

    now: aware. The first moment of quiet hours is quiet, their end is not.
    """
    if quiet is None:
        return None
    until = None
    for _ in range(_MAX_SPANS):
        after = next((e for b, e in _spans(quiet, until or now) if b <= (until or now) < e), until)
        if after == until:
            break
        until = after
    return until


def _spans(quiet: Quiet, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The quiet hours that can hold a moment: those that began on its day, or the day before."""
    zone = ZoneInfo(quiet.zone)
    today = moment.astimezone(zone).date()
    for day in (today, today - timedelta(days=1)):
        if DAYS[day.weekday()] in quiet.days:
            length = 0 if quiet.ends > quiet.begins else 24 * 60
            begins = _moment(day, quiet.begins, zone, fold=0)
            yield begins, _moment(day, quiet.ends + length, zone, fold=1)


def _moment(day: date, minutes: int, zone: ZoneInfo, *, fold: int) -> datetime:
    """When clocks in the zone show so many minutes after midnight of the day, in UTC.

    What they show twice counts from the first time (fold 0) or until the last (1). What they leave
    out is when they are put forward.
    """
    shown = datetime.combine(day, time()) + timedelta(minutes=minutes)
    moment = shown.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == shown:
        return moment
    low = shown.replace(tzinfo=zone, fold=1).astimezone(UTC)
    high = shown.replace(tzinfo=zone, fold=0).astimezone(UTC)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        is_after = middle.astimezone(zone).utcoffset() != low.astimezone(zone).utcoffset()
        low, high = (low, middle) if is_after else (middle, high)
    return high.replace(microsecond=0)
