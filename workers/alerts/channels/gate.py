"""A gate before a channel: it closes for good when the receiver is gone."""

from __future__ import annotations

import structlog

from service.events import AlertEvent
from workers.alerts.channels import Channel, Undeliverable

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Gate:
    """Lets alerts through to a channel until that says that its receiver is gone.

    After that nothing is sent, until the worker is started again. It has the channel's name.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.name, self.parallel = channel.name, channel.parallel
        self._closed = ""

    async def send(self, event: AlertEvent, handle: str | None) -> str | None:
        """As the channel does. Raises Undeliverable, with the code `gone` once it is closed."""
        if self._closed:
            raise Undeliverable("gone", self._closed, retryable=False, gone=True)
        try:
            return await self._channel.send(event, handle)
        except Undeliverable as failure:
            if failure.gone and not self._closed:
                self._closed = f"{failure.code}: nothing is sent until the next start"
                detail = failure.what[:200]
                log.error("channel.disabled", channel=self.name, reason=failure.code, detail=detail)
            raise
