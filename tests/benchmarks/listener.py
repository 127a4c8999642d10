"""A WebSocket client that does as little as can be: five hundred must not be the bottleneck.

It asks for the feed, answers nothing and looks for words in what comes.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from yarl import URL


class Listener(asyncio.Protocol):
    """One connection. Wait with `hears` for words that must come."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._heard = b""
        self._wanted = b""
        self._found: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {self._url.path} HTTP/1.1\r\nHost: {self._url.authority}\r\n"
            f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._heard += data
        if self._heard.startswith(b"HTTP/1.1 ") and not self._heard.startswith(b"HTTP/1.1 101"):
            self.transport.abort()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._found is not None and not self._found.done():
            self._found.set_exception(exc or ConnectionResetError("the server closed"))

    def hears(self, words: bytes) -> asyncio.Future[None]:
        """Done as soon as these words have come. What came before them is forgotten."""
        self._wanted, self._found = words, asyncio.get_running_loop().create_future()
        self._look()
        return self._found

    def _look(self) -> None:
        if self._found is None or self._found.done():
            return
        place = self._heard.find(self._wanted)
        if place >= 0:
            self._heard = self._heard[place + len(self._wanted) :]
            self._found.set_result(None)


@asynccontextmanager
async def listeners(feed: str, count: int) -> AsyncIterator[list[Listener]]:
    """So many connections to a feed, all of which have been told its state."""
    url = URL(feed)
    loop = asyncio.get_running_loop()
    opened: list[Listener] = []
    try:
        for _ in range(count):
            _, one = await loop.create_connection(
                lambda: Listener(url), str(url.host), int(url.port or 80)
            )
            opened.append(one)
            await one.hears(b'"type":"cursor"')
        yield opened
    finally:
        for one in opened:
            one.transport.abort()
