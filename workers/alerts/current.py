"""The rules as they now are: those of the settings, and those that were set over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import structlog

from service.config import AlertSettings
from service.rules import RuleSettings
from service.wording import TemplateSettings
from workers.alerts.rules import Defaults, Rule, rules_of
from workers.rulebook import Rulebook, readable

# What was set over HTTP holds after so long at most, in every worker.
READ_EVERY_S = 1.0

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class CurrentRules:
    """Where both have a rule of one name, that of the settings holds.

    clock: seconds that only grow.
    """

    def __init__(
        self, settings: AlertSettings, book: Rulebook, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings, self._book, self._clock = settings, book, clock
        self._due = -1.0
        self._written: Mapping[bytes, bytes] = {}
        self._rules = by_name(settings, {})

    async def __call__(self) -> Mapping[str, Rule]:
        """By name, the built-in one first. Raises what redis-py raises."""
        if self._clock() >= self._due:
            written = await self._book.written()
            if written != self._written:
                self._rules = by_name(self._settings, self._understood(written))
                self._written = written
                log.info("rules.changed", rules=[*self._rules])
            self._due = self._clock() + READ_EVERY_S
        return self._rules

    def templates(self, rule: str) -> TemplateSettings | None:
        """Those of a rule, as far as it is known; None where it has none."""
        known = self._rules.get(rule)
        return known.templates if known else None

    def _understood(self, written: Mapping[bytes, bytes]) -> dict[str, RuleSettings]:
        """A rule that can't be read is not followed; one with a channel too many is."""
        rules, wrong = readable(written)
        for name, why in wrong.items():
            log.error("rule.unread", rule=name, detail=why[:200])
        ours = self._settings.channels
        for name, rule in rules.items():
            if missing := [channel for channel in rule.channels or () if channel not in ours]:
                log.warning("rule.unfit", rule=name, missing_channels=missing)
        return rules


def by_name(settings: AlertSettings, others: Mapping[str, RuleSettings]) -> dict[str, Rule]:
    """All rules. others: of which those hold that the settings don't name."""
    defaults = Defaults(
        deadline_s=settings.deadline_s,
        again_after_days=settings.again_after_days,
        quiet=settings.quiet,
        zone=settings.zone,
        quiet_days=settings.quiet_days,
        quiet_action=settings.quiet_action,
    )
    return {rule.name: rule for rule in rules_of({**others, **settings.rules}, defaults)}
