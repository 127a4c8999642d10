"""What a recorded page did, step by step: every step is one change of the page, or a hazard. Pure.

It is built from the page's final state and a script of what that state can't show.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from service.coverage import announces_pause
from service.events import Kind
from service.model import Entry
from service.replay.checks import check
from service.replay.forms import Recorded, forms
from service.replay.script import Consent, Edit, Hazard, Label, Outage, Placed, Stale, Withdrawal

BREAKING = "breaking"


class Change(Struct, frozen=True):
    """One thing that a reader of the page can tell. entry: an id; what: what an edit amounts to."""

    kind: Literal["published", "edited", "removed", "paused", "resumed"]
    entry: str
    what: Kind | None = None


class Step(Struct, frozen=True):
    """The page from `at` (recorded time) until the next step.

    entries: newest first, cut to the window. hazard: what is served instead at first.
    """

    at: datetime
    entries: tuple[Entry, ...]
    changes: tuple[Change, ...] = ()
    hazard: Hazard | None = None


class Expected(Struct, frozen=True):
    """All that the page did, in order, by entry id: what a follower must have seen, and no more.

    published: baseline included. alerts: entries off the baseline that were published with the
    Breaking label or gained it; retracted: those of them that were withdrawn. paused, resumed: the
    entry that came with the pause or ended it.
    """

    published: tuple[str, ...]
    baseline: tuple[str, ...]
    edited: tuple[tuple[str, Kind], ...]
    removed: tuple[str, ...]
    alerts: tuple[str, ...]
    retracted: tuple[str, ...]
    paused: tuple[str, ...]
    resumed: tuple[str, ...]


class Timeline(Struct, frozen=True):
    """The steps in order; the first shows the oldest entry alone, the last the final state."""

    steps: tuple[Step, ...]

    @property
    def expected(self) -> Expected:
        """What a follower who began with the first step must have seen."""
        changes = [change for step in self.steps for change in step.changes]

        def ids(kind: str) -> tuple[str, ...]:
            return tuple(change.entry for change in changes if change.kind == kind)

        return Expected(
            published=ids("published"),
            baseline=tuple(entry.id for entry in self.steps[0].entries),
            edited=tuple((one.entry, one.what) for one in changes if one.what is not None),
            removed=ids("removed"),
            alerts=(alerts := _alerts(self.steps)),
            retracted=tuple(entry for entry in ids("removed") if entry in alerts),
            paused=ids("paused"),
            resumed=ids("resumed"),
        )

    def origin(self, index: int) -> int:
        """The step in which the page came to be what it is in step `index`."""
        while self.steps[index].hazard is not None:
            index -= 1
        return index

    def copy(self, index: int) -> int:
        """The step whose page a stale copy in step `index` shows."""
        step = self.steps[index]
        if not isinstance(step.hazard, Stale):
            return self.origin(index)
        before = step.at - timedelta(seconds=step.hazard.age_s)
        return self.origin(bisect_right(self.steps, before, key=lambda one: one.at) - 1)


def _alerts(steps: Sequence[Step]) -> tuple[str, ...]:
    seen = {entry.id: None for step in steps for entry in step.entries if BREAKING in entry.labels}
    baseline = {entry.id for entry in steps[0].entries}
    return tuple(entry for entry in seen if entry not in baseline)


def build(recorded: Sequence[Recorded], items: Sequence[Placed], *, window: int) -> Timeline:
    """The timeline of a recording and the tables of its script; window: how many entries show.

    Raises ConfigError for a script that doesn't fit the recording.
    """
    order = sorted(recorded, key=lambda one: (one.at, -one.number))
    check(items, order)
    page: dict[int, Entry] = {}  # by number, oldest first
    steps: list[Step] = []
    for cause in _causes(order, items):
        if cause.number is not None and cause.form is not None:
            page[cause.number] = cause.form
        elif cause.number is not None:
            del page[cause.number]
        shown = tuple(page[one.number] for one in reversed(order) if one.number in page)[:window]
        before = steps[-1].entries if steps else ()
        steps.append(Step(cause.at, shown, _changes(cause, before, shown), cause.hazard))
    return Timeline(tuple(steps))


class _Cause(Struct, frozen=True):
    """Why there is a step. number, form: the entry that takes another form, None: it goes."""

    at: datetime
    number: int | None = None
    form: Entry | None = None
    what: Kind | None = None
    hazard: Hazard | None = None


def _causes(order: Sequence[Recorded], items: Sequence[Placed]) -> list[_Cause]:
    causes: list[_Cause] = []
    for one in order:
        edits = [placed for placed in items if _edits(placed, one.number)]
        first, *later = forms(one.entry, edits)
        causes.append(_Cause(one.at, one.number, first))
        causes += [
            _Cause(placed.item.at, one.number, form, _what(placed))
            for placed, form in zip(edits, later, strict=True)
        ]
    for placed in items:
        match placed.item:
            case Withdrawal(at=at, entry=number):
                causes.append(_Cause(at, number))
            case Stale() | Outage() | Consent() as hazard:
                causes.append(_Cause(hazard.at, hazard=hazard))
            case Edit() | Label():
                pass
    return sorted(causes, key=lambda cause: cause.at)


def _edits(placed: Placed, number: int) -> bool:
    return isinstance(placed.item, Edit | Label) and placed.item.entry == number


def _what(placed: Placed) -> Kind:
    return placed.item.what if isinstance(placed.item, Edit) else "label"


def _changes(
    cause: _Cause, before: tuple[Entry, ...], after: tuple[Entry, ...]
) -> tuple[Change, ...]:
    """What a reader can tell of a step; what happens below the window, it can't."""
    old, new = {one.id: one for one in before}, {one.id: one for one in after}
    found: list[Change] = []
    if cause.what is not None and cause.form is not None and cause.form.id in old:
        found.append(Change("edited", cause.form.id, cause.what))
    elif cause.number is not None and cause.form is None:
        # The last one shown may just have left the window.
        found += [Change("removed", key) for key in list(old)[:-1] if key not in new]
    elif cause.form is not None and cause.what is None:
        found.append(Change("published", cause.form.id))
    return (*found, *_turn(before, after))


def _turn(before: tuple[Entry, ...], after: tuple[Entry, ...]) -> tuple[Change, ...]:
    """Coverage is paused while the newest entry says so."""
    was = bool(before) and announces_pause(before[0])
    now = bool(after) and announces_pause(after[0])
    if was == now:
        return ()
    return (Change("paused" if now else "resumed", after[0].id),)
