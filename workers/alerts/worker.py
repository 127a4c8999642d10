"""The alerts worker: event stream → rules → ledger → alerts stream → channels.

Each channel has a queue of its own: a failing one delays only itself, and a crash anywhere means
that a message is delivered again, never that it is lost. What counts as done is in the ledger.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack

from redis.asyncio import Redis

from service.config import AlertSettings, TextualSettings
from service.errors import StoreError
from service.keys import Keys
from workers.alerts.canary import CanaryChannel, Watch
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
from workers.alerts.current import CurrentRules
from workers.alerts.delivery import Delivery, Pace
from workers.alerts.holding import Holding
from workers.alerts.ledger import Ledger
from workers.alerts.queue import Queue
from workers.alerts.raising import Raising
from workers.alerts.steps import Checkpoint, Clock, no_checkpoint
from workers.alerts.text import OfRule, Templates
from workers.consumer import REDIS_ERRORS, Consumer, process_name
from workers.rulebook import Rulebook
from workers.subscriptions import Subscriptions

DEFAULT_PACE = Pace()


def wording(settings: AlertSettings, of_rule: OfRule) -> dict[str, Templates]:
    """By channel, of those that show text, what is said there. of_rule: the templates of a rule."""
    return {
        name: Templates((each.templates, settings.templates), of_rule)
        for name, each in settings.receivers.items()
        if isinstance(each, TextualSettings)
    }


def open_channels(
    settings: AlertSettings,
    sessions: Sessions,
    now: Clock,
    subscriptions: Subscriptions,
    of_rule: OfRule = lambda rule: None,
) -> list[Channel]:
    """The channels that the settings name. of_rule: the templates of a rule. Raises ConfigError."""
    words = wording(settings, of_rule)

    def shared(channel: str) -> tuple[Sessions, Templates, Clock]:
        return sessions, words[channel], now

    remote: list[Channel] = [
        *(WebhookChannel(n, each, sessions, now) for n, each in settings.webhooks.items()),
        *(NtfyChannel(n, each, *shared(f"ntfy:{n}")) for n, each in settings.ntfy.items()),
        *(SlackChannel(n, each, *shared(f"slack:{n}")) for n, each in settings.slack.items()),
        *(DiscordChannel(n, each, *shared(f"discord:{n}")) for n, each in settings.discord.items()),
        *(
            TelegramChannel(n, each, *shared(f"telegram:{n}"))
            for n, each in settings.telegram.items()
        ),
        *(EmailChannel(n, each, words[f"email:{n}"]) for n, each in settings.email.items()),
    ]
    if settings.apprise:  # it takes half a second to load
        from workers.alerts.channels.apprise import AppriseChannel

        remote += [
            AppriseChannel(n, each, words[f"apprise:{n}"]) for n, each in settings.apprise.items()
        ]
    if settings.push is not None:
        remote.append(PushChannel(settings.push, *shared("push"), subscriptions))
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
    pace: Pace = DEFAULT_PACE,
    checkpoint: Checkpoint = no_checkpoint,
) -> None:
    """Raise and deliver alerts until cancelled. Any number of workers share the work.

    redis_factory: makes a client that answers bytes; called once for each consumer and closed here.
    max_events: about how many events the alerts stream keeps.
    ready: called when the group is there; what happens after that is not missed.
    pace: how often is tried again.
    Raises ConfigError for a channel that can't be used, StoreError when Redis can't be used at
    start; later it is retried.
    """
    async with AsyncExitStack() as stack:
        sessions = await stack.enter_async_context(open_sessions())

        def client() -> Redis:
            redis = redis_factory()
            stack.push_async_callback(redis.aclose)
            return redis

        rules = CurrentRules(settings, Rulebook(client(), keys))
        subscriptions = Subscriptions(client(), keys)
        channels = open_channels(settings, sessions, now, subscriptions, rules.templates)
        holder, lease_s = process_name(), settings.claim_after_s

        def delivery(channel: Channel, *, is_dry: bool = False) -> Delivery:
            queue = Queue(
                client(), keys, channel.name, holder=holder, lease_s=lease_s, trip=pace.trip
            )
            return Delivery(
                channel, queue, lease_s=lease_s, pace=pace, now=now,
                checkpoint=no_checkpoint if is_dry else checkpoint, is_dry=is_dry,
            )  # fmt: skip

        canaries = client()
        deliveries = [
            *(delivery(channel) for channel in channels),
            delivery(CanaryChannel(canaries, keys), is_dry=True),
        ]

        def wake() -> None:
            for each in deliveries:
                each.wake()

        raising = Raising(
            Ledger(client(), keys, max_events=max_events, queued=wake),
            Holding(client(), keys),
            rules,
            [channel.name for channel in channels],
            now=now, checkpoint=checkpoint,
        )  # fmt: skip
        events = Consumer(
            client(), stream=keys.events, group="alerts", name=holder, handler=raising.handle,
            dead=keys.dead, claim_after_s=settings.claim_after_s,
        )  # fmt: skip
        await _ensure_group(events)
        ready()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(events.run())
            tasks.create_task(raising.run())
            tasks.create_task(Watch(canaries, keys, now).run())
            for each in deliveries:
                tasks.create_task(each.run())


async def _ensure_group(consumer: Consumer) -> None:
    try:
        await consumer.ensure_group()
    except REDIS_ERRORS as error:
        raise StoreError(
            "redis.unusable",
            f"alerts can't start: {error}",
            fix="is Redis up, and is this its address?",
        ) from error
