"""README's quick start, command by command, on the replayed sample.

Only addresses differ: the replay stands in for the page on the web, and ports are free ones.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from msgspec import Struct
from playwright.async_api import Browser

from service import config
from service.connection import connect
from service.embedded import embedded
from tests.e2e.commands import ROOT, SEED, Running, environ, ran, running

README = (ROOT / "README.md").read_text("utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
FAST = {"STOPPRESS_POLL_FLOOR_S": "0.2", "STOPPRESS_POLL_CEILING_S": "0.5"}
WEB_PAGE = "https://www.bbc.com/news/live/c7p765ynk9qt"


def block(beginning: str) -> str:
    """The one code block that begins like this."""
    found = [text for _, text in BLOCKS if text.startswith(beginning)]
    assert len(found) == 1, f"{len(found)} blocks in README begin with {beginning!r}"
    return found[0]


def lines(beginning: str) -> list[list[str]]:
    """The commands of a block, as words, without `stoppress` in front."""
    words = [shlex.split(line, comments=True) for line in block(beginning).splitlines()]
    return [[word for n, word in enumerate(each) if n or word != "stoppress"] for each in words]


def test_every_code_block_is_run_by_a_test_here() -> None:
    assert [text.split("\n")[0].split(" ")[0:2] for _, text in BLOCKS] == [
        ["make", "demo"],
        ["export", 'PATH="$PWD/.venv/bin:$PATH"'],
        ["stoppress", "check"],
        ["stoppress", "up"],
        ["stoppress", "replay"],
        ["stoppress", "tail"],
        ["import", "asyncio,"],
        ["const", "feed"],
        ["redis-cli", "-s"],
        ["import", "os,"],
        ["[alerts.webhooks.desk]"],
        ["export", "STOPPRESS_REDIS_URL=redis://127.0.0.1:6379"],
    ]


def test_the_two_commands_are_the_first_thing_and_exist() -> None:
    """CI runs `make test` itself, and test_demo what `make demo` runs."""
    assert BLOCKS[0][1] == block("make demo")
    for words in lines("make demo"):
        subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, check=True, capture_output=True)


def test_the_settings_load(tmp_path: Path) -> None:
    (tmp_path / "stoppress.toml").write_text(block("[alerts.webhooks.desk]"))
    secret = "whsec_" + "A" * 32
    loaded = config.load(tmp_path / "stoppress.toml", {"DESK_WEBHOOK_SECRET": secret}, {})
    assert loaded.alerts.webhooks["desk"].secret == secret
    assert loaded.alerts.rules["goals"].when is not None


class Stage(Struct):
    """A replayed page that is followed by `stoppress up`, as README has it."""

    home: Path
    page: str
    gateway: str
    up: Running

    def environ(self) -> dict[str, str]:
        kept = environ(self.home, HOME=str(self.home))
        del kept["STOPPRESS_DATA_DIR"]  # README's default, below HOME
        return kept

    def here(self, text: str) -> str:
        """README's text with this stage's addresses."""
        return text.replace(WEB_PAGE, self.page).replace(
            "127.0.0.1:8037", self.gateway.removeprefix("http://")
        )


@pytest.fixture
def home() -> Iterator[Path]:
    """A short name, as homes have: the socket lies below it, and its path is bounded."""
    with tempfile.TemporaryDirectory(prefix="home-") as path:
        yield Path(path)


@pytest.fixture
async def stage(home: Path) -> AsyncIterator[Stage]:
    replay, up = lines("stoppress replay")
    async with AsyncExitStack() as stack:

        async def start(words: list[str], **env: str) -> Running:
            variables = environ(home, HOME=str(home), **env)
            return await stack.enter_async_context(
                running(home, *words, **{**variables, "STOPPRESS_DATA_DIR": str(data)})
            )

        data = home / ".local/share/stoppress"
        replay[replay.index("--port") + 1] = "0"
        replay[replay.index("--speed") + 1] = "100"  # an entry every few seconds, for minutes
        replay[1] = str(SEED)
        page = (await (await start([*replay, "--max-gap", "600"])).says(r"http\S+"))[0]
        process = await start([up[0], page, "--port", "0"], **FAST)
        gateway = (await process.says(r"Web page +(\S+)/"))[1]
        yield Stage(home, page, gateway, process)


def test_check_and_up_take_the_options_that_are_shown(tmp_path: Path) -> None:
    """On the real page they need the web; here they must get as far as asking for it."""
    for beginning in ("stoppress check", "stoppress up"):
        words = [w.replace(WEB_PAGE, "http://127.0.0.1:1/live") for w in lines(beginning)[0]]
        shown = ran(tmp_path, *words, "--help")
        assert shown.returncode == 0, shown.stderr
    checked = ran(tmp_path, *words_of_check("http://127.0.0.1:1/live"))
    assert "127.0.0.1:1" in checked.stderr


def words_of_check(page: str) -> list[str]:
    return [word.replace(WEB_PAGE, page) for word in lines("stoppress check")[0]]


async def test_check_reads_the_followed_page(stage: Stage) -> None:
    async with running(stage.home, *words_of_check(stage.page)) as check:
        await check.says(r"read by bbc \(markup\): [0-9]+ entries")


async def test_tail_shows_the_feed_readably_and_as_json(stage: Stage) -> None:
    readable, as_json = lines("stoppress tail")
    async with (
        running(stage.home, *readable, "--gateway", stage.gateway) as shown,
        running(stage.home, *as_json, "--gateway", stage.gateway) as told,
    ):
        await asyncio.gather(shown.says("(new|BREAKING) "), told.says('^{"specversion":"1.0"'))


async def test_python_subscribes_and_reads_the_stream(stage: Stage) -> None:
    for beginning in ("import asyncio, aiohttp", "import os, redis"):
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            stage.here(block(beginning)),
            env=stage.environ(),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            await Running(program).says(r"stoppress\.entry\.published asset:")
        finally:
            program.kill()
            await program.communicate()


async def test_a_browser_subscribes(stage: Stage, browser: Browser) -> None:
    page = await browser.new_page()
    await page.goto(stage.gateway)
    async with page.expect_console_message(lambda m: "stoppress.entry" in m.text, timeout=60_000):
        await page.evaluate(f"() => {{{stage.here(block('const feed'))}}}")


async def test_redis_cli_reads_the_stream(stage: Stage) -> None:
    """With redis-cli where it is installed, else with the same words over the same socket."""
    await stage.up.says("poll.completed")
    words = [w.replace("~", str(stage.home)) for w in lines("redis-cli")[0]]
    if shutil.which("redis-cli"):
        shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    else:
        async with connect(f"unix://{words[2]}") as redis:
            shown = str(await redis.execute_command(*words[3:]))
    assert "stoppress.page.opened" in shown


async def test_the_parts_run_apart(tmp_path: Path) -> None:
    export, add, *parts = lines("export STOPPRESS_REDIS_URL")
    assert export[1].startswith("STOPPRESS_REDIS_URL=")
    with embedded(tmp_path / "server", sync=False) as url:
        env = {"STOPPRESS_REDIS_URL": url, "STOPPRESS_GATEWAY_PORT": "0"}
        assert "following" in ran(tmp_path, *add, env=env).stdout
        for words in parts:
            async with running(tmp_path, *words, **env) as part:
                await part.says("^(Polling 1 pages|Alerting|Serving) ")
                assert await part.stop() == 0
