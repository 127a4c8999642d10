"""What is proposed for a page that no source knows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from service.model import Reading, Selectors
from service.sources import css
from service.sources.base import Document
from service.suggest import suggest

SEEN_AT = datetime(2025, 6, 16, 12, tzinfo=UTC)
WORDS = "The harbour wall at Port Ellis has given way in the storm, says the council."


def page(*items: str, around: str = "") -> Document:
    markup = (
        f"<!DOCTYPE html><html><head><title>T</title></head><body><h1>Storm</h1>{around}"
        f"<main><ul>{''.join(items)}</ul></main></body></html>"
    )
    return Document("https://port.example/live", markup.encode(), "text/html", SEEN_AT)


def incident(number: int, *, names: str = "incident") -> str:
    return (
        f'<li class="css-{number}x"><article class="{names} css-1a2b" data-incident-id="i{number}">'
        f'<time datetime="2025-06-16T09:{number:02}:00Z">{number} mins ago</time>'
        f'<h3>Headline {number}</h3><p class="byline">By Jo</p><p>{WORDS} {number}</p>'
        "</article></li>"
    )


def test_what_repeats_with_text_and_times_is_proposed_with_what_it_holds() -> None:
    (candidate,) = suggest(page(*map(incident, range(4))))
    assert candidate.selectors == Selectors(
        entry="article.incident",
        id="@data-incident-id",
        title="h3",
        time="time@datetime",
        author="p.byline",
    )
    assert candidate.count == 4
    assert candidate.samples[0].startswith("0 mins ago Headline 0 By Jo The harbour")


def test_what_is_proposed_can_be_read() -> None:
    document = page(*map(incident, range(4)))
    (candidate,) = suggest(document)
    chosen = replace(document, reading=Reading(selectors=candidate.selectors))
    snapshot = css.parse(chosen)
    assert [entry.id for entry in snapshot.entries] == ["i0", "i1", "i2", "i3"]
    assert all(entry.published and entry.title and entry.text for entry in snapshot.entries)
    assert all(one.count == one.of == 4 for one in css.matched(chosen))


def test_a_label_for_breaking_news_is_proposed_where_its_name_says_so() -> None:
    items = [incident(1, names="incident incident--breaking"), *map(incident, range(2, 6))]
    (candidate,) = suggest(page(*items))
    assert candidate.selectors.labels == {"breaking": "article.incident--breaking"}


def test_an_exact_time_as_an_attribute_wins_over_the_words_that_are_then_left_out() -> None:
    items = [
        f'<div class="post" data-at="17500657{n}0" data-modified="17500658{n}0"><div class="meta">'
        f'<span class="time">10:2{n}</span></div><p>{WORDS} {n}</p></div>'
        for n in range(3)
    ]
    (candidate,) = suggest(page(*items))
    found = candidate.selectors
    assert (found.time, found.updated, found.skip) == ("@data-at", "@data-modified", "span.time")


def test_entries_without_names_are_found_by_where_they_stand() -> None:
    items = [f"<li><b class='time'>10:2{n} BST</b><p>{WORDS} {n}</p></li>" for n in range(3)]
    document = page(f'<ul id="ticker">{"".join(items)}</ul>')
    assert suggest(document)[0].selectors.entry == "#ticker > li"


@pytest.mark.parametrize(
    "items",
    [
        [f"<li class='card'><p>{WORDS} {n}</p></li>" for n in range(5)],
        [f"<li class='card'><time>10:2{n}</time></li>" for n in range(5)],
        [incident(1), incident(2)],
        [],
    ],
)
def test_what_holds_no_times_no_text_or_is_alone_is_not_proposed(items: list[str]) -> None:
    assert suggest(page(*items)) == ()


def test_times_that_only_say_how_long_ago_are_proposed_as_no_time() -> None:
    items = [f"<li class='it'><time>{n} mins ago</time><p>{WORDS} {n}</p></li>" for n in (1, 2, 3)]
    (candidate,) = suggest(page(*items))
    assert (candidate.selectors.entry, candidate.selectors.time) == ("li.it", None)


@pytest.mark.parametrize("body", [b"", b"{}", b"plain words", b"<div>" * 5000])
def test_what_is_no_page_is_proposed_nothing(body: bytes) -> None:
    assert suggest(Document("https://port.example/", body, "", SEEN_AT)) == ()


def test_the_entries_of_a_real_page_come_first(corpus: Path) -> None:
    body = (corpus / "mirror_uk-riots-live_2024-08-05.html").read_bytes()
    document = Document("https://www.mirror.co.uk/live", body, "text/html", SEEN_AT)
    best = suggest(document)[0]
    assert (best.selectors.entry, best.count) == ("div.live-event-entry", 30)
    assert (best.selectors.id, best.selectors.time) == ("@id", "@data-post-time")
