"""Alerts that wait, and what is remembered of those that were raised as one: kept in Redis.

Each place (a rule and a page) holds one group. A group is first held, then closed, then raised,
then forgotten. From its closing on it is the same whoever goes on with it, and each step can be
done again: a crash neither loses nor doubles a group. Its keys carry one hash tag. It reads the
ledger's `state` and `event`, and marks the parts of a group there as `grouped`. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from service.errors import CorruptionError, StoreError
from service.events import AlertEvent, rfc3339
from service.keys import Keys
from workers.alerts.decisions import Known, Memory
from workers.alerts.grouping import Group, Held, place
from workers.alerts.ledger import KEEP_S, alert_in, script
from workers.alerts.limits import Limit
from workers.alerts.rules import Rule, Standing
from workers.consumer import send_once

_SCRIPTS = ["recall", "hold", "refresh", "unhold", "postpone", "close", "finish", "amend", "room"]
_AT_ONCE = 100


class Holding:
    """Holds alerts and groups. Every method raises what redis-py raises.

    StoreError for what can't be read: that is no fault of an event, which must not pay for it.
    redis: a client of its own, answering bytes. It is made to send each command once.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        send_once(redis)
        self._redis, self._keys = redis, keys
        self._scripts: dict[str, AsyncScript] = {name: script(redis, name) for name in _SCRIPTS}

    async def recall(self, rule: Rule, page: str, alert: str) -> Memory:
        """What is known of an alert, and what else bears on it by its rule."""
        keys, where = self._keys, place(rule.name, page)
        ledger, group, held, is_closing, due = await self._scripts["recall"](
            keys=[
                *(keys.ledger(alert), keys.together(alert)),
                *(keys.held(where), keys.closing(where)),
            ],
            args=[alert],
        )
        *of_ledger, lead, early = ledger
        known = _known(of_ledger, held, is_closing=bool(is_closing))
        if known is not None and not held:
            if group is None and lead:
                group = await self._redis.get(keys.together(lead.decode()))
            known = msgspec.structs.replace(known, group=group and _decoded(group, Group))
        change = early and _decoded(early, AlertEvent)
        return Memory(known, due and _moment(float(due)), await self.raised(rule), change)

    async def raised(self, rule: Rule) -> dict[str, datetime]:
        """By alert, when alerts were raised by a rule that has a limit."""
        if rule.limit is None:
            return {}
        found: Any = await self._redis.zrange(self._keys.rate(rule.name), 0, -1, withscores=True)
        return {alert.decode(): _moment(score) for alert, score in found}

    async def known(self, alerts: Sequence[str]) -> dict[str, Known]:
        """What the ledger knows of some alerts, by alert; without those it knows nothing of."""
        async with self._redis.pipeline(transaction=False) as step:
            for alert in alerts:
                step.hmget(self._keys.ledger(alert), ["state", "event", "latest_time"])
            answers = await step.execute()
        found = zip(alerts, answers, strict=True)
        return {alert: known for alert, answer in found if (known := _known(answer, None))}

    async def hold(
        self, event: AlertEvent, until: datetime, early: str = "", *, again: bool = False
    ) -> bool:
        """Hold an alert. A group that is there already stays due when it is.

        early: id of the change before it. again: as of Ledger.raise_alert.
        False, and nothing done, when something has become of it meanwhile.
        """
        data = event.data
        where = place(data.rule, data.page.id)
        return await self._run(
            "hold",
            [
                *(self._held(where), self._closing(where), self._due),
                *(self._keys.ledger(data.alert), self._keys.together(data.alert)),
            ],
            [
                *(where, data.alert, _encoded(event), _ms(until), event.data.event, data.rule),
                *(early, int(again)),
            ],
        )

    async def refresh(self, held: AlertEvent, event: AlertEvent) -> bool:
        """Replace what is held of an alert. False, and nothing done, when it is not that."""
        where, alert = place(held.data.rule, held.data.page.id), held.data.alert
        kept = await self._kept(where, held)
        values = [alert, kept, _encoded(event)]
        return kept is not None and await self._run("refresh", [self._held(where)], values)

    async def unhold(self, held: AlertEvent) -> bool:
        """Let an alert go that is held. False, and nothing done, when it is not that."""
        where = place(held.data.rule, held.data.page.id)
        kept = await self._kept(where, held)
        return kept is not None and await self._unhold(where, held.data.alert, kept)

    async def _kept(self, where: str, held: AlertEvent) -> bytes | None:
        """As it stands there: another version may have written the same otherwise."""
        kept: Any = await self._redis.hget(self._held(where), held.data.alert)
        return kept if kept is not None and _decoded(kept, AlertEvent) == held else None

    async def _unhold(self, where: str, alert: str, kept: bytes) -> bool:
        keys = [self._held(where), self._closing(where), self._due]
        return await self._run("unhold", keys, [where, alert, kept])

    async def due(self, now: datetime) -> list[str]:
        """Names of places where something is due, the longest due first; at most some at once."""
        found: Any = await self._redis.zrangebyscore(self._due, "-inf", _ms(now), 0, _AT_ONCE)
        return [name.decode() for name in found]

    async def held(self, where: str) -> Held | None:
        """What is closed at a place, else what is held there; None when nothing is."""
        for key, is_closed in ((self._closing(where), True), (self._held(where), False)):
            found: Any = await self._redis.hgetall(key)
            if found:
                return _held(where, found, is_closed=is_closed)
        await self._unhold(where, "", b"")  # clears up
        return None

    async def postpone(self, held: Held, until: datetime) -> bool:
        """Hold a group on. False, and nothing done, when it is another one by now, or closed."""
        keys = [self._held(held.name), self._due]
        return await self._run("postpone", keys, [held.name, held.token, _ms(until)])

    async def close(self, held: Held) -> bool:
        """Let a group take no more. False, and nothing done, when it is another one or closed."""
        keys = [self._held(held.name), self._closing(held.name)]
        return await self._run("close", keys, [held.token])

    async def finish(self, held: Held, group: Group | None, now: datetime) -> bool:
        """Forget a closed group; remember its parts where there are several.

        False, and nothing done, when that was done before.
        """
        parts = group.parts[1:] if group else ()
        lead = group.id if group else ""
        return await self._run(
            "finish",
            [
                *(self._closing(held.name), self._held(held.name), self._due),
                *(self._keys.together(lead), *(self._keys.ledger(part.alert) for part in parts)),
            ],
            [
                *(held.name, held.token, KEEP_S, _encoded(group) if group else ""),
                *(lead, held.rule, rfc3339(now), *(part.event for part in parts)),
            ],
        )

    async def amend(self, before: Group, after: Group) -> bool:
        """Remember a group as it is now. False, and nothing done, when it was not as before."""
        key = self._keys.together(before.id)
        # As it stands there: another version may have written the same otherwise.
        now: Any = await self._redis.get(key)
        if now is None or _decoded(now, Group) not in (before, after):
            return False
        return await self._run("amend", [key], [now, _encoded(after), KEEP_S])

    async def take(self, rule: str, alert: str, limit: Limit, now: datetime) -> bool:
        """Take room in a rule's limit; the same alert takes it once. False when there is none."""
        values = [alert, _ms(now), int(limit.window_s * 1000), limit.count]
        return await self._run("room", [self._keys.rate(rule)], values)

    async def _run(self, script: str, keys: list[str], values: list[Any]) -> bool:
        return bool(await self._scripts[script](keys=keys, args=values))

    def _held(self, where: str) -> str:
        return self._keys.held(where)

    def _closing(self, where: str) -> str:
        return self._keys.closing(where)

    @property
    def _due(self) -> str:
        return self._keys.held_due


def _known(
    ledger: Sequence[bytes | None], held: bytes | None, *, is_closing: bool = False
) -> Known | None:
    """ledger: its fields `state`, `event` and `latest_time`."""
    if held is not None:
        event = _decoded(held, AlertEvent)
        return Known("held", event.data.event, held=event)
    if is_closing:
        return Known("held", is_closing=True)
    if ledger[0] is None:
        return None
    standing, event, changed_at = ((value or b"").decode() for value in ledger)
    try:
        since = datetime.fromisoformat(changed_at) if changed_at else None
        return Known(msgspec.convert(standing, Standing), event, since)
    except ValueError as error:
        raise StoreError("ledger.malformed", f"no state of an alert: {error}") from error


def _held(where: str, found: Mapping[bytes, bytes], *, is_closed: bool) -> Held:
    events = tuple(_decoded(v, AlertEvent) for k, v in found.items() if not k.startswith(b":"))
    try:
        common = {name: value.decode() for name, value in found.items() if name.startswith(b":")}
        rule, token, due = common[b":rule"], common[b":token"], _moment(float(common[b":due"]))
    except (KeyError, ValueError, OverflowError) as error:
        raise StoreError("holding.malformed", f"what is held can't be read: {error!r}") from error
    return Held(name=where, rule=rule, due=due, token=token, events=events, is_closed=is_closed)


def _encoded(value: AlertEvent | Group) -> bytes:
    return msgspec.json.encode(value)


def _decoded(data: bytes, kind: type[Any]) -> Any:
    try:
        return alert_in(data) if kind is AlertEvent else msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError, CorruptionError) as error:
        raise StoreError("holding.malformed", f"what is held can't be read: {error}") from error


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _moment(ms: float) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
