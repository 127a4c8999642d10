"""A BBC News live page with its stream in the page's own data, and the answer that it polls."""

from __future__ import annotations

from datetime import datetime

from tests.simulator.desk import Front
from tests.simulator.markup import bbc_html
from tests.simulator.markup.optimo import contributor, stream
from tests.simulator.markup.press import Noise, clock, day_and_month, zone_long

SOURCE = bbc_html.SOURCE
CONTENT_TYPE = bbc_html.CONTENT_TYPE
SHOWS = bbc_html.SHOWS | {"updated"}
native_id = bbc_html.native_id


def page(front: Front) -> bytes:
    query = bbc_html.stream_query(front)
    container = {
        "name": "stream",
        "props": {"assetId": bbc_html.asset(front)},
        "data": stream(Noise(front.salt, "bbc stream"), front, contributor),
    }
    return bbc_html.sheet(front, _words, {f"stream?{query}": container})


def answers(front: Front) -> dict[str, bytes]:
    noise = Noise(front.salt, "bbc poll")
    body = noise.json(stream(noise, front, contributor)).encode()
    return {f"/wc-data/container/stream?{bbc_html.stream_query(front)}": body}


def _words(moment: datetime) -> str:
    return f"{clock(moment)} {zone_long(moment)} {day_and_month(moment)}"
