"""The `reach` source: live pages of Mirror, Express and other titles of Reach plc, as HTML."""

from __future__ import annotations

from service.model import Selectors, Snapshot
from service.sources import css
from service.sources.base import Document, Memo, Source

NAME = "reach"

# <mark> names the author; in an entry of another kind the name of that kind stands in its place.
SELECTORS = Selectors(
    entry=".live-event-entry[id][data-post-time]",
    id="@id",
    title=".entry-content > :is(h2, h3):first-child",
    time="@data-post-time",
    updated="@data-last-modified-time",
    body=".entry-content",
    author="[data-type=default] .entry-info mark",
    labels={"key": ".live-event-entry[data-type=key-event]"},
)


def detects(document: Document) -> bool:
    """Entries of a live event, with their times as attributes."""
    return css.holds(document, b"live-event-entry", SELECTORS.entry)


def parse(document: Document, memo: Memo | None = None) -> Snapshot:
    """Read the page. Raises PageError as `css.page` does."""
    return css.page(NAME, SELECTORS, document, memo)


SOURCE = Source(NAME, detects, parse)
