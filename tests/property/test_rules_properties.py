"""What holds of any condition, any event and any rule."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from service import events as events_module
from service.events import EntryEvent, Significance
from service.model import PageRef
from service.rules import Condition, RuleSettings, folded
from service.words import edits
from tests.alert_samples import entry_event
from workers.alerts.conditions import Views, traced
from workers.alerts.decisions import (
    NOTHING,
    Hold,
    Known,
    Memory,
    Refresh,
    Send,
    Unhold,
    decide,
    released,
)
from workers.alerts.grouping import Held
from workers.alerts.limits import Limit
from workers.alerts.quiet import Quiet
from workers.alerts.rules import Change, Raise, Rule, Suppress, judge

NOW = datetime(2025, 4, 25, 9, 18, tzinfo=UTC)
LABELS = ("breaking", "key", "summary")
WORDS = ("drone", "tank", "12", "Київ", "東京")
AUTHORS = ("Ana", "Bo")
PAGES = tuple(PageRef(id=each, url=f"https://news.example/{each}") for each in ("war", "cup"))
KINDS = ("figure", "typo", "append", "rewrite", "label")


def some(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True).map(tuple)


leaves = st.one_of(
    st.builds(Condition, label=some(LABELS)),
    st.builds(Condition, word=some(WORDS)),
    st.builds(Condition, phrase=some(("drone tank", "12 drone"))),
    st.builds(Condition, regex=some(("dr.ne", "^12"))),
    st.builds(Condition, author=some(AUTHORS)),
    st.builds(Condition, page=some(("war", "c*"))),
    st.builds(Condition, type=some(("published", "edited"))),
    st.builds(Condition, kind=some(KINDS)),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Condition, all=st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Condition, any=st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Condition, not_=inner),
    ),
    max_leaves=5,
)
texts = st.lists(st.sampled_from([*WORDS, "the", "\n"]), max_size=6).map(" ".join)


@st.composite
def events(draw: st.DrawFn, **fixed: Any) -> EntryEvent:
    """An event of one of a few entries; an edit has the words and labels that make it one."""
    kind = draw(st.sampled_from(("published", "edited", "removed", "restored")))
    labels = draw(st.lists(st.sampled_from(LABELS), unique=True).map(tuple))
    given: dict[str, Any] = {
        "entry": draw(st.sampled_from(("e1", "e2", "e3"))),
        "page": draw(st.sampled_from(PAGES)),
        "labels": labels,
        "title": draw(texts),
        "text": draw(texts),
        "authors": draw(st.lists(st.sampled_from(AUTHORS), unique=True).map(tuple)),
        "at": NOW + timedelta(minutes=draw(st.integers(0, 600))),
        "sequence": draw(st.integers(1, 1000)),
    }
    if kind == "edited":
        before = draw(texts)
        given["edits"] = {"title": edits(before, given["title"])}
        given["changed"] = ("title", "labels")
        given["gained"] = tuple(each for each in labels if draw(st.booleans()))
        given["significance"] = Significance(draw(st.sampled_from(KINDS)))
    return entry_event(kind, **(given | fixed))


def value(condition: Condition, event: EntryEvent, view: str = "event") -> bool | None:
    return traced(condition, getattr(Views(event), view)).holds


VIEWS = st.sampled_from(("event", "before", "entry"))


@given(conditions, events(), VIEWS)
def test_not_turns_a_condition_round_and_twice_leaves_it(
    condition: Condition, event: EntryEvent, view: str
) -> None:
    plain, turned = value(condition, event, view), value(Condition(not_=condition), event, view)
    assert turned is (None if plain is None else not plain)
    assert value(Condition(not_=Condition(not_=condition)), event, view) is plain


@given(conditions, conditions, events(), VIEWS)
def test_not_any_is_all_not(one: Condition, other: Condition, event: EntryEvent, view: str) -> None:
    """De Morgan, in three values."""
    neither = Condition(not_=Condition(any=(one, other)))
    both_not = Condition(all=(Condition(not_=one), Condition(not_=other)))
    assert value(neither, event, view) is value(both_not, event, view)


@given(st.lists(conditions, min_size=1, max_size=4), events(), VIEWS, st.randoms())
def test_neither_order_nor_repetition_nor_nesting_matters(
    several: list[Condition], event: EntryEvent, view: str, random: Any
) -> None:
    shuffled = [*several, several[0]]
    random.shuffle(shuffled)
    for name in ("all", "any"):
        plain = Condition(**{name: tuple(several)})
        mixed = Condition(**{name: (Condition(**{name: tuple(shuffled)}),)})
        assert value(plain, event, view) is value(mixed, event, view)


@given(conditions, events())
def test_of_an_event_as_it_is_everything_is_known(condition: Condition, event: EntryEvent) -> None:
    assert value(condition, event) is not None


@given(conditions, events())
def test_what_is_known_of_the_entry_alone_holds_in_the_event(
    condition: Condition, event: EntryEvent
) -> None:
    alone = value(condition, event, "entry")
    assert alone is None or alone is value(condition, event)


@given(conditions, events())
def test_what_is_known_of_before_is_what_was(condition: Condition, event: EntryEvent) -> None:
    """Against every entry that the event allows to have been."""
    data = event.data
    if event.type != "stoppress.entry.edited":
        return
    known = value(condition, event, "before")
    lost = [each for each in LABELS if each not in data.entry.labels]
    kept = tuple(each for each in data.entry.labels if each not in data.gained)
    title = "".join(text for op, text in data.edits["title"] if op != "insert")
    for some_lost in (lost, lost[:1], []):
        entry = replace(data.entry, labels=(*kept, *some_lost), title=title)
        earlier = replace(
            event,
            type="stoppress.entry.restored",
            data=replace(data, entry=entry, significance=None),
        )
        assert known is None or known is value(condition, earlier)


@given(st.text(max_size=30))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_breaks_a_condition(text: str, word: str) -> None:
    event = entry_event(title=text, text=word)
    words = tuple(each for each in word.split() if len(folded(each).split()) == 1)[:5]
    assert value(Condition(regex=(r"\pL\d",), word=words or ("x",)), event) is not None
    for each in words:
        assert value(Condition(word=(each,)), entry_event(title=f"a {each} b")) is True


@given(conditions)
def test_any_rule_is_the_same_after_json(condition: Condition) -> None:
    rule = RuleSettings(when=condition)
    assert msgspec.json.decode(msgspec.json.encode(rule), type=RuleSettings) == rule


# --- decisions -----------------------------------------------------------------------------------

HOURS = st.none() | st.builds(
    Quiet, st.integers(0, 1439), st.integers(1, 1440), action=st.sampled_from(("hold", "drop"))
)
LIMITS = st.none() | st.builds(Limit, st.integers(1, 3), st.sampled_from((60.0, 3600.0)))
rules = st.builds(
    Rule,
    name=st.sampled_from(("one", "two")),
    priority=st.just("normal"),
    when=conditions,
    deadline_s=st.sampled_from((60.0, 86_400.0)),
    quiet=HOURS,
    group_s=st.none() | st.just(60.0),
    limit=LIMITS,
)
STANDINGS = ("raised", "updated", "retracted", "baseline", "uncertain", "expired", "quiet_hours")
memories = st.builds(
    Memory,
    known=st.none()
    | st.builds(
        Known,
        standing=st.sampled_from(STANDINGS),
        event=st.just("other"),
        changed_at=st.none() | st.timedeltas(timedelta(0), timedelta(days=90)).map(NOW.__sub__),
    ),
    due=st.none() | st.just(NOW + timedelta(seconds=5)),
    raised=st.dictionaries(st.sampled_from("abcde"), st.just(NOW)),
)


@given(events(), st.lists(rules, max_size=3), memories)
def test_the_same_in_is_the_same_out(
    event: EntryEvent, several: list[Rule], memory: Memory
) -> None:
    known = {"one": memory}
    first = decide(event, several, NOW, known)
    copy = events_module.from_json(events_module.to_json(event))
    assert isinstance(copy, EntryEvent)
    again = decide(copy, list(several), NOW, dict(known))
    assert first == again


@given(events(), st.sampled_from(("baseline", "uncertain")), rules, memories)
def test_no_rule_makes_an_alert_of_what_was_there_before_or_may_have_been(
    event: EntryEvent, mark: str, rule: Rule, memory: Memory
) -> None:
    marked = replace(event, data=replace(event.data, **{mark: True}))
    for each in (memory, NOTHING):
        ((_, decision),) = decide(marked, [rule], NOW, {rule.name: each})
        assert not isinstance(decision, Raise | Hold)


@given(events(), rules, memories, st.integers(0, 100_000))
def test_what_is_past_its_deadline_raises_nothing(
    event: EntryEvent, rule: Rule, memory: Memory, late_s: int
) -> None:
    now = event.observed_at + timedelta(seconds=rule.deadline_s + late_s)
    ((_, decision),) = decide(event, [rule], now, {rule.name: memory})
    assert not isinstance(decision, Raise | Hold)


@given(st.lists(events(labels=("key",), baseline=False), min_size=1, max_size=8), st.randoms())
def test_a_group_loses_no_member_whatever_their_order(
    several: list[EntryEvent], random: Any
) -> None:
    rule = Rule("all", "normal", Condition(label=("key",)))
    judged = [judge(replace(each, type="stoppress.entry.published"), rule, NOW) for each in several]
    by_alert = {each.alert: each.raised for each in judged if each.raised}
    held = list(by_alert.values())
    random.shuffle(held)
    sent = released(Held("p", "all", NOW, "t", tuple(held)), rule, NOW, {}, {})
    assert isinstance(sent, Send)
    listed = {each.entry for each in sent.event.data.entries} or {sent.event.data.entry.id}
    assert listed == {each.data.entry.id for each in held}
    parts = {part.alert for part in sent.group.parts} if sent.group else set(by_alert)
    assert parts == set(by_alert)
    random.shuffle(held)
    assert sent == released(Held("p", "all", NOW, "t", tuple(held)), rule, NOW, {}, {})


class Model:
    """The alert of one entry by one rule, as a ledger and a holding would know it."""

    def __init__(self, rule: Rule) -> None:
        self.rule, self.said = rule, list[str]()
        self.known: Known | None = None

    def see(self, event: EntryEvent, now: datetime) -> None:
        memory = Memory(self.known)
        ((_, decision),) = decide(event, [self.rule], now, {self.rule.name: memory})
        match decision:
            case Raise(event=told):
                self.known = Known("raised", told.data.event)
                self.said.append("raised")
            case Hold(event=told) | Refresh(event=told):
                self.known = Known("held", told.data.event, held=told)
            case Unhold():
                self.known = None
            case Change(event=told):
                assert self.known is not None
                self.known = replace(self.known, standing=told.state)
                self.said.append(told.state)
            case Suppress(reason=reason, alert=alert) if alert:
                assert self.known is None
                self.known = Known(reason)
            case _:
                pass


@given(st.lists(events(entry="e1", page=PAGES[0]), max_size=20), rules)
def test_an_entry_is_raised_once_then_updated_then_retracted_and_no_more(
    several: list[EntryEvent], rule: Rule
) -> None:
    model = Model(rule)
    for event in sorted(several, key=lambda each: each.time):
        model.see(event, event.observed_at)
    said = " ".join(model.said)
    assert re.fullmatch(r"(raised( updated)*( retracted)?)?", said)
