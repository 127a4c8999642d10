"""The Telegram channel: a bot's messages, changed in place. https://core.telegram.org/bots/api"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from service.config import TelegramSettings
from service.events import AlertEvent
from workers.alerts.channels import Undeliverable
from workers.alerts.channels.guard import Sessions, address
from workers.alerts.channels.http import Answer, Clock, Http
from workers.alerts.text import Templates, Text, for_telegram, text_of

# Telegram gives these no number of their own: its descriptions are all that tells them apart.
_SAME = "message is not modified"
_NOT_CHANGEABLE = ("message to edit not found", "message can't be edited", "MESSAGE_ID_INVALID")


class _Message(Struct, frozen=True):
    message_id: int


class _Parameters(Struct, frozen=True):
    retry_after: float | None = None


class _Said(Struct, frozen=True):
    """`result` is a message, or true after a change of one that the bot did not send."""

    ok: bool = False
    description: str = ""
    result: _Message | bool | None = None
    parameters: _Parameters = _Parameters()


class TelegramChannel:
    """One chat. name: `telegram:` and its name in the settings. The handle is the message's id.

    Raises ConfigError for a URL that can't be used.
    """

    parallel = 2

    def __init__(
        self,
        name: str,
        settings: TelegramSettings,
        sessions: Sessions,
        templates: Templates,
        now: Clock,
    ) -> None:
        self.name = f"telegram:{name}"
        private = settings.allow_private
        session = sessions.of(allow_private=private)
        self._http = Http(session, timeout_s=settings.timeout_s, now=now)
        where = f"alerts.telegram.{name}.api_url"
        self._bot = address(settings.api_url, where, allow_private=private) / f"bot{settings.token}"
        self._chat, self._templates = settings.chat, templates

    async def send(self, event: AlertEvent, handle: str | None) -> str | None:
        """Post, or change what was posted for this alert before. Raises Undeliverable."""
        text = text_of(event, self._templates)
        message = {"chat_id": self._chat} | content(text)
        if handle is not None:
            changed = {"message_id": int(handle)} | message
            answer, said = await self._call("editMessageText", changed)
            if not said.description.endswith(_NOT_CHANGEABLE):
                if _SAME not in said.description:
                    self._check(answer, said)
                return handle
            if text.is_retracted:  # there is nothing left to take back
                return None
        answer, said = await self._call("sendMessage", message)
        self._check(answer, said)
        return str(said.result.message_id) if isinstance(said.result, _Message) else None

    async def _call(self, method: str, body: dict[str, object]) -> tuple[Answer, _Said]:
        answer = await self._http.ask_json("POST", self._bot / method, body)
        try:
            return answer, msgspec.json.decode(answer.body, type=_Said)
        except msgspec.MsgspecError:
            return answer, _Said()

    def _check(self, answer: Answer, said: _Said) -> None:
        failure = self._http.refusal(answer)
        if failure is not None:
            asked_s = said.parameters.retry_after if failure.retryable else None
            raise Undeliverable(
                failure.code,
                said.description[:100] or failure.what,
                retryable=failure.retryable,
                retry_after_s=failure.retry_after_s if asked_s is None else asked_s,
                # The token was revoked. 403, the bot was blocked, may be taken back.
                gone=failure.gone or answer.status == 401,
            )
        if not said.ok:
            raise Undeliverable(
                "answer_malformed", "the answer is not what Telegram answers", retryable=True
            )


def content(text: Text) -> dict[str, object]:
    """The parts of a message that its text decides."""
    title = f"<b>{for_telegram(text.title)}</b>"
    title = f"<s>{title}</s>" if text.is_retracted else title
    link = for_telegram(text.link)
    return {
        "text": "\n".join(filter(None, (title, for_telegram(text.body), link))),
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
    }
