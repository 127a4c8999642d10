"""The `reach` source on small invented pages, and on a real one where it is at hand."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.errors import PageError
from service.model import Author, Entry, Paragraph
from service.sources import jsonld, reach
from service.sources.base import Document

SEEN_AT = datetime(2024, 8, 5, 20, 5, tzinfo=UTC)
URL = "https://paper.example/news/live-1"


def entry(
    native: str = "7001",
    *,
    kind: str = "default",
    mark: str = "Jo Ray",
    posted: str = "1722888018921",
    modified: str = "1722888018921",
    content: str = "<h3>A headline</h3><p>Words.</p>",
) -> str:
    return (
        f'<div class="live-event-entry" id="{native}" data-type="{kind}" '
        f'data-post-time="{posted}" data-last-modified-time="{modified}"><div class="entry-info">'
        f'<time class="updating">21:00</time><mark>{mark}</mark></div>'
        f'<div class="entry-content">{content}</div></div>'
    )


def page(*entries: str) -> Document:
    markup = (
        "<!DOCTYPE html><html><head><title>T</title></head><body><h1>Storm LIVE</h1>"
        f'<div class="live-event-entries">{"".join(entries)}</div></body></html>'
    )
    return Document(URL, markup.encode(), "text/html; charset=utf-8", SEEN_AT)


def test_an_entry_has_its_id_times_author_and_text() -> None:
    snapshot = reach.parse(page(entry(modified="1722888078000")))
    assert (snapshot.source, snapshot.head.title, snapshot.warnings) == ("reach", "Storm LIVE", ())
    assert snapshot.entries == (
        Entry(
            id="7001",
            title="A headline",
            published=datetime(2024, 8, 5, 20, 0, 18, 921000, tzinfo=UTC),
            updated=datetime(2024, 8, 5, 20, 1, 18, tzinfo=UTC),
            authors=(Author("Jo Ray"),),
            body=(Paragraph("Words."),),
            url=f"{URL}#7001",
            position=1,
        ),
    )


def test_a_key_event_is_a_label_and_its_mark_is_no_author() -> None:
    (key,) = reach.parse(page(entry(kind="key-event", mark="KEY EVENT"))).entries
    assert (key.labels, key.authors, key.text) == (("key",), (), "Words.")


def test_a_heading_further_down_is_no_title() -> None:
    (one,) = reach.parse(page(entry(content="<p>Words.</p><h3>More</h3>"))).entries
    assert (one.title, one.text) == (None, "Words.\nMore")


def test_it_is_told_by_entries_with_their_times() -> None:
    assert reach.detects(page(entry()))
    assert not reach.detects(page('<p class="live-event-entry">live-event-entry</p>'))


def test_a_page_without_entries_is_refused() -> None:
    with pytest.raises(PageError) as refused:
        reach.parse(page())
    assert refused.value.code == "page.no_entries"


# --- a real page ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(corpus: Path) -> Document:
    body = (corpus / "mirror_uk-riots-live_2024-08-05.html").read_bytes()
    return Document("https://www.mirror.co.uk/live", body, "text/html; charset=utf-8", SEEN_AT)


def test_a_real_page_has_the_entries_that_its_data_lists_first(real: Document) -> None:
    assert reach.detects(real)
    shown, listed = reach.parse(real).entries, jsonld.parse(real).entries
    assert (len(shown), len(listed)) == (30, 428)
    for own, other in zip(shown, listed, strict=False):
        assert (own.id, own.published, own.title) == (other.id, other.published, other.title)


def test_a_real_page_has_its_key_events_authors_and_edits(real: Document) -> None:
    shown = reach.parse(real).entries
    assert sum(one.labels == ("key",) for one in shown) == 9
    assert all(bool(one.authors) == (not one.labels) for one in shown)
    assert sum(one.updated is not None for one in shown) == 12
    assert all(one.title and one.body for one in shown)


def test_the_last_entry_of_a_real_page_ends_where_it_ends(real: Document) -> None:
    last = reach.parse(real).entries[-1]
    assert (len(last.body), len(last.media)) == (5, 1)
    assert "Image:" not in last.text
