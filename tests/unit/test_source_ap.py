"""The `ap` source on small invented pages in the markup of AP live blogs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from service.errors import PageError
from service.model import Entry, Paragraph
from service.sources import ap
from service.sources.base import Document

SEEN_AT = datetime(2024, 9, 17, 20, tzinfo=UTC)
URL = "https://agency.example/live/storm"
GUID = "00000192-0000-d2a1-a5d7-7f7f00000000"


def post(native: str = GUID, *, tag: str = "bsp-liveblog-post", headline: str = "Wall gone") -> str:
    return (
        f'<{tag} class="LiveBlogPost" data-post-id="{native}" '
        'data-posted-date-timestamp="1726592520000" data-minutes-delta-text=" mins ago">'
        f'<a id="{native}"></a><span class="LiveBlogPost-time">21 mins ago</span>'
        f'<h2 class="LiveBlogPost-headline">{headline}</h2><div class="LiveBlogPost-body">'
        f'<p>Words.</p></div><bsp-copy-link data-link="{URL}#{native}">Copy</bsp-copy-link></{tag}>'
    )


def page(*posts: str) -> Document:
    markup = (
        "<!DOCTYPE html><html><head><title>T</title></head><body><h1>Live updates</h1>"
        f'<div class="LiveBlogPage-currentPosts">{"".join(posts)}</div></body></html>'
    )
    return Document(URL, markup.encode(), "text/html; charset=utf-8", SEEN_AT)


@pytest.mark.parametrize("tag", ["bsp-liveblog-post", "div"])
def test_a_post_has_its_id_exact_time_headline_and_text(tag: str) -> None:
    snapshot = ap.parse(page(post(tag=tag)))
    assert (snapshot.source, snapshot.warnings) == ("ap", ())
    assert snapshot.entries == (
        Entry(
            id=GUID,
            title="Wall gone",
            published=datetime(2024, 9, 17, 17, 2, tzinfo=UTC),
            body=(Paragraph("Words."),),
            url=f"{URL}#{GUID}",
            position=1,
        ),
    )


def test_a_post_without_a_headline_has_no_title() -> None:
    assert ap.parse(page(post(headline=""))).entries[0].title is None


def test_it_is_told_by_posts_with_id_and_time() -> None:
    assert ap.detects(page(post()))
    assert not ap.detects(page('<div class="LiveBlogPost">data-posted-date-timestamp</div>'))


def test_a_page_without_posts_is_refused() -> None:
    with pytest.raises(PageError) as refused:
        ap.parse(page())
    assert refused.value.code == "page.no_entries"
