"""Which events raise an alert, update it, or take it back. Pure: no clock, no I/O.

A rule judges one event by itself. That an alert is raised once, and that only one that stands is
updated or retracted, is the ledger's business: see TRANSITIONS.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, assert_never

from msgspec import Struct

from service.events import AlertData, AlertEvent, AlertType, EntryEvent, Event
from service.model import digest

Priority = Literal["high", "normal"]
Silence = Literal[
    "not_an_entry", "restored", "no_label", "nothing_new", "baseline", "uncertain", "expired"
]
State = Literal["raised", "updated", "retracted"]

# From which states an alert can come into each. It is raised once, out of nothing; after it was
# retracted nothing becomes of it any more.
TRANSITIONS: dict[State, tuple[State, ...]] = {
    "raised": (),
    "updated": ("raised", "updated"),
    "retracted": ("raised", "updated"),
}
# Edits that change what an alert said. Others (an addition, a typo, another label) don't.
TELLING = frozenset({"figure", "polarity", "name", "correction"})
MINOR = frozenset({"none", "typo"})


class Rule(Struct, frozen=True):
    """What to alert on. The name is also the label that an entry must have."""

    name: str
    priority: Priority


BREAKING = Rule("breaking", "high")


class Raise(Struct, frozen=True):
    """Raise this alert, unless it was raised before."""

    event: AlertEvent


class Change(Struct, frozen=True):
    """Update or retract this alert, if it stands."""

    event: AlertEvent


class Suppress(Struct, frozen=True):
    """Raise nothing, for this reason.

    alert: set when the entry matched but is no news (baseline, uncertain, expired). A later edit
    must not raise it either: an edit says that the labels changed, not that this one is new.
    """

    reason: Silence
    alert: str | None = None


Decision = Raise | Change | Suppress


def alert_id(event: EntryEvent, rule: Rule) -> str:
    """The id of the one alert that an entry can have by a rule."""
    return digest(event.data.page.id, event.data.entry.id, rule.name)


def decide(event: Event, now: datetime, deadline_s: float, rule: Rule = BREAKING) -> Decision:
    """What an event does to the alert of its entry by a rule, or why nothing.

    deadline_s: for so long after it was observed an event is news.
    """
    if not isinstance(event, EntryEvent):
        return Suppress("not_an_entry")
    deadline = event.observed_at + timedelta(seconds=deadline_s)
    match event.type:
        case "stoppress.entry.published":
            return _matched(event, rule, now, deadline, "published with")
        case "stoppress.entry.edited":
            return _edited(event, rule, now, deadline)
        case "stoppress.entry.removed":
            return _retracted(event, rule, deadline, "its entry was withdrawn")
        case "stoppress.entry.restored":
            return Suppress("restored")
        case _:
            assert_never(event.type)


def _matched(
    event: EntryEvent, rule: Rule, now: datetime, deadline: datetime, how: str
) -> Raise | Suppress:
    """Raise, where the entry has the rule's label and is news."""
    if rule.name not in event.data.entry.labels:
        return Suppress("no_label")
    alert = alert_id(event, rule)
    if event.data.baseline:
        return Suppress("baseline", alert)
    if event.data.uncertain:
        return Suppress("uncertain", alert)
    if now >= deadline:
        return Suppress("expired", alert)
    reason = f"{how} the label {rule.name}"
    return Raise(_event("stoppress.alert.raised", event, rule, deadline, reason))


def _edited(event: EntryEvent, rule: Rule, now: datetime, deadline: datetime) -> Decision:
    data = event.data
    if rule.name in data.gained:
        return _matched(event, rule, now, deadline, "edited to gain")
    if rule.name not in data.entry.labels:
        if "labels" in data.changed:
            return _retracted(event, rule, deadline, f"it has lost the label {rule.name}")
        return Suppress("no_label")
    news = _news(event)
    if news is None:
        return Suppress("nothing_new")
    return Change(_event("stoppress.alert.updated", event, rule, deadline, news))


def _news(event: EntryEvent) -> str | None:
    """What an edit changes of what was said; None when that is still true."""
    significance = event.data.significance
    if significance is None:
        return None
    if significance.kind in TELLING:
        return ": ".join(filter(None, (significance.kind, ", ".join(significance.evidence))))
    is_retold = "title" in event.data.changed and significance.kind not in MINOR
    return "the headline changed" if is_retold else None


def _retracted(event: EntryEvent, rule: Rule, deadline: datetime, reason: str) -> Change:
    return Change(_event("stoppress.alert.retracted", event, rule, deadline, reason))


def _event(
    kind: AlertType, event: EntryEvent, rule: Rule, deadline: datetime, reason: str
) -> AlertEvent:
    """An event of an alert; its time is that of what it is about.

    The id of the one that raises it is the alert's own.
    """
    alert = alert_id(event, rule)
    return AlertEvent(
        specversion="1.0",
        id=alert if kind == "stoppress.alert.raised" else digest(alert, event.id, kind),
        source=event.source,
        type=kind,
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
            reason=reason,
            deadline=deadline,
        ),
    )


def state_of(event: AlertEvent) -> State:
    """The state that an alert is in after this event."""
    match event.type:
        case "stoppress.alert.raised":
            return "raised"
        case "stoppress.alert.updated":
            return "updated"
        case "stoppress.alert.retracted":
            return "retracted"
        case _:
            assert_never(event.type)
