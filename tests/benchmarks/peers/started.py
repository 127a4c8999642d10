"""The peers as processes: each with its subscribers, and a way to make it send."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import psutil
from msgspec import Struct
from redis.asyncio import Redis

from service.events import Event, structured
from service.keys import Keys
from tests.benchmarks.figures import fields
from tests.benchmarks.processes import cpu_s, script
from tests.benchmarks.test_gateway_cost import Program, add, events, gateway
from tests.e2e.commands import ROOT
from tests.waiting import eventually

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("STOPPRESS_PEERS", Path.home() / ".cache" / "stoppress-peers"))
NAIVE = ROOT / "tests" / "benchmarks" / "naive_fan_out.py"
INSTALL = "run tests/benchmarks/peers/install.sh"
MODULES = ("/usr/lib/nginx/modules", "/usr/share/nginx/modules", "/usr/lib64/nginx/modules")
# A text message of 126 to 65,535 bytes has so many more around it.
FRAME = 4


class Spoken(Program):
    """A program that is told lines, and not only asked."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        super().__init__(process)
        self.pid = process.pid

    def tell(self, data: bytes) -> None:
        self._in.write(data)


@asynccontextmanager
async def program(*words: str, **env: str) -> AsyncIterator[Spoken]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *words, stdin=pipe, stdout=pipe, env=os.environ | env
    )
    try:
        yield Spoken(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


class Peer(Struct):
    """A server. send: so many messages at once; answers its CPU seconds, if it knows them."""

    process: psutil.Process
    port: int
    path: str
    send: Callable[[int], Awaitable[float | None]]


class Crowd(Struct):
    """The subscribers of a server: processes, and how many each of them is."""

    peer: Peer
    drains: list[tuple[Spoken, int]]

    async def cpu_s(self, messages: int, least: int = 1) -> tuple[float, int]:
        """Send; CPU seconds until nothing more comes, and the bytes that each subscriber got."""
        had, began_s = await self.has(), cpu_s(self.peer.process)
        known_s = await self.peer.send(messages)
        each = await self.each_gets(had, least)
        return cpu_s(self.peer.process) - began_s if known_s is None else known_s, each

    async def last_ms(self, least: int = 1) -> float:
        """Send one message; milliseconds until the last subscriber has the last of its bytes."""
        had, began_ns = await self.has(), time.monotonic_ns()
        await self.peer.send(1)
        await self.each_gets(had, least)
        return (max([await drain.ask("last") for drain, _ in self.drains]) - began_ns) / 1e6

    async def has(self) -> list[tuple[int, int]]:
        """Once no more comes: of each process, the bytes of all, and of the one with the fewest."""
        totals = await asyncio.gather(*[drain.ask("quiet") for drain, _ in self.drains])
        least = [await drain.ask("least") for drain, _ in self.drains]
        return list(zip(totals, least, strict=True))

    async def each_gets(self, had: list[tuple[int, int]], least: int) -> int:
        """Wait until all have got equally many bytes, at least so many; how many that is.

        A busy machine may be silent before they are there.
        """
        async with asyncio.timeout(60):
            while True:
                now, each = await self.has(), set()
                for (_, count), (total, one), before in zip(self.drains, now, had, strict=True):
                    each |= {one - before[1], (total - before[0]) / count}
                if len(each) == 1 and min(each) >= least:
                    return int(each.pop())


async def size_of_event(crowd: Crowd) -> int:
    """With its frame. The first of ours is a new entry, all that follow are edits of it."""
    for _ in range(3):
        _, size = await crowd.cpu_s(1, 500)
    assert 800 < size < 1600
    return size


@asynccontextmanager
async def subscribers(
    floor: str, peer: Peer, count: int, processes: int = 1
) -> AsyncIterator[Crowd]:
    """So many, in as many processes. Each has the answer to its handshake."""
    share = count // processes
    drains = []
    async with AsyncExitStack() as stack:
        for _ in range(processes):
            words = ("drain", str(peer.port), peer.path, str(share))
            drain = await stack.enter_async_context(program(floor, *words))
            assert await drain.says() == "open"
            if peer.path != "-":
                await eventually(partial(drain.ask, "least"), "the last handshake")
            await drain.ask("quiet")
            drains.append((drain, share))
        yield Crowd(peer, drains)


class Needs(Struct):
    """What the servers are started with. size: of a message, with its frame."""

    folder: Path
    redis: Redis
    redis_url: str
    keys: Keys
    floor: str
    size: int


# --- the servers -----------------------------------------------------------------------------


@asynccontextmanager
async def floor(needs: Needs) -> AsyncIterator[Peer]:
    async with program(needs.floor, "serve") as loop:

        async def send(messages: int) -> float:
            return sum([await loop.ask(f"send {needs.size}") for _ in range(messages)]) / 1e9

        yield Peer(psutil.Process(loop.pid), int(await loop.says()), "-", send)


@asynccontextmanager
async def stoppress(needs: Needs) -> AsyncIterator[Peer]:
    told = events()  # a gap between them would be a reset: nobody else may take one
    async with gateway(needs.folder, needs.redis_url, needs.keys) as (process, port):

        async def send(messages: int) -> None:
            await add(needs.redis, needs.keys, [next(told) for _ in range(messages)])

        yield Peer(process, port, "/v1/feed", send)


@asynccontextmanager
async def nchan(needs: Needs) -> AsyncIterator[Peer]:
    """The worker of an nginx. Its messages are posted one after the other on one connection."""
    port = _free_port()
    conf = needs.folder / "nchan.conf"
    files = min(20_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    text = (HERE / "nchan.conf").read_text("utf-8")
    named = {"PORT": port, "FOLDER": needs.folder, "MODULE": _nchan_module(), "FILES": files}
    for name, value in named.items():
        text = text.replace(name, str(value))
    conf.write_text(f"user root;\n{text}" if os.geteuid() == 0 else text, "utf-8")
    words = (str(shutil.which("nginx")), "-c", str(conf), "-p", str(needs.folder))
    async with _ended(*words) as process:
        worker = await eventually(lambda: _worker(process.pid), "nginx's worker")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = b"x" * (needs.size - FRAME)
        head = f"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"

        async def send(messages: int) -> None:
            writer.write((head.encode() + body) * messages)
            for _ in range(messages):
                answer = await reader.readuntil(b"\r\n\r\n")
                assert answer.startswith((b"HTTP/1.1 201", b"HTTP/1.1 202")), answer
                length = next(x for x in answer.lower().splitlines() if b"content-length" in x)
                await reader.readexactly(int(length.split(b":")[1]))

        try:
            yield Peer(worker, port, "/feed", send)
        finally:
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def naive(needs: Needs) -> AsyncIterator[Peer]:
    told = events()
    async with script(NAIVE, needs.redis_url, needs.keys.dead) as (process, port):

        async def send(messages: int) -> None:
            async with needs.redis.pipeline(transaction=True) as pipe:
                for _ in range(messages):
                    pipe.xadd(needs.keys.dead, _of_size(next(told), needs.size))
                await pipe.execute()

        yield Peer(process, int(port), "/v1/feed", send)


def _reads_lines(*words: str) -> Callable[[Needs], AbstractAsyncContextManager[Peer]]:
    """A server that says its port, and sends what it is told in lines."""

    @asynccontextmanager
    async def started(needs: Needs) -> AsyncIterator[Peer]:
        more = {"NODE_PATH": str(CACHE / "node_modules"), "PYTHONPATH": str(CACHE / "python")}
        async with program(*words, **more) as server:
            line = b"x" * (needs.size - FRAME) + b"\n"

            async def send(messages: int) -> None:
                server.tell(line * messages)

            yield Peer(psutil.Process(server.pid), int(await server.says()), "/", send)

    return started


STARTS: dict[str, Callable[[Needs], AbstractAsyncContextManager[Peer]]] = {
    "send() in C": floor,
    "Stoppress": stoppress,
    "nchan": nchan,
    "Node ws": _reads_lines("node", str(HERE / "ws_server.js")),
    "websockets": _reads_lines(sys.executable, str(HERE / "websockets_server.py")),
    "picows": _reads_lines(sys.executable, str(HERE / "picows_server.py")),
    "aiohttp send_str": naive,
}


def missing(name: str) -> str | None:
    """What a peer lacks here; None where it can be started."""
    lacks = {
        "nchan": lambda: [
            *_program("nginx"),
            *([] if _nchan_module() else ["module nchan of nginx"]),
        ],
        "Node ws": lambda: [*_program("node"), *_cached("node_modules/ws")],
        "websockets": lambda: _cached("python/websockets"),
        "picows": lambda: _cached("python/picows"),
    }
    found = lacks.get(name, list)()
    return f"{name} is NOT compared: no {' and no '.join(found)} here; {INSTALL}" if found else None


def _program(name: str) -> list[str]:
    return [] if shutil.which(name) else [name]


def _cached(path: str) -> list[str]:
    return [] if (CACHE / path).is_dir() else [str(CACHE / path)]


def _nchan_module() -> Path | None:
    found = (Path(folder) / "ngx_nchan_module.so" for folder in MODULES)
    return next((file for file in found if file.is_file()), None)


def _free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


async def _worker(pid: int) -> psutil.Process | None:
    """The child of nginx that does the work. By then nginx listens."""
    return next(iter(psutil.Process(pid).children()), None)


def _of_size(event: Event, size: int) -> dict[bytes, bytes]:
    """The fields of an event, with as much white space as a message of that size needs."""
    made = {name.encode(): value for name, value in fields(event).items()}
    made[b"data"] += b" " * (size - FRAME - len(structured(made)))
    return made


@asynccontextmanager
async def _ended(*words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process; ended at the end, so that it can end its own."""
    process = await asyncio.create_subprocess_exec(*words)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
