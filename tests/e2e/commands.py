"""`stoppress` as a process, the way a person starts it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent.parent
SEED = ROOT / "seeds" / "bbc-live-2025-04-25.txt"
COMMAND = [sys.executable, "-m", "service"]


def environ(folder: Path, **more: str) -> dict[str, str]:
    """An environment without anybody's settings, whose data lies in a folder."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("STOPPRESS_")}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "STOPPRESS_DATA_DIR": str(folder / "data"),
        "COLUMNS": "200",
        **more,
    }


def ran(
    folder: Path, *args: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The outcome of a command that ends by itself."""
    return subprocess.run(
        [*COMMAND, *args],
        cwd=folder,
        env={**environ(folder), **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
    )


class Running:
    """A command that goes on."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []

    async def says(self, pattern: str, timeout_s: float = 30.0) -> re.Match[str]:
        """Wait until a line of its output matches."""
        assert self.process.stdout is not None
        async with asyncio.timeout(timeout_s):
            async for line in self.process.stdout:
                self.said.append(line.decode().rstrip())
                if found := re.search(pattern, self.said[-1]):
                    return found
        raise AssertionError(f"{pattern!r} never came; it said:\n" + "\n".join(self.said))

    def children(self) -> list[psutil.Process]:
        """All that it started."""
        return _children(self.process.pid)

    async def stop(self, number: int = signal.SIGINT) -> int:
        """End it as Ctrl-C does; its exit code. Nothing that it started is left."""
        children = self.children()
        self.process.send_signal(number)
        async with asyncio.timeout(30):
            await self.process.communicate()
        left = [child for child in children if child.is_running()]
        assert not left, f"left behind: {left}"
        assert self.process.returncode is not None
        return self.process.returncode


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@asynccontextmanager
async def running(folder: Path, *args: str, **env: str) -> AsyncIterator[Running]:
    """Start a command; kill it and its children if the test has not ended it."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *args,
        cwd=folder,
        env=environ(folder, **env),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            for child in _children(process.pid):
                child.kill()
            process.kill()
            await process.communicate()
