"""An AP live blog as HTML: posts are elements of its own, times their attributes."""

from __future__ import annotations

from tests.simulator.desk import Front, Post
from tests.simulator.markup.press import HTML, Noise, ago, epoch_ms, steady_uuid

SOURCE = "ap"
CONTENT_TYPE = HTML
SHOWS = frozenset(
    {
        "head:title",
        "head:summary",
        "title",
        "published",
        "items",
        "paragraphs",
        "image",
        "image:alt",
    }
)


def native_id(post: Post) -> str:
    return steady_uuid(post.key)


def page(front: Front) -> bytes:
    noise = Noise(front.salt, "ap")
    posts = "".join(_post(noise, front, post) + noise.advert() for post in front.posts)
    feed = noise.tag("div", {"class": "LiveBlogPage-currentPosts"}, posts)
    body = (
        noise.tag("h1", {"class": "LiveBlogPage-headline"}, noise.words(front.title))
        + noise.tag("div", {"class": "LiveBlogPage-subheadline"}, noise.words(front.summary))
        + noise.tag("bsp-liveblog", {"data-latest-update-text": "New update"}, feed)
    )
    return noise.page(front.title, front.url, front.summary, "", body).encode()


def _post(noise: Noise, front: Front, post: Post) -> str:
    identity = native_id(post)
    stamp = str(epoch_ms(post.published))
    return noise.tag(
        "bsp-liveblog-post",
        {
            "class": "LiveBlogPost",
            "id": identity,
            "data-post-id": identity,
            "data-posted-date-timestamp": stamp,
        },
        noise.tag(
            "bsp-timestamp",
            {"data-timestamp": stamp},
            noise.tag("span", None, ago(front.now, post.published)),
        ),
        noise.tag("h2", {"class": "LiveBlogPost-headline"}, noise.words(post.title))
        if post.title
        else "",
        noise.tag("div", {"class": "LiveBlogPost-body RichTextStoryBody"}, _body(noise, post)),
        noise.tag(
            "bsp-copy-link",
            {"data-link": f"{front.url}#{identity}"},
            "<button>Copy Link copied</button>",
        ),
    )


def _body(noise: Noise, post: Post) -> str:
    parts = [noise.tag("p", None, noise.words(text)) for text in post.paragraphs]
    if post.items:
        rows = (noise.tag("li", None, noise.words(item)) for item in post.items)
        parts.append(noise.tag("ul", {"class": f"rte2-style-ul-{noise.hex(4)}"}, *rows))
    if post.image:
        parts.append(_figure(noise, *post.image))
    return "".join(parts)


def _figure(noise: Noise, url: str, alt: str, caption: str, credit: str) -> str:
    words = " ".join((caption or "", f"({credit})" if credit else "")).strip()
    return noise.tag(
        "figure",
        {"class": "Figure"},
        noise.tag(
            "img", {"src": noise.picture(url), "srcset": noise.srcset(url), "alt": alt or ""}
        ),
        noise.tag("figcaption", {"class": "Figure-caption"}, noise.words(words)) if words else "",
    )
