"""A server that takes what Apprise posts as JSON (its `json://` service)."""

from __future__ import annotations

from aiohttp import web

from tests.receivers.http import HttpReceiver


class JsonReceiver(HttpReceiver):
    """messages: what came, in order. types: what Apprise calls each."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.types: list[str] = []

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/", self._take)

    def visible(self) -> list[str]:
        return self.messages

    async def _take(self, request: web.Request) -> web.Response:
        said = await request.json()
        assert not said["title"]
        self.messages.append(said["message"])
        self.types.append(said["type"])
        return web.Response()
