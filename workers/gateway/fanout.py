"""Who has everything, and how what comes next gets to all of them at once.

Subscribers that want the same in the same form are a group: its filter is evaluated once for an
event, its bytes are made once, and go straight onto every transport. One whose transport has more
to send than it may leaves the group, gets nothing until that has drained, and comes back when it
has caught up (see `workers.gateway.session`). Nobody waits for anybody, and nothing is queued.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from service.observability import FEED_EVENTS
from workers.gateway.forms import Form
from workers.gateway.protocol import Position
from workers.gateway.ring import Frame
from workers.gateway.subscription import Wanted

# So many are written to before the loop may turn to something else.
TURN = 500
# So much goes onto a transport in one write.
WRITE_BYTES = 64 * 1024


class Member(Protocol):
    """A connection. at: up to where it has got everything that it wants, or further.

    joined: the delivery during or before which it joined its group. fd: its socket, where bytes may
    go straight there; else -1. It must be -1 before the socket is closed: its number is given anew.
    """

    at: Position
    fd: int
    joined: int
    form: Form
    wanted: Wanted
    group: Group | None

    def write(self, data: bytes, /) -> None:
        """Send bytes, at once if that can be done."""

    def backlog(self) -> int:
        """How many bytes wait to be sent."""

    def fell_behind(self) -> None:
        """It has left its group and must catch up."""

    def beat(self) -> None:
        """It was sent a ping."""


class Group:
    """Members that want the same, all of which have what there is. told: the position they know."""

    def __init__(self, wanted: Wanted, form: Form, at: Position) -> None:
        self.wanted, self.form = wanted, form
        self.at = self.told = at
        self.members: dict[Member, None] = {}


class Fanout:
    """All groups. buffer_bytes: with more than that unsent a subscriber gets nothing new."""

    def __init__(self, buffer_bytes: int) -> None:
        self._buffer_bytes = buffer_bytes
        self._groups: dict[tuple[Wanted, Form], Group] = {}
        self._delivery = 0

    def join(self, one: Member) -> None:
        """Count among those that have everything. one.at: the end of the ring."""
        key = (one.wanted, one.form)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(one.wanted, one.form, one.at)
        group.members[one] = None
        one.group, one.joined, one.wanted = group, self._delivery, group.wanted

    def leave(self, one: Member) -> None:
        """Count no more, and know the position. Nothing, if it was in no group."""
        group = one.group
        if group is None:
            return
        one.at, one.group = one.at.joined(group.at), None
        del group.members[one]
        if not group.members:
            del self._groups[group.wanted, group.form]

    def scatter(self) -> None:
        """Let everybody catch up anew: the stream is not what it was."""
        for group in list(self._groups.values()):
            for one in list(group.members):
                self._drop(one)

    async def deliver(self, frames: Sequence[Frame]) -> None:
        """Send the next frames of the stream to everybody who wants them. The ring has them."""
        self._delivery += 1  # who joins from now on has them
        work = [(group, list(group.members)) for group in self._groups.values()]
        for some in _writes(frames):
            end = some[-1].at
            for group, members in work:
                wanted = [f for f in some if f.event is not None and group.wanted.matches(f.event)]
                if wanted:
                    data = b"".join([frame.encoded(group.form) for frame in wanted])
                    for turn in _turns(members):
                        for one in self._put(data, turn, group, before=self._delivery):
                            one.at = end
                        await asyncio.sleep(0)
                    FEED_EVENTS.inc(len(members) * len(wanted))
                    group.told = end
                group.at = end

    async def tell(self, message: Callable[[Group], bytes], *, beat: bool = False) -> None:
        """Send what is no event; beat: a ping is in it."""
        for group in list(self._groups.values()):
            if data := message(group):
                for turn in _turns(list(group.members)):
                    for one in self._put(data, turn, group, before=self._delivery + 1):
                        if beat:
                            one.beat()
                    await asyncio.sleep(0)

    def _put(
        self, data: bytes, members: list[Member], group: Group, *, before: int
    ) -> list[Member]:
        """Write to those that are still there, joined before that delivery and can take more.

        This is most of what the gateway does: each of them is looked at once, and no more. A
        socket with nothing waiting before it is written to without a turn of the event loop.
        """
        most, size, told = self._buffer_bytes, len(data), []
        for one in members:
            if one.group is group and one.joined < before:
                waiting = one.backlog()
                if waiting > most:
                    self._drop(one)
                    continue
                told.append(one)
                if waiting or one.fd < 0:
                    one.write(data)
                    continue
                try:
                    sent = os.write(one.fd, data)
                except OSError:  # it takes nothing now, or is gone: the transport knows
                    sent = 0
                if sent < size:
                    one.write(data[sent:])
        return told

    def _drop(self, one: Member) -> None:
        self.leave(one)
        one.fell_behind()


def _turns(members: list[Member]) -> Iterator[list[Member]]:
    """Between two of these the loop may turn to something else."""
    return (members[first : first + TURN] for first in range(0, len(members), TURN))


def _writes(frames: Sequence[Frame]) -> Iterator[Sequence[Frame]]:
    """The frames in as many parts as go into one write each."""
    first, size = 0, 0
    for place, frame in enumerate(frames):
        size += len(frame.structured)
        if size > WRITE_BYTES and place > first:
            yield frames[first:place]
            first, size = place, len(frame.structured)
    if frames:
        yield frames[first:]
