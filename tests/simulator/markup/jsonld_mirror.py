"""A Reach LiveBlogPosting as in the corpus: bodies encoded twice, two offsets in one update.

Every update repeats the article's authors and image. Paragraphs are joined by a space, in some
bodies as HTML; lists are lost. Headlines are encoded once only.
"""

from __future__ import annotations

import html
import json

from tests.simulator.desk import Front, Post
from tests.simulator.markup.press import HTML, Noise, in_script, offset, serial, z, z_ms

SOURCE = "jsonld"
CONTENT_TYPE = HTML
SHOWS = frozenset({"head:title", "head:summary", "title", "published", "updated"})
_STAFF = [
    {"@type": "Person", "name": "Ada Example", "sameAs": "https://www.example.org/authors/ada/"},
    {"@type": "Person", "name": "Ben Example", "sameAs": "https://www.example.org/authors/ben/"},
]
_PICTURE = {"@type": "ImageObject", "url": "https://i2.example.org/ece/ALTERNATES/s615/1_Lead.jpg"}


def native_id(post: Post) -> str:
    return str(750_000 + serial(post.key) * 3)


def page(front: Front) -> bytes:
    noise = Noise(front.salt, "jsonld_mirror")
    body = noise.tag("h1", None, noise.words(front.title)) + noise.advert() + script(noise, front)
    return noise.page(front.title, front.url, front.summary, "", body).encode()


def script(noise: Noise, front: Front) -> str:
    """The script element: the keys in the publisher's order, a line for each of the article's."""
    oldest = min((post.published for post in front.posts), default=front.modified)
    article = {
        "@context": "http://schema.org",
        "@type": "LiveBlogPosting",
        "datePublished": z(oldest),
        "dateModified": z(front.modified),
        "url": front.url,
        "headline": front.title,
        "description": front.summary,
        "mainEntityOfPage": {"@type": "WebPage", "@id": front.url},
        "coverageStartTime": z(oldest),
        "author": _STAFF,
        "image": _PICTURE,
        "liveBlogUpdate": [_update(front, post) for post in front.posts],
    }
    lines = ",\n".join(
        f"{json.dumps(key)}: {in_script(json.dumps(value, ensure_ascii=noise.pick(True, False)))}"
        for key, value in article.items()
    )
    return f'<script type="application/ld+json">{{\n{lines}{noise.gap()}}}</script>'


def _update(front: Front, post: Post) -> dict[str, object]:
    return {
        "@type": "BlogPosting",
        "headline": post.title or "",
        "url": f"{front.url}#{native_id(post)}",
        "datePublished": offset(post.published),
        "dateModified": z_ms(post.updated or post.published),
        "articleBody": _body(post),
        "author": _STAFF,
        "image": _PICTURE,
        "mainEntityOfPage": front.url,
    }


def _body(post: Post) -> str:
    parts = [_encoded(text) for text in post.paragraphs]
    if serial(post.key) % 4 == 3:
        return f"<div>{''.join(f'<p>{part}</p>' for part in parts)}</div>"
    return " ".join(parts)


def _encoded(text: str) -> str:
    """As the corpus: what is no plain ASCII is a hexadecimal reference, an apostrophe &apos;."""
    named = html.escape(text).replace("&#x27;", "&apos;")
    return "".join(c if c.isascii() else f"&#x{ord(c):X};" for c in named)
