"""The guardian source: three forms of one blog, and noise that is no edit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from service.diff import Doubt, Policy, advance, diff
from service.errors import PageError
from service.model import (
    Author,
    Embed,
    Entry,
    Heading,
    Image,
    Page,
    PageState,
    Quote,
    Reading,
    Snapshot,
    Video,
    content_digest,
)
from service.sources import guardian, pieces
from service.sources.base import Document, Memo
from tests.simulator.desk import Front, Post
from tests.simulator.markup import guardian_capi, guardian_data, guardian_html

SEEN_AT = datetime(2026, 4, 25, 12, tzinfo=UTC)
URL = "https://www.theguardian.com/world/live/2026/apr/25/a-day"
FORMS = {"markup": guardian_html, "data": guardian_data, "capi": guardian_capi}


def document(body: bytes | dict[str, Any], **fields: Any) -> Document:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Document(URL, raw, "", SEEN_AT, **fields)


def block(number: int, **fields: Any) -> dict[str, Any]:
    epoch_ms = int(SEEN_AT.timestamp() * 1000) - number * 60_000
    return {
        "id": f"{number:024x}",
        "attributes": {"pinned": False, "keyEvent": False, "summary": False},
        "blockCreatedOn": epoch_ms - 600_000,
        "blockFirstPublished": epoch_ms,
        "blockLastUpdated": epoch_ms,
        "elements": [element("Text", html=f"<p>Block {number}.</p>")],
        **fields,
    }


def element(kind: str, **fields: Any) -> dict[str, Any]:
    return {"_type": f"model.dotcomrendering.pageElements.{kind}BlockElement", **fields}


def article(*blocks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"blocks": list(blocks), "headline": "A day", "webURL": URL, **fields}


def read(page: dict[str, Any]) -> Snapshot:
    return guardian.parse(document(page))


def test_ids_times_and_edits_are_those_of_the_block_and_not_of_its_draft() -> None:
    late = block(1, blockLastUpdated=int(SEEN_AT.timestamp() * 1000))
    first, second = read(article(late, block(2))).entries
    assert first.id == f"{1:024x}"
    assert (first.published, first.updated) == (datetime(2026, 4, 25, 11, 59, tzinfo=UTC), SEEN_AT)
    assert second.updated is None
    assert first.url == f"{URL}?page=with:block-{1:024x}#block-{1:024x}"


def test_labels_are_the_blocks_own_marks() -> None:
    marks = {"pinned": True, "keyEvent": True, "summary": True}
    (entry,) = read(article(block(1, attributes=marks))).entries
    assert entry.labels == ("key", "summary", "pinned")


def test_a_pinned_block_of_another_page_is_no_entry_and_one_of_this_page_is_marked() -> None:
    elsewhere = read(article(block(1), pinnedPost=block(9)))
    assert [(one.id, one.labels) for one in elsewhere.entries] == [(f"{1:024x}", ())]
    here = read(article(block(1), pinnedPost=block(1)))
    assert here.entries[0].labels == ("pinned",)


def test_what_other_sites_provide_is_an_embed_and_related_articles_are_no_content() -> None:
    elements = [
        element(
            "Tweet", html="<blockquote>words</blockquote>", url="https://twitter.com/a/status/1"
        ),
        element("RichLink", url="https://www.theguardian.com/x", text="Related"),
        element("Youtube", assetId="XmP56", mediaTitle="A launch"),
        element("Blockquote", html="<blockquote><p>Said.</p></blockquote>"),
        element("Unknown", html="<p>Also text.</p>"),
    ]
    (entry,) = read(article(block(1, elements=elements))).entries
    assert entry.body[0] == Embed("twitter.com", "https://twitter.com/a/status/1")
    assert entry.text == "Said.\nAlso text."
    assert entry.media == (Video("https://www.youtube.com/watch?v=XmP56", "A launch"),)


def test_element_ids_and_date_lines_are_no_edit() -> None:
    noisy = block(1, primaryDateLine="Sat 25 Apr 2026 13.00 BST")
    noisy["elements"] = [{**noisy["elements"][0], "elementId": "another"}]
    one, other = (read(article(b)).entries[0] for b in (block(1), noisy))
    assert content_digest(one) == content_digest(other)


@pytest.mark.parametrize(
    ("fields", "live"),
    [
        ({}, None),
        ({"config": {"isLive": True}}, True),
        ({"config": {"isLive": False}}, False),
        ({"config": {"isLive": True}, "headline": "A day – as it happened"}, False),
        ({"format": {"design": "DeadBlogDesign"}}, False),
    ],
)
def test_whether_it_is_live_is_what_the_page_says(fields: dict[str, Any], live: bool) -> None:
    assert read(article(block(1), **fields)).head.live is live


def test_only_a_blog_of_one_page_is_known_to_be_complete() -> None:
    whole = read(article(block(1), pagination={"currentPage": 1, "totalPages": 1}))
    window = read(article(block(1), pagination={"currentPage": 1, "totalPages": 2}))
    assert (whole.complete, window.complete) == (True, False)


def test_older_pages_are_asked_for_one_after_the_other_and_read_once() -> None:
    def page(number: int, older: str | None) -> dict[str, Any]:
        return article(block(number), block(number + 1), pagination={"older": older})

    first = document(page(1, "?page=with:block-2"), reading=Reading(older_pages=2))
    first = replace(first, url=f"{URL}.json?dcr=true")
    (second,) = guardian.wants(first)
    assert second == f"{URL}.json?dcr=true&page=with:block-2"
    parts = {second: document(page(2, "?page=with:block-3"))}
    (third,) = guardian.wants(replace(first, parts=parts))
    parts[third] = document(page(3, "?page=with:block-4"))
    whole = replace(first, parts=parts)
    assert guardian.wants(whole) == ()
    assert [int(one.id, 16) for one in guardian.parse(whole).entries] == [1, 2, 3, 4]


def test_the_answer_with_only_what_is_new_is_refused_as_such() -> None:
    news = {"html": "<article>", "mostRecentBlockId": "block-1", "numNewBlocks": 1}
    with pytest.raises(PageError, match="asks for its news with"):
        read(news)


@pytest.mark.parametrize(
    "page", [article(), {"headline": "No blog"}, {"response": {"content": {"blocks": {}}}}]
)
def test_no_blocks_is_no_page(page: dict[str, Any]) -> None:
    with pytest.raises(PageError) as caught:
        read(page)
    assert caught.value.code == "page.no_entries"


def test_a_value_of_another_kind_is_named() -> None:
    with pytest.raises(PageError, match="blockFirstPublished"):
        read(article(block(1, blockFirstPublished="noon")))


def test_an_iso_date_says_the_same_as_its_milliseconds() -> None:
    dated = block(1, blockFirstPublished="2026-04-25T12:59:00+01:00")
    assert read(article(dated)).entries == read(article(block(1))).entries


def test_the_time_of_a_draft_is_no_time_of_publishing() -> None:
    draft = {k: v for k, v in block(1).items() if k != "blockFirstPublished"}
    assert read(article(draft)).entries[0].published is None


def test_each_kind_of_piece_becomes_what_it_is() -> None:
    place = "https://media.example/p/4000.jpg"
    elements = [
        element("Subheading", html="<h2>Part one</h2>"),
        element("Pullquote", html="Quoted <b>words</b>", attribution="Jo Doe"),
        element("Instagram", url="https://www.instagram.com/p/abc/?utm=1#x", html="<p>no</p>"),
        element("Embed", html='<iframe src="https://chart.example/1?session=2"></iframe>'),
        element(
            "Image",
            data={"alt": "", "caption": "<i>A</i> &amp; B", "credit": "Photograph: C"},
            media={"allImages": [{"url": place}]},
        ),
        element("MediaAtom", title="A clip", assets=[{"url": "https://v.example/1.mp4"}]),
        element("Callout", title="Tell us", formFields=[]),
    ]
    (entry,) = read(article(block(1, elements=elements))).entries
    assert entry.body[0] == Heading("Part one", 2)
    quote = entry.body[1]
    assert isinstance(quote, Quote)
    assert (quote.text, quote.cite) == ("Quoted words", "Jo Doe")
    assert entry.body[2:] == (
        Embed("instagram.com", "https://www.instagram.com/p/abc/"),
        Embed("chart.example", "https://chart.example/1"),
    )
    assert entry.media == (
        Image(place, None, "A & B", "Photograph: C"),
        Video("https://v.example/1.mp4", "A clip"),
    )


def test_an_unknown_piece_with_fields_of_other_types_hides_no_other_block() -> None:
    fields = {"data": [1], "media": "x", "images": {}, "assets": 3, "body": [{}]}
    odd = element("Novelty", html="<p>Yes.</p>", **fields)
    assert read(article(block(1, elements=[odd]))).entries[0].text == "Yes."


def test_white_space_and_class_names_inside_of_a_block_are_no_edit() -> None:
    link = '<a href="https://e.org/">x</a>'
    tight = f"<ul><li><p>One</p></li></ul><p>Two {link}</p>"
    loose = f'<ul class="a">\n <li>\n<p>One</p> </li>\n</ul>\n<p> Two  {link}</p>\n'
    one, other = (
        read(article(block(1, elements=[element("Text", html=words)]))).entries[0]
        for words in (tight, loose)
    )
    assert content_digest(one) == content_digest(other)


def test_a_block_is_not_read_again_for_new_element_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_block: object) -> Entry:
        raise AssertionError("a known block was read again")

    memo, first = Memo(), guardian.parse(document(article(block(1))))
    guardian.parse(document(article(block(1))), memo)
    memo.turn()
    monkeypatch.setattr(guardian, "_read_block", never)
    noisy = block(1)
    noisy["elements"] = [{**noisy["elements"][0], "elementId": "another"}]
    assert guardian.parse(document(article(noisy)), memo) == first


def test_a_page_of_key_events_only_is_said_to_be_one_and_never_complete() -> None:
    paging = {"currentPage": 1, "totalPages": 1}
    filtered = read(article(block(1), pagination=paging, filterKeyEvents=True))
    assert not filtered.complete
    assert "key events only" in filtered.warnings[0]


@pytest.mark.parametrize(
    "news",
    [
        {"blocks": [{"id": "1", "elements": []}], "numNewBlocks": 1},
        {"html": "", "mostRecentBlockId": "block-1", "numNewBlocks": 0},
        {"html": "<p>", "timeline": "", "mostRecentBlockId": None},
    ],
)
def test_no_form_of_the_news_since_a_block_is_taken_for_a_page(news: dict[str, Any]) -> None:
    with pytest.raises(PageError, match="asks for its news with"):
        read(news)
    assert not guardian.detects(document(news))


def test_a_block_without_the_pieces_that_a_page_has_is_not_read_as_an_empty_one() -> None:
    with pytest.raises(PageError, match="elements"):
        read({"blocks": [{"id": "1", "title": "T", "body": "B"}]})


def test_an_article_that_is_no_live_blog_is_refused() -> None:
    other = article(block(1), format={"design": "StandardDesign"})
    assert not guardian.detects(document(other))
    with pytest.raises(PageError, match="no live blog"):
        read(other)


@pytest.mark.parametrize("older", ["https://e.org/x", "//[", ""])
def test_an_older_page_on_another_host_is_not_asked_for(older: str) -> None:
    first = article(block(1), pagination={"older": older})
    assert guardian.wants(document(first, reading=Reading(older_pages=1))) == ()


def with_older(**parts: Document) -> Document:
    first = article(block(1), pagination={"older": "?page=2"})
    found = {f"{URL}?page=2": part for part in parts.values()}
    return document(first, reading=Reading(older_pages=2), parts=found)


def test_an_older_page_of_an_earlier_poll_is_asked_for_again() -> None:
    stale = replace(document(article(block(2))), seen_at=SEEN_AT.replace(hour=1))
    assert guardian.wants(with_older(second=stale)) == (f"{URL}?page=2",)


@pytest.mark.parametrize(
    ("body", "status", "warned"), [(b"", 404, 0), (b"{}", 200, 1), (b"<html>", 200, 1)]
)
def test_an_older_page_that_cannot_be_read_ends_the_baseline_there(
    body: bytes, status: int, warned: int
) -> None:
    whole = with_older(second=document(body, status=status))
    assert guardian.wants(whole) == ()
    snapshot = guardian.parse(whole)
    assert [one.position for one in snapshot.entries] == [1]
    assert len(snapshot.warnings) == warned


# --- the content API -----------------------------------------------------------------------------


def capi(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"{number:024x}",
        "bodyHtml": f"<p>Block {number}.</p>",
        "createdDate": "2026-04-25T10:00:00Z",
        "firstPublishedDate": "2026-04-25T11:00:00Z",
        "lastModifiedDate": "2026-04-25T11:30:00Z",
        "attributes": {"keyEvent": True},
        **fields,
    }


def content(**fields: Any) -> dict[str, Any]:
    return {"response": {"status": "ok", "content": {"type": "liveblog", "webUrl": URL, **fields}}}


def numbers(snapshot: Snapshot) -> list[int]:
    return [int(one.id, 16) for one in snapshot.entries]


def test_a_block_of_the_content_api_has_its_own_times_labels_and_names() -> None:
    tags = [{"id": "profile/jo", "webTitle": "Jo Doe"}]
    body = [capi(1, contributors=["profile/jo", "profile/x"])]
    (entry,) = read(content(blocks={"body": body}, tags=tags)).entries
    assert entry.published == SEEN_AT.replace(hour=11)
    assert entry.updated == SEEN_AT.replace(hour=11, minute=30)
    assert (entry.labels, entry.authors) == (("key",), (Author("Jo Doe"),))


def test_of_several_lists_the_latest_blocks_are_the_page() -> None:
    lists = {"body:key-events": [capi(1), capi(2)], "body:latest:1": [capi(3)]}
    snapshot = read(content(blocks={"requestedBodyBlocks": lists, "totalBodyBlocks": 1}))
    assert numbers(snapshot) == [3]
    assert not snapshot.complete


def test_a_block_that_is_not_published_is_no_entry() -> None:
    blocks = {"body": [capi(1), capi(2, published=False)], "totalBodyBlocks": 2}
    snapshot = read(content(blocks=blocks))
    assert numbers(snapshot) == [1]
    assert snapshot.complete


def test_links_to_related_articles_are_no_text_in_the_content_api() -> None:
    aside = '<aside class="element element-rich-link"><p>Related: <a href="/x">X</a></p></aside>'
    body = [capi(1, bodyHtml=f"<p>A</p>{aside}<p>B</p>")]
    assert read(content(blocks={"body": body})).entries[0].text == "A\nB"


def test_an_article_of_the_content_api_that_is_no_live_blog_is_refused() -> None:
    with pytest.raises(PageError, match="no live blog"):
        read(content(type="article", blocks={"body": [capi(1)]}))


# --- the page ------------------------------------------------------------------------------------


def shown(number: int, inner: str = "<p>Words.</p>", *, head: str = "", foot: str = "") -> str:
    name = f"block-{number:024x}"
    return (
        f'<article id="{name}" class="block dcr-1"><header><div>'
        f'<a href="{URL}?page=with:{name}#{name}"><time datetime="2026-04-25T11:00:00.000Z">1h ago'
        f"</time><span>12.00 BST</span></a>{head}</div><h2>Title {number}</h2></header>"
        f"{inner}<footer><div>{foot}</div></footer></article>"
    )


def page(*blocks: str, pinned: str = "", before: str = "", after: str = "") -> bytes:
    return (
        f"<!DOCTYPE html><html><head>{before}</head><body><h1>A day</h1>"
        f'<div id="liveblog-body">{pinned}{"".join(blocks)}</div>{after}</body></html>'
    ).encode()


def seen(body: bytes) -> Snapshot:
    return guardian.parse(document(body))


def copy(number: int, inner: str) -> str:
    unnamed = shown(number, inner).replace("<article id=", "<article data-x=", 1)
    return f'<div id="pinned-post">{unnamed}</div>'


def figure(kind: str, inner: str) -> str:
    return f'<figure id="x" data-spacefinder-type="{element(kind)["_type"]}">{inner}</figure>'


def test_a_copy_of_a_pinned_block_is_no_entry_and_its_links_pin_nothing() -> None:
    other = f'<p><a href="{URL}?page=with:block-{2:024x}">see above</a></p>'
    here = seen(page(shown(1), shown(2), pinned=copy(1, other)))
    assert numbers(here) == [1, 2]
    assert [one.labels for one in here.entries] == [("pinned",), ()]
    elsewhere = seen(page(shown(1), pinned=copy(9, other)))
    assert [one.labels for one in elsewhere.entries] == [()]


def test_the_original_of_a_pinned_block_says_so_itself() -> None:
    pin = f'<a href="{URL}#pinned-post"><span><svg></svg></span></a>'
    assert seen(page(shown(1, head=pin))).entries[0].labels == ("pinned",)


def test_a_block_was_updated_when_its_own_footer_says_so() -> None:
    cited = '<footer><time datetime="2026-04-25T11:20:00Z">then</time></footer>'
    foot = 'Updated at <time datetime="2026-04-25T11:40:00.000Z">12.40</time>'
    (entry,) = seen(page(shown(1, f"<aside><p>Q</p>{cited}</aside>", foot=foot))).entries
    assert entry.updated == SEEN_AT.replace(hour=11, minute=40)
    assert (entry.title, entry.authors) == ("Title 1", ())


def test_players_and_related_articles_are_no_text_of_a_block() -> None:
    player = '<div><img src="/poster.jpg"><div>2:22</div></div><figcaption>A launch</figcaption>'
    inner = "<p>A</p>" + figure("Youtube", player) + figure("RichLink", "<a href='/x'>Related</a>")
    (entry,) = seen(page(shown(1, inner + "<p>B</p>"))).entries
    assert entry.text == "A\nB"
    assert entry.media == (Video(None, "A launch"),)


@pytest.mark.parametrize(
    ("before", "live"),
    [
        ("", None),
        ('<script>window.guardian = {"config":{"page":{"isLive":true}}};</script>', True),
        ('<script>window.guardian = {"page":{"isLive":false}};</script>', False),
        ('<script>window.guardian = {"a":{"isLive":true},"b":{"isLive":false}};</script>', None),
        ('<script>other = {"isLive":true};</script>', None),
    ],
)
def test_whether_a_page_is_live_is_what_its_settings_say_if_they_say_one_thing(
    before: str, live: bool | None
) -> None:
    assert seen(page(shown(1), before=before)).head.live is live


@pytest.mark.parametrize(
    "hidden",
    [
        f"<!-- {shown(9)} -->",
        f"<script>x = '{shown(9)}'</script>",
        f"<template>{shown(9)}</template>",
        '<article id="block-" data-stoppress-piece="7"></article>',
    ],
)
def test_what_only_looks_like_a_block_is_no_entry(hidden: str) -> None:
    assert numbers(seen(page(shown(1), hidden, shown(2)))) == [1, 2]


@pytest.mark.parametrize(
    "inner",
    [
        "<p>A<!-- --> B</p>",
        "<p>A</p><!-- </article> --><p>B</p>",
        "<p>A</p><script>x = '</article>'</script><p>B</p>",
        "<p>A</p><article><p>B</p></article><p>C</p>",
        '<ul class="x"><li>A</li></ul><figure><img src="https://e.org/i.jpg" alt="I"></figure>',
    ],
)
def test_a_block_is_read_the_same_by_itself_and_in_its_page(
    inner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = page(shown(1), shown(2, inner), shown(3))
    by_itself = seen(body)
    assert numbers(by_itself) == [1, 2, 3]
    monkeypatch.setattr(pieces, "cut", lambda text, _opening, _memo: (text, {}))
    assert seen(body) == by_itself


def test_an_unchanged_block_of_a_page_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    read_article = guardian._read_article

    def noted(markup: str) -> Entry:
        entry = read_article(markup)
        reads.append(f"{entry.title}: {entry.text}")
        return entry

    monkeypatch.setattr(guardian, "_read_article", noted)
    memo = Memo()
    guardian.parse(document(page(shown(1), shown(2))), memo)
    memo.turn()
    guardian.parse(document(page(shown(3), shown(1), shown(2, "<p>New.</p>"))), memo)
    assert reads == ["Title 1: Words.", "Title 2: Words.", "Title 3: Words.", "Title 2: New."]


def test_the_older_pages_of_a_page_are_named_at_its_end() -> None:
    def bar(*parts: str) -> str:
        sections = "".join(f"<section>{part}</section>" for part in parts)
        return f'<nav id="liveblog-navigation">{sections}</nav>'

    def link(name: str) -> str:
        return f'<a href="?page=with%3Ablock-{name}&amp;x=1#liveblog-navigation">{name}</a>'

    where = "<strong>1</strong>&nbsp;of&nbsp;<strong>2</strong>"
    newest = page(shown(1), shown(2), after=bar(where, link("b") + link("c")))
    first = document(newest, reading=Reading(older_pages=5))
    (second,) = guardian.wants(first)
    assert second == f"{URL}?page=with:block-b&x=1"
    last = page(shown(2), shown(3), after=bar(link("newest") + link("newer"), where))
    whole = replace(first, parts={second: document(last)})
    assert guardian.wants(whole) == ()
    assert numbers(guardian.parse(whole)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "page.empty"),
        (page(shown(1))[:-20], "page.truncated"),
        (page(), "page.no_entries"),
        (b"<html><title>Your consent</title><p>cookies</p></html>", "page.blocked"),
    ],
)
def test_a_page_that_cannot_be_read_says_why(body: bytes, code: str) -> None:
    with pytest.raises(PageError) as caught:
        seen(body)
    assert caught.value.code == code


# --- all forms -----------------------------------------------------------------------------------


POSTS = tuple(
    Post(
        key=f"p{n}",
        title=f"Title {n}" if n else None,
        paragraphs=(f"First of {n}.", "Second & last."),
        items=("one", "two") if n == 1 else (),
        author="Jo Doe",
        published=SEEN_AT.replace(hour=11 - n),
    )
    for n in range(4)
)
FRONT = Front(
    title="A day",
    summary="What happens",
    live=True,
    url=URL,
    posts=POSTS,
    total=4,
    pinned="p2",
    now=SEEN_AT,
    modified=SEEN_AT,
    salt=1,
)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same_of_a_blog(form: str) -> None:
    page = Document(URL, FORMS[form].page(FRONT), FORMS[form].CONTENT_TYPE, SEEN_AT)
    assert guardian.detects(page)
    snapshot = guardian.parse(page)
    assert snapshot.variant == form
    assert (snapshot.head.title, snapshot.head.summary, snapshot.head.live) == (
        "A day",
        "What happens",
        True,
    )
    seen = [(e.title, e.text, e.published, e.authors[0].name, e.labels) for e in snapshot.entries]
    assert seen == [
        (p.title, "\n".join((*p.paragraphs, *p.items)), p.published, p.author, labels)
        for p, labels in zip(POSTS, ((), (), ("pinned",), ()), strict=True)
    ]


def captured(corpus: Path, name: str) -> Snapshot:
    page = document((corpus / f"guardian_{name}.json").read_bytes())
    assert guardian.detects(page)
    return guardian.parse(page)


def test_one_blog_captured_three_years_apart_gives_no_event(corpus: Path) -> None:
    before = captured(corpus, "nasa-mars_snapshot-a_2021-08-17")
    after = captured(corpus, "nasa-mars_snapshot-c_2024-02-06")
    assert len(before.entries) == 13
    assert [one.id for one in before.entries] == [one.id for one in after.entries]
    assert before.silent == ("title", "labels", "authors")
    for old, new in zip(before.entries, after.entries, strict=True):
        told = replace(old, title=new.title, labels=new.labels, authors=new.authors)
        assert content_digest(told) == content_digest(new)
    state = PageState(page=Page(id="nasa", url=URL))
    step = diff(state, before, Policy())
    assert not isinstance(step, Doubt)
    _, state = advance(state, step, SEEN_AT)
    for _ in range(4):
        step = diff(state, after, Policy())
        assert not isinstance(step, Doubt)
        assert [change.type for change in step.changes if "entry" in change.type] == []
        _, state = advance(state, step, SEEN_AT)
    assert state.entries[after.entries[0].id].entry.title == "Summary"


def test_a_captured_blog_is_read_without_its_pinned_block(corpus: Path) -> None:
    snapshot = captured(corpus, "pmqs_snapshot-a_2024-02-06")
    assert len(snapshot.entries) == 11
    assert "6579a60c8f08c4c875ceac82" not in {one.id for one in snapshot.entries}
    assert snapshot.head.live is False
    labels = [one.labels for one in snapshot.entries]
    assert labels[:3] == [("summary",), (), ("key",)]
    blocks = json.loads((corpus / "guardian_pmqs_snapshot-a_2024-02-06.json").read_bytes())[
        "blocks"
    ]
    marked = [block["attributes"] for block in blocks]
    assert [("key" in one, "summary" in one, "pinned" in one) for one in labels] == [
        (one["keyEvent"], one["summary"], one["pinned"]) for one in marked
    ]
    assert not snapshot.complete
    assert snapshot.modified == datetime(2023, 12, 13, 17, 35, 52, tzinfo=UTC)
    assert sum(one.updated is not None for one in snapshot.entries) == 5
