"""The poll loop against a real site and a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web
from redis.asyncio import Redis

from service.config import PollSettings
from service.events import EntryEvent, Event, PageEvent
from service.fetch import Fetcher
from service.keys import Keys
from service.model import Page
from service.poller import Poller
from service.store import Store
from tests.live_site import LiveSite, live_site
from tests.pages import at, entry
from tests.stream import events_in
from tests.waiting import eventually

SETTINGS = PollSettings(
    floor_s=0.05, ceiling_s=0.1, retry_ceiling_s=0.1, lease_s=1, confirm_polls=3
)


class Desk:
    """A store, its stream, and pollers on it."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis, self.keys = redis, keys
        self.store = Store(redis, keys, max_events=1000)

    @asynccontextmanager
    async def polling(
        self,
        settings: PollSettings = SETTINGS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> AsyncIterator[None]:
        """A poller, running."""
        async with aiohttp.ClientSession() as session:
            fetcher = Fetcher(
                session,
                contact=None,
                timeout_s=settings.timeout_s,
                max_body_bytes=settings.max_body_bytes,
                now=now,
            )
            poller = asyncio.create_task(
                Poller(self.store, fetcher, settings, now=now).run(), name="poller"
            )
            try:
                yield
            finally:
                poller.cancel()
                await asyncio.gather(poller, return_exceptions=True)

    async def follow(self, site: LiveSite, page: str = "page", **fields: object) -> None:
        await self.store.add_page(Page(id=page, url=site.url, **fields))  # type: ignore[arg-type]

    async def events(self) -> list[Event]:
        return await events_in(self.redis, self.keys.events)

    async def told(self) -> list[str]:
        return [f"{e.type.removeprefix('stoppress.')} {e.subject}" for e in await self.events()]

    async def sees(self, *wanted: str) -> list[Event]:
        """Wait for these to be told."""

        async def all_there() -> bool:
            return set(wanted) <= set(await self.told())

        await eventually(all_there, f"{wanted}")
        return await self.events()

    async def polled(self, site: LiveSite, times: int) -> None:
        """Wait for so many more polls."""
        target = site.polls + times

        async def enough() -> bool:
            return site.polls >= target

        await eventually(enough, f"{times} polls")


@pytest.fixture
def desk(redis: Redis, keys: Keys) -> Desk:
    return Desk(redis, keys)


async def test_a_page_is_followed_from_its_baseline_on(desk: Desk) -> None:
    async with live_site([entry(1), entry(2)]) as site, desk.polling():
        await desk.follow(site)
        await desk.sees("entry.published e2")
        site.entries += [entry(3)]
        await desk.sees("entry.published e3")
        site.entries[1] = entry(2, text="Edited.")
        await desk.sees("entry.edited e2")
        del site.entries[1]
        events = await desk.sees("entry.removed e2")
    assert await desk.told() == [
        "page.opened page",
        "entry.published e1",
        "entry.published e2",
        "entry.published e3",
        "entry.edited e2",
        "entry.removed e2",
    ]
    flags = [event.data.baseline for event in events if isinstance(event, EntryEvent)]
    assert flags == [True, True, False, False, False]


async def test_a_page_that_does_not_change_costs_no_body_and_no_event(desk: Desk) -> None:
    async with live_site([entry(1)]) as site, desk.polling():
        await desk.follow(site)
        await desk.sees("entry.published e1")
        version = (await desk.store.load(Page(id="page", url=""))).meta.version
        await desk.polled(site, 5)
        assert (await desk.store.load(Page(id="page", url=""))).meta.version == version
        health = await desk.store.health("page")
    assert health.status == "healthy"
    assert health.next_poll is not None


async def test_a_removal_is_confirmed_though_the_server_says_not_modified(desk: Desk) -> None:
    """A server that would answer 304 must not hide that polls agree."""
    async with live_site([entry(1), entry(2), entry(3)]) as site, desk.polling():
        await desk.follow(site)
        await desk.sees("entry.published e3")
        del site.entries[1]
        await desk.sees("entry.removed e2")


async def test_a_removal_half_confirmed_survives_a_new_poller(desk: Desk) -> None:
    async with live_site([entry(1), entry(2), entry(3)]) as site:
        async with desk.polling():
            await desk.follow(site)
            await desk.sees("entry.published e3")
        slow = PollSettings(floor_s=60, ceiling_s=60, lease_s=1)
        del site.entries[1]
        async with desk.polling(slow):
            await desk.polled(site, 1)

            async def noted() -> bool:
                state = await desk.store.load(Page(id="page", url=""))
                return "e2" in state.meta.pending

            await eventually(noted, "a pending removal")
        async with desk.polling():
            await desk.sees("entry.removed e2")


async def test_an_outage_is_told_once_and_so_is_its_end(desk: Desk) -> None:
    async with live_site([entry(1)]) as site, desk.polling():
        await desk.follow(site)
        await desk.sees("entry.published e1")
        site.fault = web.Response(status=503, headers={"Retry-After": "0"})
        events = await desk.sees("page.degraded page")
        assert isinstance(events[-1], PageEvent)
        assert events[-1].data.health is not None
        assert (events[-1].data.health.status, events[-1].data.health.reason) == (
            "stale",
            "http.503",
        )
        await desk.polled(site, 3)
        site.fault = None
        site.entries += [entry(2)]
        await desk.sees("entry.published e2")
    assert (await desk.told())[2:] == [
        "page.degraded page",
        "page.recovered page",
        "entry.published e2",
    ]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("<html><title>We value your privacy</title><p>Accept cookies</p></html>", "page.blocked"),
        ("<html><title>A live page</title><p>Nothing</p></html>", "page."),
        ("", "page.empty"),
    ],
)
async def test_a_page_without_entries_changes_nothing_but_health(
    desk: Desk, body: str, code: str
) -> None:
    async with live_site([entry(1), entry(2)]) as site, desk.polling():
        await desk.follow(site)
        await desk.sees("entry.published e2")
        site.fault = web.Response(text=body, content_type="text/html")

        async def blind() -> bool:
            return (await desk.store.health("page")).failures >= 4

        await eventually(blind, "bad polls")
        health = await desk.store.health("page")
        assert health.reason is not None
        assert health.reason.startswith(code)
        site.fault = None
        await desk.sees("page.recovered page")
    assert [kind for kind in await desk.told() if "entry" in kind] == [
        "entry.published e1",
        "entry.published e2",
    ]


async def test_an_older_copy_is_not_believed(desk: Desk) -> None:
    async with live_site([entry(1), entry(2)]) as site, desk.polling():
        site.headers = {"Last-Modified": "Fri, 25 Apr 2025 12:00:00 GMT"}
        await desk.follow(site)
        await desk.sees("entry.published e2")
        site.headers = {"Last-Modified": "Fri, 25 Apr 2025 11:00:00 GMT"}
        site.entries = [entry(1), entry(2, text="Older words.")]
        await desk.sees("page.degraded page")
        site.headers = {"Last-Modified": "Fri, 25 Apr 2025 12:01:00 GMT"}
        site.entries = [entry(1), entry(2), entry(3)]
        await desk.sees("entry.published e3")
    assert not any("edited" in kind for kind in await desk.told())


async def test_a_paused_page_is_not_polled_and_goes_on_when_resumed(desk: Desk) -> None:
    async with live_site([entry(1)]) as site, desk.polling():
        await desk.follow(site)
        await desk.sees("entry.published e1")
        await desk.store.put_page(Page(id="page", url=site.url, paused=True))

        async def released() -> bool:
            return not await desk.redis.exists(desk.keys.lease("page"))

        await eventually(released, "the lease given back")
        polls = site.polls
        site.entries += [entry(2)]
        await desk.store.put_page(Page(id="page", url=site.url))
        await desk.sees("entry.published e2")
        assert site.polls > polls


async def test_after_a_long_gap_what_is_new_is_baseline(desk: Desk) -> None:
    async with live_site([entry(1)]) as site:
        async with desk.polling(now=lambda: at(60)):
            await desk.follow(site)
            await desk.sees("entry.published e1")
        site.entries += [entry(2)]
        async with desk.polling(now=lambda: at(60) + timedelta(hours=2)):
            events = await desk.sees("entry.published e2")
    assert isinstance(events[-1], EntryEvent)
    assert events[-1].data.baseline


async def test_many_pages_and_two_pollers_tell_everything_once(desk: Desk) -> None:
    async with live_site([entry(1)]) as site, desk.polling(), desk.polling():
        pages = [f"page{n}" for n in range(10)]
        for page in pages:
            await desk.follow(site, page)
        opened = [f"page.opened {page}" for page in pages]
        await desk.sees(*opened)
        site.entries += [entry(2)]

        async def everywhere() -> bool:
            return (await desk.told()).count("entry.published e2") == 10

        await eventually(everywhere, "e2 on ten pages")
        await desk.polled(site, 40)
    assert len(await desk.told()) == 30
    by_page = {
        page: [e.number for e in await desk.events() if e.data.page.id == page] for page in pages
    }
    assert set(map(tuple, by_page.values())) == {(1, 2, 3)}


async def test_a_lost_connection_in_the_middle_loses_nothing(desk: Desk) -> None:
    async with live_site([entry(1)]) as site, desk.polling():
        await desk.follow(site)
        await desk.sees("entry.published e1")
        for number in range(2, 7):
            await desk.redis.client_kill_filter(_type="normal", skipme=True)
            site.entries += [entry(number)]
            await desk.sees(f"entry.published e{number}")
    assert await desk.told() == [
        "page.opened page",
        *(f"entry.published e{n}" for n in range(1, 7)),
    ]


async def test_a_poll_of_a_removed_page_brings_nothing_back(desk: Desk) -> None:
    async with live_site([entry(1)]) as site, desk.polling():
        await desk.follow(site)
        await desk.sees("entry.published e1")
        await desk.store.remove_page("page")

        async def unfollowed() -> bool:
            polls = site.polls
            await asyncio.sleep(0.2)
            return site.polls == polls

        await eventually(unfollowed, "no more polls")
        assert not await desk.redis.exists(desk.keys.health("page"))


async def test_a_source_that_breaks_on_one_page_leaves_the_others_alone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service import sources

    read = sources.read

    def breaks(document: sources.Document, *how: object) -> object:
        if "broken" in document.url:
            raise RecursionError("too deep")
        return read(document, *how)  # type: ignore[arg-type]

    monkeypatch.setattr(sources, "read", breaks)
    async with live_site([entry(1)]) as site, desk.polling():
        await desk.store.add_page(Page(id="bad", url=site.url + "?broken"))
        await desk.follow(site)
        await desk.sees("page.opened page", "page.degraded bad")
        assert (await desk.store.health("bad")).reason == "page.broke_us"
