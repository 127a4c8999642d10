"""The wordpress source: a log of records, of which the latest of each id counts, and its page."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from service.diff import Doubt, Policy, advance, diff
from service.errors import PageError
from service.model import Page, PageState, Snapshot
from service.sources import wordpress
from service.sources.base import Document, Memo

SEEN_AT = datetime(2026, 4, 25, 12, tzinfo=UTC)
BEGAN_S = int(SEEN_AT.timestamp()) - 3600


def record(number: int, kind: str = "new", *, after_s: int = 0, **fields: Any) -> dict[str, Any]:
    words = "" if kind == "delete" else f"<p>Entry {number}.</p>"
    return {
        "id": number,
        "type": kind,
        "content": words,
        "render": words,
        "timestamp": BEGAN_S + number * 60 + after_s,
        "entry_time": BEGAN_S + number * 60,
        "authors": [{"id": 1, "name": "Jo Doe"}],
        "share_link": f"https://news.example/live/#{number}",
        "key_event": False,
        **fields,
    }


def read(*records: dict[str, Any], memo: Memo | None = None) -> Snapshot:
    body = json.dumps({"entries": records, "latest_timestamp": BEGAN_S}).encode()
    page = Document("https://news.example/entries/0/9/", body, "application/json", SEEN_AT)
    assert wordpress.detects(page)
    return wordpress.parse(page, memo)


def test_an_entry_is_what_its_latest_record_says_whatever_their_order() -> None:
    log = [
        record(1),
        record(2),
        record(1, "update", after_s=300, render="<p>Edited.</p>"),
        record(1, "update", after_s=100, render="<p>Edited before that.</p>"),
    ]
    for _ in range(5):
        random.Random(1).shuffle(log)
        two, one = read(*log).entries
        assert (one.id, one.text) == ("1", "Edited.")
        assert one.published == datetime(2026, 4, 25, 11, 1, tzinfo=UTC)
        assert one.updated == datetime(2026, 4, 25, 11, 6, tzinfo=UTC)
        assert (two.id, two.updated, two.authors[0].name) == ("2", None, "Jo Doe")


def test_a_deletion_is_a_tombstone() -> None:
    snapshot = read(record(1), record(2), record(1, "delete", after_s=60))
    assert snapshot.withdrawn == ("1",)
    assert [one.id for one in snapshot.entries] == ["2"]


def test_an_answer_of_deletions_alone_is_no_empty_page() -> None:
    snapshot = read(record(1, "delete"))
    assert (snapshot.entries, snapshot.withdrawn, snapshot.partial) == ((), ("1",), True)


def test_a_log_published_edited_and_deleted_is_three_events_and_silence_is_none() -> None:
    state, told = PageState(page=Page(id="wp", url="https://news.example/live")), []
    polls = [
        [record(1), record(2)],
        [record(3)],
        [record(2, "update", after_s=99, render="<p>Two again.</p>")],
        [record(3, "delete", after_s=99)],
        [record(1)],
    ]
    for records in polls:
        step = diff(state, read(*records), Policy())
        assert not isinstance(step, Doubt), step
        events, state = advance(state, step, SEEN_AT)
        told.append([f"{e.type.removeprefix('stoppress.')} {e.subject}" for e in events])
    assert told[1:] == [
        ["entry.published 3"],
        ["entry.edited 2"],
        ["entry.removed 3"],
        [],
    ]


def test_key_events_are_labelled() -> None:
    assert read(record(1, key_event=True)).entries[0].labels == ("key",)


def test_no_record_at_all_is_no_page() -> None:
    with pytest.raises(PageError) as caught:
        read()
    assert caught.value.code == "page.no_entries"


def test_a_record_of_another_kind_is_named() -> None:
    with pytest.raises(PageError, match="id"):
        read({"type": "new"})


@pytest.mark.parametrize("time", ["no time", -5, 1e300, None])
def test_a_time_that_cannot_be_is_no_time(time: object) -> None:
    entry = read(record(1, entry_time=time, timestamp=time)).entries[0]
    assert (entry.published, entry.updated) == (None, None)


def test_a_deletion_of_the_same_second_comes_after_what_it_deletes() -> None:
    log = [record(1, "delete"), record(1, "update"), record(1), record(2)]
    for _ in range(5):
        random.Random(1).shuffle(log)
        assert read(*log).withdrawn == ("1",)


def test_an_entry_is_what_the_page_shows_and_not_what_the_editor_typed() -> None:
    (entry,) = read(record(1, content="https://video.example/7", render="<p>Shown.</p>")).entries
    assert entry.text == "Shown."
    (entry,) = read(record(1, content="<p>Typed.</p>", render="")).entries
    assert entry.text == "Typed."


def test_an_entry_that_goes_back_to_draft_is_withdrawn() -> None:
    snapshot = read(record(1, "update", status="draft"), record(2, status="publish"))
    assert (snapshot.withdrawn, [one.id for one in snapshot.entries]) == (("1",), ["2"])


def test_a_command_is_a_label_and_no_word_of_the_text() -> None:
    words = '<p><span class="liveblog-command type-breaking">breaking</span> It happened.</p>'
    (entry,) = read(record(1, render=words)).entries
    assert (entry.labels, entry.text) == (("breaking",), "It happened.")


def test_a_headline_is_the_title_where_there_is_one() -> None:
    two, one = read(record(1), record(2, headline="Rock &amp; roll")).entries
    assert (one.title, two.title) == (None, "Rock & roll")


@pytest.mark.parametrize("people", [[False], [[]], [{"name": ""}, {"id": 1}], None, False])
def test_an_author_whom_the_plugin_does_not_find_is_none(people: object) -> None:
    assert read(record(1, authors=people)).entries[0].authors == ()


def test_the_head_is_the_same_whichever_entries_an_answer_names() -> None:
    linked = {"share_link": "https://news.example/live/?p=7&lbup=1"}
    urls = {read(one).head.url for one in (record(1), record(2), record(3, "delete"))}
    assert urls == {"https://news.example/live/"}
    assert read(record(1, **linked)).head.url == "https://news.example/live/?p=7"


def test_a_record_without_words_is_another_version_of_the_plugin() -> None:
    with pytest.raises(PageError, match="neither"):
        read(record(1, render=None, content=None))


@pytest.mark.parametrize("form", ["paged", "list"])
def test_pages_of_entries_and_key_events_are_read_too(form: str) -> None:
    records = [record(2), record(1)]
    body = {"entries": records, "page": 1, "pages": 1, "total": 2} if form == "paged" else records
    page = Document("https://news.example/x", json.dumps(body).encode(), "", SEEN_AT)
    assert wordpress.detects(page)
    assert [one.id for one in wordpress.parse(page).entries] == ["2", "1"]


@pytest.mark.parametrize("body", [b'{"entries":[]}', b'[{"id":1}]', b'{"entry_time":1}', b"[1]"])
def test_other_json_is_not_read(body: bytes) -> None:
    assert not wordpress.detects(Document("https://e.org/", body, "application/json", SEEN_AT))


def test_reading_again_with_a_memo_gives_the_same() -> None:
    memo, log = Memo(), [record(1), record(2, key_event=True), record(3, "delete")]
    first = read(*log, memo=memo)
    memo.turn()
    assert read(*log, memo=memo) == first == read(*log)


# --- the page that names the log -----------------------------------------------------------------

PAGE_URL = "https://news.example/2026/live/"
ENDPOINT = "https://news.example/wp-json/liveblog/v1/17/"
LOG_URL = f"{ENDPOINT}entries/0/9999999999/"


def page(**settings: Any) -> Document:
    given = {
        "permalink": PAGE_URL,
        "post_id": "17",
        "state": "enable",
        "latest_entry_id": "3",
        "endpoint_url": ENDPOINT,
        **settings,
    }
    script = f"<script>var liveblog_settings = {json.dumps(given)};\nvar x = {{}};</script>"
    body = (
        '<!DOCTYPE html><html><head><meta property="og:title" content="A day &amp; a night">'
        f'{script}</head><body><h1>Site</h1><div id="wpcom-liveblog-container" class="17"></div>'
        "</body></html>"
    )
    return Document(PAGE_URL, body.encode(), "text/html; charset=utf-8", SEEN_AT)


def log_of(*records: dict[str, Any]) -> Document:
    body = json.dumps({"entries": records, "latest_timestamp": BEGAN_S}).encode()
    return Document(LOG_URL, body, "application/json", SEEN_AT)


def test_a_page_is_read_from_the_log_that_it_names() -> None:
    document = page()
    assert wordpress.detects(document)
    assert wordpress.wants(document) == (LOG_URL,)
    document = replace(document, parts={LOG_URL: log_of(record(1), record(2, "delete"))})
    assert wordpress.wants(document) == ()
    snapshot = wordpress.parse(document)
    assert ([one.id for one in snapshot.entries], snapshot.withdrawn) == (["1"], ("2",))
    head = snapshot.head
    assert (head.title, head.url, head.live) == ("A day & a night", PAGE_URL, True)
    assert (snapshot.partial, snapshot.complete) == (True, False)


def test_the_log_is_asked_for_on_each_poll() -> None:
    later = replace(page(), seen_at=datetime(2026, 4, 25, 13, tzinfo=UTC))
    assert wordpress.wants(replace(later, parts={LOG_URL: log_of(record(1))})) == (LOG_URL,)


@pytest.mark.parametrize(("state", "live"), [("archive", False), ("", None)])
def test_an_archived_live_blog_is_over(state: str, live: bool | None) -> None:
    document = replace(page(state=state), parts={LOG_URL: log_of(record(1))})
    assert wordpress.parse(document).head.live is live


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://news.example/2026/live/liveblog/",
        "https://elsewhere.example/wp-json/liveblog/v1/17/",
        "",
        7,
    ],
)
def test_a_page_whose_log_is_not_sure_is_left_to_other_sources(endpoint: object) -> None:
    document = page(endpoint_url=endpoint)
    assert not wordpress.detects(document)
    assert wordpress.wants(document) == ()
    with pytest.raises(PageError) as caught:
        wordpress.parse(document)
    assert caught.value.code == "page.no_entries"


def test_the_log_is_asked_for_in_the_way_in_which_the_page_came() -> None:
    assert wordpress.wants(page(endpoint_url=ENDPOINT.replace("https", "http"))) == (LOG_URL,)
    plain = "https://news.example/?rest_route=/liveblog/v1/17/"
    assert wordpress.wants(page(endpoint_url=plain)) == (f"{plain}entries/0/9999999999/",)


@pytest.mark.parametrize("part", [None, Document(LOG_URL, b"", "", SEEN_AT, status=404)])
def test_a_page_without_its_log_says_where_it_lies(part: Document | None) -> None:
    with pytest.raises(PageError, match=LOG_URL):
        wordpress.parse(replace(page(), parts={LOG_URL: part} if part else {}))


def test_an_empty_log_is_believed_only_when_the_page_says_so_too() -> None:
    with pytest.raises(PageError) as caught:
        wordpress.parse(replace(page(), parts={LOG_URL: log_of()}))
    assert caught.value.code == "page.no_entries"
    fresh = replace(page(latest_entry_id=None), parts={LOG_URL: log_of()})
    assert wordpress.parse(fresh).entries == ()


def test_half_a_page_is_never_read() -> None:
    document = replace(page(), parts={LOG_URL: log_of(record(1))})
    with pytest.raises(PageError) as caught:
        wordpress.parse(replace(document, body=document.body[:-20]))
    assert caught.value.code == "page.truncated"
