"""What docs/alerts.md says of rules: its examples decide as it says, and its tables are whole."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from docs import generate
from service import config
from service.events import EntryEvent, Significance
from service.model import PageRef
from service.rules import Condition, RuleSettings
from tests.alert_samples import entry_event
from workers.alerts.current import by_name
from workers.alerts.explaining import explain, lines
from workers.alerts.rules import TRANSITIONS, Rule, Silence, Standing, Wait

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text("utf-8")
DAY = datetime(2025, 4, 25, 12, 0, tzinfo=UTC)  # a Friday, at 13:00 in London
NIGHT = DAY.replace(hour=23, minute=30)
SATURDAY = DAY.replace(day=26)


def sections(*names: str) -> str:
    return "".join(PAGE.split(f"\n## {name}\n")[1].split("\n## ")[0] for name in names)


def rules(tmp_path: Path, holding: str) -> tuple[Rule, ...]:
    """The rules of the example that has these words."""
    found = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (example,) = [each for each in found if holding in each]
    (tmp_path / "stoppress.toml").write_text(example, "utf-8")
    settings = config.load(tmp_path / "stoppress.toml", {}, {}).alerts
    return tuple(by_name(settings, {}).values())


def seen(page: str = "ukraine-live", at: datetime = DAY, **given: Any) -> EntryEvent:
    ref = PageRef(id=page, url="https://news.example/live")
    return entry_event(**{"page": ref, "at": at, "labels": (), "title": "Live"} | given)


DRONES, BREAKING_HERE, WEEKEND = "rules.drones", 'page = ["bbc.com-*"]', "rules.weekend"
FIGURE = {"significance": Significance("figure"), "changed": ("body",)}


@pytest.mark.parametrize(
    ("example", "rule", "event", "outcome"),
    [
        (DRONES, "drones", seen(text="A drone fell"), "raise"),
        (DRONES, "drones", seen(text="Air  defence at work"), "raise"),
        (DRONES, "drones", seen(text="A drone fell", labels=("summary",)), "nothing"),
        (DRONES, "drones", seen("other", text="A drone fell"), "nothing"),
        (DRONES, "tolls", seen(kind="edited", text="12 killed", **FIGURE), "raise"),
        (DRONES, "tolls", seen(kind="published", text="12 killed"), "nothing"),
        (DRONES, "tolls", seen(kind="edited", text="12 goals", **FIGURE), "nothing"),
        (DRONES, "desk", seen(authors=("Ana Duarte",)), "hold"),
        (DRONES, "desk", seen(authors=("Bo",)), "nothing"),
        (DRONES, "breaking", seen(labels=("breaking",)), "raise"),
        (BREAKING_HERE, "breaking", seen("bbc.com-live", labels=("breaking",)), "raise"),
        (BREAKING_HERE, "breaking", seen(labels=("breaking",)), "nothing"),
        ("enabled = false", "breaking", seen(labels=("breaking",)), "nothing"),
        (WEEKEND, "weekend", seen(labels=("key",)), "raise"),
        (WEEKEND, "weekend", seen(labels=("key",), at=SATURDAY), "nothing"),
        (WEEKEND, "breaking", seen(labels=("breaking",), at=NIGHT), "raise"),
    ],
)
def test_an_example_decides_as_it_says(
    tmp_path: Path, example: str, rule: str, event: EntryEvent, outcome: str
) -> None:
    said = explain(event, rules(tmp_path, example), event.observed_at, {})
    assert {each.rule: each.outcome for each in said}[rule] == outcome


def test_the_example_of_an_explanation_is_what_is_printed(tmp_path: Path) -> None:
    event = generate.sample()[1][2]
    several = [each for each in rules(tmp_path, DRONES) if each.name in ("breaking", "tolls")]
    said = explain(event, several, event.observed_at, {})
    printed = "\n".join(line for each in said for line in lines(each))
    command, shown = sections("Why there is no alert").split("```text\n")[1].split("\n", 1)
    assert command == f"$ stoppress alerts explain {event.id}"
    assert shown.split("\n```")[0] == printed


def table(section: str, head: str) -> list[list[str]]:
    """The names in `code` in the first column of a table, row by row."""
    rows = section.split(f"| {head} |")[1].split("\n\n")[0].splitlines()[2:]
    return [re.findall(r"`(\w+)`", row.split("|")[1]) for row in rows]


def test_every_reason_is_in_the_table_and_no_other() -> None:
    said = [name for row in table(sections("Why there is no alert"), "Reason") for name in row]
    assert sorted(said) == sorted({*get_args(Silence), *get_args(Wait)})


def test_every_state_is_in_the_table_with_where_it_comes_from() -> None:
    section = sections("Why there is no alert")
    rows = section.split("| State of an alert | Comes from |")[1].strip().splitlines()[1:]
    found: dict[str, set[str]] = {}
    for row in rows:
        states, before = (re.findall(r"`(\w+)`", cell) for cell in row.split("|")[1:3])
        found |= {state: set(before) for state in states}
    assert found == {state: set(before) for state, before in TRANSITIONS.items()}
    assert set(found) == set(get_args(Standing))


def test_every_part_of_a_condition_and_of_a_rule_is_told() -> None:
    parts = {name for row in table(sections("Conditions"), "Part") for name in row}
    assert parts == set(Condition.__struct_encode_fields__)
    told = {name for row in table(sections("Rules"), "Setting") for name in row}
    assert told == set(RuleSettings.__struct_fields__)
