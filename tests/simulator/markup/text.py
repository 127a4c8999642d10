"""A live page as a person copies it: numbered entries, in the layout of the bundled recording.

An author without a role would read as a paragraph, an image without a credit too: left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulator.desk import Front, Post
from tests.simulator.markup.press import Noise, clock, day_and_month, zone_long

SOURCE = "text"
CONTENT_TYPE = "text/plain; charset=utf-8"
SHOWS = frozenset(
    {
        "head:title", "head:summary", "title", "labels:breaking", "author", "role", "published",
        "items", "paragraphs", "image", "image:alt", "image:caption", "image:credit",
    }
)  # fmt: skip


def hides(post: Post) -> frozenset[str]:
    image = {"image", "image:alt", "image:caption", "image:credit"}
    return frozenset(
        ({"author", "role"} if not _signed(post) else set())
        | (image if not _credited(post) else set())
    )


def page(front: Front) -> bytes:
    noise = Noise(front.salt, "text")
    lines = [front.title, "", "Summary", "", front.summary, ""]
    for number, post in enumerate(front.posts, start=1):
        lines += _entry(number, post)
        lines += [""] * noise.number(1, 2)
    return "".join(f"{line}{' ' * noise.number(0, 2)}\n" for line in lines).encode()


def _signed(post: Post) -> bool:
    return bool(post.author and post.role)


def _credited(post: Post) -> bool:
    return bool(post.image and post.image[3])


def _entry(number: int, post: Post) -> Iterator[str]:
    moment = post.published
    words = f"published at {clock(moment)} {zone_long(moment)} {day_and_month(moment)}"
    yield f"  {number}. {post.title or 'Post'}{words}"
    if "breaking" in post.labels:
        yield "    Breaking"
    if _signed(post):
        yield from ("", f"    {post.author}", f"    {post.role}")
    yield from _image(post)
    for text in post.paragraphs:
        yield from ("", f"    {text}")
    if post.items:
        yield ""
    for item in post.items:
        yield f"    • {item}"


def _image(post: Post) -> Iterator[str]:
    if not post.image or not _credited(post):
        return
    _, alt, caption, credit = post.image
    yield from ("", f"    {alt or ''}Image source, {credit}")
    if caption:
        yield from ("    Image caption,", "", f"    {caption}")
