"""A channel's queue: which alerts it is to be brought up to date on, and when.

A sorted set by the time at which each is due, by the clock of the Redis server. What is in it says
only "bring this channel to the newest state of this alert": taking one leases it, and what is then
sent is the newest. A worker that dies leaves its leases to run out. A token with each lease keeps
whoever lost one from undoing what the next holder did. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from service.events import AlertEvent, rfc3339
from service.keys import Keys
from workers.alerts.ledger import flat, script
from workers.consumer import DEAD_LETTERS, send_once

Settled = Literal["delivered", "failed", "dead", "dropped", "superseded", "lost"]
Became = Literal["opened", "closed", ""]


class Taken(Struct, frozen=True, array_like=True):
    """An alert that is leased to us.

    token: of the lease. attempt: the number of this try at the event, from 1. event: the newest, as
    JSON. told: id of the event that was last delivered here. handle: what the channel last returned
    for the alert. doubt: id of an event that may have been delivered. left_ms: until the deadline,
    below 0 after it. reason: of the last failure. is_probe: the channel is open, and this shows
    whether it works again. is_replay: the deadline is not the event's but of a replay.
    """

    alert: str
    token: int
    attempt: int
    event: bytes
    event_id: str
    told: str | None
    handle: str | None
    doubt: str | None
    left_ms: int
    reason: str | None
    is_probe: bool
    is_replay: bool


class Found(Struct, frozen=True, array_like=True):
    """What a look into the queue found.

    failures: tries in a row that failed on this channel. is_open: it failed so often that only a
    probe is sent. wait_ms: when it is worth looking again; -1 when nothing waits. waiting: how many
    alerts are in the queue, those that are leased among them.
    """

    failures: int
    is_open: bool
    wait_ms: int
    waiting: int
    taken: tuple[Taken, ...]


class Ending(Struct, frozen=True, kw_only=True):
    """What came of a lease.

    outcome: delivered; failed, to be tried again; dead, given up; dropped, there was nothing to
    tell. attempts: tries at this event so far. went: how this try went, for the channel: any answer
    of the receiver is well; "" when none was made. reason: of the failure. retry_s, pause_s:
    seconds until the alert's next try, and the channel's, should it be open. is_doubtful: a failed
    try that may have been taken all the same. handle: None leaves the last. lag_ms: from the poll
    that saw it until the channel took it.
    """

    outcome: Literal["delivered", "failed", "dead", "dropped"]
    attempts: int
    went: Literal["well", "badly", ""]
    reason: str = ""
    retry_s: float = 0.0
    pause_s: float = 0.0
    is_doubtful: bool = False
    handle: str | None = None
    lag_ms: int = 0


class Queue:
    """One channel's queue, for one worker. Every method raises what redis-py raises.

    redis: a client of its own, answering bytes. It is made to send each command once. holder: a
    name that no other worker has. lease_s: so long a lease lasts that is not renewed. trip: after
    so many failed tries in a row the channel is open.
    """

    def __init__(
        self, redis: Redis, keys: Keys, channel: str, *, holder: str, lease_s: float, trip: int
    ) -> None:
        send_once(redis)
        self.channel, self.trip = channel, trip
        self._keys, self._holder, self._lease_ms = keys, holder, max(1, int(lease_s * 1000))
        self._places = [keys.queue(channel), keys.breaker(channel)]
        self._take, self._settle = script(redis, "take"), script(redis, "settle")
        self._renew, self._release = script(redis, "renew"), script(redis, "release")

    async def take(self, count: int) -> Found:
        """Lease up to `count` alerts that are due, the longest due first."""
        answer = await self._take(
            keys=self._places,
            args=[
                self.channel, self._keys.ledger(""), count, self._lease_ms, self._holder, self.trip,
            ],
        )  # fmt: skip
        return _found(answer)

    async def settle(
        self, taken: Taken, ending: Ending, event: AlertEvent | None, now: datetime
    ) -> tuple[Settled, Became]:
        """End a lease. The same again is a no-op with the same answer.

        event: what was to be told; None when it can't be read. A dead letter has its fields.
        Returns what was done: as the outcome says; superseded instead of dead, when a newer event
        came meanwhile; lost, and nothing done, when the lease was lost. And what became of the
        channel.
        """
        letter = (
            *(flat(event) if event else ("data", taken.event)),
            *("alert", taken.alert, "channel", self.channel),
            *("reason", ending.reason, "died_at", rfc3339(now)),
        )
        done, became = await self._settle(
            keys=[
                self._places[0],
                self._keys.ledger(taken.alert),
                self._places[1],
                self._keys.dead,
            ],
            args=[
                self.channel, taken.alert, taken.token, taken.event_id, ending.outcome,
                ending.attempts, ending.reason, _ms(ending.retry_s), int(ending.is_doubtful),
                ending.went, int(taken.is_probe), self.trip, _ms(ending.pause_s), rfc3339(now),
                ending.handle or "", ending.lag_ms, DEAD_LETTERS, *letter,
            ],
        )  # fmt: skip
        return msgspec.convert((done.decode(), became.decode()), tuple[Settled, Became])

    async def renew(self, held: Collection[Taken]) -> set[str]:
        """Keep leases. Returns the ids of the alerts whose lease was lost."""
        pairs = [part for each in held for part in (each.alert, each.token)]
        lost = await self._renew(
            keys=self._places[:1],
            args=[self.channel, self._keys.ledger(""), self._lease_ms, *pairs],
        )
        return {alert.decode() for alert in lost}

    async def release(self, in_hand: Collection[str]) -> int:
        """Give back what was leased to us in an answer that never arrived; how many that were.

        in_hand: ids of the alerts that did arrive.
        """
        args = [self.channel, self._keys.ledger(""), self._holder, *in_hand]
        return int(await self._release(keys=self._places, args=args))


def _found(answer: list[object]) -> Found:
    """The answer of the script, whose texts are bytes and whose flags are numbers."""
    *counts, rows = answer
    assert isinstance(rows, list)
    taken = [
        [value if place == _EVENT or not isinstance(value, bytes) else value.decode()
         for place, value in enumerate(row)]
        for row in rows
    ]  # fmt: skip
    return msgspec.convert([*counts, taken], Found, strict=False)


_EVENT = Taken.__struct_fields__.index("event")


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
