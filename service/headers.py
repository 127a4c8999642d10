"""HTTP header values that our clients read, and the origin of a server of ours. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Retry-After in seconds or as a date (RFC 9110 section 10.2.3); None when it says nothing."""
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    moment = http_date(value)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def http_date(value: str | None) -> datetime | None:
    """An HTTP date in UTC (RFC 9110 section 5.6.7); None when it is none."""
    try:
        moment = parsedate_to_datetime(value or "")
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def origin_of(host: str, port: int, *, scheme: str = "http") -> str:
    """Scheme, host and port of a server, an IPv6 address in brackets (RFC 3986 section 3.2.2)."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
