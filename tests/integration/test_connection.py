"""Connections end when they are told to, and wrong addresses are named."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from service.connection import connect
from service.errors import ConfigError


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancellation_arrives_whenever_it_comes(redis: Redis, turns: int) -> None:
    await redis.ping()
    command = asyncio.create_task(redis.pipeline().hgetall("none").execute())
    for _ in range(turns):
        await asyncio.sleep(0)
    if command.done():
        return
    command.cancel()
    with pytest.raises(asyncio.CancelledError):
        await command
    assert await redis.ping()


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match=r"redis.url: Redis URL must specify one of"):
        connect("postgres://here")
