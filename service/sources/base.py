"""What every source is given and gives back, and the questions that all of them ask of a body.

Pure: bytes in, text and names out. It knows no kind of page.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import count
from typing import Literal

from msgspec import Struct

from service.errors import PageError
from service.model import Snapshot


class Document(Struct, frozen=True):
    """One response body as it came. url: after redirects. seen_at: when it was fetched (UTC)."""

    url: str
    body: bytes
    content_type: str
    seen_at: datetime


class Source(Struct, frozen=True):
    """An adapter from one kind of page to a snapshot. Both functions are pure.

    detects: is this document of my kind? Never raises.
    parse: reads it. Raises PageError when it is not of my kind, or broken.
    """

    name: str
    detects: Callable[[Document], bool]
    parse: Callable[[Document], Snapshot]


Form = Literal["html", "json", "text"]

_HEADER_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_META_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
# The WHATWG Encoding Standard reads both labels as windows-1252.
_AS_BROWSERS_DO = {"iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252"}
_JSON_START = re.compile(r"\s*(?:\{\s*[\"}]|\[\s*[\[{\"])")
_HTML_START = re.compile(r"\s*<[!?a-zA-Z]")


def decode(document: Document) -> str:
    """The body as text. Bytes that do not fit the encoding become U+FFFD; never raises."""
    try:
        text = document.body.decode(_charset(document), errors="replace")
    except (LookupError, ValueError):
        text = document.body.decode("utf-8", errors="replace")
    return text.encode("utf-8", errors="replace").decode("utf-8")


def _charset(document: Document) -> str:
    for mark, name in _BYTE_ORDER_MARKS:
        if document.body.startswith(mark):
            return name
    if header := _HEADER_CHARSET.search(document.content_type):
        name = header[1]
    elif meta := _META_CHARSET.search(document.body, 0, 2048):
        name = meta[1].decode("ascii", errors="replace")
    else:
        name = "utf-8"
    return _AS_BROWSERS_DO.get(name.lower(), name)


def body_text(document: Document) -> str:
    """The body as text. Raises PageError page.empty when there is none."""
    text = decode(document)
    if not text.strip("\ufeff\0 \t\r\n"):
        raise PageError(
            "page.empty",
            "the server answered with an empty body",
            where=document.url,
            fix="an empty answer is never read as an empty page; it is asked again",
        )
    return text


def form(document: Document, text: str) -> Form:
    """What the body is: its first characters decide, then its content type."""
    content_type = document.content_type.lower()
    if _JSON_START.match(text):
        return "json"
    if _HTML_START.match(text) or "html" in content_type or "xml" in content_type:
        return "html"
    return "json" if "json" in content_type else "text"


def distinct(ids: Sequence[str]) -> tuple[str, ...]:
    """Make ids in page order unique: the second from the bottom gets "-2", the third "-3".

    Pages grow at the top, so counting from the bottom leaves the ids already given alone.
    """
    taken, seen = set(ids), Counter[str]()
    result: list[str] = []
    for name in reversed(ids):
        seen[name] += 1
        given = name
        if seen[name] > 1:
            given = next(n for k in count(seen[name]) if (n := f"{name}-{k}") not in taken)
        taken.add(given)
        result.append(given)
    return tuple(reversed(result))
