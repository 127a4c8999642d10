"""The script beside a recording: what a final state can't show. Types and the reading of the file.

It describes earlier forms of entries and what happens to the server. Whether it fits the recording
is decided where the timeline is built.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from service import toml
from service.errors import ConfigError
from service.events import Kind

Moment = Annotated[datetime, Meta(tz=True)]
Number = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
Words = Annotated[str, Meta(min_length=1)]


class _Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the script. at: when it happens, in the recording's own time, with an offset."""

    at: Moment


class Edit(_Table, frozen=True, kw_only=True):
    """An entry said `before` until `at`, and says `after` since, as recorded.

    entry: its number in the recording. what: what a reader should find that the edit amounts to.
    """

    entry: Number
    before: str
    after: Words
    what: Kind


class Label(_Table, frozen=True, kw_only=True):
    """An entry was published without `label` and gains it at `at`."""

    entry: Number
    label: Words


class Withdrawal(_Table, frozen=True, kw_only=True):
    """An entry leaves the page and doesn't come back."""

    entry: Number


class Stale(_Table, frozen=True, kw_only=True):
    """A cache serves the page of `age_s` seconds earlier. for_s, polls: how long this lasts."""

    age_s: Seconds
    for_s: Seconds
    polls: Count


class Outage(_Table, frozen=True, kw_only=True):
    """The server answers 503. retry_after_s: what it asks for, in seconds of the real clock."""

    for_s: Seconds
    polls: Count
    retry_after_s: Count = 1


class Consent(_Table, frozen=True, kw_only=True):
    """A consent page comes instead, with status 200."""

    for_s: Seconds
    polls: Count


Hazard = Stale | Outage | Consent
Item = Edit | Label | Withdrawal | Hazard


class Script(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole script; each table may stand any number of times."""

    edit: tuple[Edit, ...] = ()
    label: tuple[Label, ...] = ()
    withdraw: tuple[Withdrawal, ...] = ()
    stale: tuple[Stale, ...] = ()
    outage: tuple[Outage, ...] = ()
    consent: tuple[Consent, ...] = ()


class Placed(Struct, frozen=True):
    """A table of a script and where it stands ("FILE [[edit]] 2"), for an error."""

    where: str
    item: Item

    def refusal(self, what: str, fix: str) -> ConfigError:
        """The error that this table doesn't fit its recording."""
        return ConfigError("script.misfit", what, where=self.where, fix=fix)


_KINDS: dict[str, type[_Table]] = {
    "edit": Edit,
    "label": Label,
    "withdraw": Withdrawal,
    "stale": Stale,
    "outage": Outage,
    "consent": Consent,
}


def beside(recording: Path) -> Path:
    """Where a recording's script is: the same name with `.script.toml` as its suffix."""
    return recording.with_suffix(".script.toml")


def read_script(path: Path) -> Script:
    """The script in a file; an empty one when there is no such file.

    Raises ConfigError that names the file, the place and what is allowed.
    """
    try:
        tree = toml.read(path, "script")
    except FileNotFoundError:
        return Script()
    return _convert(tree, path)


def placed(script: Script, path: Path) -> tuple[Placed, ...]:
    """Every table of a script, by time."""
    items = [
        Placed(f"{path} [[{name}]] {number}", item)
        for name in script.__struct_fields__
        for number, item in enumerate(getattr(script, name), start=1)
    ]
    return tuple(sorted(items, key=lambda one: one.item.at))


def _convert(tree: dict[str, Any], path: Path) -> Script:
    try:
        return msgspec.convert(tree, Script)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), path) from None


def _refusal(message: str, path: Path) -> ConfigError:
    """msgspec's message under the name that the place has in the file."""
    what, _, inner = message.partition(" - at `$")
    found = re.match(r"\.(\w+)(?:\[(\d+)\])?(?:\.(\w+))?", inner)
    table = found[1] if found else ""
    place = f" [[{table}]]" if table else ""
    if found and found[2]:
        place += f" {int(found[2]) + 1}"
    if found and found[3]:
        what = f"{found[3]}: {what[:1].lower()}{what[1:]}"
    allowed = _KINDS[table].__struct_fields__ if table in _KINDS else Script.__struct_fields__
    return ConfigError(
        "script.invalid",
        what[:1].lower() + what[1:],
        where=f"{path}{place}",
        fix=_allowed(what, allowed),
    )


def _allowed(what: str, names: tuple[str, ...]) -> str:
    if "timezone" in what:
        return "write it with an offset, like 2025-04-25T08:56:00+01:00"
    return f"allowed keys: {', '.join(names)}"
