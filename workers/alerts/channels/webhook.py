"""The webhook channel: POSTs alert events, signed after Standard Webhooks. Follows no redirect."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import aiohttp
from standardwebhooks import Webhook
from yarl import URL

from service.config import WebhookSettings
from service.errors import ConfigError
from service.events import AlertEvent, to_json
from service.headers import retry_after_s
from workers.alerts.channels import Undeliverable


def verdict(status: int, retry_after: str | None, now: datetime) -> Undeliverable | None:
    """What a receiver's answer means; None when it took the alert.

    Any 2xx is success (Standard Webhooks). 408, 429 and 5xx may pass; anything else, redirects and
    410 among it, is final. retry_after: the header of that name.
    """
    if 200 <= status < 300:
        return None
    retryable = status in (408, 429) or status >= 500
    return Undeliverable(
        f"http_{status}",
        f"the receiver answered {status}",
        retryable=retryable,
        retry_after_s=retry_after_s(retry_after, now) if retryable else None,
    )


class WebhookChannel:
    """One receiver. name: `webhook:` and its name in the settings.

    session: the caller's, and the caller closes it. Raises ConfigError for a URL or secret that
    can't be used.
    """

    parallel = 8

    def __init__(
        self,
        name: str,
        settings: WebhookSettings,
        session: aiohttp.ClientSession,
        now: Callable[[], datetime],
    ) -> None:
        self.name = f"webhook:{name}"
        self._session, self._now = session, now
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
        where = f"alerts.webhooks.{name}"
        self._url = _url(settings.url, where)
        self._webhook = _webhook(settings.secret, where)

    async def send(self, event: AlertEvent, handle: str | None = None) -> None:
        """POST the event once. The answer's body is not read."""
        body = to_json(event)
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers=self._headers(event.id, body),
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                failure = verdict(response.status, response.headers.get("Retry-After"), self._now())
        except TimeoutError:
            raise Undeliverable(
                "timeout", f"no answer within {self._timeout.total:g} s", retryable=True
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise Undeliverable("unreachable", str(error), retryable=True) from error
        if failure is not None:
            raise failure

    def _headers(self, message_id: str, body: bytes) -> dict[str, str]:
        # In UTC, because sign() takes the wall-clock time of whatever zone it is given for UTC.
        moment = self._now().astimezone(UTC)
        return {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": self._webhook.sign(message_id, moment, body.decode()),
        }


def _url(text: str, where: str) -> URL:
    try:
        url = URL(text)
    except ValueError as error:
        raise _refused(f"{where}.url", f"not a URL: {error}") from None
    if not url.host:
        raise _refused(f"{where}.url", "a URL without a host")
    return url


def _webhook(secret: str, where: str) -> Webhook:
    try:
        return Webhook(secret)
    except ValueError:
        raise _refused(f"{where}.secret", "not whsec_ and base64 text") from None


def _refused(where: str, what: str) -> ConfigError:
    return ConfigError("config.invalid", what, where=where, fix="see docs/configuration.md")
