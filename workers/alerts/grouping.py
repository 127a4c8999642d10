"""Several alerts of one page as one: what is held, what is told, and what becomes of it. Pure.

Nothing here waits or stores; `holding` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from service.events import AlertEvent, Listed, rfc3339
from service.model import digest

# Times of events have whole ones.
_MOMENT = timedelta(milliseconds=1)


class Held(Struct, frozen=True):
    """Alerts of a page by a rule that wait until a moment.

    name: of the place where they are held. token: no two groups have the same. events: as each
    would be raised, by nobody's order. is_closed: it takes no more, and was begun to be told.
    """

    name: str
    rule: str
    due: datetime
    token: str
    events: tuple[AlertEvent, ...]
    is_closed: bool = False


class Part(Struct, frozen=True):
    """An alert that was told as part of another.

    event: the id of the event that raised it. seen_at: when what was then told was seen. last: the
    id of the event that last changed it, at changed_at.
    """

    alert: str
    event: str
    entry: Listed
    seen_at: datetime
    last: str = ""
    changed_at: datetime | None = None


class Group(Struct, frozen=True):
    """An alert that was raised about several entries. id: the alert's, and its first part's.

    told_at: the time of what was last told of it. Each time is later than the one before, in
    whatever order the events of its parts are handled: what is told last knows of all before it.
    """

    id: str
    parts: tuple[Part, ...]
    told_at: datetime

    @property
    def entries(self) -> tuple[Listed, ...]:
        """The entries as the alert lists them."""
        return tuple(part.entry for part in self.parts)

    def part(self, alert: str) -> Part | None:
        """The part that an alert is; None when it is none of this."""
        return next((part for part in self.parts if part.alert == alert), None)


def place(rule: str, page: str) -> str:
    """The name of the place where alerts of a page by a rule are held: one at a time."""
    return digest("held", rule, page)


def in_order(events: Sequence[AlertEvent]) -> tuple[AlertEvent, ...]:
    """Oldest first, and the same whatever order they come in."""
    return tuple(sorted(events, key=_age))


def _age(event: AlertEvent) -> tuple[datetime, datetime, int, str]:
    """What one poll saw first has its age from the page: further down is older."""
    entry, seen_at = event.data.entry, event.observed_at
    return seen_at, entry.published or seen_at, -entry.position, event.data.alert


def as_one(events: Sequence[AlertEvent], deadline: datetime) -> tuple[AlertEvent, Group | None]:
    """The alert that several become, and what is to be remembered of it; None for a single one.

    It has the id, the entry and the place of the oldest. deadline: after that it is no news.
    """
    ordered = in_order(events)
    first = ordered[0]
    if len(ordered) == 1:
        return replace(first, data=replace(first.data, deadline=deadline)), None
    group = Group(first.data.alert, tuple(map(_part, ordered)), first.observed_at)
    reason = f"{len(ordered)} alerts as one; the first was {first.data.reason}"
    data = replace(first.data, deadline=deadline, reason=reason, entries=group.entries)
    return replace(first, data=data), group


def _part(event: AlertEvent) -> Part:
    return Part(event.data.alert, event.data.event, _listed(event), event.observed_at)


def _listed(event: AlertEvent) -> Listed:
    entry = event.data.entry
    return Listed(entry=entry.id, title=entry.title, url=entry.url)


def changed(group: Group, event: AlertEvent) -> tuple[Group, AlertEvent]:
    """What an update or retraction of a part makes of the whole.

    The whole is retracted with its last part; until then that a part is withdrawn is an update.
    The same event gives the same, also when it was counted in before.
    """
    alert, is_gone = event.data.alert, event.type == "stoppress.alert.retracted"
    listed = replace(_listed(event), withdrawn=is_gone)
    old = group.part(alert)
    is_known = old is not None and old.last == event.data.event
    told_at = group.told_at if is_known else max(event.observed_at, group.told_at + _MOMENT)
    change = {"entry": listed, "last": event.data.event, "changed_at": event.observed_at}
    parts = tuple(replace(part, **change) if part.alert == alert else part for part in group.parts)
    group = Group(group.id, parts, told_at)
    standing = sum(not part.entry.withdrawn for part in parts)
    kind, reason = event.type, event.data.reason
    if is_gone and standing:
        kind = "stoppress.alert.updated"
        reason = f"{event.data.entry.title or event.data.entry.id}: {reason}; {standing} stand"
    data = replace(event.data, alert=group.id, entries=group.entries, reason=reason)
    event_id = digest(group.id, event.data.event, kind)
    return group, replace(event, id=event_id, type=kind, time=rfc3339(told_at), data=data)
