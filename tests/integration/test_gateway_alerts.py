"""Alerts in the gateway: in the feed, over HTTP, and as pushes that browsers subscribe to."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from service.config import GatewaySettings, KeySettings
from service.events import AlertEvent, to_fields
from service.keys import Keys
from tests.alert_samples import alert_event, entry_event
from tests.integration.test_gateway import Desk
from tests.integration.test_gateway_doors import JSON, settled, until

EVERYTHING = "?type=entry,page,alert"
ALERTED = ["alert.raised e1", "alert.updated e1", "alert.retracted e1"]
KEYS = GatewaySettings(
    port=0,
    keys={
        "desk": KeySettings(secret="k" * 24),
        "sport": KeySettings(secret="s" * 24, pages=("sport-*",)),
    },
)


class AlertDesk(Desk):
    """Raises alerts by hand, too."""

    async def alert(self, kind: str = "raised", **given: Any) -> AlertEvent:
        """One event of an alert, of the page `ukraine`."""
        event = alert_event(kind, **given)
        await self.redis.xadd(self.keys.alerts, {**to_fields(event)})
        return event


@pytest.fixture
def desk(redis: Redis, redis_url: str, keys: Keys) -> AlertDesk:
    return AlertDesk(redis, redis_url, keys)


def told(messages: list[JSON]) -> list[str]:
    """The events among the messages, by type and subject."""
    events: list[Any] = [one["event"] for one in messages if one["type"] == "event"]
    return [f"{event['type'].removeprefix('stoppress.')} {event['subject']}" for event in events]


async def place(desk: Desk, query: str = "") -> str:
    """The position where the streams end now."""
    return str(json.loads((await desk.get(f"/v1/events{query}"))[1])["cursor"])


# --- the feed ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", ["page.opened page", "entry.published e1"]),
        (EVERYTHING, [*ALERTED[:2], "page.opened page", "entry.published e1", ALERTED[2]]),
        ("?type=alert", ALERTED),
        ("?type=alert.raised,stoppress.alert.retracted", [ALERTED[0], ALERTED[2]]),
        ("?type=entry", ["entry.published e1"]),
        ("?type=alert&label=breaking", ALERTED),
        ("?type=alert&label=key", []),
        ("?type=alert&page=page", []),
        ("?type=alert&text=CAR+BOMB", ALERTED),
    ],
)
async def test_alerts_are_hidden_unless_a_type_names_them(
    desk: AlertDesk, query: str, wanted: list[str]
) -> None:
    async with desk.talking(query, GatewaySettings(port=0)) as ws:
        await settled(ws)
        await desk.alert()
        await desk.alert("updated")
        await desk.publish(1)
        await desk.alert("retracted")
        await place(desk, "?wait=1&text=what-nobody-says")  # so that all of them have passed
        await ws.send_str('{"type":"ping"}')
        assert told(await until(ws, "pong")) == wanted


@pytest.mark.parametrize("missed", [1, 4, 30])
async def test_who_comes_back_gets_alerts_and_events_that_were_missed(
    desk: AlertDesk, missed: int
) -> None:
    """The ring holds five: more than that comes from Redis; and another gateway knows as much."""
    await desk.publish(1)
    async with desk.serving():
        at = await place(desk)
        for number in range(missed):
            await desk.publish(number + 2)
            await desk.alert(entry=f"a{number}")
        last = f"alert.raised a{missed - 1}"
        wanted = {f"entry.published e{n + 2}" for n in range(missed)}
        wanted |= {f"alert.raised a{n}" for n in range(missed)}
        here = await missed_since(desk, at, last)
    async with desk.serving():
        there = await missed_since(desk, at, last)
    for seen in (here, there):
        assert set(seen) == wanted
        assert len(seen) == len(wanted)


async def missed_since(desk: Desk, at: str, last: str) -> list[str]:
    url = f"{desk.gateway}/v1/feed{EVERYTHING}&cursor={at}"
    found: list[str] = []
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as ws, asyncio.timeout(20):
        while last not in found:
            found += told(await until(ws, "event"))
    return found


@pytest.mark.parametrize(
    ("trimmed", "query", "is_reset"),
    [
        ("alerts", "", False),
        ("alerts", "?type=entry,page", False),
        ("alerts", "?type=alert", True),
        ("alerts", EVERYTHING, True),
        ("events", "", True),
        ("events", "?type=alert", False),
        ("events", EVERYTHING, True),
    ],
)
async def test_what_is_trimmed_is_a_reset_for_those_who_wanted_it_and_for_nobody_else(
    desk: AlertDesk, trimmed: str, query: str, is_reset: bool
) -> None:
    await desk.publish(1)
    await desk.alert()
    async with desk.serving():
        at = await place(desk)
    await desk.publish(*range(2, 12))
    for number in range(10):
        await desk.alert(entry=f"a{number}")
    key = desk.keys.alerts if trimmed == "alerts" else desk.keys.events
    await desk.redis.xtrim(key, maxlen=3, approximate=False)
    async with desk.talking(f"{query}{'&' if query else '?'}cursor={at}") as ws:
        first = await until(ws, "reset" if is_reset else "event")
        assert first[-1].get("reason") == ("cursor.too_old" if is_reset else None)
        status, _ = await desk.get(f"/v1/events{query}{'&' if query else '?'}cursor={at}")
        assert status == (410 if is_reset else 200)


async def test_alerts_that_redis_has_lost_are_a_reset_for_those_connected(desk: AlertDesk) -> None:
    await desk.alert()
    async with desk.talking(EVERYTHING) as ws:
        await settled(ws)
        await desk.redis.delete(desk.keys.alerts)
        assert (await until(ws, "reset"))[-1]["reason"] == "stream.rewound"


async def test_server_sent_events_and_plain_answers_have_alerts_too(desk: AlertDesk) -> None:
    async with desk.serving(), aiohttp.ClientSession() as http:
        at = await place(desk)
        await desk.alert()
        _, body = await desk.get(f"/v1/events?type=alert&wait=10&cursor={at}")
        assert [event["type"] for event in json.loads(body)["events"]] == ["stoppress.alert.raised"]
        headers = {"Accept": "text/event-stream", "Last-Event-ID": at}
        async with http.get(f"{desk.gateway}/v1/events?type=alert", headers=headers) as response:
            async for line in response.content:
                if b"alert.raised" in line:
                    break


async def test_a_key_hears_of_alerts_of_its_pages_alone(desk: AlertDesk) -> None:
    await desk.publish(1)
    async with desk.serving(KEYS), aiohttp.ClientSession() as http:
        feed = f"{desk.gateway}/v1/feed?type=alert&access_token={'s' * 24}"
        async with http.ws_connect(feed) as ws:
            await settled(ws)
            await desk.alert()
            await asyncio.sleep(0.3)
            await ws.send_str('{"type":"ping"}')
            assert [one["type"] for one in await until(ws, "pong")] == ["pong"]


async def test_what_is_in_the_wrong_stream_reaches_nobody(desk: AlertDesk) -> None:
    """An alert among the events, an event among the alerts, and what is neither."""
    async with desk.talking(EVERYTHING) as ws:
        await settled(ws)
        await desk.redis.xadd(desk.keys.events, {**to_fields(alert_event())})
        await desk.redis.xadd(desk.keys.alerts, {**to_fields(entry_event())})
        await desk.redis.xadd(desk.keys.alerts, {"foreign": "thing"})
        await desk.alert(entry="last")
        assert told(await until(ws, "event")) == ["alert.raised last"]


async def test_a_subscription_for_alerts_can_be_added_on_an_open_socket(desk: AlertDesk) -> None:
    await desk.publish(1)
    async with desk.talking() as ws:
        await settled(ws)
        await desk.alert(entry="before")
        wanted = {"type": "subscribe", "id": "alerts", "filter": {"type": ["alert"]}}
        await ws.send_str(json.dumps(wanted))
        await until(ws, "subscribed")
        await desk.alert(entry="after")
        assert told(await until(ws, "event")) == ["alert.raised after"]
