"""The `css` source: any page, by selectors that a person chose.

Also the engine of the sources whose publisher needs no more than selectors (`page`). Inside of an
entry a selector sees the entry alone, so that what an entry says never depends on what stands
around it; only a label may be told by its surroundings. It guesses nothing: what no selector names
stays empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from urllib.parse import unquote

from msgspec import Struct
from msgspec.structs import replace
from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from service.errors import ConfigError, PageError
from service.model import Author, Entry, Head, Selectors, Snapshot, block_lines, digest
from service.sources import html, times
from service.sources.base import Document, Memo, Source, body_text, decode, distinct, form

NAME = "css"

_AT = re.compile(r"(.*)@([A-Za-z_:][\w:.-]*)\s*", re.DOTALL)
_EPOCH = re.compile(r"(\d{10})(?:\.\d+)?|(\d{13})(?:\.\d+)?")
_START = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_BY = re.compile(r"^(?i:by|from)\s+(?:[A-Z]{2,}['’]s\s+)?")
# These name elements; an attribute has no blocks and matches nothing.
_ELEMENTS = ("entry", "body", "skip", "ended")
_ON_PAGE = ("entry", "head_title", "head_summary", "ended")
_LABEL_MAX_CHARS = 40
_SAMPLE_CHARS = 80
# With fewer entries, that none has a title or a time may be chance; with more it is a new layout.
_ENOUGH = 5
_FIX = "a CSS selector, such as article.post or h2; `selector@attribute` takes an attribute"


class Match(Struct, frozen=True):
    """How often a selector matched. of: how many entries there are, or 1 for the page."""

    name: str
    selector: str
    count: int
    of: int
    sample: str | None = None


class _Place(Struct, frozen=True):
    """Where a value stands. selector: "" for the entry's own element. attribute: "" for words."""

    selector: str
    attribute: str = ""


class _Stamp(Struct, frozen=True):
    """A time as the markup has it. words: what may say it, best first, if it is not exact."""

    at: datetime | None = None
    words: tuple[str, ...] = ()


class _Hour(Struct, frozen=True):
    """What words mean at both ends of an hour. lacks_zone: they would be a time with one."""

    first: times.When | None
    last: times.When | None
    lacks_zone: bool


class _Post(Struct, frozen=True):
    """An entry before its time and its place on the page are settled."""

    native: str | None
    entry: Entry
    published: _Stamp
    updated: _Stamp
    labels: tuple[str, ...] = ()
    said: times.When | None = None


def detects(_document: Document) -> bool:
    """Never: this source is only ever chosen."""
    return False


def parse(document: Document, memo: Memo | None = None) -> Snapshot:
    """Read the page by its own selectors.

    Raises PageError: page.selectors when there are none or one is no selector, page.malformed when
    one matches nothing, and whatever is wrong with the page.
    """
    try:
        selectors = checked(document.reading.selectors, where=document.url)
    except ConfigError as error:
        raise PageError("page.selectors", error.what, where=document.url, fix=error.fix) from error
    return page(NAME, selectors, document, memo)


def checked(selectors: Selectors | None, *, where: str = "") -> Selectors:
    """The selectors, each of them well formed. Raises ConfigError naming the one that is not."""
    if selectors is None:
        raise ConfigError(
            "selectors.missing",
            "the source css needs selectors",
            where=where,
            fix="at least `entry`; `stoppress check` proposes some",
        )
    for name, written in _written(selectors):
        if problem := _problem(name, written):
            raise ConfigError(
                "selectors.malformed", f'{name} = "{written}" {problem}', where=where, fix=_FIX
            )
    return selectors


def matched(document: Document) -> tuple[Match, ...]:
    """How often each of the document's selectors matches, and the first thing that it matches.

    Raises ConfigError as `checked` does, PageError when the body is empty or broken.
    """
    selectors = checked(document.reading.selectors, where=document.url)
    tree = html.parsed(body_text(document), where=document.url)
    nodes = _matches(tree, selectors.entry)
    entries = [node.clone() for node in nodes]
    return tuple(
        _match(name, written, tree, nodes if name.startswith("labels.") else entries)
        for name, written in _written(selectors)
    )


def holds(document: Document, sign: bytes, selector: str) -> bool:
    """Whether an HTML document has such an element. sign: what stands in every such document."""
    if sign not in document.body:
        return False
    text = decode(document)
    try:
        is_html = form(document, text) == "html"
        return is_html and html.parsed(text, where=document.url).css_first(selector) is not None
    except PageError:
        return False


def page(name: str, selectors: Selectors, document: Document, memo: Memo | None = None) -> Snapshot:
    """What a page says, read for the source `name` by well-formed selectors.

    Raises PageError when it is empty, cut off, broken or a consent page, has no entry, or has
    entries without what a selector should find in each of them.
    """
    text, memo = body_text(document), memo or Memo()
    tree = html.parsed(text, where=document.url)
    nodes = _matches(tree, selectors.entry)
    if not nodes:
        raise html.without_entries(
            text,
            where=document.url,
            expected=f'entries by the selector entry = "{selectors.entry}"',
        )
    if not html.is_closed(text):
        raise html.cut_off(document.url)
    head = _head(tree, selectors, document)
    posts = _posts(tree, nodes, selectors, document, memo, head.url or document.url)
    _doubt(posts, selectors, document.url)
    kept = _own(posts)
    names = distinct([post.native or _fallback_id(name, post) for post in kept])
    named = tuple(zip(names, kept, strict=True))
    return Snapshot(
        source=name,
        head=head,
        entries=tuple(
            replace(post.entry, id=given, labels=post.labels, position=position)
            for position, (given, post) in enumerate(named, start=1)
        ),
        seen_at=document.seen_at,
        undated=tuple(given for given, post in named if post.said and not post.said.dated),
        warnings=tuple(_warnings(kept, _Clock(document, memo))),
    )


def _posts(
    tree: LexborHTMLParser,
    nodes: list[LexborNode],
    selectors: Selectors,
    document: Document,
    memo: Memo,
    base_url: str,
) -> list[_Post]:
    """Every entry that the page shows, in page order, copies among them."""
    if len(html.outermost(nodes)) < len(nodes):
        raise PageError(
            "page.malformed",
            f'an entry stands inside of another entry: entry = "{selectors.entry}"',
            where=document.url,
            fix="it cannot be told which text belongs to which; choose a narrower selector",
        )
    labels, clock = _labels(tree, selectors, nodes), _Clock(document, memo)
    key = f"{base_url}\0{digest(selectors)}\0"
    posts = []
    for node in nodes:
        piece = f"{key}{node.html}"
        post = memo.read(piece, partial(_read, node, selectors, base_url))
        posts.append(clock.timed(post, labels.get(node.mem_id, ())))
    return posts


# --- selectors -----------------------------------------------------------------------------------


def _written(selectors: Selectors) -> Iterator[tuple[str, str]]:
    """Each selector that is given, by its name in the configuration."""
    for name in selectors.__struct_fields__:
        value = getattr(selectors, name)
        if isinstance(value, dict):
            yield from ((f"labels.{label}", written) for label, written in value.items())
        elif value is not None:
            yield name, value


@lru_cache(maxsize=1024)
def _problem(name: str, written: str) -> str | None:
    place = _place(written)
    is_element = name in _ELEMENTS or name.startswith("labels.")
    if place.attribute and is_element:
        return "must name an element, not an attribute"
    if place.attribute and not place.selector and name in _ON_PAGE:
        return "must name an element: a page has no element of its own"
    if place.attribute and not place.selector:
        return None
    try:
        LexborHTMLParser("<p>").css(place.selector)
    except SelectolaxError:
        return "is no CSS selector"
    return None


@lru_cache(maxsize=1024)
def _place(written: str) -> _Place:
    if found := _AT.fullmatch(written):
        return _Place(found[1].strip(), found[2].lower())
    return _Place(written.strip())


def _matches(place: LexborHTMLParser | LexborNode, selector: str) -> list[LexborNode]:
    """What a selector matches, in page order; an element that two of a list match comes once."""
    return list({node.mem_id: node for node in place.css(selector)}.values())


def _found(entry: LexborNode, written: str | None) -> LexborNode | None:
    """The first element that is meant."""
    if written is None:
        return None
    place = _place(written)
    return entry.css_first(place.selector) if place.selector else entry


def _all(entry: LexborNode, written: str | None) -> list[LexborNode]:
    """All that are meant, but for those inside of another."""
    if written is None:
        return []
    place = _place(written)
    return html.outermost(_matches(entry, place.selector)) if place.selector else [entry]


def _value(entry: LexborNode, written: str | None, *, skip: Iterable[LexborNode] = ()) -> str:
    node = _found(entry, written)
    if node is None or written is None:
        return ""
    attribute = _place(written).attribute
    return html.attribute(node, attribute) if attribute else html.text(node, skip=skip)


def _match(name: str, written: str, tree: LexborHTMLParser, nodes: list[LexborNode]) -> Match:
    place = _place(written)
    is_on_page = name in _ON_PAGE
    if is_on_page:
        found = _matches(tree, place.selector)[: None if name == "entry" else 1]
    else:
        found = [one for one in (_found(node, written) for node in nodes) if one is not None]
    words = [html.attribute(one, place.attribute) for one in found] if place.attribute else []
    said = filter(None, words or map(html.all_text, found))
    return Match(
        name,
        written,
        count=sum(map(bool, words)) if place.attribute else len(found),
        of=1 if is_on_page and name != "entry" else len(nodes),
        sample=next(said, "")[:_SAMPLE_CHARS] or None,
    )


# --- the page ------------------------------------------------------------------------------------


def _head(tree: LexborHTMLParser, selectors: Selectors, document: Document) -> Head:
    canonical = tree.css_first("link[rel=canonical]")
    url = html.web_url(canonical.attributes.get("href"), document.url) if canonical else None
    ended = selectors.ended
    return Head(
        title=_first(tree, (selectors.head_title,) if selectors.head_title else ("h1", "title")),
        summary=_first(tree, (selectors.head_summary or "meta[name=description]@content",)),
        url=url or document.url or None,
        live=None if ended is None else tree.css_first(ended) is None,
    )


def _first(tree: LexborHTMLParser, several: Iterable[str]) -> str | None:
    """The first words that the places have."""
    root = tree.root
    if root is None:
        return None
    return next(filter(None, (_value(root, one) for one in several)), None)


def _labels(
    tree: LexborHTMLParser, selectors: Selectors, nodes: Sequence[LexborNode]
) -> dict[int, tuple[str, ...]]:
    """The labels of each entry that has any: of those that match a selector or hold what does."""
    own = {node.mem_id for node in nodes}
    labels: dict[int, tuple[str, ...]] = {}
    for label, selector in selectors.labels.items():
        for found in _matches(tree, selector):
            around = (one.mem_id for one in (found, *html.ancestors(found)))
            entry = next((one for one in around if one in own), None)
            if entry is not None and label not in labels.get(entry, ()):
                labels[entry] = (*labels.get(entry, ()), label)
    return labels


def _doubt(posts: Sequence[_Post], selectors: Selectors, where: str) -> None:
    """Refuse a page whose entries all lack what they should have: its layout has changed."""
    lacking = {
        "id": all(post.native is None for post in posts),
        "title": len(posts) >= _ENOUGH and all(post.entry.title is None for post in posts),
        "time": len(posts) >= _ENOUGH and all(post.published == _Stamp() for post in posts),
        "body": len(posts) >= _ENOUGH
        and not any(post.entry.body or post.entry.media for post in posts),
    }
    for name, written in _written(selectors):
        if lacking.get(name):
            raise PageError(
                "page.malformed",
                f'the selector {name} = "{written}" finds nothing in any of {len(posts)} entries',
                where=where,
                fix="has the layout of the page changed? see `stoppress check`",
            )


# --- one entry, by itself ------------------------------------------------------------------------


def _read(node: LexborNode, selectors: Selectors, base_url: str) -> _Post:
    """One entry, from a copy of its element that has nothing around it."""
    entry = node.clone()
    badges = [one for label in selectors.labels.values() for one in entry.css(label)]
    badges = [one for one in badges if _is_badge(one)]
    whens = [_found(entry, selectors.time), _found(entry, selectors.updated)]
    apart = [*badges, *_all(entry, selectors.author), *_all(entry, selectors.skip)]
    apart += [one for one in whens if one is not None]
    apart = [one for one in apart if one.mem_id != entry.mem_id]
    title = _value(entry, selectors.title, skip=apart) or None
    heading = _found(entry, selectors.title)
    if heading is not None and heading.mem_id != entry.mem_id:
        apart.append(heading)
    content = _content(entry, selectors, base_url, apart)
    native = _fragment(_value(entry, selectors.id)) or None
    published, updated = _stamp(entry, selectors.time), _stamp(entry, selectors.updated)
    return _Post(
        native,
        Entry(
            id="",
            title=title,
            published=published.at,
            updated=_later(updated.at, published.at),
            authors=_authors(entry, selectors.author),
            body=content.body,
            media=content.media,
            url=_url(entry, selectors, native, base_url),
        ),
        published,
        updated,
    )


def _is_badge(node: LexborNode) -> bool:
    """Whether the element of a label holds its words and nothing else."""
    return len(html.all_text(node)) <= _LABEL_MAX_CHARS and node.css_first("p, h2, h3") is None


def _content(
    entry: LexborNode, selectors: Selectors, base_url: str, apart: Sequence[LexborNode]
) -> html.Content:
    if selectors.body is None:
        return html.content(entry, base_url=base_url, skip=apart)
    skip = {one.mem_id for one in apart}
    nodes = [one for one in _all(entry, selectors.body) if one.mem_id not in skip]
    return html.contents(nodes, base_url=base_url, skip=apart)


def _fragment(value: str) -> str:
    """An id without the address of its page."""
    return html.collapse(unquote(value.partition("#")[2])) or value


def _url(entry: LexborNode, selectors: Selectors, native: str | None, base_url: str) -> str | None:
    """Where the entry is; without a selector, its place on the page if its id is an anchor."""
    if selectors.url is not None:
        place = _value(entry, selectors.url)
        return html.web_url(place, base_url) if place else None
    own = html.attribute(entry, "id")
    inner = (html.attribute(one, "id") for one in entry.css("[id]")) if native else ()
    anchor = own or (native if native in inner else "")
    return f"{base_url.partition('#')[0]}#{anchor}" if anchor and base_url else None


def _authors(entry: LexborNode, written: str | None) -> tuple[Author, ...]:
    if written is None:
        return ()
    name = _place(written).attribute
    found = _all(entry, written)
    read = (_author([html.attribute(one, name)] if name else _lines(one)) for one in found)
    return tuple(dict.fromkeys(one for one in read if one is not None))


def _lines(node: LexborNode) -> list[str]:
    return [line for block in html.content(node).body for line in block_lines(block)]


def _author(lines: Sequence[str]) -> Author | None:
    """The name stands on the first line, a role after it."""
    name = _BY.sub("", lines[0]) if lines else ""
    return Author(name, " ".join(lines[1:]) or None) if name else None


# --- when ----------------------------------------------------------------------------------------


def _stamp(entry: LexborNode, written: str | None) -> _Stamp:
    node = _found(entry, written)
    if node is None or written is None:
        return _Stamp()
    if name := _place(written).attribute:
        said: tuple[str, ...] = (html.attribute(node, name),)
    else:
        said = (html.attribute(node, "datetime"), html.text(node), html.all_text(node))
    exact = next(filter(None, map(instant, said)), None)
    return _Stamp(exact) if exact else _Stamp(None, tuple(dict.fromkeys(filter(None, said))))


def instant(value: str) -> datetime | None:
    """A time with a zone as ISO 8601, or seconds or milliseconds since 1970."""
    if found := _EPOCH.fullmatch(value):
        return _START + timedelta(milliseconds=round(float(value) * (1000 if found[1] else 1)))
    return times.instant(value)


def _later(updated: datetime | None, published: datetime | None) -> datetime | None:
    """When an entry was updated, if that was after it was published."""
    is_later = updated is not None and (published is None or updated > published)
    return updated if is_later else None


class _Clock:
    """What words mean that say when, for whoever reads them now.

    The later they are read, the later is what they mean, if anything: if they mean the same at
    both ends of an hour, they do so all through it, and that is kept.
    """

    def __init__(self, document: Document, memo: Memo) -> None:
        self._seen_at, self._zone, self._memo = document.seen_at, document.reading.zone, memo
        self._start = document.seen_at.replace(minute=0, second=0, microsecond=0)
        self._key = f"when\0{self._zone}\0{self._start.isoformat()}\0"

    def timed(self, post: _Post, labels: tuple[str, ...]) -> _Post:
        """The post as this poll sees it: with its labels, and times that words have to say."""
        if not (post.published.words or post.updated.words):
            return replace(post, labels=labels) if labels else post
        said, later = self._said(post.published), self._said(post.updated)
        published = said.at if said else post.published.at
        updated = _later(later.at if later else post.updated.at, published)
        entry = replace(post.entry, published=published, updated=updated)
        return replace(post, entry=entry, labels=labels, said=said)

    def lacks_zone(self, stamp: _Stamp) -> bool:
        """Whether the words would be a time if we knew their zone."""
        return self._hour(stamp).lacks_zone

    def _said(self, stamp: _Stamp) -> times.When | None:
        if not stamp.words:
            return None
        read = self._hour(stamp)
        return read.first if read.first == read.last else self._read(stamp, self._seen_at)

    def _hour(self, stamp: _Stamp) -> _Hour:
        return self._memo.read(self._key + "\0".join(stamp.words), partial(self._all_of, stamp))

    def _all_of(self, stamp: _Stamp) -> _Hour:
        first, last = self._read(stamp, self._start), self._read(stamp, self._start + _HOUR)
        is_zoneless = first is None and self._zone is None
        return _Hour(first, last, is_zoneless and self._read(stamp, self._start, "UTC") is not None)

    def _read(self, stamp: _Stamp, seen_at: datetime, zone: str | None = None) -> times.When | None:
        zone = self._zone or zone
        read = (times.when(one, seen_at=seen_at, default_zone=zone) for one in stamp.words)
        return next(filter(None, read), None)


# --- all of them ---------------------------------------------------------------------------------


def _own(posts: Sequence[_Post]) -> list[_Post]:
    """Each entry once: a pinned copy is a label of the one in its own place."""
    places: dict[str, int] = {}
    for place, post in enumerate(posts):
        known = places.get(post.native or "")
        if post.native and (known is None or _is_pinned(posts[known]) > _is_pinned(post)):
            places[post.native] = place
    own = [
        post
        for place, post in enumerate(posts)
        if post.native is None or places[post.native] == place
    ]
    pinned = {post.native for post in posts if post.native and _is_pinned(post)}
    return [
        replace(post, labels=tuple(dict.fromkeys((*post.labels, "pinned"))))
        if post.native in pinned
        else post
        for post in own
    ]


def _is_pinned(post: _Post) -> bool:
    return "pinned" in post.labels


def _fallback_id(name: str, post: _Post) -> str:
    """From when it was published and its title; from its words when it has neither."""
    when = post.entry.published.isoformat() if post.entry.published else None
    if post.said is not None and not post.said.dated:
        when = post.said.clock.isoformat()
    if when is None and post.entry.title is None:
        return digest(name, post.entry.body)
    return digest(name, when, post.entry.title)


def _warnings(posts: Sequence[_Post], clock: _Clock) -> Iterator[str]:
    if unnamed := sum(post.native is None for post in posts):
        yield f"{unnamed} of {len(posts)} entries have no id of the publisher"
    why: dict[str, list[str]] = {}
    for post in posts:
        if post.entry.published is None and post.published.words:
            why.setdefault(_why(post.published, clock), []).append(post.published.words[-1])
    for what, words in why.items():
        yield f'the times of {len(words)} entries, such as "{words[0]}", {what}'


def _why(stamp: _Stamp, clock: _Clock) -> str:
    """Why words are no time."""
    if clock.lacks_zone(stamp):
        return 'name no zone: set "zone"'
    is_relative = any(map(times.is_relative, stamp.words))
    return "only say how long ago: that is no time" if is_relative else "are not understood"


SOURCE = Source(NAME, detects, parse)
