"""The `nyt` source on small invented pages in the markup of NYT live pages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from service.errors import PageError
from service.model import Author, Entry, Paragraph
from service.sources import nyt
from service.sources.base import Document

SEEN_AT = datetime(2024, 9, 17, 20, tzinfo=UTC)
URL = "https://times.example/live/2024/09/17/storm"


def post(
    slug: str = "wall-gone",
    *,
    kind: str = "live-blog-post",
    headline: str = "<h2>Wall gone</h2>",
    body: str = "<p>Words.</p>",
    when: str = '<time datetime="2024-09-17T17:02:00.000Z">21 mins ago</time>',
) -> str:
    return (
        f'<div role="article" aria-posinset="4"><div data-testid="{kind}" data-url="{URL}#{slug}">'
        f'{when}{headline}<div data-testid="live-blog-byline"><p>By Jo Ray</p></div>{body}'
        '<div data-testid="share-tools">Share</div></div></div>'
    )


def page(*posts: str) -> Document:
    markup = (
        "<!DOCTYPE html><html><head><title>T</title></head><body><h1>Storm</h1>"
        f'<section id="live-feed-items">{"".join(posts)}'
        '<div role="article"><p>Advertisement</p></div></section></body></html>'
    )
    return Document(URL, markup.encode(), "text/html; charset=utf-8", SEEN_AT)


def test_a_post_has_its_slug_as_id_its_time_headline_author_and_text() -> None:
    snapshot = nyt.parse(page(post()))
    assert (snapshot.source, snapshot.warnings) == ("nyt", ())
    assert snapshot.entries == (
        Entry(
            id="wall-gone",
            title="Wall gone",
            published=datetime(2024, 9, 17, 17, 2, tzinfo=UTC),
            authors=(Author("Jo Ray"),),
            body=(Paragraph("Words."),),
            url=f"{URL}#wall-gone",
            position=1,
        ),
    )


def test_an_update_by_a_reporter_has_no_title() -> None:
    update = post("x", kind="reporter-update", headline="", body="<p>Seen.</p><h2>More</h2>")
    (one,) = nyt.parse(page(update)).entries
    assert (one.id, one.title, one.text) == ("x", None, "Seen.\nMore")


def test_the_word_pinned_above_a_post_is_a_label() -> None:
    (one,) = nyt.parse(page(post(body="<p>Pinned</p><p>Words.</p>"))).entries
    assert (one.labels, one.text) == (("pinned",), "Words.")


def test_a_pinned_post_without_a_time_stays() -> None:
    pinned = post("sum", body="<div>Pinned</div><p>So far.</p>", when="")
    entries = nyt.parse(page(pinned, post())).entries
    assert [(one.id, one.published is None) for one in entries] == [
        ("sum", True),
        ("wall-gone", False),
    ]


def test_it_is_told_by_posts_in_a_live_feed() -> None:
    assert nyt.detects(page(post()))
    assert not nyt.detects(page())


def test_a_page_without_posts_is_refused() -> None:
    with pytest.raises(PageError) as refused:
        nyt.parse(page())
    assert refused.value.code == "page.no_entries"
