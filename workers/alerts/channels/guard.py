"""Which addresses a channel may connect to, judged where the connection is made.

An address in the settings, or one that a browser gave us, may lead into the network that we stand
in, by a literal, a name or a rebound name. So not the name is judged but the address that a socket
is made for. Nothing here follows a redirect either.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver
from msgspec import Struct
from yarl import URL

from service import __version__
from service.errors import ConfigError

# RFC 6052: the last 32 bits are an IPv4 address; as ::ffff:0:0/96 (RFC 4291 section 2.5.5.2) are.
NAT64 = IPv6Network("64:ff9b::/96")
# Ways into other networks that `ipaddress` takes for global, or did in some version: local NAT64
# (RFC 8215), 6to4 and its relays (RFC 3056, 7526), Teredo (RFC 4380), site-local (RFC 3879).
_OTHER_NETWORKS = tuple(
    ip_network(network)
    for network in (
        "64:ff9b:1::/48", "2002::/16", "192.88.99.0/24", "2001::/32", "fec0::/10",
    )
)  # fmt: skip


class AddressRefusedError(OSError):
    """No connection was made, because the address is not a public one."""

    def __init__(self) -> None:
        # One text for all: several addresses that fail alike are reported as one error.
        super().__init__("its address is not a public one")


def is_public(address: str) -> bool:
    """Whether an IP address is anybody's on the Internet. False for what is no address.

    Not: loopback, private, shared, link-local, multicast, reserved, unspecified, and ways to these.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and (found.ipv4_mapped or found in NAT64):
        found = IPv4Address(int(found) & 0xFFFF_FFFF)
    return (
        found.is_global
        and not found.is_multicast
        and not found.is_reserved
        and not found.is_unspecified
        and not any(found in network for network in _OTHER_NETWORKS)
    )


def address(text: str, where: str, *, allow_private: bool) -> URL:
    """The address that a setting gives. Raises ConfigError when it can't be used.

    A host that is no public IP address is refused here already; a name is judged when it is
    connected to.
    """
    try:
        url = URL(text)
    except ValueError as error:
        raise refused(where, f"not a URL: {error}") from None
    host = url.host
    if not host:
        raise refused(where, "a URL without a host")
    if not allow_private and _is_known_private(host):
        fix = "set allow_private = true if it is yours"
        raise refused(where, f"{host} is not a public address", fix=fix)
    return url


def _is_known_private(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return not is_public(host)


def refused(where: str, what: str, fix: str = "see docs/configuration.md") -> ConfigError:
    """A setting that can't be used, by its name."""
    return ConfigError("config.invalid", what, where=where, fix=fix)


class Sessions(Struct, frozen=True):
    """guarded connects to public addresses alone, unguarded to any."""

    guarded: aiohttp.ClientSession
    unguarded: aiohttp.ClientSession

    def of(self, *, allow_private: bool) -> aiohttp.ClientSession:
        """The session for a channel with that setting."""
        return self.unguarded if allow_private else self.guarded


@asynccontextmanager
async def open_sessions(resolver: AbstractResolver | None = None) -> AsyncIterator[Sessions]:
    """The sessions that all channels share. Each channel bounds its connections itself.

    resolver: instead of the system's.
    """
    async with (
        _session(resolver, _socket_for_public_address) as guarded,
        _session(resolver, None) as unguarded,
    ):
        yield Sessions(guarded, unguarded)


def _session(resolver: AbstractResolver | None, socket_factory: Any) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, resolver=resolver, socket_factory=socket_factory),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"Stoppress/{__version__}"},
        trust_env=False,  # a proxy would connect where we can't look
    )


def _socket_for_public_address(info: tuple[Any, ...]) -> socket.socket:
    """The socket for one address of getaddrinfo. Raises AddressRefusedError."""
    family, kind, protocol, _, place = info
    if not is_public(place[0]):
        raise AddressRefusedError
    return socket.socket(family, kind, protocol)


def was_refused(error: BaseException | None) -> bool:
    """Whether a failed request failed because of its address."""
    while error is not None:
        if isinstance(error, AddressRefusedError):
            return True
        error = getattr(error, "os_error", None) or error.__cause__
    return False
