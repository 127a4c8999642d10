"""Rules for alerts that were set over HTTP, kept in Redis beside those of the settings.

A gateway sets them, every alerts worker follows them. What a rule may say is for `service.rules`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import cast

import msgspec
from redis.asyncio import Redis

from service.errors import FullError
from service.keys import Keys
from service.rules import MAX_RULES, RuleSettings, check_rules

_PUT = Path(__file__).parent / "lua" / "put.lua"


class Rulebook:
    """Reads and writes them. Every method raises what redis-py raises.

    redis: a client that answers bytes.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._place = redis, keys.rules
        self._put = redis.register_script(_PUT.read_text("utf-8"))

    async def written(self) -> Mapping[bytes, bytes]:
        """All rules as they are kept: name to JSON."""
        answer = self._redis.hgetall(self._place)
        return await cast("Awaitable[Mapping[bytes, bytes]]", answer)

    async def put(self, name: str, rule: RuleSettings) -> bool:
        """Set a rule; it takes the place of one with its name. Is it new?

        Raises FullError when there are MAX_RULES.
        """
        answer = await self._put(
            keys=[self._place], args=[name, msgspec.json.encode(rule), MAX_RULES]
        )
        if answer < 0:
            raise FullError("rule.full", f"there are {MAX_RULES} rules already")
        return bool(answer)

    async def remove(self, name: str) -> bool:
        """Take a rule away. False when it was not there."""
        return bool(await self._redis.hdel(self._place, name))


def readable(written: Mapping[bytes, bytes]) -> tuple[dict[str, RuleSettings], dict[str, str]]:
    """The rules among what is kept, by name in their order; and what is wrong with all else."""
    rules, wrong = dict[str, RuleSettings](), dict[str, str]()
    for name, body in sorted(written.items()):
        called = name.decode("utf-8", "replace")
        try:
            rule = msgspec.json.decode(body, type=RuleSettings)
            check_rules({called: rule}, rule.channels or ())  # who has which is not said here
            rules[called] = rule
        except (ValueError, RecursionError) as error:  # what msgspec raises is a ValueError
            wrong[called] = str(error)
    return rules, wrong
