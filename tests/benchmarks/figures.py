"""What a benchmark says: a number, what was run beside it, their ratio, and the target in words.

Nothing here judges a time: machines are shared, so a number means something only beside another one
of the same run.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from statistics import median, quantiles
from typing import Any

import psutil
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from service.events import Event, to_fields

WIDTH = 132


class Figure(Struct, frozen=True):
    """One line of the table. unit: of `measured` and `beside`. than: what `beside` is."""

    what: str
    measured: float
    beside: float
    unit: str
    than: str
    target: str = ""

    @property
    def ratio(self) -> float:
        """How many times as much as what was run beside it."""
        return self.measured / self.beside


def show(figures: list[Figure], load: float) -> None:
    """Print the table. load: the machine's load average before anything was measured."""
    table = Table(box=None, pad_edge=False)
    table.add_column("what")
    table.add_column("measured", justify="right")
    table.add_column("ratio", justify="right")
    table.add_column("beside it, in the same run")
    table.add_column("target")
    for one in figures:
        measured, beside = (_shown(number, one.unit) for number in (one.measured, one.beside))
        ratio = f"{one.ratio:.3g} x"
        table.add_row(one.what, measured, ratio, f"{beside}  {one.than}", one.target)
    console = Console(width=WIDTH, highlight=False)
    console.print(f"\nMeasured {_here(load)}\n")
    console.print(table)


def _here(load: float) -> str:
    """When, and on what."""
    memory_gb = psutil.virtual_memory().total / 1e9
    return (
        f"{datetime.now().astimezone():%Y-%m-%d %H:%M} on {os.cpu_count()} cores, "
        f"{memory_gb:.0f} GB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, load {load:.1f} before"
    )


def _shown(number: float, unit: str) -> str:
    """Three digits that mean something."""
    return f"{number:,.0f} {unit}" if number >= 100 else f"{number:#.3g} {unit}"


# --- measuring -----------------------------------------------------------------------------------


def side_by_side(
    work: Callable[[], object], other: Callable[[], object], rounds: int
) -> tuple[float, float]:
    """Median milliseconds of both, taken in turns, so that a busy moment meets both."""
    pairs = [(_ms(work), _ms(other)) for _ in range(rounds)]
    return median(one for one, _ in pairs), median(two for _, two in pairs)


def _ms(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return (time.perf_counter() - began_s) * 1000


async def awaited_ms(work: Awaitable[object]) -> float:
    """Milliseconds until it is done."""
    began_s = time.perf_counter()
    await work
    return (time.perf_counter() - began_s) * 1000


def fields(event: Event) -> dict[Any, Any]:
    """The fields of a stream entry, as redis-py's types want them."""
    return dict(to_fields(event))


def p99(numbers: list[float]) -> float:
    """The number that one in a hundred exceeds."""
    return quantiles(numbers, n=100, method="inclusive")[98]
