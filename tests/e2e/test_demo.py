"""The demo: what the page did is what arrived, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import aiohttp
import psutil

from service.demo import Row, seed
from tests.e2e.commands import SEED, running


def test_the_demo_replays_the_sample_that_lies_in_seeds() -> None:
    assert seed() == SEED


async def test_once_proves_that_all_that_happened_arrived_once(tmp_path: Path) -> None:
    async with running(tmp_path, "demo", "--once") as demo:
        await demo.says("Equal: nothing missing, nothing false, nothing twice", timeout_s=100)
        assert await demo.process.wait() == 0
    said = "\n".join(demo.said)
    for row in ("published +20 +20", "edited +4 +4", "withdrawn +1 +1", "alerts +3 +3"):
        found = [line for line in demo.said if line.strip().startswith(row.split()[0])]
        assert found[-1].split()[1:3] == row.split(" +")[1:], said


async def test_ctrl_c_ends_every_part_and_frees_what_it_held(tmp_path: Path) -> None:
    async with running(tmp_path, "demo", "--port", "0", "--speed", "3000") as demo:
        at = (await demo.says(r"Web page +(\S+)/"))[1]
        await demo.says("ALERT BREAKING")
        assert await demo.stop() == 0
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(f"{at}/healthz"):
                raise AssertionError("the gateway still answers")
        except aiohttp.ClientConnectionError:
            pass


async def test_parts_end_though_the_demo_itself_is_killed(tmp_path: Path) -> None:
    async with running(tmp_path, "demo", "--port", "0") as demo:
        await demo.says("opened")
        parts = psutil.Process(demo.process.pid).children()
        assert len(parts) == 6  # replay, alerts, gateway, poll, the server and its guard
        demo.process.kill()
        async with asyncio.timeout(20):
            while any(part.is_running() and part.status() != "zombie" for part in parts):
                await asyncio.sleep(0.05)


def test_the_comparison_tells_missing_from_false_from_twice() -> None:
    row = Row("published", Counter("abc"), Counter("aabx"))
    assert (row.missing, row.false, row.twice, row.equal) == (1, 1, 1, False)
    assert Row("published", Counter("ab"), Counter("ba")).equal
