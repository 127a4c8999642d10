"""The `jsonld` source: what single publishers make of LiveBlogPosting, and JSON that is none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from service.errors import PageError
from service.model import Author, Entry, Image, Paragraph, Reading, Snapshot, content
from service.sources import jsonld
from service.sources.base import Document, Memo

SEEN_AT = datetime(2024, 8, 5, 21, tzinfo=UTC)
URL = "https://news.example/live"
TEN = datetime(2024, 8, 5, 10, tzinfo=UTC)


def update(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "@type": "BlogPosting",
        "url": f"{URL}#{number}",
        "headline": f"Headline {number}",
        "datePublished": f"2024-08-05T10:{number:02}:00Z",
        "articleBody": f"Body {number}",
    } | fields


def blog(*updates: Any, **fields: Any) -> dict[str, Any]:
    return {
        "@type": "LiveBlogPosting",
        "headline": "The page",
        "url": URL,
        "liveBlogUpdate": list(updates),
    } | fields


def script(text: str, attributes: str = 'type="application/ld+json"') -> str:
    return f"<script {attributes}>{text}</script>"


def page(*parts: str, reading: Reading | None = None) -> Document:
    body = f"<html><head>{''.join(parts)}</head><body><p>x</p></body></html>"
    return Document(URL, body.encode(), "text/html", SEEN_AT, reading or Reading())


def read(*values: object, reading: Reading | None = None) -> Snapshot:
    return jsonld.parse(page(*(script(json.dumps(one)) for one in values), reading=reading))


def one(**fields: Any) -> Entry:
    return read(blog(update(1, **fields))).entries[0]


def ids(snapshot: Snapshot) -> list[str]:
    return [entry.id for entry in snapshot.entries]


def code(document: Document) -> str:
    with pytest.raises(PageError) as caught:
        jsonld.parse(document)
    return caught.value.code


# --- the table of publishers ---------------------------------------------------------------------


@pytest.mark.parametrize("key", ["liveBlogUpdate", "blogPosts", "blogPost", "updates"])
def test_ap_names_its_list_in_several_ways(key: str) -> None:
    assert ids(read({"@type": "LiveBlogPosting", "url": URL, key: [update(2), update(1)]})) == [
        "2",
        "1",
    ]


def test_an_empty_list_of_one_name_does_not_hide_one_of_another() -> None:
    assert ids(read(blog(blogPosts=[update(1)]))) == ["1"]


def test_ap_separates_paragraphs_by_breaks() -> None:
    assert one(articleBody="One<br/><br/>Two").body == (Paragraph("One"), Paragraph("Two"))


def guardian(modified: str, *names: str) -> Snapshot:
    article = {
        "headline": "The page",
        "image": ["https://e.org/1.jpg", "https://e.org/2.jpg"],
        "author": [{"name": "Jo"}],
        "datePublished": "2024-08-05T10:00:00.000+01:00",
        "dateModified": modified,
        "mainEntityOfPage": URL,
    }
    updates = [{"@id": name, "articleBody": f"Body of {name}"} | article for name in names]
    return read({"@type": "LiveBlogPosting", "@id": URL, "liveBlogUpdate": updates} | article)


def test_guardian_updates_have_neither_time_nor_title_nor_author_nor_picture_nor_address() -> None:
    first = guardian("2024-08-05T10:30:00Z", "6579c7638f0839cf977236eb").entries[0]
    assert first == Entry(
        id="6579c7638f0839cf977236eb",
        body=(Paragraph("Body of 6579c7638f0839cf977236eb"),),
        position=1,
    )


def test_guardian_entries_stay_as_they_are_when_the_article_changes_or_grows() -> None:
    before = guardian("2024-08-05T10:30:00Z", "a1")
    after = guardian("2024-08-05T11:30:00Z", "a4", "a3", "a2", "a1")
    assert content(after.entries[-1]) == content(before.entries[0])
    assert after.entries[-1].updated is None


def test_a_first_update_as_old_as_its_page_keeps_its_time() -> None:
    same = {"datePublished": "2024-08-05T10:00:00Z"}
    entry = read(blog(update(1, headline="The page", **same), **same)).entries[0]
    assert (entry.title, entry.published) == (None, TEN)


def test_the_date_on_which_the_article_changed_is_not_when_its_updates_did() -> None:
    changed = {"dateModified": "2024-08-05T20:00:00Z"}
    own = {"dateModified": "2024-08-05T12:00:00Z"}
    updates = (update(4, **changed), update(3, **changed), update(2, **changed), update(1, **own))
    snapshot = read(blog(*updates, **changed))
    assert [e.updated for e in snapshot.entries] == [None, None, None, TEN.replace(hour=12)]


def test_bbc_world_service_ids_are_assets_and_its_headline_may_be_the_pages() -> None:
    name = "asset:8e63ed82-876f-4252-8fe6-80e57cc20da3"
    place = {"@id": f"{URL}#post-{name}", "url": None, "mainEntityOfPage": {"@id": URL}}
    entry = read(
        blog(update(1, headline="The page", **place), **{"@id": f"{URL}#liveblog"})
    ).entries[0]
    assert (entry.id, entry.title, entry.url) == (name, None, f"{URL}#post-{name}")


def test_cnn_quotes_carry_a_backslash() -> None:
    entry = one(headline=r"He said \"no\"", articleBody=r"A \"quote\" and <b>bold</b>")
    assert (entry.title, entry.text) == ('He said "no"', 'A "quote" and bold')


def test_ft_updates_were_modified_when_they_were_published() -> None:
    assert one(dateModified="2024-08-05T10:01:00Z").updated is None


def test_nyt_ids_are_slugs() -> None:
    slug = "https://nyt.example/live/2024/08/05/us/news#the-headline-as-a-slug"
    assert one(url=slug).id == "the-headline-as-a-slug"


def test_wsj_and_cnn_ids_keep_their_prefix() -> None:
    assert one(url=f"{URL}#card-0012").id == "card-0012"
    assert one(url=f"{URL}#h_0a1b").id == "h_0a1b"


def test_express_authors_are_strings_and_its_placeholder_of_an_end_is_not_believed() -> None:
    snapshot = read(blog(update(1, author="Jo"), coverageEndTime="2024-08-04T10:00:00Z"))
    assert snapshot.entries[0].authors == (Author("Jo"),)
    assert snapshot.head.live is None


def test_mirror_times_are_compared_as_instants_over_mixed_offsets() -> None:
    published = {"datePublished": "2024-08-05T11:00:00+01:00"}
    assert one(dateModified="2024-08-05T10:00:00Z", **published).updated is None
    changed = one(dateModified="2024-08-05T10:02:30Z", **published).updated
    assert changed == TEN.replace(minute=2, second=30)


@pytest.mark.parametrize("body", ["", None, {"@type": "Text"}, 7, []])
def test_an_update_without_words_is_an_entry_whose_text_is_to_come(body: object) -> None:
    entry = one(articleBody=body)
    assert (entry.title, entry.body) == ("Headline 1", ())


def test_a_body_may_come_in_pieces_or_as_a_value_object_or_as_text() -> None:
    assert one(articleBody=["One", "Two"]).text == "One\nTwo"
    assert one(articleBody={"@value": "One"}).text == "One"
    assert one(articleBody=None, text="One").text == "One"


def test_abc_shell_without_updates_is_no_empty_page() -> None:
    assert code(page(script(json.dumps(blog())))) == "page.no_entries"
    assert code(page(script(json.dumps(blog(articleBody="", liveBlogUpdate=None))))) == (
        "page.no_entries"
    )


def test_the_times_emits_a_news_article_beside_the_live_blog() -> None:
    article = {"@type": "NewsArticle", "headline": "Other", "url": URL}
    assert read(article, blog(update(1)), article).head.title == "The page"


@pytest.mark.parametrize(
    "place", [f"{URL}?postId=7f-9", "https://n.example/amp/live?x=1&postid=7f-9"]
)
def test_an_id_may_stand_in_the_query_of_an_address(place: str) -> None:
    assert one(url=place).id == "7f-9"


def test_an_identifier_is_an_id_where_the_address_is_the_pages() -> None:
    assert one(url=URL, identifier="u-17").id == "u-17"


def test_where_one_name_is_shared_the_next_is_the_id() -> None:
    updates = [update(n, **{"@id": f"{URL}#post"}) for n in (3, 2, 1)]
    assert ids(read(blog(*updates))) == ["3", "2", "1"]


def test_a_bare_id_is_no_address() -> None:
    assert one(url=None, **{"@id": "6579c7638f0839cf977236eb"}).url is None
    assert one(url=URL).url is None


@pytest.mark.parametrize("place", [URL, f"{URL}/", f"{URL}#", "http://news.example/live", ""])
def test_no_spelling_of_the_pages_address_is_an_id(place: str) -> None:
    assert len(one(url=place).id) == 32


def test_updates_without_ids_that_say_the_same_are_counted_from_the_bottom() -> None:
    same = {"url": None, "headline": "Goal", "datePublished": "2024-08-05T10:00:00Z"}
    first = read(blog(update(2), update(1, **same)))
    later = read(blog(update(4, **same), update(2), update(1, **same)))
    oldest_first = read(blog(update(1, **same), update(2), update(3), update(1, **same)))
    assert later.entries[-1].id == first.entries[-1].id
    assert ids(later)[0] == f"{first.entries[-1].id}-2"
    assert first.entries[-1].id in ids(oldest_first)


# --- where the blog is ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["LiveBlogPosting", "schema:LiveBlogPosting"])
@pytest.mark.parametrize("key", ["hasPart", "subjectOf", "mainEntityOfPage", "@graph"])
def test_the_blog_may_be_part_of_anything(key: str, kind: str) -> None:
    inner = blog(update(1)) | {"@type": kind}
    assert ids(read({"@type": "SportsEvent", key: [{"a": [inner]}]})) == ["1"]


def test_a_full_address_as_type_is_the_type() -> None:
    assert ids(read(blog(update(1)) | {"@type": "http://schema.org/LiveBlogPosting"})) == ["1"]


def test_the_blog_of_this_page_is_read_though_another_has_more_updates() -> None:
    other = blog(update(3), update(2), url="https://news.example/other")
    assert ids(read(other, blog(update(1)))) == ["1"]
    assert code(page(script(json.dumps([other, blog()])))) == "page.no_entries"


def test_a_blog_that_an_update_only_names_is_not_another_one() -> None:
    part = {"isPartOf": {"@type": "LiveBlogPosting", "@id": URL}}
    assert ids(read(blog(update(2, **part), update(1, **part)))) == ["2", "1"]


@pytest.mark.parametrize(
    "several",
    [
        {"0": update(2), "2": update(1)},
        {"@list": [update(2), update(1)]},
        [None, update(2), "x", update(1)],
    ],
)
def test_a_list_may_be_an_object_or_have_gaps(several: object) -> None:
    assert ids(read(blog(liveBlogUpdate=several))) == ["2", "1"]


def test_updates_that_only_refer_to_a_node_of_their_graph_are_that_node() -> None:
    nodes = [update(n, **{"@id": f"{URL}#{n}"}) for n in (2, 1)]
    references = [{"@id": node["@id"]} for node in nodes]
    snapshot = read({"@graph": [blog(*references), *nodes]})
    assert [e.title for e in snapshot.entries] == ["Headline 2", "Headline 1"]


def test_a_reference_to_nothing_is_an_update_of_which_only_the_id_is_known() -> None:
    entry = read({"@graph": [blog({"@id": f"{URL}#9"})]}).entries[0]
    assert (entry.id, entry.title, entry.body) == ("9", None, ())


# --- the page's own word -------------------------------------------------------------------------


def test_the_page_says_when_it_changed_if_it_says_the_zone_and_not_the_future() -> None:
    def modified(value: object) -> datetime | None:
        return read(blog(update(1), dateModified=value)).modified

    assert modified("2024-08-05T12:00:00+02:00") == TEN
    assert modified("2024-08-05T12:00:00") is None
    assert modified("2024-08-06T12:00:00Z") is None
    assert modified(None) is None


def test_it_never_knows_that_nothing_lies_below() -> None:
    assert read(blog(update(1))).complete is False


# --- times without a zone ------------------------------------------------------------------------


def test_a_time_without_a_zone_is_read_in_the_zone_that_a_person_chose() -> None:
    local = {"datePublished": "2024-08-05T12:01:00", "dateModified": "2024-08-05T12:05:00"}
    chosen = Reading(zone="Europe/Berlin")
    entry = read(blog(update(1, **local)), reading=chosen).entries[0]
    assert (entry.published, entry.updated) == (TEN.replace(minute=1), TEN.replace(minute=5))
    assert read(blog(update(1, **local))).entries[0].published is None


def test_a_time_of_day_alone_is_undated_and_no_part_of_a_made_id() -> None:
    local = {"datePublished": "10:01", "url": None, "headline": "A"}
    document = page(script(json.dumps(blog(update(1, **local)))), reading=Reading(zone="UTC"))
    today = jsonld.parse(document)
    tomorrow = jsonld.parse(replace(document, seen_at=SEEN_AT.replace(day=6)))
    assert today.undated == (today.entries[0].id,)
    assert today.entries[0].published == TEN.replace(minute=1)
    assert ids(tomorrow) == ids(today)


# --- JSON that is none ---------------------------------------------------------------------------

GOOD = json.dumps(blog(update(2), update(1)))


@pytest.mark.parametrize(
    "text",
    [
        GOOD + ";",
        GOOD + ",\n",
        f"\n  {GOOD}  ;;\n",
        f"<!--\n{GOOD}\n-->",
        f"<![CDATA[{GOOD}]]>",
        f"//<![CDATA[\n{GOOD}\n//]]>",
        f"/* <![CDATA[ */{GOOD}/* ]]> */",
        f"\ufeff{GOOD}",
        GOOD.replace("Body 2", "Body 2\n"),
        GOOD.replace("Body 2", "\tBody 2\x07"),
        GOOD[:-1] + ",}",
        GOOD.replace("]}", ", ]}"),
        GOOD.replace("}, {", "},, {"),
        GOOD[:-1] + ', "image": , "video": }',
        GOOD[:-1] + ', "a": NaN}',
        GOOD[:-1] + r', "a": "it\'s \d"}',
        GOOD.replace('"', "&quot;"),
        '{"@type": "WebSite"}' + GOOD,
        '{"@type": "WebSite"},\n' + GOOD,
        GOOD[:-1] + r', "a": "\ud800"}',
    ],
)
def test_what_publishers_write_instead_of_json_is_read(text: str) -> None:
    snapshot = jsonld.parse(page(script(text)))
    assert [(e.id, e.text) for e in snapshot.entries] == [("2", "Body 2"), ("1", "Body 1")]
    assert snapshot.warnings == ()


def test_mending_leaves_alone_what_stands_in_strings() -> None:
    words = r'a,] "b": , } \ // <!-- c --> &quot;d&quot; ]]>'
    entry = jsonld.parse(page(script(json.dumps(blog(update(1, articleBody=words)))[:-1] + ",}")))
    assert entry.entries[0].text == r'a,] "b": , } \ // <!-- c --> "d" ]]>'


@pytest.mark.parametrize(
    "text",
    [GOOD[:-20], GOOD.replace("Body 2", 'Body "2'), GOOD + "}", "x" + GOOD, "LiveBlogPosting"],
)
def test_what_cannot_be_mended_is_an_error_that_names_the_script(text: str) -> None:
    with pytest.raises(PageError) as caught:
        jsonld.parse(page(script("{}"), script(text)))
    assert "JSON-LD script 2 is not JSON" in str(caught.value)
    assert caught.value.code == "page.no_entries"


def test_a_broken_script_beside_the_blog_is_a_warning() -> None:
    snapshot = jsonld.parse(page(script("{"), script(GOOD)))
    assert ids(snapshot) == ["2", "1"]
    assert len(snapshot.warnings) == 1


# --- finding the script without a tree -----------------------------------------------------------


@pytest.mark.parametrize(
    "around",
    [
        lambda tag: f"<!-- {tag} -->",
        lambda tag: f"<textarea>{tag}</textarea>",
        lambda tag: f"<TEMPLATE>{tag}</TEMPLATE>",
        lambda tag: f"<script>var a = '{tag.replace('</', '<x/')}'</script>",
        lambda tag: f"<style>{tag}</style>",
    ],
)
def test_what_only_looks_like_a_script_is_none(around: Callable[[str], str]) -> None:
    other = script(json.dumps(blog(update(9), update(8), update(7))))
    assert ids(jsonld.parse(page(around(other), script(GOOD)))) == ["2", "1"]
    assert not jsonld.detects(page(around(other)))


@pytest.mark.parametrize(
    "attributes",
    [
        "type=application/ld+json",
        "data-a='b' type='application/ld+json' async",
        'TYPE="application/ld+json; charset=utf-8"',
        'type="application/ld&#43;json"',
        'data-a="1 > 0" type="application/ld+json"',
    ],
)
def test_a_script_is_known_by_its_type_however_it_is_written(attributes: str) -> None:
    document = page("<!--[if IE]><![endif]-->", script(GOOD, attributes))
    assert jsonld.detects(document)
    assert ids(jsonld.parse(document)) == ["2", "1"]


def test_a_script_may_end_in_capitals() -> None:
    assert ids(jsonld.parse(page(script(GOOD).replace("</script", "</SCRIPT")))) == ["2", "1"]


def test_a_script_that_speaks_of_scripts_in_a_comment_is_left_to_the_tree() -> None:
    words = "how <!-- and <script> are read"
    document = page(script(json.dumps(blog(update(1, articleBody=words)))))
    assert jsonld._plain_scripts(document.body) is None


TEXT = st.text(alphabet=st.sampled_from('<!->"/script tyle+json{}[]:,\\'), max_size=40)
PIECES = st.sampled_from(
    [
        *("<!--", "-->", "<script>", "</script>", "<style>", "</style>", "<title>", "</title>"),
        *("<p>", "</p>", "<template>", "</template>", script(GOOD), script("{}"), "x"),
    ]
)


@given(parts=st.lists(PIECES | TEXT, max_size=8))
def test_the_scripts_found_without_a_tree_are_those_of_the_tree(parts: list[str]) -> None:
    document = page(*parts)
    raw = document.body
    found = jsonld._plain_scripts(raw)
    tree = jsonld.html.parsed(raw.decode(), where=URL)
    scripts = [one.text().encode() for one in tree.css(jsonld._SCRIPTS)]
    inside_a_tag = re.search(rb"<[a-zA-Z/!?][^<>]*<", raw)
    if found is not None and not inside_a_tag:
        assert [one for one in found if b"Live" in one] == [
            one for one in scripts if b"Live" in one
        ]


def test_a_body_of_elements_without_end_is_refused_and_not_read_for_hours() -> None:
    assert code(page(script(json.dumps(blog(update(1, articleBody="<div>" * 50_000)))))) == (
        "page.malformed"
    )


# --- what is read once ---------------------------------------------------------------------------


def test_an_update_that_stays_as_it_is_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    memo, made = Memo(), []
    make = jsonld._Reader.posting
    monkeypatch.setattr(
        jsonld._Reader, "posting", lambda self, raw: made.append(raw) or make(self, raw)
    )
    for updates in ((2, 1), (3, 2, 1)):
        jsonld.parse(page(script(json.dumps(blog(*map(update, updates))))), memo)
        memo.turn()
    assert len(made) == 3


def test_a_memo_changes_nothing_also_when_the_page_around_does() -> None:
    memo = Memo()
    picture = {"url": "https://e.org/i.jpg"}
    updates = (update(2, headline="New", image=picture, author="Jo"), update(1, headline="Old"))
    for fields in ({"headline": "Old"}, {"headline": "New", "author": "Jo"}, {"image": picture}):
        document = page(script(json.dumps(blog(*updates, **fields))))
        assert jsonld.parse(document, memo) == jsonld.parse(document)
        memo.turn()


# --- a real page ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mirror(corpus: Path) -> Document:
    body = (corpus / "mirror_uk-riots-live_2024-08-05.html").read_bytes()
    return Document("https://www.mirror.co.uk/x", body, "text/html", SEEN_AT)


def test_no_entry_of_a_real_page_repeats_it(mirror: Document) -> None:
    snapshot = jsonld.parse(mirror)
    assert snapshot.modified == datetime(2024, 8, 5, 19, 49, 50, tzinfo=UTC)
    assert all(entry.url and entry.url.endswith(f"#{entry.id}") for entry in snapshot.entries)
    assert len({entry.text for entry in snapshot.entries}) == 428 - 17


def test_a_real_page_is_the_same_with_and_without_a_memo(mirror: Document) -> None:
    memo = Memo()
    first = jsonld.parse(mirror, memo)
    memo.turn()
    assert jsonld.parse(mirror, memo) == first


def test_the_script_of_a_real_page_is_found_without_a_tree(mirror: Document) -> None:
    found = jsonld._plain_scripts(mirror.body)
    tree = jsonld.html.parsed(mirror.body.decode(), where=URL)
    assert found == [one.text().encode() for one in tree.css(jsonld._SCRIPTS)]


def test_a_picture_of_its_own_is_an_entrys() -> None:
    snapshot = read(blog(update(1, image="https://e.org/2.jpg"), image="https://e.org/1.jpg"))
    assert snapshot.entries[0].media == (Image("https://e.org/2.jpg"),)
