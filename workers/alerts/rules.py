"""Which events raise an alert. Pure: no clock, no I/O.

A rule judges one event by itself. That an alert is raised once, however many events match, is the
ledger's business.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, assert_never

from msgspec import Struct

from service.events import AlertData, AlertEvent, EntryEvent, Event
from service.model import digest

Priority = Literal["high", "normal"]
Silence = Literal[
    "not_an_entry",
    "withdrawn",
    "restored",
    "no_label",
    "label_kept",
    "baseline",
    "uncertain",
    "expired",
]


class Rule(Struct, frozen=True):
    """What to alert on. The name is also the label that an entry must have."""

    name: str
    priority: Priority


BREAKING = Rule("breaking", "high")


class Raise(Struct, frozen=True):
    """Raise this alert, unless it was raised before."""

    event: AlertEvent


class Suppress(Struct, frozen=True):
    """Raise nothing, for this reason.

    alert: set when the entry matched but is no news (baseline, uncertain, expired). A later edit
    must not raise it either: an edit says that the labels changed, not that this one is new.
    """

    reason: Silence
    alert: str | None = None


Decision = Raise | Suppress


def alert_id(event: EntryEvent, rule: Rule) -> str:
    """The id of the one alert that an entry can have by a rule."""
    return digest(event.data.page.id, event.data.entry.id, rule.name)


def decide(event: Event, now: datetime, deadline_s: float, rule: Rule = BREAKING) -> Decision:
    """Whether an event raises an alert by a rule, or why not.

    deadline_s: for so long after it was observed an event is news.
    """
    if not isinstance(event, EntryEvent):
        return Suppress("not_an_entry")
    if mismatch := _mismatch(event, rule):
        return Suppress(mismatch)
    if event.data.baseline:
        return Suppress("baseline", alert_id(event, rule))
    if event.data.uncertain:
        return Suppress("uncertain", alert_id(event, rule))
    deadline = event.observed_at + timedelta(seconds=deadline_s)
    if now >= deadline:
        return Suppress("expired", alert_id(event, rule))
    return Raise(_raised(event, rule, deadline))


def _mismatch(event: EntryEvent, rule: Rule) -> Silence | None:
    """Why an event is none that the rule is about; None when it is one."""
    match event.type:
        case "stoppress.entry.published":
            return None if rule.name in event.data.entry.labels else "no_label"
        case "stoppress.entry.edited":
            if rule.name not in event.data.entry.labels:
                return "no_label"
            return None if rule.name in event.data.gained else "label_kept"
        case "stoppress.entry.removed":
            return "withdrawn"
        case "stoppress.entry.restored":
            return "restored"
        case _:
            assert_never(event.type)


def _raised(event: EntryEvent, rule: Rule, deadline: datetime) -> AlertEvent:
    """The event that raises an alert: its id is the alert's, its time that of what it is about."""
    alert = alert_id(event, rule)
    how = "published with" if event.type == "stoppress.entry.published" else "edited to gain"
    return AlertEvent(
        specversion="1.0",
        id=alert,
        source=event.source,
        type="stoppress.alert.raised",
        subject=event.subject,
        time=event.time,
        datacontenttype="application/json",
        data=AlertData(
            alert=alert,
            rule=rule.name,
            priority=rule.priority,
            page=event.data.page,
            entry=event.data.entry,
            event=event.id,
            reason=f"{how} the label {rule.name}",
            deadline=deadline,
        ),
    )
