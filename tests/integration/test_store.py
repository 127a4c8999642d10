"""The commit: fenced, versioned, whole, and the same however often it is tried."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from service.diff import Doubt, Policy, advance, diff
from service.errors import ConfigError, CorruptionError, StoreError
from service.events import EntryEvent, Event, PageEvent
from service.keys import Keys
from service.model import Entry, Health, Page, PageState
from service.store import Store
from tests.pages import PAGE, entry, page_of
from tests.stream import events_in

TTL_MS = 60_000
Step = tuple[list[EntryEvent | PageEvent], PageState]


@pytest.fixture
async def store(redis: Redis, keys: Keys) -> Store:
    store = Store(redis, keys, max_events=1000)
    await store.put_page(PAGE)
    return store


def step(state: PageState, *entries: Entry) -> Step:
    snapshot = page_of(entries)
    result = diff(state, snapshot, Policy())
    assert not isinstance(result, Doubt)
    return advance(state, result, snapshot.seen_at)


async def stream(redis: Redis, keys: Keys) -> list[Event]:
    return await events_in(redis, keys.events)


async def owned(store: Store) -> tuple[int, PageState]:
    token = await store.acquire(PAGE.id, TTL_MS)
    assert token is not None
    return token, await store.load(PAGE)


async def test_what_is_committed_is_what_is_loaded(store: Store, redis: Redis, keys: Keys) -> None:
    token, before = await owned(store)
    events, after = step(before, entry(1), entry(2))
    await store.commit(token, before, after, events, Health())
    assert await store.load(PAGE) == after
    assert await stream(redis, keys) == events
    assert await store.health(PAGE.id) == Health()


async def test_a_step_that_is_tried_again_is_written_once(
    store: Store, redis: Redis, keys: Keys
) -> None:
    token, before = await owned(store)
    events, after = step(before, entry(1))
    for _ in range(3):
        await store.commit(token, before, after, events, Health())
    assert await stream(redis, keys) == events


async def test_a_retry_is_a_success_even_when_the_lease_is_gone(store: Store) -> None:
    token, before = await owned(store)
    events, after = step(before, entry(1))
    await store.commit(token, before, after, events, Health())
    await store.release(PAGE.id, token)
    await store.commit(token, before, after, events, Health())


async def test_a_poller_that_lost_its_lease_writes_nothing(
    store: Store, redis: Redis, keys: Keys
) -> None:
    old, before = await owned(store)
    await redis.delete(keys.lease(PAGE.id))  # as if it had run out
    new, _ = await owned(store)
    assert new > old
    events, after = step(before, entry(1))
    with pytest.raises(StoreError) as refused:
        await store.commit(old, before, after, events, Health())
    assert refused.value.code == "lease.lost"
    assert await stream(redis, keys) == []
    assert await store.load(PAGE) == before


async def test_a_step_from_an_outdated_state_is_refused(
    store: Store, redis: Redis, keys: Keys
) -> None:
    token, before = await owned(store)
    events, after = step(before, entry(1))
    await store.commit(token, before, after, events, Health())
    other_events, other = step(before, entry(1), entry(2))
    with pytest.raises(StoreError) as refused:
        await store.commit(token, before, other, other_events, Health())
    assert refused.value.code == "page.version"
    assert await stream(redis, keys) == events


async def test_two_pollers_that_see_the_same_change_write_it_once(
    store: Store, redis: Redis, keys: Keys
) -> None:
    token, before = await owned(store)
    steps = [step(before, entry(1), entry(2)) for _ in range(8)]
    await asyncio.gather(
        *(store.commit(token, before, after, events, Health()) for events, after in steps)
    )
    assert await stream(redis, keys) == steps[0][0]


async def test_nothing_is_written_when_the_stream_cannot_be(
    store: Store, redis: Redis, keys: Keys
) -> None:
    await redis.set(keys.events, "something else")
    token, before = await owned(store)
    events, after = step(before, entry(1))
    with pytest.raises(StoreError, match="WRONGTYPE"):
        await store.commit(token, before, after, events, Health())
    assert await store.load(PAGE) == before


@pytest.mark.parametrize("name", ["history", "entries", "events"])
async def test_a_foreign_key_in_the_place_of_ours_lets_nothing_be_written(
    store: Store, redis: Redis, keys: Keys, name: str
) -> None:
    place = keys.events if name == "events" else getattr(keys, name)(PAGE.id)
    token, before = await owned(store)
    await redis.set(place, "foreign")
    events, after = step(before, entry(1))
    for _ in range(2):
        with pytest.raises(StoreError):
            await store.commit(token, before, after, events, Health())
    assert name == "events" or await stream(redis, keys) == []


async def test_a_lease_is_held_by_one_and_renewed_only_by_it(
    store: Store, redis: Redis, keys: Keys
) -> None:
    token, _ = await owned(store)
    assert await store.acquire(PAGE.id, TTL_MS) is None
    assert await store.renew(PAGE.id, token, TTL_MS)
    assert not await store.renew(PAGE.id, token + 1, TTL_MS)
    await store.release(PAGE.id, token + 1)
    assert await redis.exists(keys.lease(PAGE.id))
    await store.release(PAGE.id, token)
    assert await store.acquire(PAGE.id, TTL_MS) == token + 1


async def test_a_page_that_is_followed_again_goes_on_in_its_chain(
    store: Store, redis: Redis, keys: Keys
) -> None:
    token, before = await owned(store)
    events, after = step(before, entry(1), entry(2))
    await store.commit(token, before, after, events, Health())
    await store.remove_page(PAGE.id)
    assert await store.acquire(PAGE.id, TTL_MS) is None
    assert await store.pages() == {}
    await store.add_page(PAGE)
    token, before = await owned(store)
    again, after = step(before, entry(1), entry(2))
    await store.commit(token, before, after, again, Health())
    told = await stream(redis, keys)
    assert [event.number for event in told] == list(range(1, 7))
    assert told[3].previousid == events[-1].id
    assert len({event.id for event in told}) == 6


async def test_an_id_belongs_to_one_page(store: Store) -> None:
    assert not await store.add_page(PAGE)
    assert await store.add_page(Page(id="other", url="http://127.0.0.1/other"))
    with pytest.raises(ConfigError, match="choose another --id"):
        await store.add_page(Page(id=PAGE.id, url="http://127.0.0.1/other"))


async def test_state_that_we_did_not_write_is_refused_loudly(
    store: Store, redis: Redis, keys: Keys
) -> None:
    await redis.hset(keys.meta(PAGE.id), "meta", "{}x")  # type: ignore[misc]
    with pytest.raises(CorruptionError, match="page meta"):
        await store.load(PAGE)


async def test_a_redis_that_is_not_there_is_one_clear_error(keys: Keys) -> None:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    url = "redis://127.0.0.1:1"
    async with Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as nowhere:
        with pytest.raises(StoreError, match=r"^redis://127.0.0.1:1: Redis does not answer"):
            await Store(nowhere, keys, max_events=10, where=url).ping()
