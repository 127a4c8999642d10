"""What stands in a stream."""

from __future__ import annotations

from typing import Any, cast

from redis.asyncio import Redis

from service.events import Event, from_fields


async def events_in(redis: Redis, stream: str) -> list[Event]:
    """All events of a stream, oldest first."""
    stored = cast("list[tuple[bytes, dict[bytes, bytes]]]", await cast("Any", redis.xrange(stream)))
    return [from_fields(fields) for _, fields in stored]
