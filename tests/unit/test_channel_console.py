"""The console channel writes one safe line for each alert."""

from __future__ import annotations

import io
import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from service.events import AlertEvent, Listed
from service.plain import plain
from tests.alert_samples import entry_event
from workers.alerts.channels import Undeliverable
from workers.alerts.channels.console import TITLE_CHARACTERS, ConsoleChannel
from workers.alerts.rules import Raise, decide

NOW = datetime(2025, 4, 25, 9, 18, tzinfo=UTC)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def alert(title: str | None = "General killed") -> AlertEvent:
    decision = decide(entry_event(at=NOW, title=title), NOW, 3600)
    assert isinstance(decision, Raise)
    return decision.event


async def written(event: AlertEvent, stdout: io.StringIO | None = None) -> str:
    stdout = stdout or io.StringIO()
    await ConsoleChannel(stdout, UTC).send(event)
    return stdout.getvalue()


async def test_an_alert_is_one_plain_line_where_there_is_no_terminal() -> None:
    assert await written(alert()) == (
        "BREAKING 09:17 General killed — War in Ukraine https://news.example/live/1#e1\n"
    )


async def test_an_alert_about_several_entries_says_how_many_more_stand() -> None:
    event = alert()
    entries = tuple(Listed(entry=f"e{n}", withdrawn=n == 4) for n in range(1, 5))
    several = replace(event, data=replace(event.data, entries=entries))
    assert "General killed and 2 more — " in await written(several)


async def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    line = await written(alert(), Terminal())
    assert "\x1b[" in line
    assert "General killed" in line


async def test_page_text_is_neither_markup_nor_an_emoji_code() -> None:
    title = "[bold red]x[/] [link=https://evil.example]y[/link] :boom:"
    assert f" {title} " in await written(alert(title))


@given(st.text(st.characters(codec="utf-8")))
def test_no_text_can_move_the_cursor_or_break_the_line(text: str) -> None:
    acted_on = {c for c in plain(text) if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")}
    assert acted_on <= {"\u200c", "\u200d"}


async def test_escapes_in_page_text_do_not_reach_the_terminal() -> None:
    line = await written(alert("a\x1b]0;owned\x07\x9b2Jb\n\u202ec"))
    assert "a ]0;owned 2Jb c" in line
    assert line.count("\n") == 1


async def test_a_long_line_is_not_wrapped_and_a_huge_title_is_cut() -> None:
    line = await written(alert("x" * 100_000))
    assert line.count("\n") == 1
    assert "x" * (TITLE_CHARACTERS - 1) + "…" in line


async def test_an_entry_without_title_and_text_still_gives_a_line() -> None:
    assert "(no title)" in await written(alert(None))


async def test_a_closed_stdout_is_a_permanent_failure() -> None:
    stdout = io.StringIO()
    channel = ConsoleChannel(stdout, UTC)
    stdout.close()
    with pytest.raises(Undeliverable) as refused:
        await channel.send(alert())
    assert (refused.value.code, refused.value.retryable) == ("stdout_refused", False)
