"""What every channel is: a place where alerts are delivered. It never decides about retries."""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from service.errors import StoppressError
from service.events import AlertEvent


class Undeliverable(StoppressError):  # noqa: N818 - the word of the contract
    """A try failed. code: the reason, a small set of words (`timeout`, `http_503`).

    retryable: whether the same alert may go through later. retry_after_s: how long the receiver
    asked us to wait, if it did. gone: the receiver is no more, and nothing will ever go through.
    """

    def __init__(
        self,
        code: str,
        what: str,
        *,
        retryable: bool,
        retry_after_s: float | None = None,
        gone: bool = False,
    ) -> None:
        self.retryable, self.retry_after_s, self.gone = retryable, retry_after_s, gone
        super().__init__(code, what)


class Channel(Protocol):
    """Where alerts go. name: its own among all channels. parallel: deliveries under way at once."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def parallel(self) -> int: ...  # noqa: D102

    async def send(self, event: AlertEvent, handle: str | None) -> str | None:
        """Deliver one alert event. May be called again with the same event after a crash.

        handle: what this channel last returned for this alert; None when it never did.
        Returns the channel's own name of the message that people see, by which a later event of the
        alert can change it in place; None when it can't be changed, or has not become another.
        Raises Undeliverable.
        """
        ...


class Stragglers:
    """How often an event was tried again for the few who have not taken it, while others have.

    Nobody may keep the next event from all others by never taking this one. It is counted in this
    process alone, for the last MAX_EVENTS events.
    """

    MAX_EVENTS = 1000

    def __init__(self, max_tries: int) -> None:
        self._max_tries = max_tries
        self._tries: OrderedDict[str, int] = OrderedDict()

    def may_try_again(self, event_id: str) -> bool:
        """Whether to try again for them; False once it was tried max_tries times."""
        tries = self._tries[event_id] = self._tries.pop(event_id, 0) + 1
        while len(self._tries) > self.MAX_EVENTS:
            self._tries.popitem(last=False)
        return tries < self._max_tries
