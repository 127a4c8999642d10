"""What the steps of the alerts worker share: clocks, checkpoints, and what the log says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from service.events import AlertEvent

Clock = Callable[[], datetime]
Sleep = Callable[[float], Awaitable[None]]
# Called with the name of a point between two effects; tests kill the process there.
Checkpoint = Callable[[str], None]


def no_checkpoint(point: str) -> None:
    """Do nothing: nobody tests crashes here."""


def about(event: AlertEvent) -> dict[str, str]:
    """What every line of the log says of an alert."""
    return {
        "alert": event.data.alert,
        "rule": event.data.rule,
        "page": event.data.page.id,
        "entry": event.data.entry.id,
    }


def lag_ms(event: AlertEvent, now: datetime) -> int:
    """From the poll that first saw it until now."""
    return round((now - event.observed_at).total_seconds() * 1000)
