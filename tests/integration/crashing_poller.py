"""A real poller that kills itself at a named point: `crashing_poller.py URL PREFIX POINT NTH`.

POINT "never" makes it an ordinary poller. Prints nothing; SIGKILL leaves it no chance to tidy up.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime

import aiohttp

from service.config import LogSettings, PollSettings
from service.connection import connect
from service.fetch import Fetcher
from service.keys import Keys
from service.observability import configure_logs
from service.poller import Poller
from service.store import Store

SETTINGS = PollSettings(floor_s=0.05, ceiling_s=0.05, lease_s=1, confirm_polls=3)


def now() -> datetime:
    return datetime.now(UTC)


async def main(url: str, prefix: str, point: str, nth: int) -> None:
    times = 0

    def reached(step: str) -> None:
        nonlocal times
        times += step == point
        if step == point and times == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    async with aiohttp.ClientSession() as session, connect(url) as redis:
        store = Store(redis, Keys(prefix), max_events=10_000)
        fetcher = Fetcher(session, contact=None, timeout_s=5, max_body_bytes=10**6, now=now)
        await Poller(store, fetcher, SETTINGS, now=now, checkpoint=reached).run()


if __name__ == "__main__":
    configure_logs(LogSettings(level="error"))
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
