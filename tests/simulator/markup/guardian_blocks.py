"""What the Guardian's three forms share: ids, clocks, the HTML of a block's text."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import urlsplit

from tests.simulator.desk import Front, Post
from tests.simulator.markup.press import LONDON, Noise, clock, digest, serial, zone_short

_FIRST_CREATED = 0x6579C763
PAGE_SIZE = 10


def native_id(post: Post) -> str:
    """24 hex digits, of which the first eight are when the block was created."""
    return f"{_FIRST_CREATED + serial(post.key) % 2**28:08x}{digest(post.key)[:16]}"


def page_id(front: Front) -> str:
    return urlsplit(front.url).path.strip("/")


def created(post: Post) -> datetime:
    """When the draft was begun: up to 13 minutes before it was published."""
    return post.published - timedelta(seconds=serial(post.key) * 97 % 780)


def last_updated(post: Post) -> datetime:
    """Never absent; for a block that nobody touched it may even be a second too early."""
    return post.updated or post.published - timedelta(seconds=serial(post.key) % 2)


def display(moment: datetime) -> str:
    """15.14 GMT, with the no-break space of the page."""
    return f"{clock(moment, '.')}\N{NO-BREAK SPACE}{zone_short(moment)}"


def date_line(moment: datetime) -> str:
    """Wed 13 Dec 2023 17.25 GMT."""
    local = moment.astimezone(LONDON)
    return f"{local:%a} {local.day} {local:%b %Y %H.%M} {local.tzname()}"


def pinned(front: Front) -> Post | None:
    """The pinned post, if this page has its words."""
    return next((post for post in front.posts if post.key == front.pinned), None)


def is_pinned(front: Front, post: Post) -> bool:
    return post.key == front.pinned or "pinned" in post.labels


def paragraph(noise: Noise, text: str) -> str:
    return noise.tag("p", None, noise.words(text)).rstrip()


def bullets(noise: Noise, post: Post) -> str:
    """A list, with the white space and the inner paragraphs that some have."""
    inner = [noise.words(item) for item in post.items]
    if noise.chance(2):
        inner = [f"<p>{item}</p>" for item in inner]
    return "<ul>\n" + "".join(f" <li>{item}</li>\n" for item in inner) + "</ul>"


def texts(noise: Noise, post: Post) -> list[str]:
    """The HTML of each text element."""
    listed = [bullets(noise, post)] if post.items else []
    return [paragraph(noise, text) for text in post.paragraphs] + listed
