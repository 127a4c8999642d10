"""The `bbc` source: live pages of BBC News, BBC Sport and BBC World Service.

Two forms: "data", the posts as JSON (in the page, in the stream that it polls, or such a body by
itself), and "markup", the posts as HTML where a page holds no such data. A page with both is read
as data. Anchored on element names, test ids and native post ids; class hashes, inner ids and
addresses of image sizes never reach an entry. A label is an element or a field, never a word of a
title.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Raw, Struct
from selectolax.lexbor import LexborHTMLParser, LexborNode

from service.errors import PageError
from service.model import Author, Entry, Head, Snapshot, block_lines, digest
from service.sources import html, optimo, pieces, times
from service.sources.base import Document, Memo, Source, body_text, decode, distinct, form
from service.sources.optimo import Envelope, Stream

NAME = "bbc"
DEFAULT_ZONE = "Europe/London"

_POST = "article[data-testid=content-post]"
_POST_TAG = re.compile(r"<article\b[^<>]*?\sdata-testid\s*=\s*[\"']?content-post\b[^<>]*>")
_NESTED_POST = f"{_POST} {_POST}"
_SIGNS = re.compile(
    rb"content-post|[Ll]iveText|live-header|live-page|isBreakingNews|firstPublished"
)
_LIVE_PARTS = "#LiveText, [data-testid^=live-header], [data-testid=live-page]"
_LIVE_WORDS = re.compile(r"liveTextStreamId|live-header\?")
_IS_LIVE = re.compile(r'isLive\\*"\s*:\s*(true|false)')
_LIVE_HEADER = "live-header?"

_INITIAL_DATA = re.compile(r"window\.__INITIAL_DATA__\s*=\s*")
_NEXT_DATA = re.compile(r"<script[^<>]*\bid=[\"']?__NEXT_DATA__\b[^<>]*>")
_SCRIPT_END = "</script"
_CONTAINER = "/wc-data/container/stream"
_QUERY = re.compile(rb'"stream\?((?:[^"\\<>\s]|\\+u0026)+)\\*"\s*:')
_FEED_PATH = b"/fd/stream"
_FEED = re.compile(rb"[^\"'\s<>\\]*/fd/stream(?:\?[^\"'\s<>\\]*)?")
_ORIGIN_MAX_BYTES = 100
_STREAM_ID = re.compile(rb'"liveTextStream"\s*:\s*\{[^{}]*?"id"\s*:\s*"(\w+)"')
_PAGE_NUMBER = re.compile(r"(?<=[?&]pageNumber=)\d+")

_HEADING = "h2, h3, [class*=HeadlineWrap]"
# The one for screen readers first: it says the most.
_TIMES = ("accessible-timestamp", "timestamp", "")
_TIME_NODES = "[data-testid=accessible-timestamp], [data-testid=timestamp], time"
_BREAKING_NODES = "[data-testid*=reaking], [class*=reaking]"
_BREAKING = re.compile(r"(?<![A-Za-z])breaking|Breaking")
_NOT_BREAKING = re.compile(r"(?:word|line|non)-breaking", re.IGNORECASE)
_PINNED = re.compile(r"(?<![a-z])pinned|Pinned")
_PINNED_HINT = b"inned"
_PINNED_NODES = "[data-testid*=inned], [class*=inned]"
_CONTRIBUTOR = "[class*=Contributor], [data-testid*=contributor]"
_SHARE = "[data-testid*=share], [class*=ShareTools], [class*=ShareButton]"
_POINTS = "[data-testid^=summary], [class*=SummaryPoints], [class*=summary-points]"
_PUBLISHED = re.compile(r"published at\b", re.IGNORECASE)
_TAIL = re.compile(r"\s*published at (?P<time>\d{1,2}:\d{2}.*)$")
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ASSET = re.compile(rf"asset:(?:{_UUID}|[0-9A-Za-z-]+)(?:\??=[\w=-]+)?", re.IGNORECASE)
_TEXT_TAGS = frozenset(("p", "li", "blockquote", "figure", "td", "th"))
_DECORATION = re.compile(r"^post[-_:]")
# A post without a headline is given this one.
_UNTITLED = "Post"
_HOUR = timedelta(hours=1)
_LABEL_MAX_CHARS = 40


class _Post(Struct, frozen=True, gc=False):
    """An entry before its place on the page is settled.

    native: the publisher's own id. time: the words that say when. is_undated: the day was filled
    in.
    """

    native: str | None
    entry: Entry
    time: str = ""
    is_pinned: bool = False
    is_undated: bool = False


class _Feed(Struct, frozen=True):
    """Posts as JSON, in page order. complete: no further page follows."""

    posts: tuple[Raw, ...]
    complete: bool = False
    warnings: tuple[str, ...] = ()


def detects(document: Document) -> bool:
    """Posts in the markup or the JSON of BBC live pages, or such a page before its first post."""
    if not _SIGNS.search(document.body):
        return False
    text = decode(document)
    try:
        match form(document, text):
            case "html":
                tree = html.parsed(text, where=document.url)
                return (
                    tree.css_first(_POST) is not None
                    or _is_live_page(tree, text)
                    or _is_page(_envelope(text, document.url))
                )
            case "json":
                found = _value(text, document.url)
                stream = optimo.stream(found)
                return bool(stream and stream.posts) or _is_page(optimo.envelope(found))
            case "text":
                return False
    except PageError:
        return False


def parse(document: Document, memo: Memo | None = None) -> Snapshot:
    """Read the page. Raises PageError when it is empty, cut off, broken, a consent page, or has no
    post though it does not say of itself that it is a live page.
    """
    text, memo = body_text(document), memo or Memo()
    if form(document, text) == "json":
        return _json_snapshot(document, text, memo)
    return _html_snapshot(document, text, memo)


def wants(document: Document) -> tuple[str, ...]:
    """The stream that a page polls, on each poll; then its older pages, if they are asked for."""
    address = _stream_address(document)
    if address is None:
        return ()
    if (part := _fresh(document, address)) is None:
        return (address,)
    if part.status != 200 or not document.reading.older_pages:
        return ()
    try:
        older = _older(document, address, _stream(part))
    except PageError:
        return ()
    return tuple(one for one in older if _fresh(document, one) is None)


# --- JSON ----------------------------------------------------------------------------------------


def _json_snapshot(document: Document, text: str, memo: Memo) -> Snapshot:
    found = _value(text, document.url)
    said = optimo.envelope(found)
    stream = optimo.stream(found) or said.stream or Stream(())
    if not stream.posts and not _is_page(said):
        raise _without_posts(document.url)
    head = Head(
        title=said.title,
        summary=said.points or said.description,
        url=document.url or None,
        live=said.live,
    )
    feed = _Feed(stream.posts, stream.is_last)
    return _data_snapshot(document, head, feed, said, memo, page_url="")


def _data_snapshot(
    document: Document, head: Head, feed: _Feed, said: Envelope, memo: Memo, *, page_url: str
) -> Snapshot:
    """page_url: of the page that shows the posts; "" when that is not known."""
    posts = _data_posts(feed.posts, document.url, page_url, memo)
    entries, _, warnings = _entries(posts)
    return Snapshot(
        source=NAME,
        variant="data",
        head=head,
        entries=entries,
        seen_at=document.seen_at,
        complete=feed.complete,
        modified=said.modified,
        warnings=(*feed.warnings, *warnings),
    )


def _data_posts(posts: Iterable[Raw], where: str, page_url: str, memo: Memo) -> list[_Post]:
    base_url = page_url or where
    key = f"{base_url}\0{page_url}\0".encode()
    try:
        return [
            memo.read(key + bytes(post), partial(_data_post, post, base_url, page_url))
            for post in posts
        ]
    except (ValueError, RecursionError) as error:
        raise _malformed(f"a post is not as it should be: {error}", where) from error


def _data_post(post: Raw, base_url: str, page_url: str) -> _Post:
    """The post with its place on the page, where its id is that of its heading."""
    entry = optimo.entry(post, base_url=base_url)
    if page_url and _ASSET.match(entry.id):
        entry = msgspec.structs.replace(entry, url=f"{page_url}#{entry.id}")
    return _Post(entry.id or None, entry)


def _value(text: str, where: str, read: Callable[[str], Raw] = optimo.value) -> Raw:
    try:
        return read(text)
    except (ValueError, RecursionError) as error:
        raise _malformed(f"this is no JSON: {error}", where) from error


def _is_page(said: Envelope | None) -> bool:
    """Whether this can only be the data of a live page: then it may have no post yet."""
    return said is not None and said.live is not None and said.has_stream


def _without_posts(where: str) -> PageError:
    return PageError(
        "page.empty",
        "the stream has no posts",
        where=where,
        fix="the BBC answers so to a query that it does not know; it is asked again",
    )


def _malformed(what: str, where: str) -> PageError:
    fix = "expected posts as BBC live pages have them; has their form changed?"
    return PageError("page.malformed", what, where=where, fix=fix)


# --- the stream that a page polls ----------------------------------------------------------------


def _stream_address(document: Document) -> str | None:
    """The address that the page itself polls, from what its data or its scripts name."""
    data = document.body.find(b"__INITIAL_DATA__")
    if data >= 0 and (query := _QUERY.search(document.body, data)):
        exact = re.sub(r"\\+u0026", "&", query[1].decode("utf-8", "replace"))
        return html.web_url(f"{_CONTAINER}?{exact}", document.url)
    if (named := document.body.find(_FEED_PATH)) < 0:
        return None
    feed = _FEED.search(document.body, max(0, named - _ORIGIN_MAX_BYTES))
    stream_id = _STREAM_ID.search(document.body)
    return _feed_address(document.url, feed[0], stream_id[1]) if feed and stream_id else None


def _feed_address(page_url: str, named: bytes, stream_id: bytes) -> str | None:
    """The stream of a World Service page, if it lies on the page's own host."""
    place = named.decode("utf-8", "replace").replace("&amp;", "&")
    address = html.web_url(place, page_url)
    if address is None or urlsplit(address).netloc != urlsplit(page_url).netloc:
        return None
    known = f"liveTextStreamId={stream_id.decode()}&type=curated"
    return address if "liveTextStreamId=" in address else f"{address.partition('?')[0]}?{known}"


def _fresh(document: Document, address: str) -> Document | None:
    """The answer from there, if it is of this poll."""
    part = document.parts.get(address)
    return part if part is not None and part.seen_at >= document.seen_at else None


def _stream(part: Document) -> Stream:
    """Raises PageError when there is none in it: no answer here is no news."""
    stream = optimo.stream(_value(body_text(part), part.url))
    if stream is None or not stream.posts:
        raise _without_posts(part.url)
    return stream


def _older(document: Document, address: str, newest: Stream) -> tuple[str, ...]:
    """Addresses of as many older pages as are asked for and are there."""
    if not _PAGE_NUMBER.search(address):
        return ()
    first = newest.index or 1
    last = min(newest.total or first, first + document.reading.older_pages)
    return tuple(
        _PAGE_NUMBER.sub(str(number), address, count=1) for number in range(first + 1, last + 1)
    )


def _polled(document: Document) -> _Feed | None:
    """What the stream says; None without one. Raises PageError when it says nothing."""
    address = _stream_address(document)
    part = None if address is None else _fresh(document, address)
    if address is None or part is None:
        return None
    if part.status != 200:
        warning = f"the stream {address} is refused ({part.status}): posts are read from the page"
        return _Feed((), warnings=(warning,))
    newest = _stream(part)
    streams, warnings = [newest], list[str]()
    for older in _older(document, address, newest):
        page = _fresh(document, older)
        if page is None or page.status != 200:
            break
        try:
            streams.append(_stream(page))
        except PageError as error:
            warnings.append(f"reading of older pages ends: {error}")
            break
    posts = tuple(post for stream in streams for post in stream.posts)
    return _Feed(posts, streams[-1].is_last, tuple(warnings))


# --- HTML ----------------------------------------------------------------------------------------


def _html_snapshot(document: Document, text: str, memo: Memo) -> Snapshot:
    rest, cut = pieces.cut(text, _POST_TAG, memo)
    tree = html.parsed(rest, where=document.url)
    said, unread = _said(text, document.url)
    polled, own = _polled(document) or _Feed(()), said.stream or Stream(())
    feed = polled if polled.posts else _Feed(own.posts, own.is_last)
    nodes = [] if feed.posts else tree.css(_POST)
    if not (feed.posts or nodes or _is_page(said)):
        raise html.without_entries(
            text, where=document.url, expected="posts as <article data-testid=content-post>"
        )
    if not html.is_closed(text):
        raise html.cut_off(document.url)
    head = _head(tree, text, document)
    if nodes:
        snapshot = _markup_snapshot(document, tree, nodes, cut, head, memo)
    else:
        said_head, page_url = _head_said(head, said), head.url or document.url
        snapshot = _data_snapshot(document, said_head, feed, said, memo, page_url=page_url)
    warnings = (*polled.warnings, *unread, *snapshot.warnings)
    return msgspec.structs.replace(snapshot, warnings=tuple(dict.fromkeys(warnings)))


def _said(text: str, where: str) -> tuple[Envelope, tuple[str, ...]]:
    """What the page's data says, and what is wrong with it if it cannot be read."""
    try:
        return _envelope(text, where) or Envelope(), ()
    except PageError as error:
        return Envelope(), (f"the data in the page cannot be read: {error}",)


def _envelope(text: str, where: str) -> Envelope | None:
    """The data in the page; None without any. Raises PageError when it is no JSON."""
    if "liveTextStream" in text and (found := _NEXT_DATA.search(text)):
        return optimo.envelope(optimo.page_data(_script_value(text, found.end(), where)))
    if found := _INITIAL_DATA.search(text):
        return _of_containers(optimo.containers(_script_value(text, found.end(), where)))
    return None


def _script_value(text: str, start: int, where: str) -> Raw:
    end = text.find(_SCRIPT_END, start)
    return _value(text[start : end if end >= 0 else len(text)], where, optimo.first_value)


def _of_containers(containers: Sequence[tuple[str, Raw]]) -> Envelope:
    """What the header of a live page, its summary points and its stream say."""
    streams = [data for name, data in containers if name == "stream"]
    headers = [optimo.envelope(data) for name, data in containers if name == "live-header"]
    header = headers[0] if headers else Envelope()
    others = (optimo.envelope(data) for name, data in containers if name.startswith("live-"))
    return msgspec.structs.replace(
        header,
        points=header.points or next(filter(None, (other.points for other in others)), None),
        has_stream=bool(streams),
        stream=optimo.stream(streams[0]) if streams else None,
    )


def _is_live_page(tree: LexborHTMLParser, text: str) -> bool:
    return tree.css_first(_LIVE_PARTS) is not None or _LIVE_WORDS.search(text) is not None


# --- head ----------------------------------------------------------------------------------------


def _head(tree: LexborHTMLParser, text: str, document: Document) -> Head:
    heading = tree.css_first("h1") or tree.css_first("title")
    canonical = tree.css_first("link[rel=canonical]")
    url = html.web_url(canonical.attributes.get("href"), document.url) if canonical else None
    return Head(
        title=(html.text(heading) or None) if heading else None,
        summary=_summary(tree),
        url=url or document.url or None,
        live=_live(text),
    )


def _head_said(head: Head, said: Envelope) -> Head:
    """What the page's data says of it wins over its markup."""
    return Head(
        title=said.title or head.title,
        summary=said.points or head.summary or said.description,
        url=head.url,
        live=head.live if said.live is None else said.live,
    )


def _summary(tree: LexborHTMLParser) -> str | None:
    """The summary points, or what the page says of itself to search engines."""
    if first := tree.css_first(_POINTS):  # it stands above all posts, and is soon found
        if points := _points(first):
            return points
        found = map(_points, html.outermost(tree.css(_POINTS)))
        if points := next(filter(None, found), None):
            return points
    meta = tree.css_first("meta[name=description]")
    return (html.attribute(meta, "content") or None) if meta else None


def _points(node: LexborNode) -> str | None:
    lines = (html.text(line) for line in html.outermost(node.css("li, p")))
    return "\n".join(filter(None, lines)) or None


def _live(text: str) -> bool | None:
    """What the page's data says: its header if it has one, else all of it if it agrees."""
    if (header := text.find(_LIVE_HEADER)) >= 0 and (said := _IS_LIVE.search(text, header)):
        return said[1] == "true"
    all_said = set(_IS_LIVE.findall(text))
    return "true" in all_said if len(all_said) == 1 else None


# --- entries -------------------------------------------------------------------------------------


def _entries(
    posts: Sequence[_Post],
) -> tuple[tuple[Entry, ...], tuple[str, ...], tuple[str, ...]]:
    """The posts in page order, each once, numbered; which of them are undated; and warnings."""
    kept = _without_copies(posts)
    names = distinct([post.native or _fallback_id(post.entry) for post in kept])
    entries = tuple(
        msgspec.structs.replace(post.entry, id=name, position=position)
        for position, (name, post) in enumerate(zip(names, kept, strict=True), start=1)
    )
    undated = tuple(name for name, post in zip(names, kept, strict=True) if post.is_undated)
    return entries, undated, tuple(_warnings(names, kept))


def _warnings(names: Sequence[str], posts: Sequence[_Post]) -> Iterator[str]:
    if unnamed := sum(post.native is None for post in posts):
        yield f"{unnamed} entries have no id of the publisher"
    for name, post in zip(names, posts, strict=True):
        if post.entry.published is None:
            what = f'the time "{post.time}" is not understood' if post.time else "it has no time"
            yield f"entry {name}: {what}"


def _without_copies(posts: Sequence[_Post]) -> list[_Post]:
    """Each native id once. A pinned post is shown twice: the one in its own place stays."""
    places: dict[str, int] = {}
    for place, post in enumerate(posts):
        known = places.get(post.native or "")
        if post.native and (known is None or (posts[known].is_pinned and not post.is_pinned)):
            places[post.native] = place
    pinned = {post.native for post in posts if post.is_pinned and post.native}
    own = (
        post
        for place, post in enumerate(posts)
        if post.native is None or places[post.native] == place
    )
    return [_labelled(post) if post.native in pinned or post.is_pinned else post for post in own]


def _labelled(post: _Post) -> _Post:
    entry = msgspec.structs.replace(post.entry, labels=(*post.entry.labels, "pinned"))
    return msgspec.structs.replace(post, entry=entry)


def _fallback_id(entry: Entry) -> str:
    return times.compact(entry.published) if entry.published else digest(NAME, entry.title)


# --- posts as HTML -------------------------------------------------------------------------------


def _markup_snapshot(
    document: Document,
    tree: LexborHTMLParser,
    nodes: list[LexborNode],
    cut: dict[str, str],
    head: Head,
    memo: Memo,
) -> Snapshot:
    if tree.css_first(_NESTED_POST) is not None:
        raise PageError(
            "page.malformed",
            "a post stands inside of another post",
            where=document.url,
            fix="it cannot be told which text belongs to which post; the page is asked again",
        )
    base_url = head.url or document.url
    posts = [
        memo.read(f"{base_url}\0{piece}", partial(_read_post, piece, base_url, document.url))
        for piece in (pieces.markup(node, cut) for node in nodes)
    ]
    if _PINNED_HINT in document.body:
        posts = _pinned(posts, nodes)
    clock = _Times(document.seen_at, document.reading.zone or DEFAULT_ZONE, memo)
    entries, undated, warnings = _entries([clock.timed(post) for post in posts])
    return Snapshot(
        source=NAME,
        variant="markup",
        head=head,
        entries=entries,
        seen_at=document.seen_at,
        undated=undated,
        warnings=warnings,
    )


def _read_post(piece: str, base_url: str, where: str) -> _Post:
    """One post. piece: its markup; what it does not name needs no search."""
    tree = html.parsed(piece, where=where)
    node = tree.css_first(_POST)
    assert node is not None, "pieces are cut by the tag of a post"
    heading, time_nodes = node.css_first(_HEADING), _time_nodes(node)
    breaking = _breaking(node, piece)
    labels = [one for one in breaking if _is_label(one)]
    contributors = html.outermost(node.css(_CONTRIBUTOR)) if "ontributor" in piece else []
    links = _own_links(node) if "asset" in piece else []
    share = node.css(_SHARE) if "hare" in piece else []
    around = [*labels, *contributors, *time_nodes, *share]
    body = html.content(
        node, base_url=base_url, skip=around if heading is None else [heading, *around]
    )
    stamps = (times.instant(html.attribute(one, "datetime")) for one in time_nodes)
    entry = Entry(
        id="",
        title=_title(heading, [*labels, *time_nodes]),
        published=next(filter(None, stamps), None),
        labels=("breaking",) if breaking else (),
        authors=tuple(author for author in map(_author, contributors) if author),
        body=body.body,
        media=body.media,
        url=next((url for link in links if (url := html.web_url(link, base_url))), None),
    )
    named = (node, *node.css(_PINNED_NODES)) if "inned" in piece else ()
    is_pinned = any(_PINNED.search(html.names(one)) for one in named)
    native = _native_id(node, piece, links)
    return _Post(native, entry, _time_words(time_nodes, heading), is_pinned)


def _native_id(node: LexborNode, piece: str, links: Iterable[str]) -> str | None:
    """The publisher's id without decoration: `asset:<uuid>` wherever it stands, else the post's."""
    own = [html.attribute(node, name) for name in ("data-post-id", "id", "data-id", "data-urn")]
    inner = node.css("[id*='asset:' i]") if "asset:" in piece.lower() else ()
    places = (*own, *(html.attribute(one, "id") for one in inner), *map(unquote, links))
    if asset := next(filter(None, map(_ASSET.search, places)), None):
        return asset[0]
    return next(filter(None, (_DECORATION.sub("", place) for place in own)), None)


def _own_links(node: LexborNode) -> list[str]:
    """Links to a post from around the text of this one: those in the text may mean another."""
    links = (one for one in node.css("a[href*=asset]") if not _is_in_text(one))
    return [html.attribute(one, "href") for one in links]


def _is_in_text(node: LexborNode) -> bool:
    inside = takewhile(lambda up: up.tag != "article", html.ancestors(node))
    return any(up.tag in _TEXT_TAGS for up in inside)


def _title(heading: LexborNode | None, skip: Iterable[LexborNode]) -> str | None:
    if heading is None:
        return None
    title = _TAIL.sub("", html.text(heading, skip=skip))
    return None if title in ("", _UNTITLED) else title


def _author(node: LexborNode) -> Author | None:
    """The name stands in <strong>, or on the first line; the role after it."""
    strong = node.css_first("strong")
    if strong is not None and (name := html.text(strong)):
        return Author(name, html.text(node, skip=[strong]) or None)
    lines = [line for block in html.content(node).body for line in block_lines(block)]
    return Author(lines[0], " ".join(lines[1:]) or None) if lines else None


# --- when ----------------------------------------------------------------------------------------


def _time_nodes(node: LexborNode) -> list[LexborNode]:
    """The elements around the text that say when, the one that says the most first."""
    nodes = [one for one in node.css(_TIME_NODES) if not _is_in_text(one)]
    return sorted(nodes, key=_time_rank)


def _time_rank(node: LexborNode) -> int:
    kind = node.attributes.get("data-testid")
    return _TIMES.index(kind) if kind in _TIMES else len(_TIMES)


def _time_words(nodes: Sequence[LexborNode], heading: LexborNode | None) -> str:
    """The words that say when, without "published at"; they may be glued to the heading."""
    if nodes:
        return _PUBLISHED.sub("", html.all_text(nodes[0])).strip()
    tail = _TAIL.search(html.text(heading)) if heading is not None else None
    return tail["time"] if tail else ""


class _Times:
    """What words mean that say when, for whoever reads them now.

    The later they are read, the later is what they mean, if anything: if they mean the same at
    both ends of an hour, they do so all through it.
    """

    def __init__(self, seen_at: datetime, zone: str, memo: Memo) -> None:
        self._seen_at, self._zone, self._memo = seen_at, zone, memo
        self._start = seen_at.replace(minute=0, second=0, microsecond=0)
        self._key = f"{zone}\0{self._start.isoformat()}\0"

    def timed(self, post: _Post) -> _Post:
        """The post with its time, unless the markup has an exact one."""
        words = post.time
        if post.entry.published is not None or not words:
            return post
        first, last = self._memo.read(self._key + words, lambda: self._all_through(words))
        said = first if first == last else self._read(words, self._seen_at)
        if said is None:
            return post
        entry = msgspec.structs.replace(post.entry, published=said.at)
        return _Post(post.native, entry, words, post.is_pinned, not said.dated)

    def _all_through(self, words: str) -> tuple[times.When | None, times.When | None]:
        return self._read(words, self._start), self._read(words, self._start + _HOUR)

    def _read(self, words: str, seen_at: datetime) -> times.When | None:
        return times.when(words, seen_at=seen_at, default_zone=self._zone)


# --- labels --------------------------------------------------------------------------------------


def _breaking(node: LexborNode, piece: str) -> list[LexborNode]:
    """The post itself or elements around its text that are named so."""
    if "reaking" not in piece:
        return []
    named = [node, *(one for one in node.css(_BREAKING_NODES) if not _is_in_text(one))]
    return [one for one in named if _says_breaking(one)]


def _says_breaking(node: LexborNode) -> bool:
    return _BREAKING.search(_NOT_BREAKING.sub("", html.names(node))) is not None


def _is_label(node: LexborNode) -> bool:
    """Whether the element holds a label's words and nothing else."""
    return len(html.all_text(node)) <= _LABEL_MAX_CHARS and node.css_first(f"p, {_HEADING}") is None


def _pinned(posts: Sequence[_Post], nodes: Sequence[LexborNode]) -> list[_Post]:
    """The posts, also those pinned by what holds them alone."""
    held = Counter(up.mem_id for node in nodes for up in html.ancestors(node))
    return [
        msgspec.structs.replace(post, is_pinned=post.is_pinned or _is_held_pinned(node, held))
        for post, node in zip(posts, nodes, strict=True)
    ]


def _is_held_pinned(node: LexborNode, held: Mapping[int, int]) -> bool:
    alone = takewhile(lambda up: held[up.mem_id] == 1, html.ancestors(node))
    return any(_PINNED.search(html.names(one)) for one in alone)


SOURCE = Source(NAME, detects, parse, wants)
