"""A push service and its browsers: it checks what RFC 8030 and 8292 ask, they read RFC 8291."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any

import http_ece
import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Struct

from tests.receivers.http import HttpReceiver, Status
from workers.subscriptions import PushKeys, PushSubscription, packed, unpacked


class Browser(Struct):
    """A browser that subscribed. shown: its notifications by tag. stored: by topic, while it is
    off; answer: what the push service answers for it instead of taking anything."""

    private: Any
    secret: bytes
    is_off: bool = False
    answer: Status | None = None
    shown: dict[str, dict[str, str]] = {}
    stored: dict[str, bytes] = {}
    pushes: int = 0

    def wake(self) -> None:
        """It comes back and gets what was stored for it."""
        self.is_off = False
        for body in self.stored.values():
            self.read(body)
        self.stored = {}

    def read(self, body: bytes) -> None:
        """What the service worker does: shows a notification, in the place of its tag's."""
        said = json.loads(
            http_ece.decrypt(
                body, private_key=self.private, auth_secret=self.secret, version="aes128gcm"
            )
        )
        self.shown[said["tag"]] = said

    def titles(self) -> list[str]:
        return [each["title"] for each in self.shown.values()]


class PushService(HttpReceiver):
    """browsers: by the name in their address. key: the VAPID key that pushes must be signed with.

    headers: of the last push.
    """

    def __init__(self) -> None:
        super().__init__()
        self.browsers: dict[str, Browser] = {}
        self.key = ""
        self.headers: Mapping[str, str] = {}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/push/{name}", self._push)

    def visible(self) -> list[str]:
        return [title for browser in self.browsers.values() for title in browser.titles()]

    def subscribe(self, name: str) -> tuple[Browser, PushSubscription]:
        private, secret = ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
        point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.browsers[name] = Browser(private, secret)
        keys = PushKeys(p256dh=packed(point), auth=packed(secret))
        return self.browsers[name], PushSubscription(f"{self.url}/push/{name}", keys)

    async def _push(self, request: web.Request) -> web.Response:
        browser = self.browsers[request.match_info["name"]]
        browser.pushes += 1
        if browser.answer is not None:
            return web.Response(status=browser.answer.status, headers=browser.answer.headers)
        self.headers = request.headers.copy()
        if not self._is_signed(request.headers["Authorization"]):
            return web.Response(status=403)
        body = await request.read()
        assert int(request.headers["TTL"]) > 0
        assert request.headers["Urgency"] in ("very-low", "low", "normal", "high")
        assert request.headers["Content-Encoding"] == "aes128gcm"
        assert len(request.headers["Topic"]) <= 32
        assert len(body) <= 4096
        if browser.is_off:
            browser.stored[request.headers["Topic"]] = body
        else:
            browser.read(body)
        return web.Response(status=201, headers={"Location": f"{self.url}/message/1"})

    def _is_signed(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        parts = dict(part.strip().split("=", 1) for part in given.split(","))
        assert (scheme, set(parts)) == ("vapid", {"t", "k"})
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unpacked(parts["k"]))
        claims = jwt.decode(parts["t"], point, algorithms=["ES256"], audience=self.url)
        assert claims["exp"] <= time.time() + 24 * 3600
        assert claims["sub"].startswith("mailto:")
        return parts["k"] == self.key
