"""Finding one event, and what is known of it, for whoever asks why an alert was raised or not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from redis.asyncio import Redis

from service.errors import ConfigError, CorruptionError
from service.events import CanaryEvent, Event, StreamEvent, from_fields, from_json
from service.keys import Keys
from workers.alerts.decisions import Memory, needs_memory
from workers.alerts.holding import Holding
from workers.alerts.rules import Rule, judge

_AT_ONCE = 500
_PLACE = re.compile(r"\d{1,20}-\d{1,20}")


async def find(redis: Redis, keys: Keys, wanted: str) -> Event:
    """The event with this id, or at this place of the stream, such as 1745571605000-0.

    Raises ConfigError when it isn't there (any more), CorruptionError when it is no event.
    """
    before = wanted if _PLACE.fullmatch(wanted) else "+"
    while True:
        found: Any = await redis.xrevrange(keys.events, before, "-", count=_AT_ONCE)
        for place, fields in found:
            if wanted in (place.decode(), fields.get(b"id", b"").decode("utf-8", "replace")):
                return _told(from_fields(fields), wanted)
        if len(found) < _AT_ONCE or before == wanted:
            raise ConfigError(
                "event.unknown",
                "no such event in the stream",
                where=wanted,
                fix="give its id, its place in the stream, or a file",
            )
        before = f"({found[-1][0].decode()}"


def read(data: bytes, where: str) -> Event:
    """The event in a JSON file. Raises ConfigError that names the file when it is none."""
    try:
        return _told(from_json(data), where)
    except CorruptionError as error:
        raise ConfigError(error.code, error.what, where=where, fix=error.fix) from None


def _told(event: StreamEvent, where: str) -> Event:
    if isinstance(event, CanaryEvent):
        raise ConfigError("event.unknown", "a canary is no news", where=where)
    return event


async def memories(
    holding: Holding, event: Event, rules: Sequence[Rule], now: datetime
) -> dict[str, Memory]:
    """By rule, what was before, as far as it makes a difference. Raises what redis-py raises."""
    judged = (judge(event, rule, now) for rule in rules)
    return {
        each.rule.name: await holding.recall(each.rule, event.data.page.id, each.alert)
        for each in judged
        if needs_memory(each)
    }
