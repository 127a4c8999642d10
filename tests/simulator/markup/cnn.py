"""A CNN live story as HTML, as it is once its headlines are filled in.

The one time of a post is that of its last change, so neither of ours is sure.
"""

from __future__ import annotations

from tests.simulator.desk import Front, Post
from tests.simulator.markup.press import HTML, Noise, ago, digest, z_ms

SOURCE = "cnn"
CONTENT_TYPE = HTML
SHOWS = frozenset(
    {"head:title", "head:summary", "title", "items", "paragraphs", "image", "image:alt"}
)


def native_id(post: Post) -> str:
    return f"h_{digest(post.key)}"


def page(front: Front) -> bytes:
    return sheet(front, filled=True, scripts="")


def sheet(front: Front, *, filled: bool, scripts: str) -> bytes:
    """The page, its headlines and times filled in or left to a script."""
    noise = Noise(front.salt, "cnn")
    posts = "".join(_post(noise, front, post, filled) + noise.advert() for post in front.posts)
    attributes = {
        "class": "live-story__items-container",
        "data-initial-count": str(len(front.posts)),
    }
    heading = {"id": "maincontent", "class": "headline_live-story__text"}
    body = (
        noise.tag("h1", heading, noise.words(front.title))
        + noise.tag("div", {"class": "live-story__lede"}, noise.words(front.summary))
        + noise.tag("div", attributes, posts)
    )
    return noise.page(front.title, front.url, front.summary, scripts, body).encode()


def _post(noise: Noise, front: Front, post: Post, filled: bool) -> str:
    changed = post.updated or post.published
    title = noise.words(post.title) if filled and post.title else ""
    stamp = f"Updated {ago(front.now, changed)}" if filled else ""
    return noise.tag(
        "article",
        {
            "class": f"live-story-post liveStoryPost vossi-{noise.hex(4)}",
            "data-component-name": "live-story-post",
            "data-uri": f"cms.example/live-story-post/instances/{noise.hex(12)}@published",
            "data-post-id": native_id(post),
            "data-last-updated": z_ms(changed),
        },
        noise.tag(
            "header",
            {"class": "live-story-post__header"},
            noise.tag("span", {"class": "live-story-post__timestamp"}, stamp),
            noise.tag("h2", {"class": "live-story-post__headline inline-placeholder"}, title),
        ),
        noise.tag(
            "section",
            {"class": "live-story-post__body"},
            noise.tag("div", {"class": "live-story-post__content"}, _content(noise, post)),
        ),
        _share(noise, front, post),
    )


def _content(noise: Noise, post: Post) -> str:
    parts = [
        noise.tag(
            "p",
            {
                "class": "paragraph inline-placeholder vossi-paragraph",
                "data-component-name": "paragraph",
                "data-uri": f"cms.example/paragraph/instances/{noise.hex(12)}@published",
            },
            noise.words(text),
        )
        for text in post.paragraphs
    ]
    if post.items:
        rows = (noise.tag("li", None, noise.words(item)) for item in post.items)
        parts.append(noise.tag("ul", {"data-component-name": "unordered-list"}, *rows))
    if post.image:
        parts.append(_image(noise, *post.image))
    return "".join(parts)


def _image(noise: Noise, url: str, alt: str, caption: str, credit: str) -> str:
    words = noise.tag("span", {"class": "image__caption"}, noise.words(caption or ""))
    source = noise.tag("figcaption", {"class": "image__credit"}, noise.words(credit or ""))
    picture = noise.tag(
        "img", {"class": "image__dam-img", "src": noise.picture(url), "alt": alt or ""}
    )
    metadata = noise.tag("div", {"class": "image__metadata"}, words, source)
    attributes = {"class": "image", "data-component-name": "image"}
    return noise.tag("div", attributes, picture, metadata if caption or credit else "")


def _share(noise: Noise, front: Front, post: Post) -> str:
    button = noise.tag(
        "button",
        {"aria-label": "copy link to clipboard", "data-url": f"{front.url}#{native_id(post)}"},
        "Copy link",
    )
    return noise.tag("div", {"class": "social-share_compact__share-links"}, button)
