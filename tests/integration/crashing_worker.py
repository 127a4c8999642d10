"""Real alert workers that kill themselves at a named point.

It is started once and forks a process for each line of JSON that it reads: a worker whose modules
are loaded costs next to nothing. It says `NAME ready`, `NAME at POINT` and `NAME ended SIGNAL`. It
ends, and all of them, when its input does.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

import workers.alerts.channels.apprise  # noqa: F401 - takes half a second
from service.config import AlertSettings, LogSettings
from service.connection import connect
from service.keys import Keys
from service.observability import configure_logs
from workers.alerts.delivery import Pace
from workers.alerts.worker import alerts_worker


class Order(Struct, frozen=True):
    """point: where it kills itself; "never" for an ordinary worker. stdout: its file."""

    name: str
    redis_url: str
    prefix: str
    settings: AlertSettings
    pace: Pace
    point: str = "never"
    stdout: str = "/dev/null"


def work(order: Order) -> None:
    """Be that worker."""
    said = os.dup(1)
    os.dup2(os.open(order.stdout, os.O_WRONLY | os.O_APPEND | os.O_CREAT), 1)

    def say(words: str) -> None:
        os.write(said, f"{order.name} {words}\n".encode())

    def checkpoint(point: str) -> None:
        if point == order.point:
            say(f"at {point}")
            os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(
        alerts_worker(
            lambda: connect(order.redis_url),
            Keys(prefix=order.prefix),
            order.settings,
            max_events=1000,
            now=lambda: datetime.now(UTC),
            ready=lambda: say("ready"),
            pace=order.pace,
            checkpoint=checkpoint,
        )
    )


def main() -> None:
    """Fork workers and say how they end."""
    names: dict[int, str] = {}
    decoder = msgspec.json.Decoder(Order)
    while True:
        if select.select([sys.stdin], [], [], 0.01)[0]:
            line = sys.stdin.buffer.raw.readline()  # type: ignore[union-attr]
            if not line:
                break
            order = decoder.decode(line)
            if (pid := os.fork()) == 0:
                work(order)
                os._exit(0)
            names[pid] = order.name
        while names and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            os.write(1, f"{names.pop(ended[0])} ended {ended[1]}\n".encode())
    for pid in names:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    configure_logs(LogSettings(level="error"))
    main()
