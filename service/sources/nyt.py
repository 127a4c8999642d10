"""The `nyt` source: live pages of the New York Times, as HTML."""

from __future__ import annotations

from msgspec.structs import replace

from service.model import Entry, Paragraph, Selectors, Snapshot
from service.sources import css
from service.sources.base import Document, Memo, Source

NAME = "nyt"

# A post, or a short update by a reporter, which has no headline. Others in the feed are adverts.
SELECTORS = Selectors(
    entry="#live-feed-items [role=article]"
    ":has([data-testid=live-blog-post], [data-testid=reporter-update])",
    id="[data-url]@data-url",
    title="[data-testid=live-blog-post] h2",
    time="time",
    url="[data-url]@data-url",
    author="[data-testid=live-blog-byline]",
    skip="[data-testid=copy-link], [data-testid=share-tools], [data-testid=Show-More]",
)
_PINNED = Paragraph("Pinned")


def detects(document: Document) -> bool:
    """Posts or updates by reporters in a live feed."""
    return css.holds(document, b"live-feed-items", SELECTORS.entry)


def parse(document: Document, memo: Memo | None = None) -> Snapshot:
    """Read the page. Raises PageError as `css.page` does."""
    snapshot = css.page(NAME, SELECTORS, document, memo)
    return replace(snapshot, entries=tuple(map(_labelled, snapshot.entries)))


def _labelled(entry: Entry) -> Entry:
    """That a post is pinned is said by a word above its text."""
    if entry.body[:1] != (_PINNED,):
        return entry
    return replace(entry, body=entry.body[1:], labels=(*entry.labels, "pinned"))


SOURCE = Source(NAME, detects, parse)
