"""The steps of one poll, each by itself: parse, diff, commit."""

from __future__ import annotations

from datetime import UTC, datetime
from statistics import median

import pytest
from redis.asyncio import Redis
from selectolax.lexbor import LexborHTMLParser

from service import sources
from service.diff import Doubt, Policy, Step, advance, diff
from service.events import EntryEvent, PageEvent
from service.keys import Keys
from service.model import Entry, Health, Page, PageState, Snapshot
from service.sources.base import Document
from service.store import Store
from tests.benchmarks.bbc_site import HEAD, page_html, posts
from tests.benchmarks.figures import Figure, awaited_ms, fields, side_by_side

PAGE = Page(id="page", url="http://127.0.0.1/live")
SIZES = [20, 500]
ROUNDS = {20: 60, 500: 6}
COMMITS = 200
MAX_EVENTS = 100_000


@pytest.mark.parametrize("size", SIZES)
def test_parse_and_diff_of_an_unchanged_page(size: int, figures: list[Figure]) -> None:
    """All entries are read, and comparing them with themselves finds no change."""
    body, other = page_html(posts(size)), page_html(posts(size), salt="other")
    seen = _read(body)
    assert len(seen.entries) == size
    state = _advanced(PageState(page=PAGE), seen)[1]
    again = _read(other)
    assert _step(state, again).changes == ()

    tree = f"tree of the same {len(body) // 1000} kB and its text"
    parse = side_by_side(lambda: _read(body), lambda: _tree_text(body), ROUNDS[size])
    compare = side_by_side(lambda: _step(state, again), lambda: _tree_text(body), ROUNDS[size])
    figures += [
        Figure(f"parse, {size} entries", *parse, "ms", tree),
        Figure(f"diff, {size} entries, none changed", *compare, "ms", tree),
    ]


@pytest.mark.parametrize("size", SIZES)
async def test_commit_of_one_event(
    size: int, redis: Redis, keys: Keys, figures: list[Figure]
) -> None:
    """Every commit adds one event to the stream."""
    store = Store(redis, keys, max_events=MAX_EVENTS)
    await store.add_page(PAGE)
    token = await store.acquire(PAGE.id, 600_000)
    assert token
    entries = posts(size + COMMITS)
    state = await _opened(store, token, entries[:size])
    before = await redis.xlen(keys.events)
    pairs_ms = []
    for number in range(1, COMMITS + 1):
        events, after = _advanced(state, _page(entries[number : number + size]))
        (event,) = events
        committed_ms = await awaited_ms(store.commit(token, state, after, events, Health()))
        added_ms = await awaited_ms(redis.xadd(keys.dead, fields(event), maxlen=MAX_EVENTS))
        pairs_ms.append((committed_ms, added_ms))
        state = after
    assert await redis.xlen(keys.events) == before + COMMITS == before + await redis.xlen(keys.dead)
    one, other = (median(column) for column in zip(*pairs_ms, strict=True))
    figures.append(
        Figure(f"commit of one event, {size} on the page", one, other, "ms", "XADD of that event")
    )


async def _opened(store: Store, token: int, entries: list[Entry]) -> PageState:
    """The state after the baseline was written."""
    before = PageState(page=PAGE)
    events, after = _advanced(before, _page(entries))
    await store.commit(token, before, after, events, Health())
    return after


def _page(entries: list[Entry]) -> Snapshot:
    """What a source would see of these entries, given oldest first."""
    return Snapshot(
        source="bbc", head=HEAD, entries=tuple(entries[::-1]), seen_at=datetime.now(UTC)
    )


def _read(body: bytes) -> Snapshot:
    return sources.read(Document(PAGE.url, body, "text/html", datetime.now(UTC)), "bbc")


def _tree_text(body: bytes) -> str:
    root = LexborHTMLParser(body).body
    assert root is not None
    return root.text()


def _step(state: PageState, snapshot: Snapshot) -> Step:
    step = diff(state, snapshot, Policy())
    assert not isinstance(step, Doubt)
    return step


def _advanced(
    state: PageState, snapshot: Snapshot
) -> tuple[list[EntryEvent | PageEvent], PageState]:
    return advance(state, _step(state, snapshot), snapshot.seen_at)
