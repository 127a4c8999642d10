"""G1: whatever crashes, every change is published exactly once, in one unbroken chain.

The pollers here are real processes that die by SIGKILL; the site and Redis stay.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from service.events import Event
from service.keys import Keys
from service.model import Page
from service.store import Store
from tests.live_site import LiveSite, live_site
from tests.pages import entry
from tests.stream import events_in
from tests.waiting import eventually

POLLER = Path(__file__).parent / "crashing_poller.py"
ROOT = POLLER.parent.parent.parent
POINTS = ["fetched", "parsed", "diffed", "committing", "committed"]


class Stage:
    """A followed page and what was told of it."""

    def __init__(self, redis: Redis, url: str, keys: Keys, site: LiveSite) -> None:
        self.redis, self.url, self.keys, self.site = redis, url, keys, site

    @asynccontextmanager
    async def poller(
        self, point: str = "never", nth: int = 1
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """A poller process."""
        args = [str(POLLER), self.url, self.keys.prefix, point, str(nth)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *args, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def events(self) -> list[Event]:
        return await events_in(self.redis, self.keys.events)

    async def sees(self, *wanted: str) -> None:
        async def there() -> bool:
            told = [f"{e.type.rpartition('.')[2]} {e.subject}" for e in await self.events()]
            return set(wanted) <= set(told)

        await eventually(there, f"{wanted}")

    async def told(self) -> list[str]:
        """Everything, after checking that the chain is whole."""
        events = await self.events()
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        assert [event.previousid for event in events] == [None, *(e.id for e in events)][:-1]
        return [f"{event.type.rpartition('.')[2]} {event.subject}" for event in events]


@pytest.fixture
async def stage(redis: Redis, redis_url: str, keys: Keys) -> AsyncIterator[Stage]:
    async with live_site([entry(1), entry(2)]) as site:
        await Store(redis, keys, max_events=1000).add_page(Page(id="page", url=site.url))
        yield Stage(redis, redis_url, keys, site)


async def dies(process: asyncio.subprocess.Process) -> None:
    """The fault must have fired."""
    async with asyncio.timeout(30):
        assert await process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("point", POINTS)
async def test_a_poller_killed_at_any_point_leaves_no_gap_and_nothing_twice(
    stage: Stage, point: str, nth: int
) -> None:
    """nth 1 dies in the baseline, nth 2 (or a later one) with a change in hand."""
    async with stage.poller(point, nth) as doomed:
        if nth == 2:
            await stage.sees("published e2")
            stage.site.entries[1] = entry(2, text="Edited.")
            stage.site.entries += [entry(3), entry(4)]
        await dies(doomed)
    async with stage.poller():
        if nth == 1:
            await stage.sees("published e2")
            stage.site.entries[1] = entry(2, text="Edited.")
            stage.site.entries += [entry(3), entry(4)]
        await stage.sees("edited e2", "published e4")
        del stage.site.entries[2]
        await stage.sees("removed e3")
    assert await stage.told() == [
        "opened page",
        "published e1",
        "published e2",
        "edited e2",
        "published e3",
        "published e4",
        "removed e3",
    ]


async def test_a_poller_killed_while_a_removal_is_being_confirmed_loses_it_not(
    stage: Stage,
) -> None:
    stage.site.entries += [entry(3)]
    async with stage.poller() as first:
        await stage.sees("published e3")
        first.kill()
    del stage.site.entries[1]
    for _ in range(2):  # each dies after it has counted one poll
        async with stage.poller("committed") as doomed:
            await dies(doomed)
    async with stage.poller():
        await stage.sees("removed e2")
    assert (await stage.told()).count("removed e2") == 1


async def test_two_pollers_of_which_one_keeps_dying_tell_everything_once(stage: Stage) -> None:
    """Two pollers on one page all the while; every third entry one of them is killed, unasked
    whether it is the owner, and another takes its place."""
    chance = random.Random(20250425)
    wanted = range(3, 15)
    async with AsyncExitStack() as stack:
        pollers = [await stack.enter_async_context(stage.poller()) for _ in range(2)]
        for number in wanted:
            stage.site.entries += [entry(number)]
            if number % 3 == 0:
                victim = pollers.pop(chance.randrange(2))
                victim.kill()
                await dies(victim)
                pollers.append(await stack.enter_async_context(stage.poller()))
            await stage.sees(f"published e{number}")
    assert await stage.told() == ["opened page", *(f"published e{n}" for n in range(1, 15))]
