"""A New York Times live page as HTML: numbered articles, ids from headlines.

A post without a headline is a reporter's update. The word "Pinned" and the hidden labels "Image"
and "Credit..." stand among the words and are none of the post's.
"""

from __future__ import annotations

from tests.simulator.desk import Front, Post
from tests.simulator.markup import jsonld_nyt
from tests.simulator.markup.press import HTML, Noise, ago, z_ms

SOURCE = "nyt"
CONTENT_TYPE = HTML
SHOWS = frozenset(
    {
        "head:title", "head:summary", "title", "author", "published", "items", "paragraphs",
        "image", "image:alt",
    }
)  # fmt: skip
native_id = jsonld_nyt.native_id


def page(front: Front) -> bytes:
    noise = Noise(front.salt, "nyt")
    articles = "".join(
        _article(noise, front, post, position) + noise.advert()
        for position, post in zip(_positions(front), front.posts, strict=True)
    )
    feed = noise.tag("section", {"id": "live-feed-items", "role": "feed"}, articles)
    body = noise.tag(
        "article",
        {"data-testid": "live-blog-content"},
        noise.tag("h1", {"class": _css(noise)}, noise.words(front.title)),
        noise.tag("p", {"id": "article-summary"}, noise.words(front.summary)),
        feed,
    )
    return noise.page(front.title, front.url, front.summary, "", body).encode()


def _positions(front: Front) -> range:
    return range(front.total, front.total - len(front.posts), -1)


def _css(noise: Noise) -> str:
    return f"css-{noise.hex(6)}"


def _article(noise: Noise, front: Front, post: Post, position: int) -> str:
    box = {
        "data-testid": "live-blog-post" if post.title else "reporter-update",
        "data-url": f"{front.url}#{native_id(post)}",
        "class": _css(noise),
    }
    pinned = post.key == front.pinned or "pinned" in post.labels
    inner = (
        noise.tag("div", {"class": _css(noise)}, noise.tag("span", None, "Pinned"))
        if pinned
        else "",
        _head(noise, front, post),
        noise.tag("div", {"class": _css(noise)}, _body(noise, post)),
        noise.tag("div", {"data-testid": "share-tools"}, "<button>Share</button>"),
    )
    attributes = {
        "role": "article",
        "aria-posinset": str(position),
        "aria-setsize": str(front.total),
    }
    return noise.tag("div", attributes, noise.tag("div", box, *inner))


def _head(noise: Noise, front: Front, post: Post) -> str:
    stamp = noise.tag("time", {"datetime": z_ms(post.published)}, ago(front.now, post.published))
    title = ""
    if post.title:
        link = {"href": f"#{native_id(post)}", "class": _css(noise)}
        title = noise.tag("h2", None, noise.tag("a", link, noise.words(post.title)))
    byline = ""
    if post.author:
        name = noise.tag("span", {"itemprop": "name"}, noise.words(post.author))
        byline = noise.tag("p", {"data-testid": "live-blog-byline"}, name)
    return noise.tag("div", None, stamp) + title + byline


def _body(noise: Noise, post: Post) -> str:
    parts = [noise.tag("p", {"class": _css(noise)}, noise.words(text)) for text in post.paragraphs]
    if post.items:
        rows = (noise.tag("li", None, noise.words(item)) for item in post.items)
        parts.append(noise.tag("ul", None, *rows))
    if post.image:
        parts.append(_figure(noise, *post.image))
    return "".join(parts)


def _figure(noise: Noise, url: str, alt: str, caption: str, credit: str) -> str:
    hidden = {"class": _css(noise)}
    words = noise.tag("span", None, noise.words(caption)) if caption else ""
    if credit:
        label = noise.tag("span", hidden, "Credit...")
        words += noise.tag("span", None, label, noise.tag("span", None, noise.words(credit)))
    return noise.tag(
        "figure",
        {"aria-label": "media", "role": "group"},
        noise.tag("span", hidden, "Image"),
        noise.tag("img", {"src": noise.picture(url), "alt": alt or ""}),
        noise.tag("figcaption", {"class": _css(noise)}, words) if words else "",
    )
