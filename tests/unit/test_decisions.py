"""What follows from an event: every state of an alert, reason to be silent, and way to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from service.events import AlertEvent, EntryEvent, Listed, Significance
from service.model import PageRef
from service.rules import Condition, RuleSettings
from tests.alert_samples import entry_event, page_event
from workers.alerts.decisions import (
    NOTHING,
    STEPS,
    Amend,
    Decision,
    Hold,
    Known,
    Memory,
    Postpone,
    Refresh,
    Send,
    Unhold,
    decide,
    released,
    settled,
)
from workers.alerts.grouping import Group, Held, as_one, changed
from workers.alerts.limits import Limit
from workers.alerts.quiet import Quiet
from workers.alerts.rules import (
    BREAKING,
    TRANSITIONS,
    Change,
    Defaults,
    Move,
    Raise,
    Rule,
    Silence,
    Standing,
    Suppress,
    alert_id,
    judge,
    rules_of,
)

NOW = datetime(2025, 4, 25, 9, 18, tzinfo=UTC)
FIGURE = Significance("figure", ("9 killed → 12 killed",))
KEY = Rule("key", "normal", Condition(label=("key",)))
NIGHT = Quiet(9 * 60, 10 * 60, "UTC")
UNTIL = NOW.replace(hour=10, minute=0)


def seen(kind: str = "published", *, rule: Rule = KEY, **given: Any) -> EntryEvent:
    labels = rule.when.label if kind != "lost" else ()
    return entry_event(kind, **{"at": NOW, "labels": labels} | given)


def published(**given: Any) -> EntryEvent:
    return seen(**given)


MOVES: dict[Move, EntryEvent] = {
    "matched": seen(),
    "changed": seen("edited", significance=FIGURE, changed=("body",), sequence=2),
    "touched": seen("edited", significance=Significance("append"), changed=("body",), sequence=2),
    "lost": seen("removed", sequence=3),
}


def alert_of(event: EntryEvent, rule: Rule = KEY) -> AlertEvent:
    raised = judge(event, rule, NOW).raised
    assert raised is not None
    return raised


def known(standing: Standing, **given: Any) -> Memory:
    held = alert_of(seen(sequence=9)) if standing == "held" else None
    group = None
    if standing == "grouped":
        _, group = as_one([alert_of(seen()), alert_of(seen(entry="e2"))], NOW)
    return Memory(Known(standing, **{"event": "other", "held": held, "group": group} | given))


def follows(event: EntryEvent, memory: Memory = NOTHING, rule: Rule = KEY) -> Decision:
    ((_, decision),) = decide(event, [rule], NOW, {rule.name: memory})
    return decision


# --- the table -----------------------------------------------------------------------------------


def test_the_table_is_whole() -> None:
    every = {*get_args(Standing), "unknown"}
    assert set(STEPS) == set(get_args(Move))
    assert all(set(row) == every for row in STEPS.values())
    assert set(TRANSITIONS) == set(get_args(Standing))


@pytest.mark.parametrize(("move", "standing"), list(product(STEPS, TRANSITIONS)))
def test_no_step_leads_where_the_states_do_not(move: Move, standing: Standing) -> None:
    leads_to: dict[str, Standing] = {"update": "updated", "retract": "retracted"}
    step = STEPS[move][standing]
    if step in leads_to and standing != "grouped":  # that one's whole is updated
        assert standing in TRANSITIONS[leads_to[step]]
    if step == "raise":
        assert standing in TRANSITIONS["raised"]


WHATS = {
    "raise": Raise,
    "refresh": Refresh,
    "unhold": Unhold,
    "again": Suppress,
}


@pytest.mark.parametrize(("move", "standing"), list(product(STEPS, [*TRANSITIONS, "unknown"])))
def test_every_step_is_taken(move: Move, standing: Any) -> None:
    """Moves are those of real events. An update needs something to tell."""
    event = MOVES[move]
    assert judge(event, KEY, NOW).move == move
    decision = follows(event, NOTHING if standing == "unknown" else known(standing))
    step = STEPS[move][standing]
    if step == "update" and move == "matched":
        assert decision == Suppress("raised_before")
    elif step in ("update", "retract"):
        assert isinstance(decision, Amend if standing == "grouped" else Change)
        is_update = step == "update" or standing == "grouped"  # the other part stands
        assert decision.event.type.endswith("updated" if is_update else "retracted")
    elif step in WHATS:
        assert isinstance(decision, WHATS[step])
    else:
        assert isinstance(decision, Suppress)
        assert (decision.reason, decision.alert) == (step, None)
        early = decision.early.type.split(".")[-1] if decision.early else None
        told = {"changed": "updated", "lost": "retracted"}[move] if step == "not_raised" else None
        assert early == told, "whoever was to raise it may be late"


def test_a_rule_that_is_off_still_corrects_what_stands() -> None:
    off = replace(KEY, enabled=False)
    gone = follows(seen("removed", sequence=2), known("raised"), off)
    assert isinstance(gone, Change)
    assert gone.event.type == "stoppress.alert.retracted"
    edit = seen("edited", sequence=2, significance=FIGURE, changed=("body",))
    assert isinstance(follows(edit, known("raised"), off), Change)
    assert follows(seen(), NOTHING, off) == Suppress("rule_off")


def test_what_never_matched_leaves_nothing_behind_when_it_is_withdrawn() -> None:
    assert follows(seen("removed", labels=("x",)), NOTHING) == Suppress("not_raised")
    assert isinstance(follows(seen("removed", labels=("x",)), known("raised")), Change)


def test_what_changed_before_an_alert_is_held_is_in_what_is_held() -> None:
    """The event that raises it is handled again after its worker died; the change went before."""
    edit = judge(seen("edited", sequence=2, title="New", significance=FIGURE), KEY, NOW).updated
    gone = judge(seen("removed", sequence=3), KEY, NOW).retracted
    assert edit is not None
    assert gone is not None
    held = follows(seen(), Memory(early=edit), replace(KEY, group_s=60.0))
    assert isinstance(held, Hold)
    assert (held.event.data.entry.title, held.early) == ("New", edit.id)
    assert held.event.data.event == seen().id
    late = follows(seen(), Memory(early=gone), replace(KEY, group_s=60.0))
    assert late == Suppress("retracted_before")


# --- reasons to be silent ------------------------------------------------------------------------

SILENCES: dict[Silence, tuple[Any, Rule, Memory]] = {
    "not_an_entry": (page_event(), KEY, NOTHING),
    "rule_off": (seen(), replace(KEY, enabled=False), NOTHING),
    "no_match": (seen(labels=()), KEY, NOTHING),
    "restored": (seen("restored"), KEY, NOTHING),
    "nothing_new": (MOVES["touched"], KEY, NOTHING),
    "baseline": (seen(baseline=True), KEY, NOTHING),
    "uncertain": (replace(seen(), data=replace(seen().data, uncertain=True)), KEY, NOTHING),
    "expired": (seen(at=NOW - timedelta(hours=1)), KEY, NOTHING),
    "quiet_hours": (seen(), replace(KEY, quiet=replace(NIGHT, action="drop")), NOTHING),
    "not_raised": (MOVES["lost"], KEY, NOTHING),
    "raised_before": (seen(), KEY, known("raised")),
    "retracted_before": (seen(), KEY, known("retracted")),
    "silenced_before": (seen(), KEY, known("baseline")),
}


def test_every_reason_has_a_case() -> None:
    assert set(SILENCES) == set(get_args(Silence))


@pytest.mark.parametrize("reason", SILENCES)
def test_every_suppression_says_why(reason: Silence) -> None:
    event, rule, memory = SILENCES[reason]
    decision = follows(event, memory, rule)
    assert isinstance(decision, Suppress)
    assert decision.reason == reason
    is_noted = reason in ("baseline", "uncertain", "expired", "quiet_hours")
    assert decision.alert == (alert_id(event, rule) if is_noted else None)


@pytest.mark.parametrize("standing", ["held", "raised", "grouped"])
def test_what_stands_or_is_held_is_never_noted_as_silenced(standing: Standing) -> None:
    late = seen(at=NOW - timedelta(hours=2))
    assert follows(late, known(standing)) == Suppress("expired")


# --- life cycle ----------------------------------------------------------------------------------


def test_an_event_that_is_read_again_does_nothing_more() -> None:
    event = seen("edited", gained=("key",), changed=("labels", "body"), significance=FIGURE)
    for standing in ("raised", "updated", "grouped", "retracted"):
        memory = known(standing, event=event.id)  # type: ignore[arg-type]
        assert follows(event, memory) == Suppress("raised_before")


def test_a_second_match_of_an_alert_that_stands_updates_it() -> None:
    rule = Rule("fixes", "normal", Condition(kind=("correction",)))
    fix = seen("edited", rule=rule, significance=Significance("correction"), changed=("body",))
    assert isinstance(follows(fix, NOTHING, rule), Raise)
    again = follows(fix, known("raised"), rule)
    assert isinstance(again, Change)
    assert again.event.data.reason == "correction"


def test_a_rule_for_what_happens_still_updates_when_something_else_happens() -> None:
    rule = Rule("fixes", "normal", Condition(kind=("correction",), label=("key",)))
    figure = seen("edited", labels=("key",), significance=FIGURE, changed=("body",))
    assert isinstance(follows(figure, known("raised"), rule), Change)
    unknown = follows(figure, NOTHING, rule)
    assert isinstance(unknown, Suppress)
    assert unknown.reason == "not_raised"
    assert follows(seen("edited", labels=("key",)), NOTHING, rule) == Suppress("no_match")


@pytest.mark.parametrize(("days", "raises"), [(29.9, False), (30, True)])
def test_an_entry_can_alert_again_long_after_its_retraction(days: float, raises: bool) -> None:
    decision = follows(seen(), known("retracted", changed_at=NOW - timedelta(days=days)))
    assert isinstance(decision, Raise if raises else Suppress)
    if isinstance(decision, Raise):
        assert decision.again


def test_the_time_until_then_is_a_setting() -> None:
    rule = replace(KEY, again_after_s=3600)
    assert isinstance(
        follows(seen(), known("retracted", changed_at=NOW - timedelta(hours=1)), rule), Raise
    )


# --- waiting -------------------------------------------------------------------------------------


def test_in_quiet_hours_an_alert_is_held_until_they_end() -> None:
    rule = replace(KEY, quiet=NIGHT, channels=("console",))
    decision = follows(seen(), NOTHING, rule)
    assert decision == Hold(alert_of(seen(), rule), UNTIL, "quiet_hours", ("console",))


def test_changes_of_what_was_raised_do_not_wait() -> None:
    rule = replace(KEY, quiet=NIGHT)
    for move in ("changed", "lost"):
        assert isinstance(follows(MOVES[move], known("raised"), rule), Change)  # type: ignore[index]


def test_alerts_of_a_page_wait_to_be_told_together() -> None:
    rule = replace(KEY, group_s=60.0)
    decision = follows(seen(), NOTHING, rule)
    assert isinstance(decision, Hold)
    assert (decision.until, decision.reason) == (NOW + timedelta(minutes=1), "grouping")


def test_what_comes_while_others_wait_waits_with_them() -> None:
    decision = follows(seen(), Memory(due=NOW + timedelta(seconds=30)))
    assert isinstance(decision, Hold)
    assert decision.reason == "grouping"


@pytest.mark.parametrize(
    ("ago_s", "until_s"),
    [((10, 20), 3580), ((10, 3600), None), ((10,), None), ((1, 2, 3), 3598)],
)
def test_more_than_a_rule_may_raise_waits_for_room(
    ago_s: tuple[int, ...], until_s: int | None
) -> None:
    rule = replace(KEY, limit=Limit(2, 3600))
    raised = {f"a{ago}": NOW - timedelta(seconds=ago) for ago in ago_s}
    decision = follows(seen(), Memory(raised=raised), rule)
    if until_s is None:
        assert isinstance(decision, Raise)
        assert decision.limit == rule.limit
    else:
        assert isinstance(decision, Hold)
        assert (decision.reason, decision.until) == ("at_most", NOW + timedelta(seconds=until_s))


def test_room_that_an_alert_has_taken_is_its_own_when_it_is_tried_again() -> None:
    rule = replace(KEY, limit=Limit(1, 3600))
    memory = Memory(raised={alert_id(seen(), rule): NOW})
    assert isinstance(follows(seen(), memory, rule), Raise)


@pytest.mark.parametrize("memory", [NOTHING, Memory(due=NOW + timedelta(seconds=30))])
def test_high_priority_waits_for_nothing_but_quiet_hours_of_its_own(memory: Memory) -> None:
    event = seen(rule=BREAKING)
    assert isinstance(follows(event, memory, BREAKING), Raise)
    assert isinstance(follows(event, memory, replace(BREAKING, quiet=NIGHT)), Hold)


def test_what_is_held_is_kept_as_it_now_is_and_let_go_when_it_is_so_no_more() -> None:
    edit = replace(MOVES["changed"], time="2025-04-25T09:18:01.000Z")
    refreshed = follows(edit, known("held"))
    assert isinstance(refreshed, Refresh)
    assert refreshed.event.type == "stoppress.alert.raised"
    assert refreshed.event.data.reason == "published with the label key"
    assert isinstance(follows(MOVES["lost"], known("held")), Unhold)
    older = replace(MOVES["changed"], time="2025-04-25T09:17:59.000Z")
    assert follows(older, known("held")) == Suppress("raised_before")


# --- several as one ------------------------------------------------------------------------------


def held(*entries: str, rule: Rule = KEY, is_closed: bool = False) -> Held:
    events = [
        alert_of(seen(entry=each, at=NOW - timedelta(minutes=n), title=f"Title {each}"), rule)
        for n, each in enumerate(entries)
    ]
    return Held("place", rule.name, NOW, "token", tuple(events), is_closed)


def test_several_become_one_that_lists_them_oldest_first() -> None:
    sent = released(held("e1", "e2", "e3"), KEY, NOW, {}, {})
    assert isinstance(sent, Send)
    data = sent.event.data
    assert [each.entry for each in data.entries] == ["e3", "e2", "e1"]
    assert (data.entry.id, data.alert, sent.event.id) == (
        "e3",
        sent.group and sent.group.id,
        data.alert,
    )
    assert data.reason == "3 alerts as one; the first was published with the label key"
    assert data.deadline == NOW + timedelta(hours=1)


def test_a_single_one_is_an_ordinary_alert_with_a_deadline_from_then_on() -> None:
    sent = released(held("e1"), KEY, NOW, {}, {})
    assert isinstance(sent, Send)
    assert sent.group is None
    assert sent.event.data.entries == ()
    assert sent.event.data.deadline == NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("rule", "waits"),
    [
        (replace(KEY, quiet=NIGHT), Postpone(UNTIL, "quiet_hours")),
        (replace(KEY, quiet=replace(NIGHT, action="drop")), Suppress("quiet_hours")),
        (replace(KEY, limit=Limit(1, 60)), Postpone(NOW + timedelta(seconds=50), "at_most")),
        (replace(KEY, enabled=False), Suppress("rule_off")),
        (None, Suppress("rule_off")),
        (replace(KEY, deadline_s=0.0), Suppress("expired")),
    ],
)
def test_what_is_due_is_judged_anew(rule: Rule | None, waits: object) -> None:
    raised = {"other": NOW - timedelta(seconds=10)}
    assert released(held("e1", "e2"), rule, NOW, {}, raised) == waits


def test_what_was_closed_and_begun_is_told_whatever_the_hour() -> None:
    closed = held("e1", "e2", is_closed=True)
    first = closed.events[1]
    begun = {first.data.alert: Known("raised", first.data.event)}
    sent = released(closed, replace(KEY, quiet=NIGHT), NOW + timedelta(hours=9), begun, {})
    assert isinstance(sent, Send)
    assert sent == released(closed, KEY, NOW, {}, {})


def test_what_was_told_otherwise_meanwhile_is_left_out() -> None:
    closed = held("e1", "e2")
    other = {closed.events[1].data.alert: Known("expired")}
    sent = released(closed, KEY, NOW, other, {})
    assert isinstance(sent, Send)
    assert sent.event.data.entry.id == "e1"
    both = other | {closed.events[0].data.alert: Known("raised", "another event")}
    assert released(closed, KEY, NOW, both, {}) == Suppress("raised_before")


def group() -> Group:
    _, made = as_one(held("e1", "e2").events, NOW)
    assert made is not None
    return made


def test_a_part_that_is_withdrawn_updates_the_whole_and_the_last_one_retracts_it() -> None:
    first, last = (
        judge(seen("removed", entry=each, title=f"Title {each}"), KEY, NOW).retracted
        for each in ("e1", "e2")
    )
    assert first is not None
    assert last is not None
    after, told = changed(group(), first)
    assert (told.type, told.data.alert) == ("stoppress.alert.updated", group().id)
    assert told.data.reason == "Title e1: its entry was withdrawn; 1 stand"
    assert [each.withdrawn for each in told.data.entries] == [False, True]
    assert changed(after, first) == (after, told)
    after, told = changed(after, last)
    assert told.type == "stoppress.alert.retracted"
    assert all(each.withdrawn for each in after.entries)


def test_a_part_that_changes_is_listed_as_it_now_is() -> None:
    edit = judge(
        seen("edited", title="New", significance=FIGURE, changed=("title",)), KEY, NOW
    ).updated
    assert edit is not None
    _, told = changed(group(), edit)
    assert told.data.entries[1] == Listed(entry="e1", title="New", url=edit.data.entry.url)
    assert told.data.reason == "figure: 9 killed → 12 killed"


def test_a_withdrawn_part_of_what_still_stands_is_retracted_for_good() -> None:
    judged = judge(seen("removed", entry="e1"), KEY, NOW)
    assert judged.retracted is not None
    after, _ = changed(group(), judged.retracted)
    judged = judge(seen("removed", entry="e1", sequence=7), KEY, NOW)
    for standing in ("grouped", "raised"):
        memory = Memory(Known(standing, "other", group=after))  # type: ignore[arg-type]
        assert settled(judged, NOW, memory) == Suppress("retracted_before")
    matched = judge(seen(entry="e1"), KEY, NOW)
    old = Memory(Known("raised", "other", group=after))
    assert settled(matched, NOW, old) == Suppress("retracted_before")


# --- rules of the settings -----------------------------------------------------------------------


def test_without_settings_there_is_breaking_alone() -> None:
    assert rules_of({}, Defaults()) == (BREAKING,)


def test_quiet_hours_for_all_are_for_normal_priority_and_each_rule_may_say_its_own() -> None:
    when = Condition(label=("x",))
    tables = {
        "calm": RuleSettings(when=when),
        "loud": RuleSettings(when=when, quiet="none"),
        "own": RuleSettings(when=when, priority="high", quiet="01:00-02:00", quiet_action="drop"),
    }
    defaults = Defaults(quiet="23:00-07:00", zone="Europe/Paris")
    breaking, calm, loud, own = rules_of(tables, defaults)
    assert (breaking.quiet, loud.quiet) == (None, None)
    assert calm.quiet == Quiet(23 * 60, 7 * 60, "Europe/Paris")
    assert own.quiet == Quiet(60, 120, "Europe/Paris", action="drop")


def test_breaking_is_narrowed_by_its_condition_and_turned_off_and_tuned() -> None:
    given = RuleSettings(when=Condition(page=("war",)), deadline_s=60.0, channels=("console",))
    (breaking,) = rules_of({"breaking": given}, Defaults())
    war = PageRef(id="war", url="https://news.example/war")
    assert isinstance(follows(seen(rule=BREAKING, page=war), NOTHING, breaking), Raise)
    assert follows(seen(rule=BREAKING), NOTHING, breaking) == Suppress("no_match")
    assert follows(seen(labels=(), page=war), NOTHING, breaking) == Suppress("no_match")
    assert (breaking.priority, breaking.deadline_s) == ("high", 60.0)
    (off,) = rules_of({"breaking": RuleSettings(enabled=False)}, Defaults())
    assert follows(seen(rule=BREAKING), NOTHING, off) == Suppress("rule_off")


def test_each_decision_names_channels_priority_and_deadline() -> None:
    rule = replace(KEY, channels=("ntfy:phone",), deadline_s=60.0)
    raised = follows(seen(), NOTHING, rule)
    assert isinstance(raised, Raise)
    told = raised.event.data
    assert (raised.channels, told.priority, told.deadline) == (
        ("ntfy:phone",),
        "normal",
        NOW + timedelta(minutes=1),
    )
