"""The `microdata` source: LiveBlogPosting as attributes of a page's elements."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import PageError
from service.model import Author, Entry, Image, Mark, Paragraph, Reading, Snapshot, content
from service.sources import microdata
from service.sources.base import Document, Memo

SEEN_AT = datetime(2024, 8, 5, 21, tzinfo=UTC)
URL = "https://news.example/live"
TEN = datetime(2024, 8, 5, 10, tzinfo=UTC)
TYPE = 'itemscope itemtype="https://schema.org/LiveBlogPosting"'
POST = 'itemscope itemtype="https://schema.org/BlogPosting"'
UPDATE = f'itemprop="liveBlogUpdate" {POST}'


def page(
    body: str, *, container: str = TYPE, head: str = "", reading: Reading | None = None
) -> Document:
    html = (
        f"<!DOCTYPE html><html><head><title>T</title>{head}</head><body><h1>The page</h1>"
        f"<div {container}>{body}</div></body></html>"
    )
    return Document(URL, html.encode(), "text/html", SEEN_AT, reading or Reading())


def read(body: str, **fields: Any) -> Snapshot:
    document = page(body, **fields)
    assert microdata.detects(document)
    return microdata.parse(document)


def entry(inner: str, attributes: str = f'{UPDATE} id="p1"', **fields: Any) -> Entry:
    return read(f"<div {attributes}>{inner}</div>", **fields).entries[0]


def post(number: int, inner: str = "") -> str:
    return (
        f'<article {UPDATE} id="post-{number}"><h3 itemprop="headline">Title {number}</h3>'
        f'<meta itemprop="datePublished" content="2024-08-05T10:{number:02}:00Z">'
        f'<div itemprop="articleBody"><p>Body {number}</p></div>{inner}</article>'
    )


def ids(snapshot: Snapshot) -> list[str]:
    return [one.id for one in snapshot.entries]


def code(document: Document) -> str:
    with pytest.raises(PageError) as caught:
        microdata.parse(document)
    return caught.value.code


def test_an_update_becomes_an_entry() -> None:
    snapshot = read(
        '<meta itemprop="headline" content="The blog"><meta itemprop="description" content="Why">'
        f'<meta itemprop="dateModified" content="2024-08-05T12:00:00+01:00">'
        f'<link itemprop="url" href="/live?x=1"><div {UPDATE} data-post-id="a1">'
        '<h2 itemprop="headline">Title</h2>'
        '<time itemprop="datePublished" datetime="2024-08-05T11:00:00+01:00">11:00</time>'
        '<meta itemprop="dateModified" content="2024-08-05T10:05:00Z">'
        '<span itemprop="author" itemscope itemtype="https://schema.org/Person">By '
        '<span itemprop="name">Jo</span></span>'
        '<div itemprop="articleBody"><p>See <a href="/y">this</a></p></div>'
        '<a itemprop="url" href="/live#a1">Link</a></div>'
    )
    assert (snapshot.source, snapshot.complete, snapshot.warnings) == ("microdata", False, ())
    assert (snapshot.head.title, snapshot.head.summary) == ("The blog", "Why")
    assert (snapshot.head.url, snapshot.head.live) == (f"{URL}?x=1", None)
    assert snapshot.modified == TEN.replace(hour=11)
    assert snapshot.entries == (
        Entry(
            id="a1",
            title="Title",
            published=TEN,
            updated=TEN.replace(minute=5),
            authors=(Author("Jo"),),
            body=(Paragraph("See this", (Mark(4, 8, "link", "https://news.example/y"),)),),
            url=f"{URL}#a1",
            position=1,
        ),
    )


# --- which elements are entries ------------------------------------------------------------------


@pytest.mark.parametrize(
    "attributes",
    [
        UPDATE,
        POST,
        f'itemprop="blogPost" {POST}',
        'itemprop="liveBlogUpdate"',
        'itemprop="x liveBlogUpdate" itemscope',
    ],
)
def test_updates_are_told_by_their_name_or_their_type(attributes: str) -> None:
    snapshot = read("".join(f'<p {attributes} id="e{n}">Body {n}</p>' for n in (2, 1)))
    assert [(e.id, e.text) for e in snapshot.entries] == [("e2", "Body 2"), ("e1", "Body 1")]


def test_what_stands_inside_of_an_update_is_no_update_of_its_own() -> None:
    assert ids(read(f'<div {UPDATE} id="a">x<div {POST} id="b">y</div></div>')) == ["a"]


def test_posts_beside_the_updates_are_not_the_pages() -> None:
    assert ids(read(post(1) + f'<div {POST} id="related">More</div>')) == ["1"]


def test_properties_of_an_update_that_is_no_item_are_its_own_and_not_the_pages() -> None:
    snapshot = read(
        '<div itemprop="liveBlogUpdate" id="a"><b itemprop="headline">A</b>'
        '<p itemprop="articleBody">x</p></div>'
    )
    assert (snapshot.head.title, snapshot.entries[0].title) == ("The page", "A")


@pytest.mark.parametrize(
    "body",
    [
        '<article data-id="2">Two</article><article data-id="1">One</article>',
        '<div id="entry-2">Two</div><aside id="ad-1"></aside><div id="entry-1">One</div>',
        '<ul><li id="item2">Two</li><li id="item1">One</li></ul><p id="end">x</p>',
    ],
)
def test_a_container_that_says_no_more_has_its_entries_told_by_their_form(body: str) -> None:
    assert [e.text for e in read(body).entries] == ["Two", "One"]


def test_entries_of_one_form_have_a_heading_as_title_and_an_element_as_time() -> None:
    body = (
        '<div id="e{0}"><time datetime="2024-08-05T10:0{0}:00Z">x</time><h3>T{0}</h3><p>B</p></div>'
    )
    first = read("".join(map(body.format, (2, 1)))).entries[0]
    assert first == Entry(
        id="e2",
        title="T2",
        published=TEN.replace(minute=2),
        body=(Paragraph("B"),),
        position=1,
    )


@pytest.mark.parametrize(
    "body",
    ["", "<p>One</p><p>Two</p>", '<div id="a">One</div><div id="b">Two</div>', '<p id="a1">x</p>'],
)
def test_a_container_without_entries_is_not_detected_and_no_empty_page(body: str) -> None:
    document = page(body)
    assert not microdata.detects(document)
    assert code(document) == "page.no_entries"


def test_other_types_and_words_are_not_enough() -> None:
    assert not microdata.detects(page(post(1), container=POST))
    assert not microdata.detects(page(f"{TYPE} itemtype", container=""))
    body = b'{"itemtype": "LiveBlogPosting"}'
    assert not microdata.detects(Document(URL, body, "application/json", SEEN_AT))


def test_of_several_containers_the_one_with_the_most_entries_is_the_page() -> None:
    teaser = f"<div {TYPE}>{post(9)}</div>"
    assert ids(read(f"</div>{teaser}<div {TYPE}>{post(2)}{post(1)}</div><div>")) == ["2", "1"]


# --- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "markup",
    [
        '<meta itemprop="headline" content="A title">',
        '<p itemprop="headline" content="A title"></p>',
        '<p itemprop="headline" content="A title">Other</p>',
        '<h2 itemprop="headline"><i>A</i> title</h2>',
        '<b itemprop="name">A title</b>',
        "<h3>A title</h3>",
    ],
)
def test_a_title_is_a_property_or_else_the_heading(markup: str) -> None:
    one = entry(markup + "<p>Text</p>")
    assert (one.title, one.text) == ("A title", "Text")


@pytest.mark.parametrize(
    "markup",
    [
        '<meta itemprop="datePublished" content="2024-08-05T10:00:00Z">',
        '<span itemprop="datePublished" content="2024-08-05T12:00:00+02:00">Noon</span>',
        '<time itemprop="datePublished" datetime="2024-08-05T10:00:00Z">2 hours ago</time>',
        '<time datetime="2024-08-05T10:00:00Z">10:00</time>',
        '<time itemprop="dateCreated">11:00 BST 5 August 2024</time>',
    ],
)
def test_a_time_is_a_property_or_else_the_element_for_it(markup: str) -> None:
    one = entry(f"{markup}<p>Text</p>")
    assert (one.published, one.text) == (TEN, "Text")


def test_relative_words_are_no_time() -> None:
    assert entry('<time itemprop="datePublished">2 hours ago</time>x').published is None


def test_a_time_without_a_zone_is_read_in_the_zone_that_a_person_chose() -> None:
    local = '<meta itemprop="datePublished" content="2024-08-05 12:00:00">x'
    assert entry(local, reading=Reading(zone="Europe/Berlin")).published == TEN
    assert entry(local).published is None


def test_a_time_in_the_text_is_not_the_updates() -> None:
    one = entry(
        '<div itemprop="articleBody">At <time datetime="2024-08-05T10:00Z">ten</time></div>'
    )
    assert (one.published, one.text) == (None, "At ten")


@pytest.mark.parametrize(
    ("markup", "names"),
    [
        ('<meta itemprop="author" content="Jo">', ["Jo"]),
        ('<a itemprop="author" itemscope href="/jo"><b itemprop="name">Jo</b></a>', ["Jo"]),
        ('<p itemprop="author" content="A"></p><p itemprop="author" content="B"></p>', ["A", "B"]),
        ('<div itemprop="publisher" itemscope><b itemprop="name">P</b></div>', []),
    ],
)
def test_authors_are_words_or_items(markup: str, names: list[str]) -> None:
    assert [author.name for author in entry(markup).authors] == names


@pytest.mark.parametrize(
    "markup",
    [
        '<h2 itemprop="articleBody" style="display:none">Text</h2>',
        '<meta itemprop="articleBody" content="&lt;p&gt;Text&lt;/p&gt;">',
        '<div itemprop="text">Text</div><div class="share-tools">Share</div>',
        '<meta itemprop="url" content="/x"><p>Text</p>',
    ],
)
def test_a_body_is_a_property_or_else_what_is_left(markup: str) -> None:
    assert entry(markup).body == (Paragraph("Text"),)


def test_a_picture_is_given_once() -> None:
    picture = (
        '<figure itemprop="image" itemscope><img itemprop="url" src="/i.jpg" alt="A">'
        '<figcaption itemprop="caption">C</figcaption></figure>'
    )
    image = Image("https://news.example/i.jpg", "A", "C")
    assert entry(picture + "<p>x</p>").media == (image,)
    assert entry(f'<div itemprop="articleBody">{picture}</div>').media == (image,)


def test_an_author_may_have_a_role() -> None:
    author = (
        '<p itemprop="author" itemscope><b itemprop="name">Jo</b>, <i itemprop="jobTitle">Ed</i>'
    )
    assert entry(author).authors == (Author("Jo", "Ed"),)


def test_a_picture_beside_the_body_keeps_its_words() -> None:
    picture = (
        '<figure itemprop="image" itemscope><img itemprop="contentUrl" src="/i.jpg" alt="A">'
        '<i itemprop="caption">C</i> <b itemprop="creditText">D</b></figure>'
    )
    one = entry(f'<p itemprop="articleBody">x</p>{picture}')
    assert one.media == (Image("https://news.example/i.jpg", "A", "C", "D"),)


def test_a_picture_that_only_a_property_names_is_media() -> None:
    meta = '<span itemprop="image" itemscope><meta itemprop="url" content="/i.jpg"></span>'
    assert entry(meta).media == (Image("https://news.example/i.jpg"),)


@pytest.mark.parametrize(
    ("attributes", "inner", "expected"),
    [
        ('itemid="https://n.example/live#a1" id="x"', "", "a1"),
        ('data-post-id="a1" id="x"', "", "a1"),
        ('id="post-71"', "", "71"),
        ("", f'<link itemprop="url" href="{URL}#a1">', "a1"),
        ("", '<h3 itemprop="headline"><a href="/2024/slug">A</a></h3>', "/2024/slug"),
        ("", '<meta itemprop="mainEntityOfPage" itemscope itemid="/live#a1">', "a1"),
    ],
)
def test_ids_are_the_publishers(attributes: str, inner: str, expected: str) -> None:
    assert entry(inner, f"{UPDATE} {attributes}").id == expected


def test_without_an_id_time_and_headline_make_one() -> None:
    made = entry(f'<link itemprop="url" href="{URL}"><h3 itemprop="headline">A</h3>text', UPDATE).id
    assert len(made) == 32


def test_a_pinned_copy_is_the_entry_in_its_own_place() -> None:
    pinned = post(1).replace("<article", '<article class="live-pinned"')
    snapshot = read(pinned + post(3) + post(2) + post(1))
    assert [(e.id, e.labels) for e in snapshot.entries] == [
        ("3", ()),
        ("2", ()),
        ("1", ("pinned",)),
    ]


def test_a_pinned_post_that_is_shown_once_is_an_entry() -> None:
    pinned = post(1).replace("<article", '<article class="live-pinned"')
    assert ids(read(pinned + post(3) + post(2))) == ["1", "3", "2"]


def test_what_an_entry_only_repeats_from_its_page_is_not_its_own() -> None:
    same = (
        '<meta itemprop="headline" content="Live"><meta itemprop="author" content="Desk">'
        '<meta itemprop="image" content="/i.jpg">'
        '<meta itemprop="datePublished" content="2024-08-05T10:00:00Z">'
    )
    one = read(f'{same}<div {UPDATE} id="a">{same}<p>x</p></div>').entries[0]
    assert (one.title, one.authors, one.media, one.published) == (None, (), (), None)


def test_what_an_entry_says_does_not_depend_on_its_neighbours() -> None:
    before, after = read(post(2) + post(1)), read(post(3) + post(2) + post(1))
    assert [content(e) for e in after.entries[1:]] == [content(e) for e in before.entries]


def test_a_memo_changes_nothing() -> None:
    memo = Memo()
    for head in ("", '<link rel="canonical" href="/other">'):
        document = page(post(2) + post(1), head=head)
        assert microdata.parse(document, memo) == microdata.parse(document)
        memo.turn()


def test_half_a_page_is_refused() -> None:
    document = page(post(2) + post(1))
    half = Document(URL, document.body[:-20], "text/html", SEEN_AT)
    assert code(half) == "page.truncated"


def test_an_empty_body_and_a_consent_page_are_named() -> None:
    assert code(Document(URL, b" ", "text/html", SEEN_AT)) == "page.empty"
    wall = b"<html><head><title>Before you continue</title></head><body>Cookies</body></html>"
    assert code(Document(URL, wall, "text/html", SEEN_AT)) == "page.blocked"


PIECES = st.sampled_from(
    [
        *(post(1), post(2), f"<div {UPDATE}>", f"<div {POST}>", f"<div {TYPE}>", "</div>"),
        *(
            '<p itemprop="headline">',
            '<b itemprop="author" itemscope>',
            '<i itemprop="url" id="7">',
        ),
        *('<meta itemprop="image" content="::">', '<a itemprop="url" href="http://[">', "text"),
        *('<time itemprop="datePublished">', '<p itemprop="articleBody" content>', "<article>"),
        *(
            '<div itemprop="liveBlogUpdate">',
            '<div itemprop="" itemscope itemid="#">',
            "</article>",
        ),
    ]
)


@given(parts=st.lists(PIECES, max_size=12))
def test_any_markup_gives_a_snapshot_or_a_page_error(parts: list[str]) -> None:
    document = page("".join(parts))
    if not microdata.detects(document):
        assert code(document) == "page.no_entries"
        return
    names = ids(microdata.parse(document))
    assert all(names)
    assert len(set(names)) == len(names) > 0
