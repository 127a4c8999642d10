"""The commands that run a part, or all of them, until they are told to end."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from service import config, embedded
from service.cli.base import (
    PORT,
    State,
    cli,
    contact_option,
    host_option,
    how_to_reach,
    out,
    pass_state,
    ping,
    port_option,
    redis_url,
    run,
    utc_now,
    without_password,
)
from service.cli.wiring import alert_forever, follow, poll_forever, serve_forever
from service.config import Settings
from service.model import Page
from service.observability import configure_logs, metrics_served


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
    await ping(settings, url)
    pages = await follow(settings, url, urls)
    began = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(alert_forever(settings, url, began.set))
        tasks.create_task(serve_forever(settings, url, lambda at: _welcome(at, url, pages)))
        if not settings.redis.url:
            tasks.create_task(embedded.watch(config.data_dir(settings)))
        await began.wait()  # alerts listen before anything is published
        tasks.create_task(poll_forever(settings, url))


def _welcome(at: str, url: str, pages: list[Page]) -> None:
    out.print(f"Web page   {at}/", style="bold")
    out.print(f"Feed       {at.replace('http', 'ws', 1)}/v1/feed")
    out.print(f"Redis      {how_to_reach(url)}")
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
    await ping(settings, url)
    pages = await follow(settings, url, urls)
    with metrics_served(settings.metrics) as at:
        out.print(f"Polling {len(pages)} pages on {without_password(url)}{_metrics(at)}")
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
    await ping(settings, url)
    with metrics_served(settings.metrics) as at:
        named = f"Alerting on {without_password(url)}{_metrics(at)}"
        await alert_forever(settings, url, lambda: out.print(named))


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
    await ping(settings, url)
    await serve_forever(
        settings, url, lambda at: out.print(f"Serving {at}/"), share_port=share_port
    )


async def _gateways(settings: Settings, url: str, processes: int) -> None:
    from service.several import reserved, run_several

    await ping(settings, url)
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
