"""What has become of each alert: the fold of the events of the alerts stream. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from service.events import AlertEvent
from workers.gateway.answers import Alert, AlertChange, AlertLag
from workers.gateway.protocol import StreamId

_LAST_MS = 253_402_300_799_000  # what a datetime can hold
Placed = tuple[StreamId, AlertEvent]


def alerts_of(events: Iterable[Placed]) -> tuple[Alert, ...]:
    """The alerts that these events are of, in the order of the stream; those raised last first."""
    by_alert: dict[str, list[Placed]] = {}
    for one in events:
        if one[1].state == "raised":
            before = by_alert.pop(one[1].data.alert, [])
            by_alert[one[1].data.alert] = before
        by_alert.setdefault(one[1].data.alert, []).append(one)
    return tuple(_alert(several) for several in reversed(by_alert.values()))


def _alert(events: list[Placed]) -> Alert:
    last = events[-1][1]
    raised = [one for one in events if one[1].state == "raised"]
    return Alert(
        alert=last.data.alert,
        rule=last.data.rule,
        priority=last.data.priority,
        state=last.state,
        page=last.data.page,
        entry=last.data.entry,
        deadline=last.data.deadline,
        lag=_lag(*raised[-1]) if raised else None,
        history=tuple(_change(at, event) for at, event in events),
        entries=last.data.entries,
    )


def _change(at: StreamId, event: AlertEvent) -> AlertChange:
    return AlertChange(
        id=event.id,
        state=event.state,
        reason=event.data.reason,
        event=event.data.event,
        seen=event.observed_at,
        at=_moment(at),
    )


def _lag(at: StreamId, event: AlertEvent) -> AlertLag:
    published, seen, raised = event.data.entry.published, event.observed_at, _moment(at)
    return AlertLag(
        published=published,
        seen=seen,
        raised=raised,
        seen_s=None if published is None else (seen - published).total_seconds(),
        raised_s=(raised - seen).total_seconds(),
    )


def _moment(at: StreamId) -> datetime:
    """When Redis gave out this id; whoever writes to the stream can give any."""
    return datetime.fromtimestamp(min(at.ms, _LAST_MS) / 1000, UTC)
