"""The alerts worker: event stream → rules → ledger → alerts stream → channels.

A channel's queue is its consumer group on the alerts stream: a failing channel delays only itself,
and a crash anywhere means that a message is delivered again, never that it is lost. What counts as
done is in the ledger alone.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial

import msgspec
import structlog
from redis.asyncio import Redis

from service.config import AlertSettings
from service.errors import StoreError
from service.keys import Keys
from workers.alerts.channels import Channel
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
from workers.alerts.delivery import Delivery
from workers.alerts.ledger import Ledger
from workers.alerts.raising import Raising
from workers.alerts.steps import Checkpoint, Clock, Sleep, no_checkpoint
from workers.alerts.text import templates
from workers.consumer import REDIS_ERRORS, Consumer, process_name
from workers.subscriptions import Subscriptions

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


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
