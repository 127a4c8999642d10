"""Whatever a page says, an alert's text says it and nothing else: no markup, mention or header."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from html.parser import HTMLParser
from urllib.parse import urlsplit

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from service.events import AlertEvent
from service.model import Entry, Paragraph
from service.plain import plain
from service.wording import FIELDS, TemplateSettings
from tests.alert_samples import alert_event
from workers.alerts import text

_NASTY = (
    "<!channel> <@U1> <https://evil.example|here> & &amp; &lt; * _ ~ ` @everyone @here <@&1> <#1> "
    "**b** __u__ ||s|| > # - 1. [x](https://evil.example) \\ \\* </b> <b> <a href=x> \" ' \r\n "
    "Bcc: {title} {0} { } {{ }} \x00 \u2028 \u202e \ud800 \u200b ＠ javascript:alert(1) https://x.example"
)
texts = st.text() | st.lists(st.sampled_from(_NASTY.split(" ")) | st.text(max_size=4)).map(" ".join)
_TEMPLATES = text.Templates()
_fields = st.sampled_from([f"{{{name}}}" for name in FIELDS])
_words = texts.map(lambda words: words.replace("{", "{{").replace("}", "}}"))
written = (
    st.lists(_fields | _words | st.just("\n"), min_size=1, max_size=6)
    .map("".join)
    .filter(lambda template: 1 <= len(template) <= 1000)
)


def alert(title: str | None, body: str, url: str | None, reason: str) -> AlertEvent:
    event = alert_event("updated")
    entry = Entry(id="e", title=title, body=(Paragraph(body),), url=url)
    return msgspec.structs.replace(
        event, data=msgspec.structs.replace(event.data, entry=entry, reason=reason)
    )


@given(st.none() | texts, texts, st.none() | texts, texts)
def test_an_alert_is_lines_without_control_characters_and_within_its_limits(
    title: str | None, body: str, url: str | None, reason: str
) -> None:
    said = text.text_of(alert(title, body, url, reason), _TEMPLATES)
    assert said.title == plain(said.title) != ""
    assert all(line == plain(line) != "" for line in said.body.split("\n"))
    assert len(said.title) <= 200
    assert len(said.body) <= text.BODY_CHARACTERS
    said.body.encode()


@given(st.none() | texts, texts, written, written)
def test_no_template_lets_a_control_character_through(
    title: str | None, body: str, headline: str, below: str
) -> None:
    own = TemplateSettings(title=headline, updated=below)
    said = text.text_of(alert(title, body, None, ""), text.Templates((own,)))
    assert said.title == plain(said.title) != ""
    assert all(line == plain(line) for line in said.body.split("\n"))
    assert len(said.body) <= text.BODY_CHARACTERS
    f"{said.title}{said.body}".encode()


@given(texts)
def test_what_stands_in_braces_on_a_page_is_no_field(title: str) -> None:
    plainly = " ".join(plain(title).split())
    said = text.fields_of(alert(title, "", None, ""))["title"]
    assert said == text.cut(plainly or "(no title)", text.TITLE_CHARACTERS)


@given(texts | texts.map("https://news.example/{}".format))
def test_a_link_is_an_address_that_no_markup_ends(url: str) -> None:
    link = text.safe_link(url)
    if link:
        assert urlsplit(link).scheme in ("http", "https")
        assert "@" not in link
        assert re.fullmatch(r"""[^\s"'<>()\[\]{}|\\^*`\x00-\x20\x7f-\U0010ffff]+""", link)


@given(texts)
def test_slack_text_has_no_link_and_no_mention(words: str) -> None:
    escaped = text.for_slack(plain(words))
    assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)|@(?!\u2060)", escaped)
    back = escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert back.replace("\u2060", "") == plain(words)


@given(texts)
def test_discord_text_has_no_mark_that_is_not_escaped(words: str) -> None:
    """Its escape rule: a backslash before anything that is no letter, digit or space."""
    escaped = text.for_discord(plain(words))
    bare = re.sub(r"\\[^0-9A-Za-z\s]", "", escaped)
    assert not re.search(r"[!-/:-@\[-`{-~]", bare)
    assert not re.search(r"@(?!\u2060)", escaped)
    back = re.sub(r"\\([^0-9A-Za-z\s])", r"\1", escaped)
    assert back.replace("\u2060", "") == plain(words)


class Reader(HTMLParser):
    """What an HTML reader finds."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(tag)

    def handle_comment(self, data: str) -> None:
        self.tags.append(data)

    def handle_decl(self, decl: str) -> None:
        self.tags.append(decl)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(texts)
def test_telegram_text_has_no_tag_and_reads_as_it_was(words: str) -> None:
    escaped = text.for_telegram(plain(words))
    read = Reader(f"<b>{escaped}</b>")
    assert read.tags == ["b", "b"]
    assert read.text.replace("\u2060", "") == plain(words)
    assert not re.search(r"@(?!\u2060)", read.text)
    attribute = Reader(f'<a href="{escaped}">x</a>')
    assert attribute.tags == ["a", "a"]


@given(texts)
def test_a_mail_header_starts_no_other(words: str) -> None:
    message = EmailMessage(policy=SMTP)
    message["Subject"] = text.for_header(words)
    message["X-Last"] = "1"
    read = message_from_bytes(message.as_bytes(), policy=SMTP)
    assert read.keys() == ["Subject", "X-Last"]


@given(texts, st.integers(1, 60), st.sampled_from([text.for_discord, text.for_telegram, str]))
def test_what_is_fitted_is_within_its_limit(words: str, limit: int, escape: object) -> None:
    assert callable(escape)
    assert len(text.cut(words, limit)) <= limit
    fitted = text.fitted(words, limit + 10, escape)
    assert len(fitted) <= limit + 10
    if len(escape(words)) <= limit + 10:
        assert fitted == escape(words)
    else:
        assert fitted.endswith("…")


@given(st.text("'@*ab ", min_size=1), st.integers(10, 60))
def test_what_is_cut_to_fit_keeps_what_there_is_room_for(words: str, limit: int) -> None:
    """An escape makes at most six characters of one."""
    fitted = text.fitted(words, limit, text.for_telegram)
    assert len(fitted) == len(text.for_telegram(words)) or len(fitted) * 12 >= limit - 12


@given(texts, st.integers(1, 3))
def test_the_first_sentences_are_the_start_of_the_text(words: str, count: int) -> None:
    assert plain(words).startswith(text.sentences(plain(words), count))
