"""Push subscriptions over HTTP: browsers come, get the key, subscribe, and go."""

from __future__ import annotations

from aiohttp import web

from service.config import PushSettings
from workers.gateway.answers import Push, PushSubscribed
from workers.gateway.replies import GRANT, NotFoundError, answer, json_body
from workers.subscriptions import Subscriptions, check_address, subscription

MOST_BYTES = 4096  # of what a browser says of itself


class Pushes:
    """Handlers over what is kept of subscriptions. settings: None where no pushes are sent."""

    def __init__(self, subscriptions: Subscriptions, settings: PushSettings | None) -> None:
        self._subscriptions, self._settings = subscriptions, settings

    def routes(self) -> list[web.RouteDef]:
        """Paths and their handlers."""
        return [
            web.get("/v1/push", self._key),
            web.post("/v1/push/subscriptions", self._subscribe),
            web.delete("/v1/push/subscriptions/{id}", self._unsubscribe),
        ]

    async def _key(self, _: web.Request) -> web.Response:
        """What a browser needs to subscribe."""
        self._used()
        return answer(Push((await self._subscriptions.vapid_key()).public))

    async def _subscribe(self, request: web.Request) -> web.Response:
        """Push alerts of the pages that the asker may see to a browser from now on."""
        settings = self._used()
        new = subscription(await json_body(request, most_bytes=MOST_BYTES))
        check_address(new.endpoint, allow_private=settings.allow_private, hosts=settings.hosts)
        is_new = await self._subscriptions.add(new, request[GRANT].pages)
        where = {"Location": f"/v1/push/subscriptions/{new.id}"}
        return answer(PushSubscribed(new.id, is_new), 201 if is_new else 200, headers=where)

    async def _unsubscribe(self, request: web.Request) -> web.Response:
        """Push nothing there any more. Whoever knows the id may say so."""
        self._used()
        if not await self._subscriptions.remove(request.match_info["id"]):
            raise NotFoundError("push.unknown", "there is no such subscription")
        return web.Response(status=204)

    def _used(self) -> PushSettings:
        if self._settings is None:
            fix = "set alerts.push"
            raise NotFoundError("push.off", "no pushes are sent here", fix=fix)
        return self._settings
