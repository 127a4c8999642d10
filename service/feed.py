"""A subscriber to the gateway's feed that reconnects and resumes. For `tail` and `demo`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

import aiohttp
import msgspec
from msgspec import Struct
from yarl import URL

from service.errors import StoppressError, SubscriberError
from service.events import Event, from_json
from service.model import Health, PageRef, PageStatus

RETRY_MIN_S = 0.5
RETRY_MAX_S = 10.0
SUBPROTOCOL = "stoppress.v1.json"


class FeedMessage(Struct, frozen=True):
    """A message of the feed; see docs/feed.md. Fields that its type does not have are empty."""

    type: str
    cursor: str | None = None
    oldest: str | None = None
    event: msgspec.Raw = msgspec.Raw(b"")
    page: PageRef | str | None = None
    status: PageStatus | None = None
    health: Health | None = None
    sequence: int | None = None
    entries: tuple[msgspec.Raw, ...] = ()
    reason: str | None = None
    detail: str | None = None

    def decoded(self) -> Event:
        """The event that an `event` message carries. Raises CorruptionError when it is none."""
        return from_json(bytes(self.event))


async def subscribe(
    session: aiohttp.ClientSession,
    gateway: str,
    *,
    pages: Sequence[str] = (),
    cursor: str | None = None,
    retries: bool = True,
) -> AsyncIterator[FeedMessage]:
    """Messages of the feed, for ever; after a lost connection it goes on from the last cursor.

    gateway: its address, http://host:port. Raises SubscriberError when the gateway refuses us, and
    when it cannot be reached at all the first time.
    """
    failures, reached = 0, False
    while True:
        try:
            async with session.ws_connect(
                _url(gateway, pages, cursor), protocols=[SUBPROTOCOL], heartbeat=30, max_msg_size=0
            ) as ws:
                failures, reached = 0, True
                async for frame in ws:
                    if frame.type is not aiohttp.WSMsgType.TEXT:
                        continue
                    message = msgspec.json.decode(frame.data, type=FeedMessage)
                    if message.type in {"event", "cursor", "reset"}:
                        cursor = message.cursor  # none after a reset, until the snapshots are in
                    yield message
                _check_close(ws.close_code, gateway)
        except aiohttp.WSServerHandshakeError as error:
            if error.status < 500:
                raise await _refusal(session, _url(gateway, pages, cursor)) from error
        except (aiohttp.ClientError, OSError) as error:
            if not reached:
                raise SubscriberError(
                    "gateway.unreachable",
                    "no gateway answers here",
                    where=gateway,
                    fix="start one with `stoppress up`, or name another with --gateway",
                ) from error
        if not retries:
            return
        failures += 1
        await asyncio.sleep(_retry_s(failures))


def _url(gateway: str, pages: Sequence[str], cursor: str | None) -> URL:
    query = [("page", page) for page in pages] + ([("cursor", cursor)] if cursor else [])
    return (URL(gateway) / "v1" / "feed").with_query(query)


def _retry_s(failures: int) -> float:
    longest_s = min(RETRY_MAX_S, RETRY_MIN_S * 2 ** min(failures, 10))
    return random.uniform(RETRY_MIN_S / 2, longest_s)  # noqa: S311 - spreads load


def _check_close(code: int | None, gateway: str) -> None:
    """Codes 4500-4999 mean that trying again is of no use."""
    if code is not None and 4500 <= code <= 4999:
        raise SubscriberError("feed.closed", f"the feed was closed with {code}", where=gateway)


async def _refusal(session: aiohttp.ClientSession, url: URL) -> StoppressError:
    """Why a gateway refuses. aiohttp does not keep the body of a failed upgrade; it says why."""
    try:
        async with session.get(url) as response:
            problem = msgspec.json.decode(await response.read(), type=_Problem)
    except (aiohttp.ClientError, OSError, msgspec.MsgspecError):
        problem = _Problem("feed.refused", "this is no gateway of Stoppress")
    return SubscriberError(problem.code, problem.detail, where=str(url.with_query(None)))


class _Problem(Struct, frozen=True):
    """Problem details (RFC 9457), as far as we need them."""

    code: str
    detail: str
