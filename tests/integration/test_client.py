"""The client libraries against a real gateway over a bad network: nothing is missing, nothing comes
twice, and what cannot be given back is said."""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port
from redis.asyncio import Redis

import workers.gateway
from service.client import Subscription, subscribe
from service.config import GatewaySettings, KeySettings
from service.diff import Doubt, Policy, advance, diff
from service.errors import StoppressError, SubscriberError
from service.events import Event, from_json, to_fields, to_json
from service.keys import Keys
from service.model import Entry, Health, Page, PageState
from service.store import Store
from service.subscriber import (
    AlertMessage,
    EventMessage,
    Hello,
    Lost,
    Message,
    PageHealth,
    Reset,
)
from tests.alert_samples import alert_event
from tests.faulty_proxy import FaultyProxy, faulty_proxy
from tests.integration.test_gateway import Desk
from tests.pages import entry, page_of
from tests.programs import installed
from tests.stream import events_in
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
MODULE = Path(workers.gateway.__file__).parent / "static" / "stoppress.js"
PAGES = [Page(id=name, url=f"http://127.0.0.1/{name}") for name in ("harbour", "match")]
EVENTS = 120  # of all pages together
MOST_EVENTS = 600
FAULTS = 12  # at least so many connections meet one
QUICK_S = 0.05


class Press:
    """Publishes on two pages, and knows what the stream holds."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis, self.keys = redis, keys
        self.store = Store(redis, keys, max_events=100_000)
        self.states = {page.id: PageState(page=page) for page in PAGES}
        self.entries: dict[str, list[Entry]] = {page.id: [] for page in PAGES}
        self.alerts = 0

    async def publish(self, page: Page, *, labels: tuple[str, ...] = ()) -> None:
        """One more entry of a page."""
        if not self.entries[page.id]:
            await self.store.add_page(page)
        entries, state = self.entries[page.id], self.states[page.id]
        entries.append(entry(len(entries) + 1, labels=labels))
        step = diff(state, snapshot := page_of(entries[-20:]), Policy())
        assert not isinstance(step, Doubt)
        events, after = advance(state, step, snapshot.seen_at)
        token = await self.store.acquire(page.id, 60_000)
        assert token
        await self.store.commit(token, state, after, events, Health())
        await self.store.release(page.id, token)
        self.states[page.id] = after

    async def raise_alert(self) -> None:
        """One more alert; which event it is about is of no matter to the feed."""
        self.alerts += 1
        await self.redis.xadd(self.keys.alerts, {**to_fields(alert_event(entry=f"e{self.alerts}"))})

    async def go_on_raising(self) -> None:
        """Alerts until cancelled."""
        while True:
            await self.raise_alert()
            await asyncio.sleep(0.05)

    async def publish_all(self, seed: int, proxy: FaultyProxy) -> None:
        """As many events as a test wants, in bursts, until enough has gone wrong."""
        chance = random.Random(seed)
        while (events := await self.redis.xlen(self.keys.events)) < MOST_EVENTS:
            if events >= EVENTS and proxy.faults.total() >= FAULTS:
                return
            for _ in range(chance.randint(1, 8) if events < EVENTS else 1):
                await self.publish(chance.choice(PAGES))
            await asyncio.sleep(chance.uniform(0, 0.1))

    async def ids(self) -> list[str]:
        """The events of the stream, in its order."""
        return [event.id for event in await events_in(self.redis, self.keys.events)]

    async def arrived(self, got: list[str], taking: asyncio.Future[None]) -> None:
        """Wait until the last event is among those."""
        last = (await self.ids())[-1]

        async def look() -> bool:
            if taking.done():
                taking.result()
            return last in got

        await eventually(look, "the last event")


@pytest.fixture
def press(redis: Redis, keys: Keys) -> Press:
    return Press(redis, keys)


@pytest.fixture
async def gateway(redis: Redis, redis_url: str, keys: Keys) -> AsyncIterator[str]:
    settings = GatewaySettings(port=0, heartbeat_s=0.2, ring_events=20)
    async with Desk(redis, redis_url, keys).serving(settings) as address:
        yield address


async def beginning(gateway: str) -> str:
    """A cursor from which the whole stream comes."""
    async for message in subscribe(gateway).messages():
        if isinstance(message, Hello):
            return message.oldest
    raise AssertionError


async def taken(feed: Subscription, until: Callable[[Message], bool]) -> list[Message]:
    """Messages up to and with the first that `until` holds for."""
    messages = []
    async with asyncio.timeout(20), aclosing(feed.messages()) as all_of_them:
        async for message in all_of_them:
            messages.append(message)
            if until(message):
                break
    return messages


def events_of(messages: list[Message]) -> list[Event]:
    return [message.event for message in messages if isinstance(message, EventMessage)]


def named(kind: type[Message]) -> Callable[[Message], bool]:
    return lambda message: isinstance(message, kind)


# --- both languages ------------------------------------------------------------------------------

JSON = dict[str, Any]
SCRIPT = """
import { subscribe } from "./stoppress.mjs";
try {
  const feed = subscribe(process.argv[2], JSON.parse(process.argv[3]));
  for await (const message of feed.messages()) console.log(JSON.stringify(message));
} catch ({ code, closeCode, message }) {
  console.log(JSON.stringify({ type: "error", code: code ?? message, closeCode }));
}
"""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handshake that hangs is given up soon."""
    monkeypatch.setattr("service.client.CONNECT_S", 1.0)


def node() -> list[str]:
    """Node with a WebSocket, which Node 22 has anyway."""
    path = installed("node", package="nodejs")
    return [path, "--no-warnings", "--experimental-websocket"]


class Client:
    """Messages of a feed as JSON, read by one of the libraries. An error comes as the last one."""

    def __init__(self, language: str, folder: Path) -> None:
        self.language, self.folder = language, folder
        self.command = node() if language == "javascript" else []

    async def messages(self, url: str, cursor: str | None = None) -> AsyncGenerator[JSON, None]:
        """All of them."""
        talk = self._javascript if self.command else self._python
        async with aclosing(talk(url, cursor)) as told:
            async for message in told:
                yield message

    async def until(
        self, kind: str, url: str, times: int = 1, cursor: str | None = None
    ) -> list[JSON]:
        """Messages up to and with so many of a type."""
        messages: list[JSON] = []
        async with asyncio.timeout(30), aclosing(self.messages(url, cursor)) as told:
            async for message in told:
                messages.append(message)
                if sum(one["type"] == kind for one in messages) == times:
                    return messages
        raise AssertionError(f"no {kind} in {messages}")

    async def _python(self, url: str, cursor: str | None) -> AsyncGenerator[JSON, None]:
        try:
            feed = subscribe(url, cursor=cursor, retry_max_s=QUICK_S)
            async with aclosing(feed.messages()) as messages:
                async for message in messages:
                    yield {"type": message.type, **msgspec.to_builtins(message)}
        except StoppressError as error:
            closed = getattr(error, "close_code", None)
            yield {"type": "error", "code": error.code, "closeCode": closed}

    async def _javascript(self, url: str, cursor: str | None) -> AsyncGenerator[JSON, None]:
        module = MODULE.read_text("utf-8").replace("CONNECT_MS = 10_000", "CONNECT_MS = 1_000")
        (self.folder / "stoppress.mjs").write_text(module, "utf-8")
        (self.folder / "script.mjs").write_text(SCRIPT, "utf-8")
        options = msgspec.json.encode({"cursor": cursor, "retryMax_ms": 1000 * QUICK_S}).decode()
        command = [*self.command, str(self.folder / "script.mjs"), url, options]
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, limit=2**22)
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                yield msgspec.json.decode(line)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


@pytest.fixture(params=["python", "javascript"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Client:
    return Client(request.param, tmp_path)


# --- over a bad network --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
async def test_it_gets_what_the_stream_holds_once_and_in_order(
    press: Press, gateway: str, client: Client, seed: int
) -> None:
    cursor = await beginning(gateway)
    got: list[str] = []

    async def take(url: str) -> None:
        async for message in client.messages(url, cursor):
            assert message["type"] not in {"error", "reset"}, message
            got.extend([message["event"]["id"]] if message["type"] == "event" else [])

    async with faulty_proxy(gateway, seed) as proxy:
        taking = asyncio.create_task(take(proxy.url))
        await press.publish_all(seed, proxy)
        await press.arrived(got, taking)
        proxy.calm = True
        await press.publish(PAGES[0])  # so that what came twice before is seen
        await press.arrived(got, taking)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
    assert got == await press.ids()
    assert proxy.faults.total() >= FAULTS, proxy.faults


@pytest.mark.parametrize("seed", range(2))
async def test_alerts_come_once_and_in_order_beside_the_events(
    press: Press, gateway: str, client: Client, seed: int
) -> None:
    cursor = await beginning(gateway)
    got: dict[str, list[str]] = {"event": [], "alert": []}

    async def take(url: str) -> None:
        async for message in client.messages(f"{url}/v1/feed?type=entry,page,alert", cursor):
            assert message["type"] not in {"error", "reset"}, message
            if message["type"] in got:
                got[message["type"]].append(message["event"]["id"])

    async with faulty_proxy(gateway, seed) as proxy:
        taking = asyncio.create_task(take(proxy.url))
        raising = asyncio.create_task(press.go_on_raising())
        await press.publish_all(seed, proxy)
        raising.cancel()
        await asyncio.gather(raising, return_exceptions=True)
        proxy.calm = True
        await press.publish(PAGES[0])
        await press.raise_alert()
        await press.arrived(got["event"], taking)
        alerts = [event.id for event in await events_in(press.redis, press.keys.alerts)]
        await eventually(in_(alerts[-1], got["alert"]), "the last alert")
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
    assert got == {"event": await press.ids(), "alert": alerts}
    assert len(alerts) > 5


def in_(wanted: str, got: list[str]) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return wanted in got

    return look


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("", {"entry", "page"}),
        ("?type=entry.published,alert.retracted", {"entry"}),
        ("?type=alert", {"alert"}),
        ("?type=alert.raised,entry", {"alert", "entry"}),
    ],
)
async def test_a_loop_over_events_gets_alerts_only_where_a_type_asks_for_them(
    press: Press, gateway: str, query: str, kinds: set[str]
) -> None:
    cursor = await beginning(gateway)
    await press.raise_alert()
    await press.publish(PAGES[0])
    feed, got = subscribe(f"{gateway}/v1/feed{query}", cursor=cursor), set()

    async def read() -> None:
        async for event in feed:
            got.add(event.type.split(".")[1])

    with suppress(TimeoutError):
        await asyncio.wait_for(read(), 1)
    assert got == kinds
    assert feed._is_whole == (query == "")


async def test_an_alert_comes_typed_and_a_feed_with_all_families_is_whole(
    press: Press, gateway: str
) -> None:
    cursor = await beginning(gateway)
    await press.raise_alert()
    feed = subscribe(gateway, type=["entry", "page", "alert"], cursor=cursor)
    message = (await taken(feed, named(AlertMessage)))[-1]
    assert isinstance(message, AlertMessage)
    assert message.event.data.rule == "breaking"
    assert from_json(message.raw) == message.event
    assert message.sent is not None
    assert feed.cursor == message.cursor
    assert feed._is_whole


# --- what can happen -----------------------------------------------------------------------------


async def cut_out(press: Press, place: int) -> str:
    """Take an event out of the stream, as no program of ours does; the event that is missing."""
    entries = await press.redis.xrange(press.keys.events)
    await press.redis.xdel(press.keys.events, entries[place][0])
    return str(entries[place][1][b"id"].decode())


async def test_an_event_that_the_stream_has_lost_is_said_and_all_others_come(
    press: Press, redis: Redis, redis_url: str, keys: Keys, client: Client
) -> None:
    """A reset and the present state; then the events after the gap, not those from now on."""
    desk = Desk(redis, redis_url, keys)
    for _ in range(6):
        await press.publish(PAGES[0])
    async with desk.serving() as gateway:
        place = (await client.until("event", gateway, 3, await beginning(gateway)))[-1]
    missing = await cut_out(press, 4)
    async with desk.serving() as gateway:
        messages = await client.until("event", gateway, 3, place["cursor"])
    told = [message["event"]["id"] for message in messages if message["type"] == "event"]
    assert [place["event"]["id"], *told] == (await press.ids())[2:]
    assert missing not in told
    kinds = [message["type"] for message in messages if message["type"] not in {"health", "cursor"}]
    gap = ["event", "lost", "hello", "reset", "lost", "hello", "snapshot", "lost", "hello"]
    assert kinds == ["hello", *gap, "event", "event"]
    assert [one["reason"] for one in messages if one["type"] == "reset"] == ["chain.broken"]


def ended(number: int) -> Callable[[Message], bool]:
    """Is it the event of that number?"""
    return lambda message: isinstance(message, EventMessage) and message.event.number == number


async def test_a_narrowed_feed_is_not_held_to_the_chain(press: Press, gateway: str) -> None:
    cursor = await beginning(gateway)
    for labels in ((), ("breaking",), (), (), ("breaking",)):
        await press.publish(PAGES[0], labels=labels)
    messages = await taken(subscribe(gateway, label="breaking", cursor=cursor), ended(6))
    assert [event.number for event in events_of(messages)] == [3, 6]
    assert not [message for message in messages if isinstance(message, Lost | Reset)]


async def test_a_page_filter_leaves_the_chain_whole(press: Press, gateway: str) -> None:
    cursor = await beginning(gateway)
    for page in (PAGES[0], PAGES[1], PAGES[1], PAGES[0]):
        await press.publish(page)
    feed = subscribe(gateway, page=[PAGES[1].id], cursor=cursor)
    assert [event.number for event in events_of(await taken(feed, ended(3)))] == [1, 2, 3]


async def test_a_cursor_past_retention_is_a_reset_and_then_the_state(
    press: Press, gateway: str, client: Client
) -> None:
    cursor = await beginning(gateway)
    for _ in range(5):
        await press.publish(PAGES[0])
    await press.redis.xtrim(press.keys.events, maxlen=1, approximate=False)
    greeting, reset, snapshot, _ = await client.until("cursor", gateway, cursor=cursor)
    assert (greeting["type"], reset) == ("hello", {"type": "reset", "reason": "cursor.too_old"})
    assert len(snapshot["entries"]) == 5


async def test_begun_again_it_goes_on_where_it_was_left(press: Press, gateway: str) -> None:
    feed = subscribe(gateway, cursor=await beginning(gateway))
    await press.publish(PAGES[0])
    await press.publish(PAGES[0])
    numbers = [await first(feed), await first(feed), await first(feed)]
    assert numbers == [1, 2, 3]
    assert feed.lag is not None
    await taken(feed, named(PageHealth))
    assert feed.healths[PAGES[0].id].status == "healthy"


async def first(feed: Subscription) -> int:
    async with asyncio.timeout(20):
        async for event in feed:
            return event.number
    raise AssertionError


@pytest.mark.parametrize(
    ("query", "code"), [("?cursor=nonsense", "cursor.malformed"), ("?type=x", "filter.type")]
)
async def test_what_the_gateway_refuses_is_named(
    gateway: str, client: Client, query: str, code: str
) -> None:
    assert (await client.until("error", f"{gateway}/v1/feed{query}"))[-1]["code"] == code


async def test_without_a_gateway_it_says_so_at_first_and_waits_later(
    press: Press, redis: Redis, redis_url: str, keys: Keys
) -> None:
    settings = GatewaySettings(port=unused_port())
    address = f"http://127.0.0.1:{settings.port}"
    with pytest.raises(SubscriberError, match="no gateway answers here"):
        await first(subscribe(address))
    desk, got = Desk(redis, redis_url, keys), []
    async with desk.serving(settings):
        feed = subscribe(address, cursor=await beginning(address), retry_max_s=QUICK_S)
        await press.publish(PAGES[0])
        got.append(await first(feed))
    waiting = asyncio.create_task(first(feed))
    await asyncio.sleep(0.2)
    async with desk.serving(settings):
        assert [*got, await waiting] == [1, 2]


# --- a gateway that says what a test wants -------------------------------------------------------


@asynccontextmanager
async def scripted(*scripts: list[str | int]) -> AsyncIterator[str]:
    """Each connection is told one script: messages, then perhaps a close code; else silence."""
    rest = iter(scripts)

    async def tell(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(protocols=["stoppress.v1.json"])
        await ws.prepare(request)
        for said in next(rest, []):
            if isinstance(said, int):
                await ws.close(code=said, message=b"so-named")
            else:
                await ws.send_str(said)
        async for _ in ws:
            pass
        return ws

    app = web.Application()
    app.router.add_get("/v1/feed", tell)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def hello(heartbeat_s: float = 20) -> str:
    known = {"type": "hello", "cursor": "c", "oldest": "c", "heartbeat_s": heartbeat_s}
    return msgspec.json.encode(known | {"new": "field"}).decode()


END = '{"type":"cursor","cursor":"end"}'


@pytest.mark.parametrize("code", [1000, 4001, 4499])
async def test_after_these_codes_it_reconnects(client: Client, code: int) -> None:
    async with scripted([hello(), code], [hello(), END]) as url:
        messages = await client.until("cursor", url)
    assert f"closed with {code} so-named" in {one.get("reason") for one in messages}


@pytest.mark.parametrize("code", [4500, 4999])
async def test_after_these_codes_it_ends_with_a_named_error(client: Client, code: int) -> None:
    async with scripted([hello(), code]) as url:
        error = (await client.until("error", url))[-1]
    assert error == {"type": "error", "code": "feed.closed", "closeCode": code}


async def test_silence_of_two_and_a_half_heartbeats_is_a_lost_connection(client: Client) -> None:
    async with scripted([hello(0.1)], [hello(), END]) as url:
        messages = await client.until("cursor", url)
    assert [m["reason"] for m in messages if m["type"] == "lost"] == ["silent for 0.25 s"]


async def test_what_is_unknown_is_passed_over_and_what_is_unreadable_is_a_lost_connection(
    client: Client,
) -> None:
    strange = ['{"type":"weather","wind":7}', '{"type":"event","cursor":"c","event":{}}']
    async with scripted([hello(), *strange], [hello(), "{", END], [hello(), END]) as url:
        messages = await client.until("cursor", url)
    assert [m["type"] for m in messages] == ["hello", "lost", "hello", "lost", "hello", "cursor"]


async def test_what_stays_unreadable_is_an_error_in_the_end(client: Client) -> None:
    async with scripted(*[[hello(), "{"]] * 20) as url:
        error = (await client.until("error", url))[-1]
    assert error["code"] == "feed.unreadable"


async def test_an_event_of_a_newer_type_is_passed_over_and_the_chain_holds(
    press: Press, gateway: str
) -> None:
    await press.publish(PAGES[0])
    await press.publish(PAGES[0])
    events = await events_in(press.redis, press.keys.events)
    told = [f'{{"type":"event","cursor":"c{n}","event":{to_json(e).decode()}}}'
            for n, e in enumerate(events)]  # fmt: skip
    told[1] = told[1].replace("entry.published", "entry.dreamt")
    async with scripted([hello(), *told]) as url:
        messages = await taken(subscribe(url), ended(3))
    assert [m.type for m in messages] == ["hello", "event", "event"]
    assert from_json(messages[-1].raw) == events[2]  # type: ignore[union-attr]


# --- docs/clients.md -----------------------------------------------------------------------------

DOC = (ROOT / "docs" / "clients.md").read_text("utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```$", DOC, re.DOTALL | re.MULTILINE)
SAID = {  # what each says, when breaking entries come to a page
    "python-0": r"stoppress.entry.published Title \d+",
    "js-1": r"stoppress.entry.published Title \d+",
    "js-2": r"stoppress.entry.published [\w-]+ [\d.]+ s after the poll",
    "python-3": r"\d+ e\d+",
    "python-4": r"[1-9]\d* entries",
}


def test_every_block_is_run() -> None:
    assert list(SAID) == [f"{language}-{n}" for n, (language, _) in enumerate(BLOCKS)]


@pytest.mark.parametrize("name", SAID)
async def test_the_examples_do_what_is_said(
    press: Press, gateway: str, tmp_path: Path, name: str
) -> None:
    text = BLOCKS[int(name.rsplit("-", 1)[1])][1].replace("127.0.0.1:8037", gateway[7:])
    (tmp_path / "stoppress.mjs").write_text(MODULE.read_text("utf-8"), "utf-8")
    (tmp_path / "example.mjs").write_text(text.replace("stoppress.js", "stoppress.mjs"), "utf-8")
    command = (
        [sys.executable, "-c", text] if name.startswith("python") else [*node(), "example.mjs"]
    )
    await press.publish(PAGES[0])
    await press.publish(PAGES[0])
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    program = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, env=env, stdout=PIPE)
    publishing = asyncio.create_task(go_on_publishing(press))
    try:
        await says(program, SAID[name])
        if name == "js-2":  # it has ended itself
            assert await asyncio.wait_for(program.wait(), 10) == 0
    finally:
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        if program.returncode is None:
            program.kill()
        await program.communicate()


async def go_on_publishing(press: Press) -> None:
    for _ in range(100):
        await press.publish(PAGES[0], labels=("breaking",))
        await asyncio.sleep(0.2)


async def says(program: asyncio.subprocess.Process, pattern: str) -> None:
    assert program.stdout is not None
    said = []
    async with asyncio.timeout(20):
        async for line in program.stdout:
            said.append(line.decode().rstrip())
            if re.fullmatch(pattern, said[-1]):
                return
    raise AssertionError(f"{pattern!r} is not in {said}")


# --- no room, keys, health -----------------------------------------------------------------------

SECRET = "d" * 24
KEYED = GatewaySettings(port=0, heartbeat_s=0.2, keys={"desk": KeySettings(secret=SECRET)})
WITH_KEY = f"?access_token={SECRET}"


@asynccontextmanager
async def taking(client: Client, url: str, cursor: str | None = None) -> AsyncIterator[list[JSON]]:
    """What one of the libraries tells, as it comes."""
    messages: list[JSON] = []

    async def take() -> None:
        async for message in client.messages(url, cursor):
            messages.append(message)  # noqa: PERF401 - somebody looks while it grows

    task = asyncio.create_task(take())
    try:
        yield messages
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def has(messages: list[JSON], kind: str, times: int = 1) -> None:
    """Wait until there are so many of a kind."""

    async def look() -> list[JSON]:
        return messages if [one["type"] for one in messages].count(kind) >= times else []

    await eventually(look, f"{times} of {kind}")


def told_ids(messages: list[JSON]) -> list[str]:
    return [one["event"]["id"] for one in messages if one["type"] == "event"]


@pytest.mark.parametrize(
    ("settings", "query", "status"),
    [
        (GatewaySettings(port=0, max_per_address=1), "", 429),
        (msgspec.structs.replace(KEYED, max_per_key=1), WITH_KEY, 429),
        (GatewaySettings(port=0, max_subscribers=1), "", 503),
    ],
    ids=["address", "key", "full"],
)
async def test_while_there_is_no_room_it_keeps_trying_and_then_gets_every_event(
    press: Press,
    redis: Redis,
    redis_url: str,
    keys: Keys,
    client: Client,
    settings: GatewaySettings,
    query: str,
    status: int,
) -> None:
    async with Desk(redis, redis_url, keys).serving(settings) as gateway:
        url = f"{gateway}/v1/feed{query}"
        async with aiohttp.ClientSession() as http:
            held = await http.ws_connect(url)
            cursor = (await held.receive_json())["oldest"]
            with pytest.raises(aiohttp.WSServerHandshakeError, match=str(status)):
                await http.ws_connect(url)
            async with taking(client, url, cursor) as messages:
                await has(messages, "lost", 3)
                await press.publish(PAGES[0])
                assert {one["type"] for one in messages} == {"lost"}
                await held.close()
                await has(messages, "event", 2)
                await press.publish(PAGES[0])
                await has(messages, "event", 3)
    assert told_ids(messages) == await press.ids()
    assert [one for one in messages if one["type"] in {"error", "reset"}] == []
    tries = [one for one in messages if one["type"] == "lost"]
    assert all({"retry_s", "retry_ms"} & one.keys() for one in tries)  # it says how long it waits


async def test_with_its_key_it_reads_and_comes_back_until_the_key_is_taken_away(
    press: Press, redis: Redis, redis_url: str, keys: Keys, client: Client
) -> None:
    desk = Desk(redis, redis_url, keys)
    settings = msgspec.structs.replace(KEYED, port=unused_port())
    others = msgspec.structs.replace(settings, keys={"desk": KeySettings(secret="o" * 24)})
    async with AsyncExitStack() as stack:
        async with desk.serving(settings) as gateway:
            reading = taking(client, f"{gateway}/v1/feed{WITH_KEY}")
            messages = await stack.enter_async_context(reading)
            await has(messages, "cursor")
            await press.publish(PAGES[0])
            await has(messages, "event", 2)
        await press.publish(PAGES[0])
        async with desk.serving(settings):
            await has(messages, "event", 3)
        async with desk.serving(others):
            await has(messages, "error")
    assert told_ids(messages) == await press.ids()
    assert messages[-1] == {"type": "error", "code": "access.unknown", "closeCode": None}


@pytest.mark.parametrize(
    ("query", "code"),
    [("", "access.missing"), (f"?access_token={'w' * 24}", "access.unknown")],
    ids=["none", "wrong"],
)
async def test_with_no_key_or_a_wrong_one_it_ends_at_once(
    redis: Redis, redis_url: str, keys: Keys, client: Client, query: str, code: str
) -> None:
    async with Desk(redis, redis_url, keys).serving(KEYED) as gateway:
        messages = await client.until("error", f"{gateway}/v1/feed{query}")
    assert messages == [{"type": "error", "code": code, "closeCode": None}]


async def test_a_key_may_stand_in_the_headers_of_a_session(
    press: Press, redis: Redis, redis_url: str, keys: Keys
) -> None:
    """Only Python can set them."""
    await press.publish(PAGES[0])
    async with Desk(redis, redis_url, keys).serving(KEYED) as gateway:
        cursor = await beginning(gateway + WITH_KEY)
        for secret, code in ((SECRET, ""), ("w" * 24, "access.unknown")):
            headers = {"Authorization": f"Bearer {secret}"}
            async with aiohttp.ClientSession(headers=headers) as session:
                feed = subscribe(gateway, session=session, cursor=cursor)
                if not code:
                    assert [await first(feed), await first(feed)] == [1, 2]
                    continue
                with pytest.raises(SubscriberError) as refused:
                    await first(feed)
                assert refused.value.code == code


async def test_a_key_for_one_page_leaves_its_chain_whole(
    press: Press, redis: Redis, redis_url: str, keys: Keys, client: Client
) -> None:
    few = {"desk": KeySettings(secret=SECRET, pages=(PAGES[1].id,))}
    settings = msgspec.structs.replace(KEYED, keys=few)
    async with Desk(redis, redis_url, keys).serving(settings) as gateway:
        url = f"{gateway}/v1/feed{WITH_KEY}"
        async with taking(client, url, await beginning(url)) as messages:
            for page in (PAGES[0], PAGES[1], PAGES[0], PAGES[1], PAGES[0], PAGES[1]):
                await press.publish(page)
            await has(messages, "event", 4)
    events = [one["event"] for one in messages if one["type"] == "event"]
    assert [int(event["sequence"]) for event in events] == [1, 2, 3, 4]
    assert {event["data"]["page"]["id"] for event in events} == {PAGES[1].id}
    assert {one["type"] for one in messages} <= {"hello", "event", "cursor", "health"}


async def test_how_well_a_page_is_seen_is_told_whenever_it_changes(
    press: Press, gateway: str, client: Client
) -> None:
    past = datetime(2025, 4, 25, 9, 0, tzinfo=UTC)
    healths = [
        Health(),
        Health(status="stale", reason="http.503", failures=3),
        Health(last_poll=past, next_poll=past),  # long overdue: nobody polls
        Health(),
    ]
    await press.publish(PAGES[0])
    told: list[tuple[str, str | None]] = []
    async with taking(client, gateway) as messages:
        await has(messages, "cursor")
        for health, said in zip(healths, SEEN, strict=True):
            await save_health(press, PAGES[0], health)

            async def look(said: tuple[str, str | None] = said) -> bool:
                told[:] = [told_health(one) for one in messages if one["type"] == "health"]
                return bool(told) and told[-1] == said

            await eventually(look, f"the health {said}")
    assert [said for said, _ in groupby(told)] == SEEN
    assert {one["page"] for one in messages if one["type"] == "health"} == {PAGES[0].id}


async def save_health(press: Press, page: Page, health: Health) -> None:
    """What a poller writes that has found nothing new."""
    token = await press.store.acquire(page.id, 60_000)
    assert token
    await press.store.save_health(page.id, token, health)
    await press.store.release(page.id, token)


SEEN = [("healthy", None), ("stale", "http.503"), ("stale", "poller.silent"), ("healthy", None)]


def told_health(message: JSON) -> tuple[str, str | None]:
    return message["health"]["status"], message["health"]["reason"]


async def test_a_subscription_knows_how_well_each_page_is_seen(press: Press, gateway: str) -> None:
    await press.publish(PAGES[0])
    await press.publish(PAGES[1])
    feed = subscribe(gateway)
    await taken(feed, named(PageHealth))
    await save_health(press, PAGES[1], Health(status="stale", reason="http.503"))
    await taken(feed, lambda message: feed.healths[PAGES[1].id].status == "stale")
    reasons = {page: health.reason for page, health in feed.healths.items()}
    assert reasons == {PAGES[0].id: None, PAGES[1].id: "http.503"}
