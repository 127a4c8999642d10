"""The one place where HTML becomes text: white space, marks, blocks, media, what is no content.

Pure, over selectolax (lexbor) nodes. It knows no publisher; what a source has already read, or does
not want, it hands over as nodes to leave out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, takewhile
from typing import Literal
from urllib.parse import urljoin, urlsplit

from msgspec import Struct
from selectolax.lexbor import LexborHTMLParser, LexborNode

from service.errors import PageError
from service.model import (
    Block,
    Embed,
    Heading,
    Image,
    Line,
    ListBlock,
    Mark,
    Media,
    Paragraph,
    Quote,
    Table,
    Video,
)
from service.sources import times

# Deeper than any real entry, and far from the limit of Python's stack. Below it only words count.
_MAX_DEPTH = 60
_MAX_ANCESTORS = 200
# A gallery is a figure of figures.
_MAX_FIGURES = 3
# Elements that the parser carries on where they are not closed: into every block that follows.
_FORMATTING = (
    *(b"b", b"big", b"code", b"em", b"font", b"i", b"s", b"small", b"strike", b"strong", b"tt"),
    b"u",
)
_CONTAINERS = (
    *(b"div", b"section", b"article", b"main", b"aside", b"ul", b"ol", b"blockquote", b"figure"),
)
_MOST_OPEN = dict.fromkeys(_FORMATTING, 300) | dict.fromkeys(_CONTAINERS, 2000)
_TAGS = re.compile(rb"<(/?(?:" + b"|".join(_MOST_OPEN) + rb"))[\s/>]", re.IGNORECASE)

_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1b\x7f\u00ad\u200b\u2060\ufeff\ud800-\udfff]")
_TEXT = "-text"
# By the names that lexbor gives them; what is no element has None or a name with a dash in front.
_DROPPED = frozenset(
    (
        *("script", "style", "noscript", "template", "head", "link", "meta", "object", "canvas"),
        *("svg", "button", "nav", "form", "input", "select", "textarea", "dialog"),
        *(None, "-comment", "-doctype", "-document"),
    )
)
_BLOCKS = (
    *("address", "article", "aside", "center", "dd", "details", "div", "dl", "dt", "fieldset"),
    *("figcaption", "footer", "header", "hgroup", "li", "main", "p", "pre", "section", "summary"),
)
_HIDDEN = re.compile(
    r"visually-?hidden|hidden-?visually|off-?screen|(?<!not-)sr-only|screen-?reader"
    r"|assistive-?text|a11y-?(?:hidden|only|text)",
    re.IGNORECASE,
)
_HIDING = frozenset(("hidden", "id", "style"))
_UNSEEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_NOISE = re.compile(
    r"(?:^|\s)(?:share|sharing|ads?|advert|advertisement|adsbygoogle)(?:\s|$)"
    r"|[Ss]hare[-_]?(?:[Tt]ool|[Bb]utton|[Bb]ar|[Mm]enu|[Pp]ost|[Ll]ink|[Ii]con|[Ww]idget)"
    r"|[Ss]ocial[-_]?(?:[Ss]har(?:e|ing)|[Bb]utton|[Ii]con|[Ll]inks)|(?<![a-z])addthis"
    r"|(?<![A-Za-z])ad(?:vert)?[-_]?(?:[Ss]lot|[Uu]nit|[Cc]ontainer|[Ww]rapper|[Pp]laceholder)"
    r"|Ad(?:[Ss]lot|Unit|Container|Wrapper|Placeholder)"
)
_TIME_NAME = re.compile(r"time|(?:^|[\s_-])(?:ago|age|date)(?:$|[\s_-])", re.IGNORECASE)
_PLAYER = re.compile(r"media-?player|video-?player", re.IGNORECASE)
_CAPTION = re.compile(r"^(?:image|video|media|audio) caption,\s*", re.IGNORECASE)
_CREDIT = re.compile(r"^image source,\s*", re.IGNORECASE)
_BRACKETED = re.compile(r"^\(\s*image:\s*(?P<words>.*?)\s*\)$", re.IGNORECASE)
# A link that a machine adds to words; it comes and goes while nobody edits them.
_AUTO_LINK = re.compile("auto-?link", re.IGNORECASE)
_CAPTION_NAME = re.compile("[Cc]aption")
_CREDIT_NAME = re.compile("redit|opyright")
# Longer class attributes are no names; what is known of the shorter is kept.
_MAX_NAME_CHARS = 1000
_EXTERNAL = ", external"
# What urljoin would leave as it is: most addresses, and it takes long over each.
_NAMED = r"[\w.~%!$&'()*+,;=:@/?-]+"
_LOCATION = rf"(?:/[\w~%!$&'()*+,=:@-][\w.~%!$&'()*+,=:@-]*)+/?(?:\?{_NAMED})?(?:#{_NAMED})?"
_ROOTED = re.compile(_LOCATION, re.ASCII)
_ABSOLUTE = re.compile(r"https?://[a-z0-9][a-z0-9.-]*(?::\d+)?" + _LOCATION, re.ASCII)
# How far above its hidden prefix a credit may stand, or a <noscript> above its picture.
_NEAR = 3

MarkKind = Literal["link", "strong", "em"]
_INLINE = frozenset(("a", "strong", "b", "em", "i", "time"))
_TIMES = frozenset(("time", "relative-time", "time-ago"))
Attributes = Mapping[str, str | None]


class Content(Struct, frozen=True):
    """What a node holds: text blocks and embeds, and apart from them images and videos."""

    body: tuple[Block, ...] = ()
    media: tuple[Media, ...] = ()


def collapse(text: str) -> str:
    """Text with each run of white space as one space, ends trimmed, and no invisible characters."""
    if text.isprintable():  # most text is, and that is quickly seen; then white space is spaces
        return " ".join(text.split()) if "  " in text else text.strip(" ")
    return " ".join(_INVISIBLE.sub("", text).split())


def parsed(markup: str, *, where: str) -> LexborHTMLParser:
    """The tree of an HTML document.

    Raises PageError page.malformed for elements that are opened without end: the parser takes
    quadratic time over them.
    """
    raw = markup.encode()
    if name := _too_deep(_TAGS.findall(raw)):
        raise PageError(
            "page.malformed",
            f"too many <{name}> are opened and not closed",
            where=where,
            fix="no live page does that; look at what the address serves",
        )
    return LexborHTMLParser(raw)


def _too_deep(tags: list[bytes]) -> str | None:
    """The name of an element of which too many are open at once."""
    counts = Counter(tags)
    if any(tag != tag.lower() for tag in counts):
        tags = [tag.lower() for tag in tags]
        counts = Counter(tags)
    deep = (n for n, most in _MOST_OPEN.items() if counts[n] > most and _depth(tags, n) > most)
    return next((name.decode() for name in deep), None)


def _depth(tags: list[bytes], name: bytes) -> int:
    """How many of these elements are open at once, at most."""
    closing, depth, deepest = b"/" + name, 0, 0
    for tag in tags:
        if tag == name:
            depth += 1
            deepest = max(depth, deepest)
        elif tag == closing and depth:
            depth -= 1
    return deepest


def content(node: LexborNode, *, base_url: str = "", skip: Iterable[LexborNode] = ()) -> Content:
    """The blocks and media under a node, links made absolute, the nodes in `skip` left out."""
    reader = _Reader(base_url, frozenset([one.mem_id for one in skip]))
    reader.read(node)
    return Content(tuple(reader.body), tuple(reader.media))


def contents(
    nodes: Iterable[LexborNode], *, base_url: str = "", skip: Iterable[LexborNode] = ()
) -> Content:
    """The blocks and media of several elements, each read as what it is, as one."""
    reader = _Reader(base_url, frozenset([one.mem_id for one in skip]))
    for node in nodes:
        reader.read_element(node)
    return Content(tuple(reader.body), tuple(reader.media))


def text(node: LexborNode, *, skip: Iterable[LexborNode] = ()) -> str:
    """The visible words under a node as one line."""
    words: list[str] = []
    _gather(words, node, frozenset([one.mem_id for one in skip]), 0)
    return collapse("".join(words))


def all_text(node: LexborNode) -> str:
    """The words under a node as one line, those that only a screen reader says included."""
    return collapse(node.text(separator=" "))


def fragment(markup: str, *, base_url: str = "") -> Content:
    """The blocks and media of a piece of HTML. Raises what `parsed` raises."""
    body = parsed(markup, where=base_url).body
    return Content() if body is None else content(body, base_url=base_url)


def attribute(node: LexborNode, name: str) -> str:
    """An attribute's value without surrounding space; "" when it has none."""
    return collapse(node.attributes.get(name) or "")


def names(node: LexborNode) -> str:
    """The names that a publisher gives an element: its classes and its test id."""
    return _names(node.attributes)


def _names(attributes: Attributes) -> str:
    return collapse(f"{attributes.get('class') or ''} {attributes.get('data-testid') or ''}")


def ancestors(node: LexborNode) -> Iterator[LexborNode]:
    """The elements that hold a node, nearest first, as far up as a real page goes."""
    parent = node.parent
    for _ in range(_MAX_ANCESTORS):
        if parent is None:
            return
        yield parent
        parent = parent.parent


def outermost(nodes: list[LexborNode]) -> list[LexborNode]:
    """Those of the nodes that lie in no other of them."""
    held = {node.mem_id for node in nodes}
    return [node for node in nodes if not any(up.mem_id in held for up in ancestors(node))]


def web_url(url: str | None, base_url: str = "") -> str | None:
    """An absolute http(s) address, or None."""
    url = collapse(url or "")
    if _ABSOLUTE.fullmatch(url):
        return url
    if _ROOTED.fullmatch(url) and (origin := _origin(base_url)):
        return origin + url
    try:
        absolute = urljoin(base_url, url)
        return absolute if urlsplit(absolute).scheme in ("http", "https") else None
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _origin(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    is_web = parts.scheme in ("http", "https") and parts.netloc
    return f"{parts.scheme}://{parts.netloc}" if is_web else None


# --- a page without entries ----------------------------------------------------------------------

_WALL_TITLE = re.compile(
    r"consent|cookie|captcha|just a moment|access denied|attention required|before you continue"
    r"|(?:not|are you) a (?:robot|human)|security check|verify you|enable (?:js|javascript)",
    re.IGNORECASE,
)
_WALL_WORDS = re.compile(
    r"\bconsent\b|cookies?\b|captcha|enable (?:js|javascript)|unusual traffic|not a robot"
    r"|verify (?:that )?you|access denied",
    re.IGNORECASE,
)
# Every news page speaks of cookies in its footer; a wall speaks of little else.
_WALL_MAX_CHARS = 3000
# Where most pages end; the rest of a long one is looked through only if they do not.
_LAST_CHARS = 200


def is_closed(markup: str) -> bool:
    """Whether an HTML document has reached its end."""
    if "</html" in markup[-_LAST_CHARS:].lower():
        return True
    lowered = markup.lower()
    return "<html" not in lowered or "</html" in lowered


def is_wall(markup: str, *, where: str) -> bool:
    """Whether a page without entries asks for consent, or for proof that we are human."""
    tree = parsed(markup, where=where)
    title = tree.css_first("title")
    if title is not None and _WALL_TITLE.search(all_text(title)):
        return True
    tree.strip_tags(["script", "style", "head"])
    words = "" if tree.body is None else all_text(tree.body)
    return len(words) <= _WALL_MAX_CHARS and _WALL_WORDS.search(words) is not None


def without_entries(markup: str, *, where: str, expected: str) -> PageError:
    """Why an HTML page has no entries: blocked, cut off, or not the page it was."""
    if is_wall(markup, where=where):
        return blocked(where)
    if not is_closed(markup):
        return cut_off(where)
    return PageError(
        "page.no_entries",
        "the page has no entries",
        where=where,
        fix=f"expected {expected}; is it a live page, and has its layout changed?",
    )


def blocked(where: str) -> PageError:
    """The error for a consent or bot page in place of a live page."""
    return PageError(
        "page.blocked",
        "a consent or bot page came instead of the live page",
        where=where,
        fix="open the address in a browser; the page is asked again later",
        health="blocked",
    )


def cut_off(where: str) -> PageError:
    """The error for an HTML document that ends too early."""
    return PageError(
        "page.truncated",
        "the page is cut off: its closing </html> is missing",
        where=where,
        fix="half a page is never read; it is asked again",
    )


# --- runs of text with marks ---------------------------------------------------------------------


@dataclass(slots=True)
class _Open:
    """A mark whose end is still to come. start: None until it holds a character."""

    kind: MarkKind
    url: str | None
    start: int | None = None


class _Run:
    """A line under construction: white space collapsed, marks kept in step.

    length: of the words so far. space: white space came since the last word.
    """

    def __init__(self) -> None:
        self.length = 0
        self.marks: list[Mark] = []
        self.open: list[_Open] = []
        self.space = False
        self._words: list[str] = []

    def add(self, raw: str) -> None:
        if raw.isprintable():
            words = " ".join(raw.split()) if "  " in raw else raw.strip(" ")
        else:
            raw = _INVISIBLE.sub("", raw)
            words = " ".join(raw.split())
        space = self.space or raw[:1].isspace()
        if not words:
            self.space = space
            return
        if space and self.length:
            self._words.append(" ")
            self.length += 1
        for mark in self.open:
            mark.start = self.length if mark.start is None else mark.start
        self._words.append(words)
        self.length += len(words)
        self.space = raw[-1].isspace()

    def close(self) -> None:
        """End the mark that was opened last."""
        mark = self.open.pop()
        if mark.start is None:
            return
        if mark.kind == "link" and self._ends_external(mark.start):
            self._shorten(len(_EXTERNAL))
        self._settle(mark)

    def take(self) -> Line:
        """The line so far; open marks go on in the next one."""
        for mark in self.open:
            self._settle(mark)
            mark.start = None
        marks: list[Mark] = []
        if self.marks:
            marks = sorted((mark for mark in self.marks if mark.start < mark.end), key=_place)
            self.marks = []
        line = Line("".join(self._words), tuple(marks))
        self._words, self.length, self.space = [], 0, False
        return line

    def _ends_external(self, start: int) -> bool:
        if self.length - start < len(_EXTERNAL):
            return False
        # Each of the last words is at least one character.
        return "".join(self._words[-len(_EXTERNAL) :]).endswith(_EXTERNAL)

    def _shorten(self, chars: int) -> None:
        """Take characters off the end, and off the marks that reach there: the last ones do."""
        self.length -= chars
        while chars > 0:
            last = self._words.pop()
            self._words += [last[:-chars]] if len(last) > chars else []
            chars -= len(last)
        for place in range(len(self.marks) - 1, -1, -1):
            mark = self.marks[place]
            if mark.end <= self.length:
                break
            self.marks[place] = Mark(mark.start, self.length, mark.kind, mark.url)

    def _settle(self, mark: _Open) -> None:
        if mark.start is not None:
            self.marks.append(Mark(mark.start, self.length, mark.kind, mark.url))


def _place(mark: Mark) -> tuple[int, int, str]:
    return mark.start, -mark.end, mark.kind


def _joined(blocks: Iterable[Block]) -> Line:
    """The lines of several blocks as one, with a space between them."""
    texts, marks, start = list[str](), list[Mark](), 0
    for line in (line for block in blocks for line in _lines(block)):
        marks += [Mark(m.start + start, m.end + start, m.kind, m.url) for m in line.marks]
        texts.append(line.text)
        start += len(line.text) + 1
    return Line(" ".join(texts), tuple(marks))


def _lines(block: Block) -> Iterator[Line]:
    match block:
        case Paragraph(text=text, marks=marks) | Quote(text=text, marks=marks):
            yield Line(text, marks)
        case Heading(text=text):
            yield Line(text)
        case ListBlock(items=items):
            yield from items
        case Table(rows=rows):
            for row in rows:
                yield Line(" ".join(row))
        case Image() | Video() | Embed():
            return


# --- what counts ---------------------------------------------------------------------------------


class _Named(Struct, frozen=True):
    """What an element's classes and test id say of it."""

    is_noise: bool
    is_player: bool
    is_credit: bool
    is_caption: bool
    is_time: bool


def _named(attributes: Attributes) -> _Named:
    name, test_id = attributes.get("class") or "", attributes.get("data-testid")
    if test_id:
        name = f"{name} {test_id}"
    return _judged(name[:_MAX_NAME_CHARS]) if name else _UNNAMED


@lru_cache(maxsize=1024)
def _judged(name: str) -> _Named:
    name = collapse(name)
    return _Named(
        is_noise=_HIDDEN.search(name) is not None or _NOISE.search(name) is not None,
        is_player=_PLAYER.search(name) is not None,
        is_credit=_CREDIT_NAME.search(name) is not None,
        is_caption=_CAPTION_NAME.search(name) is not None,
        is_time=_TIME_NAME.search(name) is not None,
    )


_UNNAMED = _judged("")


def _attributes(node: LexborNode, tag: str | None, skip: frozenset[int]) -> Attributes | None:
    """The attributes of an element that a reader sees and that is content; None for any other."""
    if tag in _DROPPED or (skip and node.mem_id in skip):
        return None
    attributes = node.attributes
    named = _named(attributes) if attributes else _UNNAMED
    if named.is_noise or not (_HIDING.isdisjoint(attributes) or _is_seen(attributes)):
        return None
    return None if (named.is_time or tag in _TIMES) and _is_relative(node) else attributes


def _is_seen(attributes: Attributes) -> bool:
    style = attributes.get("style")
    return not (
        "hidden" in attributes
        or "gpt-ad" in (attributes.get("id") or "")
        or (style and _UNSEEN.search(style))
    )


def _is_relative(node: LexborNode) -> bool:
    """Whether an element says how long ago something was, perhaps once more for screen readers."""
    pieces = [piece for piece in node.text(separator="\n").splitlines() if not piece.isspace()]
    return times.is_relative(" ".join(pieces)) or (
        len(pieces) > 1 and all(map(times.is_relative, pieces))
    )


def _gather(words: list[str], node: LexborNode, skip: frozenset[int], depth: int) -> None:
    """Add the words under a node, with a space at the edges of its blocks."""
    if depth == _MAX_DEPTH:
        words.append(all_text(node))
        return
    for child in node.iter(include_text=True):
        tag = child.tag
        if tag == _TEXT:
            words.append(child.text_content or "")
            continue
        attributes = _attributes(child, tag, skip)
        if attributes is None:
            continue
        if tag == "img" and _is_emoji(attributes):
            words.append(collapse(attributes.get("alt") or ""))
        elif tag in _HANDLERS and tag not in _INLINE:
            words.append(" ")
            _gather(words, child, skip, depth + 1)
            words.append(" ")
        else:
            _gather(words, child, skip, depth + 1)


def _is_emoji(attributes: Attributes) -> bool:
    return "emoji" in (attributes.get("class") or "")


# --- blocks and media ----------------------------------------------------------------------------


class _Reader:
    """Walks a node and collects its blocks and media. is_inner: the node is part of a block."""

    def __init__(
        self,
        base_url: str,
        skip: frozenset[int],
        *,
        depth: int = 0,
        figures: int = 0,
        is_inner: bool = False,
    ) -> None:
        self.body: list[Block] = []
        self.media: list[Media] = []
        self._base_url = base_url
        self._skip = skip
        # How many elements, and how many figures, are around what is read.
        self._depth, self._figures = depth, figures
        self._is_inner = is_inner
        self._run = _Run()
        # Embeds inside of a list, quote or table: they follow it.
        self._held: list[Block] = []
        # The time of day in the current line, and how much text stood above the last picture.
        self._time_of_day = ""
        self._above_picture = -1

    def read(self, node: LexborNode) -> None:
        """Everything under a node."""
        self._children(node)
        self._flush()

    def read_element(self, node: LexborNode) -> None:
        """A node itself, whether or not a reader sees it."""
        _HANDLERS.get(node.tag, _Reader._inline)(self, node, node.attributes)
        self._flush()

    def _children(self, node: LexborNode) -> None:
        if self._depth == _MAX_DEPTH:
            self._run.add(all_text(node))
            return
        self._depth += 1
        for child in node.iter(include_text=True):
            tag = child.tag
            if tag == _TEXT:
                self._run.add(child.text_content or "")
            elif (attributes := _attributes(child, tag, self._skip)) is not None:
                _HANDLERS.get(tag, _Reader._inline)(self, child, attributes)
        self._depth -= 1

    def _visible(self, node: LexborNode) -> list[LexborNode]:
        """The elements right under a node, without the text between them."""
        return [one for one in node.iter() if _attributes(one, one.tag, self._skip) is not None]

    def _flush(self) -> None:
        run = self._run
        if not run.length and not run.marks:
            run.space = False
            return
        line = run.take()
        # Alone on its line it is when the entry came; in a list or a table it is what they say.
        is_stamp = line.text == self._time_of_day and not self._is_inner
        if line.text and not is_stamp:
            self.body.append(Paragraph(line.text, line.marks))
        self._time_of_day = ""

    def _inner(self, node: LexborNode, skip: LexborNode | None = None) -> list[Block]:
        """The blocks of a node, read apart from the rest; its media belong to the whole."""
        reader = self._inside(skip)
        reader.read(node)
        self.media += reader.media
        self._held += [block for block in reader.body if isinstance(block, Embed)]
        return reader.body

    def _inside(self, skip: LexborNode | None) -> _Reader:
        skipped = self._skip if skip is None else self._skip | {skip.mem_id}
        return _Reader(
            self._base_url, skipped, depth=self._depth, figures=self._figures, is_inner=True
        )

    def _add(self, *blocks: Block) -> None:
        """Blocks that were read by `_inner`, and after them the embeds that they hold."""
        self.body += blocks
        self.body += self._held
        self._held = []

    def _inline(self, node: LexborNode, _attributes: Attributes) -> None:
        self._children(node)

    def _block(self, node: LexborNode, attributes: Attributes) -> None:
        self._flush()
        if attributes and _named(attributes).is_player:
            self.media.append(Video(caption=_caption(node.css_first("figcaption"), None)))
        elif "data-href" in attributes and (url := _framed_post(node, attributes)):
            self.body.append(_embed(url))
        else:
            self._children(node)
            self._flush()

    def _time(self, node: LexborNode, _attributes: Attributes) -> None:
        words = text(node)
        self._time_of_day = words if times.is_clock(words) else ""
        self._children(node)

    def _break(self, _node: LexborNode, _attributes: Attributes) -> None:
        self._flush()

    def _link(self, node: LexborNode, attributes: Attributes) -> None:
        url = web_url(attributes.get("href"), self._base_url)
        if url is None or _AUTO_LINK.search(attributes.get("data-component") or ""):
            self._children(node)
        else:
            self._marked(node, "link", _untracked(url))

    def _strong(self, node: LexborNode, _attributes: Attributes) -> None:
        self._marked(node, "strong", None)

    def _emphasis(self, node: LexborNode, _attributes: Attributes) -> None:
        self._marked(node, "em", None)

    def _marked(self, node: LexborNode, kind: MarkKind, url: str | None) -> None:
        self._run.open.append(_Open(kind, url))
        self._children(node)
        self._run.close()

    def _heading(self, node: LexborNode, _attributes: Attributes) -> None:
        self._flush()
        line = _joined(self._inner(node))
        self._add(*([Heading(line.text, int((node.tag or "h3")[1]))] if line.text else []))

    def _list(self, node: LexborNode, _attributes: Attributes) -> None:
        self._flush()
        items = [item for child in self._visible(node) for item in self._items(child)]
        self._add(*([ListBlock(tuple(items), ordered=node.tag == "ol")] if items else []))

    def _items(self, node: LexborNode) -> Iterator[Line]:
        """One list item, and after it those of the lists inside it."""
        blocks = self._inner(node)
        line = _joined(block for block in blocks if not isinstance(block, ListBlock))
        if line.text:
            yield line
        for block in blocks:
            if isinstance(block, ListBlock):
                yield from block.items

    def _quote(self, node: LexborNode, attributes: Attributes) -> None:
        self._flush()
        if url := _quoted_post(node, attributes, self._base_url):
            self.body.append(_embed(url))
            return
        source = node.css_first("cite, footer")
        line = _joined(self._inner(node, skip=source))
        cite = "" if source is None else text(source)
        self._add(*([Quote(line.text, line.marks, cite or None)] if line.text else []))

    def _table(self, node: LexborNode, _attributes: Attributes) -> None:
        self._flush()
        parts = self._visible(node)
        captions = [_joined(self._inner(part)) for part in parts if part.tag == "caption"]
        lines = [
            row
            for part in parts
            if part.tag != "caption"
            for row in ([part] if part.tag == "tr" else self._visible(part))
        ]
        cells = ([_joined(self._inner(one)).text for one in self._visible(row)] for row in lines)
        rows = tuple(tuple(row) for row in cells if any(row))
        self.body += [Paragraph(line.text, line.marks) for line in captions if line.text]
        self._add(*([Table(rows)] if rows else []))

    def _figure(self, node: LexborNode, attributes: Attributes) -> None:
        parts = _parts(node) if self._figures < _MAX_FIGURES else None
        if parts is None or not self._is_picture(node, parts):
            self._figures += 1
            self._block(node, attributes)
            self._figures -= 1
            return
        self._flush()
        credit_node, credit = _credit(parts)
        caption = _caption(parts.caption, credit_node)
        if parts.is_video:
            self.media.append(Video(_video_url(node, self._base_url), caption))
            return
        for picture in parts.pictures:
            alt = collapse(picture.get("alt") or "") or None
            self._picture(Image(_image_url(picture, self._base_url), alt, caption, credit))
            caption = credit = None

    def _is_picture(self, figure: LexborNode, parts: _Parts) -> bool:
        """Whether a figure is pictures or a video and what belongs to them, and nothing else."""
        if parts.has_figures or not (parts.pictures or parts.is_video):
            return False
        if not parts.may_have_text:
            return True
        reader = self._inside(parts.caption)
        reader.read(figure)
        return all(isinstance(block, Paragraph) for block in reader.body)

    def _picture(self, image: Image) -> None:
        self.media.append(image)
        self._above_picture = len(self.body)

    def _figcaption(self, node: LexborNode, attributes: Attributes) -> None:
        """A caption beside a figure and not in it belongs to the picture right above it."""
        self._flush()
        last = self.media[-1] if self.media else None
        is_right_above = self._above_picture == len(self.body)
        if not (isinstance(last, Image) and is_right_above and not (last.caption or last.credit)):
            self._block(node, attributes)
            return
        parts = _parts(node)
        parts.caption = node
        credit_node, credit = _credit(parts)
        self.media[-1] = Image(last.url, last.alt, _caption(node, credit_node), credit)

    def _image(self, node: LexborNode, attributes: Attributes) -> None:
        alt, url = collapse(attributes.get("alt") or ""), _image_url(attributes, self._base_url)
        if _is_emoji(attributes):
            self._run.add(alt)
        elif not _is_pixel(attributes):
            url = url or _source_url(node.parent, self._base_url)
            if alt or url:
                self._picture(Image(url, alt or None))

    def _video(self, node: LexborNode, _attributes: Attributes) -> None:
        self.media.append(Video(_video_url(node, self._base_url)))

    def _embed(self, _node: LexborNode, attributes: Attributes) -> None:
        places = (web_url(attributes.get(name), self._base_url) for name in ("src", "data-src"))
        url = next(filter(None, places), None)
        if url is not None and not _is_pixel(attributes):
            self._flush()
            self.body.append(_embed(url))


_HANDLERS: dict[str | None, Callable[[_Reader, LexborNode, Attributes], None]] = {
    **dict.fromkeys(_BLOCKS, _Reader._block),
    **dict.fromkeys(("strong", "b"), _Reader._strong),
    **dict.fromkeys(("em", "i"), _Reader._emphasis),
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), _Reader._heading),
    **dict.fromkeys(("ul", "ol"), _Reader._list),
    **dict.fromkeys(("br", "hr"), _Reader._break),
    **dict.fromkeys(("iframe", "audio", "amp-iframe"), _Reader._embed),
    **dict.fromkeys(("img", "amp-img"), _Reader._image),
    **dict.fromkeys(("video", "amp-video"), _Reader._video),
    "a": _Reader._link,
    "blockquote": _Reader._quote,
    "table": _Reader._table,
    "figure": _Reader._figure,
    "figcaption": _Reader._figcaption,
    "time": _Reader._time,
}


# --- what others provide -------------------------------------------------------------------------

_SHORT_POSTS = re.compile(
    r"https?://(?:www\.)?(?:instagram\.com/(?:[\w.]+/)?(?:p|reel|tv)/|tiktok\.com/@"
    r"|threads\.(?:net|com)/@)"
)
_POST_NAMES = re.compile(r"instagram-media|tiktok-embed|text-post-media")
_POST_WORDS = re.compile(r"View this post on Instagram|A post shared by|View on Threads")
_FRAME_NAMES = re.compile(r"(?:^|\s)fb-(?:post|video)(?:\s|$)")
_PERMALINKS = ("data-instgrm-permalink", "data-text-post-permalink", "cite")
_MICROBLOG = re.compile(
    r"https?://(?:www\.|mobile\.)?(?:twitter|x)\.com/(?!search|intent|share)[^?#]*"
)


def _embed(url: str) -> Embed:
    """A frame, a sound or a post, without its query: players put the session there."""
    parts = urlsplit(url)
    provider = (parts.hostname or "").removeprefix("www.")
    return Embed(provider or None, parts._replace(query="", fragment="").geturl())


def _quoted_post(node: LexborNode, attributes: Attributes, base_url: str) -> str | None:
    """The address of a post of which a quote says little more than that it is there.

    The words of a microblog post are what it says: those stay a quote.
    """
    named = (web_url(attributes.get(name), base_url) for name in _PERMALINKS)
    for url in named:
        if url and _SHORT_POSTS.match(url):
            return url
    if _POST_NAMES.search(attributes.get("class") or "") or _POST_WORDS.search(all_text(node)):
        links = (web_url(one.attributes.get("href"), base_url) for one in node.css("a[href]"))
        return next((url for url in links if url and _SHORT_POSTS.match(url)), None)
    return None


def _framed_post(node: LexborNode, attributes: Attributes) -> str | None:
    """The address in an empty element that a script fills with a frame."""
    is_frame = _FRAME_NAMES.search(attributes.get("class") or "") and not all_text(node)
    return web_url(attributes["data-href"]) if is_frame else None


def _untracked(url: str) -> str:
    """A link without what says from where it is followed, where the query holds nothing else."""
    found = _MICROBLOG.match(url)
    return found[0] if found else url


# --- pictures and videos -------------------------------------------------------------------------


@dataclass(slots=True)
class _Parts:
    """What there is in a figure, each in page order. pictures: their attributes."""

    figure: LexborNode
    pictures: list[Attributes]
    named_credits: list[LexborNode]
    spoken_credits: list[LexborNode]
    caption: LexborNode | None = None
    named_caption: LexborNode | None = None
    is_video: bool = False
    may_have_text: bool = False
    has_figures: bool = False
    has_noscript: bool = False


# What else may be in a figure. A list or table may make it more than a picture.
_FIGURE_FLAGS: dict[str | None, str] = {
    "video": "is_video",
    "amp-video": "is_video",
    "figure": "has_figures",
    "noscript": "has_noscript",
    **dict.fromkeys(("blockquote", "table", "ul", "ol", "iframe", "amp-iframe"), "may_have_text"),
}


def _parts(figure: LexborNode) -> _Parts:
    parts = _Parts(figure, [], [], [])
    for node in islice(figure.traverse(include_text=True), 1, None):
        tag = node.tag
        if tag == _TEXT:
            words = node.text_content or ""
            if "source" in words.lower() and _CREDIT.match(f"{collapse(words)} "):
                parts.spoken_credits.append(node)
        else:
            _sort(node, tag, parts)
    parts.is_video = parts.is_video or _named(figure.attributes).is_player
    parts.is_video = parts.is_video or _is_spoken_video(parts.caption)
    parts.caption = parts.caption or parts.named_caption
    return parts


def _sort(node: LexborNode, tag: str | None, parts: _Parts) -> None:
    """Put one element of a figure where it belongs."""
    attributes = node.attributes
    if tag in ("img", "amp-img"):
        if not _is_pixel(attributes) and not (parts.has_noscript and _in_noscript(node)):
            parts.pictures.append(_with_source(node, attributes))
    elif tag == "figcaption":
        parts.caption = parts.caption or node
    elif tag in _FIGURE_FLAGS:
        setattr(parts, _FIGURE_FLAGS[tag], True)
    if attributes:
        named = _named(attributes)
        if named.is_credit or attributes.get("itemprop") == "copyrightHolder":
            parts.named_credits.append(node)
        elif named.is_caption and parts.named_caption is None:
            parts.named_caption = node


def _in_noscript(node: LexborNode) -> bool:
    return any(up.tag == "noscript" for up in islice(ancestors(node), _NEAR))


def _is_pixel(attributes: Attributes) -> bool:
    """A picture or frame that nobody sees counts its readers."""
    width, height = attributes.get("width") or "", attributes.get("height") or ""
    return width.strip() in ("0", "1") or height.strip() in ("0", "1")


def _is_spoken_video(caption: LexborNode | None) -> bool:
    return caption is not None and all_text(caption).lower().startswith(
        ("video caption,", "media caption,")
    )


def _uncredited(words: str) -> str:
    """A credit without what introduces it: "Image source, ", "( Image: PA)"."""
    bracketed = _BRACKETED.match(words)
    return bracketed["words"] if bracketed else _CREDIT.sub("", words)


def _credit(parts: _Parts) -> tuple[LexborNode | None, str | None]:
    """Who made a picture, and the element that says so: by its name or by its hidden prefix."""
    for node in (*_named_credits(parts), *_around_spoken_credits(parts)):
        if words := _uncredited(text(node)):
            return node, words
    return None, None


def _named_credits(parts: _Parts) -> list[LexborNode]:
    """Elements with the name of a credit; a caption is one only if there is nothing else."""
    caption, named = parts.caption, parts.named_credits
    if caption is None or not named:
        return named
    around = {up.mem_id for up in ancestors(caption)}
    apart = [node for node in named if node.mem_id not in around]
    others = [node for node in apart if node.mem_id != caption.mem_id]
    is_caption = _named(caption.attributes).is_caption
    return others or ([] if is_caption else apart)


def _around_spoken_credits(parts: _Parts) -> Iterator[LexborNode]:
    for node in parts.spoken_credits:
        near = islice(ancestors(node), _NEAR)
        yield from takewhile(lambda up: up.mem_id != parts.figure.mem_id, near)


def _caption(caption: LexborNode | None, credit: LexborNode | None) -> str | None:
    if caption is None or (credit is not None and credit.mem_id == caption.mem_id):
        return None
    return _CAPTION.sub("", text(caption, skip=() if credit is None else (credit,))) or None


# A lazy picture keeps its address apart from `src`, where a placeholder may stand.
_IMAGE_PLACES = ("data-src", "data-original", "src", "srcset", "data-srcset")


def _image_url(image: Attributes, base_url: str) -> str | None:
    for name in _IMAGE_PLACES:
        if place := image.get(name):
            url = web_url(collapse(place).split(" ", 1)[0].rstrip(","), base_url)
            if url:
                return url
    return None


def _with_source(image: LexborNode, attributes: Attributes) -> Attributes:
    """The attributes of a picture; without an address, those that stand beside it."""
    has_place = attributes.get("src") or any(map(attributes.get, _IMAGE_PLACES))
    return attributes if has_place else {**_source(image.parent), **attributes}


def _source(picture: LexborNode | None) -> Attributes:
    """The attributes of the first source of a <picture>."""
    if picture is None or picture.tag != "picture":
        return {}
    source = picture.css_first("source")
    return {} if source is None else source.attributes


def _source_url(picture: LexborNode | None, base_url: str) -> str | None:
    return _image_url(_source(picture), base_url)


def _video_url(node: LexborNode, base_url: str) -> str | None:
    places = [node, *node.css("video, amp-video, source")]
    urls = (
        web_url(place.attributes.get("src") or place.attributes.get("data-src"), base_url)
        for place in places
        if place.attributes.get("src") or place.attributes.get("data-src")
    )
    return next((url for url in urls if url), None)
