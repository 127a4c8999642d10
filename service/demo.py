"""`stoppress demo`: the sample page through every part, each a process of its own.

With `once` it compares what the page did with what came out at the two ends: the WebSocket feed and
a webhook whose signatures are verified.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from msgspec import Struct
from redis.asyncio import Redis
from rich.table import Table
from standardwebhooks import Webhook, WebhookVerificationError

from service.client import subscribe
from service.connection import connect
from service.embedded import embedded
from service.errors import StoppressError
from service.events import AlertEvent, EntryEvent, Event, from_json
from service.keys import Keys
from service.replay import Expected, load
from service.subscriber import EventMessage, Position
from service.terminal import line

SEED = "bbc-live-2025-04-25.txt"
SECRET = "whsec_" + "c3RvcHByZXNzLWRlbW8tb25seS1zZWNyZXQ="  # known to all: guards nothing
HOOK = "demo"
START_S = 20.0
STILL_S = 60.0  # so long without anything new means that something is stuck
MAX_GAP_S = 600.0
END_S = 5.0
Print = Callable[..., None]


def seed() -> Path:
    """The sample page: in the checkout, or as it was installed."""
    here = Path(__file__).parent
    checkout = here.parent / "seeds" / SEED
    return checkout if checkout.is_file() else here / "seeds" / SEED


@contextmanager
def redis_server() -> Iterator[str]:
    """A Valkey server whose data goes with it."""
    with (
        tempfile.TemporaryDirectory(prefix="stoppress-demo-") as folder,
        embedded(Path(folder), sync=False) as url,
    ):
        yield url


async def demo(url: str, *, once: bool, speed: float, port: int, print_: Print) -> None:
    """Run the demo on the Redis at `url`; for ever, or `once`.

    Raises StoppressError when what arrived is not what the page did.
    """
    seen = Seen()
    async with _receiver(seen) as hook, _stage(url, hook, speed, port, once=once) as stage:
        print_(f"Live page  {stage.page}")
        print_(f"Web page   {stage.gateway}/\n", style="bold")
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(_read(stage.gateway, seen, print_))
            await seen.connected.wait()
            await asyncio.gather(stage.start("poll", stage.page), stage.start("alerts"))
            if once:
                await _play_out(stage, seen, url)
                reading.cancel()
    if once:
        _compare(load(seed(), now=datetime.now(UTC)).timeline().expected, seen, print_)


# --- the parts -----------------------------------------------------------------------------------


class Stage:
    """The processes. page, gateway: addresses."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ
        self._processes: list[Process] = []
        self._echoes: list[asyncio.Task[None]] = []
        self.page = self.gateway = ""

    async def start(self, *args: str) -> str:
        """Start `stoppress ARGS`; its first line of output, which says that it is ready."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "service",
            "--until-eof",
            *args,
            stdin=PIPE,
            stdout=PIPE,
            env=self._environ,
            start_new_session=True,  # Ctrl-C is for us; we end them in order
        )
        self._processes.append(process)
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                said = (await process.stdout.readline()).decode().strip()
        except TimeoutError:
            said = ""
        if not said:
            raise StoppressError("demo.part_failed", f"`stoppress {args[0]}` did not start")
        self._echoes.append(asyncio.create_task(_echo(process.stdout)))
        return said

    async def end(self) -> None:
        """End them all, the last one started first."""
        for process in reversed(self._processes):
            if process.returncode is None:
                process.terminate()
        for process in self._processes:
            try:
                async with asyncio.timeout(END_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        await asyncio.gather(*self._echoes, return_exceptions=True)


async def _echo(output: asyncio.StreamReader) -> None:
    """Show what a part prints, such as the alerts on the console channel."""
    async for said in output:
        sys.stdout.buffer.write(b"        ALERT " + said)
        sys.stdout.flush()


@asynccontextmanager
async def _stage(
    url: str, hook: str, speed: float, port: int, *, once: bool
) -> AsyncIterator[Stage]:
    """The replayed page and the gateway, ready. Who reads and writes the streams comes later."""
    with tempfile.TemporaryDirectory(prefix="stoppress-demo-") as folder:
        settings = Path(folder) / "stoppress.toml"
        settings.write_text(_settings(url, hook, console=not once), "utf-8")
        stage = Stage(_environ(settings))
        pace = ["--speed", "0"] if once else ["--speed", str(speed), "--max-gap", str(MAX_GAP_S)]
        try:
            page, gateway = await asyncio.gather(
                stage.start("replay", str(seed()), "--port", "0", *pace),
                stage.start("gateway", "--port", "0" if once else str(port)),
            )
            stage.page, stage.gateway = _address(page), _address(gateway).rstrip("/")
            yield stage
        finally:
            await stage.end()


def _environ(settings: Path) -> dict[str, str]:
    """Ours, without settings that are not the demo's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STOPPRESS_")}
    return {**kept, "STOPPRESS_CONFIG": str(settings)}


def _settings(url: str, hook: str, *, console: bool) -> str:
    return f"""
[redis]
url = "{url}"
[poll]
floor_s = 0.1
ceiling_s = 0.3
retry_ceiling_s = 1
[alerts]
console = {str(console).lower()}
[alerts.webhooks.{HOOK}]
url = "{hook}"
secret = "{SECRET}"
allow_private = true
[log]
level = "error"
"""


def _address(said: str) -> str:
    found = re.search(r"https?://\S+", said)
    if found is None:
        raise StoppressError("demo.part_failed", f"no address in {said!r}")
    return found[0]


# --- the two ends --------------------------------------------------------------------------------


class Seen:
    """What arrived. alerts: as webhooks, verified."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.alerts: list[AlertEvent] = []
        self.connected = asyncio.Event()


async def _read(gateway: str, seen: Seen, print_: Print) -> None:
    async for message in subscribe(gateway).messages():
        if isinstance(message, Position):
            seen.connected.set()
        if isinstance(message, EventMessage):
            seen.events.append(message.event)
            print_(line(message.event))


@asynccontextmanager
async def _receiver(seen: Seen) -> AsyncIterator[str]:
    """A webhook receiver on a free port; its address."""
    verifier = Webhook(SECRET)

    async def receive(request: web.Request) -> web.Response:
        body = await request.read()
        try:
            verifier.verify(body, dict(request.headers), json_parse=False)
        except WebhookVerificationError:
            return web.Response(status=401)
        event = from_json(body)
        assert isinstance(event, AlertEvent)
        seen.alerts.append(event)
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/alerts", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/alerts"
    finally:
        await runner.cleanup()


async def _play_out(stage: Stage, seen: Seen, url: str) -> None:
    """Wait until the page did all it does, and everything has come out at both ends."""
    state = stage.page.rsplit("/", 1)[0] + "/replay/state"
    async with aiohttp.ClientSession() as session, connect(url) as redis:
        progress, since = "", asyncio.get_running_loop().time()
        enough = 0
        while True:
            async with session.get(state) as response:
                page: dict[str, Any] = await response.json()
            if page["finished"]:
                enough = enough or page["polls"] + 8  # for removals to be confirmed
                if page["polls"] >= enough and await _drained(redis, seen):
                    return
            now = asyncio.get_running_loop().time()
            if progress != (progress := f"{page} {len(seen.events)} {len(seen.alerts)}"):
                since = now
            if now - since > STILL_S:
                raise StoppressError("demo.stuck", f"nothing happens any more: {progress}")
            await asyncio.sleep(0.05)


async def _drained(redis: Redis, seen: Seen) -> bool:
    """Has every event reached us, and has every alert been judged and delivered?"""
    keys = Keys()
    if not seen.events or await redis.xlen(keys.events) != len(seen.events):
        return False
    newest = (await redis.xinfo_stream(keys.events))["last-generated-id"]
    for group in await redis.xinfo_groups(keys.events):
        if group["pending"] or group["last-delivered-id"] != newest:
            return False
    return not await redis.zcard(keys.queue(f"webhook:{HOOK}"))


# --- the comparison ------------------------------------------------------------------------------


class Row(Struct, frozen=True):
    """One line of the table: what the page did against what arrived."""

    what: str
    page: Counter[Hashable]
    arrived: Counter[Hashable]

    @property
    def missing(self) -> int:
        """Things that the page did and that never arrived."""
        return (self.page - self.arrived).total()

    @property
    def false(self) -> int:
        """Things that arrived and that the page never did."""
        return sum(n for key, n in self.arrived.items() if key not in self.page)

    @property
    def twice(self) -> int:
        """Things that arrived more often than the page did them."""
        extra = self.arrived - self.page
        return sum(n for key, n in extra.items() if key in self.page)

    @property
    def equal(self) -> bool:
        """Did exactly that arrive?"""
        return self.page == self.arrived


def compare(expected: Expected, events: Sequence[Event], alerts: Sequence[AlertEvent]) -> list[Row]:
    """What the page did against what arrived, kind by kind."""

    def arrived(kind: str) -> Counter[Hashable]:
        return Counter(_key(e) for e in events if e.type == f"stoppress.{kind}")

    def told(kind: str) -> Counter[Hashable]:
        return Counter(a.data.entry.id for a in alerts if a.type == f"stoppress.alert.{kind}")

    return [
        Row("published", Counter(expected.published), arrived("entry.published")),
        Row("edited", Counter(expected.edited), arrived("entry.edited")),
        Row("withdrawn", Counter(expected.removed), arrived("entry.removed")),
        Row("restored", Counter(), arrived("entry.restored")),
        Row("paused", Counter(["page"] * len(expected.paused)), arrived("page.paused")),
        Row("resumed", Counter(["page"] * len(expected.resumed)), arrived("page.resumed")),
        Row("alerts", Counter(expected.alerts), told("raised")),
        Row("taken back", Counter(expected.retracted), told("retracted")),
    ]


def _key(event: Event) -> Hashable:
    """What makes two events the same thing told twice."""
    if not isinstance(event, EntryEvent):
        return "page"
    if event.data.significance is not None:
        return (event.subject, event.data.significance.kind)
    return event.subject


def _compare(expected: Expected, seen: Seen, print_: Print) -> None:
    rows = compare(expected, seen.events, seen.alerts)
    table = Table("", "the page did", "arrived", "missing", "false", "twice", box=None)
    for row in rows:
        counts = (row.page.total(), row.arrived.total(), row.missing, row.false, row.twice)
        table.add_row(row.what, *map(str, counts), style="" if row.equal else "bold red")
    print_()
    print_(table)
    numbers = [event.number for event in seen.events]
    whole = numbers == list(range(1, len(numbers) + 1))
    print_(f"\n{len(numbers)} events in one chain{'' if whole else ', BROKEN'}", style="bold")
    if not whole or not all(row.equal for row in rows):
        raise StoppressError("demo.unequal", "what arrived is not what the page did")
    print_("Equal: nothing missing, nothing false, nothing twice.", style="bold green")
