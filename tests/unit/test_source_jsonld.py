"""The `jsonld` source: LiveBlogPosting as publishers fill it and misfill it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service import sources
from service.errors import ConfigError, PageError
from service.model import Author, Entry, Image, Mark, Paragraph, Snapshot, Video, content
from service.sources import jsonld
from service.sources.base import Document

SEEN_AT = datetime(2024, 8, 5, 21, tzinfo=UTC)
URL = "https://news.example/live"


def update(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "@type": "BlogPosting",
        "@id": f"{URL}#{number}",
        "headline": f"Headline {number}",
        "datePublished": f"2024-08-05T20:{number:02}:00+01:00",
        "dateModified": f"2024-08-05T19:{number:02}:00Z",
        "articleBody": f"Body {number}",
    } | fields


def blog(*updates: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "@context": "https://schema.org",
        "@type": "LiveBlogPosting",
        "headline": "The page",
        "description": "What it is &amp; was",
        "url": URL,
        "coverageEndTime": "2024-08-05T10:00:00Z",
        "liveBlogUpdate": list(updates),
    } | fields


def html(*scripts: str) -> Document:
    tags = "".join(f'<script type="application/ld+json">{one}</script>' for one in scripts)
    return document(f"<html><head>{tags}</head><body><p>x</p></body></html>")


def document(body: str, content_type: str = "text/html; charset=utf-8") -> Document:
    return Document(URL, body.encode("utf-8", "surrogatepass"), content_type, SEEN_AT)


def read(value: object) -> Snapshot:
    return sources.read(html(json.dumps(value)))


def one(**fields: Any) -> Entry:
    """The first of three entries, so that nothing is taken for the page's own."""
    return read(blog(update(3, **fields), update(2), update(1))).entries[0]


def test_an_update_becomes_an_entry() -> None:
    snapshot = read(blog(update(2), update(1)))
    assert (snapshot.source, snapshot.complete, snapshot.warnings) == ("jsonld", False, ())
    assert snapshot.head.title == "The page"
    assert snapshot.head.summary == "What it is & was"
    assert (snapshot.head.url, snapshot.head.live) == (URL, None)
    assert snapshot.entries[0] == Entry(
        id="2",
        title="Headline 2",
        published=datetime(2024, 8, 5, 19, 2, tzinfo=UTC),
        body=(Paragraph("Body 2"),),
        url=f"{URL}#2",
        position=1,
    )


@pytest.mark.parametrize(
    "wrap",
    [
        lambda one: one,
        lambda one: [{"@type": "WebSite"}, one],
        lambda one: {"@context": "x", "@graph": [{"@type": "WebPage"}, one]},
        lambda one: one | {"@type": ["NewsArticle", "LiveBlogPosting"]},
        lambda one: {"@type": "WebPage", "mainEntity": one},
    ],
)
def test_it_is_found_wherever_publishers_put_it(wrap: Any) -> None:
    assert len(read(wrap(blog(update(2), update(1)))).entries) == 2


def test_it_may_be_the_body_itself() -> None:
    raw = document(json.dumps(blog(update(2), update(1))), "application/ld+json")
    assert sources.read(raw).source == "jsonld"


def test_a_single_update_may_stand_without_a_list() -> None:
    assert [e.id for e in read(blog(liveBlogUpdate=update(1))).entries] == ["1"]


def test_the_blog_with_the_most_updates_is_the_page() -> None:
    snapshot = sources.read(html(json.dumps(blog()), json.dumps(blog(update(2), update(1)))))
    assert len(snapshot.entries) == 2


# --- ids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"@id": f"{URL}#post-asset:8e63ed82-876f"}, "asset:8e63ed82-876f"),
        ({"@id": f"{URL}#post-asset%3A8e63ed82-876f"}, "asset:8e63ed82-876f"),
        ({"@id": "6579c7638f0839cf977236eb"}, "6579c7638f0839cf977236eb"),
        ({"@id": None, "url": f"{URL}#751105"}, "751105"),
        ({"@id": None, "url": f"{URL}#live-1924698-qq0im"}, "live-1924698-qq0im"),
        ({"@id": f"{URL}#block-abc"}, "abc"),
        ({"@id": None, "url": "https://news.example/live/slug"}, "https://news.example/live/slug"),
    ],
)
def test_ids_are_the_publishers(fields: dict[str, Any], expected: str) -> None:
    assert one(**fields).id == expected


def test_an_id_that_all_updates_share_is_the_pages() -> None:
    same = {"@id": f"{URL}#liveblog"}
    ids = [e.id for e in read(blog(update(2, **same), update(1, **same))).entries]
    assert len(set(ids)) == 2
    assert "liveblog" not in ids


def test_an_address_of_the_page_is_no_id() -> None:
    assert one(**{"@id": None, "url": URL}).id != URL


def test_without_an_id_time_and_headline_make_one_that_an_edit_of_the_text_keeps() -> None:
    before, after = (one(**{"@id": None, "articleBody": text}).id for text in ("a", "b"))
    assert before == after
    assert len(before) == 32


def test_a_copy_with_the_same_id_is_one_entry() -> None:
    entries = read(blog(update(2), update(3), update(1), update(2))).entries
    assert [e.id for e in entries] == ["2", "3", "1"]


# --- times ---------------------------------------------------------------------------------------


def test_mixed_offsets_are_compared_as_instants() -> None:
    assert one().updated is None
    assert one(dateModified="2024-08-05T19:04:00Z").updated == datetime(
        2024, 8, 5, 19, 4, tzinfo=UTC
    )


def test_a_time_without_a_zone_is_none_and_a_warning() -> None:
    snapshot = read(blog(update(2, datePublished="2024-08-05T20:00:00"), update(1)))
    assert snapshot.entries[0].published is None
    assert snapshot.warnings == ("1 of 2 entries have no time with a zone",)


def test_the_articles_time_on_every_update_is_not_theirs() -> None:
    dates = {"datePublished": "2024-08-05T10:00:00Z", "dateModified": "2024-08-05T20:00:00Z"}
    snapshot = read(blog(*(update(number, **dates) for number in (3, 2, 1))))
    assert [(e.published, e.updated) for e in snapshot.entries] == [(None, None)] * 3
    assert len(snapshot.warnings) == 1


def test_the_newest_comes_first_even_where_the_publisher_lists_it_last() -> None:
    assert [e.id for e in read(blog(update(1), update(2), update(3))).entries] == ["3", "2", "1"]
    pinned_first = read(blog(update(1), update(4), update(3), update(2)))
    assert [e.id for e in pinned_first.entries] == ["1", "4", "3", "2"]


# --- what only repeats the page ------------------------------------------------------------------


def test_the_pages_headline_on_updates_without_one_is_not_theirs() -> None:
    page = {"headline": "The page"}
    entries = read(blog(update(3), update(2, **page), update(1, **page))).entries
    assert [e.title for e in entries] == ["Headline 3", None, None]
    assert one(headline=None).title is None


def test_the_pages_headline_on_an_update_is_not_its_own() -> None:
    assert one(headline="The page").title is None
    assert one(headline="The page", **{"@id": f"{URL}#post-asset:1"}).title is None


def test_the_pages_authors_and_picture_on_an_update_are_not_its_own() -> None:
    page = {"author": [{"name": "A"}, {"name": "B"}], "image": {"url": "https://e.org/i.jpg"}}
    snapshot = read(blog(update(2, **page), update(1, author="C"), **page))
    assert [(e.authors, e.media) for e in snapshot.entries] == [((), ()), ((Author("C"),), ())]


def test_what_an_entry_says_does_not_depend_on_its_neighbours() -> None:
    """Else a new update of another author would edit all the others."""
    page = {"author": [{"name": "A"}], "image": {"url": "https://e.org/i.jpg"}}
    known = [update(2, headline="The page", **page), update(1, **page)]
    newest = update(3, author="C", image={"url": "https://e.org/c.jpg"})
    before, after = read(blog(*known, **page)), read(blog(newest, *known, **page))
    assert [content(e) for e in after.entries[1:]] == [content(e) for e in before.entries]


# --- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("author", "expected"),
    [
        ("Jo &amp; Co", (Author("Jo & Co"),)),
        ({"@type": "Person", "name": "Jo", "jobTitle": "Editor"}, (Author("Jo", "Editor"),)),
        ([{"name": "Jo"}, "Al", {"name": "Jo"}, {"sameAs": "x"}, 7], (Author("Jo"), Author("Al"))),
        (None, ()),
    ],
)
def test_authors_are_names_objects_or_lists(author: object, expected: object) -> None:
    assert one(author=author).authors == expected


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("He said &quot;no&quot; &amp; left", ['He said "no" & left']),
        ("5 &lt; 6 and a<b", ["5 < 6 and a<b"]),
        ("One<br/><br/>Two", ["One", "Two"]),
        ("<div><p>It&#x2019;s</p><ul><li>a<li>b</ul></div>", ["It’s", "a", "b"]),
        ("&lt;p&gt;One&lt;/p&gt;&lt;p&gt;Two &amp;amp; three&lt;/p&gt;", ["One", "Two & three"]),
        ("One\n\n Two\u00a0 words ", ["One", "Two words"]),
        ("", []),
    ],
)
def test_bodies_are_plain_html_or_escaped_once_more(text: str, lines: list[str]) -> None:
    assert [line for line in one(articleBody=text).text.split("\n") if line] == lines


def test_links_in_a_body_are_marks() -> None:
    entry = one(articleBody='See <a href="/x">this</a>')
    assert entry.body == (Paragraph("See this", (Mark(4, 8, "link", "https://news.example/x"),)),)


def test_pictures_and_videos_are_media() -> None:
    entry = one(
        image=["https://e.org/1.jpg", {"url": "/2.jpg", "caption": "C", "creditText": "D"}, {}],
        video={"@type": "VideoObject", "name": "Clip", "embedUrl": "https://e.org/v"},
    )
    assert entry.media == (
        Image("https://e.org/1.jpg"),
        Image("https://news.example/2.jpg", caption="C", credit="D"),
        Video("https://e.org/v", "Clip"),
    )


# --- what is broken ------------------------------------------------------------------------------


def test_a_broken_script_is_skipped_with_a_warning() -> None:
    snapshot = sources.read(html('{"@type": ', json.dumps(blog(update(2), update(1)))))
    assert len(snapshot.entries) == 2
    assert snapshot.warnings[0].startswith("JSON-LD script 1 is not JSON")


def test_bare_line_ends_in_strings_are_read() -> None:
    raw = json.dumps(blog(update(2), update(1))).replace("Body 2", "Body\n2")
    assert sources.read(html(raw)).entries[0].text == "Body\n2"


def test_half_a_surrogate_pair_is_dropped() -> None:
    assert one(articleBody="a\ud800b", headline="\udc00h").text == "ab"
    assert one(articleBody="<p>a\ud800b</p>").text == "ab"


def code(page: Document, source: str | None = None) -> tuple[str, str]:
    with pytest.raises(PageError) as caught:
        sources.read(page, source)
    assert caught.value.where == URL
    return caught.value.code, caught.value.health


@pytest.mark.parametrize("updates", [[], None, "x", [1, None]])
def test_a_live_blog_without_updates_is_no_empty_page(updates: object) -> None:
    page = html(json.dumps(blog(liveBlogUpdate=updates)))
    assert jsonld.detects(page)
    assert code(page) == ("page.no_entries", "degraded")


def test_json_without_updates_is_named() -> None:
    assert code(document(json.dumps(blog()), "application/json"))[0] == "page.no_entries"
    assert code(document("{", "application/json"), "jsonld")[0] == "page.malformed"
    assert code(document('{"a": 1}', "application/json"))[0] == "page.no_source"


def test_half_a_page_is_refused() -> None:
    whole = html(json.dumps(blog(update(2), update(1)))).body.decode()
    assert code(document(whole[:-10]))[0] == "page.truncated"
    assert code(document(whole[:200]), "jsonld")[0] == "page.truncated"


def test_json_without_end_is_no_traceback() -> None:
    assert code(document("[" * 100_000, "application/json"), "jsonld")[0] == "page.malformed"


def test_the_words_live_blog_posting_in_another_script_are_not_enough() -> None:
    page = document("<html><script>var a = 'LiveBlogPosting'</script></html>")
    assert not jsonld.detects(page)
    assert code(page)[0] == "page.no_source"


def test_an_unknown_source_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        sources.read(html(), "bcb")
    assert caught.value.code == "source.unknown"
    assert ", ".join(sources.SOURCES) in str(caught.value)


# --- a real page ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mirror(corpus: Path) -> Snapshot:
    body = (corpus / "mirror_uk-riots-live_2024-08-05.html").read_bytes()
    return sources.read(
        Document("https://www.mirror.co.uk/x", body, "text/html", SEEN_AT), "jsonld"
    )


def test_a_real_page_gives_its_whole_blog(mirror: Snapshot) -> None:
    assert (mirror.source, len(mirror.entries), mirror.warnings) == ("jsonld", 428, ())
    assert len({entry.id for entry in mirror.entries}) == 428
    assert mirror.entries[0].id == "751105"
    assert mirror.entries[0].published == datetime(2024, 8, 5, 20, 0, 18, 921000, UTC)
    times = [entry.published for entry in mirror.entries if entry.published]
    assert times == sorted(times, reverse=True)


def test_a_real_page_has_edits_and_empty_bodies(mirror: Snapshot) -> None:
    assert sum(entry.updated is not None for entry in mirror.entries) == 88
    assert sum(not entry.body for entry in mirror.entries) == 18


def test_nothing_escaped_is_left_in_a_real_page(mirror: Snapshot) -> None:
    for entry in mirror.entries:
        for left in ("&quot;", "&amp;", "&apos;", "&#", "<p", "<a ", "</"):
            assert left not in entry.text


def test_the_authors_and_picture_of_a_real_page_are_not_its_entries(mirror: Snapshot) -> None:
    assert not any(entry.authors for entry in mirror.entries)
    assert len({len(entry.media) for entry in mirror.entries} - {0}) <= 1
