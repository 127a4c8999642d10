"""Which events raise an alert by a rule, update it, or take it back. Pure: no clock, no I/O.

A rule judges one event by itself. What was raised before, what is held, and what follows from that
is decided in `decisions`, by the tables here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, assert_never

from msgspec import Struct
from msgspec.structs import replace

from service.events import AlertData, AlertEvent, AlertState, AlertType, EntryEvent, Event
from service.model import digest
from service.rules import BUILT_IN, DAYS, Condition, Day, Priority, QuietAction, RuleSettings
from service.wording import TemplateSettings
from workers.alerts.conditions import Trace, Views, told, traced
from workers.alerts.limits import Limit, limit_of
from workers.alerts.quiet import Quiet, quiet_of

# Why nothing is told now. See docs/alerts.md for each.
Silence = Literal[
    "not_an_entry",
    "rule_off",
    "no_match",
    "restored",
    "nothing_new",
    "baseline",
    "uncertain",
    "expired",
    "quiet_hours",
    "not_raised",
    "raised_before",
    "retracted_before",
    "silenced_before",
]
# Why an alert waits.
Wait = Literal["quiet_hours", "grouping", "at_most"]
# What can be known of the alert of an entry by a rule. The last four will never be raised.
Standing = Literal[AlertState, "held", "grouped", "baseline", "uncertain", "expired", "quiet_hours"]

# From which states an alert can come into each; those without any come out of nothing. It is raised
# once; after it was retracted nothing becomes of it any more.
TRANSITIONS: dict[Standing, tuple[Standing, ...]] = {
    "held": (),
    "raised": ("held",),
    "grouped": ("held",),  # raised as part of an alert about several entries
    "updated": ("raised", "updated"),
    "retracted": ("raised", "updated"),
    "baseline": (),
    "uncertain": (),
    "expired": ("held",),
    "quiet_hours": ("held",),
}
# Edits that change what an alert said. Others (an addition, a typo, another label) don't.
TELLING = frozenset({"figure", "polarity", "name", "correction"})
MINOR = frozenset({"none", "typo"})
# What is no news now is none later: it is noted that the entry was seen.
NOTED = frozenset({"baseline", "uncertain", "expired", "quiet_hours"})
DAY_S = 86_400.0


class Rule(Struct, frozen=True):
    """What to alert on, and how.

    deadline_s: for so long after it was observed an event is news. channels: names of those that it
    goes to; None for all. group_s, limit: see `decisions`; rules of high priority have none.
    again_after_s: so long after its retraction an entry can raise another alert.
    """

    name: str
    priority: Priority
    when: Condition
    enabled: bool = True
    deadline_s: float = 3600.0
    channels: tuple[str, ...] | None = None
    quiet: Quiet | None = None
    group_s: float | None = None
    limit: Limit | None = None
    again_after_s: float = 30 * DAY_S
    templates: TemplateSettings | None = None


BREAKING = Rule(BUILT_IN, "high", Condition(label=(BUILT_IN,)))


class Defaults(Struct, frozen=True):
    """What holds for rules that do not say otherwise: the settings of [alerts] by their names."""

    deadline_s: float = 3600.0
    again_after_days: float = 30.0
    quiet: str = "none"
    zone: str = "UTC"
    quiet_days: tuple[Day, ...] = DAYS
    quiet_action: QuietAction = "hold"


def rules_of(tables: Mapping[str, RuleSettings], defaults: Defaults) -> tuple[Rule, ...]:
    """The rules of the settings, which are known to be good; `breaking` first, given or not."""
    given = {BUILT_IN: RuleSettings()} | dict(tables)
    return tuple(_rule(name, table, defaults) for name, table in given.items())


def _rule(name: str, table: RuleSettings, defaults: Defaults) -> Rule:
    is_built_in = name == BUILT_IN
    priority = table.priority or ("high" if is_built_in else "normal")
    condition = _condition(table.when) if is_built_in else table.when
    assert condition is not None, "checked with the settings"
    # Quiet hours for all are for what can wait; a rule's own ones are meant.
    hours = table.quiet or (defaults.quiet if priority == "normal" else "none")
    return Rule(
        name=name,
        priority=priority,
        when=condition,
        enabled=table.enabled,
        deadline_s=table.deadline_s or defaults.deadline_s,
        channels=table.channels,
        quiet=quiet_of(
            hours,
            table.zone or defaults.zone,
            table.quiet_days or defaults.quiet_days,
            table.quiet_action or defaults.quiet_action,
        ),
        group_s=table.group_s,
        limit=limit_of(table.at_most) if table.at_most else None,
        again_after_s=defaults.again_after_days * DAY_S,
        templates=table.templates,
    )


def _condition(narrower: Condition | None) -> Condition:
    """That of the built-in rule. What is given narrows it."""
    return BREAKING.when if narrower is None else Condition(all=(BREAKING.when, narrower))


# --- decisions -----------------------------------------------------------------------------------


class Raise(Struct, frozen=True):
    """Raise this alert, unless it was raised before.

    channels: where it goes; None for all. limit: it needs room in this. again: an earlier alert of
    the entry, retracted long ago, is to be forgotten first.
    """

    event: AlertEvent
    channels: tuple[str, ...] | None = None
    limit: Limit | None = None
    again: bool = False


class Change(Struct, frozen=True):
    """Update or retract this alert, if it stands.

    channels: of the rule as it is now; None for all.
    """

    event: AlertEvent
    channels: tuple[str, ...] | None = None


class Suppress(Struct, frozen=True):
    """Tell nothing, for this reason.

    alert: set when the entry matched but is no news (baseline, uncertain, expired, quiet_hours). A
    later edit must not raise it either: an edit says what changed, not that this one is new.
    early: what is to follow should the alert be raised yet: whoever was to raise it may be late.
    """

    reason: Silence
    alert: str | None = None
    early: AlertEvent | None = None


# What an event does to an entry in the eyes of a rule: it comes to match, as far as the event says;
# it changes what an alert says; it changes nothing of that; it matches no more.
Move = Literal["matched", "changed", "touched", "lost"]


class Judged(Struct, frozen=True):
    """What a rule makes of an event, whatever was before.

    trace: what matched and what did not. move: None where `silence` says why. alert: its id.
    raised, updated, retracted: what would be told, where the event gives cause. may_be_raised: an
    alert of this entry may be on its way; False where it does not match now.
    """

    rule: Rule
    trace: Trace | None = None
    alert: str = ""
    move: Move | None = None
    silence: Silence | None = None
    raised: AlertEvent | None = None
    updated: AlertEvent | None = None
    retracted: AlertEvent | None = None
    may_be_raised: bool = True

    @property
    def base(self) -> Raise | Change | Suppress:
        """The decision where nothing is known of before."""
        channels = self.rule.channels
        if self.move == "matched" and self.raised:
            return Raise(self.raised, channels, self.rule.limit)
        if self.move == "changed" and self.updated:
            return Change(self.updated, channels)
        if self.move == "lost" and self.retracted:
            return Change(self.retracted, channels)
        silence = self.silence or "nothing_new"
        return Suppress(silence, self.alert if silence in NOTED else None)


def alert_id(event: EntryEvent, rule: Rule) -> str:
    """The id of the one alert that an entry can have by a rule."""
    return digest(event.data.page.id, event.data.entry.id, rule.name)


def decide(
    event: Event, now: datetime, deadline_s: float, rule: Rule = BREAKING
) -> Raise | Change | Suppress:
    """What an event does to the alert of its entry by a rule, or why nothing, by itself.

    deadline_s: for so long after it was observed an event is news.
    """
    return judge(event, replace(rule, deadline_s=deadline_s), now).base


def judge(event: Event, rule: Rule, now: datetime, views: Views | None = None) -> Judged:
    """What a rule makes of an event. views: of this event, where there are some already."""
    if not isinstance(event, EntryEvent):
        return Judged(rule, silence="not_an_entry")
    views = views or Views(event)
    trace = traced(rule.when, views.event)
    judged = Judged(rule, trace, alert=alert_id(event, rule))
    match event.type:
        case "stoppress.entry.published":
            judged = _matched(judged, event, now, _because(event, trace))
        case "stoppress.entry.edited":
            judged = _edited(judged, event, now, views)
        case "stoppress.entry.removed":
            judged = _lost(judged, event, "its entry was withdrawn")
            matches = traced(rule.when, views.entry).holds
            judged = replace(judged, may_be_raised=matches is not False)
        case "stoppress.entry.restored":
            judged = replace(judged, silence="restored")
        case _:
            assert_never(event.type)
    if not rule.enabled and judged.move not in ("changed", "lost"):  # what stands is corrected
        return replace(judged, move=None, silence="rule_off")
    return judged


def _matched(judged: Judged, event: EntryEvent, now: datetime, reason: str) -> Judged:
    """To be raised, where it matches and is news."""
    if judged.trace is None or judged.trace.holds is not True:
        return replace(judged, silence="no_match")
    if event.data.baseline:
        return replace(judged, silence="baseline")
    if event.data.uncertain:
        return replace(judged, silence="uncertain")
    if now >= deadline_of(event, judged.rule):
        return replace(judged, silence="expired")
    raised = told_by("stoppress.alert.raised", event, judged.rule, judged.alert, reason)
    return replace(judged, move="matched", raised=raised)


def _edited(judged: Judged, event: EntryEvent, now: datetime, views: Views) -> Judged:
    """An edit: what the entry was like before it, and what it is like now, decide.

    Where the event does not say what it was like, a match is taken for new. That an entry has one
    alert at most is seen to elsewhere.
    """
    rule, trace, news = judged.rule, judged.trace, news_in(event)
    assert trace is not None
    before = traced(rule.when, views.before)
    if news is not None:
        updated = told_by("stoppress.alert.updated", event, rule, judged.alert, news)
        judged = replace(judged, updated=updated)
    if trace.holds and before.holds is not True:
        return _matched(judged, event, now, _because(event, trace, before))
    if traced(rule.when, views.entry).holds is False:  # None: it asks for more than the entry
        if before.holds is False:
            return replace(judged, silence="no_match")
        return _lost(judged, event, _loss(rule))
    if news is None and not trace.holds:
        return replace(judged, silence="no_match")
    raised = told_by("stoppress.alert.raised", event, rule, judged.alert, _because(event, trace))
    return replace(judged, move="changed" if news else "touched", raised=raised)


def _lost(judged: Judged, event: EntryEvent, reason: str) -> Judged:
    retracted = told_by("stoppress.alert.retracted", event, judged.rule, judged.alert, reason)
    return replace(judged, move="lost", retracted=retracted)


def _loss(rule: Rule) -> str:
    if len(rule.when.label) == 1 and rule.when == Condition(label=rule.when.label):
        return f"it has lost the label {rule.when.label[0]}"
    return f"it does not match the rule {rule.name} any more"


def _because(event: EntryEvent, trace: Trace, before: Trace | None = None) -> str:
    """Why an alert is raised, in words."""
    is_edit = event.type == "stoppress.entry.edited"
    if words := told(trace, before)[:3]:
        return f"{'edited to gain' if is_edit else 'published with'} {', '.join(words)}"
    if not is_edit:
        return f"published on the page {event.data.page.id}"
    significance = event.data.significance
    return f"edited: {significance.kind}" if significance else "edited to match"


def news_in(event: EntryEvent) -> str | None:
    """What an edit changes of what was said; None when that is still true."""
    significance = event.data.significance
    if significance is None:
        return None
    if significance.kind in TELLING:
        return ": ".join(filter(None, (significance.kind, ", ".join(significance.evidence))))
    is_retold = "title" in event.data.changed and significance.kind not in MINOR
    return "the headline changed" if is_retold else None


def deadline_of(event: EntryEvent, rule: Rule) -> datetime:
    """Until when an event is news by a rule."""
    return event.observed_at + timedelta(seconds=rule.deadline_s)


def told_by(kind: AlertType, event: EntryEvent, rule: Rule, alert: str, reason: str) -> AlertEvent:
    """An event of an alert; its time is that of what it is about.

    The id of the one that raises it is the alert's own.
    """
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
            deadline=deadline_of(event, rule),
        ),
    )
