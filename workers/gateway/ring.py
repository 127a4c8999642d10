"""The newest events of both streams, each encoded once in each form, for all subscribers. Pure.

A subscriber is a position: it asks what came after it. The ring never waits for anybody.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from service.events import StreamEvent
from workers.gateway.forms import Form, event_bytes
from workers.gateway.protocol import Position, StreamId, StreamName, cursor


class Frame:
    """An entry of a stream, and the position of whoever has read it and all before it.

    event: None for a stream entry that is none. sent: when it was read here, to be sent (RFC 3339).
    """

    __slots__ = ("_bytes", "_structured", "at", "event", "id", "sent", "stream")

    def __init__(
        self,
        stream: StreamName,
        id_: StreamId,
        at: Position,
        event: StreamEvent | None,
        structured: bytes,
        sent: str,
    ) -> None:
        self.stream, self.id = stream, id_
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

    def moved(self, at: Position) -> Frame:
        """The same for a reader who comes to it by another way."""
        if at == self.at:
            return self
        return Frame(self.stream, self.id, at, self.event, self._structured, self.sent)


def following(
    frames: Iterable[Frame], position: Position, until: Position | None = None
) -> Iterator[Frame]:
    """Those of the frames that are new to a reader at this position, and no further than `until`.

    Their positions are this reader's own: another has perhaps read more of one stream before.
    """
    for each in frames:
        if each.id > position.in_(each.stream) and (not until or each.id <= until.in_(each.stream)):
            position = position.past(each.stream, each.id)
            yield each.moved(position)


class Ring:
    """Holds at most `capacity` frames. start: the position before the first event it can hold."""

    def __init__(self, start: Position, capacity: int) -> None:
        self._frames: deque[Frame] = deque()
        self._capacity = capacity
        self.start = start
        self.end = start

    def append(self, frame: Frame) -> None:
        """Add what comes next; the oldest may fall off."""
        assert frame.at.covers(self.end), "the streams only grow"
        self._frames.append(frame)
        self.end = frame.at
        if len(self._frames) > self._capacity:
            self.start = self._frames.popleft().at

    def after(
        self, position: Position, most: int, until: Position | None = None
    ) -> list[Frame] | None:
        """Up to `most` frames after a position; None when the ring does not reach back to it.

        until: leave out what is further than that.
        """
        if not position.covers(self.start):
            return None
        first = min(
            bisect_right(self._frames, position.events, key=lambda frame: frame.at.events),
            bisect_right(self._frames, position.alerts, key=lambda frame: frame.at.alerts),
        )
        if until is None and position == (self._frames[first - 1].at if first else self.start):
            return [self._frames[n] for n in range(first, min(first + most, len(self._frames)))]
        rest = islice(self._frames, first, None)
        return list(islice(following(rest, position, until), most))
