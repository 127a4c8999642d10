"""What all commands share: how they run, their settings, and the way to Redis."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec
import uvloop
from redis.asyncio import Redis
from rich.console import Console
from yarl import URL

from service import config, embedded
from service.config import Settings
from service.connection import connect
from service.errors import ConfigError, StoppressError
from service.keys import Keys
from service.observability import configure_logs
from service.plain import plain
from service.store import Store

if TYPE_CHECKING:
    from rich.console import RenderableType

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

out = Console(highlight=False, soft_wrap=True, markup=False)


def utc_now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)


def show(many: Iterable[T], shown: Callable[[T], RenderableType], *, as_json: bool) -> None:
    """Print each of them, as a line of JSON or as it is to be shown."""
    for each in many:
        if as_json:
            click.echo(msgspec.json.encode(each))
        else:
            out.print(shown(each))


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


# --- Redis ---------------------------------------------------------------------------------------


def store_of(redis: Redis, settings: Settings, url: str) -> Store:
    """The poller's view of Redis."""
    keys = Keys(settings.redis.prefix)
    return Store(
        redis,
        keys,
        max_events=settings.stream.max_events,
        history=settings.history,
        where=without_password(url),
    )


def how_to_reach(url: str) -> str:
    """What to type to look into the Redis at `url`."""
    if url.startswith("unix://"):
        return f"redis-cli -s {shlex.quote(URL(url).path)}"
    return f"redis-cli -u {without_password(url)}"


def without_password(url: str) -> str:
    """A Redis's address, fit to be shown."""
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


async def ping(settings: Settings, url: str) -> None:
    """Raises StoreError when Redis can't be used."""
    async with connect(url) as redis:
        await store_of(redis, settings, url).ping()


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[tuple[Redis, str]]:
    """A client of the running server, or of one started for this, and its address."""
    running = embedded.is_running(config.data_dir(settings))
    with redis_url(settings, start=not running) as url:
        async with connect(url) as redis:
            yield redis, url


async def with_store(settings: Settings, work: Callable[[Store], Awaitable[None]]) -> None:
    """Do one thing with the store: on the running server, or on one started for this."""
    async with _connected(settings) as (redis, url):
        await work(store_of(redis, settings, url))


async def with_redis(
    settings: Settings, work: Callable[[Redis, Keys], Coroutine[Any, Any, None]]
) -> None:
    """Do one thing on Redis: on the running server, or on one started for this."""
    async with _connected(settings) as (redis, _):
        await work(redis, Keys(settings.redis.prefix))


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
json_option = click.option("--json", "as_json", is_flag=True, help="As JSON, one object a line.")
