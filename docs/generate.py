"""Writes the parts of docs/ that the types decide: JSON Schemas, examples, tables.

`python docs/generate.py` writes them; with `--check` it names the first file that is out of date
and exits with 1. It owns what stands between `<!-- generated: NAME -->` and `<!-- end -->`, and
docs/schemas/ and the descriptions that the gateway serves. It must never touch another line.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct
from msgspec import inspect as types

from docs.interfaces import asyncapi, openapi
from docs.shapes import SCHEMAS, schema
from service import config, model
from service.cli import cli
from service.diff import Doubt, Policy, advance, degraded, diff
from service.events import AlertEvent, EntryEvent, Event, PageEvent, to_json
from service.model import Author, Entry, Head, Image, Page, PageState, Paragraph, Snapshot
from service.rules import Condition, RuleSettings
from service.wording import TemplateSettings
from workers.alerts.rules import Raise, decide
from workers.gateway import protocol
from workers.gateway.dialogue import Dialogue, Say
from workers.gateway.subscription import Subscription

DOCS = Path(__file__).resolve().parent
PART = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


# --- examples ------------------------------------------------------------------------------------

BEGAN = datetime(2025, 4, 25, 9, 0, 5, tzinfo=UTC)
PAGE = Page(id="port-ellis", url="https://news.example/live/port-ellis")
EARLIER = Entry(
    id="p1",
    title="Ferries leave as planned",
    published=BEGAN - timedelta(minutes=35),
    body=(Paragraph("All morning crossings are on time."),),
    position=1,
)
BREAKING = Entry(
    id="p2",
    title="Ferry runs aground off Port Ellis",
    published=BEGAN + timedelta(minutes=9),
    labels=("breaking",),
    authors=(Author("Ana Duarte", "Transport correspondent"),),
    body=(
        Paragraph("Two people are hurt, the coastguard says."),
        Paragraph("The ferry left for the islands at 08:40."),
    ),
    media=(Image(alt="A ferry lies on rocks under a lighthouse", credit="Coastguard"),),
    url="https://news.example/live/port-ellis#p2",
    position=1,
)
EDITED = msgspec.structs.replace(
    BREAKING,
    body=(Paragraph("Four people are hurt, the coastguard says."), BREAKING.body[1]),
)


def sample() -> tuple[PageState, list[EntryEvent | PageEvent]]:
    """A page polled three times: opened, an entry published, that entry edited."""
    state, told = PageState(page=PAGE), list[EntryEvent | PageEvent]()
    below = msgspec.structs.replace(EARLIER, position=2)
    for minute, entries in ((0, (EARLIER,)), (10, (BREAKING, below)), (14, (EDITED, below))):
        seen = Snapshot(
            source="jsonld",
            head=Head(title="Port Ellis: live", summary="News from the harbour."),
            entries=entries,
            seen_at=BEGAN + timedelta(minutes=minute),
        )
        step = diff(state, seen, Policy())
        assert not isinstance(step, Doubt)
        new, state = advance(state, step, seen.seen_at)
        told += new
    return state, told


def blind(state: PageState) -> tuple[PageEvent, model.Health]:
    """What is told when the page then answers 503 three times."""
    now = BEGAN + timedelta(minutes=16)
    health = model.Health(
        status="stale",
        reason="http.503",
        detail=f"{PAGE.url}: the server answers 503 Service Unavailable",
        since=now - timedelta(seconds=30),
        last_poll=now,
        last_good_poll=state.meta.last_good_poll,
        next_poll=now + timedelta(seconds=40),
        failures=3,
    )
    told, _ = advance(state, degraded(state, health, now), now)
    assert isinstance(told[0], PageEvent)
    return told[0], health


def alert(event: Event) -> AlertEvent:
    """The alert that an event raises."""
    decision = decide(event, BEGAN + timedelta(minutes=10), config.AlertSettings().deadline_s)
    assert isinstance(decision, Raise)
    return decision.event


def examples() -> dict[str, bytes]:
    """Every example by the name of its part."""
    state, told = sample()
    event, health = blind(state)
    known = [
        protocol.KnownEntry(each.entry, each.revision, each.baseline, each.removed, each.changed)
        for each in reversed(state.entries.values())
    ]
    at = [
        protocol.cursor(
            protocol.Position(
                "5f2c81d09a3e",
                protocol.StreamId(1745571605000 + n * 240_000),
                protocol.StreamId(1745571605000),
            )
        )
        for n in range(5)
    ]
    messages: dict[str, protocol.Message | protocol.Said] = {
        "hello": protocol.Hello(
            at[2], at[0], config.GatewaySettings().heartbeat_s, protocol.Limits(16384, 600, 20)
        ),
        "snapshot": protocol.PageSnapshot(
            at[2], state.ref, "live", state.meta.head.summary, health, 4, tuple(known[1:])
        ),
        "event": protocol.EventMessage(
            at[3], "2025-04-25T09:16:05.012Z", msgspec.Raw(to_json(event))
        ),
        "cursor": protocol.CursorMessage(at[4]),
        "health": protocol.HealthMessage(PAGE.id, health),
        "reset": protocol.Reset("cursor.too_old"),
        "pong": protocol.Pong(),
        "subscribe": protocol.Subscribe("cup", protocol.Filters(page=("cup-final",))),
        "subscribed": protocol.Subscribed("cup"),
        "unsubscribe": protocol.Unsubscribe("cup"),
        "unsubscribed": protocol.Unsubscribed("cup"),
        "error": _misunderstood(),
        "ping": protocol.Ping(),
    }
    events_shown = {"published": told[2], "edited": told[3], "alert": alert(told[2])}
    encoded = {f"message-{name}": msgspec.json.encode(each) for name, each in messages.items()}
    return encoded | {f"event-{name}": to_json(each) for name, each in events_shown.items()}


def _misunderstood() -> protocol.Error:
    answered = Dialogue(Subscription()).hear('{"type":"dance"}')
    assert isinstance(answered, Say)
    assert isinstance(answered.message, protocol.Error)
    return answered.message


def _fenced(example: bytes) -> str:
    return f"```json\n{msgspec.json.format(example, indent=2).decode()}\n```\n"


# --- tables --------------------------------------------------------------------------------------

# What the docstrings leave to a setting's name, or say of two settings at once.
MEANINGS = {
    "poll.floor_s": "shortest time between two polls of a page that answers",
    "poll.ceiling_s": "longest time between two polls of a page that answers",
    "poll.timeout_s": "longest time that one fetch may take",
    "poll.max_body_bytes": "largest body of one fetch, after decompression",
    "gateway.host": "address to listen on; beyond this machine it takes keys or `gateway.open`",
    "gateway.port": "port to listen on; 0 takes a free one",
    "gateway.heartbeat_s": "how often subscribers hear of health, and must answer a ping",
    "gateway.keys.NAME.secret": "the key itself",
    "gateway.keys.NAME.operate": "it may change which pages are followed, and rules",
    "gateway.jwt.secret": "for tokens signed with HS256 and its like",
    "gateway.jwt.jwks_url": "where the public keys of tokens are",
    "gateway.jwt.audience": "what a token must be for",
    "gateway.jwt.issuer": "who must have made it",
    "gateway.max_subscribers": "feed connections at once; more are refused",
    "gateway.max_message_bytes": "largest message that a subscriber may send",
    "alerts.console": "print alerts to standard output",
    "alerts.rules.NAME.when.kind": "what an edit amounts to",
    "alerts.rules.NAME.quiet": "hours without its alerts, whatever their priority; `none` for none",
    "alerts.templates.title": "the headline that people see",
    "alerts.templates.raised": "the text below it",
    "alerts.templates.updated": "the text below it on an update",
    "alerts.templates.retracted": "the text below it on a retraction",
    "metrics.host": "address on which `stoppress poll` and `stoppress alerts` serve metrics",
    "metrics.port": "its port, 0 for any; without one they serve none",
    "log.level": "the least that is logged, to standard error",
    "log.format": "`auto`: coloured lines on a terminal, JSON elsewhere",
    "pages.url": "the page's address",
    "pages.id": "its short name; made from the address when left out",
    "pages.follow_next": "follow the page that it names as its successor too",
    "pages.css.entry": "selector of an entry's element",
    "pages.css.id": "its id",
    "pages.css.title": "its title",
    "pages.css.time": "when it was published",
    "pages.css.updated": "when it was changed",
    "pages.css.body": "its text; all of the entry when left out",
    "pages.css.author": "its author",
    "pages.css.url": "its own address",
    "pages.css.skip": "what is left out of its text",
    "pages.css.head_title": "the page's title",
    "pages.css.head_summary": "the page's summary",
    "pages.css.ended": "what the page shows once coverage is over",
}
# Of every channel that has it.
OF_CHANNELS = {
    "timeout_s": "longest time that one try may take",
    "allow_private": "it may be in a private network; without it only public addresses are used",
}
_NAMES = {types.FloatType: "number", types.IntType: "whole number", types.BoolType: "boolean"}


class Setting(Struct, frozen=True):
    """One row of the table. variable: "" where none can set it."""

    name: str
    variable: str
    kind: str
    default: str
    allowed: str
    meaning: str


def settings() -> list[Setting]:
    """Every setting, in the order of the types."""
    rows = list(_section("", config.Settings))
    for name, kind in config.SECTIONS.items():
        rows += _section(f"{name}.", kind)
    rows += _section("gateway.keys.NAME.", config.KeySettings)
    rows += _section("gateway.jwt.", config.JwtSettings)
    rows += _section("alerts.rules.NAME.", RuleSettings)
    rows += _section("alerts.rules.NAME.when.", Condition)
    rows += _section("alerts.push.", config.PushSettings)
    rows += _section("alerts.templates.", TemplateSettings)
    # Each kind of channel that shows text has the same ones.
    for place in ("rules.NAME", "push", "KIND.NAME"):
        rows += _section(f"alerts.{place}.templates.", TemplateSettings)
    for table, kind in config.CHANNELS.items():
        rows += _section(f"alerts.{table}.NAME.", kind)
    rows += _section("pages.", config.PageSettings)
    return rows + list(_section("pages.css.", model.Selectors))


def _section(prefix: str, kind: type[Struct]) -> Iterator[Setting]:
    found = types.type_info(kind)
    assert isinstance(found, types.StructType)
    said = _said(kind)
    # A table inside a table, and one of several, can't be set by a variable.
    settable = prefix.count(".") < 2 and kind is not config.PageSettings
    for field in found.fields:
        if _is_table(_some(field.type)):
            continue
        name = prefix + field.name
        fits = settable and field.name not in config.TABLES
        variable = f"STOPPRESS_{name}".replace(".", "_").upper() if fits else ""
        shown, allowed = _kind(field.type)
        meaning = MEANINGS.get(name) or said.get(field.name) or OF_CHANNELS[field.name]
        yield Setting(name, variable, shown, _default(field), allowed, meaning)


def _is_table(kind: types.Type) -> bool:
    if isinstance(kind, types.VarTupleType):
        return isinstance(kind.item_type, types.StructType)
    return isinstance(kind, types.StructType | types.DictType)


def _some(kind: types.Type) -> types.Type:
    """The type without None."""
    if not isinstance(kind, types.UnionType):
        return kind
    return next(one for one in kind.types if not isinstance(one, types.NoneType))


def _said(kind: type[Struct]) -> dict[str, str]:
    """What a docstring says of each field, as "name: words" or "name, name: words"."""
    name = "(?:" + "|".join(kind.__struct_fields__) + ")"
    heads = rf"\b({name}(?:, {name})*): "
    _, *parts = re.split(heads, " ".join((inspect.getdoc(kind) or "").split()))
    said: dict[str, str] = {}
    for names, words in zip(parts[::2], parts[1::2], strict=True):
        said |= dict.fromkeys(names.split(", "), words.strip().rstrip("."))
    return said


def _kind(kind: types.Type) -> tuple[str, str]:
    """A type's name and its bounds, in words."""
    match kind:
        case types.UnionType():
            return _kind(_some(kind))
        case types.LiteralType(values=values):
            return "text", ", ".join(f"`{value}`" for value in values)
        case types.StrType(pattern=pattern):
            return "text", f"`{pattern}`" if pattern else ""
        case types.VarTupleType(item_type=item):
            name, allowed = _kind(item)
            return f"list of {name}", allowed
        case types.FloatType() | types.IntType():
            return _NAMES[type(kind)], _bounds(kind)
        case _:
            return _NAMES[type(kind)], ""


def _bounds(kind: types.FloatType | types.IntType) -> str:
    said = ((kind.gt, "above"), (kind.ge, "at least"), (kind.lt, "below"), (kind.le, "at most"))
    return ", ".join(f"{word} {bound:g}" for bound, word in said if bound is not None)


def _default(field: types.Field) -> str:
    if field.required:
        return "required"
    match field.default:
        case None:
            return "none"
        case bool() as flag:
            return f"`{str(flag).lower()}`"
        case str() as words:
            return f'`"{words}"`'
        case tuple() as values:
            return f"`{msgspec.json.encode(values).decode()}`"
        case number:
            return f"`{number}`"


def _settings_table() -> str:
    head = ("Setting", "Type", "Default", "Allowed", "Meaning", "Variable")
    rows = [
        (f"`{s.name}`", s.kind, s.default, s.allowed, s.meaning, s.variable and f"`{s.variable}`")
        for s in settings()
    ]
    return _table(head, *rows)


def commands() -> dict[str, click.Command]:
    """Every command by the words that call it."""
    return dict(_commands("", cli))


def _commands(name: str, group: click.Group) -> Iterator[tuple[str, click.Command]]:
    for inner, command in group.commands.items():
        full = f"{name} {inner}".strip()
        if not isinstance(command, click.Group):
            yield full, command
            continue
        if command.invoke_without_command:
            yield full, command
        yield from _commands(full, command)


def _commands_table() -> str:
    rows = []
    for name, command in commands().items():
        is_group = isinstance(command, click.Group)  # its commands have rows of their own
        pieces = [] if is_group else command.collect_usage_pieces(click.Context(command))
        does = (command.help or "").split("\n\n")[0].replace("\n", " ")
        optional = {"[OPTIONS]", "[COMMAND] [ARGS]..."}
        arguments = " ".join(piece for piece in pieces if piece not in optional)
        rows.append((f"`{' '.join(filter(None, ('stoppress', name, arguments)))}`", does))
    return _table(("Command", "What it does"), *rows)


def _table(head: tuple[str, ...], *rows: tuple[str, ...]) -> str:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (head, *rows)]
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([lines[0], "|" + " --- |" * len(head), *lines[1:]]) + "\n"


# --- files ---------------------------------------------------------------------------------------


def parts() -> dict[str, str]:
    """Every generated part of a page by its name."""
    fenced = {name: _fenced(example) for name, example in examples().items()}
    return fenced | {"settings": _settings_table(), "commands": _commands_table()}


def files() -> dict[Path, str]:
    """Every file with a generated part, as it should be."""
    wanted = {DOCS / "schemas" / f"{name}.json": _pretty(schema(name)) for name in SCHEMAS}
    served = DOCS.parent / "workers/gateway/static"
    wanted[served / "openapi.json"] = _pretty(openapi())
    wanted[served / "asyncapi.json"] = _pretty(asyncapi())
    known = parts()
    for page in sorted(DOCS.glob("*.md")):
        wanted[page] = _filled(page.read_text("utf-8"), known)
    return wanted


def _pretty(document: dict[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _filled(page: str, known: Mapping[str, str]) -> str:
    return PART.sub(lambda found: f"{found[1]}{known[found['name']]}{found[3]}", page)


def outdated() -> list[Path]:
    """The files that are not as they should be."""
    return [
        path
        for path, text in files().items()
        if not path.is_file() or path.read_text("utf-8") != text
    ]


def main(arguments: list[str]) -> None:
    """Write the files, or check them."""
    stale = outdated()
    if arguments == ["--check"]:
        if stale:
            sys.exit(f"{stale[0].relative_to(DOCS.parent)} is out of date; run: make docs")
        return
    wanted = files()
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(wanted[path], "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
