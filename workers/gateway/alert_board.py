"""The alerts of late, kept in memory and brought up to date from Redis when somebody asks."""

from __future__ import annotations

from collections import deque

from service.events import AlertEvent
from workers.gateway.alert_states import Placed, alerts_of
from workers.gateway.answers import Alert
from workers.gateway.protocol import Position, StreamId
from workers.gateway.reader import Reader
from workers.gateway.shared import Shared

# So many events of alerts are looked back at, and no further.
KEPT_EVENTS = 2_000
BATCH = 200


class AlertBoard:
    """Folds the end of the alerts stream once, and again only when that has changed."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._shared: Shared[tuple[Alert, ...]] = Shared()
        self._events: deque[Placed] = deque(maxlen=KEPT_EVENTS)
        self._at: Position | None = None  # up to here they were read
        self._alerts: tuple[Alert, ...] | None = None  # None: to be folded anew

    async def alerts(self) -> tuple[Alert, ...]:
        """Those raised last first, as they are now. Raises what redis-py raises."""
        return await self._shared.ask("alerts", self._refreshed)

    async def _refreshed(self) -> tuple[Alert, ...]:
        bounds = await self._reader.bounds()
        self._forget(bounds.lost.alerts)
        await self._read(bounds.last)
        if self._alerts is None:
            self._alerts = alerts_of(self._events)
        return self._alerts

    def _forget(self, lost: StreamId) -> None:
        """What was trimmed."""
        while self._events and self._events[0][0] <= lost:
            self._events.popleft()
            self._alerts = None

    async def _read(self, last: Position) -> None:
        """What came since, or all where the stream is another one. last: where it ends."""
        at = self._at
        if at is None or at.deployment != last.deployment or not last.covers(at):
            at = await self._reader.before_newest_alerts(KEPT_EVENTS)
            self._events.clear()
            self._alerts, self._at = None, at
        while found := await self._reader.alerts_after(at, BATCH):
            self._events += [(f.id, f.event) for f in found if isinstance(f.event, AlertEvent)]
            self._alerts, self._at = None, (at := found[-1].at)
