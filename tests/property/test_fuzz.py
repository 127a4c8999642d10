"""A hundred thousand broken pages: each gives a snapshot or a named error, and nothing else.

Seeded, so that a failure comes back: the seed is in the test's name and the page in its message.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from service import sources
from service.errors import ConfigError, PageError
from service.model import Reading, Selectors
from service.sources import Document, Memo
from tests.property.test_sources import check
from tests.simulator.desk import Front, Post
from tests.simulator.markup import MARKUPS

PAGES = 100_000
SEEN_AT = datetime(2025, 4, 25, 12, tzinfo=UTC)
URL = "https://news.example/live"
TYPES = ("text/html; charset=utf-8", "application/json", "text/plain", "", "text/html; charset=?")
TOKENS = (
    *(b"<", b">", b'"', b"'", b"&", b"{", b"}", b"[", b"]", b"\\", b"\\u", b"\x00", b"\xff"),
    *(b"<div>", b"</div>", b"<article>", b"</article>", b"<script>", b"</script>", b"<!--"),
    *(b"-->", b"&quot;", b"&amp;lt;", b"null", b"true", b"[]", b"{}", b'""', b"\xf0\x9f"),
    *(b"9" * 30, b"-1", b"1e999", b"2025-13-45T99:99:99Z", b"25:61", b"{" * 200, b"<b>" * 200),
)


def post(number: int) -> Post:
    return Post(
        key=f"p{number}",
        title=f'Title "{number}" <of> many & one' if number % 3 else None,
        paragraphs=("First paragraph, é and 😀.", "Second & last."),
        items=("one", "two") if number == 1 else (),
        labels=frozenset({"breaking"} if number == 2 else ()),
        author="Jo Doe",
        role="Editor",
        published=SEEN_AT - timedelta(minutes=10 * number),
        updated=SEEN_AT if number == 1 else None,
        image=("https://news.example/i.jpg", "Alt", "Caption", "Credit") if number == 0 else None,
    )


FRONT = Front(
    title="A live page",
    summary="What happens",
    live=True,
    url=URL,
    posts=tuple(map(post, range(4))),
    total=4,
    pinned=None,
    now=SEEN_AT,
    modified=SEEN_AT,
    salt=7,
)


def mutated(page: bytes, chance: random.Random) -> bytes:
    """The page with some of it cut, doubled, moved, flipped, or with something else put in."""
    body = bytearray(page)
    for _ in range(chance.randint(1, 8)):
        start = chance.randint(0, len(body))
        end = min(len(body), start + chance.choice((1, 8, 60, 400)))
        piece = body[start:end]
        match chance.randrange(7):
            case 0:
                del body[start:end]
            case 1 if chance.random() < 0.2:
                del body[start:]
            case 2:
                body[end:end] = piece
            case 3:
                del body[start:end]
                place = chance.randint(0, len(body))
                body[place:place] = piece
            case 4 if start < len(body):
                body[start] ^= 1 << chance.randrange(8)
            case _:
                body[start:start] = chance.choice(TOKENS)
    return bytes(body)


@pytest.mark.parametrize("name", MARKUPS)
def test_a_broken_page_gives_a_snapshot_or_a_named_error(name: str) -> None:
    markup = MARKUPS[name]
    chance = random.Random(name)
    page = markup.page(FRONT)
    selectors = getattr(markup, "SELECTORS", None)
    reading = Reading(selectors=Selectors(**selectors) if selectors else None, zone="Europe/London")
    answers = getattr(markup, "answers", lambda front: {})(FRONT)
    memo, outcomes = Memo(), Counter[str]()
    for _ in range(PAGES // len(MARKUPS) + 1):
        body = mutated(page, chance)
        parts = {
            f"https://news.example{path}": Document(
                URL, mutated(part, chance) if chance.random() < 0.3 else part, "", SEEN_AT
            )
            for path, part in answers.items()
        }
        document = Document(URL, body, chance.choice(TYPES), SEEN_AT, reading, parts=parts)
        source = chance.choice((None, markup.SOURCE, markup.SOURCE))
        try:
            chosen = sources.choose(document, source)
            chosen.wants(document)
            check(sources.read(document, chosen.name, memo))
            outcomes["read"] += 1
        except (PageError, ConfigError) as error:
            outcomes[error.code] += 1
        except Exception as error:
            raise AssertionError(f"{name}: {error!r} on {body!r}") from error
    assert outcomes["read"], "the mutations leave nothing to read"
    assert len(outcomes) > 1, "the mutations break nothing"
