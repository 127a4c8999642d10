"""A receiver of Standard Webhooks that checks each request with the library of the standard."""

from __future__ import annotations

from aiohttp import web
from standardwebhooks import Webhook

from service.events import AlertEvent, from_json
from tests.receivers.http import HttpReceiver
from workers.alerts.text import Templates, text_of


class WebhookReceiver(HttpReceiver):
    """secret: the one that it holds. events: what came, by webhook-id. signatures: of the last."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        self.secret = secret
        self.events: dict[str, AlertEvent] = {}
        self.signatures: list[str] = []

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/hook", self._take)

    def visible(self) -> list[str]:
        return [text_of(event, Templates()).title for event in self.events.values()]

    async def _take(self, request: web.Request) -> web.Response:
        body, headers = await request.read(), dict(request.headers)
        Webhook(self.secret).verify(body, headers)
        event = from_json(body)
        assert isinstance(event, AlertEvent)
        self.events[request.headers["webhook-id"]] = event
        self.signatures = request.headers["webhook-signature"].split(" ")
        return web.Response()
