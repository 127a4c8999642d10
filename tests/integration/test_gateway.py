"""The gateway over a real Redis and real sockets: nothing is missed, nothing comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
import msgspec
import pytest
from aiohttp.test_utils import unused_port
from redis.asyncio import Redis

from service.cli.wiring import Following
from service.client import subscribe
from service.config import AlertSettings, GatewaySettings, PushSettings, Settings
from service.connection import connect
from service.diff import Doubt, Policy, advance, diff
from service.errors import ConfigError
from service.events import EntryEvent
from service.keys import Keys
from service.model import Author, Entry, Health, PageState
from service.rules import RuleSettings
from service.store import Store
from service.subscriber import EventMessage, Message, PageHealth, Snapshot, decoded
from tests.pages import PAGE, entry, page_of
from tests.waiting import eventually
from workers.gateway.app import serve
from workers.gateway.protocol import Position, StreamId, cursor

SETTINGS = GatewaySettings(port=0, heartbeat_s=0.5, ring_events=5)


class Desk:
    """Publishes a page by hand, and reads it from a gateway."""

    def __init__(self, redis: Redis, redis_url: str, keys: Keys) -> None:
        self.redis, self.keys, self.redis_url = redis, keys, redis_url
        self.store = Store(redis, keys, max_events=100_000)
        self.state = PageState(page=PAGE)
        self.entries: list[Entry] = []
        self.gateway = ""

    async def publish(self, *numbers: int, author: str | None = None) -> None:
        """Entries, each in a poll of its own."""
        await self.store.add_page(self.state.page)
        for number in numbers:
            self.entries.append(entry(number, authors=(Author(author),) if author else ()))
            snapshot = page_of(self.entries[-20:])
            step = diff(self.state, snapshot, Policy())
            assert not isinstance(step, Doubt)
            events, after = advance(self.state, step, snapshot.seen_at)
            token = await self.store.acquire(PAGE.id, 60_000)
            assert token
            await self.store.commit(token, self.state, after, events, Health())
            await self.store.release(PAGE.id, token)
            self.state = after

    async def empty_redis(self) -> None:
        """All of ours is gone, and the page is followed anew."""
        async for key in self.redis.scan_iter(f"{self.keys.prefix}:*"):
            await self.redis.delete(key)
        self.state, self.entries = PageState(page=PAGE), []

    async def deployment(self) -> str:
        return str((await self.redis.get(self.keys.deployment) or b"").decode())

    @asynccontextmanager
    async def serving(
        self,
        settings: GatewaySettings = SETTINGS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        push: PushSettings | None = None,
        rules: dict[str, RuleSettings] = {},  # noqa: B006 - read only
    ) -> AsyncIterator[str]:
        """A gateway, running; its address."""
        address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(
            serve(
                lambda: connect(self.redis_url),
                self.keys,
                settings,
                following=lambda redis: Following(self.store, Settings()),
                now=now,
                ready=address.set_result,
                alerts=AlertSettings(push=push, rules=rules),
            )
        )
        await asyncio.wait([task, address], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        try:
            self.gateway = await address
            await eventually(self.is_ready, "a ready gateway")
            yield self.gateway
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @asynccontextmanager
    async def talking(
        self,
        query: str = "",
        settings: GatewaySettings = SETTINGS,
        protocol: str = "stoppress.v1.json",
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A bare socket to a gateway."""
        async with (
            self.serving(settings),
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{self.gateway}/v1/feed{query}", protocols=[protocol]) as ws,
        ):
            yield ws

    async def is_ready(self) -> bool:
        return (await self.get("/readyz"))[0] == 200

    async def get(self, path: str) -> tuple[int, bytes]:
        async with aiohttp.ClientSession() as session, session.get(self.gateway + path) as response:
            return response.status, await response.read()

    async def read(
        self,
        until: Callable[[Message], bool],
        *,
        cursor: str | None = None,
        pages: tuple[str, ...] = (),
        joined: asyncio.Event | None = None,
    ) -> list[Message]:
        """Messages of the feed up to and with the first that `until` holds for."""
        messages = []
        async with asyncio.timeout(20):
            async for message in subscribe(self.gateway, cursor=cursor, page=pages).messages():
                messages.append(message)
                if joined is not None and message.type == "cursor":
                    joined.set()
                if until(message):
                    return messages
        raise AssertionError("the feed ended")

    async def nested(self) -> dict[bytes, bytes]:
        """The fields of an event that nests deeper than anything can decode."""
        newest = await self.redis.xrevrange(self.keys.events, count=1)
        fields = dict(newest[0][1])
        return {**fields, b"data": b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}"}

    async def reading(
        self, until: Callable[[Message], bool], pages: tuple[str, ...] = ()
    ) -> asyncio.Task[list[Message]]:
        """The same in the background, once it has the state and waits for events."""
        joined = asyncio.Event()
        task = asyncio.create_task(self.read(until, pages=pages, joined=joined))
        await joined.wait()
        return task


def numbered(number: int) -> Callable[[Message], bool]:
    return lambda message: isinstance(message, EventMessage) and message.event.number == number


def numbers(messages: list[Message]) -> list[int]:
    return [message.event.number for message in messages if isinstance(message, EventMessage)]


def kinds(messages: list[Message]) -> list[str]:
    return [message.type for message in messages if message.type != "health"]


@pytest.fixture
def desk(redis: Redis, redis_url: str, keys: Keys) -> Desk:
    return Desk(redis, redis_url, keys)


async def test_a_new_subscriber_gets_the_state_and_then_every_event(desk: Desk) -> None:
    await desk.publish(1, 2)
    async with desk.serving():
        reading = await desk.reading(numbered(4))
        await desk.publish(3)
        messages = await reading
    assert kinds(messages)[:2] == ["hello", "snapshot"]
    snapshot = next(message for message in messages if message.type == "snapshot")
    assert numbers(messages) == list(range(snapshot.sequence + 1, 5))
    assert len(snapshot.entries) == snapshot.sequence - 1


async def test_an_event_is_a_cloudevent_that_we_can_decode(desk: Desk) -> None:
    async with desk.serving():
        reading = await desk.reading(numbered(2))
        await desk.publish(1)
        event = (await reading)[-1].event
    assert isinstance(event, EntryEvent)
    assert (event.specversion, event.source, event.subject) == ("1.0", PAGE.url, "e1")


@pytest.mark.parametrize("missed", [1, 4, 30])
async def test_who_comes_back_gets_what_was_missed_once_from_ring_or_redis(
    desk: Desk, missed: int
) -> None:
    """The ring holds five events: more than that comes from Redis."""
    await desk.publish(1)
    async with desk.serving():
        place = (await desk.read(lambda message: message.type == "cursor"))[-1].cursor
        await desk.publish(*range(2, 2 + missed))
        messages = await desk.read(numbered(2 + missed), cursor=place)
    assert numbers(messages) == list(range(3, 3 + missed))
    assert "snapshot" not in kinds(messages)


async def test_a_gateway_that_was_started_later_resumes_too(desk: Desk) -> None:
    await desk.publish(1)
    async with desk.serving():
        place = (await desk.read(lambda message: message.type == "cursor"))[-1].cursor
    await desk.publish(2, 3)
    async with desk.serving():
        assert numbers(await desk.read(numbered(4), cursor=place)) == [3, 4]


async def test_a_cursor_past_retention_is_told_so_and_gets_the_state(desk: Desk) -> None:
    await desk.publish(1)
    async with desk.serving():
        place = (await desk.read(lambda message: message.type == "cursor"))[-1].cursor
        await desk.publish(*range(2, 10))
        await desk.redis.xtrim(desk.keys.events, maxlen=2, approximate=False)
        messages = await desk.read(lambda message: message.type == "cursor", cursor=place)
    assert kinds(messages) == ["hello", "reset", "snapshot", "cursor"]
    assert messages[1].reason == "cursor.too_old"


async def test_the_oldest_cursor_that_hello_names_can_be_resumed_from(desk: Desk) -> None:
    await desk.publish(*range(1, 9))
    await desk.redis.xtrim(desk.keys.events, maxlen=3, approximate=False)
    async with desk.serving():
        hello = (await desk.read(lambda message: message.type == "cursor"))[0]
        assert numbers(await desk.read(numbered(9), cursor=hello.oldest)) == [7, 8, 9]


async def test_a_stream_that_an_operator_emptied_is_one_reset(desk: Desk) -> None:
    await desk.publish(1, 2)
    async with desk.serving():
        reading = await desk.reading(numbered(4))
        await desk.redis.xtrim(desk.keys.events, maxlen=0, approximate=False)
        await desk.read(lambda message: message.type == "cursor")
        await desk.publish(3)
        messages = await reading
    assert kinds(messages).count("reset") <= 1
    assert numbers(messages) == [4]


async def test_no_connection_gets_what_was_meant_for_another(desk: Desk) -> None:
    """Sockets are closed and their numbers given anew, while events go out to all."""
    stop, strays = asyncio.Event(), []

    async def come_and_go(number: int) -> None:
        async with aiohttp.ClientSession() as http:
            while not stop.is_set():
                async with http.ws_connect(f"{desk.gateway}/v1/feed") as ws:
                    for _ in range(number % 5 + 1):
                        await ws.receive(timeout=10)
                    if number % 2:
                        ws._response.connection.transport.abort()  # type: ignore[union-attr]

    async def ask() -> None:
        while not stop.is_set():
            reader, writer = await asyncio.open_connection(*desk.gateway[7:].split(":"))
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            said = await reader.read()
            writer.close()
            if not said.startswith(b"HTTP/1.1 200 ") or b"stoppress." in said:
                strays.append(said)

    await desk.publish(1)
    async with desk.serving(), asyncio.TaskGroup() as tasks:
        for number in range(10):
            tasks.create_task(come_and_go(number))
            tasks.create_task(ask())
        await desk.publish(*range(2, 150))
        stop.set()
        await desk.publish(*range(150, 160))  # whoever still waits for something gets it
    assert not strays


async def test_every_event_says_when_it_was_sent(desk: Desk) -> None:
    async with desk.serving():
        reading = await desk.reading(lambda message: message.type == "event")
        began = datetime.now(UTC) - timedelta(milliseconds=1)  # `sent` has whole ones
        await desk.publish(1)
        message = (await reading)[-1]
        _, metrics = await desk.get("/metrics")
    assert began <= message.sent <= datetime.now(UTC)
    assert b'stoppress_event_lag_seconds_count{stage="sent"}' in metrics


async def test_a_cursor_ahead_of_the_stream_is_told_so(desk: Desk) -> None:
    await desk.publish(1)
    async with desk.serving():
        ahead = cursor(Position(await desk.deployment(), StreamId(2**42)))
        messages = await desk.read(lambda message: message.type == "cursor", cursor=ahead)
    assert messages[1].reason == "cursor.ahead"


async def test_a_cursor_of_another_deployment_is_told_so(desk: Desk) -> None:
    await desk.publish(1)
    async with desk.serving():
        foreign = cursor(Position("0123456789ab", StreamId(1)))
        messages = await desk.read(lambda message: message.type == "cursor", cursor=foreign)
    assert kinds(messages) == ["hello", "reset", "snapshot", "cursor"]
    assert messages[1].reason == "cursor.foreign"


async def test_a_redis_that_was_emptied_and_filled_again_takes_no_older_cursor(desk: Desk) -> None:
    """Its stream goes further than the cursor, and nothing of it was trimmed."""
    await desk.publish(1)
    async with desk.serving():
        before = (await desk.read(lambda message: message.type == "cursor"))[-1].cursor
    await desk.empty_redis()
    await desk.publish(1, 2)
    async with desk.serving():
        messages = await desk.read(lambda message: message.type == "cursor", cursor=before)
    assert messages[1].reason == "cursor.foreign"


async def test_a_stream_that_lost_its_tail_is_told_to_those_connected(desk: Desk) -> None:
    """A Redis that comes back without its data must not leave subscribers waiting for ever."""
    await desk.publish(1, 2)
    async with desk.serving():
        reading = await desk.reading(lambda message: message.type == "reset")
        await desk.redis.delete(desk.keys.events)
        assert (await reading)[-1].reason == "stream.rewound"


async def test_a_slow_subscriber_delays_nobody_and_gets_everything(desk: Desk) -> None:
    await desk.publish(1)
    patient = GatewaySettings(port=0, ring_events=5)
    async with desk.serving(patient), aiohttp.ClientSession() as session:
        slow = await session.ws_connect(desk.gateway + "/v1/feed", heartbeat=None)
        quick = await desk.reading(numbered(201))
        await desk.publish(*range(2, 201))
        assert numbers(await quick)[-1] == 201
        seen: list[int] = []
        while not seen or seen[-1] < 201:
            message = decoded((await slow.receive()).data)
            assert message is not None
            if isinstance(message, Snapshot):
                seen.append(message.sequence)
            seen += numbers([message])
        assert seen == list(range(seen[0], 202))
        await slow.close()


async def test_a_page_filter_lets_only_that_page_through(desk: Desk) -> None:
    await desk.publish(1)
    async with desk.serving():
        told: list[str] = []
        reading = await desk.reading(
            lambda message: message.type == "cursor" and bool(told), pages=("other",)
        )
        await desk.publish(2)
        told.append("published")
        messages = await reading
    assert numbers(messages) == []
    assert "snapshot" not in kinds(messages)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("cursor=nonsense", "cursor.malformed"),
        ("cursor=djEuMC54", "cursor.malformed"),
        ("colour=red", "filter.unknown"),
        ("type=entry.invented", "filter.type"),
    ],
)
async def test_a_wrong_question_is_refused_before_the_upgrade(
    desk: Desk, query: str, code: str
) -> None:
    async with desk.serving(), aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{desk.gateway}/v1/feed?{query}")
        assert refused.value.status == 400
        status, body = await desk.get(f"/v1/feed?{query}")
    assert (status, msgspec.json.decode(body)["code"]) == (400, code)


async def test_a_senseless_message_is_answered_and_the_connection_goes_on(desk: Desk) -> None:
    async with desk.talking() as ws:
        answers: list[str] = []
        for said in ('{"type":"dance"}', "not json", '{"type":"ping"}'):
            await ws.send_str(said)
        while "pong" not in answers:
            kind = (await ws.receive_json())["type"]
            answers += [kind] if kind in {"error", "pong"} else []
    assert answers == ["error", "error", "pong"]


async def test_who_goes_on_talking_nonsense_is_shown_out(desk: Desk) -> None:
    async with desk.talking() as ws:
        for _ in range(20):
            await ws.send_str("?")
        await _drain(ws)
        assert ws.close_code == 4500


async def test_a_gateway_that_stops_tells_its_subscribers_to_come_back(desk: Desk) -> None:
    async with aiohttp.ClientSession() as session:
        async with desk.serving():
            ws = await session.ws_connect(desk.gateway + "/v1/feed")
            reading = asyncio.create_task(_drain(ws))
            await desk.read(lambda message: message.type == "cursor")
        await reading
        assert ws.close_code == 4001


async def _drain(ws: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in ws:
        pass


async def test_health_is_told_and_a_silent_poller_makes_a_page_stale(desk: Desk) -> None:
    await desk.publish(1)
    now = datetime.now(UTC)
    fine = Health(status="healthy", last_poll=now, last_good_poll=now, next_poll=now)
    token = await desk.store.acquire(PAGE.id, 60_000)
    assert token
    await desk.store.save_health(PAGE.id, token, fine)
    later = now + timedelta(minutes=5)
    async with desk.serving(now=lambda: later):

        def is_stale(message: Message) -> bool:
            return isinstance(message, PageHealth) and message.health.status == "stale"

        message = (await desk.read(is_stale))[-1]
        assert message.health.reason == "poller.silent"
        _, body = await desk.get("/v1/pages")
        assert msgspec.json.decode(body)["pages"][0]["health"]["status"] == "stale"
        _, metrics = await desk.get("/metrics")
    assert b'stoppress_page_healthy{page="page"} 0.0' in metrics


async def test_pages_can_be_read_over_http(desk: Desk) -> None:
    await desk.publish(1, 2)
    async with desk.serving():
        page = msgspec.json.decode((await desk.get("/v1/pages"))[1])["pages"][0]
        assert (page["page"]["id"], page["sequence"], page["entry_count"]) == ("page", 3, 2)
        page = msgspec.json.decode((await desk.get("/v1/pages/page"))[1])
        assert [known["entry"]["id"] for known in page["entries"]] == ["e2", "e1"]
        status, body = await desk.get("/v1/pages/other")
    assert (status, msgspec.json.decode(body)["code"]) == (404, "page.unknown")


async def test_probes_and_the_web_page_answer(desk: Desk) -> None:
    async with desk.serving():
        assert (await desk.get("/healthz"))[0] == 200
        status, body = await desk.get("/")
    assert status == 200
    assert b"Stoppress" in body


async def test_without_redis_the_gateway_says_so_and_recovers(desk: Desk, redis: Redis) -> None:
    await desk.publish(1)
    async with desk.serving():
        await redis.client_kill_filter(_type="normal", skipme=True)
        await eventually(desk.is_ready, "a gateway that has recovered")
        reading = await desk.reading(numbered(3))
        await desk.publish(2)
        await reading


async def test_what_is_no_event_in_the_stream_is_passed_over(desk: Desk) -> None:
    """By those who are connected, and by those who come back from before it."""
    await desk.publish(1)
    async with desk.serving():
        place = (await desk.read(lambda message: message.type == "cursor"))[-1].cursor
        reading = await desk.reading(numbered(3))
        await desk.redis.xadd(desk.keys.events, {"foreign": "thing"})
        await desk.redis.xadd(desk.keys.events, await desk.nested())
        await desk.publish(2)
        assert (await reading)[-1].event.subject == "e2"
    async with desk.serving():
        assert numbers(await desk.read(numbered(3), cursor=place)) == [3]


async def test_a_page_that_an_operator_paused_says_so(desk: Desk) -> None:
    await desk.publish(1)
    await desk.store.put_page(msgspec.structs.replace(PAGE, paused=True))
    async with desk.serving():
        page = msgspec.json.decode((await desk.get("/v1/pages"))[1])["pages"][0]
    assert (page["health"]["status"], page["health"]["reason"]) == ("stale", "page.paused")


async def test_a_port_in_use_is_one_clear_error(desk: Desk) -> None:
    async with desk.serving(GatewaySettings(port=unused_port())) as taken:
        port = int(taken.rsplit(":", 1)[1])
        with pytest.raises(ConfigError, match=rf"127.0.0.1:{port}: the port is in use"):
            async with desk.serving(GatewaySettings(port=port)):
                pass


async def test_more_subscribers_than_allowed_are_refused(desk: Desk) -> None:
    settings = GatewaySettings(port=0, max_subscribers=1)
    async with desk.talking(settings=settings), aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(desk.gateway + "/v1/feed")
    assert refused.value.status == 503
