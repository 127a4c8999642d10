"""Which step of a timeline is on show: by the clock, or by how often the page was polled. Pure."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta
from itertools import pairwise

from msgspec import Struct

from service.replay.script import Hazard, Stale
from service.replay.timeline import Step, Timeline


class Shown(Struct, frozen=True):
    """What is on show. step: where the timeline is. at: recorded time. hazard: while it lasts.

    page: the step whose page is served. since: when, by the real clock, that page came to be.
    """

    step: int
    at: datetime
    page: int
    since: datetime
    finished: bool
    hazard: Hazard | None = None


class Stepped:
    """Moves on one step with every poll: as fast as the page is polled.

    A poll counts once it is fully answered. A hazard lasts for its number of polls.
    """

    def __init__(self, timeline: Timeline, start: datetime) -> None:
        self._timeline = timeline
        self._began = [start]
        self._answered = 0

    def poll(self, now: datetime) -> Shown:
        """What a poll at `now` gets."""
        if self._is_done and len(self._began) < len(self._timeline.steps):
            self._began.append(now)
            self._answered = 0
        return self.look(now)

    def answered(self) -> None:
        """The last poll got its whole answer."""
        self._answered += 1

    def look(self, now: datetime) -> Shown:
        """What is on show; nothing moves."""
        index = len(self._began) - 1
        step = self._timeline.steps[index]
        hazard = step.hazard if step.hazard and self._answered < step.hazard.polls else None
        page = _page(self._timeline, index, hazard)
        last = index == len(self._timeline.steps) - 1
        return Shown(index, step.at, page, self._began[page], last and self._is_done, hazard)

    @property
    def _is_done(self) -> bool:
        hazard = self._timeline.steps[len(self._began) - 1].hazard
        return self._answered >= (hazard.polls if hazard else 1)


class Clocked:
    """Moves on with the clock, `speed` times as fast as the recorded page did.

    max_gap_s: longest time between two changes, in recorded seconds; hazards last as they are.
    """

    def __init__(
        self, timeline: Timeline, start: datetime, speed: float, max_gap_s: float | None
    ) -> None:
        self._timeline, self._start, self._speed = timeline, start, speed
        self._offsets_s = offsets_s(timeline.steps, max_gap_s)

    def poll(self, now: datetime) -> Shown:
        """What a poll at `now` gets."""
        return self.look(now)

    def answered(self) -> None:
        """Nothing: the clock alone moves this."""

    def look(self, now: datetime) -> Shown:
        """What is on show."""
        steps, offsets_s = self._timeline.steps, self._offsets_s
        passed_s = max((now - self._start).total_seconds() * self._speed, 0.0)
        index = bisect_right(offsets_s, passed_s) - 1
        step, into_s = steps[index], passed_s - offsets_s[index]
        hazard = step.hazard if step.hazard and into_s < step.hazard.for_s else None
        page = _page(self._timeline, index, hazard)
        return Shown(
            step=index,
            at=step.at + timedelta(seconds=into_s) if index + 1 < len(steps) else step.at,
            page=page,
            since=self._start + timedelta(seconds=offsets_s[page] / self._speed),
            finished=index + 1 == len(steps) and hazard is None,
            hazard=hazard,
        )


Playback = Stepped | Clocked


def offsets_s(steps: tuple[Step, ...], max_gap_s: float | None) -> list[float]:
    """When each step begins, in recorded seconds since the first, quiet gaps cut to `max_gap_s`."""
    offsets = [0.0]
    for before, after in pairwise(steps):
        gap_s = (after.at - before.at).total_seconds()
        busy_s = before.hazard.for_s if before.hazard else 0.0
        quiet_s = gap_s - busy_s
        cut_s = quiet_s if max_gap_s is None else min(quiet_s, max_gap_s)
        offsets.append(offsets[-1] + busy_s + cut_s)
    return offsets


def _page(timeline: Timeline, index: int, hazard: Hazard | None) -> int:
    return timeline.copy(index) if isinstance(hazard, Stale) else timeline.origin(index)
