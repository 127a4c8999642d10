"""What the fan-out is compared with: one loop that reads a stream and sends to every socket.

Run as a script with the address of a Redis and a stream; says its port. No filters, no positions,
no replay: a slow reader would stop everybody.
"""

from __future__ import annotations

import sys
from typing import cast

import uvloop
from aiohttp import web
from redis.asyncio import Redis

from service.events import structured


async def main(url: str, stream: str) -> None:
    """Serve until killed."""
    sockets: set[web.WebSocketResponse] = set()

    async def feed(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        sockets.add(ws)
        await ws.send_str('{"type":"cursor"}')
        async for _ in ws:
            pass
        sockets.discard(ws)
        return ws

    app = web.Application()
    app.add_routes([web.get("/v1/feed", feed)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    redis, last = Redis.from_url(url), b"0"
    while True:
        answer = await redis.xread({stream: last}, block=2000)
        for _, found in cast("list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]", answer):
            for stream_id, fields in found:
                last = stream_id
                text = structured(fields).decode()
                for ws in list(sockets):
                    await ws.send_str(text)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
