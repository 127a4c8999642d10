"""What each channel would show of an entry. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from msgspec import Struct

from service.events import AlertType, EntryData, EntryEvent, Observed
from service.model import Entry, PageRef, Paragraph
from workers.alerts.rules import Rule, alert_id, news_in, told_by
from workers.alerts.text import Templates, Text, text_of

_AT = datetime(2025, 4, 25, 9, 10, 5, tzinfo=UTC)
SAMPLE = EntryEvent(
    specversion="1.0",
    id="sample",
    source="https://news.example/live/port-ellis",
    type="stoppress.entry.published",
    subject="p2",
    time="2025-04-25T09:10:05.000Z",
    datacontenttype="application/json",
    data=EntryData(
        page=PageRef(
            id="port-ellis", url="https://news.example/live/port-ellis", title="Port Ellis: live"
        ),
        entry=Entry(
            id="p2",
            title="Ferry runs aground off Port Ellis",
            published=_AT.replace(minute=9),
            labels=("breaking",),
            body=(
                Paragraph("Two people are hurt, the coastguard says."),
                Paragraph("The ferry left for the islands at 08:40."),
            ),
            url="https://news.example/live/port-ellis#p2",
        ),
        revision=1,
        baseline=False,
        observed=Observed(after=None, at=_AT),
    ),
)


class Shown(Struct, frozen=True):
    """What a channel shows of an alert in one state."""

    channel: str
    text: Text


def previews(event: EntryEvent, rule: Rule, channels: Mapping[str, Templates]) -> Iterator[Shown]:
    """What each channel shows of an alert about an entry: raised, updated and retracted.

    channels: what is said in each, by name.
    """
    reasons: dict[AlertType, str] = {
        "stoppress.alert.raised": "it matches",
        "stoppress.alert.updated": news_in(event) or "figure: 9 killed → 12 killed",
        "stoppress.alert.retracted": "its entry was withdrawn",
    }
    alert = alert_id(event, rule)
    told = [told_by(kind, event, rule, alert, reason) for kind, reason in reasons.items()]
    for channel, templates in channels.items():
        for each in told:
            yield Shown(channel, text_of(each, templates))


def lines(shown: Shown) -> Iterator[str]:
    """The same as lines of plain text."""
    first, *others = (shown.text.title, *shown.text.body.splitlines(), shown.text.link)
    yield f"{shown.channel}  {shown.text.state:9}  {first}"
    margin = " " * len(f"{shown.channel}  {shown.text.state:9}  ")
    yield from (margin + line for line in others if line)
