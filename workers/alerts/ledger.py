"""The ledger: what was raised, and how far each channel is with it. One Redis hash for each alert.

Fields: `state` (raised, updated, retracted, or why it never will be raised: baseline, uncertain,
expired), `event`, `rule`, `raised_at`; `done:<event>`, a number, for each later change; for each
channel `<channel>:state` (sending, delivered, dead), `:attempts`, `:sending_at`, `:delivered_at`,
`:reason`, for what came after the raising as `<channel>:<event>:state` and so on; and once for the
whole alert `<channel>:handle`, the channel's name of the message that people see. A try is recorded
before it is made and again after, so that after a crash it is known what may have been sent.
Decides nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from pathlib import Path
from typing import Literal, cast

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from service.events import AlertEvent, rfc3339, to_fields
from service.keys import Keys
from workers.alerts.rules import TRANSITIONS, state_of
from workers.consumer import DEAD_LETTERS, send_once

# Far longer than any deadline; afterwards the memory is given back.
KEEP_S = 30 * 24 * 3600
_LUA = Path(__file__).parent / "lua"


ChannelState = Literal["sending", "delivered", "dead"]
SETTLED = ("delivered", "dead")


class Reservation(Struct, frozen=True):
    """state: sending when a try may be made now, else how the event was settled before.

    attempt: the number of this try, from 1; when settled, of the last one. handle: what the channel
    last returned for this alert.
    """

    state: ChannelState
    attempt: int
    handle: str | None


class Before(Struct, frozen=True):
    """What a channel has done with an alert until now.

    is_raised: its raising was delivered or given up. is_settled: so were all later changes of it.
    was_told: some of it was delivered.
    """

    raised_at: datetime | None
    is_raised: bool
    is_settled: bool
    was_told: bool


class Ledger:
    """Reads and writes the ledger. Every method raises what redis-py raises.

    redis: a client of its own, answering bytes. It is made to send each command once.
    max_events: about how many events the alerts stream keeps.
    """

    def __init__(self, redis: Redis, keys: Keys, *, max_events: int) -> None:
        send_once(redis)
        self._redis, self._keys, self._max_events = redis, keys, max_events
        self._raise = redis.register_script((_LUA / "raise.lua").read_text())
        self._change = redis.register_script((_LUA / "change.lua").read_text())
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

    async def change(self, event: AlertEvent) -> bool:
        """Bring an alert into the state of this event and append that to the alerts stream.

        True when that was done now; False, and nothing done, when the alert does not stand or this
        event has had its effect.
        """
        state = state_of(event)
        may_come_from = TRANSITIONS[state]
        before = await self._change(
            keys=[self._keys.ledger(event.data.alert), self._keys.alerts],
            args=[
                KEEP_S, self._max_events, state, event.id,
                len(may_come_from), *may_come_from, *_flat(event),
            ],
        )  # fmt: skip
        return before.decode() in may_come_from

    async def before(self, event: AlertEvent, channel: str) -> Before:
        """How far a channel is with what came before this event of an alert."""
        found = await _answer(self._redis.hgetall(self._keys.ledger(event.data.alert)))
        fields = {key.decode(): value.decode() for key, value in found.items()}
        changes = {
            k.removeprefix("done:"): int(v) for k, v in fields.items() if k.startswith("done:")
        }
        own = changes.get(event.id, 0)
        earlier = [f"{channel}:{key}" for key, number in changes.items() if number < own]
        first, *states = (fields.get(f"{place}:state") for place in (channel, *earlier))
        raised_at = fields.get("raised_at")
        return Before(
            raised_at=datetime.fromisoformat(raised_at) if raised_at else None,
            is_raised=first in SETTLED,
            is_settled=all(state in SETTLED for state in states),
            was_told="delivered" in (first, *states),
        )

    async def suppress(self, alert: str, reason: str) -> None:
        """Note that an alert is not to be raised, unless it was."""
        async with self._redis.pipeline(transaction=True) as step:
            step.hsetnx(self._keys.ledger(alert), "state", reason)
            step.expire(self._keys.ledger(alert), KEEP_S)
            await step.execute()

    async def reserve(self, event: AlertEvent, channel: str, now: datetime) -> Reservation:
        """Record a try before it is made; nothing when the event is settled on this channel."""
        answer = await self._reserve(
            keys=[self._keys.ledger(event.data.alert)],
            args=[_place(event, channel), rfc3339(now), KEEP_S, f"{channel}:handle"],
        )
        state, attempt, handle = answer
        found = {"state": state.decode(), "attempt": attempt, "handle": handle and handle.decode()}
        return msgspec.convert(found, Reservation)

    async def delivered(
        self, event: AlertEvent, channel: str, handle: str | None, now: datetime
    ) -> None:
        """Record that a try succeeded. handle: what the channel returned; None leaves the last."""
        ledger, place = self._keys.ledger(event.data.alert), _place(event, channel)
        settled = {f"{place}:state": "delivered", f"{place}:delivered_at": rfc3339(now)}
        if handle is not None:
            settled[f"{channel}:handle"] = handle
        async with self._redis.pipeline(transaction=True) as step:
            step.hset(ledger, items=[part for field in settled.items() for part in field])
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
            args=[_place(event, channel), reason, KEEP_S, DEAD_LETTERS, *_flat(event), *letter],
        )
        return bool(died)


def _place(event: AlertEvent, channel: str) -> str:
    """Where the ledger keeps how far a channel is with an event."""
    return channel if state_of(event) == "raised" else f"{channel}:{event.id}"


async def _answer(answer: object) -> dict[bytes, bytes]:
    return await cast("Awaitable[dict[bytes, bytes]]", answer)


def _flat(event: AlertEvent) -> list[str | bytes]:
    return [part for field in to_fields(event).items() for part in field]
