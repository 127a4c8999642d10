"""What is rendered reads back as the same entries, whatever else differs by response."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from selectolax.lexbor import LexborHTMLParser, LexborNode

from service import sources
from service.errors import ConfigError, PageError
from service.model import (
    Author,
    Entry,
    Head,
    Image,
    Line,
    ListBlock,
    Paragraph,
    Snapshot,
    content,
)
from service.replay import Recording, load
from service.replay.render import consent_html, live_html, live_text, published_at
from service.sources.base import Document

SEED = Path(__file__).parents[2] / "seeds" / "bbc-live-2025-04-25.txt"
SEEN_AT = datetime(2025, 4, 25, 12, 0, tzinfo=UTC)
URL = "http://127.0.0.1:1/live"
HOSTILE = Entry(
    id="asset:1",
    title="</h3><script>alert('x')</script> & \"more\"",
    published=SEEN_AT,
    authors=(Author("<b>Ann</b>", "Editor & <i>such</i>"),),
    media=(Image(alt='a"b<c>', caption="<figcaption>", credit="</span>"),),
    body=(
        Paragraph("</p><article>1 < 2 & 3 > 2"),
        ListBlock((Line("</li><li>"), Line("&amp;")), ordered=True),
    ),
)


@pytest.fixture(scope="module")
def seed() -> Recording:
    return load(SEED, now=SEEN_AT)


def shown(recording: Recording) -> tuple[Entry, ...]:
    """The recorded page: all entries, newest first."""
    return tuple(one.entry for one in recording.recorded)


def first(node: LexborHTMLParser | LexborNode, selector: str) -> LexborNode:
    """The first node that fits."""
    found = node.css_first(selector)
    assert found is not None, selector
    return found


def read(markup: str, source: str) -> Snapshot:
    kind = "text/plain" if source == "text" else "text/html"
    document = Document(URL, markup.encode(), f"{kind}; charset=utf-8", SEEN_AT)
    return sources.read(document, source)


@pytest.mark.parametrize("number", range(1, 21))
def test_html_reads_back_as_the_recorded_entry(seed: Recording, number: int) -> None:
    page = live_html(seed.head, shown(seed), url=URL, salt="a")
    snapshot = read(page, "bbc")
    assert len(snapshot.entries) == 20
    entry, recorded = snapshot.entries[number - 1], shown(seed)[number - 1]
    assert entry.id == recorded.id
    assert content(entry) == content(recorded)


def test_html_is_detected_as_a_bbc_page_that_is_live(seed: Recording) -> None:
    markup = live_html(seed.head, shown(seed), url=URL, salt="a").encode()
    snapshot = sources.read(Document(URL, markup, "text/html; charset=utf-8", SEEN_AT), None)
    assert snapshot.source == "bbc"
    assert snapshot.head.live is True
    assert snapshot.head.title == seed.head.title


@pytest.mark.parametrize("number", range(1, 21))
def test_text_reads_back_as_the_recorded_entry(seed: Recording, number: int) -> None:
    snapshot = read(live_text(seed.preamble, shown(seed)), "text")
    assert len(snapshot.entries) == 20
    assert content(snapshot.entries[number - 1]) == content(shown(seed)[number - 1])


def test_text_of_the_whole_recording_is_the_recording_but_for_blank_lines(seed: Recording) -> None:
    def lines(text: str) -> list[str]:
        return [line for line in text.split("\n") if line]

    assert lines(live_text(seed.preamble, shown(seed))) == lines(SEED.read_text("utf-8"))


def test_two_responses_differ_in_bytes_and_not_in_content(seed: Recording) -> None:
    pages = [live_html(seed.head, shown(seed), url=URL, salt=salt) for salt in ("a", "b")]
    assert pages[0] != pages[1]
    one, other = (read(page, "bbc") for page in pages)
    assert one == other


def test_every_step_of_the_seed_reads_back(seed: Recording) -> None:
    for step in seed.timeline().steps:
        snapshot = read(live_html(seed.head, step.entries, url=URL, salt="c"), "bbc")
        assert [e.id for e in snapshot.entries] == [e.id for e in step.entries]
        assert [content(e) for e in snapshot.entries] == [content(e) for e in step.entries]


def test_words_of_an_entry_are_never_markup() -> None:
    tree = LexborHTMLParser(live_html(Head(title="<i>"), [HOSTILE], url=URL, salt="a"))
    article = tree.css("article")
    assert len(article) == 1
    assert article[0].css("script, b, i") == []
    assert first(tree, "h3 span[role=text] > span").text() == HOSTILE.title
    assert [li.text() for li in article[0].css("li")] == ["</li><li>", "&amp;"]
    assert first(article[0], "img").attributes["alt"] == 'a"b<c>'


def test_markup_is_that_of_bbc_live_pages(seed: Recording) -> None:
    page = live_html(seed.head, shown(seed), url=URL, salt="a")
    tree = LexborHTMLParser(page)
    newest = first(tree, "article[data-testid=content-post]")
    assert first(newest, "[data-testid=accessible-timestamp]").text() == (
        "published at 10:17 British Summer Time 25 April"
    )
    assert re.fullmatch(r"asset:[0-9a-f-]{36}", first(newest, "h3").attributes["id"] or "")
    assert first(newest, "[class*=Contributor] strong").text() == "Vitaliy Shevchenko"
    assert first(newest, "p[class*=ssrcss-][class*=-Paragraph]") is not None
    assert len(tree.css("[data-testid=breaking-news-label]")) == 2
    assert first(tree, "link[rel=canonical]").attributes["href"] == URL
    assert page.rstrip().endswith("</html>")


def test_initial_data_is_json_in_a_json_string(seed: Recording) -> None:
    page = live_html(Head(title="</script>"), shown(seed), url=URL, salt="a")
    found = re.search(r'window\.__INITIAL_DATA__=(".*?");</script>', page)
    assert found
    assert "<" not in found[1]
    (header,) = json.loads(json.loads(found[1]))["data"].values()
    assert header["data"] == {"title": "</script>", "isLive": True}


def test_consent_page_is_no_live_page() -> None:
    assert consent_html(salt="a") != consent_html(salt="b")
    with pytest.raises(PageError) as caught:
        read(consent_html(salt="a"), "bbc")
    assert caught.value.health == "blocked"


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (datetime(2025, 4, 25, 9, 17, tzinfo=UTC), "10:17 British Summer Time 25 April"),
        (datetime(2025, 1, 1, 0, 5, tzinfo=UTC), "00:05 Greenwich Mean Time 1 January"),
        (datetime(2025, 3, 30, 1, 0, tzinfo=UTC), "02:00 British Summer Time 30 March"),
        (datetime(2025, 10, 26, 1, 0, tzinfo=UTC), "01:00 Greenwich Mean Time 26 October"),
    ],
)
def test_time_is_said_with_its_zone_and_without_a_year(moment: datetime, words: str) -> None:
    assert published_at(moment) == words


# --- the recording -------------------------------------------------------------------------------


def test_seed_is_read_as_seen_on_the_day_in_its_name(seed: Recording) -> None:
    assert seed.recorded[0].at == datetime(2025, 4, 25, 9, 17, tzinfo=UTC)
    later = load(SEED, now=datetime(2031, 1, 1, tzinfo=UTC))
    assert later == seed


def test_recording_without_a_date_in_its_name_is_read_as_seen_now(tmp_path: Path) -> None:
    path = tmp_path / "page.txt"
    path.write_bytes(SEED.read_bytes())
    recording = load(path, now=datetime(2031, 6, 1, tzinfo=UTC))
    assert recording.recorded[0].at.year == 2031
    assert recording.items == ()


def test_seed_with_its_script_does_what_the_demo_counts(seed: Recording) -> None:
    ids = {one.number: one.entry.id for one in seed.recorded}
    expected = seed.timeline().expected
    assert expected.published == tuple(ids[n] for n in range(20, 0, -1))
    assert expected.baseline == (ids[20],)
    assert expected.edited == (
        (ids[12], "figure"),
        (ids[10], "label"),
        (ids[7], "label"),
        (ids[2], "typo"),
    )
    assert expected.removed == (ids[10],)
    assert expected.alerts == (ids[10], ids[7], ids[1])
    assert (expected.paused, expected.resumed) == ((ids[18],), (ids[17],))


def test_seed_ends_as_recorded_without_the_withdrawn_entry(seed: Recording) -> None:
    final = seed.timeline().steps[-1].entries
    kept = [one.entry for one in seed.recorded if one.number != 10]
    assert [content(entry) for entry in final] == [content(entry) for entry in kept]


def test_ids_do_not_depend_on_words(seed: Recording) -> None:
    again = load(SEED, now=SEEN_AT)
    assert [one.entry.id for one in again.recorded] == [one.entry.id for one in seed.recorded]
    assert len({one.entry.id for one in seed.recorded}) == 20


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("none.txt", None, "no such file"),
        ("empty.txt", b"", ""),
        ("words.txt", b"Nothing to see here.\n", ""),
        ("page.txt", b"\x00\xff\xfe\x01" * 50, ""),
    ],
)
def test_file_that_is_no_recording_is_refused_in_one_line(
    tmp_path: Path, name: str, body: bytes | None, said: str
) -> None:
    path = tmp_path / name
    if body is not None:
        path.write_bytes(body)
    with pytest.raises(ConfigError) as caught:
        load(path, now=SEEN_AT)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert said in line
    assert "\n" not in line


def test_folder_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path))):
        load(tmp_path, now=SEEN_AT)


def test_script_that_does_not_fit_is_refused_when_the_recording_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "page-2025-04-25.txt"
    path.write_bytes(SEED.read_bytes())
    script = tmp_path / "page-2025-04-25.script.toml"
    script.write_text("[[withdraw]]\nentry = 21\nat = 2025-04-25T08:00:00Z\n")
    with pytest.raises(ConfigError, match="entry: 21 is not in the recording"):
        load(path, now=SEEN_AT)


def test_recorded_entries_carry_no_address_of_the_recording(seed: Recording) -> None:
    assert all(one.entry.url is None for one in seed.recorded)
    assert seed.head.url is None
