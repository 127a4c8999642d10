"""What every renderer needs: noise, escaping, ids and clocks. It knows no publisher.

Noise is all that may differ between two pages that say the same. It comes from the salt alone, so
that the same front with the same salt is the same bytes.
"""

from __future__ import annotations

import hashlib
import html
import json
import random
import re
import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

_T = TypeVar("_T")
LONDON = ZoneInfo("Europe/London")
HTML = "text/html; charset=utf-8"
JSON = "application/json; charset=utf-8"
_NAMESPACE = uuid.UUID("5b0c1f3e-6a0e-4d0e-9a51-3d7f6f2c9a10")
_VOID = frozenset({"br", "img", "link", "meta", "source"})
_PHRASING = frozenset({"a", "b", "em", "i", "mark", "span", "strong", "button", "time", "abbr"})
_ZONES = {"BST": "British Summer Time", "GMT": "Greenwich Mean Time"}
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


class Noise:
    """The dice of one page. place keeps two parts of a page from sharing their noise."""

    def __init__(self, salt: int, place: str = "") -> None:
        self._dice = random.Random(f"{salt} {place}")

    def pick(self, *choices: _T) -> _T:
        return self._dice.choice(choices)

    def number(self, low: int, high: int) -> int:
        return self._dice.randint(low, high)

    def chance(self, one_in: int) -> bool:
        return self._dice.randrange(one_in) == 0

    def hex(self, length: int) -> str:
        return f"{self._dice.getrandbits(4 * length):0{length}x}"

    def uuid(self) -> str:
        return str(uuid.UUID(int=self._dice.getrandbits(128), version=4))

    # --- HTML ---

    def words(self, text: str) -> str:
        """Text as element content, in one of the spellings that mean the same."""
        match self.number(0, 3):
            case 0:
                return html.escape(text)
            case 1:
                return html.escape(text).encode("ascii", "xmlcharrefreplace").decode()
            case _:
                return html.escape(text, quote=False)

    def gap(self) -> str:
        """White space where it means nothing."""
        return self.pick("", "", "\n", "\n    ", " ", "\r\n\t")

    def tag(
        self, name: str, attributes: Mapping[str, str | None] | None = None, *content: str
    ) -> str:
        """An element; content is HTML already. Attributes in any order, None for an absent one."""
        pairs = [
            f'{key}="{html.escape(value)}"'
            for key, value in (attributes or {}).items()
            if value is not None
        ]
        self._dice.shuffle(pairs)
        opening = " ".join((name, *pairs))
        if name in _VOID:
            return f"<{opening}{self.pick('', '/', ' /')}>"
        gap = "" if name in _PHRASING else self.gap()
        return f"<{opening}>{''.join(content)}</{name}>{gap}"

    def advert(self) -> str:
        """Nothing, or what stands between two posts and is none."""
        if self.number(0, 3):
            return ""
        slot = {"class": f"ad-slot ad-{self.hex(5)}", "id": f"dfp-ad--inline{self.number(1, 9)}"}
        return self.tag("aside", slot, self.tag("span", None, "Advertisement"))

    def tracker(self) -> str:
        """A script as every page has some."""
        session = json.dumps({"session": self.hex(32), "t": self.number(10**12, 2 * 10**12)})
        return f"<script>window.__tracking = {session};</script>"

    def picture(self, url: str) -> str:
        """The address of an image with the noise that image services add to it."""
        joint = "&" if "?" in url else "?"
        return f"{url}{joint}width={self.pick(445, 605, 620, 1200)}&s={self.hex(16)}"

    def srcset(self, url: str) -> str:
        return ", ".join(f"{self.picture(url)} {self.number(2, 9) * 100}w" for _ in range(2))

    def page(self, title: str, url: str, summary: str, head: str, body: str) -> str:
        """An HTML page around a body: what identifies it, and what is of no interest."""
        metas = [
            self.tag("link", {"rel": "canonical", "href": url}),
            self.tag("meta", {"name": "description", "content": summary}),
            self.tag("meta", {"property": "og:title", "content": title}),
            self.tag("meta", {"property": "og:url", "content": url}),
            self.tracker(),
        ]
        self._dice.shuffle(metas)
        inner = self.tag("title", None, self.words(title)) + self.gap().join(metas) + head
        charset = '<meta charset="utf-8">'
        return (
            f'<!DOCTYPE html>\n<html lang="en"><head>{charset}{inner}</head>\n'
            f"<body>{self.gap()}{body}{self.tracker()}</body></html>\n"
        )

    # --- JSON ---

    def json(self, value: object) -> str:
        """JSON with its keys in any order, spaced and escaped in any way."""
        style = self.pick((", ", ": "), (",", ":"), (",", ": "))
        return json.dumps(
            self._shuffled(value), ensure_ascii=self.pick(True, False), separators=style
        )

    def _shuffled(self, value: object) -> object:
        if isinstance(value, Mapping):
            pairs = list(value.items())
            self._dice.shuffle(pairs)
            return {key: self._shuffled(item) for key, item in pairs}
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [self._shuffled(item) for item in value]
        return value

    def linked_data(self, value: object) -> str:
        """A JSON-LD script."""
        return f'<script type="application/ld+json">{in_script(self.json(value))}</script>'


def in_script(text: str) -> str:
    """JSON that can stand in a script element: it can neither close it nor open a comment."""
    return text.replace("<", "\\u003c")


# --- ids ---


def digest(key: str) -> str:
    """32 hex digits that stand for a post for ever."""
    return hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()


def steady_uuid(key: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, key))


def serial(key: str) -> int:
    """The number in a key such as "p17", else one from its digest. Two keys never share one."""
    found = re.fullmatch(r"p(\d{1,8})", key)
    return int(found[1]) if found else 10**8 + int(digest(key)[:14], 16)


def slug(text: str) -> str:
    """Words as they stand in an address."""
    plain = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    kept = re.sub(r"[^\w\s-]", "", plain)
    return re.sub(r"[\s_-]+", "-", kept).strip("-")[:80]


def file_name(url: str) -> str:
    return urlsplit(url).path.rsplit("/", 1)[-1]


# --- clocks ---


def z(moment: datetime) -> str:
    """2023-12-20T10:23:22Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def z_ms(moment: datetime) -> str:
    """2023-12-20T10:23:22.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def offset(moment: datetime, zone: ZoneInfo = LONDON) -> str:
    """2024-08-05T21:00:18.921+01:00, as in the place where the publisher sits."""
    return moment.astimezone(zone).isoformat(timespec="milliseconds")


def epoch_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def clock(moment: datetime, joint: str = ":") -> str:
    """21:00, London time."""
    return moment.astimezone(LONDON).strftime(f"%H{joint}%M")


def zone_short(moment: datetime) -> str:
    return moment.astimezone(LONDON).tzname() or ""


def zone_long(moment: datetime) -> str:
    return _ZONES[zone_short(moment)]


def day_and_month(moment: datetime) -> str:
    """25 April, London time."""
    local = moment.astimezone(LONDON)
    return f"{local.day} {_MONTHS[local.month - 1]}"


def ago(now: datetime, then: datetime) -> str:
    """How publishers round: "21 mins ago"."""
    minutes = max(0, int((now - then) / timedelta(minutes=1)))
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} mins ago"
    return f"{minutes // 60} hrs ago" if minutes < 1440 else f"{minutes // 1440} days ago"
