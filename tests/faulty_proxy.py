"""A TCP proxy that is a bad network: it cuts, hangs, delays and corrupts. The seed says where."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

FAULTS = ("cut", "reset", "corrupt", "hang")
CHUNK = 1024
PAUSE_S = 0.02


class FaultyProxy:
    """Every connection through it goes wrong after some bytes, until `calm` is set.

    faults: how often each was met. url: where it listens.
    """

    def __init__(self, port: int, seed: int, mean_bytes: int) -> None:
        self.faults: Counter[str] = Counter()
        self.calm = False
        self.url = ""
        self._port, self._random, self._mean_bytes = port, random.Random(seed), mean_bytes

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._port)
        asking = asyncio.create_task(_pass_on(reader, there))
        try:
            await self._answer(there_reader, writer)
        except ConnectionError:
            pass
        finally:
            there.close()  # before anything is awaited: that may be cancelled too
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What the gateway says, up to and with the fault."""
        left, fault = self._next()
        while data := await reader.read(self._random.randint(1, CHUNK)):
            if self._random.random() < 0.05:
                await asyncio.sleep(self._random.uniform(0, PAUSE_S))
            left -= len(data)
            if left >= 0 or self.calm:
                writer.write(data)
                await writer.drain()
                continue
            self.faults[fault] += 1
            if fault != "corrupt":
                writer.write(data[:left])
                return await self._end(fault, writer)
            # No text of a test holds such a byte: whoever looks can see it. A header may.
            writer.write(data[:left] + bytes([data[left] ^ 0x80]) + data[left:][1:])
            left, fault = self._next()
        return None

    def _next(self) -> tuple[int, str]:
        """After how many bytes what goes wrong."""
        return int(self._random.expovariate(1 / self._mean_bytes)), self._random.choice(FAULTS)

    async def _end(self, fault: str, writer: asyncio.StreamWriter) -> None:
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "reset":
            writer.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def faulty_proxy(
    gateway: str, seed: int, mean_bytes: int = 4000
) -> AsyncIterator[FaultyProxy]:
    """A proxy before a gateway. mean_bytes: how far a connection comes on average."""
    proxy = FaultyProxy(int(gateway.rsplit(":", 1)[1]), seed, mean_bytes)
    running: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.serve(reader, writer))
        running.add(task)
        task.add_done_callback(running.discard)
        task.add_done_callback(lambda _: writer.close())  # also of one that never began

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        while running:  # one that was just accepted comes later
            for task in list(running):
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await asyncio.sleep(0)
