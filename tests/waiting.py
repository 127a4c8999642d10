"""Waiting on conditions instead of sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T]], what: str, timeout_s: float = 30.0) -> T:
    """The first true answer of `look`; fails, saying what was waited for, when there is none."""
    ends = time.monotonic() + timeout_s
    while True:
        seen = await look()
        if seen:
            return seen
        if time.monotonic() > ends:
            raise AssertionError(f"waited {timeout_s:g} s in vain for: {what}; last saw {seen!r}")
        await asyncio.sleep(0.02)
