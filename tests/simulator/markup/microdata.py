"""A LiveBlogPosting in microdata (WHATWG HTML, chapter Microdata; schema.org terms)."""

from __future__ import annotations

from tests.simulator.desk import Front, Post
from tests.simulator.markup.press import HTML, Noise, clock, digest, z

SOURCE = "microdata"
CONTENT_TYPE = HTML
SHOWS = frozenset(
    {
        "head:title", "head:summary", "title", "author", "role", "published", "updated", "items",
        "paragraphs", "image", "image:alt", "image:caption", "image:credit",
    }
)  # fmt: skip


def native_id(post: Post) -> str:
    return digest(post.key)[:12]


def page(front: Front) -> bytes:
    noise = Noise(front.salt, "microdata")
    posts = (_post(noise, front, post) + noise.advert() for post in front.posts)
    blog = noise.tag(
        "div",
        {"itemscope": "", "itemtype": _type(noise, "LiveBlogPosting")},
        noise.tag("h1", {"itemprop": "headline"}, noise.words(front.title)),
        noise.tag("p", {"itemprop": "description"}, noise.words(front.summary)),
        noise.tag("meta", {"itemprop": "dateModified", "content": z(front.modified)}),
        *posts,
    )
    return noise.page(front.title, front.url, front.summary, "", blog).encode()


def _type(noise: Noise, name: str) -> str:
    return f"{noise.pick('http', 'https')}://schema.org/{name}"


def _post(noise: Noise, front: Front, post: Post) -> str:
    when = {"itemprop": "datePublished", "datetime": z(post.published)}
    return noise.tag(
        "article",
        {
            "itemprop": "liveBlogUpdate",
            "itemscope": "",
            "itemtype": _type(noise, "BlogPosting"),
            "itemid": f"{front.url}#post-{native_id(post)}",
            "id": f"post-{native_id(post)}",
            "class": f"post {noise.hex(6)}",
        },
        noise.tag("h2", {"itemprop": "headline"}, noise.words(post.title)) if post.title else "",
        noise.tag("time", when, clock(post.published)),
        noise.tag("meta", {"itemprop": "dateModified", "content": z(post.updated)})
        if post.updated
        else "",
        _author(noise, post),
        noise.tag("div", {"itemprop": "articleBody"}, _body(noise, post)),
        _image(noise, *post.image) if post.image else "",
        noise.tag("div", {"class": "share"}, "<button>Share</button>"),
    )


def _author(noise: Noise, post: Post) -> str:
    if not post.author:
        return ""
    name = noise.tag("span", {"itemprop": "name"}, noise.words(post.author))
    role = noise.tag("span", {"itemprop": "jobTitle"}, noise.words(post.role or ""))
    attributes = {"itemprop": "author", "itemscope": "", "itemtype": _type(noise, "Person")}
    return noise.tag("p", attributes, name, f", {role}" if post.role else "")


def _body(noise: Noise, post: Post) -> str:
    parts = [noise.tag("p", None, noise.words(text)) for text in post.paragraphs]
    if post.items:
        rows = (noise.tag("li", None, noise.words(item)) for item in post.items)
        parts.append(noise.tag("ul", None, *rows))
    return "".join(parts)


def _image(noise: Noise, url: str, alt: str, caption: str, credit: str) -> str:
    source = {"itemprop": "contentUrl", "src": noise.picture(url), "alt": alt or ""}
    words = noise.tag("span", {"itemprop": "caption"}, noise.words(caption)) if caption else ""
    if credit:
        words += " " + noise.tag("span", {"itemprop": "creditText"}, noise.words(credit))
    attributes = {"itemprop": "image", "itemscope": "", "itemtype": _type(noise, "ImageObject")}
    label = noise.tag("figcaption", None, words) if words else ""
    return noise.tag("figure", attributes, noise.tag("img", source), label)
