"""A server like Slack's Web API and incoming webhooks, whose messages can be changed.

After https://docs.slack.dev/reference/methods/chat.postMessage and chat.update.
"""

from __future__ import annotations

import html
import re
from typing import Any

from aiohttp import web

from tests.receivers.http import HttpReceiver

TOKEN = "xoxb-1"


def shown(message: dict[str, Any]) -> str:
    """What a client shows of a message. In rich text nothing is markup."""
    (block,) = message["blocks"]
    (section,) = block["elements"]
    assert (block["type"], section["type"]) == ("rich_text", "rich_text_section")
    assert all(part["type"] in ("text", "link") for part in section["elements"])
    return "".join(part.get("text") or part["url"] for part in section["elements"])


class SlackReceiver(HttpReceiver):
    """messages: by channel and `ts`. errors: what the next calls are refused with, in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[tuple[str, str], dict[str, Any]] = {}
        self.errors: list[str] = []

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/api/chat.postMessage", self._post)
        router.add_post("/api/chat.update", self._update)
        router.add_post("/services/T1/B1/key", self._hook)

    def visible(self) -> list[str]:
        return [shown(message) for message in self.messages.values()]

    async def _post(self, request: web.Request) -> web.Response:
        said = await self._said(request)
        if error := self._error(request):
            return web.json_response({"ok": False, "error": error})
        return web.json_response({"ok": True, "channel": "C1", "ts": self._keep(said)})

    async def _update(self, request: web.Request) -> web.Response:
        said = await self._said(request)
        place = (said["channel"], said["ts"])
        error = self._error(request)
        if not error and place not in self.messages:
            error = "message_not_found"
        if error:
            return web.json_response({"ok": False, "error": error})
        self.messages[place] = said
        return web.json_response({"ok": True, "channel": place[0], "ts": place[1]})

    async def _hook(self, request: web.Request) -> web.Response:
        self._keep(await self._said(request))
        return web.Response(text="ok")

    def _keep(self, said: dict[str, Any]) -> str:
        ts = f"1745571605.{len(self.messages):06}"
        self.messages["C1", ts] = said
        return ts

    def _error(self, request: web.Request) -> str:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return "invalid_auth"
        return self.errors.pop(0) if self.errors else ""

    async def _said(self, request: web.Request) -> dict[str, Any]:
        """The call's arguments. What a notification shows has no link and names nobody."""
        said: dict[str, Any] = await request.json()
        assert said["parse"] == "none"
        assert not re.search(r"[<>]", said["text"])
        assert not re.search(r"@\w", html.unescape(said["text"]))
        return said
