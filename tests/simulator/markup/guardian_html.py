"""A Guardian live blog as HTML, with the JSON-LD that repeats the article's dates.

The pinned post stands at the top as a copy without an id. Caption and credit of an image are one
line of text. Which posts are key events is only in the properties of an island.
"""

from __future__ import annotations

import json
from datetime import datetime

from tests.simulator.desk import Front, Post
from tests.simulator.markup import guardian_blocks
from tests.simulator.markup.guardian_blocks import display, is_pinned, page_id
from tests.simulator.markup.press import HTML, LONDON, Noise, ago, epoch_ms, in_script, z_ms

SOURCE = "guardian"
CONTENT_TYPE = HTML
SHOWS = frozenset(
    {
        "head:title", "head:summary", "title", "labels:pinned", "author", "published", "updated",
        "items", "paragraphs", "image", "image:alt", "live",
    }
)  # fmt: skip
native_id = guardian_blocks.native_id


def page(front: Front) -> bytes:
    noise = Noise(front.salt, "guardian_html")
    copied = guardian_blocks.pinned(front)
    blog = noise.tag(
        "div",
        {"id": "liveblog-body", "class": f"js-liveblog-body {_css(noise)}"},
        _pinned(noise, front, copied) if copied else "",
        noise.tag("div", {"id": "top-of-blog"}),
        *(_block(noise, front, post, original=True) + noise.advert() for post in front.posts),
    )
    body = noise.tag("main", {"data-layout": "LiveLayout"}, _head(noise, front), blog)
    head = noise.linked_data(linked_data(front)) + _config(noise, front)
    return noise.page(front.title, front.url, front.summary, head, body).encode()


def linked_data(front: Front) -> list[dict[str, object]]:
    """Every update has the article's dates, headline and author, and no address of its own."""
    article = {
        "datePublished": z_ms(front.modified),
        "dateModified": z_ms(front.modified),
        "headline": front.title,
        "author": [{"@type": "Person", "name": "Example Staff"}],
    }
    return [
        {
            "@context": "http://schema.org",
            "@type": "LiveBlogPosting",
            "@id": front.url,
            **article,
            "liveBlogUpdate": [
                {
                    "@type": "BlogPosting",
                    "@id": native_id(post),
                    "articleBody": " ".join((*post.paragraphs, *post.items))[:1000],
                    **article,
                }
                for post in front.posts
            ],
        }
    ]


def _css(noise: Noise) -> str:
    return f"dcr-{noise.hex(6)}"


def _config(noise: Noise, front: Front) -> str:
    design = "LiveBlogDesign" if front.live else "DeadBlogDesign"
    config = {
        "page": {"isLive": front.live, "isLiveBlog": True, "pageId": page_id(front)},
        "tests": {"variant": noise.hex(4)},
    }
    settings = {"config": config, "format": {"design": design}}
    return f"<script>window.guardian = {in_script(noise.json(settings))};</script>"


def _head(noise: Noise, front: Front) -> str:
    heading = noise.tag("h1", {"class": _css(noise)}, noise.words(front.title))
    standfirst = noise.tag("p", None, noise.words(front.summary))
    key_events = [
        {
            "id": native_id(post),
            "title": post.title,
            "blockFirstPublished": epoch_ms(post.published),
        }
        for post in front.posts
        if post.labels & {"key", "summary"}
    ]
    return (
        noise.tag("div", {"data-gu-name": "headline"}, heading)
        + noise.tag("div", {"data-gu-name": "standfirst"}, standfirst)
        + _island(noise, "KeyEventsCarousel", {"keyEvents": key_events}, "")
    )


def _island(noise: Noise, name: str, properties: dict[str, object], inner: str) -> str:
    attributes = {
        "name": name,
        "priority": noise.pick("feature", "enhancement"),
        "deferuntil": "visible",
        "props": json.dumps(properties),
    }
    return noise.tag("gu-island", attributes, inner)


def _pinned(noise: Noise, front: Front, post: Post) -> str:
    copy = noise.tag(
        "div",
        {"id": "pinned-post", "class": _css(noise)},
        noise.tag("div", {"class": _css(noise)}, noise.tag("span", None, "Pinned")),
        _block(noise, front, post, original=False),
        noise.tag("label", {"for": "pinned-post-checkbox"}, "Show more"),
    )
    return _island(noise, "PinnedPost", {}, copy)


def _block(noise: Noise, front: Front, post: Post, *, original: bool) -> str:
    content = guardian_blocks.texts(noise, post)
    content[1:1] = [_figure(noise, *post.image)] if post.image else []
    if not content:
        return ""
    names = {
        "id": f"block-{native_id(post)}" if original else None,
        "class": " ".join(("block", noise.pick("", "pending "), _css(noise))).replace("  ", " "),
    }
    return noise.tag(
        "article",
        names,
        _header(noise, front, post, original=original),
        *content,
        _footer(noise, front, post),
    )


def _header(noise: Noise, front: Front, post: Post, *, original: bool) -> str:
    block = f"block-{native_id(post)}"
    then = post.published
    relative = noise.tag(
        "time", {"datetime": z_ms(then), "title": _spoken(then)}, ago(front.now, then)
    )
    link = noise.tag(
        "a",
        {"href": f"{front.url}?page=with:{block}#{block}", "data-ignore": "global-link-styling"},
        _island(noise, "RelativeTime", {"then": epoch_ms(then)}, relative) if original else "",
        noise.tag("span", {"class": _css(noise)}, display(then)),
    )
    pin = noise.tag(
        "a", {"href": f"{front.url}#pinned-post"}, noise.tag("span", None, "<svg></svg>")
    )
    title = noise.tag("h2", {"class": _css(noise)}, noise.words(post.title)) if post.title else ""
    byline = noise.tag("div", None, noise.tag("span", None, noise.words(post.author or "")))
    return noise.tag(
        "header",
        {"class": _css(noise)},
        noise.tag("div", None, link, pin if original and is_pinned(front, post) else ""),
        title,
        byline if post.author else "",
    )


def _spoken(moment: datetime) -> str:
    local = moment.astimezone(LONDON)
    return f"{local:%A} {local.day} {local:%B %Y at %H:%M} {local.tzname()}"


def _footer(noise: Noise, front: Front, post: Post) -> str:
    share = _island(noise, "ShareButton", {"pageId": page_id(front)}, "<button>Share</button>")
    moment = post.updated
    if moment is None:
        return noise.tag("footer", None, share)
    stamp = noise.tag("time", {"datetime": z_ms(moment), "title": _spoken(moment)}, display(moment))
    return noise.tag("footer", None, share, noise.tag("div", None, f"Updated at&nbsp;{stamp}"))


def _figure(noise: Noise, url: str, alt: str, caption: str, credit: str) -> str:
    picture = noise.tag(
        "picture",
        None,
        noise.tag("source", {"srcset": noise.srcset(url), "media": "(min-width: 740px)"}),
        noise.tag("img", {"src": noise.picture(url), "alt": alt or "", "loading": "lazy"}),
    )
    words = noise.tag("span", None, noise.words(caption or "")) + f" {noise.words(credit or '')}"
    line = noise.tag("figcaption", {"data-spacefinder-role": "inline"}, "<svg></svg>", words)
    kind = "model.dotcomrendering.pageElements.ImageBlockElement"
    attributes = {
        "id": noise.uuid(),
        "data-spacefinder-role": "inline",
        "data-spacefinder-type": kind,
    }
    return noise.tag("figure", attributes, picture, line)
