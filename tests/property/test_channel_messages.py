"""Whatever a page says, each channel's message is within its limits and has our markup alone."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from service.config import EmailSettings
from service.events import AlertEvent
from service.model import Entry, Paragraph
from service.plain import plain
from tests.alert_samples import alert_event
from tests.receivers import discord as discord_receiver
from tests.receivers.slack import shown
from tests.receivers.telegram import Shown
from workers.alerts.channels import apprise, discord, email, ntfy, push, slack, telegram
from workers.alerts.text import Templates, Text, text_of

_NASTY = (
    "<!channel> <https://evil.example|x> &lt; * _ ~ ` @everyone <@&1> **b** ||s|| > # - 1. \\ </b> "
    "[x](https://evil.example) \" ' \r\n \r\nBcc: {title} \u2028 \u202e \ud800 🕯 javascript:x ."
)
texts = (
    st.text()
    | st.lists(st.sampled_from(_NASTY.split(" ")) | st.text(max_size=4)).map(" ".join)
    | st.sampled_from('*🕯<&\\" ').map(lambda each: each * 3000)
)
_WORDS = Templates()
_MAIL = EmailSettings(host="a", sender="a@a.example", recipients=("b@b.example",))


@st.composite
def alerts(draw: st.DrawFn) -> AlertEvent:
    event = alert_event(draw(st.sampled_from(["raised", "updated", "retracted"])))
    entry = Entry(
        id="e",
        title=draw(st.none() | texts),
        body=(Paragraph(draw(texts)),),
        url=draw(st.none() | texts | texts.map("https://news.example/{}".format)),
    )
    page = msgspec.structs.replace(event.data.page, title=draw(st.none() | texts))
    changed = msgspec.structs.replace(event.data, entry=entry, page=page, reason=draw(texts))
    return msgspec.structs.replace(event, data=changed)


def plainly(words: str) -> str:
    return " ".join(words.replace("\u2060", "").split())


def said(text: Text) -> str:
    return plainly(f"{text.title} {text.body} {text.link}")


@given(alerts())
def test_slack_shows_it_in_blocks_that_know_no_markup(event: AlertEvent) -> None:
    text = text_of(event, _WORDS)
    message: dict[str, Any] = slack.message(text)
    assert plainly(shown(message)) == said(text)
    assert not re.search(r"[<>]|@(?!\u2060)", message["text"])
    assert all(len(part.get("text", "")) <= 3000 for part in message["blocks"][0]["elements"])


@given(alerts())
def test_discord_shows_it_within_its_limit(event: AlertEvent) -> None:
    text = text_of(event, _WORDS)
    content: Any = discord.message(text)["content"]
    assert len(content) <= discord.CONTENT_CHARACTERS
    assert not re.search(r"@(?!\u2060)", content)
    seen = plainly(discord_receiver.shown(content))
    assert seen == said(text) or "…" in seen


@given(alerts())
def test_telegram_shows_it_with_our_tags_alone(event: AlertEvent) -> None:
    text = text_of(event, _WORDS)
    content: Any = telegram.content(text)["text"]
    read = Shown(content)
    assert read.tags == (["s", "b"] if text.is_retracted else ["b"])
    assert plainly(read.text) == said(text)
    assert len(read.text) <= 4096


@given(alerts())
def test_ntfy_and_push_messages_fit(event: AlertEvent) -> None:
    text = text_of(event, _WORDS)
    message: dict[str, Any] = ntfy.notification(text, "desk", "a" * 32, 5)
    assert 0 < len(message["message"].encode()) <= 4096
    assert message.get("click", "https://x").startswith(("http://", "https://"))
    assert len(push.content(text, event)) <= 3993


@given(alerts())
def test_a_mail_has_our_headers_alone(event: AlertEvent) -> None:
    text = text_of(event, _WORDS)
    message = email.mail(event, _MAIL, _WORDS)
    read = message_from_bytes(message.as_bytes(), policy=SMTP)
    assert isinstance(read, EmailMessage)
    assert not read.defects
    assert read.keys() == message.keys()
    assert plainly(read["Subject"]) == plainly(text.title)
    assert plainly(read.get_content()) == said(text)
    assert read["To"] == "b@b.example"


@given(texts)
@example("00000 00000000000000¡¡¡𐀀𐀀 ¡")
def test_a_mail_s_subject_is_read_as_it_was(words: str) -> None:
    encoded = email.subject(words)
    assert encoded.isascii()
    assert not re.search(r"\n[^ ]", encoded)
    assert str(make_header(decode_header(encoded))) == plain(words)


@given(alerts())
def test_apprise_gets_text_that_names_nobody_and_opens_nothing(event: AlertEvent) -> None:
    body = apprise.body(text_of(event, _WORDS))
    assert not re.search(r"[@<](?!\u2060)", body)
    assert plainly(body) == said(text_of(event, _WORDS))
