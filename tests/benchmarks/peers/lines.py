"""What the Python peers share: lines of standard input, and a loop as fast as ours."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import uvloop


async def each_line(send: Callable[[bytes], None], port: int) -> None:
    """Say the port; give every line to `send`, until there are no more."""
    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    print(port, flush=True)
    async for line in lines:
        send(line.rstrip(b"\n"))


run = uvloop.run
