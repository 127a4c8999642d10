"""The first half of the alerts worker: events in, alerts raised, updated and taken back."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from service.events import AlertEvent, CanaryEvent, Event, from_fields
from service.observability import ALERTS
from workers.alerts.canary import carry
from workers.alerts.ledger import Ledger
from workers.alerts.rules import Change, Raise, Silence, Suppress, decide, state_of
from workers.alerts.steps import Checkpoint, Clock, about, lag_ms
from workers.consumer import Fields

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Raising:
    """Handles the event stream: decides, and raises what is to be raised.

    channels: where all of it goes, by name.
    """

    def __init__(
        self,
        ledger: Ledger,
        channels: Sequence[str],
        *,
        deadline_s: float,
        now: Clock,
        checkpoint: Checkpoint,
    ) -> None:
        self._ledger, self._channels, self._deadline_s = ledger, channels, deadline_s
        self._now, self._checkpoint = now, checkpoint

    async def handle(self, message_id: bytes, fields: Fields) -> None:
        """Judge one event. Raises CorruptionError when the message is none."""
        event = from_fields(fields)
        if isinstance(event, CanaryEvent):
            await carry(event, self._ledger, self._now())
            return
        match decide(event, self._now(), self._deadline_s):
            case Raise(event=alert):
                await self._raise(alert)
            case Change(event=alert):
                await self._change(alert)
            case Suppress(reason=reason, alert=alert_id):
                await self._suppress(event, reason, alert_id)

    async def _suppress(self, event: Event, reason: Silence, alert: str | None) -> None:
        about = log.bind(page=event.data.page.id, entry=event.subject, reason=reason)
        if alert is None:
            about.debug("alert.suppressed", type=event.type)
            return
        await self._ledger.suppress(alert, reason)
        about.info("alert.suppressed", alert=alert)

    async def _raise(self, alert: AlertEvent) -> None:
        raised = await self._ledger.raise_alert(alert, self._now(), self._channels)
        self._checkpoint("alert.raised")
        if not raised:
            log.debug("alert.suppressed", **about(alert), reason="raised_before")
            return
        ALERTS.labels(rule=alert.data.rule).inc()
        log.info("alert.raised", **about(alert), lag_ms=lag_ms(alert, self._now()))

    async def _change(self, alert: AlertEvent) -> None:
        changed = await self._ledger.change(alert, self._channels)
        self._checkpoint("alert.changed")
        state = state_of(alert)
        if not changed:
            log.debug("alert.suppressed", **about(alert), reason=f"not_to_be_{state}")
            return
        lag, reason = lag_ms(alert, self._now()), alert.data.reason[:200]
        log.info(f"alert.{state}", **about(alert), reason=reason, lag_ms=lag)
