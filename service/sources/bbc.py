"""The `bbc` source: live pages of BBC News and BBC Sport as HTML, told by their markup.

Anchored on element names, test ids and native post ids; class hashes, inner ids and addresses of
image sizes never reach an entry. A label is an element, never a word of a title.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from urllib.parse import unquote

import msgspec
from msgspec import Struct
from selectolax.lexbor import LexborHTMLParser, LexborNode

from service.errors import PageError
from service.model import Author, Entry, Head, Snapshot, block_lines, digest
from service.sources import html, times
from service.sources.base import Document, Memo, Source, body_text, decode, distinct, form

NAME = "bbc"
DEFAULT_ZONE = "Europe/London"

_POST = "article[data-testid=content-post]"
_SIGNS = re.compile(r"content-post|LiveText|liveText|live-header|live-page")
_LIVE_PARTS = "#LiveText, [data-testid^=live-header], [data-testid=live-page]"
_LIVE_WORDS = re.compile(r"liveTextStreamId|live-header\?")
_IS_LIVE = re.compile(r'\\*"isLive\\*"\s*:\s*(true|false)')
_LIVE_HEADER = "live-header?"

_HEADING = "h2, h3, [class*=HeadlineWrap]"
_TIMES = ("[data-testid=accessible-timestamp]", "[data-testid=timestamp]", "time")
_BREAKING_NODES = "[data-testid*=reaking], [class*=reaking]"
_BREAKING = re.compile(r"(?<![A-Za-z])breaking|Breaking")
_NOT_BREAKING = re.compile(r"(?:word|line|non)-breaking", re.IGNORECASE)
_PINNED = re.compile(r"(?<![a-z])pinned|Pinned")
_PINNED_NODES = "[data-testid*=inned], [class*=inned]"
_CONTRIBUTOR = "[class*=Contributor], [data-testid*=contributor]"
_SHARE = "[data-testid*=share], [class*=ShareTools], [class*=ShareButton]"
_POINTS = "[data-testid^=summary], [class*=SummaryPoints], [class*=summary-points]"
_PUBLISHED = re.compile(r"published at\b", re.IGNORECASE)
_TAIL = re.compile(r"\s*published at (?P<time>\d{1,2}:\d{2}.*)$")
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ASSET = re.compile(rf"asset:(?:{_UUID}|[0-9A-Za-z-]+)(?:=[\w=-]+)?", re.IGNORECASE)
_TEXT_TAGS = frozenset(("p", "li", "blockquote", "figure", "td", "th"))
_DECORATION = re.compile(r"^post[-_:]")
# A post without a headline is given this one.
_UNTITLED = "Post"
_LABEL_MAX_CHARS = 40


class _Post(Struct, frozen=True):
    """An entry before its place on the page is settled. native: the publisher's own id."""

    native: str | None
    time: str
    is_pinned: bool
    entry: Entry


def detects(document: Document) -> bool:
    """HTML with posts in the markup of BBC live pages, or such a page before its first post."""
    text = decode(document)
    if form(document, text) != "html" or not _SIGNS.search(text):
        return False
    try:
        tree = html.parsed(text, where=document.url)
    except PageError:
        return False
    return tree.css_first(_POST) is not None or _is_live_page(tree, text)


def parse(document: Document, _memo: Memo | None = None) -> Snapshot:
    """Read the page. Raises PageError when it is empty, cut off, a consent page, or has no post."""
    text = body_text(document)
    tree = html.parsed(text, where=document.url)
    posts = tree.css(_POST)
    if not posts:
        raise html.without_entries(
            text, where=document.url, expected="posts as <article data-testid=content-post>"
        )
    if not html.is_closed(text):
        raise html.cut_off(document.url)
    if len(html.outermost(posts)) < len(posts):
        raise PageError(
            "page.malformed",
            "a post stands inside of another post",
            where=document.url,
            fix="it cannot be told which text belongs to which post; the page is asked again",
        )
    head = _head(tree, text, document)
    held = Counter(up.mem_id for post in posts for up in html.ancestors(post))
    entries, warnings = _entries([_post(node, document, head, held) for node in posts])
    return Snapshot(
        source=NAME, head=head, entries=entries, seen_at=document.seen_at, warnings=warnings
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


def _summary(tree: LexborHTMLParser) -> str | None:
    """The summary points, or what the page says of itself to search engines."""
    for node in html.outermost(tree.css(_POINTS)):
        lines = [html.text(line) for line in html.outermost(node.css("li, p"))]
        if any(lines):
            return "\n".join(filter(None, lines))
    meta = tree.css_first("meta[name=description]")
    return (html.attribute(meta, "content") or None) if meta else None


def _live(text: str) -> bool | None:
    """What the page's data says: its header if it has one, else all of it if it agrees."""
    if (header := text.find(_LIVE_HEADER)) >= 0 and (said := _IS_LIVE.search(text, header)):
        return said[1] == "true"
    all_said = set(_IS_LIVE.findall(text))
    return "true" in all_said if len(all_said) == 1 else None


# --- entries -------------------------------------------------------------------------------------


def _entries(posts: Sequence[_Post]) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """The posts in page order, each once, numbered; and what a person should know of them."""
    kept = _without_copies(posts)
    names = [post.native or _fallback_id(post.entry) for post in kept]
    entries = tuple(
        msgspec.structs.replace(post.entry, id=name, position=position)
        for position, (name, post) in enumerate(zip(distinct(names), kept, strict=True), start=1)
    )
    unread = (
        f'entry {entry.id}: the time "{post.time}" is not understood'
        for entry, post in zip(entries, kept, strict=True)
        if entry.published is None
    )
    unnamed = sum(post.native is None for post in kept)
    warnings = [f"{unnamed} entries have no id of the publisher"] if unnamed else []
    return entries, (*warnings, *unread)


def _without_copies(posts: Sequence[_Post]) -> list[_Post]:
    """Each native id once. A pinned post is shown twice: the one in its own place stays."""
    chosen: dict[str, _Post] = {}
    for post in posts:
        known = chosen.get(post.native or "")
        if post.native and (known is None or (known.is_pinned and not post.is_pinned)):
            chosen[post.native] = post
    pinned = {post.native for post in posts if post.is_pinned}
    own = (post for post in posts if post.native is None or chosen[post.native] is post)
    return [_labelled(post) if post.native in pinned or post.is_pinned else post for post in own]


def _labelled(post: _Post) -> _Post:
    entry = msgspec.structs.replace(post.entry, labels=(*post.entry.labels, "pinned"))
    return msgspec.structs.replace(post, entry=entry)


def _fallback_id(entry: Entry) -> str:
    return times.compact(entry.published) if entry.published else digest(NAME, entry.title)


def _post(node: LexborNode, document: Document, head: Head, held: Mapping[int, int]) -> _Post:
    base_url = head.url or document.url
    heading, time_nodes = node.css_first(_HEADING), _time_nodes(node)
    breaking = _breaking(node)
    labels = [one for one in breaking if _is_label(one)]
    contributors = html.outermost(node.css(_CONTRIBUTOR))
    time = _time_words(time_nodes, heading)
    around = [*labels, *contributors, *time_nodes, *node.css(_SHARE)]
    body = html.content(
        node, base_url=base_url, skip=around if heading is None else [heading, *around]
    )
    entry = Entry(
        id="",
        title=_title(heading, [*labels, *time_nodes]),
        published=_published(time_nodes, time, document.seen_at),
        labels=("breaking",) if breaking else (),
        authors=tuple(author for author in map(_author, contributors) if author),
        body=body.body,
        media=body.media,
        url=_url(node, base_url),
    )
    return _Post(_native_id(node), time, _is_pinned(node, held), entry)


def _native_id(node: LexborNode) -> str | None:
    """The publisher's id without decoration: `asset:<uuid>` wherever it stands, else the post's."""
    places = [html.attribute(node, name) for name in ("id", "data-post-id", "data-id", "data-urn")]
    inner = [html.attribute(one, "id") for one in node.css("[id]")]
    links = [unquote(html.attribute(one, "href")) for one in _own_links(node)]
    assets = (_ASSET.search(place) for place in (*places, *inner, *links))
    if asset := next(filter(None, assets), None):
        return asset[0]
    own = (_DECORATION.sub("", place) for place in (places[1], places[0], *places[2:]))
    return next(filter(None, own), None)


def _url(node: LexborNode, base_url: str) -> str | None:
    links = (one.attributes.get("href") for one in _own_links(node))
    return next((url for link in links if (url := html.web_url(link, base_url))), None)


def _own_links(node: LexborNode) -> list[LexborNode]:
    """Links to a post from around the text of this one: those in the text may mean another."""
    return [one for one in node.css("a[href*=asset]") if not _is_in_text(one)]


def _is_in_text(node: LexborNode) -> bool:
    inside = takewhile(lambda up: up.tag != "article", html.ancestors(node))
    return any(up.tag in _TEXT_TAGS for up in inside)


def _title(heading: LexborNode | None, skip: Iterable[LexborNode]) -> str | None:
    if heading is None:
        return None
    title = _TAIL.sub("", html.text(heading, skip=skip))
    return None if title in ("", _UNTITLED) else title


def _time_nodes(node: LexborNode) -> list[LexborNode]:
    """The elements that say when, the one for screen readers first: it says the most."""
    return [one for kind in _TIMES for one in node.css(kind) if not _is_in_text(one)]


def _time_words(nodes: Sequence[LexborNode], heading: LexborNode | None) -> str:
    """The words that say when, without "published at"; they may be glued to the heading."""
    if nodes:
        return _PUBLISHED.sub("", html.all_text(nodes[0])).strip()
    tail = _TAIL.search(html.text(heading)) if heading is not None else None
    return tail["time"] if tail else ""


def _published(nodes: Sequence[LexborNode], words: str, seen_at: datetime) -> datetime | None:
    stamps = (times.instant(html.attribute(node, "datetime")) for node in nodes)
    exact = next(filter(None, stamps), None)
    return exact or times.published(words, seen_at=seen_at, default_zone=DEFAULT_ZONE)


def _breaking(node: LexborNode) -> list[LexborNode]:
    """The post itself or elements around its text that are named so."""
    named = [node, *(one for one in node.css(_BREAKING_NODES) if not _is_in_text(one))]
    return [one for one in named if _says_breaking(one)]


def _says_breaking(node: LexborNode) -> bool:
    return _BREAKING.search(_NOT_BREAKING.sub("", html.names(node))) is not None


def _is_label(node: LexborNode) -> bool:
    """Whether the element holds a label's words and nothing else."""
    return len(html.all_text(node)) <= _LABEL_MAX_CHARS and node.css_first(f"p, {_HEADING}") is None


def _is_pinned(node: LexborNode, held: Mapping[int, int]) -> bool:
    """Whether the post, something in it, or what holds it alone is named so.

    held: how many posts each element around posts holds.
    """
    alone = takewhile(lambda up: held[up.mem_id] == 1, html.ancestors(node))
    around = (node, *node.css(_PINNED_NODES), *alone)
    return any(_PINNED.search(html.names(one)) for one in around)


def _author(node: LexborNode) -> Author | None:
    """The name stands in <strong>, or on the first line; the role after it."""
    strong = node.css_first("strong")
    if strong is not None and (name := html.text(strong)):
        return Author(name, html.text(node, skip=[strong]) or None)
    lines = [line for block in html.content(node).body for line in block_lines(block)]
    return Author(lines[0], " ".join(lines[1:]) or None) if lines else None


SOURCE = Source(NAME, detects, parse)
