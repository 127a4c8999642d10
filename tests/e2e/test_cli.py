"""The command as people use it: real processes, real ends, and one clear line when it can't be."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import click
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from service.cli import cli
from service.connection import connect
from service.embedded import url as embedded_url
from service.events import EntryEvent
from tests.e2e.commands import SEED, environ, ran, running
from tests.live_site import live_site
from tests.pages import entry
from tests.stream import events_in
from tests.waiting import eventually

FAST = {"STOPPRESS_POLL_FLOOR_S": "0.1", "STOPPRESS_POLL_CEILING_S": "0.2"}


def commands() -> list[tuple[str, ...]]:
    """Every command and subcommand."""
    return list(_below((), cli))


def _below(name: tuple[str, ...], group: click.Group) -> Iterator[tuple[str, ...]]:
    for inner, command in group.commands.items():
        yield (*name, inner)
        if isinstance(command, click.Group):
            yield from _below((*name, inner), command)


@pytest.mark.parametrize("command", [(), *commands()], ids=" ".join)
def test_help_says_what_a_command_does(tmp_path: Path, command: tuple[str, ...]) -> None:
    shown = ran(tmp_path, *command, "--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith("Usage: ")
    assert "..." not in re.sub(r"\[\w+\]\.\.\.|\[?COMMAND\]? \[ARGS\]\.\.\.", "", shown.stdout)


async def cursor(gateway: str) -> str:
    """Where the one page that is followed stands now."""
    async with aiohttp.ClientSession() as session:

        async def place() -> str | None:
            async with session.get(f"{gateway}/v1/pages") as answer:
                page = (await answer.json())["pages"][0]
            async with session.get(f"{gateway}/v1/pages/{page['page']['id']}") as answer:
                return (await answer.json())["cursor"] if page["sequence"] else None

        return str(await eventually(place, "a page with events"))


async def test_up_follows_a_page_keeps_what_it_knows_and_ends_cleanly(tmp_path: Path) -> None:
    async with live_site([entry(1), entry(2)]) as site:
        async with running(tmp_path, "up", site.url, "--port", "0", **FAST) as up:
            at = (await up.says(r"Web page +(\S+)/"))[1]
            await up.says("Following")
            async with running(tmp_path, "tail", "--gateway", at) as tail:
                await tail.says("2 entries, healthy")
                site.entries += [entry(3, title="Third")]
                await tail.says("new +Third")
                assert await tail.stop() == 0
            listed = ran(tmp_path, "pages", "list")
            assert "healthy" in listed.stdout
            assert await up.stop() == 0
        site.entries += [entry(4, title="While it was down")]
        async with running(tmp_path, "up", "--port", "0", **FAST) as up:
            at = (await up.says(r"Web page +(\S+)/"))[1]
            place = await cursor(at)
            site.entries += [entry(5)]
            async with running(tmp_path, "tail", "--json", "--cursor", place, "--gateway", at) as t:
                event = json.loads((await t.says('"subject":"e5"')).string)
            assert await up.stop(signal.SIGTERM) == 0
    assert event["sequence"] == f"{6:020d}"


async def test_the_stream_holds_what_the_feed_showed(tmp_path: Path) -> None:
    """The two terminals: `stoppress up`, and XREAD on the socket that it prints."""
    async with (
        live_site([entry(1), entry(2)]) as site,
        running(tmp_path, "up", site.url, "--port", "0", **FAST) as up,
    ):
        at = (await up.says(r"Web page +(\S+)/"))[1]
        socket = (await up.says(r"Redis +redis-cli -s (\S+)"))[1]
        await up.says("poll.completed")
        place = await cursor(at)
        site.entries += [entry(3), entry(4)]
        async with running(tmp_path, "tail", "--json", "--cursor", place, "--gateway", at) as tail:
            fed = [json.loads((await tail.says(f'"subject":"e{n}"')).string) for n in (3, 4)]
        async with connect(f"unix://{socket}") as redis:
            events = await events_in(redis, "stoppress:{0}:events")
    assert socket == embedded_url(tmp_path / "data").removeprefix("unix://")
    assert [event.id for event in events[-2:]] == [event["id"] for event in fed]
    assert [e.subject for e in events if isinstance(e, EntryEvent)] == ["e1", "e2", "e3", "e4"]


async def test_up_ends_when_its_server_does(tmp_path: Path) -> None:
    """Going on without a store would be blindness; whoever supervises it can start it again."""
    async with (
        live_site([entry(1)]) as site,
        running(tmp_path, "up", site.url, "--port", "0") as up,
    ):
        await up.says("poll.completed")
        servers = [c for c in up.children() if c.name().startswith("valkey")]
        servers[0].kill()
        await up.says("^stoppress: .*the embedded server has ended .*start again")
        assert await up.process.wait() == 1


async def test_pages_are_added_paused_resumed_and_removed(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/live"
    assert "following desk" in ran(tmp_path, "pages", "add", url, "--id", "desk").stdout
    assert "already following" in ran(tmp_path, "pages", "add", url, "--id", "desk").stdout
    assert ran(tmp_path, "pages", "pause", "desk").stdout == "paused desk\n"
    ran(tmp_path, "pages", "add", url, "--id", "desk")
    assert "desk  paused" in ran(tmp_path, "pages", "list").stdout
    assert ran(tmp_path, "pages", "resume", "desk").stdout == "resumed desk\n"
    listed = json.loads(ran(tmp_path, "pages", "list", "--json").stdout)
    assert listed["page"].items() >= {"id": "desk", "url": url, "paused": False}.items()
    assert ran(tmp_path, "pages", "remove", "desk").stdout == "removed desk\n"
    assert ran(tmp_path, "pages", "list").stdout == ""


def test_check_shows_what_a_source_sees(tmp_path: Path) -> None:
    shown = ran(tmp_path, "check", str(SEED))
    assert shown.returncode == 0
    assert "read by text: 20 entries" in shown.stdout
    seen = json.loads(ran(tmp_path, "check", str(SEED), "--json").stdout)
    assert seen["ok"] is True
    assert seen["entries"][0]["labels"] == ["breaking"]
    assert seen["entries"][0]["published"] == "2025-04-25T09:17:00Z"


async def test_check_reads_a_page_over_http(tmp_path: Path) -> None:
    async with live_site([entry(1)]) as site, running(tmp_path, "check", site.url) as check:
        await check.says("read by jsonld: 1 entries")


# What can't be: one line that says what, where and what to do; never a traceback.


def refuses(folder: Path, *args: str, says: str, **env: str) -> None:
    shown = ran(folder, *args, env=env)
    lines = shown.stderr.strip().splitlines()
    assert shown.returncode in {1, 2}, shown
    assert len(lines) == 1, shown.stderr
    assert re.search(says, lines[0]), lines[0]


def test_a_missing_recording_is_named(tmp_path: Path) -> None:
    refuses(tmp_path, "replay", "none.txt", says=r"^stoppress: none.txt: no such file")


def test_a_malformed_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("Nothing that looks like an entry")
    refuses(tmp_path, "replay", "bad.txt", says=r"bad.txt: .*\(")


def test_a_file_that_is_no_live_page_is_named(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html><body><p>Hello</p></body></html>")
    refuses(tmp_path, "check", "page.html", says="page.html: no source reads this page")


async def test_a_url_that_is_no_live_page_is_named(tmp_path: Path) -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html><p>Hello</p></html>", content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/", page)])
    async with (
        TestServer(app) as server,
        running(tmp_path, "check", str(server.make_url("/"))) as c,
    ):
        await c.says("^stoppress: .*no source reads this page")
        assert await c.process.wait() == 1


async def test_html_without_entries_is_named(tmp_path: Path) -> None:
    async with live_site([]) as site, running(tmp_path, "check", site.url) as check:
        await check.says("^stoppress: .*")
        assert await check.process.wait() == 1


def test_a_page_elsewhere_needs_a_contact(tmp_path: Path) -> None:
    refuses(tmp_path, "up", "https://news.example/live", says="--contact")
    refuses(tmp_path, "check", "https://news.example/live", says="--contact")


@pytest.mark.parametrize("url", ["http://[bad", "http://127.0.0.1:99999/"])
@pytest.mark.parametrize("command", ["pages add", "check", "tail --gateway"])
def test_an_address_that_cannot_be_is_named(tmp_path: Path, command: str, url: str) -> None:
    refuses(tmp_path, *command.split(), url, says=rf"^stoppress: {re.escape(url)}: no web address")


def test_page_text_brings_no_markup_into_a_terminal(tmp_path: Path) -> None:
    heading = (
        "  1. [/b] [red]Title[/red] \x1b[31m published at 10:17 British Summer Time 25 April\n"
    )
    (tmp_path / "page.txt").write_text(f"Live [/b] coverage\n\nSummary\n\n{heading}\n    Text.\n")
    shown = ran(tmp_path, "check", "page.txt")
    assert shown.returncode == 0, shown.stderr
    assert "[/b] [red]Title[/red]" in shown.stdout
    assert "\x1b" not in shown.stdout


async def test_what_was_said_before_can_be_read_back(tmp_path: Path) -> None:
    async with (
        live_site([entry(1), entry(2, text="Two people are hurt.")]) as site,
        running(tmp_path, "up", site.url, "--port", "0", **FAST) as up,
    ):
        page = (await up.says(r"Following +(\S+)"))[1]
        await up.says("poll.completed")
        site.entries[1] = entry(2, text="Three people are hurt.")
        await up.says('"events":1')
        listed = ran(tmp_path, "history", page).stdout
        told = ran(tmp_path, "history", page, "e2").stdout
        diff = ran(tmp_path, "history", page, "e2", "--diff", "1", "2").stdout
        one = json.loads(ran(tmp_path, "history", page, "--json").stdout.splitlines()[0])
        before = ran(tmp_path, "history", page, "--at", "2020-01-01").stdout
        refuses(tmp_path, "history", page, "--at", "noon", says="^stoppress: noon: no time")
        refuses(tmp_path, "history", page, "e9", says="nothing is kept of 'e9'")
        refuses(tmp_path, "history", page, "e2", "--diff", "1", "7", says="no revision 7 .*1, 2")
        refuses(tmp_path, "history", "desk", says=f"nothing is kept of a page 'desk'.*{page}")
    assert [line.split()[0] for line in listed.splitlines()] == ["2", "1"]
    assert "[-Two-]{+Three+} people are hurt." in told
    assert diff == "body:\n[-Two-]{+Three+} people are hurt.\n"
    assert (one["entry"]["id"], one["revision"]) == ("e2", 2)
    assert before == ""


def test_how_a_page_is_to_be_read_is_checked_when_it_is_added(tmp_path: Path) -> None:
    add = ("pages", "add", "http://127.0.0.1:1/live")
    refuses(tmp_path, *add, "--zone", "Mars/Base", says="zone Mars/Base is no IANA time zone")
    refuses(tmp_path, *add, "--select", "entry", says="entry: no WHAT=SELECTOR")
    refuses(tmp_path, *add, "--select", "title=h2", says="missing required field `entry`")
    refuses(
        tmp_path,
        *add,
        "--select",
        "entry=p",
        "--select",
        "boddy=p",
        says="css.boddy.*allowed:.*body",
    )
    refuses(tmp_path, *add, "--source", "css", says="belong together")
    refuses(tmp_path, *add, "--older-pages", "-1", says="older_pages")


LOG = "".join(
    f'<div class="log-item" data-id="i{n}"><h3>Incident {n}</h3>'
    f'<time datetime="2026-04-25T10:0{n}:00Z">10:0{n}</time>'
    f"<p>What happened as number {n}, in a few words.</p></div>"
    for n in range(6)
)


def test_a_page_that_no_source_reads_is_read_by_the_selectors_that_are_proposed(
    tmp_path: Path,
) -> None:
    page = f"<!doctype html><html><head><title>Log</title></head><body>{LOG}</body></html>"
    (tmp_path / "log.html").write_text(page)
    refused = ran(tmp_path, "check", "log.html")
    assert refused.returncode == 1
    assert "no source reads this page" in refused.stderr
    proposal = re.search(r"stoppress (check log.html .*--select .*)", refused.stdout)
    assert proposal is not None
    shown = ran(tmp_path, *shlex.split(proposal[1]))
    assert shown.returncode == 0, shown.stderr
    assert "read by css: 6 entries" in shown.stdout
    assert re.search(r"^entry +\S+ +6 of", shown.stdout, re.MULTILINE)
    assert "Incident 5" in shown.stdout
    refuses(
        tmp_path, "check", "log.html", "--select", "entry=p[", says="entry = .* is no selector|p\\["
    )


def test_an_address_that_is_no_url_is_named(tmp_path: Path) -> None:
    refuses(
        tmp_path, "pages", "add", "news.example", says="^stoppress: news.example: url: expected"
    )


@pytest.mark.parametrize("command", ["up", "poll", "alerts", "gateway"])
def test_a_redis_that_is_down_is_named(tmp_path: Path, command: str) -> None:
    url = f"redis://127.0.0.1:{unused_port()}"
    refuses(tmp_path, "--redis-url", url, command, says=f"{url}: Redis does not answer")


def test_a_redis_that_refuses_is_named_without_its_password(tmp_path: Path, redis_url: str) -> None:
    """The embedded server knows no user of that name."""
    path = redis_url.removeprefix("unix://")
    url = f"unix://desk:secret@{path}"
    shown = ran(tmp_path, "--redis-url", url, "poll")
    assert "Redis does not answer" in shown.stderr
    assert "secret" not in shown.stderr
    assert len(shown.stderr.strip().splitlines()) == 1


def test_a_redis_url_with_an_unknown_option_is_named(tmp_path: Path) -> None:
    refuses(tmp_path, "--redis-url", "redis://127.0.0.1:9?foo=1", "poll", says="redis.url: .*foo")


def test_a_contact_that_cannot_be_sent_is_named(tmp_path: Path) -> None:
    refuses(
        tmp_path, "check", "http://127.0.0.1:1/", "--contact", "a\nb: c", says="--contact: expected"
    )


def test_pages_whose_names_clash_are_refused_before_any_is_followed(tmp_path: Path) -> None:
    pages = ["http://127.0.0.1:1/a/live", "http://127.0.0.1:1/b/live"]
    refuses(tmp_path, "up", "--port", "0", *pages, says="pages add URL --id NAME")
    assert ran(tmp_path, "pages", "list").stdout == ""


def test_without_any_redis_a_part_says_where_to_get_one(tmp_path: Path) -> None:
    refuses(tmp_path, "poll", says="no Redis to work with.*--redis-url")


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    async with live_site([]) as site:
        port = site.url.split(":")[2].split("/")[0]
        refuses(tmp_path, "replay", str(SEED), "--port", port, says=f"127.0.0.1:{port}: the port")
        refuses(tmp_path, "up", "--port", port, says=f"127.0.0.1:{port}: the port is in use")


async def test_a_bad_cursor_is_named(tmp_path: Path) -> None:
    async with running(tmp_path, "up", "--port", "0") as up:
        at = (await up.says(r"Web page +(\S+)/"))[1]
        async with running(tmp_path, "tail", "--gateway", at, "--cursor", "bad") as tail:
            await tail.says("^stoppress: .*this is no cursor")
            assert await tail.process.wait() == 1


async def test_a_server_that_is_no_gateway_is_named(tmp_path: Path) -> None:
    async with live_site([]) as site:
        at = site.url.removesuffix("/live")
        async with running(tmp_path, "tail", "--gateway", at) as tail:
            await tail.says("^stoppress: .*this is no gateway of Stoppress")


@pytest.mark.parametrize("delay_s", [0.02, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("command", ["up", "gateway", "demo"])
def test_ctrl_c_during_the_start_is_a_clean_end(
    tmp_path: Path, command: str, delay_s: float
) -> None:
    """From the first line of ours on; before it the interpreter alone is at work."""
    program = "import service.__main__ as m, sys; sys.argv[1:] = sys.argv[2:]; print(1, flush=True)"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{program}; m.main()", "x", command, "--port", "0"],
        cwd=tmp_path,
        env=environ(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    time.sleep(delay_s)  # the moment is what is tested
    with suppress(ProcessLookupError):  # `gateway` has no Redis and may have said so by now
        os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert "Traceback" not in said
    assert process.returncode == 0 or "no Redis to work with" in said


def test_a_gateway_that_is_not_there_is_named(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{unused_port()}"
    refuses(tmp_path, "tail", "--gateway", url, says=f"^stoppress: {url}: no gateway answers here")


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[poll", "stoppress.toml: not valid TOML"),
        ("[poll]\nflor_s = 1", "stoppress.toml: unknown setting poll.flor_s.*allowed: .*floor_s"),
        ("[gateway]\nport = 'x'", "stoppress.toml: gateway.port: expected `int`"),
    ],
)
def test_a_bad_settings_file_is_named(tmp_path: Path, toml: str, says: str) -> None:
    (tmp_path / "stoppress.toml").write_text(toml)
    refuses(tmp_path, "up", says=says)


def test_an_unknown_variable_is_named(tmp_path: Path) -> None:
    refuses(tmp_path, "up", says="^stoppress: STOPPRESS_POL_FLOOR_S", STOPPRESS_POL_FLOOR_S="1")


async def test_a_data_folder_has_one_owner(tmp_path: Path) -> None:
    async with running(tmp_path, "up", "--port", "0") as up:
        await up.says("Web page")
        refuses(tmp_path, "up", "--port", "0", says="another stoppress uses this folder")


async def test_an_unknown_page_is_named_with_those_that_are_followed(tmp_path: Path) -> None:
    ran(tmp_path, "pages", "add", "http://127.0.0.1:1/live", "--id", "desk")
    refuses(tmp_path, "pages", "remove", "dusk", says="no page 'dusk' is followed .*followed: desk")
