"""The JSON that BBC live pages are made of: streams of posts, and posts of blocks. Pure.

One model serves the stream that a page polls, the data inside of a page and World Service pages.
Ids of inner blocks, addresses of image sizes and counts of embeds are noise and never read. Words
must be words, or the post is refused; what stands around them may have any form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw, Struct

from service.model import (
    Author,
    Block,
    Embed,
    Entry,
    Heading,
    Image,
    Line,
    ListBlock,
    Mark,
    Media,
    Paragraph,
    Quote,
    Table,
    Video,
)
from service.sources import html, times
from service.sources.html import MarkKind

T = TypeVar("T")

_DECORATION = re.compile(r"^urn:bbc:(?:[\w-]+:)*?(?=asset:)")
# "19'" or "90+5'": how far a match has got. It is what a reader sees in place of a clock time.
_MINUTE = re.compile(r"\d{1,3}(?:['’′]|\s*\+\s*\d{1,2}['’′]|['’′]\s*\+\s*\d{1,2}['’′]?)")
_ROLE = re.compile(r"\s+[-–—|]\s+")
_BYLINE_MAX_CHARS = 100
_SENTENCE = re.compile(r"[.!?…]$")

_IMAGES = "https://ichef.bbci.co.uk"
_IMAGE_WIDTH = 640
_IMAGE_HOST = re.compile(r"ichef[\w.-]*\.bbci\.co\.uk/")
# An image of these keeps its whole address, without the scheme.
_WITH_HOST = ("mpv", "pips")

_LINKS = frozenset(("urlLink", "link", "inlineLink"))
_INLINE = frozenset(("fragment", "lineBreak", *_LINKS))
_EMBEDS = ("embed", "social", "vivo", "flourish", "idt", "include")
_QUOTED_BY = frozenset(("attribution", "cite", "quoteAttribution", "source"))
# What a page puts between its blocks, and words that are not the entry's.
_DROPPED = frozenset(
    ("altText", "advertisement", "caption", "mpu", "relatedContent", "visuallyHiddenHeadline")
)
_STRONG_OR_EM: dict[str, MarkKind] = {"bold": "strong", "italic": "em"}
_MAX_DEPTH = 60
_ABSENT = Raw(b"null")


# --- as it comes ---------------------------------------------------------------------------------


class _Model(Struct, frozen=True, rename="camel"):
    text: str | None = None
    blocks: tuple[_Block, ...] | None = None
    caption: _Block | str | None = None
    attributes: object = None
    name: object = None
    subtitle: object = None
    locator: object = None
    origin_code: object = None
    copyright_holder: object = None
    width: object = None
    level: object = None
    list_type: object = None
    image: object = None
    media: object = None
    video: object = None
    title: object = None
    link: object = None
    oembed: object = None
    embed_type: object = None
    source: object = None
    href: object = None
    url: object = None
    src: object = None


class _Block(Struct, frozen=True):
    """A block: its children stand in its model, or right in it."""

    type: str = ""
    model: _Model | None = None
    blocks: tuple[_Block, ...] | None = None
    items: tuple[_Block, ...] | None = None


class _Options(Struct, frozen=True, rename="camel"):
    is_breaking_news: bool | None = None


class _Dates(Struct, frozen=True, rename="camel"):
    curated: str | None = None
    first_published: str | None = None
    last_published: str | None = None
    time: str | None = None


class _Titled(Struct, frozen=True):
    title: str | None = None
    text: str | None = None


class _Post(Struct, frozen=True):
    urn: str | None = None
    header: _Block | None = None
    content: _Block | None = None
    options: _Options | None = None
    dates: _Dates | None = None
    titles: tuple[_Titled, ...] | None = None
    descriptions: tuple[_Titled, ...] | None = None


class _Paging(Struct, frozen=True):
    index: int | None = None
    total: int | None = None


class _Results(Struct, frozen=True):
    results: Raw = _ABSENT
    page: Raw = _ABSENT
    data: Raw = _ABSENT


class _Shape(Struct, frozen=True):
    """What tells a post from other objects."""

    urn: object = None
    dates: object = None
    header: object = None
    content: object = None


class _Container(Struct, frozen=True):
    name: object = None
    data: Raw = _ABSENT


class _Containers(Struct, frozen=True):
    data: Raw = _ABSENT


class _Next(Struct, frozen=True, rename="camel"):
    props: _Next | None = None
    page_props: _Next | None = None
    page_data: Raw = _ABSENT


class _Points(Struct, frozen=True):
    content: _Block | None = None


class _TextStream(Struct, frozen=True):
    content: Raw = _ABSENT


class _Envelope(Struct, frozen=True, rename="camel"):
    title: object = None
    description: object = None
    is_live: object = None
    seo: object = None
    summary_points: Raw = _ABSENT
    live_text_stream: Raw = _ABSENT
    data: Raw = _ABSENT


# --- as it is read -------------------------------------------------------------------------------


class Stream(Struct, frozen=True):
    """Posts in page order, each still raw JSON, and which page of how many this is, if it says."""

    posts: tuple[Raw, ...]
    index: int | None = None
    total: int | None = None

    @property
    def is_last(self) -> bool:
        """Whether it knows that no further page follows."""
        return self.index is not None and self.total is not None and 1 <= self.total <= self.index


class Envelope(Struct, frozen=True):
    """What a live page says of itself, apart from its posts.

    points: its summary points, one a line. has_stream: it names the stream of its posts, as live
    pages alone do.
    """

    title: str | None = None
    description: str | None = None
    points: str | None = None
    live: bool | None = None
    modified: datetime | None = None
    has_stream: bool = False
    stream: Stream | None = None


def value(text: str) -> Raw:
    """The JSON value that a text is, also with halves of surrogate pairs or bare line ends in it.

    Raises ValueError when it is none, RecursionError when it is too deep.
    """
    try:
        return msgspec.json.decode(text, type=Raw)
    except msgspec.DecodeError:
        mended = json.dumps(json.loads(text, strict=False), ensure_ascii=False)
        return msgspec.json.decode(mended.encode("utf-8", "ignore"), type=Raw)


def first_value(script: str) -> Raw:
    """The JSON value that a script begins with; one in a string is taken out of it.

    Raises what `value` raises.
    """
    try:
        found = value(script.strip().rstrip(";"))
    except ValueError:
        _, end = json.JSONDecoder(strict=False).raw_decode(script.lstrip())
        found = value(script.lstrip()[:end])
    words = _decoded(found, str)
    return found if words is None else value(words)


def stream(found: Raw) -> Stream | None:
    """The posts of a JSON value: `results` (also under `data`), a list of posts, or one post.

    None for anything else.
    """
    posts = _decoded(found, tuple[Raw, ...])
    if posts is not None:
        return Stream(posts) if all(map(_is_post, posts[:1])) else None
    results = _decoded(found, _Results) or _Results()
    if results.results is _ABSENT:
        results = _decoded(results.data, _Results) or results
    posts = _decoded(results.results, tuple[Raw, ...])
    if posts is None:
        return Stream((found,)) if _is_post(found) else None
    if not all(map(_is_post, posts[:1])):
        return None
    page = _decoded(results.page, _Paging) or _Paging()
    return Stream(posts, page.index, page.total)


def envelope(found: Raw) -> Envelope:
    """What an object with the data of a live page says; nothing of what it does not hold."""
    said = _decoded(found, _Envelope) or _Envelope()
    if said.is_live is None:
        said = _decoded(said.data, _Envelope) or said
    named = _decoded(said.live_text_stream, _TextStream)
    points = _decoded(said.summary_points, _Points)
    return Envelope(
        title=_string(said.title) or None,
        description=_string(said.description) or None,
        points=_summary(points),
        live=said.is_live if isinstance(said.is_live, bool) else None,
        modified=times.instant(_at(said.seo, "dateModified")),
        has_stream=named is not None,
        stream=None if named is None else stream(named.content),
    )


def containers(found: Raw) -> tuple[tuple[str, Raw], ...]:
    """Name and data of each part that a News or Sport page is made of, as `__INITIAL_DATA__` has
    them by name and query.
    """
    held = _decoded(found, _Containers) or _Containers()
    parts = _decoded(held.data, dict[str, Raw]) or _decoded(found, dict[str, Raw]) or {}
    return tuple(_named(key, part) for key, part in parts.items())


def _named(key: str, part: Raw) -> tuple[str, Raw]:
    container = _decoded(part, _Container) or _Container()
    data = part if container.data is _ABSENT else container.data
    return _string(container.name) or key.partition("?")[0], data


def page_data(found: Raw) -> Raw:
    """The data of a page in `__NEXT_DATA__` of World Service pages; null when it has none."""
    data = _decoded(found, _Next) or _Next()
    props = data.props or _Next()
    return (props.page_props or _Next()).page_data


def entry(post: Raw, *, base_url: str) -> Entry:
    """A post as an entry, still without position; its id is "" when the publisher gives none.

    Raises ValueError, with the path to what is wrong, or RecursionError when it is too deep.
    """
    read = msgspec.json.decode(post, type=_Post)
    if read.urn is None and read.dates is None:
        raise ValueError("it has neither a urn nor dates")
    dates = read.dates or _Dates()
    first, last = _instant(dates.first_published), _instant(dates.last_published)
    shown = _instant(dates.curated) or first
    header, reader = _Header(_children(read.header)), _Reader(base_url)
    for heading in (*_minute(dates.time), *header.subheadings):
        reader.body.append(Heading(heading, 4))
    reader.read(_children(read.content))
    return Entry(
        id=native_id(read.urn or ""),
        title=header.title or _plain(next((one.title for one in read.titles or ()), None)),
        published=shown,
        updated=last if last and (since := first or shown) and last > since else None,
        labels=("breaking",) if read.options and read.options.is_breaking_news else (),
        authors=header.authors,
        body=tuple(reader.body) or _described(read),
        media=tuple(reader.media),
    )


def native_id(urn: str) -> str:
    """A post's urn without decoration: `asset:<uuid>`, and all that follows."""
    return _DECORATION.sub("", html.collapse(urn))


def _is_post(found: Raw) -> bool:
    post = _decoded(found, _Shape) or _Shape()
    is_dated = isinstance(post.urn, str) or isinstance(post.dates, dict)
    return is_dated and any(
        isinstance(one, dict) and "model" in one for one in (post.header, post.content)
    )


def _decoded(found: Raw, kind: type[T]) -> T | None:
    """The value as this type; None when it has another form."""
    try:
        return msgspec.json.decode(found, type=kind)
    except msgspec.ValidationError:
        return None


def _instant(words: str | None) -> datetime | None:
    return times.instant(words or "")


def _plain(words: str | None) -> str | None:
    return html.collapse(words or "") or None


def _minute(words: str | None) -> tuple[str, ...]:
    minute = html.collapse(words or "")
    return (minute,) if _MINUTE.fullmatch(minute) else ()


def _described(post: _Post) -> tuple[Block, ...]:
    """A card has no content of its own, but may have a description."""
    words = _plain(next((one.text for one in post.descriptions or ()), None))
    return (Paragraph(words),) if words else ()


def _summary(points: _Points | None) -> str | None:
    """The summary points, one a line."""
    if points is None:
        return None
    reader = _Reader("")
    reader.read(_children(points.content))
    return Entry(id="", body=tuple(reader.body)).text or None


# --- header --------------------------------------------------------------------------------------


class _Header:
    """Headline, byline and what else stands above a post's content.

    A line under the headline is the byline ("Name - Role"), as it was before there were contributor
    blocks; beside one, or as long as a sentence, it is a heading.
    """

    def __init__(self, blocks: tuple[_Block, ...]) -> None:
        self.title: str | None = None
        contributors: list[Author] = []
        lines: list[str] = []
        for block in blocks:
            words = _words_of((block,))
            if block.type == "contributor":
                contributors += _contributor(block.model or _Model())
            elif words and self.title is None and block.type != "subheadline":
                self.title = words
            elif words:
                lines.append(words)
        bylines = [] if contributors else [line for line in lines if _is_byline(line)]
        self.authors = tuple(dict.fromkeys(contributors or map(_byline, bylines)))
        self.subheadings = tuple(line for line in lines if line not in bylines)


def _contributor(model: _Model) -> Iterator[Author]:
    if name := _string(model.name):
        yield Author(name, _string(model.subtitle) or None)


def _is_byline(line: str) -> bool:
    return len(line) <= _BYLINE_MAX_CHARS and _SENTENCE.search(line) is None


def _byline(line: str) -> Author:
    name, *role = _ROLE.split(line, maxsplit=1)
    return Author(name, role[0] if role else None)


# --- words ---------------------------------------------------------------------------------------


def _children(block: _Block | None) -> tuple[_Block, ...]:
    if block is None:
        return ()
    return (block.model and block.model.blocks) or block.blocks or block.items or ()


def _text(block: _Block) -> str:
    return (block.model and block.model.text) or ""


def _below(blocks: Iterable[_Block], depth: int = 0) -> Iterator[_Block]:
    """All blocks, and all that lie in them."""
    for block in blocks:
        yield block
        if depth < _MAX_DEPTH:
            yield from _below(_children(block), depth + 1)


class _Words:
    """A line under construction: white space collapsed, marks that touch made one.

    How an editor cut the text into fragments is not what it says.
    """

    def __init__(self) -> None:
        self.text = ""
        self._marks: dict[tuple[MarkKind, str | None], list[tuple[int, int]]] = {}
        self._space = False

    def add(self, raw: str, kinds: Iterable[MarkKind], url: str | None) -> None:
        """A run of text that is marked alike."""
        words = html.collapse(raw)
        self._space = self._space or raw[:1].isspace()
        if not words:
            return
        before = len(self.text)
        self.text += f" {words}" if self._space and self.text else words
        self._space = raw[-1].isspace()
        start = len(self.text) - len(words)
        for kind in (*kinds, *(("link",) if url else ())):
            self._mark((kind, url if kind == "link" else None), before, start)

    def _mark(self, mark: tuple[MarkKind, str | None], before: int, start: int) -> None:
        spans = self._marks.setdefault(mark, [])
        if spans and spans[-1][1] == before:
            start = spans.pop()[0]
        spans.append((start, len(self.text)))

    def line(self) -> Line:
        """What was added."""
        marks = (
            Mark(start, end, kind, url)
            for (kind, url), spans in self._marks.items()
            for start, end in spans
        )
        return Line(self.text, tuple(sorted(marks, key=_place)))


def _place(mark: Mark) -> tuple[int, int, str]:
    return mark.start, -mark.end, mark.kind


def _line(blocks: Iterable[_Block], base_url: str) -> Line:
    words = _Words()
    for raw, kinds, url in _runs(blocks, base_url, None, 0):
        words.add(raw, kinds, url)
    return words.line()


def _runs(
    blocks: Iterable[_Block], base_url: str, url: str | None, depth: int
) -> Iterator[tuple[str, tuple[MarkKind, ...], str | None]]:
    for block in blocks:
        link, inner = _link(block, base_url) or url, _children(block)
        if block.type in _DROPPED or depth == _MAX_DEPTH:
            continue
        edge = "" if block.type in _INLINE else " "
        yield edge, (), url
        if inner:
            yield from _runs(inner, base_url, link, depth + 1)
        else:
            yield _text(block) or edge, _kinds(block), link
        yield edge if block.type != "lineBreak" else " ", (), url


def _link(block: _Block, base_url: str) -> str | None:
    if block.type not in _LINKS or block.model is None:
        return None
    places = (block.model.locator, block.model.href, block.model.url)
    return next((html.web_url(place, base_url) for place in map(_string, places) if place), None)


def _kinds(block: _Block) -> tuple[MarkKind, ...]:
    attributes = block.model.attributes if block.model else None
    if not isinstance(attributes, list):
        return ()
    return tuple(_STRONG_OR_EM[one] for one in attributes if one in ("bold", "italic"))


def _words_of(blocks: Iterable[_Block]) -> str:
    return _line(blocks, "").text


# --- blocks and media ----------------------------------------------------------------------------


class _Reader:
    """Walks blocks and collects text blocks and media."""

    def __init__(self, base_url: str) -> None:
        self.body: list[Block] = []
        self.media: list[Media] = []
        self._base_url = base_url
        self._depth = 0

    def read(self, blocks: tuple[_Block, ...]) -> None:
        """Blocks that stand below each other; loose text between them is a paragraph."""
        loose: list[_Block] = []
        for block in blocks:
            if block.type in _INLINE:
                loose.append(block)
                continue
            self._paragraph(loose)
            loose = []
            self._block(block)
        self._paragraph(loose)

    def _block(self, block: _Block) -> None:
        if block.type in _DROPPED:
            return
        if block.type in _HANDLERS:
            _HANDLERS[block.type](self, block)
        elif block.type.lower().startswith(_EMBEDS) or block.type.endswith("Embed"):
            self._embed(block)
        else:
            self._unknown(block)

    def _unknown(self, block: _Block) -> None:
        """What it holds, or its words."""
        inner = _children(block)
        if not inner or self._depth == _MAX_DEPTH:
            self._paragraph((block,))
            return
        self._depth += 1
        self.read(inner)
        self._depth -= 1

    def _paragraph(self, blocks: Iterable[_Block]) -> None:
        line = _line(blocks, self._base_url)
        if line.text:
            self.body.append(Paragraph(line.text, line.marks))

    def _text_block(self, block: _Block) -> None:
        """A paragraph; pictures do not stand inside of one, but if they do they are kept apart."""
        self._paragraph((block,))

    def _heading(self, block: _Block) -> None:
        if words := _words_of((block,)):
            level = block.model.level if block.model else None
            self.body.append(Heading(words, level if isinstance(level, int) else 3))

    def _list(self, block: _Block) -> None:
        items = tuple(item for child in _children(block) for item in self._items(child, 0))
        kind = _string(block.model.list_type) if block.model else ""
        if items:
            ordered = "orderedList" in (block.type, kind) or kind == "ordered"
            self.body.append(ListBlock(items, ordered))

    def _items(self, block: _Block, depth: int) -> Iterator[Line]:
        """One list item, and after it those of the lists inside it."""
        inner = _children(block)
        lists = [one for one in inner if one.type in _LISTS]
        own = [one for one in inner if one.type not in _LISTS] if inner else [block]
        line = _line(own, self._base_url)
        if line.text:
            yield line
        for child in (child for one in lists for child in _children(one)):
            if depth < _MAX_DEPTH:
                yield from self._items(child, depth + 1)

    def _quote(self, block: _Block) -> None:
        inner = _children(block) or (block,)
        line = _line([one for one in inner if one.type not in _QUOTED_BY], self._base_url)
        cite = _words_of(one for one in inner if one.type in _QUOTED_BY)
        if line.text:
            self.body.append(Quote(line.text, line.marks, cite or None))

    def _table(self, block: _Block) -> None:
        lines = (one for one in _below(_children(block)) if one.type.lower().endswith("row"))
        rows = (tuple(_words_of((cell,)) for cell in _children(one)) for one in lines)
        if kept := tuple(row for row in rows if any(row)):
            self.body.append(Table(kept))
        else:
            self._unknown(block)

    def _image(self, block: _Block) -> None:
        self.media.append(_image(block))

    def _renditions(self, block: _Block) -> None:
        """One picture in several sizes: the widest."""
        images = [one for one in _below(_children(block)) if one.type == "image"]
        if images:
            self._image(max(images, key=_width))

    def _video(self, block: _Block) -> None:
        caption = _caption(block) or _media_title(block)
        self.media.append(Video(_media_url(block, self._base_url), caption))

    def _embed(self, block: _Block) -> None:
        embed = _embedded(block)
        if embed == Embed():
            self._unknown(block)
        else:
            self.body.append(embed)


_LISTS = frozenset(("unorderedList", "orderedList", "list"))
_HANDLERS: dict[str, Callable[[_Reader, _Block], None]] = {
    **dict.fromkeys(_LISTS, _Reader._list),
    **dict.fromkeys(("paragraph", "listItem"), _Reader._text_block),
    **dict.fromkeys(("headline", "subheadline", "heading", "subheading"), _Reader._heading),
    **dict.fromkeys(("quote", "blockquote", "pullQuote", "pullOutQuote"), _Reader._quote),
    **dict.fromkeys(("image", "rawImage"), _Reader._image),
    **dict.fromkeys(("video", "audio", "media", "aresMedia", "clipMedia"), _Reader._video),
    "embedImages": _Reader._renditions,
    "table": _Reader._table,
}


def _models(block: _Block, kind: str) -> Iterator[_Model]:
    """The models of the blocks of this type, the block itself first."""
    return (one.model for one in _below((block,)) if one.type == kind and one.model is not None)


def _caption(block: _Block) -> str | None:
    own = block.model.caption if block.model else None
    if isinstance(own, str):
        return _plain(own)
    return (_inner_words(own) or None) if own is not None else _words_in(block, "caption")


def _words_in(block: _Block, kind: str) -> str | None:
    """The words of the first block of this type in a block."""
    found = (_inner_words(one) for one in _below(_children(block)) if one.type == kind)
    return next(filter(None, found), None)


def _inner_words(block: _Block) -> str:
    return _words_of(_children(block)) or html.collapse(_text(block))


def _image(block: _Block) -> Image:
    shown = block.model.image if block.model else None
    if shown is not None:
        alt, credit = _at(shown, "alt") or _at(shown, "altText"), _at(shown, "copyright")
        url = html.web_url(_at(shown, "src") or _at(shown, "url"))
        return Image(url, alt or None, _caption(block), credit or None)
    raw = next(_models(block, "rawImage"), block.model or _Model())
    return Image(
        url=_image_url(raw),
        alt=_words_in(block, "altText"),
        caption=_caption(block),
        credit=_string(raw.copyright_holder) or None,
    )


def _image_url(raw: _Model) -> str | None:
    """Where a picture lies; its locator alone is no address."""
    locator, origin = _string(raw.locator), _string(raw.origin_code)
    if locator.startswith(("http:", "https:")):
        return html.web_url(locator)
    if _IMAGE_HOST.match(locator):
        return html.web_url(f"https://{locator}")
    if not locator or not origin or origin in _WITH_HOST:
        return None
    return html.web_url(f"{_IMAGES}/ace/ws/{_IMAGE_WIDTH}/{origin}/{locator.lstrip('/')}")


def _width(image: _Block) -> int:
    widths = (raw.width for raw in _models(image, "rawImage"))
    return max((one for one in widths if isinstance(one, int)), default=0)


def _media_title(block: _Block) -> str | None:
    for one in _below((block,)):
        if (model := one.model) is None or one.type in ("image", "caption"):
            continue
        if title := (
            _at(model.video, "title")
            or _string(model.title)
            or _at(model.media, "items", 0, "title")
        ):
            return title
    return None


def _media_url(block: _Block, base_url: str) -> str | None:
    paths = (_at(one.model.link, "path") for one in _below((block,)) if one.model is not None)
    return next((html.web_url(path, base_url) for path in paths if path), None)


def _embedded(block: _Block) -> Embed:
    """Who provides it and where it is."""
    models = [one.model for one in _below((block,)) if one.model is not None]
    oembeds = [model.oembed for model in models if model.oembed is not None]
    places = [
        *(_at(one, "url") for one in oembeds),
        *(_string(place) for one in models for place in (one.source, one.href, one.url, one.src)),
        *(_string(one.locator) for one in models),
    ]
    url = next((url for place in places if place and (url := html.web_url(place))), None)
    names = (
        *(_at(one, "provider_name") for one in oembeds),
        *(_string(m.embed_type) for m in models),
    )
    return Embed(next(filter(None, names), None) or _host(url), url)


def _host(url: str | None) -> str | None:
    return (urlsplit(url).hostname or "").removeprefix("www.") or None if url else None


def _string(value: object) -> str:
    return html.collapse(value) if isinstance(value, str) else ""


def _at(value: object, *path: str | int) -> str:
    """The string at this place in decoded JSON; "" when there is none."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step] if step < len(value) else None
        else:
            return ""
    return _string(value)
