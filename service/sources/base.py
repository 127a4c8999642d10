"""What every source is given and gives back, and the questions that all of them ask of a body.

Pure: bytes in, text and names out. It knows no kind of page.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import Any, Literal, TypeVar

import msgspec
import xxhash
from msgspec import Struct

from service.errors import PageError
from service.model import Reading, Snapshot

T = TypeVar("T")


class Document(Struct, frozen=True):
    """One response body as it came. url: after redirects. seen_at: when it was fetched (UTC).

    reading: the choices that a person made for this page. status: 200, or what a part was refused
    with (its body is empty then). parts: answers from the further addresses that the source wants,
    by address, of this poll (their seen_at is not before this one's) or of an earlier one.
    """

    url: str
    body: bytes
    content_type: str
    seen_at: datetime
    reading: Reading = Reading()
    status: int = 200
    parts: Mapping[str, Document] = {}


class Memo:
    """What was made of the pieces of a page's last body, so that an unchanged piece is read once.

    It never changes what comes out, only when it is computed: what is made of a piece must depend
    on nothing but the piece.
    """

    def __init__(self) -> None:
        self._last: dict[bytes, Any] = {}
        self._now: dict[bytes, Any] = {}

    def read(self, piece: str | bytes, make: Callable[[], T]) -> T:
        """What `make` makes of this piece; made once, and kept while polls show the piece."""
        piece = piece.encode() if isinstance(piece, str) else piece
        key = xxhash.xxh3_128_digest(piece)
        if key in self._now:
            made: T = self._now[key]
        elif key in self._last:
            made = self._now[key] = self._last[key]
        else:
            made = self._now[key] = make()
        return made

    def forget(self) -> None:
        """A body could not be read: only what the last one held counts."""
        self._now = {}

    def turn(self) -> None:
        """A body was read: forget the pieces that it does not hold."""
        self._last, self._now = self._now, {}


def _nothing(_document: Document) -> tuple[str, ...]:
    return ()


class Source(Struct, frozen=True):
    """An adapter from one kind of page to a snapshot. All its functions are pure.

    detects: is this document of my kind? Never raises.
    parse: reads it. Raises PageError when it is not of my kind, or broken.
    wants: further addresses to fetch before it can be read, in view of the parts that are there
    (absolute; asked again after they came, until it wants nothing). Never raises.
    """

    name: str
    detects: Callable[[Document], bool]
    parse: Callable[[Document, Memo], Snapshot]
    wants: Callable[[Document], tuple[str, ...]] = _nothing


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
_UTF_8 = frozenset(("utf-8", "utf8", "utf-8-sig"))
# Those of the Encoding Standard. Python knows more, and takes quadratic time over some.
_CHARSETS = re.compile(
    r"utf-?16(?:-?[lb]e)?|iso[-_]?8859[-_]?\d+(?:-[ei])?|windows-?(?:125\d|874)|cp(?:125\d|866)|ibm866"
    r"|koi8[-_]?[ru]|gbk|gb18030|gb2312|big5(?:-hkscs)?|euc[-_]?(?:jp|kr)|shift[-_]?jis|sjis"
    r"|iso-2022-jp|mac(?:intosh|cyrillic)?|x-sjis|tis-620|latin-?\d+",
    re.IGNORECASE,
)
_CONTENT = re.compile(r"[^\ufeff\0 \t\r\n]")
_JSON_START = re.compile(r"\s*(?:\{\s*[\"}]|\[\s*[\[{\"])")
_HTML_START = re.compile(r"\s*<[!?a-zA-Z]")


def decode(document: Document) -> str:
    """The body as text. Bytes that do not fit the encoding become U+FFFD; never raises."""
    charset = _charset(document)
    if charset.lower() in _UTF_8:
        return document.body.decode(charset, errors="replace")
    if not _CHARSETS.fullmatch(charset):
        return document.body.decode("utf-8", errors="replace")
    try:
        text = document.body.decode(charset, errors="replace")
    except (LookupError, ValueError):
        return document.body.decode("utf-8", errors="replace")
    # Some charsets can say halves of surrogate pairs, which no text may hold.
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
    if not _CONTENT.search(text):
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


def decoded(document: Document, kind: type[T]) -> T:
    """The body as JSON of this kind. Raises PageError page.malformed, naming what is wrong."""
    body_text(document)
    try:
        return msgspec.json.decode(document.body, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise PageError(
            "page.malformed",
            f"its JSON is not as expected: {error}",
            where=document.url,
            fix="half an answer is never read; it is asked again",
        ) from None


def record(document: Document, raw: msgspec.Raw, kind: type[T], memo: Memo) -> T:
    """One record of a JSON answer, decoded once. Raises PageError page.malformed."""
    return memo.read(bytes(raw), lambda: decoded(_part(document, raw), kind))


def _part(document: Document, raw: msgspec.Raw) -> Document:
    return msgspec.structs.replace(document, body=bytes(raw))


def is_like(document: Document, kind: type[object], *signs: bytes) -> bool:
    """Whether the body holds all the signs and is JSON of this kind."""
    if not all(sign in document.body for sign in signs):
        return False
    try:
        msgspec.json.decode(document.body, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


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
            seen[name] = next(k for k in count(seen[name]) if f"{name}-{k}" not in taken)
            given = f"{name}-{seen[name]}"
        taken.add(given)
        result.append(given)
    return tuple(reversed(result))
