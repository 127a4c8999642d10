"""Alerts in the gateway: in the feed, over HTTP, and as pushes that browsers subscribe to."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import pytest
from redis.asyncio import Redis

from service.config import GatewaySettings, KeySettings, PushSettings
from service.events import AlertEvent, Listed, to_fields
from service.keys import Keys
from tests.alert_samples import alert_event, entry_event
from tests.e2e.commands import ROOT
from tests.integration.test_gateway import Desk
from tests.integration.test_gateway_doors import JSON, settled, until
from tests.programs import installed
from tests.receivers.push import PushService
from workers import subscriptions
from workers.alerts.channels.guard import open_sessions
from workers.alerts.channels.push import PushChannel
from workers.alerts.text import Templates
from workers.gateway import alert_board
from workers.subscriptions import PushSubscription, Subscriptions

EVERYTHING = "?type=entry,page,alert"
ALERTED = ["alert.raised e1", "alert.updated e1", "alert.retracted e1"]
KEYS = GatewaySettings(
    port=0,
    keys={
        "desk": KeySettings(secret="k" * 24),
        "sport": KeySettings(secret="s" * 24, pages=("sport-*",)),
    },
)


class AlertDesk(Desk):
    """Raises alerts by hand, too."""

    async def alert(self, kind: str = "raised", **given: Any) -> AlertEvent:
        """One event of an alert, of the page `ukraine`."""
        event = alert_event(kind, **given)
        await self.redis.xadd(self.keys.alerts, {**to_fields(event)})
        return event


@pytest.fixture
def desk(redis: Redis, redis_url: str, keys: Keys) -> AlertDesk:
    return AlertDesk(redis, redis_url, keys)


def told(messages: list[JSON]) -> list[str]:
    """The events among the messages, by type and subject."""
    events: list[Any] = [one["event"] for one in messages if one["type"] == "event"]
    return [f"{event['type'].removeprefix('stoppress.')} {event['subject']}" for event in events]


async def place(desk: Desk, query: str = "") -> str:
    """The position where the streams end now."""
    return str(json.loads((await desk.get(f"/v1/events{query}"))[1])["cursor"])


# --- the feed ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", ["page.opened page", "entry.published e1"]),
        (EVERYTHING, [*ALERTED[:2], "page.opened page", "entry.published e1", ALERTED[2]]),
        ("?type=alert", ALERTED),
        ("?type=alert.raised,stoppress.alert.retracted", [ALERTED[0], ALERTED[2]]),
        ("?type=entry", ["entry.published e1"]),
        ("?type=alert&label=breaking", ALERTED),
        ("?type=alert&label=key", []),
        ("?type=alert&page=page", []),
        ("?type=alert&text=CAR+BOMB", ALERTED),
    ],
)
async def test_alerts_are_hidden_unless_a_type_names_them(
    desk: AlertDesk, query: str, wanted: list[str]
) -> None:
    async with desk.talking(query, GatewaySettings(port=0)) as ws:
        await settled(ws)
        await desk.alert()
        await desk.alert("updated")
        await desk.publish(1)
        await desk.alert("retracted")
        await place(desk, "?wait=1&text=what-nobody-says")  # so that all of them have passed
        await ws.send_str('{"type":"ping"}')
        assert told(await until(ws, "pong")) == wanted


@pytest.mark.parametrize("missed", [1, 4, 30])
async def test_who_comes_back_gets_alerts_and_events_that_were_missed(
    desk: AlertDesk, missed: int
) -> None:
    """The ring holds five: more than that comes from Redis; and another gateway knows as much."""
    await desk.publish(1)
    async with desk.serving():
        at = await place(desk)
        for number in range(missed):
            await desk.publish(number + 2)
            await desk.alert(entry=f"a{number}")
        last = f"alert.raised a{missed - 1}"
        wanted = {f"entry.published e{n + 2}" for n in range(missed)}
        wanted |= {f"alert.raised a{n}" for n in range(missed)}
        here = await missed_since(desk, at, last)
    async with desk.serving():
        there = await missed_since(desk, at, last)
    for seen in (here, there):
        assert set(seen) == wanted
        assert len(seen) == len(wanted)


async def missed_since(desk: Desk, at: str, last: str) -> list[str]:
    url = f"{desk.gateway}/v1/feed{EVERYTHING}&cursor={at}"
    found: list[str] = []
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as ws, asyncio.timeout(20):
        while last not in found:
            found += told(await until(ws, "event"))
    return found


@pytest.mark.parametrize(
    ("trimmed", "query", "is_reset"),
    [
        ("alerts", "", False),
        ("alerts", "?type=entry,page", False),
        ("alerts", "?type=alert", True),
        ("alerts", EVERYTHING, True),
        ("events", "", True),
        ("events", "?type=alert", False),
        ("events", EVERYTHING, True),
    ],
)
async def test_what_is_trimmed_is_a_reset_for_those_who_wanted_it(
    desk: AlertDesk, trimmed: str, query: str, is_reset: bool
) -> None:
    await desk.publish(1)
    await desk.alert()
    async with desk.serving():
        at = await place(desk)
    await desk.publish(*range(2, 12))
    for number in range(10):
        await desk.alert(entry=f"a{number}")
    key = desk.keys.alerts if trimmed == "alerts" else desk.keys.events
    await desk.redis.xtrim(key, maxlen=3, approximate=False)
    async with desk.talking(f"{query}{'&' if query else '?'}cursor={at}") as ws:
        first = await until(ws, "reset" if is_reset else "event")
        assert first[-1].get("reason") == ("cursor.too_old" if is_reset else None)
        status, _ = await desk.get(f"/v1/events{query}{'&' if query else '?'}cursor={at}")
        assert status == (410 if is_reset else 200)


async def test_alerts_that_redis_has_lost_are_a_reset_for_those_connected(desk: AlertDesk) -> None:
    await desk.alert()
    async with desk.talking(EVERYTHING) as ws:
        await settled(ws)
        await desk.redis.delete(desk.keys.alerts)
        assert (await until(ws, "reset"))[-1]["reason"] == "stream.rewound"


async def test_server_sent_events_and_plain_answers_have_alerts_too(desk: AlertDesk) -> None:
    async with desk.serving(), aiohttp.ClientSession() as http:
        at = await place(desk)
        await desk.alert()
        _, body = await desk.get(f"/v1/events?type=alert&wait=10&cursor={at}")
        assert [event["type"] for event in json.loads(body)["events"]] == ["stoppress.alert.raised"]
        headers = {"Accept": "text/event-stream", "Last-Event-ID": at}
        async with http.get(f"{desk.gateway}/v1/events?type=alert", headers=headers) as response:
            async for line in response.content:
                if b"alert.raised" in line:
                    break


async def test_a_key_hears_of_alerts_of_its_pages_alone(desk: AlertDesk) -> None:
    await desk.publish(1)
    async with desk.serving(KEYS), aiohttp.ClientSession() as http:
        feed = f"{desk.gateway}/v1/feed?type=alert&access_token={'s' * 24}"
        async with http.ws_connect(feed) as ws:
            await settled(ws)
            await desk.alert()
            await asyncio.sleep(0.3)
            await ws.send_str('{"type":"ping"}')
            assert [one["type"] for one in await until(ws, "pong")] == ["pong"]


async def test_what_is_in_the_wrong_stream_reaches_nobody(desk: AlertDesk) -> None:
    """An alert among the events, an event among the alerts, and what is neither."""
    async with desk.talking(EVERYTHING) as ws:
        await settled(ws)
        await desk.redis.xadd(desk.keys.events, {**to_fields(alert_event())})
        await desk.redis.xadd(desk.keys.alerts, {**to_fields(entry_event())})
        await desk.redis.xadd(desk.keys.alerts, {"foreign": "thing"})
        await desk.alert(entry="last")
        assert told(await until(ws, "event")) == ["alert.raised last"]


async def test_a_subscription_for_alerts_can_be_added_on_an_open_socket(desk: AlertDesk) -> None:
    await desk.publish(1)
    async with desk.talking() as ws:
        await settled(ws)
        await desk.alert(entry="before")
        wanted = {"type": "subscribe", "id": "alerts", "filter": {"type": ["alert"]}}
        await ws.send_str(json.dumps(wanted))
        await until(ws, "subscribed")
        await desk.alert(entry="after")
        assert told(await until(ws, "event")) == ["alert.raised after"]


# --- what has become of each alert ---------------------------------------------------------------


async def alerts(desk: Desk, query: str = "", key: str = "") -> Any:
    """The answer of /v1/alerts."""
    headers = {"Authorization": f"Bearer {key * 24}"} if key else {}
    url = f"{desk.gateway}/v1/alerts{query}"
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as response:
        return await response.json()


async def test_an_alert_is_listed_with_its_state_its_history_and_where_time_was_lost(
    desk: AlertDesk,
) -> None:
    seen = datetime.now(UTC) - timedelta(seconds=30)
    first = await desk.alert(at=seen)
    async with desk.serving():
        (listed,) = (await alerts(desk))["alerts"]
        assert (listed["state"], listed["rule"], listed["page"]["id"]) == (
            "raised", "breaking", "ukraine",
        )  # fmt: skip
        assert listed["alert"] == first.data.alert
        published = first.data.entry.published
        assert published is not None
        assert listed["lag"]["seen_s"] == pytest.approx((seen - published).total_seconds(), abs=0.1)
        assert 29 < listed["lag"]["raised_s"] < 60
        update = await desk.alert("updated")
        last = await desk.alert("retracted")
        (listed,) = (await alerts(desk))["alerts"]
    assert listed["state"] == "retracted"
    history = [(one["id"], one["state"], one["reason"]) for one in listed["history"]]
    assert history == [
        (first.id, "raised", "published with the label breaking"),
        (update.id, "updated", "figure: 9 killed → 12 killed"),
        (last.id, "retracted", "its entry was withdrawn"),
    ]
    at = [datetime.fromisoformat(one["at"]) for one in listed["history"]]
    assert at == sorted(at)
    assert at[0] == datetime.fromisoformat(listed["lag"]["raised"])
    assert 29 < listed["lag"]["raised_s"] < 60


async def test_alerts_come_in_parts_by_filter_and_once_while_they_are_the_same(
    desk: AlertDesk,
) -> None:
    for number in range(7):
        await desk.alert(entry=f"e{number}")
    await desk.alert("retracted", entry="e2")
    await desk.alert("updated", entry="e3")
    async with desk.serving(), aiohttp.ClientSession() as http:
        seen, after = [], 0
        while after is not None:
            found = await alerts(desk, f"?limit=3&after={after}")
            seen += [one["entry"]["id"] for one in found["alerts"]]
            after = found["next"]
        assert seen == [f"e{n}" for n in range(6, -1, -1)]
        by = {
            "?state=retracted": ["e2"],
            "?state=updated,retracted": ["e3", "e2"],
            "?state=raised&limit=2": ["e6", "e5"],
            "?rule=breaking&state=updated": ["e3"],
            "?rule=other": [],
            "?page=ukraine&page=other&state=updated": ["e3"],
            "?page=other": [],
        }
        for query, wanted in by.items():
            got = [one["entry"]["id"] for one in (await alerts(desk, query))["alerts"]]
            assert (query, got) == (query, wanted)
        url = f"{desk.gateway}/v1/alerts"
        async with http.get(url) as response:
            tag = response.headers["ETag"]
        await desk.publish(1)  # an event that is no alert's changes nothing
        async with http.get(url, headers={"If-None-Match": tag}) as response:
            assert (response.status, await response.read()) == (304, b"")
        await desk.alert(entry="e7")
        async with http.get(url, headers={"If-None-Match": tag}) as response:
            assert response.status == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("state=standing", "filter.state"),
        ("label=breaking", "filter.unknown"),
        ("limit=0", "limit.malformed"),
        ("after=x", "after.malformed"),
        ("rule=" + "x" * 201, "filter.too_long"),
    ],
)
async def test_a_wrong_question_about_alerts_is_answered_with_what_is_wrong(
    desk: AlertDesk, query: str, code: str
) -> None:
    async with desk.serving():
        status, body = await desk.get(f"/v1/alerts?{query}")
    assert (status, json.loads(body)["code"]) == (400, code)


async def test_an_alert_about_several_entries_lists_all_of_them(desk: AlertDesk) -> None:
    entries = (Listed(entry="e1", title="One"), Listed(entry="e2", title="Two", withdrawn=True))
    event = alert_event()
    grouped = msgspec.structs.replace(
        event, data=msgspec.structs.replace(event.data, entries=entries)
    )
    await desk.redis.xadd(desk.keys.alerts, {**to_fields(grouped)})
    async with desk.serving():
        (listed,) = (await alerts(desk))["alerts"]
    assert [each["entry"] for each in listed["entries"]] == ["e1", "e2"]
    assert listed["entries"][1]["withdrawn"]


async def test_a_key_is_shown_the_alerts_of_its_pages_alone(desk: AlertDesk) -> None:
    await desk.alert()
    async with desk.serving(KEYS):
        assert len((await alerts(desk, key="k"))["alerts"]) == 1
        assert (await alerts(desk, key="s"))["alerts"] == []
        assert (await alerts(desk, "?page=ukraine", key="s"))["alerts"] == []
        assert (await alerts(desk))["code"] == "access.missing"


async def test_the_list_follows_what_redis_keeps(desk: AlertDesk) -> None:
    """What is trimmed is gone from it, and a Redis that was emptied begins with none."""
    await desk.alert(entry="e1")
    await desk.alert(entry="e2")
    await desk.alert("updated", entry="e1")
    async with desk.serving():
        assert len((await alerts(desk))["alerts"]) == 2
        await desk.redis.xtrim(desk.keys.alerts, maxlen=1, approximate=False)
        (listed,) = (await alerts(desk))["alerts"]
        assert (listed["entry"]["id"], listed["state"], listed["lag"]) == ("e1", "updated", None)
        await desk.redis.xadd(desk.keys.alerts, {"no": "event"})
        await desk.empty_redis()
        assert (await alerts(desk))["alerts"] == []
        await desk.alert(entry="e3")
        assert len((await alerts(desk))["alerts"]) == 1


async def test_only_so_many_events_of_alerts_are_looked_back_at(
    desk: AlertDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_board, "KEPT_EVENTS", 5)
    for number in range(9):
        await desk.alert(entry=f"e{number}")
    async with desk.serving():
        shown = [one["entry"]["id"] for one in (await alerts(desk))["alerts"]]
        assert shown == [f"e{n}" for n in range(8, 3, -1)]
        await desk.alert(entry="e9")
        shown = [one["entry"]["id"] for one in (await alerts(desk))["alerts"]]
        assert shown == [f"e{n}" for n in range(9, 4, -1)]


async def test_an_id_that_no_clock_gave_out_breaks_no_list(desk: AlertDesk) -> None:
    await desk.redis.xadd(desk.keys.alerts, {**to_fields(alert_event())}, id="999999999999999999-0")
    async with desk.serving():
        assert len((await alerts(desk))["alerts"]) == 1


# --- pushes --------------------------------------------------------------------------------------

PUSH = PushSettings(contact="mailto:desk@news.example", allow_private=True)
STRICT = PushSettings(contact="mailto:desk@news.example")


@pytest.fixture
async def service(redis: Redis, keys: Keys) -> AsyncIterator[PushService]:
    async with PushService().serving() as service:
        service.key = (await Subscriptions(redis, keys).vapid_key()).public
        yield service


@pytest.fixture
async def channel(redis: Redis, keys: Keys) -> AsyncIterator[PushChannel]:
    """What the alerts worker pushes with."""
    async with open_sessions() as sessions:
        kept = Subscriptions(redis, keys)
        yield PushChannel(PUSH, sessions, Templates(), lambda: datetime.now(UTC), kept)


async def asked(
    desk: Desk, method: str, path: str, said: object = None, **headers: str
) -> tuple[int, Any]:
    """Status and decoded answer. said: as JSON."""
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, desk.gateway + path, json=said, headers=headers) as answer,
    ):
        body = await answer.read()
        return answer.status, json.loads(body) if body else None


def as_json(new: PushSubscription) -> dict[str, Any]:
    """What a browser makes of it; some add a field."""
    return {"expirationTime": None, **msgspec.to_builtins(new)}


async def test_a_browser_that_subscribes_is_pushed_to_until_it_has_enough(
    desk: AlertDesk, service: PushService, channel: PushChannel
) -> None:
    browser, new = service.subscribe("a")
    async with desk.serving(push=PUSH):
        assert await asked(desk, "GET", "/v1/push") == (200, {"key": service.key})
        first = await asked(desk, "POST", "/v1/push/subscriptions", as_json(new))
        assert first == (201, {"id": new.id, "is_new": True})
        again = await asked(desk, "POST", "/v1/push/subscriptions", as_json(new))
        assert again == (200, {"id": new.id, "is_new": False})
        await channel.send(alert_event(), None)
        assert browser.titles() == ["BREAKING: General killed in car bomb attack - reports"]
        place = f"/v1/push/subscriptions/{new.id}"
        assert await asked(desk, "DELETE", place) == (204, None)
        assert (await asked(desk, "DELETE", place))[1]["code"] == "push.unknown"
        await channel.send(alert_event(entry="e2"), None)
    assert browser.pushes == 1


@pytest.mark.parametrize(
    ("change", "settings", "code"),
    [
        ({}, STRICT, None),
        ({"endpoint": "https://push.example:8443/x"}, STRICT, None),
        ({"endpoint": "http://push.example/x"}, STRICT, "push.address"),
        ({"endpoint": "http://push.example/x"}, PUSH, "push.address"),
        ({"endpoint": "http://10.0.0.7/x"}, PUSH, "push.address"),
        ({"endpoint": "https://10.0.0.7/x"}, PUSH, None),
        ({"endpoint": "https://10.0.0.7/x"}, STRICT, "push.address"),
        ({"endpoint": "http://127.0.0.1:9/x"}, PUSH, None),
        ({"endpoint": "http://[::1]:9/x"}, PUSH, None),
        ({"endpoint": "https://127.0.0.1/x"}, STRICT, "push.address"),
        ({"endpoint": "https://localhost/x"}, STRICT, "push.address"),
        ({"endpoint": "https://169.254.169.254/x"}, STRICT, "push.address"),
        ({"endpoint": "https://[::1]/x"}, STRICT, "push.address"),
        ({"endpoint": "https://me:secret@push.example/x"}, STRICT, "push.address"),
        ({"endpoint": "https://push.example:99999/x"}, STRICT, "push.malformed"),
        ({"endpoint": "ftp://push.example/x"}, STRICT, "push.malformed"),
        ({"endpoint": "javascript:alert(1)"}, STRICT, "push.malformed"),
        ({"endpoint": "https://push.example/" + "x" * 2000}, STRICT, "push.malformed"),
        ({"endpoint": "https://push.example/" + "x" * 9000}, STRICT, "body.too_long"),
        ({"endpoint": 5}, STRICT, "push.malformed"),
        ({"keys": {}}, STRICT, "push.malformed"),
        ({"keys": {"p256dh": "AAAA", "auth": "AAAA"}}, STRICT, "push.malformed"),
        ({"endpoint": "https://a.push.example/x"}, "*.push.example", None),
        ({"endpoint": "https://A.PUSH.example/x"}, "*.push.example", None),
        ({"endpoint": "https://push.example.evil.example/x"}, "*.push.example", "push.address"),
    ],
)
async def test_what_is_no_subscription_or_leads_nowhere_good_is_refused(
    desk: AlertDesk, change: JSON, settings: PushSettings | str, code: str | None
) -> None:
    said = as_json(
        msgspec.structs.replace(PushService().subscribe("a")[1], endpoint="https://p.example/x")
    )
    if isinstance(settings, str):
        settings = msgspec.structs.replace(STRICT, hosts=(settings,))
    async with desk.serving(push=settings):
        status, answer = await asked(desk, "POST", "/v1/push/subscriptions", said | change)
        assert answer.get("code") == code, answer
    assert status == (201 if code is None else 413 if code == "body.too_long" else 400)


async def test_there_are_never_more_subscriptions_than_there_may_be(
    desk: AlertDesk, service: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "MAX_SUBSCRIPTIONS", 3)
    every = [as_json(service.subscribe(f"b{n}")[1]) for n in range(20)]
    place = "/v1/push/subscriptions"
    async with desk.serving(push=PUSH):
        answers = await asyncio.gather(*(asked(desk, "POST", place, one) for one in every))
        codes = [answer.get("code") for _, answer in answers]
        assert (codes.count(None), codes.count("push.full")) == (3, 17)
        assert {status for status, _ in answers} == {201, 503}
        known = every[codes.index(None)]
        assert (await asked(desk, "POST", place, known))[0] == 200
    assert await desk.redis.hlen(desk.keys.push_subscriptions) == 3


async def test_a_subscription_keeps_the_pages_of_its_key_whatever_the_browser_says(
    desk: AlertDesk, service: PushService, channel: PushChannel
) -> None:
    """And the channel pushes nothing to one that may not see every page, as long as it asks for
    all of them; it is to ask `of` a page."""
    kept = Subscriptions(desk.redis, desk.keys)
    (_, desks), (sport, sports) = service.subscribe("desk"), service.subscribe("sport")
    async with desk.serving(KEYS, push=PUSH):
        for key, new in (("k", desks), ("s", sports)):
            said, bearer = as_json(new) | {"pages": ["*"]}, f"Bearer {key * 24}"
            headers = {"Authorization": bearer}
            assert (await asked(desk, "POST", "/v1/push/subscriptions", said, **headers))[0] == 201
    assert set(await kept.of("sport-cup")) == {desks.id, sports.id}
    assert set(await kept.of("ukraine")) == {desks.id}
    assert set(await kept.all()) == {desks.id}
    await channel.send(alert_event(), None)
    assert sport.pushes == 0


async def test_a_subscription_of_before_there_were_patterns_sees_every_page(
    desk: AlertDesk, service: PushService
) -> None:
    _, new = service.subscribe("a")
    await desk.redis.hset(desk.keys.push_subscriptions, new.id, msgspec.json.encode(new))  # type: ignore[misc]
    assert set(await Subscriptions(desk.redis, desk.keys).of("any")) == {new.id}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/push"),
        ("POST", "/v1/push/subscriptions"),
        ("DELETE", "/v1/push/subscriptions/x"),
    ],
)
async def test_pushes_are_for_readers_of_this_origin_where_they_are_sent_at_all(
    desk: AlertDesk, method: str, path: str
) -> None:
    foreign = {"Origin": "https://evil.example"}
    async with desk.serving():
        status, problem = await asked(desk, method, path)
        assert (status, problem["code"]) == (404, "push.off")
    async with desk.serving(KEYS, push=PUSH):
        status, problem = await asked(desk, method, path, **foreign)
        assert (status, problem["code"]) == (403, "access.origin")
        status, problem = await asked(desk, method, path)
        assert (status, problem["code"]) == (401, "access.missing")
    assert not await desk.redis.exists(desk.keys.push_subscriptions)


async def test_a_form_of_another_site_cannot_subscribe(desk: AlertDesk) -> None:
    """A browser sends these without asking first, and may leave the origin out."""
    async with desk.serving(push=PUSH), aiohttp.ClientSession() as http:
        url = f"{desk.gateway}/v1/push/subscriptions"
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            headers = {"Content-Type": kind}
            async with http.post(url, data=b"{}", headers=headers) as answer:
                assert (answer.status, (await answer.json())["code"]) == (415, "body.type")


async def test_the_service_worker_is_of_the_whole_origin_and_can_load_nothing(
    desk: AlertDesk,
) -> None:
    async with (
        desk.serving(KEYS),
        aiohttp.ClientSession() as http,
        http.get(f"{desk.gateway}/sw.js") as answer,
    ):
        assert answer.status == 200
        assert answer.content_type == "text/javascript"
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "worker-src 'self'" in answer.headers["Content-Security-Policy"]


async def test_the_commands_in_the_docs_of_alerts_work(desk: AlertDesk) -> None:
    installed("curl", package="curl")
    docs = (ROOT / "docs" / "alerts.md").read_text("utf-8")
    commands = re.findall(r"^curl .*$", docs, re.MULTILINE)
    async with desk.serving(push=PUSH):
        for command, answer in zip(commands, ["name", "rules", "", "key", "code"], strict=True):
            words = shlex.split(command.replace("http://127.0.0.1:8037", desk.gateway))
            program = await asyncio.create_subprocess_exec(
                *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
            )
            said, _ = await program.communicate()
            assert answer in (json.loads(said) if said else {""})
