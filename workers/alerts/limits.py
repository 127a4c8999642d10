"""How many alerts a rule may raise in a time. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct

WINDOWS_S = {"minute": 60.0, "hour": 3600.0, "day": 86_400.0}


class Limit(Struct, frozen=True):
    """At most so many alerts in any window of so many seconds."""

    count: int
    window_s: float


def limit_of(text: str) -> Limit:
    """From a setting such as 5/hour, which is known to be good."""
    count, _, window = text.partition("/")
    return Limit(int(count), WINDOWS_S[window])


def full_until(limit: Limit | None, raised: Iterable[datetime], now: datetime) -> datetime | None:
    """When there is room for one more; None when there is now. raised: when others were raised."""
    if limit is None:
        return None
    window = timedelta(seconds=limit.window_s)
    counted = sorted(moment for moment in raised if moment > now - window)
    return counted[-limit.count] + window if len(counted) >= limit.count else None
