"""The ledger: what was raised, and how far each channel is with it. One Redis hash for each alert.

Fields: `state` (raised, updated, retracted, or why it never will be raised: baseline, uncertain,
expired), `event`, `rule`, `seen_at`, `raised_at`; `latest`, the newest alert event as JSON,
`latest_id`, `latest_time` and its `deadline` in ms; `done:<event>` for each change that had its
effect; `early`, `early_id` and `early_time`, a change that came before the alert was raised.

For each channel `<channel>:state` (waiting, sending, delivered, dead, untold), `:told` (the event
last delivered), `:handle` (the channel's name of the message that people see), `:delivered_at`,
`:lag_ms`, `:attempts` at the event `:trying`, `:reason` of the last failure, `:doubt` (an event
that may have been told: its try ended without an answer), `:deadline` (of a replay), and what
belongs to a lease: `:lease`, `:holder`, `:sending`, `:takes`, `:settled`, `:outcome`.

Each step here also puts the alert into the queue of each channel. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from service.errors import CorruptionError
from service.events import AlertEvent, from_json, rfc3339, to_fields, to_json
from service.keys import Keys
from workers.alerts.grouping import place
from workers.alerts.rules import TRANSITIONS
from workers.consumer import send_once

# Counted from the deadline; afterwards the memory is given back.
KEEP_S = 30 * 24 * 3600
_LUA = Path(__file__).parent / "lua"


def script(redis: Redis, name: str) -> Any:
    """The Lua script of that name."""
    return redis.register_script((_LUA / f"{name}.lua").read_text("utf-8"))


def alert_in(document: bytes) -> AlertEvent:
    """The alert event in its JSON. Raises CorruptionError when it is none."""
    event = from_json(document)
    if not isinstance(event, AlertEvent):
        raise CorruptionError("event.misplaced", f"{event.type} in the ledger of an alert")
    return event


def flat(event: AlertEvent) -> list[str | bytes]:
    """The fields of a stream entry, as a script takes them."""
    return [part for field in to_fields(event).items() for part in field]


class Ledger:
    """Writes what becomes of alerts. Every method raises what redis-py raises.

    redis: a client of its own, answering bytes. It is made to send each command once.
    max_events: about how many events the alerts stream keeps.
    queued: called when there is news in the queues.
    """

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        *,
        max_events: int,
        queued: Callable[[], None] = lambda: None,
    ) -> None:
        send_once(redis)
        self._redis, self._keys, self._max_events = redis, keys, max_events
        self._queued = queued
        self._raise, self._change = script(redis, "raise"), script(redis, "change")
        self._early = script(redis, "early")

    async def raise_alert(
        self,
        event: AlertEvent,
        now: datetime,
        channels: Sequence[str],
        *,
        again: bool = False,
        keep_s: int = 0,
    ) -> bool:
        """Open the alert's ledger, append its event to the stream and queue it, in one step.

        channels: by name, where it is to be delivered. again: an earlier alert of the entry that
        was retracted is forgotten. keep_s: for a dry run, which is not appended to the stream: for
        so long its ledger is kept.
        True when it was raised now; False, and nothing done, when the ledger knows it already.
        """
        data = event.data
        seen_at, raised_at = rfc3339(event.observed_at), rfc3339(now)
        opening = (
            *("event", data.event, "rule", data.rule, "seen_at", seen_at, "raised_at", raised_at),
        )
        ledger, *others = self._touched(event, channels)
        raised, early = await self._raise(
            keys=[ledger, self._keys.together(data.alert), *others],
            args=[
                data.alert, keep_s or _keep_s(event, now), 0 if keep_s else self._max_events,
                *_newest(event), int(again), len(opening), *opening, *flat(event),
            ],
        )  # fmt: skip
        if raised:
            self._queued()
        if early is not None:
            await self.change(alert_in(early), channels)
        return bool(raised)

    async def change(
        self, event: AlertEvent, channels: Sequence[str], others: Sequence[str] = ()
    ) -> bool:
        """Bring an alert into the state of this event, append that to the stream and queue it.

        channels: as in raise_alert. others: channels that hear of it where they have had to do with
        the alert: whoever was told is corrected.
        True when that was done now; False, and nothing done, when the alert does not stand, this
        event has had its effect, or is older than one that has.
        """
        state = event.state
        may_come_from = TRANSITIONS[state]
        before = await self._change(
            keys=self._touched(event, [*channels, *others]),
            args=[
                event.data.alert, _keep_s(event, event.observed_at), self._max_events,
                *_newest(event), state, len(may_come_from), *may_come_from,
                len(others), *others, *flat(event),
            ],
        )  # fmt: skip
        is_changed = before.decode() in may_come_from
        if is_changed:
            self._queued()
        return is_changed

    async def remember(self, event: AlertEvent) -> bool:
        """Remember a change of an alert that is not raised yet: it follows when it is raised.

        False, and nothing done, when the alert is known by now, or held.
        """
        alert, where = event.data.alert, place(event.data.rule, event.data.page.id)
        keys = [self._keys.ledger(alert), self._keys.held(where), self._keys.closing(where)]
        return bool(await self._early(keys=keys, args=[alert, *_newest(event)]))

    async def suppress(self, alert: str, reason: str) -> None:
        """Note that an alert is not to be raised, unless it was."""
        async with self._redis.pipeline(transaction=True) as step:
            step.hsetnx(self._keys.ledger(alert), "state", reason)
            step.expire(self._keys.ledger(alert), KEEP_S)
            await step.execute()

    def _touched(self, event: AlertEvent, channels: Sequence[str]) -> list[str]:
        queues = map(self._keys.queue, channels)
        return [self._keys.ledger(event.data.alert), self._keys.alerts, *queues]


def _newest(event: AlertEvent) -> tuple[str, str, int, bytes]:
    """What the ledger keeps of the newest event."""
    deadline_ms = int(event.data.deadline.timestamp() * 1000)
    return event.id, rfc3339(event.observed_at), deadline_ms, to_json(event)


def _keep_s(event: AlertEvent, now: datetime) -> int:
    return KEEP_S + max(0, int((event.data.deadline - now).total_seconds()))
