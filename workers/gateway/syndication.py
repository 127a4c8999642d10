"""A page as JSON Feed 1.1 and as Atom (RFC 4287), for feed readers. Pure.

The same snapshot always gives the same bytes. docs/syndication.md is written for those who read it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import escape
from itertools import chain, groupby, pairwise
from operator import itemgetter
from urllib.parse import quote, urldefrag, urlsplit
from xml.etree.ElementTree import Element, SubElement, tostring

import msgspec
from msgspec import Struct

from service import model
from workers.gateway.protocol import KnownEntry, PageSnapshot

MOST = 100
_TITLE, _SUMMARY = 80, 280
_KINDS = ("link", "strong", "em")
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
# What XML 1.0 (section 2.2) has no place for, not even as a reference.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_IN_URLS = re.compile(r'[\s\x00-\x20\x7f-\x9f"<>\\^`{|}]')


class _Item(Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"more": "_stoppress"}):
    """An entry in the words of JSON Feed, from which Atom is made too. more: an extension."""

    id: str
    url: str
    title: str
    content_html: str
    summary: str = ""
    date_published: datetime | None = None
    date_modified: datetime | None = None
    authors: tuple[dict[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    more: dict[str, str | int]


def json_feed(snapshot: PageSnapshot, self_url: str, most: int = MOST) -> bytes:
    """The page as JSON Feed 1.1, newest first, without what was withdrawn."""
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": _page_title(snapshot.page),
        "home_page_url": _encoded(snapshot.page.url),
        "feed_url": _clean(self_url),
        "description": _clean(snapshot.summary or ""),
        "items": [_item(snapshot.page, each) for each in _shown(snapshot)[:most]],
    }
    return msgspec.json.encode(feed)


def atom(snapshot: PageSnapshot, self_url: str, most: int = MOST) -> bytes:
    """The page as an Atom feed, newest first, without what was withdrawn.

    Atom wants a moment for each entry: those of which none is known are left out.
    """
    dated = [each for each in _shown(snapshot) if _updated(each)][:most]
    updated = max(filter(None, map(_updated, dated)), default=snapshot.health.since or _NEVER)
    title = _page_title(snapshot.page)
    feed = Element("feed", {"xmlns": "http://www.w3.org/2005/Atom"})
    _add(feed, "id", _encoded(snapshot.page.url))
    _add(feed, "title", title)
    _add(feed, "updated", _moment(updated))
    _add(_add(feed, "author"), "name", urlsplit(snapshot.page.url).hostname or title)
    _add(feed, "link", rel="self", href=_clean(self_url))
    _add(feed, "link", rel="alternate", href=_encoded(snapshot.page.url))
    if snapshot.summary:
        _add(feed, "subtitle", _clean(snapshot.summary))
    for each in dated:
        _add_entry(feed, _item(snapshot.page, each))
    return bytes(tostring(feed, "utf-8", xml_declaration=True))


def _add_entry(feed: Element, item: _Item) -> None:
    entry = _add(feed, "entry")
    _add(entry, "id", item.id)
    _add(entry, "title", item.title)
    for name, moment in (("published", item.date_published), ("updated", item.date_modified)):
        if moment:
            _add(entry, name, _moment(moment))
    for author in item.authors:
        _add(_add(entry, "author"), "name", author["name"])
    for tag in item.tags:
        _add(entry, "category", term=tag)
    _add(entry, "link", rel="alternate", href=item.url)
    if item.summary:
        _add(entry, "summary", item.summary)
    _add(entry, "content", item.content_html, type="html")


def _add(parent: Element, name: str, text: str = "", **given: str) -> Element:
    element = SubElement(parent, name, given)
    element.text = text
    return element


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _shown(snapshot: PageSnapshot) -> list[KnownEntry]:
    """What was not withdrawn, newest first; those of one moment stay in the snapshot's order."""
    shown = [(each.entry.published or _updated(each) or _NEVER, each) for each in snapshot.entries]
    shown.sort(key=itemgetter(0), reverse=True)
    return [each for _, each in shown if not each.removed]


def _updated(known: KnownEntry) -> datetime | None:
    """When the entry last changed: by the publisher's own times, or when we saw its edit."""
    said = max(filter(None, (known.entry.published, known.entry.updated)), default=None)
    if said is None or known.revision == 1:
        return said or known.changed
    return max(said, known.changed or said)


def _item(page: model.PageRef, known: KnownEntry) -> _Item:
    entry, uri = known.entry, _uri(page, known.entry.id)
    return _Item(
        id=uri,
        url=_web(entry.url) or uri,
        title=_line(entry.title or "") or _clipped(_words(entry), _TITLE) or "Untitled",
        content_html=_clean("".join(map(_block, (*entry.body, *entry.media)))),
        summary=_clipped(entry.text, _SUMMARY),
        date_published=entry.published,
        date_modified=_updated(known),
        authors=tuple({"name": name} for name in map(_author, entry.authors) if name),
        tags=tuple(dict.fromkeys(filter(None, map(_line, entry.labels)))),
        more={"entry": _clean(entry.id), "revision": known.revision},
    )


def _uri(page: model.PageRef, entry: str) -> str:
    """An entry's name in the world, which holds whatever it says. It leads to the page."""
    url, fragment = urldefrag(_encoded(page.url))
    place = f"{fragment.replace('#', '%23')}/" if fragment else ""
    return f"{url}#{place}{quote(entry, safe='', errors='surrogatepass')}"


def _page_title(page: model.PageRef) -> str:
    return _line(page.title or "") or _line(page.id)


def _author(author: model.Author) -> str:
    name, role = _line(author.name), _line(author.role or "")
    return f"{name} ({role})" if name and role else name


def _words(entry: model.Entry) -> str:
    """Words to call an entry by that has no title: its first, or else those of its media."""
    said = [each.caption or getattr(each, "alt", None) or "" for each in entry.media]
    return next(filter(_line, [entry.text, *said]), "")


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("", text)


def _line(text: str) -> str:
    return " ".join(_clean(text).split())


def _clipped(text: str, most: int) -> str:
    """The first words of a text, on one line; text without spaces is cut where it must be."""
    line = _line(text)
    cut = line[: most + 1].rpartition(" ")[0]
    return line if len(line) <= most else f"{cut if len(cut) > most // 2 else line[:most]}…"


def _web(url: str | None) -> str | None:
    """The address if it is http(s), else None. Nothing else ever becomes a link or an image."""
    try:
        parts = urlsplit(_encoded(url or ""))
        return parts.geturl() if parts.scheme in {"http", "https"} and parts.hostname else None
    except ValueError:
        return None


def _encoded(url: str) -> str:
    return _NOT_IN_URLS.sub(lambda found: quote(found[0]), _clean(url).strip())


def _block(block: model.Block) -> str:
    match block:
        case model.Paragraph():
            return f"<p>{_marked(block.text, block.marks)}</p>"
        case model.ListBlock():
            kind = "ol" if block.ordered else "ul"
            items = "".join(f"<li>{_marked(each.text, each.marks)}</li>" for each in block.items)
            return f"<{kind}>{items}</{kind}>"
        case model.Quote():
            cite = f"<footer>— {escape(block.cite)}</footer>" if block.cite else ""
            return f"<blockquote><p>{_marked(block.text, block.marks)}</p>{cite}</blockquote>"
        case model.Heading():
            level = min(6, max(3, block.level))
            return f"<h{level}>{escape(block.text)}</h{level}>"
        case model.Table():
            return f"<table><tbody>{''.join(map(_row, block.rows))}</tbody></table>"
        case model.Image():
            return _figure(block)
        case model.Video():
            return f"<p>▶ {_linked(escape(block.caption or 'Video'), block.url)}</p>"
        case model.Embed():
            words = f"From {block.provider}" if block.provider else "Embedded"
            return f"<p>{_linked(escape(words), block.url)}</p>"


def _row(cells: tuple[str, ...]) -> str:
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _figure(image: model.Image) -> str:
    src, alt = _web(image.url), escape(image.alt or "")
    picture = alt and f"<p>Image: {alt}</p>"
    if src:
        picture = f'<img src="{escape(src)}" alt="{alt}">'
    credit = f"<small>{escape(image.credit)}</small>" if image.credit else ""
    words = f"{escape(image.caption or '')} {credit}".strip()
    caption = f"<figcaption>{words}</figcaption>" if words else ""
    return f"<figure>{picture}{caption}</figure>" if picture or caption else ""


def _linked(html: str, url: str | None) -> str:
    href = _web(url)
    return f'<a href="{escape(href)}">{html}</a>' if href else html


def _marked(text: str, marks: tuple[model.Mark, ...]) -> str:
    """Text with its marks, however they overlap: links outermost, of two links the first."""
    size = len(text)
    spans = [(max(0, mark.start), min(size, mark.end), mark) for mark in marks]
    spans = [span for span in spans if span[0] < span[1]]
    painted: dict[str, list[model.Mark | None]] = {k: [None] * size for k in _KINDS}
    for start, end, mark in reversed(spans):
        painted[mark.kind][start:end] = [mark] * (end - start)
    cuts = sorted({0, size, *chain.from_iterable(span[:2] for span in spans)})
    pieces = []
    for _, run in groupby(pairwise(cuts), lambda piece: id(painted["link"][piece[0]])):
        inner, link = "", None
        for start, end in run:
            link, *stress = (painted[kind][start] for kind in _KINDS)
            opened = [mark.kind for mark in stress if mark]
            inner += "".join(f"<{kind}>" for kind in opened) + escape(text[start:end])
            inner += "".join(f"</{kind}>" for kind in reversed(opened))
        pieces.append(_linked(inner, link.url if link else None))
    return "".join(pieces)
