"""HTTP as the poller sees it: one conditional GET with limits, robots.txt obeyed.

What comes back is a body, "not modified", or a PageError that says which health follows from it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from ipaddress import ip_address

import aiohttp
from msgspec import Struct
from protego import Protego
from yarl import URL

from service import __version__
from service.errors import ConfigError, PageError
from service.headers import http_date, retry_after_s
from service.model import Clocks
from service.sources.base import Document

MAX_REDIRECTS = 5
# RFC 9309 section 2.2.1: groups of robots.txt are matched by the product token alone.
PRODUCT = "Stoppress"
# RFC 9309 section 2.4: robots.txt should not be used from a cache for more than 24 hours.
ROBOTS_MAX_AGE = timedelta(hours=24)
ROBOTS_RETRY = timedelta(minutes=1)
ROBOTS_MAX_BYTES = 512 * 1024  # RFC 9309 section 2.5 asks for at least 500 KiB
BLOCKED = frozenset({401, 402, 403, 407, 429, 451})
ABSENT = frozenset({400, 404, 405, 406, 410})


class Request(Struct, frozen=True):
    """What to fetch, and the validators of the body that we hold.

    exact: the address is sent as it is, as a page named it, and not spelt anew (RFC 3986, 6.2.2).
    """

    url: str
    etag: str | None = None
    last_modified: str | None = None
    exact: bool = False


class Fetched(Struct, frozen=True):
    """A body that came whole. etag, last_modified: validators for the next request."""

    document: Document
    status: int
    etag: str | None
    last_modified: str | None
    clocks: Clocks


class NotModified(Struct, frozen=True):
    """The server says that the body we hold is still the page."""


class _Robots(Struct, frozen=True):
    rules: Protego | None  # None: everything is forbidden for now
    until: datetime


def user_agent(contact: str | None) -> str:
    """An honest User-Agent: who we are and how to reach whoever runs us."""
    return f"{PRODUCT}/{__version__} ({f'+{contact}; ' if contact else ''}live page monitor)"


class Fetcher:
    """Fetches pages. contact: see PollSettings. now: the clock, in UTC."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        contact: str | None,
        timeout_s: float,
        max_body_bytes: int,
        now: Callable[[], datetime],
    ) -> None:
        self._session = session
        self._contact = contact
        self._agent = user_agent(contact)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._max_body_bytes = max_body_bytes
        self._now = now
        self._robots: dict[str, _Robots] = {}

    async def fetch(self, request: Request) -> Fetched | NotModified:
        """Get a page. Raises PageError when it cannot be had, ConfigError without a contact."""
        url = URL(request.url, encoded=request.exact)
        require_contact(url, self._contact)
        await self._ask_robots(url)
        headers = {"Accept": "text/html, application/json;q=0.9, text/plain;q=0.8, */*;q=0.5"}
        if request.etag:
            headers["If-None-Match"] = request.etag
        if request.last_modified:
            headers["If-Modified-Since"] = request.last_modified
        async with _answers(request.url), self._get(url, headers) as response:
            if response.status == 304 and (request.etag or request.last_modified):
                return NotModified()
            _refuse(response, self._now())
            body = await _read(response, self._max_body_bytes)
            return self._fetched(response, body)

    async def part(self, address: str) -> Document:
        """A further answer that belongs to a page; one that is not there has that as its status.

        Raises PageError when it cannot be had.
        """
        try:
            fetched = await self.fetch(Request(address, exact=True))
        except PageError as error:
            if error.status not in ABSENT:
                raise
            return Document(address, b"", "", self._now(), status=error.status)
        assert isinstance(fetched, Fetched), "an unconditional request"
        return fetched.document

    def crawl_delay_s(self, url: str) -> float:
        """What the site's robots.txt asks between two requests; 0 when it asks for nothing."""
        robots = self._robots.get(str(URL(url).origin()))
        delay = robots.rules.crawl_delay(PRODUCT) if robots and robots.rules else None
        return float(delay or 0.0)

    def _get(self, url: URL, headers: Mapping[str, str]) -> aiohttp.client._RequestContextManager:
        return self._session.get(
            url,
            headers={"User-Agent": self._agent, **headers},
            timeout=self._timeout,
            max_redirects=MAX_REDIRECTS,
        )

    def _fetched(self, response: aiohttp.ClientResponse, body: bytes) -> Fetched:
        seen_at = self._now()
        return Fetched(
            document=Document(
                url=str(response.url),
                body=body,
                content_type=response.headers.get("Content-Type", ""),
                seen_at=seen_at,
            ),
            status=response.status,
            etag=_clean(response.headers.get("ETag")),
            last_modified=_clean(response.headers.get("Last-Modified")),
            clocks=clocks(response.headers, seen_at),
        )

    # robots.txt, RFC 9309

    async def _ask_robots(self, url: URL) -> None:
        origin = str(url.origin())
        known = self._robots.get(origin)
        if known is None or known.until <= self._now():
            known = await self._load_robots(url)
            self._robots[origin] = known
        if known.rules is None:
            raise PageError(
                "robots.unreachable",
                "its robots.txt cannot be read, so nothing may be fetched",
                where=str(url),
                fix="it is asked again soon",
                health="stale",
                retry_after_s=max(0.0, (known.until - self._now()).total_seconds()),
            )
        if not known.rules.can_fetch(str(url), PRODUCT):
            raise PageError(
                "robots.disallowed",
                "robots.txt forbids this page to us",
                where=str(url),
                fix="ask the publisher, or remove the page",
                health="blocked",
            )

    async def _load_robots(self, url: URL) -> _Robots:
        """4xx means no rules (section 2.3.1.3), 5xx or no answer forbids everything (2.3.1.4)."""
        now = self._now()
        try:
            async with self._get(url.origin() / "robots.txt", {}) as response:
                if response.status >= 500:
                    return _Robots(None, now + ROBOTS_RETRY)
                text = b"" if response.status >= 400 else await _head(response, ROBOTS_MAX_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return _Robots(None, now)
        return _Robots(Protego.parse(text.decode("utf-8", "replace")), now + ROBOTS_MAX_AGE)


def require_contact(url: URL, contact: str | None) -> None:
    """Refuse to knock at another's door without a name. Raises ConfigError."""
    if not contact and not _is_here(url.host or ""):
        raise ConfigError(
            "poll.contact_missing",
            "a site's owner must be able to reach you",
            where=str(url),
            fix="set poll.contact or --contact to an e-mail address or URL of yours",
        )


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class _answers:  # noqa: N801 - reads as a phrase at its one place
    """Turns what aiohttp raises into a PageError."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        match error:
            case TimeoutError():
                raise self._failed("http.timeout", "no answer in time") from error
            case aiohttp.TooManyRedirects():
                raise self._failed("http.redirects", "redirects without end") from error
            case aiohttp.ClientPayloadError():
                raise self._failed("http.cut_off", "the answer was cut off") from error
            case aiohttp.ClientConnectorError():
                raise self._failed("http.unreachable", f"no connection: {error}") from error
            case aiohttp.ClientError() | OSError():
                what = str(error) or type(error).__name__
                raise self._failed("http.failed", what) from error

    def _failed(self, code: str, what: str) -> PageError:
        return PageError(code, what, where=self._url, health="stale")


def _refuse(response: aiohttp.ClientResponse, now: datetime) -> None:
    """Raise PageError for an answer that is no page."""
    status = response.status
    if status == 200:
        return
    wait_s = retry_after_s(response.headers.get("Retry-After"), now)
    health = "blocked" if status in BLOCKED else "stale" if status >= 500 else "degraded"
    raise PageError(
        f"http.{status}",
        f"the server answers {status} {_clean(response.reason) or ''}".rstrip(),
        where=str(response.url),
        health=health,
        retry_after_s=wait_s,
        status=status,
    )


def _clean(value: str | None) -> str | None:
    """A header value that can be stored: aiohttp keeps bytes that are no UTF-8 as surrogates."""
    return value.encode("utf-8", "replace").decode() if value else None


async def _read(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    """The whole body, decompressed. Raises PageError when it is longer than allowed."""
    parts, length = [], response.content_length or 0
    if length <= limit_bytes:
        length = 0
        async for part in response.content.iter_chunked(64 * 1024):
            length += len(part)
            if length > limit_bytes:
                break
            parts.append(part)
        else:
            return b"".join(parts)
    parts.clear()
    raise PageError(
        "http.too_large",
        f"the page is larger than {limit_bytes} bytes",
        where=str(response.url),
        fix="raise poll.max_body_bytes if that is right for this page",
    )


async def _head(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    try:
        return await response.content.readexactly(limit_bytes)
    except asyncio.IncompleteReadError as short:
        return short.partial


def clocks(headers: Mapping[str, str], seen_at: datetime) -> Clocks:
    """What a response says of its age. A clock that runs ahead of ours is set to ours.

    A copy was generated no later than its Date, and no later than its Age ago (RFC 9111, 4.2.3:
    caches may keep the origin's Date, so the two must not be added up).
    """
    modified, date = http_date(headers.get("Last-Modified")), http_date(headers.get("Date"))
    age = headers.get("Age", "")
    held_s = int(age) if re.fullmatch(r"[0-9]{1,8}", age) else 0
    return Clocks(
        modified=min(modified, seen_at) if modified else None,
        generated=min(date, seen_at - timedelta(seconds=held_s)) if date else None,
    )
