"""The `text` source: the seed entry by entry, and the rules of its layout."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from msgspec import Struct

from service import sources
from service.errors import PageError
from service.model import (
    Author,
    Entry,
    Image,
    ListBlock,
    Paragraph,
    Reading,
    Snapshot,
    Video,
)
from service.sources import text
from service.sources.base import Document
from tests.conftest import SEED

SEEN_AT = datetime(2025, 4, 25, 12, tzinfo=UTC)


def page(body: str | bytes, content_type: str = "text/plain; charset=utf-8") -> Document:
    raw = body.encode() if isinstance(body, str) else body
    return Document("https://example.org/live", raw, content_type, SEEN_AT)


def read(body: str | bytes) -> Snapshot:
    return sources.read(page(body), "text")


@pytest.fixture(scope="module")
def seed() -> Snapshot:
    return sources.read(page(SEED.read_bytes()))


class Row(Struct, frozen=True):
    """What must come out of one entry. blocks: "p" a paragraph, a number the items of a list."""

    title: str
    published: str
    blocks: tuple[str | int, ...]
    labels: tuple[str, ...] = ()
    authors: tuple[Author, ...] = ()
    media: tuple[Image | Video, ...] = ()


def p(count: int) -> tuple[str, ...]:
    return ("p",) * count


def image(alt: str, credit: str, caption: str | None = None) -> tuple[Image]:
    return (Image(alt=alt, caption=caption, credit=credit),)


SHEVCHENKO = (Author("Vitaliy Shevchenko", "Russia editor, BBC Monitoring"),)
ROSENBERG = (Author("Steve Rosenberg", "Russia editor"),)
BREAKING = ("breaking",)

SEED_ROWS = (
    Row(
        "Russian general killed in car bomb attack - reports",
        "2025-04-25T09:17",
        p(4),
        labels=BREAKING,
        authors=SHEVCHENKO,
    ),
    Row(
        "Convoy spotted driving towards Moscow's city centre",
        "2025-04-25T09:04",
        p(2),
        media=image(
            "Four black cars, three with sirens on top, drive down a Russian highway. A white van"
            " is driving in the carriageway to the right of the convoy",
            "Reuters",
        ),
    ),
    Row(
        "A timeline of Steve Witkoff's meetings with Putin",
        "2025-04-25T08:53",
        (*p(2), 3, *p(1)),
        media=image(
            "Steve Witkoff walks away from following members of the press.", "Getty Images"
        ),
    ),
    Row(
        "Will Trump's envoy try to get concessions from Putin?",
        "2025-04-25T08:35",
        p(8),
        authors=ROSENBERG,
        media=image(
            "Russian President Vladimir Putin meets with U.S. President Donald Trump's special"
            " envoy Steve Witkoff in Saint Petersburg",
            "Reuters",
            "Witkoff, pictured with Vladimir Putin earlier this month, is highly trusted by"
            " President Donald Trump",
        ),
    ),
    Row(
        "Attacks on Ukraine continue despite talk of peace deals",
        "2025-04-25T08:21",
        p(8),
        media=image(
            "A damaged building in Borova, a rural settlement in the Izium district,"
            " Kharkiv region",
            "EPA-EFE/REX/Shutterstock",
        ),
    ),
    Row(
        "Watch: We are moving in the right direction - Russian foreign minister",
        "2025-04-25T08:08",
        p(4),
        media=(Video(caption="We are moving in the right direction - Russian foreign minister"),),
    ),
    Row(
        "US envoy Steve Witkoff lands in Moscow - reports",
        "2025-04-25T07:53",
        p(3),
        labels=BREAKING,
    ),
    Row(
        "'Let's get peace deal done': Trump demands progress from Russia and Ukraine",
        "2025-04-25T07:42",
        (*p(2), 3),
        media=image("Donald Trump", "Getty Images"),
    ),
    Row(
        "Who is Steve Witkoff, the man Trump wants to broker a peace deal",
        "2025-04-25T07:27",
        p(6),
        media=image(
            "Steve Witkoff steps off a car wearing a dark blue suit, white shirt and red tie,"
            " he has a pin on his left",
            "Getty Images",
        ),
    ),
    Row("Plane from Florida enters Russian airspace - reports", "2025-04-25T07:14", p(3)),
    Row(
        "Russia 'ready to make a deal with US' - foreign minister",
        "2025-04-25T06:59",
        p(3),
        media=image("Russian Foreign Minister Sergey Lavrov", "CBS"),
    ),
    Row(
        "One child killed in latest round of drone strikes",
        "2025-04-25T06:46",
        p(2),
        authors=SHEVCHENKO,
        media=image(
            "One lone firefighter with his back to a residential building damaged by a drone"
            " strike, smoke emerging from the bombed-out facade",
            "UKRAINIAN STATE EMERGENCY SERVICE / HANDOUT",
        ),
    ),
    Row("Ukraine reports more deaths in overnight drone attacks", "2025-04-25T06:35", p(5)),
    Row(
        "US envoy Steve Witkoff expected to meet Putin today",
        "2025-04-25T06:27",
        p(4),
        media=image(
            "Witkoff and Putin shake hands and look at the camera.",
            "Reuters",
            "Witkoff and Putin during talks in St Petersburg earlier this month.",
        ),
    ),
    Row(
        "Starmer says Ukraine must decide on peace terms",
        "2025-04-25T06:15",
        p(4),
        media=image(
            "Keir Starmer wearing a tie as he walks into a room, European Commission president"
            " Ursula von der Leyen behind him blurred",
            "EPA-EFE/REX/Shutterstock",
        ),
    ),
    Row(
        "'It's not fair' - Kyiv mayor ready for temporary land concessions",
        "2025-04-25T06:04",
        p(8),
        media=image("Kyiv Mayor Klitschko's face looking right out of frame.", "Getty Images"),
    ),
    Row(
        "Kyiv mayor says concessions may be needed to end war with Russia",
        "2025-04-25T05:55",
        p(7),
        media=image(
            "Emergency respondents carry out rescue operations in a bombed-out building in Kyiv."
            " The roof is burned out and collapsed in itself, there's no more windows",
            "EPA",
        ),
    ),
    Row(
        "At least 12 killed in Russian attack on Kyiv, as Trump calls on Putin to 'STOP!'",
        "2025-04-24T21:09",
        p(7),
        media=image(
            "A young girl hugs her knees as she sits on the grass with others while rescuers work"
            " through rubble",
            "Reuters",
        ),
    ),
    Row(
        "Minerals deal progressing but not ready yet, Ukraine says",
        "2025-04-24T20:47",
        p(5),
        media=image(
            "Trump and Zelensky sat in the oval office, looking frustrated at one another",
            "EPA",
            "It's been 55 days since the colossal fallout between Zelensky and Trump in the Oval"
            " Office",
        ),
    ),
    Row(
        "Ball is in Russia's court, Nato chief says",
        "2025-04-24T20:37",
        p(4),
        media=image("Mark Rutte speaking in front of the White House", "Reuters"),
    ),
)


def blocks(entry: Entry) -> tuple[str | int, ...]:
    kinds: list[str | int] = []
    for block in entry.body:
        match block:
            case Paragraph():
                kinds.append("p")
            case ListBlock(items=items):
                kinds.append(len(items))
            case _:
                pytest.fail(f"no such block in the seed: {block}")
    return tuple(kinds)


@pytest.mark.parametrize("number", range(1, 21))
def test_the_seed_entry_by_entry(seed: Snapshot, number: int) -> None:
    entry, row = seed.entries[number - 1], SEED_ROWS[number - 1]
    assert entry.position == number
    assert entry.title == row.title
    assert entry.published == datetime.fromisoformat(row.published).replace(tzinfo=UTC)
    assert entry.updated is None
    assert entry.labels == row.labels
    assert entry.authors == row.authors
    assert blocks(entry) == row.blocks
    assert entry.media == row.media
    assert entry.id == entry.published.strftime("%Y%m%dT%H%MZ")


def test_the_seed_as_a_whole(seed: Snapshot) -> None:
    words = "Watch: Trump says 'we're pretty close' to peace deal as US envoy meets Putin"
    assert (seed.source, len(seed.entries), seed.complete, seed.warnings) == ("text", 20, False, ())
    assert (seed.head.title, seed.head.summary, seed.head.live) == (words, words, None)


def test_nothing_that_belongs_to_a_picture_leaks_into_text(seed: Snapshot) -> None:
    for entry in seed.entries:
        said = [entry.text, entry.title or "", *(author.name for author in entry.authors)]
        for mark in ("Image source,", "Image caption,", "Media caption,", "published at", "•"):
            assert not any(mark in words for words in said)
        for medium in entry.media:
            assert medium.caption not in entry.text.split("\n")
            assert isinstance(medium, Video) or medium.alt not in entry.text.split("\n")


def test_text_is_kept_verbatim(seed: Snapshot) -> None:
    lines = seed.entries[2].text.split("\n")
    assert lines[4].startswith("11 April:Witkoff and Putin spoke for close to five hours")
    assert seed.entries[0].text.endswith("in talks with Ukraine in Paris in 2015.")
    assert "Moscow’s eastern suburb" in seed.entries[0].text
    assert seed.entries[17].text.endswith(
        "We're now pausing our live coverage, for more on this story:"
    )


# --- rules of the layout -------------------------------------------------------------------------

TWO = """Summary

  1. Secondpublished at 10:17 British Summer Time 25 April

    Two.

  2. Firstpublished at 10:15 British Summer Time 25 April

    One.
"""


def test_an_edit_of_title_or_body_keeps_the_id() -> None:
    before = read(TWO).entries
    after = read(TWO.replace("First", "First, edited").replace("One.", "Something else.")).entries
    assert [entry.id for entry in after] == [entry.id for entry in before]
    assert after[1].title == "First, edited"


def test_entries_of_one_minute_are_numbered_from_the_bottom() -> None:
    same = TWO.replace("10:17", "10:15")
    assert [one.id for one in read(same).entries] == ["20250425T0915Z-2", "20250425T0915Z"]
    more = same.replace(
        "Summary\n", "  0. Thirdpublished at 10:15 British Summer Time 25 April\n\n    Three.\n"
    )
    assert [one.id for one in read(more).entries] == [
        "20250425T0915Z-3",
        "20250425T0915Z-2",
        "20250425T0915Z",
    ]


def test_a_time_that_is_not_understood_is_a_warning_and_the_id_comes_from_the_title() -> None:
    snapshot = read(TWO.replace("10:17 British Summer Time", "10:17 Lunar Standard Time"))
    top = snapshot.entries[0]
    assert top.published is None
    assert len(top.id) == 32
    assert snapshot.warnings == (
        'entry 1: the time "10:17 Lunar Standard Time 25 April" is not understood',
    )


def test_the_id_of_an_entry_without_a_date_does_not_depend_on_the_day() -> None:
    body = TWO.replace(" 25 April", "").replace("10:15", "10:17")
    first = read(body)
    later = sources.read(msgspec.structs.replace(page(body), seen_at=SEEN_AT + timedelta(days=40)))
    for snapshot in (first, later):
        assert [one.id for one in snapshot.entries] == ["T1017-2", "T1017"]
        assert snapshot.undated == ("T1017-2", "T1017")
    assert [one.published for one in first.entries] == [
        datetime(2025, 4, 25, 9, 17, tzinfo=UTC)
    ] * 2


def test_only_entries_without_a_date_are_undated(seed: Snapshot) -> None:
    assert seed.undated == ()
    mixed = read(TWO.replace("10:17 British Summer Time 25 April", "10:17 British Summer Time"))
    assert [one.id for one in mixed.entries] == ["T1017", "20250425T0915Z"]
    assert mixed.undated == ("T1017",)


def test_words_without_a_zone_are_read_in_the_zone_chosen_for_the_page() -> None:
    body = TWO.replace(" British Summer Time", "")
    chosen = msgspec.structs.replace(page(body), reading=Reading(zone="Europe/Berlin"))
    assert read(body).entries[0].id == "20250425T0917Z"
    assert sources.read(chosen, "text").entries[0].id == "20250425T0817Z"


def test_breaking_in_a_title_or_a_text_is_no_label() -> None:
    snapshot = read(TWO.replace("Second", "Breaking: Second").replace("Two.", "Breaking"))
    assert snapshot.entries[0].labels == ()
    assert snapshot.entries[0].text == "Breaking"
    assert snapshot.entries[0].title == "Breaking: Second"


@pytest.mark.parametrize(
    "lines", ["A name", "A name\n    Said so.", "A name\n    Role\n    Third", "• one\n    • two"]
)
def test_only_two_short_lines_are_an_author(lines: str) -> None:
    assert read(TWO.replace("Two.", lines)).entries[0].authors == ()


def test_a_caption_may_stand_on_its_own_line_or_on_the_next() -> None:
    picture = "AltImage source, EPA\n    Image caption, {}Words of the caption\n\n    Two."
    for between in ("", "\n\n    "):
        entry = read(TWO.replace("Two.", picture.format(between))).entries[0]
        assert entry.media == (Image(alt="Alt", caption="Words of the caption", credit="EPA"),)
        assert entry.text == "Two."


def test_a_video_caption_is_a_video() -> None:
    entry = read(TWO.replace("Two.", "Media caption,\n\n    A clip\n\n    Two.")).entries[0]
    assert (entry.media, entry.text) == ((Video(caption="A clip"),), "Two.")


def test_the_head_has_its_own_title_when_something_stands_above_the_summary() -> None:
    head = read("War in Ukraine: live\n\n" + TWO.replace("Summary", "Summary\n\nOne\n\nTwo")).head
    assert (head.title, head.summary) == ("War in Ukraine: live", "One\nTwo")


def test_line_ends_of_any_system_are_read() -> None:
    assert read(TWO.replace("\n", "\r\n")).entries == read(TWO).entries


def test_a_numbered_sentence_that_says_published_at_is_no_heading() -> None:
    body = TWO.replace("    Two.", "    3. It was published at 10:00 BST\n1. was published at noon")
    assert len(read(body).entries) == 2


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["", " \n\t ", "\ufeff"])
def test_an_empty_body_is_no_empty_page(body: str) -> None:
    for source in (None, *sources.SOURCES.keys() - {"css"}):  # css asks for its selectors first
        with pytest.raises(PageError) as caught:
            sources.read(page(body), source)
        assert (caught.value.code, caught.value.health) == ("page.empty", "degraded")


def test_text_without_entries_says_what_an_entry_looks_like() -> None:
    with pytest.raises(PageError) as caught:
        read("Summary\n\nNothing yet.\n")
    assert caught.value.code == "page.no_entries"
    assert "1. Title published at 10:17 GMT 25 April" in str(caught.value)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (f"<html><body><pre>{TWO}</pre></body></html>", "text/plain"),
        (TWO, "text/html"),
        (f'{{"x": "{TWO}"}}', "text/plain"),
        (TWO, "application/json"),
    ],
)
def test_html_and_json_are_never_read_as_text(body: str, content_type: str) -> None:
    document = page(body, content_type)
    assert not text.detects(document)
    with pytest.raises(PageError) as caught:
        text.parse(document)
    assert caught.value.code == "page.malformed"
    with pytest.raises(PageError) as undetected:
        sources.read(document)
    assert undetected.value.code == "page.no_source"


def test_a_body_without_content_type_is_text_by_its_looks() -> None:
    assert sources.read(page(TWO, "")).source == "text"


def test_an_unknown_charset_and_broken_bytes_are_no_error() -> None:
    document = page(TWO.encode() + b"\xff\xfe", "text/plain; charset=klingon")
    assert len(sources.read(document).entries) == 2
