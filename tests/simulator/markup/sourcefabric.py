"""Posts of Sourcefabric's Live Blog (corpus): composites of items, in the editors' own order.

A withdrawn post stays in the feed as a tombstone, words and all. One post is only submitted: it is
in every feed and must become no entry. Posts have no headlines.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.simulator.desk import Front, Post
from tests.simulator.markup.press import JSON, Noise, digest, serial, steady_uuid

SOURCE = "sourcefabric"
CONTENT_TYPE = JSON
SHOWS = frozenset(
    {
        "labels:key", "labels:pinned", "author", "published", "updated", "items", "paragraphs",
        "image", "image:alt", "image:caption", "image:credit", "withdrawn",
    }
)  # fmt: skip
_FOUNDED = datetime(2016, 3, 29, 13, 42, 56, tzinfo=UTC)


def native_id(post: Post) -> str:
    return _urn(post.key)


def page(front: Front) -> bytes:
    noise = Noise(front.salt, "sourcefabric")
    posts = [_post(noise, front, post) for post in front.posts]
    posts[1:1] = [_tombstone(noise, key) for key in front.withdrawn]
    posts[2:2] = [_submitted(noise)]
    for place, post in enumerate(posts):
        post["order"] = len(posts) - place + noise.pick(0, 0.25, 0.5)
    feed = {
        "_items": posts,
        "_links": {"self": {"href": f"client_blogs/{digest(front.url)[:24]}/posts"}},
        "_meta": {"max_results": max(25, len(posts)), "page": 1, "total": front.total + 1},
    }
    return noise.json(feed).encode()


def _urn(key: str) -> str:
    made = _FOUNDED + timedelta(seconds=serial(key) % 10**6)
    return f"urn:newsml:localhost:{made:%Y-%m-%dT%H:%M:%S}.901700:{steady_uuid(key)}"


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _post(noise: Noise, front: Front, post: Post) -> dict[str, object]:
    items = [_text(noise, post)]
    items += [_image(noise, *post.image)] if post.image else []
    composite = _composite(noise, post.key, post.published, post.updated, items)
    composite["sticky"] = post.key == front.pinned or "pinned" in post.labels
    composite["lb_highlight"] = composite["highlight"] = "key" in post.labels
    if post.author:
        composite["publisher"] = {
            "_id": digest(post.author)[:24],
            "display_name": post.author,
            "sign_off": "art",
        }
    return composite


def _tombstone(noise: Noise, key: str) -> dict[str, object]:
    items = [_item(noise, "text", "These words were withdrawn.", {})]
    composite = _composite(noise, key, _FOUNDED, _FOUNDED + timedelta(minutes=9), items)
    return composite | {"deleted": True, "unpublished_date": _moment(_FOUNDED)}


def _submitted(noise: Noise) -> dict[str, object]:
    items = [_item(noise, "text", "<b>Not for publication: waits for the editor.</b>", {})]
    composite = _composite(noise, "submitted", _FOUNDED, None, items)
    return composite | {"post_status": "submitted"}


def _composite(
    noise: Noise,
    key: str,
    published: datetime,
    updated: datetime | None,
    items: list[dict[str, object]],
) -> dict[str, object]:
    """A post. `_updated` also moves when it is only highlighted, made sticky or moved."""
    touched = (updated or published) + timedelta(seconds=noise.number(0, 59))
    return {
        "_id": _urn(key),
        "guid": _urn(key),
        "_etag": noise.hex(40),
        "_type": "archive",
        "_created": _moment(published),
        "_updated": _moment(touched),
        "_current_version": noise.number(1, 9),
        "blog": digest("blog")[:24],
        "deleted": False,
        "post_status": "open",
        "particular_type": "post",
        "sticky": False,
        "highlight": False,
        "lb_highlight": False,
        "firstcreated": _moment(published),
        "published_date": _moment(published),
        "content_updated_date": _moment(updated or published),
        "unpublished_date": None,
        "versioncreated": _moment(updated or published),
        "type": "composite",
        "groups": [
            {"id": "root", "refs": [{"idRef": "main"}], "role": "grpRole:NEP"},
            {"id": "main", "refs": items, "role": "grpRole:Main"},
        ],
    }


def _item(noise: Noise, kind: str, words: str, extra: dict[str, object]) -> dict[str, object]:
    guid = f"urn:newsml:localhost:{noise.uuid()}"
    item = {
        "_id": guid,
        "guid": guid,
        "_etag": noise.hex(40),
        "item_type": kind,
        "particular_type": "item",
        "text": words,
        "type": "text",
        "language": "en",
        **extra,
    }
    return {"guid": guid, "residRef": guid, "type": "text", "item": item}


def _text(noise: Noise, post: Post) -> dict[str, object]:
    """What an editable element leaves: the first line bare, others in elements or after breaks."""
    lines = [noise.words(text) for text in post.paragraphs]
    if serial(post.key) % 2:
        words = "<br><br>".join(lines)
    else:
        rest = "".join(f"<div><br></div><div>{line}</div>" for line in lines[1:])
        words = "".join(lines[:1]) + rest
    if post.items:
        bullets = "".join(f"<li>{noise.words(item)}</li>" for item in post.items)
        words += f"<br><br><ul>{bullets}</ul>"
    return _item(noise, "text", words, {})


def _image(noise: Noise, url: str, alt: str, caption: str, credit: str) -> dict[str, object]:
    rendition = {"href": noise.picture(url), "mimetype": "image/jpeg", "width": 1080}
    meta = {
        "caption": caption or "",
        "credit": credit or "",
        "media": {"renditions": {"baseImage": rendition}},
    }
    picture = noise.tag(
        "img", {"src": noise.picture(url), "alt": alt or "", "srcset": noise.srcset(url)}
    )
    words = " ".join((caption or "", f"Credit: {credit}" if credit else "")).strip()
    caption_tag = f"<figcaption>{noise.words(words)}</figcaption>" if words else ""
    figure = f"<figure>    {picture}    {caption_tag}</figure>"
    return _item(noise, "image", figure, {"meta": meta})
