"""A BBC News live page as markup alone (webcore).

What the scrapers' notes do not show is put where the notes of the World Service and the bundled
recording put it: the id on the heading, the label and the contributor between heading and text.
The page's own data holds the header, which says whether it is live, and no stream.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote, urlsplit

from tests.simulator.desk import Front, Post
from tests.simulator.markup.press import (
    HTML,
    Noise,
    clock,
    day_and_month,
    digest,
    in_script,
    steady_uuid,
    z_ms,
    zone_long,
    zone_short,
)

SOURCE = "bbc"
CONTENT_TYPE = HTML
SHOWS = frozenset(
    {
        "head:title", "head:summary", "title", "labels:breaking", "author", "role", "published",
        "items", "paragraphs", "image", "image:alt", "image:caption", "image:credit", "live",
    }
)  # fmt: skip

Words = Callable[[datetime], str]


def native_id(post: Post) -> str:
    return f"asset:{steady_uuid(post.key)}"


def page(front: Front) -> bytes:
    return sheet(front, _words, {})


def sheet(front: Front, words: Words, containers: dict[str, object]) -> bytes:
    """The page with its times in these words, and these containers in its data."""
    noise = Noise(front.salt, "bbc")
    posts = "".join(
        noise.tag("li", {"class": _css(noise, "ListItem")}, _article(noise, front, post, words))
        + (noise.tag("li", None, noise.advert()) if noise.chance(6) else "")
        for post in front.posts
    )
    body = noise.tag(
        "main",
        {"id": "main-content", "data-testid": "main-content"},
        _head(noise, front),
        noise.tag(
            "div", {"id": "LiveText", "class": _css(noise, "Stream")}, noise.tag("ol", None, posts)
        ),
    )
    data = {f"live-header?assetId={asset(front)}": header(front), **containers}
    return noise.page(
        front.title, front.url, front.summary, "", body + initial_data(noise, data)
    ).encode()


def asset(front: Front) -> str:
    return f"c{digest(front.url)[:11]}"


def stream_id(front: Front) -> str:
    return digest(f"stream {front.url}").upper()


def stream_query(front: Front) -> str:
    """The query under which the page keeps its stream, and asks for it."""
    return (
        f"assetId={asset(front)}&enableDotcomAds=true&globalContainerPolling=true&home=news"
        f"&language=en-GB&liveTextStreamId={stream_id(front)}&pageNumber=1&pageSize=20"
        f"&pageUrl={quote(urlsplit(front.url).path, safe='')}"
    )


def header(front: Front) -> dict[str, object]:
    return {
        "name": "live-header",
        "props": {"assetId": asset(front)},
        "data": {
            "title": front.title,
            "description": front.summary,
            "isLive": front.live,
            "endDateTime": None,
            "seo": {"dateModified": z_ms(front.modified)},
            "type": "live-coverage",
        },
    }


def initial_data(noise: Noise, containers: dict[str, object]) -> str:
    """JSON in a string in a script."""
    inner = noise.json({"data": containers})
    literal = in_script(json.dumps(inner, ensure_ascii=noise.pick(True, False)))
    return f"<script nonce={noise.hex(8)}>window.__INITIAL_DATA__={literal};</script>"


def _words(moment: datetime) -> str:
    return f"{clock(moment)} {zone_long(moment)} {day_and_month(moment)}"


def _css(noise: Noise, name: str) -> str:
    return f"ssrcss-{noise.hex(6)}-{name} e{noise.hex(7)}{noise.number(0, 9)}"


def _hidden(noise: Noise, words: str) -> str:
    return noise.tag("span", {"class": f"visually-hidden {_css(noise, 'VisuallyHidden')}"}, words)


def _head(noise: Noise, front: Front) -> str:
    point = noise.tag("li", None, noise.words(front.summary))
    return noise.tag(
        "header",
        {"data-testid": "live-header"},
        noise.tag("h1", {"id": "main-heading"}, noise.words(front.title)),
        noise.tag("p", None, f"{noise.number(100, 99999)} viewing this page"),
    ) + noise.tag(
        "section",
        {"class": _css(noise, "SummaryPoints"), "data-testid": "summary-points"},
        noise.tag("h2", None, "Summary"),
        noise.tag("ul", None, point),
    )


def _article(noise: Noise, front: Front, post: Post, words: Words) -> str:
    return noise.tag(
        "article",
        {"data-testid": "content-post", "class": _css(noise, "Post")},
        _heading(noise, post, words),
        _breaking(noise, post),
        _contributor(noise, post),
        noise.tag(
            "div",
            {"class": _css(noise, "Body"), "id": f"block-{noise.hex(8)}"},
            _figure(noise, post),
            *(_paragraph(noise, text) for text in post.paragraphs),
            _list(noise, post),
        ),
        _share(noise, front, post),
    )


def _heading(noise: Noise, post: Post, words: Words) -> str:
    stamp = noise.tag(
        "span",
        {"data-testid": "timestamp", "class": _css(noise, "Timestamp")},
        noise.tag(
            "span",
            {"data-testid": "accessible-timestamp", "class": "visually-hidden"},
            f"published at {words(post.published)}",
        ),
        noise.tag(
            "span",
            {"aria-hidden": "true"},
            f"{clock(post.published)} {zone_short(post.published)}",
        ),
    )
    headline = noise.tag("span", None, noise.words(post.title or "Post"))
    return noise.tag(
        "h3",
        {"id": native_id(post), "class": _css(noise, "HeadlineWrap")},
        noise.tag("span", {"role": "text"}, headline, stamp),
    )


def _breaking(noise: Noise, post: Post) -> str:
    if "breaking" not in post.labels:
        return ""
    attributes = {"data-testid": "breaking-news-label", "class": _css(noise, "BreakingLabel")}
    return noise.tag("div", None, noise.tag("span", attributes, "Breaking"))


def _contributor(noise: Noise, post: Post) -> str:
    if not post.author:
        return ""
    role = f"{noise.pick('<br>', '<br/>')}{noise.words(post.role)}" if post.role else ""
    return noise.tag(
        "div",
        {"class": _css(noise, "Contributor")},
        noise.tag("strong", None, noise.words(post.author)) + role,
    )


def _paragraph(noise: Noise, text: str) -> str:
    return noise.tag("p", {"class": _css(noise, "Paragraph")}, noise.words(text))


def _list(noise: Noise, post: Post) -> str:
    if not post.items:
        return ""
    items = (noise.tag("li", None, noise.words(item)) for item in post.items)
    return noise.tag("ul", {"class": _css(noise, "UnorderedList"), "role": "list"}, *items)


def _figure(noise: Noise, post: Post) -> str:
    if not post.image:
        return ""
    url, alt, caption, credit = post.image
    source = _hidden(noise, "Image source, ") + noise.words(credit or "")
    metadata = noise.tag("span", {"role": "text", "class": _css(noise, "IPTCMetadata")}, source)
    words = _hidden(noise, "Image caption, ") + noise.words(caption or "")
    return noise.tag(
        "figure",
        {"class": _css(noise, "StyledFigure")},
        noise.tag(
            "img", {"src": noise.picture(url), "srcset": noise.srcset(url), "alt": alt or ""}
        ),
        metadata if credit else "",
        noise.tag("figcaption", None, noise.tag("span", None, words)) if caption else "",
    )


def _share(noise: Noise, front: Front, post: Post) -> str:
    link = f"{front.url}?post={quote(native_id(post), safe='')}#post"
    button = noise.tag("a", {"href": link, "class": _css(noise, "ShareLink")}, "Share")
    return noise.tag("div", {"data-testid": "share-tools"}, button)
