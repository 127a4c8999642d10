"""The recorded page as HTML in the markup of BBC live pages, and as text. Pure.

Class hashes, element ids, image addresses and the links beside the entries differ with `salt`, as
they do on a real page from response to response: none of it is content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from html import escape
from typing import assert_never
from zoneinfo import ZoneInfo

from msgspec import Struct

from service.model import (
    Author,
    Block,
    Embed,
    Entry,
    Head,
    Heading,
    Image,
    Line,
    ListBlock,
    Media,
    Paragraph,
    Quote,
    Table,
    Video,
)

LONDON = ZoneInfo("Europe/London")
ZONES = {"BST": "British Summer Time", "GMT": "Greenwich Mean Time"}
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
# A post without a headline is given this one.
UNTITLED = "Post"
TEXT_INDENT = "    "


def published_at(moment: datetime) -> str:
    """The time as such pages say it, without a year: "10:17 British Summer Time 25 April"."""
    local = moment.astimezone(LONDON)
    zone = ZONES[local.tzname() or "GMT"]
    return f"{local:%H:%M} {zone} {local.day} {MONTHS[local.month - 1]}"


# --- HTML ----------------------------------------------------------------------------------------


def live_html(head: Head, entries: Sequence[Entry], *, url: str, salt: str) -> str:
    """The page with `entries`, newest first. url: its own address. salt: of this response."""
    return _Html(salt).page(head, entries, url)


def consent_html(*, salt: str) -> str:
    """What some readers get instead of the page, with status 200: no entry, no news."""
    mark = _Html(salt)
    body = (
        f"<main{mark.named('Consent')}><h1>Before you continue</h1>"
        f"<p{mark.named('Paragraph')}>We and our partners use cookies. Do you agree?</p>"
        '<form method="post" action="/consent">'
        f'<input type="hidden" name="token" value="{escape(salt)}">'
        "<button>Yes, I agree</button><button>No, take me to settings</button></form></main>"
    )
    return mark.document("Before you continue", "", body)


class _Html(Struct, frozen=True):
    """Markup of one response."""

    salt: str

    def page(self, head: Head, entries: Sequence[Entry], url: str) -> str:
        title, summary = head.title or "Live", head.summary or ""
        meta = (
            f'<link rel="canonical" href="{escape(url)}">'
            f'<meta name="description" content="{escape(summary)}">'
            f'<meta property="og:title" content="{escape(title)}">'
            f'<meta property="og:description" content="{escape(summary)}">'
        )
        body = (
            f'<main id="main-content">{self._header(title, summary)}'
            f'<div{self.named("LiveText")} id="LiveText"><ol>'
            + "\n".join(f"<li>{self._article(entry, url)}</li>" for entry in entries)
            + f"</ol></div>{self._related()}</main>{self._initial_data(title)}"
        )
        return self.document(title, meta, body)

    def document(self, title: str, meta: str, body: str) -> str:
        return (
            '<!DOCTYPE html>\n<html lang="en-GB"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(title)}</title>{meta}<style>{_STYLE}</style></head>\n"
            f"<body>{body}</body></html>\n"
        )

    def named(self, name: str) -> str:
        """A class attribute as a style compiler writes it: the hash changes, the name stays."""
        mark = hashlib.blake2b(f"{self.salt}{name}".encode(), digest_size=4).hexdigest()
        return f' class="ssrcss-{mark}-{name}"'

    def _header(self, title: str, summary: str) -> str:
        points = f"<h2>Summary</h2><p>{escape(summary)}</p>" if summary else ""
        return (
            f"<header{self.named('LiveHeader')}><h1{self.named('Heading')}>{escape(title)}</h1>"
            f'<span data-testid="live-label">Live</span></header>'
            f'<section data-testid="summary"{self.named("Summary")}>{points}</section>'
        )

    def _article(self, entry: Entry, url: str) -> str:
        return (
            f'<article data-testid="content-post"{self.named("StyledPost")} '
            f'id="post-{self._mark(entry.id)}"><header>{self._headline(entry)}'
            f"{self._label(entry)}{''.join(map(self._author, entry.authors))}</header>"
            f"{''.join(map(self._medium, entry.media))}"
            f"{''.join(map(self._block, entry.body))}"
            f"{self._share(entry, url)}</article>"
        )

    def _headline(self, entry: Entry) -> str:
        time = ""
        if entry.published is not None:
            time = (
                f'<span data-testid="timestamp"{self.named("Timestamp")}>'
                '<span data-testid="accessible-timestamp">'
                f"published at {published_at(entry.published)}</span></span>"
            )
        return (
            f'<h3 id="{escape(entry.id)}" tabindex="-1"{self.named("HeadlineWrap")}>'
            f'<span role="text"><span>{escape(entry.title or UNTITLED)}</span>{time}</span></h3>'
        )

    def _label(self, entry: Entry) -> str:
        if "breaking" not in entry.labels:
            return ""
        return f'<div data-testid="breaking-news-label"{self.named("Breaking")}>Breaking</div>'

    def _author(self, author: Author) -> str:
        role = f"<br>{escape(author.role)}" if author.role else ""
        return f"<div{self.named('Contributor')}><strong>{escape(author.name)}</strong>{role}</div>"

    def _medium(self, medium: Media) -> str:
        match medium:
            case Image():
                return self._image(medium)
            case Video():
                caption = self._caption("Video caption, ", medium.caption)
                player = f'<div data-testid="media-player" id="smp-{self.salt}"></div>'
                return f"<figure{self.named('Figure')}>{player}{caption}</figure>"
            case _:
                assert_never(medium)

    def _image(self, image: Image) -> str:
        name = hashlib.blake2b((image.alt or "").encode(), digest_size=6).hexdigest()
        src = f"/replay/images/480/{name}.svg"
        srcset = f"/replay/images/240/{name}.svg?v={self.salt} 240w, {src}?v={self.salt} 480w"
        return (
            f'<figure{self.named("Figure")}><span><img alt="{escape(image.alt or "")}" src="{src}" '
            f'srcset="{srcset}" loading="lazy" width="480" height="270">'
            f"{self._hidden_words('Copyright', 'Image source, ', image.credit)}</span>"
            f"{self._caption('Image caption, ', image.caption)}</figure>"
        )

    def _hidden_words(self, name: str, spoken: str, words: str | None) -> str:
        """Words with a prefix that only a screen reader says."""
        if not words:
            return ""
        return (
            f'<span{self.named(name)}><span class="visually-hidden">{spoken}</span>'
            f"{escape(words)}</span>"
        )

    def _caption(self, spoken: str, words: str | None) -> str:
        if not words:
            return ""
        return (
            f'<figcaption><span class="visually-hidden">{spoken}</span>'
            f"<p{self.named('Caption')}>{escape(words)}</p></figcaption>"
        )

    def _block(self, block: Block) -> str:
        match block:
            case Paragraph(text=text):
                return f"<p{self.named('Paragraph')}>{escape(text)}</p>"
            case ListBlock(items=items, ordered=ordered):
                tag = "ol" if ordered else "ul"
                return f"<{tag}{self.named('List')}>{_items(items)}</{tag}>"
            case Quote(text=text):
                return f"<blockquote>{escape(text)}</blockquote>"
            case Heading(text=text):
                return f"<h4>{escape(text)}</h4>"
            case Table(rows=rows):
                return f"<table>{''.join(map(_row, rows))}</table>"
            case Image() | Video():
                return self._medium(block)
            case Embed(url=url):
                return f'<iframe src="{escape(url or "")}"></iframe>'
            case _:
                assert_never(block)

    def _share(self, entry: Entry, url: str) -> str:
        return (
            f'<div data-testid="share-tools"{self.named("ShareTools")}>'
            f'<button aria-controls="share-{self._mark(entry.id)}">Share</button>'
            f'<a href="{escape(url)}#{escape(entry.id)}">Copy link</a></div>'
        )

    def _related(self) -> str:
        links = sorted(("Analysis", "Background", "In pictures", "More on this"), key=self._mark)
        return (
            f'<aside data-testid="related-links"{self.named("Related")}><h2>Related</h2><ul>'
            + "".join(f'<li><a href="#{self._mark(one)}">{one}</a></li>' for one in links)
            + "</ul></aside>"
        )

    def _initial_data(self, title: str) -> str:
        """The page's data as a JSON string inside of a script, escaped twice as on real pages."""
        data = {f"live-header?nonce={self.salt}": {"data": {"title": title, "isLive": True}}}
        literal = json.dumps(json.dumps({"data": data})).replace("<", "\\u003c")
        return f"<script>window.__INITIAL_DATA__={literal};</script>"

    def _mark(self, name: str) -> str:
        return hashlib.blake2b(f"{name}{self.salt}".encode(), digest_size=4).hexdigest()


def _items(items: Iterable[Line]) -> str:
    return "".join(f"<li>{escape(item.text)}</li>" for item in items)


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:42rem;margin:2rem auto;padding:0 1rem}"
    "ol{list-style:none;padding:0}article{border-top:1px solid #ccc;padding:1rem 0}"
    "h3{margin:0}h3 [data-testid=timestamp]{display:block;font:14px sans-serif;color:#555}"
    "[data-testid=breaking-news-label]{color:#b80000;font-weight:bold}"
    "figure{margin:1rem 0;color:#555;font-size:14px}img{max-width:100%;height:auto}"
    ".visually-hidden{position:absolute;clip-path:inset(100%)}"
)


# --- text ----------------------------------------------------------------------------------------


def live_text(preamble: str, entries: Sequence[Entry]) -> str:
    """The page as text, in the form that it was recorded in. preamble: what stands above them."""
    parts = [preamble.rstrip("\n"), "\n\n"] if preamble.strip() else []
    for number, entry in enumerate(entries, start=1):
        parts += [_text_entry(number, entry), "\n\n"]
    return "".join(parts[:-1]) + "\n"


def _text_entry(number: int, entry: Entry) -> str:
    time = f"published at {published_at(entry.published)}" if entry.published else ""
    head = f"  {number}. {entry.title or UNTITLED}{time}"
    if "breaking" in entry.labels:
        head += f"\n{TEXT_INDENT}Breaking"
    return "\n\n".join([head, *(_indented(lines) for lines in _text_blocks(entry))])


def _indented(lines: Iterable[str]) -> str:
    return "\n".join(TEXT_INDENT + line for line in lines)


def _text_blocks(entry: Entry) -> Iterator[list[str]]:
    for author in entry.authors:
        yield [author.name, author.role] if author.role else [author.name]
    for medium in entry.media:
        if isinstance(medium, Image):
            yield from _text_image(medium)
    for block in entry.body:
        yield from _text_block(block)


def _text_image(image: Image) -> Iterator[list[str]]:
    first = [f"{image.alt or ''}Image source, {image.credit or ''}"]
    if image.caption:
        first.append("Image caption,")
    yield first
    if image.caption:
        yield [image.caption]


def _text_block(block: Block) -> Iterator[list[str]]:
    match block:
        case Paragraph(text=text) | Quote(text=text) | Heading(text=text):
            yield [text]
        case ListBlock(items=items):
            yield [f"• {item.text}" for item in items]
        case Table(rows=rows):
            yield ["\t".join(row) for row in rows]
        case Image():
            yield from _text_image(block)
        case Video() | Embed():
            return
        case _:
            assert_never(block)
