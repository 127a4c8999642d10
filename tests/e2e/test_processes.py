"""Several gateway processes behind one port, replaced under load: nobody misses anything."""

from __future__ import annotations

import asyncio
import signal
from contextlib import aclosing
from pathlib import Path

import psutil
from redis.asyncio import Redis

from service.client import subscribe
from service.events import EntryEvent
from service.keys import Keys
from service.subscriber import EventMessage, Position
from tests.e2e.commands import running
from tests.integration.test_gateway import Desk
from tests.waiting import eventually

SUBSCRIBERS = 12
EVENTS = 60


async def test_processes_that_are_replaced_one_by_one_lose_no_event(
    tmp_path: Path, redis: Redis, redis_url: str, keys: Keys
) -> None:
    desk = Desk(redis, redis_url, keys)
    await desk.publish(1)
    env = {"STOPPRESS_REDIS_PREFIX": keys.prefix}
    args = ["--redis-url", redis_url, "gateway", "--port", "0", "--processes", "2"]
    async with running(tmp_path, *args, **env) as command:
        url = (await command.says(r"^Serving (http://\S+)/$"))[1]
        parent = psutil.Process(command.process.pid)
        await eventually(lambda: _count(parent, 2), "two processes")
        before = {child.pid for child in parent.children()}
        began = [asyncio.Event() for _ in range(SUBSCRIBERS)]
        readers = [asyncio.create_task(_read(url, event)) for event in began]
        await asyncio.gather(*(event.wait() for event in began))
        publishing = asyncio.create_task(_publish(desk))
        command.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(90):
            seen = await asyncio.gather(*readers)
        await publishing
        await eventually(lambda: _replaced(parent, before), "two others")
        after = parent.children()
        assert await command.stop() == 0
    assert seen == [[f"e{n}" for n in range(2, EVENTS + 2)]] * SUBSCRIBERS
    assert not any(child.is_running() for child in after)


async def test_a_process_that_dies_is_started_anew(
    tmp_path: Path, redis: Redis, redis_url: str, keys: Keys
) -> None:
    env = {"STOPPRESS_REDIS_PREFIX": keys.prefix}
    args = ["--redis-url", redis_url, "gateway", "--port", "0", "--processes", "2"]
    async with running(tmp_path, *args, **env) as command:
        await command.says(r"^Serving (http://\S+)/$")
        parent = psutil.Process(command.process.pid)
        await eventually(lambda: _count(parent, 2), "two processes")
        before = {child.pid for child in parent.children()}
        parent.children()[0].kill()
        await eventually(lambda: _another(parent, before), "another process")
        assert await command.stop() == 0


async def _read(url: str, began: asyncio.Event) -> list[str]:
    seen: list[str] = []
    async with aclosing(subscribe(url).messages()) as messages:
        async for message in messages:
            if isinstance(message, Position):
                began.set()
            if isinstance(message, EventMessage) and isinstance(message.event, EntryEvent):
                seen.append(message.event.subject)
            if len(seen) == EVENTS:
                return seen
    raise AssertionError("the feed ended")


async def _publish(desk: Desk) -> None:
    for number in range(2, EVENTS + 2):
        await desk.publish(number)
        await asyncio.sleep(0.1)


async def _count(parent: psutil.Process, count: int) -> bool:
    return len(parent.children()) == count


async def _replaced(parent: psutil.Process, before: set[int]) -> bool:
    now = {child.pid for child in parent.children()}
    return len(now) == 2 and not now & before


async def _another(parent: psutil.Process, before: set[int]) -> bool:
    return len({child.pid for child in parent.children()} - before) == 1
