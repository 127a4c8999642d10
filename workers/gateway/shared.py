"""One answer for all who ask the same at once: after a restart thousands come in a second."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from workers.gateway.forms import Form, message_bytes
from workers.gateway.protocol import CursorMessage, Message, PageSnapshot, Position, cursor

T = TypeVar("T")


class State:
    """Snapshots, and the position that they are true at; each encoded once in each form."""

    def __init__(self, at: Position, snapshots: Sequence[PageSnapshot]) -> None:
        self.at, self._snapshots = at, snapshots
        self._bytes: dict[Form, list[bytes]] = {}

    def encoded(self, form: Form) -> list[bytes]:
        """The messages, one by one: the snapshots and the position."""
        known = self._bytes.get(form)
        if known is None:
            messages: list[Message] = [*self._snapshots, CursorMessage(cursor(self.at))]
            known = self._bytes[form] = [message_bytes(form, one) for one in messages]
        return known


class Shared(Generic[T]):
    """Questions by their key. Whoever asks gets an answer that was begun after they asked.

    What nobody waits for any more is not asked on: it would outlive the gateway.
    """

    def __init__(self) -> None:
        self._begun: dict[Hashable, asyncio.Task[T]] = {}
        self._next: dict[Hashable, asyncio.Task[T]] = {}
        self._waiting: Counter[asyncio.Task[T]] = Counter()

    async def ask(self, key: Hashable, question: Callable[[], Awaitable[T]]) -> T:
        """The answer to a question; raises what it raises. key: who has the same asks the same."""
        if key not in self._next:
            task = asyncio.create_task(self._answer(key, question))
            task.add_done_callback(_retrieved)
            self._next[key] = task
        task = self._next[key]
        self._waiting[task] += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[task] -= 1
            if not self._waiting[task]:
                self._leave(key, task)

    def _leave(self, key: Hashable, task: asyncio.Task[T]) -> None:
        del self._waiting[task]
        task.cancel()
        if self._next.get(key) is task:  # whoever asks now is not to get the cancellation
            del self._next[key]

    async def _answer(self, key: Hashable, question: Callable[[], Awaitable[T]]) -> T:
        if (before := self._begun.get(key)) is not None:
            await asyncio.wait([before])
        task = self._begun[key] = self._next.pop(key)
        try:
            return await question()
        finally:
            if self._begun.get(key) is task:
                del self._begun[key]


def _retrieved(task: asyncio.Task[T]) -> None:
    """An error of which nobody waits to hear any more is none."""
    if not task.cancelled():
        task.exception()
