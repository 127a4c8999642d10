"""Whatever becomes of a page on its way, a source gives a snapshot or a named error."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import sources
from service.errors import PageError
from service.model import Snapshot
from service.sources.base import Document, distinct
from tests.conftest import SEED

SEEN_AT = datetime(2025, 4, 25, 12, tzinfo=UTC)


def _post(number: int) -> str:
    return (
        '<li><article data-testid="content-post">'
        f'<h3 id="asset:0000000{number}-876f-4252-8fe6-80e57cc20da3"><span role="text"><span>Title'
        f'</span><span data-testid="accessible-timestamp">published at 10:1{number} British Summer '
        'Time 25 April</span></span></h3><div data-testid="breaking-news-label">Breaking</div>'
        '<div class="a-Contributor"><strong>Jo</strong><br>Editor</div>'
        '<figure><img alt="Alt" src="/i.jpg"><span class="visually-hidden">Image source, </span>'
        "<figcaption>Image caption, C</figcaption></figure><p>Some <b>bold</b> "
        '<a href="https://e.org/">words</a>.</p><ul><li>a</li><li>b</li></ul></article></li>'
    )


BBC = (
    "<!DOCTYPE html><html><head><title>T</title></head><body><h1>H</h1><ol>"
    + "".join(map(_post, range(4)))
    + "</ol></body></html>"
).encode()
UPDATES = [
    {
        "@id": f"https://e.org/#{number}",
        "headline": f"H{number}",
        "datePublished": f"2025-04-25T10:1{number}:00+01:00",
        "articleBody": "<p>Some &amp; <a href='/x'>more</a></p>",
        "author": {"name": "Jo"},
        "image": ["https://e.org/i.jpg"],
    }
    for number in range(4)
]
BLOG = {"@type": "LiveBlogPosting", "headline": "H", "liveBlogUpdate": UPDATES}
JSONLD = (
    '<html><head><script type="application/ld+json">'
    + json.dumps({"@graph": [BLOG]})
    + "</script></head><body></body></html>"
).encode()

PAGES = {"bbc": BBC, "jsonld": JSONLD, "text": SEED.read_bytes()}
TYPES = ("text/html; charset=utf-8", "text/plain", "application/json", "", "text/html; charset=?")


@st.composite
def mutated(draw: st.DrawFn, page: bytes) -> bytes:
    """The page with some of it cut out, doubled, moved or flipped."""
    body = bytearray(page)
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 400)))
        piece = body[start:end]
        match draw(st.sampled_from(["cut", "tail", "double", "move", "flip", "insert"])):
            case "cut":
                del body[start:end]
            case "tail":
                del body[start:]
            case "double":
                body[end:end] = piece
            case "move":
                del body[start:end]
                place = draw(st.integers(0, len(body)))
                body[place:place] = piece
            case "flip" if start < len(body):
                body[start] ^= 1 << draw(st.integers(0, 7))
            case "insert":
                body[start:start] = draw(st.binary(max_size=20))
    return bytes(body)


def check(snapshot: Snapshot) -> None:
    """What holds of every snapshot, however broken its page was.

    Only a page that is sure to be a live page may have no entry.
    """
    ids = [entry.id for entry in snapshot.entries]
    assert ids or snapshot.head.title
    assert all(ids)
    assert len(set(ids)) == len(ids)
    assert [entry.position for entry in snapshot.entries] == list(range(1, len(ids) + 1))
    for entry in snapshot.entries:
        assert entry.published is None or entry.published.utcoffset() == SEEN_AT.utcoffset()
    msgspec.json.encode(snapshot)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("is_pinned", [True, False])
@given(data=st.data())
def test_a_mutated_page_gives_a_snapshot_or_a_page_error(
    name: str, is_pinned: bool, data: st.DataObject
) -> None:
    body = data.draw(mutated(PAGES[name]))
    content_type = data.draw(st.sampled_from(TYPES))
    page = Document("https://e.org/live", body, content_type, SEEN_AT)
    try:
        check(sources.read(page, name if is_pinned else None))
    except PageError as error:
        refused = error
    else:
        return
    assert refused.health in ("degraded", "blocked")
    assert "\n" not in str(refused)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_as_it_was_is_read_by_its_own_source(name: str) -> None:
    page = Document("https://e.org/live", PAGES[name], "", SEEN_AT)
    snapshot = sources.read(page)
    check(snapshot)
    assert snapshot.source == name


@given(body=st.binary(max_size=300), content_type=st.sampled_from(TYPES))
def test_any_bytes_give_a_snapshot_or_a_page_error(body: bytes, content_type: str) -> None:
    page = Document("https://e.org/live", body, content_type, SEEN_AT)
    for name in (None, *sources.SOURCES):
        try:
            check(sources.read(page, name))
        except PageError:
            continue


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["@id", "url", "name", "@type"]), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = st.sampled_from([*UPDATES[0], "url", "dateModified", "video", "name"])


@given(updates=st.lists(st.dictionaries(FIELDS, JSON), min_size=1, max_size=4), page=JSON)
def test_any_values_in_a_live_blog_give_a_snapshot(
    updates: list[dict[str, object]], page: object
) -> None:
    blog = BLOG | {"liveBlogUpdate": updates, "url": page, "author": page, "headline": page}
    body = json.dumps(blog).encode()
    check(sources.read(Document("https://e.org/", body, "application/json", SEEN_AT), "jsonld"))


@given(ids=st.lists(st.sampled_from(["a", "b", "a-2", "a-3"]), max_size=8))
def test_distinct_ids_are_distinct_and_the_lowest_keeps_its_own(ids: list[str]) -> None:
    given_ids = distinct(ids)
    assert len(set(given_ids)) == len(ids)
    for name in set(ids):
        lowest = len(ids) - 1 - ids[::-1].index(name)
        assert given_ids[lowest] == name
