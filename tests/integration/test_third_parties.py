"""Programs that know the standards and nothing of ours: `websockets`, the SDK of CloudEvents, a
reader of server-sent events by the book. They get every event whole; their faults harm nobody."""

from __future__ import annotations

import asyncio
import codecs
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiohttp
import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.formats.json import JSONFormat
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from service.config import GatewaySettings
from service.keys import Keys
from tests.integration.test_gateway import Desk
from tests.pages import entry
from tests.waiting import eventually

JSON = dict[str, Any]
CLOUDEVENTS, STOPPRESS = "cloudevents.json", "stoppress.v1.json"
PROTOCOLS = [CLOUDEVENTS, STOPPRESS]
MAX_BYTES = 1024
SETTINGS = GatewaySettings(port=0, heartbeat_s=0.5, ring_events=5, max_message_bytes=MAX_BYTES)
# What a reader trips over that splits lines by other rules, or decodes a half of a character.
STRANGE = 'He said "no".\r\n\r\ndata: x\u2028id: y\u2029\u0085 \\u0041 \x00 \ufeff 🗞️ Ќ e\u0301'


@pytest.fixture
def desk(redis: Redis, redis_url: str, keys: Keys) -> Desk:
    return Desk(redis, redis_url, keys)


@asynccontextmanager
async def connected(desk: Desk, protocol: str, **query: str) -> AsyncIterator[ClientConnection]:
    """`websockets` on the feed."""
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    url = f"ws{desk.gateway.removeprefix('http')}/v1/feed?{asked}"
    names = [Subprotocol(protocol)]
    async with connect(url, subprotocols=names, proxy=None, max_size=None) as ws:
        assert ws.subprotocol == protocol
        yield ws


@dataclass
class Told:
    """A message in either subprotocol. event: the CloudEvent as JSON, if it is one of a page."""

    kind: str
    cursor: str | None
    event: str | None = None


def told(protocol: str, text: str) -> Told:
    message = json.loads(text)
    if protocol == STOPPRESS:
        event = json.dumps(message["event"]) if message["type"] == "event" else None
        return Told(message["type"], message.get("cursor"), event)
    parsed = JSONFormat().read(None, text)
    feed, data = "stoppress.feed.", parsed.get_data()
    if not parsed.get_type().startswith(feed):
        return Told("event", parsed.get_extension("cursor"), text)
    assert isinstance(data, dict)
    return Told(parsed.get_type().removeprefix(feed), data.get("cursor"))


async def heard(ws: ClientConnection) -> AsyncIterator[Told]:
    """All messages, for as long as the connection lasts."""
    async with asyncio.timeout(30):
        while True:
            text = await ws.recv()
            assert isinstance(text, str)
            yield told(str(ws.subprotocol), text)


async def settled(ws: ClientConnection) -> str:
    """Read until the state is there; the position."""
    async for one in heard(ws):
        if one.kind == "cursor":
            assert one.cursor
            return one.cursor
    raise AssertionError


async def next_events(ws: ClientConnection, count: int) -> list[str]:
    events: list[str] = []
    async for one in heard(ws):
        events += [one.event] if one.event else []
        if len(events) == count:
            return events
    raise AssertionError


# --- by the book ---------------------------------------------------------------------------------


@dataclass
class EventSource:
    """Server-sent events as WHATWG HTML 9.2.6 has them interpreted."""

    last_id: str = ""
    retry: str | None = None
    _line: str = ""
    _skips_lf: bool = False
    _id: str = ""
    _kind: str = ""
    _data: list[str] = field(default_factory=list)

    async def read(self, response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, str, str]]:
        """Name, data and last id of each event. What is not whole when the stream ends is none."""
        assert response.status == 200
        assert response.headers["Content-Type"].partition(";")[0] == "text/event-stream"
        decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="strict")
        self._line, self._skips_lf, self._kind, self._data = "", False, "", []
        async with asyncio.timeout(30):
            async for data in response.content.iter_any():
                for line in self._lines(decoder.decode(data)):
                    if line:
                        self._field(line)
                    elif (event := self._dispatch()) is not None:
                        yield event

    def _lines(self, text: str) -> list[str]:
        """A line ends with CR LF, LF or CR, and with nothing else."""
        lines = []
        for each in text:
            if each == "\n" and self._skips_lf:
                self._skips_lf = False
                continue
            self._skips_lf = each == "\r"
            if each in "\r\n":
                lines.append(self._line)
                self._line = ""
            else:
                self._line += each
        return lines

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._kind = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry = value
            case _:
                pass

    def _dispatch(self) -> tuple[str, str, str] | None:
        self.last_id = self._id
        kind, data = self._kind or "message", "\n".join(self._data)
        has_data, self._kind, self._data = bool(self._data), "", []
        return (kind, data, self.last_id) if has_data else None


@asynccontextmanager
async def sse(desk: Desk, source: EventSource) -> AsyncIterator[AsyncIterator[tuple[str, str]]]:
    """One connection of it: name and data of each event. It asks as a browser does."""
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    if source.last_id:
        headers["Last-Event-ID"] = source.last_id
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(desk.gateway + "/v1/events") as response,
    ):
        yield ((kind, data) async for kind, data, _ in source.read(response))


async def next_of(stream: AsyncIterator[tuple[str, str]], kind: str, count: int = 1) -> list[str]:
    """Data of the next events of that name; others are passed over."""
    found: list[str] = []
    async for name, data in stream:
        found += [data] if name == kind else []
        if len(found) == count:
            return found
    raise AssertionError(f"the stream ended after {len(found)} of {kind}")


# --- every event, whole --------------------------------------------------------------------------


async def stored(desk: Desk) -> list[tuple[JSON, JSON]]:
    """Attributes and data of all that was published, from the stream itself."""
    events = []
    for _, fields in await desk.redis.xrange(desk.keys.events):
        event = {name.decode(): value.decode() for name, value in fields.items()}
        data = json.loads(event.pop("data"))
        events.append((event | {"time": datetime.fromisoformat(event["time"])}, data))
    return events


def attributes(event: BaseCloudEvent) -> JSON:
    """Those of the event itself, without what the gateway says of the sending of it."""
    said = {"cursor", "sent"}
    return {name: value for name, value in event.get_attributes().items() if name not in said}


async def publish_some(desk: Desk) -> int:
    """Entries, edits and strange text; how many events that was."""
    before = await desk.redis.xlen(desk.keys.events)
    await desk.publish(2, 3)
    desk.entries[0] = entry(1, "Text of entry 1, corrected: 13 were hurt.")
    await desk.publish(4)
    desk.entries[1] = entry(2, STRANGE, title="Ticker 🗞️", labels=("breaking",))
    await desk.publish(5, author=STRANGE)
    return int(await desk.redis.xlen(desk.keys.events) - before)


async def by_websocket(desk: Desk, protocol: str) -> tuple[int, list[str]]:
    async with connected(desk, protocol) as ws:
        await settled(ws)
        count = await publish_some(desk)
        return count, await next_events(ws, count)


async def by_sse(desk: Desk, _: str) -> tuple[int, list[str]]:
    async with sse(desk, EventSource()) as stream:
        await next_of(stream, "cursor")
        count = await publish_some(desk)
        return count, await next_of(stream, "event", count)


async def by_asking(desk: Desk, _: str) -> tuple[int, list[str]]:
    at = json.loads((await desk.get("/v1/events"))[1])["cursor"]
    count = await publish_some(desk)

    async def look() -> list[str]:
        _, body = await desk.get(f"/v1/events?cursor={at}")
        events = [json.dumps(event) for event in json.loads(body)["events"]]
        return events if len(events) >= count else []

    return count, await eventually(look, "all events")


@pytest.mark.parametrize(
    ("door", "protocol"),
    [(by_websocket, CLOUDEVENTS), (by_websocket, STOPPRESS), (by_sse, ""), (by_asking, "")],
    ids=["cloudevents", "stoppress", "sse", "asking"],
)
async def test_the_sdk_of_cloudevents_reads_every_event_as_it_was_published(
    desk: Desk, door: Callable[..., Any], protocol: str
) -> None:
    await desk.publish(1)
    async with desk.serving(SETTINGS):
        count, told = await door(desk, protocol)
    events = [JSONFormat().read(None, text) for text in told]
    assert [(attributes(event), event.get_data()) for event in events] == (await stored(desk))[
        -count:
    ]
    kinds = {event.get_type() for event in events}
    assert {"stoppress.entry.published", "stoppress.entry.edited"} <= kinds
    numbers = [int(event.get_extension("sequence")) for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + count))
    assert [event.get_extension("previousid") for event in events[1:]] == [
        event.get_id() for event in events[:-1]
    ]
    assert last_author(events[-1]) == STRANGE


def last_author(event: BaseCloudEvent) -> str:
    data = event.get_data()
    assert isinstance(data, dict)
    return str(data["entry"]["authors"][-1]["name"])


async def test_all_that_the_feed_says_in_cloudevents_is_valid(desk: Desk) -> None:
    """Its answers too. Every attribute is a string, and none is lost when the SDK writes it."""
    await desk.publish(1)
    kinds: list[str] = []
    async with desk.serving(SETTINGS):
        async with connected(desk, CLOUDEVENTS) as ws:
            await settled(ws)
            await desk.publish(2)
            old = [one async for one in _until(ws, "event")][-1].cursor
        await desk.publish(*range(3, 9))
        await desk.redis.xtrim(desk.keys.events, maxlen=1, approximate=False)
        async with connected(desk, CLOUDEVENTS, cursor=str(old)) as ws:
            kinds += await _valid_until(ws, "cursor")
            asked = {
                '{"type":"ping"}': "pong",
                '{"type":"dance"}': "error",
                '{"type":"subscribe","id":"more"}': "subscribed",
                '{"type":"unsubscribe","id":"more"}': "unsubscribed",
            }
            for said, answer in asked.items():
                await ws.send(said)
                kinds += await _valid_until(ws, answer)
            kinds += await _valid_until(ws, "health")
    assert [kind for kind in kinds if kind != "health"][:4] == [
        "hello",
        "reset",
        "snapshot",
        "cursor",
    ]


async def _valid_until(ws: ClientConnection, kind: str) -> list[str]:
    """What comes up to and with the first of a kind: all of it is CloudEvents."""
    kinds: list[str] = []
    async with asyncio.timeout(20):
        while kind not in kinds:
            text = await ws.recv()
            event = JSONFormat().read(None, text)
            written, given = json.loads(JSONFormat().write(event)), json.loads(text)
            assert written | given == written
            assert {type(value) for name, value in given.items() if name != "data"} == {str}
            kinds.append(event.get_type().removeprefix("stoppress.feed."))
    return kinds


async def _until(ws: ClientConnection, kind: str) -> AsyncIterator[Told]:
    async for one in heard(ws):
        yield one
        if one.kind == kind:
            return


# --- dropped, and back again ---------------------------------------------------------------------


async def in_stream(desk: Desk) -> list[str]:
    return [event["id"] for event, _ in await stored(desk)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("seed", range(3))
async def test_who_drops_and_brings_the_cursor_gets_all_after_it_once(
    desk: Desk, protocol: str, seed: int
) -> None:
    """It drops after any event, read or not; what it misses is in the ring or only in Redis."""
    chance = random.Random(seed)
    await desk.publish(1)
    got: list[str] = []
    async with desk.serving(SETTINGS):
        async with connected(desk, protocol) as ws:
            at = await settled(ws)
        before = await in_stream(desk)
        for _ in range(8):
            async with connected(desk, protocol, cursor=at) as ws:
                await publish_next(desk, chance.randint(1, 9))
                wanted = chance.randint(1, len(await in_stream(desk)) - len(before) - len(got))
                async for one in heard(ws):
                    at = one.cursor if one.event and one.cursor else at
                    got += [json.loads(one.event)["id"]] if one.event else []
                    wanted -= bool(one.event)
                    if not wanted:
                        break
                ws.transport.abort()
            await publish_next(desk, chance.randint(1, 9))
        async with connected(desk, protocol, cursor=at) as ws:
            await publish_next(desk, 1)  # so that what came twice before is seen
            left = len(await in_stream(desk)) - len(before) - len(got)
            got += [json.loads(event)["id"] for event in await next_events(ws, left)]
    assert before + got == await in_stream(desk)


async def publish_next(desk: Desk, count: int) -> None:
    last = int(desk.entries[-1].id[1:])
    await desk.publish(*range(last + 1, last + 1 + count))


async def test_a_plain_reader_of_server_sent_events_drops_and_goes_on(desk: Desk) -> None:
    chance = random.Random(7)
    await desk.publish(1)
    source, got = EventSource(), []
    async with desk.serving(SETTINGS):
        async with sse(desk, source) as stream:
            await next_of(stream, "cursor")
            before = await in_stream(desk)
        for _ in range(6):
            async with sse(desk, source) as stream:
                await publish_next(desk, chance.randint(1, 9))
                left = len(await in_stream(desk)) - len(before) - len(got)
                some = await next_of(stream, "event", chance.randint(1, left))
                got += [json.loads(data)["id"] for data in some]
            await publish_next(desk, chance.randint(1, 9))
        async with sse(desk, source) as stream:
            await publish_next(desk, 1)
            left = len(await in_stream(desk)) - len(before) - len(got)
            got += [json.loads(data)["id"] for data in await next_of(stream, "event", left)]
    assert before + got == await in_stream(desk)


async def test_a_plain_reader_whose_place_is_trimmed_is_reset_and_has_no_place_for_a_while(
    desk: Desk,
) -> None:
    await desk.publish(1)
    source = EventSource()
    async with desk.serving(SETTINGS):
        async with sse(desk, source) as stream:
            await next_of(stream, "cursor")
        assert source.last_id
        await desk.publish(*range(2, 12))
        await desk.redis.xtrim(desk.keys.events, maxlen=2, approximate=False)
        places: list[tuple[str, bool]] = []
        async with sse(desk, source) as stream:
            async for kind, _ in stream:
                places.append((kind, bool(source.last_id)))
                if kind == "cursor":
                    break
            await desk.publish(12)
            event = json.loads((await next_of(stream, "event"))[0])
    # The id that it came with counts no more from the reset on.
    assert places[1:] == [("reset", False), ("snapshot", False), ("cursor", True)]
    assert event["subject"] == "e12"


# --- faults of a third party ---------------------------------------------------------------------


@asynccontextmanager
async def others(desk: Desk) -> AsyncIterator[None]:
    """Subscribers at every door, who get what is published after all of this."""
    await desk.publish(1)
    async with (
        connected(desk, CLOUDEVENTS) as one,
        connected(desk, STOPPRESS) as two,
        sse(desk, EventSource()) as three,
    ):
        await settled(one)
        await settled(two)
        await next_of(three, "cursor")
        yield
        await desk.publish(90, 91)
        events = [
            await next_events(one, 2),
            await next_events(two, 2),
            await next_of(three, "event", 2),
        ]
    for told in events:
        assert [json.loads(event)["subject"] for event in told] == ["e90", "e91"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("said", "code"),
    [(["x" * (MAX_BYTES + 1)], 1009), (["x" * 700, "y" * 700], 1009), (b"\xff\xfe", 1007)],
    ids=["long", "long in parts", "utf-8"],
)
async def test_a_message_that_may_not_be_ends_with_the_code_that_the_standard_wants(
    desk: Desk, protocol: str, said: list[str] | bytes, code: int
) -> None:
    async with desk.serving(SETTINGS), others(desk), connected(desk, protocol) as ws:
        await settled(ws)
        await ws.send(said, text=True)
        with pytest.raises(ConnectionClosed) as closed:
            [_ async for _ in heard(ws)]
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_longest_message_that_hello_allows_is_read(desk: Desk, protocol: str) -> None:
    async with desk.serving(SETTINGS), connected(desk, protocol) as ws:
        await settled(ws)
        await ws.send('{"type":"ping"}'.ljust(MAX_BYTES))
        assert [one async for one in _until(ws, "pong")]


def frame(opcode: Opcode, data: bytes, *, mask: bool = True, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=mask)


PING = b'{"type":"ping"}'
FRAMES: dict[str, tuple[list[bytes], int]] = {
    "unmasked text": ([frame(Opcode.TEXT, PING, mask=False)], 1002),
    "unmasked binary": ([frame(Opcode.BINARY, PING, mask=False)], 1002),
    "unmasked ping": ([frame(Opcode.PING, b"", mask=False)], 1002),
    "unmasked close": ([frame(Opcode.CLOSE, b"\x03\xe8", mask=False)], 1002),
    "masked, then not": ([frame(Opcode.TEXT, PING), frame(Opcode.TEXT, PING, mask=False)], 1002),
    "reserved bit": ([b"\xc1\x8f\x00\x00\x00\x00" + PING], 1002),
    "reserved opcode": ([b"\x8b\x80\x00\x00\x00\x00"], 1002),
    "continues nothing": ([frame(Opcode.CONT, PING)], 1002),
    "text within text": ([frame(Opcode.TEXT, b"{", fin=False), frame(Opcode.TEXT, b"}")], 1002),
    "long ping": ([b"\x89\xfe\x00\x7e\x00\x00\x00\x00" + b"x" * 126], 1002),
    "close with no code of any": ([frame(Opcode.CLOSE, b"\x03\xed")], 1002),
    "close with a reason that is no text": ([frame(Opcode.CLOSE, b"\x03\xe8\xff")], 1007),
    "half a letter": ([frame(Opcode.TEXT, b"\xd0")], 1007),
    "surrogates": ([frame(Opcode.TEXT, b'"\xed\xa0\x80"')], 1007),
    "no letter, in parts": (
        [frame(Opcode.TEXT, b"\xc3", fin=False), frame(Opcode.CONT, b"\x28")],
        1007,
    ),
    "announced as too long": (
        [b"\x81\xff" + (2**40).to_bytes(8, "big") + b"\x00" * 4 + b"x" * (MAX_BYTES + 1)],
        1009,
    ),
    "long binary": ([frame(Opcode.BINARY, b"x" * (MAX_BYTES + 1))], 1009),
}


@pytest.mark.parametrize("name", FRAMES)
async def test_a_frame_that_may_not_be_ends_with_the_code_that_the_standard_wants(
    desk: Desk, name: str
) -> None:
    frames, code = FRAMES[name]
    async with desk.serving(SETTINGS), others(desk):
        assert await close_code_after(desk, frames) == code


async def test_a_letter_may_lie_in_two_frames(desk: Desk) -> None:
    """None of this is a fault: it is closed as it asks."""
    error = '{"type":"é"}'.encode()
    parts = [frame(Opcode.TEXT, error[:10], fin=False), frame(Opcode.CONT, error[10:])]
    async with desk.serving(SETTINGS), others(desk):
        bye = frame(Opcode.CLOSE, b"\x03\xe8")
        assert await close_code_after(desk, [*parts, frame(Opcode.PING, b""), bye]) == 1000


async def close_code_after(desk: Desk, frames: list[bytes]) -> int | None:
    """The code that the gateway closes with. A third party reads what it says, to the end."""
    protocol = ClientProtocol(parse_uri(f"ws{desk.gateway[4:]}/v1/feed"), max_size=None)
    reader, writer = await asyncio.open_connection(*desk.gateway[7:].split(":"))
    protocol.send_request(protocol.connect())
    writer.write(b"".join(protocol.data_to_send()))
    sent = False
    try:
        async with asyncio.timeout(20):
            while data := await reader.read(65_536):
                protocol.receive_data(data)
                if protocol.close_rcvd is not None:
                    writer.write(b"".join(protocol.data_to_send()))
                if not sent and protocol.handshake_exc is None and protocol.events_received():
                    writer.write(b"".join(frames))
                    sent = True
    finally:
        writer.transport.abort()
    assert protocol.parser_exc is None
    assert protocol.close_rcvd is not None, "no close frame"
    return int(protocol.close_rcvd.code)


# --- what third parties found --------------------------------------------------------------------


async def test_all_that_the_feed_says_in_cloudevents_has_an_id_of_its_own(desk: Desk) -> None:
    """What has the same source and id may be taken for the same event (CloudEvents 1.0, 3.1.1)."""
    await desk.publish(1)
    async with desk.serving(SETTINGS), connected(desk, CLOUDEVENTS) as ws, asyncio.timeout(20):
        said = [JSONFormat().read(None, await ws.recv()) for _ in range(4)]
    names = [(event.get_source(), event.get_id()) for event in said]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_hello_comes_first_whoever_speaks_first(desk: Desk, protocol: str) -> None:
    await desk.publish(1)
    async with desk.serving(SETTINGS), connected(desk, protocol) as ws:
        await ws.send('{"type":"ping"}')
        kinds = [one.kind async for one in _until(ws, "cursor")]
    assert kinds[0] == "hello"


@pytest.mark.parametrize("said", [b"\xff", b"x" * 2000], ids=["utf-8", "long"])
async def test_the_server_ends_the_connection_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """As soon as it has said what is wrong (RFC 6455, 7.1.1)."""
    monkeypatch.setattr("workers.gateway.websocket.CLOSE_S", 3600.0)
    async with desk.serving(SETTINGS), connected(desk, PROTOCOLS[1]) as ws:
        await ws.send(said, text=True)
        async with asyncio.timeout(5):
            await ws.wait_closed()
