"""Page health after a poll. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from service.errors import StoppressError
from service.model import Health, HealthStatus, PageStatus


def after_good(before: Health, status: PageStatus, now: datetime) -> Health:
    """We saw the page."""
    seen: HealthStatus = "ended" if status == "ended" else "healthy"
    return Health(
        status=seen,
        since=before.since if before.status == seen and before.since else now,
        last_poll=now,
        last_good_poll=now,
    )


def after_bad(before: Health, error: StoppressError, now: datetime) -> Health:
    """We did not see the page. `since` is when we last did, or first failed to."""
    status: HealthStatus = getattr(error, "health", "degraded")
    return Health(
        status=status,
        reason=error.code,
        detail=str(error),
        since=before.since if before.failures else now,
        last_poll=now,
        last_good_poll=before.last_good_poll,
        failures=before.failures + 1,
    )


def due(health: Health, now: datetime, wait_s: float) -> Health:
    """The same with the time of the next poll."""
    return msgspec.structs.replace(health, next_poll=now + timedelta(seconds=wait_s))
