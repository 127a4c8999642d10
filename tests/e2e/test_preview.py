"""`stoppress alerts preview`: what each channel would say, without saying it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from service.events import Significance, to_fields, to_json
from service.keys import Keys
from tests.alert_samples import entry_event, page_event
from tests.e2e.commands import ROOT, ran

PAGE = (ROOT / "docs" / "alerts.md").read_text("utf-8")
SETTINGS = """
[alerts.templates]
retracted = "No: {reason}"

[alerts.rules.goals]
when.word = ["goal"]
templates.title = "GOAL: {title}"

[alerts.ntfy.phone]
topic = "port"
templates.raised = "{summary}"

[alerts.email.desk]
host = "127.0.0.1"
sender = "a@b.example"
recipients = ["c@d.example"]
"""


@pytest.fixture(autouse=True)
def settings(tmp_path: Path) -> None:
    (tmp_path / "stoppress.toml").write_text(SETTINGS, "utf-8")


def shown(tmp_path: Path, *args: str, **env: str) -> dict[tuple[str, str], Any]:
    """The texts by channel and state."""
    done = ran(tmp_path, "alerts", "preview", "--json", *args, env=env)
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return {(each["channel"], each["text"]["state"]): each["text"] for each in said}


def test_the_example_in_the_docs_is_what_is_printed(tmp_path: Path) -> None:
    toml = next(t for t in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) if "rules.goals" in t)
    (tmp_path / "stoppress.toml").write_text(toml, "utf-8")
    example = re.search(r"```text\n\$ stoppress (alerts preview .*?)\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    done = ran(tmp_path, *example[1].split())
    assert done.stdout.startswith(example[2])


def test_each_channel_has_its_words_and_a_rule_before_all(tmp_path: Path) -> None:
    texts = shown(tmp_path, "--rule", "goals")
    assert {channel for channel, _ in texts} == {"ntfy:phone", "email:desk"}
    assert texts["ntfy:phone", "raised"]["title"].startswith("GOAL: Ferry")
    assert "Port Ellis: live" not in texts["ntfy:phone", "raised"]["body"]
    assert "Port Ellis: live" in texts["email:desk", "raised"]["body"]
    assert texts["email:desk", "retracted"]["body"] == "No: its entry was withdrawn"
    assert shown(tmp_path)["email:desk", "raised"]["title"].startswith("BREAKING: ")
    assert len(shown(tmp_path, "--channel", "ntfy:phone")) == 3


async def test_an_event_of_the_stream_or_of_a_file(
    tmp_path: Path, redis: Redis, redis_url: str, keys: Keys
) -> None:
    figure = Significance("figure", ("3 → 4",))
    event = entry_event("edited", title="A goal", significance=figure, changed=("body",))
    await redis.xadd(keys.events, to_fields(event))  # type: ignore[arg-type]
    (tmp_path / "event.json").write_bytes(to_json(event))
    env = {"STOPPRESS_REDIS_PREFIX": keys.prefix, "STOPPRESS_REDIS_URL": redis_url}
    for texts in (shown(tmp_path, event.id, **env), shown(tmp_path, "event.json")):
        updated = texts["email:desk", "updated"]
        assert updated["title"] == "UPDATED: A goal"
        assert updated["body"].startswith("Changed: 3 → 4\n")
    assert await redis.exists(keys.alerts) == 0


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--rule", "cup"), "cup: no such rule (there are: breaking, goals)"),
        (("--channel", "console"), "console: no such channel shows text (there are: ntfy:phone, "),
        (("page.json",), "page.json: an event of a page is told in no alert"),
    ],
)
def test_what_can_not_be_shown_is_named(tmp_path: Path, args: tuple[str, ...], says: str) -> None:
    (tmp_path / "page.json").write_bytes(to_json(page_event()))
    done = ran(tmp_path, "alerts", "preview", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


def test_without_a_channel_that_shows_text_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "stoppress.toml").write_text("", "utf-8")
    done = ran(tmp_path, "alerts", "preview")
    assert done.returncode == 2
    assert "no channel that shows text is set up" in done.stderr
