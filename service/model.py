"""The words of the contract as frozen types. No I/O, no clock, no other module of Stoppress.

Times are aware datetimes in UTC. Text is plain; links and emphasis are marks over it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

import msgspec
import xxhash
from msgspec import Struct

# Values that hold no cycle are none of the garbage collector's business: gc=False. It would look
# at each of them again and again.


class Author(Struct, frozen=True, gc=False):
    """Who wrote an entry, with the role that the page gives ("Russia editor")."""

    name: str
    role: str | None = None


class Mark(Struct, frozen=True, gc=False):
    """A link or emphasis over text[start:end], in code points."""

    start: int
    end: int
    kind: Literal["link", "strong", "em"]
    url: str | None = None


class Line(Struct, frozen=True, gc=False):
    """A run of text with its marks: one list item."""

    text: str
    marks: tuple[Mark, ...] = ()


class Paragraph(Struct, frozen=True, gc=False, tag_field="type", tag="paragraph"):
    """A paragraph of text."""

    text: str
    marks: tuple[Mark, ...] = ()


class ListBlock(Struct, frozen=True, gc=False, tag_field="type", tag="list"):
    """A bulleted or numbered list."""

    items: tuple[Line, ...]
    ordered: bool = False


class Quote(Struct, frozen=True, gc=False, tag_field="type", tag="quote"):
    """Quoted words; cite: whose they are."""

    text: str
    marks: tuple[Mark, ...] = ()
    cite: str | None = None


class Heading(Struct, frozen=True, gc=False, tag_field="type", tag="heading"):
    """A heading inside an entry."""

    text: str
    level: int = 3


class Image(Struct, frozen=True, gc=False, tag_field="type", tag="image"):
    """An image with its words kept apart from the entry's text."""

    url: str | None = None
    alt: str | None = None
    caption: str | None = None
    credit: str | None = None


class Video(Struct, frozen=True, gc=False, tag_field="type", tag="video"):
    """A video or audio clip."""

    url: str | None = None
    caption: str | None = None


class Embed(Struct, frozen=True, gc=False, tag_field="type", tag="embed"):
    """Something that another site provides: a post, a chart."""

    provider: str | None = None
    url: str | None = None


class Table(Struct, frozen=True, gc=False, tag_field="type", tag="table"):
    """Rows of cells as text."""

    rows: tuple[tuple[str, ...], ...]


Block = Paragraph | ListBlock | Quote | Heading | Image | Video | Embed | Table
Media = Image | Video


class Entry(Struct, frozen=True, gc=False, kw_only=True):
    """One post of a live page.

    body holds the text blocks and embeds, media the images and videos, each in page order.
    position counts from 1 at the top of the page, as it was when this was observed.
    """

    id: str
    title: str | None = None
    published: datetime | None = None
    updated: datetime | None = None
    labels: tuple[str, ...] = ()
    authors: tuple[Author, ...] = ()
    body: tuple[Block, ...] = ()
    media: tuple[Media, ...] = ()
    url: str | None = None
    position: int = 0

    @property
    def text(self) -> str:
        """The body as plain text, one block or list item a line. No caption, credit or alt text."""
        return "\n".join(line for block in self.body for line in block_lines(block))


def block_lines(block: Block) -> Iterator[str]:
    """The text lines of a block. Media and embeds have none: their words are not the entry's."""
    match block:
        case Paragraph(text=text) | Quote(text=text) | Heading(text=text):
            yield text
        case ListBlock(items=items):
            for item in items:
                yield item.text
        case Table(rows=rows):
            for row in rows:
                yield "\t".join(row)
        case Image() | Video() | Embed():
            return


def content(entry: Entry) -> dict[str, object]:
    """The fields of an entry whose change is an edit, without what changes by itself.

    Left out: id, url, updated and position; the host, size folder and query of media addresses.
    """
    return {
        "title": entry.title,
        "published": entry.published,
        "labels": sorted(entry.labels),
        "authors": entry.authors,
        "body": entry.body,
        "media": [_media_content(medium) for medium in entry.media],
    }


def _media_content(medium: Media) -> tuple[str | None, ...]:
    words: tuple[str | None, ...]
    match medium:
        case Image(alt=alt, caption=caption, credit=credit):
            words = ("image", alt, caption, credit)
        case Video(caption=caption):
            words = ("video", caption)
    if any(words[1:]) or medium.url is None:
        return words
    return (*words, urlsplit(medium.url).path.rsplit("/", 1)[-1])


def says_same(one: Entry, other: Entry) -> bool:
    """Whether two entries are sure to have the same content: quicker than two digests.

    False means nothing: media addresses may differ in what does not count.
    """
    return (
        one.title == other.title
        and one.published == other.published
        and one.labels == other.labels
        and one.authors == other.authors
        and one.body == other.body
        and one.media == other.media
    )


def digest(*parts: object) -> str:
    """A stable 128-bit hex digest over JSON-encodable parts."""
    return hashlib.blake2b(
        msgspec.json.encode(parts, order="deterministic"), digest_size=16
    ).hexdigest()


def body_digest(body: bytes) -> str:
    """Two bodies with the same digest are the same bytes. Quick, and no proof against forgery."""
    return xxhash.xxh3_128_hexdigest(body)


def content_digest(entry: Entry) -> str:
    """Two entries with the same digest say the same."""
    return digest(content(entry))


# --- what one poll saw -------------------------------------------------------------------------


class Head(Struct, frozen=True, kw_only=True):
    """The page apart from its entries. live: what the page says of itself, if it does.

    authors: of the page as a whole, where entries may repeat them.
    """

    title: str | None = None
    summary: str | None = None
    url: str | None = None
    live: bool | None = None
    authors: tuple[Author, ...] = ()


class Snapshot(Struct, frozen=True, kw_only=True):
    """What one poll saw: entries in page order (top first).

    variant: which of the forms that the source reads this was, if it has several; never flips.
    complete: the source knows that no entry lies below the last one; otherwise this is a window.
    partial: what is absent says nothing, as in a log of changes: only `withdrawn` takes away.
    withdrawn: ids that the page itself says are gone (tombstones).
    undated: ids of entries whose time came without a date, so that their day was filled in.
    repeated: by field, ids of entries that there only say again what the page says of itself; what
    is known of them stays.
    silent: fields of an entry that this answer has no place for; what is known of them stays.
    modified: when the page says that it last changed. successor: where it says that it goes on.
    warnings: what `stoppress check` should tell a person; never an event.
    """

    source: str
    head: Head
    entries: tuple[Entry, ...]
    seen_at: datetime
    variant: str = ""
    complete: bool = False
    partial: bool = False
    withdrawn: tuple[str, ...] = ()
    undated: tuple[str, ...] = ()
    repeated: dict[str, frozenset[str]] = {}
    silent: tuple[str, ...] = ()
    modified: datetime | None = None
    successor: str | None = None
    warnings: tuple[str, ...] = ()


class Clocks(Struct, frozen=True, kw_only=True):
    """What a response says of its own age; each clock is only ever compared with itself.

    modified: Last-Modified. generated: by Date and Age (RFC 9111 section 4.2.3). Neither is ahead
    of our own clock. said: when the page itself says that it last changed.
    """

    modified: datetime | None = None
    generated: datetime | None = None
    said: datetime | None = None


# --- what is known of a page ---------------------------------------------------------------------

PendingKind = Literal["removed", "edited", "restored", "updated"]
PageStatus = Literal["live", "paused", "ended"]
HealthStatus = Literal["healthy", "stale", "blocked", "degraded", "ended"]


class Selectors(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the `css` source finds things. Each is a CSS selector, inside of an entry's element but
    for `entry` itself, `head_title`, `head_summary` and `ended`.

    `selector@attribute` takes an attribute instead of the words, `@attribute` one of the entry's
    own element. labels: by label, what an entry with it matches or holds. ended: what the page
    shows once coverage is over.
    """

    entry: str
    id: str | None = None
    title: str | None = None
    time: str | None = None
    updated: str | None = None
    body: str | None = None
    author: str | None = None
    url: str | None = None
    labels: dict[str, str] = {}
    skip: str | None = None
    head_title: str | None = None
    head_summary: str | None = None
    ended: str | None = None


class Reading(Struct, frozen=True, kw_only=True):
    """How a page is to be read, where its source leaves a choice.

    selectors: for `css`. zone: IANA name, for times in words without a zone. older_pages: how many
    of its older pages are read, once, for the baseline.
    """

    selectors: Selectors | None = None
    zone: str | None = None
    older_pages: int = 0


class Page(Struct, frozen=True, kw_only=True):
    """A page that is followed. source: forced source, or None to detect it from the page.

    follow_next: follow the page that it names as its successor too. since: it goes on from a page
    that was followed until then, so that what is newer is news. rereads: how often a person said
    that it is to be taken as it then is, whichever way it is read.
    """

    id: str
    url: str
    source: str | None = None
    paused: bool = False
    reading: Reading = Reading()
    follow_next: bool = False
    rereads: int = 0
    since: datetime | None = None


class PageRef(Struct, frozen=True, kw_only=True):
    """How an event names its page."""

    id: str
    url: str
    title: str | None = None
    source: str | None = None


class Health(Struct, frozen=True, kw_only=True):
    """Whether we can see the page. Written after every poll.

    since: when `status` began. failures: bad polls in a row. reason: the code of the last one.
    next_poll: when the next poll is due; a reader that finds it long past knows that nobody polls.
    """

    status: HealthStatus = "healthy"
    reason: str | None = None
    detail: str | None = None
    since: datetime | None = None
    last_poll: datetime | None = None
    last_good_poll: datetime | None = None
    next_poll: datetime | None = None
    failures: int = 0


class Pending(Struct, frozen=True, kw_only=True):
    """A change that goes back in time and waits for good polls in a row that agree on it.

    digest: what the entry (or the head) would become. after, at: as in an event's `observed`.
    uncertain: as in its event, once it counts.
    """

    kind: PendingKind
    digest: str
    polls: int
    after: datetime | None
    at: datetime
    uncertain: bool = False


class EntryState(Struct, frozen=True, gc=False, kw_only=True):
    """The last revision of an entry, with the digests of the earlier ones.

    changed: when it was seen to have become so.
    """

    entry: Entry
    revision: int
    baseline: bool = False
    removed: bool = False
    changed: datetime | None = None
    digest: str
    earlier: tuple[str, ...] = ()


class PageMeta(Struct, frozen=True, kw_only=True):
    """A page's state apart from its entries; written whole with every commit.

    version counts commits, sequence counts events. source, variant: how the page is read, which
    never changes by itself. opened: a first snapshot was accepted. successor: where the page said
    that it goes on. rereads: those of the page that were followed. silent: fields of which nothing
    could be known yet. window: the entry ids of the last good snapshot, oldest first, with pending
    removals kept in their place. below: those that slid out of it before, oldest first, as far as
    they are kept. horizon: the oldest published time of the baseline. heads: digests of earlier
    heads. aliases: ids that the publisher re-issued, mapped to the id we publish. pending: by
    entry id, under "" the head, under "clock" the page's own clock. body_digest, etag,
    last_modified, clocks: of the last accepted body, true only together with this version.
    """

    version: int = 0
    sequence: int = 0
    last_event_id: str | None = None
    source: str | None = None
    variant: str = ""
    rereads: int = 0
    silent: tuple[str, ...] = ()
    opened: bool = False
    successor: str | None = None
    head: Head = Head()
    heads: tuple[str, ...] = ()
    status: PageStatus = "live"
    degraded: bool = False
    etag: str | None = None
    last_modified: str | None = None
    body_digest: str | None = None
    clocks: Clocks = Clocks()
    window: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    pending: dict[str, Pending] = {}
    aliases: dict[str, str] = {}
    horizon: datetime | None = None
    last_good_poll: datetime | None = None


class PageState(Struct, frozen=True, kw_only=True):
    """All that is known of a page."""

    page: Page
    meta: PageMeta = PageMeta()
    entries: dict[str, EntryState] = {}

    @property
    def ref(self) -> PageRef:
        """How events name this page."""
        return PageRef(
            id=self.page.id, url=self.page.url, title=self.meta.head.title, source=self.meta.source
        )
