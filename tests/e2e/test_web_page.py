"""The web page in a real browser, against a scripted feed that speaks `stoppress.v1.json`.

The feed is a stand-in so that a test can say exactly what arrives and when the connection breaks;
its messages are the gateway's own types, so that the two cannot drift apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import WSCloseCode, web
from playwright.async_api import Browser, ConsoleMessage, Page, WebSocket, expect
from redis.asyncio import Redis

import workers.gateway
from service.config import GatewaySettings, KeySettings
from service.events import (
    EntryData,
    EntryEvent,
    EntryType,
    Listed,
    Observed,
    PageData,
    PageEvent,
    Run,
    Significance,
    rfc3339,
    to_json,
)
from service.keys import Keys
from service.model import (
    Author,
    Entry,
    Health,
    Image,
    Line,
    ListBlock,
    Mark,
    PageRef,
    Paragraph,
    Quote,
    Table,
)
from tests.alert_samples import alert_event
from tests.integration.test_gateway import Desk
from workers.gateway.alert_states import Placed, alerts_of
from workers.gateway.answers import Alerts
from workers.gateway.protocol import (
    SUBPROTOCOL,
    CursorMessage,
    EventMessage,
    HealthMessage,
    Hello,
    KnownEntry,
    Limits,
    Message,
    PageSnapshot,
    Reset,
    StreamId,
    encode,
)

STATIC = Path(workers.gateway.__file__).parent / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; worker-src 'self'; "
    "img-src http: https: data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
NOON = datetime(2025, 4, 25, 12, 0, tzinfo=UTC)
KYIV = PageRef(id="kyiv", url="https://news.example/live/kyiv", title="War in Ukraine", source="t")
MATCH = PageRef(id="match", url="https://news.example/live/match", title="Cup final", source="t")


class Feed:
    """The gateway's side of the socket, under the test's control."""

    def __init__(self) -> None:
        self.greeting: list[Message] = []  # what every new connection is sent
        self.alerts: list[Placed] = []  # what is listed
        self.cursors: asyncio.Queue[str | None] = asyncio.Queue()  # what each one asked for
        self.accepting = True
        self.url = ""
        self._socket: web.WebSocketResponse | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if not self.accepting:
            return web.Response(status=503)
        socket = web.WebSocketResponse(protocols=[SUBPROTOCOL])
        await socket.prepare(request)
        assert socket.ws_protocol == SUBPROTOCOL
        for message in self.greeting:
            await socket.send_str(encode(message).decode())
        self._socket = socket
        self.cursors.put_nowait(request.query.get("cursor"))
        async for _ in socket:
            pass
        return socket

    async def list_alerts(self, _: web.Request) -> web.Response:
        listed = Alerts(alerts_of(self.alerts), None)
        return web.Response(body=msgspec.json.encode(listed), content_type="application/json")

    async def connected(self) -> str | None:
        """Wait for the next connection; the cursor that it asked for."""
        return await self.cursors.get()

    async def send(self, *messages: Message) -> None:
        assert self._socket is not None
        for message in messages:
            await self._socket.send_str(encode(message).decode())

    async def close(self, code: int, reason: str) -> None:
        assert self._socket is not None
        await self._socket.close(code=code, message=reason.encode())

    async def stop(self) -> None:
        if self._socket is not None:
            await self._socket.close(code=WSCloseCode.GOING_AWAY)


async def _serve_index(_: web.Request) -> web.FileResponse:
    return web.FileResponse(STATIC / "index.html")


async def _add_policy(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Content-Security-Policy"] = POLICY


@pytest.fixture
async def feed() -> AsyncIterator[Feed]:
    feed = Feed()
    app = web.Application()
    app.router.add_get("/", _serve_index)
    app.router.add_get("/v1/feed", feed.handle)
    app.router.add_get("/v1/alerts", feed.list_alerts)
    app.router.add_static("/static", STATIC)
    app.on_response_prepare.append(_add_policy)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    feed.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield feed
    await feed.stop()
    await runner.cleanup()


@pytest.fixture
async def tab(browser: Browser) -> AsyncIterator[Page]:
    """A tab that has seen no script error and no breach of the content policy when the test ends.

    It cannot reach anything but this machine: other addresses are answered with 404.
    """
    context = await browser.new_context(locale="en-GB", timezone_id="Europe/London")
    tab = await context.new_page()
    faults: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            faults.append(message.text)

    tab.on("console", note)
    tab.on("pageerror", lambda error: faults.append(str(error)))
    await tab.route(
        lambda url: not url.startswith("http://127.0.0.1:"), lambda route: route.fulfill(status=404)
    )
    yield tab
    await context.close()
    refused = "WebSocket connection to"  # the browser's own note when the feed is away
    assert [fault for fault in faults if not fault.startswith(refused)] == []


# --- what the feed says --------------------------------------------------------------------------


def hello() -> Hello:
    return Hello(cursor="end-of-stream", oldest="c0", heartbeat_s=20, limits=Limits(16384, 600, 20))


def healthy() -> Health:
    now = datetime.now(UTC)
    return Health(
        last_poll=now,
        last_good_poll=now - timedelta(seconds=12),
        next_poll=now + timedelta(minutes=10),
    )


def entry(number: int, title: str, *labels: str, minute: int | None = None) -> Entry:
    return Entry(
        id=f"e{number}",
        title=title,
        published=NOON + timedelta(minutes=number if minute is None else minute),
        labels=labels,
        body=(Paragraph(f"Text of entry {number}."),),
    )


def snapshot(
    *entries: Entry, page: PageRef = KYIV, cursor: str = "c1", sequence: int = 10
) -> PageSnapshot:
    return PageSnapshot(
        cursor=cursor,
        page=page,
        status="live",
        summary=None,
        health=healthy(),
        sequence=sequence,
        entries=tuple(KnownEntry(e, revision=1, baseline=True, removed=False) for e in entries),
    )


def happened(
    kind: str,
    subject: Entry,
    sequence: int,
    *,
    page: PageRef = KYIV,
    revision: int = 1,
    edits: dict[str, tuple[Run, ...]] | None = None,
    significance: Significance | None = None,
) -> EventMessage:
    """The message that tells of an entry event; its cursor is `c` and the sequence."""
    data = EntryData(
        page=page,
        entry=subject,
        revision=revision,
        baseline=False,
        observed=Observed(after=NOON, at=NOON + timedelta(hours=1)),
        changed=tuple(edits or ()),
        edits=edits or {},
        significance=significance,
    )
    event = EntryEvent(
        type=msgspec.convert(f"stoppress.entry.{kind}", EntryType),
        data=data,
        specversion="1.0",
        id=f"{page.id}-{sequence}",
        source=page.url,
        subject=subject.id,
        time=rfc3339(NOON + timedelta(hours=1)),
        datacontenttype="application/json",
        sequence=f"{sequence:020d}",
        previousid=f"{page.id}-{sequence - 1}",
    )
    return EventMessage(
        cursor=f"c{sequence}", sent="2025-04-25T09:16:05.012Z", event=msgspec.Raw(to_json(event))
    )


def paused(sequence: int) -> EventMessage:
    event = PageEvent(
        type="stoppress.page.paused",
        data=PageData(page=KYIV, status="paused", observed=Observed(after=NOON, at=NOON)),
        specversion="1.0",
        id=f"{KYIV.id}-{sequence}",
        source=KYIV.url,
        subject=KYIV.id,
        time=rfc3339(NOON),
        datacontenttype="application/json",
        sequence=f"{sequence:020d}",
        previousid=f"{KYIV.id}-{sequence - 1}",
    )
    return EventMessage(
        cursor=f"c{sequence}", sent="2025-04-25T09:16:05.012Z", event=msgspec.Raw(to_json(event))
    )


async def opened(tab: Page, feed: Feed, *snapshots: PageSnapshot) -> None:
    """Open the page on a feed that greets with these snapshots."""
    feed.greeting = [hello(), *snapshots]
    await tab.goto(feed.url)
    assert await feed.connected() is None
    await expect(tab.locator("#connection")).to_have_text("Connected")


def shown(tab: Page, number: int) -> str:
    return f'[data-entry="e{number}"]'


# --- entries -------------------------------------------------------------------------------------


async def test_entries_stand_newest_first_whatever_order_they_came_in(
    tab: Page, feed: Feed
) -> None:
    await opened(tab, feed, snapshot(entry(1, "One"), entry(3, "Three"), entry(2, "Two")))
    await expect(tab.locator(".title")).to_have_text(["Three", "Two", "One"])
    await feed.send(happened("published", entry(4, "Four"), 11))
    await expect(tab.locator(".title")).to_have_text(["Four", "Three", "Two", "One"])


async def test_of_entries_with_the_same_minute_the_one_seen_later_is_newer(
    tab: Page, feed: Feed
) -> None:
    await opened(tab, feed, snapshot(entry(1, "One", minute=5)))
    await feed.send(happened("published", entry(2, "Two", minute=5), 11))
    await expect(tab.locator(".title")).to_have_text(["Two", "One"])


async def test_time_is_local_and_its_title_is_the_utc_instant(tab: Page, feed: Feed) -> None:
    await opened(tab, feed, snapshot(entry(0, "Noon")))
    time = tab.locator(".when time")
    await expect(time).to_have_text("13:00")
    await expect(time).to_have_attribute("title", "2025-04-25 12:00:00 UTC")


async def test_authors_blocks_and_image_words_are_shown(tab: Page, feed: Feed) -> None:
    full = Entry(
        id="e1",
        title="Full",
        published=NOON,
        labels=("key",),
        authors=(Author("Ada Byron", "Science editor"),),
        body=(
            # The flags are one code point each, but two units of a JavaScript string.
            Paragraph("🏁🏁 Read this now", marks=(Mark(8, 12, "link", "https://a.example/x"),)),
            ListBlock(items=(Line("first"), Line("second"))),
            Quote("So be it", cite="A witness"),
            Table(rows=(("Home", "2"), ("Away", "1"))),
        ),
        media=(Image(alt="Smoke over roofs", caption="The scene at noon", credit="Reuters"),),
    )
    await opened(tab, feed, snapshot(full))
    article = tab.locator(shown(tab, 1))
    await expect(article.locator(".author")).to_have_text("Ada Byron Science editor")
    await expect(article.locator(".label")).to_have_text("key")
    await expect(article.get_by_role("link", name="this", exact=True)).to_have_attribute(
        "href", "https://a.example/x"
    )
    await expect(article.locator("ul li")).to_have_text(["first", "second"])
    await expect(article.locator("blockquote")).to_contain_text("— A witness")
    await expect(article.locator("td")).to_have_text(["Home", "2", "Away", "1"])
    await expect(article.locator(".alt")).to_have_text("Image: Smoke over roofs")
    await expect(article.locator("figcaption")).to_have_text("The scene at noon Reuters")


async def test_an_image_that_does_not_load_gives_way_to_its_alt_text(tab: Page, feed: Feed) -> None:
    image = Image(url="https://images.example/gone.jpg", alt="A bridge")
    await opened(tab, feed, snapshot(Entry(id="e1", title="Picture", media=(image,))))
    await expect(tab.locator(".alt")).to_have_text("Image: A bridge")
    await expect(tab.locator("img")).to_have_count(0)


async def test_breaking_entry_bears_a_badge_and_is_announced_but_not_when_it_was_there_before(
    tab: Page, feed: Feed
) -> None:
    await opened(tab, feed, snapshot(entry(1, "Old news", "breaking")))
    await expect(tab.locator(f"{shown(tab, 1)} .badge")).to_have_text("Breaking")
    await expect(tab.locator("#announcer")).to_be_empty()
    await feed.send(happened("published", entry(2, "Bridge falls", "breaking"), 11))
    await expect(tab.locator(f"{shown(tab, 2)}.breaking .badge")).to_have_text("Breaking")
    await expect(tab.locator("#announcer")).to_have_text("Breaking: Bridge falls")


async def test_an_edit_that_sets_the_breaking_label_is_announced(tab: Page, feed: Feed) -> None:
    await opened(tab, feed, snapshot(entry(1, "Bridge falls")))
    label = Significance("label", ("+breaking",))
    await feed.send(
        happened("edited", entry(1, "Bridge falls", "breaking"), 11, revision=2, significance=label)
    )
    await expect(tab.locator(f"{shown(tab, 1)} .badge")).to_have_text("Breaking")
    await expect(tab.locator("#announcer")).to_have_text("Breaking: Bridge falls")


async def test_an_edit_is_marked_with_its_kind_and_opens_a_word_diff(tab: Page, feed: Feed) -> None:
    await opened(tab, feed, snapshot(entry(1, "12 killed in attack")))
    runs: tuple[Run, ...] = (
        ("delete", "12"),
        ("insert", "14"),
        ("equal", " killed in attack"),
    )
    await feed.send(
        happened(
            "edited",
            entry(1, "14 killed in attack"),
            11,
            revision=2,
            edits={"title": runs},
            significance=Significance("figure", ("12 → 14",)),
        )
    )
    article = tab.locator(shown(tab, 1))
    await expect(article.locator(".title")).to_have_text("14 killed in attack")
    await expect(article.locator("summary")).to_have_text("edited 14:00 figure 12 → 14")
    await expect(article.locator(".diff")).to_be_hidden()
    await article.locator("summary").click()
    await expect(article.locator(".diff del")).to_have_text("12")
    await expect(article.locator(".diff ins")).to_have_text("14")
    await expect(article.locator(".diff")).to_have_text("1214 killed in attack")


async def test_an_entry_edited_before_the_page_was_opened_is_marked_too(
    tab: Page, feed: Feed
) -> None:
    known = KnownEntry(entry(1, "One"), revision=3, baseline=True, removed=False)
    await opened(tab, feed, msgspec.structs.replace(snapshot(), entries=(known,)))
    await expect(tab.locator(f"{shown(tab, 1)} .edited")).to_have_text("edited")


async def test_a_withdrawn_entry_is_struck_through_and_returns_when_restored(
    tab: Page, feed: Feed
) -> None:
    await opened(tab, feed, snapshot(entry(1, "Untrue")))
    article = tab.locator(shown(tab, 1))
    await feed.send(happened("removed", entry(1, "Untrue"), 11))
    await expect(article.locator(".mark")).to_have_text("withdrawn")
    await expect(article.locator(".title del")).to_have_text("Untrue")
    await feed.send(happened("restored", entry(1, "Untrue"), 12))
    await expect(article.locator(".mark")).to_have_count(0)
    await expect(article.locator(".title del")).to_have_count(0)
    await expect(article.locator(".title")).to_have_text("Untrue")


async def test_only_new_entries_animate_and_none_do_when_reduced_motion_is_asked_for(
    tab: Page, feed: Feed
) -> None:
    await tab.emulate_media(reduced_motion="reduce")
    await opened(tab, feed, snapshot(entry(1, "There before")))
    await feed.send(happened("published", entry(2, "New", "breaking"), 11))
    name = "element => getComputedStyle(element).animationName"
    await expect(tab.locator(shown(tab, 2))).to_be_visible()
    assert await tab.locator(shown(tab, 2)).evaluate(name) == "none"
    await tab.emulate_media(reduced_motion="no-preference")
    assert await tab.locator(shown(tab, 2)).evaluate(name) == "arrive-breaking"
    assert await tab.locator(shown(tab, 1)).evaluate(name) == "none"


async def test_at_most_500_entries_are_in_the_document(tab: Page, feed: Feed) -> None:
    await opened(tab, feed, snapshot(*(entry(n, f"Entry {n}") for n in range(600))))
    await expect(tab.locator(".entry")).to_have_count(500)
    await expect(tab.locator(".title").first).to_have_text("Entry 599")
    await feed.send(happened("published", entry(600, "Entry 600"), 11))
    await expect(tab.locator(".title").first).to_have_text("Entry 600")
    await expect(tab.locator(".entry")).to_have_count(500)


# --- pages and filters ---------------------------------------------------------------------------


async def test_page_bar_says_how_well_each_page_is_seen(tab: Page, feed: Feed) -> None:
    await opened(tab, feed, snapshot())
    page = tab.locator('[data-page="kyiv"]')
    await expect(page.locator(".page-title")).to_have_text("War in Ukraine")
    await expect(page.locator(".status")).to_have_text("live")
    await expect(page.locator(".health")).to_have_text("healthy")
    await expect(page.locator(".sight")).to_contain_text("last good poll")
    blocked = msgspec.structs.replace(
        healthy(), status="blocked", reason="http.forbidden", detail="the server answered 403"
    )
    await feed.send(HealthMessage(page="kyiv", health=blocked), paused(11))
    await expect(page.locator(".health")).to_have_text("blocked")
    await expect(page.locator(".detail")).to_have_text("the server answered 403 (http.forbidden)")
    await expect(page.locator(".status")).to_have_text("paused")


async def test_a_page_that_nobody_polls_any_more_is_called_stale_though_its_health_is_good(
    tab: Page, feed: Feed
) -> None:
    old = datetime.now(UTC) - timedelta(minutes=5)
    health = Health(last_poll=old, last_good_poll=old, next_poll=old + timedelta(seconds=30))
    await opened(tab, feed, msgspec.structs.replace(snapshot(), health=health))
    page = tab.locator('[data-page="kyiv"]')
    await expect(page.locator(".health")).to_have_text("stale: nobody is polling")
    await expect(page.locator(".sight")).to_contain_text("last good poll 5 min ago")


async def test_entries_are_filtered_by_page_and_by_breaking(tab: Page, feed: Feed) -> None:
    await opened(
        tab,
        feed,
        snapshot(entry(1, "War one"), entry(2, "War two", "breaking")),
        snapshot(entry(3, "Kick-off"), page=MATCH),
    )
    titles = tab.locator(".title")
    await expect(titles).to_have_text(["Kick-off", "War two", "War one"])
    await tab.locator('[data-page="kyiv"] button').click()
    await expect(titles).to_have_text(["War two", "War one"])
    await tab.get_by_role("button", name="Only breaking").click()
    await expect(titles).to_have_text(["War two"])
    await tab.get_by_role("button", name="Show all pages").click()
    await tab.get_by_role("button", name="Only breaking").click()
    await expect(titles).to_have_text(["Kick-off", "War two", "War one"])


# --- alerts --------------------------------------------------------------------------------------


def changed(kind: str, place: int, **given: Any) -> EventMessage:
    """The message that tells of an event of an alert."""
    event = msgspec.Raw(to_json(alert_event(kind, **given)))
    return EventMessage(cursor=f"a{place}", sent="2025-04-25T12:01:00.000Z", event=event)


def listed(kind: str, place: int, **given: Any) -> Placed:
    """The same as the gateway lists it."""
    return StreamId(1_745_571_600_000 + place), alert_event(kind, **given)


async def test_an_alert_is_shown_with_what_has_become_of_it(tab: Page, feed: Feed) -> None:
    feed.alerts = [listed("raised", 1)]
    await opened(tab, feed, snapshot())
    await expect(tab.locator("#alerts-section")).to_be_hidden()
    await feed.send(CursorMessage(cursor="c1"))
    alert = tab.locator(".alert")
    await expect(alert.locator(".state")).to_have_text("raised")
    await expect(alert.locator(".rule")).to_have_text("breaking")
    await expect(alert.locator(".alert-page")).to_have_text("War in Ukraine")
    title = "General killed in car bomb attack - reports"
    await expect(alert.get_by_role("link", name=title)).to_have_attribute(
        "href", "https://news.example/live/1#e1"
    )
    await feed.send(changed("raised", 1), changed("updated", 2), changed("updated", 2))
    await expect(alert.locator(".state")).to_have_text("updated")
    await expect(alert.locator("summary")).to_have_text("figure: 9 killed → 12 killed")
    await expect(tab.locator("#announcer")).to_have_text(f"Alert updated: {title}")
    await expect(alert.locator(".history")).to_be_hidden()
    await alert.locator("summary").click()
    await expect(alert.locator(".history b")).to_have_text(["raised", "updated"])
    await expect(alert.locator(".lag")).to_contain_text("after it was seen")
    await feed.send(changed("retracted", 3))
    await expect(alert.locator(".state")).to_have_text("retracted")
    await expect(alert.locator("del")).to_have_text(title)
    await expect(alert.locator(".history b")).to_have_text(["raised", "updated", "retracted"])
    await expect(alert.locator(".history")).to_be_visible()
    await expect(tab.locator("#announcer")).to_have_text(f"Alert retracted: {title}")


async def test_an_alert_about_several_entries_lists_them(tab: Page, feed: Feed) -> None:
    entries = (
        Listed(entry="e1", title="One", url="https://news.example/live/1#e1"),
        Listed(entry="e2", title="Two", url="javascript:alert(1)", withdrawn=True),
        Listed(entry="e3"),
    )
    event = alert_event(title="One")
    grouped = msgspec.structs.replace(
        event, data=msgspec.structs.replace(event.data, entries=entries)
    )
    feed.alerts = [(StreamId(1), grouped)]
    await opened(tab, feed, snapshot())
    await feed.send(CursorMessage(cursor="c1"))
    alert = tab.locator(".alert")
    await expect(alert.locator(".alert-title")).to_have_text("One and 2 more")
    await alert.locator("summary").click()
    await expect(alert.locator(".entries li")).to_have_text(["One", "Two", "e3"])
    await expect(alert.locator(".entries del")).to_have_text("Two")
    addresses = [
        await each.get_attribute("href") for each in await alert.locator(".entries a").all()
    ]
    assert addresses == ["https://news.example/live/1#e1", "https://news.example/live/1"]


async def test_three_alerts_are_shown_until_more_are_asked_for(tab: Page, feed: Feed) -> None:
    feed.alerts = [listed("raised", n, entry=f"e{n}", title=f"Alert {n}") for n in range(1, 5)]
    await opened(tab, feed, snapshot())
    await feed.send(CursorMessage(cursor="c1"), changed("raised", 5, entry="e5", title="Alert 5"))
    titles = tab.locator(".alert-title")
    await expect(titles).to_have_text(["Alert 5", "Alert 4", "Alert 3"])
    await tab.get_by_role("button", name="Show all 5 alerts").click()
    await expect(titles).to_have_count(5)
    await tab.get_by_role("button", name="Show fewer").click()
    await expect(titles).to_have_count(3)


async def test_alerts_of_other_pages_go_with_the_page_filter(tab: Page, feed: Feed) -> None:
    feed.alerts = [listed("raised", 1)]
    ukraine = msgspec.structs.replace(KYIV, id="ukraine")
    await opened(tab, feed, snapshot(page=ukraine), snapshot(page=MATCH))
    await feed.send(CursorMessage(cursor="c1"))
    await expect(tab.locator(".alert")).to_have_count(1)
    await tab.locator('[data-page="match"] button').click()
    await expect(tab.locator(".alert")).to_have_count(0)
    await tab.locator('[data-page="ukraine"] button').click()
    await expect(tab.locator(".alert")).to_have_count(1)


async def test_after_a_reset_alerts_are_read_anew(tab: Page, feed: Feed) -> None:
    feed.alerts = [listed("raised", 1)]
    await opened(tab, feed, snapshot())
    await feed.send(CursorMessage(cursor="c1"))
    await expect(tab.locator(".alert .state")).to_have_text("raised")
    feed.alerts = [listed("raised", 2, entry="e2", title="Another")]
    await feed.send(Reset(reason="cursor.too_old"), snapshot(), CursorMessage(cursor="c2"))
    await expect(tab.locator(".alert-title")).to_have_text(["Another"])


async def test_hostile_text_and_addresses_of_an_alert_are_inert(tab: Page, feed: Feed) -> None:
    attack = "<img src=x onerror=\"document.title='owned'\">"
    event = alert_event(title=attack)
    page = PageRef(id="ukraine", url="javascript:document.title='owned'", title=attack)
    entry = msgspec.structs.replace(event.data.entry, url="javascript:document.title='owned'")
    data = msgspec.structs.replace(event.data, page=page, entry=entry, reason=attack, rule="<b>x")
    feed.alerts = [(StreamId(1), msgspec.structs.replace(event, data=data))]
    await opened(tab, feed, snapshot())
    await feed.send(CursorMessage(cursor="c1"))
    alert = tab.locator(".alert")
    await expect(alert.locator(".alert-title")).to_have_text(attack)
    await expect(alert.locator("summary")).to_have_text(attack)
    assert await alert.locator("img, a, .rule b").count() == 0
    await expect(tab).to_have_title("Stoppress")


# --- the connection ------------------------------------------------------------------------------


async def test_reconnect_says_so_loudly_and_resumes_with_the_cursor_of_the_last_message(
    tab: Page, feed: Feed
) -> None:
    await opened(tab, feed, snapshot(entry(1, "One")))
    await feed.send(happened("published", entry(2, "Two"), 11), CursorMessage(cursor="c11+"))
    await feed.send(happened("published", entry(3, "Three"), 12))
    await expect(tab.locator(".title")).to_have_text(["Three", "Two", "One"])
    feed.accepting, feed.greeting = False, [hello()]
    await feed.close(4001, "going-away")
    await expect(tab.get_by_role("alert")).to_contain_text("Connection lost")
    await expect(tab.locator('[data-page="kyiv"] .health')).to_have_text("was healthy")
    feed.accepting = True
    assert await feed.connected() == "c12"
    await expect(tab.locator("#connection")).to_have_text("Connected")
    await expect(tab.get_by_role("alert")).to_be_hidden()
    await feed.send(happened("published", entry(4, "Four"), 13))
    await expect(tab.locator(".title")).to_have_text(["Four", "Three", "Two", "One"])


async def test_an_event_that_comes_again_is_applied_once(tab: Page, feed: Feed) -> None:
    await opened(tab, feed, snapshot(entry(1, "One"), sequence=10))
    edit = happened("edited", entry(1, "One, edited"), 11, revision=2)
    stale = happened("edited", entry(1, "One, as it was"), 10, revision=1)
    await feed.send(stale, edit, edit, happened("published", entry(2, "Two"), 12))
    await expect(tab.locator(".title")).to_have_text(["Two", "One, edited"])
    await expect(tab.locator("summary")).to_contain_text("edited 14:00")


async def test_a_drop_amid_the_snapshots_begins_afresh_instead_of_losing_pages(
    tab: Page, feed: Feed
) -> None:
    await opened(tab, feed, snapshot(entry(1, "One")))
    feed.greeting.append(snapshot(entry(2, "Two"), page=MATCH))
    await feed.close(4003, "internal-error")
    assert await feed.connected() is None
    await expect(tab.locator(".title")).to_have_text(["Two", "One"])


async def test_reset_forgets_everything_and_rebuilds_from_the_snapshots(
    tab: Page, feed: Feed
) -> None:
    await opened(tab, feed, snapshot(entry(1, "One")), snapshot(entry(2, "Two"), page=MATCH))
    await feed.send(happened("published", entry(3, "Three"), 11))
    await expect(tab.locator(".entry")).to_have_count(3)
    feed.greeting = [
        hello(),
        Reset(reason="past retention"),
        snapshot(entry(9, "Nine"), cursor="c90", sequence=5),
        CursorMessage(cursor="c90"),
    ]
    await feed.close(4001, "going-away")
    assert await feed.connected() == "c11"
    await expect(tab.locator(".title")).to_have_text(["Nine"])
    await expect(tab.locator(".page")).to_have_count(1)
    feed.greeting = [hello()]
    await feed.close(4001, "going-away")
    assert await feed.connected() == "c90"


async def test_a_feed_that_is_closed_for_good_is_not_asked_again(tab: Page, feed: Feed) -> None:
    await opened(tab, feed, snapshot(entry(1, "One")))
    await tab.clock.install()
    attempts: list[WebSocket] = []
    tab.on("websocket", lambda attempt: attempts.append(attempt))
    await feed.close(4500, "bad-messages")
    alarm = tab.get_by_role("alert")
    await expect(alarm).to_contain_text("closed this feed")
    await expect(alarm).to_contain_text("4500 bad-messages")
    await tab.clock.run_for(60_000)
    assert attempts == []
    assert feed.cursors.empty()


# --- hostile text --------------------------------------------------------------------------------


async def test_hostile_text_and_addresses_are_inert(tab: Page, feed: Feed) -> None:
    attack = "<img src=x onerror=\"document.title='owned'\">"
    hostile = Entry(
        id='"><script>',
        title=attack,
        published=NOON,
        labels=("<b>bold</b>",),
        authors=(Author(attack, attack),),
        url="javascript:document.title='owned'",
        body=(
            Paragraph(
                "click here",
                marks=(
                    Mark(0, 5, "link", "javascript:document.title='owned'"),
                    Mark(6, 10, "link", "data:text/html,<script>1</script>"),
                    Mark(-5, 900, "strong"),
                ),
            ),
            Table(rows=((attack,),)),
        ),
        media=(Image(url="javascript:alert(1)", alt=attack),),
    )
    page = msgspec.structs.replace(KYIV, title=attack, url="javascript:alert(1)")
    await opened(tab, feed, snapshot(hostile, page=page))
    title = tab.locator(".title")
    await expect(title).to_have_text(attack)
    await expect(tab.locator(".page-title")).to_have_text(attack)
    await expect(tab.locator("td")).to_have_text(attack)
    await expect(tab.locator("strong", has_text="click here")).to_be_visible()
    assert await tab.locator("img, iframe, .entry script, .label b").count() == 0
    assert await tab.locator(".entry a").count() == 0
    assert await tab.locator("a[href^='javascript' i]").count() == 0
    await tab.get_by_text("click", exact=True).click()
    await expect(tab).to_have_title("Stoppress")


# --- with the real gateway -----------------------------------------------------------------------


async def test_it_asks_for_a_key_and_shows_the_pages_of_that_key(
    tab: Page, redis: Redis, redis_url: str, keys: Keys
) -> None:
    desk = Desk(redis, redis_url, keys)
    await desk.publish(1)
    locked = GatewaySettings(port=0, keys={"desk": KeySettings(secret="k" * 24)})
    async with desk.serving(locked) as gateway:
        await tab.goto(gateway)
        field = tab.get_by_label("Key")
        await field.fill("no such key")
        await tab.get_by_role("button", name="Connect").click()
        await expect(tab.locator("#alarm-text")).to_contain_text("that one does not count")
        await field.fill("k" * 24)
        await tab.get_by_role("button", name="Connect").click()
        await expect(tab.locator("#connection")).to_have_text("Connected")
        await expect(tab.locator("#entries > li")).to_have_count(1)
        await tab.reload()
        await expect(tab.locator("#connection")).to_have_text("Connected")
        await expect(field).to_be_hidden()
