"""What every channel is: a place where alerts are delivered. It never decides about retries."""

from __future__ import annotations

from typing import Protocol

from service.errors import StoppressError
from service.events import AlertEvent


class Undeliverable(StoppressError):  # noqa: N818 - the word of the contract
    """A try failed. code: the reason, a small set of words (`timeout`, `http_503`).

    retryable: whether the same alert may go through later. retry_after_s: how long the receiver
    asked us to wait, if it did.
    """

    def __init__(
        self, code: str, what: str, *, retryable: bool, retry_after_s: float | None = None
    ) -> None:
        self.retryable, self.retry_after_s = retryable, retry_after_s
        super().__init__(code, what)


class Channel(Protocol):
    """Where alerts go. name: its own among all channels. parallel: deliveries under way at once."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def parallel(self) -> int: ...  # noqa: D102

    async def send(self, event: AlertEvent) -> None:
        """Deliver one alert event. May be called again with the same event after a crash.

        Raises Undeliverable.
        """
        ...
