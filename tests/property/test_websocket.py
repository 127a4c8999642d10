"""However frames are cut up on their way, a session hears the same messages."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from workers.gateway.protocol import GOING_AWAY, STALLED, Close
from workers.gateway.websocket import WebSocket

MAX_BYTES = 200


class Wire(asyncio.Transport):
    """Keeps what is written, and whether it was closed or aborted."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.end = bytearray(), ""

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.end = self.end or "closed"

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Nothing more is written."""

    def abort(self) -> None:
        self.end = self.end or "aborted"


class Ear:
    """A session as far as a socket knows it."""

    def __init__(self) -> None:
        self.transport = Wire()
        self.heard: list[str | bytes] = []
        self.signs = self.unsent = 0
        self.is_ended, self.code = False, 0
        self.why: Close | None = None
        self.hang_up: Any = None

    def answered(self) -> None:
        self.signs += 1

    def hear(self, payload: str | bytes) -> None:
        self.heard.append(payload)

    def stop(self) -> None:
        self.is_ended = True

    def closed(self, code: int) -> None:
        self.code = code

    def backlog(self) -> int:
        return self.unsent


def socket(ear: Ear) -> WebSocket:
    return WebSocket(ear, max_bytes=MAX_BYTES, gone=lambda: None)  # type: ignore[arg-type]


texts = st.text(max_size=40).map(lambda text: TextMessage(data=text))
parts = st.lists(st.text(max_size=10), min_size=2, max_size=4).map(
    lambda some: [
        TextMessage(data=part, message_finished=place == len(some) - 1)
        for place, part in enumerate(some)
    ]
)
binaries = st.binary(max_size=40).map(lambda data: BytesMessage(data=data))
controls = st.sampled_from([Ping(payload=b"x"), Pong(payload=b"y"), Ping(), Pong()])
messages = st.lists(st.one_of(texts, parts, binaries, controls), max_size=12)


@given(messages, st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_messages_are_heard_whole_and_in_order(sent: list[Any], cuts: list[int]) -> None:
    client, ear = Connection(ConnectionType.CLIENT), Ear()
    ours = socket(ear)
    data, wanted = b"", []
    for one in sent:
        frames = one if isinstance(one, list) else [one]
        for place, frame in enumerate(frames):
            data += client.send(frame)
            if place < len(frames) - 1:
                data += client.send(Ping())  # control frames may come in between
        if isinstance(one, list):
            wanted.append("".join(frame.data for frame in frames))
        elif isinstance(one, TextMessage | BytesMessage):
            wanted.append(one.data)
    place = turn = 0
    while place < len(data):
        size = cuts[turn % len(cuts)]
        ours.data_received(data[place : place + size])
        place, turn = place + size, turn + 1
    assert ear.heard == wanted
    assert not ear.transport.end
    client.receive_data(bytes(ear.transport.written))
    assert {type(event) for event in client.events()} <= {Pong}


@settings(max_examples=300)
@given(st.lists(st.binary(min_size=1, max_size=300), max_size=6))
def test_no_bytes_at_all_are_an_error_of_ours(chunks: list[bytes]) -> None:
    async def receive() -> Ear:
        ear = Ear()
        ours = socket(ear)
        for chunk in chunks:
            ours.data_received(chunk)
        ours.connection_lost(None)
        return ear

    ear = asyncio.run(receive())
    assert sum(len(one) for one in ear.heard) <= MAX_BYTES * len(chunks)
    assert ear.code in {1000, 1001, 1002, 1005, 1006, 1007, 1009} or 3000 <= ear.code <= 4999


async def test_a_message_that_is_too_long_is_refused_before_it_is_whole() -> None:
    client, ear = Connection(ConnectionType.CLIENT), Ear()
    ours = socket(ear)
    for _ in range(3):
        ours.data_received(client.send(TextMessage(data="ü" * 50, message_finished=False)))
    assert ear.heard == []
    assert ear.is_ended
    client.receive_data(bytes(ear.transport.written))
    (said,) = client.events()
    assert isinstance(said, CloseConnection)
    assert said.code == 1009
    ours.data_received(client.send(said.response()))  # nobody listens any more
    ours.connection_lost(None)
    assert ear.code == 1009


async def test_the_other_side_says_good_bye() -> None:
    client, ear = Connection(ConnectionType.CLIENT), Ear()
    ours = socket(ear)
    ours.data_received(client.send(CloseConnection(code=1000, reason="done")))
    assert ear.transport.end == "closed"
    client.receive_data(bytes(ear.transport.written))
    assert [event.code for event in client.events() if isinstance(event, CloseConnection)] == [1000]
    ours.connection_lost(None)
    assert ear.code == 1000


async def test_we_say_good_bye_and_it_is_agreed() -> None:
    client, ear = Connection(ConnectionType.CLIENT), Ear()
    ours = socket(ear)
    ear.why, ear.is_ended = GOING_AWAY, True
    ear.hang_up()
    client.receive_data(bytes(ear.transport.written))
    (said,) = client.events()
    assert isinstance(said, CloseConnection)
    assert (said.code, said.reason) == (4001, "going-away")
    assert not ear.transport.end
    ours.data_received(client.send(said.response()))
    assert ear.transport.end == "closed"


async def test_who_takes_no_bytes_is_cut_off() -> None:
    ear = Ear()
    socket(ear)
    ear.why, ear.unsent = STALLED, 5
    ear.hang_up()
    assert ear.transport.end == "aborted"
    assert not ear.transport.written
