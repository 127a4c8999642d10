"""The `microdata` source: schema.org LiveBlogPosting as attributes of a page's own elements.

Reads items by the rules of HTML (section 5, microdata), as publishers bend them. Where a container
says that it is a live blog and nothing of what is in it, its entries are told by their form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from selectolax.lexbor import LexborHTMLParser, LexborNode

from service.errors import PageError
from service.model import Author, Head, Image, Media, Snapshot, digest
from service.sources import html, postings, times
from service.sources.base import Document, Memo, Source, body_text, decode, form
from service.sources.postings import PINNED, TYPE, Page, Posting, Said

NAME = "microdata"

_SIGN = TYPE.encode()
_CONTAINER = f"[itemscope][itemtype*={TYPE}]"
_UPDATE_NAMES = ("liveBlogUpdate", "blogPosts", "blogPost", "updates")
_UPDATES = ", ".join(f"[itemprop~={name}]" for name in _UPDATE_NAMES)
_POSTS = '[itemscope][itemtype$="/BlogPosting"]'
_ID_NAMES = ("data-post-id", "data-entry-id", "data-id", "id")
_WITH_ID = ", ".join(f"[{name}]" for name in _ID_NAMES)
_HEADINGS = "h1, h2, h3, h4, h5"
_PINNED = re.compile(r"(?<![A-Za-z])pinned|Pinned")
_DIGITS = re.compile(r"[0-9a-f]{8,}|\d+", re.IGNORECASE)
# By what elements give the value of a property, besides `content` (HTML section 5.2.4).
_ADDRESSES = {
    **dict.fromkeys(("a", "area", "link"), "href"),
    **dict.fromkeys(("audio", "embed", "iframe", "img", "source", "track", "video"), "src"),
    "object": "data",
}
_VALUES = {"time": "datetime", "data": "value", "meter": "value"}
_BODIES = ("articleBody", "text")
# What stands beside a body and is no part of it.
_APART = frozenset(
    (
        *("headline", "name", "author", "publisher", "url", "mainEntityOfPage", "datePublished"),
        *("dateModified", "dateCreated"),
    )
)
# With fewer elements of one form, they need not be entries.
_FEW = 2


class _Property(NamedTuple):
    name: str
    node: LexborNode


class _Item(NamedTuple):
    """An element and the properties that are its own, in page order."""

    node: LexborNode
    properties: list[_Property]

    def nodes(self, *names: str) -> list[LexborNode]:
        """The elements with a property of any of these names."""
        return [one.node for one in self.properties if one.name in names]

    def value(self, *names: str) -> str:
        """The first value of the first of these names that has one."""
        values = (_value(node) for name in names for node in self.nodes(name))
        return next(filter(None, values), "")


def detects(document: Document) -> bool:
    """A container of that type with entries in it: many pages name the type for nothing."""
    if _SIGN not in document.body or b"itemtype" not in document.body.lower():
        return False
    text = decode(document)
    if form(document, text) != "html":
        return False
    try:
        return bool(_found(html.parsed(text, where=document.url))[1])
    except PageError:
        return False


def parse(document: Document, memo: Memo | None = None) -> Snapshot:
    """Read the page. Raises PageError when it is empty, cut off, or has no entry."""
    text, memo = body_text(document), memo or Memo()
    tree = html.parsed(text, where=document.url)
    container, updates = _found(tree)
    if container is None or not updates:
        raise html.without_entries(
            text, where=document.url, expected=f"a {TYPE} as microdata with entries in it"
        )
    if not html.is_closed(text):
        raise html.cut_off(document.url)
    blog = _item(container, apart=updates)
    modified = times.instant(blog.value("dateModified"))
    page = _page(blog, tree, document)
    key = _key(page, document.url)
    read = [_posting(node, page, document.url, key, memo) for node in updates]
    settled = postings.settle(read, document, source=NAME, modified=modified)
    return Snapshot(
        source=NAME,
        head=Head(
            title=page.title,
            summary=html.collapse(blog.value("description")) or None,
            url=_page_url(blog, tree, document),
            authors=page.authors,
        ),
        entries=settled.entries,
        seen_at=document.seen_at,
        undated=settled.undated,
        repeated=settled.repeated,
        modified=modified if modified and modified <= document.seen_at else None,
        warnings=settled.warnings,
    )


# --- finding it ----------------------------------------------------------------------------------


def _found(tree: LexborHTMLParser) -> tuple[LexborNode | None, list[LexborNode]]:
    """The container with the most entries, and these."""
    blogs = [(node, _updates(node)) for node in tree.css(_CONTAINER)]
    return max(blogs, key=lambda blog: len(blog[1]), default=(None, []))


def _updates(container: LexborNode) -> list[LexborNode]:
    """The entries in a container: named as such, else of their type, else of one form."""
    named = _inside(container, container.css(_UPDATES))
    items = [node for node in named if "itemscope" in node.attributes]
    posts = [] if items else _inside(container, container.css(_POSTS))
    return items or posts or named or _of_one_form(container)


def _inside(container: LexborNode, nodes: Iterable[LexborNode]) -> list[LexborNode]:
    return html.outermost([node for node in nodes if node.mem_id != container.mem_id])


def _of_one_form(container: LexborNode) -> list[LexborNode]:
    """The articles, else the most siblings whose ids differ in their number alone."""
    articles = _inside(container, container.css("article"))
    if len(articles) >= _FEW:
        return articles
    groups: dict[tuple[int, str | None, str], list[LexborNode]] = {}
    for node in _inside(container, container.css(_WITH_ID)):
        name, value = next(iter(_ids(node)), ("", ""))
        shape = _DIGITS.sub("0", value)
        if node.parent is not None and shape != value:
            group = groups.setdefault((node.parent.mem_id, node.tag, name + shape), [])
            if html.text(node):
                group.append(node)
    most = max(groups.values(), key=len, default=[])
    return most if len(most) >= _FEW else []


def _ids(node: LexborNode) -> Iterator[tuple[str, str]]:
    values = ((name, html.attribute(node, name)) for name in _ID_NAMES)
    yield from ((name, value) for name, value in values if value)


# --- items ---------------------------------------------------------------------------------------


def _item(node: LexborNode, apart: Iterable[LexborNode] = ()) -> _Item:
    """An item. apart: elements in it whose properties are their own, whatever they say."""
    return _Item(node, [*_properties(node, {node.mem_id, *(one.mem_id for one in apart)})])


def _properties(item: LexborNode, items: set[int]) -> Iterator[_Property]:
    """The properties of an item: those under it that are of no item in between."""
    for node in item.css("[itemprop]"):
        if node.mem_id not in items and _owner(node, items) == item.mem_id:
            for name in html.attribute(node, "itemprop").split():
                yield _Property(name, node)


def _owner(node: LexborNode, items: set[int]) -> int | None:
    around = html.ancestors(node)
    return next(
        (up.mem_id for up in around if up.mem_id in items or "itemscope" in up.attributes), None
    )


def _value(node: LexborNode) -> str:
    """The value of a property. `content` is written on any element, though HTML has it on one."""
    attributes = node.attributes
    if "content" in attributes:
        return html.attribute(node, "content")
    if "itemscope" in attributes:
        item = _item(node)
        return item.value("name", "url") or html.attribute(node, "itemid")
    for names in (_ADDRESSES, _VALUES):
        name = names.get(node.tag or "")
        if name and (value := html.attribute(node, name)):
            return value
    return html.text(node)


# --- the page ------------------------------------------------------------------------------------


def _page(blog: _Item, tree: LexborHTMLParser, document: Document) -> Page:
    heading = tree.css_first("h1") or tree.css_first("title")
    title = html.collapse(blog.value("headline", "name")) or (html.text(heading) if heading else "")
    url = _page_url(blog, tree, document) or ""
    own = (document.url, document.url.partition("?")[0], url, html.attribute(blog.node, "itemid"))
    return Page(
        names=postings.page_names(own),
        title=title or None,
        published=times.instant(blog.value("datePublished")),
        authors=_authors(blog),
        images=_images(blog, document.url),
    )


def _page_url(blog: _Item, tree: LexborHTMLParser, document: Document) -> str | None:
    canonical = tree.css_first("link[rel=canonical]")
    places = (
        blog.value("url"),
        html.attribute(canonical, "href") if canonical is not None else "",
        document.url,
    )
    return next((url for place in places if place and (url := _web(place, document.url))), None)


def _web(place: str, base_url: str) -> str | None:
    return html.web_url(place, base_url)


# --- entries -------------------------------------------------------------------------------------


def _key(page: Page, base_url: str) -> str:
    """What an entry is read with, besides its markup."""
    said = (page.title, page.published, page.authors, page.images)
    return digest(base_url, sorted(page.names), *said)


def _posting(node: LexborNode, page: Page, base_url: str, key: str, memo: Memo) -> Posting:
    return memo.read(
        f"{key}{node.html or ''}", lambda: postings.posting(_said(node, base_url), page, base_url)
    )


def _said(node: LexborNode, base_url: str) -> Said:
    """What an entry says: its properties, and what stands in their place where there are none."""
    item = _item(node)
    heading = None if item.value("headline", "name") else _heading(item)
    time = None if item.value("datePublished", "dateCreated") else _time(item)
    title = item.value("headline", "name") or (html.text(heading) if heading else "")
    published = item.value("datePublished", "dateCreated") or (_value(time) if time else "")
    body = _content(item, [one for one in (heading, time) if one is not None], base_url)
    known = {medium.url for medium in body.media}
    pictures = (one for one in _images(item, base_url) if one.url not in known)
    return Said(
        places=_places(item),
        ids=[postings.undecorated(value) for _, value in _ids(node)],
        title=html.collapse(title) or None,
        published=published,
        modified=item.value("dateModified"),
        authors=_authors(item),
        content=body,
        images=tuple(pictures),
        labels=(PINNED,) if _PINNED.search(html.names(node)) else (),
    )


def _places(item: _Item) -> list[str]:
    """The addresses and global ids of an entry; of its page if it names that as its own."""
    pages = item.nodes("mainEntityOfPage")
    around = (html.attribute(node, "itemid") or _value(node) for node in pages)
    links = (link for node in item.nodes("headline", "name") for link in node.css("a[href]"))
    linked = (html.attribute(link, "href") for link in links)
    return [html.attribute(item.node, "itemid"), item.value("url"), *around, *linked]


def _heading(item: _Item) -> LexborNode | None:
    """The heading that readers see above an entry's text, if nothing says which it is."""
    bodies = {node.mem_id for node in item.nodes(*_BODIES)}
    headings = (one for one in item.node.css(_HEADINGS) if one.mem_id not in bodies)
    return next((one for one in headings if not _is_in(one, bodies) and html.text(one)), None)


def _time(item: _Item) -> LexborNode | None:
    bodies = {node.mem_id for node in item.nodes(*_BODIES)}
    return next((one for one in item.node.css("time") if not _is_in(one, bodies)), None)


def _is_in(node: LexborNode, others: set[int]) -> bool:
    return any(up.mem_id in others for up in html.ancestors(node))


def _content(item: _Item, skip: Sequence[LexborNode], base_url: str) -> html.Content:
    """The body that is named so, else all of the entry but what says who, when and where."""
    bodies = html.outermost(item.nodes(*_BODIES))
    if not bodies:
        apart = [one.node for one in item.properties if one.name in _APART]
        return html.content(item.node, base_url=base_url, skip=[*apart, *skip])
    parts = [
        html.fragment(html.attribute(node, "content"), base_url=base_url)
        if "content" in node.attributes
        else html.content(node, base_url=base_url, skip=skip)
        for node in bodies
    ]
    return html.Content(
        tuple(block for part in parts for block in part.body),
        tuple(medium for part in parts for medium in part.media),
    )


def _authors(item: _Item) -> tuple[Author, ...]:
    authors = dict.fromkeys(map(_author, item.nodes("author")))
    return tuple(author for author in authors if author is not None)


def _author(node: LexborNode) -> Author | None:
    name = html.collapse(_value(node))
    role = _item(node).value("jobTitle") if "itemscope" in node.attributes else ""
    return Author(name, role or None) if name else None


def _images(item: _Item, base_url: str) -> tuple[Media, ...]:
    pictures = (_image(node, base_url) for node in item.nodes("image"))
    return tuple(dict.fromkeys(picture for picture in pictures if picture is not None))


def _image(node: LexborNode, base_url: str) -> Image | None:
    if "itemscope" not in node.attributes:
        url = _web(place, base_url) if (place := _value(node)) else None
        return Image(url, html.attribute(node, "alt") or None) if url else None
    item = _item(node)
    place = item.value("url", "contentUrl") or html.attribute(node, "itemid")
    picture = node if node.tag == "img" else node.css_first("img")
    image = Image(
        url=_web(place, base_url) if place else None,
        alt=(html.attribute(picture, "alt") or None) if picture is not None else None,
        caption=html.collapse(item.value("caption")) or None,
        credit=html.collapse(item.value("creditText", "copyrightHolder")) or None,
    )
    return None if image == Image() else image


SOURCE = Source(NAME, detects, parse)
