"""The alerts worker: event stream → rules → ledger → alerts stream → channels.

A channel's queue is its consumer group on the alerts stream: a failing channel delays only itself,
and a crash anywhere means that a message is delivered again, never that it is lost. What counts as
done is in the ledger alone.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial

import msgspec
import structlog
from redis.asyncio import Redis

from service.config import AlertSettings
from service.errors import CorruptionError, StoreError
from service.events import AlertEvent, CanaryEvent, Event, from_fields
from service.keys import Keys
from service.observability import ALERTS, CANARY, DEAD, DELIVERIES
from workers.alerts.channels import Channel, Undeliverable
from workers.alerts.channels.console import ConsoleChannel
from workers.alerts.channels.discord import DiscordChannel
from workers.alerts.channels.email import EmailChannel
from workers.alerts.channels.gate import Gate
from workers.alerts.channels.guard import Sessions, open_sessions
from workers.alerts.channels.ntfy import NtfyChannel
from workers.alerts.channels.push import PushChannel
from workers.alerts.channels.slack import SlackChannel
from workers.alerts.channels.telegram import TelegramChannel
from workers.alerts.channels.webhook import WebhookChannel
from workers.alerts.ledger import Before, Ledger, Reservation
from workers.alerts.rules import Change, Raise, Silence, Suppress, decide, state_of
from workers.alerts.text import templates
from workers.consumer import REDIS_ERRORS, Consumer, Fields, backoff_s, process_name
from workers.subscriptions import Subscriptions

Clock = Callable[[], datetime]
Sleep = Callable[[float], Awaitable[None]]
# Called with the name of a point between two effects; tests kill the process there.
Checkpoint = Callable[[str], None]

RETRY_BASE_S = 1.0
RETRY_CEILING_S = 60.0

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def no_checkpoint(point: str) -> None:
    """Do nothing: nobody tests crashes here."""


def alert_in(fields: Fields) -> AlertEvent:
    """The alert event in a stream entry. Raises CorruptionError when it is none."""
    event = from_fields(fields)
    if not isinstance(event, AlertEvent):
        raise CorruptionError("event.misplaced", f"{event.type} in the alerts stream")
    return event


def retry_in_s(failure: Undeliverable, attempt: int, left_s: float, draw: float) -> float:
    """Seconds until the next try: what the receiver asks for, at least our own backoff.

    Never past the deadline, which is left_s away: the last try is made there.
    """
    own = backoff_s(attempt, draw, base_s=RETRY_BASE_S, ceiling_s=RETRY_CEILING_S)
    return min(max(own, failure.retry_after_s or 0.0), left_s)


class Raising:
    """Handles the event stream: decides, and raises what is to be raised."""

    def __init__(
        self, ledger: Ledger, *, deadline_s: float, now: Clock, checkpoint: Checkpoint
    ) -> None:
        self._ledger, self._deadline_s = ledger, deadline_s
        self._now, self._checkpoint = now, checkpoint

    async def handle(self, message_id: bytes, fields: Fields) -> None:
        """Judge one event. Raises CorruptionError when the message is none."""
        event = from_fields(fields)
        if isinstance(event, CanaryEvent):
            CANARY.labels("alerts").set(event.observed_at.timestamp())
            return
        match decide(event, self._now(), self._deadline_s):
            case Raise(event=alert):
                await self._raise(alert)
            case Change(event=alert):
                await self._change(alert)
            case Suppress(reason=reason, alert=alert_id):
                await self._suppress(event, reason, alert_id)

    async def _suppress(self, event: Event, reason: Silence, alert: str | None) -> None:
        about = log.bind(page=event.data.page.id, entry=event.subject, reason=reason)
        if alert is None:
            about.debug("alert.suppressed", type=event.type)
            return
        await self._ledger.suppress(alert, reason)
        about.info("alert.suppressed", alert=alert)

    async def _raise(self, alert: AlertEvent) -> None:
        raised = await self._ledger.raise_alert(alert, self._now())
        self._checkpoint("alert.raised")
        if not raised:
            log.debug("alert.suppressed", **_about(alert), reason="raised_before")
            return
        ALERTS.labels(rule=alert.data.rule).inc()
        log.info("alert.raised", **_about(alert), lag_ms=_lag_ms(alert, self._now()))

    async def _change(self, alert: AlertEvent) -> None:
        changed = await self._ledger.change(alert)
        self._checkpoint("alert.changed")
        state = state_of(alert)
        if not changed:
            log.debug("alert.suppressed", **_about(alert), reason=f"not_to_be_{state}")
            return
        lag_ms, reason = _lag_ms(alert, self._now()), alert.data.reason[:200]
        log.info(f"alert.{state}", **_about(alert), reason=reason, lag_ms=lag_ms)


class Delivery:
    """Handles the alerts stream for one channel: tries until delivered, refused, or too late."""

    def __init__(
        self, channel: Channel, ledger: Ledger, *, now: Clock, sleep: Sleep, checkpoint: Checkpoint
    ) -> None:
        self.channel, self._ledger = channel, ledger
        self._now, self._sleep, self._checkpoint = now, sleep, checkpoint

    async def handle(self, message_id: bytes, fields: Fields) -> None:
        """Settle one alert event. Raises CorruptionError when the message is none."""
        event = alert_in(fields)
        if not await self._is_wanted(event):
            log.debug("alert.suppressed", **self._about(event), reason="never_delivered")
            return
        if self._left_s(event) <= 0:
            await self._give_up(event, "expired", "not delivered before its deadline")
            return
        while (reserved := await self._reserve(event)) is not None:
            failure = await self._try(event, reserved)
            if failure is None:
                return
            if not failure.retryable or self._left_s(event) <= 0:
                await self._give_up(event, failure.code, failure.what)
                return
            await self._back_off(event, reserved.attempt, failure)

    async def _is_wanted(self, event: AlertEvent) -> bool:
        """Whether this channel is to hear of it, once it is through with what came before.

        What was never delivered needs no retraction. An update is news of its own.
        """
        if (state := state_of(event)) == "raised":
            return True
        attempt = 0
        while True:
            before = await self._ledger.before(event, self.channel.name)
            is_through = before.is_settled and self._is_raised(event, before)
            if is_through or self._left_s(event) <= 0:
                return before.was_told or state == "updated"
            attempt += 1
            await self._sleep(backoff_s(attempt, random.random()))  # noqa: S311

    def _is_raised(self, event: AlertEvent, before: Before) -> bool:
        """Is the raising settled here, or too old to be delivered any more?"""
        allowed = event.data.deadline - event.observed_at
        raised_at = before.raised_at
        return before.is_raised or raised_at is None or self._now() > raised_at + allowed

    async def _reserve(self, event: AlertEvent) -> Reservation | None:
        """The try that may be made now; None when the alert is settled here."""
        reservation = await self._ledger.reserve(event, self.channel.name, self._now())
        if reservation.state == "sending":
            self._checkpoint("alert.reserved")
            return reservation
        log.debug("alert.suppressed", **self._about(event), reason=f"{reservation.state}_before")
        return None

    async def _try(self, event: AlertEvent, reserved: Reservation) -> Undeliverable | None:
        try:
            handle = await self.channel.send(event, reserved.handle)
        except Undeliverable as failure:
            return failure
        self._checkpoint("alert.sent")
        lag_ms = _lag_ms(event, self._now())
        await self._record(event, handle)
        self._checkpoint("alert.recorded")
        DELIVERIES.labels(channel=self.channel.name, outcome="delivered").inc()
        log.info("alert.delivered", **self._about(event), attempt=reserved.attempt, lag_ms=lag_ms)
        return None

    async def _record(self, event: AlertEvent, handle: str | None) -> None:
        """Record a success, however long Redis is away: to handle it anew would send it twice."""
        failures = 0
        while True:
            try:
                await self._ledger.delivered(event, self.channel.name, handle, self._now())
                return
            except REDIS_ERRORS:
                failures += 1
                await self._sleep(backoff_s(failures, random.random()))  # noqa: S311

    async def _back_off(self, event: AlertEvent, attempt: int, failure: Undeliverable) -> None:
        wait_s = retry_in_s(failure, attempt, self._left_s(event), random.random())  # noqa: S311
        DELIVERIES.labels(channel=self.channel.name, outcome="failed").inc()
        log.warning(
            "alert.failed",
            **self._about(event),
            attempt=attempt,
            reason=failure.code,
            detail=failure.what[:200],
            retry_in_s=round(wait_s, 3),
        )
        await self._sleep(wait_s)

    async def _give_up(self, event: AlertEvent, reason: str, detail: str) -> None:
        died = await self._ledger.dead(event, self.channel.name, reason, self._now())
        if not died:
            return
        DELIVERIES.labels(channel=self.channel.name, outcome="dead").inc()
        DEAD.labels(reason=reason).inc()
        log.error("alert.dead", **self._about(event), reason=reason, detail=detail[:200])

    def _left_s(self, event: AlertEvent) -> float:
        return (event.data.deadline - self._now()).total_seconds()

    def _about(self, event: AlertEvent) -> dict[str, str]:
        return _about(event) | {"channel": self.channel.name}


def _about(event: AlertEvent) -> dict[str, str]:
    return {
        "alert": event.data.alert,
        "rule": event.data.rule,
        "page": event.data.page.id,
        "entry": event.data.entry.id,
    }


def _lag_ms(event: AlertEvent, now: datetime) -> int:
    """From the poll that first saw it until now."""
    return round((now - event.observed_at).total_seconds() * 1000)


def open_channels(
    settings: AlertSettings, sessions: Sessions, now: Clock, subscriptions: Subscriptions
) -> list[Channel]:
    """The channels that the settings name. Raises ConfigError."""
    words = templates(msgspec.to_builtins(settings.templates))
    shared = (sessions, words, now)
    remote: list[Channel] = [
        *(WebhookChannel(name, each, sessions, now) for name, each in settings.webhooks.items()),
        *(NtfyChannel(name, each, *shared) for name, each in settings.ntfy.items()),
        *(SlackChannel(name, each, *shared) for name, each in settings.slack.items()),
        *(DiscordChannel(name, each, *shared) for name, each in settings.discord.items()),
        *(TelegramChannel(name, each, *shared) for name, each in settings.telegram.items()),
        *(EmailChannel(name, each, words) for name, each in settings.email.items()),
    ]
    if settings.apprise:  # it takes half a second to load
        from workers.alerts.channels.apprise import AppriseChannel

        remote += [AppriseChannel(name, each, words) for name, each in settings.apprise.items()]
    if settings.push is not None:
        remote.append(PushChannel(settings.push, *shared, subscriptions))
    console: list[Channel] = [ConsoleChannel(sys.stdout)] if settings.console else []
    return [*console, *(Gate(channel) for channel in remote)]


async def alerts_worker(
    redis_factory: Callable[[], Redis],
    keys: Keys,
    settings: AlertSettings,
    *,
    max_events: int,
    now: Clock,
    ready: Callable[[], None] = lambda: None,
    sleep: Sleep = asyncio.sleep,
    checkpoint: Checkpoint = no_checkpoint,
) -> None:
    """Raise and deliver alerts until cancelled. Any number of workers share the work.

    redis_factory: makes a client that answers bytes; called once for each consumer and closed here.
    max_events: about how many events the alerts stream keeps.
    ready: called when the groups are there; what happens after that is not missed.
    Raises ConfigError for a channel that can't be used, StoreError when Redis can't be used at
    start; later it is retried.
    """
    async with AsyncExitStack() as stack:
        sessions = await stack.enter_async_context(open_sessions())

        def client() -> Redis:
            redis = redis_factory()
            stack.push_async_callback(redis.aclose)
            return redis

        channels = open_channels(settings, sessions, now, Subscriptions(client(), keys))
        ledger = Ledger(client(), keys, max_events=max_events)
        raising = Raising(ledger, deadline_s=settings.deadline_s, now=now, checkpoint=checkpoint)
        deliveries = [
            Delivery(channel, ledger, now=now, sleep=sleep, checkpoint=checkpoint)
            for channel in channels
        ]
        consumers = _consumers(client, keys, settings, raising, deliveries)
        await _ensure_groups(consumers)
        ready()
        async with asyncio.TaskGroup() as tasks:
            for consumer in consumers:
                tasks.create_task(consumer.run())


def _consumers(
    client: Callable[[], Redis],
    keys: Keys,
    settings: AlertSettings,
    raising: Raising,
    deliveries: Sequence[Delivery],
) -> list[Consumer]:
    """One for each channel and one for the events. Those of the channels first: their groups too.

    A channel that is new begins with the alerts that are within their deadline: what is older was
    never meant for it, and is no dead letter.
    """
    consumer = partial(
        Consumer, name=process_name(), dead=keys.dead, claim_after_s=settings.claim_after_s
    )
    consumers = [
        consumer(
            client(),
            stream=keys.alerts,
            group=f"channel:{delivery.channel.name}",
            handler=delivery.handle,
            batch=delivery.channel.parallel,
            max_age_s=settings.deadline_s,
        )
        for delivery in deliveries
    ]
    events = consumer(client(), stream=keys.events, group="alerts", handler=raising.handle)
    return [*consumers, events]


async def _ensure_groups(consumers: Sequence[Consumer]) -> None:
    try:
        for consumer in consumers:
            await consumer.ensure_group()
    except REDIS_ERRORS as error:
        raise StoreError(
            "redis.unusable",
            f"alerts can't start: {error}",
            fix="is Redis up, and is this its address?",
        ) from error
