"""Who opens sockets and says nothing, says it wrong or too often: a named end, and nobody else
notices. And who comes through TLS or a proxy."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from service.config import GatewaySettings, KeySettings
from service.errors import ConfigError
from service.keys import Keys
from service.observability import REGISTRY
from tests.certificates import self_signed
from tests.integration.test_gateway import Desk
from tests.waiting import eventually

SECRET = "s" * 30
UPGRADE = (
    "GET /v1/feed HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.fixture
def desk(redis: Redis, redis_url: str, keys: Keys) -> Desk:
    return Desk(redis, redis_url, keys)


def port_of(desk: Desk) -> int:
    return int(desk.gateway.rsplit(":", 1)[1])


@asynccontextmanager
async def socket(
    desk: Desk,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(desk))
    try:
        yield reader, writer
    finally:
        writer.close()


@asynccontextmanager
async def somebody_else(desk: Desk) -> AsyncIterator[None]:
    """Another subscriber, who gets what is published after all of this."""
    await desk.publish(1)
    reading = await desk.reading(lambda message: message.type == "event")
    yield
    await desk.publish(90)
    assert (await reading)[-1].event.subject == "e90"


def turned_away(why: str) -> float:
    return REGISTRY.get_sample_value("stoppress_turned_away_total", {"reason": why}) or 0.0


# --- connections ---------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["", "G", "GET /v1/feed HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "])
async def test_a_request_that_does_not_arrive_is_answered_408(desk: Desk, said: str) -> None:
    """Slow loris: a byte now and then would keep a connection for ever."""
    before = turned_away("slow")
    settings = GatewaySettings(port=0, request_s=0.3)
    async with desk.serving(settings), somebody_else(desk), socket(desk) as (reader, writer):
        writer.write(said.encode())
        dripping = asyncio.create_task(drip(writer, "x" if said.endswith(": ") else ""))
        async with asyncio.timeout(10):
            answer = await reader.read(20)
        dripping.cancel()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert turned_away("slow") == before + 1


async def drip(writer: asyncio.StreamWriter, drop: str) -> None:
    while not writer.is_closing():
        writer.write(drop.encode())
        await asyncio.sleep(0.02)


async def test_a_crowd_that_says_nothing_keeps_nobody_out(desk: Desk) -> None:
    settings = GatewaySettings(port=0, max_waiting=20)
    before = turned_away("crowd")
    async with desk.serving(settings), somebody_else(desk):
        crowd = [await asyncio.open_connection("127.0.0.1", port_of(desk)) for _ in range(120)]
        assert (await desk.get("/healthz"))[0] == 200
        async with asyncio.timeout(10):
            assert (await crowd[0][0].read()).startswith(b"HTTP/1.1 408 ")
        for _, writer in crowd:
            writer.close()
    assert turned_away("crowd") >= before + 100


async def test_a_connection_that_asks_in_time_may_stay(desk: Desk) -> None:
    async with desk.serving(GatewaySettings(port=0, request_s=0.2)), aiohttp.ClientSession() as one:
        for _ in range(3):
            async with one.get(f"{desk.gateway}/healthz") as answer:
                assert answer.status == 200
            await asyncio.sleep(0.2)
        async with one.ws_connect(f"{desk.gateway}/v1/feed") as ws:
            await asyncio.sleep(0.5)
            assert (await ws.receive_json())["type"] == "hello"


async def test_a_key_has_so_many_connections(desk: Desk) -> None:
    keys = {"a": KeySettings(secret="a" * 24), "b": KeySettings(secret="b" * 24)}
    settings = GatewaySettings(port=0, keys=keys, max_per_key=2)
    async with desk.serving(settings), aiohttp.ClientSession() as http:

        async def connect(key: str) -> aiohttp.ClientWebSocketResponse:
            return await http.ws_connect(f"{desk.gateway}/v1/feed?access_token={key * 24}")

        held = [await connect("a"), await connect("a"), await connect("b")]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await connect("a")
        await held[0].close()

        async def is_free() -> bool:
            try:
                held.append(await connect("a"))
            except aiohttp.WSServerHandshakeError:
                return False
            return True

        await eventually(is_free, "room for another")
        for ws in held:
            await ws.close()
    assert refused.value.status == 429


# --- messages ------------------------------------------------------------------------------------


def frame(opcode: int, payload: bytes, *, fin: bool = True, compressed: bool = False) -> bytes:
    """A masked frame, as a client sends it (RFC 6455, 5.2)."""
    first = opcode | (0x80 if fin else 0) | (0x40 if compressed else 0)
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + struct.pack(">H", size)
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
    return bytes((first,)) + length + mask + masked


BOMB = zlib.compressobj(9, zlib.DEFLATED, -15)
SMALL = BOMB.compress(b" " * 30_000_000) + BOMB.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([frame(1, SMALL[:60_000], compressed=True)], 1002),
        ([frame(1, b"x" * 500, fin=False), *[frame(0, b"x" * 500, fin=False)] * 9], 1009),
        ([frame(1, b"{" * 2000)], 1009),
        ([frame(1, b"\xff\xfe")], 1007),
        ([frame(3, b"")], 1002),
        ([frame(9, b"", fin=False)], 1002),
        ([frame(8, b"\x00")], 1002),
    ],
    ids=["bomb", "continued", "long", "utf-8", "opcode", "cut-ping", "close-of-one-byte"],
)
async def test_a_frame_that_is_none_ends_its_connection_with_a_code(
    desk: Desk, frames: list[bytes], code: int
) -> None:
    settings = GatewaySettings(port=0, max_message_bytes=1024)
    async with desk.serving(settings), somebody_else(desk), socket(desk) as (reader, writer):
        writer.write(UPGRADE.encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"".join(frames))
        async with asyncio.timeout(10):
            said = await reader.read()
    assert b"\x88" in said, "no close frame"
    assert struct.pack(">H", code) in said


@pytest.mark.parametrize("kind", ["message", "ping"])
async def test_who_says_too_much_is_closed_with_4501(desk: Desk, kind: str) -> None:
    settings = GatewaySettings(port=0, max_messages_per_minute=30)
    async with (
        desk.serving(settings),
        somebody_else(desk),
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{desk.gateway}/v1/feed", autoping=False) as ws,
        asyncio.timeout(10),
    ):
        for _ in range(40):
            await (ws.send_str('{"type":"ping"}') if kind == "message" else ws.ping())
        while (await ws.receive()).type is not aiohttp.WSMsgType.CLOSE:
            pass
        assert ws.close_code == 4501


# --- keys and logs -------------------------------------------------------------------------------


async def test_a_key_in_an_address_is_in_no_log(
    desk: Desk, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = GatewaySettings(port=0, keys={"desk": KeySettings(secret=SECRET)})
    with capture_logs() as logs:
        async with desk.serving(settings), aiohttp.ClientSession() as http:
            token = f"access_token={SECRET}"
            for query in (token, f"{token}&cursor=x", f"{token}&text={'x' * 9000}", f"{token}&z=1"):
                async with http.get(f"{desk.gateway}/v1/events?{query}") as answer:
                    await answer.read()
            async with http.ws_connect(f"{desk.gateway}/v1/feed?{token}") as ws:
                await ws.receive_json()
            async with socket(desk) as (reader, writer):
                writer.write(f"GET /v1/feed?{token} HTTP/1.1\r\nHost: \x00\r\n\r\n".encode())
                await reader.read()
    assert "request.malformed" in [line["event"] for line in logs]
    said = capfd.readouterr()
    assert SECRET not in f"{logs}{caplog.text}{said.out}{said.err}"


# --- TLS and proxies -----------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    return self_signed(tmp_path)


async def test_with_a_certificate_it_speaks_tls_and_nothing_else(
    desk: Desk, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate
    trusting = ssl.create_default_context(cafile=str(cert))
    settings = GatewaySettings(port=0, tls_cert=str(cert), tls_key=str(key), request_s=0.5)

    async def is_ready(self: Desk) -> bool:  # the desk's own question trusts no such certificate
        return True

    monkeypatch.setattr(Desk, "is_ready", is_ready)
    await desk.publish(1)
    async with desk.serving(settings) as gateway, aiohttp.ClientSession() as http:
        assert gateway.startswith("https://")
        feed = gateway.replace("https", "wss") + "/v1/feed"
        async with http.ws_connect(feed, ssl=trusting) as ws:
            kinds = [(await ws.receive_json())["type"] for _ in range(3)]
            assert kinds == ["hello", "snapshot", "cursor"]
            await desk.publish(*range(2, 60))
            found = []
            while len(found) < 58:
                message = await ws.receive_json(timeout=10)
                found += [message["event"]["subject"]] if message["type"] == "event" else []
            assert found == [f"e{n}" for n in range(2, 60)]
        with pytest.raises(aiohttp.ClientError):
            await http.get(gateway.replace("https", "http") + "/healthz")
        async with socket(desk) as (reader, _), asyncio.timeout(10):
            assert await reader.read() == b"", "who never begins with TLS is cut off"


@pytest.mark.parametrize("what", ["missing", "no-key", "nonsense"])
async def test_a_certificate_that_cannot_be_used_is_refused_at_start(
    desk: Desk, certificate: tuple[Path, Path], tmp_path: Path, what: str
) -> None:
    cert, key = str(certificate[0]), str(certificate[1])
    if what == "missing":
        cert = str(tmp_path / "nothing.pem")
    if what == "nonsense":
        Path(key).write_text("no key")
    settings = GatewaySettings(port=0, tls_cert=cert, tls_key=None if what == "no-key" else key)
    with pytest.raises(ConfigError) as refused:
        async with desk.serving(settings):
            pass
    assert refused.value.code == "tls.unusable"
    assert cert in str(refused.value)


OPEN_PROXY = GatewaySettings(port=0, trusted_proxies=("127.0.0.0/8",), open=True, max_per_address=1)


async def test_a_trusted_proxy_says_who_asks_and_how(desk: Desk) -> None:
    await desk.publish(1)
    headers = {
        "X-Forwarded-For": "203.0.113.9, 198.51.100.7, 127.0.0.2",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "feed.example",
    }
    async with desk.serving(OPEN_PROXY), aiohttp.ClientSession() as http:
        url = f"{desk.gateway}/v1/pages/page/feed.json"
        async with http.get(url, headers=headers) as answer:
            feed = await answer.json(content_type=None)
        assert feed["feed_url"] == "https://feed.example/v1/pages/page/feed.json"
        origin = headers | {"Origin": "https://feed.example"}
        async with http.get(url, headers=origin) as answer:
            assert answer.status == 200, "the page's own site, as the browser sees it"
        async with http.ws_connect(f"{desk.gateway}/v1/feed", headers=headers):
            others = headers | {"X-Forwarded-For": "198.51.100.8"}
            async with http.ws_connect(f"{desk.gateway}/v1/feed", headers=others) as ws:
                assert (await ws.receive_json())["type"] == "hello"
            # What stands further left may be the client's own invention.
            forged = headers | {"X-Forwarded-For": "10.9.9.9, 198.51.100.7"}
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(f"{desk.gateway}/v1/feed", headers=forged)
    assert refused.value.status == 429


async def test_nobody_else_says_so(desk: Desk) -> None:
    await desk.publish(1)
    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher"}
    async with desk.serving(), aiohttp.ClientSession() as http:
        url = f"{desk.gateway}/v1/pages/page/feed.json"
        async with http.get(url, headers=forged) as answer:
            assert (await answer.json(content_type=None))["feed_url"] == url


async def test_a_proxy_that_names_no_scheme_of_ours_is_told(desk: Desk) -> None:
    async with desk.serving(OPEN_PROXY), aiohttp.ClientSession() as http:
        headers = {"X-Forwarded-Proto": "gopher"}
        async with http.get(f"{desk.gateway}/v1/pages", headers=headers) as answer:
            assert (answer.status, (await answer.json())["code"]) == (400, "access.forwarded")


async def test_behind_a_proxy_a_gateway_on_loopback_wants_keys_too(desk: Desk) -> None:
    settings = GatewaySettings(port=0, trusted_proxies=("127.0.0.1",))
    with pytest.raises(ConfigError) as refused:
        async with desk.serving(settings):
            pass
    assert refused.value.code == "gateway.exposed"
