"""A Guardian live blog as its public content API gives it: blocks of HTML, UTC times.

A block names its contributors by the id of a tag; the tags of the article give the names.
"""

from __future__ import annotations

from tests.simulator.desk import Front, Post
from tests.simulator.markup import guardian_blocks
from tests.simulator.markup.guardian_blocks import (
    created,
    is_pinned,
    last_updated,
    page_id,
    texts,
)
from tests.simulator.markup.press import JSON, Noise, slug, z

SOURCE = "guardian"
CONTENT_TYPE = JSON
SHOWS = frozenset(
    {
        "head:title", "head:summary", "title", "labels:key", "labels:pinned", "labels:summary",
        "author", "published", "updated", "items", "paragraphs", "image", "image:alt",
        "image:caption", "image:credit", "live",
    }
)  # fmt: skip
native_id = guardian_blocks.native_id
_LABELS = {"key": "keyEvent", "summary": "summary"}


def page(front: Front) -> bytes:
    noise = Noise(front.salt, "guardian_capi")
    content = {
        "id": page_id(front),
        "type": "liveblog",
        "sectionId": "world",
        "webPublicationDate": z(front.modified),
        "webTitle": front.title,
        "webUrl": front.url,
        "apiUrl": f"https://content.example/{page_id(front)}",
        "fields": {
            "headline": front.title,
            "standfirst": f"<p>{noise.words(front.summary)}</p>",
            "trailText": noise.words(front.summary),
            "lastModified": z(front.modified),
            "liveBloggingNow": "true" if front.live else "false",
        },
        "tags": _tags(front),
        "blocks": {
            "body": [_block(noise, front, post) for post in front.posts],
            "totalBodyBlocks": front.total,
        },
    }
    response = {"status": "ok", "userTier": "developer", "total": 1, "content": content}
    return noise.json({"response": response}).encode()


def _tag(author: str) -> str:
    return f"profile/{slug(author).replace('-', '')}"


def _tags(front: Front) -> list[dict[str, str]]:
    authors = sorted({post.author for post in front.posts if post.author})
    return [{"id": _tag(name), "type": "contributor", "webTitle": name} for name in authors]


def _block(noise: Noise, front: Front, post: Post) -> dict[str, object]:
    html = texts(noise, post)
    attributes: dict[str, object] = {
        name: True for label, name in _LABELS.items() if label in post.labels
    }
    attributes |= {"pinned": True} if is_pinned(front, post) else {}
    block: dict[str, object] = {
        "id": native_id(post),
        "bodyHtml": noise.gap().join(html),
        "bodyTextSummary": "\n".join((*post.paragraphs, *post.items)),
        "attributes": attributes,
        "published": True,
        "createdDate": z(created(post)),
        "firstPublishedDate": z(post.published),
        "publishedDate": z(max(last_updated(post), post.published)),
        "lastModifiedDate": z(max(last_updated(post), post.published)),
        "contributors": [_tag(post.author)] if post.author else [],
        "elements": _elements(html, post),
    }
    return block | ({"title": post.title} if post.title else {})


def _elements(html: list[str], post: Post) -> list[dict[str, object]]:
    found: list[dict[str, object]] = [
        {"type": "text", "assets": [], "textTypeData": {"html": "\n".join(html)}}
    ]
    if post.image:
        url, alt, caption, credit = post.image
        asset = {"type": "image", "mimeType": "image/jpeg", "file": url, "typeData": {}}
        data = {"alt": alt, "caption": caption, "credit": credit, "displayCredit": True}
        found.append({"type": "image", "assets": [asset], "imageTypeData": data})
    return found
