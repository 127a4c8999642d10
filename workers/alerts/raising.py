"""The first half of the alerts worker: events in, alerts raised, held, updated and taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import structlog
from msgspec.structs import replace

from service.config import AlertSettings
from service.events import AlertEvent, CanaryEvent, EntryEvent, Event, from_fields
from service.observability import ALERTS, CANARY
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
from workers.alerts.rules import (
    BREAKING,
    NOTED,
    Change,
    Defaults,
    Judged,
    Raise,
    Rule,
    Suppress,
    judge,
    rules_of,
    state_of,
)
from workers.alerts.steps import Checkpoint, Clock, Sleep, about, lag_ms
from workers.consumer import REDIS_ERRORS, Fields

# How often it is looked for alerts that have waited long enough.
RELEASE_EVERY_S = 1.0

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def rules_in(settings: AlertSettings) -> tuple[Rule, ...]:
    """The rules of the settings."""
    defaults = Defaults(
        deadline_s=settings.deadline_s,
        again_after_days=settings.again_after_days,
        quiet=settings.quiet,
        zone=settings.zone,
        quiet_days=settings.quiet_days,
        quiet_action=settings.quiet_action,
    )
    return rules_of(settings.rules, defaults)


class Raising:
    """Handles the event stream: decides, and does what was decided. `run` tells what was held.

    deadline_s: of rules where none are given: the built-in one alone.
    rules: all of them. holding: where alerts wait; without it none does, and every rule is judged
    as if nothing had been before but what the ledger sees to.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        deadline_s: float,
        now: Clock,
        checkpoint: Checkpoint,
        rules: Sequence[Rule] | None = None,
        holding: Holding | None = None,
    ) -> None:
        built_in = replace(BREAKING, deadline_s=deadline_s)
        self._rules = {rule.name: rule for rule in rules or (built_in,)}
        self._ledger, self._holding = ledger, holding
        self._now, self._checkpoint = now, checkpoint
        self._is_lost = False

    # --- events ----------------------------------------------------------------------------------

    async def handle(self, message_id: bytes, fields: Fields) -> None:
        """Judge one event by every rule. Raises CorruptionError when the message is none.

        What was done is done once, also when it is handled again.
        """
        event = from_fields(fields)
        if isinstance(event, CanaryEvent):
            CANARY.labels("alerts").set(event.observed_at.timestamp())
            return
        views = Views(event) if isinstance(event, EntryEvent) else None
        for rule in self._rules.values():
            judged = judge(event, rule, self._now(), views)
            while not await self._carry_out(event, judged, await self._decision(judged, event)):
                judged = judge(event, rule, self._now(), views)  # it was not as it seemed

    async def _decision(self, judged: Judged, event: Event) -> Decision:
        if self._holding is None:
            return judged.base
        memory = NOTHING
        if needs_memory(judged):
            page = event.data.page.id
            memory = await self._holding.recall(judged.rule, page, judged.alert)
            while memory.known and memory.known.is_closing:
                await self._release(place(judged.rule.name, page), self._holding)
                memory = await self._holding.recall(judged.rule, page, judged.alert)
        return settled(judged, self._now(), memory)

    async def _carry_out(self, event: Event, judged: Judged, decision: Decision) -> bool:
        """Do what was decided. False when it can't be done, because something has changed."""
        match decision:
            case Raise():
                return await self._raise(decision)
            case Change(event=alert):
                await self._change(alert)
            case Suppress():
                await self._suppress(event, judged.rule, decision)
            case Amend():
                return await self._amend(decision)
            case Hold():
                return await self._hold(decision)
            case Refresh(event=alert):
                return self._holding is not None and await self._holding.refresh(alert)
            case Unhold(event=alert):
                return await self._let_go(alert)
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
        if self._holding is not None:
            if decision.again:
                await self._holding.forget(alert.data.alert)
            take = partial(self._holding.take, alert.data.rule, alert.data.alert)
            if decision.limit and not await take(decision.limit, self._now()):
                return False
        await self._tell(alert, decision.channels)
        return True

    async def _tell(self, alert: AlertEvent, channels: tuple[str, ...] | None) -> None:
        """Raise an alert. The one place where the ledger is told which channels it goes to."""
        raised = await self._ledger.raise_alert(alert, self._now())  # channels=channels
        self._checkpoint("alert.raised")
        if not raised:
            log.debug("alert.suppressed", **about(alert), reason="raised_before")
            return
        ALERTS.labels(rule=alert.data.rule).inc()
        several = {"entries": len(alert.data.entries)} if alert.data.entries else {}
        log.info("alert.raised", **about(alert), **several, lag_ms=lag_ms(alert, self._now()))

    async def _change(self, alert: AlertEvent) -> None:
        changed = await self._ledger.change(alert)
        self._checkpoint("alert.changed")
        state = state_of(alert)
        if not changed:
            log.debug("alert.suppressed", **about(alert), reason=f"not_to_be_{state}")
            return
        lag, reason = lag_ms(alert, self._now()), alert.data.reason[:200]
        log.info(f"alert.{state}", **about(alert), reason=reason, lag_ms=lag)

    async def _amend(self, decision: Amend) -> bool:
        """The group first: done again, the same event makes the same of it."""
        assert self._holding is not None, "what is known of groups is from there"
        if not await self._holding.amend(decision.before, decision.after):
            return False
        self._checkpoint("group.amended")
        await self._change(decision.event)
        return True

    async def _hold(self, decision: Hold) -> bool:
        assert self._holding is not None, "nothing else decides to hold"
        alert = decision.event
        if decision.again:
            await self._holding.forget(alert.data.alert)
        if not await self._holding.hold(alert, decision.until):
            return False
        self._checkpoint("alert.held")
        until = decision.until.isoformat(timespec="seconds")
        log.info("alert.held", **about(alert), reason=decision.reason, until=until)
        return True

    async def _let_go(self, alert: AlertEvent) -> bool:
        assert self._holding is not None, "nothing else is held"
        if not await self._holding.unhold(alert):
            return False
        log.info("alert.let_go", **about(alert), reason=alert.data.reason[:200])
        return True

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
        if self._holding is None:
            return
        for where in await self._holding.due(self._now()):
            await self._release(where, self._holding)

    async def _release(self, where: str, holding: Holding) -> None:
        """Raise what is held at a place, hold it on, or let it go."""
        held = await holding.held(where)
        if held is None or not (held.is_closed or held.due <= self._now()):
            return
        rule = self._rules.get(held.rule)
        known = await holding.known([event.data.alert for event in held.events])
        raised = await holding.raised(rule) if rule else {}
        match released(held, rule, self._now(), known, raised):
            case Postpone(until=until, reason=reason):
                await holding.postpone(held, until)
                log.debug("group.postponed", rule=held.rule, reason=reason)
            case Send() as sent:
                await self._send(held, sent, holding)
            case Suppress() as silenced:
                await self._discard(held, silenced, holding)

    async def _send(self, held: Held, sent: Send, holding: Holding) -> None:
        if not held.is_closed:
            take = partial(holding.take, held.rule, held.token)
            if sent.limit and not await take(sent.limit, self._now()):
                return  # somebody was quicker; next time it is postponed
            await holding.close(held)
            self._checkpoint("group.closed")
            await self._release(held.name, holding)  # as it is now that it takes no more
            return
        await self._tell(sent.event, sent.channels)
        await holding.finish(held, sent.group, self._now())
        self._checkpoint("group.finished")

    async def _discard(self, held: Held, silenced: Suppress, holding: Holding) -> None:
        if not held.is_closed:
            await holding.close(held)
            await self._release(held.name, holding)
            return
        for alert in held.events:
            if silenced.reason in NOTED:
                await self._ledger.suppress(alert.data.alert, silenced.reason)
            log.info("alert.suppressed", **about(alert), reason=silenced.reason)
        await holding.finish(held, None, self._now())
