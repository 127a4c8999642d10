"""The renderers of the oracle: what a desk shows at one moment, as each publisher would write it.

Written from notes and captures of the publishers' pages, never from our parsers: where the two
disagree, one of them is wrong. Each module has

- `SOURCE`: the name of our source that reads it; `CONTENT_TYPE`;
- `page(front)`: the bytes of the page. The front's salt changes the bytes and never the meaning;
- `answers(front)`, if one body is not all: bodies by path and query (`answer` finds one);
- `SHOWS`: what a reader can know from this markup. What is not in it is not to be compared;
- `hides(post)`, if it shows less of some posts;
- `native_id(post)`, if the publisher gives ids: without decoration.

SHOWS has, beside the fields of a post: `head:title`, `head:summary`; `labels:…`; `items`: the words
of the list, each item a line of its own; `paragraphs`: where a line ends (without it, only the
words in their order); `image`: that there is one, with `image:alt`, `image:caption`, `image:credit`
for those words that have an element of their own; `live`; `withdrawn`: tombstones. The address of
an image is never the desk's own. A post without an author, a role, a title (and so on) shows none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import ModuleType
from urllib.parse import parse_qsl, urlsplit

from tests.simulator.desk import Post
from tests.simulator.markup import (
    aljazeera,
    ap,
    bbc_data,
    bbc_html,
    bbc_html_undated,
    bbc_stream,
    cnn,
    cnn_server,
    css,
    guardian_capi,
    guardian_data,
    guardian_html,
    jsonld_ap,
    jsonld_mirror,
    jsonld_nyt,
    jsonld_plain,
    microdata,
    nyt,
    reach,
    sourcefabric,
    text,
    wordpress,
)

MARKUPS: dict[str, ModuleType] = {
    module.__name__.rsplit(".", 1)[-1]: module
    for module in (
        jsonld_plain,
        bbc_html,
        bbc_html_undated,
        bbc_data,
        bbc_stream,
        guardian_html,
        guardian_data,
        guardian_capi,
        reach,
        jsonld_mirror,
        jsonld_ap,
        jsonld_nyt,
        wordpress,
        sourcefabric,
        aljazeera,
        ap,
        cnn,
        cnn_server,
        nyt,
        css,
        microdata,
        text,
    )
}


def shows(markup: str, post: Post) -> frozenset[str]:
    """What a reader can know of this post."""
    module = MARKUPS[markup]
    hidden: frozenset[str] = module.hides(post) if hasattr(module, "hides") else frozenset()
    return frozenset(module.SHOWS) - hidden


def native_id(markup: str, post: Post) -> str | None:
    """The publisher's id of this post, None where it gives none."""
    module = MARKUPS[markup]
    return module.native_id(post) if hasattr(module, "native_id") else None


def answer(answers: Mapping[str, bytes], asked: str) -> bytes | None:
    """The body for a path and query, however the query is spelt and whatever its order."""
    wanted = _request(asked)
    return next((body for path, body in answers.items() if _request(path) == wanted), None)


def _request(asked: str) -> tuple[str, dict[str, object]]:
    parts = urlsplit(asked)
    return parts.path, {key: _value(value) for key, value in parse_qsl(parts.query)}


def _value(value: str) -> object:
    try:
        return json.loads(value)
    except ValueError:
        return value
