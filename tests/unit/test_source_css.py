"""The `css` source: an invented page, read by selectors."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from service.errors import ConfigError, PageError
from service.model import (
    Author,
    Entry,
    Image,
    ListBlock,
    Mark,
    Paragraph,
    Quote,
    Reading,
    Selectors,
    Snapshot,
    content_digest,
)
from service.sources import css
from service.sources.base import Document, Memo

SEEN_AT = datetime(2025, 6, 16, 12, tzinfo=UTC)
URL = "https://port.example/live/storm"
SELECTORS = Selectors(entry=".item", id="@data-id", title="h2", time=".when", body=".text")


def item(
    native: str = "a1",
    *,
    title: str = "A headline",
    when: str = "2025-06-16T09:22:00Z",
    body: str = "<p>Words.</p>",
    names: str = "item",
    extra: str = "",
) -> str:
    return (
        f'<div class="{names}" data-id="{native}"><span class="when">{when}</span>'
        f'<h2>{title}</h2>{extra}<div class="text">{body}</div></div>'
    )


def page(
    *items: str, selectors: Selectors | None = SELECTORS, zone: str | None = None, around: str = ""
) -> Document:
    markup = (
        "<!DOCTYPE html><html><head><title>Storm - The Port</title>"
        '<meta name="description" content="All about the storm">'
        '<link rel="canonical" href="/live/storm-2025"></head><body>'
        f"<h1>Storm hits coast</h1>{around}<main>{''.join(items)}</main></body></html>"
    )
    reading = Reading(selectors=selectors, zone=zone)
    return Document(URL, markup.encode(), "text/html; charset=utf-8", SEEN_AT, reading)


def read(*items: str, zone: str | None = None, around: str = "", **changed: object) -> Snapshot:
    selectors = replace(SELECTORS, **changed)
    return css.parse(page(*items, selectors=selectors, zone=zone, around=around))


def only(one: str, zone: str | None = None, **changed: object) -> Entry:
    (entry,) = read(one, zone=zone, **changed).entries
    return entry


def refusal(document: Document) -> PageError:
    with pytest.raises(PageError) as refused:
        css.parse(document)
    return refused.value


def test_an_entry_is_what_the_selectors_find() -> None:
    snapshot = read(item())
    assert (snapshot.source, snapshot.complete, snapshot.warnings) == ("css", False, ())
    assert snapshot.entries == (
        Entry(
            id="a1",
            title="A headline",
            published=datetime(2025, 6, 16, 9, 22, tzinfo=UTC),
            body=(Paragraph("Words."),),
            position=1,
        ),
    )


def test_it_is_never_detected() -> None:
    assert not css.detects(page(item()))


# --- values --------------------------------------------------------------------------------------


def test_a_selector_can_take_an_attribute_of_an_element_or_of_the_entry_itself() -> None:
    one = item(extra='<i data-name="Jo Ray" data-title="Told twice"></i>')
    entry = only(one, author="i@data-name", title="[data-title]@data-title", id="@DATA-ID")
    assert (entry.id, entry.title, entry.authors) == ("a1", "Told twice", (Author("Jo Ray"),))


def test_an_id_is_what_follows_the_hash_of_an_address() -> None:
    one = item(extra='<a class="link" href="https://port.example/live/storm#p%2042">Link</a>')
    assert only(one, id="a.link@href").id == "p 42"


def test_an_element_that_two_selectors_of_a_list_match_is_one_entry() -> None:
    assert len(read(item(), item("a2"), entry=".item, [data-id], div.item").entries) == 2


def test_without_a_body_selector_the_text_is_what_the_others_leave() -> None:
    one = item(extra='<p class="by">By Jo</p><aside class="more">More</aside>')
    entry = only(one, body=None, author=".by", skip=".more")
    assert entry.text == "Words."


def test_the_body_is_all_that_the_selector_matches_each_as_what_it_is() -> None:
    body = (
        "<p>One <b>bold</b></p><ul><li>a</li><li>b</li></ul><blockquote>Said</blockquote>"
        '<figure><img src="/i.jpg" alt="Sea"><figcaption>The sea</figcaption></figure><em>no</em>'
    )
    entry = only(item(body=body), body="p, ul, blockquote, figure")
    assert [type(block) for block in entry.body] == [Paragraph, ListBlock, Quote]
    assert entry.body[0] == Paragraph("One bold", (Mark(4, 8, "strong"),))
    assert entry.media == (Image("https://port.example/i.jpg", "Sea", "The sea"),)
    assert entry.text == "One bold\na\nb\nSaid"


def test_what_is_skipped_is_in_no_text() -> None:
    one = item(title="Head <sup>new</sup>", body="<p>Words.</p><p class='ad'>Buy</p>")
    entry = only(one, skip=".ad, sup")
    assert (entry.title, entry.text) == ("Head", "Words.")


def test_authors_are_given_without_by_and_with_their_role() -> None:
    one = item(extra='<p class="by">By Jo Ray<br>Sea editor</p><p class="by">From PORT’s Al</p>')
    assert only(one, author=".by").authors == (Author("Jo Ray", "Sea editor"), Author("Al"))


def test_an_address_is_made_absolute() -> None:
    one = item(extra='<a class="link" href="?post=1">Link</a>')
    assert only(one, url="a.link@href").url == "https://port.example/live/storm-2025?post=1"


def test_an_entry_whose_id_is_an_anchor_of_the_page_has_its_address_there() -> None:
    anchored = item(extra='<a id="a1"></a>')
    assert only(anchored).url == "https://port.example/live/storm-2025#a1"


def test_an_entry_depends_on_nothing_around_it() -> None:
    assert only(item(), title="main h2").title is None


# --- times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "when",
    [
        "2025-06-16T09:22:00Z",
        "2025-06-16T10:22:00+01:00",
        "1750065720",
        "1750065720000",
        "1750065720.0",
        "<time datetime='2025-06-16T09:22:00Z'>3 hours ago</time>",
        "10:22 BST 16 June",
    ],
)
def test_a_time_is_read_as_iso_as_an_epoch_or_from_words(when: str) -> None:
    selector = ".when time" if "<time" in when else ".when"
    entry = only(item(when=when), time=selector)
    assert entry.published == datetime(2025, 6, 16, 9, 22, tzinfo=UTC)
    assert entry.text == "Words."


def test_milliseconds_are_kept() -> None:
    entry = only(item(when="1722886950565"))
    assert entry.published == datetime(2024, 8, 5, 19, 42, 30, 565000, tzinfo=UTC)


def test_words_without_a_zone_are_read_in_the_zone_of_the_page() -> None:
    words = item(when="17 September 2024 - 4:03 PM")
    entry = only(words, zone="America/New_York")
    assert entry.published == datetime(2024, 9, 17, 20, 3, tzinfo=UTC)


def test_words_without_any_zone_are_no_time_and_the_zone_is_asked_for() -> None:
    snapshot = read(item(when="17 September 2024 - 4:03 PM"))
    assert snapshot.entries[0].published is None
    assert snapshot.warnings == (
        'the times of 1 entries, such as "17 September 2024 - 4:03 PM", name no zone: set "zone"',
    )


@pytest.mark.parametrize("when", ["21 mins ago", "just now", "Yesterday 10:22"])
def test_relative_words_are_no_time(when: str) -> None:
    snapshot = read(item(when=when), zone="Europe/London")
    (entry,) = snapshot.entries
    assert (entry.published, entry.text) == (None, "Words.")
    assert "only say how long ago" in snapshot.warnings[0]


def test_words_that_are_not_understood_are_a_warning() -> None:
    assert read(item(when="half past")).warnings == (
        'the times of 1 entries, such as "half past", are not understood',
    )


def test_an_entry_with_a_clock_alone_is_undated() -> None:
    snapshot = read(item(when="10:22"), item("a2", when="10:20 16 June"), zone="Europe/London")
    assert snapshot.entries[0].published == datetime(2025, 6, 16, 9, 22, tzinfo=UTC)
    assert snapshot.undated == ("a1",)


def test_what_words_mean_is_not_kept_where_it_changes_within_the_hour() -> None:
    document = page(item(when="12:30"), zone="UTC")
    memo = Memo()
    before = css.parse(document, memo)
    memo.turn()
    later = replace(document, seen_at=datetime(2025, 6, 16, 12, 40, tzinfo=UTC))
    assert before.entries[0].published == datetime(2025, 6, 15, 12, 30, tzinfo=UTC)
    assert css.parse(later, memo) == css.parse(later)
    assert css.parse(later, memo).entries[0].published == datetime(2025, 6, 16, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("updated", "expected"),
    [
        ("2025-06-16T09:30:00Z", datetime(2025, 6, 16, 9, 30, tzinfo=UTC)),
        ("2025-06-16T09:22:00Z", None),
        ("2025-06-16T09:00:00Z", None),
        ("2 mins ago", None),
    ],
)
def test_an_entry_is_updated_only_later_than_it_was_published(
    updated: str, expected: datetime | None
) -> None:
    one = item(extra=f'<i class="upd">{updated}</i>')
    assert only(one, updated=".upd").updated == expected


# --- labels --------------------------------------------------------------------------------------


def test_a_label_is_what_the_entry_matches_holds_or_stands_in() -> None:
    flagged = item("a1", title='<b class="flag">Breaking</b> Sea wall gone')
    urgent = item("a2", names="item urgent")
    boxed = f'<section class="box">{item("a3")}</section>'
    labels = {"breaking": ".flag, .urgent", "summary": ".box .item"}
    snapshot = read(flagged, urgent, boxed, item("a4"), labels=labels)
    assert [entry.labels for entry in snapshot.entries] == [
        ("breaking",),
        ("breaking",),
        ("summary",),
        (),
    ]
    assert snapshot.entries[0].title == "Sea wall gone"


def test_a_pinned_copy_is_the_entry_in_its_own_place() -> None:
    pinned = item("a2", names="item pinned", when="2025-06-16T09:00:00Z")
    own = item("a2", when="2025-06-16T09:00:00Z")
    snapshot = read(pinned, item("a1"), own, labels={"pinned": ".pinned"})
    assert [(entry.id, entry.labels) for entry in snapshot.entries] == [
        ("a1", ()),
        ("a2", ("pinned",)),
    ]


@pytest.mark.parametrize("hour", ["08", "10"])
def test_a_pinned_entry_without_a_place_of_its_own_stays_on_top(hour: str) -> None:
    pinned = item("a2", names="item pinned", when=f"2025-06-16T{hour}:00:00Z")
    snapshot = read(pinned, item("a1"), labels={"pinned": ".pinned"})
    assert [entry.id for entry in snapshot.entries] == ["a2", "a1"]


def test_a_pinned_entry_stays_when_there_is_no_other() -> None:
    assert only(item(names="item pinned"), labels={"pinned": ".pinned"}).labels == ("pinned",)


# --- ids -----------------------------------------------------------------------------------------


def test_of_two_entries_with_one_id_the_first_counts() -> None:
    snapshot = read(item("a1", title="One"), item("a1", title="Two"))
    assert [entry.title for entry in snapshot.entries] == ["One"]


def test_without_an_id_it_is_made_of_time_and_title() -> None:
    first = read(item(title="One"), item(title="Two"), id=None)
    again = read(item(title="New"), item(title="One", body="<p>Edited</p>"), id=None)
    assert first.entries[0].id == again.entries[1].id
    assert len({entry.id for entry in first.entries}) == 2
    assert first.warnings == ("2 of 2 entries have no id of the publisher",)


def test_an_id_that_is_made_does_not_change_with_the_day_that_is_filled_in() -> None:
    document = page(item(when="10:22"), selectors=replace(SELECTORS, id=None), zone="UTC")
    later = replace(document, seen_at=datetime(2025, 6, 17, 12, tzinfo=UTC))
    assert css.parse(document).entries[0].id == css.parse(later).entries[0].id


# --- the page ------------------------------------------------------------------------------------


def test_the_head_is_the_heading_the_description_and_the_canonical_address() -> None:
    head = read(item()).head
    assert (head.title, head.summary) == ("Storm hits coast", "All about the storm")
    assert (head.url, head.live) == ("https://port.example/live/storm-2025", None)


def test_the_head_can_be_found_by_selectors() -> None:
    around = '<p class="name">The storm</p><div class="sum">So far</div>'
    head = read(item(), around=around, head_title=".name", head_summary=".sum").head
    assert (head.title, head.summary) == ("The storm", "So far")


@pytest.mark.parametrize(("around", "live"), [("<p class=over>Over</p>", False), ("", True)])
def test_a_page_is_over_when_it_shows_what_ends_it(around: str, live: bool) -> None:
    assert read(item(), around=around, ended=".over").head.live is live


# --- what is wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"title": "h2["}, 'title = "h2[" is no CSS selector'),
        ({"title": ""}, 'title = "" is no CSS selector'),
        ({"entry": "> p"}, 'entry = "> p" is no CSS selector'),
        ({"labels": {"breaking": "a:b"}}, 'labels.breaking = "a:b" is no CSS selector'),
        ({"entry": "p@id"}, 'entry = "p@id" must name an element, not an attribute'),
        ({"labels": {"key": "@x"}}, 'labels.key = "@x" must name an element, not an attribute'),
        (
            {"head_title": "@x"},
            'head_title = "@x" must name an element: a page has no element of its own',
        ),
    ],
)
def test_a_wrong_selector_is_named(changed: dict[str, object], what: str) -> None:
    selectors = replace(SELECTORS, **changed)
    with pytest.raises(ConfigError) as refused:
        css.checked(selectors)
    assert (refused.value.code, refused.value.what) == ("selectors.malformed", what)
    assert refusal(page(item(), selectors=selectors)).what == what


def test_without_selectors_nothing_is_read() -> None:
    with pytest.raises(ConfigError) as refused:
        css.checked(None)
    assert refused.value.code == "selectors.missing"
    assert refusal(page(item(), selectors=None)).code == "page.selectors"


def test_a_page_without_entries_is_refused_with_the_selector_that_should_find_them() -> None:
    refused = refusal(page("<p>Nothing</p>"))
    assert refused.code == "page.no_entries"
    assert 'entry = ".item"' in refused.fix


@pytest.mark.parametrize(
    ("changed", "count"),
    [({"id": "@data-x"}, 1), ({"title": "h4"}, 5), ({"time": ".x"}, 5), ({"body": ".x"}, 5)],
)
def test_entries_that_all_lack_what_a_selector_should_find_are_a_new_layout(
    changed: dict[str, object], count: int
) -> None:
    items = [item(f"a{number}") for number in range(count)]
    refused = refusal(page(*items, selectors=replace(SELECTORS, **changed)))
    ((name, selector),) = changed.items()
    assert refused.code == "page.malformed"
    assert f'{name} = "{selector}" finds nothing in any of {count} entries' in refused.what


def test_a_few_entries_without_a_title_are_no_new_layout() -> None:
    assert [entry.title for entry in read(item(title=""), item("a2", title="")).entries] == [
        None,
        None,
    ]


def test_an_entry_inside_of_an_entry_is_refused() -> None:
    assert refusal(page(item(body=item("a2")))).code == "page.malformed"


def test_half_a_page_is_refused() -> None:
    document = page(item())
    cut = replace(document, body=document.body.removesuffix(b"</html>"))
    assert refusal(cut).code == "page.truncated"


# --- polls ---------------------------------------------------------------------------------------


def test_an_unchanged_entry_is_read_once_and_gives_the_same() -> None:
    memo = Memo()
    labels = {"pinned": ".box .item"}
    selectors = replace(SELECTORS, labels=labels)
    first = css.parse(page(item(), item("a2"), selectors=selectors), memo)
    memo.turn()
    document = page(f"<div class=box>{item()}</div>", item("a2"), selectors=selectors)
    second = css.parse(document, memo)
    assert second == css.parse(document)
    assert second.entries[1] == first.entries[1]
    assert second.entries[0].labels == ("pinned",)


def test_other_selectors_never_get_what_was_read_by_the_last() -> None:
    memo = Memo()
    css.parse(page(item()), memo)
    changed = page(item(), selectors=replace(SELECTORS, title=None))
    assert css.parse(changed, memo) == css.parse(changed)


def test_class_names_and_inner_ids_are_no_edit() -> None:
    noisy = item(names="item x9", body='<p id="u77" class="css-1x">Words.</p>')
    assert content_digest(only(noisy)) == content_digest(only(item()))


@given(start=st.integers(0, 900), length=st.integers(1, 300))
def test_a_page_with_a_hole_gives_a_snapshot_or_a_page_error(start: int, length: int) -> None:
    document = page(item(), item("a2"), item("a3"))
    body = document.body[:start] + document.body[start + length :]
    try:
        snapshot = css.parse(replace(document, body=body))
    except PageError:
        return
    ids = [entry.id for entry in snapshot.entries]
    assert len(set(ids)) == len(ids) > 0


# --- what a person is shown ----------------------------------------------------------------------


def test_each_selector_is_shown_with_its_matches() -> None:
    selectors = replace(
        SELECTORS,
        title="h2, h3",
        updated="@data-none",
        labels={"breaking": ".flag"},
        ended=".over",
        head_title="h1",
    )
    items = [item(), item("a2", title="Two", extra='<b class="flag">Now</b>')]
    shown = {one.name: one for one in css.matched(page(*items, selectors=selectors))}
    assert {name: (one.count, one.of, one.sample) for name, one in shown.items()} == {
        "entry": (2, 2, "2025-06-16T09:22:00Z A headline Words."),
        "id": (2, 2, "a1"),
        "title": (2, 2, "A headline"),
        "time": (2, 2, "2025-06-16T09:22:00Z"),
        "updated": (0, 2, None),
        "body": (2, 2, "Words."),
        "labels.breaking": (1, 2, "Now"),
        "head_title": (1, 1, "Storm hits coast"),
        "ended": (0, 1, None),
    }
