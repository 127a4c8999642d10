"""What all tests share: one embedded server a session, a prefix of its own for every test."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from service.config import LogSettings
from service.connection import connect
from service.embedded import embedded
from service.keys import Keys
from service.observability import configure_logs

ROOT = Path(__file__).parent.parent
SEED = ROOT / "seeds" / "bbc-live-2025-04-25.txt"
_numbers = itertools.count(1)

# As the program itself does. Left alone structlog draws all local variables around a fault, which
# takes seconds of the event loop.
configure_logs(LogSettings(level="debug", format="console"))


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the session's embedded server."""
    with embedded(tmp_path_factory.mktemp("valkey"), sync=False) as url:
        yield url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client that answers bytes."""
    client = connect(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def keys() -> Keys:
    """Keys that no other test uses."""
    return Keys(prefix=f"test-{os.getpid()}-{next(_numbers)}")


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real captured pages; tests that need it are skipped, saying so, without it."""
    folder = Path(os.environ.get("STOPPRESS_CORPUS", ROOT.parent / "shared" / "corpus"))
    if not folder.is_dir():
        pytest.skip(f"no corpus of real pages at {folder}; set STOPPRESS_CORPUS")
    return folder
