"""Rules as settings and as JSON: taken as they stand, or refused with name, place and remedy."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from service import config
from service.config import AlertSettings
from service.errors import ConfigError
from service.rules import Condition, RuleSettings, folded, regex


def load(tmp_path: Path, toml: str, **environ: str) -> AlertSettings:
    path = tmp_path / "stoppress.toml"
    path.write_text(toml, "utf-8")
    return config.load(path, environ, {}).alerts


def test_conditions_stand_in_conditions(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        """
        [alerts.ntfy.phone]
        topic = "desk"
        [alerts.rules.goals]
        priority = "normal"
        deadline_s = 600.0
        channels = ["ntfy:phone", "console"]
        group_s = 60.0
        at_most = "5/hour"
        quiet = "23:00-07:00"
        zone = "Europe/London"
        quiet_days = ["fri", "sat"]
        quiet_action = "drop"
        when.page = ["cup-*"]
        when.any = [{ word = ["goal"] }, { author = ["Ana Duarte"] }]
        when.not = { phrase = ["in pictures"] }
        """,
    )
    assert settings.rules["goals"] == RuleSettings(
        priority="normal",
        deadline_s=600.0,
        channels=("ntfy:phone", "console"),
        group_s=60.0,
        at_most="5/hour",
        quiet="23:00-07:00",
        zone="Europe/London",
        quiet_days=("fri", "sat"),
        quiet_action="drop",
        when=Condition(
            page=("cup-*",),
            any=(Condition(word=("goal",)), Condition(author=("Ana Duarte",))),
            not_=Condition(phrase=("in pictures",)),
        ),
    )


def test_quiet_hours_for_all_fit_in_variables(tmp_path: Path) -> None:
    environ = {"STOPPRESS_ALERTS_QUIET": "22:00-06:00", "STOPPRESS_ALERTS_ZONE": "Europe/Kyiv"}
    settings = load(tmp_path, "", **environ)
    assert (settings.quiet, settings.zone) == ("22:00-06:00", "Europe/Kyiv")


NESTED = "{ not = " * 8 + "{ label = ['x'] }" + " }" * 8


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("when.pag = ['x']", "unknown setting alerts.rules.goals.when.pag (allowed: page, label, "),
        ("when.any = [{ wrd = ['x'] }]", "goals.when.any[0].wrd (allowed: page, label, author, wo"),
        ("when.not = { x = 1 }", "goals.when.not.x (allowed: page, label, author, word, phrase, r"),
        ("prio = 1", "unknown setting alerts.rules.goals.prio (allowed: enabled, when, priority, "),
        ("priority = 'low'", "goals.priority: invalid enum value 'low' (allowed: high, normal)"),
        ("when = {}", "alerts.rules.goals.when: a condition that says nothing; give one of page, "),
        ("when.any = [{}]", "alerts.rules.goals.when.any[0]: a condition that says nothing; give"),
        ("when.label = []", "alerts.rules.goals.when.label: expected `array` of length >= 1"),
        ("when.word = ['a b']", "alerts.rules.goals.when: word 'a b' is not one word; several are"),
        ("when.word = ['\u200b']", r"alerts.rules.goals.when: '\u200b' holds nothing to look for"),
        ("when.type = ['removed']", "goals.when.type[0]: invalid enum value 'removed' (allowed: p"),
        ("when.kind = ['big']", "kind[0]: invalid enum value 'big' (allowed: none, correction, fi"),
        ("when.regex = ['(?=x)']", "allowed: RE2 syntax, without look-around and backreferences"),
        (r"when.regex = ['(a)\1']", "alerts.rules.goals.when: regex '(a)\\\\1': invalid escape"),
        ("when.regex = ['(x{500}){9}']", "regex '(x{500}){9}': invalid repetition size"),
        (r"when.regex = ['\pL\pL\pL\pL']", "is too large: "),
        (f"when = {NESTED}", "conditions in conditions, more than 8 deep"),
        ("when.label = ['x']\nquiet = '7-8'", "goals.quiet: expected `str` matching regex"),
        ("when.label = ['x']\nquiet = '07:00-07:00'", "'07:00-07:00' is no time at all; a whole "),
        ("when.label = ['x']\nzone = 'Mars'", "goals: zone Mars is no IANA time zone, such as Eu"),
        ("when.label = ['x']\nat_most = '5'", "(allowed: a number for each minute, hour or day, "),
        ("when.label = ['x']\nquiet_days = ['May']", "(allowed: mon, tue, wed, thu, fri, sat, sun"),
        ("when.label = ['x']\ngroup_s = 0", "goals.group_s: expected `float` > 0.0"),
        ("priority = 'high'\ngroup_s = 9", 'goals: priority = "high" waits for nothing: group_s'),
        ("when.label = ['x']\nchannels = ['ntfy:x']", "no channel ntfy:x; allowed: console"),
        ("priority = 'high'", "alerts: rules.goals: when is missing; all that is new is when.page"),
    ],
)
def test_a_wrong_rule_is_named_with_its_place_and_what_is_allowed(
    tmp_path: Path, toml: str, says: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, f"[alerts.rules.calm]\nwhen.label = ['y']\n[alerts.rules.goals]\n{toml}")
    assert str(refused.value).startswith(str(tmp_path / "stoppress.toml"))
    assert says in str(refused.value)


@pytest.mark.parametrize("setting", ["group_s = 9", "at_most = '5/hour'"])
def test_breaking_is_never_made_to_wait(tmp_path: Path, setting: str) -> None:
    with pytest.raises(ConfigError, match=r"rules.breaking: it never waits"):
        load(tmp_path, f"[alerts.rules.breaking]\n{setting}")


def test_breaking_needs_no_condition(tmp_path: Path) -> None:
    settings = load(tmp_path, "[alerts.rules.breaking]\nenabled = false")
    assert settings.rules["breaking"].enabled is False


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Straße", "STRASSE"),
        ("İstanbul", "ISTANBUL"),
        ("ΟΔΟΣ", "οδος"),
        ("don’t", "DON'T"),
        ("co\u00adop", "coop"),
        ("Ｋyiv\u00a0 now", "kyiv now"),
        ("e\u0301te\u0301", "été"),
    ],
)
def test_text_in_two_spellings_is_the_same(one: str, other: str) -> None:
    assert folded(one) == folded(other)


def test_a_pattern_that_is_dangerous_elsewhere_is_quick() -> None:
    """Backtracking engines need 2**40 steps for this."""
    assert regex("(a+)+$").search("a" * 40_000 + "!") is None


def test_a_rule_is_the_same_after_json() -> None:
    rule = RuleSettings(when=Condition(any=(Condition(word=("goal",)),)), group_s=5.0)
    body = msgspec.json.encode(rule)
    assert body == b'{"when":{"any":[{"word":["goal"]}]},"group_s":5.0}'
    assert config.rule_asked("goals", body, ()) == rule


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"when":{"wrd":["x"]}}', "unknown setting alerts.rules.goals.when.wrd"),
        (b'{"when":{"regex":["("]}}', "missing )"),
        (b'{"when":{"word":["x"]},"channels":["push"]}', "no channel push; allowed: console"),
        (b"{}", "when is missing"),
        (b"[]", "expected `object`"),
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b'{"when":' + b'{"not":' * 50_000, "recursion"),
    ],
)
def test_json_that_is_no_rule_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config.rule_asked("goals", body, ("console",))
    assert says in str(refused.value)


def test_a_rule_over_http_needs_a_name_that_a_table_can_have() -> None:
    with pytest.raises(ConfigError, match="Goals!"):
        config.rule_asked("Goals!", b'{"when":{"word":["x"]}}', ())
