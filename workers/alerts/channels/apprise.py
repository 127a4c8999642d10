"""The Apprise channel: one destination of the services that Apprise knows and we don't.

Apprise says of a delivery that it went well or that it did not, and no more. What it logs is kept
as the reason. It finds addresses by itself: the guard does not see them.
"""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType

from service.config import AppriseSettings
from service.events import AlertEvent, AlertState
from workers.alerts.channels import Undeliverable
from workers.alerts.channels.guard import refused
from workers.alerts.text import Templates, Text, text_of, unmentioned

TYPES: dict[AlertState, NotifyType] = {
    "raised": NotifyType.WARNING,
    "updated": NotifyType.INFO,
    "retracted": NotifyType.INFO,
}

# What Apprise has logged in this delivery. Its threads run in a copy of the caller's context.
_heard: ContextVar[list[str]] = ContextVar("heard")


class _Listener(logging.Handler):
    """Takes what Apprise logs for the delivery that it is of; elsewhere it would be no JSON."""

    def emit(self, record: logging.LogRecord) -> None:
        if (heard := _heard.get(None)) is not None:
            heard.append(record.getMessage())


def _listen() -> None:
    logger = logging.getLogger("apprise")
    logger.propagate = False
    if not any(isinstance(handler, _Listener) for handler in logger.handlers):
        logger.addHandler(_Listener(logging.WARNING))


class AppriseChannel:
    """One Apprise URL. name: `apprise:` and its name in the settings. There is no handle.

    Raises ConfigError for a URL that Apprise does not understand.
    """

    parallel = 2

    def __init__(self, name: str, settings: AppriseSettings, templates: Templates) -> None:
        self.name = f"apprise:{name}"
        self._timeout_s, self._templates = settings.timeout_s, templates
        _listen()
        asset = AppriseAsset(
            app_id="Stoppress", http_redirects=False, service_timeout=settings.timeout_s
        )
        self._apprise = Apprise(asset=asset)
        if not self._apprise.add(settings.url) or len(self._apprise) != 1:
            # The URL is a secret, and so is part of it.
            raise refused(f"alerts.apprise.{name}.url", "not one URL that Apprise understands")

    async def send(self, event: AlertEvent, handle: str | None) -> None:
        """Hand the alert to Apprise. Raises Undeliverable, always to be tried again.

        It may go through after the time is up: a thread can't be stopped.
        """
        text = text_of(event, self._templates)
        heard: list[str] = []
        token = _heard.set(heard)
        try:
            async with asyncio.timeout(self._timeout_s):
                # Without a title: it is not escaped everywhere, and the body is.
                went_well = await self._apprise.async_notify(
                    body=body(text), body_format=NotifyFormat.TEXT, notify_type=TYPES[text.state]
                )
        except TimeoutError:
            what = f"no answer within {self._timeout_s:g} s"
            raise Undeliverable("timeout", what, retryable=True) from None
        finally:
            _heard.reset(token)
        if not went_well:
            what = " ".join(heard) or "Apprise does not say why"
            raise Undeliverable("apprise_failed", what, retryable=True)


def body(text: Text) -> str:
    """All of an alert as plain text that names nobody.

    Apprise makes it Markdown or HTML where a service wants that, and escapes it; but in Markdown
    not `<`, which starts a tag, an address, or Slack's `<!channel>`. A word joiner ends that.
    """
    lines = (text.title, text.body, text.link)
    return unmentioned("\n".join(filter(None, lines))).replace("<", "<\u2060")
