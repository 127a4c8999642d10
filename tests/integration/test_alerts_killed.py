"""A worker killed with SIGKILL at any step costs no alert, and a second try has the same id."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs
from structlog.typing import EventDict

from service.config import AlertSettings, WebhookSettings
from service.connection import connect
from service.events import to_fields
from service.keys import Keys
from tests.alert_samples import Receiver, entry_event, until
from workers.alerts.worker import alerts_worker

# A worker that says at which point it is and then kills itself there.
RUNNER = """
import asyncio, os, signal, sys
from datetime import UTC, datetime
from service.config import AlertSettings, LogSettings, WebhookSettings
from service.connection import connect
from service.keys import Keys
from service.observability import configure_logs
from workers.alerts.worker import alerts_worker

configure_logs(LogSettings())
redis_url, prefix, webhook_url, secret, fatal = sys.argv[1:]

def checkpoint(point):
    if point == fatal:
        os.write(1, f"at {point}\\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)

webhook = WebhookSettings(url=webhook_url, secret=secret, allow_private=True)
asyncio.run(alerts_worker(
    lambda: connect(redis_url),
    Keys(prefix=prefix),
    AlertSettings(console=False, claim_after_s=1.0, webhooks={"ops": webhook}),
    max_events=1000,
    now=lambda: datetime.now(UTC),
    ready=lambda: os.write(1, b"ready\\n"),
    checkpoint=checkpoint,
))
"""


@pytest.fixture(autouse=True)
def logs() -> Any:
    with capture_logs() as captured:
        yield captured


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().serving() as receiver:
        yield receiver


async def killed_at(point: str, redis: Redis, redis_url: str, keys: Keys, url: str) -> None:
    """Publish a breaking entry to a worker process that dies at that point; prove that it did."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", RUNNER, redis_url, keys.prefix, url, Receiver.SECRET, point),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    await redis.xadd(keys.events, to_fields(entry_event()))  # type: ignore[arg-type]
    assert (await process.stdout.read()).decode() == f"at {point}\n"
    assert await process.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("point", "sent_before", "sent_after"),
    [
        ("alert.raised", 0, 1),
        ("alert.reserved", 0, 1),
        ("alert.sent", 1, 2),
        ("alert.recorded", 1, 1),
    ],
)
async def test_a_second_worker_finishes_what_a_killed_one_began(
    redis: Redis,
    redis_url: str,
    keys: Keys,
    receiver: Receiver,
    logs: list[EventDict],
    point: str,
    sent_before: int,
    sent_after: int,
) -> None:
    await killed_at(point, redis, redis_url, keys, receiver.url)
    assert len(receiver.ids) == sent_before
    webhook = WebhookSettings(url=receiver.url, secret=Receiver.SECRET, allow_private=True)
    worker = asyncio.create_task(
        alerts_worker(
            lambda: connect(redis_url),
            keys,
            AlertSettings(console=False, claim_after_s=1.0, webhooks={"ops": webhook}),
            max_events=1000,
            now=lambda: datetime.now(UTC),
        )
    )
    try:
        await until_nothing_is_pending(redis, keys)
        await until(lambda: len(receiver.ids) == sent_after)
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    assert len(receiver.ids) == sent_after
    assert len(set(receiver.ids)) == 1
    assert await redis.xlen(keys.alerts) == 1
    assert await redis.hget(keys.ledger(receiver.ids[0]), "webhook:ops:state") == b"delivered"
    assert await redis.xlen(keys.dead) == 0


async def until_nothing_is_pending(redis: Redis, keys: Keys) -> None:
    groups = ((keys.events, "alerts"), (keys.alerts, "channel:webhook:ops"))
    async with asyncio.timeout(30):
        while sum([(await redis.xpending(*group))["pending"] for group in groups]):
            await asyncio.sleep(0.01)
