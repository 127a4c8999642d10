"""A server like ntfy 2.16: publishing JSON, sequence ids, and what a device shows of them.

After https://docs.ntfy.sh/publish/ and server/server.go.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

from aiohttp import web

from tests.receivers.http import HttpReceiver

MESSAGE_BYTES = 4096


class NtfyReceiver(HttpReceiver):
    """token: that must be given. shown: the notifications of a device, by sequence id."""

    def __init__(self, token: str | None = None) -> None:
        super().__init__()
        self.token = token
        self.shown: dict[str, dict[str, Any]] = {}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/", self._publish)

    def visible(self) -> list[str]:
        return [f"{each['title']}\n{each['message']}" for each in self.shown.values()]

    async def _publish(self, request: web.Request) -> web.Response:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"code": 40301, "http": 403, "error": "forbidden"}, status=403)
        said = await request.json()
        number = secrets.token_hex(6)
        place = said.get("sequence_id", number)
        valid = (
            re.fullmatch(r"[-_A-Za-z0-9]{1,64}", said["topic"])
            and re.fullmatch(r"[-_A-Za-z0-9]{1,64}", place)
            and said.get("priority", 3) in range(1, 6)
            and isinstance(said.get("tags", []), list)
            and len(said["message"].encode()) <= MESSAGE_BYTES
        )
        if not valid:
            return web.json_response({"code": 40017, "http": 400, "error": "invalid"}, status=400)
        assert not said.get("markdown")
        self.shown[place] = said
        return web.json_response({"id": number, "event": "message", "sequence_id": place})
