"""An explanation says what matched, what did not, and what follows, as the worker decides it."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from service.rules import Condition
from tests.alert_samples import entry_event, page_event
from workers.alerts.decisions import Known, Memory, decide
from workers.alerts.explaining import explain, lines
from workers.alerts.quiet import Quiet
from workers.alerts.rules import BREAKING, Rule

NOW = datetime(2025, 4, 25, 9, 18, tzinfo=UTC)
WHEN = Condition(
    page=("cup-*", "ukraine"),
    any=(Condition(word=("bomb",)), Condition(author=("Ana",))),
    not_=Condition(label=("summary",)),
)
BOMBS = Rule("bombs", "normal", WHEN, channels=("ntfy:phone",), quiet=Quiet(540, 600))
EVENT = entry_event(at=NOW, authors=("Bo\x1b[31m",))


def test_it_says_what_matched_and_what_did_not_line_by_line() -> None:
    breaking, bombs = explain(EVENT, (BREAKING, BOMBS), NOW, {})
    assert list(lines(breaking)) == [
        "breaking: raises an alert (published with the label breaking)",
        "  to all channels, priority high, deadline 2025-04-25T10:18:00.000Z",
        "  yes  label breaking: found breaking",
    ]
    assert list(lines(bombs)) == [
        "bombs: holds an alert (quiet_hours)",
        "  to ntfy:phone, priority normal, deadline 2025-04-25T10:18:00.000Z, "
        "held until 2025-04-25T10:00:00.000Z",
        "  yes  all of",
        "    yes  page cup-* or ukraine: found ukraine",
        "    yes  any of",
        "      yes  word bomb: found bomb",
        "      no   author Ana: not found; there is Bo [31m",
        "    yes  not",
        "      no   label summary: not found; there is breaking",
    ]


def test_it_says_why_nothing_follows() -> None:
    memories = {"breaking": Memory(Known("retracted"))}
    rules = (BREAKING, replace(BREAKING, name="off", enabled=False))
    said = [next(lines(each)) for each in explain(EVENT, rules, NOW, memories)]
    assert said == ["breaking: tells nothing (retracted_before)", "off: tells nothing (rule_off)"]
    (page,) = explain(page_event(), [BREAKING], NOW, {})
    assert list(lines(page)) == ["breaking: tells nothing (not_an_entry)"]


def test_it_is_data_too() -> None:
    (said,) = explain(EVENT, [BREAKING], NOW, {})
    assert msgspec.json.decode(msgspec.json.encode(said)) == {
        "rule": "breaking",
        "outcome": "raise",
        "reason": "published with the label breaking",
        "priority": "high",
        "alert": said.alert,
        "deadline": "2025-04-25T10:18:00Z",
        "match": {"what": "label", "holds": True, "wanted": ["breaking"], "found": ["breaking"]},
    }


def test_it_decides_as_the_worker_does() -> None:
    rules = (BREAKING, BOMBS)
    for (judged, _), said in zip(
        decide(EVENT, rules, NOW, {}), explain(EVENT, rules, NOW, {}), strict=True
    ):
        assert said.match == judged.trace
