"""A Reach live blog as in the corpus: the HTML, the box of key events, and the JSON-LD beside it.

A key event says "KEY EVENT" in place of its author. An image has no alternative text.
"""

from __future__ import annotations

import json

from tests.simulator.desk import Front, Post
from tests.simulator.markup import jsonld_mirror
from tests.simulator.markup.press import HTML, Noise, clock, digest, epoch_ms

SOURCE = "reach"
CONTENT_TYPE = HTML
SHOWS = frozenset(
    {
        "head:title", "head:summary", "title", "labels:key", "author", "published", "updated",
        "items", "paragraphs", "image", "image:caption", "image:credit",
    }
)  # fmt: skip
native_id = jsonld_mirror.native_id


def hides(post: Post) -> frozenset[str]:
    return frozenset({"author"}) if "key" in post.labels else frozenset()


def page(front: Front) -> bytes:
    noise = Noise(front.salt, "reach")
    entries = "".join(_entry(noise, post) + noise.advert() for post in front.posts)
    lead = noise.tag("p", None, noise.words(front.summary))
    container = noise.tag(
        "div",
        _settings(noise, front),
        noise.tag("div", {"class": "live-event-lead-entry"}, lead),
        noise.tag("div", {"class": "live-event-entries"}, entries),
    )
    heading = noise.tag(
        "h1",
        {"class": "lead-content__title", "itemprop": "headline name"},
        noise.words(front.title),
    )
    article = (
        jsonld_mirror.script(noise, front)
        + noise.tag("div", {"class": "article-body", "itemprop": "articleBody"}, container)
        + _tail(noise)
    )
    body = heading + _key_events(noise, front) + noise.tag("article", None, article)
    return noise.page(front.title, front.url, front.summary, "", body).encode()


def _settings(noise: Noise, front: Front) -> dict[str, str | None]:
    channel = f"nationals-live.{int(digest(front.url)[:7], 16)}"
    pusher = {"appId": "1", "key": digest(front.url)[:20], "channels": [channel]}
    return {
        "class": "live-event-container",
        "data-mod": "liveEvent",
        "data-inview": noise.pick("true", "false"),
        "data-pusher-config": json.dumps(pusher),
        "data-chronos-request-url": f"https://live.example/v1/{channel.replace('.', '/')};[]",
    }


def _key_events(noise: Noise, front: Front) -> str:
    items = (
        noise.tag(
            "div",
            {"class": "key-bubble"},
            noise.tag("a", {"data-id": native_id(post)}, noise.words(post.title or "")),
            noise.tag("time", None, clock(post.published)),
        )
        for post in front.posts
        if "key" in post.labels
    )
    rows = (noise.tag("li", None, item) for item in items)
    box = noise.tag("h3", None, "Key Events") + noise.tag("ul", None, *rows)
    return noise.tag("div", {"class": "live-event-key-events"}, box)


def _entry(noise: Noise, post: Post) -> str:
    key = "key" in post.labels
    mark = "KEY EVENT" if key else post.author
    attributes = {
        "class": "live-event-entry",
        "id": native_id(post),
        "data-type": "key-event" if key else "default",
        "data-post-time": str(epoch_ms(post.published)),
        "data-last-modified-time": str(epoch_ms(post.updated or post.published)),
    }
    stamp = noise.tag("time", {"class": "updating-timezone-live-event"}, clock(post.published))
    info = stamp + (noise.tag("mark", None, noise.words(mark)) if mark else "")
    content = noise.tag("h3", None, noise.words(post.title)) if post.title else ""
    content += "".join(noise.tag("p", None, noise.words(text)) for text in post.paragraphs)
    content += noise.tag("ul", None, *_items(noise, post)) if post.items else ""
    content += _image(noise, *post.image) if post.image else ""
    return noise.tag(
        "div",
        attributes,
        noise.tag("div", {"class": "entry-info"}, info),
        noise.tag("div", {"class": "entry-content"}, content),
    )


def _items(noise: Noise, post: Post) -> list[str]:
    return [noise.tag("li", None, noise.words(item)) for item in post.items]


def _image(noise: Noise, url: str, alt: str, caption: str, credit: str) -> str:
    source = {
        "class": "image--live-event",
        "src": noise.picture(url),
        "content": noise.picture(url),
        "data-tmdatatrack-articleid": str(noise.number(10**7, 10**8)),
        "layout": "fill",
    }
    camera = '(<div class="camera"><span></span>Image:</div>'
    words = noise.tag("span", {"class": "caption"}, noise.words(caption)) if caption else ""
    if credit:
        words += noise.tag("span", {"class": "credit"}, f" {camera}{noise.words(credit)})")
    return noise.tag(
        "div",
        {"class": "image-container", "data-redesign-embed": "true"},
        noise.tag(
            "figure", {"class": "image--embedded live-event-image"}, noise.tag("amp-img", source)
        ),
        noise.tag("figcaption", {"class": "image__caption--embedded"}, words),
    )


def _tail(noise: Noise) -> str:
    return noise.tag(
        "div", {"class": "more-on"}, noise.tag("h5", None, f"MORE ON topic {noise.hex(4)}")
    )
