"""A BBC page whose times have no zone, and no date where the post is of today."""

from __future__ import annotations

from datetime import datetime

from tests.simulator.desk import Front
from tests.simulator.markup import bbc_html
from tests.simulator.markup.press import LONDON, clock, day_and_month

SOURCE = bbc_html.SOURCE
CONTENT_TYPE = bbc_html.CONTENT_TYPE
SHOWS = bbc_html.SHOWS
native_id = bbc_html.native_id


def page(front: Front) -> bytes:
    today = front.now.astimezone(LONDON).date()

    def words(moment: datetime) -> str:
        if moment.astimezone(LONDON).date() == today:
            return clock(moment)
        return f"{clock(moment)} {day_and_month(moment)}"

    return bbc_html.sheet(front, words, {})
