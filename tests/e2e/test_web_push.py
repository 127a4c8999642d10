"""Pushes end to end, as far as a browser without a push service goes: the web page subscribes, the
alerts worker's channel pushes, and the service worker shows what the push service has read.

Chromium has no push service here. So what `PushManager` gives is a test's: the address and keys of
a browser of tests/receivers/push.py. What that one decrypts is handed to the real service worker.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from playwright.async_api import Browser, CDPSession, Page, expect
from redis.asyncio import Redis

from service.config import GatewaySettings, KeySettings, PushSettings
from service.keys import Keys
from tests.alert_samples import alert_event
from tests.integration.test_gateway import Desk
from tests.receivers import push as receiver
from tests.receivers.push import PushService
from tests.waiting import eventually
from workers.alerts.channels.guard import open_sessions
from workers.alerts.channels.push import PushChannel
from workers.alerts.text import Templates
from workers.subscriptions import PushSubscription, Subscriptions

PUSH = PushSettings(contact="mailto:desk@news.example", allow_private=True)
PUSHES = 3
LOCKED = GatewaySettings(port=0, keys={"sport": KeySettings(secret="s" * 24, pages=("sport-*",))})
# What a browser with a push service has: it remembers its one subscription, and its key.
PUSH_MANAGER = """
const plain = (key) => atob(key.replace(/-/g, "+").replace(/_/g, "/"));
const bytes = (key) => Uint8Array.from(plain(key), (one) => one.charCodeAt(0));
const known = () => localStorage.getItem("stub");
const subscription = () => ({
  endpoint: GIVEN.endpoint,
  options: { applicationServerKey: bytes(known()).buffer },
  toJSON: () => ({ expirationTime: null, ...GIVEN }),
  unsubscribe: async () => (localStorage.removeItem("stub"), true),
});
PushManager.prototype.subscribe = async ({ userVisibleOnly, applicationServerKey }) => {
  if (!userVisibleOnly) throw new Error("userVisibleOnly");
  localStorage.setItem("stub", applicationServerKey);
  return subscription();
};
PushManager.prototype.getSubscription = async () => (known() ? subscription() : null);
"""
IS_ACTIVE = "navigator.serviceWorker.ready.then(({ active }) => active.state === 'activated')"
SHOWN = """navigator.serviceWorker.ready.then((one) => one.getNotifications())
  .then((all) => all.map(({ tag, title, body, data }) => ({ tag, title, body, url: data.url })))"""
CLICK = """async () => {
  const asked = [];
  self.clients.openWindow = async (url) => asked.push(url);
  const [notification] = await self.registration.getNotifications();
  self.dispatchEvent(new NotificationEvent("notificationclick", { notification }));
  await new Promise((resolve) => setTimeout(resolve, 100));
  return { asked, left: (await self.registration.getNotifications()).length };
}"""


@pytest.fixture
def desk(redis: Redis, redis_url: str, keys: Keys) -> Desk:
    return Desk(redis, redis_url, keys)


@pytest.fixture
def kept(redis: Redis, keys: Keys) -> Subscriptions:
    return Subscriptions(redis, keys)


@pytest.fixture
async def service(kept: Subscriptions) -> AsyncIterator[PushService]:
    async with PushService().serving() as service:
        service.key = (await kept.vapid_key()).public
        yield service


@pytest.fixture
async def channel(kept: Subscriptions) -> AsyncIterator[PushChannel]:
    async with open_sessions() as sessions:
        yield PushChannel(PUSH, sessions, Templates(), lambda: datetime.now(UTC), kept)


@pytest.fixture
async def tab(browser: Browser) -> AsyncIterator[Page]:
    """A tab that may notify, and has seen no script error when the test ends."""
    context = await browser.new_context(permissions=["notifications"])
    tab = await context.new_page()
    faults: list[str] = []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    yield tab
    await context.close()
    assert faults == []


async def subscribed(tab: Page, service: PushService) -> tuple[receiver.Browser, PushSubscription]:
    """What the browser's push service gives this tab."""
    shown, new = service.subscribe("tab")
    given = msgspec.json.encode(new).decode()
    await tab.add_init_script(f"{{ const GIVEN = {given};{PUSH_MANAGER} }}")
    return shown, new


class Worker:
    """The page's service worker, to which a push can be handed."""

    def __init__(self, tab: Page, session: CDPSession, origin: str) -> None:
        self.tab, self._session, self._origin = tab, session, origin
        self.registration = ""
        session.on("ServiceWorker.workerRegistrationUpdated", self._note)

    def _note(self, event: dict[str, Any]) -> None:
        for one in event["registrations"]:
            self.registration = one["registrationId"]

    async def is_there(self) -> bool:
        return bool(self.registration and await self.tab.evaluate(IS_ACTIVE))

    async def push(self, data: str, **wanted: object) -> list[dict[str, Any]]:
        """Hand over a push; the notifications, once one of them is so.

        A browser that has just begun may clear up a notification that it has shown already: it is
        pushed again then.
        """
        await eventually(self.is_there, "a service worker")
        said = {"origin": self._origin, "registrationId": self.registration, "data": data}
        for _ in range(PUSHES - 1):
            with suppress(AssertionError):
                return await self._push(said, wanted)
        return await self._push(said, wanted)

    async def _push(self, said: dict[str, str], wanted: dict[str, object]) -> list[dict[str, Any]]:
        await self._session.send("ServiceWorker.deliverPushMessage", said)

        async def look() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = await self.tab.evaluate(SHOWN)
            return found if any(one.items() >= wanted.items() for one in found) else []

        return await eventually(look, f"a notification with {wanted}", 10)

    async def click(self) -> dict[str, Any]:
        """Click the one notification; what was opened."""
        (worker,) = self.tab.context.service_workers
        clicked: dict[str, Any] = await worker.evaluate(CLICK)
        return clicked


async def worker_of(tab: Page, origin: str) -> Worker:
    session = await tab.context.new_cdp_session(tab)
    worker = Worker(tab, session, origin)
    await session.send("ServiceWorker.enable")
    return worker


async def test_an_alert_is_notified_changed_in_its_place_and_opened_by_a_click(
    desk: Desk, tab: Page, service: PushService, channel: PushChannel, kept: Subscriptions
) -> None:
    browser, new = await subscribed(tab, service)
    async with desk.serving(push=PUSH) as gateway:
        await tab.goto(gateway)
        button = tab.get_by_role("button", name="Notify me")
        await expect(button).to_have_attribute("aria-pressed", "false")
        await button.click()
        await expect(button).to_have_attribute("aria-pressed", "true")
        assert list(await kept.all()) == [new.id]
        worker = await worker_of(tab, gateway)
        title = "General killed in car bomb attack - reports"
        for kind, word in (
            ("raised", "BREAKING"),
            ("updated", "UPDATED"),
            ("retracted", "RETRACTED"),
        ):
            event = alert_event(kind)
            await channel.send(event, None)
            told = json.dumps(browser.shown[event.data.alert])
            (shown,) = await worker.push(told, title=f"{word}: {title}")
            assert (shown["tag"], shown["url"]) == (
                event.data.alert,
                "https://news.example/live/1#e1",
            )
        assert shown["body"].startswith("Taken back: its entry was withdrawn.")
        assert await worker.click() == {"asked": ["https://news.example/live/1#e1"], "left": 0}
        await button.click()
        await expect(button).to_have_attribute("aria-pressed", "false")
        assert await kept.all() == {}


async def test_who_comes_back_is_subscribed_still_or_again(
    desk: Desk, tab: Page, service: PushService, kept: Subscriptions, redis: Redis
) -> None:
    _, new = await subscribed(tab, service)
    button = tab.get_by_role("button", name="Notify me")
    async with desk.serving(push=PUSH) as gateway:
        await tab.goto(gateway)
        await button.click()
        await expect(button).to_have_attribute("aria-pressed", "true")
        await redis.delete(desk.keys.push_subscriptions)
        await tab.reload()
        await expect(button).to_have_attribute("aria-pressed", "true")
        assert list(await kept.all()) == [new.id]
        # Redis has lost the gateway's key: the browser's subscription is for another one.
        await redis.delete(desk.keys.push_subscriptions, desk.keys.push_key)
        await tab.reload()
        await expect(button).to_have_attribute("aria-pressed", "true")
        assert list(await kept.all()) == [new.id]
        assert await tab.evaluate("localStorage.stub") == (await kept.vapid_key()).public


async def test_a_key_is_sent_along_and_its_pages_are_kept(
    desk: Desk, tab: Page, service: PushService, kept: Subscriptions
) -> None:
    _, new = await subscribed(tab, service)
    async with desk.serving(LOCKED, push=PUSH) as gateway:
        await tab.goto(gateway)
        await tab.get_by_label("Key").fill("s" * 24)
        await tab.get_by_role("button", name="Connect").click()
        button = tab.get_by_role("button", name="Notify me")
        await button.click()
        await expect(button).to_have_attribute("aria-pressed", "true")
        assert list(await kept.of("sport-cup")) == [new.id]
        assert await kept.of("ukraine") == {}
        await button.click()
        await expect(button).to_have_attribute("aria-pressed", "false")
        assert await kept.of("sport-cup") == {}


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ("no JSON", {"title": "Stoppress", "body": "There is an alert.", "url": None}),
        ("null", {"title": "Stoppress", "url": None}),
        (
            json.dumps(
                {"tag": "t", "title": "<b>T</b>", "body": "<img src=x>", "url": "javascript:1"}
            ),
            {"title": "<b>T</b>", "body": "<img src=x>", "url": None},
        ),
        (
            json.dumps({"tag": "t", "title": "T", "body": "", "url": "data:text/html,x"}),
            {"title": "T", "url": None},
        ),
    ],
)
async def test_a_push_is_text_and_leads_only_to_http(
    desk: Desk, tab: Page, service: PushService, data: str, wanted: dict[str, object]
) -> None:
    """One that says nothing sensible is shown all the same: a browser asks for that."""
    await subscribed(tab, service)
    async with desk.serving(push=PUSH) as gateway:
        await tab.goto(gateway)
        button = tab.get_by_role("button", name="Notify me")
        await button.click()
        await expect(button).to_have_attribute("aria-pressed", "true")
        worker = await worker_of(tab, gateway)
        await worker.push(data, **wanted)
        assert (await worker.click())["asked"] in ([], ["/"])


async def test_a_browser_that_cannot_be_pushed_to_says_so(desk: Desk, tab: Page) -> None:
    """This is the real thing: Chromium without a push service."""
    async with desk.serving(push=PUSH) as gateway:
        await tab.goto(gateway)
        button = tab.get_by_role("button", name="Notify me")
        await button.click()
        await expect(tab.locator("#notify-note")).not_to_be_empty()
        await expect(button).to_have_attribute("aria-pressed", "false")


async def test_what_the_gateway_refuses_is_said_and_the_browser_unsubscribed(
    desk: Desk, tab: Page, service: PushService
) -> None:
    await subscribed(tab, service)
    strict = msgspec.structs.replace(PUSH, allow_private=False)
    async with desk.serving(push=strict) as gateway:
        await tab.goto(gateway)
        button = tab.get_by_role("button", name="Notify me")
        await button.click()
        await expect(tab.locator("#notify-note")).to_contain_text("not a public address")
        await expect(button).to_have_attribute("aria-pressed", "false")
        assert await tab.evaluate("localStorage.stub") is None


async def test_without_pushes_there_is_no_button(desk: Desk, tab: Page) -> None:
    async with desk.serving() as gateway:
        await tab.goto(gateway)
        await expect(tab.locator("#connection")).to_have_text("Connected")
        await asyncio.sleep(0.3)
        await expect(tab.locator("#notify")).to_be_hidden()
        await expect(tab.locator("#alerts-section")).to_be_hidden()
