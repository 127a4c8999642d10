"""From the event stream to receivers of alerts, with and without a channel that is slow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median

import pytest
from aiohttp import web
from msgspec import Struct
from redis.asyncio import Redis

from service.events import Event, from_json
from service.keys import Keys
from tests.alert_samples import Receiver, entry_event
from tests.benchmarks.figures import Figure, fields, p99
from tests.e2e.commands import running
from tests.waiting import eventually

EVENTS, ALERTS = 10_000, 500
ROUNDS = 2  # each half of the events, with and without in turns
FAST, SLOW = ("one", "two"), "slow"
SLOW_S = 0.2
# So many at once, and so often: 400 events a second, 20 of them alerts.
AT_ONCE, EVERY_S = 4, 0.01


@pytest.mark.timeout(900)
async def test_a_slow_channel_delays_no_other(
    tmp_path: Path, redis: Redis, redis_url: str, keys: Keys, figures: list[Figure]
) -> None:
    """Every receiver gets every alert once, the slow one too."""
    beside: list[float] = []
    alone: list[float] = []
    for number in range(ROUNDS):
        for delays, names in ((alone, FAST), (beside, (*FAST, SLOW))):
            own = Keys(prefix=f"{keys.prefix}-{number}-{len(names)}")
            folder = tmp_path / own.prefix
            folder.mkdir()
            delays += await _delays_ms(folder, redis, redis_url, own, names)
    assert len(alone) == len(beside) == ALERTS * len(FAST)
    than = "the same without the slow channel"
    figures += [
        Figure("alert beside a slow channel: median", median(beside), median(alone), "ms", than),
        Figure("  99th percentile", p99(beside), p99(alone), "ms", than, "within 2 x"),
    ]


async def _delays_ms(
    folder: Path, redis: Redis, redis_url: str, keys: Keys, names: tuple[str, ...]
) -> list[float]:
    """Milliseconds from XADD of each alert's event until each fast receiver has it."""
    events = _events()
    async with AsyncExitStack() as stack:
        hooks = {
            name: await stack.enter_async_context(_hook(SLOW_S if name == SLOW else 0.0))
            for name in names
        }
        (folder / "stoppress.toml").write_text(_settings(redis_url, keys, hooks), "utf-8")
        worker = await stack.enter_async_context(running(folder, "alerts"))
        await worker.says("Alerting on")
        sent_s = await _publish(redis, keys, events)

        async def all_there() -> bool:
            return all(len(hook.arrived_s) == len(sent_s) for hook in hooks.values())

        await eventually(all_there, "every alert at every receiver", timeout_s=200)
        assert await worker.stop() == 0
    assert all(hook.requests == len(sent_s) for hook in hooks.values())
    return [
        (hooks[name].arrived_s[entry] - at_s) * 1000
        for name in FAST
        for entry, at_s in sent_s.items()
    ]


def _events() -> list[Event]:
    """Half of all, of which every so many raises an alert."""
    every = EVENTS // ALERTS
    return [
        entry_event(entry=f"e{n}", sequence=n + 1, labels=("breaking",) if n % every == 0 else ())
        for n in range(EVENTS // ROUNDS)
    ]


async def _publish(redis: Redis, keys: Keys, events: list[Event]) -> dict[str, float]:
    """When each event that raises an alert was published, by its entry."""
    sent_s: dict[str, float] = {}
    ready = [(event.subject, fields(event)) for event in events]
    for start in range(0, len(ready), AT_ONCE):
        async with redis.pipeline(transaction=False) as step:
            for entry, each in ready[start : start + AT_ONCE]:
                step.xadd(keys.events, each)
                if b"breaking" in each["data"]:
                    sent_s[entry] = time.perf_counter()
            await step.execute()
        await asyncio.sleep(EVERY_S)
    return sent_s


class Hook(Struct):
    """A receiver of webhooks. arrived_s: when it first got the alert of each entry."""

    url: str = ""
    arrived_s: dict[str, float] = {}
    requests: int = 0


@asynccontextmanager
async def _hook(wait_s: float) -> AsyncIterator[Hook]:
    """One that answers after so many seconds."""
    hook = Hook()

    async def take(request: web.Request) -> web.Response:
        at_s = time.perf_counter()
        event = from_json(await request.read())
        hook.requests += 1
        hook.arrived_s.setdefault(event.subject, at_s)
        await asyncio.sleep(wait_s)
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield hook
    finally:
        await runner.cleanup()


def _settings(redis_url: str, keys: Keys, hooks: dict[str, Hook]) -> str:
    tables = (
        f'[alerts.webhooks.{name}]\nurl = "{hook.url}"\nsecret = "{Receiver.SECRET}"\n'
        "allow_private = true\n"
        for name, hook in hooks.items()
    )
    return (
        f'[redis]\nurl = "{redis_url}"\nprefix = "{keys.prefix}"\n[alerts]\nconsole = false\n'
        f'[log]\nlevel = "error"\n{"".join(tables)}'
    )
