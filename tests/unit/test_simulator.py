"""The oracle itself: it finds what is wrong, and finds nothing where all is right."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from service.events import EntryEvent
from service.model import Paragraph
from tests.simulator.day import Act, Look, Report, Step, live, plan, shrunk
from tests.simulator.desk import ACTIONS, FEWEST, Desk
from tests.simulator.edge import FAULTS, Clocks, Edge, Window, possible
from tests.simulator.judge import Event, Told
from tests.simulator.subjects import InMemory

START = datetime(2025, 4, 25, 10, tzinfo=UTC)
MARKUP = "jsonld_plain"
PLAN = replace(plan(MARKUP, 3), start=START, window=Window("fixed", 8), clocks="none", sticky=False)
BBC = replace(PLAN, markup="bbc_html")
LOOK = Look("none", 1)
# A day on which every kind of event is told.
STEPS: list[Step] = [
    LOOK,
    Act("publish", 1),
    LOOK,
    Act("edit", 4),
    Act("label", 3),
    LOOK,
    Act("withdraw", 5),
    LOOK,
    LOOK,
    LOOK,
    Act("restore", 6),
    LOOK,
    LOOK,
    LOOK,
]

Tamper = Callable[[Sequence[Event], set[str]], list[Event]]


class Tampering(InMemory):
    """Polls rightly, and tells something else. done: what was tampered with."""

    def __init__(self, edge: Edge, tamper: Tamper) -> None:
        super().__init__(edge)
        self._tamper, self.done = tamper, set[str]()

    async def poll(self) -> Told:
        told = await super().poll()
        return replace(told, events=tuple(self._tamper(told.events, self.done)))


def rules(tamper: Tamper, day: object = BBC) -> set[str]:
    """The rules that a day breaks whose events were tampered with."""
    hired: list[Tampering] = []

    async def hire(edge: Edge) -> Tampering:
        hired.append(Tampering(edge, tamper))
        return hired[0]

    report = live(day, STEPS, hire)  # type: ignore[arg-type]
    assert hired[0].done, "nothing was tampered with"
    return {finding.rule for finding in report.findings}


def once(kind: str, change: Callable[[EntryEvent], list[Event]]) -> Tamper:
    """Change the first event of that kind outside of the baseline."""

    def tamper(events: Sequence[Event], done: set[str]) -> list[Event]:
        result: list[Event] = []
        for event in events:
            is_it = isinstance(event, EntryEvent) and event.type.endswith(kind)
            if is_it and not done and not event.data.baseline:
                done.add(event.id)
                result += change(event)
            else:
                result.append(event)
        return result

    return tamper


def with_entry(event: EntryEvent, **fields: object) -> list[Event]:
    entry = replace(event.data.entry, **fields)
    return [replace(event, data=replace(event.data, entry=entry))]


def honest(day: object = BBC) -> Report:
    async def hire(edge: Edge) -> InMemory:
        return InMemory(edge)

    return live(day, STEPS, hire)  # type: ignore[arg-type]


@pytest.mark.parametrize("markup", ["jsonld_plain", "bbc_html"])
def test_an_honest_day_has_no_finding_and_all_kinds_of_events(markup: str) -> None:
    report = honest(replace(PLAN, markup=markup))
    assert report.findings == []
    for kind in ("published", "edited", "removed", "restored"):
        assert report.events[f"entry.{kind}"], kind


@pytest.mark.parametrize("kind", ["published", "edited", "removed", "restored"])
def test_a_lost_event_is_found(kind: str) -> None:
    assert {"recall", "chain"} <= rules(once(kind, lambda event: []))


@pytest.mark.parametrize("kind", ["published", "edited", "removed", "restored"])
def test_a_doubled_event_is_found(kind: str) -> None:
    assert "doubled" in rules(once(kind, lambda event: [event, event]))


@pytest.mark.parametrize("kind", ["published", "edited", "restored"])
def test_a_wrong_text_is_found(kind: str) -> None:
    wrong = (Paragraph("What nobody wrote."),)
    assert "content" in rules(once(kind, lambda event: with_entry(event, body=wrong)))


def test_a_wrong_title_is_found() -> None:
    assert "content" in rules(once("edited", lambda event: with_entry(event, title="Other")))


def test_a_wrong_time_is_found() -> None:
    def later(event: EntryEvent) -> list[Event]:
        assert event.data.entry.published
        return with_entry(event, published=event.data.entry.published + timedelta(days=1))

    assert "content" in rules(once("published", later))


@pytest.mark.parametrize("labels", [(), ("breaking", "key")])
def test_a_wrong_label_is_found(labels: tuple[str, ...]) -> None:
    def other(event: EntryEvent) -> list[Event]:
        return with_entry(event, labels=() if event.data.entry.labels else ("breaking",))

    assert {"label", "content"} & rules(once("edited", other))
    if labels:
        assert "label" in rules(once("published", lambda e: with_entry(e, labels=labels)))


def test_an_invented_removal_is_found() -> None:
    def removed(event: EntryEvent) -> list[Event]:
        return [event, replace(event, type="stoppress.entry.removed", id="invented")]

    assert "precision" in rules(once("published", removed))


def test_a_false_edit_is_found() -> None:
    """Of a post that nobody has touched."""

    def edited(event: EntryEvent) -> list[Event]:
        return [event, replace(event, subject="asset:nobody", id="invented")]

    assert "precision" in rules(once("edited", edited))


def test_an_edit_told_as_another_entry_is_found() -> None:
    def published(event: EntryEvent) -> list[Event]:
        return [replace(event, type="stoppress.entry.published")]

    assert "precision" in rules(once("edited", published))


def test_news_told_as_baseline_is_found() -> None:
    def old(event: EntryEvent) -> list[Event]:
        return [replace(event, data=replace(event.data, baseline=True))]

    assert "baseline" in rules(once("published", old))


def test_a_revision_that_is_skipped_is_found() -> None:
    def skipped(event: EntryEvent) -> list[Event]:
        return [replace(event, data=replace(event.data, revision=event.data.revision + 1))]

    assert "revision" in rules(once("edited", skipped))


def test_edits_that_do_not_rebuild_the_text_are_found() -> None:
    def wrong(event: EntryEvent) -> list[Event]:
        runs = (("equal", "something else"),)
        return [replace(event, data=replace(event.data, edits={"title": runs, "body": runs}))]

    assert "content" in rules(once("edited", wrong))


def test_events_in_another_order_than_the_page_are_found() -> None:
    def tamper(events: Sequence[Event], done: set[str]) -> list[Event]:
        done.add("order")
        return list(events)[::-1] if len(events) > 3 else list(events)

    assert {"order", "chain"} <= rules(tamper)


class Hasty(InMemory):
    """Believes a removal at once: tells it two polls too early."""

    async def poll(self) -> Told:
        told = await super().poll()
        waiting = [key for key, one in self.state.meta.pending.items() if one.kind == "removed"]
        if not waiting or told.error:
            return told
        entry = self.state.entries[waiting[0]].entry
        sample = self._ledger.events[-1]
        assert isinstance(sample, EntryEvent)
        data = replace(sample.data, entry=entry, revision=1)
        event = replace(
            sample, type="stoppress.entry.removed", subject=waiting[0], data=data, id="hasty"
        )
        return replace(told, events=(*told.events, event))


def test_a_removal_before_three_polls_agree_is_found() -> None:
    async def hire(edge: Edge) -> Hasty:
        return Hasty(edge)

    findings = live(PLAN, [LOOK, Act("withdraw", 5), LOOK, LOOK], hire).findings
    assert any(finding.rule == "precision" for finding in findings)


class Blind(InMemory):
    """Refuses every page."""

    async def poll(self) -> Told:
        return Told(events=(), error="page.malformed")


def test_a_good_page_that_is_refused_is_found() -> None:
    async def hire(edge: Edge) -> Blind:
        return Blind(edge)

    assert {finding.rule for finding in live(PLAN, [LOOK], hire).findings} >= {"recall", "final"}


class Forgetful(InMemory):
    """Tells rightly, and forgets an entry."""

    async def poll(self) -> Told:
        told = await super().poll()
        self.state = replace(self.state, entries=dict(list(self.state.entries.items())[1:]))
        return told


def test_a_state_that_is_not_what_its_events_say_is_found() -> None:
    async def hire(edge: Edge) -> Forgetful:
        return Forgetful(edge)

    assert "final" in {finding.rule for finding in live(PLAN, [LOOK], hire).findings}


def test_a_failed_day_is_cut_down_to_the_steps_it_fails_by() -> None:
    async def hire(edge: Edge) -> Tampering:
        return Tampering(edge, once("edited", lambda event: with_entry(event, title="Other")))

    steps = [LOOK, Act("publish", 9), LOOK, *STEPS, Look("too_many", 3)]
    fewest = shrunk(BBC, steps, hire)
    assert len(fewest) < 6
    assert any(isinstance(step, Act) for step in fewest)


# --- the desk and the edge ------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
def test_a_desk_can_do_all_that_desks_do(action: str) -> None:
    desk = Desk("https://news.example/live", START, random.Random(1), sticky=True)
    for number in range(200):
        dice = random.Random(number)
        desk.act(dice.choice(list(ACTIONS)), dice, START + timedelta(minutes=number))
    now = START + timedelta(minutes=300)
    desk.act("withdraw", random.Random(0), now)
    assert any(desk.act(action, random.Random(n), now) for n in range(50)) or action == "end"
    front = desk.front(now)
    assert len({post.key for post in front.posts}) == front.total >= FEWEST
    assert not {post.key for post in front.posts} & set(front.withdrawn)


def edge_of(markup: str, clocks: Clocks = "modified") -> Edge:
    desk = Desk("https://news.example/live", START, random.Random(1), sticky=False)
    edge = Edge(markup, desk, Window("fixed", 6), clocks)
    edge.settled(desk.front(START).posts)
    for number in range(3):
        edge.now += timedelta(minutes=1)
        desk.act("publish", random.Random(number), edge.now)
        edge.remember()
    return edge


@pytest.mark.parametrize("fault", sorted(possible("bbc_data") | possible("jsonld_plain")))
def test_a_fault_counts_as_fired_once_it_has_changed_an_answer(fault: str) -> None:
    edge = edge_of("bbc_data" if fault == "part_failed" else "jsonld_plain")
    edge.prepare("none", random.Random(0))
    plain = edge.answer("/live", {})
    edge.prepare(fault, random.Random(2))
    assert not edge.fired
    asked = "/wc-data/container/stream" if fault == "part_failed" else "/live"
    answer = edge.answer(asked, {"If-None-Match": '"x"'})
    assert edge.fired == {fault: 1}
    assert edge.served.fault == fault
    assert answer != plain


def test_a_fault_that_has_nothing_to_change_does_not_count() -> None:
    edge = edge_of("text")
    for fault in FAULTS.keys() - possible("text"):
        edge.prepare(fault, random.Random(1))
        edge.answer("/live", {})
    assert not edge.fired


def test_noise_changes_the_bytes_and_not_what_was_served() -> None:
    edge = edge_of("bbc_html")
    bodies, fronts = set(), set()
    for number in range(5):
        edge.prepare("none", random.Random(number))
        bodies.add(edge.answer("/live", {}).body)
        assert edge.served.front
        fronts.add(edge.served.front.posts)
    assert len(bodies) > 1
    assert len(fronts) == 1
