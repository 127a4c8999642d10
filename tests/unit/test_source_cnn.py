"""The `cnn` source on small invented pages in the markup of CNN live stories."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from service.model import Author, Entry, Paragraph
from service.sources import cnn
from service.sources.base import Document

SEEN_AT = datetime(2024, 9, 17, 20, tzinfo=UTC)
URL = "https://network.example/live-news/storm"
ONE = "h_0a4a8f0d7d6a1c53a4b3fa7ec2a1aa01"


def post(
    native: str = ONE,
    *,
    headline: str = "Wall gone",
    when: str = "1:02 p.m. ET, September 17, 2024",
    names: str = "live-story-post liveStoryPost",
    updated: str = "2024-09-17T17:30:00.000Z",
) -> str:
    return (
        f'<article class="{names}" data-component-name="live-story-post" data-post-id="{native}" '
        f'data-last-updated="{updated}"><div class="live-story-post__wrapper"><header>'
        f'<time class="live-story-post__timestamp">{when}</time>'
        f'<h2 class="live-story-post__headline">{headline}</h2>'
        '<span class="live-story-post__byline">From CNN\'s Jo Ray</span></header>'
        '<button>Link Copied!</button><div class="live-story-post__content">'
        '<p data-component-name="paragraph">Words.</p>'
        '<div class="video-resource"><p>Ad Feedback</p></div></div></div></article>'
    )


def page(*posts: str) -> Document:
    markup = (
        "<!DOCTYPE html><html><head><title>T</title></head><body><h1>Storm</h1>"
        f'<div class="live-story__items-container">{"".join(posts)}</div></body></html>'
    )
    return Document(URL, markup.encode(), "text/html; charset=utf-8", SEEN_AT)


def test_a_post_has_its_id_times_headline_author_and_text() -> None:
    snapshot = cnn.parse(page(post()))
    assert (snapshot.source, snapshot.warnings) == ("cnn", ())
    assert snapshot.entries == (
        Entry(
            id=ONE,
            title="Wall gone",
            published=datetime(2024, 9, 17, 17, 2, tzinfo=UTC),
            updated=datetime(2024, 9, 17, 17, 30, tzinfo=UTC),
            authors=(Author("Jo Ray"),),
            body=(Paragraph("Words."),),
            position=1,
        ),
    )


def test_when_a_post_was_updated_is_never_when_it_was_published() -> None:
    first = cnn.parse(page(post(when=""))).entries[0]
    later = cnn.parse(page(post(when="", updated="2024-09-17T19:00:00Z"))).entries[0]
    assert (first.published, later.published) == (None, None)
    assert first.updated != later.updated


def test_it_is_told_by_posts_with_words_in_the_markup() -> None:
    assert cnn.detects(page(post(), post("h_2", headline="", when="")))


@pytest.mark.parametrize(
    "other",
    [
        post(names="other").replace("live-story-post", "story"),
        post().replace("Words.", ""),
        "<p>live-story-post</p>",
    ],
)
def test_a_page_without_words_in_its_posts_is_left_to_its_json_ld(other: str) -> None:
    assert not cnn.detects(page(other))


def test_headline_and_times_come_from_the_json_ld_and_words_from_the_markup() -> None:
    listed = {
        "@type": "LiveBlogPosting",
        "headline": "Storm",
        "liveBlogUpdate": [
            {
                "url": f"https://edition.cnn.com/live#{ONE}",
                "headline": "Wall gone",
                "articleBody": 'He said \\"words\\"',
                "datePublished": "2024-09-17T17:02:00Z",
                "dateModified": "2024-09-17T17:30:00Z",
            }
        ],
    }
    script = f'<script type="application/ld+json">{json.dumps(listed)}</script>'
    document = page(post(headline="", when="just now") + script)
    assert cnn.detects(document)
    snapshot = cnn.parse(document)
    (entry,) = snapshot.entries
    assert (snapshot.variant, entry.title, entry.text) == ("joined", "Wall gone", "Words.")
    assert entry.published == datetime(2024, 9, 17, 17, 2, tzinfo=UTC)
    assert entry.updated == datetime(2024, 9, 17, 17, 30, tzinfo=UTC)


def test_half_a_page_is_not_told() -> None:
    document = page(post())
    half = Document(URL, document.body[:-7], document.content_type, SEEN_AT)
    assert not cnn.detects(half)
