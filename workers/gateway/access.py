"""Who may see what: keys and tokens, and which web pages may ask.

A browser opens a WebSocket to anywhere, for any web page, and says only where it comes from
(RFC 6455, 10.2); a name that an attacker points at 127.0.0.1 makes its page seem to be ours. So the
`Origin` and, on loopback, the `Host` of a request are checked, with or without keys.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any

import jwt
from aiohttp import web
from msgspec import Struct
from yarl import URL

from service.config import GatewaySettings, JwtSettings
from service.errors import ConfigError, SubscriberError

# Paths that tell nothing about pages.
OPEN_PATHS = frozenset({"/", "/sw.js", "/healthz", "/readyz", "/openapi.json", "/asyncapi.json"})
STATIC_FILES = "/static/"
TOKEN = "access_token"  # noqa: S105 - the name of a parameter (RFC 6750, 2.3)
_ASYMMETRIC = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"]


class Grant(Struct, frozen=True):
    """What a caller may do. name: of its key; None where none is needed.

    pages: patterns of page ids, as in a shell. operate: it may change what is followed.
    """

    name: str | None = None
    pages: tuple[str, ...] = ("*",)
    operate: bool = False


class AccessError(SubscriberError):
    """Who are you? Or: not you."""

    def __init__(self, code: str, what: str, *, status: int = 401, fix: str = "") -> None:
        self.status = status
        super().__init__(code, what, fix=fix)


class Access:
    """The gate of a gateway."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._is_open = not settings.keys and settings.jwt is None
        self._proxies = tuple(ipaddress.ip_network(one) for one in settings.trusted_proxies)
        jwks_url = settings.jwt.jwks_url if settings.jwt else None
        self._jwks = jwt.PyJWKClient(jwks_url, timeout=10) if jwks_url else None

    async def grant(self, request: web.Request) -> Grant:
        """What the caller may do. Raises AccessError."""
        self._check_host(request)
        self._check_origin(request)
        if self._is_open or request.path in OPEN_PATHS or request.path.startswith(STATIC_FILES):
            may_operate = self._is_open and _is_private(self._settings) and not self._settings.open
            return Grant(operate=may_operate)
        token = _token(request)
        if token is None:
            raise AccessError(
                "access.missing", "a key or token is needed", fix="send Authorization: Bearer …"
            )
        for name, key in self._settings.keys.items():
            if hmac.compare_digest(key.secret.encode(), token.encode()):
                return Grant(name, key.pages, key.operate)
        if self._settings.jwt is not None:
            return await self._claimed(token, self._settings.jwt)
        raise AccessError("access.unknown", "no such key")

    def unwrapped(self, request: web.Request) -> web.Request:
        """A request as it came to a proxy that we trust; any other as it is. Raises AccessError."""
        if not self._is_proxy(request.remote):
            return request
        said = ",".join(request.headers.getall("X-Forwarded-For", []))
        hops = filter(None, map(str.strip, said.split(",")))
        outside = [hop for hop in hops if not self._is_proxy(hop)]
        given = {
            "remote": outside[-1] if outside else None,
            "scheme": _nearest(request, "X-Forwarded-Proto"),
            "host": _nearest(request, "X-Forwarded-Host"),
        }
        if given["scheme"] not in {None, "http", "https"}:
            raise AccessError("access.forwarded", "a proxy names no scheme of ours", status=400)
        known: dict[str, Any] = {name: value for name, value in given.items() if value}
        return request.clone(**known)

    def _is_proxy(self, address: str | None) -> bool:
        try:
            where = ipaddress.ip_address(address or "")
        except ValueError:
            return False
        return any(where in network for network in self._proxies)

    def _check_host(self, request: web.Request) -> None:
        said = _url(f"http://{request.host}").host or ""
        if _is_private(self._settings) and not _is_loopback(said):
            raise AccessError(
                "access.host", f"this gateway is not called {said!r}", status=403,
                fix="it listens on loopback: call it 127.0.0.1 or localhost",
            )  # fmt: skip

    def _check_origin(self, request: web.Request) -> None:
        origin = request.headers.get("Origin")
        if origin is None or origin in self._settings.allowed_origins:
            return
        asking, asked = _url(origin), _url(f"http://{request.host}")
        if asking.host and (asking.host, asking.explicit_port) == (asked.host, asked.explicit_port):
            return
        raise AccessError(
            "access.origin", f"web pages of {origin} may not ask", status=403,
            fix="name it in gateway.allowed_origins",
        )  # fmt: skip

    async def _claimed(self, token: str, settings: JwtSettings) -> Grant:
        """What a token grants (RFC 7519)."""
        try:
            key: Any = settings.secret
            if self._jwks is not None:
                key = await asyncio.to_thread(self._jwks.get_signing_key_from_jwt, token)
            claims = jwt.decode(
                token,
                key,
                algorithms=["HS256", "HS384", "HS512"] if self._jwks is None else _ASYMMETRIC,
                audience=settings.audience,
                issuer=settings.issuer,
                options={"require": ["exp"], "verify_aud": settings.audience is not None},
            )
        except jwt.PyJWTError as error:
            raise AccessError("access.token", f"the token does not count: {error}") from None
        pages = claims.get("pages", ["*"])
        if not isinstance(pages, list) or not all(isinstance(one, str) for one in pages):
            raise AccessError("access.token", "its claim `pages` is no list of patterns")
        scopes = str(claims.get("scope", "read")).split()
        if "read" not in scopes and "operate" not in scopes:
            raise AccessError("access.scope", "its scope lets nothing be read", status=403)
        return Grant(str(claims.get("sub", "token")), tuple(pages), "operate" in scopes)


def _url(text: str) -> URL:
    """An address; an empty one for what is none."""
    try:
        return URL(text)
    except ValueError:
        return URL()


def check_exposure(settings: GatewaySettings) -> None:
    """Raises ConfigError when everybody could read, and nobody said that they may."""
    if settings.keys or settings.jwt or settings.open or _is_private(settings):
        return
    raise ConfigError(
        "gateway.exposed",
        "others can reach the gateway, and no key is needed",
        where=f"gateway.host {settings.host}",
        fix="give gateway.keys or gateway.jwt, or set gateway.open = true if anyone may read",
    )


def _is_private(settings: GatewaySettings) -> bool:
    """Can only this machine reach the gateway? A proxy before it lets others in."""
    return _is_loopback(settings.host) and not settings.trusted_proxies


def _nearest(request: web.Request, name: str) -> str | None:
    """What the nearest proxy said in this header: its last value."""
    said = request.headers.getall(name, [])
    return said[-1].rpartition(",")[2].strip() or None if said else None


def _token(request: web.Request) -> str | None:
    """From the header, as Bearer or as the password of Basic, else from the address."""
    kind, _, said = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return said.strip()
    if kind.lower() == "basic":
        try:
            return b64decode(said, validate=True).decode().partition(":")[2]
        except (Base64Error, UnicodeDecodeError):
            return ""
    return request.query.get(TOKEN)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
