"""What every receiver that speaks HTTP can do: take requests, fail in turn, and show the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any, Self

from aiohttp import web
from msgspec import Struct


class Fault(Enum):
    """SLOW: takes nothing and never answers. CUT: takes nothing and hangs up. GARBAGE: takes
    nothing and answers with what is no HTTP. LOST: takes it, then hangs up without an answer."""

    SLOW = "slow"
    CUT = "cut"
    GARBAGE = "garbage"
    LOST = "lost"


class Status(Struct, frozen=True):
    """Takes nothing and answers with this."""

    status: int
    headers: dict[str, str] = {}
    body: str = ""


class HttpReceiver:
    """faults: what happens to the next requests, in turn. fired: those that have happened.

    requests: how many came, faults among them. url: its own address, without a path.
    """

    def __init__(self) -> None:
        self.faults: list[Fault | Status] = []
        self.fired: list[Fault | Status] = []
        self.requests = 0
        self.url = ""
        self._ended = asyncio.Event()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        raise NotImplementedError

    def visible(self) -> list[str]:
        """What people see there now, in order of its first coming."""
        raise NotImplementedError

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        app = web.Application(middlewares=[self._fail])
        self.add_routes(app.router)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            self._ended.set()
            await runner.cleanup()
        assert not self.faults, "every fault has happened"

    @web.middleware
    async def _fail(self, request: web.Request, handler: web.RequestHandler) -> web.StreamResponse:
        self.requests += 1
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            self.fired.append(fault)
        match fault:
            case None:
                return await handler(request)
            case Status(status, headers, body):
                return web.Response(status=status, headers=headers, text=body)
            case Fault.SLOW:
                await self._ended.wait()
            case Fault.LOST:
                await handler(request)
        transport: Any = request.transport
        if fault is Fault.GARBAGE:
            transport.write(b"no HTTP\r\n\r\n")
            transport.close()
        else:
            transport.abort()
        return web.Response(status=503)
