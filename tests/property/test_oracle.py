"""What is published is what the desk did, as far as anybody could have known it.

Whole random days, seeded: a failure names the seed, and the fewest steps by which it comes back.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from service import sources
from service.diff import Doubt, Policy, advance, diff
from service.keys import Keys
from service.model import Page, PageState
from service.sources import Document
from tests.simulator.day import Act, Day, Hire, Look, Report, actions, live, plan, script, shrunk
from tests.simulator.edge import FAULTS, Edge, possible
from tests.simulator.markup import MARKUPS
from tests.simulator.subjects import OverHttp, in_memory, site

# So many days for each source; its markups share them.
DAYS = int(os.environ.get("STOPPRESS_DAYS", "200"))
HTTP_DAYS = 2
# Too few days to have met every fault.
FEW = 30

each = pytest.mark.parametrize("markup", MARKUPS)


def days_of(markup: str) -> int:
    source = MARKUPS[markup].SOURCE
    sharers = sum(source == module.SOURCE for module in MARKUPS.values())
    return math.ceil(DAYS / sharers)


def told(report: Report, hire: Hire) -> str:
    """A failed day, so that it can be lived again."""
    seed, markup = report.plan.seed, report.plan.markup
    steps = shrunk(report.plan, script(markup, seed), hire)
    lines = [f"{markup}, seed {seed}:", *map(str, report.findings[:5]), f"{report.plan}"]
    return "\n  ".join([*lines, "the fewest steps:", *map(str, steps)])


@each
@pytest.mark.timeout(600)
def test_every_day_is_told_as_it_was(markup: str) -> None:
    """Precision 1 and recall 1 on each day, and every fault has fired."""
    days = [live(plan(markup, n), script(markup, n), in_memory) for n in range(days_of(markup))]
    events = sum((day.events for day in days), Counter[str]())
    fired = sum((day.fired for day in days), Counter[str]())
    print(f"\n{markup}: seeds 0 to {len(days) - 1}, {sum(day.polls for day in days)} polls")
    print("  events:", ", ".join(f"{kind} {n}" for kind, n in sorted(events.items())))
    print("  faults:", ", ".join(f"{fault} {n}" for fault, n in sorted(fired.items())))
    wrong = [day for day in days if day.findings]
    assert not wrong, f"{len(wrong)} of {len(days)} days are wrong\n{told(wrong[0], in_memory)}"
    if len(days) >= FEW:
        assert set(fired) == possible(markup)


@each
async def test_a_day_over_http_with_the_real_store_is_told_as_it_was(
    markup: str, redis: Redis, keys: Keys
) -> None:
    for seed in range(1000, 1000 + HTTP_DAYS):
        own = Keys(prefix=f"{keys.prefix}-{seed}")
        async with day_over_http(markup, seed, redis, own) as day:
            for step in script(markup, seed):
                await day.step(step)
            report = await day.close()
            assert not report.findings, f"seed {seed}: {list(map(str, report.findings))}"


@asynccontextmanager
async def day_over_http(markup: str, seed: int, redis: Redis, keys: Keys) -> AsyncIterator[Day]:
    async with site() as served, aiohttp.ClientSession() as session:
        day = Day(plan(markup, seed), served.url)
        served.edge = day.edge

        async def hire(edge: Edge) -> OverHttp:
            poller = OverHttp(edge, redis, keys, session)
            await poller.open()
            return poller

        await day.begin(hire)
        yield day


class DayMachine(RuleBasedStateMachine):
    """The same actions and faults, in any order that hypothesis finds, and shrinks."""

    markup = "jsonld_plain"

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()

    @initialize(seed=st.integers(0, 10_000))
    def begin(self, seed: int) -> None:
        self.day = Day(plan(self.markup, seed))
        self.run(self.day.begin(in_memory))

    @rule(data=st.data(), dice=st.integers(0, 10_000))
    def act(self, data: st.DataObject, dice: int) -> None:
        action = data.draw(st.sampled_from(actions(self.markup)))
        self.run(self.day.step(Act(action, dice)))

    @rule(fault=st.sampled_from(list(FAULTS)), dice=st.integers(0, 10_000))
    def poll(self, fault: str, dice: int) -> None:
        self.run(self.day.step(Look(fault, dice)))

    @rule(dice=st.integers(0, 10_000))
    def poll_undisturbed(self, dice: int) -> None:
        self.run(self.day.step(Look("none", dice)))

    @invariant()
    def nothing_is_wrong(self) -> None:
        if hasattr(self, "day"):
            assert not self.day.judge.findings, list(map(str, self.day.judge.findings))

    def teardown(self) -> None:
        if hasattr(self, "day"):
            report = self.run(self.day.close())
            assert not report.findings, list(map(str, report.findings))
        self.loop.close()

    def run(self, step):  # type: ignore[no-untyped-def]
        return self.loop.run_until_complete(step)


@pytest.mark.parametrize("markup", ["jsonld_plain", "bbc_html"])
@pytest.mark.timeout(600)
def test_no_order_of_events_makes_us_tell_what_is_not_so(markup: str) -> None:
    machine = type("Machine", (DayMachine,), {"markup": markup})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


# --- real pages -----------------------------------------------------------------------------------

SEEN_AT = datetime(2024, 8, 5, 20, 5, tzinfo=UTC)
CAPTURES = (
    "guardian_nasa-mars_snapshot-a_2021-08-17.json",
    "guardian_nasa-mars_snapshot-c_2024-02-06.json",
)


def events_between(before: bytes, after: bytes, source: str) -> list[str]:
    """What following a page from one capture to the other publishes, baseline left out."""
    state, told = PageState(page=Page(id="page", url="https://news.example/live")), []
    for body in (before, after):
        document = Document(state.page.url, body, "", SEEN_AT)
        step = diff(state, sources.read(document, source), Policy())
        assert not isinstance(step, Doubt), step
        events, state = advance(state, step, SEEN_AT)
        told.append([f"{event.type} {event.subject}" for event in events])
    return told[1]


def test_a_dead_blog_captured_years_apart_gives_no_event(corpus: Path) -> None:
    """Same blocks; white space, addresses, class names and element ids differ."""
    before, after = ((corpus / name).read_bytes() for name in CAPTURES)
    assert events_between(before, after, "guardian") == []


def test_a_real_page_that_stays_as_it_is_gives_no_event(corpus: Path) -> None:
    read = 0
    for path in sorted(corpus.glob("*.*")):
        body = path.read_bytes()
        if path.suffix == ".md":
            continue
        try:
            source = sources.detect(Document("https://news.example/live", body, "", SEEN_AT)).name
            noisy = body.replace(b"\n", b"\n\n") if path.suffix == ".html" else body + b"\n"
            assert events_between(body, noisy, source) == [], path.name
            read += 1
        except sources.PageError:
            continue
    assert read >= 2


def test_the_same_seed_is_the_same_day() -> None:
    one, other = (
        live(plan("jsonld_plain", 7), script("jsonld_plain", 7), in_memory) for _ in range(2)
    )
    assert one == other
    assert script("jsonld_plain", 7) != script("jsonld_plain", 8)
