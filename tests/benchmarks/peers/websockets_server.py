"""Sends each line of its standard input to every subscriber, with `websockets.broadcast`."""

from __future__ import annotations

from lines import each_line, run
from websockets.asyncio.server import ServerConnection, broadcast, serve


async def main() -> None:
    """Serve until standard input ends."""
    found: set[ServerConnection] = set()

    async def feed(one: ServerConnection) -> None:
        found.add(one)
        await one.wait_closed()
        found.discard(one)

    # None answers a ping, so none may come.
    more = {"compression": None, "ping_interval": None, "backlog": 4096}
    async with serve(feed, "127.0.0.1", 0, **more) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        await each_line(lambda line: broadcast(found, line, text=True), port)


if __name__ == "__main__":
    run(main())
