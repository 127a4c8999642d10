"""The `cnn` source: live stories of CNN, the words from the HTML and the rest from the JSON-LD.

The server's HTML leaves headlines and times to a script; the JSON-LD of the same page has them, and
rewrites quotation marks in its texts. Both name a post alike.
"""

from __future__ import annotations

from msgspec.structs import replace

from service.errors import PageError
from service.model import Entry, Selectors, Snapshot
from service.sources import css, jsonld
from service.sources.base import Document, Memo, Source

NAME = "cnn"

# `data-last-updated` moves with each edit: it is never when an entry was published.
SELECTORS = Selectors(
    entry="article.live-story-post[data-post-id],"
    " article[data-component-name=live-story-post][data-post-id]",
    id="@data-post-id",
    title=".live-story-post__headline",
    time="time, .live-story-post__timestamp",
    updated="@data-last-updated",
    body=".live-story-post__content",
    author=".live-story-post__byline",
    skip=".video-resource, .image__metadata",
)


# Headlines and times may be left to a script, so that to find none of them is no new layout.
WORDS = replace(SELECTORS, title=None, time=None)


def detects(document: Document) -> bool:
    """Posts of a live story of which most have their words in the markup."""
    if not css.holds(document, b"live-story-post", SELECTORS.entry):
        return False
    try:
        entries = css.page(NAME, WORDS, document).entries
    except PageError:
        return False
    return 2 * sum(bool(one.body) for one in entries) > len(entries)


def parse(document: Document, memo: Memo | None = None) -> Snapshot:
    """Read the page. Raises PageError as `css.page` does."""
    listed = _listed(document, memo)
    if listed is None:
        return replace(css.page(NAME, SELECTORS, document, memo), variant="markup")
    snapshot = css.page(NAME, WORDS, document, memo)
    entries = tuple(_joined(entry, listed.get(entry.id)) for entry in snapshot.entries)
    return replace(snapshot, variant="joined", entries=entries)


def _listed(document: Document, memo: Memo | None) -> dict[str, Entry] | None:
    """The posts of the page's JSON-LD by id; None where there is none to be read."""
    if not jsonld.detects(document):
        return None
    try:
        return {entry.id: entry for entry in jsonld.parse(document, memo).entries}
    except PageError:
        return None


def _joined(shown: Entry, listed: Entry | None) -> Entry:
    """A post with the headline and the times that the JSON-LD gives it."""
    if listed is None:
        return shown
    return replace(
        shown,
        title=listed.title,
        published=listed.published,
        updated=listed.updated,
        authors=shown.authors or listed.authors,
    )


SOURCE = Source(NAME, detects, parse)
