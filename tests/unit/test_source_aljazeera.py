"""The aljazeera source: a shell, and an answer for each of its updates."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec.structs import replace

from service.errors import PageError
from service.model import Snapshot
from service.sources import aljazeera
from service.sources.base import Document, Memo

SEEN_AT = datetime(2026, 4, 25, 12, tzinfo=UTC)
URL = "https://www.aljazeera.com/graphql?wp-site=aje&operationName=ArchipelagoSingleLiveBlogQuery"


def moment(number: int) -> datetime:
    return SEEN_AT - timedelta(hours=1) + timedelta(minutes=number)


def shell(*numbers: int, meta: tuple[int, ...] | None = None, **fields: Any) -> Document:
    listed = [
        {"id": str(n), "publishedTime": str(int(moment(n).timestamp()))}
        for n in (numbers if meta is None else meta)
    ]
    article = {
        "title": "A day – live",
        "content": "<ul><li>First point</li><li>Second &amp; last</li></ul>",
        "link": "/news/liveblog/2026/4/25/a-day",
        "isLive": True,
        "postType": "liveblog",
        "children": list(numbers),
        "childrenMeta": listed,
        **fields,
    }
    body = json.dumps({"data": {"article": article}}).encode()
    return Document(URL, body, "application/json", SEEN_AT)


def update(number: int, seen_at: datetime = SEEN_AT, **fields: Any) -> Document:
    posts = {
        "id": str(number),
        "postType": "liveblog-update",
        "title": f"Update &#8216;{number}&#8217;",
        "content": f"<p>Words of {number}.</p>",
        "author": [{"name": "Jo Doe"}],
        "authorTagline": "Reporting from Doha",
        "date": "2026-04-25T23:59:00",
        "modified_gmt": moment(number).strftime("%Y-%m-%dT%H:%M:%S"),
        **fields,
    }
    return Document(URL, json.dumps({"data": {"posts": posts}}).encode(), "", seen_at)


def number_of(address: str) -> int:
    return json.loads(parse_qs(urlsplit(address).query)["variables"][0])["postID"]


def whole(page: Document, **updates: Document) -> Document:
    """The shell with the answers that it wants; by number, another than the usual one."""
    while wanted := aljazeera.wants(page):
        new = {a: updates.get(f"n{number_of(a)}", update(number_of(a))) for a in wanted}
        page = replace(page, parts={**page.parts, **new})
    return page


def read(page: Document, **updates: Document) -> Snapshot:
    return aljazeera.parse(whole(page, **updates))


def test_every_update_is_asked_for_by_its_own_query_on_the_same_address() -> None:
    (address,) = aljazeera.wants(shell(7))
    query = parse_qs(urlsplit(address).query)
    assert urlsplit(address)[:3] == urlsplit(URL)[:3]
    assert query["operationName"] == ["LiveBlogUpdateQuery"]
    assert json.loads(query["variables"][0])["postType"] == "liveblog-update"
    assert query["wp-site"] == ["aje"]


def test_an_update_is_read_with_its_author_and_place_and_never_by_its_naive_date() -> None:
    edited = update(1, modified_gmt="2026-04-25T11:30:00")
    (entry,) = read(shell(1), n1=edited).entries
    assert (entry.id, entry.title, entry.text) == ("1", "Update ‘1’", "Words of 1.")
    assert (entry.authors[0].name, entry.authors[0].role) == ("Jo Doe", "Reporting from Doha")
    assert entry.published == moment(1)
    assert entry.updated == datetime(2026, 4, 25, 11, 30, tzinfo=UTC)


def test_an_update_in_either_list_counts_in_the_order_of_their_times() -> None:
    snapshot = read(shell(1, 3, meta=(3, 2, 1)))
    assert [entry.id for entry in snapshot.entries] == ["3", "2", "1"]


def test_an_update_without_a_time_stands_where_the_other_list_has_it() -> None:
    snapshot = read(shell(9, 3, 8, 1, 7, meta=(3, 2, 1)))
    assert [entry.id for entry in snapshot.entries] == ["9", "3", "2", "8", "1", "7"]


def test_an_update_without_a_time_has_its_own_date_only_while_that_is_sure_to_be_utc() -> None:
    at = moment(2).strftime("%Y-%m-%dT%H:%M:%S")
    fresh, edited = update(2, date=at), update(2, date=at, modified_gmt="2026-04-25T11:59:00")
    times = [
        read(shell(1, 2, meta=(1,)), n2=one).entries[1].published
        for one in (fresh, edited, update(2))
    ]
    assert times == [moment(2), None, None]


def test_every_author_who_is_shown_is_named() -> None:
    both = {"writeInCoAuthor": {"name": "Al Roe"}}
    names = [
        [one.name for one in read(shell(1), n1=update(1, **fields)).entries[0].authors]
        for fields in (both, both | {"writeInAuthor": "The desk"}, {"showAuthor": False})
    ]
    assert names == [["Jo Doe", "Al Roe"], ["The desk", "Al Roe"], []]


def test_the_head_is_the_shells() -> None:
    head = read(shell(1)).head
    assert (head.title, head.summary, head.live) == (
        "A day – live",
        "First point\nSecond & last",
        True,
    )
    assert head.url == "https://www.aljazeera.com/news/liveblog/2026/4/25/a-day"


def test_the_baseline_waits_for_all_updates() -> None:
    assert len(aljazeera.wants(shell(*range(1, 60)))) == 59


def test_later_the_new_ones_are_asked_for_then_the_newest_and_some_others_in_turn() -> None:
    numbers = range(1, 31)
    page = whole(shell(*numbers))
    later = replace(shell(*numbers, 31), seen_at=SEEN_AT + timedelta(minutes=1), parts=page.parts)
    asked: list[int] = []
    while wanted := aljazeera.wants(later):
        asked += map(number_of, wanted)
        new = {a: update(number_of(a), later.seen_at) for a in wanted}
        later = replace(later, parts={**later.parts, **new})
    assert asked[0] == 31
    assert set(asked[1:10]) <= set(range(21, 31))
    assert len(asked) == len(set(asked)) <= 1 + aljazeera.NEWEST + aljazeera.IN_TURN


def test_every_update_has_its_turn() -> None:
    page = whole(shell(*range(1, 21)))
    asked: set[int] = set()
    for minute in range(1, 8):
        page = replace(page, seen_at=SEEN_AT + timedelta(minutes=minute))
        while wanted := aljazeera.wants(page):
            asked |= set(map(number_of, wanted))
            new = {a: update(number_of(a), page.seen_at) for a in wanted}
            page = replace(page, parts={**page.parts, **new})
    assert asked == set(range(1, 21))


@pytest.mark.parametrize(
    "gone",
    [Document(URL, b"", "", SEEN_AT, status=404), Document(URL, b'{"data":null}', "", SEEN_AT)],
)
def test_an_update_that_is_gone_by_then_is_left_out(gone: Document) -> None:
    snapshot = read(shell(1, 2), n2=gone)
    assert [entry.id for entry in snapshot.entries] == ["1"]


def test_an_update_that_is_not_there_is_asked_for_again_on_each_poll() -> None:
    gone = Document(URL, b'{"data":{"posts":null}}', "", SEEN_AT)
    page = whole(shell(*range(1, 31)), n3=gone)
    later = replace(page, seen_at=SEEN_AT + timedelta(minutes=1))
    assert [number_of(one) for one in aljazeera.wants(later)] == [3]
    there = {one: update(3, later.seen_at) for one in aljazeera.wants(later)}
    snapshot = aljazeera.parse(replace(later, parts={**later.parts, **there}))
    assert "3" in {entry.id for entry in snapshot.entries}


def test_a_blog_most_of_whose_updates_are_not_there_is_doubted() -> None:
    gone = Document(URL, b'{"data":{"posts":null}}', "", SEEN_AT)
    with pytest.raises(PageError, match="2 of its 3") as caught:
        read(shell(1, 2, 3), n1=gone, n2=gone)
    assert caught.value.code == "page.no_entries"


@pytest.mark.parametrize(
    "answer",
    [
        Document(URL, b"", "", SEEN_AT, status=400),
        Document(URL, b"<html>Just a moment</html>", "", SEEN_AT),
        Document(URL, b'{"data":{"posts":{"id":1,', "", SEEN_AT),
        Document(URL, b'{"data":{"posts":null},"errors":[{"message":"timeout"}]}', "", SEEN_AT),
        update(7),
    ],
)
def test_an_update_that_cannot_be_had_is_an_error_and_no_withdrawal(answer: Document) -> None:
    with pytest.raises(PageError) as caught:
        read(shell(1, 2, 3), n2=answer)
    assert caught.value.code == "page.malformed"


def test_no_posts_found_is_a_deletion() -> None:
    body = b'{"data":{"posts":null},"errors":[{"message":"no_posts_found","extensions":{}}]}'
    assert len(read(shell(1, 2), n1=Document(URL, body, "", SEEN_AT)).entries) == 1


def test_a_live_blog_before_its_first_update_has_none() -> None:
    snapshot = read(shell())
    assert (snapshot.entries, snapshot.partial, snapshot.head.live) == ((), False, True)


def test_a_shell_without_lists_is_an_error() -> None:
    document = shell(children=None, childrenMeta=None)
    assert not aljazeera.detects(document)
    with pytest.raises(PageError) as caught:
        aljazeera.parse(document)
    assert caught.value.code == "page.no_entries"


def test_without_its_updates_a_shell_says_nothing_of_them() -> None:
    snapshot = aljazeera.parse(shell(1, 2))
    assert (snapshot.entries, snapshot.partial) == ((), True)
    assert "2 updates were not read" in snapshot.warnings[0]


def test_one_update_by_itself_links_to_its_page() -> None:
    (entry,) = aljazeera.parse(update(1, link="/news/liveblog/2026/4/25/a-day")).entries
    assert entry.url == "https://www.aljazeera.com/news/liveblog/2026/4/25/a-day?update=1"


def test_a_shell_in_a_file_wants_nothing() -> None:
    assert aljazeera.wants(replace(shell(1), url="/tmp/shell.json")) == ()


def test_reading_again_with_a_memo_gives_the_same() -> None:
    memo, page = Memo(), whole(shell(1, 2, 3))
    first = aljazeera.parse(page, memo)
    memo.turn()
    assert aljazeera.parse(page, memo) == first == aljazeera.parse(page)
    assert aljazeera.parse(whole(shell(1, 2, 3), n2=update(2, title="New")), memo) != first


@pytest.mark.parametrize("body", [b'{"data":null}', b'{"data":{"article":null}}', b'{"errors":[]}'])
def test_no_live_blog_with_200_is_an_error(body: bytes) -> None:
    with pytest.raises(PageError) as caught:
        aljazeera.parse(Document(URL, body, "", SEEN_AT))
    assert caught.value.code == "page.no_entries"


def test_a_captured_shell_lists_the_updates_of_both_lists(corpus: Path) -> None:
    body = (corpus / "aljazeera_iran-war-live_shell_snapshot-1_trimmed.json").read_bytes()
    page = Document(URL, body, "", SEEN_AT)
    assert aljazeera.detects(page)
    assert len(aljazeera.wants(page)) == 26
    assert aljazeera.parse(page).head.live is True


def test_a_captured_update_by_itself_is_a_page_of_one_entry(corpus: Path) -> None:
    body = (corpus / "aljazeera_iran-war-live_update-4512107_2026-04-22.json").read_bytes()
    page = Document(URL, body, "", SEEN_AT)
    assert aljazeera.detects(page)
    (entry,) = aljazeera.parse(page).entries
    assert entry.id == "4512107"
    assert entry.authors[0].role == "Reporting from Hong Kong"
    assert entry.published == datetime(2026, 4, 22, 3, 45, tzinfo=UTC)
    assert len(entry.media) == 1
