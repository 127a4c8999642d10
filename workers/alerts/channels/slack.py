"""The Slack channel: as an app (chat.postMessage, chat.update) or through an incoming webhook.

An app's message is changed in place. What people see is a rich text block, which knows no markup:
page text stands in it as it is. https://docs.slack.dev/reference/block-kit/blocks/rich-text-block
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Struct

from service.config import SlackSettings
from service.events import AlertEvent
from workers.alerts.channels import Undeliverable
from workers.alerts.channels.guard import Sessions, address
from workers.alerts.channels.http import Answer, Clock, Http
from workers.alerts.text import Templates, Text, for_slack, text_of

# https://docs.slack.dev/reference/methods/chat.postMessage#errors and chat.update.
_PASSING = frozenset(
    {
        "fatal_error", "internal_error", "rate_limited", "ratelimited", "request_timeout",
        "service_unavailable", "team_added_to_org",
    }
)  # fmt: skip
_GONE = frozenset(
    {"account_inactive", "invalid_auth", "not_authed", "token_expired", "token_revoked"}
)
# Its message is not there to be changed, or not any more.
_NOT_CHANGEABLE = frozenset({"cant_update_message", "edit_window_closed", "message_not_found"})


class _Said(Struct, frozen=True):
    ok: bool
    error: str = ""
    channel: str = ""
    ts: str = ""


class SlackChannel:
    """One Slack channel. name: `slack:` and its name in the settings.

    The handle is the Slack channel's id and the message's `ts`, with a colon between; an incoming
    webhook gives none. Raises ConfigError for a URL that can't be used.
    """

    parallel = 4

    def __init__(
        self,
        name: str,
        settings: SlackSettings,
        sessions: Sessions,
        templates: Templates,
        now: Clock,
    ) -> None:
        self.name = f"slack:{name}"
        where, private = f"alerts.slack.{name}", settings.allow_private
        session = sessions.of(allow_private=private)
        self._http = Http(session, timeout_s=settings.timeout_s, now=now)
        self._hook = None
        if settings.webhook_url:
            hook = f"{where}.webhook_url"
            self._hook = address(settings.webhook_url, hook, allow_private=private)
        self._api = address(settings.api_url, f"{where}.api_url", allow_private=private)
        self._headers = {"authorization": f"Bearer {settings.token}"}
        self._channel, self._templates = settings.channel, templates

    async def send(self, event: AlertEvent, handle: str | None) -> str | None:
        """Post, or change what was posted for this alert before. Raises Undeliverable."""
        text = text_of(event, self._templates)
        if self._hook is not None:
            answer = await self._http.ask_json("POST", self._hook, message(text))
            if failure := hook_refusal(answer, self._http.refusal(answer)):
                raise failure
            return None
        if handle is not None:
            try:
                return await self._update(text, handle)
            except _NotChangeable:
                if text.is_retracted:  # there is nothing left to take back
                    return None
        return await self._post(text)

    async def _post(self, text: Text) -> str | None:
        said = await self._call("chat.postMessage", {"channel": self._channel} | message(text))
        return f"{said.channel}:{said.ts}" if said.channel and said.ts else None

    async def _update(self, text: Text, handle: str) -> str:
        channel, _, ts = handle.partition(":")
        await self._call("chat.update", {"channel": channel, "ts": ts} | message(text))
        return handle

    async def _call(self, method: str, body: dict[str, object]) -> _Said:
        answer = await self._http.ask_json("POST", self._api / method, body, self._headers)
        if failure := self._http.refusal(answer):
            raise failure
        try:
            said = msgspec.json.decode(answer.body, type=_Said)
        except msgspec.MsgspecError:
            raise Undeliverable(
                "answer_malformed", "the answer is not what Slack answers", retryable=True
            ) from None
        if not said.ok:
            raise refusal(said.error)
        return said


class _NotChangeable(Undeliverable):
    """There is no message that could be changed."""


def refusal(error: str) -> Undeliverable:
    """What an error of Slack's Web API means."""
    code = f"slack_{error}" if re.fullmatch(r"[a-z_]{1,40}", error) else "slack_error"
    kind = _NotChangeable if error in _NOT_CHANGEABLE else Undeliverable
    what = f"Slack answered {error[:100]}"
    return kind(code, what, retryable=error in _PASSING, gone=error in _GONE)


def hook_refusal(answer: Answer, failure: Undeliverable | None) -> Undeliverable | None:
    """What an answer of an incoming webhook means; None when it took the alert.

    https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors:
    404 is `no_service` or `no_team`: the webhook was removed, and stays so.
    """
    if failure is not None and answer.status == 404:
        return Undeliverable(failure.code, failure.what, retryable=False, gone=True)
    return failure


def message(text: Text) -> dict[str, object]:
    """The parts of a message: blocks that are shown, and `text` for notifications."""
    strike = {"strike": True} if text.is_retracted else {}
    parts: list[dict[str, object]] = [
        {"type": "text", "text": text.title, "style": {"bold": True} | strike},
        {"type": "text", "text": f"\n{text.body}\n" if text.body else "\n"},
    ]
    if text.link:
        parts.append({"type": "link", "url": text.link})
    section = {"type": "rich_text_section", "elements": parts}
    return {
        "text": for_slack(f"{text.title}\n{text.body}"),
        "blocks": [{"type": "rich_text", "elements": [section]}],
        "mrkdwn": False,
        "link_names": False,
        "parse": "none",
        "unfurl_links": False,
        "unfurl_media": False,
    }
