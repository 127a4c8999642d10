"""Proof of life of the alerts: each canary goes the whole way of an alert, but to nobody.

Through the built-in rule, a ledger of its own, and the queue of a channel that sends nothing and
notes when the canary came out. Every worker watches that note, whoever it was that made it.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import Redis

from service.events import AlertEvent, CanaryEvent, EntryData, EntryEvent, Observed
from service.keys import Keys
from service.model import Entry, PageRef
from service.observability import CANARY
from workers.alerts.channels import Undeliverable
from workers.alerts.ledger import Ledger
from workers.alerts.rules import Raise, decide
from workers.alerts.steps import Clock
from workers.consumer import REDIS_ERRORS

CHANNEL = "canary"
# So many in a row have to be missing before it is said.
CANARIES = 3
WATCH_EVERY_S = 1.0
# An older one says nothing any more. A younger one is never too late: how late is what is measured.
OLD = timedelta(hours=1)
KEEP_S = 2 * 3600
DEADLINE_S = 24 * 3600.0
# So many canaries long a worker that starts knows of those before it.
NOTED = 10

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Note(Struct, frozen=True):
    """Of the last canary that came out. at: when it was sent. every_s: how often one is."""

    at: datetime
    every_s: float


def dry_run(event: CanaryEvent) -> AlertEvent:
    """The alert of a canary, as the built-in rule raises it. Its reason is how often one comes."""
    entry = EntryEvent(
        specversion="1.0",
        id=event.id,
        source=event.source,
        type="stoppress.entry.published",
        subject=event.id,
        time=event.time,
        datacontenttype="application/json",
        data=EntryData(
            page=PageRef(id=CHANNEL, url="https://canary.invalid/"),
            entry=Entry(id=event.id, title="Canary", labels=("breaking",)),
            revision=1,
            baseline=False,
            observed=Observed(after=None, at=event.observed_at),
        ),
    )
    decision = decide(entry, event.observed_at, DEADLINE_S)
    assert isinstance(decision, Raise), "a breaking entry raises an alert"
    alert = decision.event
    return replace(alert, data=replace(alert.data, reason=f"{event.data.every_s:g}"))


async def carry(event: CanaryEvent, ledger: Ledger, now: datetime) -> None:
    """Put a canary into its channel's queue, once. Raises what redis-py raises."""
    if now < event.observed_at + OLD:
        await ledger.raise_alert(dry_run(event), now, (CHANNEL,), keep_s=KEEP_S)


class CanaryChannel:
    """Where canaries come out."""

    name = CHANNEL
    parallel = 1

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    async def send(self, event: AlertEvent, handle: str | None) -> None:
        """Note that it came out. Raises Undeliverable."""
        note = Note(event.observed_at, float(event.data.reason))
        keep_ms = max(1, int(NOTED * note.every_s * 1000))
        try:
            await self._redis.set(self._keys.canary_out, msgspec.json.encode(note), px=keep_ms)
        except REDIS_ERRORS as error:
            raise Undeliverable("redis_unreachable", str(error), retryable=True) from error


class Watch:
    """Says when canaries come out no more: then no alert would either."""

    def __init__(self, redis: Redis, keys: Keys, now: Clock) -> None:
        self._redis, self._keys, self._now = redis, keys, now
        self._last: Note | None = None
        self._is_missed = False

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self._look()
            self._judge()
            await asyncio.sleep(WATCH_EVERY_S)

    async def _look(self) -> None:
        """Redis that does not answer, or not with a note, is a canary that does not come out."""
        try:
            noted = await self._redis.get(self._keys.canary_out)
            last = None if noted is None else msgspec.json.decode(noted, type=Note)
        except (*REDIS_ERRORS, msgspec.MsgspecError) as error:
            log.debug("canary.unread", detail=str(error)[:200])
            return
        if last is not None:
            self._last = last
            CANARY.labels("alerts").set(self._last.at.timestamp())

    def _judge(self) -> None:
        if (last := self._last) is None:
            return
        silent_s = (self._now() - last.at).total_seconds()
        was_missed, self._is_missed = self._is_missed, silent_s > CANARIES * last.every_s
        if self._is_missed and not was_missed:
            log.error(
                "canary.missing", part="alerts", silent_s=round(silent_s), every_s=last.every_s
            )
        elif was_missed and not self._is_missed:
            log.info("canary.back", part="alerts")
