"""What end-to-end tests share: a real browser. Without one they fail, saying what to install."""

from __future__ import annotations

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
    """Path of the installed browser. Fails the test when there is none: no skip hides it."""
    for name in CHROMIUM_NAMES:
        if path := shutil.which(name):
            return path
    pytest.fail(
        f"no browser: looked for {', '.join(CHROMIUM_NAMES)} on PATH (apt-get install chromium)",
        pytrace=False,
    )


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A headless browser of its own for every test."""
    path = chromium()
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        yield running
        await running.close()
