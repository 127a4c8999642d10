"""A random day: what the desk does, when it is polled, and which faults the edge has then.

A day is a plan and a list of steps, each with dice of its own. So a day that fails can be cut down
to the steps that it fails by.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from service.model import PageState
from tests.simulator.desk import ACTIONS, Desk
from tests.simulator.edge import FAULTS, LYING, Clocks, Edge, Served, Window
from tests.simulator.judge import Finding, Judge, Told
from tests.simulator.markup import MARKUPS
from tests.simulator.view import shown_on

ADDRESS = "http://127.0.0.1:8080/news/live/c1abc"
MOST_LIES = 2  # one more, and what they say is to be believed
QUIET_POLLS = 5
_ODDS = {"publish": 6, "edit": 6, "correct": 2, "label": 3, "withdraw": 2, "restore": 2, "end": 0.4}


class Act(Struct, frozen=True):
    """The desk does something."""

    action: str
    dice: int


class Look(Struct, frozen=True):
    """The page is polled after so many seconds."""

    fault: str
    dice: int
    wait_s: int = 30


Step = Act | Look


class Plan(Struct, frozen=True):
    """All that decides a day but its steps."""

    markup: str
    seed: int
    start: datetime
    window: Window
    clocks: Clocks
    sticky: bool


class Report(Struct):
    """What a day came to. fired: how often each fault changed an answer that was sent."""

    plan: Plan
    findings: list[Finding]
    events: Counter[str]
    fired: Counter[str]
    polls: int
    loose: int


class Subject(Protocol):
    """Whoever polls the edge and is judged. state: what it knows of the page."""

    state: PageState

    async def poll(self) -> Told: ...


Hire = Callable[[Edge], Awaitable[Subject]]


def plan(markup: str, seed: int) -> Plan:
    """The plan of the day with that seed."""
    dice = random.Random(f"{markup} {seed}")
    kinds = ("fixed", "fixed", "fixed", "paged", "all")
    dated = "published" in MARKUPS[markup].SHOWS
    return Plan(
        markup=markup,
        seed=seed,
        start=_start(dice),
        window=Window(dice.choice(kinds), dice.randint(5, 10)),
        clocks=dice.choice(("none", "date", "modified")),
        # Where a page shows neither times nor marks, nothing tells a moved post from a new one.
        sticky=dated and dice.random() < 0.4,
    )


def _start(dice: random.Random) -> datetime:
    """Any day; every other shortly before midnight in London."""
    day = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=dice.randrange(365))
    minutes = dice.randint(22 * 60 + 20, 24 * 60) if dice.random() < 0.5 else dice.randrange(1440)
    return day + timedelta(minutes=minutes, seconds=dice.randrange(60))


def actions(markup: str) -> list[str]:
    """What a desk may do so that readers of this markup can follow."""
    unseen = set() if "published" in MARKUPS[markup].SHOWS else {"reorder"}
    return [action for action in ACTIONS if action not in unseen]


def script(markup: str, seed: int, polls: int = 20) -> list[Step]:
    """The steps of the day with that seed."""
    dice = random.Random(f"{markup} {seed} steps")
    names = actions(markup)
    weights = [_ODDS.get(name, 1.0) for name in names]
    faults = [name for name in FAULTS if name != "none"]
    steps: list[Step] = [Look("none", dice.getrandbits(32))] if dice.random() < 0.8 else []
    while sum(isinstance(step, Look) for step in steps) < polls:
        done = dice.choices(names, weights, k=dice.choice((0, 0, 1, 1, 1, 2, 3)))
        steps += [Act(name, dice.getrandbits(32)) for name in done]
        fault = dice.choice(faults) if dice.random() < 0.5 else "none"
        steps.append(Look(fault, dice.getrandbits(32), dice.randint(5, 150)))
    return steps


class Day:
    """One day, step by step."""

    def __init__(self, chosen: Plan, url: str = ADDRESS) -> None:
        self.plan = chosen
        dice = random.Random(f"{chosen.markup} {chosen.seed} desk")
        # Two posts of one minute have one id, where ids are made of times.
        alone = not hasattr(MARKUPS[chosen.markup], "native_id")
        self.desk = Desk(url, chosen.start, dice, sticky=chosen.sticky, alone=alone)
        self.edge = Edge(chosen.markup, self.desk, chosen.window, chosen.clocks)
        self.judge = Judge(chosen.markup, self.desk.moved)
        self.subject: Subject
        self.polls = 0
        self._lies = 0

    async def begin(self, hire: Hire) -> None:
        """Who polls comes in."""
        self.subject = await hire(self.edge)

    async def step(self, step: Step) -> None:
        match step:
            case Act(action, dice):
                self._later(5)
                self.desk.act(action, random.Random(dice), self.edge.now)
                self.edge.remember()
            case Look(fault, dice, wait_s):
                self._later(wait_s)
                await self._poll("none" if self._is_too_much(fault) else fault, dice)

    async def close(self) -> Report:
        """Let all settle, and look at the end."""
        self.desk.modified = self.edge.now  # past whatever a node with a wrong clock has said
        for number in range(QUIET_POLLS):
            self._later(60)
            await self._poll("none", number)
        front = self.edge.seen().front
        assert front is not None
        self.judge.close(self.subject.state, front)
        return Report(
            plan=self.plan,
            findings=self.judge.findings,
            events=self.judge.events,
            fired=self.edge.fired,
            polls=self.polls,
            loose=len(self.judge.loose),
        )

    def _is_too_much(self, fault: str) -> bool:
        """A page that says what is not so, again and again, is believed in the end."""
        return fault in LYING and self._lies >= MOST_LIES

    def _later(self, seconds: int) -> None:
        self.edge.now += timedelta(seconds=seconds)

    async def _poll(self, fault: str, dice: int) -> None:
        self.edge.prepare(fault, random.Random(dice))
        told = await self.subject.poll()
        served = self.edge.seen()
        self.polls += 1
        self.judge.poll(served, told)
        if served.fault in LYING:
            self._lies += 1
        elif served.kind == "page" and told.error is None and not told.held:
            self._lies = 0
            self._settle(served)

    def _settle(self, served: Served) -> None:
        assert served.front is not None
        shown = shown_on(served.front, served.names)
        self.edge.settled(one.post for one in shown if self.judge.observer.is_settled(one))


# --- whole days ---------------------------------------------------------------------------------


async def lived(chosen: Plan, steps: list[Step], hire: Hire) -> Report:
    """The whole day."""
    day = Day(chosen)
    await day.begin(hire)
    for step in steps:
        await day.step(step)
    return await day.close()


def live(chosen: Plan, steps: list[Step], hire: Hire) -> Report:
    """The whole day, for those who cannot wait."""
    return asyncio.run(lived(chosen, steps, hire))


def shrunk(chosen: Plan, steps: list[Step], hire: Hire) -> list[Step]:
    """The fewest steps by which the day still goes wrong in the way in which it first does."""
    first = live(chosen, steps, hire).findings[0].kind

    def fails(some: list[Step]) -> bool:
        return any(one.kind == first for one in live(chosen, some, hire).findings)

    size = len(steps) // 2
    while size:
        start = 0
        while start < len(steps):
            fewer = steps[:start] + steps[start + size :]
            if fails(fewer):
                steps = fewer
            else:
                start += size
        size //= 2
    return _plainer(steps, fails)


def _plainer(steps: list[Step], fails: Callable[[list[Step]], bool]) -> list[Step]:
    """The same without the faults that make no difference."""
    for place, step in enumerate(steps):
        if isinstance(step, Look) and step.fault != "none":
            plain = [*steps[:place], replace(step, fault="none"), *steps[place + 1 :]]
            steps = plain if fails(plain) else steps
    return steps
