"""What became of the last alerts, read from the alerts stream and the ledgers. Changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from datetime import datetime
from typing import cast

from msgspec import Struct
from redis.asyncio import Redis

from service.errors import CorruptionError
from service.events import AlertEvent, from_fields
from service.keys import Keys
from workers.alerts.ledger import alert_in

_PAGE = 200
Ledgers = dict[str, str]


class ChannelReport(Struct, frozen=True, omit_defaults=True):
    """How far a channel is. sent_s: from the poll that saw what was last delivered until then.

    reason: of the last failure, until something is delivered.
    """

    state: str
    attempts: int = 0
    reason: str | None = None
    sent_s: float | None = None


class AlertReport(Struct, frozen=True):
    """An alert as it now is. seen_s: from its publication to the poll that saw it, if both are
    known; on a page whose times have minutes alone, up to a minute too much. entries: how many it
    is about."""

    alert: str
    rule: str
    state: str
    page: str
    entry: str
    title: str
    entries: int
    raised_at: str
    seen_s: float | None
    channels: dict[str, ChannelReport]


async def recent(redis: Redis, keys: Keys, limit: int) -> list[AlertReport]:
    """The alerts that something happened to last, the newest first. Raises what redis-py raises."""
    found: dict[str, AlertReport | None] = {}
    async for event in _events(redis, keys):
        alert = event.data.alert
        if alert not in found:
            found[alert] = await _report(redis, keys, alert)
        if len([each for each in found.values() if each]) == limit:
            break
    return [each for each in found.values() if each]


async def _events(redis: Redis, keys: Keys) -> AsyncIterator[AlertEvent]:
    """The alerts stream from its end."""
    last = "+"
    while entries := await redis.xrevrange(keys.alerts, last, "-", _PAGE):
        for _, fields in entries:
            try:
                event = from_fields(cast("dict[bytes, bytes]", fields))
            except CorruptionError:  # not ours; to look must not fail on it
                continue
            if isinstance(event, AlertEvent):
                yield event
        last = f"({cast('bytes', entries[-1][0]).decode()}"


async def _report(redis: Redis, keys: Keys, alert: str) -> AlertReport | None:
    answer = await cast("Awaitable[dict[bytes, bytes]]", redis.hgetall(keys.ledger(alert)))
    ledger = {name.decode(): value.decode() for name, value in answer.items()}
    if "latest" not in ledger:
        return None
    data = alert_in(ledger["latest"].encode()).data
    seen_s = None
    if data.entry.published and "seen_at" in ledger:
        seen = datetime.fromisoformat(ledger["seen_at"]) - data.entry.published
        seen_s = round(seen.total_seconds(), 3)
    return AlertReport(
        alert=alert,
        rule=data.rule,
        state=ledger["state"],
        page=data.page.id,
        entry=data.entry.id,
        title=data.entry.title or data.entry.text[:80],
        entries=len(data.entries) or 1,
        raised_at=ledger["raised_at"],
        seen_s=seen_s,
        channels={name: _channel(ledger, name) for name in sorted(_channels(ledger))},
    )


def _channels(ledger: Ledgers) -> set[str]:
    ends = (":state", ":attempts")
    return {name.rpartition(":")[0] for name in ledger if name.endswith(ends)}


def _channel(ledger: Ledgers, name: str) -> ChannelReport:
    lag_ms = ledger.get(f"{name}:lag_ms")
    return ChannelReport(
        state=ledger.get(f"{name}:state", "waiting"),
        attempts=int(ledger.get(f"{name}:attempts", 0)),
        reason=ledger.get(f"{name}:reason"),
        sent_s=int(lag_ms) / 1000 if lag_ms else None,
    )
