"""`stoppress pages`: which pages are followed, and how."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import click
import msgspec

from service import config
from service.cli.base import State, cli, contact_option, out, pass_state, run, with_store
from service.cli.wiring import page_of
from service.errors import ConfigError
from service.model import Page
from service.plain import plain
from service.store import Store
from service.terminal import clock


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
