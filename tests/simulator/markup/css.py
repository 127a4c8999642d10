"""An invented plain page of no publisher, and the selectors that a person would write for it."""

from __future__ import annotations

from tests.simulator.desk import Front, Post
from tests.simulator.markup.press import HTML, Noise, ago, clock, digest, z

SOURCE = "css"
CONTENT_TYPE = HTML
SHOWS = frozenset(
    {
        "head:title", "head:summary", "title", "labels:breaking", "labels:key", "labels:pinned",
        "author", "published", "updated", "items", "paragraphs", "image", "image:alt",
        "image:caption", "live",
    }
)  # fmt: skip
SELECTORS: dict[str, object] = {
    "entry": "ol.log > li.update",
    "id": "@data-number",
    "title": "h3",
    "time": "time.when@datetime",
    "updated": "@data-changed",
    "body": ".words",
    "author": ".by b",
    "url": "a.permalink@href",
    "labels": {"breaking": ".flag-urgent", "key": ".is-key", "pinned": "[data-pinned]"},
    "skip": ".share, .ad-slot",
    "head_title": "h1",
    "head_summary": "p.lead",
    "ended": ".coverage-over",
}


def native_id(post: Post) -> str:
    return f"n{digest(post.key)[:8]}"


def page(front: Front) -> bytes:
    noise = Noise(front.salt, "css")
    over = noise.tag("p", {"class": "coverage-over"}, "This page is no longer being updated.")
    body = (
        noise.tag("h1", None, noise.words(front.title))
        + noise.tag("p", {"class": "lead"}, noise.words(front.summary))
        + ("" if front.live else over)
        + noise.tag("ol", {"class": "log"}, *(_update(noise, front, post) for post in front.posts))
    )
    return noise.page(front.title, front.url, front.summary, "", body).encode()


def _update(noise: Noise, front: Front, post: Post) -> str:
    classes = ["update", f"x{noise.hex(4)}", *(["is-key"] if "key" in post.labels else [])]
    pinned = post.key == front.pinned or "pinned" in post.labels
    stamp = {"class": "when", "datetime": z(post.published)}
    flag = noise.tag("span", {"class": "flag-urgent"}, "Urgent")
    by = f"By {noise.tag('b', None, noise.words(post.author or ''))}"
    return noise.tag(
        "li",
        {
            "class": " ".join(classes),
            "data-number": native_id(post),
            "data-changed": z(post.updated) if post.updated else None,
            "data-pinned": "yes" if pinned else None,
        },
        noise.tag("time", stamp, f"{clock(post.published)} ({ago(front.now, post.published)})"),
        flag if "breaking" in post.labels else "",
        noise.tag("h3", None, noise.words(post.title)) if post.title else "",
        noise.tag("p", {"class": "by"}, by) if post.author else "",
        noise.tag("div", {"class": "words"}, _words(noise, post)),
        noise.tag("a", {"class": "permalink", "href": f"{front.url}#{native_id(post)}"}, "#"),
        noise.tag("div", {"class": "share"}, "<button>Share</button>"),
    )


def _words(noise: Noise, post: Post) -> str:
    parts = [noise.tag("p", None, noise.words(text)) for text in post.paragraphs]
    if post.items:
        rows = (noise.tag("li", None, noise.words(item)) for item in post.items)
        parts.append(noise.tag("ul", None, *rows))
    if post.image:
        url, alt, caption, _ = post.image
        picture = noise.tag("img", {"src": noise.picture(url), "alt": alt or ""})
        words = noise.tag("figcaption", None, noise.words(caption)) if caption else ""
        parts.append(noise.tag("figure", None, picture, words))
    return "".join([*parts[:1], noise.advert(), *parts[1:]])
