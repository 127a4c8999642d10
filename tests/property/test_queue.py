"""A channel's queue against a model: never lost, never told again once settled, never out of order.

Seeded runs on a real Redis: alerts are raised, updated and retracted, also in the wrong order and
twice; two workers take, send, fail, die, are too slow, and lose answers. No run waits: what has to
be due is made due.
"""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import Struct
from redis.asyncio import Redis

from service.events import AlertEvent, AlertState
from service.keys import Keys
from tests.alert_samples import alert_event
from workers.alerts.delivery import next_step
from workers.alerts.ledger import Ledger, alert_in
from workers.alerts.queue import Ending, Queue, Taken

RUNS = int(os.environ.get("STOPPRESS_RUNS", "300"))
PARTS = 6
STEPS = 40
CHANNEL = "webhook:ops"
OTHER = "console"  # nobody takes from its queue, and nothing there may change ours
BEGAN = datetime.now(UTC) - timedelta(minutes=5)


class Story(Struct):
    """An alert. events: all that become of it, in order. sent: what the receiver took, in order.

    known: those that the ledger was told. settled: those whose delivery was recorded.
    """

    events: list[AlertEvent]
    known: set[str] = set()
    sent: list[str] = []
    settled: set[str] = set()
    has_doubt: bool = False

    def order(self, event_id: str) -> int:
        return [event.id for event in self.events].index(event_id)

    @property
    def state(self) -> AlertState | None:
        """What is true once it is raised, whatever came first."""
        if self.events[0].id not in self.known:
            return None
        return self.newest.state

    @property
    def newest(self) -> AlertEvent:
        return [event for event in self.events if event.id in self.known][-1]


def story(dice: random.Random, number: int) -> Story:
    """One that is raised, updated a few times, and perhaps retracted."""
    kinds = ["raised", *["updated"] * dice.randrange(4), *["retracted"] * dice.randrange(2)]
    return Story(
        [
            alert_event(kind, entry=f"e{number}", sequence=at + 1, at=BEGAN + timedelta(seconds=at))
            for at, kind in enumerate(kinds)
        ]
    )


class Run:
    """One run. held: leases whose workers have not settled them, with what they will say."""

    def __init__(self, redis: Redis, keys: Keys, dice: random.Random) -> None:
        self.redis, self.keys, self.dice = redis, keys, dice
        self.ledger = Ledger(redis, keys, max_events=1000)
        self.trip, self.started = dice.choice((3, 1000)), 0
        self.workers = [self.worker(), self.worker()]
        self.stories = {each.events[0].id: each for each in (story(dice, n) for n in range(3))}
        # Each in an order of its own that is nearly the right one.
        self.coming = sorted(
            ((at + dice.choice((0, 0, 0, 1.5)), one.events[0].id, event)
             for one in self.stories.values() for at, event in enumerate(one.events)),
            key=lambda each: each[0],
        )  # fmt: skip
        self.held: list[tuple[Queue, Taken, Ending]] = []
        self.leased: set[str] = set()

    def worker(self) -> Queue:
        """One that was started just now: no other ever had its name."""
        self.started += 1
        return Queue(
            self.redis, self.keys, CHANNEL, holder=f"w{self.started}", lease_s=60, trip=self.trip
        )

    def die(self, queue: Queue) -> None:
        """A worker dies with all that it holds, and another is started."""
        self.workers = [self.worker() if each is queue else each for each in self.workers]
        for _, taken, _ in self.held:
            self.stories[taken.alert].has_doubt = True
        self.held = [each for each in self.held if each[0] is not queue]

    async def step(self) -> None:
        """Something happens."""
        steps = (self.publish, self.publish, self.take, self.take, self.take, self.finish,
                 self.finish, self.time_goes_by, self.lose_an_answer)  # fmt: skip
        await self.dice.choice(steps)()

    async def publish(self) -> None:
        """The next event becomes known, and sometimes again later."""
        if not self.coming:
            return
        place = self.coming.pop(0)
        _, alert, event = place
        if self.dice.random() < 0.2:
            self.coming.insert(self.dice.randrange(len(self.coming) + 1), place)
        self.stories[alert].known.add(event.id)
        if event.state == "raised":
            await self.ledger.raise_alert(event, datetime.now(UTC), [CHANNEL, OTHER])
        else:
            await self.ledger.remember(event)  # where it was not raised yet
            await self.ledger.change(event, [CHANNEL, OTHER])

    async def take(self) -> None:
        queue = self.dice.choice(self.workers)
        for taken in (await queue.take(self.dice.randint(1, 3))).taken:
            assert taken.alert not in self.leased, "one at a time"
            self.leased.add(taken.alert)
            if queue in self.workers:
                await self.work(queue, taken)
            else:  # it died at one of those before
                self.stories[taken.alert].has_doubt = True

    async def work(self, queue: Queue, taken: Taken) -> None:
        """Do with it what a worker does. The end of the lease may come later, or never."""
        one, event = self.stories[taken.alert], alert_in(taken.event)
        match next_step(taken, event, is_left_alone=False):
            case "drop":
                assert not one.sent, "what was told is taken back"
                return await self.end(queue, taken, Ending(outcome="dropped", attempts=0, went=""))
            case "expire":
                raise AssertionError("nothing is late here")
            case "send":
                pass
        fate = self.dice.choice(("well", "well", "well", "refused", "no answer", "dies", "lost"))
        if fate == "dies":
            one.has_doubt = True
            return self.die(queue)
        if fate in ("well", "lost") or (fate == "no answer" and self.dice.random() < 0.5):
            self.receive(one, event)
        if fate == "lost":  # the receiver has it, and the worker dies
            one.has_doubt = True
            return self.die(queue)
        one.has_doubt |= fate == "no answer"
        ending = (
            Ending(outcome="delivered", attempts=taken.attempt, went="well")
            if fate == "well"
            else Ending(
                outcome="failed", attempts=taken.attempt, went="badly", reason=fate,
                retry_s=60, pause_s=60, is_doubtful=fate == "no answer",
            )
        )  # fmt: skip
        if self.dice.random() < 0.3:
            self.held.append((queue, taken, ending))
            return None
        return await self.end(queue, taken, ending)

    def receive(self, one: Story, event: AlertEvent) -> None:
        assert event.id not in one.settled, "nothing is told again once it is settled"
        assert not one.sent or one.order(one.sent[-1]) <= one.order(event.id), "order is kept"
        one.sent.append(event.id)

    async def end(self, queue: Queue, taken: Taken, ending: Ending) -> None:
        event = alert_in(taken.event)
        done, _ = await queue.settle(taken, ending, event, datetime.now(UTC))
        if self.dice.random() < 0.2:  # the answer was lost, so it is said again
            assert (await queue.settle(taken, ending, event, datetime.now(UTC)))[0] == done
        one = self.stories[taken.alert]
        if done == "delivered":
            one.settled.add(event.id)
        if done == "lost":
            one.has_doubt = True
        else:
            self.leased.discard(taken.alert)

    async def finish(self) -> None:
        """A worker that was slow says what came of it."""
        if self.held:
            queue, taken, ending = self.held.pop(self.dice.randrange(len(self.held)))
            await self.end(queue, taken, ending)

    async def time_goes_by(self) -> None:
        """Leases run out, pauses are over."""
        self.leased.clear()
        for alert in await self.redis.zrange(self.keys.queue(CHANNEL), 0, -1):
            await self.redis.zadd(self.keys.queue(CHANNEL), {alert: 1}, xx=True)
        if await self.redis.exists(self.keys.breaker(CHANNEL)):
            await self.redis.hset(self.keys.breaker(CHANNEL), "until", "0")

    async def lose_an_answer(self) -> None:
        """What was taken in it is given back, and nothing else."""
        queue = self.dice.choice(self.workers)
        await queue.take(2)
        mine = [taken.alert for holder, taken, _ in self.held if holder is queue]
        await queue.release(mine)

    async def drain(self) -> None:
        """Everything comes to its end, and now all goes well."""
        while self.coming:
            await self.publish()
        self.held.clear()
        for _ in range(200):
            await self.time_goes_by()
            found = await self.workers[0].take(3)
            if not found.waiting:
                return
            for taken in found.taken:
                one, event = self.stories[taken.alert], alert_in(taken.event)
                if next_step(taken, event, is_left_alone=False) == "drop":
                    await self.end(
                        self.workers[0], taken, Ending(outcome="dropped", attempts=0, went="")
                    )
                    continue
                self.receive(one, event)
                ending = Ending(outcome="delivered", attempts=taken.attempt, went="well")
                await self.end(self.workers[0], taken, ending)
        raise AssertionError("it never came to rest")

    async def check(self) -> None:
        """What the channel was told last is what is true."""
        for alert, one in self.stories.items():
            ledger = await self.redis.hgetall(self.keys.ledger(alert))
            assert ledger[b"state"].decode() == one.state
            assert ledger[b"latest_id"].decode() == one.newest.id
            if one.state != "retracted":
                assert one.sent[-1] == one.newest.id
            elif one.sent:
                assert one.sent[-1] == one.newest.id, "what was told is taken back"
            if one.state == "retracted" and one.sent and not one.has_doubt:
                assert len(set(one.sent)) > 1, "what was never told is not taken back"
        assert await self.redis.zcard(self.keys.queue(OTHER)) == len(self.stories)
        assert await self.redis.xlen(self.keys.dead) == 0


@pytest.mark.parametrize("part", range(PARTS))
async def test_never_lost_never_twice_never_out_of_order(redis: Redis, part: int) -> None:
    for number in range(part, RUNS, PARTS):
        keys = Keys(prefix=f"queue-{os.getpid()}-{number}")
        run = Run(redis, keys, random.Random(number))
        try:
            for _ in range(STEPS):
                await run.step()
            await run.drain()
            await run.check()
        except AssertionError as error:
            raise AssertionError(f"seed {number}: {error}") from error
