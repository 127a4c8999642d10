"""`stoppress`, the command, and the composition root: it alone wires the parts, reads the
environment and the real clock, and imports the workers."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import click
import msgspec
import uvloop
from redis.asyncio import Redis
from rich.console import Console
from yarl import URL

from service import config, embedded
from service.client import subscribe
from service.config import PageSettings, Settings
from service.connection import connect
from service.errors import ConfigError, PageError, StoppressError
from service.events import EntryEvent, Event
from service.keys import Keys
from service.model import Page
from service.observability import configure_logs, metrics_served
from service.plain import plain
from service.store import Store
from service.subscriber import EventMessage, Message, Reset, Snapshot
from service.terminal import clock, line, listed, marked, told

# The parts are imported where they are started: none waits for what only another needs.
if TYPE_CHECKING:
    from rich.console import RenderableType

    from service.fetch import Fetcher
    from service.history import Revision
    from service.sources.base import Document, Source
    from workers.alerts.letters import Letter, Letters
    from workers.alerts.rules import Rule

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

out = Console(highlight=False, soft_wrap=True, markup=False)


def utc_now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)


# --- running -------------------------------------------------------------------------------------


def run(main: Coroutine[Any, Any, None], *, until_eof: bool = False) -> None:
    """Run until done, or until SIGINT or SIGTERM, which end everything in order with exit code 0.

    until_eof: end when standard input closes too, so that nothing outlives whoever started it.
    """
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_signalled(main, until_eof=until_eof))
    finally:
        for number in SIGNALS:  # what is left to tidy up is not to be cut short
            signal.signal(number, signal.SIG_IGN)


async def _until_signalled(main: Coroutine[Any, Any, None], *, until_eof: bool) -> None:
    task = asyncio.ensure_future(main)
    loop = asyncio.get_running_loop()
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    if until_eof:
        loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(0, 1024) else stop())
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            raise
    finally:
        if until_eof:
            loop.remove_reader(sys.stdin.fileno())


def first_error(error: BaseException) -> StoppressError | None:
    """Our own error in what was raised, looking into groups."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(first_error, error.exceptions)), None)
    return error if isinstance(error, StoppressError) else None


def main() -> None:
    """Entry point: every error of ours becomes one line, and exit code 2 for a wrong setting."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:  # a signal between two stages of the start
        sys.exit(0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `stoppress tail | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except BaseException as error:
        ours = first_error(error)
        if ours is None:
            raise
        click.echo(f"stoppress: {plain(str(ours))}", err=True)
        sys.exit(2 if isinstance(ours, ConfigError) else 1)


# --- wiring --------------------------------------------------------------------------------------


def store_of(redis: Redis, settings: Settings, url: str) -> Store:
    """The poller's view of Redis."""
    keys = Keys(settings.redis.prefix)
    return Store(
        redis,
        keys,
        max_events=settings.stream.max_events,
        history=settings.history,
        where=_without_password(url),
    )


def _how_to_reach(url: str) -> str:
    """What to type to look into the Redis at `url`."""
    if url.startswith("unix://"):
        return f"redis-cli -s {shlex.quote(URL(url).path)}"
    return f"redis-cli -u {_without_password(url)}"


def _without_password(url: str) -> str:
    parsed = URL(url).with_query(None)
    return str(parsed.with_password("***") if parsed.password else parsed)


@contextmanager
def redis_url(settings: Settings, *, start: bool) -> Iterator[str]:
    """The Redis to use: the one that is set, a running embedded one, or (start) one of our own."""
    folder = config.data_dir(settings)
    if settings.redis.url:
        yield settings.redis.url
    elif not start and embedded.is_running(folder):
        yield embedded.url(folder)
    elif start:
        with embedded.embedded(folder) as url:
            yield url
    else:
        raise ConfigError(
            "redis.url_missing",
            "no Redis to work with: redis.url is not set and no `stoppress up` is running",
            where=str(folder),
            fix="set --redis-url or STOPPRESS_REDIS_URL",
        )


async def poll_forever(settings: Settings, url: str) -> None:
    """The poller on its Redis."""
    from service.poller import Poller

    redis = connect(url)
    async with _session() as session, redis:
        fetcher = _fetcher(settings, session)
        await Poller(store_of(redis, settings, url), fetcher, settings.poll, now=utc_now).run()


async def alert_forever(settings: Settings, url: str, ready: Callable[[], None]) -> None:
    """The alerts worker on its Redis."""
    from workers.alerts.worker import alerts_worker

    keys = Keys(settings.redis.prefix)
    limit = settings.stream.max_events
    await alerts_worker(
        partial(connect, url), keys, settings.alerts, max_events=limit, now=utc_now, ready=ready
    )


async def serve_forever(
    settings: Settings, url: str, ready: Callable[[str], None], *, share_port: bool = False
) -> None:
    """The gateway on its Redis. share_port: others listen on it as well."""
    from workers.gateway.app import serve as gateway

    keys = Keys(settings.redis.prefix)
    await gateway(
        partial(connect, url), keys, settings.gateway,
        following=lambda redis: Following(store_of(redis, settings, url), settings),
        now=utc_now, ready=ready, alerts=settings.alerts, share_port=share_port,
    )  # fmt: skip


class Following:
    """Which pages are followed, for operators who ask the gateway."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, settings

    def named(self, wanted: PageSettings) -> Page:
        """The page that is meant. Raises ConfigError."""
        return page_of(wanted, self._settings)

    async def add(self, page: Page) -> tuple[Page, bool]:
        """Follow it; as it is followed now, and whether it is new."""
        is_new = await self._store.add_page(page)
        return (await self._store.pages())[page.id], is_new

    async def remove(self, page: str) -> bool:
        """Follow it no more."""
        is_followed = page in await self._store.pages()
        if is_followed:
            await self._store.remove_page(page)
        return is_followed


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())


def _fetcher(settings: Settings, session: aiohttp.ClientSession) -> Fetcher:
    from service.fetch import Fetcher

    poll = settings.poll
    return Fetcher(
        session,
        contact=poll.contact,
        timeout_s=poll.timeout_s,
        max_body_bytes=poll.max_body_bytes,
        now=utc_now,
    )


async def follow(settings: Settings, url: str, urls: tuple[str, ...]) -> list[Page]:
    """Add the pages of the settings and of the command line; all pages that are followed."""
    wanted = [*settings.pages, *(config.page_settings(each) for each in urls)]
    pages = [page_of(each, settings) for each in wanted]
    async with connect(url) as redis:
        store = store_of(redis, settings, url)
        await store.add_pages(pages)
        return list((await store.pages()).values())


def page_of(wanted: PageSettings, settings: Settings) -> Page:
    """A page to follow. Raises ConfigError for an address or source that can't be."""
    from service import sources
    from service.fetch import require_contact

    require_contact(config.address(wanted.url), settings.poll.contact)
    page = config.page_of(wanted)
    sources.check_reading(page)
    return page


async def with_store(
    settings: Settings, work: Callable[[Store], Awaitable[None]], *, start: bool = True
) -> None:
    """Do one thing with the store: on the running server, or on one started for this."""
    running = embedded.is_running(config.data_dir(settings))
    with redis_url(settings, start=start and not running) as url:
        async with connect(url) as redis:
            await work(store_of(redis, settings, url))


# --- the command ---------------------------------------------------------------------------------


class State(msgspec.Struct):
    """What the options before the command's name say."""

    file: Path | None
    overrides: dict[str, dict[str, object]]
    until_eof: bool

    def settings(self, **more: dict[str, object]) -> Settings:
        """Checked settings, with what the command's own options say."""
        settings = config.load(self.file, os.environ, {**self.overrides, **more})
        configure_logs(settings.log)
        return settings


pass_state = click.make_pass_decorator(State)


class _InOrder(click.Group):
    """Lists commands in the order in which a newcomer needs them."""

    def list_commands(self, context: click.Context) -> list[str]:
        order = [
            "up",
            "tail",
            "check",
            "pages",
            "history",
            "demo",
            "replay",
            "poll",
            "alerts",
            "gateway",
        ]
        return sorted(self.commands, key=order.index)


@click.group(
    cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="stoppress", prog_name="stoppress")
@click.option(
    "--config",
    "file",
    envvar="STOPPRESS_CONFIG",
    type=click.Path(path_type=Path),
    help="Settings file.  [default: ./stoppress.toml, if there is one]",
)
@click.option("--redis-url", metavar="URL", help="Redis or Valkey to use instead of the embedded.")
@click.option("--log-level", type=click.Choice(config.levels()), help="How much to log.")
@click.option("--until-eof", is_flag=True, hidden=True, help="End when standard input closes.")
@click.pass_context
def cli(
    context: click.Context,
    file: Path | None,
    redis_url: str | None,
    log_level: str | None,
    until_eof: bool,
) -> None:
    """Stoppress turns any live page into an event stream.

    Every entry that is published, edited or withdrawn becomes one event on a Redis stream, an alert
    if it is Breaking, and a message on a WebSocket feed.

    Start with `stoppress demo`, then `stoppress up URL`.
    """
    overrides: dict[str, dict[str, object]] = {
        "redis": {"url": redis_url},
        "log": {"level": log_level},
    }
    context.obj = State(file, overrides, until_eof)


PORT = click.IntRange(0, 65535)
contact_option = click.option(
    "--contact", metavar="EMAIL|URL", help="How a site's owner can reach you (poll.contact)."
)
host_option = click.option("--host", help="Address to listen on (gateway.host).")
port_option = click.option("--port", type=int, help="Port to listen on, 0 for any (gateway.port).")


@cli.command()
@click.argument("urls", nargs=-1, metavar="[URL]...")
@contact_option
@host_option
@port_option
@pass_state
def up(
    state: State, urls: tuple[str, ...], contact: str | None, host: str | None, port: int | None
) -> None:
    """Follow pages: poll, alert and serve, in one process.

    Without --redis-url it starts its own Valkey server and keeps its data in data_dir. Pages that
    were added before are followed too.
    """
    settings = state.settings(poll={"contact": contact}, gateway={"host": host, "port": port})
    with redis_url(settings, start=True) as url:
        run(_up(settings, url, urls), until_eof=state.until_eof)


async def _up(settings: Settings, url: str, urls: tuple[str, ...]) -> None:
    await _ping(settings, url)
    pages = await follow(settings, url, urls)
    began = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(alert_forever(settings, url, began.set))
        tasks.create_task(serve_forever(settings, url, lambda at: _welcome(at, url, pages)))
        if not settings.redis.url:
            tasks.create_task(embedded.watch(config.data_dir(settings)))
        await began.wait()  # alerts listen before anything is published
        tasks.create_task(poll_forever(settings, url))


async def _ping(settings: Settings, url: str) -> None:
    async with connect(url) as redis:
        await store_of(redis, settings, url).ping()


def _welcome(at: str, url: str, pages: list[Page]) -> None:
    out.print(f"Web page   {at}/", style="bold")
    out.print(f"Feed       {at.replace('http', 'ws', 1)}/v1/feed")
    out.print(f"Redis      {_how_to_reach(url)}")
    for page in pages:
        out.print(f"Following  {page.id}  {page.url}{'  (paused)' if page.paused else ''}")
    if not pages:
        out.print("Following  nothing yet; add a page with: stoppress pages add URL")


@cli.command()
@click.argument("urls", nargs=-1, metavar="[URL]...")
@contact_option
@pass_state
def poll(state: State, urls: tuple[str, ...], contact: str | None) -> None:
    """Poll pages and publish their events. Any number of pollers share the pages."""
    settings = state.settings(poll={"contact": contact})
    with redis_url(settings, start=False) as url:
        run(_poll(settings, url, urls), until_eof=state.until_eof)


async def _poll(settings: Settings, url: str, urls: tuple[str, ...]) -> None:
    await _ping(settings, url)
    pages = await follow(settings, url, urls)
    with metrics_served(settings.metrics) as at:
        out.print(f"Polling {len(pages)} pages on {_without_password(url)}{_metrics(at)}")
        await poll_forever(settings, url)


def _metrics(at: str) -> str:
    return f", metrics at {at}" if at else ""


@cli.group(invoke_without_command=True)
@click.pass_context
def alerts(context: click.Context) -> None:
    """Raise alerts and deliver them. Any number of workers share the work.

    With a command: look at what became of them.
    """
    if context.invoked_subcommand is not None:
        return
    state: State = context.obj
    settings = state.settings()
    with redis_url(settings, start=False) as url:
        run(_alerts(settings, url), until_eof=state.until_eof)


async def _alerts(settings: Settings, url: str) -> None:
    await _ping(settings, url)
    with metrics_served(settings.metrics) as at:
        named = f"Alerting on {_without_password(url)}{_metrics(at)}"
        await alert_forever(settings, url, lambda: out.print(named))


@alerts.command(name="explain")
@click.argument("event", metavar="EVENT|FILE|-")
@click.option("--json", "as_json", is_flag=True, help="One rule as JSON a line.")
@pass_state
def explain_command(state: State, event: str, as_json: bool) -> None:
    """Show what each rule makes of an event.

    What matches, what does not, and what would follow now.

    EVENT is the id of an event in the stream, or its place there. FILE holds one as JSON; `-` is
    standard input. Then nothing is known of what was before. Nothing is raised or changed.
    """
    run(_explain(state.settings(), event, as_json=as_json))


def _given(event: str) -> bytes | None:
    """The event in a file or on standard input; None when it is to be looked up."""
    if event == "-":
        return sys.stdin.buffer.read()
    return Path(event).read_bytes() if Path(event).is_file() else None


async def _explain(settings: Settings, wanted: str, *, as_json: bool) -> None:
    from workers.alerts import lookup
    from workers.alerts.current import CurrentRules, by_name
    from workers.alerts.explaining import explain, lines
    from workers.alerts.holding import Holding
    from workers.rulebook import Rulebook

    memories = {}
    if (data := _given(wanted)) is not None:
        event = lookup.read(data, wanted)
        rules = tuple(by_name(settings.alerts, {}).values())
    else:
        keys = Keys(settings.redis.prefix)
        with redis_url(settings, start=False) as url:
            await _ping(settings, url)
            async with connect(url) as redis:
                event = await lookup.find(redis, keys, wanted)
                current = CurrentRules(settings.alerts, Rulebook(redis, keys))
                rules = tuple((await current()).values())
                holding = Holding(redis, keys)
                memories = await lookup.memories(holding, event, rules, utc_now())
    for each in explain(event, rules, utc_now(), memories):
        if as_json:
            click.echo(msgspec.json.encode(each))
        else:
            out.print("\n".join(lines(each)))


@alerts.command(name="preview")
@click.argument("event", metavar="[EVENT|FILE|-]", required=False)
@click.option("--rule", default="breaking", show_default=True, help="Of which rule.")
@click.option("--channel", help="In this channel only, such as ntfy:phone.")
@click.option("--json", "as_json", is_flag=True, help="One text as JSON a line.")
@pass_state
def preview_command(
    state: State, event: str | None, rule: str, channel: str | None, as_json: bool
) -> None:
    """Show what alerts say in each channel.

    Raised, updated and retracted, after the templates. EVENT is the id of an event in the stream,
    or its place there. FILE holds one as JSON; `-` is standard input. Without one it is a sample.
    Nothing is sent.
    """
    run(_preview(state.settings(), event, rule, channel, as_json=as_json))


async def _preview(
    settings: Settings, wanted: str | None, rule: str, channel: str | None, *, as_json: bool
) -> None:
    from workers.alerts import lookup
    from workers.alerts.current import CurrentRules, by_name
    from workers.alerts.preview import SAMPLE, lines, previews
    from workers.alerts.worker import wording
    from workers.rulebook import Rulebook

    event: Event = SAMPLE
    rules: Mapping[str, Rule] = by_name(settings.alerts, {})
    if wanted is not None and (data := _given(wanted)) is not None:
        event = lookup.read(data, wanted)
    elif wanted is not None:
        keys = Keys(settings.redis.prefix)
        with redis_url(settings, start=False) as url:
            await _ping(settings, url)
            async with connect(url) as redis:
                event = await lookup.find(redis, keys, wanted)
                rules = await CurrentRules(settings.alerts, Rulebook(redis, keys))()
    if not isinstance(event, EntryEvent):
        what = "an event of a page is told in no alert"
        raise ConfigError("event.unknown", what, where=wanted or "")
    chosen = wording(settings.alerts, lambda name: rules[name].templates)
    if rule not in rules:
        raise ConfigError("rule.unknown", "no such rule", where=rule, fix=_known(rules))
    if channel is not None and channel not in chosen:
        what = "no such channel shows text"
        raise ConfigError("channel.unknown", what, where=channel, fix=_known(chosen))
    shown = chosen if channel is None else {channel: chosen[channel]}
    if not shown:
        raise ConfigError("channel.unknown", "no channel that shows text is set up")
    for each in previews(event, rules[rule], shown):
        if as_json:
            click.echo(msgspec.json.encode(each))
        else:
            out.print("\n".join(lines(each)))


def _known(names: Iterable[str]) -> str:
    return f"there are: {', '.join(names) or 'none'}"


@cli.command()
@host_option
@port_option
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="So many share the port. SIGHUP replaces them one by one.",
)
@click.option("--share-port", is_flag=True, hidden=True, help="Others listen on it as well.")
@pass_state
def gateway(
    state: State, host: str | None, port: int | None, processes: int, share_port: bool
) -> None:
    """Serve the WebSocket feed, the HTTP reads and the web page."""
    settings = state.settings(gateway={"host": host, "port": port})
    with redis_url(settings, start=False) as url:
        main = (
            _gateways(settings, url, processes)
            if processes > 1
            else _gateway(settings, url, share_port=share_port)
        )
        run(main, until_eof=state.until_eof)


async def _gateway(settings: Settings, url: str, *, share_port: bool) -> None:
    await _ping(settings, url)
    await serve_forever(
        settings, url, lambda at: out.print(f"Serving {at}/"), share_port=share_port
    )


async def _gateways(settings: Settings, url: str, processes: int) -> None:
    from service.several import reserved, run_several

    await _ping(settings, url)
    with reserved(settings.gateway.host, settings.gateway.port) as held:
        port = str(held.getsockname()[1])
        # As this one was started; of options that come twice the last one counts.
        command = [*sys.argv[1:], "--processes", "1", "--port", port, "--share-port"]
        await run_several(processes, command, out.print)


@cli.command(name="demo")
@click.option("--once", is_flag=True, help="Replay as fast as it can, check what arrived, end.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0.1),
    default=300.0,
    show_default=True,
    help="Times real time.",
)
@click.option("--port", type=PORT, default=8037, show_default=True, help="Of the web page; 0: any.")
@pass_state
def demo_command(state: State, once: bool, speed: float, port: int) -> None:
    """Watch a recorded page go through every part.

    Each part is a process of its own, as it would be in service. With --once it replays as fast as
    it can, prints what the page did against what arrived over the WebSocket and the alerts channel,
    and exits with 0 only if they are equal.
    """
    from service import demo

    configure_logs(state.settings().log)
    with demo.redis_server() as url:
        run(demo.demo(url, once=once, speed=speed, port=port, print_=out.print))


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--speed", type=float, default=1.0, show_default=True, help="0: as fast as polled.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=PORT, default=8080, show_default=True, help="0 takes any.")
@click.option("--max-gap", "max_gap_s", type=float, help="Shorten longer silences to SECONDS.")
@pass_state
def replay(
    state: State, path: Path, speed: float, host: str, port: int, max_gap_s: float | None
) -> None:
    """Serve a recorded page as a live page.

    Entries appear in the order and at the pace of their times. PATH is a page as text, such as
    seeds/bbc-live-2025-04-25.txt. A script beside it (PATH with .script.toml) adds edits, a
    withdrawal and outages.
    """
    run(_replay(path, host, port, speed, max_gap_s), until_eof=state.until_eof)


async def _replay(path: Path, host: str, port: int, speed: float, max_gap_s: float | None) -> None:
    from service.replay import load, serve

    recording = load(path, now=utc_now())
    site = await serve(recording, host, port, speed, now=utc_now, max_gap_s=max_gap_s)
    try:
        out.print(f"Live page  {site.url}")
        await asyncio.Event().wait()
    finally:
        await site.close()


@cli.command()
@click.option("--gateway", "at", metavar="URL", help="Gateway to read from.")
@click.option("--page", "pages", multiple=True, metavar="ID", help="Only this page; repeatable.")
@click.option("--cursor", help="Go on after this cursor instead of beginning with what is known.")
@click.option("--json", "as_json", is_flag=True, help="One CloudEvent as JSON a line.")
@pass_state
def tail(
    state: State, at: str | None, pages: tuple[str, ...], cursor: str | None, as_json: bool
) -> None:
    """Print the feed as it comes, readably."""
    settings = state.settings().gateway
    gateway = str(config.address(at or f"http://{settings.host}:{settings.port}"))
    run(_tail(gateway.rstrip("/"), pages, cursor, as_json=as_json))


async def _tail(gateway: str, pages: tuple[str, ...], cursor: str | None, *, as_json: bool) -> None:
    async for message in subscribe(gateway, page=pages, cursor=cursor).messages():
        if not as_json:
            _tell(message)
        elif isinstance(message, EventMessage):
            click.echo(message.raw)


def _tell(message: Message) -> None:
    match message:
        case EventMessage():
            out.print(line(message.event))
        case Reset():
            out.print(f"reset: {message.reason}", style="bold yellow")
        case Snapshot(page=page):
            said = plain(page.title or page.url)
            entries = f"{len(message.entries)} entries"
            out.print(f"{said}: {entries}, {message.health.status}", style="bold")


# --- alerts --------------------------------------------------------------------------------------


async def with_redis(
    settings: Settings, work: Callable[[Redis, Keys], Coroutine[Any, Any, None]]
) -> None:
    """Do one thing on Redis: on the running server, or on one started for this."""
    running = embedded.is_running(config.data_dir(settings))
    with redis_url(settings, start=not running) as url:
        async with connect(url) as redis:
            await work(redis, Keys(settings.redis.prefix))


json_option = click.option("--json", "as_json", is_flag=True, help="As JSON, one object a line.")


@alerts.command(name="list")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="At most so many.",
)
@json_option
@pass_state
def list_alerts(state: State, limit: int, as_json: bool) -> None:
    """List the last alerts.

    How far each channel is with each, and how long it took.
    """

    async def work(redis: Redis, keys: Keys) -> None:
        from workers.alerts.report import recent

        for each in await recent(redis, keys, limit):
            if as_json:
                click.echo(msgspec.json.encode(each))
                continue
            seen = "" if each.seen_s is None else f"  seen after {each.seen_s:.1f} s"
            raised = clock(datetime.fromisoformat(each.raised_at))
            more = f" and {each.entries - 1} more" if each.entries > 1 else ""
            said = f"{plain(each.title)}{more}  ({each.page}){seen}"
            out.print(f"{raised}  {each.rule}  {each.state}  {said}")
            for name, one in each.channels.items():
                sent = "" if one.sent_s is None else f" after {one.sent_s:.1f} s"
                tries = f", {one.attempts} tries" if one.attempts > 1 else ""
                reason = f", {one.reason}" if one.reason else ""
                out.print(f"  {name}  {one.state}{sent}{tries}{reason}", style="dim")

    run(with_redis(state.settings(), work))


@alerts.command(name="test")
@click.argument("channel")
@pass_state
def test_channel(state: State, channel: str) -> None:
    """Send a test alert through CHANNEL at once.

    CHANNEL is a name such as webhook:desk. What came of it is printed.
    """
    run(_test_channel(state.settings(), channel))


async def _test_channel(settings: Settings, channel: str) -> None:
    from workers.alerts.trial import try_channel

    keys, folder = Keys(settings.redis.prefix), config.data_dir(settings)
    url = settings.redis.url or embedded.url(folder)
    handle = await try_channel(settings.alerts, channel, partial(connect, url), keys, utc_now)
    out.print(f"sent through {channel}{f', as {plain(handle)}' if handle else ''}")


@alerts.group()
def dead() -> None:
    """Read, replay and drop what could not be delivered."""


def _with_letters(state: State, work: Callable[[Letters], Coroutine[Any, Any, None]]) -> None:
    from workers.alerts.letters import Letters

    settings = state.settings()
    names, deadline_s = settings.alerts.channels, settings.alerts.deadline_s
    run(
        with_redis(
            settings,
            lambda redis, keys: work(Letters(redis, keys, names, deadline_s=deadline_s)),
        )
    )


@dead.command(name="list")
@json_option
@pass_state
def list_dead(state: State, as_json: bool) -> None:
    """List the dead letters, the oldest first."""

    async def work(letters: Letters) -> None:
        for each in await letters.all():
            if as_json:
                click.echo(msgspec.json.encode(each))
                continue
            where = each.channel or f"{each.stream} {each.message}"
            tries = f"{each.attempts} tries" if each.channel else ""
            title = plain((each.event and each.event.data.entry.title) or each.detail)
            words = (each.id, each.reason, where, tries, title)
            out.print("  ".join(filter(None, map(plain, words))))

    _with_letters(state, work)


async def _letter(letters: Letters, letter_id: str) -> Letter:
    """The letter with that id. Raises ConfigError."""
    found = await letters.get(letter_id)
    if found is None:
        raise ConfigError(
            "letter.unknown", f"there is no dead letter {letter_id}", fix="see alerts dead list"
        )
    return found


@dead.command(name="show")
@click.argument("letter_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="On one line.")
@pass_state
def show_dead(state: State, letter_id: str, as_json: bool) -> None:
    """Show one dead letter with all that was to be told, as JSON."""

    async def work(letters: Letters) -> None:
        shown = msgspec.json.encode(await _letter(letters, letter_id))
        click.echo(shown if as_json else msgspec.json.format(shown, indent=2))

    _with_letters(state, work)


letters_argument = click.argument("letter_ids", nargs=-1, metavar="[ID]...")
all_option = click.option("--all", "all_", is_flag=True, help="All of them.")


async def _chosen(letters: Letters, letter_ids: tuple[str, ...], *, all_: bool) -> list[Letter]:
    if bool(letter_ids) == all_:
        raise ConfigError("letter.missing", "either ids or --all", fix="see alerts dead list")
    return await letters.all() if all_ else [await _letter(letters, one) for one in letter_ids]


@dead.command(name="replay")
@letters_argument
@all_option
@json_option
@pass_state
def replay_dead(state: State, letter_ids: tuple[str, ...], all_: bool, as_json: bool) -> None:
    """Put alerts back into the queues of their channels, with a new deadline."""

    async def work(letters: Letters) -> None:
        from workers.alerts.letters import REFUSALS

        refused = 0
        for each in await _chosen(letters, letter_ids, all_=all_):
            done = await letters.replay(each)
            refused += done != "replayed"
            if as_json:
                click.echo(msgspec.json.encode({"id": each.id, "outcome": done}))
            else:
                said = REFUSALS.get(done)
                out.print(f"{each.id}  {f'refused: {said}' if said else f'back to {each.channel}'}")
        if refused:
            raise StoppressError("letter.refused", f"{refused} could not be replayed")

    _with_letters(state, work)


@dead.command(name="drop")
@letters_argument
@all_option
@json_option
@pass_state
def drop_dead(state: State, letter_ids: tuple[str, ...], all_: bool, as_json: bool) -> None:
    """Remove dead letters for good."""

    async def work(letters: Letters) -> None:
        for each in await _chosen(letters, letter_ids, all_=all_):
            outcome = "dropped" if await letters.drop(each) else "unknown"
            if as_json:
                click.echo(msgspec.json.encode({"id": each.id, "outcome": outcome}))
            else:
                out.print(f"{each.id}  {outcome}")

    _with_letters(state, work)


# --- pages ---------------------------------------------------------------------------------------


@cli.group()
def pages() -> None:
    """Say which pages are followed. A running poller takes note within a second."""


source_option = click.option(
    "--source", metavar="NAME", help="Read it with this source.  [default: detected]"
)
zone_option = click.option(
    "--zone", metavar="NAME", help="Zone of times that name none, such as Europe/London."
)
select_option = click.option(
    "--select",
    "selected",
    multiple=True,
    metavar="WHAT=SELECTOR",
    help="For the source css: where it finds entry, title, time and so on; repeatable.",
)


def selectors(selected: tuple[str, ...]) -> dict[str, object] | None:
    """`--select` options as the table `css` of a page: entry=article, labels.breaking=.flag."""
    table: dict[str, object] = {}
    labels: dict[str, str] = {}
    for one in selected:
        what, found, selector = one.partition("=")
        if not found:
            raise ConfigError(
                "select.malformed", "no WHAT=SELECTOR", where=one, fix="such as title=h2"
            )
        if what.startswith("labels."):
            labels[what.removeprefix("labels.")] = selector
        else:
            table[what] = selector
    return table | ({"labels": labels} if labels else {}) if selected else None


@pages.command(name="add")
@click.argument("url")
@click.option("--id", "page_id", metavar="ID", help="Short name.  [default: made from the URL]")
@source_option
@select_option
@zone_option
@click.option("--older-pages", type=int, default=0, help="Older pages to read for the baseline.")
@click.option("--follow-next", is_flag=True, help="Follow the page that coverage moves on to.")
@contact_option
@pass_state
def add_page(
    state: State,
    url: str,
    page_id: str | None,
    source: str | None,
    selected: tuple[str, ...],
    zone: str | None,
    older_pages: int,
    follow_next: bool,
    contact: str | None,
) -> None:
    """Follow the page at URL."""
    settings = state.settings(poll={"contact": contact})
    wanted = config.page_settings(
        url,
        id=page_id,
        source="css" if selected else source,
        css=selectors(selected),
        zone=zone,
        older_pages=older_pages,
        follow_next=follow_next,
    )
    page = page_of(wanted, settings)

    async def work(store: Store) -> None:
        new = await store.add_page(page)
        out.print(f"{'following' if new else 'already following'} {page.id}  {page.url}")

    run(with_store(settings, work))


@pages.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one page a line.")
@pass_state
def list_pages(state: State, as_json: bool) -> None:
    """List the pages with their health."""

    async def work(store: Store) -> None:
        for page in sorted((await store.pages()).values(), key=lambda page: page.id):
            health = await store.health(page.id)
            if as_json:
                click.echo(msgspec.json.encode({"page": page, "health": health}))
                continue
            status = "paused" if page.paused else health.status if health.last_poll else "new"
            seen = f"last good poll {clock(health.last_good_poll)}"
            out.print(f"{page.id}  {status}  {seen}  {page.url}")
            if health.detail and not page.paused:
                out.print(f"  {plain(health.detail)}", style="yellow")

    run(with_store(state.settings(), work))


def _change(state: State, page_id: str, said: str, change: Callable[[Store, Page], Any]) -> None:
    """Do something to one page that is followed."""

    async def work(store: Store) -> None:
        followed = await store.pages()
        if page_id not in followed:
            raise ConfigError(
                "page.unknown",
                f"no page {page_id!r} is followed",
                fix=f"followed: {', '.join(sorted(followed)) or 'none'}",
            )
        await change(store, followed[page_id])
        out.print(f"{said} {page_id}")

    run(with_store(state.settings(), work))


@pages.command(name="remove")
@click.argument("page_id", metavar="ID")
@pass_state
def remove_page(state: State, page_id: str) -> None:
    """Stop following a page and forget its entries. Its events stay in the stream."""
    _change(state, page_id, "removed", lambda store, page: store.remove_page(page.id))


@pages.command(name="pause")
@click.argument("page_id", metavar="ID")
@pass_state
def pause_page(state: State, page_id: str) -> None:
    """Stop polling a page for now."""
    _change(state, page_id, "paused", lambda store, page: store.put_page(_paused(page, True)))


@pages.command(name="resume")
@click.argument("page_id", metavar="ID")
@pass_state
def resume_page(state: State, page_id: str) -> None:
    """Poll a paused page again."""
    _change(state, page_id, "resumed", lambda store, page: store.put_page(_paused(page, False)))


@pages.command(name="source")
@click.argument("page_id", metavar="ID")
@click.argument("source", metavar="NAME")
@pass_state
def switch_source(state: State, page_id: str, source: str) -> None:
    """Read a page with another source from now on.

    Its entries are taken as that source reads them. That is no event: no false edit is published.
    """
    from service import sources

    def switch(store: Store, page: Page) -> Awaitable[None]:
        switched = msgspec.structs.replace(page, source=source, rereads=page.rereads + 1)
        sources.check_reading(switched)
        return store.put_page(switched)

    sources.by_name(source)
    _change(state, page_id, f"reading by {source}:", switch)


def _paused(page: Page, paused: bool) -> Page:
    return msgspec.structs.replace(page, paused=paused)


# --- history -------------------------------------------------------------------------------------


@cli.command(name="history")
@click.argument("page_id", metavar="PAGE")
@click.argument("entry_id", metavar="[ENTRY]", required=False)
@click.option("--at", metavar="TIME", help="As it was then: ISO 8601, UTC where no zone is given.")
@click.option(
    "--diff",
    "pair",
    type=int,
    nargs=2,
    metavar="OLD NEW",
    help="What differs between two revisions of ENTRY.",
)
@click.option("--json", "as_json", is_flag=True, help="One revision as JSON a line.")
@pass_state
def history_command(
    state: State,
    page_id: str,
    entry_id: str | None,
    at: str | None,
    pair: tuple[int, int] | None,
    as_json: bool,
) -> None:
    """Show what a page, or one of its entries, said and when.

    Without ENTRY: every entry as it was last, or at a moment. With ENTRY: all its revisions.
    """
    moment = None if at is None else config.moment(at)
    if pair and not entry_id:
        raise ConfigError("history.entry_missing", "--diff needs an ENTRY", where=page_id)

    async def work(store: Store) -> None:
        from service import history

        events = await store.history(page_id)
        if not events:
            raise ConfigError(
                "history.empty",
                f"nothing is kept of a page {page_id!r}",
                fix=f"pages: {', '.join(sorted(await store.pages())) or 'none'}",
            )
        if entry_id is None:
            _show(history.as_of(events, moment), listed, as_json=as_json)
            return
        kept = [
            one
            for one in history.revisions(events, entry_id)
            if moment is None or one.time <= moment
        ]
        if not kept:
            raise ConfigError("history.empty", f"nothing is kept of {entry_id!r}", where=page_id)
        if pair:
            _show_difference(kept, *pair, as_json=as_json)
        else:
            _show(kept, told, as_json=as_json)

    run(with_store(state.settings(), work))


def _show(
    revisions: list[Revision], shown: Callable[[Revision], RenderableType], *, as_json: bool
) -> None:
    for each in revisions:
        if as_json:
            click.echo(msgspec.json.encode(each))
        else:
            out.print(shown(each))


def _show_difference(kept: list[Revision], old: int, new: int, *, as_json: bool) -> None:
    from service import history

    numbered = {one.revision: one.entry for one in kept}
    for wanted in (old, new):
        if wanted not in numbered:
            raise ConfigError(
                "history.revision_unknown",
                f"no revision {wanted} is kept",
                where=kept[0].entry.id,
                fix=f"kept: {', '.join(map(str, numbered))}",
            )
    runs = history.difference(numbered[old], numbered[new])
    if as_json:
        click.echo(msgspec.json.encode(runs))
        return
    for field, changes in runs.items():
        out.print(f"{field}:", style="bold")
        out.print(marked(changes))


# --- check ---------------------------------------------------------------------------------------


@cli.command(name="check")
@click.argument("where", metavar="URL|FILE")
@source_option
@select_option
@zone_option
@click.option("--json", "as_json", is_flag=True, help="Print what was seen as JSON.")
@contact_option
@pass_state
def check_command(
    state: State,
    where: str,
    source: str | None,
    selected: tuple[str, ...],
    zone: str | None,
    as_json: bool,
    contact: str | None,
) -> None:
    """Show what is seen on a page, and what is wrong.

    Reads the page at a URL or in a FILE once. Publishes nothing. For a page that no source reads it
    proposes selectors.
    """
    from service import sources

    settings = state.settings(poll={"contact": contact})
    page = config.page_of(
        config.page_settings(
            where if _is_url(where) else "http://localhost/",
            source="css" if selected else source,
            css=selectors(selected),
            zone=zone,
        )
    )
    sources.check_reading(page)
    run(_check(settings, where, page, as_json=as_json))


def _is_url(where: str) -> bool:
    return where.startswith(("http://", "https://"))


async def _check(settings: Settings, where: str, page: Page, *, as_json: bool) -> None:
    from service import check, sources

    try:
        document = await _document(settings, where, page)
        if page.source == "css" and not as_json:
            out.print(check.matches(document))
        shown = check.report(where, sources.read(document, page.source))
    except PageError as error:
        if as_json:
            click.echo(msgspec.json.encode(check.refusal(where, error)))
        raise
    if as_json:
        click.echo(msgspec.json.encode(shown))
        return
    head = shown.head
    out.print(plain((head and head.title) or "(no title)"), style="bold")
    if head and head.summary and head.summary != head.title:
        out.print(plain(head.summary), style="dim")
    named = f"{shown.source} ({shown.variant})" if shown.variant else shown.source
    out.print(f"read by {named}: {len(shown.entries)} entries\n")
    out.print(check.table(shown))
    for problem in shown.problems:
        out.print(f"! {plain(problem)}", style="yellow")


async def _document(settings: Settings, where: str, page: Page) -> Document:
    """The page as one poll would have it, with the further answers that its source wants.

    Raises PageError; for one that no source reads after it has printed proposals.
    """
    from service import check, sources
    from service.fetch import Fetched, Request
    from service.poll import with_parts

    def chosen(document: Document) -> Source:
        try:
            return sources.choose(document, page.source)
        except PageError:
            for proposal in check.proposals(where, document):
                out.print(proposal)
            raise

    if not _is_url(where):
        document = msgspec.structs.replace(_file(Path(where)), reading=page.reading)
        chosen(document)
        return document
    async with _session() as session:
        fetcher = _fetcher(settings, session)
        fetched = await fetcher.fetch(Request(str(config.address(where))))
        assert isinstance(fetched, Fetched), "an unconditional request"
        document = msgspec.structs.replace(fetched.document, reading=page.reading)
        return await with_parts(fetcher, document, chosen(document), {})


def _file(path: Path) -> Document:
    from service import sources
    from service.sources.base import Document

    try:
        body = path.read_bytes()
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError as error:
        raise ConfigError(
            "file.unreadable",
            f"cannot read it: {error.strerror}",
            where=str(path),
            fix="give a URL that begins with http:// or https://, or a file",
        ) from error
    kind = guess_type(path.name)[0] or ""
    seen_at = sources.recorded_at(path.name) or changed
    return Document(url=str(path), body=body, content_type=kind, seen_at=seen_at)


if __name__ == "__main__":
    main()
