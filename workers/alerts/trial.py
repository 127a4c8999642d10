"""A test alert through one channel: past rules, ledger and queue, marked as what it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from redis.asyncio import Redis

from service.config import AlertSettings
from service.errors import ConfigError
from service.events import AlertData, AlertEvent, rfc3339
from service.keys import Keys
from service.model import Entry, PageRef, Paragraph, digest
from workers.alerts.channels.guard import open_sessions
from workers.alerts.steps import Clock
from workers.alerts.worker import open_channels
from workers.subscriptions import Subscriptions

RULE = "test"
URL = "https://stoppress.invalid/test"


def trial_event(now: datetime) -> AlertEvent:
    """A test alert. It has an id of its own, so that no receiver takes it for an earlier one."""
    name = digest(RULE, rfc3339(now))
    text = "Nothing has happened. Somebody tries whether alerts arrive here."
    entry = Entry(
        id=name,
        title="Test alert from Stoppress",
        published=now,
        labels=(RULE,),
        body=(Paragraph(text),),
        url=URL,
    )
    return AlertEvent(
        specversion="1.0",
        id=name,
        source=URL,
        type="stoppress.alert.raised",
        subject=name,
        time=rfc3339(now),
        datacontenttype="application/json",
        data=AlertData(
            alert=name,
            rule=RULE,
            priority="high",
            page=PageRef(id=RULE, url=URL, title="Test"),
            entry=entry,
            event=name,
            reason="somebody asked for a test",
            deadline=now + timedelta(minutes=5),
        ),
    )


async def try_channel(
    settings: AlertSettings, name: str, redis_factory: Callable[[], Redis], keys: Keys, now: Clock
) -> str | None:
    """Send a test alert through the channel of that name, once.

    redis_factory: called for Web Push alone, which keeps its subscriptions there.
    Returns what the channel calls the message. Raises ConfigError when the settings have no such
    channel, Undeliverable when it did not go through.
    """
    known = settings.channels
    if name not in known:
        raise ConfigError(
            "channel.unknown",
            f"the settings have no channel {name!r}",
            fix=f"channels: {', '.join(known) or 'none'}",
        )
    async with open_sessions() as sessions, redis_factory() as redis:
        channels = open_channels(settings, sessions, now, Subscriptions(redis, keys))
        channel = next(each for each in channels if each.name == name)
        return await channel.send(trial_event(now()), None)
