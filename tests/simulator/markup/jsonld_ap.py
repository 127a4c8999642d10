"""An AP LiveBlogPosting: its updates under `blogPosts`, `<br/><br/>` between paragraphs."""

from __future__ import annotations

import html

from tests.simulator.desk import Front, Post
from tests.simulator.markup.press import HTML, Noise, steady_uuid, z

SOURCE = "jsonld"
CONTENT_TYPE = HTML
SHOWS = frozenset(
    {
        "head:title", "head:summary", "title", "author", "published", "updated", "items",
        "paragraphs",
    }
)  # fmt: skip


def native_id(post: Post) -> str:
    return steady_uuid(post.key)


def page(front: Front) -> bytes:
    noise = Noise(front.salt, "jsonld_ap")
    blog = {
        "@context": "https://schema.org",
        "@type": "LiveBlogPosting",
        "url": front.url,
        "headline": front.title,
        "description": front.summary,
        "dateModified": z(front.modified),
        "coverageStartTime": z(min((p.published for p in front.posts), default=front.modified)),
        "blogPosts": [_update(front, post) for post in front.posts],
    }
    body = noise.tag("h1", None, noise.words(front.title)) + noise.advert()
    head = noise.linked_data(blog)
    return noise.page(front.title, front.url, front.summary, head, body).encode()


def _update(front: Front, post: Post) -> dict[str, object]:
    lines = [html.escape(text, quote=False) for text in (*post.paragraphs, *post.items)]
    update: dict[str, object] = {
        "@type": "BlogPosting",
        "@id": f"{front.url}#{native_id(post)}",
        "url": f"{front.url}#{native_id(post)}",
        "datePublished": z(post.published),
        "dateModified": z(post.updated or post.published),
        "articleBody": "<br/><br/>".join(lines),
    }
    update |= {"headline": post.title} if post.title else {}
    return update | ({"author": {"@type": "Person", "name": post.author}} if post.author else {})
