"""The `bbc` source on small hand-made pages in the markup of BBC live pages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from service import sources
from service.errors import PageError
from service.model import (
    Author,
    Embed,
    Entry,
    Heading,
    Image,
    Line,
    ListBlock,
    Mark,
    Paragraph,
    Quote,
    Snapshot,
    Table,
    Video,
    content_digest,
)
from service.sources import bbc
from service.sources.base import Document

SEEN_AT = datetime(2025, 6, 16, 12, tzinfo=UTC)
URL = "http://127.0.0.1:8080/live/c1"
ONE, OTHER = (
    "asset:8e63ed82-876f-4252-8fe6-80e57cc20da3",
    "asset:11111111-2222-4333-8444-555555555555",
)
HIDDEN = '<span class="ssrcss-1-visually-hidden">{}</span>'


def post(
    native: str = ONE,
    *,
    title: str = "A headline",
    time: str = "09:22 16 June",
    header: str = "",
    body: str = "<p>Words.</p>",
    attributes: str = "",
    salt: str = "a1",
) -> str:
    return (
        f'<article data-testid="content-post" class="ssrcss-{salt}-Post" {attributes}>'
        f'<h3 id="{native}" class="ssrcss-{salt}-HeadlineWrap"><span role="text">'
        f"<span>{title}</span>"
        f'<span data-testid="timestamp"><span data-testid="accessible-timestamp">published at '
        f'{time}</span><span aria-hidden="true">09:22</span></span></span></h3>'
        f'{header}<div class="ssrcss-{salt}-Content" id="block-{salt}">{body}</div>'
        f'<div data-testid="share-tools"><a href="/live/c1?post={native.replace(":", "%3A")}">Share'
        f"</a></div></article>"
    )


def page(*posts: str, head: str = "", above: str = "", below: str = "") -> Document:
    markup = (
        "<!DOCTYPE html><html><head><title>Storm live - BBC News</title>"
        f'<link rel="canonical" href="https://www.bbc.co.uk/news/live/c1">{head}</head><body>'
        f"<h1>Storm hits coast</h1>{above}<div id='LiveText'><ol>"
        + "".join(f"<li>{one}</li>" for one in posts)
        + f"</ol></div>{below}</body></html>"
    )
    return Document(URL, markup.encode(), "text/html; charset=utf-8", SEEN_AT)


def read(*posts: str) -> Snapshot:
    return sources.read(page(*posts))


def only(*posts: str) -> Entry:
    (entry,) = read(*posts).entries
    return entry


def body_of(markup: str) -> Entry:
    return only(post(body=markup))


def test_a_post_has_the_publishers_id_headline_time_and_text() -> None:
    snapshot = read(post())
    assert (snapshot.source, snapshot.complete, snapshot.warnings) == ("bbc", False, ())
    assert snapshot.entries == (
        Entry(
            id=ONE,
            title="A headline",
            published=datetime(2025, 6, 16, 8, 22, tzinfo=UTC),
            body=(Paragraph("Words."),),
            url="https://www.bbc.co.uk/live/c1?post=asset%3A8e63ed82-876f-4252-8fe6-80e57cc20da3",
            position=1,
        ),
    )


@pytest.mark.parametrize(
    ("time", "utc"),
    [
        ("10:17 British Summer Time 25 April", datetime(2025, 4, 25, 9, 17, tzinfo=UTC)),
        ("09:22 16 June", datetime(2025, 6, 16, 8, 22, tzinfo=UTC)),
        ("09:22", datetime(2025, 6, 16, 8, 22, tzinfo=UTC)),
        ("19:10 10 December", datetime(2024, 12, 10, 19, 10, tzinfo=UTC)),
    ],
)
def test_times_are_read_with_or_without_zone_and_date(time: str, utc: datetime) -> None:
    assert only(post(time=time)).published == utc


def test_an_exact_time_in_the_markup_wins() -> None:
    stamped = post().replace(
        '<span data-testid="timestamp">', '<time datetime="2025-06-16T08:23:45Z">x</time><span>'
    )
    assert only(stamped).published == datetime(2025, 6, 16, 8, 23, 45, tzinfo=UTC)


def test_a_time_that_is_not_understood_is_a_warning() -> None:
    snapshot = read(post(time="4 hours ago"))
    assert snapshot.entries[0].published is None
    assert snapshot.warnings == (f'entry {ONE}: the time "4 hours ago" is not understood',)


def test_a_time_in_the_text_is_part_of_the_text() -> None:
    entry = body_of("<p>Ends at <time datetime='2025-06-16T01:00:00Z'>1am</time>.</p>")
    assert entry.text == "Ends at 1am."
    assert entry.published == datetime(2025, 6, 16, 8, 22, tzinfo=UTC)


def test_a_post_called_post_has_no_title() -> None:
    assert only(post(title="Post")).title is None


# --- ids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "heading", "expected"),
    [
        (f'id="{ONE}"', "x", ONE),
        (f'data-post-id="{ONE}"', "x", ONE),
        (f'data-urn="urn:bbc:{ONE}=commentary=1"', "x", f"{ONE}=commentary=1"),
        (f'id="post-c0ffee"', ONE, ONE),  # noqa: F541
        ('id="post_5f0c5b1e2a7c4d0663c1b0aa"', "x", "5f0c5b1e2a7c4d0663c1b0aa"),
        ('data-post-id="17" id="random"', "x", "17"),
    ],
)
def test_the_id_is_the_publishers_without_decoration(
    attributes: str, heading: str, expected: str
) -> None:
    markup = post(heading, attributes=attributes).replace("/live/c1?post=", "/share?")
    assert only(markup).id == expected


def test_the_id_is_taken_from_the_share_link_but_not_from_a_link_in_the_text() -> None:
    markup = post(ONE, body=f'<p>See <a href="/live/c1?post={OTHER}">this</a></p>')
    assert only(markup.replace(f'id="{ONE}"', "")).id == ONE


def test_without_any_id_the_time_is_one_and_a_warning_says_so() -> None:
    bare = "<article data-testid='content-post'><h3>One</h3><time datetime='2025-06-16T08:22Z'>"
    snapshot = read(bare + "</time><p>a</p></article>", bare + "</time><p>b</p></article>")
    assert [entry.id for entry in snapshot.entries] == ["20250616T0822Z-2", "20250616T0822Z"]
    assert snapshot.warnings == ("2 entries have no id of the publisher",)


def test_what_changes_from_answer_to_answer_never_reaches_an_entry() -> None:
    figure = '<figure><img alt="A" src="https://i.bbci.co.uk/{0}/x.jpg" srcset="{0} 2x"></figure>'
    first, second = (
        only(post(salt=salt, body=figure.format(salt) + "<p>Words.</p>")) for salt in ("a1", "b2")
    )
    assert content_digest(first) == content_digest(second)
    assert first.id == second.id


# --- labels --------------------------------------------------------------------------------------

LABELS = (
    '<div data-testid="breaking-news-label">Breaking</div>',
    '<span class="ssrcss-9-BreakingLabel">Ultima oră</span>',
    '<div><span class="live-post__breaking">Breaking news</span></div>',
)


@pytest.mark.parametrize("label", LABELS)
def test_breaking_is_told_by_an_element_whose_words_stay_out(label: str) -> None:
    inside = post().replace("<span>A headline", f"{label}<span>A headline")
    for entry in (only(post(header=label)), only(inside), body_of(label + "<p>Words.</p>")):
        assert (entry.labels, entry.title, entry.text) == (("breaking",), "A headline", "Words.")


def test_breaking_is_not_told_by_words_or_by_a_style() -> None:
    entry = only(
        post(
            title="Breaking: storm",
            body='<p class="word-breaking">Breaking</p><p class="non-breaking">Breaking</p>',
        )
    )
    assert (entry.labels, entry.title) == ((), "Breaking: storm")
    assert entry.text == "Breaking\nBreaking"


def test_a_headline_inside_of_a_breaking_wrapper_stays() -> None:
    wrapped = post().replace("<h3", '<div class="BreakingWrapper"><h3')
    entry = only(wrapped.replace("</h3>", "</h3></div>"))
    assert (entry.labels, entry.title) == (("breaking",), "A headline")


def test_a_pinned_copy_is_not_a_second_entry() -> None:
    copy = f'<div class="ssrcss-1-PinnedPost">{post(ONE)}</div>'
    entries = read(copy, post(OTHER), post(ONE, title="Its own place")).entries
    assert [(one.id, one.title, one.labels) for one in entries] == [
        (OTHER, "A headline", ()),
        (ONE, "Its own place", ("pinned",)),
    ]


def test_a_pinned_post_from_another_page_is_an_entry() -> None:
    entries = read(post(ONE, attributes='data-pinned="1" class="is-pinned"'), post(OTHER)).entries
    assert [one.id for one in entries] == [ONE, OTHER]


def test_an_unmarked_copy_is_dropped() -> None:
    assert [one.position for one in read(post(ONE), post(OTHER), post(ONE)).entries] == [1, 2]


# --- authors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inner",
    [
        "<strong>Jo Bloggs</strong><br>Weather editor",
        "<img alt='Jo'><strong>Jo Bloggs</strong><span>Weather editor</span>",
        "Jo Bloggs<br>Weather editor",
        "<p>Jo Bloggs</p><p>Weather editor</p>",
        "<div class='x-ContributorName'><strong>Jo Bloggs</strong></div><div>Weather editor</div>",
    ],
)
def test_a_contributor_has_a_name_and_a_role(inner: str) -> None:
    entry = only(post(header=f'<div class="ssrcss-7-Contributor">{inner}</div>'))
    assert entry.authors == (Author("Jo Bloggs", "Weather editor"),)
    assert (entry.text, entry.media) == ("Words.", ())


def test_a_contributor_may_have_no_role() -> None:
    entry = only(post(header='<div class="Contributor"><strong>Jo</strong></div>'))
    assert entry.authors == (Author("Jo"),)


# --- text and media ------------------------------------------------------------------------------


def test_blocks_keep_their_kind_and_order() -> None:
    entry = body_of(
        "<p>One</p>loose<div>Two<br>Three</div><h4>Part</h4><ol><li>a</li><li>b</li></ol>"
        "<blockquote><p>Said</p><p>twice</p><cite>Her</cite></blockquote>"
        "<table><tbody><tr><th>Team<td>1</table><script>x()</script><style>y{}</style>"
        '<iframe src="https://www.youtube.com/embed/k?autoplay=1"></iframe>'
    )
    assert entry.body == (
        Paragraph("One"),
        Paragraph("loose"),
        Paragraph("Two"),
        Paragraph("Three"),
        Heading("Part", 4),
        ListBlock((Line("a"), Line("b")), ordered=True),
        Quote("Said twice", cite="Her"),
        Table((("Team", "1"),)),
        Embed("youtube.com", "https://www.youtube.com/embed/k"),
    )


def test_links_and_emphasis_are_marks_over_the_text() -> None:
    entry = body_of(
        f'<p>A\u00a0 <b>b <i>c</i></b> <a href="/x">link{HIDDEN.format(", external")}</a>.'
        '<a href="javascript:x()">no</a></p>'
    )
    assert entry.body == (
        Paragraph(
            "A b c link.no",
            (
                Mark(2, 5, "strong"),
                Mark(4, 5, "em"),
                Mark(6, 10, "link", "https://www.bbc.co.uk/x"),
            ),
        ),
    )


def test_external_is_dropped_also_when_it_is_glued_to_the_link() -> None:
    entry = body_of('<p><a href="https://e.org">Site, external</a> says</p>')
    assert entry.body == (Paragraph("Site says", (Mark(0, 4, "link", "https://e.org"),)),)


def test_list_items_keep_their_marks_and_nested_lists_follow() -> None:
    entry = body_of('<ul><li>a <a href="https://e.org">b</a><ul><li>c</ul><li>d</ul>')
    link = Mark(2, 3, "link", "https://e.org")
    assert entry.body == (ListBlock((Line("a b", (link,)), Line("c"), Line("d"))),)


IMAGES = (
    '<figure><div><img alt="Alt" src="/i.jpg"><span>{source}<span>Reuters</span></span></div>'
    "<figcaption>{caption}<p>Words of it</p></figcaption></figure>",
    '<figure><img alt="Alt" src="/i.jpg"><figcaption>{caption}Words of it '
    "<span>{source}Reuters</span></figcaption></figure>",
    '<figure><img alt="Alt" data-src="/i.jpg" src="data:image/gif;base64,x">'
    '<span class="ssrcss-1-Copyright">{source}Reuters</span>'
    '<noscript><img src="/i.jpg"></noscript><figcaption>{caption}Words of it</figcaption></figure>',
)


@pytest.mark.parametrize("figure", IMAGES)
@pytest.mark.parametrize("prefix", [HIDDEN, "{}"])
def test_alt_caption_and_credit_are_apart_from_the_text(figure: str, prefix: str) -> None:
    entry = body_of(
        figure.format(
            source=prefix.format("Image source, "), caption=prefix.format("Image caption, ")
        )
        + "<p>Words.</p>"
    )
    assert entry.text == "Words."
    assert entry.media == (Image("https://www.bbc.co.uk/i.jpg", "Alt", "Words of it", "Reuters"),)


def test_a_player_with_its_caption_is_a_video_and_its_messages_are_not_text() -> None:
    entry = body_of(
        '<figure><div data-testid="media-player" id="smp-1"><p>This video can not be played</p>'
        f"</div><figcaption>{HIDDEN.format('Video caption, ')}A clip</figcaption></figure>"
    )
    assert (entry.media, entry.body) == ((Video(caption="A clip"),), ())


def test_share_tools_advertisements_and_hidden_words_are_no_text() -> None:
    entry = body_of(
        '<p>Words.</p><div class="dotcom-ad-slot">Buy</div><button>Share</button>'
        '<div class="ShareTools">Share</div><p hidden>x</p><p style="display: none">y</p>'
        + HIDDEN.format("z")
    )
    assert entry.text == "Words."


# --- the page ------------------------------------------------------------------------------------

DATA = '<script>window.__INITIAL_DATA__="{{\\"{0}\\":{{\\"isLive\\":{1}}},{2}}}";</script>'


@pytest.mark.parametrize(
    ("below", "live"),
    [
        ("", None),
        (DATA.format("live-header?assetId=c1", "true", ""), True),
        (DATA.format("live-header?assetId=c1", "false", ""), False),
        (DATA.format("live-header?assetId=c1", "false", '\\"isLive\\":true'), False),
        (DATA.format("x", "false", ""), False),
        (DATA.format("x", "false", '\\"isLive\\":true'), None),
    ],
)
def test_the_page_says_whether_it_is_live(below: str, live: bool | None) -> None:
    assert sources.read(page(post(), below=below)).head.live is live


def test_the_head_has_title_address_and_summary_points() -> None:
    points = (
        '<section data-testid="summary-points"><h2>Summary</h2><ul><li>One</li><li>Two</li></ul>'
    )
    head = sources.read(page(post(), above=points + "</section>")).head
    assert head.title == "Storm hits coast"
    assert head.summary == "One\nTwo"
    assert head.url == "https://www.bbc.co.uk/news/live/c1"


def test_without_summary_points_the_description_is_the_summary() -> None:
    head = sources.read(page(post(), head='<meta name="description" content="A  storm">')).head
    assert head.summary == "A storm"


def test_it_is_told_by_its_markup_whatever_its_host_and_before_json_ld() -> None:
    script = '<script type="application/ld+json">{"@type":"LiveBlogPosting"}</script>'
    assert sources.detect(page(post(), head=script)).name == "bbc"


def code(document: Document, source: str | None = None) -> tuple[str, str]:
    with pytest.raises(PageError) as caught:
        sources.read(document, source)
    assert caught.value.where == URL
    return caught.value.code, caught.value.health


def html(markup: str) -> Document:
    return Document(URL, markup.encode(), "text/html", SEEN_AT)


def test_a_live_page_without_posts_is_no_empty_page() -> None:
    assert bbc.detects(page())
    assert code(page()) == ("page.no_entries", "degraded")


def test_half_a_page_is_refused() -> None:
    whole = page(post(ONE), post(OTHER)).body.decode()
    assert code(html(whole[:-10])) == ("page.truncated", "degraded")


@pytest.mark.parametrize("source", [None, "bbc", "jsonld"])
@pytest.mark.parametrize(
    "markup",
    [
        "<html><head><title>Before you continue</title></head><body>Hello</body></html>",
        "<html><title>BBC</title><body>We use cookies. Do you agree?</body></html>",
        "<html><title>x.org</title><p>Please enable JS and disable any ad blocker</p></html>",
        "<html><title>Just a moment...</title><body></body></html>",
    ],
)
def test_a_consent_or_bot_page_is_named_as_such(markup: str, source: str | None) -> None:
    assert code(html(markup), source) == ("page.blocked", "blocked")


def test_a_long_page_that_mentions_cookies_is_no_consent_page() -> None:
    news = f"<html><title>News</title><body>{'<p>news</p>' * 1000}<a>Cookies</a></body></html>"
    assert code(html(news)) == ("page.no_source", "degraded")
    assert code(html(news), "bbc") == ("page.no_entries", "degraded")


def test_elements_that_are_never_closed_are_refused() -> None:
    assert code(page(post(body="<div>" * 100_000)), "bbc") == ("page.malformed", "degraded")


def test_a_post_inside_of_a_post_is_refused() -> None:
    assert code(page(post().replace("</article>", post(OTHER)))) == ("page.malformed", "degraded")


@pytest.mark.parametrize(
    "markup", ["<div>", "<ul><li>", "<table><tr><td>", "<blockquote>", "<a href='/x'>"]
)
def test_deep_nesting_loses_no_words(markup: str) -> None:
    assert "deep" in body_of(markup * 300 + "deep").text


def test_nested_figures_are_read_in_good_time() -> None:
    assert body_of("<figure><img src=/x.jpg alt=A><figcaption>" * 300 + "deep").media
