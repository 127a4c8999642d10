"""Page health after a poll. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from service.errors import StoppressError
from service.model import Health, HealthStatus, PageMeta, Pending


def after_good(before: Health, meta: PageMeta, now: datetime) -> Health:
    """We saw the page. reason: page.confirming while something of it is not believed yet."""
    seen: HealthStatus = "ended" if meta.status == "ended" else "healthy"
    return Health(
        status=seen,
        reason="page.confirming" if meta.pending else None,
        detail=_waiting(meta.pending.values()) if meta.pending else None,
        since=before.since if before.status == seen and before.since else now,
        last_poll=now,
        last_good_poll=now,
    )


def _waiting(pending: Iterable[Pending]) -> str:
    """Such as "2 removed, 1 edited: waiting for polls that agree"."""
    kinds = Counter(one.kind for one in pending)
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return f"{counted}: waiting for polls that agree"


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
