"""An alert in words: what is said when it is raised, when it changes, and when it is taken back."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from service import config
from service.errors import ConfigError
from service.events import AlertEvent, Listed
from service.model import Paragraph
from service.wording import FIELDS, TemplateSettings
from tests.alert_samples import alert_event
from workers.alerts import text
from workers.alerts.text import Templates, Text, change, cut, safe_link, sentences, text_of

LINK = "https://news.example/live/1#e1"
WHERE = "War in Ukraine, 2025-04-25 09:17 UTC"


def said(kind: str, *, title: str | None = "General killed", body: str = "", **given: str) -> Text:
    event = alert_event(kind, title=title)
    return text_of(with_body(event, body), Templates((TemplateSettings(**given),)))


def with_body(event: AlertEvent, body: str) -> AlertEvent:
    entry = msgspec.structs.replace(event.data.entry, body=(Paragraph(body),))
    return msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, entry=entry))


def test_a_raised_alert_says_headline_first_sentences_page_time_and_link() -> None:
    body = "A car exploded near Moscow. He died at once. The Kremlin is silent."
    assert said("raised", body=body) == Text(
        "raised",
        "BREAKING: General killed",
        f"A car exploded near Moscow. He died at once.\n{WHERE}",
        LINK,
    )


def test_an_update_says_what_changed() -> None:
    updated = said("updated", body="Twelve died.")
    assert updated.title == "UPDATED: General killed"
    assert updated.body == f"Changed: 9 killed → 12 killed\nTwelve died.\n{WHERE}"


def test_a_retraction_says_that_it_is_taken_back_and_why() -> None:
    retracted = said("retracted", body="Twelve died.")
    assert retracted.title == "RETRACTED: General killed"
    assert retracted.body == f"Taken back: its entry was withdrawn.\n{WHERE}"
    assert retracted.is_retracted


@pytest.mark.parametrize("kind", ["raised", "updated"])
def test_an_alert_about_several_entries_names_those_that_still_stand(kind: str) -> None:
    """A message that is changed in place goes on to say all that people were told."""
    event = alert_event(kind)
    others = (Listed(entry="e2", title="Two"), Listed(entry="e3", title="Three", withdrawn=True))
    entries = (Listed(entry="e1", title="One"), *others)
    several = msgspec.structs.replace(
        event, data=msgspec.structs.replace(event.data, entries=entries)
    )
    shown = text_of(several, Templates())
    assert shown.title.endswith(" and 1 more")
    assert "Also: Two" in shown.body
    assert "Three" not in shown.body


def test_an_entry_without_a_headline_has_its_first_sentence_as_one() -> None:
    alone = said("raised", title=None, body="A car exploded. He died.")
    assert (alone.title, alone.body.split("\n")[0]) == ("BREAKING: A car exploded.", "He died.")
    assert said("raised", title=None).title == "BREAKING: (no title)"


@pytest.mark.parametrize(
    ("reason", "changed"),
    [
        ("figure: 9 killed → 12 killed, 2 hurt → 5 hurt", "9 killed → 12 killed, 2 hurt → 5 hurt"),
        ("polarity: will → will not", "will → will not"),
        ("correction", "correction"),
        ("the headline changed", "the headline changed"),
        ("of note: a colon", "of note: a colon"),
    ],
)
def test_a_change_is_the_evidence_where_there_is_one(reason: str, changed: str) -> None:
    assert change(reason) == changed


@pytest.mark.parametrize(
    ("words", "count", "first"),
    [
        ("One. Two. Three.", 2, "One. Two."),
        ("No end", 2, "No end"),
        ('He said "Stop!" Then left. Bye.', 1, 'He said "Stop!'),
        ("It cost 3.5 million. Wow.", 1, "It cost 3.5 million."),
    ],
)
def test_sentences_end_at_a_mark_and_a_space(words: str, count: int, first: str) -> None:
    assert sentences(words, count) == first


def test_text_is_cut_after_a_word() -> None:
    assert cut("one two three", 9) == "one two…"
    assert cut("onetwothree", 5) == "onet…"
    assert cut("fits", 4) == "fits"


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://news.example/a?b=c&d=1#e", "https://news.example/a?b=c&d=1#e"),
        ("https://bücher.example/ä b", "https://xn--bcher-kva.example/%C3%A4%20b"),
        ("https://news.example/a)b(c'd", "https://news.example/a%29b%28c%27d"),
        ("https://social.example/@ana/1", "https://social.example/%40ana/1"),
        ("https://bbc.example@evil.example/", "https://evil.example/"),
        ("javascript:alert(1)", ""),
        ("//news.example/a", ""),
        ("https://[::1]/", ""),
        ("https://news.example/" + "a" * 400, ""),
        (None, ""),
    ],
)
def test_a_link_is_a_web_address_or_nothing(url: str | None, link: str) -> None:
    assert safe_link(url) == link


def test_a_template_of_the_settings_is_used() -> None:
    own = said("updated", title="Big {x}", updated="{{{change}}} in {page}", body="a")
    assert own.body == "{9 killed → 12 killed} in War in Ukraine"
    assert said("raised", title="a", raised="  {title}\n\n \n{link}").body == f"a\n{LINK}"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{headline}", "unknown field {headline}; allowed: {word}, {title}, {summary}, {reason}"),
        ("{}", "unknown field {}"),
        ("{0}", "unknown field {0}"),
        ("{title.__class__}", "unknown field {title.__class__}"),
        ("{title[0]}", "unknown field {title[0]}"),
        ("{title!r}", "{title} takes no format"),
        ("{title:>10}", "{title} takes no format"),
        ("{title", "expected '}' before end of string"),
        ("}", "single '}' encountered in format string"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_by_name(
    tmp_path: Path, template: str, says: str
) -> None:
    path = tmp_path / "stoppress.toml"
    path.write_text(f"[alerts.templates]\nupdated = {json.dumps(template)}", "utf-8")
    with pytest.raises(ConfigError) as refused:
        config.load(path, {}, {})
    assert f"alerts.templates: updated: {says}" in str(refused.value)
    body = json.dumps({"when": {"label": ["x"]}, "templates": {"updated": template}}).encode()
    with pytest.raises(ConfigError) as refused:
        config.rule_asked("cup", body, ())
    assert f"alerts.rules.cup.templates: updated: {says}" in str(refused.value)


def test_a_rule_says_it_before_its_channel_and_a_channel_before_all() -> None:
    every = TemplateSettings(title="all {title}", raised="all", updated="all", retracted="all")
    channel = TemplateSettings(raised="channel", updated="channel")
    own = {"breaking": TemplateSettings(raised="rule")}
    words = Templates((channel, every), own.get)
    states = ("raised", "updated", "retracted")
    shown = [text_of(alert_event(kind), words) for kind in states]
    assert [each.body for each in shown] == ["rule", "channel", "all"]
    assert all(each.title.startswith("all ") for each in shown)
    other = replace(alert_event(), data=replace(alert_event().data, rule="other"))
    assert text_of(other, words).body == "channel"


def test_every_field_can_be_had() -> None:
    assert set(text.fields_of(alert_event("updated"))) == set(FIELDS)
