"""Why an event raises an alert by each rule, or why not: in words and as data. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Literal

from msgspec import Struct

from service.events import Event, rfc3339
from service.plain import plain
from workers.alerts.conditions import Trace
from workers.alerts.decisions import (
    Amend,
    Decision,
    Hold,
    Memory,
    Refresh,
    Unhold,
    decide,
)
from workers.alerts.rules import Change, Judged, Raise, Rule, Suppress

Outcome = Literal["raise", "hold", "update", "retract", "let_go", "nothing"]
_WORDS: dict[Outcome, str] = {
    "raise": "raises an alert",
    "hold": "holds an alert",
    "update": "updates its alert",
    "retract": "retracts its alert",
    "let_go": "lets an alert go that was held",
    "nothing": "tells nothing",
}
_MANY = {"all": "all of", "any": "any of", "not": "not"}


class Explained(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What follows from an event by one rule, and why.

    reason: in words where something is told, else the name of the reason. channels: left out for
    all. until: how long it is held. match: what matched and what did not.
    """

    rule: str
    outcome: Outcome
    reason: str
    priority: str
    channels: tuple[str, ...] | None = None
    alert: str | None = None
    deadline: datetime | None = None
    until: datetime | None = None
    match: Trace | None = None


def explain(
    event: Event, rules: Iterable[Rule], now: datetime, memories: Mapping[str, Memory]
) -> tuple[Explained, ...]:
    """The same decisions as the worker's, with their reasons. memories: as of decide."""
    return tuple(_explained(*each) for each in decide(event, rules, now, memories))


def _explained(judged: Judged, decision: Decision) -> Explained:
    rule = judged.rule
    told = None if isinstance(decision, Suppress) else decision.event
    return Explained(
        rule=rule.name,
        outcome=_outcome(decision),
        reason=_reason(decision),
        priority=rule.priority,
        channels=rule.channels,
        alert=judged.alert or None,
        deadline=told.data.deadline if told else None,
        until=decision.until if isinstance(decision, Hold) else None,
        match=judged.trace,
    )


def _outcome(decision: Decision) -> Outcome:
    match decision:
        case Raise():
            return "raise"
        case Hold() | Refresh():
            return "hold"
        case Change(event=event) | Amend(event=event):
            return "retract" if event.type == "stoppress.alert.retracted" else "update"
        case Unhold():
            return "let_go"
        case Suppress():
            return "nothing"


def _reason(decision: Decision) -> str:
    match decision:
        case Suppress(reason=reason) | Hold(reason=reason):
            return reason
        case Raise(event=event) | Change(event=event) | Amend(event=event):
            return event.data.reason
        case Refresh(event=event) | Unhold(event=event):
            return event.data.reason


# --- in words ------------------------------------------------------------------------------------


def lines(explained: Explained) -> Iterator[str]:
    """An explanation as lines of plain text, safe to print."""
    yield f"{explained.rule}: {_WORDS[explained.outcome]} ({plain(explained.reason)})"
    if explained.outcome != "nothing":
        to = ", ".join(explained.channels or ()) or "all channels"
        until = f", held until {rfc3339(explained.until)}" if explained.until else ""
        deadline = f", deadline {rfc3339(explained.deadline)}" if explained.deadline else ""
        yield f"  to {to}, priority {explained.priority}{deadline}{until}"
    if explained.match is not None:
        yield from _traced(explained.match, 1)


def _traced(trace: Trace, depth: int) -> Iterator[str]:
    sign = "yes" if trace.holds else "no "
    yield f"{'  ' * depth}{sign}  {_said(trace)}"
    for part in trace.parts:
        yield from _traced(part, depth + 1)


def _said(trace: Trace) -> str:
    if trace.what in _MANY:
        return _MANY[trace.what]
    wanted = " or ".join(trace.wanted)
    there = f"found {', '.join(trace.found)}" if trace.found else "not found"
    if trace.has:
        there += f"; there is {', '.join(trace.has)}"
    return plain(f"{trace.what} {wanted}: {there}")
