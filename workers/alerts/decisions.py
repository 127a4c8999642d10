"""What follows from an event by every rule, given what was before. Pure: no clock, no I/O.

Owns the life cycle of an alert and everything that makes one wait. What came before is a Memory.
Each decision says its reason; whoever carries it out finds nothing left to decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from service.events import AlertEvent, EntryEvent, Event
from service.model import digest
from workers.alerts.conditions import Views
from workers.alerts.grouping import Group, Held, Part, as_one, changed
from workers.alerts.limits import Limit, full_until
from workers.alerts.quiet import quiet_until
from workers.alerts.rules import (
    NOTED,
    Change,
    Judged,
    Move,
    Raise,
    Rule,
    Silence,
    Standing,
    Suppress,
    Wait,
    judge,
)


class Known(Struct, frozen=True):
    """What is known of an alert.

    event: id of the entry event that raised it, or that is held. changed_at: of a change that came
    after. group: the alert about several entries that it is the first, or a part, of.
    held: as it would be raised now, where it is held. is_closing: it is about to be raised.
    """

    standing: Standing
    event: str = ""
    changed_at: datetime | None = None
    group: Group | None = None
    held: AlertEvent | None = None
    is_closing: bool = False


class Memory(Struct, frozen=True):
    """What a decision by one rule needs to know of before.

    known: of the entry's alert; None when there was none. due: when what is held of this page by
    this rule is told. raised: by alert, when alerts were raised by this rule, as far back as its
    limit.
    early: a change of the entry's alert that came before the alert.
    """

    known: Known | None = None
    due: datetime | None = None
    raised: Mapping[str, datetime] = {}
    early: AlertEvent | None = None


NOTHING = Memory()


class Hold(Struct, frozen=True):
    """Keep this alert until a moment, and tell it with others of its page then.

    again: as of Raise. early: id of a change that came before it: it is in it, or older.
    """

    event: AlertEvent
    until: datetime
    reason: Wait
    channels: tuple[str, ...] | None = None
    again: bool = False
    early: str = ""


class Refresh(Struct, frozen=True):
    """An alert that is held is to say this instead. held: what it says now."""

    event: AlertEvent
    held: AlertEvent


class Unhold(Struct, frozen=True):
    """Tell nothing of an alert that is held: what it would say is not so any more."""

    event: AlertEvent
    held: AlertEvent


class Amend(Struct, frozen=True):
    """Update or retract an alert about several entries, of which one has changed.

    before, after: what is remembered of it; nothing is told when it is not as before any more.
    """

    event: AlertEvent
    before: Group
    after: Group
    channels: tuple[str, ...] | None = None


Decision = Raise | Change | Amend | Hold | Refresh | Unhold | Suppress
# What a move leads to. `update` needs something to tell: without it is `raised_before`. `again` is
# `retracted_before` until enough time has passed.
Step = Literal["raise", "refresh", "update", "retract", "unhold", "again"]
_Before = Standing | Literal["unknown"]
_SILENCED: dict[_Before, Step | Silence] = {
    "baseline": "silenced_before",
    "uncertain": "silenced_before",
    "expired": "silenced_before",
    "quiet_hours": "silenced_before",
}
STEPS: dict[Move, dict[_Before, Step | Silence]] = {
    "matched": {
        "unknown": "raise",
        "held": "refresh",
        "raised": "update",
        "updated": "update",
        "grouped": "update",
        "retracted": "again",
        **_SILENCED,
    },
    "changed": {
        "unknown": "not_raised",
        "held": "refresh",
        "raised": "update",
        "updated": "update",
        "grouped": "update",
        "retracted": "retracted_before",
        **_SILENCED,
    },
    "touched": {
        "unknown": "nothing_new",
        "held": "refresh",
        "raised": "nothing_new",
        "updated": "nothing_new",
        "grouped": "nothing_new",
        "retracted": "retracted_before",
        **_SILENCED,
    },
    "lost": {
        "unknown": "not_raised",
        "held": "unhold",
        "raised": "retract",
        "updated": "retract",
        "grouped": "retract",
        "retracted": "retracted_before",
        **_SILENCED,
    },
}


def decide(
    event: Event, rules: Iterable[Rule], now: datetime, memories: Mapping[str, Memory]
) -> tuple[tuple[Judged, Decision], ...]:
    """What follows from an event by each rule, in their order, with what the rule made of it.

    memories: by rule, what was before; nothing where it is left out. The same in, the same out.
    """
    views = Views(event) if isinstance(event, EntryEvent) else None
    judged = (judge(event, rule, now, views) for rule in rules)
    return tuple(
        (each, settled(each, now, memories.get(each.rule.name, NOTHING))) for each in judged
    )


def needs_memory(judged: Judged) -> bool:
    """Can what was before make a difference?"""
    return judged.move is not None or judged.silence in NOTED


def settled(judged: Judged, now: datetime, memory: Memory) -> Decision:
    """What follows from what a rule made of an event."""
    known = memory.known
    if judged.move is None:
        # What is known of already is not to be noted as silenced: it may be held.
        noted = judged.alert if judged.silence in NOTED and known is None else None
        return Suppress(judged.silence or "no_match", noted)
    if known and known.event == _cause(judged) and known.standing != "held":
        return Suppress("raised_before")  # by this very event
    step = STEPS[judged.move][_standing(judged, known)]
    match step:
        case "raise":
            return _raised(judged, now, memory)
        case "refresh" | "unhold":
            return _of_held(judged, step, known)
        case "update" | "retract":
            told = judged.updated if step == "update" else judged.retracted
            return _told(judged, told, known)
        case "again":
            if _is_over(judged, known, now):
                return _raised(judged, now, memory, again=True)
            return Suppress("retracted_before")
        case "not_raised":
            early = judged.updated if judged.move == "changed" else judged.retracted
            return Suppress("not_raised", early=early if judged.may_be_raised else None)
        case silence:
            return Suppress(silence)


def _is_over(judged: Judged, known: Known | None, now: datetime) -> bool:
    """Was its alert taken back so long ago that its entry can raise another?"""
    if known is None or known.standing not in ("retracted", "grouped"):
        return False
    part = known.group.part(judged.alert) if known.group else None
    since = part.changed_at if part else known.changed_at
    return since is not None and now >= since + timedelta(seconds=judged.rule.again_after_s)


def _cause(judged: Judged) -> str:
    """The id of the event that was judged."""
    told = judged.raised or judged.retracted
    return told.data.event if told else ""


def _standing(judged: Judged, known: Known | None) -> _Before:
    if known is None:
        return "unknown"
    part = known.group.part(judged.alert) if known.group else None
    is_gone = part is not None and part.entry.withdrawn and part.last != _cause(judged)
    return "retracted" if is_gone else known.standing


def _raised(judged: Judged, now: datetime, memory: Memory, *, again: bool = False) -> Decision:
    """A new alert: at once, later with others, or not at all."""
    rule, event = judged.rule, judged.raised
    assert event is not None, "what matches says what would be told"
    if again:  # receivers know the id of the first one
        event = replace(event, id=digest(event.id, event.data.event, event.type))

    def hold(until: datetime, why: Wait) -> Hold | Suppress:
        early, newest = memory.early, event
        if early and early.observed_at >= event.observed_at:  # an older one bears on nothing
            if early.type == "stoppress.alert.retracted":
                return Suppress("retracted_before")
            data = replace(event.data, entry=early.data.entry)
            newest = replace(event, time=early.time, data=data)
        known = early.id if early else ""
        return Hold(newest, memory.due or until, why, rule.channels, again, known)

    if until := quiet_until(rule.quiet, now):
        if rule.quiet and rule.quiet.action == "drop":
            return Suppress("quiet_hours", judged.alert)
        return hold(until, "quiet_hours")
    if rule.priority == "normal" and (rule.group_s or memory.due):
        return hold(now + timedelta(seconds=rule.group_s or 0), "grouping")
    if until := _full_until(rule, judged.alert, memory.raised, now):
        return hold(until, "at_most")
    return Raise(event, rule.channels, rule.limit, again)


def _full_until(
    rule: Rule, own: str, raised: Mapping[str, datetime], now: datetime
) -> datetime | None:
    """As limits.full_until; an alert does not stand in its own way when it is tried again."""
    others = (moment for alert, moment in raised.items() if alert != own)
    return full_until(rule.limit, others, now)


def _of_held(judged: Judged, step: Step, known: Known | None) -> Decision:
    """What becomes of an alert that is held: it is kept as it is now, or let go."""
    assert known is not None
    event, held = judged.retracted if step == "unhold" else judged.raised, known.held
    if event is None or held is None or event.observed_at < held.observed_at:
        return Suppress("raised_before")  # the same, or older than what is held
    if step == "unhold":
        return Unhold(event, held)
    data = replace(event.data, reason=held.data.reason)
    return Refresh(replace(event, id=held.id, data=data), held)


def _told(judged: Judged, event: AlertEvent | None, known: Known | None) -> Decision:
    """An alert that stands is updated or retracted, by itself or as part of another."""
    if event is None:
        return Suppress("raised_before")
    group = known.group if known else None
    part = group.part(judged.alert) if group else None
    if known and known.standing == "grouped" and part is None:
        return Suppress("retracted_before")  # so long ago that nobody knows of what
    if group is None:
        return Change(event, judged.rule.channels)
    if _is_stale(event, part):
        return Suppress("raised_before")
    after, told = changed(group, event)
    return Amend(told, group, after, judged.rule.channels)


def _is_stale(event: AlertEvent, part: Part | None) -> bool:
    """Is a change older than what is told of its part? As the ledger has it of a single alert.

    A retraction is the last word whenever it comes, but for one of before the alert.
    """
    if part is None:
        return False
    newest = part.seen_at if event.state == "retracted" else part.changed_at or part.seen_at
    return event.observed_at < newest


# --- what was held ---------------------------------------------------------------------------


class Postpone(Struct, frozen=True):
    """Hold what is held on until then."""

    until: datetime
    reason: Wait


class Send(Struct, frozen=True):
    """Raise what was held as one alert.

    group: what is to be remembered of it; None for a single one. limit: it needs room in this.
    """

    event: AlertEvent
    group: Group | None
    channels: tuple[str, ...] | None = None
    limit: Limit | None = None


def released(
    held: Held,
    rule: Rule | None,
    now: datetime,
    known: Mapping[str, Known],
    raised: Mapping[str, datetime],
) -> Send | Postpone | Suppress:
    """What becomes of what was held, when it is due.

    rule: None when there is none of that name any more. known: of the alerts that are held, by
    alert; none in the ordinary run. raised: as in Memory. A Suppress is of all that is held.
    """
    if rule is None or not rule.enabled:
        return Suppress("rule_off")
    own = [each for each in held.events if _is_own(each, known.get(each.data.alert))]
    if not own:
        return Suppress("raised_before")
    deadline = held.due + timedelta(seconds=rule.deadline_s)
    is_begun = held.is_closed and any(each.data.alert in known for each in own)
    wait = None if is_begun else _wait(held, rule, now, raised, deadline)
    if wait is not None:
        return wait
    event, group = as_one(own, deadline)
    return Send(event, group, rule.channels, rule.limit)


def _is_own(event: AlertEvent, known: Known | None) -> bool:
    """Nothing is known of it but that we ourselves raised it just before we were cut short."""
    return known is None or known.event == event.data.event


def _wait(
    held: Held, rule: Rule, now: datetime, raised: Mapping[str, datetime], deadline: datetime
) -> Postpone | Suppress | None:
    if now >= deadline:
        return Suppress("expired")
    until = quiet_until(rule.quiet, now)
    if until and rule.quiet and rule.quiet.action == "drop":
        return Suppress("quiet_hours")
    if held.is_closed:
        return None
    if until:
        return Postpone(until, "quiet_hours")
    full = _full_until(rule, held.token, raised, now)
    return Postpone(full, "at_most") if full else None
