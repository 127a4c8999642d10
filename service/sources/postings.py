"""What schema.org updates of a live blog have in common, in JSON-LD and in microdata. Pure.

Owns what an update only repeats from its page, which of its names is an id, times that lack a zone,
copies, and the order. An update is judged by itself and by its page, never by its neighbours: else
a new update would seem to edit the others. Where that is not possible, it is said so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import gt, lt
from urllib.parse import unquote

from msgspec import Struct
from msgspec.structs import replace

from service.model import Author, Entry, Media, digest
from service.sources import html, times
from service.sources.base import Document, distinct

TYPE = "LiveBlogPosting"

_DECORATIONS = ("post-", "block-")
_QUERY_ID = re.compile(r"[?&]post_?id=([^&#]+)", re.IGNORECASE)
_SCHEME = re.compile(r"^https?:", re.IGNORECASE)
# With fewer updates than this, equal values may be chance: two values of each, or one.
_FEW, _MANY = 3, 6
PINNED = "pinned"
REPEATED = ("title", "authors")


class Page(Struct, frozen=True, kw_only=True):
    """What a blog says of itself, and its updates may repeat. names: its ids and addresses."""

    names: frozenset[str] = frozenset()
    title: str | None = None
    published: datetime | None = None
    authors: tuple[Author, ...] = ()
    images: tuple[Media, ...] = ()


class Said(Struct, frozen=True, kw_only=True):
    """What an update says, as it stands there. places: its addresses and ids, best first."""

    places: Sequence[str] = ()
    ids: Sequence[str] = ()
    title: str | None = None
    published: str = ""
    modified: str = ""
    authors: tuple[Author, ...] = ()
    content: html.Content = html.Content()
    images: tuple[Media, ...] = ()
    labels: tuple[str, ...] = ()


class Posting(Struct, frozen=True):
    """An update without what it only repeats from its page, before its place is settled.

    names: what may be its id, best first. entry: without a place; its id is the best name or "".
    published, modified: the words of times that are no instants by themselves. is_undated: the day
    was filled in. repeated: fields that only say again what the page says.
    """

    names: tuple[str, ...]
    entry: Entry
    published: str = ""
    modified: str = ""
    is_undated: bool = False
    repeated: tuple[str, ...] = ()


class Settled(Struct, frozen=True):
    """Entries top first. undated: ids of those whose day was filled in. repeated: by field, ids of
    those where it only says again what the page says."""

    entries: tuple[Entry, ...]
    undated: tuple[str, ...] = ()
    repeated: dict[str, frozenset[str]] = {}
    warnings: tuple[str, ...] = ()


# --- one update ----------------------------------------------------------------------------------


def posting(said: Said, page: Page, base_url: str) -> Posting:
    """One update without what it only repeats from its page: headline, authors, picture, time.

    Depends on nothing else. A time is only believed to be the page's where the headline and the
    picture are as well: a first update may well be as old as its page.
    """
    published, modified = times.instant(said.published), times.instant(said.modified)
    is_copy = published is not None and published == page.published and _is_repeated(said, page)
    has_images = said.images != page.images
    places = [place for place in said.places if place and place not in page.names]
    names = tuple([name for name in _names(places, said.ids) if name not in page.names])
    entry = Entry(
        id=names[0] if names else "",
        title=None if said.title == page.title else said.title,
        published=None if is_copy else published,
        updated=None if is_copy else _later(modified, published),
        labels=said.labels,
        authors=() if said.authors == page.authors else said.authors,
        body=said.content.body,
        media=(*said.content.media, *said.images) if has_images else said.content.media,
        url=_url(places, page, base_url),
    )
    return Posting(
        names=names,
        entry=entry,
        repeated=tuple(
            name
            for name in REPEATED
            if getattr(said, name) and getattr(said, name) == getattr(page, name)
        ),
        published="" if published else said.published,
        modified="" if modified else said.modified,
    )


def page_names(addresses: Iterable[str]) -> frozenset[str]:
    """Every id and address by which a page may be meant, given those that it has."""
    names: set[str] = set()
    for address in filter(None, addresses):
        bare = address.partition("#")[0].rstrip("/")
        rest = _SCHEME.sub("", bare)
        forms = (rest, f"http:{rest}", f"https:{rest}") if rest.startswith("//") else (bare,)
        names.update(name for form in forms for name in (form, f"{form}/"))
        names.add(undecorated(unquote(address.partition("#")[2])))
    return frozenset(filter(None, names))


def _is_repeated(said: Said, page: Page) -> bool:
    same_words = page.title is not None and said.title == page.title
    return same_words and bool(page.images) and said.images == page.images


def _later(modified: datetime | None, published: datetime | None) -> datetime | None:
    return modified if modified and (published is None or modified > published) else None


def _names(places: Iterable[str], ids: Iterable[str]) -> list[str]:
    """What may be the publisher's id: what follows "#", else a bare id, else an address."""
    fragments, numbers, bare, addresses = list[str](), list[str](), list[str](), list[str]()
    for place in places:
        start, _, fragment = place.partition("#")
        whole = place if fragment else start
        if name := undecorated(unquote(fragment) if "%" in fragment else fragment):
            fragments.append(name)
        if found := _QUERY_ID.search(start) if "?" in start else None:
            numbers.append(html.collapse(unquote(found[1])))
        if whole:
            (addresses if _is_address(whole) else bare).append(whole)
    return [*fragments, *numbers, *bare, *filter(None, ids), *addresses]


def undecorated(name: str) -> str:
    """An element's id, or what follows "#", as the publisher's id."""
    name = html.collapse(name) if name else ""
    return name.split("-", 1)[1] if name.startswith(_DECORATIONS) else name


def _is_address(place: str) -> bool:
    return place.startswith(("http:", "https:", "/"))


def _url(places: Iterable[str], page: Page, base_url: str) -> str | None:
    """The update's own address: a bare id is none, nor is the page's."""
    for place in places:
        is_address = _is_address(place) or place.startswith(("#", "?"))
        if is_address and place.rstrip("#") not in page.names:
            return html.web_url(place, base_url)
    return None


# --- all of them ---------------------------------------------------------------------------------


def settle(
    postings: Sequence[Posting], document: Document, *, source: str, modified: datetime | None
) -> Settled:
    """The updates as entries, each once, top first, with ids and places. modified: of the page."""
    timed = _own_changes(_timed(_named(postings), document), modified)
    postings, warnings = _own_times(_each_once(timed))
    postings = _top_first(postings)
    names = [one.entry.id or _fallback_id(one, source) for one in postings]
    entries = tuple(
        replace(one.entry, id=name, position=position)
        for position, (name, one) in enumerate(zip(distinct(names), postings, strict=True), start=1)
    )
    without = sum(entry.published is None for entry in entries)
    if without and not warnings:
        warnings = (f"{without} of {len(entries)} entries have no time with a zone",)
    undated = [one.id for one, of in zip(entries, postings, strict=True) if of.is_undated]
    pairs = tuple(zip(entries, postings, strict=True))
    repeated = {
        name: frozenset(one.id for one, of in pairs if name in of.repeated) for name in REPEATED
    }
    return Settled(entries, tuple(undated), repeated, warnings)


def _named(postings: Sequence[Posting]) -> list[Posting]:
    """The updates without names that are the page's, because several have them.

    Two may be a post and its pinned copy. This needs the neighbours: of one update it can't be
    told.
    """
    if len({one.entry.id for one in postings}) == len(postings):
        return list(postings)
    counts = Counter(name for one in postings for name in set(one.names))
    whole = len(postings)
    shared = {name for name, n in counts.items() if n > 2 or n == whole > 1}
    return [_without(one, shared) if one.entry.id in shared else one for one in postings]


def _without(one: Posting, shared: set[str]) -> Posting:
    name = next((name for name in one.names if name not in shared), "")
    return replace(one, entry=replace(one.entry, id=name))


def _timed(postings: list[Posting], document: Document) -> list[Posting]:
    """The updates with what the words of their times mean, if a zone is known for them."""
    return [
        _read_times(one, document) if one.published or one.modified else one for one in postings
    ]


def _read_times(one: Posting, document: Document) -> Posting:
    said, changed = _when(one.published, document), _when(one.modified, document)
    published = said.at if said else one.entry.published
    updated = _later(changed.at if changed else one.entry.updated, published)
    entry = replace(one.entry, published=published, updated=updated)
    return replace(one, entry=entry, is_undated=bool(said and not said.dated))


def _when(words: str, document: Document) -> times.When | None:
    zone = document.reading.zone
    return times.when(words, seen_at=document.seen_at, default_zone=zone) if words else None


def _each_once(postings: list[Posting]) -> list[Posting]:
    """Each id once, where it stands first; a pinned copy gives way to the update in its place."""
    places: dict[str, int] = {}
    pinned: set[str] = set()
    for place, one in enumerate(postings):
        known = places.setdefault(one.entry.id, place)
        if PINNED in one.entry.labels:
            pinned.add(one.entry.id)
        elif known != place and PINNED in postings[known].entry.labels:
            places[one.entry.id] = place
    if len(places) == len(postings):
        return postings
    return [
        _labelled(one) if one.entry.id in pinned else one
        for place, one in enumerate(postings)
        if not one.entry.id or places[one.entry.id] == place
    ]


def _labelled(one: Posting) -> Posting:
    if not one.entry.id or PINNED in one.entry.labels:
        return one
    return replace(one, entry=replace(one.entry, labels=(*one.entry.labels, PINNED)))


def _own_times(postings: list[Posting]) -> tuple[list[Posting], tuple[str, ...]]:
    """A time that all of several updates share is the page's."""
    published = {one.entry.published for one in postings}
    updated = {one.entry.updated for one in postings}
    fewest = _FEW if len(updated) == 1 and None not in updated else _MANY
    if len(postings) < fewest or len(published) > 1 or None in published:
        return postings, ()
    warning = "every entry carries the time of the page: the entries have no time of their own"
    return [
        replace(one, entry=replace(one.entry, published=None, updated=None)) for one in postings
    ], (warning,)


def _own_changes(postings: list[Posting], modified: datetime | None) -> list[Posting]:
    """When the page changed is not when several of its updates did."""
    if modified is None or sum(one.entry.updated == modified for one in postings) < _FEW:
        return postings
    return [
        replace(one, entry=replace(one.entry, updated=None))
        if one.entry.updated == modified
        else one
        for one in postings
    ]


def _top_first(postings: list[Posting]) -> list[Posting]:
    """Newest first, as pages are read: some publishers list the oldest first.

    Ids that are made here are counted from the bottom, so the bottom must be where the oldest are.
    """
    entries = (one.entry for one in postings)
    moments = [one.published for one in entries if one.published and PINNED not in one.labels]
    rises = sum(map(lt, moments, moments[1:]))
    falls = sum(map(gt, moments, moments[1:]))
    return postings[::-1] if rises > falls else postings


def _fallback_id(one: Posting, source: str) -> str:
    """From when it was published and its headline; from its words when it has neither."""
    moment = one.published if one.is_undated else one.entry.published
    if moment is None and one.entry.title is None:
        return digest(source, one.entry.body)
    return digest(source, moment, one.entry.title)
