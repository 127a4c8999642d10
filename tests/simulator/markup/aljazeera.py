"""An Al Jazeera live blog (corpus): a shell that lists its updates, and an answer for each.

`date` is UTC without saying so. A caption ends in its credit, in brackets. The page is the shell's
own answer; `answers` has it under its query too.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from tests.simulator.desk import Front, Post
from tests.simulator.markup.press import JSON, Noise, serial, slug

SOURCE = "aljazeera"
CONTENT_TYPE = JSON
SHOWS = frozenset(
    {
        "head:title", "head:summary", "title", "author", "role", "published", "updated", "items",
        "paragraphs", "image", "image:alt", "live",
    }
)  # fmt: skip


def native_id(post: Post) -> str:
    return str(_number(post))


def page(front: Front) -> bytes:
    return _shell(Noise(front.salt, "aljazeera"), front)


def answers(front: Front) -> dict[str, bytes]:
    noise = Noise(front.salt, "aljazeera answers")
    name = _name(front)
    shell = _query(
        "ArchipelagoSingleLiveBlogQuery", {"name": name, "postType": "liveblog", "preview": ""}
    )
    children = {"data": {"article": {"children": [_number(post) for post in front.posts]}}}
    found = {
        shell: _shell(noise, front),
        _query("SingleLiveBlogChildrensQuery", {"postName": name}): noise.json(children).encode(),
    }
    for post in front.posts:
        found[_update_query(post)] = noise.json(_update(noise, front, post)).encode()
    return found


def _query(operation: str, variables: dict[str, object]) -> str:
    spelt = quote(json.dumps(variables, separators=(",", ":")), safe="")
    return (
        f"/graphql?wp-site=aje&operationName={operation}&variables={spelt}"
        f"&extensions={quote('{}', safe='')}"
    )


def _update_query(post: Post) -> str:
    variables: dict[str, object] = {
        "postID": _number(post),
        "postType": "liveblog-update",
        "preview": "",
        "isAmp": False,
    }
    return _query("LiveBlogUpdateQuery", variables)


def _number(post: Post) -> int:
    """Numbers that are not in the order of time."""
    number = serial(post.key)
    return 4_000_000 + number * 7919 % 1_000_003 if number < 1_000_003 else number


def _name(front: Front) -> str:
    return urlsplit(front.url).path.rstrip("/").rsplit("/", 1)[-1]


def _naive(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _shell(noise: Noise, front: Front) -> bytes:
    article = {
        "id": "4511785",
        "slug": _name(front),
        "link": urlsplit(front.url).path,
        "title": front.title,
        "excerpt": front.summary,
        "subheading": front.summary,
        "content": f"<ul>\n<li>{noise.words(front.summary)}</li>\n</ul>\n",
        "date": _naive(min((post.published for post in front.posts), default=front.modified)),
        "modified_gmt": _naive(front.modified),
        "isBreaking": False,
        "isLive": front.live,
        "isDeveloping": False,
        "postType": "liveblog",
        "postLabel": [],
        "children": [_number(post) for post in front.posts],
        "childrenMeta": [
            {
                "id": native_id(post),
                "publishedTime": str(int(post.published.timestamp())),
                "embeds": [],
                "__typename": "ChildMeta",
            }
            for post in front.posts
        ],
        "correctionText": None,
        "updatedDate": "",
        "displayPublishDate": True,
        "__typename": "Post",
    }
    return noise.json({"data": {"article": article}}).encode()


def _update(noise: Noise, front: Front, post: Post) -> dict[str, object]:
    update = {
        "id": native_id(post),
        "link": urlsplit(front.url).path,
        "postType": "liveblog-update",
        "title": post.title or "",
        "shouldDisplayTitle": bool(post.title),
        "content": _content(noise, post),
        "author": [_author(noise, post.author)] if post.author else [],
        "showAuthor": bool(post.author),
        "writeInAuthor": "",
        "authorTagline": post.role or "",
        "writeInCoAuthor": {"name": "", "order": "1", "__typename": "WriteInAuthor"},
        "showAuthorTitles": False,
        "date": _naive(post.published),
        "modified_gmt": _naive(post.updated or post.published),
        "amp": {"markup": "", "scripts": [], "styles": [], "__typename": "Amp"},
        "postLabel": [],
        "__typename": "Post",
    }
    return {"data": {"posts": update}}


def _author(noise: Noise, name: str) -> dict[str, object]:
    return {
        "id": "4455040",
        "name": name,
        "slug": slug(name),
        "link": f"/author/{slug(name)}",
        "avatars": [],
        "jobTitle": "",
        "displayPostCount": noise.number(0, 99),
        "__typename": "User",
    }


def _content(noise: Noise, post: Post) -> str:
    parts = [f"<p>{noise.words(text)}</p>\n" for text in post.paragraphs]
    if post.items:
        bullets = "".join(f"<li>{noise.words(item)}</li>\n" for item in post.items)
        parts.append(f"<ul>\n{bullets}</ul>\n")
    parts += [_figure(noise, *post.image)] if post.image else []
    return "".join(parts)


def _figure(noise: Noise, url: str, alt: str, caption: str, credit: str) -> str:
    number = noise.number(10**6, 10**7)
    path = urlsplit(url).path
    picture = noise.tag(
        "img",
        {
            "class": f"wp-image-{number} size-arc-image-770",
            "src": f"{path}?resize={noise.pick(570, 770)}%2C513",
            "srcset": f"{path} {noise.number(1000, 5000)}w, {path}?w=2310 2310w",
            "alt": alt or "",
        },
    )
    words = " ".join((caption or "", f"[{credit}]" if credit else "")).strip()
    label = noise.tag("figcaption", {"class": "wp-caption-text"}, noise.words(words))
    attributes = {"id": f"attachment_{number}", "class": "wp-caption aligncenter"}
    return noise.tag("figure", attributes, picture, label if words else "")
