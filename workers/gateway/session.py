"""One subscriber's connection: a position in the stream that moves at the subscriber's own pace."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import msgspec
import structlog
from aiohttp import WSMsgType, web
from redis.exceptions import RedisError

from service.config import GatewaySettings
from service.model import Health
from service.observability import CLOSES, FEED_EVENTS, SUBSCRIBERS
from workers.gateway.hub import Hub
from workers.gateway.protocol import (
    BAD_CLIENT,
    BROKEN,
    Close,
    CursorMessage,
    Error,
    HealthMessage,
    Hello,
    Message,
    Reset,
    StreamId,
    answer,
    cursor,
    encode,
)
from workers.gateway.reader import frame
from workers.gateway.ring import Frame
from workers.gateway.subscription import Subscription

log: structlog.stdlib.BoundLogger = structlog.get_logger()

BATCH = 200
MISUNDERSTANDINGS = 20  # so many senseless messages end a connection


class Session:
    """Serves one WebSocket until it ends."""

    def __init__(
        self,
        ws: web.WebSocketResponse,
        hub: Hub,
        settings: GatewaySettings,
        subscription: Subscription,
    ) -> None:
        self._ws, self._hub, self._settings = ws, hub, settings
        self._subscription = subscription
        self._at = hub.ring.end
        self._told = self._at  # the position that the subscriber knows of
        self._epoch = hub.epoch
        self._healths: dict[str, str] = {}
        self._next_beat_s = time.monotonic() + settings.heartbeat_s
        self._sent = 0
        self._why = BROKEN
        self._ending = asyncio.Event()
        self.ended = asyncio.Event()

    async def run(self, resume: StreamId | None) -> None:
        """Serve. resume: the position after which the subscriber wants to go on."""
        SUBSCRIBERS.inc()
        began = time.monotonic()
        tasks = [
            asyncio.create_task(work)
            for work in (self._listen(), self._write(resume), self._ending.wait())
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            SUBSCRIBERS.dec()
            with suppress(ConnectionError):
                await self._ws.close(code=self._why.code, message=self._why.name.encode())
            code = int(self._ws.close_code or 1006)
            CLOSES.labels(str(code)).inc()
            seconds = round(time.monotonic() - began, 1)
            self.ended.set()
            log.info("feed.closed", close_code=code, events=self._sent, seconds=seconds)

    def end(self, why: Close) -> None:
        """End the connection and say why."""
        self._why = why
        self._ending.set()

    async def _listen(self) -> None:
        misunderstood = 0
        async for message in self._ws:
            if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
                continue
            reply = answer(message.data)
            misunderstood += isinstance(reply, Error)
            await self._send(reply)
            if misunderstood >= MISUNDERSTANDINGS:
                return self.end(BAD_CLIENT)
        return None

    async def _write(self, resume: StreamId | None) -> None:
        try:
            await self._begin(resume)
            while True:
                await self._go_on()
        except ConnectionError:
            pass  # the subscriber has gone
        except (RedisError, OSError, msgspec.MsgspecError) as error:
            log.warning("feed.failed", detail=str(error))
            self.end(BROKEN)

    async def _send(self, message: Message) -> None:
        await self._ws.send_frame(encode(message), WSMsgType.TEXT)

    # where to begin

    async def _begin(self, resume: StreamId | None) -> None:
        bounds = await self._hub.reader.bounds()
        await self._send(
            Hello(
                cursor=cursor(bounds.last),
                oldest=cursor(bounds.lost),
                heartbeat_s=self._settings.heartbeat_s,
                limits={"message_bytes": self._settings.max_message_bytes},
            )
        )
        if resume is None:
            await self._snapshots()
        elif resume < bounds.lost:
            await self._reset("cursor.too_old")
        elif resume > bounds.last:
            await self._reset("cursor.ahead")
        else:
            self._at = self._told = resume

    async def _reset(self, reason: str) -> None:
        await self._send(Reset(reason))
        await self._snapshots()

    async def _snapshots(self) -> None:
        self._epoch = self._hub.epoch
        at, snapshots = await self._hub.reader.snapshots(self._subscription.shows)
        for snapshot in snapshots:
            await self._send(snapshot)
        await self._send(CursorMessage(cursor(at)))
        self._at = self._told = at

    # going on

    async def _go_on(self) -> None:
        """Send what there is after our position, or wait for it."""
        if self._hub.epoch != self._epoch:
            return await self._reset("stream.rewound")
        frames = self._hub.ring.after(self._at, BATCH)
        if frames is None:
            frames = await self._from_redis()
            if (await self._hub.reader.bounds()).lost > self._at:
                return await self._reset("cursor.too_old")
        for each in frames:
            if each.event is not None and self._subscription.matches(each.event):
                await self._ws.send_frame(each.payload, WSMsgType.TEXT)
                self._sent += 1
                FEED_EVENTS.inc()
                self._told = each.at
            self._at = each.at
        if not frames:
            await self._idle()
        return None

    async def _from_redis(self) -> list[Frame]:
        """Events that have left the ring."""
        found = await self._hub.reader.after(self._at, BATCH)
        return [frame(StreamId.of(at), fields) for at, fields in found]

    async def _idle(self) -> None:
        """Wait for news; with each heartbeat say where we are and how well the pages are seen."""
        await self._hub.news()
        beat = time.monotonic() >= self._next_beat_s
        if beat:
            self._next_beat_s = time.monotonic() + self._settings.heartbeat_s
        for page, health in self._hub.healths.items():
            if self._subscription.shows(page) and (self._is_new(page, health) or beat):
                await self._send(HealthMessage(page, health))
        if beat and self._at != self._told:
            await self._send(CursorMessage(cursor(self._at)))
            self._told = self._at

    def _is_new(self, page: str, health: Health) -> bool:
        before = self._healths.get(page)
        self._healths[page] = f"{health.status} {health.reason}"
        return before != self._healths[page]
