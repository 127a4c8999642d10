"""Whoever follows the replayed seed sees exactly what its timeline says that it did."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service import sources
from service.diff import Doubt, Policy, advance, diff
from service.errors import PageError
from service.events import EntryEvent, Event, PageEvent
from service.model import Clocks, Page, PageState, Snapshot
from service.replay import Recording, load
from service.replay.playback import Shown, Stepped
from service.replay.render import consent_html, live_html
from service.replay.script import Consent, Outage, Stale
from service.sources.base import Document

SEED = Path(__file__).parents[2] / "seeds" / "bbc-live-2025-04-25.txt"
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
URL = "http://127.0.0.1:1/live"


def follow(recording: Recording, *, with_clocks: bool) -> tuple[list[Event], list[str]]:
    """Poll at speed 0 to the end and some polls more; the events and what was seen of hazards."""
    timeline = recording.timeline()
    playback = Stepped(timeline, START)
    state = PageState(page=Page(id="p", url=URL))
    events: list[Event] = []
    faults: list[str] = []
    for number in range(60):
        now = START + timedelta(seconds=number)
        shown = playback.poll(now)
        playback.answered()
        try:
            snapshot = read(recording, shown, now)
        except PageError as error:
            faults.append(error.code)
            continue
        clocks = answered(shown, now) if with_clocks else Clocks()
        step = diff(state, snapshot, Policy(), clocks)
        if isinstance(step, Doubt):
            faults.append(step.code)
            continue
        new, state = advance(state, step, now)
        events += new
    assert playback.look(START).finished
    return events, faults


def read(recording: Recording, shown: Shown, now: datetime) -> Snapshot:
    salt = secrets.token_hex(4)
    entries = recording.timeline().steps[shown.page].entries
    markup = live_html(recording.head, entries, url=URL, salt=salt)
    if isinstance(shown.hazard, Outage):
        raise PageError("http.503", "down")
    if isinstance(shown.hazard, Consent):
        markup = consent_html(salt=salt)
    return sources.read(Document(URL, markup.encode(), "text/html", now), "bbc")


def answered(shown: Shown, now: datetime) -> Clocks:
    age_s = shown.hazard.age_s if isinstance(shown.hazard, Stale) else 0
    return Clocks(modified=shown.since, generated=now - timedelta(seconds=age_s))


@pytest.mark.parametrize("with_clocks", [True, False])
def test_follower_sees_what_is_expected_once_and_nothing_else(with_clocks: bool) -> None:
    recording = load(SEED, now=START)
    expected = recording.timeline().expected
    events, faults = follow(recording, with_clocks=with_clocks)
    entries = [event for event in events if isinstance(event, EntryEvent)]

    def subjects(kind: str) -> tuple[str, ...]:
        return tuple(e.subject for e in entries if e.type == f"stoppress.entry.{kind}")

    assert subjects("published") == expected.published
    assert tuple(e.subject for e in entries if e.data.baseline) == expected.baseline
    assert subjects("removed") == expected.removed
    assert subjects("restored") == ()
    edited = tuple(
        (e.subject, e.data.significance.kind) for e in entries if e.data.significance is not None
    )
    assert edited == expected.edited
    pages = [e.type.rpartition(".")[2] for e in events if isinstance(e, PageEvent)]
    assert pages == ["opened", "paused", "resumed"]
    stale = ["page.stale_copy"] * 2 if with_clocks else []
    assert faults == [*stale, *["http.503"] * 3, *["page.blocked"] * 2]
