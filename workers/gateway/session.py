"""One subscriber's connection: a position in the stream that moves at the subscriber's own pace.

While it has everything, the fan-out writes to it (see `workers.gateway.fanout`) and no task of its
own runs. At the beginning, after it fell behind, and when what it wants changes, a task catches up:
from the ring, from Redis, or by a reset and the present state.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec
import structlog
from redis.exceptions import RedisError

from service.config import GatewaySettings
from service.observability import CLOSES, FEED_EVENTS, SUBSCRIBERS
from workers.gateway.dialogue import (
    MAX_SUBSCRIPTIONS,
    Action,
    Allowance,
    Dialogue,
    HangUp,
    Say,
    Widen,
)
from workers.gateway.fanout import Group
from workers.gateway.forms import Form, message_bytes
from workers.gateway.hub import Hub
from workers.gateway.protocol import (
    BROKEN,
    STALLED,
    TOO_FAST,
    Close,
    HealthMessage,
    Hello,
    Limits,
    Message,
    Position,
    Reset,
    Subscribed,
    cursor,
)
from workers.gateway.ring import Frame
from workers.gateway.shared import State
from workers.gateway.subscription import Subscription, Wanted

log: structlog.stdlib.BoundLogger = structlog.get_logger()

BATCH = 200
# How often a full transport is looked at.
DRAIN_S = 0.02


class Session:
    """Feeds one connection until it ends. transport: where its bytes go.

    hang_up: called when the connection is to be closed from here; why says with which code.
    greeted: called when the subscriber has been greeted, and may be heard.
    is_ended: nothing more will be written.
    """

    __slots__ = (
        "_allowance",
        "_backlog_at_beat",
        "_began_s",
        "_epoch",
        "_healths_seen",
        "_hub",
        "_settings",
        "_task",
        "_unanswered",
        "_widening",
        "at",
        "backlog",
        "dialogue",
        "fd",
        "form",
        "greeted",
        "group",
        "hang_up",
        "is_ended",
        "joined",
        "transport",
        "wanted",
        "why",
        "write",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        hub: Hub,
        settings: GatewaySettings,
        *,
        form: Form,
        first: Subscription,
    ) -> None:
        self.form, self.joined = form, 0
        self.dialogue = Dialogue(first)
        self.wanted = self.dialogue.wanted
        self.group: Group | None = None
        self.at = hub.ring.end
        self.is_ended = False
        self.hang_up: Callable[[], None] = _nothing
        self.greeted: Callable[[], None] = _nothing
        self.why: Close | None = None
        self.fd = -1
        self.write, self.backlog = transport.write, transport.get_write_buffer_size
        self.transport, self._hub, self._settings = transport, hub, settings
        self._epoch = hub.epoch
        self._healths_seen = 0
        self._widening: list[Widen] = []
        self._task: asyncio.Task[None] | None = None
        self._began_s = time.monotonic()
        self._unanswered, self._backlog_at_beat = False, 0
        self._allowance = Allowance(settings.max_messages_per_minute)
        SUBSCRIBERS.inc()

    # --- begin and end ---

    def start(self, resume: Position | None) -> None:
        """Begin to feed. resume: the position after which the subscriber wants to go on."""
        self._task = asyncio.create_task(self._work(resume, is_new=True))

    def end(self, why: Close) -> None:
        """Send nothing more, and say why."""
        if self.is_ended:
            return
        self.why = why
        self.stop()
        self.hang_up()

    def stop(self) -> None:
        """Send nothing more."""
        if self.is_ended:
            return
        self.fd = -1
        self._hub.fanout.leave(self)
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self.is_ended = True
        SUBSCRIBERS.dec()

    def closed(self, code: int) -> None:
        """The connection is closed."""
        self.stop()
        CLOSES.labels(str(code)).inc()
        log.info("feed.closed", close_code=code, seconds=round(time.monotonic() - self._began_s, 1))

    # --- what the subscriber says ---

    def answered(self) -> None:
        """Something came from the subscriber: it is there, or says too much."""
        self._unanswered = False
        if not self._allowance.take(time.monotonic()):
            self.end(TOO_FAST)

    def hear(self, payload: str | bytes) -> None:
        """A message came."""
        self._do(self.dialogue.hear(payload))

    def _do(self, action: Action) -> None:
        if isinstance(action, HangUp):
            return self.end(action.why)
        if isinstance(action, Say):
            return self._say(action.message)
        if isinstance(action, Widen):
            self._widening.append(action)
        else:
            self._say(action.answer)
        self._hub.fanout.leave(self)
        if not isinstance(action, Widen):
            self.wanted = self.dialogue.wanted
        return self.fell_behind()

    def _say(self, message: Message) -> None:
        self.write(message_bytes(self.form, message))

    # --- what the fan-out says ---

    def fell_behind(self) -> None:
        """It has left its group and must catch up."""
        if not self.is_ended and self._task is None:
            self._task = asyncio.create_task(self._work(None, is_new=False))

    def beat(self) -> None:
        """It was sent a ping. Who neither answered the last one nor took any bytes is gone."""
        left = self.backlog()
        is_stuck = left >= self._backlog_at_beat if left else self.form != "sse"
        if self._unanswered and is_stuck:
            return self.end(STALLED)
        self._unanswered, self._backlog_at_beat = True, left
        return None

    # --- catching up ---

    async def _work(self, resume: Position | None, *, is_new: bool) -> None:
        try:
            if is_new:
                await self._begin(resume)
            while not self._is_joined():
                await self._go_on()
        except ConnectionError:
            self.stop()  # the subscriber has gone
        except TimeoutError:
            self.end(STALLED)
        except (RedisError, OSError, msgspec.MsgspecError) as error:
            log.warning("feed.failed", detail=str(error))
            self.end(BROKEN)
        finally:
            self._task = None

    async def _begin(self, resume: Position | None) -> None:
        bounds = await self._hub.bounds()
        self._say(
            Hello(
                cursor=cursor(bounds.last),
                oldest=cursor(bounds.lost),
                heartbeat_s=self._settings.heartbeat_s,
                limits=Limits(
                    self._settings.max_message_bytes,
                    self._settings.max_messages_per_minute,
                    MAX_SUBSCRIPTIONS,
                ),
            )
        )
        self.greeted()
        if resume is None:
            await self._show(self.wanted)
        elif resume.deployment != bounds.last.deployment:
            await self._reset("cursor.foreign")
        elif self.wanted.misses(bounds.lost, resume):
            await self._reset("cursor.too_old")
        elif not bounds.last.covers(resume):
            await self._reset("cursor.ahead")
        else:
            self.at = resume

    def _is_joined(self) -> bool:
        """Join the fan-out, if nothing is missing."""
        ring = self._hub.ring
        if self._widening or self._epoch != self._hub.epoch or self.at != ring.end:
            return False
        if self.backlog() > self._settings.buffer_bytes:
            return False
        self._tell_healths()
        self._hub.fanout.join(self)
        return True

    async def _go_on(self) -> None:
        """Send what there is after our position."""
        await self._drained()
        if self._hub.epoch != self._epoch:
            return await self._reset("stream.rewound")
        if self._widening:
            return await self._widen(self._widening.pop(0))
        if not self._hub.ring.end.covers(self.at):  # Redis told us more than the tail has read
            return await self._hub.reached(self.at)
        frames = await self._next()
        if frames is None:
            return await self._reset("cursor.too_old")
        self._pass_on(frames)
        return None

    async def _next(self, until: Position | None = None) -> list[Frame] | None:
        """The frames that follow; None when some of them are gone. until: no further than that."""
        frames = self._hub.ring.after(self.at, BATCH, until)
        if frames is None:
            start = self._hub.ring.start
            async with self._hub.replays:
                frames = await self._hub.reader.after(self.at, BATCH, until)
                if self.wanted.misses((await self._hub.bounds()).lost, self.at):
                    return None
            if not frames and until is None:
                self.at = self.at.joined(start)
        return frames

    def _pass_on(self, frames: Sequence[Frame]) -> None:
        """Send those that are wanted, as far as the transport takes them."""
        for each in frames:
            if self.backlog() > self._settings.buffer_bytes:
                return
            if each.event is not None and self.wanted.matches(each.event):
                self.write(each.encoded(self.form))
                FEED_EVENTS.inc()
            self.at = each.at

    async def _drained(self) -> None:
        """Wait until the transport can take more. Raises TimeoutError when nothing leaves it."""
        left, waited_s = self.backlog(), 0.0
        while left > self._settings.buffer_bytes // 2:
            await asyncio.sleep(DRAIN_S)
            now = self.backlog()
            waited_s = waited_s + DRAIN_S if now >= left else 0.0
            left = now
            if waited_s > self._settings.stall_s:
                raise TimeoutError
        if self.transport.is_closing():
            raise ConnectionResetError

    # --- states ---

    async def _reset(self, reason: str) -> None:
        self._say(Reset(reason))
        await self._show(self.wanted)

    async def _show(self, wanted: Wanted) -> None:
        """The present state, and the position that it is true at."""
        self._epoch = self._hub.epoch
        state = await self._hub.state(wanted)
        await self._tell(state)
        self.at = state.at

    async def _tell(self, state: State) -> None:
        for message in state.encoded(self.form):
            await self._drained()
            self.write(message)

    async def _widen(self, more: Widen) -> None:
        """The state of what is wanted too, once all before it has come by the old filters."""
        state = await self._hub.state(more.subscription)
        at = state.at
        await self._hub.reached(at)
        while not self.at.covers(at):
            await self._drained()
            frames = await self._next(at)
            if frames is None or self._hub.epoch != self._epoch:
                self._widening.insert(0, more)
                return await self._reset("cursor.too_old" if frames is None else "stream.rewound")
            self._pass_on(frames)
            if not frames:
                self.at = self.at.joined(at)
        await self._tell(state)
        if self.dialogue.shown(more.id):
            self.wanted = self.dialogue.wanted
            self._healths_seen = 0
            self._say(Subscribed(more.id))
        return None

    def _tell_healths(self) -> None:
        """The health of pages where it is new to this subscriber."""
        for page, health in self._hub.new_healths(self._healths_seen):
            if self.wanted.shows(page):
                self._say(HealthMessage(page, health))
        self._healths_seen = self._hub.healths_version


def _nothing() -> None:
    """Nobody is to be told."""
