"""What end-to-end tests share: a real browser. Without one CI fails; elsewhere they say so."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
# No sandbox: tests run as root in containers. The rest keeps it from calling home.
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str:
    """Path of the installed browser. Without one the test fails in CI and is skipped elsewhere."""
    for name in CHROMIUM_NAMES:
        if path := shutil.which(name):
            return path
    missing = f"NOT RUN: none of {', '.join(CHROMIUM_NAMES)} on PATH (apt-get install chromium)"
    if os.environ.get("CI"):
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A headless browser of its own for every test."""
    path = chromium()
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        yield running
        await running.close()
