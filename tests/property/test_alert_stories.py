"""Random stories of entries, told to workers that die and are late: each is alerted once, as it is.

Events come twice, late, out of order and to several workers at once; workers die at every
checkpoint. In the end everybody was told of all that stands, once and as it now is, and nothing
that is gone stands. A failure names its seed.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from service.events import AlertEvent, EntryEvent
from service.keys import Keys
from service.rules import Condition
from tests.integration.test_holding import FIGURE, KEY, Desk, KilledError, event
from workers.alerts.limits import Limit
from workers.alerts.quiet import Quiet
from workers.alerts.rules import Rule

RUNS = 40  # of each rule, with faults and without
DEATHS = (
    *("alert.held", "group.closed", "alert.raised"),
    *("group.finished", "group.amended", "alert.changed"),
)
ALONE = replace(KEY, group_s=None)
ONE_A_MINUTE = Limit(1, 60)
RULES: dict[str, Rule] = {
    "at once": ALONE,
    "together": KEY,
    "not too many": replace(ALONE, limit=ONE_A_MINUTE),
    "both": replace(KEY, limit=ONE_A_MINUTE),
    "by words": replace(ALONE, when=Condition(label=("key",), not_=Condition(word=("zzz",)))),
    "quiet": replace(ALONE, quiet=Quiet(0, 1440, days=())),
}
HELD = ("together", "not too many", "both")
STEP_S, ENDED_S = 20, 400


class Story:
    """Entries of a page, how they change, and what becomes of their events. chaos: from 0 to 1."""

    def __init__(self, redis_url: str, name: str, seed: int, chaos: float) -> None:
        self.dice, self.chaos = random.Random(f"{name} {seed}"), chaos
        prefix = f"story-{os.getpid()}-{name.replace(' ', '-')}-{seed}-{chaos}"
        self.desk = Desk(redis_url, Keys(prefix=prefix), RULES[name])
        self.desk.now = datetime.now(UTC).replace(microsecond=0)  # Redis has a clock of its own
        self.fired: Counter[str] = Counter()
        # What becomes of each entry, and when who hears of it.
        self.events = [one for n in range(self.dice.randint(1, 3)) for one in self._entry(f"e{n}")]
        self.events.sort(key=lambda one: one.observed_at)
        self.coming = [(self._heard_at(one), one) for one in self.events]
        again = [one for one in self.events if self._maybe("handled again")]
        self.coming += [(self._heard_at(one) + self._within(90), one) for one in again]

    def _maybe(self, fault: str) -> bool:
        happens = self.dice.random() < self.chaos
        self.fired[fault] += happens
        return happens

    def _within(self, seconds: int) -> timedelta:
        return timedelta(seconds=self.dice.randint(1, seconds))

    def _heard_at(self, one: EntryEvent) -> datetime:
        return one.observed_at + (self._within(90) if self._maybe("late") else timedelta(0))

    def _entry(self, name: str) -> list[EntryEvent]:
        """All events of one entry, oldest first."""
        told: list[EntryEvent] = []
        now = {"at": self.desk.now + self._within(100), "entry": name, "title": "T0"}

        def add(kind: str, **given: Any) -> None:
            told.append(event(self.desk, kind, sequence=len(told) + 1, **{**now, **given}))
            now["at"] += self._within(60)

        if self.dice.random() < 0.3:
            add("published", labels=())
            if self.dice.random() < 0.5:
                add("edited", labels=("x",), gained=("x",), changed=("labels",))
            add("edited", gained=("key",), changed=("labels",))
        else:
            add("published")
        for number in range(self.dice.randint(0, 3)):
            now["title"] = f"T{number + 1}"
            runs = (("equal", "T"), ("delete", str(number)), ("insert", str(number + 1)))
            edits = {"edits": {"title": runs}} if self.dice.random() < 0.7 else {}
            add("edited", changed=("title",), significance=FIGURE, **edits)
        match self.dice.random():
            case end if end < 0.25:
                add("removed")
            case end if end < 0.4:
                add("edited", labels=(), changed=("labels",))
        return told

    # --- what happens ----------------------------------------------------------------------------

    async def live(self) -> None:
        """Let all of it happen, and what is left undone be done."""
        desk = self.desk
        while self.coming:
            self.coming.sort(key=lambda each: each[0])
            at, one = self.coming.pop(0)
            while desk.now < at:
                desk.now = min(at, desk.now + self._within(STEP_S))
                await self._all_of(self._release())
            several = [self._handle(one)]
            while self.coming and self._maybe("at the same time"):
                several.append(self._handle(self.coming.pop(0)[1]))
            if self._maybe("at the same time"):
                several.append(self._release())
            await self._all_of(*several)
        desk.fatal = ""
        for _ in range(ENDED_S // STEP_S):
            desk.now += timedelta(seconds=STEP_S)
            await desk.worker().release_due()

    async def _all_of(self, *several: Any) -> None:
        async with asyncio.timeout(20):  # nothing here waits: that would be for ever
            await asyncio.gather(*several)

    def _doom(self) -> None:
        if self.dice.random() < self.chaos:
            self.desk.fatal = self.dice.choice(DEATHS)

    async def _handle(self, one: EntryEvent) -> None:
        """A worker handles an event; where it dies, another one has it later."""
        self._doom()
        try:
            await self.desk.handle(self.desk.worker(), one)
        except KilledError as death:
            self.fired[str(death)] += 1
            self.coming.append((self.desk.now + self._within(60), one))

    async def _release(self) -> None:
        self._doom()
        try:
            await self.desk.worker().release_due()
        except KilledError as death:
            self.fired[str(death)] += 1

    # --- what came of it -------------------------------------------------------------------------

    async def wrongs(self) -> list[str]:
        """What people were told that is not so, or not told that is."""
        told = await self.desk.told()
        left = await self.desk.leftovers()
        raised = Counter(one.data.alert for one in told if one.state == "raised")
        latest = {one.data.alert: one for one in told}
        wrongs = [f"left in Redis: {left}"] if left else []
        wrongs += [f"raised {n} times: {alert}" for alert, n in raised.items() if n > 1]
        for last in {one.data.entry.id: one for one in self.events}.values():
            shown = [part for one in latest.values() for part in shows(one, last.data.entry.id)]
            stands = last.type != "stoppress.entry.removed" and last.data.entry.labels != ()
            standing = [title for title, is_standing in shown if is_standing]
            if standing != ([last.data.entry.title] if stands else []):
                wrongs.append(f"{last.data.entry.id} is {last.data.entry.title}, told {shown}")
        return wrongs


def shows(alert: AlertEvent, entry: str) -> list[tuple[str | None, bool]]:
    """What an alert says of an entry, if anything: its headline, and whether that stands."""
    is_standing = alert.state != "retracted"
    if not alert.data.entries:
        own = alert.data.entry
        return [(own.title, is_standing)] if own.id == entry else []
    return [
        (each.title, is_standing and not each.withdrawn)
        for each in alert.data.entries
        if each.entry == entry
    ]


async def one_story(redis_url: str, name: str, seed: int, chaos: float) -> Counter[str]:
    """The faults that fired in it. Raises AssertionError that names the seed."""
    story = Story(redis_url, name, seed, chaos)
    try:
        await story.live()
        wrongs = await story.wrongs()
    except Exception as error:
        raise AssertionError(f"{name}, seed {seed}, chaos {chaos}: {error!r}") from error
    finally:
        await story.desk.redis.aclose()
    assert not wrongs, f"{name}, seed {seed}, chaos {chaos}: {'; '.join(wrongs)}"
    return story.fired


@pytest.mark.parametrize("name", RULES)
async def test_each_entry_is_alerted_once_and_as_it_is(redis_url: str, name: str) -> None:
    for seed in range(RUNS):
        await one_story(redis_url, name, seed, chaos=0.0)


@pytest.mark.parametrize("name", RULES)
async def test_nothing_that_happens_to_workers_changes_that(redis_url: str, name: str) -> None:
    fired: Counter[str] = Counter()
    for seed in range(RUNS):
        fired += await one_story(redis_url, name, seed, chaos=0.3)
    waits = {"alert.held", "group.closed", "group.finished"} if name in HELD else set[str]()
    always = {"late", "handled again", "at the same time", "alert.raised", "alert.changed"}
    assert always | waits <= {*fired}, fired
