"""The registry of sources: which there are, and which of them reads a page. Pure.

A new source is one module here and one line in SOURCES. Nothing outside of this package names one.
"""

from __future__ import annotations

from service.errors import ConfigError, PageError
from service.model import Page, Snapshot
from service.sources import (
    aljazeera,
    ap,
    bbc,
    cnn,
    css,
    guardian,
    html,
    jsonld,
    microdata,
    nyt,
    reach,
    sourcefabric,
    text,
    wordpress,
)
from service.sources.base import Document, Memo, Source, body_text, form
from service.sources.times import recorded_at

__all__ = [
    "SOURCES",
    "Document",
    "Memo",
    "Source",
    "by_name",
    "check_reading",
    "choose",
    "detect",
    "read",
    "recorded_at",
]

# In the order in which they are asked: a publisher's own form says more than JSON-LD, which says
# more than words alone. `css` is only ever chosen.
SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        bbc.SOURCE,
        guardian.SOURCE,
        reach.SOURCE,
        aljazeera.SOURCE,
        wordpress.SOURCE,
        sourcefabric.SOURCE,
        ap.SOURCE,
        cnn.SOURCE,
        nyt.SOURCE,
        jsonld.SOURCE,
        microdata.SOURCE,
        text.SOURCE,
        css.SOURCE,
    )
}


def detect(document: Document) -> Source:
    """The source that reads this document.

    Raises PageError: page.empty, page.blocked for a consent or bot page, page.no_source otherwise.
    """
    body = body_text(document)
    for source in SOURCES.values():
        if source.detects(document):
            return source
    seen = form(document, body)
    if seen == "html" and html.is_wall(body, where=document.url):
        raise html.blocked(document.url)
    raise PageError(
        "page.no_source",
        f"no source reads this page: {seen}, {len(document.body)} bytes,"
        f" content type {document.content_type or 'not given'}",
        where=document.url,
        fix="read it by selectors, with the source css: see what `stoppress check` proposes",
    )


def by_name(name: str) -> Source:
    """The source of that name. Raises ConfigError source.unknown."""
    if name not in SOURCES:
        raise ConfigError(
            "source.unknown",
            f'there is no source "{name}"',
            fix="one of: " + ", ".join(SOURCES),
        )
    return SOURCES[name]


def check_reading(page: Page) -> None:
    """Raises ConfigError for a source that does not exist, or selectors that can't be."""
    if page.source is not None:
        by_name(page.source)
    if page.source == css.NAME:
        css.checked(page.reading.selectors, where=page.url)


def choose(document: Document, name: str | None) -> Source:
    """The source of that name, or without one the source that reads the document.

    Raises what `by_name` and `detect` raise.
    """
    return detect(document) if name is None else by_name(name)


def read(document: Document, source: str | None = None, memo: Memo | None = None) -> Snapshot:
    """What the document says, by the named source or else by the one that detects it.

    memo: of this page's last body; it makes reading faster and changes nothing else.
    Raises PageError when it cannot be read as a live page, ConfigError for an unknown name.
    """
    chosen = choose(document, source)
    memo = memo or Memo()
    try:
        snapshot = chosen.parse(document, memo)
    except BaseException:
        memo.forget()
        raise
    memo.turn()
    return snapshot
