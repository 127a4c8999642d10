"""The Discord channel: a webhook whose messages are changed in place.

https://docs.discord.com/developers/resources/webhook#execute-webhook
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from service.config import DiscordSettings
from service.events import AlertEvent
from workers.alerts.channels import Undeliverable
from workers.alerts.channels.guard import Sessions, address
from workers.alerts.channels.http import Answer, Clock, Http
from workers.alerts.text import Templates, Text, fitted, for_discord, text_of

CONTENT_CHARACTERS = 2000
TITLE_CHARACTERS = 400
# https://docs.discord.com/developers/topics/opcodes-and-status-codes#json-json-error-codes
_UNKNOWN_MESSAGE, _UNKNOWN_WEBHOOK, _INVALID_TOKEN = 10008, 10015, 50027


class _Message(Struct, frozen=True):
    id: str


class _Refused(Struct, frozen=True):
    """What Discord says of a refusal. retry_after: seconds, to the millisecond."""

    code: int = 0
    retry_after: float | None = None


class DiscordChannel:
    """One webhook. name: `discord:` and its name in the settings. The handle is the message's id.

    Raises ConfigError for a URL that can't be used.
    """

    parallel = 2

    def __init__(
        self,
        name: str,
        settings: DiscordSettings,
        sessions: Sessions,
        templates: Templates,
        now: Clock,
    ) -> None:
        self.name = f"discord:{name}"
        private = settings.allow_private
        session = sessions.of(allow_private=private)
        self._http = Http(session, timeout_s=settings.timeout_s, now=now)
        self._url = address(settings.url, f"alerts.discord.{name}.url", allow_private=private)
        self._templates = templates

    async def send(self, event: AlertEvent, handle: str | None) -> str | None:
        """Post, or change what was posted for this alert before. Raises Undeliverable."""
        text = text_of(event, self._templates)
        body = message(text)
        if handle is not None:
            url = (self._url / "messages" / handle).with_query(self._url.query)  # a thread_id
            answer = await self._http.ask_json("PATCH", url, body)
            if not is_unknown_message(answer):
                self._check(answer)
                return handle
            if text.is_retracted:  # there is nothing left to take back
                return None
        # Without `wait` the answer would come before the message, and without its id.
        answer = await self._http.ask_json("POST", self._url.update_query(wait="true"), body)
        self._check(answer)
        return _message_id(answer)

    def _check(self, answer: Answer) -> None:
        failure = self._http.refusal(answer)
        if failure is None:
            return
        said = _said(answer)
        if said.code in (_UNKNOWN_WEBHOOK, _INVALID_TOKEN):
            raise Undeliverable(failure.code, failure.what, retryable=False, gone=True)
        if failure.retryable and failure.retry_after_s is None:
            failure.retry_after_s = said.retry_after
        raise failure


def is_unknown_message(answer: Answer) -> bool:
    """Whether the message that was to be changed is not there any more."""
    return answer.status == 404 and _said(answer).code == _UNKNOWN_MESSAGE


def _said(answer: Answer) -> _Refused:
    """What Discord says of a refusal; nothing where the answer is not its own."""
    try:
        return msgspec.json.decode(answer.body, type=_Refused)
    except msgspec.MsgspecError:
        return _Refused()


def _message_id(answer: Answer) -> str | None:
    """The id of the message that was posted; without one it can't be changed later."""
    try:
        return msgspec.json.decode(answer.body, type=_Message).id
    except msgspec.MsgspecError:
        return None


def message(text: Text) -> dict[str, object]:
    """The JSON of a message. Nobody is mentioned, whatever it says."""
    title = f"**{fitted(text.title, TITLE_CHARACTERS, for_discord)}**"
    title = f"~~{title}~~" if text.is_retracted else title
    link = f"<{text.link}>" if text.link else ""  # in <> it is shown without a preview
    room = CONTENT_CHARACTERS - len(title) - len(link) - 2
    body = fitted(text.body, room, for_discord)
    return {
        "content": "\n".join(filter(None, (title, body, link))),
        "allowed_mentions": {"parse": []},
    }
