"""`stoppress up` and ten pages on which nothing happens: memory and CPU of the process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from service.connection import connect
from service.keys import Keys
from service.model import Page
from service.store import Store
from tests.benchmarks.bbc_site import WINDOW, BbcSite, bbc_site, posts
from tests.benchmarks.figures import Figure
from tests.benchmarks.processes import (
    IDLE,
    Up,
    cpu_s,
    opened,
    published,
    resident_mb,
    script,
    up,
)
from tests.waiting import eventually

PAGES = [f"page-{number}" for number in range(10)]
# After its first poll a page is polled after about 10 s, then 12.5 s, then ever more rarely: its
# first two polls are a quiet page at its dearest.
POLLS = 2
BASELINE = len(PAGES) * (1 + WINDOW)  # opened, and what was there


async def test_ten_quiet_pages(tmp_path: Path, figures: list[Figure]) -> None:
    """Ten pages are polled again and again and not one event comes of it."""
    async with (
        bbc_site(posts(WINDOW)) as still,
        bbc_site(posts(WINDOW), restless=True) as restless,
        up(tmp_path / "still", map(still.url, PAGES)) as one,
        up(tmp_path / "restless", map(restless.url, PAGES)) as two,
        script(IDLE) as (idle, _),
    ):
        for running in (one, two):
            await opened(running, BASELINE)
        used = await _used((one.process, two.process, idle), (still, restless))
        figures += _costs(used, one, two, idle)
        for running in (one, two):
            await _all_quiet(running)
    assert all(still.not_modified[page] == still.polls[page] - 1 for page in PAGES)
    assert not restless.not_modified


async def _used(
    processes: Sequence[psutil.Process], sites: Sequence[BbcSite]
) -> dict[psutil.Process, float]:
    """Percent of one core of each process, until every page has been polled so often again."""
    goals = [(site, page, site.polls[page] + POLLS) for site in sites for page in PAGES]

    async def polled() -> bool:
        return all(site.polls[page] >= goal for site, page, goal in goals)

    before, began_s = [cpu_s(process) for process in processes], time.perf_counter()
    await eventually(polled, f"{POLLS} polls of every page", timeout_s=60)
    took_s = time.perf_counter() - began_s
    after = [cpu_s(process) for process in processes]
    return {
        process: 100 * (end - start) / took_s
        for process, start, end in zip(processes, before, after, strict=True)
    }


def _costs(
    used: dict[psutil.Process, float], one: Up, two: Up, idle: psutil.Process
) -> list[Figure]:
    bare = "aiohttp and redis imported, asleep"
    loop = "an idle uvloop, the same process"
    return [
        _memory("up, ten pages: resident memory", one.process, idle, bare, "under 150 MB"),
        _memory("  bodies differ in bytes alone", two.process, idle, bare, "under 150 MB"),
        _memory("  the embedded server, apart", one.server, idle, bare),
        _share("up, ten pages: of one core", used, one.process, idle, loop),
        _share("  bodies differ in bytes alone", used, two.process, idle, loop),
    ]


def _memory(
    what: str, process: psutil.Process, idle: psutil.Process, than: str, target: str = ""
) -> Figure:
    return Figure(what, resident_mb(process), resident_mb(idle), "MB", than, target)


def _share(
    what: str,
    used: dict[psutil.Process, float],
    process: psutil.Process,
    idle: psutil.Process,
    than: str,
) -> Figure:
    return Figure(what, used[process], used[idle], "%", than, "under 3 %")


async def _all_quiet(running: Up) -> None:
    """Nothing was published after the baseline, and all pages are seen well."""
    async with connect(running.redis_url) as redis:
        assert await published(redis) == BASELINE
        store = Store(redis, Keys(), max_events=1)
        pages: dict[str, Page] = await store.pages()
        assert [(await store.health(page)).status for page in pages] == ["healthy"] * len(PAGES)
