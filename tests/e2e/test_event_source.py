"""`EventSource` of a real browser, on a page of the gateway. Cut off, it comes back by itself:
every event comes once and in order, and what cannot be given back is said."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.test_utils import unused_port
from playwright.async_api import Page as Tab
from redis.asyncio import Redis

from service.config import GatewaySettings
from service.keys import Keys
from tests.e2e import test_web_page
from tests.faulty_proxy import faulty_proxy
from tests.integration.test_client import PAGES, Press
from tests.integration.test_gateway import Desk
from tests.integration.test_third_parties import PROTOCOLS, connected
from tests.stream import events_in
from tests.waiting import eventually

JSON = dict[str, Any]
HARBOUR, MATCH = PAGES
FAULTS = 4  # the browser waits some seconds after each
MOST_EVENTS = 300
OPEN = """(address) => {
  window.told = [];
  window.source = new EventSource(address);
  source.onerror = () => told.push({ type: "error", id: "", data: source.readyState });
  for (const name of ["message", "hello", "snapshot", "event", "cursor", "health", "reset"]) {
    source.addEventListener(name, ({ type, data, lastEventId: id }) => {
      told.push({ type, id, data: JSON.parse(data) });
    });
  }
}"""
CONNECTING = 0  # EventSource.readyState: it tries again by itself

tab = test_web_page.tab


@pytest.fixture
def press(redis: Redis, keys: Keys) -> Press:
    return Press(redis, keys)


class Source:
    """An EventSource in a tab, and what it has told."""

    def __init__(self, tab: Tab) -> None:
        self._tab = tab

    async def told(self, *kinds: str) -> list[JSON]:
        """All of these kinds."""
        told: list[JSON] = await self._tab.evaluate("told")
        return [one for one in told if one["type"] in kinds]

    async def has(self, kind: str, times: int) -> list[JSON]:
        """Wait until there are so many of a kind."""

        async def look() -> list[JSON]:
            found = await self.told(kind)
            return found if len(found) >= times else []

        return await eventually(look, f"{times} of {kind}", timeout_s=60)

    async def ids(self) -> list[str]:
        return [one["data"]["id"] for one in await self.told("event")]

    async def arrived(self, event: str) -> None:
        """Wait until this event has come."""

        async def look() -> bool:
            return event in await self.ids()

        await eventually(look, "the last event", timeout_s=60)


async def opened(tab: Tab, page: str, query: str = "") -> Source:
    """An EventSource on a page of a gateway, once it has the state."""
    await tab.goto(page)
    await tab.evaluate(OPEN, f"/v1/events{query}")
    source = Source(tab)
    await source.has("cursor", 1)
    return source


@pytest.mark.parametrize("seed", range(2))
async def test_over_a_bad_network_every_event_comes_once_and_in_order(
    press: Press,
    redis: Redis,
    redis_url: str,
    keys: Keys,
    tab: Tab,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    """Cut anywhere, in the middle of an event too. A browser cannot tell a silence from a pause."""
    monkeypatch.setattr("tests.faulty_proxy.FAULTS", ("cut", "reset"))
    chance = random.Random(seed)
    await press.publish(HARBOUR)
    settings = GatewaySettings(port=0, heartbeat_s=0.2, ring_events=20)
    async with (
        Desk(redis, redis_url, keys).serving(settings) as gateway,
        faulty_proxy(gateway, seed, mean_bytes=8000) as proxy,
    ):
        proxy.calm = True
        source = await opened(tab, f"{proxy.url}/healthz")  # it opens no connection of its own
        before = await press.ids()
        proxy.calm = False
        while proxy.faults.total() < FAULTS:
            assert len(await press.ids()) < MOST_EVENTS
            for _ in range(chance.randint(1, 4)):
                await press.publish(chance.choice(PAGES))
            await asyncio.sleep(chance.uniform(0, 0.3))
        proxy.calm = True
        await press.publish(MATCH)
        await source.arrived((await press.ids())[-1])
        await press.publish(MATCH)  # so that what came twice before is seen
        await source.arrived((await press.ids())[-1])
    assert before + await source.ids() == await press.ids()
    assert len(await source.told("hello")) > 1
    assert len(await source.told("snapshot")) == 1  # it went on, and did not begin anew
    assert await source.told("reset", "message") == []


class Restarting:
    """A gateway that goes away and comes back at the same address."""

    def __init__(self, desk: Desk) -> None:
        self.settings = GatewaySettings(port=unused_port(), heartbeat_s=0.2, ring_events=20)
        self.page = f"http://127.0.0.1:{self.settings.port}/"
        self._desk = desk

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with self._desk.serving(self.settings):
            yield


@pytest.fixture
def gateway(redis: Redis, redis_url: str, keys: Keys) -> Restarting:
    return Restarting(Desk(redis, redis_url, keys))


@pytest.mark.parametrize("missed", [3, 40])
async def test_what_came_while_the_gateway_was_away_comes_once_it_is_back(
    press: Press, gateway: Restarting, tab: Tab, missed: int
) -> None:
    """More than the ring holds comes from Redis."""
    await press.publish(HARBOUR)
    async with gateway.serving():
        source = await opened(tab, gateway.page)
        before = await press.ids()
        await press.publish(HARBOUR)
        await press.publish(MATCH)
        seen = await source.has("event", 3)
    for _ in range(missed):
        await press.publish(HARBOUR)
    assert len(await source.told("event")) == len(seen)
    async with gateway.serving():
        await source.arrived((await press.ids())[-1])
        await press.publish(MATCH)
        await source.arrived((await press.ids())[-1])
    assert before + await source.ids() == await press.ids()
    kinds = [one["type"] for one in await source.told("hello", "snapshot", "event", "reset")]
    events = ["event"] * (missed + 1)
    assert kinds == ["hello", "snapshot", *["event"] * 3, "hello", *events]
    errors = {one["data"] for one in (await source.told("error"))[:1]}
    assert errors == {CONNECTING}


async def test_a_filter_counts_after_the_return_too(
    press: Press, gateway: Restarting, tab: Tab, redis: Redis, keys: Keys
) -> None:
    await press.publish(MATCH)
    async with gateway.serving():
        source = await opened(tab, gateway.page, f"?page={MATCH.id}&label=breaking&label=goal")
        await press.publish(MATCH, labels=("goal",))
        await source.has("event", 1)
        for labels in ((), ("goal",), (), ("breaking",)):
            await press.publish(MATCH, labels=labels)
            await press.publish(HARBOUR, labels=("breaking",))
    async with gateway.serving():
        await press.publish(MATCH, labels=("goal",))
        events = await events_in(redis, keys.events)
        await source.arrived(events[-1].id)
    wanted = [
        one.id
        for one in events
        if one.data.page.id == MATCH.id and "entry" in one.type and one.data.entry.labels
    ]
    assert await source.ids() == wanted
    assert len(wanted) == 4


async def test_what_was_trimmed_while_the_gateway_was_away_is_a_reset_and_then_the_state(
    press: Press, gateway: Restarting, tab: Tab
) -> None:
    await press.publish(HARBOUR)
    await press.publish(MATCH)
    async with gateway.serving():
        source = await opened(tab, gateway.page)
        await press.publish(HARBOUR)
        first = await source.has("event", 1)
    for _ in range(6):
        await press.publish(HARBOUR)
        await press.publish(MATCH)
    await press.redis.xtrim(press.keys.events, maxlen=2, approximate=False)
    async with gateway.serving():
        await source.has("reset", 1)
        await press.publish(MATCH)
        last = (await press.ids())[-1]
        await source.arrived(last)
        all_of_them = await source.told("hello", "snapshot", "event", "reset", "cursor")
    told = all_of_them[[one["type"] for one in all_of_them].index("reset") - 1 :]
    kinds = [one["type"] for one in told]
    assert kinds[:5] == ["hello", "reset", "snapshot", "snapshot", "cursor"]
    assert told[1]["data"]["reason"] == "cursor.too_old"
    entries = {one["data"]["page"]["id"]: len(one["data"]["entries"]) for one in told[2:4]}
    assert entries == {HARBOUR.id: 8, MATCH.id: 7}
    # There is no place to come back to until the state is whole.
    assert [bool(one["id"]) for one in told[1:5]] == [False, False, False, True]
    assert await source.ids() == [first[0]["data"]["id"], last]


async def test_it_comes_again_when_there_was_no_room(
    press: Press, redis: Redis, redis_url: str, keys: Keys, tab: Tab
) -> None:
    """Any status but 200 ends an EventSource for good (WHATWG HTML, 9.2.3)."""
    place = Restarting(Desk(redis, redis_url, keys))
    one = GatewaySettings(port=place.settings.port, heartbeat_s=0.2, max_subscribers=1)
    await press.publish(HARBOUR)
    async with place.serving():
        source = await opened(tab, place.page + "healthz")
    desk = Desk(redis, redis_url, keys)
    async with desk.serving(one):
        async with connected(desk, PROTOCOLS[1]):
            assert (await source.has("error", 2))[-1]["data"] == 0, "it has given up"
        await press.publish(HARBOUR)
        await source.arrived((await press.ids())[-1])
