"""The sourcefabric source: what is out, what was out, and what never was."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from service.diff import Doubt, Policy, advance, diff
from service.errors import PageError
from service.model import Embed, Image, Page, PageState, Quote, Reading, Snapshot
from service.sources import sourcefabric
from service.sources.base import Document, Memo

SEEN_AT = datetime(2026, 4, 25, 12, tzinfo=UTC)
URL = "https://live.example/api/client_blogs/1/posts?max_results=2&page=1"
OUT = "2026-04-25T11:00:00+00:00"
LATER = "2026-04-25T11:30:00+00:00"


def post(number: int, *items: dict[str, Any], **fields: Any) -> dict[str, Any]:
    given = items or ({"item_type": "text", "text": f"<b>Post</b> {number}<br>Second line"},)
    return {
        "_id": f"urn:{number}",
        "groups": [
            {"id": "root", "refs": [{"idRef": "main"}]},
            {"id": "main", "refs": [{"item": item} for item in given]},
        ],
        "deleted": False,
        "post_status": "open",
        "order": number,
        "published_date": OUT,
        "publisher": {"_id": "1", "display_name": "The desk"},
        **fields,
    }


def document(*posts: dict[str, Any], page: int = 1, total: int | None = None) -> Document:
    meta = {"max_results": 2, "page": page, "total": len(posts) if total is None else total}
    body = json.dumps({"_items": posts, "_meta": meta}).encode()
    return Document(URL, body, "application/json", SEEN_AT)


def read(*posts: dict[str, Any]) -> Snapshot:
    page = document(*posts)
    assert sourcefabric.detects(page)
    return sourcefabric.parse(page)


def test_posts_stand_in_the_editors_order_newest_word_first() -> None:
    moved = post(1, order=9.5)
    assert [one.id for one in read(moved, post(3), post(2)).entries] == ["urn:1", "urn:3", "urn:2"]


def events(*polls: tuple[dict[str, Any], ...]) -> list[list[str]]:
    """What each poll after the first tells."""
    state, told = PageState(page=Page(id="sf", url=URL)), []
    for posts in polls:
        step = diff(state, read(*posts), Policy())
        assert not isinstance(step, Doubt), step
        now, state = advance(state, step, SEEN_AT)
        told.append([f"{e.type.removeprefix('stoppress.entry.')} {e.subject}" for e in now])
    return told[1:]


@pytest.mark.parametrize("status", ["draft", "submitted", "comment"])
def test_what_was_never_published_is_no_entry_and_no_event(status: str) -> None:
    unseen = post(2, post_status=status)
    assert [one.id for one in read(post(1), unseen).entries] == ["urn:1"]
    assert events((post(1),), (post(1), unseen), (post(1),), (post(1),), (post(1),)) == [[]] * 4


def test_a_post_that_goes_back_to_draft_is_withdrawn_at_once() -> None:
    drafted = post(2, post_status="draft")
    assert events((post(1), post(2)), (post(1), drafted)) == [["removed urn:2"]]


def test_a_post_whose_date_is_to_come_is_not_out_yet() -> None:
    due = [post(1), post(2, published_date="2026-04-25T12:00:30+00:00")]
    assert len(read(*due).entries) == 2
    ahead = post(3, published_date="2026-04-25T12:30:00+00:00")
    assert [one.id for one in read(*due, ahead).entries] == ["urn:2", "urn:1"]


@pytest.mark.parametrize(
    "fields",
    [{"deleted": True}, {"unpublished_date": LATER}, {"deleted": True, "post_status": "draft"}],
)
def test_what_was_taken_back_is_a_tombstone(fields: dict[str, Any]) -> None:
    snapshot = read(post(1), post(2, **fields))
    assert ([one.id for one in snapshot.entries], snapshot.withdrawn) == (["urn:1"], ("urn:2",))


def test_a_post_that_was_published_again_is_out() -> None:
    again = post(1, unpublished_date=OUT, published_date=LATER)
    assert read(again).withdrawn == ()


def test_an_edit_is_dated_by_its_content_and_not_by_its_place() -> None:
    (entry,) = read(
        post(1, content_updated_date=LATER, _updated="2026-04-25T11:59:00+00:00")
    ).entries
    assert entry.published == datetime(2026, 4, 25, 11, tzinfo=UTC)
    assert entry.updated == datetime(2026, 4, 25, 11, 30, tzinfo=UTC)


def test_sticky_and_highlighted_posts_are_labelled() -> None:
    (entry,) = read(post(1, sticky=True, lb_highlight=True)).entries
    assert entry.labels == ("key", "pinned")
    assert entry.authors[0].name == "The desk"


def test_every_kind_of_item_is_read() -> None:
    items = [
        {"item_type": "text", "text": "Words"},
        {"item_type": "quote", "text": "x", "meta": {"quote": "Said", "credit": "A. Person"}},
        {"item_type": "embed", "text": "<p>t</p>", "meta": {"original_url": "https://x.example/1"}},
        {
            "item_type": "image",
            "text": '<figure><img src="https://i.example/1.jpg" alt="Alt"></figure>',
            "meta": {"caption": "<b>Caption</b>", "credit": "Foto: dpa"},
        },
        {"groups": [{"id": "main", "refs": [{"item": {"item_type": "text", "text": "Nested"}}]}]},
    ]
    (entry,) = read(post(1, *items)).entries
    assert entry.text == "Words\nSaid\nNested"
    assert Quote("Said", cite="A. Person") in entry.body
    assert Embed("x.example", "https://x.example/1") in entry.body
    assert entry.media == (Image("https://i.example/1.jpg", "Alt", "Caption", "dpa"),)


def test_the_words_of_a_microblog_post_are_what_it_says() -> None:
    words = '<blockquote class="twitter-tweet"><p>Said so.</p></blockquote><div>Via X</div>'
    item = {"item_type": "embed", "text": words, "meta": {"original_url": "https://x.com/a/1"}}
    (entry,) = read(post(1, item)).entries
    assert entry.body == (Quote("Said so."),)


def test_an_advert_is_no_part_of_a_post() -> None:
    advert = {"item_type": "Advertisement Local", "text": "<p>Buy this</p>"}
    (entry,) = read(post(1, advert, {"item_type": "text", "text": "Words"})).entries
    assert entry.text == "Words"


def test_a_post_is_by_its_first_author_and_not_by_its_publisher() -> None:
    creator = {"original_creator": {"display_name": "A Writer"}}
    taken = {"item_type": "text", "text": "x", "syndicated_creator": {"display_name": "An Agency"}}
    posts = [
        post(4, original_creator="56cad43adfc3f600800d2b97"),
        post(3, **creator),
        post(2, taken, syndication_in="1", **creator),
        post(1, taken, publisher="56cad43adfc3f600800d2b97"),
    ]
    names = [[one.name for one in entry.authors] for entry in read(*posts).entries]
    assert names == [["The desk"], ["A Writer"], ["An Agency"], []]


def test_posts_of_the_second_version_of_the_api_are_read_in_their_order() -> None:
    def second(number: int) -> dict[str, Any]:
        picture = {"baseImage": {"href": "https://i.example/1.jpg"}}
        return {
            "_id": f"urn:{number}",
            "post_status": "open",
            "published_date": OUT,
            "publisher": {"display_name": "The desk"},
            "items": [
                {"item_type": "text", "text": f"Post {number}"},
                {"item_type": "image", "text": "", "meta": {}, "renditions": picture},
            ],
        }

    snapshot = read(second(2), second(7), second(2), second(4))
    assert [one.id for one in snapshot.entries] == ["urn:2", "urn:7", "urn:4"]
    assert (snapshot.entries[0].text, len(snapshot.entries[0].media)) == ("Post 2", 1)


def test_an_answer_with_a_post_twice_does_not_hold_all_of_them() -> None:
    assert not sourcefabric.parse(document(post(1), post(1))).complete


@pytest.mark.parametrize("body", [b'{"_items":[]}', b'{"_items":[{"_id":"1","item_type":"text"}]}'])
def test_other_json_is_not_read(body: bytes) -> None:
    assert not sourcefabric.detects(Document(URL, body, "application/json", SEEN_AT))


def test_reading_again_with_a_memo_gives_the_same() -> None:
    memo, page = Memo(), document(post(3), post(2, deleted=True), post(1))
    first = sourcefabric.parse(page, memo)
    memo.turn()
    assert sourcefabric.parse(page, memo) == first == sourcefabric.parse(page)


def test_only_an_answer_with_all_posts_is_complete() -> None:
    assert sourcefabric.parse(document(post(1), post(2))).complete
    assert not sourcefabric.parse(document(post(1), post(2), total=3)).complete


def test_further_pages_are_asked_for_and_read_when_older_ones_are_wanted() -> None:
    first = document(post(5), post(4), total=5)
    assert sourcefabric.wants(first) == ()
    first = replace(first, reading=Reading(older_pages=9))
    second, third = sourcefabric.wants(first)
    assert second == URL.replace("page=1", "page=2")
    parts = {second: document(post(3), post(2), page=2), third: document(post(1), page=3)}
    whole = replace(first, parts=parts)
    assert sourcefabric.wants(whole) == ()
    later = replace(whole, seen_at=datetime(2026, 4, 25, 13, tzinfo=UTC))
    assert sourcefabric.wants(later) == (second, third)
    snapshot = sourcefabric.parse(whole)
    assert ([one.id for one in snapshot.entries], snapshot.complete) == (
        [f"urn:{n}" for n in (5, 4, 3, 2, 1)],
        True,
    )


def test_without_a_published_post_it_is_no_page() -> None:
    with pytest.raises(PageError) as caught:
        read(post(1, post_status="draft"))
    assert caught.value.code == "page.no_entries"


def test_a_captured_feed_has_one_post_less_than_it_lists(corpus: Path) -> None:
    body = (corpus / "sourcefabric-liveblog_dpa-newslab_posts_2016-03-29.json").read_bytes()
    page = Document("https://live.example/posts", body, "", SEEN_AT)
    assert sourcefabric.detects(page)
    snapshot = sourcefabric.parse(page)
    assert len(snapshot.entries) == 14
    assert all(entry.published and (entry.text or entry.body) for entry in snapshot.entries)


def test_a_captured_post_by_itself_is_read(corpus: Path) -> None:
    body = (corpus / "sourcefabric-liveblog_dpa-newslab_single-post.json").read_bytes()
    page = Document("https://live.example/posts/1", body, "", SEEN_AT)
    assert sourcefabric.detects(page)
    (entry,) = sourcefabric.parse(page).entries
    assert entry.text.startswith("Text mit ein parr Formatierungen.")
