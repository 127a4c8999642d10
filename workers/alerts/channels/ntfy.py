"""The ntfy channel: publishes JSON (https://docs.ntfy.sh/publish/#publish-as-json).

The alert's id is the sequence id: a later message with it takes the place of the earlier one on
every device (https://docs.ntfy.sh/publish/#updating-deleting-notifications, from server 2.16 on).
"""

from __future__ import annotations

from service.config import NtfySettings
from service.events import AlertEvent, AlertState
from workers.alerts.channels.guard import Sessions, address
from workers.alerts.channels.http import Clock, Http
from workers.alerts.text import Templates, Text, text_of

# https://docs.ntfy.sh/publish/#message-priority. What changes a notification makes no noise.
PRIORITIES = {"high": 5, "normal": 3}
LATER_PRIORITY = 2
# https://docs.ntfy.sh/emojis/: a tag that is an emoji's name is shown as that.
TAGS: dict[AlertState, str] = {"raised": "rotating_light", "updated": "pencil2", "retracted": "x"}


class NtfyChannel:
    """One topic. name: `ntfy:` and its name in the settings. The handle is the sequence id.

    Raises ConfigError for a URL that can't be used.
    """

    parallel = 4

    def __init__(
        self,
        name: str,
        settings: NtfySettings,
        sessions: Sessions,
        templates: Templates,
        now: Clock,
    ) -> None:
        self.name = f"ntfy:{name}"
        private = settings.allow_private
        session = sessions.of(allow_private=private)
        self._http = Http(session, timeout_s=settings.timeout_s, now=now)
        self._url = address(settings.url, f"alerts.ntfy.{name}.url", allow_private=private)
        self._topic, self._templates = settings.topic, templates
        self._headers = {"authorization": f"Bearer {settings.token}"} if settings.token else {}

    async def send(self, event: AlertEvent, handle: str | None) -> str:
        """Publish, in the place of what was published for this alert before. Raises Undeliverable.

        The place is the same without a handle, so a second try is not seen as a second message.
        """
        place = handle or event.data.alert
        text = text_of(event, self._templates)
        # What nobody has heard of is news, also when it comes as an update.
        priority = PRIORITIES[event.data.priority] if handle is None else LATER_PRIORITY
        message = notification(text, self._topic, place, priority)
        answer = await self._http.ask_json("POST", self._url, message, self._headers)
        if failure := self._http.refusal(answer):
            raise failure
        return place


def notification(text: Text, topic: str, place: str, priority: int) -> dict[str, object]:
    """The JSON that is published. ntfy shows it as plain text: `markdown` is not asked for."""
    found: dict[str, object] = {
        "topic": topic,
        "title": text.title,
        "message": text.body or text.title,
        "priority": priority,
        "tags": [TAGS[text.state]],
        "sequence_id": place,
    }
    return found | ({"click": text.link} if text.link else {})
