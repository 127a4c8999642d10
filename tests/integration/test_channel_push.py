"""Web Push to browsers that read what a push service took: each once, with the last word."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any

import http_ece
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from redis.asyncio import Redis
from structlog.testing import capture_logs

from service.config import PushSettings
from service.errors import CorruptionError, SubscriberError
from service.events import AlertEvent
from service.keys import Keys
from service.model import Paragraph
from tests.alert_samples import alert_event
from tests.receivers.http import Fault, Status
from tests.receivers.push import PushService
from workers import subscriptions as store
from workers.alerts.channels import Undeliverable
from workers.alerts.channels.guard import Sessions, open_sessions
from workers.alerts.channels.push import MAX_TRIES_FOR_A_FEW, PushChannel
from workers.alerts.text import Templates
from workers.subscriptions import Subscriptions, VapidKey, subscription, unpacked

CONTACT = "mailto:desk@news.example"


@pytest.fixture
async def sessions() -> AsyncIterator[Sessions]:
    async with open_sessions() as sessions:
        yield sessions


@pytest.fixture
async def service(redis: Redis, keys: Keys) -> AsyncIterator[PushService]:
    async with PushService().serving() as service:
        service.key = (await Subscriptions(redis, keys).vapid_key()).public
        yield service


@pytest.fixture
def kept(redis: Redis, keys: Keys) -> Subscriptions:
    return Subscriptions(redis, keys)


@pytest.fixture
def channel(sessions: Sessions, kept: Subscriptions) -> PushChannel:
    return push_channel(sessions, kept, allow_private=True)


def push_channel(sessions: Sessions, kept: Subscriptions, **given: Any) -> PushChannel:
    settings = PushSettings(contact=CONTACT, timeout_s=1, **given)
    return PushChannel(settings, sessions, Templates(), lambda: datetime.now(UTC), kept)


async def failure_of(sending: Awaitable[None]) -> Undeliverable:
    with pytest.raises(Undeliverable) as failed:
        await sending
    return failed.value


async def test_every_browser_shows_an_alert_and_what_becomes_of_it_in_its_place(
    service: PushService, kept: Subscriptions, channel: PushChannel
) -> None:
    for name in ("a", "b"):
        _, new = service.subscribe(name)
        await kept.add(new)
    for kind in ("raised", "updated", "retracted"):
        await channel.send(alert_event(kind), None)
    assert [title.split(":")[0] for title in service.visible()] == ["RETRACTED", "RETRACTED"]
    shown = service.browsers["a"].shown[alert_event().data.alert]
    assert shown["url"] == "https://news.example/live/1#e1"


async def test_a_device_that_was_off_gets_the_last_word_alone(
    service: PushService, kept: Subscriptions, channel: PushChannel
) -> None:
    browser, new = service.subscribe("a")
    await kept.add(new)
    browser.is_off = True
    for kind in ("raised", "updated", "retracted"):
        await channel.send(alert_event(kind), None)
    assert len(browser.stored) == 1
    browser.wake()
    assert [title.split(":")[0] for title in browser.titles()] == ["RETRACTED"]


async def test_news_waits_until_its_deadline_and_a_correction_for_longer(
    service: PushService, kept: Subscriptions, channel: PushChannel
) -> None:
    _, new = service.subscribe("a")
    await kept.add(new)
    await channel.send(alert_event(), None)
    assert 0 < int(service.headers["TTL"]) <= 3600
    assert service.headers["Urgency"] == "high"
    old = alert_event("updated", at=datetime.now(UTC) - timedelta(days=1))
    await channel.send(old, None)
    assert (service.headers["TTL"], service.headers["Urgency"]) == ("86400", "normal")
    await channel.send(alert_event(at=datetime.now(UTC) - timedelta(days=1), entry="e2"), None)
    assert service.headers["TTL"] == "1"


@pytest.mark.parametrize("status", [404, 410])
async def test_a_subscription_that_is_no_more_is_removed_and_no_other(
    service: PushService, kept: Subscriptions, channel: PushChannel, status: int
) -> None:
    (gone, first), (_, second) = service.subscribe("a"), service.subscribe("b")
    await kept.add(first)
    await kept.add(second)
    gone.answer = Status(status)
    with capture_logs() as logs:
        await channel.send(alert_event(), None)
    assert list(await kept.all()) == [second.id]
    assert len(service.visible()) == 1
    assert [entry["event"] for entry in logs] == ["push.unsubscribed"]


@pytest.mark.parametrize("status", [301, 400, 401, 403, 413, 418, 429, 500, 502, 503])
async def test_no_other_answer_removes_a_subscription(
    service: PushService, kept: Subscriptions, channel: PushChannel, status: int
) -> None:
    browser, new = service.subscribe("a")
    await kept.add(new)
    browser.answer = Status(status, {"Retry-After": "7"})
    failure = await failure_of(channel.send(alert_event(), None))
    assert (failure.code, failure.gone) == (f"http_{status}", False)
    assert failure.retryable == (status == 429 or status >= 500)
    assert failure.retry_after_s == (7.0 if failure.retryable else None)
    assert list(await kept.all()) == [new.id]


@pytest.mark.parametrize(
    ("fault", "code"),
    [(Fault.SLOW, "timeout"), (Fault.CUT, "unreachable"), (Fault.LOST, "unreachable")],
)
async def test_a_push_without_an_answer_is_tried_again_and_shown_once(
    service: PushService, kept: Subscriptions, channel: PushChannel, fault: Fault, code: str
) -> None:
    _, new = service.subscribe("a")
    await kept.add(new)
    service.faults = [fault]
    failure = await failure_of(channel.send(alert_event(), None))
    assert (failure.code, failure.retryable) == (code, True)
    await channel.send(alert_event(), None)
    assert len(service.visible()) == 1
    assert list(await kept.all()) == [new.id]


async def test_who_has_taken_it_is_not_sent_it_again_for_another_s_sake(
    service: PushService, sessions: Sessions, kept: Subscriptions, channel: PushChannel
) -> None:
    """Nor after the worker has died: what was taken is in Redis."""
    (slow, first), (quick, second) = service.subscribe("a"), service.subscribe("b")
    await kept.add(first)
    await kept.add(second)
    slow.answer = Status(503)
    await failure_of(channel.send(alert_event(), None))
    slow.answer = None
    await push_channel(sessions, kept, allow_private=True).send(alert_event(), None)
    assert (slow.pushes, quick.pushes) == (2, 1)
    assert len(service.visible()) == 2


async def test_one_that_never_takes_anything_holds_up_nobody(
    service: PushService, kept: Subscriptions, channel: PushChannel
) -> None:
    """Nor does it say how long the others wait: it may be anybody's."""
    (stuck, first), (_, second) = service.subscribe("a"), service.subscribe("b")
    await kept.add(first)
    await kept.add(second)
    stuck.answer = Status(503, {"Retry-After": "999999"})
    for _ in range(MAX_TRIES_FOR_A_FEW - 1):
        failure = await failure_of(channel.send(alert_event(), None))
        assert (failure.code, failure.retryable, failure.retry_after_s) == ("http_503", True, None)
    with capture_logs() as logs:
        await channel.send(alert_event(), None)
    assert logs == [
        {
            "event": "push.given_up",
            "log_level": "warning",
            "subscriptions": 1,
            "reason": "http_503",
        }
    ]
    assert len(service.visible()) == 1
    assert len(await kept.all()) == 2


async def test_who_subscribes_later_hears_of_no_retraction_but_of_an_update(
    service: PushService, kept: Subscriptions, channel: PushChannel
) -> None:
    await channel.send(alert_event(), None)
    browser, new = service.subscribe("a")
    await kept.add(new)
    await channel.send(alert_event("retracted"), None)
    assert browser.pushes == 0
    await channel.send(alert_event("updated"), None)
    assert browser.pushes == 1


async def test_one_that_is_refused_for_good_keeps_it_from_nobody(
    service: PushService, kept: Subscriptions, channel: PushChannel
) -> None:
    (refused, first), (_, second) = service.subscribe("a"), service.subscribe("b")
    await kept.add(first)
    await kept.add(second)
    refused.answer = Status(403)
    with capture_logs() as logs:
        await channel.send(alert_event(), None)
    assert len(service.visible()) == 1
    assert [(each["event"], each["reason"]) for each in logs] == [("push.refused", "http_403")]


async def test_an_address_in_our_own_network_is_not_pushed_to(
    service: PushService, sessions: Sessions, kept: Subscriptions
) -> None:
    """It came from a browser, which may be anybody's."""
    browser, new = service.subscribe("a")
    await kept.add(new)
    failure = await failure_of(push_channel(sessions, kept).send(alert_event(), None))
    assert (failure.code, failure.retryable) == ("address_refused", False)
    assert browser.pushes == 0


async def test_the_longest_alert_fits(
    service: PushService, kept: Subscriptions, channel: PushChannel
) -> None:
    _, new = service.subscribe("a")
    await kept.add(new)
    await channel.send(long_alert(), None)
    assert len(service.visible()) == 1


def long_alert() -> AlertEvent:
    event = alert_event(title="🕯" * 500)
    entry = msgspec.structs.replace(event.data.entry, body=(Paragraph("🕯" * 5000),))
    return msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, entry=entry))


async def test_redis_that_is_away_is_no_reason_to_give_up(
    sessions: Sessions, tmp_path: Any, keys: Keys
) -> None:
    away = Redis(unix_socket_path=str(tmp_path / "none.sock"))
    failure = await failure_of(
        push_channel(sessions, Subscriptions(away, keys)).send(alert_event(), None)
    )
    assert (failure.code, failure.retryable) == ("redis_unreachable", True)


async def test_the_key_is_made_once(kept: Subscriptions, redis: Redis, keys: Keys) -> None:
    one, other = await kept.vapid_key(), await Subscriptions(redis, keys).vapid_key()
    assert one.public == other.public
    assert len(unpacked(one.public)) == 65


async def test_a_key_that_is_none_is_never_replaced(redis: Redis, keys: Keys) -> None:
    """With another key every browser would have to subscribe anew."""
    await redis.set(keys.push_key, b"spoilt")
    with pytest.raises(CorruptionError):
        await Subscriptions(redis, keys).vapid_key()
    with pytest.raises(CorruptionError):
        VapidKey(b"")
    assert await redis.get(keys.push_key) == b"spoilt"


async def test_a_subscription_that_is_none_stops_loudly(
    kept: Subscriptions, redis: Redis, keys: Keys
) -> None:
    await redis.hset(keys.push_subscriptions, "a", b"{}")  # type: ignore[misc]
    with pytest.raises(CorruptionError):
        await kept.all()


async def test_subscriptions_are_bounded(
    kept: Subscriptions, service: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_SUBSCRIPTIONS", 1)
    (_, first), (_, second) = service.subscribe("a"), service.subscribe("b")
    await kept.add(first)
    await kept.add(first)
    with pytest.raises(SubscriberError) as refused:
        await kept.add(second)
    assert refused.value.code == "push.full"
    assert await kept.remove(first.id)
    assert not await kept.remove(first.id)
    await kept.add(second)


POINT = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"


@pytest.mark.parametrize(
    ("change", "is_good"),
    [
        ({}, True),
        ({"expirationTime": None}, True),
        ({"endpoint": "ftp://push.example/1"}, False),
        ({"endpoint": "https://push.example/1\r\nX: y"}, False),
        ({"keys": {"p256dh": POINT}}, False),
        ({"keys": {"p256dh": POINT[:-4], "auth": AUTH}}, False),
        ({"keys": {"p256dh": POINT[:-4] + "AAAA", "auth": AUTH}}, False),
        ({"keys": {"p256dh": POINT, "auth": "short"}}, False),
        ({"keys": {"p256dh": "ü", "auth": AUTH}}, False),
    ],
)
def test_what_a_browser_says_is_checked(change: dict[str, Any], is_good: bool) -> None:
    said = {
        "endpoint": "https://push.example/1",
        "keys": {"p256dh": POINT, "auth": AUTH},
    } | change
    data = json.dumps(said).encode()
    if is_good:
        assert subscription(data).keys.auth == AUTH
        return
    with pytest.raises(SubscriberError) as refused:
        subscription(data)
    assert refused.value.code == "push.malformed"


def test_the_encryption_is_that_of_the_standard() -> None:
    """RFC 8291 appendix A, byte for byte."""
    number = int.from_bytes(unpacked("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
    body = http_ece.encrypt(
        b"When I grow up, I want to be a watermelon",
        salt=unpacked("DGv6ra1nlYgDCS1FRnbzlw"),
        private_key=ec.derive_private_key(number, ec.SECP256R1()),
        dh=unpacked(POINT),
        auth_secret=unpacked(AUTH),
        version="aes128gcm",
    )
    assert body == unpacked(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"
        "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"
        "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
