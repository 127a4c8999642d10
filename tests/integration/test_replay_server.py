"""A recorded page over HTTP: what a poller meets on the way, with a real server and client."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp
import msgspec
import pytest
from msgspec import Struct
from multidict import CIMultiDictProxy

from service.errors import ConfigError
from service.model import Entry, Head, Paragraph
from service.replay import Recording, Serving, serve
from service.replay.forms import Recorded
from service.replay.script import Consent, Item, Outage, Placed, Stale, Withdrawal

START = datetime(2025, 4, 25, 6, 0, tzinfo=UTC)
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def recording(*items: Item) -> Recording:
    """Three entries ten minutes apart: numbers 3, 2, 1."""
    recorded = [
        Recorded(
            number=number,
            at=at(10 * (3 - number)),
            entry=Entry(
                id=f"asset:{number}",
                title=f"Title {number}",
                published=at(10 * (3 - number)),
                body=(Paragraph(f"Entry {number}"),),
            ),
        )
        for number in (1, 2, 3)
    ]
    return Recording(
        path=Path("page.txt"),
        head=Head(title="A page"),
        preamble="Summary\n",
        recorded=tuple(recorded),
        items=tuple(Placed("script", item) for item in items),
    )


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class Answer(Struct, frozen=True):
    """One response, read whole."""

    status: int
    headers: CIMultiDictProxy[str]
    text: str

    @property
    def entries(self) -> list[str]:
        return re.findall(r'id="(asset:\d)"', self.text)


class Reader:
    """A client of one site."""

    def __init__(self, session: aiohttp.ClientSession, serving: Serving) -> None:
        self._session, self.serving = session, serving

    async def get(self, path: str = "/live", method: str = "GET", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = self.serving.origin + path
        async with self._session.request(method, url, headers=named) as response:
            return Answer(response.status, response.headers, await response.text())

    async def state(self) -> dict[str, object]:
        async with self._session.get(f"{self.serving.origin}/replay/state") as response:
            state: dict[str, object] = await response.json()
            return state


@asynccontextmanager
async def reading(
    *items: Item, speed: float = 0, now: Callable[[], datetime] | None = None
) -> AsyncIterator[Reader]:
    clock = now or Clock()
    serving = await serve(recording(*items), "127.0.0.1", 0, speed, now=clock)
    try:
        async with aiohttp.ClientSession() as session:
            yield Reader(session, serving)
    finally:
        await serving.close()


async def test_every_poll_sees_one_more_step_and_the_last_stays() -> None:
    async with reading() as page:
        seen = [(await page.get()).entries for _ in range(4)]
        assert seen == [
            ["asset:3"],
            ["asset:2", "asset:3"],
            ["asset:1", "asset:2", "asset:3"],
            ["asset:1", "asset:2", "asset:3"],
        ]
        assert await page.state() == {
            "step": 2,
            "steps": 3,
            "time": "2025-04-25T06:20:00.000Z",
            "finished": True,
            "polls": 4,
            "hazard": None,
        }


async def test_answer_names_its_version_its_date_and_its_charset() -> None:
    async with reading() as page:
        answer = await page.get("/")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert re.fullmatch(r'W/"[0-9a-f]{32}"', answer.headers["ETag"])
        assert answer.headers["Last-Modified"] == "Sun, 01 Mar 2026 12:00:00 GMT"
        assert answer.headers["Date"] == "Sun, 01 Mar 2026 12:00:00 GMT"
        assert answer.headers["Cache-Control"] == "max-age=5"
        assert f'href="{page.serving.url}"' in answer.text


async def test_conditional_poll_moves_on_too_and_gets_304_once_nothing_changes() -> None:
    async with reading() as page:
        etag, statuses = "", []
        for _ in range(5):
            answer = await page.get(If_None_Match=etag)
            statuses.append(answer.status)
            etag = answer.headers["ETag"]
        assert statuses == [200, 200, 200, 304, 304]
        assert (await page.get(If_None_Match=f'"old", {etag}')).status == 304
        assert (await page.get(If_None_Match='"old"')).status == 200


async def test_date_alone_never_hides_a_step() -> None:
    async with reading() as page:
        answer = await page.get()
        again = await page.get(If_Modified_Since=answer.headers["Last-Modified"])
        assert (again.status, len(again.entries)) == (200, 2)


async def test_head_robots_and_state_move_nothing() -> None:
    async with reading() as page:
        for _ in range(3):
            head = await page.get(method="HEAD")
            assert (head.status, head.text) == (200, "")
            robots = await page.get("/robots.txt")
            assert robots.text == "User-agent: *\nAllow: /\n"
            assert (await page.state())["polls"] == 0
        first = await page.get()
        assert first.entries == ["asset:3"]
        assert first.headers["ETag"] == head.headers["ETag"]


async def test_answer_that_is_cut_off_is_no_poll() -> None:
    words = Paragraph("long " * 4_000_000)  # more than the buffers between us hold
    page = recording()
    entry = msgspec.structs.replace(page.recorded[-1].entry, body=(words,))
    first = msgspec.structs.replace(page.recorded[-1], entry=entry)
    page = msgspec.structs.replace(page, recorded=(*page.recorded[:-1], first))
    serving = await serve(page, "127.0.0.1", 0, 0, now=Clock())
    async with aiohttp.ClientSession() as session, session.get(serving.url) as response:
        await response.content.readexactly(10)
        response.close()
    async with aiohttp.ClientSession() as session:
        answer = await Reader(session, serving).get()
        assert answer.entries == ["asset:3"]
        assert (await Reader(session, serving).get()).entries == ["asset:2", "asset:3"]
    await serving.close()


async def test_text_is_the_same_page() -> None:
    async with reading() as page:
        answer = await page.get("/live.txt")
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.text == (
            "Summary\n\n"
            "  1. Title 3published at 07:00 British Summer Time 25 April\n\n    Entry 3\n"
        )


async def test_pictures_are_there() -> None:
    async with reading() as page:
        answer = await page.get("/replay/images/480/a.svg")
        assert answer.headers["Content-Type"].startswith("image/svg+xml")


async def test_stale_copy_comes_with_its_old_validators_and_its_age() -> None:
    clock = Clock()
    async with reading(Stale(at=at(15), age_s=600, for_s=60, polls=2), now=clock) as page:
        answers = []
        for _ in range(5):
            answers.append(await page.get())
            clock.now += timedelta(seconds=10)
        assert [len(answer.entries) for answer in answers] == [1, 2, 1, 1, 3]
        first, second, stale, _, last = answers
        assert stale.headers["ETag"] == first.headers["ETag"] != second.headers["ETag"]
        assert stale.headers["Last-Modified"] == first.headers["Last-Modified"]
        assert stale.headers["Age"] == "600"
        assert "Age" not in last.headers
        assert parsedate_to_datetime(last.headers["Last-Modified"]) == NOW + timedelta(seconds=40)


async def test_stale_copy_is_304_to_whoever_holds_it() -> None:
    async with reading(Stale(at=at(15), age_s=600, for_s=60, polls=2)) as page:
        first, _ = await page.get(), await page.get()
        stale = await page.get(If_None_Match=first.headers["ETag"])
        assert (stale.status, stale.headers["Age"]) == (304, "600")


async def test_outage_is_503_with_retry_after_and_ends() -> None:
    async with reading(Outage(at=at(5), for_s=60, polls=3, retry_after_s=7)) as page:
        etag = (await page.get()).headers["ETag"]
        down = [await page.get(If_None_Match=etag) for _ in range(3)]
        assert [(one.status, one.headers["Retry-After"]) for one in down] == [(503, "7")] * 3
        assert (await page.state())["hazard"] is None, "its polls are over"
        assert (await page.get(If_None_Match=etag)).entries == ["asset:2", "asset:3"]


async def test_consent_page_is_200_without_entries_or_validators() -> None:
    async with reading(Consent(at=at(5), for_s=60, polls=1)) as page:
        await page.get()
        consent = await page.get()
        assert (consent.status, consent.entries) == (200, [])
        assert "ETag" not in consent.headers
        assert len((await page.get()).entries) == 2


async def test_withdrawn_entry_does_not_come_back() -> None:
    async with reading(Withdrawal(at=at(12), entry=2)) as page:
        seen = [(await page.get()).entries for _ in range(5)]
        assert seen[2:] == [["asset:3"], *[["asset:1", "asset:3"]] * 2]


async def test_clock_moves_the_page_whoever_asks() -> None:
    clock = Clock()
    hazard = Outage(at=at(12), for_s=120, polls=9)
    async with reading(hazard, speed=60, now=clock) as page:
        first = await page.get()
        again = await page.get(If_None_Match=first.headers["ETag"])
        assert again.status == 304
        clock.now = NOW + timedelta(seconds=11)
        second = await page.get()
        assert len(second.entries) == 2
        assert parsedate_to_datetime(second.headers["Last-Modified"]) == NOW + timedelta(seconds=10)
        clock.now = NOW + timedelta(seconds=13)
        assert (await page.get()).status == 503
        assert (await page.state())["hazard"] == "outage"
        clock.now = NOW + timedelta(seconds=14)
        back = await page.get(If_None_Match=second.headers["ETag"])
        assert back.status == 304
        clock.now = NOW + timedelta(seconds=60)
        assert len((await page.get()).entries) == 3
        assert (await page.state())["finished"] is True


async def test_age_of_a_stale_copy_is_in_seconds_of_the_clock_that_readers_have() -> None:
    clock = Clock()
    hazard = Stale(at=at(15), age_s=600, for_s=120, polls=1)
    async with reading(hazard, speed=60, now=clock) as page:
        clock.now = NOW + timedelta(seconds=16)
        stale = await page.get()
        assert (stale.headers["Age"], len(stale.entries)) == ("10", 1)


async def test_port_in_use_is_named_with_what_to_do() -> None:
    async with reading() as page:
        with pytest.raises(ConfigError) as caught:
            await serve(recording(), "127.0.0.1", page.serving.port, 0, now=Clock())
        assert caught.value.code == "port.in_use"
        assert str(caught.value).startswith(f"127.0.0.1:{page.serving.port}: ")


async def test_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        await serve(recording(), "192.0.2.1", 0, 0, now=Clock())
    assert caught.value.code == "port.unusable"


@pytest.mark.parametrize(
    ("speed", "window", "max_gap_s"),
    [(-1, 20, None), (float("nan"), 20, None), (float("inf"), 20, None), (0, 0, None), (1, 1, 0)],
)
async def test_values_out_of_bounds_are_refused(
    speed: float, window: int, max_gap_s: float | None
) -> None:
    with pytest.raises(ConfigError):
        await serve(
            recording(),
            "127.0.0.1",
            0,
            speed,
            now=Clock(),
            window=window,
            max_gap_s=max_gap_s,
        )


async def test_port_is_free_again_once_it_is_closed() -> None:
    async with reading() as page:
        port = page.serving.port
    serving = await serve(recording(), "127.0.0.1", port, 0, now=Clock())
    await serving.close()
