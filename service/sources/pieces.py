"""A page cut into its entries before its tree is built, so that one read before costs a hash. Pure.

Building the tree of a page and writing each entry out again takes most of the time of a poll, and
nearly every entry is as it was. Which of the pieces are entries is still for the tree to say.
"""

from __future__ import annotations

import re
from functools import partial

from selectolax.lexbor import LexborNode

from service.sources import html
from service.sources.base import Memo

_PIECE = "data-stoppress-piece"
# Where these stand, the end of an element may be only words, or that of another.
_DOUBTFUL = (
    *("<script", "</script", "<style", "</style", "<textarea", "</textarea"),
    *("<template", "</template", "<!--", "-->"),
)
# What React puts between words.
_EMPTY_COMMENT = "<!-- -->"


def cut(text: str, opening: re.Pattern[str], memo: Memo) -> tuple[str, dict[str, str]]:
    """The page with an empty element in place of each piece, and the pieces by name.

    opening: the start tag of an entry, up to its `>`. What is not sure to be one whole element
    stays where it is.
    """
    kept, pieces, place = list[str](), dict[str, str](), 0
    for start in opening.finditer(text):
        closing = f"</{start[0][1:].split(None, 1)[0]}>"
        end = text.find(closing, start.end()) + len(closing)
        if end < len(closing) or start.start() < place:
            continue
        piece = text[start.start() : end]
        if memo.read(f"whole\0{piece}", partial(_is_whole, start[0], piece, closing)):
            name = str(len(pieces))
            pieces[name] = piece
            kept += text[place : start.end() - 1], f' {_PIECE}="{name}">{closing}'
            place = end
    return "".join((*kept, text[place:])), pieces


def markup(node: LexborNode, pieces: dict[str, str]) -> str:
    """The markup of a node of the page that is left; of a piece, what stood there."""
    return pieces.get(html.attribute(node, _PIECE)) or node.html or ""


def _is_whole(tag: str, piece: str, closing: str) -> bool:
    if tag.count('"') % 2 or "'" in tag:
        return False
    inside = piece[len(tag) :].replace(_EMPTY_COMMENT, "").lower()
    return closing.replace("</", "<")[:-1] not in inside and not any(
        sign in inside for sign in _DOUBTFUL
    )
