"""The renderers of the oracle: each writes its page, and noise changes nothing but bytes.

Whether our parsers read them is not asked here: that is what the simulator is for.
"""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pytest
from selectolax.lexbor import LexborHTMLParser

from service.model import Selectors
from tests.simulator.desk import Front, Post
from tests.simulator.markup import MARKUPS, answer, css, native_id, shows

NOW = datetime(2025, 4, 25, 9, 30, tzinfo=UTC)
MEMBERS = {
    "head:title", "head:summary", "title", "labels:breaking", "labels:key", "labels:pinned",
    "labels:summary", "author", "role", "published", "updated", "items", "paragraphs", "image",
    "image:alt", "image:caption", "image:credit", "live", "withdrawn",
}  # fmt: skip
HARD = 'Café <b>"R&D"</b> isn\'t </script> over: “עברית” & 🚒 – 5 < 6'
POSTS = (
    Post(
        key="p4",
        title=f"Breaking {HARD}",
        paragraphs=(f"First {HARD}", "Second paragraph."),
        items=("One item & more", "Another <item>"),
        labels=frozenset({"breaking", "key"}),
        author="Ada O'Example",
        role="Chief & only reporter",
        published=NOW - timedelta(minutes=21),
        updated=NOW - timedelta(minutes=3),
        image=("https://img.example.org/a/fire.jpg", 'A "fire"', "Smoke & flames", "Agency/Pool"),
    ),
    Post(
        key="p3",
        title=None,
        paragraphs=("A post without a title.",),
        labels=frozenset({"summary"}),
        published=NOW - timedelta(hours=2),
        updated=None,
        image=None,
    ),
    Post(
        key="p1",
        title="Pinned since yesterday",
        paragraphs=("Yesterday's words.",),
        labels=frozenset({"pinned"}),
        author="Ben Example",
        published=NOW - timedelta(days=1),
        updated=None,
        image=None,
    ),
)
HTML_PAGES = [name for name, module in MARKUPS.items() if "text/html" in module.CONTENT_TYPE]
each = pytest.mark.parametrize("markup", MARKUPS)


def front(salt: int = 1, **changes: object) -> Front:
    shown = Front(
        title=f"Page {HARD}",
        summary=f"Summary {HARD}",
        live=True,
        url="http://127.0.0.1:8080/news/live/c1abc",
        posts=POSTS,
        total=45,
        pinned="p1",
        now=NOW,
        modified=NOW - timedelta(minutes=3),
        salt=salt,
        withdrawn=("p2",),
    )
    return msgspec.structs.replace(shown, **changes)


def bodies(markup: str, shown: Front) -> list[bytes]:
    module = MARKUPS[markup]
    more = module.answers(shown).values() if hasattr(module, "answers") else ()
    return [module.page(shown), *more]


def plain(body: bytes) -> str:
    """All that a body says, whatever way it is written: entities, JSON and doubled ones undone."""
    text = body.decode()
    for _ in range(3):
        text = html.unescape(re.sub(r"\\+u([0-9a-f]{4})", _character, text))
    text = text.encode("utf-16", "surrogatepass").decode("utf-16")
    return re.sub(r'\\+"', '"', text)


def _character(found: re.Match[str]) -> str:
    return chr(int(found[1], 16))


@each
def test_a_markup_says_what_it_is(markup: str) -> None:
    module = MARKUPS[markup]
    assert module.SOURCE.islower()
    assert module.CONTENT_TYPE.startswith(("text/html", "text/plain", "application/json"))
    assert module.SHOWS <= MEMBERS


@each
def test_the_same_front_and_salt_give_the_same_bytes(markup: str) -> None:
    assert bodies(markup, front(7)) == bodies(markup, front(7))


@each
def test_salt_changes_the_bytes_of_every_body_and_not_their_addresses(markup: str) -> None:
    one, other = front(7), front(8)
    pairs = zip(bodies(markup, one), bodies(markup, other), strict=True)
    assert all(a != b for a, b in pairs)
    module = MARKUPS[markup]
    if hasattr(module, "answers"):
        assert module.answers(one).keys() == module.answers(other).keys()


@each
def test_salts_are_many(markup: str) -> None:
    assert len({MARKUPS[markup].page(front(salt)) for salt in range(50)}) >= 48


@each
@pytest.mark.parametrize("salt", range(8))
def test_the_words_that_a_markup_shows_are_on_its_page_whatever_the_salt(
    markup: str, salt: int
) -> None:
    said = plain(b"\n".join(bodies(markup, front(salt))))
    for post in POSTS:
        told = shows(markup, post)
        words = [*post.paragraphs]
        words += post.items if "items" in told else ()
        words += [post.title] if post.title and "title" in told else []
        words += [post.author] if post.author and "author" in told else []
        words += [post.role] if post.role and "role" in told else []
        if post.image and "image" in told:
            names = zip(("alt", "caption", "credit"), post.image[1:], strict=True)
            words += [word for name, word in names if f"image:{name}" in told]
        assert [word for word in words if word not in said] == []
    if "head:title" in MARKUPS[markup].SHOWS:
        assert front().title in said
    if "head:summary" in MARKUPS[markup].SHOWS:
        assert front().summary in said


@pytest.mark.parametrize("markup", HTML_PAGES)
def test_text_can_neither_close_a_script_nor_become_markup(markup: str) -> None:
    for salt in range(8):
        tree = LexborHTMLParser(MARKUPS[markup].page(front(salt)))
        assert [node for node in tree.css("b") if "R&D" in (node.text() or "")] == []
        for script in tree.css('script[type="application/ld+json"]'):
            json.loads(script.text())


@each
def test_json_bodies_are_json(markup: str) -> None:
    module = MARKUPS[markup]
    answers = module.answers(front()) if hasattr(module, "answers") else {}
    own = [module.page(front())] if module.CONTENT_TYPE.startswith("application/json") else []
    for body in [*own, *answers.values()]:
        assert isinstance(json.loads(body), dict)


@each
def test_a_native_id_stands_on_the_page_and_outlives_an_edit_of_text_or_time(markup: str) -> None:
    said = unquote(plain(b"\n".join(bodies(markup, front()))))
    for post in POSTS:
        native = native_id(markup, post)
        if native is None:
            continue
        assert native in said
        edited = msgspec.structs.replace(post, paragraphs=("New.",), published=NOW, updated=NOW)
        assert native_id(markup, edited) == native


@pytest.mark.parametrize("markup", [name for name in MARKUPS if name not in {"jsonld_nyt", "nyt"}])
def test_a_native_id_outlives_a_new_headline(markup: str) -> None:
    changed = msgspec.structs.replace(POSTS[0], title="Another headline")
    assert native_id(markup, changed) == native_id(markup, POSTS[0])


@pytest.mark.parametrize("markup", ["jsonld_nyt", "nyt"])
def test_an_id_made_from_the_headline_changes_with_it(markup: str) -> None:
    changed = msgspec.structs.replace(POSTS[0], title="Another headline")
    assert native_id(markup, changed) != native_id(markup, POSTS[0])


@each
def test_native_ids_of_a_long_page_differ(markup: str) -> None:
    long = [msgspec.structs.replace(POSTS[0], key=f"p{number}") for number in range(2000)]
    ids = {native_id(markup, post) for post in long}
    assert len(ids) in (1, 2000)
    assert (len(ids) == 1) == (native_id(markup, POSTS[0]) is None)


@each
def test_an_empty_page_renders(markup: str) -> None:
    assert bodies(markup, front(posts=(), pinned=None, withdrawn=(), total=0))


@each
def test_a_page_tells_its_end_where_it_shows_it(markup: str) -> None:
    differs = bodies(markup, front(live=True)) != bodies(markup, front(live=False))
    assert differs == ("live" in MARKUPS[markup].SHOWS)


@each
def test_a_label_changes_the_page_where_it_is_shown(markup: str) -> None:
    bare = msgspec.structs.replace(POSTS[1], labels=frozenset())
    for label in ("breaking", "key", "summary"):
        marked = msgspec.structs.replace(bare, labels=frozenset({label}))
        differs = bodies(markup, front(posts=(bare,))) != bodies(markup, front(posts=(marked,)))
        if f"labels:{label}" in MARKUPS[markup].SHOWS:
            assert differs, label


def test_a_reach_key_event_hides_its_author() -> None:
    assert "author" not in shows("reach", POSTS[0])
    assert "author" in shows("reach", POSTS[2])
    assert b"Ada" not in MARKUPS["reach"].page(front()).split(b"live-event-entries")[1]


def test_an_undated_page_leaves_out_the_date_of_today_only() -> None:
    tree = LexborHTMLParser(MARKUPS["bbc_html_undated"].page(front()))
    stamps = [node.text() for node in tree.css('[data-testid="accessible-timestamp"]')]
    assert stamps == ["published at 10:09", "published at 08:30", "published at 10:30 24 April"]


def test_a_dated_page_names_the_zone() -> None:
    tree = LexborHTMLParser(MARKUPS["bbc_html"].page(front()))
    stamp = tree.css_first('[data-testid="accessible-timestamp"]')
    assert stamp is not None
    assert stamp.text() == "published at 10:09 British Summer Time 25 April"


def test_a_guardian_page_pins_a_copy_that_has_no_id() -> None:
    tree = LexborHTMLParser(MARKUPS["guardian_html"].page(front()))
    blocks = [node.attributes.get("id") for node in tree.css("article.block")]
    assert blocks == [None, *(f"block-{native_id('guardian_html', post)}" for post in POSTS)]


def test_a_mirror_update_has_its_two_times_in_two_offsets() -> None:
    tree = LexborHTMLParser(MARKUPS["jsonld_mirror"].page(front()))
    script = tree.css_first('script[type="application/ld+json"]')
    assert script is not None
    update = json.loads(script.text())["liveBlogUpdate"][0]
    assert update["datePublished"] == "2025-04-25T10:09:00.000+01:00"
    assert update["dateModified"] == "2025-04-25T09:27:00.000Z"


def test_a_withdrawn_post_leaves_a_record() -> None:
    records = json.loads(MARKUPS["wordpress"].page(front()))["entries"]
    assert [record["type"] for record in records] == ["new", "new", "delete", "update"]
    posts = json.loads(MARKUPS["sourcefabric"].page(front()))["_items"]
    assert [post["deleted"] for post in posts].count(True) == 1
    assert [post["post_status"] for post in posts].count("submitted") == 1


def test_an_answer_is_found_however_its_query_is_spelt() -> None:
    answers = MARKUPS["aljazeera"].answers(front())
    asked = next(path for path in answers if "LiveBlogUpdateQuery" in path)
    path, _, query = unquote(asked).partition("?")
    swapped = f"{path}?{'&'.join(reversed(query.split('&')))}"
    assert answer(answers, swapped) == answers[asked]
    assert answer(answers, "/graphql?operationName=Other") is None


def test_the_poll_of_a_bbc_page_is_the_query_in_its_data() -> None:
    [asked] = MARKUPS["bbc_data"].answers(front())
    query = asked.partition("?")[2]
    assert f"stream?{query}".encode() in MARKUPS["bbc_data"].page(front())


def test_the_selectors_of_the_invented_page_are_selectors() -> None:
    assert msgspec.convert(css.SELECTORS, Selectors).entry == "ol.log > li.update"


def corpus_keys(value: object) -> set[str]:
    """Every key of an object, at any depth but for free-form ones."""
    if isinstance(value, dict):
        return set(value) | set().union(*(corpus_keys(item) for item in value.values()), set())
    if isinstance(value, list):
        return set().union(*(corpus_keys(item) for item in value), set())
    return set()


@pytest.mark.parametrize(
    ("captured", "where", "markup", "ours"),
    [
        ("bbc-simorgh_stream-poll_2023-12-20_first3posts.json", "results", "bbc_stream", "results"),
        ("guardian_pmqs_snapshot-a_2024-02-06.json", "blocks", "guardian_data", "blocks"),
        ("aljazeera_iran-war-live_shell_snapshot-1_trimmed.json", "data", "aljazeera", "data"),
        (
            "sourcefabric-liveblog_dpa-newslab_posts_2016-03-29.json",
            "_items",
            "sourcefabric",
            "_items",
        ),
    ],
)
def test_what_we_render_has_the_names_that_the_capture_has(
    corpus: Path, captured: str, where: str, markup: str, ours: str
) -> None:
    """Our own keys are the publisher's: but for those that the notes name and the capture lacks."""
    real = corpus_keys(json.loads((corpus / captured).read_bytes())[where])
    page = json.loads(MARKUPS[markup].page(front()))
    invented = corpus_keys((page.get("data") or page).get(ours, page.get(ours))) - real
    noted = {
        "bbc_stream": {"rawImage", "locator", "originCode", "copyrightHolder", "width", "height"},
        "guardian_data": {"name", "imageUrl"},
        "sourcefabric": {"lb_highlight", "content_updated_date", "unpublished_date"},
    }
    assert invented <= noted.get(markup, set())
