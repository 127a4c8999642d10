"""What an entry's words say about the coverage itself: that it pauses, or goes on elsewhere. Pure.

English only, but for what a source knows by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urldefrag, urlsplit

from service.model import Block, Entry, Heading, ListBlock, Mark, Paragraph, Quote

_PAUSE = re.compile(
    r"\bpaus(?:e|es|ing) (?:(?:our|this) (?:rolling |live )*|the (?:rolling |live )+)"
    r"(?:coverage|page|blog|updates)\b",
    re.IGNORECASE,
)


def announces_pause(entry: Entry) -> bool:
    """Does this entry say that coverage pauses with it ("We're now pausing our live coverage")?"""
    return _PAUSE.search(entry.text) is not None


_PAGE = r"(?:(?:rolling |live )*(?:page|blog|feed)|(?:rolling |live )+coverage)\b"
_CLOSES = re.compile(
    rf"\b(?:this|our|the|today'?s) {_PAGE}[^.!?]{{0,40}}(?<!of )\b"
    r"(?:clos(?:ed|es|ing)|end(?:ed|s|ing)|mov(?:ed|es|ing)|wrapp(?:ed|ing))\b"
    r"(?! (?:ceremony|arguments?|stages?|speech|bell|remarks|statements?|minutes|date|price)\b)"
    r"|\b(?:clos(?:ed|ing)|end(?:ed|ing)|mov(?:ed|ing)|wrapp(?:ed|ing)) (?:up )?(?:this|our|the) "
    rf"{_PAGE}",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"\b(?:join us|follow|continue|continues|read|find|new (?:live )*(?:page|blog)|here|over to)\b",
    re.IGNORECASE,
)


def successor(entry: Entry, page_url: str) -> str | None:
    """Where this entry says that the coverage goes on, now that its page closes.

    "This live page is closing. Join us here", with a link to another live page of the same site:
    one that says so in its address, or lies beside this one.
    """
    if not _CLOSES.search(entry.text):
        return None
    links = (
        mark.url
        for text, marks in _runs(entry)
        for mark in marks
        if mark.url and _GOES_ON.search(text) and _is_other_page(mark.url, page_url)
    )
    return next((urldefrag(url).url for url in links), None)


def _runs(entry: Entry) -> Iterator[tuple[str, tuple[Mark, ...]]]:
    for block in entry.body:
        yield from _lines(block)


def _lines(block: Block) -> Iterator[tuple[str, tuple[Mark, ...]]]:
    match block:
        case Paragraph(text=text, marks=marks) | Quote(text=text, marks=marks):
            yield text, marks
        case ListBlock(items=items):
            for item in items:
                yield item.text, item.marks
        case Heading(text=text):
            yield text, ()
        case _:
            return


def _is_other_page(url: str, page_url: str) -> bool:
    one, other = urlsplit(url), urlsplit(page_url)
    is_other = one.netloc == other.netloc and one.path.rstrip("/") != other.path.rstrip("/")
    return is_other and ("live" in one.path.lower() or _folder(one.path) == _folder(other.path))


def _folder(path: str) -> str:
    return path.rstrip("/").rpartition("/")[0]
