"""A page as JSON Feed and Atom: what readers need, whatever the page says."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model import (
    Author,
    Block,
    Embed,
    Entry,
    Heading,
    Health,
    Image,
    Line,
    ListBlock,
    Mark,
    PageRef,
    Paragraph,
    Quote,
    Table,
    Video,
)
from workers.gateway.protocol import KnownEntry, PageSnapshot
from workers.gateway.syndication import atom, json_feed

NOON = datetime(2025, 4, 25, 12, 0, tzinfo=UTC)
PAGE = PageRef(id="port-ellis", url="https://news.example/live/port-ellis", title="Port Ellis")
SELF = "https://stoppress.example/v1/pages/port-ellis/feed"
NS = {"a": "http://www.w3.org/2005/Atom"}
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def entry(number: int = 1, *body: Block, **fields: Any) -> Entry:
    given = {"id": f"e{number}", "published": NOON + timedelta(minutes=number), "body": body}
    return Entry(**(given | fields))


def snapshot(
    *entries: Entry | KnownEntry, page: PageRef = PAGE, summary: str | None = None
) -> PageSnapshot:
    known = [each if isinstance(each, KnownEntry) else known_as(each) for each in entries]
    return PageSnapshot("c", page, "live", summary, Health(since=NOON), 1, tuple(known))


def known_as(each: Entry, revision: int = 1, removed: bool = False) -> KnownEntry:
    return KnownEntry(each, revision=revision, baseline=False, removed=removed)


def items(*entries: Entry | KnownEntry, **fields: Any) -> list[dict[str, Any]]:
    return json.loads(json_feed(snapshot(*entries), SELF, **fields))["items"]  # type: ignore[no-any-return]


def html(*body: Block, **fields: Any) -> str:
    return str(items(entry(1, *body, **fields))[0]["content_html"])


def xml(*entries: Entry | KnownEntry, **fields: Any) -> ElementTree.Element:
    return ElementTree.fromstring(atom(snapshot(*entries), SELF, **fields))


def texts(root: ElementTree.Element, path: str) -> list[str]:
    return [each.text or "" for each in root.findall(path, NS)]


# --- what the formats demand ---------------------------------------------------------------------


def check_json_feed(feed: dict[str, Any]) -> None:
    """What JSON Feed 1.1 requires, and the kinds of what it allows."""
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert isinstance(feed["title"], str)
    assert isinstance(feed["items"], list)
    assert all(isinstance(feed[name], str) for name in ("home_page_url", "feed_url"))
    for item in feed["items"]:
        assert isinstance(item["id"], str)
        assert item["id"]
        assert isinstance(item["content_html"], str)
        assert all(isinstance(item.get(name, ""), str) for name in ("url", "title", "summary"))
        for name in {"date_published", "date_modified"} & set(item):
            assert RFC3339.fullmatch(item[name])
        assert all(set(author) == {"name"} and author["name"] for author in item.get("authors", []))
        assert all(isinstance(tag, str) and tag for tag in item.get("tags", []))
        custom = set(item) - {
            *("id", "url", "title", "content_html", "summary", "date_published"),
            *("date_modified", "authors", "tags"),
        }
        assert custom == {"_stoppress"}
    ids = [item["id"] for item in feed["items"]]
    assert len(set(ids)) == len(ids)


def check_atom(feed: ElementTree.Element) -> None:
    """RFC 4287 sections 4.1.1 and 4.1.2: what must be there, once, and in what kind."""
    assert feed.tag == f"{{{NS['a']}}}feed"
    assert texts(feed, "a:author/a:name") != [""]
    assert len(feed.findall("a:subtitle", NS)) <= 1
    assert [link.get("rel") for link in feed.findall("a:link", NS)] == ["self", "alternate"]
    entries = feed.findall("a:entry", NS)
    for each in (feed, *entries):
        for name in ("id", "title", "updated"):
            (text,) = texts(each, f"a:{name}")
            assert text, name
        assert RFC3339.fullmatch(texts(each, "a:updated")[0])
        assert urlsplit(texts(each, "a:id")[0]).scheme
        assert all(texts(each, "a:author/a:name"))
        assert all(link.get("href") for link in each.findall("a:link", NS))
    for each in entries:
        assert len(each.findall("a:published", NS)) <= 1
        assert len(each.findall("a:summary", NS)) <= 1
        assert len(each.findall("a:link[@rel='alternate']", NS)) == 1
        (content,) = each.findall("a:content", NS)
        assert content.get("type") == "html"
        assert all(category.get("term") for category in each.findall("a:category", NS))
    assert len(set(texts(feed, "a:entry/a:id"))) == len(entries)
    if entries:
        assert texts(feed, "a:updated")[0] == latest(texts(feed, "a:entry/a:updated"))


def latest(moments: list[str]) -> str:
    return max(moments, key=datetime.fromisoformat)


# --- the feed ------------------------------------------------------------------------------------


def test_an_entry_in_both_formats() -> None:
    said = entry(
        title="Harbour reopens",
        updated=NOON + timedelta(hours=1),
        url="https://news.example/live/port-ellis#p1",
        labels=("breaking", "key", "breaking"),
        authors=(Author("Jo Ames", "Harbour editor"), Author("Sam Lee")),
        body=(Paragraph("The harbour is open."),),
    )
    page = snapshot(said, summary="All of the day")
    assert json.loads(json_feed(page, f"{SELF}.json")) == {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "Port Ellis",
        "home_page_url": PAGE.url,
        "feed_url": f"{SELF}.json",
        "description": "All of the day",
        "items": [
            {
                "id": f"{PAGE.url}#e1",
                "url": "https://news.example/live/port-ellis#p1",
                "title": "Harbour reopens",
                "content_html": "<p>The harbour is open.</p>",
                "summary": "The harbour is open.",
                "date_published": "2025-04-25T12:01:00Z",
                "date_modified": "2025-04-25T13:00:00Z",
                "authors": [{"name": "Jo Ames (Harbour editor)"}, {"name": "Sam Lee"}],
                "tags": ["breaking", "key"],
                "_stoppress": {"entry": "e1", "revision": 1},
            }
        ],
    }
    assert atom(page, f"{SELF}.atom").decode() == (
        "<?xml version='1.0' encoding='utf-8'?>\n"
        '<feed xmlns="http://www.w3.org/2005/Atom">'
        f"<id>{PAGE.url}</id><title>Port Ellis</title><updated>2025-04-25T13:00:00Z</updated>"
        "<author><name>news.example</name></author>"
        f'<link rel="self" href="{SELF}.atom" /><link rel="alternate" href="{PAGE.url}" />'
        "<subtitle>All of the day</subtitle>"
        f"<entry><id>{PAGE.url}#e1</id><title>Harbour reopens</title>"
        "<published>2025-04-25T12:01:00Z</published><updated>2025-04-25T13:00:00Z</updated>"
        "<author><name>Jo Ames (Harbour editor)</name></author>"
        "<author><name>Sam Lee</name></author>"
        '<category term="breaking" /><category term="key" />'
        '<link rel="alternate" href="https://news.example/live/port-ellis#p1" />'
        "<summary>The harbour is open.</summary>"
        '<content type="html">&lt;p&gt;The harbour is open.&lt;/p&gt;</content></entry></feed>'
    )


def test_newest_first_bounded_and_without_what_was_withdrawn() -> None:
    known = [
        entry(1),
        known_as(entry(4), removed=True),
        entry(3),
        entry(9, published=None),
        entry(2),
    ]
    ids = [f"{PAGE.url}#{each}" for each in ("e3", "e2", "e1", "e9")]
    assert [item["id"] for item in items(*known)] == ids
    assert [item["id"] for item in items(*known, most=2)] == ids[:2]
    assert texts(xml(*known), "a:entry/a:id") == ids[:3]
    assert texts(xml(*known, most=2), "a:entry/a:id") == ids[:2]


def test_an_entry_without_a_moment_gets_none() -> None:
    undated = entry(published=None)
    assert {"date_published", "date_modified"}.isdisjoint(items(undated)[0])
    assert xml(undated).find("a:entry", NS) is None


def test_an_edit_without_a_time_of_the_publisher_has_the_one_at_which_it_was_seen() -> None:
    seen = NOON + timedelta(hours=3)
    edited = msgspec.structs.replace(known_as(entry(), revision=2), changed=seen)
    fresh = msgspec.structs.replace(known_as(entry()), changed=seen)
    page = msgspec.structs.replace(snapshot(), entries=(edited, fresh))
    dates = [one["date_modified"] for one in json.loads(json_feed(page, SELF))["items"]]
    assert [date == "2025-04-25T15:00:00Z" for date in dates] == [True, False]


@pytest.mark.parametrize(("since", "said"), [(NOON, "2025-04-25T12:00:00Z"), (None, "1970-01-01")])
def test_a_feed_without_entries_is_valid(since: datetime | None, said: str) -> None:
    empty = msgspec.structs.replace(snapshot(), health=Health(since=since))
    root = ElementTree.fromstring(atom(empty, SELF))
    check_atom(root)
    assert texts(root, "a:updated")[0].startswith(said)
    check_json_feed(json.loads(json_feed(empty, SELF)))


def test_updated_is_the_later_of_the_publishers_times() -> None:
    early = entry(5, updated=NOON)
    late = entry(4, updated=NOON + timedelta(hours=2))
    root = xml(early, late)
    assert texts(root, "a:entry/a:updated") == ["2025-04-25T12:05:00Z", "2025-04-25T14:00:00Z"]
    assert texts(root, "a:updated") == ["2025-04-25T14:00:00Z"]


def test_an_edit_keeps_the_id_and_tells_its_revision() -> None:
    before, after = entry(1, Paragraph("Two dead")), entry(1, Paragraph("Three dead"))
    (old,), (new,) = items(before), items(known_as(after, revision=2))
    assert (old["id"], old["url"]) == (new["id"], new["url"])
    assert (old["_stoppress"]["revision"], new["_stoppress"]["revision"]) == (1, 2)


@pytest.mark.parametrize(
    ("url", "key", "uri"),
    [
        ("https://n.example/l", "urn:x:1 ü", "https://n.example/l#urn%3Ax%3A1%20%C3%BC"),
        ("https://n.example/l?a=b", "a#b", "https://n.example/l?a=b#a%23b"),
        ("https://n.example/l#top", "a/b", "https://n.example/l#top/a%2Fb"),
        ("https://n.example/l", "\ud800", "https://n.example/l#%ED%A0%80"),
    ],
)
def test_an_id_is_an_address_with_one_fragment(url: str, key: str, uri: str) -> None:
    page = msgspec.structs.replace(PAGE, url=url)
    feed = json.loads(json_feed(snapshot(entry(id=key), page=page), SELF))
    assert feed["items"][0]["id"] == uri


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({"title": " A\n title "}, "A title"),
        ({"title": " ", "body": (Paragraph("Short."), Paragraph("More."))}, "Short. More."),
        ({"body": (Paragraph("word " * 40),)}, ("word " * 16).strip() + "…"),
        ({"body": (Paragraph("字" * 100),)}, "字" * 80 + "…"),
        ({"media": (Image(alt=" "), Image(alt="A ship"))}, "A ship"),
        ({"media": (Video(caption="Sirens"),)}, "Sirens"),
        ({}, "Untitled"),
    ],
)
def test_every_entry_has_a_title(fields: dict[str, Any], title: str) -> None:
    assert items(entry(**fields))[0]["title"] == title
    assert texts(xml(entry(**fields)), "a:entry/a:title") == [title]


# --- content -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "markup"),
    [
        (Paragraph("1 < 2 & 3"), "<p>1 &lt; 2 &amp; 3</p>"),
        (ListBlock((Line("a"), Line("b"))), "<ul><li>a</li><li>b</li></ul>"),
        (ListBlock((Line("a"),), ordered=True), "<ol><li>a</li></ol>"),
        (Quote("Said", cite="Jo"), "<blockquote><p>Said</p><footer>— Jo</footer></blockquote>"),
        (Heading("Now", level=1), "<h3>Now</h3>"),
        (Heading("Now", level=9), "<h6>Now</h6>"),
        (
            Table((("a", "<b>"), ("c",))),
            "<table><tbody><tr><td>a</td><td>&lt;b&gt;</td></tr><tr><td>c</td></tr></tbody></table>",
        ),
        (
            Image("https://i.example/a.jpg", 'The "A"', "A ship", "AP"),
            '<figure><img src="https://i.example/a.jpg" alt="The &quot;A&quot;">'
            "<figcaption>A ship <small>AP</small></figcaption></figure>",
        ),
        (Image(None, alt="A ship"), "<figure><p>Image: A ship</p></figure>"),
        (Image("data:image/png,x"), ""),
        (Video("https://v.example/1"), '<p>▶ <a href="https://v.example/1">Video</a></p>'),
        (Embed("X", "https://x.example/1"), '<p><a href="https://x.example/1">From X</a></p>'),
        (Embed(None, "javascript:alert(1)"), "<p>Embedded</p>"),
    ],
)
def test_every_block_is_html(block: Block, markup: str) -> None:
    assert html(block) == markup


def test_media_come_after_the_body() -> None:
    assert html(Paragraph("One"), media=(Video(caption="Two"),)) == "<p>One</p><p>▶ Two</p>"


LINK = Mark(0, 7, "link", "https://a.example/?b=1&c=2")
A = '<a href="https://a.example/?b=1&amp;c=2">'


@pytest.mark.parametrize(
    ("marks", "markup"),
    [
        ((LINK,), f"{A}one two</a> three"),
        ((Mark(4, 7, "strong"),), "one <strong>two</strong> three"),
        ((LINK, Mark(4, 7, "em")), f"{A}one <em>two</em></a> three"),
        ((Mark(4, 7, "em"), Mark(4, 7, "strong")), "one <strong><em>two</em></strong> three"),
        ((LINK, Mark(4, 13, "em")), f"{A}one <em>two</em></a><em> three</em>"),
        (
            (LINK, Mark(4, 13, "link", "http://b.example/")),
            f'{A}one two</a><a href="http://b.example/"> three</a>',
        ),
        ((Mark(0, 7, "link", "javascript:alert(1)"),), "one two three"),
        ((Mark(-3, 99, "em"), Mark(5, 5, "strong"), Mark(50, 60, "em")), "<em>one two three</em>"),
    ],
)
def test_marks_are_links_and_emphasis_that_nest(marks: tuple[Mark, ...], markup: str) -> None:
    assert html(Paragraph("one two three", marks)) == f"<p>{markup}</p>"


def test_marks_count_code_points() -> None:
    assert html(Paragraph("😀 go", (Mark(2, 4, "em"),))) == "<p>😀 <em>go</em></p>"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "java\nscript:alert(1)",
        " JAVASCRIPT:alert(1)",
        "\x00javascript:alert(1)",
        "data:text/html,<script>",
        "//evil.example/",
        "/relative",
        "http:",
        "https://[broken",
        "",
    ],
)
def test_only_web_addresses_become_links(url: str) -> None:
    marked = Paragraph("words", (Mark(0, 5, "link", url),))
    markup = html(marked, Embed(url=url), media=(Image(url, "alt"), Video(url)))
    assert {tag for tag, _ in read(markup)} <= {"p", "figure"}
    assert items(entry(url=url))[0]["url"] == f"{PAGE.url}#e1"


def test_an_address_cannot_leave_its_attribute() -> None:
    url = 'https://a.example/"onload="x\' <b>'
    assert read(html(media=(Image(url),))) == [
        ("figure", {}),
        ("img", {"src": "https://a.example/%22onload=%22x'%20%3Cb%3E", "alt": ""}),
    ]


def test_what_xml_forbids_is_removed() -> None:
    bad = entry(1, Paragraph("a\x00\x0b\ud800\ufffe\uffffb\t😀"), title="\x1bT", labels=("\x01",))
    root = xml(bad)
    assert texts(root, "a:entry/a:content") == ["<p>ab\t😀</p>"]
    assert texts(root, "a:entry/a:title") == ["T"]
    assert root.find("a:entry/a:category", NS) is None
    assert items(bad)[0]["content_html"] == "<p>ab\t😀</p>"


# --- any page ------------------------------------------------------------------------------------

TAGS = {
    *("p", "a", "strong", "em", "ul", "ol", "li", "blockquote", "footer", "h3", "h4", "h5", "h6"),
    *("table", "tbody", "tr", "td", "figure", "img", "figcaption", "small"),
}
ATTRIBUTES = {"a": {"href"}, "img": {"src", "alt"}}


class Reader(HTMLParser):
    """Collects elements, and fails on what is not closed in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def parsed(markup: str) -> Reader:
    reader = Reader()
    reader.feed(markup)
    reader.close()
    assert reader.open == []
    return reader


def read(markup: str) -> list[tuple[str, dict[str, str | None]]]:
    return parsed(markup).found


def check_harmless(markup: str) -> None:
    for tag, attributes in read(markup):
        assert tag in TAGS
        assert set(attributes) == ATTRIBUTES.get(tag, set())
        for address in {"href", "src"} & set(attributes):
            assert re.match(r"https?://[^\s<>\"]+$", attributes[address] or "")


hostile = st.sampled_from(
    [
        *("<script>alert(1)</script>", "]]>", "<!--", "&lt;", "&#0;", "&", "</p>", '"', "'>"),
        *("<?xml", "<![CDATA[", "\x00", "\x08", "\r\n", "\ufffe", "\ud800", "\u2028", "\u202e"),
    ]
)
any_text = st.lists(
    hostile | st.text(st.characters(exclude_categories=()), max_size=8), max_size=4
).map("".join)
urls = any_text | any_text.map("https://a.example/".__add__) | any_text.map("javascript:".__add__)
maybe = st.none() | any_text
marks = st.lists(
    st.builds(
        Mark,
        start=st.integers(-2, 20),
        end=st.integers(-2, 20),
        kind=st.sampled_from(["link", "strong", "em"]),
        url=st.none() | urls,
    ),
    max_size=5,
).map(tuple)
images = st.builds(Image, url=st.none() | urls, alt=maybe, caption=maybe, credit=maybe)
videos = st.builds(Video, url=st.none() | urls, caption=maybe)
blocks: st.SearchStrategy[Block] = st.one_of(
    st.builds(Paragraph, text=any_text, marks=marks),
    st.builds(
        ListBlock,
        items=st.lists(st.builds(Line, text=any_text, marks=marks), max_size=3).map(tuple),
        ordered=st.booleans(),
    ),
    st.builds(Quote, text=any_text, marks=marks, cite=maybe),
    st.builds(Heading, text=any_text, level=st.integers(-1, 9)),
    images,
    videos,
    st.builds(Embed, provider=maybe, url=st.none() | urls),
    st.builds(Table, rows=st.lists(st.tuples(any_text, any_text), max_size=2).map(tuple)),
)
moments = st.none() | st.datetimes(timezones=st.just(UTC))
contents = st.fixed_dictionaries(
    {
        "title": maybe,
        "published": moments,
        "updated": moments,
        "labels": st.lists(any_text, max_size=3).map(tuple),
        "authors": st.lists(st.builds(Author, name=any_text, role=maybe), max_size=2).map(tuple),
        "body": st.lists(blocks, max_size=3).map(tuple),
        "media": st.lists(images | videos, max_size=2).map(tuple),
        "url": st.none() | urls,
    }
)
ids = st.lists(st.text(min_size=1, max_size=6) | any_text, max_size=3, unique=True)


@given(ids, st.data(), maybe, maybe)
def test_any_page_is_valid_and_harmless_in_both_formats(
    keys: list[str], data: st.DataObject, title: str | None, summary: str | None
) -> None:
    known = [Entry(id=key, **data.draw(contents)) for key in keys]
    page = snapshot(*known, page=msgspec.structs.replace(PAGE, title=title), summary=summary)
    feed = json.loads(json_feed(page, SELF))
    check_json_feed(feed)
    assert len(feed["items"]) == len(known)
    root = ElementTree.fromstring(atom(page, SELF))
    check_atom(root)
    assert len(root.findall("a:entry", NS)) == sum(bool(e.published or e.updated) for e in known)
    inside = {each.tag.removeprefix(f"{{{NS['a']}}}") for each in root.iter()}
    assert inside <= {
        *("feed", "entry", "id", "title", "subtitle", "updated", "published", "author", "name"),
        *("link", "category", "summary", "content"),
    }
    for markup in (
        *(item["content_html"] for item in feed["items"]),
        *texts(root, "a:entry/a:content"),
    ):
        check_harmless(markup)


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), max_size=20), marks)
def test_no_word_is_lost_or_said_twice(text: str, given_marks: tuple[Mark, ...]) -> None:
    assert parsed(html(Paragraph(text, given_marks))).words == text


@given(ids, contents, contents)
def test_an_id_stays_when_the_words_change(
    keys: list[str], before: dict[str, Any], after: dict[str, Any]
) -> None:
    for key in keys:
        (old,), (new,) = items(Entry(id=key, **before)), items(Entry(id=key, **after))
        assert old["id"] == new["id"]
