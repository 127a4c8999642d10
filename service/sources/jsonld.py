"""The `jsonld` source: schema.org LiveBlogPosting of any publisher, in a page or on its own.

Owns where publishers put that form, how they write JSON that is none, and how they fill and misfill
an update. `coverageEndTime` never means that a page has ended: publishers set it in advance.
"""

from __future__ import annotations

import html as entities
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from service.errors import PageError
from service.model import Author, Head, Image, Media, Paragraph, Snapshot, Video, body_digest
from service.sources import html, postings, times
from service.sources.base import Document, Memo, Source, body_text, decode, form
from service.sources.postings import TYPE, Page, Posting, Said

NAME = "jsonld"

_SIGN = TYPE.encode()
_SCRIPTS = 'script[type*="ld+json"]'
_LIST_KEYS = ("liveBlogUpdate", "blogPosts", "blogPost", "updates")
_TAG = re.compile(
    r"</?(?:p|div|span|br|a|b|i|u|em|strong|ul|ol|li|blockquote|h[1-6]|figure|img|iframe|table"
    r"|section|article)\b[^<>]*>",
    re.IGNORECASE,
)
# Deeper than publishers nest the blog, and far from the limit of Python's stack.
_MAX_DEPTH = 12
# An update that only refers to another node of its graph is short.
_REFERENCE_MAX_BYTES = 500

# What is in JSON, one level deep.
_Level = dict[str, Raw] | list[Raw] | str | float | bool | None
_LEVEL: msgspec.json.Decoder[_Level] = msgspec.json.Decoder(_Level)
_NODE: msgspec.json.Decoder[dict[str, Raw]] = msgspec.json.Decoder(dict[str, Raw])
_ANY: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_NULL = Raw(b"null")


class _Blog(Struct, frozen=True):
    """A LiveBlogPosting. script: where it stands, for what its updates refer to."""

    node: dict[str, Raw]
    updates: tuple[bytes, ...]
    script: bytes


class _Update(Struct, frozen=True):
    """What is read of an update. Any field may be missing or hold anything."""

    id: Any = field(default=None, name="@id")
    url: Any = None
    page: Any = field(default=None, name="mainEntityOfPage")
    identifier: Any = None
    headline: Any = None
    name: Any = None
    published: Any = field(default=None, name="datePublished")
    created: Any = field(default=None, name="dateCreated")
    modified: Any = field(default=None, name="dateModified")
    author: Raw = _NULL
    body: Any = field(default=None, name="articleBody")
    text: Any = None
    image: Raw = _NULL
    video: Raw = _NULL


_UPDATE = msgspec.json.Decoder(_Update)


def detects(document: Document) -> bool:
    """A LiveBlogPosting in a JSON-LD script, or as the body itself."""
    if _SIGN not in document.body:
        return False
    text = decode(document)
    if form(document, text) == "text":
        return False
    try:
        return any(_SIGN in script for script in _scripts(document, text))
    except PageError:
        return False


def parse(document: Document, memo: Memo | None = None) -> Snapshot:
    """Read the page. Raises PageError when it is empty, cut off, broken, or has no update."""
    text, memo = body_text(document), memo or Memo()
    blogs, broken = _blogs(_scripts(document, text))
    blog = max(blogs, key=partial(_rank, url=document.url), default=None)
    if blog is None or not blog.updates:
        raise _without_updates(document, text, broken)
    if form(document, text) == "html" and not html.is_closed(text):
        raise html.cut_off(document.url)
    modified = times.instant(_string(_value(blog.node, "dateModified")))
    updates = _postings(blog, document, memo)
    settled = postings.settle(updates, document, source=NAME, modified=modified)
    return Snapshot(
        source=NAME,
        head=_head(blog.node, document),
        entries=settled.entries,
        seen_at=document.seen_at,
        undated=settled.undated,
        repeated=settled.repeated,
        modified=modified if modified and modified <= document.seen_at else None,
        warnings=(*broken, *settled.warnings),
    )


def _without_updates(document: Document, text: str, broken: Sequence[str]) -> PageError:
    if form(document, text) != "html":
        code = "page.malformed" if broken else "page.no_entries"
        what = broken[0] if broken else f"the body holds no {TYPE} with updates"
        fix = f"expected the JSON-LD of a {TYPE} with liveBlogUpdate"
        return PageError(code, what, where=document.url, fix=fix)
    return html.without_entries(
        text,
        where=document.url,
        expected=f"a {TYPE} with liveBlogUpdate" + "".join(f"; {one}" for one in broken),
    )


# --- finding the scripts -------------------------------------------------------------------------

_IS_JSON_LD = re.compile(rb"\stype\s*=\s*[\"']?[^\"'>\s]*ld\+json", re.IGNORECASE)
# Elements in which what looks like a script is text, or no part of the page.
_OPAQUE = (
    *(b"script", b"style", b"textarea", b"title", b"template", b"iframe", b"noscript"),
    *(b"xmp", b"noembed", b"noframes"),
)
_OPAQUE_START = re.compile(rb"<(?:!-|(?i:(" + b"|".join(_OPAQUE) + rb")(?=[\s/>])))")
_ENDS = {name: re.compile(rb"</(?i:" + name + rb")(?=[\s/>])") for name in _OPAQUE}
_COMMENT_END = re.compile(rb"-->")


def _scripts(document: Document, text: str) -> list[bytes]:
    """The JSON-LD of the page."""
    raw = text.encode()
    if form(document, text) != "html":
        return [raw.lstrip(b"\xef\xbb\xbf")]
    found = _plain_scripts(raw)
    if found is not None and any(_SIGN in script for script in found):
        return found
    tree = html.parsed(text, where=document.url)
    return [script.text().encode() for script in tree.css(_SCRIPTS)]


def _plain_scripts(raw: bytes) -> list[bytes] | None:
    """The scripts as their text in the page, without a tree of all of it.

    None where that is not sure to be the same.
    """
    scripts: list[bytes] = []
    place = 0
    while start := _OPAQUE_START.search(raw, place):
        name = (start[1] or b"").lower()
        opened = raw.find(b">", start.end()) if name else start.end()
        end = _ENDS.get(name, _COMMENT_END).search(raw, opened) if opened >= 0 else None
        if end is None:
            return None
        if name == b"script" and _IS_JSON_LD.search(raw, start.end(), opened):
            scripts.append(raw[opened + 1 : end.start()])
        place = end.end()
    return None if any(map(_is_doubtful, scripts)) else scripts


def _is_doubtful(script: bytes) -> bool:
    """Whether where it ends depends on how comments and scripts in it stand to each other."""
    return b"<!--" in script and b"<script" in script.lower()


# --- JSON, also as some publishers write it ------------------------------------------------------

_WRAPPING = re.compile(r"\s*(?:(?://|/\*)?\s*<!\[CDATA\[(?:\s*\*/)?|<!--(?:\s*//)?)")
_UNWRAPPING = re.compile(r"(?:(?://|/\*)?\s*\]\]>(?:\s*\*/)?|(?://)?\s*-->)\s*$")
# Where its end can be looked for.
_LAST_CHARS = 100
_IS_ESCAPED = re.compile(r"\s*[\[{]\s*(?:\{\s*)?&(?:quot|#34|#x22);", re.IGNORECASE)
# A string, also one without end; a comma with nothing after it; a name without a value.
_PIECES = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\Z)|[,:](?=\s*[,}\]])', re.DOTALL)
_BAD_ESCAPE = re.compile(r'\\(?:(["\\/bfnrt]|u[0-9a-fA-F]{4})|(.))', re.DOTALL)
_LEFT_OVER = re.compile(r"[\s;,]*")


def _mended(script: bytes) -> bytes:
    """JSON from what publishers write instead.

    Bare line ends and control characters in strings, halves of surrogate pairs, CDATA and comments
    around it, semicolons after it, several values in a row, commas with nothing after them, names
    without a value, escapes that JSON does not know, escaped quotes all over. Raises ValueError for
    anything else.
    """
    text = script.decode("utf-8", "replace").lstrip("\ufeff")
    text = _unwrapped(text)
    if _IS_ESCAPED.match(text):
        text = entities.unescape(text)
    try:
        values = _values(text)
    except ValueError as error:
        try:
            values = _values(_PIECES.sub(_mended_piece, text))
        except ValueError:
            raise error from None
    whole = values[0] if len(values) == 1 else values
    return json.dumps(whole, ensure_ascii=False).encode("utf-8", "ignore")


def _unwrapped(text: str) -> str:
    text = text.rstrip()
    start = _WRAPPING.match(text)
    end = _UNWRAPPING.search(text, max(0, len(text) - _LAST_CHARS))
    return text[start.end() if start else 0 : end.start() if end else len(text)]


_DECODER = json.JSONDecoder(strict=False, parse_constant=lambda _: None)


def _values(text: str) -> list[object]:
    """The JSON values in a row."""
    values = list[object]()
    end = _after(text, 0)
    while not values or end < len(text):
        value, end = _DECODER.raw_decode(text, end)
        values.append(value)
        end = _after(text, end)
    return values


def _after(text: str, end: int) -> int:
    left_over = _LEFT_OVER.match(text, end)
    return left_over.end() if left_over else end


def _mended_piece(found: re.Match[str]) -> str:
    match found[0][0]:
        case ",":
            return ""
        case ":":
            return ": null"
        case _:
            return _BAD_ESCAPE.sub(_mended_escape, found[0])


def _mended_escape(found: re.Match[str]) -> str:
    r"""`\'` is an apostrophe; any other that is unknown stands for itself."""
    if found[1]:
        return found[0]
    return "'" if found[2] == "'" else f"\\\\{found[2]}"


# --- finding the blog ----------------------------------------------------------------------------


def _blogs(scripts: Sequence[bytes]) -> tuple[list[_Blog], list[str]]:
    """Every LiveBlogPosting in the scripts, and what was wrong with those that cannot be read."""
    blogs: list[_Blog] = []
    broken: list[str] = []
    for number, script in enumerate(scripts, start=1):
        try:
            blogs += _blogs_of(script)
        except (ValueError, RecursionError) as error:
            broken.append(f"JSON-LD script {number} is not JSON: {error}")
    return blogs, broken


def _blogs_of(script: bytes) -> list[_Blog]:
    try:
        return list(_walk(script, script))
    except (msgspec.DecodeError, ValueError):
        script = _mended(script)
        return list(_walk(script, script))


def _walk(piece: bytes, script: bytes, depth: int = 0) -> Iterator[_Blog]:
    """The blogs in a piece of a script, wherever they are."""
    found = _LEVEL.decode(piece)
    if isinstance(found, dict):
        if _is_blog(found):
            yield _Blog(found, _updates(found), script)
        inner = [raw for key, raw in found.items() if key not in ("@type", *_LIST_KEYS)]
    else:
        inner = found if isinstance(found, list) else []
    for raw in map(bytes, inner if depth < _MAX_DEPTH else ()):
        if _SIGN in raw:
            yield from _walk(raw, script, depth + 1)


def _is_blog(node: Mapping[str, Raw]) -> bool:
    """Whether that is its type, by whatever prefix."""
    named = (_string(one) for one in _list(_value(node, "@type")))
    return any(re.split("[/:#]", name)[-1] == TYPE for name in named)


def _updates(node: Mapping[str, Raw]) -> tuple[bytes, ...]:
    """The updates as they came: several, one, or several as PHP writes a list with gaps."""
    for key in _LIST_KEYS:
        if updates := tuple(_objects(node[key])) if key in node else ():
            return updates
    return ()


def _objects(raw: Raw) -> Iterator[bytes]:
    found = _LEVEL.decode(raw)
    several = found if isinstance(found, list) else []
    if isinstance(found, dict):
        is_list = found and all(key.isdecimal() or key == "@list" for key in found)
        if not is_list:
            yield bytes(raw)
        elif "@list" in found:
            yield from _objects(found["@list"])
        else:
            several = list(found.values())
    yield from (one for one in map(bytes, several) if one.startswith(b"{"))


def _rank(blog: _Blog, url: str) -> tuple[bool, int]:
    """The blog of this very page comes first, then the one with the most updates."""
    names = _names(blog.node)
    return not names or bool(names & _names_of(url)), len(blog.updates)


# --- head ----------------------------------------------------------------------------------------


def _head(blog: Mapping[str, Raw], document: Document) -> Head:
    return Head(
        title=_title(blog),
        summary=_plain(_value(blog, "description")),
        url=html.web_url(_address(blog), document.url) or document.url or None,
        authors=_authors(_value(blog, "author")),
    )


def _title(blog: Mapping[str, Raw]) -> str | None:
    return _plain(_value(blog, "headline") or _value(blog, "name"))


def _address(blog: Mapping[str, Raw]) -> str:
    return _string(_value(blog, "url")) or _place(_value(blog, "mainEntityOfPage"))


def _names(blog: Mapping[str, Raw]) -> frozenset[str]:
    own = (_string(_value(blog, "@id")), _string(_value(blog, "url")))
    return postings.page_names([*own, _place(_value(blog, "mainEntityOfPage"))])


def _names_of(url: str) -> frozenset[str]:
    return postings.page_names([url, url.partition("?")[0]])


# --- updates -------------------------------------------------------------------------------------


def _postings(blog: _Blog, document: Document, memo: Memo) -> list[Posting]:
    """The updates, each read once for as long as it and what it may repeat stay as they are."""
    base_url = document.url
    page = Page(
        names=_names(blog.node) | _names_of(base_url),
        title=_title(blog.node),
        published=times.instant(_string(_value(blog.node, "datePublished"))),
        authors=_authors(_value(blog.node, "author")),
        images=_media(_value(blog.node, "image"), _value(blog.node, "video"), base_url),
    )
    repeated = ("@id", "url", "mainEntityOfPage", "headline", "name", "datePublished", "author")
    values = [bytes(blog.node.get(key, b"")) for key in (*repeated, "image", "video")]
    key = body_digest(b"\0".join([base_url.encode("utf-8", "replace"), *values])).encode()
    reader = _Reader(page, base_url)
    try:
        return [
            memo.read(key + update, partial(reader.posting, update)) for update in _resolved(blog)
        ]
    except (ValueError, RecursionError) as error:
        raise PageError(
            "page.malformed",
            f"an update cannot be read: {error}",
            where=document.url,
            fix="nothing of such an answer is read; it is asked again",
        ) from error


def _resolved(blog: _Blog) -> Iterator[bytes]:
    """The updates; in place of one that only refers to a node of its graph, that node."""
    nodes: dict[str, bytes] | None = None
    for update in blog.updates:
        if len(update) > _REFERENCE_MAX_BYTES or not _NODE.decode(update).keys() <= _REFERENCE:
            yield update
            continue
        nodes = _graph(blog.script) if nodes is None else nodes
        yield nodes.get(_string(_value(_NODE.decode(update), "@id")), update)


_REFERENCE = frozenset(("@id", "@type"))


def _graph(script: bytes) -> dict[str, bytes]:
    """The nodes of a script by their ids."""
    nodes: dict[str, bytes] = {}
    waiting = [script]
    while waiting:
        found = _LEVEL.decode(waiting.pop())
        if isinstance(found, list):
            for raw in map(bytes, found):
                if raw.startswith(b"{"):
                    node = _NODE.decode(raw)
                    if node.keys() - _REFERENCE:
                        nodes.setdefault(_string(_value(node, "@id")), raw)
        elif isinstance(found, dict) and "@graph" in found:
            waiting.append(bytes(found["@graph"]))
    return nodes


class _Reader:
    """Reads updates of one page. What many of them repeat is read once."""

    def __init__(self, page: Page, base_url: str) -> None:
        self._page = page
        self._base_url = base_url
        self._authors: dict[bytes, tuple[Author, ...]] = {}
        self._media: dict[tuple[bytes, bytes], tuple[Media, ...]] = {}

    def posting(self, update: bytes) -> Posting:
        """One update."""
        one = _UPDATE.decode(update)
        said = Said(
            places=(_string(one.id), _string(one.url), _place(one.page)),
            ids=(_string(one.identifier),),
            title=_plain(one.headline or one.name),
            published=_string(one.published or one.created),
            modified=_string(one.modified),
            authors=self._authors_of(bytes(one.author)),
            content=_content(_text(one.text if one.body is None else one.body), self._base_url),
            images=self._media_of(bytes(one.image), bytes(one.video)),
        )
        return postings.posting(said, self._page, self._base_url)

    def _authors_of(self, raw: bytes) -> tuple[Author, ...]:
        if raw not in self._authors:
            self._authors[raw] = _authors(_ANY.decode(raw))
        return self._authors[raw]

    def _media_of(self, image: bytes, video: bytes) -> tuple[Media, ...]:
        key = image, video
        if key not in self._media:
            self._media[key] = _media(_ANY.decode(image), _ANY.decode(video), self._base_url)
        return self._media[key]


# --- values --------------------------------------------------------------------------------------


def _value(node: Mapping[str, Raw], key: str) -> object:
    raw = node.get(key)
    return None if raw is None else _ANY.decode(raw)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _string(value: object) -> str:
    """A string, or the string of a JSON-LD value object; "" for anything else."""
    if isinstance(value, dict):
        value = value.get("@value")
    return value if isinstance(value, str) else ""


def _text(value: object) -> str:
    """A text, in one piece or in several."""
    return "\n".join(map(_string, value)) if isinstance(value, list) else _string(value)


def _place(value: object) -> str:
    """An address, given as such or as an object with one."""
    if isinstance(value, dict):
        return _string(value.get("@id")) or _string(value.get("url"))
    return _string(value)


def _plain(value: object) -> str | None:
    """A string on one line, its entities and tags read; None for none."""
    text = _decoded(_unescaped(_string(value)))
    return html.collapse(_TAG.sub(" ", text) if "<" in text else text) or None


def _unescaped(text: str) -> str:
    """Text without the backslashes that a second encoding put before its quotes."""
    return text.replace('\\"', '"') if "\\" in text else text


def _decoded(text: str) -> str:
    """Text with its entities read; first those that there are most of, which is quicker."""
    if "&" not in text:
        return text
    text = text.replace("&quot;", '"').replace("&#39;", "'").replace("&apos;", "'")
    return entities.unescape(text) if "&" in text else text


def _content(text: str, base_url: str) -> html.Content:
    """Blocks of an articleBody: plain text, HTML, or either with its entities escaped once more."""
    text = _unescaped(text)
    markup = text if _has_tag(text) else _decoded(text)
    if _has_tag(markup):
        return html.fragment(markup, base_url=base_url)
    lines = map(html.collapse, markup.splitlines())
    return html.Content(tuple(Paragraph(line) for line in lines if line))


def _has_tag(text: str) -> bool:
    return "<" in text and _TAG.search(text) is not None


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


def _media(images: object, videos: object, base_url: str) -> tuple[Media, ...]:
    found = (
        *(_image(one, base_url) for one in _list(images)),
        *(_video(one, base_url) for one in _list(videos)),
    )
    return tuple(one for one in found if one is not None)


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
