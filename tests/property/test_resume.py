"""What a subscriber saw is what it should have seen, or it was told `reset`. Whatever happens.

Seeded runs against a real Redis: pages are published and alerts raised, connections are cut and
come back to one of two gateways with their cursor, readers stall, gateways are started anew, the
streams are trimmed or lose their end, subscriptions come and go. Only the transport is our own: so
a reader can be as slow as it likes.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from contextlib import suppress
from datetime import UTC, datetime
from typing import get_args

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from service.config import GatewaySettings
from service.connection import connect
from service.diff import Doubt, Policy, advance, diff
from service.events import AlertEvent, AlertType, Event, to_fields
from service.keys import Keys
from service.model import Entry, Health, Page, PageRef, PageState
from service.store import Store
from tests.alert_samples import alert_event
from tests.pages import entry, page_of
from tests.waiting import eventually
from workers.gateway.hub import Hub
from workers.gateway.protocol import Position, StreamId, StreamName, position
from workers.gateway.reader import STREAMS, Reader
from workers.gateway.session import Session
from workers.gateway.subscription import ALERTS, FAMILIES, Subscription

RUNS = int(os.environ.get("STOPPRESS_RUNS", "1000"))
PARTS = 10
AT_ONCE = 10  # most of a run is waiting
STEPS = 14
SETTINGS = GatewaySettings(ring_events=6, buffer_bytes=4_000, stall_s=60, heartbeat_s=3600)
FILTERS = (
    Subscription(),
    Subscription(pages=frozenset({"p0"})),
    Subscription(labels=frozenset({"breaking"})),
    Subscription(types=frozenset({"entry.edited"}), pages=frozenset({"p1", "p2"})),
    Subscription(texts=frozenset({"seven"})),
    Subscription(types=ALERTS),
    Subscription(types=frozenset({"alert.retracted"}), pages=frozenset({"p0", "p1"})),
    Subscription(types=frozenset().union(*FAMILIES.values())),
)
Told = tuple[StreamName, StreamId, Event]
WORDS = ("one", "two", "three", "seven", "eleven", "Seven")


def now() -> datetime:
    return datetime.now(UTC)


class Desk:
    """Publishes pages, raises alerts, and remembers where in its stream each event lies."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis, self.keys = redis, keys
        self.store = Store(redis, keys, max_events=100_000)
        self.states: dict[str, PageState] = {}
        self.entries: dict[str, list[Entry]] = {}
        self.events: list[Told] = []
        self.alerts = 0

    async def publish(self, dice: random.Random) -> None:
        name = f"p{dice.randrange(3)}"
        if name not in self.states:
            page = Page(id=name, url=f"http://127.0.0.1/{name}")
            await self.store.add_page(page)
            self.states[name], self.entries[name] = PageState(page=page), []
        shown = self.entries[name]
        text = " ".join(dice.choices(WORDS, k=dice.choice((3, 3, 300))))
        labels = dice.choice(((), (), ("breaking",)))
        if shown and dice.random() < 0.4:
            place = dice.randrange(len(shown))
            new = entry(0, f"{text} {len(self.events)}", labels=labels).body
            shown[place] = replace(shown[place], body=new, labels=labels)
        else:
            shown.append(entry(len(shown) + 1, text, labels=labels))
        await self.commit(name)

    async def commit(self, name: str) -> None:
        state = self.states[name]
        snapshot = page_of(self.entries[name])
        step = diff(state, snapshot, Policy())
        assert not isinstance(step, Doubt), step
        events, after = advance(state, step, snapshot.seen_at)
        token = await self.store.acquire(name, 60_000)
        assert token
        await self.store.commit(token, state, after, events, Health())
        await self.store.release(name, token)
        self.states[name] = after
        if events:
            newest = await self.redis.xrevrange(self.keys.events, count=len(events))
            places = [StreamId.of(at) for at, _ in reversed(newest)]
            self.events += [("events", *one) for one in zip(places, events, strict=True)]

    async def alert(self, dice: random.Random) -> None:
        """An event of an alert; which one it follows is of no matter to the feed."""
        self.alerts += 1
        event = alert_event()
        name = f"p{dice.randrange(3)}"
        text = " ".join(dice.choices(WORDS, k=3))
        data = replace(
            event.data,
            page=PageRef(id=name, url=f"http://127.0.0.1/{name}"),
            entry=entry(self.alerts, text, labels=("breaking",)),
        )
        kind = dice.choice(get_args(AlertType))
        told = replace(event, type=kind, id=f"{self.alerts:032x}", data=data)
        assert isinstance(told, AlertEvent)
        at = await self.redis.xadd(self.keys.alerts, {**to_fields(told)})
        self.events.append(("alerts", StreamId.of(at), told))

    def has_all(self, position: Position) -> bool:
        """Is this position as far as what was told?"""
        return all(position.in_(stream) >= at for stream, at, _ in self.events)


class Wire(asyncio.Transport):
    """A transport whose other end reads when it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.unsent, self.stalled, self.closed = bytearray(), bytearray(), False, False

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.unsent += data
        if not self.stalled:
            self.flow()

    def flow(self, most: int = 10**9) -> None:
        self.sent += self.unsent[:most]
        del self.unsent[:most]

    def get_write_buffer_size(self) -> int:
        return len(self.unsent)

    def is_closing(self) -> bool:
        return self.closed


def frames(data: bytes) -> list[dict[str, object]]:
    """The messages in whole frames of a server (RFC 6455, 5.2); one that is cut off is lost."""
    found, place = [], 0
    while place + 2 <= len(data):
        size, head = data[place + 1], 2
        if size >= 126:
            head = 4 if size == 126 else 10
            size = int.from_bytes(data[place + 2 : place + head], "big")
        end = place + head + size
        if end > len(data) or (head > 2 and place + head > len(data)):
            break
        if data[place] == 0x81:
            found.append(json.loads(data[place + head : end]))
        place = end
    return found


class Client:
    """A subscriber that does what docs/feed.md says, and checks what it is told."""

    def __init__(self, wanted: Subscription) -> None:
        self.wanted = [wanted]
        self.names = 0
        self.cursor: str | None = None
        self.since: Position | None = None  # true from here on; None: no state yet
        self.seen: list[tuple[Position, str]] = []
        self.known: dict[str, int] = {}
        self.resets: list[str] = []
        self.session: Session | None = None
        self.wire = Wire()

    def connect(self, hub: Hub) -> None:
        self.wire = Wire()
        at = None if self.cursor is None else position(self.cursor)
        if at is None:
            self.seen, self.since = [], None
        self.session = Session(self.wire, hub, SETTINGS, form="v1", first=self.wanted[0])
        self.wanted = self.wanted[:1]
        self.session.start(at)

    def cut(self) -> None:
        """The connection is lost, with what was under way."""
        if self.session is not None:
            self.session.closed(1006)
            self.read()
            self.session = None

    def read(self) -> None:
        """Everything that has arrived."""
        for message in frames(bytes(self.wire.sent)):
            self.hear(message)
        self.wire.sent = bytearray()

    def hear(self, message: dict[str, object]) -> None:
        kind, at = message["type"], message.get("cursor")
        assert kind not in {"error", "pong"}
        if kind == "reset":
            self.resets.append(str(message["reason"]))
            self.seen, self.since, self.cursor, self.known = [], None, None, {}
        elif kind == "snapshot":
            self.known[message["page"]["id"]] = int(str(message["sequence"]))  # type: ignore[index]
        elif kind == "cursor":
            self.cursor = str(at)
            if self.since is None:
                self.since = position(self.cursor)
        elif kind == "event":
            assert self.since is not None, "an event before the state that it follows"
            self.cursor = str(at)
            self.seen.append((position(self.cursor), message["event"]["id"]))  # type: ignore[index]

    def check(self, told: list[Told]) -> None:
        """Everything after the state was true, once, in each stream's order, and nothing else."""
        assert self.since is not None
        at = self.since
        for place, _ in self.seen:
            assert place.covers(at), f"{self.names=}: back from {at} to {place}"
            assert place != at, f"{self.names=}: twice at {at}"
            at = place
        seen = [event for _, event in self.seen]
        assert len(seen) == len(set(seen)), f"{self.names=}: {len(seen) - len(set(seen))} twice"
        every = set[str]()
        for stream in STREAMS:
            since, first = self.since.in_(stream), self.wanted[0]
            of_stream = [(at, event) for name, at, event in told if name == stream]
            should = [event.id for at, event in of_stream if at > since and first.matches(event)]
            assert [one for one in seen if one in set(should)] == should
            every |= set(should)
        assert every >= set(seen) or len(self.wanted) > 1 or self.names


class Run:
    """One run: a newsroom, three subscribers and two gateways, over Redis."""

    def __init__(self, seed: int, redis_url: str) -> None:
        self.dice = random.Random(seed)
        self.keys = Keys(prefix=f"resume-{os.getpid()}-{seed}")
        self.redis = connect(redis_url)
        self.blocking = [connect(redis_url) for _ in range(2)]
        self.desk = Desk(self.redis, self.keys)
        self.clients = [Client(self.dice.choice(FILTERS)) for _ in range(3)]
        self.may_reset = False

    async def live(self) -> list[str]:
        """Do what chance says; the resets that were told."""
        await self.begin()
        try:
            for client in self.clients:
                client.connect(self.a_hub)
            for _ in range(STEPS):
                await self.step(self.dice.choice(self.clients))
            await settled(self.desk, self.clients, self.hubs)
            for client in self.clients:
                client.check(self.desk.events)
                assert self.may_reset or not client.resets
            return [reason for client in self.clients for reason in client.resets]
        finally:
            await self.end()
            await self.redis.delete(self.keys.events, self.keys.alerts, self.keys.deployment)
            for client in (self.redis, *self.blocking):
                await client.aclose()

    @property
    def a_hub(self) -> Hub:
        return self.dice.choice(self.hubs)

    async def step(self, client: Client) -> None:
        chances = {
            self.publish: 50, self.alert: 25, self.cut: 12, self.stall: 8, self.restart: 6,
            self.trim: 4, self.subscribe: 5, self.wait: 5, self.lose: 1,
        }  # fmt: skip
        (action,) = self.dice.choices(list(chances), weights=list(chances.values()))
        await action(client)
        if client.session is None and self.dice.random() < 0.5:
            client.connect(self.a_hub)

    async def publish(self, _: Client) -> None:
        for _ in range(self.dice.choice((1, 1, 3, 8))):
            await self.desk.publish(self.dice)

    async def alert(self, _: Client) -> None:
        for _ in range(self.dice.choice((1, 1, 3, 8))):
            await self.desk.alert(self.dice)

    async def cut(self, client: Client) -> None:
        client.cut()
        if self.dice.random() < 0.7:
            client.connect(self.a_hub)

    async def stall(self, client: Client) -> None:
        client.wire.stalled = not client.wire.stalled
        client.wire.flow(self.dice.choice((10, 10_000, 10**9)))

    async def restart(self, _: Client) -> None:
        await self.end()
        await self.begin()

    async def lose(self, _: Client) -> None:
        """Redis has lost the streams, and is there again."""
        self.may_reset = True
        await self.end()
        await self.redis.delete(self.keys.events, self.keys.alerts, self.keys.deployment)
        self.desk.events.clear()
        await self.begin()

    async def trim(self, _: Client) -> None:
        self.may_reset = True
        most, stream = self.dice.choice((1, 4)), self.dice.choice(STREAMS)
        key = self.keys.events if stream == "events" else self.keys.alerts
        await self.redis.xtrim(key, maxlen=most, approximate=False)

    async def subscribe(self, client: Client) -> None:
        if client.session is not None:
            client.names += 1
            kinds = self.dice.choice(([], ["alert"], ["entry", "alert.raised"]))
            wanted = {"page": ["p1"], "type": kinds}
            said = {"type": "subscribe", "id": f"s{client.names}", "filter": wanted}
            client.session.hear(json.dumps(said))

    async def wait(self, _: Client) -> None:
        await asyncio.sleep(self.dice.choice((0, 0.001, 0.01)))

    async def begin(self) -> None:
        self.hubs = [
            Hub(blocking, Reader(self.redis, self.keys, now), settings=SETTINGS, now=now)
            for blocking in self.blocking
        ]
        self.tasks = [asyncio.create_task(hub.run()) for hub in self.hubs]
        for hub in self.hubs:
            await hub.begun()

    async def end(self) -> None:
        for client in self.clients:
            client.cut()
        for task in self.tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def settled(desk: Desk, clients: list[Client], hubs: list[Hub]) -> None:
    """Everybody is connected, reads, and has all."""

    async def all_have_all() -> bool:
        for client in clients:
            client.wire.stalled = False
            client.wire.flow()
            if client.session is None or client.session.is_ended:
                client.cut()
                client.connect(hubs[0])
            client.read()
        sessions = [client.session for client in clients if client.session is not None]
        return all(desk.has_all(hub.ring.end) for hub in hubs) and all(
            one.group and desk.has_all(one.at.joined(one.group.at)) for one in sessions
        )

    await eventually(all_have_all, "everybody to have everything", 10)
    for client in clients:
        client.wire.flow()
        client.read()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", range(PARTS))
async def test_nothing_is_missed_or_twice_or_it_is_told(part: int, redis_url: str) -> None:
    resets: set[str] = set()
    seeds = list(range(part, RUNS, PARTS))
    for first in range(0, len(seeds), AT_ONCE):
        some = seeds[first : first + AT_ONCE]
        for told in await asyncio.gather(*(one_run(seed, redis_url) for seed in some)):
            resets |= set(told)
    assert RUNS < 500 or {"cursor.too_old", "cursor.foreign"} <= resets


async def one_run(seed: int, redis_url: str) -> list[str]:
    try:
        return await Run(seed, redis_url).live()
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error
