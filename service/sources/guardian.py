"""The `guardian` source: live blogs of the Guardian, as a page, its JSON, or from its content API.

Element ids are made anew for every answer and date lines are those of the article: neither is ever
read. A pinned post is shown twice; the copy has no id of its own and is no entry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, TypeVar
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import msgspec
from msgspec import Meta, Raw, Struct, field
from msgspec.structs import replace
from selectolax.lexbor import LexborHTMLParser, LexborNode

from service.errors import PageError
from service.model import (
    Author,
    Block,
    Embed,
    Entry,
    Head,
    Image,
    Media,
    Paragraph,
    Quote,
    Snapshot,
    Video,
)
from service.sources import html, pieces, times
from service.sources.base import Document, Memo, Source, body_text, decode, decoded, form
from service.sources.html import Content

NAME = "guardian"
T = TypeVar("T")

_BLOG_SIGN = re.compile(rb"\bid\s*=\s*[\"']?liveblog-body\b")
_JSON_SIGNS = (b'"blockFirstPublished"', b'"bodyHtml"')
_OVER = re.compile(r"[-–—]\s*as it happened\s*$", re.IGNORECASE)
# No time of a blog is after 2191.
_LAST_MS = 7_000_000_000_000


# --- the page's JSON, as it comes ----------------------------------------------------------------

_NULL = Raw(b"null")
_Id = Annotated[str, Meta(min_length=1)]
_Moment = int | Annotated[datetime, Meta(tz=True)] | None


class _Attributes(Struct, frozen=True, rename="camel"):
    pinned: bool | None = None
    key_event: bool | None = None
    summary: bool | None = None


class _Named(Struct, frozen=True):
    name: str | None = None


class _Words(Struct, frozen=True):
    """What is said of a picture, beside it."""

    alt: str | None = None
    caption: str | None = None
    credit: str | None = None


class _Place(Struct, frozen=True):
    url: str | None = None


class _Pictures(Struct, frozen=True, rename="camel"):
    """One picture in several sizes."""

    all_images: tuple[_Place, ...] = ()


class _Element(Struct, frozen=True, rename="camel"):
    """One piece of a block. kind: its class name, of which the last part tells.

    What differs in type from kind to kind is decoded only once the kind is known.
    """

    kind: str = field(default="", name="_type")
    html: str | None = None
    url: str | None = None
    original_url: str | None = None
    embed_url: str | None = None
    track_url: str | None = None
    asset_id: str | None = None
    title: str | None = None
    media_title: str | None = None
    alt: str | None = None
    caption: str | None = None
    credit: str | None = None
    attribution: str | None = None
    profile_name: str | None = None
    body: Raw = _NULL
    data: Raw = _NULL
    media: Raw = _NULL
    images: Raw = _NULL
    assets: Raw = _NULL


class _Block(Struct, frozen=True, rename="camel"):
    """One post. What it is made of is never missing, or it is not a post as a page has it."""

    id: _Id
    elements: tuple[_Element, ...]
    title: str | None = None
    attributes: _Attributes | None = None
    contributors: tuple[_Named, ...] | None = None
    block_first_published: _Moment = None
    block_last_updated: _Moment = None


class _Ref(Struct, frozen=True):
    id: str | None = None


class _Pagination(Struct, frozen=True, rename="camel"):
    current_page: int | None = None
    total_pages: int | None = None
    older: str | None = None


class _Config(Struct, frozen=True, rename="camel"):
    is_live: bool | None = None


class _Format(Struct, frozen=True):
    design: str | None = None


class _OpenGraph(Struct, frozen=True):
    modified: str | None = field(default=None, name="article:modified_time")


class _Article(Struct, frozen=True, rename="camel"):
    """The JSON that a page is rendered from, or what comes in its place.

    html, num_new_blocks: in what a page's script asks for its news with, and nowhere else.
    """

    blocks: tuple[_Block, ...] | None = None
    headline: str | None = None
    web_title: str | None = None
    standfirst: str | None = None
    trail_text: str | None = None
    web_url: str | None = field(default=None, name="webURL")
    canonical_url: str | None = None
    config: _Config | None = None
    format: _Format | None = None
    pagination: _Pagination | None = None
    pinned_post: _Ref | None = None
    filter_key_events: bool | None = None
    open_graph_data: _OpenGraph | None = None
    response: _Response | None = None
    html: Raw = _NULL
    num_new_blocks: Raw = _NULL


# --- the content API, as it comes ----------------------------------------------------------------


class _Asset(Struct, frozen=True):
    file: str | None = None


class _CapiElement(Struct, frozen=True, rename="camel"):
    type: str = ""
    assets: tuple[_Asset, ...] = ()
    image_type_data: _Words | None = None


class _CapiBlock(Struct, frozen=True, rename="camel"):
    """One post. contributors: ids of tags, which give the names."""

    id: _Id
    title: str | None = None
    body_html: str = ""
    attributes: _Attributes | None = None
    contributors: tuple[str, ...] = ()
    elements: tuple[_CapiElement, ...] = ()
    first_published_date: _Moment = None
    last_modified_date: _Moment = None
    published: bool = True


class _Tag(Struct, frozen=True, rename="camel"):
    id: str = ""
    web_title: str | None = None


class _Fields(Struct, frozen=True, rename="camel"):
    headline: str | None = None
    standfirst: str | None = None
    trail_text: str | None = None
    last_modified: str | None = None
    live_blogging_now: str | None = None


class _Blocks(Struct, frozen=True, rename="camel"):
    body: tuple[_CapiBlock, ...] | None = None
    requested_body_blocks: dict[str, tuple[_CapiBlock, ...]] = {}
    total_body_blocks: int | None = None


class _Content(Struct, frozen=True, rename="camel"):
    type: str | None = None
    web_title: str | None = None
    web_url: str | None = None
    fields: _Fields = _Fields()
    tags: tuple[_Tag, ...] = ()
    blocks: _Blocks | None = None


class _Response(Struct, frozen=True):
    content: _Content | None = None


# --- the source ----------------------------------------------------------------------------------


def detects(document: Document) -> bool:
    """A live blog of the Guardian in one of its forms."""
    body = document.body
    if form(document, decode(document)) == "html":
        return _BLOG_SIGN.search(body) is not None
    if not any(sign in body for sign in _JSON_SIGNS):
        return False
    try:
        _checked(document)
    except PageError:
        return False
    return True


def parse(document: Document, memo: Memo | None = None) -> Snapshot:
    """Read the page, and the older ones that were asked for with it.

    Raises PageError when it is empty, cut off, broken, a consent page, no live blog, or has no
    block; the answer that a page's script asks for its news with is refused as such.
    """
    memo = memo or Memo()
    pages = [_page(document, memo)]
    warnings = list(pages[0].warnings)
    for _, older in _older_pages(document):
        if older is None or older.status != 200:
            break
        try:
            page = _page(older, memo)
        except PageError as error:
            warnings.append(f"reading of older pages ends: {error}")
            break
        if page.variant != pages[0].variant:
            break
        pages.append(page)
    entries = _each_once(entry for page in pages for entry in page.entries)
    return replace(pages[0], entries=entries, warnings=tuple(warnings))


def wants(document: Document) -> tuple[str, ...]:
    """The next older page, as long as older ones are asked for and named."""
    return tuple(address for address, page in _older_pages(document) if page is None)


def _page(document: Document, memo: Memo) -> Snapshot:
    """What one page says, without its older ones."""
    text = body_text(document)
    if form(document, text) == "html":
        return _markup(document, text, memo)
    found = _checked(document)
    try:
        if isinstance(found, _Article):
            return _data(document, found, memo)
        return _capi(document, found, memo)
    except (msgspec.MsgspecError, ValueError) as error:
        raise _malformed(f"a block is not as it should be: {error}", document.url) from None


def _checked(document: Document) -> _Article | _Content:
    """The JSON of a live blog. Raises PageError for any other."""
    article = decoded(document, _Article)
    content = article.response.content if article.response else None
    if any(bytes(raw) != b"null" for raw in (article.html, article.num_new_blocks)):
        raise _malformed("this is what a page asks for its news with, not a page", document.url)
    if content is not None and content.blocks is not None and content.type in (None, "liveblog"):
        return content
    design = article.format.design if article.format else None
    if article.blocks is None or (design is not None and "Blog" not in design):
        raise _without_blocks("this is no live blog", document.url)
    return article


def _malformed(what: str, where: str) -> PageError:
    fix = "follow the live blog's own address, or that with .json?dcr=true"
    return PageError("page.malformed", what, where=where, fix=fix)


def _without_blocks(what: str, where: str) -> PageError:
    fix = "ask the content API with show-blocks=body, or follow the page itself"
    return PageError("page.no_entries", what, where=where, fix=fix)


# --- older pages ---------------------------------------------------------------------------------


def _older_pages(document: Document) -> Iterator[tuple[str, Document | None]]:
    """The addresses of older pages and what came from there, up to the first that is missing."""
    page, address = document, document.url
    for _ in range(document.reading.older_pages):
        named = _older(page)
        found = _joined(address, named) if named else None
        if found is None:
            return
        address, part = found, document.parts.get(found)
        if part is None or part.seen_at < document.seen_at:
            yield address, None
            return
        yield address, part
        page = part


def _older(page: Document) -> str | None:
    """What a page names as the one below it."""
    try:
        if _BLOG_SIGN.search(page.body):
            return _older_link(html.parsed(decode(page), where=page.url))
        pagination = decoded(page, _Article).pagination
    except PageError:
        return None
    return pagination.older if pagination else None


def _older_link(tree: LexborHTMLParser) -> str | None:
    """The first link in what follows "1 of 4" at the end of a page."""
    bars = tree.css("#liveblog-navigation")
    parts = bars[-1].css("section") if bars else []
    if not parts or parts[-1].css_first("strong") is not None:
        return None
    link = parts[-1].css_first("a[href]")
    return html.attribute(link, "href") if link is not None else None


def _joined(address: str, older: str) -> str | None:
    """An older page's address: its own query on top of what the last one was asked with.

    None when it lies on another host.
    """
    try:
        before, now = urlsplit(address), urlsplit(urljoin(address, older))
    except ValueError:
        return None
    if now.netloc != before.netloc:
        return None
    query = dict(parse_qsl(before.query)) | dict(parse_qsl(now.query))
    return now._replace(query=urlencode(query, safe=":"), fragment="").geturl()


def _each_once(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The first of each id: a block may slide to the next page while that is fetched."""
    found: dict[str, Entry] = {}
    for entry in entries:
        found.setdefault(entry.id, entry)
    return tuple(replace(entry, position=n) for n, entry in enumerate(found.values(), start=1))


# --- the page's JSON -----------------------------------------------------------------------------


def _data(document: Document, article: _Article, memo: Memo) -> Snapshot:
    blocks = article.blocks or ()
    if not blocks:
        raise _without_blocks("the live blog has no blocks", document.url)
    url = article.web_url or article.canonical_url or document.url
    pinned = article.pinned_post.id if article.pinned_post else None
    paging = article.pagination or _Pagination()
    graph = article.open_graph_data or _OpenGraph()
    is_filtered = article.filter_key_events is True
    return Snapshot(
        source=NAME,
        variant="data",
        head=_data_head(article, url),
        entries=_placed((_data_entry(block, memo) for block in blocks), url, {pinned}),
        seen_at=document.seen_at,
        complete=paging.total_pages == 1 and paging.current_page in (1, None) and not is_filtered,
        modified=times.instant(graph.modified or ""),
        silent=_silent(blocks),
        warnings=("it shows key events only: follow it without filterKeyEvents",) * is_filtered,
    )


def _silent(blocks: Sequence[_Block]) -> tuple[str, ...]:
    """The fields for which the JSON of 2021 had no place."""
    has_labels = any(block.attributes for block in blocks)
    known = {
        "title": has_labels or any(block.title for block in blocks),
        "labels": has_labels,
        "authors": any(block.contributors is not None for block in blocks),
    }
    return tuple(name for name, is_known in known.items() if not is_known)


def _data_head(article: _Article, url: str) -> Head:
    title = _line(article.headline or article.web_title)
    live = article.config.is_live if article.config else None
    design = (article.format.design if article.format else None) or ""
    return Head(
        title=title,
        summary=_plain(article.trail_text) or _plain(article.standfirst),
        url=html.web_url(url),
        live=False if design.startswith("DeadBlog") or _is_over(title) else live,
    )


def _data_entry(block: _Block, memo: Memo) -> Entry:
    """A block apart from its page. As JSON again it has nothing left that differs by answer."""
    return memo.read(b"data\0" + msgspec.json.encode(block), partial(_read_block, block))


def _read_block(block: _Block) -> Entry:
    content = _joined_content(map(_element, block.elements))
    published = _instant(block.block_first_published)
    names = (_line(one.name) for one in block.contributors or ())
    return Entry(
        id=block.id,
        title=_line(block.title),
        published=published,
        updated=_later(_instant(block.block_last_updated), published),
        labels=_labels(block.attributes),
        authors=tuple(Author(name) for name in names if name),
        body=content.body,
        media=content.media,
    )


def _labels(attributes: _Attributes | None) -> tuple[str, ...]:
    marks = attributes or _Attributes()
    known = {"key": marks.key_event, "summary": marks.summary, "pinned": marks.pinned}
    return tuple(label for label, is_set in known.items() if is_set)


# --- the pieces of a block -----------------------------------------------------------------------


def _element(element: _Element) -> Content:
    kind = _kind(element.kind)
    if kind in _LEFT_OUT:
        return Content()
    return _ELEMENTS.get(kind, _other)(element)


def _kind(name: str) -> str:
    """`Text` for `model.dotcomrendering.pageElements.TextBlockElement`."""
    return re.sub(r"BlockElement(?:V\d)?$|Element$", "", name.rpartition(".")[2])


def _other(element: _Element) -> Content:
    return html.fragment(element.html) if element.html else _embed(element)


def _embed(element: _Element) -> Content:
    """What another site provides, by its address; without one, what there is in its HTML."""
    url = html.web_url(element.original_url or element.url or element.embed_url)
    if url is None:
        return html.fragment(element.html or "")
    return Content(body=(Embed(_provider(url), _unquestioned(url)),))


def _provider(url: str) -> str | None:
    return (urlsplit(url).hostname or "").removeprefix("www.") or None


def _unquestioned(url: str) -> str:
    """An address without what players add to it."""
    return url.partition("#")[0].partition("?")[0]


def _image(element: _Element) -> Content:
    words = msgspec.json.decode(element.data, type=_Words | None) or _Words()
    pictures = msgspec.json.decode(element.media, type=_Pictures | None) or _Pictures()
    return _pictured(words, pictures.all_images[0].url if pictures.all_images else None)


def _images(element: _Element) -> Content:
    several = msgspec.json.decode(element.images, type=tuple[_Element, ...] | None)
    return _joined_content(map(_image, several or ()))


def _cartoon(element: _Element) -> Content:
    return _pictured(_Words(element.alt, element.caption, element.credit), None)


def _pictured(words: _Words, place: str | None) -> Content:
    image = Image(
        html.web_url(place), _line(words.alt), _plain(words.caption), _plain(words.credit)
    )
    return Content(media=(image,)) if image != Image() else Content()


def _youtube(element: _Element) -> Content:
    place = f"https://www.youtube.com/watch?v={element.asset_id}" if element.asset_id else None
    return Content(media=(Video(place, _plain(element.caption) or _line(element.media_title)),))


def _video(element: _Element) -> Content:
    place = element.original_url or element.url or element.embed_url
    return Content(media=(Video(html.web_url(place), _plain(element.caption)),))


def _clip(element: _Element) -> Content:
    """A video that the Guardian hosts, or its audio: the title stands where a caption would."""
    files = msgspec.json.decode(element.assets, type=tuple[_Place, ...] | None)
    place = element.track_url or (files[0].url if files else None)
    caption = _plain(element.caption) or _line(element.title)
    return Content(media=(Video(html.web_url(place), caption),))


def _quote(element: _Element) -> Content:
    return _quoted(element.html or "", element.attribution)


def _comment(element: _Element) -> Content:
    return _quoted(_words(element.body), element.profile_name)


def _quoted(markup: str, cite: str | None) -> Content:
    content, by = html.fragment(markup), _line(cite)
    return Content(tuple(_as_quote(block, by) for block in content.body), content.media)


def _as_quote(block: Block, cite: str | None) -> Block:
    if isinstance(block, Paragraph | Quote):
        return Quote(block.text, block.marks, cite)
    return block


def _explainer(element: _Element) -> Content:
    return html.fragment(_words(element.body))


def _words(raw: Raw) -> str:
    return msgspec.json.decode(raw, type=str | None) or ""


def _joined_content(parts: Iterable[Content]) -> Content:
    body, media = list[Block](), list[Media]()
    for part in parts:
        body += part.body
        media += part.media
    return Content(tuple(body), tuple(media))


# Links to other articles, adverts, requests, decoration: no part of what a block says.
_LEFT_OUT = frozenset(
    (
        *("RichLink", "Link", "NewsletterSignup", "Callout", "CallOut", "ReporterCallout"),
        *("Disclaimer", "AdPlaceholder", "Caption", "Divider", "StarRating"),
    )
)
_EMBEDS = (
    *("Tweet", "Instagram", "Embed", "Interactive", "InteractiveAtom", "ChartAtom", "Map"),
    *("Document", "Spotify", "Soundcloud", "GenericAtom"),
)
_VIDEOS = ("GuVideo", "Video", "VideoYoutube", "VideoVimeo", "VideoFacebook", "Vine")
_ELEMENTS: Mapping[str, Callable[[_Element], Content]] = {
    **dict.fromkeys(_EMBEDS, _embed),
    **dict.fromkeys(_VIDEOS, _video),
    **dict.fromkeys(("MediaAtom", "AudioAtom"), _clip),
    **dict.fromkeys(("Blockquote", "Pullquote"), _quote),
    "Image": _image,
    "MultiImage": _images,
    "Cartoon": _cartoon,
    "Youtube": _youtube,
    "Comment": _comment,
    "ExplainerAtom": _explainer,
}


# --- the content API -----------------------------------------------------------------------------


def _capi(document: Document, content: _Content, memo: Memo) -> Snapshot:
    asked = content.blocks or _Blocks()
    blocks = [block for block in _listed(asked) if block.published]
    if not blocks:
        raise _without_blocks("the live blog has no blocks", document.url)
    url = content.web_url or document.url
    names = {tag.id: tag.web_title for tag in content.tags if tag.web_title}
    return Snapshot(
        source=NAME,
        variant="capi",
        head=_capi_head(content, url),
        entries=_placed((_capi_entry(block, names, memo) for block in blocks), url, ()),
        seen_at=document.seen_at,
        complete=asked.body is not None and asked.total_body_blocks == len(asked.body),
        modified=times.instant(content.fields.last_modified or ""),
    )


def _listed(blocks: _Blocks) -> tuple[_CapiBlock, ...]:
    """All of them; else, of what was asked for, the latest ones or the longest list."""
    if blocks.body is not None:
        return blocks.body
    asked = blocks.requested_body_blocks
    latest = {name for name in asked if name.startswith("body:latest")} or set(asked)
    chosen = max(latest, key=lambda name: (len(asked[name]), name), default=None)
    return asked[chosen] if chosen is not None else ()


def _capi_head(content: _Content, url: str) -> Head:
    fields = content.fields
    title = _line(fields.headline or content.web_title)
    live = {"true": True, "false": False}.get(fields.live_blogging_now or "")
    return Head(
        title=title,
        summary=_plain(fields.trail_text) or _plain(fields.standfirst),
        url=html.web_url(url),
        live=False if _is_over(title) else live,
    )


def _capi_entry(block: _CapiBlock, names: Mapping[str, str], memo: Memo) -> Entry:
    entry = memo.read(b"capi\0" + msgspec.json.encode(block), partial(_read_capi_block, block))
    authors = tuple(Author(names[tag]) for tag in block.contributors if tag in names)
    return replace(entry, authors=authors)


def _read_capi_block(block: _CapiBlock) -> Entry:
    body = html.parsed(block.body_html, where="").body
    content = Content() if body is None else html.content(body, skip=body.css(_RICH_LINKS))
    pictures = (_capi_image(one) for one in block.elements if one.type == "image")
    published = _instant(block.first_published_date)
    return Entry(
        id=block.id,
        title=_line(block.title),
        published=published,
        updated=_later(_instant(block.last_modified_date), published),
        labels=_labels(block.attributes),
        body=content.body,
        media=content.media or _joined_content(pictures).media,
    )


def _capi_image(element: _CapiElement) -> Content:
    place = element.assets[0].file if element.assets else None
    return _pictured(element.image_type_data or _Words(), place)


# --- the page ------------------------------------------------------------------------------------

_BLOCKS = "#liveblog-body article[id^=block-]"
_RICH_LINKS = "aside.element-rich-link"
_TYPED = "figure[data-spacefinder-type]"
_START = re.compile(r"<article\b[^<>]*?\sid\s*=\s*[\"']?block-[^<>]*>")
_PINNED = "#pinned-post article > header a[href*=block-]"
_PINNED_PLACE = "#pinned-post"
_BLOCK_ID = re.compile(r"block-(\w+)")
_SETTINGS = "window.guardian"
_IS_LIVE = re.compile(r'"isLive"\s*:\s*(true|false)\b')
# What may stand in a header beside names.
_NO_NAMES = ("a", "h2", "h3", "time", "gu-island", "svg")


def _markup(document: Document, text: str, memo: Memo) -> Snapshot:
    rest, cut = pieces.cut(text, _START, memo)
    tree = html.parsed(rest, where=document.url)
    said = (pieces.markup(node, cut) for node in tree.css(_BLOCKS))
    found = (memo.read(block, partial(_read_article, block)) for block in said)
    entries = [entry for entry in found if entry.id]
    if not entries:
        expected = "blocks as <article id=block-…>"
        raise html.without_entries(text, where=document.url, expected=expected)
    if not html.is_closed(text):
        raise html.cut_off(document.url)
    head = _markup_head(tree, text, document)
    copied = (_BLOCK_ID.search(html.attribute(link, "href")) for link in tree.css(_PINNED))
    return Snapshot(
        source=NAME,
        variant="markup",
        head=head,
        entries=_placed(entries, head.url or document.url, {one[1] for one in copied if one}),
        seen_at=document.seen_at,
        modified=times.instant(_meta(tree, "property='article:modified_time'")),
    )


def _markup_head(tree: LexborHTMLParser, text: str, document: Document) -> Head:
    heading = tree.css_first("[data-gu-name=headline] h1, h1")
    standfirst = tree.css_first("[data-gu-name=standfirst]")
    canonical = tree.css_first("link[rel=canonical]")
    place = html.attribute(canonical, "href") if canonical is not None else ""
    title = html.text(heading) if heading is not None else ""
    summary = html.text(standfirst) if standfirst is not None else ""
    return Head(
        title=title or None,
        summary=summary or _meta(tree, "name=description") or None,
        url=html.web_url(place, document.url) or document.url or None,
        live=False if _is_over(title) else _is_live(text),
    )


def _meta(tree: LexborHTMLParser, which: str) -> str:
    node = tree.css_first(f"meta[{which}]")
    return html.attribute(node, "content") if node is not None else ""


def _is_live(text: str) -> bool | None:
    """What the page's settings say of it, if they say one thing."""
    start = text.find(_SETTINGS)
    end = text.find("</script", start)
    said = set(_IS_LIVE.findall(text, start, end)) if 0 <= start < end else set()
    return said == {"true"} if len(said) == 1 else None


def _read_article(markup: str) -> Entry:
    """A block apart from what depends on its page; one without an id is none."""
    article = html.parsed(markup, where="").css_first("article")
    if article is None:
        return Entry(id="")
    header, footer = _child(article, "header"), _child(article, "footer")
    videos = [one for one in article.css(_TYPED) if _kind_of(one) in (*_VIDEOS, "Youtube")]
    left_out = [one for one in article.css(_TYPED) if _kind_of(one) in _LEFT_OUT]
    around = [one for one in (header, footer) if one is not None]
    skip = (*around, *videos, *left_out, *article.css(_RICH_LINKS))
    content = html.content(article, skip=skip)
    published = _stamp(header)
    return Entry(
        id=html.attribute(article, "id").removeprefix("block-"),
        title=_title(header),
        published=published,
        updated=_later(_stamp(footer), published),
        labels=("pinned",) if _is_original(header) else (),
        authors=tuple(Author(name) for name in _names(header)),
        body=content.body,
        media=(*content.media, *map(_framed, videos)),
    )


def _child(node: LexborNode, tag: str) -> LexborNode | None:
    """The last child of that name: a quote inside of a block may have a footer of its own."""
    found = [child for child in node.iter() if child.tag == tag]
    return found[-1] if found else None


def _kind_of(figure: LexborNode) -> str:
    return _kind(html.attribute(figure, "data-spacefinder-type"))


def _framed(figure: LexborNode) -> Video:
    """A video by its frame, if it has one, and its caption: what a player draws is no text."""
    frame, caption = figure.css_first("iframe[src]"), figure.css_first("figcaption")
    place = html.web_url(html.attribute(frame, "src")) if frame is not None else None
    words = html.text(caption) if caption is not None else ""
    return Video(_unquestioned(place) if place else None, words or None)


def _stamp(node: LexborNode | None) -> datetime | None:
    found = node.css_first("time[datetime]") if node is not None else None
    return times.instant(html.attribute(found, "datetime")) if found is not None else None


def _title(header: LexborNode | None) -> str | None:
    found = header.css_first("h2, h3") if header is not None else None
    return (html.text(found) or None) if found is not None else None


def _is_original(header: LexborNode | None) -> bool:
    """Whether a block links to the copy of it that is pinned."""
    links = header.css("a[href]") if header is not None else []
    return any(html.attribute(link, "href").endswith(_PINNED_PLACE) for link in links)


def _names(header: LexborNode | None) -> list[str]:
    """The names in a header: what is neither time, link nor title."""
    if header is None:
        return []
    return [text for text in map(html.text, _bylines(header)) if text]


def _bylines(node: LexborNode) -> Iterator[LexborNode]:
    for child in node.iter():
        if child.tag in _NO_NAMES:
            continue
        if child.css_first(", ".join(_NO_NAMES)) is None:
            yield child
        else:
            yield from _bylines(child)


# --- values --------------------------------------------------------------------------------------


def _placed(entries: Iterable[Entry], url: str, pinned: Iterable[str | None]) -> tuple[Entry, ...]:
    """The entries of one page with what depends on the page."""
    address = html.web_url(_unquestioned(url))
    return tuple(
        replace(entry, url=_block_url(address, entry.id), labels=_with_pinned(entry, pinned))
        for entry in entries
    )


def _block_url(address: str | None, block: str) -> str | None:
    return f"{address}?page=with:block-{block}#block-{block}" if address else None


def _with_pinned(entry: Entry, pinned: Iterable[str | None]) -> tuple[str, ...]:
    is_new = entry.id in pinned and "pinned" not in entry.labels
    return (*entry.labels, "pinned") if is_new else entry.labels


def _is_over(title: str | None) -> bool:
    return title is not None and _OVER.search(title) is not None


def _line(words: str | None) -> str | None:
    """Plain text on one line; None for none."""
    return html.collapse(words or "") or None


def _plain(words: str | None) -> str | None:
    """Words on one line, their tags and entities read; None for none."""
    if not words or ("<" not in words and "&" not in words):
        return _line(words)
    body = html.parsed(words, where="").body
    return (html.text(body) or None) if body is not None else None


def _instant(moment: int | datetime | None) -> datetime | None:
    """A time from its milliseconds or as it is, if a blog can be of then."""
    if isinstance(moment, datetime):
        return times.instant(moment.isoformat())
    if moment is None or not 0 < moment < _LAST_MS:
        return None
    return datetime.fromtimestamp(moment / 1000, UTC)


def _later(moment: datetime | None, published: datetime | None) -> datetime | None:
    is_later = moment is not None and (published is None or moment > published)
    return moment if is_later else None


SOURCE = Source(NAME, detects, parse, wants)
