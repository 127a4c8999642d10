"""A page's past, kept beside its events: written with them, trimmed by itself, read over HTTP."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from redis.asyncio import Redis

from service.config import HistorySettings
from service.diff import Doubt, Policy, advance, diff
from service.history import as_of
from service.keys import Keys
from service.model import Entry, Health, PageState
from service.store import Store
from tests.integration.test_gateway import Desk
from tests.pages import PAGE, at, entry, page_of

ODD_ID = "https://news.example/live#post 7/8"


class Writer:
    """Commits one snapshot after another."""

    def __init__(self, store: Store) -> None:
        self.store, self.state, self.token = store, PageState(page=PAGE), 0

    async def see(self, minute: float, *entries: Entry) -> None:
        if not self.token:
            await self.store.add_page(PAGE)
            self.token = await self.store.acquire(PAGE.id, 60_000) or 0
        step = diff(self.state, page_of(entries, minute=minute), Policy())
        assert not isinstance(step, Doubt)
        events, after = advance(self.state, step, at(minute))
        await self.store.commit(self.token, self.state, after, events, Health())
        self.state = after


@pytest.fixture
def writer(redis: Redis, keys: Keys) -> Writer:
    return Writer(Store(redis, keys, max_events=10))


async def test_every_revision_outlives_the_stream_of_events(writer: Writer) -> None:
    for minute in range(30):
        await writer.see(minute, entry(1, text=f"Version {minute}."))
    kept = await writer.store.history(PAGE.id)
    assert [event.data.revision for event in kept] == list(range(1, 31))
    assert as_of(kept, at(12.5))[0].entry.text == "Version 12."


async def test_a_step_that_is_tried_again_keeps_its_revision_once(writer: Writer) -> None:
    before = writer.state
    await writer.see(1, entry(1))
    step = diff(before, page_of([entry(1)], minute=1), Policy())
    assert not isinstance(step, Doubt)
    events, after = advance(before, step, at(1))
    await writer.store.commit(writer.token, before, after, events, Health())
    assert len(await writer.store.history(PAGE.id)) == 1


async def test_a_page_keeps_about_as_many_revisions_as_are_asked_for(
    redis: Redis, keys: Keys
) -> None:
    writer = Writer(Store(redis, keys, max_events=10, history=HistorySettings(max_revisions=200)))
    for minute in range(500):
        await writer.see(minute / 10, entry(1, text=f"Version {minute}."))
    kept = await writer.store.history(PAGE.id)
    assert 200 <= len(kept) < 400
    assert kept[-1].data.entry.text == "Version 499."


async def test_a_page_that_is_removed_leaves_no_history(writer: Writer) -> None:
    await writer.see(1, entry(1))
    await writer.store.remove_page(PAGE.id)
    assert await writer.store.history(PAGE.id) == []


async def test_the_past_is_read_over_http(redis: Redis, redis_url: str, keys: Keys) -> None:
    desk = Desk(redis, redis_url, keys)
    writer = Writer(desk.store)
    odd = entry(2, id=ODD_ID, text="Two dead.")
    await writer.see(1, entry(1), odd)
    await writer.see(5, entry(1), entry(2, id=ODD_ID, text="Three dead."))
    async with desk.serving():

        async def got(path: str, status: int = 200) -> dict[str, object]:
            code, body = await desk.get(f"/v1/pages/{path}")
            assert code == status, body
            return json.loads(body)

        before = await got(f"page/history?at={quote(at(2).isoformat())}")
        assert [e["entry"]["id"] for e in before["entries"]] == [ODD_ID, "e1"]
        assert before["entries"][0]["revision"] == 1
        assert (await got("page/history"))["entries"][0]["revision"] == 2
        path = f"page/entries/{quote(ODD_ID, safe='')}/revisions"
        revisions = (await got(path))["revisions"]
        assert [one["entry"]["body"][0]["text"] for one in revisions] == [
            "Two dead.",
            "Three dead.",
        ]
        assert (await got(f"{path}?from=1&to=2"))["edits"] == {
            "body": [["delete", "Two"], ["insert", "Three"], ["equal", " dead."]]
        }
        assert (await got(f"{path}?from=1&to=9", 404))["code"] == "revision.unknown"
        assert (await got("page/entries/none/revisions", 404))["code"] == "entry.unknown"
        assert (await got("none/history", 404))["code"] == "page.unknown"
        assert (await got("page/history?at=noon", 400))["code"] == "time.malformed"
