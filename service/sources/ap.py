"""The `ap` source: live blogs of the Associated Press, as HTML."""

from __future__ import annotations

from service.model import Selectors, Snapshot
from service.sources import css
from service.sources.base import Document, Memo, Source

NAME = "ap"

SELECTORS = Selectors(
    entry=":is(bsp-liveblog-post, .LiveBlogPost)[data-post-id][data-posted-date-timestamp]",
    id="@data-post-id",
    title=".LiveBlogPost-headline",
    time="@data-posted-date-timestamp",
    body=".LiveBlogPost-body",
    skip="bsp-copy-link",
)


def detects(document: Document) -> bool:
    """Posts of a live blog, with their ids and times as attributes."""
    return css.holds(document, b"data-posted-date-timestamp", SELECTORS.entry)


def parse(document: Document, memo: Memo | None = None) -> Snapshot:
    """Read the page. Raises PageError as `css.page` does."""
    return css.page(NAME, SELECTORS, document, memo)


SOURCE = Source(NAME, detects, parse)
