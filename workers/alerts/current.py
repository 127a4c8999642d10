"""The rules as they now are."""

from __future__ import annotations

from collections.abc import Mapping

from service.config import AlertSettings
from workers.alerts.rules import Defaults, Rule, rules_of


class CurrentRules:
    """The rules of the settings, by name."""

    def __init__(self, settings: AlertSettings) -> None:
        self._rules = {rule.name: rule for rule in rules_in(settings)}

    async def __call__(self) -> Mapping[str, Rule]:
        """As they now are; the built-in one first."""
        return self._rules


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
