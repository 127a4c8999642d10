"""How long `stoppress demo` takes to show its first event."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from tests.benchmarks.figures import Figure
from tests.benchmarks.processes import IMPORTS
from tests.e2e.commands import running

ROUNDS = 3


async def test_the_demo_shows_its_first_event(tmp_path: Path, figures: list[Figure]) -> None:
    """The first line after the addresses is an event; Ctrl-C ends the demo and all its parts."""
    demos_s, imports_s = [], []
    for number in range(ROUNDS):
        demos_s.append(await _first_event_s(tmp_path / str(number)))
        imports_s.append(_import_s())
    figures.append(
        Figure(
            "demo: start to first event",
            median(demos_s),
            median(imports_s),
            "s",
            "importing aiohttp and redis",
            "within 3 s",
        )
    )


async def _first_event_s(folder: Path) -> float:
    folder.mkdir()
    began_s = time.perf_counter()
    async with running(folder, "demo", "--port", "0") as command:
        await command.says(r"^\d\d:\d\d  \S+ ")
        took_s = time.perf_counter() - began_s
        assert await command.stop() == 0
    return took_s


def _import_s() -> float:
    began_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    return time.perf_counter() - began_s
