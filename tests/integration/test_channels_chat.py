"""What ntfy, Slack, Discord and Telegram say beyond HTTP, and what follows from it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from service.config import (
    AlertSettings,
    DiscordSettings,
    NtfySettings,
    SlackSettings,
    TelegramSettings,
)
from service.errors import ConfigError
from service.wording import TemplateSettings
from tests.alert_samples import alert_event
from tests.receivers.discord import DiscordReceiver
from tests.receivers.http import Status
from tests.receivers.ntfy import NtfyReceiver
from tests.receivers.slack import SlackReceiver
from tests.receivers.telegram import TelegramReceiver
from workers.alerts.channels import Undeliverable
from workers.alerts.channels.discord import DiscordChannel
from workers.alerts.channels.guard import Sessions, open_sessions
from workers.alerts.channels.ntfy import NtfyChannel
from workers.alerts.channels.slack import SlackChannel
from workers.alerts.channels.telegram import TelegramChannel
from workers.alerts.text import Templates
from workers.alerts.worker import open_channels

WORDS = Templates()
PRIVATE: dict[str, Any] = {"allow_private": True}


def now() -> datetime:
    return datetime.now(UTC)


async def failure_of(sending: Awaitable[str | None]) -> Undeliverable:
    with pytest.raises(Undeliverable) as failed:
        await sending
    return failed.value


@pytest.fixture
async def sessions() -> AsyncIterator[Sessions]:
    async with open_sessions() as sessions:
        yield sessions


@pytest.fixture
async def slack() -> AsyncIterator[SlackReceiver]:
    async with SlackReceiver().serving() as receiver:
        yield receiver


@pytest.fixture
def slack_channel(slack: SlackReceiver, sessions: Sessions) -> SlackChannel:
    settings = SlackSettings(token="xoxb-1", channel="C1", api_url=f"{slack.url}/api", **PRIVATE)
    return SlackChannel("desk", settings, sessions, WORDS, now)


@pytest.fixture
async def discord() -> AsyncIterator[DiscordReceiver]:
    async with DiscordReceiver().serving() as receiver:
        yield receiver


@pytest.fixture
def discord_channel(discord: DiscordReceiver, sessions: Sessions) -> DiscordChannel:
    url = f"{discord.url}/api/webhooks/1/token?thread_id=5"
    return DiscordChannel("desk", DiscordSettings(url=url, **PRIVATE), sessions, WORDS, now)


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramReceiver]:
    async with TelegramReceiver().serving() as receiver:
        yield receiver


@pytest.fixture
def telegram_channel(telegram: TelegramReceiver, sessions: Sessions) -> TelegramChannel:
    settings = TelegramSettings(token="1:A-b_c", chat="-100", api_url=telegram.url, **PRIVATE)
    return TelegramChannel("desk", settings, sessions, WORDS, now)


async def test_ntfy_makes_noise_once_and_leads_to_the_entry(sessions: Sessions) -> None:
    async with NtfyReceiver().serving() as receiver:
        settings = NtfySettings(topic="desk", url=receiver.url, **PRIVATE)
        channel = NtfyChannel("desk", settings, sessions, WORDS, now)
        handle = await channel.send(alert_event(), None)
        ((place, shown),) = receiver.shown.items()
        assert place == handle
        assert (shown["priority"], shown["tags"]) == (5, ["rotating_light"])
        assert shown["click"] == "https://news.example/live/1#e1"
        await channel.send(alert_event("retracted"), handle)
        ((_, shown),) = receiver.shown.items()
        assert (shown["priority"], shown["tags"]) == (2, ["x"])


async def test_an_update_that_nobody_has_heard_before_makes_noise(sessions: Sessions) -> None:
    async with NtfyReceiver().serving() as receiver:
        settings = NtfySettings(topic="desk", url=receiver.url, **PRIVATE)
        channel = NtfyChannel("desk", settings, sessions, WORDS, now)
        await channel.send(alert_event("updated"), None)
        ((_, shown),) = receiver.shown.items()
        assert (shown["priority"], shown["tags"]) == (5, ["pencil2"])


async def test_a_topic_that_is_closed_to_us_is_final(sessions: Sessions) -> None:
    async with NtfyReceiver("tk_1").serving() as receiver:
        settings = NtfySettings(topic="desk", url=receiver.url, token="tk_2", **PRIVATE)
        channel = NtfyChannel("desk", settings, sessions, WORDS, now)
        failure = await failure_of(channel.send(alert_event(), None))
        assert (failure.code, failure.retryable) == ("http_403", False)


@pytest.mark.parametrize(
    ("error", "code", "retryable", "gone"),
    [
        ("ratelimited", "slack_ratelimited", True, False),
        ("internal_error", "slack_internal_error", True, False),
        ("channel_not_found", "slack_channel_not_found", False, False),
        ("token_revoked", "slack_token_revoked", False, True),
        ("Ünheard of", "slack_error", False, False),
    ],
)
async def test_what_slack_refuses_is_named(
    slack: SlackReceiver,
    slack_channel: SlackChannel,
    error: str,
    code: str,
    retryable: bool,
    gone: bool,
) -> None:
    slack.errors = [error]
    failure = await failure_of(slack_channel.send(alert_event(), None))
    assert (failure.code, failure.retryable, failure.gone) == (code, retryable, gone)
    assert slack.visible() == []


async def test_what_is_no_answer_of_slack_is_tried_again(
    slack: SlackReceiver, slack_channel: SlackChannel
) -> None:
    slack.faults = [Status(200, body="<html>Sign in to this network</html>")]
    failure = await failure_of(slack_channel.send(alert_event(), None))
    assert (failure.code, failure.retryable) == ("answer_malformed", True)


@pytest.mark.parametrize("error", ["message_not_found", "cant_update_message"])
async def test_an_update_of_a_message_that_cannot_be_changed_in_slack_is_posted(
    slack: SlackReceiver, slack_channel: SlackChannel, error: str
) -> None:
    handle = await slack_channel.send(alert_event(), None)
    slack.errors = [error]
    other = await slack_channel.send(alert_event("updated"), handle)
    assert other not in (None, handle)
    assert [seen.split(":")[0] for seen in slack.visible()] == ["BREAKING", "UPDATED"]


async def test_what_was_deleted_in_slack_needs_no_retraction(
    slack: SlackReceiver, slack_channel: SlackChannel
) -> None:
    handle = await slack_channel.send(alert_event(), None)
    slack.messages.clear()
    assert await slack_channel.send(alert_event("retracted"), handle) is None
    assert slack.visible() == []


async def test_a_retraction_is_struck_out_in_slack(
    slack: SlackReceiver, slack_channel: SlackChannel
) -> None:
    handle = await slack_channel.send(alert_event(), None)
    assert handle == "C1:1745571605.000000"
    await slack_channel.send(alert_event("retracted"), handle)
    ((_, message),) = slack.messages.items()
    title = message["blocks"][0]["elements"][0]["elements"][0]
    assert title["style"] == {"bold": True, "strike": True}


async def test_an_incoming_webhook_that_was_removed_is_gone(
    slack: SlackReceiver, sessions: Sessions
) -> None:
    hook = SlackSettings(webhook_url=f"{slack.url}/services/T1/B1/key", **PRIVATE)
    slack.faults = [Status(404, body="no_service")]
    channel = SlackChannel("desk", hook, sessions, WORDS, now)
    failure = await failure_of(channel.send(alert_event(), None))
    assert (failure.code, failure.gone) == ("http_404", True)


async def test_a_webhook_that_was_removed_in_discord_is_gone(
    discord: DiscordReceiver, discord_channel: DiscordChannel
) -> None:
    discord.is_removed = True
    failure = await failure_of(discord_channel.send(alert_event(), None))
    assert (failure.code, failure.retryable, failure.gone) == ("http_404", False, True)


async def test_what_was_deleted_in_discord_is_posted_anew_or_needs_no_retraction(
    discord: DiscordReceiver, discord_channel: DiscordChannel
) -> None:
    handle = await discord_channel.send(alert_event(), None)
    assert handle == "900"
    discord.messages.clear()
    assert await discord_channel.send(alert_event("retracted"), handle) is None
    assert discord.visible() == []
    assert await discord_channel.send(alert_event("updated"), handle) == "900"
    assert len(discord.visible()) == 1


async def test_a_change_goes_to_the_thread_that_the_message_is_in(
    discord: DiscordReceiver, discord_channel: DiscordChannel
) -> None:
    handle = await discord_channel.send(alert_event(), None)
    await discord_channel.send(alert_event("updated"), handle)
    assert discord.threads == ["5", "5"]


async def test_discord_says_in_its_answer_how_long_to_wait(
    discord: DiscordReceiver, discord_channel: DiscordChannel
) -> None:
    said = '{"message": "You are being rate limited.", "retry_after": 0.65, "global": false}'
    discord.faults = [Status(429, body=said)]
    failure = await failure_of(discord_channel.send(alert_event(), None))
    assert (failure.code, failure.retryable, failure.retry_after_s) == ("http_429", True, 0.65)


async def test_the_longest_alert_of_marks_alone_fits_into_discord(
    discord: DiscordReceiver, sessions: Sessions
) -> None:
    words = Templates((TemplateSettings(raised="{title}" * 9),))
    settings = DiscordSettings(url=f"{discord.url}/api/webhooks/1/token", **PRIVATE)
    channel = DiscordChannel("desk", settings, sessions, words, now)
    event = alert_event(title="*" * 5000)
    entry = msgspec.structs.replace(event.data.entry, url="https://a.example/" + "a" * 380)
    data = msgspec.structs.replace(event.data, entry=entry)
    await channel.send(msgspec.structs.replace(event, data=data), None)
    assert len(discord.visible()) == 1


async def test_telegram_says_in_its_answer_how_long_to_wait(
    telegram: TelegramReceiver, telegram_channel: TelegramChannel
) -> None:
    telegram.limited_s = 31
    failure = await failure_of(telegram_channel.send(alert_event(), None))
    assert (failure.code, failure.retryable, failure.retry_after_s) == ("http_429", True, 31.0)


async def test_a_bot_whose_token_was_revoked_is_gone(
    telegram: TelegramReceiver, sessions: Sessions
) -> None:
    settings = TelegramSettings(token="2:x", chat="@desk", api_url=telegram.url, **PRIVATE)
    channel = TelegramChannel("desk", settings, sessions, WORDS, now)
    failure = await failure_of(channel.send(alert_event(), None))
    assert (failure.code, failure.retryable, failure.gone) == ("http_401", False, True)


async def test_what_was_deleted_in_telegram_is_posted_anew_or_needs_no_retraction(
    telegram: TelegramReceiver, telegram_channel: TelegramChannel
) -> None:
    handle = await telegram_channel.send(alert_event(), None)
    assert handle == "700"
    telegram.messages.clear()
    assert await telegram_channel.send(alert_event("retracted"), handle) is None
    assert telegram.visible() == []
    assert await telegram_channel.send(alert_event("updated"), handle) == "700"
    assert len(telegram.visible()) == 1


@pytest.mark.parametrize(
    ("table", "settings", "says"),
    [
        ("ntfy", NtfySettings(topic="a", url="http://127.0.0.1"), "alerts.ntfy.x.url: 127.0.0.1"),
        ("slack", SlackSettings(webhook_url="http://[::1]/"), "alerts.slack.x.webhook_url: ::1"),
        ("discord", DiscordSettings(url="http://localhost/"), "alerts.discord.x.url: localhost"),
        (
            "telegram",
            TelegramSettings(token="1:a", chat="1", api_url="http://10.0.0.1"),
            "alerts.telegram.x.api_url: 10.0.0.1",
        ),
    ],
)
def test_a_channel_that_is_not_at_a_public_address_is_refused_by_name(
    table: str, settings: object, says: str
) -> None:
    unused: Any = None
    with pytest.raises(ConfigError, match=r"set allow_private = true") as refused:
        open_channels(
            AlertSettings(**{table: {"x": settings}}), Sessions(unused, unused), now, unused
        )
    assert str(refused.value).startswith(says)
