"""A New York Times LiveBlogPosting: an update's only id is the slug of its headline.

So an edit of the headline gives the post another id. A slug ends in digits of its own, so that
two posts with one headline stay apart.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

from tests.simulator.desk import Front, Post
from tests.simulator.markup.press import HTML, Noise, digest, offset, slug, z_ms

SOURCE = "jsonld"
CONTENT_TYPE = HTML
SHOWS = frozenset(
    {
        "head:title", "head:summary", "title", "author", "published", "updated", "items",
        "paragraphs",
    }
)  # fmt: skip
_NEW_YORK = ZoneInfo("America/New_York")


def native_id(post: Post) -> str:
    """What follows the page's address."""
    return f"{slug(post.title or '') or 'update'}-{digest(post.key)[:8]}"


def page(front: Front) -> bytes:
    noise = Noise(front.salt, "jsonld_nyt")
    blog = {
        "@context": "https://schema.org",
        "@type": "LiveBlogPosting",
        "@id": front.url,
        "headline": front.title,
        "description": front.summary,
        "dateModified": z_ms(front.modified),
        "coverageEndTime": z_ms(front.modified),
        "liveBlogUpdate": [update(front, post) for post in front.posts],
    }
    body = noise.tag("h1", None, noise.words(front.title)) + noise.advert()
    head = noise.linked_data(blog)
    return noise.page(front.title, front.url, front.summary, head, body).encode()


def update(front: Front, post: Post) -> dict[str, object]:
    found: dict[str, object] = {
        "@type": "BlogPosting",
        "url": f"{front.url}#{native_id(post)}",
        "datePublished": offset(post.published, _NEW_YORK),
        "dateModified": offset(post.updated or post.published, _NEW_YORK),
        "articleBody": "\n".join((*post.paragraphs, *post.items)),
    }
    found |= {"headline": post.title} if post.title else {}
    return found | ({"author": [{"@type": "Person", "name": post.author}]} if post.author else {})
