"""Requests of the channels that speak HTTP, and what an answer means. Follows no redirect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

import aiohttp
import msgspec
from msgspec import Struct
from yarl import URL

from service.headers import retry_after_s
from workers.alerts.channels import Undeliverable
from workers.alerts.channels.guard import was_refused

Clock = Callable[[], datetime]
# More than any answer that says anything.
MAX_ANSWER_BYTES = 64 * 1024


class Answer(Struct, frozen=True):
    """What a receiver answered. retry_after: the header of that name. body: its first 64 KiB."""

    status: int
    retry_after: str | None
    body: bytes

    @property
    def is_success(self) -> bool:
        """Any 2xx."""
        return 200 <= self.status < 300


def verdict(status: int, retry_after: str | None, now: datetime) -> Undeliverable | None:
    """What a receiver's answer means; None when it took the alert.

    Any 2xx is success (Standard Webhooks). 408, 429 and 5xx may pass; anything else, redirects
    among it, is final. 410 says that the receiver is gone (RFC 9110 section 15.5.11). retry_after:
    the header of that name.
    """
    if 200 <= status < 300:
        return None
    retryable = status in (408, 429) or status >= 500
    return Undeliverable(
        f"http_{status}",
        f"the receiver answered {status}",
        retryable=retryable,
        retry_after_s=retry_after_s(retry_after, now) if retryable else None,
        gone=status == 410,
    )


class Http:
    """The requests of one channel. session: the caller's, and the caller closes it."""

    def __init__(self, session: aiohttp.ClientSession, *, timeout_s: float, now: Clock) -> None:
        self._session, self._now = session, now
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def ask(
        self, method: str, url: URL, body: bytes, headers: Mapping[str, str], *, read: bool = True
    ) -> Answer:
        """Make one request. read: the answer's body is wanted.

        Raises Undeliverable when there is no answer: the receiver may have taken it all the same.
        """
        try:
            async with self._session.request(
                method,
                url,
                data=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                found = await _start_of(response.content) if read else b""
                return Answer(response.status, response.headers.get("Retry-After"), found)
        except TimeoutError:
            raise Undeliverable(
                "timeout", f"no answer within {self._timeout.total:g} s", retryable=True
            ) from None
        except aiohttp.InvalidURL as error:  # such as 127.1, an address only to some resolvers
            raise Undeliverable("address_refused", _said(error), retryable=False) from error
        except (aiohttp.ClientError, OSError) as error:
            # Its name may lead elsewhere in a minute: resolvers fail too, and nothing was sent.
            code = "address_refused" if was_refused(error) else "unreachable"
            raise Undeliverable(code, _said(error), retryable=True) from error

    async def ask_json(
        self, method: str, url: URL, body: object, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The same with a JSON body."""
        typed = {"content-type": "application/json; charset=utf-8", **(headers or {})}
        return await self.ask(method, url, msgspec.json.encode(body), typed)

    def refusal(self, answer: Answer) -> Undeliverable | None:
        """What an answer means; None when the receiver took the alert."""
        return verdict(answer.status, answer.retry_after, self._now())


def _said(error: Exception) -> str:
    """An error in words, without the address: secrets stand in it."""
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.InvalidURL):
        return type(error).__name__
    return str(error) or type(error).__name__


async def _start_of(content: aiohttp.StreamReader) -> bytes:
    try:
        return await content.readexactly(MAX_ANSWER_BYTES)
    except asyncio.IncompleteReadError as whole:
        return whole.partial
