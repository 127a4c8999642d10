"""A server like Discord's webhooks, that keeps messages and lets them be changed.

After https://docs.discord.com/developers/resources/webhook.
"""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from tests.receivers.http import HttpReceiver

PATH = "/api/webhooks/1/token"


def shown(content: str) -> str:
    """What a client shows of a message: escaped marks as they are, others taken away."""
    bare = re.sub(r"\\[^0-9A-Za-z\s]", "", content)
    assert not re.search(r"[\[\]`#|_]", re.sub(r"<https?://[^\s>]+>", "", bare))
    marks = re.compile(r"\\([^0-9A-Za-z\s])|\*\*|~~|<(https?://[^\s>]+)>")
    return marks.sub(lambda found: found[1] or found[2] or "", content)


class DiscordReceiver(HttpReceiver):
    """messages: by id. is_removed: the webhook is there no more. threads: of each request."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[str, dict[str, Any]] = {}
        self.is_removed = False
        self.threads: list[str | None] = []

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post(PATH, self._post)
        router.add_patch(PATH + "/messages/{id}", self._change)

    def visible(self) -> list[str]:
        return [shown(message["content"]) for message in self.messages.values()]

    async def _post(self, request: web.Request) -> web.Response:
        self.threads.append(request.query.get("thread_id"))
        if self.is_removed:
            return self._refused(404, 10015, "Unknown Webhook")
        said = await request.json()
        if not self._is_valid(said):
            return self._refused(400, 50035, "Invalid Form Body")
        number = str(900 + len(self.messages))
        self.messages[number] = said
        if request.query.get("wait") != "true":
            return web.Response(status=204)
        return web.json_response({"id": number, "content": said["content"]})

    async def _change(self, request: web.Request) -> web.Response:
        self.threads.append(request.query.get("thread_id"))
        number = request.match_info["id"]
        if number not in self.messages:
            return self._refused(404, 10008, "Unknown Message")
        said = await request.json()
        if not self._is_valid(said):
            return self._refused(400, 50035, "Invalid Form Body")
        self.messages[number] = said
        return web.json_response({"id": number})

    def _is_valid(self, said: dict[str, Any]) -> bool:
        assert said["allowed_mentions"] == {"parse": []}
        return 1 <= len(said["content"]) <= 2000

    def _refused(self, status: int, code: int, message: str) -> web.Response:
        return web.json_response({"code": code, "message": message}, status=status)
