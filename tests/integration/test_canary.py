"""Signs of life through the whole stream: whoever asks gets them, nobody else sees them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from service.client import subscribe
from service.config import AlertSettings, GatewaySettings
from service.connection import connect
from service.events import CanaryEvent, canary
from service.keys import Keys
from service.observability import REGISTRY
from service.store import Store
from service.subscriber import Canary
from tests.integration.test_gateway import Desk as GatewayDesk
from tests.integration.test_poller import SETTINGS
from tests.integration.test_poller import Desk as PollerDesk
from tests.stream import events_in
from tests.waiting import eventually
from workers.alerts.canary import Watch
from workers.alerts.worker import alerts_worker

QUICK = SETTINGS.__class__(
    floor_s=0.05, ceiling_s=0.1, retry_ceiling_s=0.1, lease_s=1, canary_s=0.1
)


@pytest.fixture
def poller(redis: Redis, keys: Keys) -> PollerDesk:
    return PollerDesk(redis, keys)


@pytest.fixture
def desk(redis: Redis, redis_url: str, keys: Keys) -> GatewayDesk:
    return GatewayDesk(redis, redis_url, keys)


async def test_who_asks_gets_canaries_and_nobody_else(
    poller: PollerDesk, desk: GatewayDesk
) -> None:
    async with desk.serving() as gateway:
        hidden = await desk.reading(lambda message: message.type == "event")
        async with poller.polling(QUICK), asyncio.timeout(20):
            async for message in subscribe(gateway, type="canary", page="no-such").messages():
                if isinstance(message, Canary):
                    break
        await desk.publish(1)
        seen = await hidden
    assert message.event.data.every_s == QUICK.canary_s
    assert [one.type for one in seen if one.type not in {"cursor", "health"}] == ["hello", "event"]


async def test_two_pollers_send_one_canary(poller: PollerDesk) -> None:
    """Each of both is ready to send one at the same moment."""
    one, two = Store(poller.redis, poller.keys, max_events=9), poller.store
    event = canary(datetime.now(UTC), 60)
    await asyncio.gather(one.send_canary(event), two.send_canary(event))
    assert len(await events_in(poller.redis, poller.keys.events)) == 1


async def test_alerts_take_no_canary_for_news_or_for_a_broken_event(
    poller: PollerDesk, redis: Redis, redis_url: str, keys: Keys
) -> None:
    async with alerting(redis_url, keys), poller.polling(QUICK):
        await eventually(lambda: heard(redis, keys), "the worker to have handled three")
        await eventually(came_out, "a canary to have come out")
    assert not await redis.xlen(keys.dead)
    assert not await redis.xlen(keys.alerts)


async def came_out() -> float | None:
    return REGISTRY.get_sample_value("stoppress_canary_timestamp_seconds", {"part": "alerts"})


async def heard(redis: Redis, keys: Keys) -> bool:
    groups = await redis.xinfo_groups(keys.events)
    return bool(groups) and groups[0]["entries-read"] is not None and groups[0]["entries-read"] >= 3


@asynccontextmanager
async def alerting(redis_url: str, keys: Keys) -> AsyncIterator[None]:
    """A worker of alerts, running."""
    ready = asyncio.Event()
    worker = asyncio.create_task(
        alerts_worker(
            lambda: connect(redis_url), keys, AlertSettings(console=False), max_events=1000,
            now=lambda: datetime.now(UTC), ready=ready.set,
        )
    )  # fmt: skip
    await ready.wait()
    try:
        yield
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


async def test_a_note_that_can_not_be_read_ends_no_worker(redis: Redis, keys: Keys) -> None:
    """Another version may have left it."""
    await redis.set(keys.canary_out, b"{}")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(Watch(redis, keys, lambda: datetime.now(UTC)).run(), 0.2)


async def test_the_gateway_says_when_canaries_come_no_more_and_when_they_do(
    desk: GatewayDesk,
) -> None:
    with capture_logs() as logs:

        async def said(event: str) -> bool:
            return event in [line["event"] for line in logs]

        async with desk.serving(GatewaySettings(port=0)):
            await desk.store.send_canary(canary(datetime.now(UTC), 0.05))
            await eventually(lambda: said("canary.missing"), "the alarm")
            await desk.store.send_canary(canary(datetime.now(UTC), 60))
            await eventually(lambda: said("canary.back"), "the end of the alarm")
    alarms = [line for line in logs if line["event"] == "canary.missing"]
    assert [(line["every_s"], line["log_level"]) for line in alarms] == [(0.05, "error")]


async def test_a_canary_passes_filters_over_plain_http(desk: GatewayDesk) -> None:
    async with desk.serving() as gateway, aiohttp.ClientSession() as http:
        await desk.publish(1)
        async with http.get(f"{gateway}/v1/events") as answer:
            at = (await answer.json())["cursor"]
        event = canary(datetime.now(UTC), 60)
        await desk.store.send_canary(event)
        await desk.publish(2)
        got = []
        for kind in ("canary", "entry.published"):
            query = {
                "cursor": at,
                "type": kind,
                "label": "x" if kind == "canary" else "",
                "wait": 5,
            }
            async with http.get(f"{gateway}/v1/events", params=query) as answer:
                got.append([one["type"] for one in (await answer.json())["events"]])
    assert got == [["stoppress.canary"], ["stoppress.entry.published"]]
    assert isinstance(event, CanaryEvent)
