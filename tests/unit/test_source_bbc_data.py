"""The `bbc` source on the JSON of live pages: in a page, in the stream that it polls, by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
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
    Reading,
    Snapshot,
    Table,
    Video,
    content_digest,
)
from service.sources import bbc
from service.sources.base import Document, Memo

SEEN_AT = datetime(2025, 6, 16, 12, tzinfo=UTC)
ORIGIN = "https://news.example"
URL = f"{ORIGIN}/news/live/c1"
QUERY = "assetId=c1&liveTextStreamId=AB12&pageNumber=1&pageSize=20&pageUrl=%2Fnews%2Flive%2Fc1"
STREAM = f"{ORIGIN}/wc-data/container/stream?{QUERY}"
SECOND, THIRD = (STREAM.replace("pageNumber=1", f"pageNumber={number}") for number in (2, 3))

Json = dict[str, Any]


def urn(number: int) -> str:
    return f"asset:00000000-876f-4252-8fe6-{number:012}"


def fragment(words: str, *attributes: str) -> Json:
    return {"id": "f0", "type": "fragment", "model": {"text": words, "attributes": [*attributes]}}


def block(kind: str, *blocks: Json, **model: object) -> Json:
    return {"id": "b0", "type": kind, "model": {"blocks": [*blocks], **model}}


def paragraph(words: str) -> Json:
    return block("paragraph", fragment(words), text=words)


def text(words: str) -> Json:
    return block("text", paragraph(words))


def item(words: str) -> Json:
    return block("listItem", paragraph(words))


def post(
    number: int = 1,
    *content: Json,
    title: str | None = "A headline",
    header: tuple[Json, ...] = (),
    breaking: bool | None = False,
    **fields: object,
) -> Json:
    headline = [] if title is None else [block("headline", text(title))]
    return {
        "typeCode": None,
        "type": "POST",
        "urn": urn(number),
        "header": {"model": {"blocks": [*headline, *header]}},
        "content": {"model": {"blocks": [*content] or [paragraph("Words.")]}},
        "options": {"isBreakingNews": breaking},
        "dates": dates(curated=f"2025-06-16T08:{number:02}:24.587Z"),
        "link": None,
        "titles": [{"title": None, "source": "primary"}],
        "descriptions": [{"text": None, "source": "summary"}],
        **fields,
    }


def dates(**given: str | None) -> Json:
    names = ("firstPublished", "lastPublished", "time", "curated")
    return dict.fromkeys(names) | given


def results(*posts: Json, index: int = 1, total: int = 1) -> Json:
    return {"results": [*posts], "page": {"index": index, "total": total}}


def body(value: object, *, url: str = STREAM, seen_at: datetime = SEEN_AT) -> Document:
    return Document(url, json.dumps(value).encode(), "application/json", seen_at)


def refused(url: str) -> Document:
    return Document(url, b"", "", SEEN_AT, status=404)


def only(*content: Json, **given: Any) -> Entry:
    (entry,) = sources.read(body(results(post(1, *content, **given)))).entries
    return entry


def body_of(*content: Json) -> Entry:
    return only(*content)


# --- pages ---------------------------------------------------------------------------------------


def as_string(value: object) -> str:
    script = json.dumps(json.dumps(value)).replace("<", "\\u003c")
    return f"<script>window.__INITIAL_DATA__={script};</script>"


def as_object(value: object) -> str:
    return f"<script>window.__INITIAL_DATA__ = {json.dumps(value)};</script>"


def containers(stream: Json | None, *, live: bool | None = True, query: str = QUERY) -> Json:
    header: Json = {"title": "Storm hits coast", "isLive": live}
    data: Json = {f"stream?{query}": {"name": "stream", "data": stream}}
    data["live-header?assetId=c1"] = {"name": "live-header", "props": {}, "data": header}
    return {"data": data}


MARKUP = (
    f'<article data-testid="content-post"><h3 id="{urn(9)}"><span>In the markup</span></h3>'
    '<span data-testid="timestamp">08:22 16 June</span><p>Words.</p></article>'
)


def page(data: str, *, markup: str = "", **given: Any) -> Document:
    head = f'<title>Live</title><link rel="canonical" href="{URL}">'
    whole = f"<html><head>{head}</head><body><h1>Heading</h1>{markup}{data}</body></html>"
    return Document(URL, whole.encode(), "text/html", SEEN_AT, **given)


def news(*posts: Json, markup: str = MARKUP, **given: Any) -> Document:
    return page(as_string(containers(results(*posts))), markup=markup, **given)


def next_data(**fields: object) -> str:
    envelope = {
        "title": "Storm hits coast",
        "description": "What it does",
        "isLive": True,
        "seo": {"dateModified": "2025-06-16T11:00:52.000Z"},
        "liveTextStream": {"id": "AB12", "content": None},
        "summaryPoints": {
            "content": {"model": {"blocks": [block("unorderedList", item("One"), item("Two"))]}}
        },
    }
    data = {"props": {"pageProps": {"pageData": envelope | fields}}}
    return f'<script id="__NEXT_DATA__" type="application/json">{json.dumps(data)}</script>'


def code(document: Document, source: str | None = "bbc") -> str:
    with pytest.raises(PageError) as caught:
        sources.read(document, source)
    assert "\n" not in str(caught.value)
    return caught.value.code


def ids(snapshot: Snapshot) -> list[str]:
    return [entry.id for entry in snapshot.entries]


# --- posts ---------------------------------------------------------------------------------------


def test_a_post_has_the_publishers_id_headline_time_and_text() -> None:
    snapshot = sources.read(body(results(post())))
    assert (snapshot.source, snapshot.variant, snapshot.warnings) == ("bbc", "data", ())
    assert snapshot.entries == (
        Entry(
            id=urn(1),
            title="A headline",
            published=datetime(2025, 6, 16, 8, 1, 24, 587000, tzinfo=UTC),
            body=(Paragraph("Words."),),
            position=1,
        ),
    )


@pytest.mark.parametrize("given", [f"urn:bbc:{urn(1)}", f"urn:bbc:live:{urn(1)}", f" {urn(1)}\n"])
def test_an_id_has_no_decoration(given: str) -> None:
    assert only(urn=given).id == urn(1)


def test_comments_on_one_match_are_told_apart() -> None:
    match = "urn:bbc:sportsdata:football:event:s-1?=commentary="
    both = results(post(urn=f"{match}2"), post(urn=f"{match}1"))
    assert ids(sources.read(body(both))) == [f"{match}2", f"{match}1"]
    asset = results(post(urn=f"{urn(1)}?=commentary=2"), post(urn=f"{urn(1)}?=commentary=1"))
    assert len(sources.read(body(asset)).entries) == 2


def test_a_post_without_a_urn_is_named_by_its_time_and_a_warning_says_so() -> None:
    snapshot = sources.read(body(results(post(urn=None))))
    assert ids(snapshot) == ["20250616T0801Z"]
    assert snapshot.warnings == ("1 entries have no id of the publisher",)


def test_the_first_of_two_posts_with_one_id_is_the_entry() -> None:
    twice = results(post(1, title="First"), post(2), post(1, title="Second"))
    assert [one.title for one in sources.read(body(twice)).entries] == ["First", "A headline"]


def test_the_time_shown_is_when_it_was_placed_in_the_stream() -> None:
    first, curated = "2025-06-16T08:00:00+00:00", "2025-06-16T08:00:24.587Z"
    assert only(dates=dates(firstPublished=first, curated=curated)).published == (
        datetime(2025, 6, 16, 8, 0, 24, 587000, tzinfo=UTC)
    )
    assert only(dates=dates(firstPublished=first)).published == datetime(2025, 6, 16, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("last", "updated"),
    [
        ("2025-06-16T08:00:00+00:00", None),
        ("2025-06-16T09:00:00+01:00", None),
        ("2025-06-16T07:00:00+00:00", None),
        ("2025-06-16T10:15:19+00:00", datetime(2025, 6, 16, 10, 15, 19, tzinfo=UTC)),
    ],
)
def test_a_post_is_updated_only_when_it_was_published_again_later(
    last: str, updated: datetime | None
) -> None:
    clocks = dates(
        firstPublished="2025-06-16T08:00:00+00:00",
        lastPublished=last,
        curated="2025-06-16T08:00:24.587Z",
    )
    assert only(dates=clocks).updated == updated


def test_copies_in_markup_with_an_exact_time_come_once() -> None:
    stamped = MARKUP.replace(
        "<span data", "<time datetime='2025-06-16T08:22:00Z'></time><span data"
    )
    assert ids(sources.read(page("", markup=stamped * 2))) == [urn(9)]


def test_a_time_that_is_not_there_is_a_warning() -> None:
    snapshot = sources.read(body(results(post(dates=dates(curated="soon")))))
    assert snapshot.entries[0].published is None
    assert snapshot.warnings == (f"entry {urn(1)}: it has no time",)


@pytest.mark.parametrize("minute", ["19'", "90+5'", "45'+2", "45' + 2'"])
def test_the_minute_of_a_match_is_a_heading_and_no_time(minute: str) -> None:
    clocks = dates(firstPublished="2025-06-16T08:00:00Z", time=minute)
    entry = only(text("Goal!"), title=None, dates=clocks)
    assert entry.body == (Heading(minute, 4), Paragraph("Goal!"))
    assert entry.published == datetime(2025, 6, 16, 8, tzinfo=UTC)


@pytest.mark.parametrize("words", ["", "08:00", "4 hours ago"])
def test_other_words_for_a_time_are_left_out(words: str) -> None:
    clocks = dates(firstPublished="2025-06-16T08:00:00Z", time=words)
    assert only(dates=clocks).text == "Words."


@pytest.mark.parametrize(("breaking", "labels"), [(True, ("breaking",)), (False, ()), (None, ())])
def test_breaking_is_told_by_a_field_and_never_by_words(
    breaking: bool | None, labels: tuple[str, ...]
) -> None:
    assert only(title="Breaking: storm", breaking=breaking).labels == labels


def test_a_post_without_headline_has_no_title_and_a_card_has_its_own() -> None:
    assert only(title=None).title is None
    card = post(title=None, content=None) | {
        "titles": [{"title": "A card"}],
        "descriptions": [{"text": "What it is about"}],
    }
    (entry,) = sources.read(body(results(card))).entries
    assert (entry.title, entry.text) == ("A card", "What it is about")


# --- authors -------------------------------------------------------------------------------------


def contributor(name: str, subtitle: str | None) -> Json:
    face = block("image", block("rawImage", locator="/x.jpg"), block("altText", text("A face")))
    return block("contributor", face, name=name, subtitle=subtitle, link=None, external="false")


def test_a_contributor_has_a_name_and_a_role() -> None:
    entry = only(header=(contributor("Jo Bloggs", "Weather editor"), contributor("Al", None)))
    assert entry.authors == (Author("Jo Bloggs", "Weather editor"), Author("Al"))
    assert (entry.text, entry.media) == ("Words.", ())


@pytest.mark.parametrize(
    ("line", "author"),
    [
        ("Jo Bloggs", Author("Jo Bloggs")),
        ("Jo Bloggs - Reporting from Bonn", Author("Jo Bloggs", "Reporting from Bonn")),
        ("Jo Bloggs \u2013 Editor - Home", Author("Jo Bloggs", "Editor - Home")),
        ("Jo Bloggs-Smith", Author("Jo Bloggs-Smith")),
    ],
)
def test_without_a_contributor_the_line_under_the_headline_is_the_byline(
    line: str, author: Author
) -> None:
    entry = only(header=(block("subheadline", text(line)),))
    assert (entry.authors, entry.text) == ((author,), "Words.")


def test_a_line_beside_a_contributor_or_as_long_as_a_sentence_is_a_heading() -> None:
    line = block("subheadline", text("What we know"))
    entry = only(header=(line, contributor("Jo", None)))
    assert entry.authors == (Author("Jo"),)
    assert entry.body == (Heading("What we know", 4), Paragraph("Words."))
    sentence = only(header=(block("subheadline", text("The storm has passed.")),))
    assert (sentence.authors, sentence.text) == ((), "The storm has passed.\nWords.")


# --- blocks --------------------------------------------------------------------------------------


def test_blocks_keep_their_kind_and_order() -> None:
    row = block("tableRow", block("tableCell", text("Team")), block("tableCell", text("1")))
    entry = body_of(
        fragment("\n      "),
        paragraph("One"),
        text("Two"),
        paragraph(""),
        block("subheadline", text("Part"), level=4),
        block("orderedList", item("a"), item("b")),
        block("quote", text("Said"), block("attribution", text("Her"))),
        block("table", row),
        fragment("loose "),
        fragment("ends", "bold"),
    )
    assert entry.body == (
        Paragraph("One"),
        Paragraph("Two"),
        Heading("Part", 4),
        ListBlock((Line("a"), Line("b")), ordered=True),
        Quote("Said", cite="Her"),
        Table((("Team", "1"),)),
        Paragraph("loose ends", (Mark(6, 10, "strong"),)),
    )


def test_links_and_emphasis_are_marks_over_the_text() -> None:
    link = block("urlLink", fragment("a "), fragment("link", "italic"), locator="/x", text="a link")
    entry = body_of(
        block("paragraph", fragment("Bold\u00a0 ", "bold"), fragment("and ", "bold"), link)
    )
    assert entry.body == (
        Paragraph(
            "Bold and a link",
            (
                Mark(0, 8, "strong"),
                Mark(9, 15, "link", f"{ORIGIN}/x"),
                Mark(11, 15, "em"),
            ),
        ),
    )


def test_a_link_that_leads_nowhere_is_text() -> None:
    link = block("urlLink", fragment("no"), locator="javascript:x()")
    assert body_of(block("paragraph", link)).body == (Paragraph("no"),)


def test_list_items_keep_their_marks_and_nested_lists_follow() -> None:
    nested = block("listItem", paragraph("a"), block("unorderedList", item("b")))
    entry = body_of(block("unorderedList", nested, block("listItem", fragment("c", "bold"))))
    bold = Mark(0, 1, "strong")
    assert entry.body == (ListBlock((Line("a"), Line("b"), Line("c", (bold,)))),)


RAW = block(
    "rawImage", locator="1d5d/live/x.jpg", originCode="cpsprodpb", copyrightHolder="Reuters"
)
IMAGES = (
    block("image", RAW, block("altText", text("Alt")), block("caption", text("Words of it"))),
    block(
        "image",
        image={"src": "https://i.example/1d5d/live/x.jpg", "alt": "Alt", "copyright": "Reuters"},
        caption=text("Words of it"),
    ),
)


@pytest.mark.parametrize("image", IMAGES)
def test_alt_caption_and_credit_are_apart_from_the_text(image: Json) -> None:
    entry = body_of(image, paragraph("Words."))
    assert entry.text == "Words."
    (read,) = entry.media
    assert isinstance(read, Image)
    assert (read.alt, read.caption, read.credit) == ("Alt", "Words of it", "Reuters")
    assert (read.url or "").endswith("/1d5d/live/x.jpg")


@pytest.mark.parametrize(
    ("model", "url"),
    [
        ({"locator": "https://i.example/x.jpg"}, "https://i.example/x.jpg"),
        (
            {"locator": "a/x.jpg", "originCode": "cpsprodpb"},
            "https://ichef.bbci.co.uk/ace/ws/640/cpsprodpb/a/x.jpg",
        ),
        (
            {"locator": "ichef.bbci.co.uk/images/ic/640xn/p1.jpg", "originCode": "pips"},
            "https://ichef.bbci.co.uk/images/ic/640xn/p1.jpg",
        ),
        ({"locator": "a/x.jpg"}, None),
        ({"locator": 7}, None),
        ({}, None),
    ],
)
def test_the_address_of_a_picture_is_never_guessed(model: Json, url: str | None) -> None:
    assert body_of(block("image", block("rawImage", **model))).media == (Image(url),)


def test_of_a_picture_in_several_sizes_the_widest_is_shown() -> None:
    sizes = (
        block("image", block("rawImage", locator=f"https://i.example/{n}.jpg", width=n))
        for n in (1, 9, 5)
    )
    assert body_of(block("embedImages", *sizes)).media == (Image("https://i.example/9.jpg"),)


@pytest.mark.parametrize("kind", ["video", "audio"])
def test_a_clip_has_its_caption_or_else_its_title(kind: str) -> None:
    clip = block("clipMedia", video={"title": "Its title"}, link={"path": "/programmes/p1"})
    entry = body_of(block(kind, clip, block("caption", text("A clip"))), block(kind, clip))
    at = f"{ORIGIN}/programmes/p1"
    assert (entry.media, entry.body) == ((Video(at, "A clip"), Video(at, "Its title")), ())


@pytest.mark.parametrize(
    "embed",
    [
        block(
            "social",
            block(
                "renditions",
                block("aresOEmbed", oembed={"provider_name": "x", "url": "https://x.example/1"}),
            ),
            source="https://x.example/1?ref=2",
        ),
        block("customEmbed", embedType="x", href="https://x.example/1"),
        block("oEmbed", oembed={"provider_name": "x", "url": "https://x.example/1"}),
    ],
)
def test_what_another_site_provides_is_an_embed(embed: Json) -> None:
    assert body_of(embed).body == (Embed("x", "https://x.example/1"),)


def test_an_embed_without_a_name_has_that_of_its_host() -> None:
    entry = body_of(block("embed", source="https://www.flo.example/v/1"))
    assert entry.body == (Embed("flo.example", "https://www.flo.example/v/1"),)


def test_a_block_of_an_unknown_kind_gives_its_words_and_what_it_holds() -> None:
    entry = body_of(
        {"type": "novelty", "model": {"text": "Words", "count": {"x": 1}}},
        block("novelty", block("deeper", text("in it"), IMAGES[0])),
        {"type": "novelty", "model": None},
        {"type": "novelty", "blocks": [paragraph("right in it")]},
    )
    assert entry.text == "Words\nin it\nright in it"
    assert len(entry.media) == 1


def test_ids_of_inner_blocks_and_how_text_is_cut_never_reach_an_entry() -> None:
    first = only(block("paragraph", fragment("One two", "bold")))
    renamed = json.loads(json.dumps(post(1, paragraph(""))).replace("b0", "b7"))
    cut = block("paragraph", fragment("One ", "bold"), fragment("two", "bold")) | {"id": "x"}
    renamed["content"]["model"]["blocks"] = [cut]
    (second,) = sources.read(body(results(renamed))).entries
    assert content_digest(first) == content_digest(second)


def test_halves_of_surrogate_pairs_break_nothing() -> None:
    assert body_of(paragraph("half \ud83d of it")).text == "half of it"


# --- bodies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        results(post(2), post(1)),
        {"results": [post(2), post(1)]},
        {"data": results(post(2), post(1))},
        [post(2), post(1)],
        {
            "data": {
                "isLive": True,
                "liveTextStream": {"content": {"data": results(post(2), post(1))}},
            }
        },
    ],
)
def test_a_stream_is_read_in_every_wrapping(value: object) -> None:
    assert ids(sources.read(body(value))) == [urn(2), urn(1)]
    assert sources.detect(body(value)).name == "bbc"


def test_one_post_by_itself_is_a_stream() -> None:
    assert ids(sources.read(body(post(1)))) == [urn(1)]


@pytest.mark.parametrize(
    ("index", "total", "complete"), [(1, 1, True), (1, 2, False), (2, 2, True), (1, 0, False)]
)
def test_the_last_page_of_a_stream_is_complete(index: int, total: int, complete: bool) -> None:
    read = sources.read(body(results(post(), index=index, total=total)))
    assert read.complete is complete


def test_without_page_numbers_nothing_is_known_of_what_follows() -> None:
    assert sources.read(body({"results": [post()]})).complete is False


@pytest.mark.parametrize(
    "value", [{"results": []}, {"data": {"results": []}}, [], {"error": "unknown"}, {"data": None}]
)
def test_a_stream_without_posts_is_never_an_empty_page(value: object) -> None:
    assert code(body(value)) == "page.empty"


@pytest.mark.parametrize("markup", [b"", b" \n "])
def test_an_empty_body_is_never_an_empty_page(markup: bytes) -> None:
    assert code(Document(STREAM, markup, "application/json", SEEN_AT)) == "page.empty"


@pytest.mark.parametrize(
    "broken",
    [
        post(dates=7),
        post(urn=["x"]),
        post(options={"isBreakingNews": "yes"}),
        post() | {"content": {"model": {"blocks": {"type": "paragraph"}}}},
        post(1, {"type": "paragraph", "model": {"text": 7}}),
        {"title": "no post"},
        None,
    ],
)
def test_a_post_of_another_form_is_named_and_nothing_is_read(broken: object) -> None:
    assert code(body({"results": [post(2), broken]})) == "page.malformed"


def test_json_that_is_cut_off_is_refused() -> None:
    whole = body(results(post(1), post(2)))
    cut = Document(whole.url, whole.body[:-9], whole.content_type, SEEN_AT)
    assert code(cut) == "page.malformed"
    deep = b'{"results":' + b"[" * 100_000
    assert code(Document(STREAM, deep, "application/json", SEEN_AT)) == "page.malformed"


def test_the_data_of_a_page_without_posts_is_a_page_before_its_first_post() -> None:
    envelope = {"title": "T", "isLive": False, "liveTextStream": {"id": "AB12", "content": None}}
    snapshot = sources.read(body({"data": envelope}))
    assert (snapshot.entries, snapshot.head.title, snapshot.head.live) == ((), "T", False)


@pytest.mark.parametrize("missing", ["isLive", "liveTextStream"])
def test_only_what_is_surely_a_live_page_may_have_no_posts(missing: str) -> None:
    envelope = {"title": "T", "isLive": False, "liveTextStream": {"content": None}}
    del envelope[missing]
    assert code(body({"data": envelope})) == "page.empty"


def test_json_of_others_is_not_taken() -> None:
    dated = {"id": 1, "dates": {"firstPublished": 1}}
    others: tuple[object, ...] = ({"results": [dated]}, {"liveText": [1]}, [dated], [[]])
    assert not any(bbc.detects(body(other)) for other in others)


# --- data in a page ------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [as_string, as_object])
def test_a_pages_data_is_read_and_its_markup_is_not(script: Callable[[object], str]) -> None:
    data = script(containers(results(post(2), post(1))))
    snapshot = sources.read(page(data, markup=MARKUP))
    assert (snapshot.variant, ids(snapshot)) == ("data", [urn(2), urn(1)])
    assert snapshot.entries[0].url == f"{URL}#{urn(2)}"
    assert snapshot.head.title == "Storm hits coast"
    assert snapshot.head.live is True
    assert snapshot.warnings == ()


def test_other_statements_and_containers_around_the_data_do_no_harm() -> None:
    value = containers(results(post()))
    value["data"] = {"nav": None, "x?y": [1], "live-media?a": {"data": 7}} | value["data"]
    before = "<script>window.x=1</script>"
    assert ids(sources.read(page(before + as_string(value)))) == [urn(1)]


@pytest.mark.parametrize(
    "data",
    [
        as_string({"data": {"live-header?assetId=c1": {"data": {"isLive": True}}}}),
        as_string(containers(None)),
        as_string(containers({"results": []})),
        as_object(None),
    ],
)
def test_a_page_whose_data_has_no_posts_is_read_from_its_markup(data: str) -> None:
    snapshot = sources.read(page(data, markup=MARKUP))
    assert (snapshot.variant, ids(snapshot)) == ("markup", [urn(9)])


@pytest.mark.parametrize("script", [as_string, as_object])
def test_what_a_script_says_after_the_data_is_no_data(script: Callable[[object], str]) -> None:
    data = script(containers(results(post()))).replace(";</script>", ";window.y='{}';</script>")
    assert ids(sources.read(page(data))) == [urn(1)]


def test_data_that_cannot_be_read_is_a_warning() -> None:
    cut = as_string(containers(results(post()))).replace('}";', "")
    snapshot = sources.read(page(cut, markup=MARKUP))
    assert (snapshot.variant, ids(snapshot)) == ("markup", [urn(9)])
    assert "cannot be read" in snapshot.warnings[0]


def test_a_page_that_has_no_post_yet_is_a_page_when_its_data_says_so() -> None:
    snapshot = sources.read(page(as_string(containers({"results": []}))))
    assert (snapshot.entries, snapshot.variant) == ((), "data")
    nothing = page(as_string(containers({"results": []}, live=None)))
    assert code(nothing) == "page.no_entries"


def test_a_world_service_page_is_read_from_its_data() -> None:
    content = {"data": results(post(2), post(1), total=3)}
    stream = {"id": "AB12", "content": content, "contributors": "Edited by Jo"}
    snapshot = sources.read(page(next_data(liveTextStream=stream), markup="<article>x</article>"))
    assert (snapshot.source, snapshot.variant, ids(snapshot)) == ("bbc", "data", [urn(2), urn(1)])
    assert snapshot.complete is False
    assert snapshot.head.summary == "One\nTwo"
    assert (snapshot.head.title, snapshot.head.live) == ("Storm hits coast", True)
    assert snapshot.head.url == URL
    assert snapshot.modified == datetime(2025, 6, 16, 11, 0, 52, tzinfo=UTC)


def test_half_a_page_is_refused_also_when_its_data_is_whole() -> None:
    whole = news(post())
    half = msgspec.structs.replace(whole, body=whole.body.replace(b"</html>", b""))
    assert code(half) == "page.truncated"


# --- the stream that a page polls ----------------------------------------------------------------


@pytest.mark.parametrize("script", [as_string, as_object])
def test_the_stream_is_wanted_with_the_exact_query_of_the_page(
    script: Callable[[object], str],
) -> None:
    document = page(script(containers(results(post()))))
    assert bbc.wants(document) == (STREAM,)


def test_an_escaped_query_is_the_same_query() -> None:
    data = as_string(containers(results(post()))).replace("&", "\\\\u0026")
    assert bbc.wants(page(data)) == (STREAM,)


@pytest.mark.parametrize(
    "document",
    [
        page("", markup=MARKUP),
        page('<script>x={"stream?a=1":2}</script>', markup=MARKUP),
        page(as_string({"data": {"stream": {"data": results(post())}}})),
        page(next_data()),
        page(f'<script>x="http://[/fd/stream"</script>{next_data()}'),
        body(results(post())),
        Document(URL, b"", "", SEEN_AT),
    ],
)
def test_a_page_that_names_no_stream_wants_nothing(document: Document) -> None:
    assert bbc.wants(document) == ()


def test_a_world_service_page_wants_the_stream_whose_address_it_names() -> None:
    known = "liveTextStreamId=AB12&type=curated"
    named = f'<script>x="{ORIGIN}/fd/stream"</script>{next_data()}'
    assert bbc.wants(page(named)) == (f"{ORIGIN}/fd/stream?{known}",)
    whole = f'<a href="/fd/stream?{known}">x</a>{next_data()}'
    assert bbc.wants(page(whole)) == (f"{ORIGIN}/fd/stream?{known}",)
    elsewhere = f'<script>x="https://other.example/fd/stream"</script>{next_data()}'
    assert bbc.wants(page(elsewhere)) == ()


def test_the_stream_is_wanted_again_on_each_poll() -> None:
    earlier = body(results(post()), seen_at=SEEN_AT - timedelta(seconds=15))
    assert bbc.wants(news(post(), parts={STREAM: earlier})) == (STREAM,)
    assert bbc.wants(news(post(), parts={STREAM: body(results(post()))})) == ()
    assert bbc.wants(news(post(), parts={STREAM: refused(STREAM)})) == ()


def test_the_stream_replaces_the_posts_of_the_page() -> None:
    stream = body(results(post(3), post(2), index=1, total=4))
    snapshot = sources.read(news(post(2), post(1), parts={STREAM: stream}))
    assert (snapshot.variant, ids(snapshot)) == ("data", [urn(3), urn(2)])
    assert (snapshot.complete, snapshot.warnings) == (False, ())
    assert snapshot.head.title == "Storm hits coast"
    assert snapshot.entries[0].url == f"{URL}#{urn(3)}"


def test_an_answer_of_an_earlier_poll_says_nothing() -> None:
    earlier = body(results(post(3)), seen_at=SEEN_AT - timedelta(seconds=15))
    assert ids(sources.read(news(post(2), parts={STREAM: earlier}))) == [urn(2)]


def test_when_the_stream_is_refused_the_page_is_read_and_a_warning_says_so() -> None:
    snapshot = sources.read(news(post(2), post(1), parts={STREAM: refused(STREAM)}))
    assert (snapshot.variant, ids(snapshot)) == ("data", [urn(2), urn(1)])
    assert snapshot.warnings == (
        f"the stream {STREAM} is refused (404): posts are read from the page",
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"", "page.empty"),
        (b'{"results":[]}', "page.empty"),
        (b'{"results":[],"page":{"index":1,"total":1}}', "page.empty"),
        (b'{"error":"no"}', "page.empty"),
        (b"null", "page.empty"),
        (b"<html>Before you continue</html>", "page.malformed"),
        (b'{"results":[{"urn":"a', "page.malformed"),
    ],
)
def test_a_stream_that_says_nothing_is_a_failed_poll(answer: bytes, expected: str) -> None:
    part = Document(STREAM, answer, "application/json", SEEN_AT)
    document = news(post(), parts={STREAM: part})
    assert bbc.wants(document) == ()
    with pytest.raises(PageError) as caught:
        sources.read(document)
    assert (caught.value.code, caught.value.where) == (expected, STREAM)


# --- older pages ---------------------------------------------------------------------------------


def stream_page(number: int, *posts: Json, total: int = 3) -> Document:
    address = STREAM.replace("pageNumber=1", f"pageNumber={number}")
    return body(results(*posts, index=number, total=total), url=address)


def deep(older_pages: int, *parts: Document) -> Document:
    reading = Reading(older_pages=older_pages)
    return news(post(6), reading=reading, parts={part.url: part for part in parts})


NEWEST, OLDER, OLDEST = (
    stream_page(1, post(6), post(5)),
    stream_page(2, post(5), post(4), post(3)),
    stream_page(3, post(2), post(1)),
)


@pytest.mark.parametrize(
    ("asked", "wanted"), [(0, ()), (1, (SECOND,)), (2, (SECOND, THIRD)), (9, (SECOND, THIRD))]
)
def test_as_many_older_pages_are_wanted_as_are_asked_for_and_are_there(
    asked: int, wanted: tuple[str, ...]
) -> None:
    assert bbc.wants(deep(asked)) == (STREAM,)
    assert bbc.wants(deep(asked, NEWEST)) == wanted
    assert bbc.wants(deep(asked, NEWEST, OLDER, OLDEST)) == ()


def test_older_pages_follow_and_a_post_that_slid_to_the_next_page_comes_once() -> None:
    snapshot = sources.read(deep(2, NEWEST, OLDER, OLDEST))
    assert ids(snapshot) == [urn(number) for number in (6, 5, 4, 3, 2, 1)]
    assert [entry.position for entry in snapshot.entries] == [1, 2, 3, 4, 5, 6]
    assert snapshot.complete is True
    assert sources.read(deep(1, NEWEST, OLDER)).complete is False


def test_older_pages_that_are_not_asked_for_are_not_read() -> None:
    assert ids(sources.read(deep(0, NEWEST, OLDER))) == [urn(6), urn(5)]


def test_an_older_page_that_is_not_there_ends_the_reading() -> None:
    snapshot = sources.read(deep(2, NEWEST, refused(SECOND), OLDEST))
    assert (ids(snapshot), snapshot.complete) == ([urn(6), urn(5)], False)
    empty = Document(SECOND, b"", "application/json", SEEN_AT)
    snapshot = sources.read(deep(2, NEWEST, empty, OLDEST))
    assert (ids(snapshot), snapshot.complete) == ([urn(6), urn(5)], False)
    assert "empty body" in snapshot.warnings[0]


# --- memory --------------------------------------------------------------------------------------


def test_memory_changes_nothing_but_how_much_is_read() -> None:
    memo = Memo()
    for posts in ([post(2), post(1)], [post(3), post(2, title="Changed"), post(1)], [post(3)]):
        document = news(*posts)
        assert sources.read(document, memo=memo) == sources.read(document)


def test_memory_knows_that_links_lie_on_another_page() -> None:
    memo = Memo()
    linked = post(1, block("paragraph", block("urlLink", fragment("x"), locator="/x")))
    for url in (STREAM, STREAM.replace("news.", "sport.")):
        document = body(results(linked), url=url)
        assert sources.read(document, memo=memo) == sources.read(document)


def test_memory_of_markup_knows_that_words_mean_another_time_later() -> None:
    memo = Memo()
    markup = MARKUP.replace("08:22 16 June", "08:22")
    for hour in range(0, 48, 3):
        seen_at = SEEN_AT + timedelta(hours=hour, minutes=22 - hour)
        document = msgspec.structs.replace(page("", markup=markup), seen_at=seen_at)
        snapshot = sources.read(document, memo=memo)
        assert snapshot == sources.read(document)
        assert snapshot.undated == (urn(9),)


def test_words_without_a_zone_are_read_in_the_zone_of_the_page() -> None:
    document = page("", markup=MARKUP, reading=Reading(zone="Asia/Tokyo"))
    (entry,) = sources.read(document).entries
    assert entry.published == datetime(2025, 6, 15, 23, 22, tzinfo=UTC)
    assert sources.read(document).undated == ()


# --- real answers --------------------------------------------------------------------------------


def real(corpus: Path, name: str) -> Snapshot:
    content = (corpus / f"bbc-simorgh_{name}.json").read_bytes()
    document = Document(URL, content, "application/json", SEEN_AT)
    assert sources.detect(document).name == "bbc"
    return sources.read(document)


def test_the_real_stream_has_an_edited_breaking_post_with_a_byline(corpus: Path) -> None:
    snapshot = real(corpus, "stream-poll_2023-12-20_first3posts")
    assert [len(entry.body) for entry in snapshot.entries] == [1, 1, 3]
    assert [entry.labels for entry in snapshot.entries] == [(), (), ("breaking",)]
    last = snapshot.entries[-1]
    assert last.id == "asset:8e63ed82-876f-4252-8fe6-80e57cc20da3"
    assert last.published == datetime(2023, 12, 20, 10, 23, 24, 587000, tzinfo=UTC)
    assert last.updated == datetime(2023, 12, 20, 12, 15, 19, tzinfo=UTC)
    assert last.authors == (Author("Rushdi Abu Alouf", "Reporting from Istanbul"),)
    assert all(entry.updated is None for entry in snapshot.entries[:-1])


def test_the_real_sample_posts_have_social_embeds_and_bold_text(corpus: Path) -> None:
    snapshot = real(corpus, "sample-posts_2023-09-08")
    bold, embed, *_ = snapshot.entries[1].body
    assert isinstance(bold, Paragraph)
    assert isinstance(embed, Embed)
    assert [mark.kind for mark in bold.marks] == ["strong"]
    assert embed.provider == "twitter"


def test_the_real_page_without_posts_has_a_head(corpus: Path) -> None:
    snapshot = real(corpus, "live-page-envelope_pidgin-c7p765ynk9qt")
    assert (snapshot.entries, snapshot.head.live) == ((), False)
    assert len((snapshot.head.summary or "").splitlines()) == 3
    assert snapshot.modified == datetime(2024, 3, 12, 11, 0, 52, tzinfo=UTC)
