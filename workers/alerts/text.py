"""An alert as text for people, and that text made safe for each place where it is shown. Pure.

What a page says is data: it is cut to one line without control characters here, and a channel that
gives some characters a meaning takes that meaning away with one of the functions below.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import datetime

from msgspec import Struct
from yarl import URL

from service.events import AlertEvent, AlertState, rfc3339
from service.plain import plain
from service.wording import TemplateSettings

TITLE_CHARACTERS = 150
SUMMARY_CHARACTERS = 300
CHANGE_CHARACTERS = 200
BODY_CHARACTERS = 1000
LINK_CHARACTERS = 400

# By the key of TemplateSettings; one for the headline and one for each state.
DEFAULTS = {
    "title": "{word}: {title}",
    "raised": "{summary}\n{page}, {time}",
    "updated": "Changed: {change}\n{summary}\n{page}, {time}",
    "retracted": "Taken back: {reason}.\n{page}, {time}",
}
_KINDS = ("figure", "polarity", "name", "correction")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’»)]*\s+")


# The templates of a rule by its name; None where it has none.
OfRule = Callable[[str], TemplateSettings | None]


class Text(Struct, frozen=True):
    """An alert in words, unescaped. title: one line. body: lines, without empty ones.

    link: an http or https address in ASCII without quotes, brackets and spaces, or "".
    """

    state: AlertState
    title: str
    body: str
    link: str

    @property
    def is_retracted(self) -> bool:
        """Whether it says that what was told is taken back."""
        return self.state == "retracted"


class Templates(Struct, frozen=True):
    """What is said. layers: of each key the first that is given counts; DEFAULTS come last.

    of_rule: those of a rule by its name, which come before all: a rule is about the story.
    """

    layers: tuple[TemplateSettings, ...] = ()
    of_rule: OfRule = lambda rule: None

    def by_key(self, rule: str) -> dict[str, str]:
        """The templates for alerts of a rule, by the keys of DEFAULTS."""
        chosen = DEFAULTS.copy()
        for layer in reversed((self.of_rule(rule), *self.layers)):
            chosen |= layer.given() if layer else {}
        return chosen


def text_of(event: AlertEvent, templates: Templates) -> Text:
    """What an alert event says to people."""
    state, fields = event.state, fields_of(event)
    chosen = templates.by_key(event.data.rule)
    body = chosen[state].format_map(fields)
    lines = map(plain, body.splitlines())
    title = plain(chosen["title"].format_map(fields)) or fields["title"]
    return Text(
        state=state,
        title=cut(title, 200),
        body=cut("\n".join(line for line in lines if line), BODY_CHARACTERS),
        link=fields["link"],
    )


def fields_of(event: AlertEvent) -> dict[str, str]:
    """Every field of wording.FIELDS for an event: one line each, without control characters."""
    data, entry, state = event.data, event.data.entry, event.state
    text = plain(entry.text)
    first = sentences(text, 1)
    title = plain(entry.title or "") or first or "(no title)"
    summary = sentences(text, 2) if entry.title else sentences(text.removeprefix(first), 2)
    published = entry.published or datetime.fromisoformat(event.time)
    more = ""
    if state != "retracted" and (others := others_of(event)):
        more, summary = f" and {len(others)} more", f"Also: {'; '.join(others)}"
    return {
        "word": plain(data.rule).upper() if state == "raised" else state.upper(),
        "title": cut(title, TITLE_CHARACTERS) + more,
        "summary": cut(summary, SUMMARY_CHARACTERS),
        "reason": cut(plain(data.reason), CHANGE_CHARACTERS),
        "change": cut(change(data.reason), CHANGE_CHARACTERS) if state == "updated" else "",
        "page": cut(plain(data.page.title or data.page.id), TITLE_CHARACTERS),
        "time": rfc3339(published)[:16].replace("T", " ") + " UTC",
        "link": safe_link(entry.url) or safe_link(data.page.url),
    }


def others_of(event: AlertEvent) -> list[str]:
    """The headlines of the other entries that an alert is about, but for those withdrawn."""
    entries, own = event.data.entries, event.data.entry.id
    others = (each for each in entries if each.entry != own and not each.withdrawn)
    return [plain(each.title or "") or "(no title)" for each in others]


def change(reason: str) -> str:
    """What changed, out of an update's reason: `figure: 9 → 12` gives `9 → 12`."""
    kind, _, evidence = plain(reason).partition(": ")
    return evidence if kind in _KINDS and evidence else plain(reason)


def sentences(text: str, count: int) -> str:
    """The first sentences of a text that is on one line. A text without an end is one."""
    ends = [found.start() for found in _SENTENCE_END.finditer(text)]
    return text[: ends[count - 1]].strip() if len(ends) >= count else text.strip()


def cut(text: str, characters: int) -> str:
    """The text in at most so many characters, cut after a word where there is one; … tells so."""
    if len(text) <= characters:
        return text
    kept = text[: characters - 1]
    end = max(kept.rfind(" "), kept.rfind("\n"))
    return (kept[:end] if end > characters // 2 else kept).rstrip() + "…"


def fitted(text: str, characters: int, escape: Callable[[str], str]) -> str:
    """The text escaped, in at most so many characters; it is cut before it is escaped.

    escape: makes text no shorter, and "…" is as it was.
    """
    room = characters
    while len(escaped := escape(cut(text, room))) > characters:
        room = max(1, room * characters // len(escaped))
    return escaped


def safe_link(url: str | None) -> str:
    """An address that can stand in any markup, or "" when it is no http or https address."""
    try:
        address = URL(plain(url or ""))
    except ValueError:
        return ""
    host = address.host or ":"
    if address.scheme not in ("http", "https") or ":" in host:  # what is like [::1] has brackets
        return ""
    # Without a user: https://news.example@evil.example/ leads to evil.example.
    text = re.sub(r"""[^!#-;=?-Z_a-z~]|['()*`@]""", _percent, str(address.with_user(None)))
    return text if len(text) <= LINK_CHARACTERS else ""


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


# --- made safe for one place ---------------------------------------------------------------------


def unmentioned(text: str) -> str:
    """Text that names nobody (@everyone): a word joiner, which shows nothing, is after each @."""
    return text.replace("@", "@\u2060")


def for_slack(text: str) -> str:
    """For `text` of a Slack message.

    https://docs.slack.dev/messaging/formatting-message-text: `&`, `<` and `>` start links and
    mentions. Bold and italic have no escape: what people see is in blocks, which know no markup.
    """
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return unmentioned(escaped)


def for_discord(text: str) -> str:
    """For `content` of a Discord message: a backslash before every ASCII punctuation mark.

    https://docs.discord.com/developers/reference#message-formatting. A line that starts with a
    number and a dot would be a list; the dot is escaped too.
    """
    return unmentioned(re.sub(r"[!-/:-@\[-`{-~]", r"\\\g<0>", text))


def for_telegram(text: str) -> str:
    """For Telegram's parse mode HTML: https://core.telegram.org/bots/api#html-style."""
    return html.escape(unmentioned(text))


def for_header(text: str) -> str:
    """For an e-mail header: one line, so that it can't start another (RFC 5322 section 2.2)."""
    return plain(text)
