"""The second half of the alerts worker: one channel's queue, until all is delivered or given up.

An alert that waits holds no slot, so a failing one blocks no other. What is sent is always the
newest that is true of an alert. When a channel fails again and again it is left alone for a while,
but for one probe at a time: it is open, as a circuit is.
"""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Literal

import structlog
from msgspec import Struct
from msgspec.structs import replace

from service.errors import CorruptionError
from service.events import AlertEvent
from service.observability import CHANNEL_OPEN, DEAD, DELIVERIES, DELIVERY_LAG, WAITING
from workers.alerts.channels import Channel, Undeliverable
from workers.alerts.ledger import alert_in
from workers.alerts.queue import Became, Ending, Found, Queue, Settled, Taken
from workers.alerts.steps import Checkpoint, Clock, about, lag_ms
from workers.consumer import REDIS_ERRORS, backoff_s

# Another worker may have queued something and died: so often it is looked for.
LOOK_S = 1.0
# The last try is made at the deadline. One that comes later than this is too late.
LAST_TRY_MS = 5_000
# So long a worker that is told to end waits for what it is just sending.
END_S = 2.0
# How long at most until what came of a try is recorded, once Redis is back.
SETTLE_CEILING_S = 0.5
# No connection was made, by the names of the errors of our clients: nothing can have been taken.
_NEVER_CONNECTED = frozenset(
    {
        "ClientConnectorError",
        "ClientConnectorDNSError",
        "SMTPConnectError",
        "SMTPConnectTimeoutError",
        "ConnectionRefusedError",
    }
)
# What answers may be a proxy that knows no more than we do.
_NO_ANSWER = frozenset({"http_502", "http_504"})

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Pace(Struct, frozen=True):
    """How often is tried again.

    retry_s, retry_ceiling_s: first and longest pause between two tries of an alert. trip: after so
    many failed tries in a row, of any alerts, a channel is open. pause_s, pause_ceiling_s: first
    and longest pause of an open channel.
    """

    retry_s: float = 1.0
    retry_ceiling_s: float = 60.0
    trip: int = 5
    pause_s: float = 2.0
    pause_ceiling_s: float = 60.0


Step = Literal["send", "drop", "expire"]


def next_step(taken: Taken, event: AlertEvent, *, is_left_alone: bool) -> Step:
    """What to do with an alert that was taken. is_left_alone: the channel is open.

    What was never told needs no retraction. What is past its deadline is not sent, but for the last
    try of one that failed before, which is due just then.
    """
    if event.state == "retracted" and taken.told is None and taken.doubt is None:
        return "drop"
    is_last_try = taken.attempt > 1 and taken.left_ms > -LAST_TRY_MS and not is_left_alone
    return "send" if taken.left_ms > 0 or is_last_try else "expire"


def retry_in_s(
    failure: Undeliverable, attempt: int, left_s: float, draw: float, pace: Pace
) -> float:
    """Seconds until the next try: what the receiver asks for, at least our own backoff.

    Never past the deadline, which is left_s away: the last try is made there.
    """
    own = backoff_s(attempt, draw, base_s=pace.retry_s, ceiling_s=pace.retry_ceiling_s)
    return min(max(own, failure.retry_after_s or 0.0), left_s)


def pause_in_s(failure: Undeliverable, failures: int, draw: float, pace: Pace) -> float:
    """Seconds for which an open channel is left alone after so many failed tries in a row.

    What the receiver asks for, at least our own backoff, and never more than pause_ceiling_s.
    """
    own = backoff_s(
        max(1, failures - pace.trip + 1), draw, base_s=pace.pause_s, ceiling_s=pace.pause_ceiling_s
    )
    return min(max(own, failure.retry_after_s or 0.0), pace.pause_ceiling_s)


def may_have_arrived(channel: str, failure: Undeliverable) -> bool:
    """Whether people may have been told by a try that failed: then a retraction is due to them.

    Not after a refusal, nor where no connection was made. Push and e-mail have several receivers,
    and fail when a few of them do.
    """
    if not failure.retryable or channel == "push":
        return failure.retryable
    if type(failure.__cause__).__name__ in _NEVER_CONNECTED:
        return False
    is_refusal = failure.code.startswith(("http_", "slack_", "address_", "smtp_unsupported"))
    return not is_refusal or failure.code in _NO_ANSWER


class Delivery:
    """Brings one channel up to date, until cancelled.

    is_dry: nothing is told to anybody, so nothing is said of it in the log but failures.
    """

    def __init__(
        self,
        channel: Channel,
        queue: Queue,
        *,
        lease_s: float,
        pace: Pace,
        now: Clock,
        checkpoint: Checkpoint,
        is_dry: bool = False,
    ) -> None:
        self.channel, self._queue, self._lease_s = channel, queue, lease_s
        self._pace, self._now, self._checkpoint = pace, now, checkpoint
        self._said = log.debug if is_dry else log.info
        self._in_hand: dict[tuple[str, int], Taken] = {}
        self._news = asyncio.Event()
        self._is_lost = False
        self._reached_s = 0.0  # when Redis last answered

    def wake(self) -> None:
        """Say that there may be something in the queue."""
        self._news.set()

    async def run(self) -> None:
        """Take and deliver until cancelled.

        What is in hand then has END_S to come to its end; the rest is taken over by another.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_leases())
            try:
                await self._take(tasks)
            except asyncio.CancelledError:
                await self._finish()
                raise

    async def _finish(self) -> None:
        """Wait for what is being sent: cut off, it would be sent again."""
        try:
            async with asyncio.timeout(END_S):
                while self._in_hand:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass

    async def _take(self, tasks: asyncio.TaskGroup) -> None:
        failures, wait_s = 0, 0.0
        while True:
            await self._until_news(wait_s)
            try:
                if failures:
                    await self._recover()
                wait_s = await self._take_some(tasks)
                failures = 0
                self._reached()
            except REDIS_ERRORS as error:
                failures, wait_s = failures + 1, 0.0
                self._lost(error)
                await asyncio.sleep(backoff_s(failures, random.random(), ceiling_s=5.0))  # noqa: S311

    async def _recover(self) -> None:
        """Give back what was leased to us in an answer that was lost.

        When Redis was away for so long that leases ran out, those who hold one come first: they
        know what they have sent, and want to say it.
        """
        await self._queue.release([alert for alert, _ in self._in_hand])
        if asyncio.get_running_loop().time() - self._reached_s > self._lease_s / 2:
            await asyncio.sleep(2 * SETTLE_CEILING_S)

    async def _take_some(self, tasks: asyncio.TaskGroup) -> float:
        """Fill the free slots. Returns in how many seconds to look again, unless there is news."""
        self._news.clear()  # what comes from here on may not be in the answer
        free = self.channel.parallel - len(self._in_hand)
        if not free:
            return LOOK_S
        found = await self._queue.take(free)
        self._measure(found)
        if found.taken:
            self._checkpoint("alert.taken")
        for taken in found.taken:
            self._in_hand[taken.alert, taken.token] = taken
            tasks.create_task(self._work(taken, found))
        return LOOK_S if found.wait_ms < 0 else min(LOOK_S, found.wait_ms / 1000)

    async def _until_news(self, wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _work(self, taken: Taken, found: Found) -> None:
        """Deliver one alert once, and end its lease."""
        try:
            await self._deliver(taken, found)
        finally:
            del self._in_hand[taken.alert, taken.token]
            self.wake()

    async def _deliver(self, taken: Taken, found: Found) -> None:
        try:
            event = self._event(taken)
        except CorruptionError as error:
            return await self._give_up(error.code, str(error), taken, None)
        match next_step(taken, event, is_left_alone=found.is_open):
            case "drop":
                ending = Ending(outcome="dropped", attempts=taken.attempt - 1, went="")
                if await self._settle(taken, event, ending) == "dropped":
                    self._said("alert.dropped", **self._about(event), reason="never_told")
            case "expire":
                what = "not delivered before its deadline"
                if taken.attempt > 1 and taken.reason:
                    await self._give_up(taken.reason, what, taken, event)
                else:
                    await self._give_up("expired", what, taken, event)
            case "send":
                await self._send(taken, event, found)
        return None

    def _event(self, taken: Taken) -> AlertEvent:
        event = alert_in(taken.event)
        if not taken.is_replay:
            return event
        deadline = self._now() + timedelta(milliseconds=taken.left_ms)
        return replace(event, data=replace(event.data, deadline=deadline))

    async def _send(self, taken: Taken, event: AlertEvent, found: Found) -> None:
        self._checkpoint("alert.sending")
        began_s = asyncio.get_running_loop().time()
        try:
            handle = await self._told(event, taken.handle)
        except Undeliverable as failure:
            left_s = taken.left_ms / 1000 - (asyncio.get_running_loop().time() - began_s)
            return await self._failed(taken, event, failure, left_s, found.failures)
        self._checkpoint("alert.sent")
        lag = lag_ms(event, self._now())
        ending = Ending(
            outcome="delivered", attempts=taken.attempt, went="well", handle=handle, lag_ms=lag
        )
        if await self._settle(taken, event, ending) == "lost":
            return None
        DELIVERY_LAG.labels(self.channel.name).observe(max(0, lag) / 1000)
        self._said("alert.delivered", **self._about(event), attempt=taken.attempt, lag_ms=lag)
        return None

    async def _told(self, event: AlertEvent, handle: str | None) -> str | None:
        try:
            return await self.channel.send(event, handle)
        except Undeliverable:
            raise
        except Exception as error:  # a fault of ours must not cost the other alerts
            log.exception("channel.broke", **self._about(event))
            raise Undeliverable("channel_broke", repr(error), retryable=True) from error

    async def _failed(
        self, taken: Taken, event: AlertEvent, failure: Undeliverable, left_s: float, failures: int
    ) -> None:
        """Try again later, or give up what was refused for good or is too late now."""
        retry_s = retry_in_s(failure, taken.attempt, left_s, random.random(), self._pace)  # noqa: S311
        is_over = not failure.retryable or left_s <= 0
        ending = Ending(
            outcome="dead" if is_over else "failed",
            attempts=taken.attempt,
            went="badly" if failure.retryable else "well",
            reason=failure.code,
            retry_s=retry_s,
            pause_s=pause_in_s(failure, failures + 1, random.random(), self._pace),  # noqa: S311
            is_doubtful=may_have_arrived(self.channel.name, failure),
        )
        settled = await self._settle(taken, event, ending)
        if settled == "failed":
            log.warning(
                "alert.failed",
                **self._about(event),
                attempt=taken.attempt,
                reason=failure.code,
                detail=failure.what[:200],
                retry_in_s=round(retry_s, 3),
            )
        self._mourn(settled, taken, event, failure.code, failure.what)

    async def _give_up(
        self, reason: str, detail: str, taken: Taken, event: AlertEvent | None
    ) -> None:
        """Give up without another try."""
        ending = Ending(outcome="dead", attempts=taken.attempt - 1, went="", reason=reason)
        self._mourn(await self._settle(taken, event, ending), taken, event, reason, detail)

    def _mourn(
        self, settled: Settled, taken: Taken, event: AlertEvent | None, reason: str, detail: str
    ) -> None:
        if settled != "dead":
            return
        self._checkpoint("alert.buried")
        DEAD.labels(reason=reason).inc()
        said = self._about(event) if event else {"alert": taken.alert, "channel": self.channel.name}
        log.error("alert.dead", **said, reason=reason, detail=detail[:200])

    async def _settle(self, taken: Taken, event: AlertEvent | None, ending: Ending) -> Settled:
        """End a lease, however long Redis is away: to begin anew would send it twice."""
        failures, ceiling_s = 0, SETTLE_CEILING_S
        while True:
            try:
                settled, became = await self._queue.settle(taken, ending, event, self._now())
                break
            except REDIS_ERRORS as error:
                failures += 1
                self._lost(error)
                await asyncio.sleep(backoff_s(failures, random.random(), ceiling_s=ceiling_s))  # noqa: S311
        self._checkpoint("alert.settled")
        if settled == "lost":
            log.warning("lease.lost", alert=taken.alert, channel=self.channel.name)
        else:
            DELIVERIES.labels(channel=self.channel.name, outcome=settled).inc()
        self._tell(became, ending)
        return settled

    def _tell(self, became: Became, ending: Ending) -> None:
        """Say what became of the channel."""
        if became == "opened":
            CHANNEL_OPEN.labels(self.channel.name).set(1)
            log.error(
                "channel.open",
                channel=self.channel.name,
                reason=ending.reason,
                pause_s=round(ending.pause_s, 3),
            )
        elif became == "closed":
            CHANNEL_OPEN.labels(self.channel.name).set(0)
            log.info("channel.closed", channel=self.channel.name)

    async def _keep_leases(self) -> None:
        """Say that we still work on what is in hand, often enough that nobody takes it."""
        while True:
            await asyncio.sleep(self._lease_s / 3)
            if not self._in_hand:
                continue
            try:
                await self._queue.renew(list(self._in_hand.values()))
            except REDIS_ERRORS as error:
                self._lost(error)

    def _measure(self, found: Found) -> None:
        WAITING.labels(self.channel.name).set(found.waiting)
        CHANNEL_OPEN.labels(self.channel.name).set(found.is_open)

    def _lost(self, error: Exception) -> None:
        if not self._is_lost:
            log.warning("queue.lost", channel=self.channel.name, error=str(error)[:200])
        self._is_lost = True

    def _reached(self) -> None:
        if self._is_lost:
            log.info("queue.recovered", channel=self.channel.name)
        self._is_lost = False
        self._reached_s = asyncio.get_running_loop().time()

    def _about(self, event: AlertEvent) -> dict[str, str]:
        return about(event) | {"channel": self.channel.name}
