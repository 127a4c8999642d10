"""A server like Telegram's Bot API, that keeps messages and lets them be changed.

After https://core.telegram.org/bots/api and the errors that its server is known to give.
"""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from aiohttp import web

from tests.receivers.http import HttpReceiver

TOKEN = "1:A-b_c"


class Shown(HTMLParser):
    """What a client shows of a message in parse mode HTML."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text, self.tags = "", list[str]()
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


class TelegramReceiver(HttpReceiver):
    """messages: by id. limited_s: what the next call is told to wait, once."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[int, dict[str, Any]] = {}
        self.limited_s = 0

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/{bot}/sendMessage", self._send)
        router.add_post("/{bot}/editMessageText", self._edit)

    def visible(self) -> list[str]:
        return [Shown(message["text"]).text for message in self.messages.values()]

    async def _send(self, request: web.Request) -> web.Response:
        if refused := self._refusal(request):
            return refused
        number = 700 + len(self.messages)
        self.messages[number] = self._checked(await request.json())
        return web.json_response({"ok": True, "result": {"message_id": number, "date": 1}})

    async def _edit(self, request: web.Request) -> web.Response:
        if refused := self._refusal(request):
            return refused
        said = self._checked(await request.json())
        number = said.pop("message_id")
        if number not in self.messages:
            return _refused(400, "Bad Request: message to edit not found")
        if self.messages[number] == said:
            return _refused(400, "Bad Request: message is not modified: specified new message con"
                                 "tent and reply markup are exactly the same")  # fmt: skip
        self.messages[number] = said
        return web.json_response({"ok": True, "result": {"message_id": number, "date": 1}})

    def _refusal(self, request: web.Request) -> web.Response | None:
        if request.match_info["bot"] != f"bot{TOKEN}":
            return _refused(401, "Unauthorized")
        if self.limited_s:
            parameters = {"retry_after": self.limited_s}
            self.limited_s = 0
            return _refused(429, "Too Many Requests: retry after", parameters=parameters)
        return None

    def _checked(self, said: dict[str, Any]) -> dict[str, Any]:
        assert said["parse_mode"] == "HTML"
        assert set(Shown(said["text"]).tags) <= {"b", "s"}
        assert 1 <= len(Shown(said["text"]).text) <= 4096
        return said


def _refused(status: int, description: str, **more: Any) -> web.Response:
    said = {"ok": False, "error_code": status, "description": description} | more
    return web.json_response(said, status=status)
