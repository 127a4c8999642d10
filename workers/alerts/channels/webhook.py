"""The webhook channel: POSTs alert events, signed after Standard Webhooks."""

from __future__ import annotations

from datetime import UTC

from standardwebhooks import Webhook

from service.config import WebhookSettings
from service.events import AlertEvent, to_json
from workers.alerts.channels.guard import Sessions, address, refused
from workers.alerts.channels.http import Clock, Http


class WebhookChannel:
    """One receiver. name: `webhook:` and its name in the settings.

    sessions: the caller's, and the caller closes them. Raises ConfigError for a URL or secret that
    can't be used.
    """

    parallel = 8

    def __init__(
        self, name: str, settings: WebhookSettings, sessions: Sessions, now: Clock
    ) -> None:
        self.name = f"webhook:{name}"
        self._now = now
        where, private = f"alerts.webhooks.{name}", settings.allow_private
        session = sessions.of(allow_private=private)
        self._http = Http(session, timeout_s=settings.timeout_s, now=now)
        self._url = address(settings.url, f"{where}.url", allow_private=private)
        self._webhooks = [
            _webhook(settings.secret, f"{where}.secret"),
            *(_webhook(each, f"{where}.earlier_secrets") for each in settings.earlier_secrets),
        ]

    async def send(self, event: AlertEvent, handle: str | None = None) -> None:
        """POST the event once. The answer's body is not read. There is no message to change."""
        body = to_json(event)
        headers = self._headers(event.id, body)
        answer = await self._http.ask("POST", self._url, body, headers, read=False)
        if failure := self._http.refusal(answer):
            raise failure

    def _headers(self, message_id: str, body: bytes) -> dict[str, str]:
        # In UTC, because sign() takes the wall-clock time of whatever zone it is given for UTC.
        moment, text = self._now().astimezone(UTC), body.decode()
        signatures = (webhook.sign(message_id, moment, text) for webhook in self._webhooks)
        return {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": " ".join(signatures),
        }


def _webhook(secret: str, where: str) -> Webhook:
    try:
        return Webhook(secret)
    except ValueError:
        raise refused(where, "not whsec_ and base64 text") from None
