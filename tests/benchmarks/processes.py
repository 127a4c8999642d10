"""Processes to measure, and what a process costs. Each is ended, and so is what it started."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
from msgspec import Struct
from redis.asyncio import Redis

from service import embedded
from service.connection import connect
from service.keys import Keys
from tests.e2e.commands import Running, running
from tests.waiting import eventually

IMPORTS = "import aiohttp, redis.asyncio"
# What any program of this kind is before it does anything; it wakes once a second, as ours does.
IDLE = f"""
import asyncio, uvloop
{IMPORTS}
async def idle():
    print("idle", flush=True)
    while True:
        await asyncio.sleep(1)
uvloop.run(idle())
"""


class Up(Struct, frozen=True):
    """A running `stoppress up`. server: the embedded server, its child."""

    process: psutil.Process
    server: psutil.Process
    gateway: str
    redis_url: str


@asynccontextmanager
async def up(folder: Path, urls: Iterable[str], settings: str = "") -> AsyncIterator[Up]:
    """`stoppress up URLS`, ready; ended as Ctrl-C does. settings: TOML beside the defaults."""
    folder.mkdir()
    file = folder / "stoppress.toml"
    file.write_text(settings, "utf-8")
    args = ["--config", str(file), "up", "--port", "0", *urls]
    async with running(folder, *args) as command:
        gateway = (await command.says(r"^Web page\s+(http://\S+?)/$"))[1]
        await ready(gateway)
        process = psutil.Process(command.process.pid)
        draining = asyncio.create_task(_drain(command))
        try:
            yield Up(process, _server(process), gateway, embedded.url(folder / "data"))
        finally:
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)
        assert await command.stop() == 0


async def ready(gateway: str) -> None:
    """Wait until a gateway accepts subscribers."""
    async with aiohttp.ClientSession() as session:

        async def answers() -> bool:
            async with session.get(f"{gateway}/readyz") as response:
                return response.status == 200

        await eventually(answers, "a gateway that is ready")


async def opened(running: Up, events: int) -> None:
    """Wait until so many events, the baseline of its pages, are published."""
    async with connect(running.redis_url) as redis:

        async def all_there() -> bool:
            return await published(redis) == events

        await eventually(all_there, f"{events} events")


async def published(redis: Redis) -> int:
    """How many events the stream holds."""
    return int(await redis.xlen(Keys().events))


async def _drain(command: Running) -> None:
    """Read its log as it comes: a full pipe would stop it."""
    assert command.process.stdout is not None
    while await command.process.stdout.read(64 * 1024):
        pass


def _server(process: psutil.Process) -> psutil.Process:
    (server,) = (child for child in process.children() if "valkey" in child.name())
    return server


@asynccontextmanager
async def script(code_or_file: str | Path, *args: str) -> AsyncIterator[tuple[psutil.Process, str]]:
    """A Python process and the first line that it says."""
    program = ["-c", code_or_file] if isinstance(code_or_file, str) else [str(code_or_file)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *program, *args, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        said = await process.stdout.readline()
        assert said, "it ended before it said anything"
        yield psutil.Process(process.pid), said.decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds that a process has used, without its children.

    Linux has a clock for every process, finer than what /proc says in hundredths of a second; see
    clock_getcpuclockid(3) for its id.
    """
    if sys.platform == "linux":
        return time.clock_gettime((~process.pid << 3) | 2)
    times = process.cpu_times()
    return times.user + times.system


def resident_mb(process: psutil.Process) -> float:
    """Resident memory, shared pages included."""
    return process.memory_info().rss / 1e6
