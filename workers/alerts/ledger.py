"""The ledger: what was raised, and how far each channel is with it. One Redis hash for each alert.

Fields: `state` (raised, or why it never will be: baseline, expired), `event`, `rule`, `raised_at`;
and for each channel `<channel>:state` (sending, delivered, dead), `:attempts`, `:sending_at`,
`:delivered_at`, `:reason`. A try is recorded before it is made and again after, so that after a
crash it is known what may have been sent. Decides nothing.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from service.events import AlertEvent, rfc3339, to_fields
from service.keys import Keys
from workers.consumer import DEAD_LETTERS, send_once

# Far longer than any deadline; afterwards the memory is given back.
KEEP_S = 30 * 24 * 3600
_LUA = Path(__file__).parent / "lua"


class Reservation(Struct, frozen=True):
    """state: sending when a try may be made now, else how the alert was settled before.

    attempt: the number of this try, from 1; when settled, of the last one.
    """

    state: Literal["sending", "delivered", "dead"]
    attempt: int


class Ledger:
    """Reads and writes the ledger. Every method raises what redis-py raises.

    redis: a client of its own, answering bytes. It is made to send each command once.
    max_events: about how many events the alerts stream keeps.
    """

    def __init__(self, redis: Redis, keys: Keys, *, max_events: int) -> None:
        send_once(redis)
        self._redis, self._keys, self._max_events = redis, keys, max_events
        self._raise = redis.register_script((_LUA / "raise.lua").read_text())
        self._reserve = redis.register_script((_LUA / "reserve.lua").read_text())
        self._bury = redis.register_script((_LUA / "bury.lua").read_text())

    async def raise_alert(self, event: AlertEvent, now: datetime) -> bool:
        """Open the alert's ledger and append its event to the alerts stream, in one step.

        True when it was raised now; False, and nothing done, when the ledger knows it already.
        """
        data = event.data
        opening = ("state", "raised", "event", data.event, "rule", data.rule, "raised_at")
        raised = await self._raise(
            keys=[self._keys.ledger(data.alert), self._keys.alerts],
            args=[
                KEEP_S, self._max_events, len(opening) + 1, *opening, rfc3339(now), *_flat(event),
            ],
        )  # fmt: skip
        return bool(raised)

    async def suppress(self, alert: str, reason: str) -> None:
        """Note that an alert is not to be raised, unless it was."""
        async with self._redis.pipeline(transaction=True) as step:
            step.hsetnx(self._keys.ledger(alert), "state", reason)
            step.expire(self._keys.ledger(alert), KEEP_S)
            await step.execute()

    async def reserve(self, alert: str, channel: str, now: datetime) -> Reservation:
        """Record a try before it is made; nothing when the alert is settled on this channel."""
        answer = await self._reserve(
            keys=[self._keys.ledger(alert)], args=[channel, rfc3339(now), KEEP_S]
        )
        return msgspec.convert({"state": answer[0].decode(), "attempt": answer[1]}, Reservation)

    async def delivered(self, alert: str, channel: str, now: datetime) -> None:
        """Record that a try succeeded."""
        ledger = self._keys.ledger(alert)
        settled = (f"{channel}:state", "delivered", f"{channel}:delivered_at", rfc3339(now))
        async with self._redis.pipeline(transaction=True) as step:
            step.hset(ledger, items=list(settled))
            step.expire(ledger, KEEP_S)
            await step.execute()

    async def dead(self, event: AlertEvent, channel: str, reason: str, now: datetime) -> bool:
        """Give an alert up on a channel: settle it and append a dead letter, in one step.

        The letter has the fields of the alert event and channel, reason, attempts, died_at.
        False, and nothing done, when it was settled before.
        """
        letter = ("channel", channel, "reason", reason, "died_at", rfc3339(now))
        died = await self._bury(
            keys=[self._keys.ledger(event.data.alert), self._keys.dead],
            args=[channel, reason, KEEP_S, DEAD_LETTERS, *_flat(event), *letter],
        )
        return bool(died)


def _flat(event: AlertEvent) -> list[str | bytes]:
    return [part for field in to_fields(event).items() for part in field]
