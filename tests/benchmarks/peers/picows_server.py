"""Sends each line of its standard input to every subscriber, with picows."""

from __future__ import annotations

from lines import each_line, run
from picows import WSListener, WSMsgType, WSTransport, ws_create_server


class Subscriber(WSListener):
    def __init__(self, found: set[WSTransport]) -> None:
        self.found = found

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.found.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.found.discard(transport)


async def main() -> None:
    """Serve until standard input ends."""
    found: set[WSTransport] = set()

    def send(line: bytes) -> None:
        for one in found:
            one.send(WSMsgType.TEXT, line)

    server = await ws_create_server(lambda _: Subscriber(found), "127.0.0.1", 0, backlog=4096)
    await each_line(send, server.sockets[0].getsockname()[1])


if __name__ == "__main__":
    run(main())
