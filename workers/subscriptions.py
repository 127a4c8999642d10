"""Push subscriptions of browsers, and the key that their alerts are signed with, kept in Redis.

A gateway adds and removes them, the alerts worker sends to them. What a browser says is checked
here; whether its address may be connected to is judged by who connects: a name can lead anywhere.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Mapping
from fnmatch import fnmatchcase
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, cast

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from msgspec import Meta, Struct
from redis.asyncio import Redis
from yarl import URL

from service.errors import CorruptionError, FullError, SubscriberError
from service.keys import Keys
from service.model import digest

# Every alert is sent to each: more would make it late for all.
MAX_SUBSCRIPTIONS = 5_000
# As long as the ledger remembers an alert.
KEEP_S = 30 * 24 * 3600
EVERYWHERE = ("*",)
_MALFORMED = "push.malformed"
_PUT = Path(__file__).parent / "lua" / "put.lua"


class PushKeys(Struct, frozen=True):
    """p256dh: the browser's public key, auth: its secret; base64url (RFC 8291 section 2.1)."""

    p256dh: str
    auth: str


class PushSubscription(Struct, frozen=True):
    """What `PushSubscription.toJSON()` of a browser gives (W3C Push API section 8)."""

    endpoint: Annotated[str, Meta(pattern=r"^https?://[!-~]+$", max_length=2000)]
    keys: PushKeys

    @property
    def id(self) -> str:
        """Its name here: the same for the same address."""
        return digest(self.endpoint)


class Kept(PushSubscription, frozen=True):
    """A subscription as we keep it. pages: patterns of the pages whose alerts it may get."""

    pages: tuple[str, ...] = EVERYWHERE

    def may_see(self, page: str) -> bool:
        """May it get the alerts of this page?"""
        return any(fnmatchcase(page, pattern) for pattern in self.pages)


def subscription(data: bytes) -> PushSubscription:
    """The subscription in a browser's JSON. Raises SubscriberError when it is none."""
    try:
        found = msgspec.json.decode(data, type=PushSubscription)
        point, secret = unpacked(found.keys.p256dh), unpacked(found.keys.auth)
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except (msgspec.MsgspecError, ValueError) as error:
        raise SubscriberError(_MALFORMED, f"no push subscription: {error}") from None
    if len(secret) != 16:
        raise SubscriberError(_MALFORMED, "keys.auth is not 16 bytes")
    return found


def check_address(endpoint: str, *, allow_private: bool, hosts: tuple[str, ...] = ()) -> None:
    """Raises SubscriberError for an address that no push service has.

    It is https to somewhere else; with allow_private anywhere, and http on this machine too.
    hosts: patterns of which one must fit, if there are any.
    """
    try:
        url = URL(endpoint)
        host, _ = url.host or "", url.port
    except ValueError as error:
        raise SubscriberError(_MALFORMED, f"its endpoint is no address: {error}") from None
    is_here, is_private = _whereabouts(host)
    if not host or url.user is not None or url.password is not None:
        raise SubscriberError("push.address", "its endpoint names no push service")
    if is_private and not allow_private:
        raise SubscriberError("push.address", f"its endpoint is not a public address: {host}")
    if hosts and not any(fnmatchcase(host.lower(), pattern) for pattern in hosts):
        raise SubscriberError("push.address", f"{host} is no push service that is used here")
    if url.scheme != "https" and not (is_here and allow_private):
        raise SubscriberError("push.address", "its endpoint is not https")


def _whereabouts(host: str) -> tuple[bool, bool]:
    """Is this host surely this machine, and is it surely no public address?"""
    if host == "localhost" or host.endswith(".localhost"):
        return True, True
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return False, False
    return found.is_loopback, not found.is_global or found.is_multicast


def unpacked(text: str) -> bytes:
    """The bytes of base64url text, with or without padding. Raises ValueError."""
    bare = text.rstrip("=")
    return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars="-_", validate=True)


def packed(data: bytes) -> str:
    """Bytes as base64url text without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class VapidKey:
    """The key pair that says that alerts are from us (RFC 8292)."""

    def __init__(self, pem: bytes) -> None:
        """Raises CorruptionError when it is no key of ours."""
        try:
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError) as error:
            raise CorruptionError("push.key_malformed", f"no private key: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CorruptionError("push.key_malformed", "not a key on the curve P-256")
        self.private = key
        raw = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        # What a browser is given as applicationServerKey.
        self.public = packed(raw)


class Subscriptions:
    """Reads and writes what is kept of them. Every method raises what redis-py raises.

    redis: a client that answers bytes.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys
        self._put = redis.register_script(_PUT.read_text("utf-8"))

    async def add(self, new: PushSubscription, pages: tuple[str, ...] = EVERYWHERE) -> bool:
        """Keep one; the same address takes the place of the one before. Is it new?

        pages: patterns of the pages whose alerts it may get. Raises FullError when there are
        MAX_SUBSCRIPTIONS.
        """
        kept = Kept(new.endpoint, new.keys, pages)
        answer = await self._put(
            keys=[self._keys.push_subscriptions],
            args=[new.id, msgspec.json.encode(kept), MAX_SUBSCRIPTIONS],
        )
        if answer < 0:
            raise FullError("push.full", f"there are {MAX_SUBSCRIPTIONS} subscriptions already")
        return bool(answer)

    async def remove(self, name: str) -> bool:
        """Forget one by its id. False when it was not there."""
        return bool(await _answer(self._redis.hdel(self._keys.push_subscriptions, name)))

    async def all(self) -> dict[str, PushSubscription]:
        """By id those that may get the alerts of every page. Raises as `of` does."""
        return {name: one for name, one in (await self._kept()).items() if one.pages == EVERYWHERE}

    async def of(self, page: str) -> dict[str, PushSubscription]:
        """By id those that may get the alerts of this page.

        Raises CorruptionError when a subscription is none of ours.
        """
        return {name: one for name, one in (await self._kept()).items() if one.may_see(page)}

    async def _kept(self) -> dict[str, Kept]:
        found = await _mapping(self._redis.hgetall(self._keys.push_subscriptions))
        try:
            return {
                name.decode(): msgspec.json.decode(value, type=Kept)
                for name, value in found.items()
            }
        except msgspec.MsgspecError as error:
            raise CorruptionError(_MALFORMED, f"a subscription that is none: {error}") from error

    async def vapid_key(self) -> VapidKey:
        """The key; made when it is first asked for. Raises CorruptionError when it is none."""
        place = self._keys.push_key
        await self._redis.set(place, _new_key(), nx=True)
        return VapidKey(cast("bytes", await self._redis.get(place)))

    async def taken(self, alert: str) -> dict[str, str]:
        """By subscription, the last event of an alert that its push service has taken."""
        found = await _mapping(self._redis.hgetall(self._keys.push_taken(alert)))
        return {name.decode(): event.decode() for name, event in found.items()}

    async def take(self, alert: str, name: str, event: str) -> None:
        """Record that a push service has taken an event of an alert for a subscription."""
        place = self._keys.push_taken(alert)
        async with self._redis.pipeline(transaction=True) as step:
            step.hset(place, name, event)
            step.expire(place, KEEP_S)
            await step.execute()


def _new_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


async def _answer(answer: object) -> int:
    return await cast("Awaitable[int]", answer)


async def _mapping(answer: object) -> Mapping[bytes, bytes]:
    return await cast("Awaitable[Mapping[bytes, bytes]]", answer)
