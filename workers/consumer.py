"""A consumer-group loop over one Redis stream: take, handle, acknowledge.

Every message is handled at least once, whatever crashes: it stays pending until its handler has
returned, and what a dead process left is claimed by another. The loop never drops a message, never
busy-loops and knows nothing of what messages mean.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import socket
import uuid
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.errors import CorruptionError
from service.observability import DEAD

Fields = dict[bytes, bytes]
Message = tuple[bytes, Fields]
Handler = Callable[[bytes, Fields], Awaitable[None]]

REDIS_ERRORS = (RedisError, OSError)
_NO_ANSWER = (RedisConnectionError, RedisTimeoutError, OSError)
DEAD_LETTERS = 10_000
_OWN_PAGE = 100
# A consumer that has been silent for so many claim times is taken for dead.
_FORGET_AFTER = 10
_LUA = Path(__file__).parent / "lua"

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def process_name() -> str:
    """A consumer name for this process that no other process ever has."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def backoff_s(failures: int, draw: float, *, base_s: float = 0.2, ceiling_s: float = 30.0) -> float:
    """Seconds to wait after so many failures (from 1): doubling, and by chance down to half of it.

    draw: a random number from 0 to 1, so that many who failed together do not come back together.
    """
    return min(ceiling_s, base_s * 2.0 ** min(failures - 1, 30)) * (0.5 + draw / 2)


def messages_read(answer: Any) -> list[Message]:
    """The messages in an answer to XREADGROUP on one stream, in any shape that redis-py gives it.

    The fields of a message that was trimmed while it was pending are empty.
    """
    streams = answer.values() if isinstance(answer, dict) else (entries for _, entries in answer)
    return [
        (message_id, fields or {})
        for entries in streams
        for message_id, fields in _flat(entries)
        if message_id is not None
    ]


def _flat(entries: Any) -> Iterable[tuple[bytes | None, Fields | None]]:
    """redis-py before 7 wraps the entries of an RESP3 answer in one more list."""
    nested = len(entries) == 1 and isinstance(entries[0], list)
    return entries[0] if nested else entries  # type: ignore[no-any-return]


def messages_claimed(answer: Any) -> tuple[bytes, list[Message], bool]:
    """(next cursor, messages, whether some were trimmed) of an answer to XAUTOCLAIM.

    Redis 6.2 gives two parts, with a nil in place of a trimmed message that stays pending; later
    ones give three parts and drop it themselves.
    """
    cursor, entries = answer[0], answer[1]
    messages = [(message_id, fields) for message_id, fields in entries if message_id is not None]
    return cursor, messages, len(messages) < len(entries)


def send_once(redis: Redis) -> None:
    """Let a client send each command once: a retry would hide that an answer was lost."""
    redis.set_retry(Retry(NoBackoff(), 0))


class Consumer:
    """One consumer of a group on one stream. `run` until cancelled.

    redis: a client of its own, answering bytes, with a socket timeout above block_s (the default of
    redis-py is 5 s). It is made to send each command once.
    handler: returns when the message is done. Raises CorruptionError when it is none of ours: it
    then goes to the stream `dead`. Any other error: it stays pending and is tried again, with
    backoff.
    claim_after_s: a message that its consumer has not said to be working on for so long is claimed.
    batch: how many messages are in hand at once. 1 keeps them in order.
    max_age_s: a new group begins with messages of at most this age by the server's clock; None:
    with the first of the stream.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        stream: str,
        group: str,
        name: str,
        handler: Handler,
        dead: str,
        claim_after_s: float,
        block_s: float = 2.0,
        batch: int = 1,
        max_age_s: float | None = None,
    ) -> None:
        send_once(redis)
        self._redis = redis
        self._stream, self._group, self._name, self._dead = stream, group, name, dead
        self._handler = handler
        self._claim_after_s = claim_after_s
        self._block_ms = max(1, int(min(block_s, claim_after_s / 3) * 1000))
        self._batch, self._max_age_s = batch, max_age_s
        self._in_hand: dict[bytes, asyncio.Task[None]] = {}
        self._claim_due = 0.0
        self._is_lost = False
        self._hold = redis.register_script((_LUA / "hold.lua").read_text())
        self._forget = redis.register_script((_LUA / "forget.lua").read_text())

    async def ensure_group(self) -> None:
        """Make the stream and the group where they are missing. Raises what redis-py raises."""
        try:
            start = await self._beginning()
            await self._redis.xgroup_create(self._stream, self._group, id=start, mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def _beginning(self) -> str:
        """The stream id after which a new group begins. Ids are times by the server's clock."""
        if self._max_age_s is None:
            return "0"
        seconds, _ = await self._redis.time()
        return f"{max(0, int((seconds - self._max_age_s) * 1000))}-0"

    async def run(self) -> None:
        """Take and handle messages until cancelled. A message in hand then stays pending."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_hold())
            await self._take(tasks)

    async def _take(self, tasks: asyncio.TaskGroup) -> None:
        """Our own unfinished messages, then new ones and stale ones of others.

        After any trouble from the top: the group may be gone, an answer may have been lost.
        """
        failures = 0
        while True:
            try:
                await self.ensure_group()
                await self._take_own(tasks)
                while True:
                    await self._take_some(tasks)
                    failures = 0
                    self._found()
            except REDIS_ERRORS as error:
                failures += 1
                self._lost(error)
                await asyncio.sleep(backoff_s(failures, random.random(), ceiling_s=5.0))  # noqa: S311

    async def _take_some(self, tasks: asyncio.TaskGroup) -> None:
        await self._room()
        if asyncio.get_running_loop().time() >= self._claim_due:
            await self._claim(tasks)
            await self._room()
        for message in await self._read(">", self._batch - len(self._in_hand)):
            await self._begin(tasks, message)

    async def _read(self, after: str | bytes, count: int) -> list[Message]:
        answer = await self._redis.xreadgroup(
            self._group, self._name, {self._stream: after}, count=count, block=self._block_ms
        )
        return messages_read(answer or ())

    async def _take_own(self, tasks: asyncio.TaskGroup) -> None:
        """What was given to us in an answer that never arrived, and what was trimmed under us."""
        after: str | bytes = "0"
        # As of before the read: what is done by the time we come to it must not begin again.
        busy = set(self._in_hand)
        while messages := await self._read(after, _OWN_PAGE):
            after = messages[-1][0]
            for message in messages:
                if message[0] not in busy:
                    await self._room()
                    await self._begin(tasks, message)

    async def _claim(self, tasks: asyncio.TaskGroup) -> None:
        """Take over what others left undone, as far as there is room, and clear up after them."""
        cursor: bytes | None = b"0-0"
        while cursor is not None and (free := self._batch - len(self._in_hand)):
            busy = set(self._in_hand)
            answer = await self._redis.xautoclaim(
                self._stream, self._group, self._name,
                self._ms(self._claim_after_s), start_id=cursor, count=free,
            )  # fmt: skip
            following, messages, trimmed = messages_claimed(answer)
            for message in messages:
                if message[0] not in busy:
                    await self._begin(tasks, message)
            if trimmed:
                await self._take_own(tasks)
            cursor = None if following == b"0-0" else following
        idle_ms = self._ms(self._claim_after_s * _FORGET_AFTER)
        await self._forget(keys=[self._stream], args=[self._group, self._name, idle_ms])
        self._claim_due = asyncio.get_running_loop().time() + self._claim_after_s / 2

    async def _room(self) -> None:
        while len(self._in_hand) >= self._batch:
            await asyncio.wait(self._in_hand.values(), return_when=asyncio.FIRST_COMPLETED)

    async def _begin(self, tasks: asyncio.TaskGroup, message: Message) -> None:
        message_id, fields = message
        if not fields:
            log.error("message.trimmed", **self._about(message_id))
            await self._redis.xack(self._stream, self._group, message_id)
            return
        self._in_hand[message_id] = tasks.create_task(self._work(message_id, fields))

    async def _work(self, message_id: bytes, fields: Fields) -> None:
        """Handle a message until it is done."""
        try:
            for failures in itertools.count(1):
                try:
                    return await self._handle(message_id, fields)
                except _NO_ANSWER as error:
                    self._lost(error)
                except Exception:  # a fault of ours must not cost the message
                    log.exception("message.failed", failures=failures, **self._about(message_id))
                await asyncio.sleep(backoff_s(failures, random.random()))  # noqa: S311
        finally:
            del self._in_hand[message_id]

    async def _handle(self, message_id: bytes, fields: Fields) -> None:
        try:
            await self._handler(message_id, fields)
        except CorruptionError as error:
            await self._bury(message_id, fields, error)
        else:
            await self._redis.xack(self._stream, self._group, message_id)

    async def _bury(self, message_id: bytes, fields: Fields, error: CorruptionError) -> None:
        letter: dict[Any, Any] = fields | {
            b"reason": error.code,
            b"detail": str(error)[:500],
            b"stream": self._stream,
            b"group": self._group,
            b"message": message_id,
        }
        async with self._redis.pipeline(transaction=True) as step:
            step.xadd(self._dead, letter, maxlen=DEAD_LETTERS)
            step.xack(self._stream, self._group, message_id)
            await step.execute()
        DEAD.labels(reason=error.code).inc()
        log.error("message.buried", reason=error.code, **self._about(message_id))

    async def _keep_hold(self) -> None:
        """Say that we still work on what is in hand, often enough that nobody claims it."""
        while True:
            await asyncio.sleep(self._claim_after_s / 3)
            if not self._in_hand:
                continue
            try:
                await self._hold(
                    keys=[self._stream], args=[self._group, self._name, *self._in_hand]
                )
            except REDIS_ERRORS as error:
                self._lost(error)

    def _lost(self, error: Exception) -> None:
        if not self._is_lost:
            log.warning(
                "consumer.lost", stream=self._stream, group=self._group, error=str(error)[:200]
            )
        self._is_lost = True

    def _found(self) -> None:
        if self._is_lost:
            log.info("consumer.recovered", stream=self._stream, group=self._group)
        self._is_lost = False

    def _about(self, message_id: bytes) -> dict[str, str]:
        return {"stream": self._stream, "group": self._group, "message": message_id.decode()}

    @staticmethod
    def _ms(seconds: float) -> int:
        return max(1, int(seconds * 1000))
