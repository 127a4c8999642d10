"""A Guardian live blog as the JSON that its renderer is given (as in the corpus).

Noise as between the corpus's captures of one dead blog: element ids, srcset, white space inside
elements. The article's own date lines stand in every block and change with every publish.
"""

from __future__ import annotations

import math

from tests.simulator.desk import Front, Post
from tests.simulator.markup import guardian_blocks, guardian_html
from tests.simulator.markup.guardian_blocks import (
    PAGE_SIZE,
    created,
    date_line,
    display,
    is_pinned,
    last_updated,
    page_id,
    texts,
)
from tests.simulator.markup.press import JSON, Noise, clock, epoch_ms, z_ms

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
_ELEMENTS = "model.dotcomrendering.pageElements"


def page(front: Front) -> bytes:
    noise = Noise(front.salt, "guardian_data")
    design = "LiveBlogDesign" if front.live else "DeadBlogDesign"
    copied = guardian_blocks.pinned(front)
    article: dict[str, object] = {
        "version": 3,
        "headline": front.title,
        "webTitle": front.title,
        "standfirst": f"<p>{noise.words(front.summary)} </p>",
        "trailText": front.summary,
        "pageId": page_id(front),
        "webURL": front.url,
        "canonicalUrl": front.url,
        "contentType": "LiveBlog",
        "format": {"design": design, "theme": "NewsPillar", "display": "StandardDisplay"},
        "pageType": {"isLiveblog": True, "isMinuteArticle": False},
        "webPublicationDate": z_ms(front.modified),
        "webPublicationDateDisplay": date_line(front.modified),
        "editionId": "UK",
        "mostRecentBlockId": f"block-{native_id(front.posts[0])}" if front.posts else None,
        "pagination": {"currentPage": 1, "totalPages": _pages(front)},
        "filterKeyEvents": False,
        "blocks": [_block(noise, front, post) for post in front.posts],
        "keyEvents": [
            _block(noise, front, post) for post in front.posts if post.labels & {"key", "summary"}
        ],
        "config": {
            "isLive": front.live,
            "ajaxUrl": "https://api.nextgen.example",
            "abTests": {f"variant{noise.number(1, 9)}": noise.hex(4)},
        },
        "linkedData": guardian_html.linked_data(front),
        "beaconURL": f"//phar.example/{noise.hex(8)}",
    }
    if copied:
        article["pinnedPost"] = _block(noise, front, copied)
    return noise.json(article).encode()


def _pages(front: Front) -> int:
    """The first page also has what does not fill a page of its own."""
    return max(1, math.ceil((front.total - len(front.posts)) / PAGE_SIZE) + 1)


def _block(noise: Noise, front: Front, post: Post) -> dict[str, object]:
    elements = [_text(noise, words) for words in texts(noise, post)]
    elements[1:1] = [_image(noise, *post.image)] if post.image else []
    block: dict[str, object] = {
        "id": native_id(post),
        "elements": elements,
        "attributes": {
            "pinned": is_pinned(front, post),
            "keyEvent": "key" in post.labels,
            "summary": "summary" in post.labels,
        },
        "blockCreatedOn": epoch_ms(created(post)),
        "blockCreatedOnDisplay": display(created(post)),
        "blockFirstPublished": epoch_ms(post.published),
        "blockFirstPublishedDisplay": display(post.published),
        "blockFirstPublishedDisplayNoTimezone": clock(post.published, "."),
        "blockLastUpdated": epoch_ms(last_updated(post)),
        "blockLastUpdatedDisplay": display(last_updated(post)),
        "contributors": [_contributor(post)] if post.author else [],
        "primaryDateLine": date_line(front.modified),
        "secondaryDateLine": f"First published on {date_line(front.modified)}",
    }
    return block | ({"title": post.title} if post.title else {})


def _contributor(post: Post) -> dict[str, object]:
    return {"name": post.author, "imageUrl": "https://i.example.org/a.png"}


def _text(noise: Noise, words: str) -> dict[str, object]:
    return {"_type": f"{_ELEMENTS}.TextBlockElement", "html": words, "elementId": noise.uuid()}


def _image(noise: Noise, url: str, alt: str, caption: str, credit: str) -> dict[str, object]:
    sizes = [{"src": noise.picture(url), "width": noise.pick(445, 605, 620)} for _ in range(2)]
    return {
        "_type": f"{_ELEMENTS}.ImageBlockElement",
        "media": {
            "allImages": [
                {
                    "index": 0,
                    "fields": {"height": "667", "width": "1000", "isMaster": "true"},
                    "mediaType": "Image",
                    "mimeType": "image/jpeg",
                    "url": url,
                }
            ]
        },
        "data": {"alt": alt or "", "caption": caption or "", "credit": credit or ""},
        "displayCredit": True,
        "role": "inline",
        "imageSources": [{"weighting": "inline", "srcSet": sizes}],
        "elementId": noise.uuid(),
        "position": noise.number(1, 9),
    }
