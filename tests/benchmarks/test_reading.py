"""Reading a page and comparing it with what is known, for every publisher's markup.

Beside each: selectolax builds the tree of the same bytes and reads all text. `again` is what nearly
every poll is: a body that differs from the last one by a few entries.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import cycle
from types import ModuleType

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis
from selectolax.lexbor import LexborHTMLParser

from service import sources
from service.diff import Doubt, Policy, Step, advance, diff
from service.keys import Keys
from service.model import Health, Page, PageState, Reading, Selectors, Snapshot, body_digest
from service.sources import Document, Memo
from service.store import Store
from tests.benchmarks.figures import Figure, side_by_side
from tests.simulator.desk import Front, Post
from tests.simulator.markup import MARKUPS, answer

NOW = datetime(2026, 4, 25, 18, tzinfo=UTC)
URL = "http://127.0.0.1/live"
ENTRIES = 500
SIZES = (20, 500, 5000)
ROUNDS = {20: 40, 500: 8, 5000: 2}
# What a desk writes: with markup around it, 500 of these are about a megabyte.
PARAGRAPH = (
    "Rescue teams have reached the village where the bridge fell, number {} of the day. "
    "Officials say that the road stays closed and ask people to keep away from the river. "
)


def post(number: int, *, text: str = "") -> Post:
    published = NOW - timedelta(minutes=number)
    words = text or PARAGRAPH.format(number)
    return Post(
        key=f"p{number}",
        title=f"What happened as number {number}",
        paragraphs=(words, words * 2, words),
        author="Jo Doe",
        role="Editor",
        published=published,
    )


def front(size: int, *, latest: str = "") -> Front:
    """A page of so many posts; `latest` changes the words of the newest."""
    posts = (post(0, text=latest), *map(post, range(1, size)))
    return Front(
        title="A live page",
        summary="What happens",
        live=True,
        url=URL,
        posts=posts,
        total=size,
        pinned=None,
        now=NOW,
        modified=NOW,
        salt=1,
    )


def document(markup: ModuleType, shown: Front) -> Document:
    """What the publisher answers, all of it."""
    selectors = getattr(markup, "SELECTORS", None)
    reading = Reading(selectors=Selectors(**selectors)) if selectors else Reading()
    page = Document(URL, markup.page(shown), markup.CONTENT_TYPE, NOW, reading)
    parts: dict[str, Document] = {}
    if hasattr(markup, "answers"):
        source = sources.by_name(markup.SOURCE)
        while wanted := source.wants(replace(page, parts=parts)):
            for address in wanted:
                body = answer(markup.answers(shown), address)
                parts[address] = Document(address, body, "application/json", NOW)
    return replace(page, parts=parts)


def step(state: PageState, snapshot: Snapshot) -> Step:
    found = diff(state, snapshot, Policy())
    assert not isinstance(found, Doubt), found
    return found


def opened(snapshot: Snapshot) -> PageState:
    state = PageState(page=Page(id="page", url=URL))
    return advance(state, step(state, snapshot), NOW)[1]


def tree(page: Document) -> Callable[[], object]:
    """Selectolax on the bytes of all answers."""
    bodies = [page.body, *(part.body for part in page.parts.values())]

    def text() -> int:
        roots = (LexborHTMLParser(body).body for body in bodies)
        return sum(len(root.text()) for root in roots if root is not None)

    return text


@pytest.mark.parametrize("name", MARKUPS)
def test_a_page_of_500_entries_is_read_and_compared(name: str, figures: list[Figure]) -> None:
    """At first, and again with the words of one entry changed, which is one edit each time."""
    markup = MARKUPS[name]
    pages = [document(markup, front(ENTRIES, latest=words)) for words in ("Some words.", "Others.")]
    source = markup.SOURCE
    states = [opened(sources.read(page, source)) for page in pages]
    memo, turns = Memo(), cycle((0, 1))

    def first() -> None:
        step(states[0], sources.read(pages[0], source))

    def again() -> None:
        turn = next(turns)
        changes = step(states[1 - turn], sources.read(pages[turn], source, memo)).changes
        assert len(changes) == 1

    again()
    size = sum(len(part.body) for part in (pages[0], *pages[0].parts.values()))
    than = f"tree and text of the same {size / 1e6:.1f} MB"
    figures += [
        Figure(
            f"{name}: read and compared, again",
            *side_by_side(again, tree(pages[0]), 8),
            "ms",
            than,
            "2 x",
        ),
        Figure(f"{name}: the same at first", *side_by_side(first, tree(pages[0]), 4), "ms", than),
    ]


@pytest.mark.parametrize("name", ["bbc_html", "jsonld_plain"])
def test_the_cost_of_an_entry_does_not_grow_with_the_page(name: str, figures: list[Figure]) -> None:
    """Everything is read anew, and nothing is found to have changed."""
    markup = MARKUPS[name]
    for size in SIZES:
        page = document(markup, front(size))
        state = opened(sources.read(page, markup.SOURCE))

        def work(page: Document = page, state: PageState = state) -> None:
            assert step(state, sources.read(page, markup.SOURCE)).changes == ()

        took_ms, beside_ms = side_by_side(work, tree(page), ROUNDS[size])
        each = (took_ms / size * 1000, beside_ms / size * 1000)
        figures.append(Figure(f"{name}: one of {size:,} entries", *each, "µs", "its tree and text"))


def test_a_body_that_has_not_changed_is_not_read(figures: list[Figure]) -> None:
    """Its digest is the same."""
    page = document(MARKUPS["bbc_html"], front(ENTRIES))
    known = body_digest(page.body)

    def unchanged() -> None:
        assert body_digest(page.body) == known

    figures.append(
        Figure(
            "an unchanged body",
            *side_by_side(unchanged, tree(page), 40),
            "ms",
            "tree and text of it",
            "0.01 x",
        )
    )


async def test_what_an_entry_takes_in_redis(
    redis: Redis, keys: Keys, figures: list[Figure]
) -> None:
    """Its state, and each further revision in the page's history."""
    store, page = Store(redis, keys, max_events=10_000), Page(id="page", url=URL)
    await store.add_page(page)
    token = await store.acquire(page.id, 600_000)
    assert token
    state = PageState(page=page)
    for words in ("First words.", "Second words.", "Third words."):
        posts = tuple(post(n, text=PARAGRAPH.format(n) + words) for n in range(200))
        shown = replace(front(200), posts=posts)
        snapshot = sources.read(document(MARKUPS["jsonld_plain"], shown))
        events, after = advance(state, step(state, snapshot), NOW)
        await store.commit(token, state, after, events, Health())
        state = after
    entries = await redis.memory_usage(keys.entries(page.id), samples=0) or 0
    history = await redis.memory_usage(keys.history(page.id), samples=0) or 0
    assert len(await store.history(page.id)) == 600
    text = sum(len(known.entry.text) for known in state.entries.values()) / 200
    than = "the text of an entry"
    figures += [
        Figure("state of an entry in Redis", entries / 200, text, "bytes", than),
        Figure("one revision of it in the history", history / 600, text, "bytes", than),
    ]
