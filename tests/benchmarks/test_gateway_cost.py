"""What a delivery costs the gateway, beside the least that it can cost: send() in a loop, in C.

Server CPU only: the subscribers are a program of their own, which reads and throws away.
"""

from __future__ import annotations

import asyncio
import resource
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis
from yarl import URL

from service.diff import Doubt, Policy, advance, diff
from service.events import Event
from service.keys import Keys
from service.model import PageState
from tests.benchmarks.figures import Figure, fields
from tests.benchmarks.processes import cpu_s, ready
from tests.e2e.commands import running
from tests.pages import PAGE, entry, page_of

FLOOR = Path(__file__).with_name("floor.c")
SUBSCRIBERS = 2000
ROUNDS = 30
BURST = 20
# With what is around them, events of about a kilobyte.
WORDS = "Rescue teams have reached the village. "


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here: there is nothing to compare with")
    program = tmp_path_factory.mktemp("floor") / "floor"
    subprocess.run([compiler, "-O2", "-o", str(program), str(FLOOR)], check=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert hard > SUBSCRIBERS + 100, f"{soft} open files are too few"
    return str(program)


class Program:
    """A running floor.c; one line for each line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout

    async def says(self) -> str:
        async with asyncio.timeout(60):
            line = await self._out.readline()
        assert line, "it has ended"
        return line.decode().strip()

    async def ask(self, words: str) -> int:
        self._in.write(f"{words}\n".encode())
        return int(await self.says())


async def settled(drain: Program, times: int = 10) -> int:
    """The bytes read once nothing came any more so many times."""
    seen = [await drain.ask("quiet")]
    async with asyncio.timeout(60):
        while len(seen) < times or len(set(seen[-times:])) > 1:
            seen.append(await drain.ask("quiet"))
    return seen[-1]


@asynccontextmanager
async def program(*words: str) -> AsyncIterator[Program]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def subscribers(floor: str, port: int, path: str) -> AsyncIterator[Program]:
    async with program(floor, "drain", str(port), path, str(SUBSCRIBERS)) as drain:
        assert await drain.says() == "open"
        yield drain


@asynccontextmanager
async def gateway(
    folder: Path, redis_url: str, keys: Keys
) -> AsyncIterator[tuple[psutil.Process, int]]:
    """`stoppress gateway` as it is; nobody here answers a ping, so none may come."""
    more = {"STOPPRESS_REDIS_PREFIX": keys.prefix, "STOPPRESS_GATEWAY_HEARTBEAT_S": "600"}
    args = ["--redis-url", redis_url, "gateway", "--port", "0"]
    async with running(folder, *args, **more) as command:
        address = (await command.says(r"^Serving (http://\S+)/$"))[1]
        await ready(address)
        yield psutil.Process(command.process.pid), int(URL(address).port or 0)


def events() -> Iterator[Event]:
    """One edit after the other of one entry, all of one size."""
    state = PageState(page=PAGE)
    for number in range(10_000, 90_000):
        snapshot = page_of([entry(1, text=f"{WORDS}{number}")])
        step = diff(state, snapshot, Policy())
        assert not isinstance(step, Doubt)
        made, state = advance(state, step, snapshot.seen_at)
        yield made[-1]


async def add(redis: Redis, keys: Keys, some: list[Event]) -> None:
    """As a commit does: all at once."""
    async with redis.pipeline(transaction=True) as pipe:
        for event in some:
            pipe.xadd(keys.events, fields(event))
        await pipe.execute()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("burst", "target"), [(1, "1.35 x"), (BURST, "0.15 x")])
async def test_cpu_of_a_delivery(
    burst: int,
    target: str,
    floor: str,
    tmp_path: Path,
    redis: Redis,
    redis_url: str,
    keys: Keys,
    figures: list[Figure],
) -> None:
    """Every subscriber gets every byte. Rounds take turns, so that both have the same machine."""
    told = events()
    await add(redis, keys, [next(told)])
    async with (
        gateway(tmp_path, redis_url, keys) as (process, port),
        subscribers(floor, port, "/v1/feed") as ours,
        program(floor, "serve") as loop,
        subscribers(floor, int(await loop.says()), "-") as theirs,
    ):
        before = await settled(ours)
        await add(redis, keys, [next(told)])
        size = (await settled(ours) - before) // SUBSCRIBERS
        assert 800 < size < 1600
        ours_s = theirs_s = 0.0
        for _ in range(ROUNDS):
            before, began_s = await ours.ask("quiet"), cpu_s(process)
            await add(redis, keys, [next(told) for _ in range(burst)])
            after = await settled(ours, 2)
            ours_s += cpu_s(process) - began_s
            told_each, left = divmod(after - before, SUBSCRIBERS)
            assert left == 0
            # Of several events in one millisecond the cursors are not all equally long.
            assert abs(told_each / burst - size) < 8
            theirs_s += await loop.ask(f"send {size}") / 1e9
            await theirs.ask("quiet")
    each, floor_each = (
        seconds / SUBSCRIBERS / ROUNDS * 1e6 for seconds in (ours_s / burst, theirs_s)
    )
    what = "one event" if burst == 1 else f"one of {burst} events at once"
    figures.append(
        Figure(
            f"{what} to one of {SUBSCRIBERS:,}: server CPU",
            each,
            floor_each,
            "µs",
            f"send() of {size:,} bytes in C",
            target,
        )
    )
