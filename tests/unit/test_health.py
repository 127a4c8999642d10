"""Health says how each snapshot was taken: believed, not yet, or not at all."""

from __future__ import annotations

from service import health
from service.errors import PageError
from service.model import Health, PageMeta, Pending
from tests.pages import at

WAITING = Pending(kind="removed", digest="d", polls=1, after=None, at=at(1))


def test_a_page_that_is_seen_and_believed_gives_no_reason() -> None:
    seen = health.after_good(Health(), PageMeta(), at(5))
    assert (seen.status, seen.reason, seen.last_good_poll) == ("healthy", None, at(5))


def test_what_waits_for_polls_that_agree_is_told_while_the_page_is_healthy() -> None:
    seen = health.after_good(Health(), PageMeta(pending={"a": WAITING, "b": WAITING}), at(5))
    assert (seen.status, seen.reason) == ("healthy", "page.confirming")
    assert seen.detail == "2 removed: waiting for polls that agree"


def test_a_page_that_is_over_is_ended_however_well_it_is_seen() -> None:
    assert health.after_good(Health(), PageMeta(status="ended"), at(5)).status == "ended"


def test_a_failure_gives_its_reason_and_keeps_the_last_good_poll() -> None:
    good = health.after_good(Health(), PageMeta(), at(5))
    first = health.after_bad(good, PageError("http.503", "busy", health="stale"), at(6))
    second = health.after_bad(first, PageError("page.blocked", "wall", health="blocked"), at(7))
    assert (first.status, first.reason, first.since) == ("stale", "http.503", at(6))
    assert (second.status, second.failures, second.since) == ("blocked", 2, at(6))
    assert second.last_good_poll == at(5)
