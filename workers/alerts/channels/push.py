"""The Web Push channel: to every browser that subscribed (RFC 8030, 8188, 8291, 8292).

The alert's topic lets a later message take the place of one that a device has not fetched yet; its
tag lets the web page's service worker replace the notification that is shown.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

import http_ece
import jwt
import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct
from yarl import URL

from service.config import PushSettings
from service.errors import ConfigError
from service.events import AlertEvent
from service.model import digest
from workers.alerts.channels import Stragglers, Undeliverable
from workers.alerts.channels.guard import Sessions, address
from workers.alerts.channels.http import Clock, Http
from workers.alerts.text import Templates, Text, cut, text_of
from workers.consumer import REDIS_ERRORS
from workers.subscriptions import PushSubscription, Subscriptions, VapidKey, unpacked

PARALLEL_PUSHES = 200
# About a minute, when a push service does not answer at all.
MAX_TRIES_FOR_A_FEW = 5
# RFC 8291 section 4: 3993 bytes fit. So many characters do, also in JSON and of four bytes each.
BODY_CHARACTERS = 500
# RFC 8292 section 2: at most 24 hours.
TOKEN_S = 12 * 3600
# RFC 8030 section 7.3. The subscription is no more; nothing else says so.
_NO_MORE = frozenset({404, 410})

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Push(Struct, frozen=True):
    """One request but for its receiver. ttl_s: for so long the push service keeps it."""

    content: bytes
    topic: str
    urgency: str
    ttl_s: int


class PushChannel:
    """All subscribed browsers. There is no handle: what each has taken is kept with them."""

    name = "push"
    parallel = 2

    def __init__(
        self,
        settings: PushSettings,
        sessions: Sessions,
        templates: Templates,
        now: Clock,
        subscriptions: Subscriptions,
    ) -> None:
        self._settings, self._templates, self._now = settings, templates, now
        session = sessions.of(allow_private=settings.allow_private)
        self._http = Http(session, timeout_s=settings.timeout_s, now=now)
        self._subscriptions = subscriptions
        self._slots = asyncio.Semaphore(PARALLEL_PUSHES)
        self._stragglers = Stragglers(MAX_TRIES_FOR_A_FEW)

    async def send(self, event: AlertEvent, handle: str | None) -> None:
        """Push to every subscription that has not taken this event.

        A retraction goes to those that took something of the alert. One whose push service says
        that it is no more is removed. Raises Undeliverable when any may take it later, a few times
        while others have taken it, or when all refused it.
        """
        try:
            key = await self._subscriptions.vapid_key()
            waiting, anyone_has = await self._waiting(event)
            push = self._push(event)
            tries = (self._try(event, push, key, each) for each in waiting)
            failures = [failure for failure in await asyncio.gather(*tries) if failure]
        except REDIS_ERRORS as error:
            raise Undeliverable("redis_unreachable", str(error), retryable=True) from error
        if failures:
            self._judge(event, failures, anyone_has or len(failures) < len(waiting))

    def _judge(self, event: AlertEvent, failures: list[Undeliverable], anyone_has: bool) -> None:
        """Raise what follows from the failures, if anything does."""
        passing = [failure for failure in failures if failure.retryable]
        if not anyone_has:
            raise min(passing or failures, key=lambda failure: failure.retry_after_s or 0.0)
        if not passing:
            return
        # How long one of them asks us to wait is not for all others to wait.
        first = passing[0]
        if self._stragglers.may_try_again(event.id):
            raise Undeliverable(first.code, first.what, retryable=True)
        log.warning("push.given_up", subscriptions=len(passing), reason=first.code)

    async def _waiting(self, event: AlertEvent) -> tuple[list[PushSubscription], bool]:
        """Who is to get this event, and whether anybody has it already."""
        everyone = await self._subscriptions.all()
        taken = await self._subscriptions.taken(event.data.alert)
        only_told = event.state == "retracted"
        waiting = [
            each
            for name, each in everyone.items()
            if taken.get(name) != event.id and (name in taken or not only_told)
        ]
        return waiting, event.id in taken.values()

    def _push(self, event: AlertEvent) -> Push:
        text = text_of(event, self._templates)
        is_first = text.state == "raised"
        left_s = (event.data.deadline - self._now()).total_seconds()
        return Push(
            content=content(text, event),
            topic=digest(event.data.alert)[:32],  # RFC 8030 section 5.4: at most 32 of base64url
            urgency="high" if is_first and event.data.priority == "high" else "normal",
            # Too late for news is never too late for a correction. 0 would be: now or never.
            ttl_s=max(1, int(left_s if is_first else self._settings.ttl_s)),
        )

    async def _try(
        self, event: AlertEvent, push: Push, key: VapidKey, to: PushSubscription
    ) -> Undeliverable | None:
        """Push to one subscription. Returns why it failed, if it may be told of it again."""
        async with self._slots:
            try:
                await self._post(push, key, to)
            except Undeliverable as failure:
                if failure.gone:
                    await self._subscriptions.remove(to.id)
                    log.info("push.unsubscribed", subscription=to.id, reason=failure.code)
                    return None
                if not failure.retryable:
                    log.warning("push.refused", subscription=to.id, reason=failure.code)
                return failure
        await self._subscriptions.take(event.data.alert, to.id, event.id)
        return None

    async def _post(self, push: Push, key: VapidKey, to: PushSubscription) -> None:
        url = self._address(to)
        headers = {
            "authorization": authorization(key, url, self._settings.contact, self._now()),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(push.ttl_s),
            "topic": push.topic,
            "urgency": push.urgency,
        }
        answer = await self._http.ask("POST", url, encrypted(push.content, to), headers, read=False)
        failure = self._http.refusal(answer)
        if failure is not None and answer.status in _NO_MORE:
            raise Undeliverable(failure.code, failure.what, retryable=False, gone=True)
        if failure is not None:
            raise Undeliverable(
                failure.code,
                failure.what,
                retryable=failure.retryable,
                retry_after_s=failure.retry_after_s,
            )

    def _address(self, to: PushSubscription) -> URL:
        try:
            return address(to.endpoint, "endpoint", allow_private=self._settings.allow_private)
        except ConfigError as error:
            raise Undeliverable("address_refused", error.what, retryable=False) from None


def content(text: Text, event: AlertEvent) -> bytes:
    """The JSON that the service worker gets: a notification's title, body, tag and address."""
    return msgspec.json.encode(
        {
            "tag": event.data.alert,
            "state": text.state,
            "title": text.title,
            "body": cut(text.body, BODY_CHARACTERS),
            "url": text.link,
        }
    )


def encrypted(data: bytes, to: PushSubscription) -> bytes:
    """The body of a request: only the browser can read it (RFC 8291)."""
    body: bytes = http_ece.encrypt(
        data,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=unpacked(to.keys.p256dh),
        auth_secret=unpacked(to.keys.auth),
        version="aes128gcm",
    )
    return body


def authorization(key: VapidKey, url: URL, contact: str, now: datetime) -> str:
    """The Authorization header for a push service (RFC 8292 section 3)."""
    claims = {"aud": str(url.origin()), "exp": int(now.timestamp()) + TOKEN_S, "sub": contact}
    token = jwt.encode(claims, key.private, algorithm="ES256")
    return f"vapid t={token},k={key.public}"
