"""A careful publisher's LiveBlogPosting: an `@id` and own dates for each update, text in lines."""

from __future__ import annotations

from tests.simulator.desk import Front, Post
from tests.simulator.markup.press import HTML, Noise, digest, z

SOURCE = "jsonld"
CONTENT_TYPE = HTML
SHOWS = frozenset(
    {
        "head:title", "head:summary", "title", "author", "role", "published", "updated", "items",
        "paragraphs", "image", "image:caption", "image:credit",
    }
)  # fmt: skip


def native_id(post: Post) -> str:
    return f"update-{digest(post.key)[:10]}"


def page(front: Front) -> bytes:
    noise = Noise(front.salt, "jsonld_plain")
    scripts = [noise.linked_data(blog(front)), noise.linked_data(_publisher())]
    head = noise.gap().join(scripts if noise.chance(2) else scripts[::-1])
    body = noise.tag("h1", None, noise.words(front.title)) + noise.advert()
    return noise.page(front.title, front.url, front.summary, head, body).encode()


def blog(front: Front) -> dict[str, object]:
    return {
        "@context": "https://schema.org",
        "@type": "LiveBlogPosting",
        "@id": f"{front.url}#blog",
        "url": front.url,
        "headline": front.title,
        "description": front.summary,
        "dateModified": z(front.modified),
        "liveBlogUpdate": [_update(front, post) for post in front.posts],
    }


def _update(front: Front, post: Post) -> dict[str, object]:
    update: dict[str, object] = {
        "@type": "BlogPosting",
        "@id": f"{front.url}#{native_id(post)}",
        "datePublished": z(post.published),
        "dateModified": z(post.updated or post.published),
        "articleBody": "\n\n".join((*post.paragraphs, *post.items)),
    }
    if post.title:
        update["headline"] = post.title
    if post.author:
        person = {"@type": "Person", "name": post.author}
        update["author"] = person | ({"jobTitle": post.role} if post.role else {})
    if post.image:
        update["image"] = _image(*post.image)
    return update


def _image(url: str, alt: str, caption: str, credit: str) -> dict[str, object]:
    return {"@type": "ImageObject", "url": url, "caption": caption, "creditText": credit}


def _publisher() -> dict[str, object]:
    return {
        "@context": "https://schema.org",
        "@type": "NewsMediaOrganization",
        "name": "The Daily Example",
    }
