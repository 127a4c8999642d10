"""`stoppress alerts explain`: of an event in the stream, in a file, or of none at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from redis.asyncio import Redis

from service.events import canary, to_fields, to_json
from service.keys import Keys
from tests.alert_samples import entry_event
from tests.e2e.commands import ran
from workers.alerts.ledger import Ledger
from workers.alerts.rules import Defaults, judge, rules_of

RULES = """
[alerts.rules.bombs]
when.word = ["bomb"]
group_s = 60.0

[alerts.rules.cup]
when.page = ["cup-*"]
"""


def outcomes(shown: str) -> dict[str, tuple[str, str]]:
    said = [json.loads(line) for line in shown.splitlines()]
    return {each["rule"]: (each["outcome"], each["reason"]) for each in said}


async def test_an_event_in_the_stream_by_its_id_or_its_place_and_what_was_before(
    tmp_path: Path, redis: Redis, redis_url: str, keys: Keys
) -> None:
    (tmp_path / "stoppress.toml").write_text(RULES, "utf-8")
    event = entry_event()
    place = await redis.xadd(keys.events, to_fields(event))  # type: ignore[arg-type]
    for number in range(1200):
        other = entry_event(entry=f"x{number}", sequence=number + 2)
        await redis.xadd(keys.events, to_fields(other))  # type: ignore[arg-type]
    env = {"STOPPRESS_REDIS_PREFIX": keys.prefix, "STOPPRESS_REDIS_URL": redis_url}
    for wanted in (event.id, place.decode()):
        shown = ran(tmp_path, "alerts", "explain", wanted, "--json", env=env)
        assert outcomes(shown.stdout) == {
            "breaking": ("raise", "published with the label breaking"),
            "bombs": ("hold", "grouping"),
            "cup": ("nothing", "no_match"),
        }
    raised = judge(event, rules_of({}, Defaults())[0], datetime.now(UTC)).raised
    assert raised is not None
    await Ledger(redis, keys, max_events=100).raise_alert(raised, datetime.now(UTC), ())
    shown = ran(tmp_path, "alerts", "explain", event.id, env=env)
    assert "breaking: tells nothing (raised_before)" in shown.stdout
    assert await redis.xlen(keys.alerts) == 1
    for wanted in ("0" * 32, "1-1"):
        shown = ran(tmp_path, "alerts", "explain", wanted, env=env)
        assert shown.returncode == 2
        assert "no such event in the stream" in shown.stderr


async def test_an_event_in_a_file_needs_no_redis(tmp_path: Path) -> None:
    (tmp_path / "stoppress.toml").write_text(RULES, "utf-8")
    (tmp_path / "event.json").write_bytes(to_json(entry_event()))
    shown = ran(tmp_path, "alerts", "explain", "event.json")
    assert shown.returncode == 0
    assert "breaking: raises an alert (published with the label breaking)" in shown.stdout
    assert "  yes  word bomb: found bomb" in shown.stdout
    assert "  no   page cup-*: not found; there is ukraine" in shown.stdout


async def test_what_is_no_event_is_named(tmp_path: Path) -> None:
    (tmp_path / "event.json").write_bytes(b"{}")
    (tmp_path / "canary.json").write_bytes(to_json(canary(datetime.now(UTC), 60)))
    for name, says in (("event.json", "not an event"), ("canary.json", "a canary is no news")):
        shown = ran(tmp_path, "alerts", "explain", name)
        assert (shown.returncode, len(shown.stderr.splitlines())) == (2, 1)
        assert f"stoppress: {name}: {says}" in shown.stderr
