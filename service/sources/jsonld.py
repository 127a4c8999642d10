"""The `jsonld` source: schema.org LiveBlogPosting of any publisher, in a page or on its own.

Owns the ways in which publishers fill that form, and misfill it. `coverageEndTime` never means that
a page has ended: publishers set it in advance.
"""

from __future__ import annotations

import html as entities
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from service.errors import PageError
from service.model import Author, Entry, Head, Image, Media, Paragraph, Snapshot, Video, digest
from service.sources import html, times
from service.sources.base import Document, Memo, Source, body_text, decode, distinct, form

NAME = "jsonld"

_TYPE = "LiveBlogPosting"
_SCRIPTS = 'script[type*="ld+json"]'
_DECORATION = re.compile(r"^(?:post|block)-")
_TAG = re.compile(
    r"</?(?:p|div|span|br|a|b|i|u|em|strong|ul|ol|li|blockquote|h[1-6]|figure|img|iframe|table"
    r"|section|article)\b[^<>]*>",
    re.IGNORECASE,
)
# With fewer updates than this, equal values may be chance.
_FEW = 3

# A decoded JSON object: the only place where nothing is known of a value.
Json = dict[str, Any]


class _Update(Struct, frozen=True):
    """What is needed of one update before its place is settled. name: the publisher's own id."""

    name: str | None
    headline: str | None
    published: datetime | None
    updated: datetime | None
    authors: tuple[Author, ...]
    content: html.Content
    images: tuple[Media, ...]
    url: str | None


def detects(document: Document) -> bool:
    """A LiveBlogPosting in a JSON-LD script, or as the body itself."""
    text = decode(document)
    if _TYPE not in text or form(document, text) == "text":
        return False
    try:
        return any(_TYPE in script for script in _scripts(document, text))
    except PageError:
        return False


def parse(document: Document, _memo: Memo | None = None) -> Snapshot:
    """Read the page. Raises PageError when it is empty, cut off, broken, or has no update."""
    text = body_text(document)
    blogs, broken = _blogs(_scripts(document, text))
    blog = max(blogs, key=lambda one: len(_updates_of(one)), default=None)
    if blog is None or not _updates_of(blog):
        raise _without_updates(document, text, broken)
    if form(document, text) == "html" and not html.is_closed(text):
        raise html.cut_off(document.url)
    entries, warnings = _entries(blog, document)
    return Snapshot(
        source=NAME,
        head=_head(blog, document),
        entries=entries,
        seen_at=document.seen_at,
        warnings=(*broken, *warnings),
    )


def _without_updates(document: Document, text: str, broken: Sequence[str]) -> PageError:
    if form(document, text) != "html":
        code = "page.malformed" if broken else "page.no_entries"
        what = broken[0] if broken else f"the body holds no {_TYPE} with updates"
        fix = f"expected the JSON-LD of a {_TYPE} with liveBlogUpdate"
        return PageError(code, what, where=document.url, fix=fix)
    return html.without_entries(
        text,
        where=document.url,
        expected=f"a {_TYPE} with liveBlogUpdate" + "".join(f"; {one}" for one in broken),
    )


# --- finding it ----------------------------------------------------------------------------------


def _scripts(document: Document, text: str) -> list[str]:
    if form(document, text) != "html":
        return [text]
    tree = html.parsed(text, where=document.url)
    return [script.text() for script in tree.css(_SCRIPTS)]


def _blogs(scripts: Sequence[str]) -> tuple[list[Json], list[str]]:
    """Every LiveBlogPosting in the scripts, and what was wrong with those that cannot be read."""
    blogs: list[Json] = []
    broken: list[str] = []
    for number, script in enumerate(scripts, start=1):
        try:
            blogs += _walk(_decoded(script))
        except (ValueError, RecursionError) as error:
            broken.append(f"JSON-LD script {number} is not JSON: {error}")
    return blogs, broken


def _decoded(script: str) -> object:
    """JSON, also with bare line ends inside of strings, as some publishers write it."""
    try:
        return msgspec.json.decode(script)
    except (msgspec.DecodeError, ValueError):
        return json.loads(script.strip().rstrip(";"), strict=False)


def _walk(value: object) -> Iterator[Json]:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case list() as several:
                waiting += several
            case dict() as one:
                if _TYPE in _list(one.get("@type")):
                    yield one
                waiting += [one.get("@graph"), one.get("mainEntity")]


def _updates_of(blog: Json) -> list[Json]:
    return [one for one in _list(blog.get("liveBlogUpdate")) if isinstance(one, dict)]


# --- head ----------------------------------------------------------------------------------------


def _head(blog: Json, document: Document) -> Head:
    return Head(
        title=_plain(blog.get("headline") or blog.get("name")),
        summary=_plain(blog.get("description")),
        url=html.web_url(_page_url(blog), document.url) or document.url or None,
    )


def _page_url(blog: Json) -> str:
    page = blog.get("mainEntityOfPage")
    named = page.get("@id") if isinstance(page, dict) else page
    return _string(blog.get("url")) or _string(named)


# --- entries -------------------------------------------------------------------------------------


def _entries(blog: Json, document: Document) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    updates = [_update(one, document.url) for one in _updates_of(blog)]
    updates, warnings = _own_times(_own(updates, blog, document.url))
    updates = _top_first(_without_copies(updates))
    names = distinct([one.name or _fallback_id(one) for one in updates])
    entries = tuple(
        _entry(name, update, position)
        for position, (name, update) in enumerate(zip(names, updates, strict=True), start=1)
    )
    undated = sum(entry.published is None for entry in entries)
    if undated and not warnings:
        warnings = (f"{undated} of {len(entries)} entries have no time with a zone",)
    return entries, warnings


def _own(updates: list[_Update], blog: Json, base_url: str) -> list[_Update]:
    updates = _own_headlines(updates, _plain(blog.get("headline") or blog.get("name")))
    updates = _own_names(updates, _page_url(blog) or base_url)
    updates = _own_authors(updates, _authors(blog.get("author")))
    return _own_images(updates, _images(blog, base_url))


def _entry(name: str, update: _Update, position: int) -> Entry:
    return Entry(
        id=name,
        title=update.headline,
        published=update.published,
        updated=update.updated,
        authors=update.authors,
        body=update.content.body,
        media=(*update.content.media, *update.images),
        url=update.url,
        position=position,
    )


def _update(one: Json, base_url: str) -> _Update:
    published, modified = _instant(one.get("datePublished")), _instant(one.get("dateModified"))
    is_later = modified is not None and (published is None or modified > published)
    return _Update(
        name=_native_id(one),
        headline=_plain(one.get("headline") or one.get("name")),
        published=published,
        updated=modified if is_later else None,
        authors=_authors(one.get("author")),
        content=_content(_string(one.get("articleBody")), base_url),
        images=_images(one, base_url),
        url=html.web_url(_string(one.get("url")) or _string(one.get("@id")), base_url),
    )


# --- what an update only repeats from its page ---------------------------------------------------


def _own_names(updates: list[_Update], page_url: str) -> list[_Update]:
    """A name that several entries carry is the page's; two may be a post and its pinned copy."""
    counts = Counter(one.name for one in updates)

    def is_shared(name: str | None) -> bool:
        return name == page_url or counts[name] > 2 or counts[name] == len(updates) > 1

    return [replace(one, name=None) if is_shared(one.name) else one for one in updates]


def _own_headlines(updates: list[_Update], page_title: str | None) -> list[_Update]:
    """Publishers put the page's headline, authors and picture where an update has none.

    Each update is judged by itself: what an entry says must not depend on its neighbours, or it
    would seem edited when they change.
    """
    return [replace(one, headline=None) if one.headline == page_title else one for one in updates]


def _own_authors(updates: list[_Update], page: tuple[Author, ...]) -> list[_Update]:
    return [replace(one, authors=()) if one.authors == page else one for one in updates]


def _own_images(updates: list[_Update], page: tuple[Media, ...]) -> list[_Update]:
    return [replace(one, images=()) if one.images == page else one for one in updates]


def _own_times(updates: list[_Update]) -> tuple[list[_Update], tuple[str, ...]]:
    moments = {one.published for one in updates}
    if len(updates) < _FEW or len(moments) > 1 or None in moments:
        return updates, ()
    warning = "every entry carries the time of the page: the entries have no time of their own"
    return [replace(one, published=None, updated=None) for one in updates], (warning,)


# --- ids and order -------------------------------------------------------------------------------


def _native_id(one: Json) -> str | None:
    """The publisher's id: what follows "#" in @id or url, else a bare @id, else the url itself."""
    places = [_string(one.get("@id")), _string(one.get("url"))]
    for place in places:
        fragment = place.partition("#")[2]
        if name := _DECORATION.sub("", html.collapse(unquote(fragment))):
            return name
    return next(filter(None, places), None)


def _fallback_id(one: _Update) -> str:
    """From when it was published and its headline; from its words when it has neither."""
    if one.published is None and one.headline is None:
        return digest(NAME, one.content.body)
    return digest(NAME, one.published, one.headline)


def _without_copies(updates: Sequence[_Update]) -> list[_Update]:
    seen: set[str] = set()
    kept = []
    for one in updates:
        if one.name is None or one.name not in seen:
            kept.append(one)
        seen.add(one.name or "")
    return kept


def _top_first(updates: list[_Update]) -> list[_Update]:
    """Newest first, as pages are read: some publishers list the oldest first."""
    moments = [one.published for one in updates if one.published]
    rises = sum(above < below for above, below in pairwise(moments))
    falls = sum(above > below for above, below in pairwise(moments))
    return updates[::-1] if rises > falls else updates


# --- values --------------------------------------------------------------------------------------


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _string(value: object) -> str:
    """A string; JSON can hold halves of surrogate pairs, which no other text can."""
    return value.encode("utf-8", "ignore").decode() if isinstance(value, str) else ""


def _plain(value: object) -> str | None:
    """A string on one line, its entities and tags read; None for none."""
    return html.collapse(_TAG.sub(" ", entities.unescape(_string(value)))) or None


def _instant(value: object) -> datetime | None:
    return times.instant(_string(value))


def _content(text: str, base_url: str) -> html.Content:
    """Blocks of an articleBody: plain text, HTML, or either with its entities escaped once more."""
    markup = text if _TAG.search(text) else entities.unescape(text)
    if _TAG.search(markup):
        return html.fragment(markup, base_url=base_url)
    lines = (html.collapse(line) for line in markup.splitlines())
    return html.Content(tuple(Paragraph(line) for line in lines if line))


def _authors(value: object) -> tuple[Author, ...]:
    """Authors given as a name, an object, or a list of them; each once."""
    authors = dict.fromkeys(_author(one) for one in _list(value))
    return tuple(author for author in authors if author is not None)


def _author(value: object) -> Author | None:
    if not isinstance(value, dict):
        name, role = _plain(value), None
    else:
        name, role = _plain(value.get("name")), _plain(value.get("jobTitle"))
    return Author(name, role) if name else None


def _images(one: Json, base_url: str) -> tuple[Media, ...]:
    pictures = (_image(value, base_url) for value in _list(one.get("image")))
    videos = (_video(value, base_url) for value in _list(one.get("video")))
    return tuple(medium for medium in (*pictures, *videos) if medium is not None)


def _image(value: object, base_url: str) -> Image | None:
    if not isinstance(value, dict):
        url = html.web_url(_string(value), base_url) if value else None
        return Image(url) if url else None
    place = _string(value.get("url")) or _string(value.get("contentUrl"))
    image = Image(
        url=html.web_url(place, base_url) if place else None,
        caption=_plain(value.get("caption")),
        credit=_plain(value.get("creditText")),
    )
    return None if image == Image() else image


def _video(value: object, base_url: str) -> Video | None:
    if not isinstance(value, dict):
        return None
    place = _string(value.get("contentUrl")) or _string(value.get("embedUrl"))
    return Video(
        url=html.web_url(place, base_url) if place else None, caption=_plain(value.get("name"))
    )


SOURCE = Source(NAME, detects, parse)
