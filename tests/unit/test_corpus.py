"""Every captured page is read by its own source, and says what is known of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from service import sources
from service.model import Snapshot
from service.sources import Document

MIRROR = "mirror_uk-riots-live_2024-08-05.html"
SIMORGH = "bbc-simorgh_"
# File, source, entries, whether the page is live.
PAGES = [
    ("aljazeera_iran-war-live_shell_snapshot-1_trimmed.json", "aljazeera", 0, True),
    ("aljazeera_iran-war-live_update-4512107_2026-04-22.json", "aljazeera", 1, None),
    (f"{SIMORGH}live-page-envelope_pidgin-c7p765ynk9qt.json", "bbc", 0, False),
    (f"{SIMORGH}sample-posts_2023-09-08.json", "bbc", 2, None),
    (f"{SIMORGH}stream-poll_2023-12-20_first3posts.json", "bbc", 3, None),
    ("guardian_nasa-mars_snapshot-a_2021-08-17.json", "guardian", 13, False),
    ("guardian_nasa-mars_snapshot-c_2024-02-06.json", "guardian", 13, False),
    ("guardian_pmqs_snapshot-a_2024-02-06.json", "guardian", 11, False),
    (MIRROR, "reach", 30, None),
    ("sourcefabric-liveblog_dpa-newslab_posts_2016-03-29.json", "sourcefabric", 14, None),
    ("sourcefabric-liveblog_dpa-newslab_single-post.json", "sourcefabric", 1, None),
]


def read(corpus: Path, name: str, source: str | None = None) -> Snapshot:
    kind = "text/html" if name.endswith("html") else "application/json"
    seen_at = sources.recorded_at(name) or datetime(2026, 4, 25, tzinfo=UTC)
    return sources.read(
        Document("https://news.example/live", (corpus / name).read_bytes(), kind, seen_at), source
    )


@pytest.mark.parametrize(("name", "source", "count", "live"), PAGES)
def test_a_captured_page_is_read_by_its_own_source(
    corpus: Path, name: str, source: str, count: int, live: bool | None
) -> None:
    snapshot = read(corpus, name)
    assert (snapshot.source, len(snapshot.entries), snapshot.head.live) == (source, count, live)
    assert all(entry.published for entry in snapshot.entries)
    assert len({entry.id for entry in snapshot.entries}) == count


def test_no_captured_page_is_left_out(corpus: Path) -> None:
    files = {path.name for path in corpus.iterdir() if path.suffix in (".json", ".html")}
    assert files == {name for name, *_ in PAGES}


def test_the_mirrors_html_shows_the_first_thirty_of_its_own_json_ld(corpus: Path) -> None:
    shown, listed = read(corpus, MIRROR), read(corpus, MIRROR, "jsonld")
    assert len(listed.entries) == 428
    assert [e.id for e in shown.entries] == [e.id for e in listed.entries[:30]]
    assert [e.published for e in shown.entries] == [e.published for e in listed.entries[:30]]
    assert sum(entry.updated is not None for entry in listed.entries) == 88
    assert sum(not entry.text for entry in listed.entries) >= 18


def test_a_breaking_post_that_was_edited_is_read_as_both(corpus: Path) -> None:
    (post,) = (
        one
        for one in read(corpus, f"{SIMORGH}stream-poll_2023-12-20_first3posts.json").entries
        if "breaking" in one.labels
    )
    assert post.published is not None
    assert post.updated is not None
    assert post.updated > post.published
