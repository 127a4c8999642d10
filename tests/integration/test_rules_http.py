"""Rules that operators set over HTTP, and workers follow: on a real gateway and a real worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from service.config import AlertSettings
from service.connection import connect
from service.events import AlertEvent, from_fields, to_fields
from service.keys import Keys
from service.rules import MAX_RULES, Condition, RuleSettings
from tests.alert_samples import QUICK, entry_event, until
from tests.integration.test_gateway import Desk
from tests.integration.test_operators import LOCKED, asked
from workers.alerts.current import READ_EVERY_S, CurrentRules
from workers.alerts.worker import alerts_worker
from workers.rulebook import Rulebook

BOMBS = {"when": {"word": ["bomb"]}, "priority": "high"}
OPERATOR = {"Authorization": f"Bearer {'d' * 24}"}


@pytest.fixture
def desk(redis: Redis, redis_url: str, keys: Keys) -> Desk:
    return Desk(redis, redis_url, keys)


@asynccontextmanager
async def worker(desk: Desk) -> AsyncIterator[None]:
    ready = asyncio.Event()
    settings = AlertSettings(console=False)
    task = asyncio.create_task(
        alerts_worker(
            lambda: connect(desk.redis_url), desk.keys, settings, max_events=1000,
            ready=ready.set, now=lambda: datetime.now(UTC), pace=QUICK,
        )
    )  # fmt: skip
    try:
        await until(lambda: ready.is_set() or task.done())
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def raised_by(desk: Desk, *entries: str) -> list[tuple[str, str]]:
    """Publish entries about a bomb; the rules that raise an alert, and of which entry."""
    for entry in entries:
        event = entry_event(entry=entry, labels=(), title="A bomb")
        await desk.redis.xadd(desk.keys.events, to_fields(event))  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        while any(each["lag"] or each["pending"] for each in await _groups(desk)):
            await asyncio.sleep(0.01)
    told = [from_fields(fields) for _, fields in await desk.redis.xrange(desk.keys.alerts)]
    return [(e.data.rule, e.data.entry.id) for e in told if isinstance(e, AlertEvent)]


async def _groups(desk: Desk) -> list[dict[str, Any]]:
    return await desk.redis.xinfo_groups(desk.keys.events)


async def test_a_rule_is_followed_a_second_after_it_was_set_until_it_is_taken_away(
    desk: Desk,
) -> None:
    async with desk.serving(), worker(desk):
        assert await raised_by(desk, "e1") == []
        status, said = await asked(desk, "PUT", "/v1/rules/bombs", BOMBS)
        assert (status, said) == (201, {"name": "bombs", "rule": BOMBS, "is_fixed": False})
        await asyncio.sleep(READ_EVERY_S)
        assert await raised_by(desk, "e2") == [("bombs", "e2")]
        off = {"when": {"word": ["bomb"]}, "enabled": False}
        assert (await asked(desk, "PUT", "/v1/rules/bombs", off))[0] == 200
        await asyncio.sleep(READ_EVERY_S)
        assert await raised_by(desk, "e3") == [("bombs", "e2")]
        assert await asked(desk, "DELETE", "/v1/rules/bombs") == (204, None)
        status, problem = await asked(desk, "DELETE", "/v1/rules/bombs")
        assert (status, problem["code"]) == (404, "rule.unknown")
        await asyncio.sleep(READ_EVERY_S)
        assert await raised_by(desk, "e4") == [("bombs", "e2")]


async def test_rules_are_listed_with_those_that_can_not_be_changed_here(desk: Desk) -> None:
    mine = {"goals": RuleSettings(when=Condition(word=("goal",)))}
    await desk.redis.hset(desk.keys.rules, "odd", b"{")
    async with desk.serving(rules=mine):
        assert (await asked(desk, "PUT", "/v1/rules/bombs", BOMBS))[0] == 201
        for method in ("PUT", "DELETE"):
            body = BOMBS if method == "PUT" else None
            status, problem = await asked(desk, method, "/v1/rules/goals", body)
            assert (status, problem["code"]) == (409, "rule.fixed")
        status, said = await asked(desk, "GET", "/v1/rules")
    assert status == 200
    assert [(each["name"], each["is_fixed"]) for each in said["rules"]] == [
        ("breaking", False),
        ("bombs", False),
        ("goals", True),
    ]
    assert [*said["unread"]] == ["odd"]


async def test_the_built_in_rule_is_tuned_over_http_too(desk: Desk) -> None:
    async with desk.serving():
        assert (await asked(desk, "PUT", "/v1/rules/breaking", {"enabled": False}))[0] == 201
    rules = await CurrentRules(AlertSettings(), Rulebook(desk.redis, desk.keys))()
    assert not rules["breaking"].enabled


@pytest.mark.parametrize(
    ("name", "said", "named"),
    [
        ("bombs", {"when": {"wrd": ["x"]}}, "alerts.rules.bombs.when.wrd"),
        ("bombs", {"when": {"regex": ["("]}}, "missing )"),
        ("bombs", BOMBS | {"channels": ["ntfy:phone"]}, "no channel ntfy:phone"),
        ("bombs", {}, "when is missing"),
        ("bombs", BOMBS | {"group_s": 5}, "group_s"),
        ("Bombs", BOMBS, "Bombs"),
    ],
)
async def test_a_rule_that_can_not_be_is_refused_with_what_is_wrong(
    desk: Desk, name: str, said: object, named: str
) -> None:
    async with desk.serving():
        status, problem = await asked(desk, "PUT", f"/v1/rules/{name}", said)
    assert status == 400
    assert named in problem["detail"]
    assert await desk.redis.hlen(desk.keys.rules) == 0


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [("d", 201, None), ("s", 403, "access.page"), ("r", 403, "access.operate")],
)
async def test_only_who_operates_all_pages_sets_rules(
    desk: Desk, key: str, status: int, code: str | None
) -> None:
    headers = {"Authorization": f"Bearer {key * 24}"}
    async with desk.serving(LOCKED):
        answered, said = await asked(desk, "PUT", "/v1/rules/bombs", BOMBS, **headers)
        assert (answered, said.get("code")) == (status, code)
        assert (await asked(desk, "GET", "/v1/rules", **headers))[0] == (200 if key == "d" else 403)
    assert await desk.redis.hlen(desk.keys.rules) == (1 if status == 201 else 0)


async def test_there_are_so_many_rules_and_no_more(desk: Desk) -> None:
    named = {f"r{number}": b"{}" for number in range(MAX_RULES)}
    await desk.redis.hset(desk.keys.rules, mapping=named)  # type: ignore[arg-type]
    async with desk.serving():
        status, problem = await asked(desk, "PUT", "/v1/rules/bombs", BOMBS)
        assert (status, problem["code"]) == (503, "rule.full")
        assert (await asked(desk, "PUT", "/v1/rules/r1", BOMBS))[0] == 200


async def test_what_can_not_be_read_is_left_out_and_said_once(redis: Redis, keys: Keys) -> None:
    """And a rule for a channel that this worker does not have is followed for all others."""
    now = 0.0
    settings = AlertSettings(rules={"mine": RuleSettings(when=Condition(word=("x",)))})
    book = Rulebook(redis, keys)
    current = CurrentRules(settings, book, clock=lambda: now)
    await redis.hset(keys.rules, mapping={"odd": b"\xff", "mine": b"{}", "none": b"{}"})  # type: ignore[arg-type]
    ours = RuleSettings(when=Condition(word=("y",)), channels=("console", "push"))
    await book.put("ours", ours)
    with capture_logs() as logs:
        for _ in range(3):
            rules = await current()
            now += READ_EVERY_S
    assert sorted(rules) == ["breaking", "mine", "ours"]
    assert rules["mine"].when == Condition(word=("x",)), "the settings hold"
    assert rules["ours"].channels == ("console", "push")
    said = [(line["event"], line.get("rule")) for line in logs]
    assert sorted(said, key=str) == [
        ("rule.unfit", "ours"),
        *(("rule.unread", name) for name in ("mine", "none", "odd")),
        ("rules.changed", None),
    ]


async def test_rules_that_were_read_are_not_read_again_at_once(redis: Redis, keys: Keys) -> None:
    now, book = 0.0, Rulebook(redis, keys)
    current = CurrentRules(AlertSettings(), book, clock=lambda: now)
    assert [*await current()] == ["breaking"]
    await book.put("ours", RuleSettings(when=Condition(word=("y",))))
    assert [*await current()] == ["breaking"]
    now += READ_EVERY_S
    assert [*await current()] == ["breaking", "ours"]
