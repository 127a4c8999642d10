"""Which pages this process owns. One task keeps all of its leases; a lost one is noticed at once
here, and in any case by the commit, which is fenced."""

from __future__ import annotations

import asyncio

import structlog

from service.errors import StoreError
from service.store import Store

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Leases:
    """The leases of one process. ttl_s: how long a page stays ours when we go silent."""

    def __init__(self, store: Store, *, ttl_s: float) -> None:
        self._store, self._ttl_ms = store, int(ttl_s * 1000)
        self._held: dict[str, int] = {}
        self.retry_s = ttl_s / 3

    async def acquire(self, page: str) -> int | None:
        """A fencing token, or None while another process holds the page."""
        token = await self._store.acquire(page, self._ttl_ms)
        if token is not None:
            self._held[page] = token
        return token

    def holds(self, page: str, token: int) -> bool:
        """Is this lease still ours, as far as we know?"""
        return self._held.get(page) == token

    async def release(self, page: str, token: int) -> None:
        """Give a page back, so that another process need not wait for the lease to run out."""
        if self._held.get(page) == token:
            del self._held[page]
        try:
            await self._store.release(page, token)
        except StoreError:
            pass  # it runs out by itself

    async def keep(self) -> None:
        """Renew all leases, for as long as this runs."""
        while True:
            await asyncio.sleep(self.retry_s)
            for page, token in list(self._held.items()):
                await self._renew(page, token)

    async def _renew(self, page: str, token: int) -> None:
        try:
            kept = await self._store.renew(page, token, self._ttl_ms)
        except StoreError:
            return  # the poll loop meets the same failure and says so
        if not kept and self._held.get(page) == token:
            del self._held[page]
            log.warning("lease.lost", page=page, token=token)
