"""The breaking rule: what raises an alert, what does not, and why not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from service.events import EntryEvent, Significance, from_fields, to_fields
from service.rules import Condition
from tests.alert_samples import PAGE, entry_event, page_event
from workers.alerts.rules import BREAKING, Change, Raise, Rule, Suppress, alert_id, decide

NOW = datetime(2025, 4, 25, 9, 18, tzinfo=UTC)
HOUR_S = 3600.0


def seen(kind: str = "published", **fields: object) -> EntryEvent:
    return entry_event(kind, at=NOW, **fields)  # type: ignore[arg-type]


def test_an_entry_published_with_the_label_raises() -> None:
    event = seen()
    decision = decide(event, NOW, HOUR_S)
    assert isinstance(decision, Raise)
    alert = decision.event
    assert alert.type == "stoppress.alert.raised"
    assert alert.id == alert.data.alert == alert_id(event, BREAKING)
    assert (alert.subject, alert.source, alert.time) == ("e1", PAGE.url, event.time)
    assert alert.data.event == event.id
    assert alert.data.priority == "high"
    assert alert.data.deadline == NOW + timedelta(hours=1)
    assert alert.data.reason == "published with the label breaking"


def test_an_edit_that_gains_the_label_raises() -> None:
    decision = decide(seen("edited", gained=("breaking",)), NOW, HOUR_S)
    assert isinstance(decision, Raise)
    assert decision.event.data.reason == "edited to gain the label breaking"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (page_event(), "not_an_entry"),
        (seen(labels=()), "no_match"),
        (seen(labels=("key", "Breaking")), "no_match"),
        (seen("edited", labels=("key",), gained=("key",)), "no_match"),
        (seen("edited", labels=("breaking", "key"), gained=("key",)), "nothing_new"),
        (seen("restored"), "restored"),
    ],
)
def test_what_the_rule_is_not_about_is_suppressed_with_its_reason(
    event: EntryEvent, reason: str
) -> None:
    assert decide(event, NOW, HOUR_S) == Suppress(reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "gained"), [("published", ()), ("edited", ("breaking",))])
def test_nothing_in_the_baseline_alerts(kind: str, gained: tuple[str, ...]) -> None:
    event = seen(kind, gained=gained, baseline=True)
    assert decide(event, NOW, HOUR_S) == Suppress("baseline", alert_id(event, BREAKING))


def test_what_may_be_an_entry_under_another_id_does_not_alert() -> None:
    event = seen("published")
    event = replace(event, data=replace(event.data, uncertain=True))
    assert decide(event, NOW, HOUR_S) == Suppress("uncertain", alert_id(event, BREAKING))


@pytest.mark.parametrize(
    ("age_s", "raises"), [(0, True), (3599, True), (3600, False), (9e6, False)]
)
def test_news_expires_at_the_deadline(age_s: float, raises: bool) -> None:
    event = seen()
    decision = decide(event, NOW + timedelta(seconds=age_s), HOUR_S)
    assert isinstance(decision, Raise) == raises
    if not raises:
        assert decision == Suppress("expired", alert_id(event, BREAKING))


def test_a_raised_alert_is_the_same_after_the_wire() -> None:
    decision = decide(seen(), NOW, HOUR_S)
    assert isinstance(decision, Raise)
    fields = {name.encode(): value for name, value in to_fields(decision.event).items()}
    assert from_fields(fields) == decision.event


@given(st.lists(st.sampled_from(["published", "edited"]), min_size=1), st.text(min_size=1))
def test_an_entry_has_one_alert_by_a_rule_however_often_it_matches(
    kinds: list[str], entry: str
) -> None:
    events = [
        seen(kind, entry=entry, gained=("breaking",), sequence=n) for n, kind in enumerate(kinds, 1)
    ]
    decisions = [decide(event, NOW, HOUR_S) for event in events]
    assert len({d.event.id for d in decisions if isinstance(d, Raise)}) == 1


def test_entries_and_rules_have_alerts_of_their_own() -> None:
    one, other = seen(), seen(entry="e2")
    ids = {
        alert_id(event, rule)
        for event in (one, other)
        for rule in (BREAKING, Rule("key", "normal", Condition(label=("key",))))
    }
    assert len(ids) == 4


# --- what becomes of an alert --------------------------------------------------------------------


def edit(kind: str, *evidence: str, changed: tuple[str, ...] = ("body",)) -> EntryEvent:
    """An edit of an entry that keeps the label."""
    significance = Significance(kind=kind, evidence=evidence)  # type: ignore[arg-type]
    return seen("edited", changed=changed, significance=significance)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (edit("figure", "9 killed → 12 killed"), "figure: 9 killed → 12 killed"),
        (edit("polarity", "will → will not"), "polarity: will → will not"),
        (edit("name", "Smith → Jones"), "name: Smith → Jones"),
        (edit("correction"), "correction"),
        (edit("rewrite", changed=("title",)), "the headline changed"),
        (edit("append", changed=("title", "body")), "the headline changed"),
    ],
)
def test_an_edit_of_what_was_said_updates(event: EntryEvent, reason: str) -> None:
    decision = decide(event, NOW, HOUR_S)
    assert isinstance(decision, Change)
    alert = decision.event
    assert (alert.type, alert.data.reason) == ("stoppress.alert.updated", reason)
    assert alert.data.alert == alert_id(event, BREAKING)
    assert alert.id not in (alert.data.alert, event.id)


@pytest.mark.parametrize(
    "event",
    [
        edit("none", changed=("title",)),
        edit("typo", changed=("title",)),
        edit("append"),
        edit("label", changed=("labels",)),
        edit("rewrite"),
    ],
)
def test_an_edit_that_leaves_what_was_said_true_updates_nothing(event: EntryEvent) -> None:
    assert decide(event, NOW, HOUR_S) == Suppress("nothing_new")


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (seen("removed"), "its entry was withdrawn"),
        (seen("removed", labels=()), "its entry was withdrawn"),
        (seen("edited", labels=(), changed=("labels",)), "it has lost the label breaking"),
    ],
)
def test_what_is_not_so_any_more_is_retracted(event: EntryEvent, reason: str) -> None:
    decision = decide(event, NOW, HOUR_S)
    assert isinstance(decision, Change)
    assert (decision.event.type, decision.event.data.reason) == (
        "stoppress.alert.retracted",
        reason,
    )


def test_every_event_of_an_alert_has_an_id_of_its_own() -> None:
    events = [seen(), edit("figure", "1 → 2"), seen("removed", sequence=3)]
    decisions = [decide(event, NOW, HOUR_S) for event in events]
    ids = {one.event.id for one in decisions if not isinstance(one, Suppress)}
    assert len(ids) == 3
