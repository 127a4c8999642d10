"""Hand-made entries and snapshots, and hypothesis strategies for them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from service.model import Entry, Head, Image, Page, PageState, Paragraph, Snapshot

NOON = datetime(2025, 4, 25, 12, 0, tzinfo=UTC)
PAGE = Page(id="page", url="http://127.0.0.1/live")


def at(minute: float) -> datetime:
    return NOON + timedelta(minutes=minute)


def entry(number: int, text: str | None = None, **fields: object) -> Entry:
    """Entry `number`, published that many minutes after noon."""
    given: dict[str, object] = {
        "id": f"e{number}",
        "title": f"Title {number}",
        "published": at(number),
        "body": (Paragraph(text or f"Text of entry {number}."),),
    }
    return Entry(**(given | fields))  # type: ignore[arg-type]


def page_of(
    entries: Iterable[Entry], minute: float = 60, head: Head | None = None, complete: bool = False
) -> Snapshot:
    """A snapshot of these entries, given oldest first, as a page shows them: newest first."""
    placed = list(entries)[::-1]
    return Snapshot(
        source="text",
        head=head or Head(title="A page"),
        entries=tuple(_placed(e, n) for n, e in enumerate(placed, 1)),
        seen_at=at(minute),
        complete=complete,
    )


def _placed(each: Entry, position: int) -> Entry:
    import msgspec

    return msgspec.structs.replace(each, position=position)


def new_state() -> PageState:
    return PageState(page=PAGE)


words = st.sampled_from(
    [
        "Tass",
        "reports",
        "12",
        "killed",
        "in",
        "Moscow",
        "will",
        "not",
        "hold",
        "talks",
        "said",
        "Putin",
    ]
)
texts = st.lists(words, min_size=1, max_size=8).map(" ".join)


@st.composite
def entries(draw: st.DrawFn, number: int) -> Entry:
    """Any entry under a given number."""
    return entry(
        number,
        text=draw(texts),
        title=draw(st.none() | texts),
        labels=draw(st.sampled_from([(), ("breaking",), ("key", "breaking")])),
        media=draw(st.sampled_from([(), (Image(alt="a"),), (Image(alt="b", credit="C"),)])),
    )


@st.composite
def pages(draw: st.DrawFn, most: int = 12) -> list[Entry]:
    """Any page: entries oldest first, numbered with gaps."""
    numbers = draw(st.lists(st.integers(0, 40), min_size=1, max_size=most, unique=True))
    return [draw(entries(number)) for number in sorted(numbers)]
