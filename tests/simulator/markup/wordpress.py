"""Entries of the WordPress Liveblog plugin: a log, oldest record first.

An edit is a record of type "update" with the entry's own id and time; it stands where it was made,
in place of the record that it replaces. A withdrawal is a record of type "delete" without content.
The plugin has no headlines and no labels but its key events.
"""

from __future__ import annotations

from tests.simulator.desk import Front, Post
from tests.simulator.markup.press import JSON, Noise, serial, slug

SOURCE = "wordpress"
CONTENT_TYPE = JSON
SHOWS = frozenset(
    {
        "labels:key", "author", "published", "updated", "items", "paragraphs", "image",
        "image:alt", "image:caption", "withdrawn",
    }
)  # fmt: skip


def native_id(post: Post) -> str:
    return str(_number(post.key))


def page(front: Front) -> bytes:
    noise = Noise(front.salt, "wordpress")
    log = [(_changed(post), _number(post.key), _record(noise, front, post)) for post in front.posts]
    gone = int(front.modified.timestamp())
    log += [(gone, _number(key), _deletion(front, key, gone)) for key in front.withdrawn]
    log.sort(key=lambda record: record[:2])
    answer = {
        "entries": [record for _, _, record in log],
        "latest_timestamp": log[-1][0] if log else None,
        "refresh_interval": noise.pick(5, 10, 15),
        "pages": front.total // 5 + 1,
    }
    return noise.json(answer).encode()


def _number(key: str) -> int:
    return 10_000 + serial(key) * 2


def _changed(post: Post) -> int:
    return int((post.updated or post.published).timestamp())


def _record(noise: Noise, front: Front, post: Post) -> dict[str, object]:
    render = _render(noise, post)
    number = _number(post.key)
    return {
        "id": number,
        "type": "update" if post.updated else "new",
        "render": render,
        "content": render,
        "css_classes": f"comment byuser odd thread-{noise.pick('even', 'odd')} depth-1 liveblog",
        "timestamp": _changed(post),
        "entry_time": int(post.published.timestamp()),
        "authors": [_author(noise, post.author)] if post.author else [],
        "share_link": f"{front.url}#{number}",
        "key_event": "key" in post.labels,
    }


def _deletion(front: Front, key: str, moment: int) -> dict[str, object]:
    return {
        "id": _number(key),
        "type": "delete",
        "render": "",
        "content": "",
        "timestamp": moment,
        "entry_time": moment,
        "authors": [],
        "share_link": f"{front.url}#{_number(key)}",
        "key_event": False,
    }


def _author(noise: Noise, name: str) -> dict[str, object]:
    avatar = noise.tag("img", {"alt": "", "src": noise.picture("https://a.example.org/1.png")})
    return {"id": 7, "key": slug(name), "name": name, "avatar": avatar}


def _render(noise: Noise, post: Post) -> str:
    parts = [f"<p>{noise.words(text)}</p>" for text in post.paragraphs]
    if post.items:
        parts.append(f"<ul>\n{''.join(f'<li>{noise.words(i)}</li>' for i in post.items)}</ul>")
    if post.image:
        parts.append(_figure(noise, *post.image))
    return noise.pick("\n", "\n\n", "").join(parts)


def _figure(noise: Noise, url: str, alt: str, caption: str, credit: str) -> str:
    number = noise.number(1000, 9999)
    picture = noise.tag(
        "img",
        {
            "class": f"wp-image-{number} size-large",
            "src": noise.picture(url),
            "srcset": noise.srcset(url),
            "alt": alt or "",
        },
    )
    words = noise.tag("figcaption", {"class": "wp-caption-text"}, noise.words(caption or ""))
    attributes = {"id": f"attachment_{number}", "class": "wp-caption aligncenter"}
    return noise.tag("figure", attributes, picture, words if caption else "")
