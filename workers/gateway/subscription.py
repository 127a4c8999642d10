"""What a subscriber wants to see. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from msgspec import Struct

from service.errors import SubscriberError
from service.events import EntryEvent, EntryType, Event, PageType
from workers.gateway.protocol import StreamId, position

TYPES = frozenset(
    kind.removeprefix("stoppress.") for kind in (*get_args(EntryType), *get_args(PageType))
)
PARAMETERS = ("page", "type", "label", "cursor")


class Subscription(Struct, frozen=True):
    """A filter. Empty sets let everything through; values of one kind are alternatives."""

    pages: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()

    def shows(self, page: str) -> bool:
        """Is this page wanted?"""
        return not self.pages or page in self.pages

    def matches(self, event: Event) -> bool:
        """Is this event wanted? A label filter lets no page event through."""
        if not self.shows(event.data.page.id):
            return False
        if self.types and event.type.removeprefix("stoppress.") not in self.types:
            return False
        labels = event.data.entry.labels if isinstance(event, EntryEvent) else ()
        return not self.labels or not self.labels.isdisjoint(labels)


def parse(query: Iterable[tuple[str, str]]) -> tuple[Subscription, StreamId | None]:
    """The subscription and the position in a query string. Repeat a parameter or use commas.

    Raises SubscriberError for an unknown parameter or type and for a malformed cursor.
    """
    wanted: dict[str, set[str]] = {name: set() for name in PARAMETERS}
    for name, value in query:
        if name not in wanted:
            raise SubscriberError(
                "filter.unknown",
                f"no filter {name!r}",
                where="query",
                fix=f"allowed: {', '.join(PARAMETERS)}",
            )
        wanted[name] |= {value} if name == "cursor" else set(filter(None, value.split(",")))
    types = {kind.removeprefix("stoppress.") for kind in wanted["type"]}
    if strange := types - TYPES:
        raise SubscriberError(
            "filter.type",
            f"no event type {min(strange)!r}",
            where="type",
            fix=f"allowed: {', '.join(sorted(TYPES))}",
        )
    if len(wanted["cursor"]) > 1:
        raise SubscriberError("cursor.malformed", "more than one cursor", where="cursor")
    subscription = Subscription(
        frozenset(wanted["page"]), frozenset(types), frozenset(wanted["label"])
    )
    return subscription, next(map(position, wanted["cursor"]), None)
