"""Dead letters: what could not be delivered or read, for an operator to read, replay or drop."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Literal, cast

from msgspec import Struct
from redis.asyncio import Redis

from service.errors import ConfigError, CorruptionError
from service.events import AlertEvent, from_fields
from service.keys import Keys
from workers.alerts.ledger import KEEP_S, script
from workers.consumer import DEAD_LETTERS

Replayed = Literal["replayed", "unknown", "forgotten", "retracted", "told", "unreadable", "closed"]
# Why a letter was not replayed.
REFUSALS: dict[Replayed, str] = {
    "unknown": "there is no such letter any more",
    "forgotten": "its alert is forgotten: that was too long ago",
    "retracted": "its alert was retracted meanwhile",
    "told": "its channel has the newest state of the alert",
    "unreadable": "it is no alert but something in a stream that could not be read",
    "closed": "its channel is not among the settings any more",
}
_ID = re.compile(r"\d+-\d+")


class Letter(Struct, frozen=True, omit_defaults=True):
    """A dead letter. id: in its stream. event: what was to be told; None when it is no alert.

    channel, alert, attempts, died_at: of an alert. detail, stream, group, message: of something
    that could not be read, and where it stood.
    """

    id: str
    reason: str
    channel: str = ""
    alert: str = ""
    attempts: int = 0
    died_at: str = ""
    event: AlertEvent | None = None
    detail: str = ""
    stream: str = ""
    group: str = ""
    message: str = ""


class Letters:
    """The stream of dead letters. Every method raises what redis-py raises.

    channels: those of the settings, by name. deadline_s: for so long a replay is tried.
    """

    def __init__(
        self, redis: Redis, keys: Keys, channels: Collection[str], *, deadline_s: float
    ) -> None:
        self._redis, self._keys = redis, keys
        self._channels, self._deadline_s = channels, deadline_s
        self._replay = script(redis, "replay")

    async def all(self) -> list[Letter]:
        """All letters, oldest first."""
        return await self._read("-", "+", DEAD_LETTERS * 2)

    async def get(self, letter_id: str) -> Letter | None:
        """One letter, if it is there. Raises ConfigError for what is no id of a letter."""
        if not _ID.fullmatch(letter_id):
            raise ConfigError(
                "letter.malformed",
                f"{letter_id!r} is no id of a dead letter",
                fix="`stoppress alerts dead list` shows them, such as 1745571605000-0",
            )
        return next(iter(await self._read(letter_id, letter_id, 1)), None)

    async def replay(self, letter: Letter) -> Replayed:
        """Put an alert back into its channel's queue and remove its letter, in one step.

        Returns what came of it; nothing is done unless that is `replayed`.
        """
        if letter.event is None:
            return "unreadable"
        if letter.channel not in self._channels:
            return "closed"
        keep_s = KEEP_S + int(self._deadline_s)
        done = await self._replay(
            keys=[
                self._keys.queue(letter.channel), self._keys.ledger(letter.alert), self._keys.dead,
            ],
            args=[
                letter.channel, letter.alert, letter.id, letter.event.type,
                int(self._deadline_s * 1000), keep_s,
            ],
        )  # fmt: skip
        return cast("Replayed", done.decode())

    async def drop(self, letter: Letter) -> bool:
        """Remove a letter for good; False when it was gone."""
        return bool(await self._redis.xdel(self._keys.dead, letter.id))

    async def _read(self, first: str, last: str, most: int) -> list[Letter]:
        found = await self._redis.xrange(self._keys.dead, first, last, most)
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", found)
        return [_letter(letter_id, fields) for letter_id, fields in entries]


def _letter(letter_id: bytes, fields: dict[bytes, bytes]) -> Letter:
    said = {
        name: fields[name.encode()].decode("utf-8", "replace")
        for name in Letter.__struct_fields__
        if name.encode() in fields and name not in ("id", "event", "attempts")
    }
    event: Any
    try:
        event = from_fields(fields) if "channel" in said else None
    except CorruptionError:
        event = None
    if not isinstance(event, AlertEvent):
        event = None
    said.setdefault("reason", "unknown")
    attempts = int(fields.get(b"attempts", b"0"))
    return Letter(id=letter_id.decode(), event=event, attempts=attempts, **said)
