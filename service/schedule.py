"""When to poll a page next. Pure: the random part is an argument.

A page that changes is polled at its floor, a quiet one ever more slowly up to its ceiling, one that
fails with doubling pauses. A server's Retry-After (RFC 9110 section 10.2.3) and Crawl-delay are
never undercut.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Outcome = Literal["changed", "unchanged", "confirming", "failed"]

SLOWDOWN = 1.25
BACKOFF = 2.0
JITTER = 0.1
# A server that asks for more than this is asked again all the same.
LONGEST_RETRY_AFTER_S = 1800.0


class Limits(Struct, frozen=True):
    """floor_s and ceiling_s for a page that answers, retry_ceiling_s for one that fails."""

    floor_s: float
    ceiling_s: float
    retry_ceiling_s: float


class Pace(Struct, frozen=True):
    """How a page is polled at present. failures: bad polls in a row."""

    delay_s: float
    failures: int = 0


def next_pace(pace: Pace, outcome: Outcome, limits: Limits) -> Pace:
    """The pace after a poll."""
    match outcome:
        case "changed" | "confirming":
            return Pace(limits.floor_s)
        case "unchanged":
            slower = pace.delay_s * SLOWDOWN if pace.failures == 0 else limits.floor_s
            return Pace(min(max(slower, limits.floor_s), limits.ceiling_s))
        case "failed":
            delay_s = limits.floor_s * BACKOFF ** min(pace.failures, 30)
            longest_s = max(limits.retry_ceiling_s, limits.floor_s)
            return Pace(min(delay_s, longest_s), pace.failures + 1)


def wait_s(pace: Pace, chance: float, *, at_least_s: float = 0.0) -> float:
    """Seconds until the next poll. chance: from 0 to 1. at_least_s: what the server asks for.

    Jitter only ever lengthens what was asked for, so that many pollers spread out after it.
    """
    asked_s = min(at_least_s, LONGEST_RETRY_AFTER_S)
    if asked_s >= pace.delay_s:
        return asked_s * (1 + JITTER * chance)
    return max(pace.delay_s * (1 + JITTER * (2 * chance - 1)), asked_s)
