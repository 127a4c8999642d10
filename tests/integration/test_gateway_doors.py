"""The feed by its other doors, and what a subscriber may ask for: same filters, same cursors."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shlex
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import jwt
import msgspec
import pytest
from redis.asyncio import Redis

from service.config import GatewaySettings, JwtSettings, KeySettings
from service.errors import ConfigError
from service.keys import Keys
from service.observability import CLOSES
from tests.e2e.commands import ROOT
from tests.integration.test_gateway import SETTINGS, Desk
from tests.programs import installed
from workers.gateway.protocol import Position, StreamId, cursor

JSON = dict[str, object]


@pytest.fixture
def desk(redis: Redis, redis_url: str, keys: Keys) -> Desk:
    return Desk(redis, redis_url, keys)


async def messages(ws: aiohttp.ClientWebSocketResponse) -> AsyncIterator[JSON]:
    async with asyncio.timeout(20):
        async for message in ws:
            told = json.loads(message.data)
            if told["type"] != "health" and not told["type"].endswith("feed.health"):
                yield told


async def until(ws: aiohttp.ClientWebSocketResponse, kind: str, times: int = 1) -> list[JSON]:
    """Messages up to and with so many of a kind."""
    found: list[JSON] = []
    async for message in messages(ws):
        found.append(message)
        if sum(one["type"] == kind for one in found) == times:
            return found
    raise AssertionError(f"{kind} never came: {[one['type'] for one in found]}")


def subjects(found: list[JSON]) -> list[object]:
    return [one["event"]["subject"] for one in found if one["type"] == "event"]  # type: ignore[index]


async def settled(ws: aiohttp.ClientWebSocketResponse) -> None:
    await until(ws, "cursor")
    await ws.send_str('{"type":"ping"}')
    await until(ws, "pong")


# --- several subscriptions -----------------------------------------------------------------------


async def test_a_further_subscription_begins_with_its_state_and_misses_nothing(desk: Desk) -> None:
    await desk.publish(1)
    async with desk.talking("?page=other") as ws:
        await settled(ws)
        await desk.publish(2)
        await ws.send_str('{"type":"subscribe","id":"more","filter":{"page":["page"]}}')
        found = await until(ws, "subscribed")
        assert [one["type"] for one in found if one["type"] != "cursor"] == [
            "snapshot",
            "subscribed",
        ]
        assert [k["entry"]["id"] for k in found[-3]["entries"]] == ["e2", "e1"]  # type: ignore[index, attr-defined]
        await desk.publish(3, 4)
        assert subjects(await until(ws, "event", 2)) == ["e3", "e4"]


async def test_what_two_subscriptions_want_comes_once(desk: Desk) -> None:
    await desk.publish(1)
    async with desk.talking() as ws:
        await settled(ws)
        await ws.send_str('{"type":"subscribe","id":"again"}')
        await until(ws, "subscribed")
        await desk.publish(2, 3)
        assert subjects(await until(ws, "event", 2)) == ["e2", "e3"]


async def test_after_an_unsubscribe_nothing_of_it_comes(desk: Desk) -> None:
    await desk.publish(1)
    async with desk.talking() as ws:
        await settled(ws)
        await ws.send_str('{"type":"unsubscribe","id":"address"}')
        await until(ws, "unsubscribed")
        await desk.publish(2)
        assert subjects(await until(ws, "cursor")) == []


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ('{"type":"unsubscribe","id":"x"}', "subscription.unknown"),
        ('{"type":"subscribe","id":"address"}', "subscription.exists"),
        ('{"type":"subscribe","id":"x","filter":{"type":["entry.dreamt"]}}', "filter.type"),
        ('{"type":"subscribe","id":"x","filter":{"colour":["red"]}}', "message.unknown"),
        ('{"type":"subscribe"}', "message.unknown"),
    ],
)
async def test_a_wrong_request_is_named_and_the_connection_goes_on(
    desk: Desk, said: str, code: str
) -> None:
    async with desk.talking() as ws:
        await ws.send_str(said)
        assert (await until(ws, "error"))[-1]["code"] == code
        await settled(ws)


# --- filters -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("text=ENTRY+3", ["e3"]),
        ("text=Entry+3.&text=title+2", ["e2", "e3"]),
        ("author=jo+doe", ["e3"]),
        ("author=Nobody", []),
        ("type=entry.published&text=title", ["e2", "e3"]),
        ("type=page.opened", []),
    ],
)
async def test_filters_look_at_authors_and_words(desk: Desk, query: str, wanted: list[str]) -> None:
    await desk.publish(1)
    async with desk.serving():
        at = json.loads((await desk.get("/v1/events"))[1])["cursor"]
        await desk.publish(2)
        await desk.publish(3, author="Jo Doe")
        _, body = await desk.get(f"/v1/events?cursor={at}&{query}")
    assert [event["subject"] for event in json.loads(body)["events"]] == wanted


# --- CloudEvents alone ---------------------------------------------------------------------------


async def test_every_message_is_a_cloudevent_if_asked_for(desk: Desk) -> None:
    await desk.publish(1)
    async with desk.talking(protocol="cloudevents.json") as ws:
        first = [one async for one in _some(ws, 3)]
        assert [one["type"] for one in first] == [
            "stoppress.feed.hello",
            "stoppress.feed.snapshot",
            "stoppress.feed.cursor",
        ]
        await desk.publish(2)
        event = await anext(messages(ws))
        assert all(one["specversion"] == "1.0" and one["id"] for one in (*first, event))
        assert (event["type"], event["subject"]) == ("stoppress.entry.published", "e2")
        place = event["cursor"]
        await desk.publish(3)
        _, body = await desk.get(f"/v1/events?cursor={place}")
    assert [one["subject"] for one in json.loads(body)["events"]] == ["e3"]


async def _some(ws: aiohttp.ClientWebSocketResponse, most: int) -> AsyncIterator[JSON]:
    async for message in messages(ws):
        yield message
        most -= 1
        if not most:
            return


# --- server-sent events --------------------------------------------------------------------------


async def sse(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, str]]:
    """Messages, as the specification has them parsed (WHATWG HTML, 9.2.6)."""
    fields: dict[str, str] = {}
    async with asyncio.timeout(20):
        async for raw in response.content:
            line = raw.decode().rstrip("\n")
            if line.startswith(":"):
                continue
            if line:
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
            elif "data" in fields:
                if fields["event"] != "health":
                    yield fields
                fields = {}


async def test_server_sent_events_resume_from_the_last_event_id(desk: Desk) -> None:
    await desk.publish(1)
    accept = {"Accept": "text/event-stream"}
    async with desk.serving(), aiohttp.ClientSession(headers=accept) as session:
        url = desk.gateway + "/v1/events"
        async with session.get(url) as response:
            stream = sse(response)
            kinds = [(await anext(stream))["event"] for _ in range(3)]
            await desk.publish(2)
            event = await anext(stream)
        assert kinds == ["hello", "snapshot", "cursor"]
        assert json.loads(event["data"])["subject"] == "e2"
        await desk.publish(3, 4, 5, 6, 7, 8, 9)  # more than the ring holds
        headers = {"Last-Event-ID": event["id"]}
        async with session.get(url, headers=headers) as response:
            stream = sse(response)
            assert (await anext(stream))["event"] == "hello"
            said = [json.loads((await anext(stream))["data"])["subject"] for _ in range(7)]
        assert said == [f"e{n}" for n in range(3, 10)]


async def test_a_reader_of_server_sent_events_that_goes_is_let_go(desk: Desk) -> None:
    await desk.publish(1)
    one = GatewaySettings(port=0, max_subscribers=1, heartbeat_s=0.2)
    accept = {"Accept": "text/event-stream"}
    async with desk.serving(one), aiohttp.ClientSession(headers=accept) as session:
        url = desk.gateway + "/v1/events"
        for _ in range(3):
            async with asyncio.timeout(20):
                while (first := await anext(sse(response := await session.get(url)), None)) is None:
                    await asyncio.sleep(0.1)
            assert first["event"] == "hello"
            response.close()


async def test_an_event_source_is_asked_to_come_again_when_there_is_no_room(desk: Desk) -> None:
    """Any status but 200 would end it for good (WHATWG HTML, 9.2.3)."""
    one = GatewaySettings(port=0, max_subscribers=1)
    accept = {"Accept": "text/event-stream"}
    async with desk.serving(one), aiohttp.ClientSession() as session:
        async with (
            session.ws_connect(f"{desk.gateway}/v1/feed"),
            session.get(f"{desk.gateway}/v1/events", headers=accept) as response,
        ):
            said = await response.text()
        assert (response.status, response.content_type) == (200, "text/event-stream")
        assert re.fullmatch(r"retry: \d{4}\n: gateway\.full: [^\n]+\n\n", said)
        async with session.get(f"{desk.gateway}/v1/events?page=x&z=1", headers=accept) as response:
            assert response.status == 400, "what is wrong for good is said so"


# --- asking now and then -------------------------------------------------------------------------


async def test_asking_again_and_again_gives_every_event_once(desk: Desk) -> None:
    await desk.publish(1)
    async with desk.serving(), aiohttp.ClientSession() as session:
        url = desk.gateway + "/v1/events"
        async with session.get(url) as response:
            at = (await response.json())["cursor"]
        await desk.publish(*range(2, 14))
        seen: list[str] = []
        for _ in range(6):
            query = {"cursor": at, "limit": "5"}
            async with session.get(url, params=query) as response:
                found = await response.json()
                is_full = len(found["events"]) == 5
                assert ("immutable" in response.headers["Cache-Control"]) == is_full
            seen += [event["subject"] for event in found["events"]]
            at = found["cursor"]
    assert seen == [f"e{n}" for n in range(2, 14)]


async def test_who_waits_is_answered_as_soon_as_something_comes(desk: Desk) -> None:
    await desk.publish(1)
    async with desk.serving():
        waiting = asyncio.create_task(desk.get("/v1/events?wait=30&text=Entry+3"))
        await asyncio.sleep(0.2)
        await desk.publish(2, 3)
        async with asyncio.timeout(10):
            status, body = await waiting
        assert [event["subject"] for event in json.loads(body)["events"]] == ["e3"]
        status, body = await desk.get("/v1/events?wait=1")
    assert (status, json.loads(body)["events"]) == (200, [])


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("wait=soon", 400, "wait.malformed"),
        ("wait=61", 400, "wait.malformed"),
        ("limit=0", 400, "limit.malformed"),
        ("limit=99999999999999999999", 400, "limit.malformed"),
        ("cursor=x", 400, "cursor.malformed"),
        ("text=" + "x" * 201, 400, "filter.too_long"),
        ("page=" + ",".join("x" * 201), 400, "filter.too_long"),
        ("cursor=djEuMC45OTk5OTk5OTk5OTk5LTA", 410, "cursor.foreign"),
    ],
)
async def test_a_wrong_question_is_answered_with_what_is_wrong(
    desk: Desk, query: str, status: int, code: str
) -> None:
    await desk.publish(1)
    async with desk.serving():
        answered, body = await desk.get(f"/v1/events?{query}")
    assert (answered, msgspec.json.decode(body)["code"]) == (status, code)


async def test_what_a_key_may_see_is_kept_by_no_shared_cache(desk: Desk) -> None:
    await desk.publish(1)
    locked = GatewaySettings(port=0, keys={"desk": KeySettings(secret="k" * 24)})
    async with desk.serving(locked), aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {'k' * 24}"}
        async with session.get(f"{desk.gateway}/v1/events", headers=headers) as response:
            at = (await response.json())["cursor"]
        await desk.publish(2, 3)
        url = f"{desk.gateway}/v1/events?cursor={at}&limit=2"
        async with session.get(url, headers=headers) as response:
            assert response.headers["Cache-Control"].startswith("private, ")


async def test_a_cursor_ahead_of_the_stream_is_gone(desk: Desk) -> None:
    await desk.publish(1)
    async with desk.serving():
        ahead = cursor(Position(await desk.deployment(), StreamId(2**42)))
        status, body = await desk.get(f"/v1/events?cursor={ahead}")
    assert (status, json.loads(body)["code"]) == (410, "cursor.ahead")


async def test_a_cursor_past_retention_is_gone(desk: Desk) -> None:
    await desk.publish(1)
    async with desk.serving():
        at = json.loads((await desk.get("/v1/events"))[1])["cursor"]
        await desk.publish(*range(2, 12))
        await desk.redis.xtrim(desk.keys.events, maxlen=2, approximate=False)
        status, body = await desk.get(f"/v1/events?cursor={at}")
    assert (status, json.loads(body)["code"]) == (410, "cursor.too_old")


# --- pages ------------------------------------------------------------------------------------


async def test_entries_come_in_pages_and_once_while_they_are_the_same(desk: Desk) -> None:
    await desk.publish(*range(1, 8))
    async with desk.serving(), aiohttp.ClientSession() as session:
        url, after, seen = f"{desk.gateway}/v1/pages/page/entries", 0, []
        while after is not None:
            async with session.get(url, params={"limit": "3", "after": str(after)}) as response:
                found, tag = await response.json(), response.headers["ETag"]
            seen += [known["entry"]["id"] for known in found["entries"]]
            after = found["next"]
        assert seen == [f"e{n}" for n in range(7, 0, -1)]
        last = {"limit": "3", "after": "6"}
        async with session.get(url, params=last, headers={"If-None-Match": tag}) as response:
            assert (response.status, await response.read()) == (304, b"")
        await desk.publish(8)
        async with session.get(url, params=last, headers={"If-None-Match": tag}) as response:
            assert response.status == 200


@pytest.mark.parametrize(
    ("name", "kind"),
    [("feed.json", "application/feed+json"), ("feed.atom", "application/atom+xml")],
)
async def test_a_feed_reader_reads_a_page(desk: Desk, name: str, kind: str) -> None:
    await desk.publish(1, 2)
    async with desk.serving(), aiohttp.ClientSession() as session:
        url = f"{desk.gateway}/v1/pages/page/{name}"
        async with session.get(url) as response:
            assert response.content_type == kind
            body, tag = await response.text(), response.headers["ETag"]
        assert url in body
        assert body.index("Title 2") < body.index("Title 1")
        async with session.get(url, headers={"If-None-Match": tag}) as response:
            assert response.status == 304
        async with session.get(f"{desk.gateway}/v1/pages/other/{name}") as response:
            assert response.status == 404


# --- trust ---------------------------------------------------------------------------------------


async def test_an_event_that_does_not_follow_the_one_before_is_a_reset(desk: Desk) -> None:
    """A Redis that failed over to a replica which had not got everything."""
    await desk.publish(1)
    async with desk.talking() as ws:
        await settled(ws)
        await desk.publish(2)
        await until(ws, "event")
        newest = await desk.redis.xrevrange(desk.keys.events, count=1)
        fields = dict(newest[0][1]) | {b"previousid": b"0" * 32, b"id": b"1" * 32}
        await desk.redis.xadd(desk.keys.events, fields)
        found = await until(ws, "cursor")
    assert [one["type"] for one in found] == ["reset", "snapshot", "cursor"]
    assert found[0]["reason"] == "stream.rewound"


async def test_who_answers_no_ping_is_cut_off_by_name(desk: Desk) -> None:
    async with desk.serving(SETTINGS), aiohttp.ClientSession() as session:
        ws = await session.ws_connect(desk.gateway + "/v1/feed", autoping=False)
        async with asyncio.timeout(20):
            while (await ws.receive()).type is not aiohttp.WSMsgType.CLOSE:
                pass
        assert ws.close_code == 4002


async def test_who_reads_nothing_is_cut_off_and_delays_nobody(desk: Desk) -> None:
    """Its transport is full, and stays so."""
    await desk.publish(1)
    closed = CLOSES.labels("4002")._value.get()
    tight = GatewaySettings(port=0, buffer_bytes=20_000, stall_s=1, heartbeat_s=30)
    async with desk.serving(tight):
        host, port = desk.gateway.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(
            b"GET /v1/feed HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        newest = await desk.redis.xrevrange(desk.keys.events, count=1)
        long = dict(newest[0][1])
        data = json.loads(long[b"data"])
        data["entry"]["body"] = [{"type": "paragraph", "text": "x" * 500_000, "marks": []}]
        long[b"data"] = json.dumps(data).encode()
        before = newest[0][1][b"id"]
        for number in range(40):
            own = f"{number:032d}".encode()
            await desk.redis.xadd(desk.keys.events, long | {b"id": own, b"previousid": before})
            before = own
        async with asyncio.timeout(30):
            while CLOSES.labels("4002")._value.get() == closed:
                await asyncio.sleep(0.1)
        writer.transport.abort()


# --- access ------------------------------------------------------------------------------------

KEYS = GatewaySettings(
    port=0,
    keys={
        "desk": KeySettings(secret="k" * 24),
        "sport": KeySettings(secret="s" * 24, pages=("sport-*",)),
    },
    jwt=JwtSettings(secret="j" * 32, audience="stoppress"),
    allowed_origins=("https://desk.example",),
)


def signed(**claims: object) -> str:
    """Good for longer than the tests take: some of it is made when they are collected."""
    lasting = {"exp": datetime.now(UTC) + timedelta(days=1), "aud": "stoppress"}
    return jwt.encode(lasting | claims, "j" * 32, algorithm="HS256")


async def asked(desk: Desk, path: str, **headers: str) -> tuple[int, JSON]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(desk.gateway + path, headers=headers) as response,
    ):
        return response.status, json.loads(await response.read())


@pytest.mark.parametrize(
    ("authorization", "status", "pages"),
    [
        ("", 401, None),
        ("Bearer " + "x" * 24, 401, None),
        ("Bearer " + "k" * 24, 200, 1),
        ("Basic " + base64.b64encode(b"me:" + b"k" * 24).decode(), 200, 1),
        ("Bearer " + "s" * 24, 200, 0),
        ("Bearer " + signed(), 200, 1),
        ("Bearer " + signed(pages=["sport-*"]), 200, 0),
        ("Bearer " + signed(scope="write"), 403, None),
        ("Bearer " + signed(aud="another"), 401, None),
        ("Bearer " + signed(exp=1), 401, None),
        (
            "Bearer " + jwt.encode({"exp": 9**12, "aud": "stoppress"}, None, algorithm="none"),
            401,
            None,
        ),
    ],
)
async def test_who_has_a_key_sees_what_it_is_for(
    desk: Desk, authorization: str, status: int, pages: int | None
) -> None:
    await desk.publish(1)
    async with desk.serving(KEYS):
        answered, body = await asked(desk, "/v1/pages", Authorization=authorization)
        assert answered == status
        if pages is not None:
            assert len(body["pages"]) == pages  # type: ignore[arg-type]
            found, _ = await asked(desk, "/v1/pages/page/history", Authorization=authorization)
            assert found == (200 if pages else 404)


async def test_a_key_for_other_pages_sees_nothing_of_this_one_in_the_feed(desk: Desk) -> None:
    await desk.publish(1)
    async with desk.serving(KEYS), aiohttp.ClientSession() as session:
        feed = f"{desk.gateway}/v1/feed"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await session.ws_connect(feed)
        async with session.ws_connect(f"{feed}?access_token={'s' * 24}") as ws:
            await settled(ws)
            await ws.send_str('{"type":"subscribe","id":"x","filter":{"page":["page"]}}')
            assert [one["type"] for one in await until(ws, "subscribed")] == [
                "cursor",
                "subscribed",
            ]
            await desk.publish(2)
            await ws.send_str('{"type":"ping"}')
            assert [one["type"] for one in await until(ws, "pong")] == ["pong"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "https://desk.example"}, 200),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
        ({"Host": "localhost:80"}, 200),
        ({"Host": "[::1"}, 403),
    ],
)
async def test_web_pages_of_others_may_not_ask(
    desk: Desk, headers: dict[str, str], status: int
) -> None:
    origins = GatewaySettings(port=0, allowed_origins=("https://desk.example",))
    await desk.publish(1)
    async with desk.serving(origins):
        answered, _ = await asked(desk, "/v1/pages", **headers)
        assert answered == status


async def test_a_gateway_that_others_reach_needs_a_key_or_a_word(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="no key is needed"):
        async with desk.serving(GatewaySettings(host="0.0.0.0", port=0)):
            pass


async def test_an_address_has_so_many_connections_and_no_more(desk: Desk) -> None:
    two = GatewaySettings(port=0, max_per_address=2)
    await desk.publish(1)
    async with desk.serving(two), aiohttp.ClientSession() as session:
        feed = f"{desk.gateway}/v1/feed"
        async with session.ws_connect(feed), session.ws_connect(feed):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
                await session.ws_connect(feed)
        async with asyncio.timeout(10):
            while True:
                with suppress(aiohttp.WSServerHandshakeError):
                    async with session.ws_connect(feed):
                        return


# --- docs ----------------------------------------------------------------------------------------


async def test_the_commands_in_the_docs_work(desk: Desk, tmp_path: Path) -> None:
    installed("curl", package="curl")
    docs = (ROOT / "docs" / "feed.md").read_text("utf-8")
    commands = re.findall(r"^curl .*$", docs, re.MULTILINE)
    answers = [rb"\{.alerts.:", rb"event: hello", rb"\{.cursor", rb"\{.page.:", rb"$"]
    await desk.publish(1)
    async with desk.serving():
        for command, answer in zip(commands, answers, strict=True):
            words = shlex.split(command.replace("http://127.0.0.1:8037", desk.gateway))
            words = [word.replace("wait=10", "wait=1") for word in words]
            process = await asyncio.create_subprocess_exec(
                *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
            )
            assert process.stdout is not None
            try:
                async with asyncio.timeout(20):
                    assert re.match(answer, await process.stdout.read(12))
            finally:
                if process.returncode is None:
                    process.kill()
                await process.wait()
