"""The commands that look: at the feed, at what an entry said before, and at a page."""

from __future__ import annotations

from datetime import UTC, datetime
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from service import config
from service.cli.base import State, cli, contact_option, out, pass_state, run, show, with_store
from service.cli.pages import select_option, selectors, source_option, zone_option
from service.cli.wiring import fetcher_of, http_session
from service.client import subscribe
from service.config import Settings
from service.errors import ConfigError, PageError
from service.model import Page
from service.plain import plain
from service.store import Store
from service.subscriber import EventMessage, Message, Reset, Snapshot
from service.terminal import line, listed, marked, told

# The parts are imported where they are started: none waits for what only another needs.
if TYPE_CHECKING:
    from service.history import Revision
    from service.sources.base import Document, Source


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
            show(history.as_of(events, moment), listed, as_json=as_json)
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
            show(kept, told, as_json=as_json)

    run(with_store(state.settings(), work))


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
    async with http_session() as session:
        fetcher = fetcher_of(settings, session)
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
