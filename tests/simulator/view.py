"""What a reader of a markup can know of a post, and where an entry says something else. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from service.model import Entry, Image
from tests.simulator import markup as markups
from tests.simulator.desk import Front, Post

LABELS = frozenset({"breaking", "key", "pinned", "summary"})


class Shown(Struct, frozen=True):
    """A post as one front had it. name: the key under which it was rendered."""

    post: Post
    name: str
    is_pinned: bool

    @property
    def labels(self) -> frozenset[str]:
        return self.post.labels | ({"pinned"} if self.is_pinned else set())

    @property
    def changed_at(self) -> datetime:
        return self.post.updated or self.post.published


def shown_on(front: Front, names: Mapping[str, str]) -> list[Shown]:
    """The posts of a front, newest first; of a post that stands there twice, the upper one."""
    first = {post.key: post for post in reversed(front.posts)}
    keys = dict.fromkeys(post.key for post in front.posts)
    return [Shown(first[key], names.get(key, key), key == front.pinned) for key in keys]


def native_id(markup: str, shown: Shown) -> str | None:
    return markups.native_id(markup, replace(shown.post, key=shown.name))


def known_of(markup: str, shown: Shown) -> dict[str, object]:
    """By field, what any reader of this markup knows of a post."""
    post, can = shown.post, markups.shows(markup, shown.post)
    values: dict[str, object] = {
        "title": post.title,
        "published": post.published,
        "author": post.author,
        "role": post.role,
        "image": post.image is not None,
    }
    known = {name: value for name, value in values.items() if name in can}
    lines = post.paragraphs + (post.items if "items" in can else ())
    known["text"] = _lines_or_words(lines, can)
    known["labels"] = frozenset(label for label in shown.labels if f"labels:{label}" in can)
    if post.image:
        words = zip(("alt", "caption", "credit"), post.image[1:], strict=True)
        known |= {name: value or None for name, value in words if f"image:{name}" in can}
    return known


def read_of(markup: str, post: Post, entry: Entry) -> dict[str, object]:
    """The same fields, of an entry that should be that post."""
    can = markups.shows(markup, post)
    author = entry.authors[0] if entry.authors else None
    image = next((one for one in entry.media if isinstance(one, Image)), None)
    return {
        "title": entry.title,
        "published": entry.published,
        "author": author.name if author else None,
        "role": author.role if author else None,
        "image": image is not None,
        "alt": image.alt if image else None,
        "caption": image.caption if image else None,
        "credit": image.credit if image else None,
        "text": _lines_or_words(tuple(entry.text.splitlines()), can),
        "labels": frozenset(label for label in entry.labels if f"labels:{label}" in can),
    }


def differences(markup: str, shown: Shown, entry: Entry) -> list[str]:
    """Where an entry says something else than the post that it is."""
    known, read = known_of(markup, shown), read_of(markup, shown.post, entry)
    wrong = [
        f"{name} is {read[name]!r}, not {value!r}"
        for name, value in known.items()
        if read[name] != value
    ]
    if invented := (LABELS & set(entry.labels)) - shown.labels:
        wrong.append(f"labels {sorted(invented)} are invented")
    if "updated" in markups.shows(markup, shown.post) and not _is_right_update(shown.post, entry):
        wrong.append(f"updated is {entry.updated!r}, not {shown.post.updated!r}")
    return wrong


def surely_differ(markup: str, one: Shown, other: Shown) -> bool:
    """Can every reader of this markup tell them apart?"""
    return known_of(markup, one) != known_of(markup, other)


def surely_same(one: Shown, other: Shown) -> bool:
    """Does nothing differ but the id, and when it was saved?"""
    same = replace(other.post, updated=one.post.updated)
    return one.is_pinned == other.is_pinned and one.post == same


def is_moved(markup: str, one: Shown, other: Shown) -> bool:
    """Does the publisher give the post another id now?"""
    return native_id(markup, one) != native_id(markup, other)


def _lines_or_words(lines: tuple[str, ...], can: frozenset[str]) -> tuple[str, ...]:
    return lines if "paragraphs" in can else tuple(" ".join(lines).split())


def _is_right_update(post: Post, entry: Entry) -> bool:
    if post.updated is None:
        return entry.updated is None or entry.updated <= post.published
    return entry.updated == post.updated
