"""Selectors for a page that no source knows: what on it repeats and holds text and times. Pure.

A proposal for a person who looks at it with `stoppress check`; nothing is ever read by it unasked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct
from selectolax.lexbor import LexborHTMLParser, LexborNode

from service.errors import PageError
from service.model import Selectors
from service.sources import css, html, times
from service.sources.base import Document, decode, form

_AT_MOST = 3
_FEWEST = 3
# Of each kind of element, this many are looked at, and this share of them has to agree.
_LOOKED_AT = 12
_MOST = 0.6
# An entry says more than when it came; and length is no proof of being one.
_SHORTEST_CHARS, _LONG_CHARS = 40, 400
_SAMPLE_CHARS = 80

_TAGS = frozenset(("article", "div", "li", "section", "p", "tr", "dd", "blockquote", "details"))
_KINDS = ("data-testid", "data-component-name", "data-component", "itemtype")
_PLAIN = re.compile(r"[A-Za-z][\w-]*", re.ASCII)
# Names made by a program change with each of its builds.
_MADE = re.compile(r"\d|^(?:css|sc|jsx|emotion|svelte|style)-|^_")
_ID_NAME = re.compile(r"^(?:id|data-(?:[a-z-]+-)?(?:id|key|guid|urn))$")
_LATER = re.compile(r"modif|updat|edit")
_TIME_NAME = re.compile(r"time|date|clock", re.IGNORECASE)
_AUTHOR_NAME = re.compile(r"byline|author|contributor", re.IGNORECASE)
_BREAKING_NAME = re.compile(r"(?<![a-z])breaking|Breaking")
_HEADINGS = ("h2", "h3", "h4", "h5", "h1")


class Candidate(Struct, frozen=True):
    """What may be the entries of a page. samples: how the first of them begin."""

    selectors: Selectors
    count: int
    samples: tuple[str, ...]


class _Group(Struct, frozen=True):
    """Elements of one kind, some of them looked at. times: where they may say when."""

    selector: str
    nodes: list[LexborNode]
    looked_at: list[LexborNode]
    words: list[str]
    times: list[str]

    @property
    def weight(self) -> float:
        length = sum(map(len, self.words)) / len(self.words)
        return len(self.nodes) * min(length, _LONG_CHARS)


def suggest(document: Document) -> tuple[Candidate, ...]:
    """Candidates for the `css` source, best first; none for what is no HTML or cannot be read."""
    text = decode(document)
    if form(document, text) != "html":
        return ()
    try:
        tree = html.parsed(text, where=document.url)
    except PageError:
        return ()
    groups = sorted(_groups(tree), key=lambda group: group.weight, reverse=True)
    return tuple(_candidate(group) for group in _distinct(groups)[:_AT_MOST])


# --- what repeats --------------------------------------------------------------------------------


def _groups(tree: LexborHTMLParser) -> Iterator[_Group]:
    kinds: dict[str, list[LexborNode]] = {}
    for node in [] if tree.body is None else tree.body.traverse():
        if _may_be_entry(node):
            for selector in _kinds(node):
                kinds.setdefault(selector, []).append(node)
    for selector, nodes in kinds.items():
        if len(nodes) >= _FEWEST and len(html.outermost(nodes)) == len(nodes):
            group = _group(selector, nodes)
            if group is not None:
                yield group


def _may_be_entry(node: LexborNode) -> bool:
    tag = node.tag or ""
    return tag in _TAGS or ("-" in tag and not tag.startswith("-"))


def _kinds(node: LexborNode) -> Iterator[str]:
    """Selectors of what an element is by its names; without any, by where it stands."""
    names = list(_names(node))
    parent = node.parent
    if not names and parent is not None:
        around = next(_names(parent), None)
        own = html.attribute(parent, "id")
        anchor = f"#{own}" if _is_lasting(own) else around
        names = [f"{anchor} > {node.tag}"] if anchor else []
    yield from names


def _names(node: LexborNode) -> Iterator[str]:
    for name in _KINDS:
        value = html.attribute(node, name)
        if _is_lasting(value):
            yield f'{node.tag}[{name}="{value}"]'
    for token in dict.fromkeys(html.attribute(node, "class").split()):
        if _is_lasting(token):
            yield f"{node.tag}.{token}"


def _is_lasting(name: str) -> bool:
    return _PLAIN.fullmatch(name) is not None and _MADE.search(name) is None


def _group(selector: str, nodes: list[LexborNode]) -> _Group | None:
    """The elements as a group, if most of them say something, and when."""
    looked_at = nodes[:_LOOKED_AT]
    words = [html.all_text(node) for node in looked_at]
    if sum(len(one) >= _SHORTEST_CHARS for one in words) < _MOST * len(words):
        return None
    when = [list(dict.fromkeys(_times(node))) for node in looked_at]
    if sum(map(bool, when)) < _MOST * len(when):
        return None
    return _Group(selector, nodes, looked_at, words, _agreed(when))


def _distinct(groups: Sequence[_Group]) -> list[_Group]:
    """The groups without those that are the same entries, seen as what is around or inside them."""
    kept: list[_Group] = []
    for group in groups:
        if not any(_is_same(group, other) for other in kept):
            kept.append(group)
    return kept


def _is_same(one: _Group, other: _Group) -> bool:
    first, second = one.nodes[0], other.nodes[0]
    around = {up.mem_id for up in (first, *html.ancestors(first))}
    return second.mem_id in around or first.mem_id in {up.mem_id for up in html.ancestors(second)}


# --- where they say what -------------------------------------------------------------------------


def _candidate(group: _Group) -> Candidate:
    whens = [one for one in group.times if one]
    time = next((one for one in whens if not _LATER.search(one)), None)
    shown = next((one for one in whens if "@" not in one), None)
    breaking = next(iter(_agreed([_named(node, _BREAKING_NAME) for node in group.nodes], 0)), None)
    selectors = Selectors(
        entry=group.selector,
        id=_id(group),
        title=next((one for one in _HEADINGS if _is_common(group, one)), None),
        time=time,
        updated=next((one for one in whens if _LATER.search(one)), None) if time else None,
        author=next(iter(_agreed(_each(group, lambda one: _named(one, _AUTHOR_NAME)))), None),
        labels={"breaking": breaking} if breaking else {},
        skip=None if shown == time else shown,
    )
    samples = tuple(one[:_SAMPLE_CHARS] for one in group.words[:_FEWEST])
    return Candidate(selectors, len(group.nodes), samples)


def _each(group: _Group, ask: Callable[[LexborNode], Iterable[str]]) -> list[list[str]]:
    return [list(ask(node)) for node in group.looked_at]


def _agreed(several: Iterable[Iterable[str]], share: float = _MOST) -> list[str]:
    """What most have in common, the most common first; of equals, what came first."""
    lists = [list(dict.fromkeys(one)) for one in several]
    counts = Counter(value for one in lists for value in one)
    return [value for value, count in counts.most_common() if count >= share * len(lists)]


def _is_common(group: _Group, selector: str) -> bool:
    found = sum(node.css_first(selector) is not None for node in group.looked_at)
    return found >= _MOST * len(group.looked_at)


def _times(node: LexborNode) -> Iterator[str]:
    """Places that say when, the exact ones first; "" for words that only say how long ago."""
    yield from (f"@{name}" for name in _stamped(node))
    inner = [one for one in node.css("*") if one.mem_id != node.mem_id]
    for one in inner:
        for name in _stamped(one):
            yield f"time@{name}" if one.tag == "time" else f"[{name}]@{name}"
    for one in inner:
        if one.tag == "time" or _TIME_NAME.search(html.names(one)):
            words = html.all_text(one)
            if times.is_clock(words):
                yield "time" if one.tag == "time" else next(_names(one), "")
            elif times.is_relative(words):
                yield ""


def _stamped(node: LexborNode) -> Iterator[str]:
    """Attributes whose value is a time."""
    for name, value in node.attributes.items():
        if value and _PLAIN.fullmatch(name) and css.instant(value) is not None:
            yield name


def _id(group: _Group) -> str | None:
    """Where each entry has a value that no other has: on its element, in it, or in a link to it."""
    names = _agreed(_each(group, _id_names))
    places = [f"@{name}" for name in sorted(names, key=lambda name: name == "id")]
    places += ["[id]@id", 'a[href*="#"]@href']
    return next((place for place in places if _tells_apart(group.nodes, place)), None)


def _id_names(node: LexborNode) -> list[str]:
    return [name for name in node.attributes if _ID_NAME.match(name)]


def _tells_apart(nodes: Sequence[LexborNode], place: str) -> bool:
    selector, _, name = place.rpartition("@")
    found = [node.css_first(selector) if selector else node for node in nodes]
    values = ["" if one is None else html.attribute(one, name) for one in found]
    return all(values) and len(set(values)) == len(values)


def _named(node: LexborNode, pattern: re.Pattern[str]) -> list[str]:
    """Selectors of what is in an entry, or is it, by names that fit the pattern."""
    return [name for one in node.css("*") for name in _names(one) if pattern.search(name)]
