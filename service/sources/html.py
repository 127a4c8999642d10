"""The one place where HTML becomes text: white space, marks, blocks, media, what is no content.

Pure, over selectolax (lexbor) nodes. It knows no publisher; what a source has already read, or does
not want, it hands over as nodes to leave out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
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

# Deeper than any real entry, and far from the limit of Python's stack. Below it only words count.
_MAX_DEPTH = 60
_MAX_ANCESTORS = 200
_MAX_UNCLOSED = 2000
_CONTAINERS = ("div", "section", "article", "main", "aside", "ul", "ol", "blockquote", "figure")

_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1b\x7f\u00ad\u200b\u2060\ufeff\ud800-\udfff]")
_DROPPED = frozenset(
    (
        *("script", "style", "noscript", "template", "head", "link", "meta", "object", "canvas"),
        *("svg", "button", "nav", "form", "input", "select", "textarea", "dialog"),
    )
)
_BLOCKS = (
    *("address", "article", "aside", "center", "dd", "details", "div", "dl", "dt", "fieldset"),
    *("figcaption", "footer", "header", "hgroup", "li", "main", "p", "pre", "section", "summary"),
)
_HIDDEN = re.compile(r"visually-?hidden|off-?screen|sr-only|screen-?reader", re.IGNORECASE)
_NOISE = re.compile(
    r"(?:^|\s)(?:share|sharing|ads?|advert|advertisement)(?:\s|$)"
    r"|[Ss]hare-?(?:[Tt]ool|[Bb]utton|[Bb]ar|[Mm]enu|[Pp]ost)"
    r"|(?<![A-Za-z])ad-?[Ss]lot|Ad[Ss]lot"
)
_PLAYER = re.compile(r"media-?player|video-?player", re.IGNORECASE)
_CAPTION = re.compile(r"^(?:image|video|media|audio) caption,\s*", re.IGNORECASE)
_CREDIT = re.compile(r"^image source,\s*", re.IGNORECASE)
_CREDIT_NODES = (
    "[class*=redit],[class*=opyright],[data-testid*=redit],[data-testid*=opyright],"
    "[itemprop=copyrightHolder]"
)
_EXTERNAL = ", external"
# How far above its hidden prefix a credit may stand.
_NEAR = 3

MarkKind = Literal["link", "strong", "em"]
_MARKS: dict[str, MarkKind] = {
    "a": "link",
    "strong": "strong",
    "b": "strong",
    "em": "em",
    "i": "em",
}


class Content(Struct, frozen=True):
    """What a node holds: text blocks and embeds, and apart from them images and videos."""

    body: tuple[Block, ...] = ()
    media: tuple[Media, ...] = ()


def collapse(text: str) -> str:
    """Text with each run of white space as one space, ends trimmed, and no invisible characters."""
    if not text.isprintable():  # most text is, and that is quickly seen
        text = _INVISIBLE.sub("", text)
    return " ".join(text.split())


def parsed(markup: str, *, where: str) -> LexborHTMLParser:
    """The tree of an HTML document.

    Raises PageError page.malformed for elements that are opened without end: the parser takes
    quadratic time over them.
    """
    lowered = markup.lower()
    unclosed = sum(lowered.count(f"<{tag}") - lowered.count(f"</{tag}") for tag in _CONTAINERS)
    if unclosed > _MAX_UNCLOSED:
        raise PageError(
            "page.malformed",
            f"{unclosed} elements are opened and never closed",
            where=where,
            fix="no live page does that; look at what the address serves",
        )
    return LexborHTMLParser(markup)


def content(node: LexborNode, *, base_url: str = "", skip: Iterable[LexborNode] = ()) -> Content:
    """The blocks and media under a node, links made absolute, the nodes in `skip` left out."""
    reader = _Reader(base_url, frozenset(one.mem_id for one in skip), 0)
    reader.read(node)
    return Content(tuple(reader.body), tuple(reader.media))


def text(node: LexborNode, *, skip: Iterable[LexborNode] = ()) -> str:
    """The visible words under a node as one line."""
    return collapse("".join(_words(node, frozenset(one.mem_id for one in skip), 0)))


def all_text(node: LexborNode) -> str:
    """The words under a node as one line, those that only a screen reader says included."""
    return collapse(node.text(separator=" "))


def fragment(markup: str, *, base_url: str = "") -> Content:
    """The blocks and media of a piece of HTML."""
    body = LexborHTMLParser(markup).body
    return Content() if body is None else content(body, base_url=base_url)


def attribute(node: LexborNode, name: str) -> str:
    """An attribute's value without surrounding space; "" when it has none."""
    return collapse(node.attributes.get(name) or "")


def names(node: LexborNode) -> str:
    """The names that a publisher gives an element: its classes and its test id."""
    return _names(node.attributes)


def _names(attributes: Mapping[str, str | None]) -> str:
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
    try:
        absolute = urljoin(base_url, collapse(url or ""))
        return absolute if urlsplit(absolute).scheme in ("http", "https") else None
    except ValueError:
        return None


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


def is_closed(markup: str) -> bool:
    """Whether an HTML document has reached its end."""
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
    """A line under construction: white space collapsed, marks kept in step."""

    def __init__(self) -> None:
        self.text = ""
        self.marks: list[Mark] = []
        self.open: list[_Open] = []
        self._space = False

    def add(self, raw: str) -> None:
        raw = _INVISIBLE.sub("", raw)
        words = " ".join(raw.split())
        self._space = self._space or raw[:1].isspace()
        if not words:
            return
        if self._space and self.text:
            self.text += " "
        for mark in self.open:
            mark.start = len(self.text) if mark.start is None else mark.start
        self.text += words
        self._space = raw[-1].isspace()

    def close(self) -> None:
        """End the mark that was opened last."""
        mark = self.open.pop()
        if mark.start is None:
            return
        if mark.kind == "link" and self.text[mark.start :].endswith(_EXTERNAL):
            self.text = self.text.removesuffix(_EXTERNAL)
            self.marks = [_within(one, len(self.text)) for one in self.marks]
        self._settle(mark)

    def take(self) -> Line:
        """The line so far; open marks go on in the next one."""
        for mark in self.open:
            self._settle(mark)
            mark.start = None
        marks = sorted((mark for mark in self.marks if mark.start < mark.end), key=_place)
        line = Line(self.text, tuple(marks))
        self.text, self.marks, self._space = "", [], False
        return line

    def _settle(self, mark: _Open) -> None:
        if mark.start is not None:
            self.marks.append(Mark(mark.start, len(self.text), mark.kind, mark.url))


def _within(mark: Mark, end: int) -> Mark:
    return Mark(mark.start, min(mark.end, end), mark.kind, mark.url)


def _place(mark: Mark) -> tuple[int, int, str]:
    return mark.start, -mark.end, mark.kind


def _joined(blocks: Iterable[Block]) -> Line:
    """The lines of several blocks as one, with a space between them."""
    text, marks = "", list[Mark]()
    for line in (line for block in blocks for line in _lines(block)):
        start = len(text) + 1 if text else 0
        text = f"{text} {line.text}" if text else line.text
        marks += [Mark(m.start + start, m.end + start, m.kind, m.url) for m in line.marks]
    return Line(text, tuple(marks))


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


def _visible(node: LexborNode, skip: frozenset[int]) -> Iterator[LexborNode]:
    """The texts and elements right under a node that a reader sees and that are content."""
    for child in node.iter(include_text=True):
        if child.is_text_node or (child.is_element_node and not _is_dropped(child, skip)):
            yield child


def _is_dropped(node: LexborNode, skip: frozenset[int]) -> bool:
    if node.tag in _DROPPED or node.mem_id in skip:
        return True
    attributes = node.attributes
    if not attributes:
        return False
    style = (attributes.get("style") or "").replace(" ", "").lower()
    if "hidden" in attributes or "display:none" in style:
        return True
    name = _names(attributes)
    return _HIDDEN.search(name) is not None or _NOISE.search(name) is not None


def _words(node: LexborNode, skip: frozenset[int], depth: int) -> Iterator[str]:
    if depth == _MAX_DEPTH:
        yield all_text(node)
        return
    for child in _visible(node, skip):
        if child.is_text_node:
            yield child.text_content or ""
        elif child.tag == "img" and _is_emoji(child):
            yield attribute(child, "alt")
        else:
            edge = " " if child.tag in _HANDLERS and child.tag not in _MARKS else ""
            yield edge
            yield from _words(child, skip, depth + 1)
            yield edge


def _is_emoji(image: LexborNode) -> bool:
    return "emoji" in attribute(image, "class")


# --- blocks and media ----------------------------------------------------------------------------


class _Reader:
    """Walks a node and collects its blocks and media."""

    def __init__(self, base_url: str, skip: frozenset[int], depth: int) -> None:
        self.body: list[Block] = []
        self.media: list[Media] = []
        self._base_url = base_url
        self._skip = skip
        self._depth = depth
        self._run = _Run()

    def read(self, node: LexborNode) -> None:
        """Everything under a node."""
        self._children(node)
        self._flush()

    def _children(self, node: LexborNode) -> None:
        if self._depth == _MAX_DEPTH:
            self._run.add(all_text(node))
            return
        self._depth += 1
        for child in _visible(node, self._skip):
            if child.is_text_node:
                self._run.add(child.text_content or "")
            else:
                _HANDLERS.get(child.tag or "", _Reader._inline)(self, child)
        self._depth -= 1

    def _visible(self, node: LexborNode) -> list[LexborNode]:
        """The elements right under a node, without the text between them."""
        return [one for one in _visible(node, self._skip) if one.is_element_node]

    def _flush(self) -> None:
        line = self._run.take()
        if line.text:
            self.body.append(Paragraph(line.text, line.marks))

    def _inner(self, node: LexborNode, skip: frozenset[int] = frozenset()) -> list[Block]:
        """The blocks of a node, read apart from the rest; its media belong to the whole."""
        reader = _Reader(self._base_url, self._skip | skip, self._depth)
        reader.read(node)
        self.media += reader.media
        return reader.body

    def _inline(self, node: LexborNode) -> None:
        self._children(node)

    def _block(self, node: LexborNode) -> None:
        self._flush()
        if _PLAYER.search(names(node)):
            self.media.append(Video(caption=_caption(node, ())))
            return
        self._children(node)
        self._flush()

    def _break(self, _node: LexborNode) -> None:
        self._flush()

    def _marked(self, node: LexborNode) -> None:
        url = web_url(node.attributes.get("href"), self._base_url) if node.tag == "a" else None
        if node.tag == "a" and url is None:
            self._children(node)
            return
        self._run.open.append(_Open(_MARKS[node.tag or ""], url))
        self._children(node)
        self._run.close()

    def _heading(self, node: LexborNode) -> None:
        self._flush()
        line = _joined(self._inner(node))
        if line.text:
            self.body.append(Heading(line.text, int((node.tag or "h3")[1])))

    def _list(self, node: LexborNode) -> None:
        self._flush()
        items = [item for child in self._visible(node) for item in self._items(child)]
        if items:
            self.body.append(ListBlock(tuple(items), ordered=node.tag == "ol"))

    def _items(self, node: LexborNode) -> Iterator[Line]:
        """One list item, and after it those of the lists inside it."""
        blocks = self._inner(node)
        line = _joined(block for block in blocks if not isinstance(block, ListBlock))
        if line.text:
            yield line
        for block in blocks:
            if isinstance(block, ListBlock):
                yield from block.items

    def _quote(self, node: LexborNode) -> None:
        self._flush()
        source = node.css_first("cite, footer")
        line = _joined(self._inner(node, frozenset(() if source is None else (source.mem_id,))))
        cite = "" if source is None else text(source)
        if line.text:
            self.body.append(Quote(line.text, line.marks, cite or None))

    def _table(self, node: LexborNode) -> None:
        self._flush()
        lines = [
            row
            for part in self._visible(node)
            for row in ([part] if part.tag == "tr" else self._visible(part))
        ]
        rows = tuple(
            tuple(_joined(self._inner(cell)).text for cell in self._visible(row)) for row in lines
        )
        if rows := tuple(row for row in rows if any(row)):
            self.body.append(Table(rows))

    def _figure(self, node: LexborNode) -> None:
        pictures = [image for image in node.css("img") if not _in_noscript(image)]
        is_video = _is_video(node)
        if not pictures and not is_video:
            self._block(node)
            return
        self._flush()
        credit_node = _credit_node(node)
        credit = None if credit_node is None else _credit(credit_node)
        caption = _caption(node, () if credit_node is None else [credit_node])
        if is_video:
            self.media.append(Video(_video_url(node, self._base_url), caption))
            return
        for picture in pictures:
            url, alt = _image_url(picture, self._base_url), attribute(picture, "alt") or None
            self.media.append(Image(url, alt, caption, credit))
            caption = credit = None

    def _image(self, node: LexborNode) -> None:
        alt, url = attribute(node, "alt"), _image_url(node, self._base_url)
        is_pixel = attribute(node, "width") == "1" or attribute(node, "height") == "1"
        if _is_emoji(node):
            self._run.add(alt)
        elif not is_pixel and (alt or url):
            self.media.append(Image(url, alt or None))

    def _video(self, node: LexborNode) -> None:
        self.media.append(Video(_video_url(node, self._base_url)))

    def _embed(self, node: LexborNode) -> None:
        """A frame or a sound, without its query: players put the session there."""
        url = web_url(node.attributes.get("src"), self._base_url)
        if url is None:
            return
        self._flush()
        parts = urlsplit(url)
        provider = (parts.hostname or "").removeprefix("www.")
        self.body.append(Embed(provider or None, parts._replace(query="", fragment="").geturl()))


_HANDLERS: dict[str, Callable[[_Reader, LexborNode], None]] = {
    **dict.fromkeys(_BLOCKS, _Reader._block),
    **dict.fromkeys(_MARKS, _Reader._marked),
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), _Reader._heading),
    **dict.fromkeys(("ul", "ol"), _Reader._list),
    **dict.fromkeys(("br", "hr"), _Reader._break),
    **dict.fromkeys(("iframe", "audio"), _Reader._embed),
    "blockquote": _Reader._quote,
    "table": _Reader._table,
    "figure": _Reader._figure,
    "img": _Reader._image,
    "video": _Reader._video,
}


def _in_noscript(node: LexborNode) -> bool:
    return any(up.tag == "noscript" for up in ancestors(node))


def _is_video(figure: LexborNode) -> bool:
    if figure.css_first("video") is not None or _PLAYER.search(names(figure)):
        return True
    caption = figure.css_first("figcaption")
    return caption is not None and all_text(caption).lower().startswith(
        ("video caption,", "media caption,")
    )


def _credit_node(figure: LexborNode) -> LexborNode | None:
    """The element that names the source of a picture: by its name, else by its hidden prefix."""
    named = (node for node in figure.css(_CREDIT_NODES) if _credit(node))
    return next(named, None) or next(_spoken_credits(figure), None)


def _spoken_credits(figure: LexborNode) -> Iterator[LexborNode]:
    for node in figure.traverse(include_text=True):
        if node.is_text_node and _CREDIT.match(f"{collapse(node.text_content or '')} "):
            near = islice(ancestors(node), _NEAR)
            inside = takewhile(lambda up: up.mem_id != figure.mem_id, near)
            yield from (up for up in inside if _credit(up))


def _credit(node: LexborNode) -> str | None:
    return _CREDIT.sub("", text(node)) or None


def _caption(figure: LexborNode, skip: Iterable[LexborNode]) -> str | None:
    caption = figure.css_first("figcaption")
    return (_CAPTION.sub("", text(caption, skip=skip)) or None) if caption is not None else None


def _image_url(image: LexborNode, base_url: str) -> str | None:
    """The picture's address; a lazy one keeps it apart from `src`."""
    places = (attribute(image, name) for name in ("src", "data-src", "srcset"))
    urls = (web_url(place.split(" ", 1)[0].rstrip(","), base_url) for place in places if place)
    return next((url for url in urls if url), None)


def _video_url(node: LexborNode, base_url: str) -> str | None:
    places = [node, *node.css("video, source")]
    urls = (
        web_url(place.attributes.get("src"), base_url)
        for place in places
        if place.attributes.get("src")
    )
    return next((url for url in urls if url), None)
