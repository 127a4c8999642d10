"""`stoppress alerts` with a command: why there is an alert or none, and what became of each."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from redis.asyncio import Redis

from service import config, embedded
from service.cli.base import (
    State,
    json_option,
    out,
    pass_state,
    ping,
    redis_url,
    run,
    show,
    utc_now,
    with_redis,
)
from service.cli.parts import alerts
from service.config import Settings
from service.connection import connect
from service.errors import ConfigError, StoppressError
from service.events import EntryEvent, Event
from service.keys import Keys
from service.plain import plain
from service.terminal import clock

# The parts are imported where they are started: none waits for what only another needs.
if TYPE_CHECKING:
    from workers.alerts.holding import Holding
    from workers.alerts.letters import Letter, Letters
    from workers.alerts.rules import Rule


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


@asynccontextmanager
async def _looked_up(
    settings: Settings, wanted: str
) -> AsyncIterator[tuple[Event, Mapping[str, Rule], Holding | None]]:
    """An event, the rules by name, and who knows what was before; None for one that is given."""
    from workers.alerts import lookup
    from workers.alerts.current import CurrentRules, by_name
    from workers.alerts.holding import Holding
    from workers.rulebook import Rulebook

    if (data := _given(wanted)) is not None:
        yield lookup.read(data, wanted), by_name(settings.alerts, {}), None
        return
    keys = Keys(settings.redis.prefix)
    with redis_url(settings, start=False) as url:
        await ping(settings, url)
        async with connect(url) as redis:
            event = await lookup.find(redis, keys, wanted)
            rules = await CurrentRules(settings.alerts, Rulebook(redis, keys))()
            yield event, rules, Holding(redis, keys)


async def _explain(settings: Settings, wanted: str, *, as_json: bool) -> None:
    from workers.alerts import lookup
    from workers.alerts.explaining import explain, lines

    async with _looked_up(settings, wanted) as (event, by_name, holding):
        rules = tuple(by_name.values())
        memories = await lookup.memories(holding, event, rules, utc_now()) if holding else {}
    found = explain(event, rules, utc_now(), memories)
    show(found, lambda each: "\n".join(lines(each)), as_json=as_json)


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
    from workers.alerts.current import by_name
    from workers.alerts.preview import SAMPLE, lines, previews
    from workers.alerts.worker import wording

    event: Event = SAMPLE
    rules: Mapping[str, Rule] = by_name(settings.alerts, {})
    if wanted is not None:
        async with _looked_up(settings, wanted) as found:
            event, rules, _ = found
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
    texts = previews(event, rules[rule], shown)
    show(texts, lambda each: "\n".join(lines(each)), as_json=as_json)


def _known(names: Iterable[str]) -> str:
    return f"there are: {', '.join(names) or 'none'}"


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
        show(await letters.all(), _line, as_json=as_json)

    _with_letters(state, work)


def _line(letter: Letter) -> str:
    where = letter.channel or f"{letter.stream} {letter.message}"
    tries = f"{letter.attempts} tries" if letter.channel else ""
    title = (letter.event and letter.event.data.entry.title) or letter.detail
    return "  ".join(filter(None, map(plain, (letter.id, letter.reason, where, tries, title))))


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
