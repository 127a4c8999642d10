"""Parts that run apart serve their metrics where the settings say."""

from __future__ import annotations

import socket
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis

from service.keys import Keys
from tests.e2e.commands import ran, running

METRICS = {"poll": "stoppress_polls_total", "alerts": "stoppress_channel_open"}


@pytest.mark.parametrize("part", METRICS)
async def test_a_part_serves_its_metrics(
    tmp_path: Path, redis: Redis, redis_url: str, keys: Keys, part: str
) -> None:
    env = {"STOPPRESS_REDIS_URL": redis_url, "STOPPRESS_REDIS_PREFIX": keys.prefix}
    async with running(tmp_path, part, **env, STOPPRESS_METRICS_PORT="0") as process:
        at = (await process.says(r"metrics at (http://127\.0\.0\.1:\d+/metrics)$"))[1]
        async with aiohttp.ClientSession() as http, http.get(at) as answer:
            assert answer.status == 200
            assert METRICS[part].removesuffix("_total") in await answer.text()
        assert await process.stop() == 0


@pytest.mark.parametrize("part", METRICS)
def test_an_address_that_can_not_be_used_is_named(
    tmp_path: Path, redis_url: str, part: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        env = {"STOPPRESS_REDIS_URL": redis_url, "STOPPRESS_METRICS_PORT": port}
        done = ran(tmp_path, part, env=env)
    assert done.returncode == 2
    assert f"127.0.0.1:{port}: metrics can't be served" in done.stderr
    assert "metrics.port" in done.stderr
