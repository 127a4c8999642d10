"""The console channel: one readable line for each alert. Page text can only be read."""

from __future__ import annotations

import asyncio
from datetime import datetime, tzinfo
from typing import TextIO

from rich.console import Console
from rich.text import Text

from service.events import AlertEvent, AlertState
from service.plain import plain
from workers.alerts.channels import Undeliverable
from workers.alerts.text import others_of

TITLE_CHARACTERS = 200


_LATER: dict[AlertState, tuple[str, str]] = {
    "raised": ("", "bold"),
    "updated": (" UPDATED", "bold"),
    "retracted": (" RETRACTED", "bold strike"),
}


def line(event: AlertEvent, zone: tzinfo | None) -> Text:
    """The line for an alert. zone: of the time shown, None for this machine's."""
    entry, page, state = event.data.entry, event.data.page, event.state
    moment = (entry.published or datetime.fromisoformat(event.time)).astimezone(zone)
    word, style = _LATER[state]
    return Text.assemble(
        (plain(event.data.rule).upper() + word, "bold white on red"),
        (f" {moment:%H:%M} ", "dim"),
        (_title(event), style),
        f" and {len(others)} more" if (others := others_of(event)) else "",
        "" if state == "raised" else f" ({plain(event.data.reason)})",
        (f" — {plain(page.title or page.id)} ", "dim"),
        (plain(entry.url or page.url), "cyan"),
    )


def _title(event: AlertEvent) -> str:
    text = plain(event.data.entry.title or event.data.entry.text) or "(no title)"
    if len(text) <= TITLE_CHARACTERS:
        return text
    return text[: TITLE_CHARACTERS - 1] + "…"


class ConsoleChannel:
    """Writes alerts to a text stream; in colour when that is a terminal.

    zone: of the times shown, None for this machine's.
    """

    name = "console"
    parallel = 1

    def __init__(self, stdout: TextIO, zone: tzinfo | None = None) -> None:
        self._console = Console(file=stdout, highlight=False)
        self._zone = zone

    async def send(self, event: AlertEvent, handle: str | None = None) -> None:
        """Write the line, in a thread: a reader that doesn't read must not delay other channels."""
        try:
            text = line(event, self._zone)
            await asyncio.to_thread(self._console.print, text, soft_wrap=True)
        except (OSError, ValueError, OverflowError) as error:  # closed, or not to be said there
            raise Undeliverable("stdout_refused", str(error), retryable=False) from error
