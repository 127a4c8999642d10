"""Alerts that wait, on a real server: told once, with every member, whatever crashes in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.connection import connect
from service.errors import CorruptionError
from service.events import AlertEvent, Event, Significance, from_fields, to_fields
from service.keys import Keys
from service.model import PageRef
from service.rules import Condition
from tests.alert_samples import PAGE, entry_event
from workers.alerts.decisions import Memory
from workers.alerts.grouping import place
from workers.alerts.holding import Holding
from workers.alerts.ledger import Ledger
from workers.alerts.limits import Limit
from workers.alerts.quiet import Quiet
from workers.alerts.raising import Raising
from workers.alerts.rules import BREAKING, Rule, alert_id

BEGAN = datetime(2025, 4, 25, 9, 0, tzinfo=UTC)
KEY = Rule("key", "normal", Condition(label=("key",)), group_s=60.0)
NIGHT = replace(KEY, group_s=None, quiet=Quiet(9 * 60, 10 * 60))
FIGURE = Significance("figure", ("9 killed → 12 killed",))
OTHER = PageRef(id="cup", url="https://news.example/cup", title="Cup")


class KilledError(BaseException):
    """Stands for the end of a process at a checkpoint, which nothing catches."""


class Desk:
    """Workers that share a Redis, a clock, and a point at which the next one dies."""

    def __init__(self, redis_url: str, keys: Keys, *rules: Rule) -> None:
        self.now, self.keys, self.fatal = BEGAN, keys, ""
        self.redis = connect(redis_url)
        self.rules = rules or (BREAKING, KEY)
        self.fell = 0

    def worker(self, holding: Holding | None = None) -> Raising:
        return Raising(
            Ledger(self.redis, self.keys, max_events=1000),
            holding or Holding(self.redis, self.keys),
            self._rules,
            (),
            now=lambda: self.now,
            checkpoint=self._pass,
        )

    async def _rules(self) -> dict[str, Rule]:
        return {rule.name: rule for rule in self.rules}

    def _pass(self, point: str) -> None:
        if point == self.fatal:
            self.fatal = ""
            self.fell += 1
            raise KilledError(point)

    async def see(self, *events: Event) -> None:
        """Handle events, again where a worker dies."""
        for event in events:
            try:
                await self.handle(self.worker(), event)
            except KilledError:
                await self.handle(self.worker(), event)

    async def handle(self, worker: Raising, event: Event) -> None:
        """A worker handles an event."""
        fields = {name.encode(): value for name, value in to_fields(event).items()}
        await worker.handle(b"1-0", fields)

    async def later(self, seconds: float) -> None:
        """Time passes; then a worker looks for what is due, and another one where it dies."""
        self.now += timedelta(seconds=seconds)
        try:
            await self.worker().release_due()
        except KilledError:
            await self.worker().release_due()

    async def told(self) -> list[AlertEvent]:
        """The alerts stream."""
        found = [from_fields(fields) for _, fields in await self.redis.xrange(self.keys.alerts)]
        assert all(isinstance(event, AlertEvent) for event in found)
        return found  # type: ignore[return-value]

    async def leftovers(self) -> set[bytes]:
        """Keys of what is held."""
        found = {key async for key in self.redis.scan_iter(f"{self.keys.prefix}:*")}
        return {key for key in found if b":alerts:" in key and b":rate:" not in key}


Open = Callable[..., Desk]


@pytest.fixture
async def desk(redis_url: str, keys: Keys, request: pytest.FixtureRequest) -> Any:
    made: list[Desk] = []

    def make(*rules: Rule) -> Desk:
        made.append(Desk(redis_url, keys, *rules))
        return made[-1]

    yield make
    for each in made:
        await each.redis.aclose()


@pytest.fixture(autouse=True)
def logs() -> Any:
    with capture_logs() as captured:
        yield captured


def event(desk: Desk, kind: str = "published", **given: Any) -> Any:
    labels = ("key",)
    return entry_event(kind, **{"at": desk.now, "labels": labels} | given)


def entries(alert: AlertEvent) -> list[str]:
    return sorted(each.entry for each in alert.data.entries)


def kinds(events: list[AlertEvent]) -> list[str]:
    return [each.type.rsplit(".", 1)[1] for each in events]


# --- together ------------------------------------------------------------------------------------


async def test_alerts_of_a_page_are_told_as_one_when_the_first_has_waited_long_enough(
    desk: Open,
) -> None:
    one = desk()
    await one.see(event(one, entry="e1"))
    await one.later(30)
    await one.see(event(one, entry="e2"), event(one, entry="x1", page=OTHER))
    await one.later(29.9)
    assert await one.told() == []
    await one.later(0.1)
    (told,) = await one.told()
    assert entries(told) == ["e1", "e2"]
    assert told.data.alert == alert_id(event(one, entry="e1"), KEY)
    assert [each.entry for each in told.data.entries] == ["e1", "e2"]
    assert told.data.deadline == one.now + timedelta(hours=1)
    await one.later(30)
    other = (await one.told())[1]
    assert (other.data.page, other.data.entry.id, other.data.entries) == (OTHER, "x1", ())
    assert await one.leftovers() == set()


async def test_breaking_waits_for_nobody(desk: Open) -> None:
    one = desk(BREAKING, KEY)
    await one.see(event(one, labels=("key", "breaking")))
    (told,) = await one.told()
    assert told.data.rule == "breaking"


async def test_an_event_read_twice_is_in_a_group_once_and_raised_once(desk: Open) -> None:
    one = desk()
    first, second = event(one, entry="e1"), event(one, entry="e2", sequence=2)
    await one.see(first, first, second)
    await one.later(60)
    await one.see(first, second)
    await one.later(60)
    (told,) = await one.told()
    assert entries(told) == ["e1", "e2"]


async def test_what_is_withdrawn_while_it_waits_is_never_told(
    desk: Open, logs: list[EventDict]
) -> None:
    one = desk()
    await one.see(event(one, entry="e1"), event(one, entry="e2"))
    await one.see(event(one, "removed", entry="e1", sequence=2))
    await one.later(60)
    (told,) = await one.told()
    assert (told.data.entry.id, told.data.entries) == ("e2", ())
    await one.see(event(one, entry="e3"), event(one, "removed", entry="e3", sequence=2))
    await one.later(60)
    assert len(await one.told()) == 1
    assert await one.leftovers() == set()
    assert [each["entry"] for each in logs if each["event"] == "alert.let_go"] == ["e1", "e3"]


async def test_what_is_edited_while_it_waits_is_told_as_it_then_is(desk: Open) -> None:
    one = desk()
    await one.see(event(one, title="9 killed"))
    one.now += timedelta(seconds=10)
    edit = event(
        one, "edited", title="12 killed", sequence=2, changed=("title",), significance=FIGURE
    )
    await one.see(edit)
    await one.later(60)
    (told,) = await one.told()
    assert (told.type, told.data.entry.title) == ("stoppress.alert.raised", "12 killed")
    await one.see(edit)
    assert len(await one.told()) == 1


async def test_what_becomes_of_a_part_becomes_of_the_whole(desk: Open) -> None:
    one = desk()
    await one.see(event(one, entry="e1"), event(one, entry="e2"), event(one, entry="e3"))
    await one.later(60)
    (whole,) = await one.told()
    figure = {"significance": FIGURE, "changed": ("body",), "sequence": 2}
    await one.see(event(one, "edited", entry="e2", **figure))
    await one.see(event(one, "edited", entry="e1", **figure))
    for number, entry in enumerate(("e1", "e2", "e3"), 3):
        gone = event(one, "removed", entry=entry, sequence=number)
        await one.see(gone, gone)
    told = await one.told()
    assert kinds(told) == ["raised", *["updated"] * 4, "retracted"]
    assert {each.data.alert for each in told} == {whole.data.alert}
    assert len({each.id for each in told}) == len(told)
    withdrawn = [sum(each.withdrawn for each in one.data.entries) for one in told]
    assert withdrawn == [0, 0, 0, 1, 2, 3]
    await one.see(event(one, entry="e2", sequence=9))
    assert len(await one.told()) == 6


# --- quiet hours, limits -------------------------------------------------------------------------


async def test_a_night_is_told_in_the_morning_as_one(desk: Open) -> None:
    one = desk(NIGHT)
    for number in range(5):
        await one.see(event(one, entry=f"e{number}"))
        await one.later(600)
    assert await one.told() == []
    await one.later(600)
    (told,) = await one.told()
    assert entries(told) == [f"e{number}" for number in range(5)]
    await one.see(event(one, entry="day"))
    assert (await one.told())[1].data.entry.id == "day"


async def test_a_group_that_is_due_in_quiet_hours_waits_until_they_end(desk: Open) -> None:
    one = desk(replace(KEY, quiet=Quiet(9 * 60 + 1, 9 * 60 + 30)))
    await one.see(event(one, entry="e1"))
    await one.later(61)
    assert await one.told() == []
    await one.see(event(one, entry="e2"))
    await one.later(29 * 60)
    (told,) = await one.told()
    assert entries(told) == ["e1", "e2"]


async def test_what_is_dropped_in_quiet_hours_is_not_told_later_either(desk: Open) -> None:
    one = desk(replace(NIGHT, quiet=Quiet(9 * 60, 10 * 60, action="drop")))
    await one.see(event(one, entry="e1"))
    await one.later(3600)
    lost = event(one, "edited", entry="e1", labels=(), changed=("labels",), sequence=2)
    again = event(one, "edited", entry="e1", gained=("key",), changed=("labels",), sequence=3)
    await one.see(lost, again)
    assert await one.told() == []


async def test_more_than_a_rule_may_raise_comes_as_one_when_there_is_room(desk: Open) -> None:
    one = desk(replace(KEY, group_s=None, limit=Limit(2, 3600)))
    for number in range(5):
        await one.see(event(one, entry=f"e{number}"))
        await one.later(60)
    assert [each.data.entry.id for each in await one.told()] == ["e0", "e1"]
    await one.later(3600 - 300)
    assert entries((await one.told())[2]) == ["e2", "e3", "e4"]
    await one.see(event(one, entry="e5"))
    assert len(await one.told()) == 3
    await one.later(60)
    assert (await one.told())[3].data.entry.id == "e5"


async def test_workers_that_were_away_for_too_long_tell_nothing_old(
    desk: Open, logs: list[EventDict]
) -> None:
    one = desk()
    await one.see(event(one, entry="e1"), event(one, entry="e2"))
    await one.later(60 + 3600)
    assert await one.told() == []
    assert await one.leftovers() == set()
    silenced = [each for each in logs if each["event"] == "alert.suppressed" and "alert" in each]
    assert [each["reason"] for each in silenced] == ["expired", "expired"]
    one.now = BEGAN
    await one.see(event(one, "edited", entry="e1", gained=("key",), sequence=2))
    assert await one.told() == []


async def test_what_is_held_for_a_rule_that_is_gone_is_let_go(desk: Open) -> None:
    one = desk()
    await one.see(event(one))
    one.rules = (BREAKING,)
    await one.later(60)
    assert await one.told() == []
    assert await one.leftovers() == set()


# --- what stands before --------------------------------------------------------------------------


async def test_gaining_a_label_again_raises_anew_only_long_after_the_retraction(
    desk: Open,
) -> None:
    rule = replace(KEY, group_s=None, again_after_s=86_400.0)
    one = desk(rule)
    await one.see(event(one))
    lost = event(one, "edited", labels=(), changed=("labels",), sequence=2)
    again = event(one, "edited", gained=("key",), changed=("labels",), sequence=3)
    await one.see(lost, again)
    assert kinds(await one.told()) == ["raised", "retracted"]
    one.now += timedelta(days=1)
    late = event(one, "edited", gained=("key",), changed=("labels",), sequence=5)
    await one.see(late, late)
    told = await one.told()
    assert kinds(told) == ["raised", "retracted", "raised"]
    assert told[0].data.alert == told[2].data.alert
    assert told[0].id != told[2].id, "who got the first would take the second for the same"


async def test_what_can_not_be_read_stops_no_other_rule_and_costs_no_event(desk: Open) -> None:
    one = desk()
    seen = event(one, labels=("key", "breaking"))
    await one.redis.hset(one.keys.ledger(alert_id(seen, KEY)), "state", "odd")
    with pytest.raises(CorruptionError, match="odd") as refused:  # so it becomes a dead letter
        await one.see(seen)
    assert refused.value.code == "ledger.malformed"
    assert [told.data.rule for told in await one.told()] == ["breaking"]


async def test_a_fault_of_ours_in_one_rule_stops_no_other_rule_and_no_event(
    desk: Open, logs: list[EventDict]
) -> None:
    """It would be met again at every try, and all that comes after waits for this event."""
    odd = replace(KEY, name="odd", quiet=Quiet(0, 60, zone="No/Where"))
    one = desk(odd, BREAKING)
    with pytest.raises(CorruptionError) as refused:  # so it becomes a dead letter
        await one.see(event(one, labels=("key", "breaking")))
    assert refused.value.code == "rule.broke"
    assert [told.data.rule for told in await one.told()] == ["breaking"]
    assert [each["rule"] for each in logs if each["event"] == "rule.broke"] == ["odd"]


async def test_what_is_held_and_can_not_be_read_stops_nothing_else(
    desk: Open, logs: list[EventDict]
) -> None:
    one = desk()
    await one.see(event(one), event(one, page=OTHER))
    await one.redis.hset(one.keys.held(place("key", PAGE.id)), "x", b"{}")
    for _ in range(2):
        await one.later(61)
    assert [told.data.page.id for told in await one.told()] == [OTHER.id]
    assert [each["code"] for each in logs if each["event"] == "holding.unread"] == (
        ["holding.malformed"] * 2
    ), "once for each worker"


async def test_a_change_that_came_before_what_is_held_is_in_it(desk: Open) -> None:
    """The worker that was to hold it was late; another one saw the edit before."""
    one = desk()
    one.now = datetime.now(UTC)  # Redis has a clock of its own
    edit = event(one, "edited", title="New", significance=FIGURE, sequence=2)
    one.now -= timedelta(seconds=10)
    older = event(one, "edited", title="Old", significance=FIGURE, sequence=2)
    one.now -= timedelta(seconds=10)
    await one.see(edit, event(one), older)
    await one.later(61)
    assert [told.data.entry.title for told in await one.told()] == ["New"]
    await one.see(event(one, "removed", entry="e9", sequence=3), event(one, entry="e9"))
    await one.later(61)
    assert len(await one.told()) == 1


# --- the order of things -------------------------------------------------------------------------


def edits(desk: Desk) -> tuple[Any, Any]:
    """An entry gains another label, of which nobody knows whose place it takes; then ours."""
    one = event(desk, "edited", labels=("x",), gained=("x",), changed=("labels",), sequence=2)
    desk.now += timedelta(seconds=30)
    both = {"labels": ("x", "key"), "gained": ("key",), "changed": ("labels",)}
    return one, event(desk, "edited", sequence=3, **both)


@pytest.mark.parametrize("rule", [replace(KEY, group_s=None), KEY])
@pytest.mark.parametrize("is_late", [False, True])
async def test_an_edit_before_an_entry_matches_takes_no_alert_back(
    desk: Open, rule: Rule, is_late: bool
) -> None:
    """Not even when the worker that had the first edit died, and another one comes to it late."""
    one = desk(rule)
    one.now = datetime.now(UTC)  # Redis has a clock of its own
    other, ours = edits(one)
    await one.see(*((ours, other) if is_late else (other, ours)))
    await one.later(60)
    assert kinds(await one.told()) == ["raised"]
    if is_late:
        await one.see(other)
    assert kinds(await one.told()) == ["raised"]


@pytest.mark.parametrize("is_told", [False, True])
async def test_an_older_edit_of_a_part_does_not_undo_a_newer_one(desk: Open, is_told: bool) -> None:
    """Another worker was given the older one, and was late."""
    one = desk()
    await one.see(event(one, entry="e1"), event(one, entry="e2"))
    if is_told:
        await one.later(60)
    figure: dict[str, Any] = {"changed": ("title",), "significance": FIGURE, "entry": "e2"}
    older = event(one, "edited", title="12 killed", sequence=2, **figure)
    one.now += timedelta(seconds=10)
    await one.see(event(one, "edited", title="15 killed", sequence=3, **figure))
    if not is_told:
        await one.later(60)
    await one.see(older)
    titles = {each.entry: each.title for each in (await one.told())[-1].data.entries}
    assert titles["e2"] == "15 killed"


async def test_a_group_in_another_spelling_is_changed_all_the_same(desk: Open) -> None:
    """Workers of two versions share a Redis while one takes the place of the other."""
    one = desk()
    await one.see(event(one, entry="e1"), event(one, entry="e2"))
    await one.later(60)
    key = one.keys.together((await one.told())[0].data.alert)
    await one.redis.set(key, (await one.redis.get(key)).replace(b"{", b'{"new":1,', 1))
    async with asyncio.timeout(5):  # it was tried again for ever
        await one.see(event(one, "removed", entry="e2", sequence=2))
    assert kinds(await one.told()) == ["raised", "updated"]


async def test_what_was_let_go_is_not_held_again_by_a_worker_that_is_late(desk: Open) -> None:
    """A worker died after it held an alert; what it had in hand is handled again later."""
    one = desk()
    one.now = datetime.now(UTC)  # Redis has a clock of its own
    seen = event(one)
    await one.see(seen)
    one.now += timedelta(seconds=10)
    await one.see(event(one, "removed", sequence=2), seen)
    await one.later(60)
    assert await one.told() == []


class SlowHolding(Holding):
    """Stands still when it has read what was before."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        super().__init__(redis, keys)
        self.has_read, self.goes_on = asyncio.Event(), asyncio.Event()

    async def recall(self, rule: Rule, page: str, alert: str) -> Memory:
        memory = await super().recall(rule, page, alert)
        self.has_read.set()
        await self.goes_on.wait()
        return memory


@pytest.mark.parametrize("is_raised", [False, True])
async def test_a_withdrawal_that_overtakes_its_entry_is_followed(
    desk: Open, is_raised: bool
) -> None:
    """One worker decides on it while another holds the entry, and maybe others of the page."""
    one = desk(KEY)
    one.now = datetime.now(UTC)
    slow = SlowHolding(one.redis, one.keys)
    gone = event(one, "removed", entry="e2", sequence=2)
    withdrawal = asyncio.create_task(one.handle(one.worker(slow), gone))
    await slow.has_read.wait()
    await one.see(event(one, entry="e1"), event(one, entry="e2"))
    if is_raised:
        await one.later(60)
    slow.goes_on.set()
    await withdrawal
    await one.later(60)
    told = await one.told()
    listed = [{each.entry for each in one.data.entries if not each.withdrawn} for one in told]
    assert listed == ([{"e1", "e2"}, {"e1"}] if is_raised else [set()])
    assert told[-1].data.entry.id == ("e2" if is_raised else "e1")


async def test_a_worker_that_was_slow_does_not_hold_what_was_before(desk: Open) -> None:
    one = desk(KEY)
    slow = SlowHolding(one.redis, one.keys)
    seen = event(one)
    late = asyncio.create_task(one.handle(one.worker(slow), seen))
    await slow.has_read.wait()
    one.now += timedelta(seconds=10)
    figure: dict[str, Any] = {"changed": ("title",), "significance": FIGURE}
    await one.see(seen, event(one, "edited", title="12 killed", sequence=2, **figure))
    slow.goes_on.set()
    await late
    await one.later(60)
    assert [told.data.entry.title for told in await one.told()] == ["12 killed"]


class DyingHolding(Holding):
    """Its worker dies before it raises."""

    async def take(self, *_: Any) -> bool:
        raise KilledError


@pytest.mark.parametrize("is_held", [False, True])
async def test_an_alert_that_is_raised_anew_has_an_id_of_its_own_whatever_comes_between(
    desk: Open, is_held: bool
) -> None:
    """Who got the first would take one with the same id for the same, and show nothing."""
    limit = None if is_held else Limit(9, 60)
    rule = replace(KEY, group_s=60 if is_held else None, limit=limit, again_after_s=86_400)
    one = desk(rule)
    await one.see(event(one))
    await one.later(60)
    await one.see(event(one, "edited", labels=(), changed=("labels",), sequence=2))
    one.now += timedelta(days=1)
    late = event(one, "edited", gained=("key",), changed=("labels",), sequence=3)
    if not is_held:
        with pytest.raises(KilledError):
            await one.handle(one.worker(DyingHolding(one.redis, one.keys)), late)
    await one.see(late)
    figure: dict[str, Any] = {"changed": ("title",), "significance": FIGURE}
    await one.see(event(one, "edited", title="12 killed", sequence=4, **figure))
    await one.later(60)
    first, _, anew, *_ = told = await one.told()
    assert kinds(told) == ["raised", "retracted", "raised", *([] if is_held else ["updated"])]
    assert (anew.data.alert, anew.id != first.id) == (first.data.alert, True)


async def test_what_is_held_and_is_no_event_ends_no_worker(
    desk: Open, logs: list[EventDict]
) -> None:
    one = desk()
    await one.see(event(one), event(one, page=OTHER))
    held = one.keys.held(place("key", PAGE.id))
    for name, told in (await one.redis.hgetall(held)).items():
        await one.redis.hset(held, name, told.replace(b'"time":"2025', b'"time":"soon'))
    await one.later(61)
    assert [told.data.page.id for told in await one.told()] == [OTHER.id]
    assert [each["code"] for each in logs if each["event"] == "holding.unread"] == (
        ["holding.malformed"]
    )


async def test_a_fault_of_ours_at_one_place_costs_the_others_nothing(
    desk: Open, logs: list[EventDict]
) -> None:
    odd = replace(KEY, name="odd", quiet=Quiet(0, 60, zone="No/Where"))
    one = desk(replace(odd, quiet=None), KEY)
    await one.see(event(one))
    one.rules = (odd, KEY)
    one.now += timedelta(seconds=61)
    worker = one.worker()
    for _ in range(2):
        await worker.release_due()
    assert [told.data.rule for told in await one.told()] == ["key"]
    assert [each["place"] for each in logs if each["event"] == "holding.broke"] == (
        [place("odd", PAGE.id)]
    ), "said once"


async def test_a_member_of_a_forgotten_group_is_none_of_the_next_one_with_its_id(
    desk: Open,
) -> None:
    """The first entry of both is the same; the rest was withdrawn with the first group."""
    one = desk(replace(KEY, again_after_s=86_400))
    await one.see(event(one, entry="e1"), event(one, entry="e2"))
    await one.later(60)
    gone = [event(one, "removed", entry=entry, sequence=2) for entry in ("e1", "e2")]
    await one.see(*gone)
    one.now += timedelta(days=1)
    lead = (await one.told())[0].data.entry.id
    anew = {"gained": ("key",), "changed": ("labels",), "sequence": 3}
    await one.see(event(one, "edited", entry=lead, **anew))
    one.now += timedelta(seconds=1)
    await one.see(event(one, entry="e3"))
    await one.later(60)
    other = "e2" if lead == "e1" else "e1"
    await one.see(event(one, "edited", entry=other, significance=FIGURE, sequence=4))
    told = await one.told()
    assert entries(told[-1]) == sorted((lead, "e3"))
    assert kinds(told) == ["raised", "updated", "retracted", "raised"]


async def test_what_a_slow_worker_raised_by_itself_takes_no_other_alert_with_it(
    desk: Open,
) -> None:
    """It decided before the quiet hours, stood still, and was taken for dead."""
    one = desk(replace(NIGHT, quiet=Quiet(9 * 60 + 1, 9 * 60 + 30)))
    slow = SlowHolding(one.redis, one.keys)
    seen = event(one, entry="e1")
    worker = one.worker(slow)
    late = asyncio.create_task(one.handle(worker, seen))
    await slow.has_read.wait()
    decided_at, one.now = one.now, one.now + timedelta(seconds=90)
    await one.see(seen, event(one, entry="e2"))
    one.now = decided_at
    slow.goes_on.set()
    await late
    one.now += timedelta(minutes=30)
    await one.later(0)
    told = await one.told()
    assert sorted((each.data.entry.id, entries(each)) for each in told) == [("e1", []), ("e2", [])]
    assert await one.leftovers() == set()


# --- crashes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "point", ["alert.held", "group.closed", "alert.raised", "group.finished", "group.amended"]
)
async def test_a_crash_at_any_point_neither_loses_nor_doubles_a_group(
    desk: Open, point: str
) -> None:
    one = desk(replace(KEY, limit=Limit(3, 3600)))
    one.fatal = point
    await one.see(event(one, entry="e1"), event(one, entry="e2"))
    await one.later(60)
    await one.see(event(one, entry="e3"))
    await one.later(60)
    await one.see(event(one, "removed", entry="e1", sequence=2))
    told = await one.told()
    assert one.fell == 1
    assert [(kind, entries(each)) for kind, each in zip(kinds(told), told, strict=True)] == [
        ("raised", ["e1", "e2"]),
        ("raised", []),
        ("updated", ["e1", "e2"]),
    ]
    assert await one.leftovers() == set()
    assert await one.redis.zcard(one.keys.rate("key")) == 2


@pytest.mark.parametrize("point", ["group.closed", "alert.raised"])
async def test_what_comes_between_a_crash_and_the_next_worker_is_in_the_next_group(
    desk: Open, point: str
) -> None:
    one = desk()
    await one.see(event(one, entry="e1"), event(one, entry="e2"))
    one.now += timedelta(seconds=60)
    one.fatal = point
    with pytest.raises(KilledError):
        await one.worker().release_due()
    await one.see(event(one, entry="e3"))
    edit = event(one, "edited", entry="e2", sequence=2, changed=("body",), significance=FIGURE)
    await one.see(edit)
    await one.later(0)
    await one.later(60)
    told = await one.told()
    assert [(kind, entries(each)) for kind, each in zip(kinds(told), told, strict=True)] == [
        ("raised", ["e1", "e2"]),
        ("updated", ["e1", "e2"]),
        ("raised", []),
    ]
    assert await one.leftovers() == set()


async def test_a_slow_worker_does_not_take_a_later_group_for_its_own(desk: Open) -> None:
    one = desk()
    holding = Holding(one.redis, one.keys)
    where = place("key", PAGE.id)
    await one.see(event(one, entry="e1"))
    stale = await holding.held(where)
    assert stale is not None
    await one.later(60)
    await one.see(event(one, entry="e2"))
    assert not await holding.close(stale)
    assert not await holding.postpone(stale, one.now)
    later = await holding.held(where)
    assert later is not None
    assert await holding.close(later)
    assert not await holding.finish(stale, None, one.now)
    await one.later(60)
    assert [each.data.entry.id for each in await one.told()] == ["e1", "e2"]


async def test_many_workers_that_release_at_once_tell_each_group_once(desk: Open) -> None:
    one = desk()
    for number in range(20):
        page = replace(OTHER, id=f"p{number % 4}")
        await one.see(event(one, entry=f"e{number}", page=page))
    one.now += timedelta(seconds=60)
    await asyncio.gather(*(one.worker().release_due() for _ in range(8)))
    told = await one.told()
    assert len(told) == 4
    assert sorted(entry for each in told for entry in entries(each)) == sorted(
        f"e{number}" for number in range(20)
    )
    assert await one.leftovers() == set()


async def test_lost_connections_are_waited_out(desk: Open, logs: list[EventDict]) -> None:
    one = desk()
    await one.see(event(one, entry="e1"))
    one.now += timedelta(seconds=60)
    slept = 0

    async def sleep(_: float) -> None:
        nonlocal slept
        slept += 1
        if await one.told():
            raise asyncio.CancelledError

    await one.redis.client_kill_filter(_type="normal", skipme=False)
    with pytest.raises(asyncio.CancelledError):
        await one.worker().run(sleep)
    assert len(await one.told()) == 1
    assert len([each for each in logs if each["event"] == "holding.lost"]) <= 1
