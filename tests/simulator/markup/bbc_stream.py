"""The stream of a World Service page alone: the body of its polling answer."""

from __future__ import annotations

from tests.simulator.desk import Front
from tests.simulator.markup import bbc_html
from tests.simulator.markup.optimo import stream, subheadline
from tests.simulator.markup.press import JSON, Noise

SOURCE = "bbc"
CONTENT_TYPE = JSON
SHOWS = frozenset(
    {
        "title", "labels:breaking", "author", "role", "published", "updated", "items",
        "paragraphs", "image", "image:alt", "image:caption", "image:credit",
    }
)  # fmt: skip
native_id = bbc_html.native_id


def page(front: Front) -> bytes:
    noise = Noise(front.salt, "bbc_stream")
    return noise.json({"data": stream(noise, front, subheadline)}).encode()
