"""Rules for alerts over HTTP: operators see them, set them and take them away."""

from __future__ import annotations

from aiohttp import web

from service.config import AlertSettings, rule_asked
from service.errors import ConfigError
from service.rules import BUILT_IN, RuleSettings
from workers.gateway.answers import KnownRule, Rules
from workers.gateway.replies import NotFoundError, answer, check_operator, json_body
from workers.rulebook import Rulebook, readable


class RuleDesk:
    """Handlers over the rulebook. settings: their rules stay as they are."""

    def __init__(self, book: Rulebook, settings: AlertSettings) -> None:
        self._book, self._settings = book, settings

    def routes(self) -> list[web.RouteDef]:
        """Paths and their handlers."""
        return [
            web.get("/v1/rules", self._list),
            web.put("/v1/rules/{rule}", self._set),
            web.delete("/v1/rules/{rule}", self._remove),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        """Every rule, the built-in one first."""
        check_operator(request, everywhere=True)
        fixed = self._settings.rules
        others, wrong = readable(await self._book.written())
        rules = {BUILT_IN: RuleSettings()} | others | fixed
        known = (KnownRule(name, rule, name in fixed) for name, rule in rules.items())
        return answer(Rules(tuple(known), wrong))

    async def _set(self, request: web.Request) -> web.Response:
        """Follow a rule from now on, in place of the one of its name."""
        check_operator(request, everywhere=True)
        name = request.match_info["rule"]
        rule = rule_asked(name, await json_body(request), self._settings.channels)
        self._check_free(name)
        is_new = await self._book.put(name, rule)
        return answer(KnownRule(name, rule, is_fixed=False), 201 if is_new else 200)

    async def _remove(self, request: web.Request) -> web.Response:
        """Follow a rule no more; the built-in one as it is by itself."""
        check_operator(request, everywhere=True)
        name = request.match_info["rule"]
        self._check_free(name)
        if not await self._book.remove(name):
            raise NotFoundError("rule.unknown", f"no rule {name!r} was set over HTTP")
        return web.Response(status=204)

    def _check_free(self, name: str) -> None:
        if name in self._settings.rules:
            raise ConfigError(
                "rule.fixed",
                "this rule is in the settings of the gateway",
                where=f"alerts.rules.{name}",
                fix="change it there, or take another name",
            )
