"""The `sourcefabric` source: posts of Live Blog (Sourcefabric, Superdesk), as its API gives them.

Editors order posts by hand, and withdrawn ones stay in the feed: the first is no edit, the second a
tombstone. What is not "open", or has a date that is still to come, was never out, or is not any
more. Two forms: items in groups, or (version 2 of the API) as a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
from msgspec import Raw, Struct, field

from service.errors import PageError
from service.model import Author, Embed, Entry, Head, Image, Quote, Snapshot
from service.sources import html, times
from service.sources.base import Document, Memo, Source, decoded, record

NAME = "sourcefabric"

_OPEN = "open"
_MAX_DEPTH = 8
# A post may be given a date that is to come. Clocks that differ by less do not hide one.
_AHEAD = timedelta(minutes=1)
_ADVERT = "advertisement"
_CREDIT = re.compile(r"^\s*(?:credit|foto|photo)\s*:\s*", re.IGNORECASE)


class _Rendition(Struct, frozen=True):
    href: str | None = None


class _Media(Struct, frozen=True):
    renditions: dict[str, _Rendition] | None = None


class _Meta(Struct, frozen=True):
    """What an item is made of, by its kind; most of it are words."""

    caption: object = None
    credit: object = None
    quote: object = None
    url: object = None
    original_url: object = None
    provider_name: object = None
    media: object = None


class _Item(Struct, frozen=True):
    item_type: str | None = None
    text: str | None = None
    meta: _Meta | None = None
    renditions: object = None
    syndicated_creator: object = None
    groups: tuple[_Group, ...] | None = None


class _Ref(Struct, frozen=True):
    item: _Item | None = None


class _Group(Struct, frozen=True):
    id: str = ""
    refs: tuple[_Ref, ...] = ()


class _Person(Struct, frozen=True):
    display_name: str | None = None


class _Post(Struct, frozen=True):
    id: str = field(name="_id")
    groups: tuple[_Group, ...] | None = None
    items: tuple[_Item, ...] | None = None
    deleted: bool | None = None
    post_status: str | None = None
    sticky: bool | None = None
    lb_highlight: bool | None = None
    highlight: bool | None = None
    order: float | None = None
    firstcreated: str | None = None
    created: str | None = field(default=None, name="_created")
    published_date: str | None = None
    content_updated_date: str | None = None
    unpublished_date: str | None = None
    publisher: object = None
    original_creator: object = None
    syndication_in: object = None


class _Paging(Struct, frozen=True):
    max_results: int | None = None
    page: int | None = None
    total: int | None = None


class _Answer(Struct, frozen=True):
    items: tuple[Raw, ...] = field(name="_items")
    meta: _Paging | None = field(default=None, name="_meta")


def detects(document: Document) -> bool:
    """A page of posts, or a single post."""
    if b'"item_type"' not in document.body:
        return False
    try:
        raws, _ = _posts(document)
        first = msgspec.json.decode(raws[0], type=_Post) if raws else _Post("")
    except (PageError, msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return first.groups is not None or first.items is not None


def parse(document: Document, memo: Memo | None = None) -> Snapshot:
    """Read the posts. Raises PageError when they are broken, or none of them is or was out."""
    memo = memo or Memo()
    raws, total = _posts(document)
    read = [record(document, raw, _Post, memo) for raw in raws]
    posts = sorted(_first_of_each(read), key=lambda post: -(post.order or 0.0))
    shown = [post for post in posts if _is_out(post, document.seen_at)]
    out = {post.id for post in shown}
    if not shown and not any(map(_was_out, posts)):
        raise PageError(
            "page.no_entries",
            f"none of its {len(posts)} posts is published",
            where=document.url,
            fix="expected posts with post_status open",
        )
    return Snapshot(
        source=NAME,
        head=Head(url=document.url or None),
        entries=tuple(_entry(post, place, memo) for place, post in enumerate(shown, 1)),
        seen_at=document.seen_at,
        complete=total == len(posts),
        # Also drafts: one that was never out is not known, and nobody's withdrawal.
        withdrawn=tuple(post.id for post in posts if post.id not in out),
    )


def _first_of_each(posts: Iterable[_Post]) -> list[_Post]:
    """Posts without copies: one slides to the next page when another comes in between."""
    by_id: dict[str, _Post] = {}
    for post in posts:
        by_id.setdefault(post.id, post)
    return list(by_id.values())


def wants(document: Document) -> tuple[str, ...]:
    """The further pages of the feed, as far as older ones are asked for."""
    if not document.reading.older_pages:
        return ()
    try:
        paging = msgspec.json.decode(document.body, type=_Answer).meta
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ()
    if paging is None or not paging.total or not paging.max_results:
        return ()
    first = paging.page or 1
    last = min(-(-paging.total // paging.max_results), first + document.reading.older_pages)
    pages = (_page(document.url, number) for number in range(first + 1, last + 1))
    return tuple(page for page in pages if not _is_fresh(document, page))


def _is_fresh(document: Document, address: str) -> bool:
    part = document.parts.get(address)
    return part is not None and part.seen_at >= document.seen_at


def _page(url: str, number: int) -> str:
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True)) | {"page": str(number)}
    return parts._replace(query=urlencode(query)).geturl()


def _posts(document: Document) -> tuple[list[Raw], int | None]:
    """The posts as they came, and how many there are in all, if the first page says it."""
    if b'"_items"' not in document.body:
        return [decoded(document, Raw)], None
    answers = [decoded(document, _Answer)]
    if document.reading.older_pages:
        answers += [decoded(p, _Answer) for p in document.parts.values() if p.status == 200]
    paging = answers[0].meta
    is_first = paging is not None and paging.page in (None, 1)
    total = paging.total if paging is not None and is_first else None
    return [raw for answer in answers for raw in answer.items], total


def _is_out(post: _Post, seen_at: datetime) -> bool:
    is_open = (post.post_status or _OPEN) == _OPEN
    date = _instant(post.published_date)
    is_due = date is None or date <= seen_at + _AHEAD
    return is_open and is_due and not _was_out(post)


def _was_out(post: _Post) -> bool:
    """Is this the tombstone of a post that was published?"""
    return bool(post.deleted) or _is_unpublished(post)


def _is_unpublished(post: _Post) -> bool:
    """Was it taken back after it was last published?"""
    back, out = _instant(post.unpublished_date), _instant(post.published_date)
    return back is not None and (out is None or back > out)


def _entry(post: _Post, position: int, memo: Memo) -> Entry:
    items = list(_items(post))
    contents = [_content(item, memo) for item in items]
    published = _instant(post.published_date or post.firstcreated or post.created)
    changed = _instant(post.content_updated_date)
    labels = {"key": post.lb_highlight or post.highlight, "pinned": post.sticky}
    return Entry(
        id=post.id,
        published=published,
        updated=changed if changed and published and changed > published else None,
        labels=tuple(label for label, is_set in labels.items() if is_set),
        authors=_authors(post, items),
        body=tuple(block for content in contents for block in content.body),
        media=tuple(medium for content in contents for medium in content.media),
        position=position,
    )


def _items(post: _Post) -> Iterator[_Item]:
    """What a post is made of, in its order, without adverts."""
    groups = (group for group in post.groups or () if group.id != "root")
    found = (item for group in groups for item in _inner(group))
    for item in (*found, *(post.items or ())):
        if not (item.item_type or "").lower().startswith(_ADVERT):
            yield item


def _inner(group: _Group, depth: int = 0) -> Iterator[_Item]:
    for ref in group.refs:
        if ref.item is None:
            continue
        yield ref.item
        if depth < _MAX_DEPTH:
            for inner in ref.item.groups or ():
                yield from _inner(inner, depth + 1)


def _authors(post: _Post, items: Iterable[_Item]) -> tuple[Author, ...]:
    """Who wrote a post: where it was taken over from, else here; else who published it."""
    syndicated = [item.syndicated_creator for item in items] if post.syndication_in else []
    people = (*syndicated, post.original_creator, post.publisher)
    name = next(filter(None, map(_name, people)), None)
    return (Author(name),) if name else ()


def _name(person: object) -> str | None:
    """The name that is shown; older versions have an id in place of the person."""
    try:
        return html.collapse(msgspec.convert(person, _Person).display_name or "") or None
    except msgspec.ValidationError:
        return None


def _content(item: _Item, memo: Memo) -> html.Content:
    meta, words = item.meta or _Meta(), item.text or ""
    match item.item_type:
        case "image":
            return _image(item, meta, memo)
        case "quote":
            return _quote(meta, words, memo)
        case "embed":
            return _embed(meta, words, memo)
        case _:
            return memo.read(f"html:{words}", lambda: html.fragment(words))


def _image(item: _Item, meta: _Meta, memo: Memo) -> html.Content:
    """The picture of an item; caption and credit stand apart from its markup."""
    words = item.text or ""
    shown = memo.read(f"html:{words}", lambda: html.fragment(words))
    found = next((one for one in shown.media if isinstance(one, Image)), Image())
    caption, credit = _words(meta.caption), _words(meta.credit)
    image = Image(
        url=found.url or _rendition(meta.media) or _rendition({"renditions": item.renditions}),
        alt=found.alt,
        caption=caption or (None if credit else found.caption),
        credit=_CREDIT.sub("", credit) if credit else found.credit,
    )
    return html.Content(media=(image,)) if image != Image() else html.Content()


def _rendition(media: object) -> str | None:
    try:
        renditions = msgspec.convert(media, _Media).renditions or {}
    except msgspec.ValidationError:
        return None
    places = (renditions.get(name) for name in ("baseImage", "viewImage", "original"))
    return next((url for one in places if one and (url := html.web_url(one.href))), None)


def _quote(meta: _Meta, words: str, memo: Memo) -> html.Content:
    said = _words(meta.quote)
    if said:
        return html.Content(body=(Quote(said, cite=_words(meta.credit)),))
    return memo.read(f"html:{words}", lambda: html.fragment(words))


def _embed(meta: _Meta, words: str, memo: Memo) -> html.Content:
    """What another site provides; its words are that site's, unless it has no address.

    The words of a microblog post are what it says.
    """
    shown = memo.read(f"html:{words}", lambda: html.fragment(words))
    place = _words(meta.original_url) or _words(meta.url)
    url = html.web_url(place) if place else None
    quotes = tuple(block for block in shown.body if isinstance(block, Quote))
    if url is None:
        return shown
    host = (urlsplit(url).hostname or "").removeprefix("www.")
    return html.Content(body=quotes or (Embed(host or None, url),))


def _words(value: object) -> str | None:
    """Words on one line, their tags read."""
    if not isinstance(value, str) or not value.strip():
        return None
    body = html.parsed(value, where=NAME).body if "<" in value or "&" in value else None
    return (html.text(body) if body is not None else html.collapse(value)) or None


def _instant(value: str | None) -> datetime | None:
    return times.instant(value) if value else None


SOURCE = Source(NAME, detects, parse, wants)
