"""The `wordpress` source: the entries of the Liveblog plugin, as its JSON gives them.

An answer is a log of records and not a page: what it does not name is still there. Records are
applied by id, the latest last; a deletion is a tombstone. A page that carries the plugin has no
entries in it: it names the address of its log, which is read beside it.
"""

from __future__ import annotations

import html as entities
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
from msgspec import Raw, Struct
from selectolax.lexbor import LexborHTMLParser, LexborNode

from service.errors import PageError
from service.model import Author, Entry, Head, Snapshot
from service.sources import html
from service.sources.base import (
    Document,
    Memo,
    Source,
    body_text,
    decode,
    decoded,
    form,
    is_like,
    record,
)

NAME = "wordpress"

_SIGNS = re.compile(rb'"latest_timestamp"|"entry_time"|liveblog_settings')
_SETTINGS = re.compile(r"\bliveblog_settings\s*=\s*(?=\{)")
# Of the REST API only: the addresses of older versions of the plugin are another form.
_REST = re.compile(r"/liveblog/v1/\d+/$")
_EVERYTHING = "entries/0/9999999999/"
_LIVE = {"enable": True, "archive": False}
_ABSENT = (None, False, 0, "", "0")
# Commands ("/breaking") stay in the text as marks for its style. Their class is a label, and only
# `key` is a field as well.
_COMMAND = ".liveblog-command"
_COMMANDS = {"type-breaking": "breaking"}
# In this order where one moment has several records of an entry.
_TYPES = ("new", "update", "delete")
_DELETED = "delete"
_SHOWN = (None, "publish")
# What a link to an entry adds to the address of its page.
_ENTRY_PARAMETER = "lbup"


class _Record(Struct, frozen=True):
    """One record: a new entry, the new words of one, or its deletion. Times are seconds (UTC).

    render: the words as the page shows them. content: as the editor typed them.
    """

    id: int | str
    type: str = "new"
    status: str | None = None
    headline: str | None = None
    render: str | None = None
    content: str | None = None
    timestamp: int | float | str | None = None
    entry_time: int | float | str | None = None
    authors: object = None
    share_link: str | None = None
    key_event: bool | None = None


class _Answer(Struct, frozen=True):
    """Its `latest_timestamp` is no clock of the page: it is that of the records in the answer."""

    entries: tuple[Raw, ...]


class _Settings(Struct, frozen=True):
    """What the page tells the plugin's script. latest_entry_id: of a log that is not empty."""

    endpoint_url: str | None = None
    permalink: str | None = None
    state: str | None = None
    latest_entry_id: object = None


class _Words(Struct, frozen=True):
    """What the HTML of an entry holds."""

    content: html.Content = html.Content()
    labels: tuple[str, ...] = ()


def detects(document: Document) -> bool:
    """An answer of the plugin, or a page that names the address of one."""
    if not _SIGNS.search(document.body):
        return False
    text = decode(document)
    if form(document, text) == "html":
        settings = _settings(text)
        return settings is not None and _log_address(document, settings) is not None
    try:
        return _is_answer(document, _answer(document))
    except PageError:
        return False


def parse(document: Document, memo: Memo | None = None) -> Snapshot:
    """Read the log. Raises PageError when it is broken, or holds no record at all although the
    page does not say that nothing was written yet.
    """
    text, memo = body_text(document), memo or Memo()
    if form(document, text) == "html":
        return _page(document, text, memo)
    answer = _answer(document)
    if not answer.entries:
        raise _without_records(document.url)
    records = _latest(document, answer, memo)
    page_url = next(filter(None, (_page_url(one.share_link) for one in records)), None)
    return _snapshot(document, records, Head(url=page_url or document.url or None), memo)


def wants(document: Document) -> tuple[str, ...]:
    """The log that a page names, on each poll."""
    if b"liveblog_settings" not in document.body:
        return ()
    text = decode(document)
    settings = _settings(text) if form(document, text) == "html" else None
    address = _log_address(document, settings) if settings else None
    part = document.parts.get(address) if address else None
    is_fresh = part is not None and part.seen_at >= document.seen_at
    return () if address is None or is_fresh else (address,)


# --- the log -------------------------------------------------------------------------------------


def _answer(document: Document) -> _Answer:
    """The records of an answer: under a name, or as a bare list."""
    if document.body.lstrip()[:1] == b"[":
        return _Answer(decoded(document, tuple[Raw, ...]))
    return decoded(document, _Answer)


def _is_answer(document: Document, answer: _Answer) -> bool:
    """Whether these are records of the plugin, where the answer as a whole does not tell."""
    if b'"latest_timestamp"' in document.body:
        return True
    firsts = (msgspec.structs.replace(document, body=bytes(one)) for one in answer.entries[:1])
    return any(is_like(one, _Record, b'"id"', b'"type"', b'"timestamp"') for one in firsts)


def _latest(document: Document, answer: _Answer, memo: Memo) -> list[_Record]:
    """The latest record of each id, newest entry first."""
    records = [record(document, raw, _Record, memo) for raw in answer.entries]
    latest = {str(one.id): one for one in sorted(records, key=_rank)}
    return sorted(latest.values(), key=_began, reverse=True)


def _snapshot(document: Document, records: Iterable[_Record], head: Head, memo: Memo) -> Snapshot:
    shown, gone = list[_Record](), list[str]()
    for one in records:
        if one.type == _DELETED or one.status not in _SHOWN:
            gone.append(str(one.id))
        else:
            shown.append(one)
    return Snapshot(
        source=NAME,
        head=head,
        entries=tuple(_entry(one, place, document.url, memo) for place, one in enumerate(shown, 1)),
        seen_at=document.seen_at,
        partial=True,
        withdrawn=tuple(gone),
    )


def _entry(one: _Record, position: int, where: str, memo: Memo) -> Entry:
    words = _words(one, where, memo)
    published = _instant(one.entry_time) or _instant(one.timestamp)
    changed = _instant(one.timestamp)
    return Entry(
        id=str(one.id),
        title=html.collapse(entities.unescape(one.headline or "")) or None,
        published=published,
        updated=changed if changed and published and changed > published else None,
        labels=(*(("key",) if one.key_event else ()), *words.labels),
        authors=tuple(_authors(one.authors)),
        body=words.content.body,
        media=words.content.media,
        url=html.web_url(one.share_link),
        position=position,
    )


def _words(one: _Record, where: str, memo: Memo) -> _Words:
    """What the page shows of an entry. Raises PageError for a record that has no place for it."""
    if one.render is None and one.content is None:
        raise PageError(
            "page.malformed",
            f"record {one.id} has neither `render` nor `content`",
            where=where,
            fix="versions of the plugin before 1.7 answer in another form, which is not read",
        )
    markup, page_url = one.render or one.content or "", _page_url(one.share_link) or ""
    return memo.read(f"{page_url}\n{markup}", lambda: _read(markup, page_url))


def _read(markup: str, page_url: str) -> _Words:
    body = html.parsed(markup, where=page_url or NAME).body
    if body is None:
        return _Words()
    commands = body.css(_COMMAND)
    return _Words(html.content(body, base_url=page_url, skip=commands), tuple(_labels(commands)))


def _labels(commands: Iterable[LexborNode]) -> Iterator[str]:
    classes = {name for node in commands for name in html.attribute(node, "class").split()}
    return (label for name, label in _COMMANDS.items() if name in classes)


def _authors(people: object) -> Iterator[Author]:
    """Where the plugin finds no user, it lists something else in its place."""
    for one in people if isinstance(people, list) else ():
        name = one.get("name") if isinstance(one, dict) else None
        if isinstance(name, str) and html.collapse(name):
            yield Author(html.collapse(name))


def _page_url(share_link: str | None) -> str | None:
    """The page of an entry, from the link to the entry."""
    url = html.web_url(share_link)
    if url is None:
        return None
    parts = urlsplit(url)._replace(fragment="")
    query = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in query if name != _ENTRY_PARAMETER]
    return (parts if kept == query else parts._replace(query=urlencode(kept))).geturl()


def _rank(one: _Record) -> tuple[float, int]:
    order = _TYPES.index(one.type) if one.type in _TYPES else 0
    return _seconds(one.timestamp) or _seconds(one.entry_time) or 0.0, order


def _began(one: _Record) -> float:
    return _seconds(one.entry_time) or _seconds(one.timestamp) or 0.0


def _seconds(value: float | str | None) -> float | None:
    """Seconds since 1970, given as a number or as its digits; None for what cannot be a time."""
    try:
        seconds = float(value) if value is not None else 0.0
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < 7e9 else None


def _instant(value: float | str | None) -> datetime | None:
    seconds = _seconds(value)
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None


def _without_records(where: str) -> PageError:
    return PageError(
        "page.no_entries",
        "the answer holds no entries",
        where=where,
        fix=f"ask for a range of time that the live blog lies in: …/{_EVERYTHING}",
    )


# --- the page that names it ----------------------------------------------------------------------


def _page(document: Document, text: str, memo: Memo) -> Snapshot:
    settings = _settings(text)
    address = _log_address(document, settings) if settings else None
    if settings is None or address is None:
        expected = "settings of the Liveblog plugin that name a REST address on the page's own host"
        raise html.without_entries(text, where=document.url, expected=expected)
    if not html.is_closed(text):
        raise html.cut_off(document.url)
    log = _log(document, address)
    answer = _answer(log)
    if not answer.entries and settings.latest_entry_id not in _ABSENT:
        raise _without_records(address)
    head = _head(html.parsed(text, where=document.url), settings, document.url)
    if not answer.entries and head.title is None:
        raise _without_records(address)
    return _snapshot(document, _latest(log, answer, memo), head, memo)


def _log(document: Document, address: str) -> Document:
    part = document.parts.get(address)
    if part is not None and part.status == 200:
        return part
    state = "was not read" if part is None else f"answers {part.status}"
    raise PageError(
        "page.no_entries",
        f"the entries of this page lie at {address}, which {state}",
        where=document.url,
        fix="check that address by itself; or choose another source, such as jsonld",
    )


def _settings(text: str) -> _Settings | None:
    found = _SETTINGS.search(text)
    if found is None:
        return None
    try:
        _, end = json.JSONDecoder().raw_decode(text, found.end())
        return msgspec.json.decode(text[found.end() : end], type=_Settings)
    except (ValueError, RecursionError):
        return None


def _log_address(document: Document, settings: _Settings) -> str | None:
    """Where the whole log lies, if that is sure: the plugin's own REST API, on the same host."""
    endpoint, page = html.web_url(settings.endpoint_url, document.url), urlsplit(document.url)
    if endpoint is None or not _REST.search(endpoint) or urlsplit(endpoint).netloc != page.netloc:
        return None
    return urlsplit(endpoint)._replace(scheme=page.scheme).geturl() + _EVERYTHING


def _head(tree: LexborHTMLParser, settings: _Settings, url: str) -> Head:
    return Head(
        title=_meta(tree, "og:title") or _first_text(tree, "h1, title"),
        summary=_meta(tree, "og:description"),
        url=html.web_url(settings.permalink, url) or url or None,
        live=_LIVE.get(settings.state or ""),
    )


def _meta(tree: LexborHTMLParser, name: str) -> str | None:
    node = tree.css_first(f'meta[property="{name}"]')
    return (html.attribute(node, "content") or None) if node is not None else None


def _first_text(tree: LexborHTMLParser, selector: str) -> str | None:
    node = tree.css_first(selector)
    return (html.all_text(node) or None) if node is not None else None


SOURCE = Source(NAME, detects, parse, wants)
