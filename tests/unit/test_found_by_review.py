"""What a review found wrong in the core, each as the shortest way to see it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from service import sources
from service.coverage import announces_pause, successor
from service.diff import Doubt, Policy, advance, diff
from service.errors import PageError
from service.model import Entry, Mark, Page, PageState, Paragraph, Reading, Selectors, Snapshot
from service.sources import Document, Memo
from service.sources.base import decode, distinct
from tests.pages import at, entry, new_state, page_of

URL = "https://news.example/live/today"
MORNING = datetime(2026, 11, 1, 6, tzinfo=UTC)


def told(snapshots: Sequence[Snapshot], page: Page | None = None) -> list[list[str]]:
    """What each snapshot publishes, after the baseline."""
    state, said = PageState(page=page) if page else new_state(), []
    for snapshot in snapshots:
        step = diff(state, snapshot, Policy())
        if isinstance(step, Doubt):
            said.append([f"doubt {step.code}"])
            continue
        events, state = advance(state, step, snapshot.seen_at)
        said.append([f"{e.type.removeprefix('stoppress.')} {e.subject}" for e in events])
    return said[1:]


def untimed(number: int, text: str, **fields: object) -> Entry:
    return entry(number, text, published=None, title=None, **fields)


# --- ids -----------------------------------------------------------------------------------------


def clocks(hours: Sequence[int], seen_at: datetime) -> Snapshot:
    """A page whose entries say a time of day and nothing else to know them by."""
    entries = "".join(
        f"<li><i>{(6 + hour) % 24:02}:00</i><p>What happened in hour {hour}.</p></li>"
        for hour in reversed(hours)
    )
    reading = Reading(selectors=Selectors(entry="li", time="i"), zone="UTC")
    body = f"<html><body><ul>{entries}</ul></body></html>".encode()
    return sources.read(Document(URL, body, "text/html", seen_at, reading), "css", Memo())


def test_what_happens_at_the_same_time_of_another_day_is_news() -> None:
    """Ids made of a time of day come again."""
    polls = [
        clocks(range(max(0, hour - 7), hour + 1), MORNING + timedelta(hours=hour, minutes=5))
        for hour in range(50)
    ]
    for hour, said in enumerate(told(polls), start=1):
        assert [one.split()[0] for one in said] == ["entry.published"], f"hour {hour}: {said}"


def test_an_id_that_is_handed_on_takes_nothing_with_it() -> None:
    """Yesterday's entry gets a longer id; a new one has its old id now."""
    before = entry(1, "What happened yesterday at this time.")
    renamed, new = replace(before, id="e1-day-before"), entry(1, "It is new.", published=at(40))
    polls = [page_of([before, entry(30)]), *[page_of([renamed, entry(30), new])] * 3]
    assert told(polls) == [["entry.published e1-2"], [], []]


def test_the_same_few_words_again_are_news_where_there_are_no_times() -> None:
    balls = [untimed(n, "Wicket!" if n in (3, 20) else f"Ball {n} is bowled.") for n in range(40)]
    polls = [page_of(balls[n - 10 : n]) for n in range(10, 30)]
    assert told(polls) == [[f"entry.published e{n}"] for n in range(10, 29)]


def test_another_ball_in_the_same_words_is_no_edit_of_the_last_one() -> None:
    overs = [untimed(n, f"Over {n}: a long text of the commentary on it") for n in range(1, 5)]
    last = untimed(5, "Over 12.5: Root drives it to the boundary rope for four more runs")
    new = untimed(6, "Over 12.6: Brook drives it to the boundary rope for four more runs")
    said = told([page_of([*overs, last]), page_of([*overs, new])])
    assert said == [["entry.published e6"]]


def test_ids_that_are_new_on_every_poll_do_not_pile_up() -> None:
    state = new_state()
    for poll in range(30):
        shown = [replace(entry(n), id=f"x{poll}-{n}") for n in range(20)]
        step = diff(state, page_of(shown), Policy())
        assert not isinstance(step, Doubt)
        _, state = advance(state, step, at(60))
    assert len(state.meta.aliases) <= 3 * 20
    assert len(state.entries) == 20


def test_many_entries_of_one_time_are_compared_soon() -> None:
    """The time is for the oracle's clock: without a bound this takes minutes."""
    shown = [entry(n, f"Words of number {n} and more", published=at(1)) for n in range(600)]
    again = [replace(one, id=f"{one.id}x", body=entry(0, f"{one.text} now").body) for one in shown]
    assert told([page_of(shown), page_of(again)])


# --- what repeats the page -----------------------------------------------------------------------


def blog(updates: Sequence[dict[str, object]], **page: object) -> Snapshot:
    data = {"@type": "LiveBlogPosting", "url": URL, "headline": "The page"} | page
    text = json.dumps(data | {"liveBlogUpdate": list(updates)})
    body = f'<html><script type="application/ld+json">{text}</script></html>'.encode()
    return sources.read(Document(URL, body, "text/html", MORNING), "jsonld", Memo())


def update(number: int, **fields: object) -> dict[str, object]:
    return {
        "@type": "BlogPosting", "@id": f"{URL}#{number}", "headline": f"Headline {number}",
        "datePublished": f"2026-11-01T05:{number:02}:00Z", "articleBody": f"Body {number}",
    } | fields  # fmt: skip


def person(*names: str) -> list[dict[str, str]]:
    return [{"@type": "Person", "name": name} for name in names]


def test_another_author_of_the_page_edits_no_entry() -> None:
    ups = [update(n, author=person("Ann")) for n in (3, 2, 1)]
    polls = [blog(ups, author=person(*names)) for names in (["Ann"], ["Ann", "Bob"], ["Ann"])]
    assert told(polls) == [[], []]


def test_the_page_that_takes_over_a_headline_edits_no_entry() -> None:
    ups = [update(n) for n in (3, 2, 1)]
    polls = [blog(ups, headline=head) for head in ("The page", "Headline 3", "Headline 2")]
    assert told(polls) == [["page.updated page"], ["page.updated page"]]


def test_the_first_time_that_is_another_edits_no_entry() -> None:
    ups = [update(n, datePublished="2026-11-01T05:00:00Z") for n in range(7, 0, -1)]
    polls = [blog(ups), blog([update(9), *ups])]
    assert told(polls) == [[f"entry.published {update(9)['@id']}".replace(f"{URL}#", "")]]


# --- the page itself -----------------------------------------------------------------------------


def linked(text: str, link: str) -> Entry:
    marks = (Mark(kind="link", start=0, end=len(text), url=link),)
    return entry(1, body=(Paragraph(text, marks),))


@pytest.mark.parametrize(
    "text",
    [
        "You can read our story on Tesco closing 20 stores.",
        "Follow our coverage of the closing ceremony here.",
        "Read our live coverage of closing arguments here.",
        "The story ended with 12 arrests. Read our report here.",
    ],
)
def test_words_about_other_ends_end_no_page(text: str) -> None:
    assert successor(linked(text, "https://news.example/live/other"), URL) is None


def test_a_page_ends_towards_another_live_page_only() -> None:
    text = "This live page is closing. Join us here."
    assert successor(linked(text, "https://news.example/business/shops"), URL) is None
    assert successor(linked(text, "https://news.example/live/tomorrow"), URL) is not None


def test_a_firm_that_pauses_updates_is_no_pause_of_ours() -> None:
    assert not announces_pause(entry(1, "Microsoft is pausing the updates after crashes."))


def test_the_repeated_hour_of_a_clock_change_is_no_edit() -> None:
    def seen(minute: int) -> Snapshot:
        body = b"<html><body><ul><li id=a><i>02:30</i><p>Said then.</p></li></ul></body></html>"
        css = Selectors(entry="li", id="@id", time="i")
        moment = datetime(2026, 10, 25, 0, 35, tzinfo=UTC) + timedelta(minutes=minute)
        reading = Reading(selectors=css, zone="Europe/Warsaw")
        return sources.read(Document(URL, body, "text/html", moment, reading), "css", Memo())

    assert told([seen(0), seen(60), seen(120)]) == [[], []]


def test_a_page_that_a_person_switches_to_its_own_source_is_taken_in_its_new_form() -> None:
    first = replace(page_of([entry(1), entry(2)]), source="bbc", variant="data")
    second = replace(page_of([entry(1, "As the other form has it."), entry(2)]), source="bbc")
    page = Page(id="page", url=URL, source="bbc")
    assert told([first, second], page) == [["doubt page.source_changed"]]
    state = PageState(page=page)
    _, state = advance(state, diff(state, first, Policy()), at(1))  # type: ignore[arg-type]
    state = replace(state, page=replace(page, rereads=1))
    step = diff(state, second, Policy())
    assert not isinstance(step, Doubt)
    events, state = advance(state, step, at(2))
    assert events == []
    assert isinstance(diff(state, first, Policy()), Doubt)


# --- hostile input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "markup",
    [
        "".join(f"<p><b id={n}>" for n in range(2000)),
        "".join(f"<p><B id={n}>" for n in range(2000)) + "</B>" * 2000,
        "<div>" * 5000 + "</div>" * 5000,
    ],
)
def test_what_would_take_gigabytes_is_refused(markup: str) -> None:
    css = Reading(selectors=Selectors(entry="li"))
    document = Document(URL, f"<html>{markup}".encode(), "text/html", MORNING, css)
    with pytest.raises(PageError, match="opened and not closed"):
        sources.read(document, "css", Memo())


def test_a_page_that_cannot_be_read_leaves_nothing_behind() -> None:
    memo, css = Memo(), Reading(selectors=Selectors(entry="li", title="h2"))
    for number in range(5):
        posts = "".join(f"<li data-n={number}-{n}><p>Text</p></li>" for n in range(20))
        body = f"<html><body><ul>{posts}</ul></body></html>".encode()
        with pytest.raises(PageError):
            sources.read(Document(URL, body, "text/html", MORNING, css), "css", memo)
    assert not memo._now
    assert not memo._last


def test_slow_charsets_are_not_used() -> None:
    document = Document(URL, b"a" * 400_000, "text/html; charset=punycode", MORNING)
    assert decode(document) == "a" * 400_000


def test_ids_are_made_distinct_in_one_go() -> None:
    names = ["a"] * 4000 + [f"a-{n}" for n in range(4000)]
    assert len(set(distinct(names))) == 8000
