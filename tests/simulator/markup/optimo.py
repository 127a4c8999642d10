"""Posts of a BBC stream in Optimo blocks, as in the corpus.

Noise: ids of blocks, there, absent or shared; an empty last paragraph; text in several fragments.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta

from tests.simulator.desk import Front, Post
from tests.simulator.markup.press import Noise, file_name, serial, steady_uuid, z_ms

Byline = Callable[["Blocks", Post], dict[str, object]]
_PAGE_SIZE = 20


class Blocks:
    """Builds the blocks of one post."""

    def __init__(self, noise: Noise) -> None:
        self.noise = noise
        self._ids = noise.pick("own", "own", "none", "shared")
        self._shared = noise.hex(8)

    def block(self, kind: str, model: dict[str, object]) -> dict[str, object]:
        block: dict[str, object] = {"type": kind, "model": model}
        if self._ids != "none":
            block["id"] = self._shared if self._ids == "shared" else self.noise.hex(8)
        return block

    def nest(self, kind: str, *inner: dict[str, object]) -> dict[str, object]:
        return self.block(kind, {"blocks": list(inner)})

    def paragraph(self, text: str) -> dict[str, object]:
        cut = self.noise.number(1, len(text)) if text and self.noise.chance(4) else len(text)
        parts = [part for part in (text[:cut], text[cut:]) if part]
        fragments = [
            self.block("fragment", {"text": part, "attributes": list[str]()}) for part in parts
        ]
        return self.block("paragraph", {"text": text, "blocks": fragments})

    def text(self, kind: str, words: str) -> dict[str, object]:
        """A block around one line: a headline, a caption."""
        return self.nest(kind, self.nest("text", self.paragraph(words)))

    def bullets(self, items: tuple[str, ...]) -> dict[str, object]:
        lines = (self.nest("listItem", self.paragraph(item)) for item in items)
        return self.nest("unorderedList", *lines)

    def image(self, url: str, alt: str, caption: str, credit: str) -> dict[str, object]:
        raw = {
            "locator": file_name(url),
            "originCode": "cpsprodpb",
            "copyrightHolder": credit,
            "width": self.noise.pick(976, 1024, 2048),
            "height": self.noise.pick(549, 576, 1152),
        }
        inner = [self.block("rawImage", raw)]
        inner += [self.text("altText", alt)] if alt else []
        inner += [self.text("caption", caption)] if caption else []
        return self.nest("image", *inner)


def subheadline(blocks: Blocks, post: Post) -> dict[str, object]:
    """The older byline: one line of text."""
    words = f"{post.author} - {post.role}" if post.role else str(post.author)
    return blocks.text("subheadline", words)


def contributor(blocks: Blocks, post: Post) -> dict[str, object]:
    """The newer byline."""
    return blocks.block(
        "contributor",
        {"name": post.author, "subtitle": post.role, "link": None, "external": False, "blocks": []},
    )


def stream(noise: Noise, front: Front, byline: Byline) -> dict[str, object]:
    """What the stream container answers."""
    pages = max(1, math.ceil(front.total / max(_PAGE_SIZE, len(front.posts))))
    return {
        "results": [_result(noise, post, byline) for post in front.posts],
        "page": {"index": 1, "total": pages},
    }


def _result(noise: Noise, post: Post, byline: Byline) -> dict[str, object]:
    blocks = Blocks(noise)
    header = [blocks.text("headline", post.title)] if post.title else []
    header += [byline(blocks, post)] if post.author else []
    content = [blocks.image(*post.image)] if post.image else []
    content += [blocks.paragraph(text) for text in post.paragraphs]
    content += [blocks.bullets(post.items)] if post.items else []
    content += [blocks.block("paragraph", {"text": "", "blocks": []})] if noise.chance(4) else []
    return {
        "typeCode": None,
        "type": "POST",
        "urn": f"asset:{steady_uuid(post.key)}",
        "header": {"model": {"blocks": header}},
        "content": {"model": {"blocks": content}},
        "link": None,
        "options": {"isBreakingNews": "breaking" in post.labels},
        "dates": _dates(post),
        "titles": [{"title": None, "source": "primary"}],
        "descriptions": [{"text": None, "source": "summary"}],
        "images": [{"url": None, "originalUrl": None, "altText": None, "copyright": None}],
    }


def _dates(post: Post) -> dict[str, str | None]:
    """Three clocks: what is shown is `curated`, which may be a little after the first save."""
    first = post.published - timedelta(seconds=serial(post.key) % 3)
    last = post.updated or first
    return {
        "firstPublished": first.isoformat(timespec="seconds"),
        "lastPublished": last.isoformat(timespec="seconds"),
        "time": None,
        "curated": z_ms(post.published),
    }
