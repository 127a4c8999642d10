"""A CNN live story as its server sends it: headlines and times are only in the JSON-LD.

There the quotation marks of most texts are rewritten as a backslash and a straight one, and
captions are dropped; the words of the HTML are right.
"""

from __future__ import annotations

from tests.simulator.desk import Front, Post
from tests.simulator.markup import cnn
from tests.simulator.markup.press import Noise, z_ms

SOURCE = cnn.SOURCE
CONTENT_TYPE = cnn.CONTENT_TYPE
SHOWS = cnn.SHOWS | {"published", "updated"}
native_id = cnn.native_id
_REWRITTEN = str.maketrans(dict.fromkeys('“”"', '\\"'))


def page(front: Front) -> bytes:
    noise = Noise(front.salt, "cnn_server")
    blog = {
        "@context": "https://schema.org",
        "@type": "LiveBlogPosting",
        "headline": front.title,
        "url": front.url,
        "description": front.summary,
        "dateModified": z_ms(front.modified),
        "liveBlogUpdate": [_update(front, post) for post in front.posts],
    }
    return cnn.sheet(front, filled=False, scripts=noise.linked_data(blog))


def _update(front: Front, post: Post) -> dict[str, object]:
    return {
        "@type": "BlogPosting",
        "headline": post.title or "",
        "url": f"{front.url}#{native_id(post)}",
        "datePublished": z_ms(post.published),
        "dateModified": z_ms(post.updated or post.published),
        "articleBody": "\n".join((*post.paragraphs, *post.items)).translate(_REWRITTEN),
    }
