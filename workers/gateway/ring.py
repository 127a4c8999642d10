"""The newest events of the stream, each encoded once in each form, shared by all subscribers. Pure.

A subscriber is a position: it asks what came after it. The ring never waits for anybody.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

from service.events import StreamEvent
from workers.gateway.forms import Form, event_bytes
from workers.gateway.protocol import StreamId, cursor


class Frame:
    """An event at its place in the stream. event: None for a stream entry that is none.

    sent: when it was read here, to be sent (RFC 3339).
    """

    __slots__ = ("_bytes", "_structured", "at", "event", "sent")

    def __init__(
        self, at: StreamId, event: StreamEvent | None, structured: bytes, sent: str
    ) -> None:
        self.at, self.event, self.sent = at, event, sent
        self._structured = structured
        self._bytes: dict[Form, bytes] = {}

    def encoded(self, form: Form) -> bytes:
        """Its bytes in this form, made when first wanted."""
        known = self._bytes.get(form)
        if known is None:
            known = self._bytes[form] = event_bytes(
                form, cursor(self.at), self._structured, self.sent
            )
        return known

    @property
    def structured(self) -> bytes:
        """The event as JSON."""
        return self._structured


class Ring:
    """Holds at most `capacity` frames. start: the position before the first event it can hold."""

    def __init__(self, start: StreamId, capacity: int) -> None:
        self._frames: deque[Frame] = deque()
        self._capacity = capacity
        self.start = start
        self.end = start

    def append(self, frame: Frame) -> None:
        """Add the next frame of the stream; the oldest may fall off."""
        assert frame.at > self.end, "the stream only grows"
        self._frames.append(frame)
        self.end = frame.at
        if len(self._frames) > self._capacity:
            self.start = self._frames.popleft().at

    def after(self, position: StreamId, most: int) -> list[Frame] | None:
        """Up to `most` frames after a position; None when the ring does not reach back to it."""
        if position < self.start:
            return None
        if position >= self.end:
            return []
        first = bisect_right(self._frames, position, key=lambda frame: frame.at)
        return [self._frames[n] for n in range(first, min(first + most, len(self._frames)))]
