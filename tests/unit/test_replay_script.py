"""A script says what is wrong with it: the file, the place and what is allowed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.errors import ConfigError
from service.model import Entry, Paragraph
from service.replay.forms import Recorded
from service.replay.script import Script, beside, placed, read_script
from service.replay.timeline import build

START = datetime(2025, 4, 25, 6, 0, tzinfo=UTC)
EDIT = '[[edit]]\nat = 2025-04-25T06:25:00Z\nentry = 2\nwhat = "figure"\nbefore = "two"\n'
OUTAGE = "[[outage]]\nfor_s = 120\npolls = 3\n"
STALE = "[[stale]]\nfor_s = 60\npolls = 2\n"


def recorded(count: int = 4) -> list[Recorded]:
    """Entries ten minutes apart; number 1 is the newest. Entry n says "n three of three n"."""
    return [
        Recorded(
            number=number,
            at=(at := START + timedelta(minutes=10 * (count - number))),
            entry=Entry(
                id=f"e{number}",
                title=f"Title {number}",
                published=at,
                labels=("breaking",) if number == 1 else (),
                body=(Paragraph(f"{number} killed, three of three"), Paragraph("The end")),
            ),
        )
        for number in range(1, count + 1)
    ]


def refusal(tmp_path: Path, text: str) -> str:
    """The one line that refuses a script for four entries."""
    path = tmp_path / "page.script.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        build(recorded(), placed(read_script(path), path), window=20)
    line = str(caught.value)
    assert line.startswith(str(path)), "it names the file"
    assert "\n" not in line
    return line.removeprefix(str(path))


def test_script_stands_beside_its_recording() -> None:
    assert beside(Path("seeds/page.txt")) == Path("seeds/page.script.toml")


def test_absent_script_is_an_empty_one(tmp_path: Path) -> None:
    assert read_script(tmp_path / "none.script.toml") == Script()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[edit", ["not valid TOML", "toml.io"]),
        ("[[edits]]\nentry = 1", ["unknown field `edits`", "allowed keys: edit, label, withdraw"]),
        (
            "[[withdraw]]\nentry = 2\nat = 2025-04-25T06:25:00Z\nwhen = 3",
            ["[[withdraw]] 1", "unknown field `when`", "allowed keys: at, entry"],
        ),
        ("[[withdraw]]\nentry = 2", ["[[withdraw]] 1", "missing required field `at`"]),
        (
            EDIT + 'after = "three"\n' + EDIT + "after = 7",
            ["[[edit]] 2", "after: expected `str`, got `int`", "allowed keys: at, entry, before"],
        ),
        (EDIT.replace('"figure"', '"fun"') + 'after = "x"', ["what: invalid enum value 'fun'"]),
        (
            "[[withdraw]]\nentry = 2\nat = 2025-04-25T06:25:00",
            ["[[withdraw]] 1", "at: expected `datetime` with a timezone", "+01:00"],
        ),
        ("outage = 3", ["[[outage]]", "expected `array`"]),
    ],
)
def test_wrong_keys_and_values_are_refused(tmp_path: Path, text: str, said: list[str]) -> None:
    line = refusal(tmp_path, text)
    assert all(words in line for words in said), line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[[withdraw]]\nentry = 5\nat = 2025-04-25T06:25:00Z",
            ["[[withdraw]] 1", "entry: 5 is not in the recording", "allowed: 1 to 4"],
        ),
        (
            "[[withdraw]]\nentry = 2\nat = 2025-04-25T08:00:00+01:00",
            ["outside of the recording", "after 2025-04-25T07:00:00+01:00"],
        ),
        (
            "[[withdraw]]\nentry = 2\nat = 2025-04-25T06:20:00Z",
            ["entry 2 is not published by then", "after 2025-04-25T06:20:00+00:00"],
        ),
        ("[[withdraw]]\nentry = 4\nat = 2025-04-25T06:25:00Z", ["entry: 4 is the oldest"]),
        (
            "[[withdraw]]\nentry = 3\nat = 2025-04-25T06:13:00Z\n"
            "[[withdraw]]\nentry = 3\nat = 2025-04-25T06:15:00Z",
            ["[[withdraw]] 2", "entry 3 is withdrawn by then"],
        ),
        (EDIT + 'after = "four"', ["[[edit]] 1", "after: 'four' is nowhere in the entry"]),
        (EDIT + 'after = "three"', ["after: 'three' is 2 times in the entry", "exactly once"]),
        (EDIT + 'after = "two"', ["before and after are the same"]),
        (
            '[[label]]\nentry = 2\nlabel = "breaking"\nat = 2025-04-25T06:25:00Z',
            ["[[label]] 1", "entry 2 has no label 'breaking'", "withdraw the entry later"],
        ),
        (
            f"{OUTAGE}at = 2025-04-25T06:19:00Z",
            ["for_s: the page changes at 2025-04-25T06:20:00+00:00", "choose a quiet time"],
        ),
        (
            f"{STALE}at = 2025-04-25T06:15:00Z\nage_s = 1000",
            ["age_s: 1000 s before, there was no page yet", "at most 900"],
        ),
        (
            f"{STALE}at = 2025-04-25T06:15:00Z\nage_s = 60",
            ["age_s: 60 s before, the page was the same"],
        ),
    ],
)
def test_script_that_does_not_fit_the_recording_is_refused(
    tmp_path: Path, text: str, said: list[str]
) -> None:
    line = refusal(tmp_path, text)
    assert all(words in line for words in said), line
