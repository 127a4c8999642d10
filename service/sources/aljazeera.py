"""The `aljazeera` source: a live blog of Al Jazeera as its API gives it, a shell and its updates.

The shell lists its updates twice, and the lists disagree: both count. Each update is an answer of
its own: one that was deleted is told from one that cannot be had. Times without a zone are never
read as they stand: the shell has seconds, and changes are given in UTC.
"""

from __future__ import annotations

import html as entities
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import msgspec
from msgspec import Raw, Struct

from service.errors import PageError
from service.model import Author, Entry, Head, Snapshot
from service.sources import html, times
from service.sources.base import Document, Memo, Source, decoded

NAME = "aljazeera"
SITE = "https://www.aljazeera.com/"

_OPERATION = "LiveBlogUpdateQuery"
# An update is read when it is new, and again while it is one of the newest; the others in turn.
NEWEST = 10
IN_TURN = 5
# Of the updates that are listed and not there, so many are asked for again on each poll.
MISSING = 5

_UPDATE_TYPE = "liveblog-update"
_NOT_FOUND = "no_posts_found"
_GONE = frozenset((404, 410))
_OLDEST = datetime.min.replace(tzinfo=UTC)


class _Meta(Struct, frozen=True, rename="camel"):
    id: int | str
    published_time: int | str | None = None


class _Shell(Struct, frozen=True, rename="camel"):
    id: int | str | None = None
    title: str | None = None
    content: str | None = None
    excerpt: str | None = None
    link: str | None = None
    is_live: bool | None = None
    children: tuple[int | str, ...] | None = None
    children_meta: tuple[_Meta, ...] | None = None


class _Person(Struct, frozen=True):
    name: str | None = None


class _Update(Struct, frozen=True, rename="camel"):
    """One update. date: without a zone. modified_gmt: UTC."""

    id: int | str
    title: str | None = None
    should_display_title: bool | None = None
    content: str | None = None
    post_type: str | None = None
    link: str | None = None
    author: tuple[_Person, ...] | None = None
    show_author: bool | None = None
    write_in_author: str | None = None
    write_in_co_author: _Person | None = None
    author_tagline: str | None = None
    date: str | None = None
    modified_gmt: str | None = msgspec.field(default=None, name="modified_gmt")


class _Error(Struct, frozen=True):
    message: str | None = None


class _Data(Struct, frozen=True):
    article: _Shell | None = None
    posts: _Update | None = None


class _Answer(Struct, frozen=True):
    data: _Data | None = None
    errors: tuple[_Error, ...] | None = None


class _Posts(Struct, frozen=True):
    posts: Raw = Raw()


class _Sketch(Struct, frozen=True):
    """As much of an answer as tells whether there is an update in it."""

    data: _Posts | None = None


class _Child(Struct, frozen=True):
    """An update as the shell lists it. published: None when only the list without times has it."""

    id: str
    published: datetime | None


def detects(document: Document) -> bool:
    """The shell of a live blog, or one update of it."""
    if b'"liveblog' not in document.body:
        return False
    data = _data(document)
    if data is None:
        return False
    is_update = data.posts is not None and data.posts.post_type == _UPDATE_TYPE
    return is_update or (data.article is not None and _has_lists(data.article))


def parse(document: Document, memo: Memo | None = None) -> Snapshot:
    """Read the shell with the updates that are there, or one update by itself.

    Raises PageError when it is broken, is not the live blog that was asked for, or an update of it
    cannot be had; not for updates that were deleted, unless those are most of them.
    """
    memo = memo or Memo()
    data = decoded(document, _Answer).data
    if data is not None and data.article is not None:
        return _blog(document, data.article, memo)
    if data is None or data.posts is None:
        raise PageError(
            "page.no_entries",
            "the answer holds neither a live blog nor an update",
            where=document.url,
            fix="is postType right? a wrong one is answered with 200 and no data",
        )
    url = html.web_url(data.posts.link, _base(document)) or document.url
    return _snapshot(document, Head(url=url or None), [_entry(data.posts, None, url)])


def wants(document: Document) -> tuple[str, ...]:
    """The answers of updates that are new, of the newest, and of some others in turn.

    The baseline waits for all of them, so that none is taken for news when it is read later.
    """
    data = _data(document)
    if data is None or data.article is None or not document.url.startswith("http"):
        return ()
    children = sorted(_listed(data.article), key=lambda one: one.published or _OLDEST, reverse=True)
    places = [_address(document.url, child.id) for child in children]
    read = {place: _is_read(document.parts.get(place)) for place in places}
    new = [place for place in places if place not in document.parts]
    missing = [place for place in places if not read[place] and place in document.parts]
    again = [place for place in missing[:MISSING] if _is_old(document, place)]
    if new or again:
        return (*new, *again)
    there = [place for place in places if read[place]]
    newest = [place for place in there[:NEWEST] if _is_old(document, place)]
    return (*newest, *_in_turn(document, there[NEWEST:]))


def _in_turn(document: Document, places: list[str]) -> list[str]:
    """Those that were read longest ago, as many as are still due on this poll."""
    old = [place for place in places if _is_old(document, place)]
    due = IN_TURN - (len(places) - len(old))
    return sorted(old, key=lambda place: document.parts[place].seen_at)[: max(due, 0)]


def _is_old(document: Document, place: str) -> bool:
    """Is the answer from there of an earlier poll?"""
    return document.parts[place].seen_at < document.seen_at


def _is_read(part: Document | None) -> bool:
    """Is there an update in it? One that is not there, or was cut off, is asked for again."""
    if part is None or part.status != 200:
        return False
    try:
        data = msgspec.json.decode(part.body, type=_Sketch).data
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return data is not None and bytes(data.posts) not in (b"", b"null")


def _address(url: str, child: str) -> str:
    """The query for one update, at the address that the shell came from."""
    parts = urlsplit(url)
    variables = f'{{"postID":{child},"postType":"{_UPDATE_TYPE}","preview":"","isAmp":false}}'
    query = {"wp-site": "aje", **dict(parse_qsl(parts.query, keep_blank_values=True))}
    query |= {"operationName": _OPERATION, "variables": variables, "extensions": "{}"}
    path = parts.path if parts.path.endswith("/graphql") else "/graphql"
    return parts._replace(path=path, query=urlencode(query, quote_via=quote), fragment="").geturl()


# --- the shell -----------------------------------------------------------------------------------


def _data(document: Document) -> _Data | None:
    try:
        return msgspec.json.decode(document.body, type=_Answer).data
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _has_lists(shell: _Shell) -> bool:
    return shell.children is not None or shell.children_meta is not None


def _listed(shell: _Shell) -> list[_Child]:
    """Every update that the shell names, in the order in which it lists their times.

    One without a time stands where the list without times has it: on the one below it.
    """
    moments = {str(one.id): _seconds(one.published_time) for one in shell.children_meta or ()}
    above: dict[str | None, list[str]] = {}  # those without a time, by what they stand on
    below: str | None = None
    for key in reversed(list(dict.fromkeys(map(str, shell.children or ())))):
        if key in moments:
            below = key
        else:
            above.setdefault(below, []).insert(0, key)
    order = [one for key in moments for one in (*above.get(key, ()), key)] + above.get(None, [])
    return [_Child(key, moments.get(key)) for key in order if key.isascii() and key.isdigit()]


def _blog(document: Document, shell: _Shell, memo: Memo) -> Snapshot:
    url = html.web_url(shell.link, _base(document)) or document.url
    children = _listed(shell)
    if not children and not (_has_lists(shell) and _line(shell.title)):
        raise PageError(
            "page.no_entries",
            "the live blog lists no updates",
            where=document.url,
            fix="expected `children` and `childrenMeta`, empty before the first update",
        )
    answers = [(child, document.parts.get(_address(document.url, child.id))) for child in children]
    there = [_read(child, part, url, memo) for child, part in answers if part is not None]
    entries = [entry for entry in there if entry is not None]
    _doubt(len(entries), len(there), document.url)
    head = Head(
        title=_line(shell.title),
        summary=_points(shell) or _plain(shell.excerpt),
        url=url or None,
        live=shell.is_live,
    )
    return _snapshot(document, head, entries, unread=len(children) - len(there))


def _doubt(found: int, asked: int, where: str) -> None:
    """Refuse a blog most of whose updates are not there: then the query is wrong, not the blog."""
    if asked > 2 * found:
        raise PageError(
            "page.no_entries",
            f"{asked - found} of its {asked} updates are not there",
            where=where,
            fix=f"has the query {_OPERATION} changed? a wrong one is answered with 200 and no data",
        )


def _base(document: Document) -> str:
    return document.url if document.url.startswith("http") else SITE


def _points(shell: _Shell) -> str | None:
    """The key points above the updates, a line each."""
    content = html.fragment(shell.content or "")
    return Entry(id="", body=content.body).text or None


# --- one update ----------------------------------------------------------------------------------


def _read(child: _Child, part: Document, base_url: str, memo: Memo) -> Entry | None:
    """The entry of an answer; None for an update that was deleted. Raises PageError otherwise."""
    if part.status in _GONE:
        return None
    key = f"{base_url}\n{child.id}\n{child.published}\n{part.status}\n".encode()
    return memo.read(key + part.body, lambda: _answered(child, part, base_url))


def _answered(child: _Child, part: Document, base_url: str) -> Entry | None:
    if part.status != 200:
        raise _unreadable(child, f"is refused ({part.status})", part.url)
    answer = decoded(part, _Answer)
    update = answer.data.posts if answer.data is not None else None
    if update is None:
        if unknown := [one.message for one in answer.errors or () if one.message != _NOT_FOUND]:
            raise _unreadable(child, f"is answered with an error: {unknown[0]}", part.url)
        return None
    if str(update.id) != child.id:
        raise _unreadable(child, f"is answered with update {update.id}", part.url)
    return _entry(update, child.published, base_url)


def _unreadable(child: _Child, what: str, where: str) -> PageError:
    return PageError(
        "page.malformed",
        html.collapse(f"update {child.id} {what}"),
        where=where,
        fix="it is neither there nor deleted; it is asked for again",
    )


def _entry(update: _Update, published: datetime | None, base_url: str) -> Entry:
    content = html.fragment(update.content or "", base_url=base_url)
    changed = _utc(update.modified_gmt)
    published = published or _first_written(update)
    return Entry(
        id=str(update.id),
        title=None if update.should_display_title is False else _line(update.title),
        published=published,
        updated=changed if changed and published and changed > published else None,
        authors=_authors(update),
        body=content.body,
        media=content.media,
        url=f"{base_url}?update={update.id}" if base_url.startswith("http") else None,
    )


def _first_written(update: _Update) -> datetime | None:
    """When it was published, where only its own dates tell.

    That is sure while it was not edited: then its date without a zone is the one in UTC.
    """
    changed = _utc(update.modified_gmt)
    return changed if changed is not None and changed == _utc(update.date) else None


def _authors(update: _Update) -> tuple[Author, ...]:
    if update.show_author is False:
        return ()
    written_in = _plain(update.write_in_author)
    names = [written_in] if written_in else [_plain(one.name) for one in update.author or ()]
    together = update.write_in_co_author
    names += [_plain(together.name)] if together is not None else []
    role = _plain(update.author_tagline)
    return tuple(Author(name, role) for name in names if name)


def _snapshot(
    document: Document, head: Head, entries: Iterable[Entry], *, unread: int = 0
) -> Snapshot:
    warning = f"{unread} updates were not read: each is an answer of its own"
    return Snapshot(
        source=NAME,
        head=head,
        entries=tuple(
            msgspec.structs.replace(entry, position=place) for place, entry in enumerate(entries, 1)
        ),
        seen_at=document.seen_at,
        partial=unread > 0,
        warnings=(warning,) if unread else (),
    )


def _line(words: str | None) -> str | None:
    """Plain text, its entities read."""
    return html.collapse(entities.unescape(words or "")) or None


def _plain(words: str | None) -> str | None:
    if not words:
        return None
    body = html.parsed(words, where=NAME).body if "<" in words or "&" in words else None
    return (html.text(body) if body is not None else html.collapse(words)) or None


def _utc(words: str | None) -> datetime | None:
    """A date-time in UTC, which it says or not."""
    return (times.instant(words) or times.instant(f"{words}Z")) if words else None


def _seconds(value: int | str | None) -> datetime | None:
    try:
        seconds = int(value or 0)
    except ValueError:
        return None
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < 7e9 else None


SOURCE = Source(NAME, detects, parse, wants)
