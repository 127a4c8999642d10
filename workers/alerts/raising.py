"""The first half of the alerts worker: events in, alerts raised, held, updated and taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from service.errors import CorruptionError, StoreError
from service.events import AlertEvent, CanaryEvent, EntryEvent, Event, from_fields
from service.observability import ALERTS
from workers.alerts.canary import carry
from workers.alerts.conditions import Views
from workers.alerts.decisions import (
    NOTHING,
    Amend,
    Decision,
    Hold,
    Postpone,
    Refresh,
    Send,
    Unhold,
    needs_memory,
    released,
    settled,
)
from workers.alerts.grouping import Held, place
from workers.alerts.holding import Holding
from workers.alerts.ledger import Ledger
from workers.alerts.limits import Limit
from workers.alerts.rules import (
    NOTED,
    Change,
    Judged,
    Raise,
    Rule,
    Suppress,
    judge,
)
from workers.alerts.steps import Checkpoint, Clock, Sleep, about, lag_ms
from workers.consumer import REDIS_ERRORS, Fields

# How often it is looked for alerts that have waited long enough.
RELEASE_EVERY_S = 1.0

# By name, as they are now.
Rules = Callable[[], Awaitable[Mapping[str, Rule]]]

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Raising:
    """Handles the event stream: decides, and does what was decided. `run` tells what was held.

    holding: where alerts wait, and who knows what was before. rules: by name, as they are now.
    channels: the names of those that there are.
    """

    def __init__(
        self,
        ledger: Ledger,
        holding: Holding,
        rules: Rules,
        channels: Sequence[str],
        *,
        now: Clock,
        checkpoint: Checkpoint,
    ) -> None:
        self._ledger, self._holding = ledger, holding
        self._rules, self._channels = rules, channels
        self._now, self._checkpoint = now, checkpoint
        self._is_lost = False
        self._unread = set[str]()  # places that are logged already

    # --- events ----------------------------------------------------------------------------------

    async def handle(self, message_id: bytes, fields: Fields) -> None:
        """Judge one event by every rule. What was done is done once, also when handled again.

        Raises CorruptionError when the message is none, or one rule can't be followed: what is
        known of its alert can't be read, or a fault of ours. Then all other rules were followed.
        """
        event = from_fields(fields)
        if isinstance(event, CanaryEvent):
            await carry(event, self._ledger, self._now())
            return
        views = Views(event) if isinstance(event, EntryEvent) else None
        failed: StoreError | CorruptionError | None = None
        for rule in (await self._rules()).values():
            try:
                await self._judge(event, rule, views)
            except REDIS_ERRORS:
                raise
            except (StoreError, CorruptionError) as error:
                failed = error
            except Exception as error:  # tried again and again it would hold up all that follows
                log.exception("rule.broke", rule=rule.name, event_id=event.id)
                failed = StoreError("rule.broke", repr(error))
        if failed is not None:  # kept as a dead letter
            raise CorruptionError(failed.code, failed.what)

    async def _judge(self, event: Event, rule: Rule, views: Views | None) -> None:
        judged = judge(event, rule, self._now(), views)
        while not await self._carry_out(event, judged, await self._decision(judged, event)):
            judged = judge(event, rule, self._now(), views)  # it was not as it seemed

    async def _decision(self, judged: Judged, event: Event) -> Decision:
        memory = NOTHING
        if needs_memory(judged):
            page = event.data.page.id
            memory = await self._holding.recall(judged.rule, page, judged.alert)
            while memory.known and memory.known.is_closing:
                await self._release(place(judged.rule.name, page))
                memory = await self._holding.recall(judged.rule, page, judged.alert)
        return settled(judged, self._now(), memory)

    async def _carry_out(self, event: Event, judged: Judged, decision: Decision) -> bool:
        """Do what was decided. False when it can't be done, because something has changed."""
        match decision:
            case Raise():
                return await self._raise(decision)
            case Change():
                await self._change(decision.event, decision.channels)
            case Suppress(early=None):
                await self._suppress(event, judged.rule, decision)
            case Suppress(early=alert) if alert is not None:
                return await self._remember(alert)
            case Amend():
                return await self._amend(decision)
            case Hold():
                return await self._hold(decision)
            case Refresh():
                return await self._holding.refresh(decision.held, decision.event)
            case Unhold():
                return await self._let_go(decision)
        return True

    async def _suppress(self, event: Event, rule: Rule, decision: Suppress) -> None:
        said = log.bind(
            rule=rule.name, page=event.data.page.id, entry=event.subject, reason=decision.reason
        )
        if decision.alert is None:
            said.debug("alert.suppressed", type=event.type)
            return
        await self._ledger.suppress(decision.alert, decision.reason)
        said.info("alert.suppressed", alert=decision.alert)

    async def _raise(self, decision: Raise) -> bool:
        alert = decision.event
        if not await self._has_room(decision.limit, alert.data.rule, alert.data.alert):
            return False
        await self._tell(alert, decision.channels, again=decision.again)
        return True

    async def _has_room(self, limit: Limit | None, rule: str, alert: str) -> bool:
        return limit is None or await self._holding.take(rule, alert, limit, self._now())

    async def _tell(
        self, alert: AlertEvent, channels: tuple[str, ...] | None, *, again: bool = False
    ) -> None:
        """Raise an alert, where it was not. channels: None for all that there are."""
        to = self._to(channels)
        raised = await self._ledger.raise_alert(alert, self._now(), to, again=again)
        self._checkpoint("alert.raised")
        if not raised:
            log.debug("alert.suppressed", **about(alert), reason="raised_before")
            return
        ALERTS.labels(rule=alert.data.rule).inc()
        several = {"entries": len(alert.data.entries)} if alert.data.entries else {}
        log.info("alert.raised", **about(alert), **several, lag_ms=lag_ms(alert, self._now()))

    def _to(self, channels: tuple[str, ...] | None) -> list[str]:
        return [name for name in self._channels if channels is None or name in channels]

    async def _change(self, alert: AlertEvent, channels: tuple[str, ...] | None) -> None:
        to = self._to(channels)
        others = [name for name in self._channels if name not in to]
        changed = await self._ledger.change(alert, to, others)
        self._checkpoint("alert.changed")
        state = alert.state
        if not changed:
            log.debug("alert.suppressed", **about(alert), reason=f"not_to_be_{state}")
            return
        lag, reason = lag_ms(alert, self._now()), alert.data.reason[:200]
        log.info(f"alert.{state}", **about(alert), reason=reason, lag_ms=lag)

    async def _remember(self, alert: AlertEvent) -> bool:
        if not await self._ledger.remember(alert):
            return False
        log.debug("alert.suppressed", **about(alert), reason="not_raised")
        return True

    async def _amend(self, decision: Amend) -> bool:
        """The group first: done again, the same event makes the same of it."""
        if not await self._holding.amend(decision.before, decision.after):
            return False
        self._checkpoint("group.amended")
        await self._change(decision.event, decision.channels)
        return True

    async def _hold(self, decision: Hold) -> bool:
        alert = decision.event
        early, again = decision.early, decision.again
        if not await self._holding.hold(alert, decision.until, early, again=again):
            return False
        self._checkpoint("alert.held")
        until = decision.until.isoformat(timespec="seconds")
        log.info("alert.held", **about(alert), reason=decision.reason, until=until)
        return True

    async def _let_go(self, decision: Unhold) -> bool:
        alert = decision.event
        if not await self._holding.unhold(decision.held):
            return False
        log.info("alert.let_go", **about(alert), reason=alert.data.reason[:200])
        # What it was held for may be handled again, where its worker has died.
        return await self._ledger.remember(alert)

    # --- what was held ---------------------------------------------------------------------------

    async def run(self, sleep: Sleep = asyncio.sleep) -> None:
        """Raise what was held when it is due, until cancelled. Redis may come and go."""
        while True:
            try:
                await self.release_due()
                self._is_lost = False
            except REDIS_ERRORS as error:
                if not self._is_lost:
                    log.warning("holding.lost", error=str(error)[:200])
                self._is_lost = True
            await sleep(RELEASE_EVERY_S)

    async def release_due(self) -> None:
        """Raise all that is due now. Raises what redis-py raises."""
        await self._rules()  # so that also words that wait to be sent are those of the rules now
        for where in await self._holding.due(self._now()):
            try:
                await self._release(where)
            except StoreError as error:
                if where not in self._unread:
                    log.error("holding.unread", place=where, code=error.code, detail=error.what)
                self._unread.add(where)
            except REDIS_ERRORS:
                raise
            except Exception:  # a fault of ours must not cost the others
                if where not in self._unread:
                    log.exception("holding.broke", place=where)
                self._unread.add(where)

    async def _release(self, where: str) -> None:
        """Raise what is held at a place, hold it on, or let it go."""
        held = await self._holding.held(where)
        if held is None or not (held.is_closed or held.due <= self._now()):
            return
        rule = (await self._rules()).get(held.rule)
        known = await self._holding.known([event.data.alert for event in held.events])
        if known and not held.is_closed:  # a worker that was slow has raised them by themselves
            for event in held.events:
                if event.data.alert in known:
                    await self._holding.unhold(event)
            await self._release(where)
            return
        raised = await self._holding.raised(rule) if rule else {}
        match released(held, rule, self._now(), known, raised):
            case Postpone(until=until, reason=reason):
                await self._holding.postpone(held, until)
                log.debug("group.postponed", rule=held.rule, reason=reason)
            case Send() as sent:
                await self._send(held, sent)
            case Suppress() as silenced:
                await self._discard(held, silenced)

    async def _send(self, held: Held, sent: Send) -> None:
        if not held.is_closed:
            if not await self._has_room(sent.limit, held.rule, held.token):
                return  # somebody was quicker; next time it is postponed
            await self._holding.close(held)
            self._checkpoint("group.closed")
            await self._release(held.name)  # as it is now that it takes no more
            return
        await self._tell(sent.event, sent.channels)
        await self._holding.finish(held, sent.group, self._now())
        self._checkpoint("group.finished")

    async def _discard(self, held: Held, silenced: Suppress) -> None:
        if not held.is_closed:
            await self._holding.close(held)
            await self._release(held.name)
            return
        for alert in held.events:
            if silenced.reason in NOTED:
                await self._ledger.suppress(alert.data.alert, silenced.reason)
            log.info("alert.suppressed", **about(alert), reason=silenced.reason)
        await self._holding.finish(held, None, self._now())
