"""Where HTML becomes text: what counts, what does not, and what becomes of the rest."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from service.errors import PageError
from service.model import (
    Block,
    Embed,
    Entry,
    Heading,
    Image,
    Line,
    ListBlock,
    Mark,
    Media,
    Paragraph,
    Quote,
    Table,
    Video,
    content_digest,
)
from service.sources import html

BASE = "https://news.example.org/live/1"


def body(markup: str) -> tuple[Block, ...]:
    return html.fragment(markup, base_url=BASE).body


def media(markup: str) -> tuple[Media, ...]:
    return html.fragment(markup, base_url=BASE).media


def lines(markup: str) -> list[str]:
    return Entry(id="e", body=body(markup)).text.split("\n")


def digest(markup: str) -> str:
    read = html.fragment(markup, base_url=BASE)
    return content_digest(Entry(id="e", body=read.body, media=read.media))


def node(markup: str, selector: str = "body") -> html.LexborNode:
    found = LexborHTMLParser(markup).css_first(selector)
    assert found is not None
    return found


# --- what is no text -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "noise",
    [
        '<span class="visually-hidden">Spoken</span>',
        '<span class="u-hidden-visually">Spoken</span>',
        '<span class="sr-only">Spoken</span>',
        '<span class="a11y-text">Spoken</span>',
        "<span hidden>Unseen</span>",
        '<span style="color: red; DISPLAY : none">Unseen</span>',
        '<span style="visibility:hidden">Unseen</span>',
        '<div class="share">Share</div>',
        '<div class="story-share-buttons">Share</div>',
        '<div class="social-sharing">Share</div>',
        '<div data-testid="share-tools">Share</div>',
        '<div class="ad-slot ad-slot--inline1">Advertisement</div>',
        '<div class="ad_container">Advertisement</div>',
        '<ins class="adsbygoogle">Advertisement</ins>',
        '<div id="div-gpt-ad-17">Advertisement</div>',
        "<button>Share</button>",
        "<svg><title>Icon</title></svg>",
        "<time>21 mins ago</time>",
        '<time datetime="2026-08-04T16:03Z">2h ago</time>',
        "<time><span>vor</span> 5 Minuten</time>",
        '<span class="timestamp">just now</span>',
        '<span data-testid="relative-time">il y a 5 min</span>',
        "<relative-time>Yesterday, 10:17</relative-time>",
        '<time><span>2h</span><span class="sr-only">Updated 2 hours ago</span></time>',
    ],
)
def test_what_a_reader_does_not_see_or_does_not_read_is_no_text(noise: str) -> None:
    markup = f"<div>Words {noise} and more</div>"
    assert lines(markup.replace("div>", "section>")) in (
        ["Words and more"],
        ["Words", "and more"],
    )
    assert html.text(node(markup)) == "Words and more"


@pytest.mark.parametrize(
    "words",
    [
        '<span aria-hidden="true">and</span>',
        '<span class="shared-values">and</span>',
        '<span class="not-sr-only">and</span>',
        '<span class="broad-slot">and</span>',
        '<span class="timeline">and</span>',
        '<time datetime="1914-07-28">and</time>',
    ],
)
def test_what_only_looks_like_noise_is_text(words: str) -> None:
    assert lines(f"<p>Words {words} more</p>") == ["Words and more"]


def test_words_shown_and_spoken_are_text_once() -> None:
    markup = '<p><span aria-hidden="true">3-1</span><span class="sr-only">Three one</span></p>'
    assert lines(markup) == ["3-1"]


@pytest.mark.parametrize("words", ["21:00", "4:03 PM", "17.09.2024 • 20:11 Uhr"])
def test_a_clock_alone_on_its_line_is_when_the_entry_came(words: str) -> None:
    assert body(f"<header><time>{words}</time></header><p>Words</p>") == (Paragraph("Words"),)


def test_a_clock_inside_of_words_is_what_they_say() -> None:
    assert lines("<p>Doors open at <time>19:30</time>.</p>") == ["Doors open at 19:30."]
    assert lines("<ul><li><time>19:30</time></li></ul>") == ["19:30"]
    assert lines("<table><tr><td><time>19:30</time></td><td>Doors</td></tr></table>") == [
        "19:30\tDoors"
    ]
    assert lines("<p><time>28 July 1914</time></p>") == ["28 July 1914"]


# --- blocks and marks ----------------------------------------------------------------------------


def test_each_kind_of_block_is_kept() -> None:
    assert body(
        "<h2>Head</h2><p>One <b>bold</b> <a href='/x'>link</a></p><ol><li>a<ul><li>b</ul></ol>"
        "<blockquote>Said<cite>Jo</cite></blockquote>"
        "<table><caption>Count</caption><tr><th>n</th><td>1</td></tr></table>"
        "<iframe src='//www.charts.example/c/1?session=2#top'></iframe>"
    ) == (
        Heading("Head", 2),
        Paragraph(
            "One bold link",
            (Mark(4, 8, "strong"), Mark(9, 13, "link", "https://news.example.org/x")),
        ),
        ListBlock((Line("a"), Line("b")), ordered=True),
        Quote("Said", cite="Jo"),
        Paragraph("Count"),
        Table((("n", "1"),)),
        Embed("charts.example", "https://www.charts.example/c/1"),
    )


@pytest.mark.parametrize(
    "around",
    ["<ul><li>{}</li></ul>", "<blockquote>{}</blockquote>", "<table><tr><td>{}</td></tr></table>"],
)
def test_an_embed_inside_of_a_block_follows_it(around: str) -> None:
    frame = Embed("charts.example", "https://charts.example/c")
    inside = around.format("Words<iframe src='https://charts.example/c'></iframe>")
    first, second = body(inside)
    assert (second, list(Entry(id="e", body=(first,)).text.split("\n"))) == (frame, ["Words"])
    assert body(around.format("<iframe src='https://charts.example/c'></iframe>")) == (frame,)


def test_white_space_and_invisible_characters_do_not_count() -> None:
    assert lines("<p>\n  a\u00adb <b> c\u200b</b>\u00a0\n d</p>") == ["ab c d"]


def test_external_is_said_of_a_link_and_not_by_it() -> None:
    markup = "<p><b><a href='https://e.org/'>Here<span>, external</span></a></b>, now</p>"
    assert body(markup) == (
        Paragraph("Here, now", (Mark(0, 4, "link", "https://e.org/"), Mark(0, 4, "strong"))),
    )


def test_a_block_without_words_is_none() -> None:
    assert body("<p> </p><p><a href='/x'>, external</a></p><h2></h2><ul><li></li></ul>") == ()
    assert body("<h2>a<br><a href='/x'>, external</a></h2>") == (Heading("a", 2),)


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("https://e.org/a/b?x=1#y", "https://e.org/a/b?x=1#y"),
        ("/a/b.html", "https://news.example.org/a/b.html"),
        ("/a/../b", "https://news.example.org/b"),
        ("c", "https://news.example.org/live/c"),
        ("//e.org/x", "https://e.org/x"),
        ("HTTPS://e.org", "https://e.org"),
        ("javascript:alert(1)", None),
        ("https://[", None),
        ("", BASE),
    ],
)
def test_addresses_are_made_absolute(address: str, meant: str | None) -> None:
    assert html.web_url(address, BASE) == meant


def test_a_link_that_a_machine_adds_is_only_words() -> None:
    markup = '<p>On <a href="https://e.org/mars" data-component="auto-linked-tag">Mars</a>.</p>'
    assert body(markup) == (Paragraph("On Mars."),)


# --- posts of other sites ------------------------------------------------------------------------

POST = (
    '<blockquote class="{}"><p lang="en">The rocket <a href="https://t.co/1">pic.twitter.com/1</a>'
    '</p>&mdash; Jo (@jo) <a href="https://twitter.com/jo/status/17{}">August 4, 2026</a>'
    "</blockquote><script async src='https://platform.twitter.com/widgets.js'></script>"
)


@pytest.mark.parametrize(
    "markup", [POST.format("nojs-tweet", "?ref_src=twsrc%5Etfw"), POST.format("", "?s=20")]
)
def test_a_microblog_post_is_the_same_quote_whatever_its_class(markup: str) -> None:
    usual = body(POST.format("twitter-tweet", "?ref_src=twsrc%5Etfw"))
    assert body(markup) == usual
    (quote,) = usual
    assert isinstance(quote, Quote)
    assert quote.text == "The rocket pic.twitter.com/1 — Jo (@jo) August 4, 2026"
    assert quote.marks[-1].url == "https://twitter.com/jo/status/17"


@pytest.mark.parametrize(
    ("markup", "embed"),
    [
        (
            '<blockquote class="instagram-media" data-instgrm-permalink='
            '"https://www.instagram.com/p/Ab_1/?utm_source=ig_embed"><a>View this post</a>',
            Embed("instagram.com", "https://www.instagram.com/p/Ab_1/"),
        ),
        (
            '<blockquote><a href="https://www.instagram.com/p/Ab_1/?x=1">View this post on'
            " Instagram</a><p>A post shared by Jo</p>",
            Embed("instagram.com", "https://www.instagram.com/p/Ab_1/"),
        ),
        (
            '<blockquote class="tiktok-embed" cite="https://www.tiktok.com/@jo/video/1"><a>@jo</a>',
            Embed("tiktok.com", "https://www.tiktok.com/@jo/video/1"),
        ),
        (
            '<div class="fb-post" data-href="https://www.facebook.com/jo/posts/1"></div>',
            Embed("facebook.com", "https://www.facebook.com/jo/posts/1"),
        ),
        (
            '<iframe src="about:blank" data-src="https://www.youtube.com/embed/1?rel=0"></iframe>',
            Embed("youtube.com", "https://www.youtube.com/embed/1"),
        ),
    ],
)
def test_a_post_or_frame_of_another_site_is_an_embed(markup: str, embed: Embed) -> None:
    assert body(markup) == (embed,)


def test_a_quote_with_a_link_to_a_post_is_a_quote() -> None:
    markup = '<blockquote>See <a href="https://www.instagram.com/p/1/">this</a></blockquote>'
    assert [type(block) for block in body(markup)] == [Quote]


def test_a_frame_that_nobody_sees_is_none() -> None:
    assert body('<iframe src="https://count.example/" width="0" height="0"></iframe>') == ()


# --- pictures and videos -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("picture", "url"),
    [
        ('<img src="/a.jpg">', "/a.jpg"),
        ('<img src="/placeholder.gif" data-src="/a.jpg">', "/a.jpg"),
        ('<img src="data:image/gif;base64,R0" data-srcset="/a.jpg 480w, /b.jpg 2x">', "/a.jpg"),
        ('<img srcset="/a.jpg 480w, /b.jpg 960w">', "/a.jpg"),
        ('<picture><source srcset="/a.jpg 480w, /b.jpg 960w"><img></picture>', "/a.jpg"),
        ('<picture><source srcset="/b.webp"><img src="/a.jpg"></picture>', "/a.jpg"),
        ('<amp-img src="/a.jpg"></amp-img>', "/a.jpg"),
    ],
)
@pytest.mark.parametrize("around", ["<p>{}</p>", "<figure><div>{}</div></figure>"])
def test_a_picture_has_its_real_address(around: str, picture: str, url: str) -> None:
    assert media(around.format(picture)) == (Image(f"https://news.example.org{url}"),)


def test_a_pixel_is_no_picture() -> None:
    assert media('<img src="/count" width="1"><img src="/count" width="0" height="0">') == ()
    assert media('<figure><img src="/a"><img src="/b" height="1"></figure>') == (
        Image("https://news.example.org/a"),
    )


@pytest.mark.parametrize(
    "words",
    [
        '<figcaption><span class="caption">C</span> <span class="credit">P</span></figcaption>',
        '<figcaption class="caption-and-credit">C <i class="Credit">P</i></figcaption>',
        '<span class="sr-only">Image source, </span><figcaption>C</figcaption>',
        '<div class="with-credit"><figcaption>C</figcaption><i class="credit">P</i></div>',
        '<div class="image-caption">C</div><div class="image-credit">P</div>',
        '<span><span class="sr-only">Image source, </span>P</span><figcaption>C</figcaption>',
    ],
)
def test_captions_and_credits_belong_to_the_picture(words: str) -> None:
    read = html.fragment(f'<p>Words</p><figure class="has-credit"><img alt="A">{words}</figure>')
    assert read.body == (Paragraph("Words"),)
    (image,) = read.media
    assert image == Image(alt="A", caption="C", credit="P" if ">P<" in words else None)


def test_a_caption_that_is_only_a_credit_is_no_caption() -> None:
    assert media('<figure><img alt="A"><figcaption class="credit">P</figcaption></figure>') == (
        Image(alt="A", credit="P"),
    )


def test_a_caption_beside_its_figure_belongs_to_the_picture_right_above() -> None:
    caption = '<figcaption>C <span class="credit">P</span></figcaption>'
    read = html.fragment(f'<div><figure><img alt="A"></figure>{caption}</div><p>Words</p>')
    assert read == html.Content((Paragraph("Words"),), (Image(alt="A", caption="C", credit="P"),))
    apart = html.fragment(f'<figure><img alt="A"></figure><p>Words</p>{caption}')
    assert apart == html.Content((Paragraph("Words"), Paragraph("C P")), (Image(alt="A"),))


def test_a_gallery_gives_each_picture_its_own_caption() -> None:
    one = '<figure><img alt="{0}"><figcaption>{0}</figcaption></figure>'
    markup = f"<figure>{one.format('A')}{one.format('B')}</figure>"
    assert media(markup) == (Image(alt="A", caption="A"), Image(alt="B", caption="B"))


def test_a_table_or_a_quote_in_a_figure_is_not_lost_to_its_pictures() -> None:
    table = '<figure><table><tr><td><img alt="Flag">One</td></tr></table></figure>'
    assert html.fragment(table) == html.Content((Table((("One",),)),), (Image(alt="Flag"),))
    shared = '<figure><img alt="A"><ul class="share-tools"><li>X</ul><i class=credit>P</i></figure>'
    assert html.fragment(shared) == html.Content((), (Image(alt="A", credit="P"),))


def test_a_video_is_told_by_its_element_its_name_or_its_caption() -> None:
    assert media('<video data-src="/v.mp4"></video>') == (Video("https://news.example.org/v.mp4"),)
    assert media('<div class="media-player"><p>Loading</p></div>') == (Video(),)
    captioned = "<figure><img alt='A'><figcaption>Video caption, C</figcaption></figure>"
    assert media(captioned) == (Video(caption="C"),)


# --- what changes by itself never makes an edit --------------------------------------------------

PAGE = (
    '<div id="a1" class="css-1x Block"><p id="b2" class="css-9 Text">Some <a class="css-3" '
    'href="https://e.org/">words</a> here.</p><figure id="f3" class="css-4"><picture>'
    '<source srcset="https://i.example/1.webp?s=aa 480w"><img class="css-5" alt="Alt" '
    'src="https://i.example/480/1.jpg?width=480&amp;s=aa" srcset="https://i.example/2.jpg?s=aa 2x"'
    ' width="480"></picture><figcaption>Caption <span class="credit">EPA</span></figcaption>'
    "</figure><time>21 mins ago</time><ul><li>one</li></ul></div>"
)


@given(salt=st.integers(0, 10**6), minutes=st.integers(1, 59), is_turned=st.booleans())
def test_ids_hashes_sizes_signatures_and_relative_times_make_no_edit(
    salt: int, minutes: int, is_turned: bool
) -> None:
    other = re.sub(r'id="\w+"', f'id="x{salt}"', PAGE)
    other = re.sub(r"css-\w+", f"css-{salt}", other)
    other = re.sub(r"s=aa", f"s={salt}", other).replace("480", str(480 + salt))
    other = other.replace("21 mins", f"{minutes} mins").replace("> <", f">{' ' * (salt % 5)} <")
    if is_turned:
        other = re.sub(r"<(\w+) ([\w-]+=\"[^\"]*\") ([\w-]+=\"[^\"]*\")", r"<\1 \3 \2", other)
    assert digest(other) == digest(PAGE)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [("Some", "All"), ("e.org", "e.net"), ("Caption", "Other"), ("EPA", "AP"), (">one", ">two")],
)
def test_what_a_page_says_makes_an_edit(was: str, becomes: str) -> None:
    assert digest(PAGE.replace(was, becomes)) != digest(PAGE)


def test_a_dead_live_blog_reads_the_same_years_later(corpus: Path) -> None:
    """Between the two captures the raw HTML of many elements changed, and the words of none."""
    names = ("snapshot-a_2021-08-17", "snapshot-c_2024-02-06")
    files = [corpus / f"guardian_nasa-mars_{name}.json" for name in names]
    old, new = (_html_elements(file) for file in files)
    assert len(old) == len(new) > 20
    assert old != new
    assert [html.fragment(one) for one in old] == [html.fragment(one) for one in new]


def _html_elements(file: Path) -> list[str]:
    blocks = msgspec.json.decode(file.read_bytes())["blocks"]
    elements = [element for block in blocks for element in block["elements"]]
    return [element["html"] for element in elements if "html" in element]


# --- pages that mean harm ------------------------------------------------------------------------


def test_elements_that_never_end_are_refused() -> None:
    with pytest.raises(PageError) as caught:
        html.parsed("<DIV>" * 2001, where=BASE)
    assert caught.value.code == "page.malformed"
    assert html.parsed("<div>" * 2000 + "</p>" * 9000, where=BASE).body is not None
    assert html.parsed("<div></DIV>" * 9000, where=BASE).body is not None


@pytest.mark.parametrize(
    "shape",
    [
        "<figure><blockquote>",
        "<figure>",
        "<blockquote>",
        "<ul><li>",
        "<div class=timeline>",
        "<time>",
    ],
)
def test_deep_nesting_is_read_once_a_level(shape: str) -> None:
    markup = shape * 200 + "<img alt='A'>Words" * 50
    assert "Words" in "".join(lines(markup))
    assert "Words" in html.text(node(markup))


def test_many_external_links_on_one_line_are_read_in_one_pass() -> None:
    count = 20_000
    (block,) = body("<p>" + "<a href='/x'>a, external</a> " * count)
    assert isinstance(block, Paragraph)
    assert block.text == " ".join("a" * count)
    assert block.marks[-1] == Mark(
        2 * count - 2, 2 * count - 1, "link", "https://news.example.org/x"
    )


@pytest.mark.parametrize(
    ("markup", "is_closed"),
    [
        ("<html><body></body></HTML>\n", True),
        ("<html><body></html>" + " " * 5000, True),
        ("<HTML><body>", False),
        ("<p>A piece", True),
    ],
)
def test_a_document_is_closed_when_it_says_so_or_never_began(markup: str, is_closed: bool) -> None:
    assert html.is_closed(markup) is is_closed
