"""`stoppress alerts` and its commands, as an operator uses them."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from redis.asyncio import Redis

from service.events import AlertEvent, to_fields
from service.keys import Keys
from tests.alert_samples import Receiver, alert_event, entry_event, until
from tests.e2e.commands import ran, running
from tests.waiting import eventually
from workers.alerts.ledger import Ledger
from workers.alerts.queue import Ending, Queue

CHANNEL = "webhook:ops"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().serving() as receiver:
        yield receiver


class Desk(Struct):
    """An operator with settings. redis, keys: where the alerts are."""

    redis: Redis
    keys: Keys
    folder: Path
    url: str

    def runs(self, *args: str) -> subprocess.CompletedProcess[str]:
        return ran(self.folder, "alerts", *args)

    def says(self, *args: str) -> str:
        """What a command that goes well prints."""
        done = self.runs(*args)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def objects(self, *args: str) -> list[Any]:
        return [json.loads(line) for line in self.says(*args, "--json").splitlines()]

    async def told(self, event: AlertEvent, reason: str = "") -> None:
        """Raise or change an alert, and deliver it, or give it up for that reason."""
        ledger = Ledger(self.redis, self.keys, max_events=1000)
        await ledger.raise_alert(event, datetime.now(UTC), [CHANNEL])
        await ledger.change(event, [CHANNEL])
        queue = Queue(self.redis, self.keys, CHANNEL, holder="me", lease_s=30, trip=5)
        (taken,) = (await queue.take(9)).taken
        outcome: Any = "dead" if reason else "delivered"
        ending = Ending(outcome=outcome, attempts=3, went="", reason=reason, lag_ms=70)
        await queue.settle(taken, ending, event, datetime.now(UTC))

    async def letters(self) -> list[str]:
        return [letter.decode() for letter, _ in await self.redis.xrange(self.keys.dead)]

    async def waits(self) -> list[str]:
        """Ids of the alerts in the queue."""
        return [each.decode() for each in await self.redis.zrange(self.keys.queue(CHANNEL), 0, -1)]


@pytest.fixture
def desk(redis: Redis, redis_url: str, keys: Keys, tmp_path: Path, receiver: Receiver) -> Desk:
    (tmp_path / "stoppress.toml").write_text(
        f"""
[redis]
url = "{redis_url}"
prefix = "{keys.prefix}"
[alerts]
console = false
[alerts.webhooks.ops]
url = "{receiver.url}"
secret = "{Receiver.SECRET}"
allow_private = true
"""
    )
    return Desk(redis, keys, tmp_path, receiver.url)


async def test_dead_letters_are_listed_shown_replayed_and_dropped(desk: Desk) -> None:
    events = [alert_event(entry=f"e{n}", title=f"Title {n}") for n in range(3)]
    for event in events:
        await desk.told(event, "http_400")
    first, second, third = await desk.letters()
    lines = desk.says("dead", "list").splitlines()
    assert lines[0] == f"{first}  http_400  {CHANNEL}  3 tries  Title 0"
    listed = desk.objects("dead", "list")
    assert [each["id"] for each in listed] == [first, second, third]
    shown = json.loads(desk.says("dead", "show", second))
    assert shown == listed[1] == desk.objects("dead", "show", second)[0]
    assert (shown["event"]["id"], shown["reason"], shown["attempts"]) == (
        events[1].id, "http_400", 3,
    )  # fmt: skip
    assert desk.says("dead", "replay", first) == f"{first}  back to {CHANNEL}\n"
    assert await desk.waits() == [events[0].id]
    assert desk.says("dead", "drop", second) == f"{second}  dropped\n"
    assert desk.objects("dead", "drop", "--all") == [{"id": third, "outcome": "dropped"}]
    assert await desk.letters() == []


async def test_a_replayed_alert_is_delivered_past_its_own_deadline(
    desk: Desk, receiver: Receiver
) -> None:
    """It is the newest that is true of it by now, and it has a deadline again."""
    old = alert_event(at=datetime.now(UTC) - timedelta(hours=5))
    await desk.told(old, "expired")
    assert desk.objects("dead", "replay", "--all")[0]["outcome"] == "replayed"
    async with running(desk.folder, "alerts") as worker:
        await worker.says("Alerting on")
        await until(lambda: receiver.ids)
        assert await worker.stop() == 0
    ((sent, event),) = receiver.received
    assert sent == event.id == old.id
    assert event.data.deadline > datetime.now(UTC)
    assert await desk.waits() == []


async def test_what_makes_no_sense_any_more_is_not_replayed(desk: Desk, redis: Redis) -> None:
    later = datetime.now(UTC) + timedelta(seconds=1)
    ledger = Ledger(redis, desk.keys, max_events=1000)
    retracted, told, closed, forgotten = (
        alert_event(entry=name) for name in ("retracted", "told", "closed", "forgotten")
    )
    for event in (retracted, told, closed, forgotten):
        await desk.told(event, "http_500")
    await desk.told(alert_event("updated", entry="told", at=later))
    await ledger.change(alert_event("retracted", entry="retracted", at=later), [CHANNEL])
    await redis.delete(desk.keys.ledger(forgotten.id))
    letters = await desk.letters()
    fields = dict((await redis.xrange(desk.keys.dead, letters[2], letters[2]))[0][1])
    await redis.xdel(desk.keys.dead, letters[2])
    await redis.xadd(desk.keys.dead, {**fields, b"channel": b"slack:gone"})
    await redis.xadd(desk.keys.dead, {"reason": "event.malformed", "x": "y"})
    before = await desk.letters()
    done = desk.runs("dead", "replay", "--all", "--json")
    outcomes = [json.loads(line)["outcome"] for line in done.stdout.splitlines()]
    assert outcomes == ["retracted", "told", "forgotten", "closed", "unreadable"]
    assert done.returncode == 1
    assert done.stderr == "stoppress: 5 could not be replayed\n"
    assert await desk.letters() == before
    said = desk.runs("dead", "replay", before[0]).stdout
    assert said == f"{before[0]}  refused: its alert was retracted meanwhile\n"
    assert retracted.id in await desk.waits()  # for its retraction, where anything was told


async def test_a_letter_is_replayed_once(desk: Desk) -> None:
    await desk.told(alert_event(), "http_500")
    (letter,) = await desk.letters()
    assert desk.runs("dead", "replay", letter).returncode == 0
    again = desk.runs("dead", "replay", letter)
    assert again.returncode == 2
    assert again.stderr.startswith(f"stoppress: there is no dead letter {letter}")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("dead", "show", "yesterday"), "'yesterday' is no id of a dead letter"),
        (("dead", "drop"), "either ids or --all"),
        (("dead", "replay", "--all", "1-0"), "either ids or --all"),
        (
            ("test", "slack:desk"),
            "the settings have no channel 'slack:desk' (channels: webhook:ops)",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    desk: Desk, args: tuple[str, ...], says: str
) -> None:
    done = desk.runs(*args)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


async def test_the_last_alerts_are_listed_with_how_long_each_step_took(desk: Desk) -> None:
    published = datetime(2025, 4, 25, 9, 17, tzinfo=UTC)
    seen = published + timedelta(seconds=12.5)
    await desk.told(alert_event(entry="e1", at=seen, title="First"))
    await desk.told(alert_event("updated", entry="e1", at=seen + timedelta(minutes=1)))
    await desk.told(alert_event(entry="e2", title="\x1b[31mSecond"), "http_500")
    newest, oldest = desk.objects("list")
    assert oldest | {"raised_at": ""} == {
        "alert": alert_event(entry="e1").id,
        "rule": "breaking",
        "entries": 1,
        "state": "updated",
        "page": "ukraine",
        "entry": "e1",
        "title": "General killed in car bomb attack - reports",
        "raised_at": "",
        "seen_s": 12.5,
        "channels": {CHANNEL: {"state": "delivered", "attempts": 3, "sent_s": 0.07}},
    }
    assert newest["channels"] == {CHANNEL: {"state": "dead", "attempts": 3, "reason": "http_500"}}
    assert [each["entry"] for each in desk.objects("list", "--limit", "1")] == ["e2"]
    lines = desk.says("list").splitlines()
    assert "breaking  raised  [31mSecond  (ukraine)" in lines[0]
    assert lines[1] == f"  {CHANNEL}  dead, 3 tries, http_500"
    assert "seen after 12.5 s" in lines[2]
    assert lines[3] == f"  {CHANNEL}  delivered after 0.1 s, 3 tries"


async def test_a_test_alert_goes_through_a_channel_at_once_and_says_what_it_is(
    desk: Desk, receiver: Receiver
) -> None:
    said = await asyncio.to_thread(desk.says, "test", CHANNEL)
    assert said == f"sent through {CHANNEL}\n"
    ((_, event),) = receiver.received
    assert event.data.rule == "test"
    assert event.data.entry.title == "Test alert from Stoppress"
    receiver.always = (401, {})
    failed = await asyncio.to_thread(desk.runs, "test", CHANNEL)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "stoppress: the receiver answered 401\n"
    assert receiver.ids[0] != receiver.ids[1]


async def test_a_channel_is_tried_without_any_redis(tmp_path: Path) -> None:
    said = ran(tmp_path, "alerts", "test", "console")
    assert said.returncode == 0
    assert said.stdout.startswith("TEST ")
    assert "Test alert from Stoppress" in said.stdout


async def test_without_a_command_alerts_are_raised_and_delivered(
    desk: Desk, receiver: Receiver, redis: Redis
) -> None:
    async with running(desk.folder, "alerts") as worker:
        await worker.says("Alerting on")
        await redis.xadd(desk.keys.events, to_fields(entry_event()))  # type: ignore[arg-type]
        await until(lambda: receiver.ids)

        async def listed() -> bool:
            return [each["channels"][CHANNEL]["state"] for each in desk.objects("list")] == [
                "delivered"
            ]

        await eventually(listed, "the delivery in the list")
        assert await worker.stop() == 0
