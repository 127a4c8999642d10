"""Those who ask the same at once share an answer, and it is never older than their question."""

from __future__ import annotations

import asyncio
import gc

import pytest

from workers.gateway.protocol import Position, StreamId, cursor
from workers.gateway.shared import Shared, State


class World:
    """Time goes on with every question that is begun."""

    def __init__(self) -> None:
        self.time, self.asked = 0, 0
        self.gate = asyncio.Event()

    async def look(self) -> int:
        self.asked += 1
        seen = self.time
        await self.gate.wait()
        return seen


async def test_an_answer_is_shared_and_begun_after_each_question() -> None:
    world, shared = World(), Shared[int]()
    first = [asyncio.create_task(shared.ask("state", world.look)) for _ in range(100)]
    await asyncio.sleep(0.01)
    world.time = 1
    later = [asyncio.create_task(shared.ask("state", world.look)) for _ in range(100)]
    await asyncio.sleep(0.01)
    world.time = 2
    world.gate.set()
    assert set(await asyncio.gather(*first)) == {0}
    assert set(await asyncio.gather(*later)) == {2}
    assert world.asked == 2
    assert await shared.ask("state", world.look) == 2
    assert world.asked == 3, "nothing is kept"


async def test_different_questions_do_not_wait_for_each_other() -> None:
    world, shared = World(), Shared[int]()
    waiting = asyncio.create_task(shared.ask("slow", world.look))
    await asyncio.sleep(0.01)

    async def quick() -> int:
        return 7

    assert await shared.ask("quick", quick) == 7
    world.gate.set()
    await waiting


async def test_an_error_is_told_to_all_who_asked_and_to_nobody_after() -> None:
    shared = Shared[int]()

    async def fail() -> int:
        raise ConnectionError("no Redis")

    told = await asyncio.gather(*(shared.ask(1, fail) for _ in range(3)), return_exceptions=True)
    assert [str(one) for one in told] == ["no Redis"] * 3

    async def answer() -> int:
        return 1

    assert await shared.ask(1, answer) == 1


async def test_who_stops_waiting_disturbs_nobody() -> None:
    world, shared = World(), Shared[int]()
    one, two = (asyncio.create_task(shared.ask(1, world.look)) for _ in range(2))
    await asyncio.sleep(0.01)
    one.cancel()
    world.gate.set()
    assert await two == 0
    with pytest.raises(asyncio.CancelledError):
        await one


async def test_what_nobody_waits_for_is_asked_no_more_and_whoever_comes_then_asks_anew() -> None:
    world, shared = World(), Shared[int]()
    begun = [asyncio.create_task(shared.ask(1, world.look)) for _ in range(2)]
    await asyncio.sleep(0.01)
    not_begun = asyncio.create_task(shared.ask(1, world.look))
    await asyncio.sleep(0.01)
    for one in (*begun, not_begun):
        one.cancel()
    await asyncio.gather(*begun, not_begun, return_exceptions=True)
    world.time = 1
    again = asyncio.create_task(shared.ask(1, world.look))
    await asyncio.sleep(0.01)
    assert asyncio.all_tasks() - {asyncio.current_task(), again} <= {*shared._begun.values()}
    world.gate.set()
    assert await again == 1
    assert world.asked == 2
    assert not shared._waiting


@pytest.mark.filterwarnings("error")
async def test_an_error_that_nobody_waits_for_is_no_trouble() -> None:
    shared = Shared[int]()

    async def fail() -> int:
        await asyncio.sleep(0.01)
        raise ConnectionError

    asking = asyncio.create_task(shared.ask(1, fail))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.sleep(0.05)
    gc.collect()


def test_a_state_is_encoded_once_in_each_form() -> None:
    at = Position("0123456789ab", StreamId(5))
    state = State(at, ())
    assert state.encoded("v1") is state.encoded("v1")
    assert state.encoded("sse") != state.encoded("v1")
    assert len(state.encoded("v1")) == 1
    assert cursor(at).encode() in state.encoded("v1")[0]
