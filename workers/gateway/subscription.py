"""What a subscriber wants to see. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import get_args

from msgspec import Struct

from service.errors import SubscriberError
from service.events import (
    AlertEvent,
    AlertType,
    CanaryEvent,
    EntryEvent,
    EntryType,
    PageType,
    StreamEvent,
)
from workers.gateway.protocol import Filters, Position, position

CANARY = "canary"
# What can be asked for, and which types that is. A family stands for all of its types.
FAMILIES = {
    name: frozenset(kind.removeprefix("stoppress.") for kind in get_args(kinds))
    for name, kinds in (("entry", EntryType), ("page", PageType), ("alert", AlertType))
}
ALERTS = FAMILIES["alert"]
TYPES = {
    **FAMILIES,
    **{kind: frozenset({kind}) for kinds in FAMILIES.values() for kind in kinds},
    CANARY: frozenset({CANARY}),
}
FILTERS = Filters.__struct_fields__
MAX_VALUES = 200
MAX_CHARS = 200
EVERYWHERE = ("*",)
_NONE: frozenset[str] = frozenset()  # one for all: there are five in each subscriber


def may_see(patterns: tuple[str, ...], page: str) -> bool:
    """Does a pattern fit the id of this page?"""
    return any(fnmatchcase(page, pattern) for pattern in patterns)


class Subscription(Struct, frozen=True):
    """Filters. Empty sets let everything through; values of one kind are alternatives.

    authors and texts are casefolded. texts: parts of an entry's title or text. within: patterns of
    the pages that may be shown at all.
    """

    pages: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    authors: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    within: tuple[str, ...] = EVERYWHERE

    def shows(self, page: str) -> bool:
        """Is this page wanted, and may it be shown?"""
        if self.pages and page not in self.pages:
            return False
        return self.within == EVERYWHERE or may_see(self.within, page)

    def matches(self, event: StreamEvent) -> bool:
        """Is this event wanted? Filters for entries let no page event through.

        A canary is wanted by those alone who name its type, whatever else they want; an alert by
        those who name its type.
        """
        if isinstance(event, CanaryEvent):
            return CANARY in self.types
        if not self.shows(event.data.page.id):
            return False
        is_named = event.type.removeprefix("stoppress.") in self.types
        if not is_named and (self.types or isinstance(event, AlertEvent)):
            return False
        if not (self.labels or self.authors or self.texts):
            return True
        return isinstance(event, EntryEvent | AlertEvent) and self._is_wanted(event)

    def misses(self, lost: Position, at: Position) -> bool:
        """Did a stream lose something after this position that may have been wanted?

        lost: up to there everything was trimmed.
        """
        is_blind_to_events = self.types and self.types <= ALERTS
        if lost.events > at.events and not is_blind_to_events:
            return True
        return lost.alerts > at.alerts and not self.types.isdisjoint(ALERTS)

    def _is_wanted(self, event: EntryEvent | AlertEvent) -> bool:
        entry = event.data.entry
        if self.labels and self.labels.isdisjoint(entry.labels):
            return False
        if self.authors and self.authors.isdisjoint(one.name.casefold() for one in entry.authors):
            return False
        words = f"{entry.title or ''}\n{entry.text}".casefold() if self.texts else ""
        return not self.texts or any(text in words for text in self.texts)


class Wanted(Struct, frozen=True):
    """All that one connection wants: what any of its subscriptions does."""

    any_of: frozenset[Subscription]

    def shows(self, page: str) -> bool:
        """Is this page wanted?"""
        return any(one.shows(page) for one in self.any_of)

    def matches(self, event: StreamEvent) -> bool:
        """Is this event wanted?"""
        return any(one.matches(event) for one in self.any_of)

    def misses(self, lost: Position, at: Position) -> bool:
        """Did a stream lose something after this position that may have been wanted?"""
        return any(one.misses(lost, at) for one in self.any_of)


def subscription(filters: Filters, within: tuple[str, ...] = EVERYWHERE) -> Subscription:
    """The subscription with these filters. within: patterns of pages that may be shown.

    Raises SubscriberError for an unknown event type.
    """
    named = {kind.removeprefix("stoppress.") for kind in filters.type}
    if strange := named - TYPES.keys():
        raise SubscriberError(
            "filter.type",
            f"no event type {min(strange)!r}",
            where="type",
            fix=f"allowed: {', '.join(sorted(TYPES))}",
        )
    return Subscription(
        frozenset(filters.page) or _NONE,
        _NONE.union(*(TYPES[kind] for kind in named)) or _NONE,
        frozenset(filters.label) or _NONE,
        frozenset(map(str.casefold, filters.author)) or _NONE,
        frozenset(map(str.casefold, filters.text)) or _NONE,
        within,
    )


def parse(
    query: Iterable[tuple[str, str]],
    *,
    within: tuple[str, ...] = EVERYWHERE,
    also: frozenset[str] = frozenset(),
) -> tuple[Subscription, Position | None]:
    """The subscription and the position in a query string.

    within: patterns of pages that may be shown. also: parameters that mean other things.

    Repeat a parameter for alternatives, or use commas; only a `text` may hold one.

    Raises SubscriberError for an unknown parameter or type and for a malformed cursor.
    """
    found: dict[str, list[str]] = {name: [] for name in (*FILTERS, "cursor")}
    for name, value in query:
        if name in found:
            whole = name in {"cursor", "text"}
            found[name] += filter(None, [value] if whole else value.split(","))
        elif name not in also:
            raise unknown_filter(name, {*found, *also})
    cursors = found.pop("cursor")
    if len(cursors) > 1:
        raise SubscriberError("cursor.malformed", "more than one cursor", where="cursor")
    check_bounds(found)
    filters = Filters(**{name: tuple(values) for name, values in found.items()})
    return subscription(filters, within), position(cursors[0]) if cursors else None


def unknown_filter(name: str, allowed: Iterable[str]) -> SubscriberError:
    """That there is no such parameter."""
    fix = f"allowed: {', '.join(sorted(allowed))}"
    return SubscriberError("filter.unknown", f"no filter {name!r}", where="query", fix=fix)


def check_bounds(found: dict[str, list[str]]) -> None:
    """Raises SubscriberError for more or longer values than a filter may have."""
    for name, values in found.items():
        if len(values) > MAX_VALUES or any(len(value) > MAX_CHARS for value in values):
            raise SubscriberError(
                "filter.too_long",
                f"more than {MAX_VALUES} values, or one of more than {MAX_CHARS} characters",
                where=name,
                fix="leave the filter out, and choose among what comes",
            )
