"""Two gateways read two streams, each in an order of its own. Who goes from one to the other with a
position gets everything once, in each stream's order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.gateway.protocol import Position, StreamId, StreamName, cursor, position
from workers.gateway.ring import Frame, Ring, following

Entry = tuple[StreamName, StreamId]
START = Position("d")


def entries(order: list[bool]) -> list[Entry]:
    """Entries of two streams in this order; True is an alert. All are of one millisecond."""
    numbers: dict[StreamName, int] = {"events": 0, "alerts": 0}
    found: list[Entry] = []
    for is_alert in order:
        stream: StreamName = "alerts" if is_alert else "events"
        numbers[stream] += 1
        found.append((stream, StreamId(1, numbers[stream])))
    return found


def frames(order: list[bool]) -> list[Frame]:
    at, found = START, []
    for stream, id_ in entries(order):
        at = at.past(stream, id_)
        found.append(Frame(stream, id_, at, None, b"", ""))
    return found


class Gateway:
    """A ring that has read so much of the streams, and what Redis would answer."""

    def __init__(self, order: list[bool], capacity: int) -> None:
        self._unread = frames(order)
        self.every = list(self._unread)
        self.ring = Ring(START, capacity)

    def read(self, some: int) -> None:
        for _ in range(min(some, len(self._unread))):
            self.ring.append(self._unread.pop(0))

    def after(self, at: Position, most: int, until: Position | None) -> list[Frame]:
        """What a subscriber gets here: from the ring, or from Redis where that begins later."""
        while not self.ring.end.covers(at):
            self.read(1)
        found = self.ring.after(at, most, until)
        return list(following(self.every, at, until))[:most] if found is None else found


@st.composite
def gateways(draw: st.DrawFn) -> list[Gateway]:
    """Two of them, over the same two streams."""
    kinds = [True] * draw(st.integers(0, 12)) + [False] * draw(st.integers(0, 12))
    capacity = draw(st.integers(1, 30))
    return [Gateway(draw(st.permutations(kinds)), capacity) for _ in range(2)]


@given(gateways(), st.data())
def test_everything_comes_once_and_in_each_streams_order_whatever_gateway_one_asks(
    both: list[Gateway], data: st.DataObject
) -> None:
    at, seen = START, list[Entry]()
    for _ in range(data.draw(st.integers(0, 8))):
        gateway = both[data.draw(st.integers(0, 1))]
        gateway.read(data.draw(st.integers(0, 10)))
        until = both[0].ring.end if data.draw(st.booleans()) else None
        got = gateway.after(at, data.draw(st.integers(1, 6)), until)
        assert until is None or all(each.id <= until.in_(each.stream) for each in got)
        for each in got[: data.draw(st.integers(0, 6))]:
            assert each.at.covers(at)
            at = position(cursor(each.at))
            seen.append((each.stream, each.id))
    last = both[0]
    last.read(100)
    while got := last.after(at, 5, None):
        seen += [(each.stream, each.id) for each in got]
        at = got[-1].at
    assert at == last.ring.end
    for stream in ("events", "alerts"):
        every = [one for one in entries([each.stream == "alerts" for each in last.every])
                 if one[0] == stream]  # fmt: skip
        assert [one for one in seen if one[0] == stream] == every
    assert len(seen) == len(last.every)


def test_a_cursor_of_before_there_were_alerts_in_the_feed_still_counts() -> None:
    old = "djEuNWYyYzgxZDA5YTNlLjE3NDU1NzIwODUwMDAtMA"
    assert position(old) == Position("5f2c81d09a3e", StreamId(1745572085000))


def test_who_is_where_the_gateway_has_been_shares_its_frames() -> None:
    ring = Ring(START, 10)
    every = frames([False, True, False, True])
    for each in every:
        ring.append(each)
    found = ring.after(every[1].at, 10)
    assert found is not None
    assert [id(each) for each in found] == [id(each) for each in every[2:]]
