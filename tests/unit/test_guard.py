"""A channel connects to public addresses alone, whatever its URL looks like."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv6Address

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ConfigError
from workers.alerts.channels.guard import address, is_public, open_sessions, was_refused


@pytest.mark.parametrize(
    "ip",
    [
        "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1",
        "240.0.0.1", "255.255.255.255", "192.88.99.1",
        "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "fe80::1",
        "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1",
        "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001::1",
        "no address", "",
    ],
)  # fmt: skip
def test_what_leads_into_another_network_is_refused(ip: str) -> None:
    assert not is_public(ip)


@pytest.mark.parametrize(
    "ip", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_what_is_anybodys_is_allowed(ip: str) -> None:
    assert is_public(ip)


@given(st.ip_addresses())
def test_no_form_of_an_address_says_more_than_the_address(ip: IPv4Address | IPv6Address) -> None:
    if is_public(str(ip)):
        inner = (ip.is_loopback, ip.is_private, ip.is_link_local, ip.is_multicast)
        assert not any(inner)
    if isinstance(ip, IPv4Address):
        assert is_public(f"::ffff:{ip}") == is_public(f"64:ff9b::{ip}") == is_public(str(ip))


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "x.localhost", "10.1.2.3"])
def test_an_address_that_is_known_to_be_private_is_refused_at_start(host: str) -> None:
    with pytest.raises(ConfigError, match=r"^alerts.x.url: .* is not a public address"):
        address(f"http://{host}/", "alerts.x.url", allow_private=False)
    assert address(f"http://{host}/", "alerts.x.url", allow_private=True).host


class Inside(AbstractResolver):
    """Resolves every name to this machine, as a rebound name does."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=ip, port=port, family=0, proto=0, flags=0)
            for ip in ("127.0.0.1", "127.0.0.2")
        ]

    async def close(self) -> None:
        pass


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="inside")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "0x7f000001", "2130706433", "localhost"])
async def test_no_spelling_of_this_machine_is_connected_to(port: int, host: str) -> None:
    async with open_sessions() as sessions:
        with pytest.raises(aiohttp.ClientError) as failed:
            await sessions.guarded.get(f"http://{host}:{port}/")
        assert was_refused(failed.value) or isinstance(failed.value, aiohttp.InvalidURL)
        async with sessions.unguarded.get(f"http://127.0.0.1:{port}/") as answer:
            assert await answer.text() == "inside"


async def test_a_name_is_judged_by_what_it_leads_to(port: int) -> None:
    async with open_sessions(Inside()) as sessions:
        with pytest.raises(aiohttp.ClientError) as failed:
            await sessions.guarded.get(f"http://news.example:{port}/")
    assert was_refused(failed.value)


def test_what_failed_otherwise_was_not_refused() -> None:
    assert not was_refused(OSError("connection refused"))
