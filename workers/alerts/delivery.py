"""The second half of the alerts worker: alerts to one channel, until delivered or given up."""

from __future__ import annotations

import random

import structlog

from service.errors import CorruptionError
from service.events import AlertEvent, from_fields
from service.observability import DEAD, DELIVERIES
from workers.alerts.channels import Channel, Undeliverable
from workers.alerts.ledger import Before, Ledger, Reservation
from workers.alerts.rules import state_of
from workers.alerts.steps import Checkpoint, Clock, Sleep, about, lag_ms
from workers.consumer import REDIS_ERRORS, Fields, backoff_s

RETRY_BASE_S = 1.0
RETRY_CEILING_S = 60.0

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def alert_in(fields: Fields) -> AlertEvent:
    """The alert event in a stream entry. Raises CorruptionError when it is none."""
    event = from_fields(fields)
    if not isinstance(event, AlertEvent):
        raise CorruptionError("event.misplaced", f"{event.type} in the alerts stream")
    return event


def retry_in_s(failure: Undeliverable, attempt: int, left_s: float, draw: float) -> float:
    """Seconds until the next try: what the receiver asks for, at least our own backoff.

    Never past the deadline, which is left_s away: the last try is made there.
    """
    own = backoff_s(attempt, draw, base_s=RETRY_BASE_S, ceiling_s=RETRY_CEILING_S)
    return min(max(own, failure.retry_after_s or 0.0), left_s)


class Delivery:
    """Handles the alerts stream for one channel: tries until delivered, refused, or too late."""

    def __init__(
        self, channel: Channel, ledger: Ledger, *, now: Clock, sleep: Sleep, checkpoint: Checkpoint
    ) -> None:
        self.channel, self._ledger = channel, ledger
        self._now, self._sleep, self._checkpoint = now, sleep, checkpoint

    async def handle(self, message_id: bytes, fields: Fields) -> None:
        """Settle one alert event. Raises CorruptionError when the message is none."""
        event = alert_in(fields)
        if not await self._is_wanted(event):
            log.debug("alert.suppressed", **self._about(event), reason="never_delivered")
            return
        if self._left_s(event) <= 0:
            await self._give_up(event, "expired", "not delivered before its deadline")
            return
        while (reserved := await self._reserve(event)) is not None:
            failure = await self._try(event, reserved)
            if failure is None:
                return
            if not failure.retryable or self._left_s(event) <= 0:
                await self._give_up(event, failure.code, failure.what)
                return
            await self._back_off(event, reserved.attempt, failure)

    async def _is_wanted(self, event: AlertEvent) -> bool:
        """Whether this channel is to hear of it, once it is through with what came before.

        What was never delivered needs no retraction. An update is news of its own.
        """
        if (state := state_of(event)) == "raised":
            return True
        attempt = 0
        while True:
            before = await self._ledger.before(event, self.channel.name)
            is_through = before.is_settled and self._is_raised(event, before)
            if is_through or self._left_s(event) <= 0:
                return before.was_told or state == "updated"
            attempt += 1
            await self._sleep(backoff_s(attempt, random.random()))  # noqa: S311

    def _is_raised(self, event: AlertEvent, before: Before) -> bool:
        """Is the raising settled here, or too old to be delivered any more?"""
        allowed = event.data.deadline - event.observed_at
        raised_at = before.raised_at
        return before.is_raised or raised_at is None or self._now() > raised_at + allowed

    async def _reserve(self, event: AlertEvent) -> Reservation | None:
        """The try that may be made now; None when the alert is settled here."""
        reservation = await self._ledger.reserve(event, self.channel.name, self._now())
        if reservation.state == "sending":
            self._checkpoint("alert.reserved")
            return reservation
        log.debug("alert.suppressed", **self._about(event), reason=f"{reservation.state}_before")
        return None

    async def _try(self, event: AlertEvent, reserved: Reservation) -> Undeliverable | None:
        try:
            handle = await self.channel.send(event, reserved.handle)
        except Undeliverable as failure:
            return failure
        self._checkpoint("alert.sent")
        lag = lag_ms(event, self._now())
        await self._record(event, handle)
        self._checkpoint("alert.recorded")
        DELIVERIES.labels(channel=self.channel.name, outcome="delivered").inc()
        log.info("alert.delivered", **self._about(event), attempt=reserved.attempt, lag_ms=lag)
        return None

    async def _record(self, event: AlertEvent, handle: str | None) -> None:
        """Record a success, however long Redis is away: to handle it anew would send it twice."""
        failures = 0
        while True:
            try:
                await self._ledger.delivered(event, self.channel.name, handle, self._now())
                return
            except REDIS_ERRORS:
                failures += 1
                await self._sleep(backoff_s(failures, random.random()))  # noqa: S311

    async def _back_off(self, event: AlertEvent, attempt: int, failure: Undeliverable) -> None:
        wait_s = retry_in_s(failure, attempt, self._left_s(event), random.random())  # noqa: S311
        DELIVERIES.labels(channel=self.channel.name, outcome="failed").inc()
        log.warning(
            "alert.failed",
            **self._about(event),
            attempt=attempt,
            reason=failure.code,
            detail=failure.what[:200],
            retry_in_s=round(wait_s, 3),
        )
        await self._sleep(wait_s)

    async def _give_up(self, event: AlertEvent, reason: str, detail: str) -> None:
        died = await self._ledger.dead(event, self.channel.name, reason, self._now())
        if not died:
            return
        DELIVERIES.labels(channel=self.channel.name, outcome="dead").inc()
        DEAD.labels(reason=reason).inc()
        log.error("alert.dead", **self._about(event), reason=reason, detail=detail[:200])

    def _left_s(self, event: AlertEvent) -> float:
        return (event.data.deadline - self._now()).total_seconds()

    def _about(self, event: AlertEvent) -> dict[str, str]:
        return about(event) | {"channel": self.channel.name}
