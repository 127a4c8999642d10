"""The hostile edge: what stands between a desk and whoever polls its page.

It answers one poll after the other, each with one fault or none, and writes down what it served:
that, and nothing else, is what an observer can have known. A fault counts as fired only when it
changed an answer that was sent.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from types import ModuleType
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from tests.simulator.desk import Desk, Front, Post
from tests.simulator.markup import MARKUPS, answer

Kind = Literal["page", "junk", "failed", "not_modified"]
Clocks = Literal["none", "date", "modified"]
WindowKind = Literal["fixed", "paged", "all"]

_WALL = (
    "<!DOCTYPE html><html><head><title>Before you continue</title></head><body>"
    '<div id="consent-wall" class="consent"><h1>We value your privacy</h1><p>We and our partners'
    " use cookies. Accept cookies to continue.</p><form action='/consent'><button>Accept all"
    "</button><button>Manage options</button></form></div></body></html>"
)
# So many posts that nobody touches any more are out beside those of a page that shows not all.
_ARCHIVE = 40
# Sources of which one answer need share nothing with the last.
_LOGS = frozenset({"wordpress"})
# The form of page that the other half of the readers get.
_SIBLING = {
    "bbc_html": "bbc_data",
    "bbc_data": "bbc_html",
    "guardian_html": "guardian_data",
    "guardian_data": "guardian_html",
}


class Answer(Struct, frozen=True):
    """One HTTP answer. is_cut: the connection breaks off before the end of the body."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_cut: bool = False


class Moment(Struct, frozen=True):
    """What the desk showed once. names: the keys under which posts were rendered, by our key."""

    front: Front
    names: dict[str, str]


class Served(Struct, frozen=True):
    """What one poll was given.

    kind page: a whole page of this desk, however old, of which `front` is the window (its keys are
    the desk's own, `names` the rendered ones). junk: a body that is none. failed: no body at all.
    clocks: the headers `Date`, `Age` and `Last-Modified`, as moments. out: what was out at the
    desk then. is_true: it shows what the desk shows now. complete: nothing lies outside the window.
    """

    at: datetime
    fault: str
    kind: Kind
    front: Front | None = None
    names: dict[str, str] = {}
    generated: datetime | None = None
    modified: datetime | None = None
    out: frozenset[str] = frozenset()
    is_true: bool = True
    complete: bool = False


class Window(Struct, frozen=True):
    """How much of the desk's posts a page shows. paged: what fills no page stands on the first."""

    kind: WindowKind
    size: int

    def of(self, posts: int) -> int:
        """How many of so many posts are shown."""
        match self.kind:
            case "fixed":
                return min(self.size, posts)
            case "paged":
                return posts if posts < 2 * self.size else self.size + posts % self.size
            case "all":
                return posts


class Edge:
    """Serves a desk's page in one markup. now: set it before each poll."""

    def __init__(self, markup: str, desk: Desk, window: Window, clocks: Clocks) -> None:
        self.markup, self.desk, self.window, self.clocks = markup, desk, window, clocks
        self.now = desk.modified
        self.fired: Counter[str] = Counter()
        self.served: Served
        self._module: ModuleType = MARKUPS[markup]
        self._names: dict[str, str] = {}
        self._settled: dict[str, Post] = {}
        self._read: dict[str, Post] = {}  # as it was when its own answer was last asked for
        self._paths: dict[str, frozenset[str]] = {}
        self._spelt: dict[str, str] = {}  # our path for each that was asked for
        self._history: list[Moment] = []
        self._salt = 0
        self._answer: Callable[[str, Mapping[str, str]], Answer]

    def remember(self) -> None:
        """Keep what the desk shows now: a stale node may serve it later."""
        self._history.append(Moment(self.desk.front(self.now), dict(self._names)))

    def prepare(self, fault: str, dice: random.Random) -> None:
        """Get ready for the next poll."""
        self.remember()
        if dice.random() < 0.8:
            self._salt = dice.getrandbits(32)
        moment = self._history[-1]
        self._serve("none", moment, self._windowed(moment.front), self._honest(moment, self.now))
        if self._settled or fault not in TELLING_IF_KNOWN:
            FAULTS[fault](self, moment, dice)

    def settled(self, posts: Iterable[Post]) -> None:
        """These are known to whoever polls, as they are."""
        self._settled = {post.key: post for post in posts}

    def answer(self, asked: str, headers: Mapping[str, str]) -> Answer:
        """Answer one request of the poll; asked: path and query."""
        return self._answer(asked, headers)

    # --- good pages ---

    def _windowed(self, front: Front, size: int | None = None, start: int = 0) -> Front:
        shown = self.window.of(front.total) if size is None else size
        return self._of(front, front.posts[start : start + shown])

    def _of(self, front: Front, posts: tuple[Post, ...]) -> Front:
        """The front with these of its posts. A page that does not show all is one of several."""
        total = front.total if len(posts) == front.total else front.total + _ARCHIVE
        return replace(front, posts=posts, total=total, now=self.now)

    def _honest(self, moment: Moment, at: datetime) -> dict[str, datetime]:
        """Clocks of an answer that was made at that time."""
        told = {} if self.clocks == "none" else {"generated": at}
        return told | ({"modified": moment.front.modified} if self.clocks == "modified" else {})

    def _serve(
        self,
        fault: str,
        moment: Moment,
        front: Front,
        clocks: Mapping[str, datetime],
        *,
        is_true: bool = True,
    ) -> None:
        front = replace(front, salt=self._salt)
        self.served = Served(
            at=self.now,
            fault=fault,
            kind="page",
            front=front,
            names=moment.names,
            generated=clocks.get("generated"),
            modified=clocks.get("modified"),
            out=frozenset(post.key for post in moment.front.posts),
            is_true=is_true,
            complete=len({post.key for post in front.posts}) == front.total,
        )
        page = rendered(front, moment.names)
        parts: dict[str, bytes] = {}

        def serve(asked: str, headers: Mapping[str, str]) -> Answer:
            if urlsplit(asked).path != urlsplit(front.url).path:
                parts.update({} if parts else self._parts(page))
                return self._part(front, page, parts, asked)
            if fault != "none":
                self.fired[fault] += 1
            return self._whole(self._module.page(page), self._module.CONTENT_TYPE, clocks)

        self._answer = serve

    def seen(self) -> Served:
        """What was served, as whoever polled has seen it: of a post that has an answer of its own,
        what that said when it was last asked for."""
        front = self.served.front
        if front is None or not self._read:
            return self.served
        posts = tuple(self._read.get(post.key, post) for post in front.posts)
        return replace(self.served, front=replace(front, posts=posts))

    def _parts(self, page: Front) -> dict[str, bytes]:
        """The further answers of a page, by path and query."""
        answers = getattr(self._module, "answers", None)
        return dict(answers(page)) if answers else {}

    def _part(self, front: Front, page: Front, parts: Mapping[str, bytes], asked: str) -> Answer:
        if self._spelt.get(asked) not in parts:
            self._spelt[asked] = next((one for one in parts if answer({one: b"!"}, asked)), "")
        path = self._spelt[asked]
        if path not in parts:
            return Answer(404, {}, b"")
        if self.served.kind == "page":
            for ours, theirs in zip(front.posts, page.posts, strict=True):
                if path in self._own_paths(page, theirs):
                    self._read[ours.key] = ours
        return self._whole(parts[path], "application/json", {})

    def _own_paths(self, page: Front, post: Post) -> frozenset[str]:
        """Where the answers are that a post has of its own, if it has any."""
        if post.key not in self._paths:
            own, none = (self._parts(replace(page, posts=posts)) for posts in ((post,), ()))
            self._paths[post.key] = frozenset(own.keys() - none.keys())
        return self._paths[post.key]

    def _whole(self, body: bytes, content_type: str, clocks: Mapping[str, datetime]) -> Answer:
        headers = {"Content-Type": content_type, "ETag": f'"{hashlib.md5(body).hexdigest()}"'}
        if (generated := clocks.get("generated")) is not None:
            headers["Date"] = format_datetime(generated, usegmt=True)
        if (modified := clocks.get("modified")) is not None:
            headers["Last-Modified"] = format_datetime(modified, usegmt=True)
        return Answer(200, headers, body)

    # --- no pages ---

    def _refuse(self, fault: str, status: int, headers: dict[str, str]) -> None:
        self.served = Served(at=self.now, fault=fault, kind="failed", is_true=False)

        def refuse(asked: str, _headers: Mapping[str, str]) -> Answer:
            self.fired[fault] += 1
            return Answer(status, headers, b"<html><body>Sorry</body></html>")

        self._answer = refuse

    def _spoil(self, fault: str, spoil: Callable[[Answer], Answer], *, failed: bool) -> None:
        """Serve what would be served, made useless."""
        before = self._answer
        kind: Kind = "failed" if failed else "junk"
        self.served = Served(at=self.now, fault=fault, kind=kind, is_true=False)

        def serve(asked: str, headers: Mapping[str, str]) -> Answer:
            if urlsplit(asked).path != urlsplit(self.desk.url).path:
                return before(asked, headers)
            self.fired[fault] += 1
            return spoil(before(asked, headers))

        self._answer = serve


def rendered(front: Front, names: Mapping[str, str]) -> Front:
    """The front under the keys that the publisher gives its posts now."""
    posts = tuple(replace(post, key=names.get(post.key, post.key)) for post in front.posts)
    return replace(
        front,
        posts=posts,
        pinned=names.get(front.pinned, front.pinned) if front.pinned else None,
        withdrawn=tuple(names.get(key, key) for key in front.withdrawn),
    )


# --- faults ---------------------------------------------------------------------------------------


def _none(_edge: Edge, _moment: Moment, _dice: random.Random) -> None:
    """A plain answer."""


def _stale(edge: Edge, moment: Moment, dice: random.Random) -> None:
    """A node that fell behind, and does not say so."""
    _serve_old(edge, "stale", moment, dice, edge._honest(moment, edge.now))


def _stale_told(edge: Edge, moment: Moment, dice: random.Random) -> None:
    """A node that fell behind, and whose headers say so."""
    _serve_old(edge, "stale_told", moment, dice, None)


def _serve_old(
    edge: Edge,
    fault: str,
    moment: Moment,
    dice: random.Random,
    clocks: Mapping[str, datetime] | None,
) -> None:
    shown = _shown(edge, moment)
    older = [
        one
        for one in edge._history[-12:-1]
        if _shown(edge, one) != shown and one.front.modified < moment.front.modified
    ]
    if not older or (clocks is None and edge.clocks == "none"):
        return
    old = dice.choice(older)
    told = edge._honest(old, old.front.now) if clocks is None else clocks
    edge._serve(fault, old, edge._windowed(old.front), told, is_true=False)


def _shown(edge: Edge, moment: Moment) -> object:
    front = edge._windowed(moment.front)
    return front.title, front.summary, front.live, front.posts, front.pinned, front.withdrawn


def _short_window(edge: Edge, moment: Moment, dice: random.Random) -> None:
    """A node that shows fewer posts than the others."""
    full = edge.window.of(moment.front.total)
    if full < 5:
        return
    front = edge._windowed(moment.front, dice.randint(max(4, full - 3), full - 1))
    edge._serve("short_window", moment, front, edge._honest(moment, edge.now))


def _second_page(edge: Edge, moment: Moment, dice: random.Random) -> None:
    """A page of older posts at the address of the newest."""
    full = edge.window.of(moment.front.total)
    start = dice.randint(1, full)
    front = edge._windowed(moment.front, full, start)
    if len(front.posts) < 3:
        return
    edge._serve("second_page", moment, front, edge._honest(moment, edge.now), is_true=False)


def _doubled(edge: Edge, moment: Moment, dice: random.Random) -> None:
    """A post stands on the page twice, as where two of its pages overlap. Without an id there is
    nothing to tell it from two that say the same."""
    if not hasattr(edge._module, "native_id"):
        return
    front = edge._windowed(moment.front)
    posts = list(front.posts)
    post = dice.choice(posts)
    posts.insert(dice.randint(posts.index(post) + 1, len(posts)), post)
    front = replace(front, posts=tuple(posts))
    edge._serve("doubled", moment, front, edge._honest(moment, edge.now))


def _rekeyed(edge: Edge, moment: Moment, dice: random.Random) -> None:
    """The publisher gives some posts other ids, and keeps to them. Their words stay as they are:
    of a post that changes altogether, nothing tells that it is the same."""
    front = edge._windowed(moment.front)
    same = [post for post in front.posts if edge._settled.get(post.key) == post]
    if not same or not hasattr(edge._module, "native_id"):
        return
    several = dice.sample(same, min(len(same), dice.choice((1, 2, 99))))
    for post in several:
        serial = int(post.key[1:])
        edge._names[post.key] = f"p{serial + 1000 * dice.randint(1, 899)}"
    moment = Moment(moment.front, dict(edge._names))
    edge._history[-1] = moment
    edge._serve("rekeyed", moment, front, edge._honest(moment, edge.now))


def _skewed(edge: Edge, moment: Moment, dice: random.Random) -> None:
    """A node whose clock is wrong."""
    if edge.clocks == "none":
        return
    seconds = dice.choice((-90, -30, -2, -1, 1, 30, 90))
    clocks = {
        name: at + timedelta(seconds=seconds) for name, at in edge._honest(moment, edge.now).items()
    }
    edge._serve("skewed", moment, edge._windowed(moment.front), clocks)


def _mass_loss(edge: Edge, moment: Moment, dice: random.Random) -> None:
    """Half a page: most of its posts did not load."""
    front = edge._windowed(moment.front)
    few = sorted(dice.sample(range(len(front.posts)), dice.randint(1, 2)))
    front = edge._of(moment.front, tuple(front.posts[place] for place in few))
    edge._serve("mass_loss", moment, front, edge._honest(moment, edge.now), is_true=False)


def _emptied(edge: Edge, moment: Moment, _dice: random.Random) -> None:
    """A page without its posts."""
    front = edge._windowed(moment.front, 0)
    edge._serve("emptied", moment, front, edge._honest(moment, edge.now), is_true=False)


def _other_page(edge: Edge, moment: Moment, dice: random.Random) -> None:
    """Another page at this address. Where ids are made of times, and in a log of changes, nothing
    tells."""
    if not hasattr(edge._module, "native_id") or edge._module.SOURCE in _LOGS:
        return
    other = Desk(moment.front.url, edge.now, dice, sticky=False).front(edge.now)
    names = {post.key: f"p{910_000 + n}" for n, post in enumerate(other.posts)}
    edge._serve("other_page", Moment(other, names), other, {}, is_true=False)
    edge.served = replace(edge.served, kind="junk", front=None)


def _truncated(edge: Edge, _moment: Moment, dice: random.Random) -> None:
    """The origin stopped in the middle. In plain text nothing would tell."""
    if edge._module.CONTENT_TYPE.startswith("text/plain"):
        return
    share = dice.uniform(0.02, 0.95)

    def cut(whole: Answer) -> Answer:
        return replace(whole, body=whole.body[: int(len(whole.body) * share)])

    edge._spoil("truncated", cut, failed=False)


def _cut_off(edge: Edge, _moment: Moment, dice: random.Random) -> None:
    """The connection breaks in the middle of the body."""
    share = dice.uniform(0.02, 0.95)

    def cut(whole: Answer) -> Answer:
        return replace(whole, body=whole.body[: int(len(whole.body) * share)], is_cut=True)

    edge._spoil("cut_off", cut, failed=True)


def _consent(edge: Edge, _moment: Moment, _dice: random.Random) -> None:
    """A wall instead of the page."""
    wall = Answer(200, {"Content-Type": "text/html; charset=utf-8"}, _WALL.encode())
    edge._spoil("consent", lambda _: wall, failed=False)


def _other_markup(edge: Edge, moment: Moment, dice: random.Random) -> None:
    """The same posts in another markup, as one half of the readers gets them in a trial."""
    other = "microdata" if edge._module.SOURCE == "jsonld" else "jsonld_plain"
    if edge.markup in _SIBLING and dice.random() < 0.5:
        other = _SIBLING[edge.markup]
    module = MARKUPS[other]
    page = rendered(edge._windowed(moment.front), moment.names)
    page = replace(page, salt=edge._salt)
    body = Answer(200, {"Content-Type": module.CONTENT_TYPE}, module.page(page))
    edge._spoil("other_markup", lambda _: body, failed=False)


def _too_many(edge: Edge, _moment: Moment, dice: random.Random) -> None:
    edge._refuse("too_many", 429, {"Retry-After": str(dice.randint(1, 90))})


def _unavailable(edge: Edge, _moment: Moment, dice: random.Random) -> None:
    edge._refuse("unavailable", dice.choice((500, 502, 503, 504)), {})


def _not_modified(edge: Edge, _moment: Moment, _dice: random.Random) -> None:
    """304, whether or not that is so; only to who asks for it."""
    plain, served = edge._answer, edge.served

    def serve(asked: str, headers: Mapping[str, str]) -> Answer:
        if "If-None-Match" not in headers and "If-Modified-Since" not in headers:
            return plain(asked, headers)
        edge.fired["not_modified"] += 1
        edge.served = replace(served, fault="not_modified", kind="not_modified", is_true=False)
        return Answer(304, {}, b"")

    edge._answer = serve


def _part_failed(edge: Edge, _moment: Moment, _dice: random.Random) -> None:
    """The page comes, what else it wants does not."""
    if not hasattr(edge._module, "answers"):
        return
    plain, served = edge._answer, edge.served

    def serve(asked: str, headers: Mapping[str, str]) -> Answer:
        if urlsplit(asked).path == urlsplit(edge.desk.url).path:
            return plain(asked, headers)
        edge.fired["part_failed"] += 1
        edge.served = replace(served, fault="part_failed", kind="failed", is_true=False)
        return Answer(503, {}, b"")

    edge._answer = serve


FAULTS: dict[str, Callable[[Edge, Moment, random.Random], None]] = {
    fault.__name__.lstrip("_"): fault
    for fault in (
        _none,
        _stale,
        _stale_told,
        _short_window,
        _second_page,
        _doubled,
        _rekeyed,
        _skewed,
        _mass_loss,
        _emptied,
        _other_page,
        _truncated,
        _cut_off,
        _consent,
        _other_markup,
        _too_many,
        _unavailable,
        _not_modified,
        _part_failed,
    )
}


def possible(markup: str) -> frozenset[str]:
    """The faults that an edge with this markup can have."""
    module, never = MARKUPS[markup], {"none"}
    if not hasattr(module, "native_id"):
        never |= {"rekeyed", "other_page", "doubled"}
    if module.SOURCE in _LOGS:
        never |= {"other_page"}
    if module.CONTENT_TYPE.startswith("text/plain"):
        never |= {"truncated"}
    # A page that is read together with its parts is never asked for with conditions.
    never |= {"not_modified"} if hasattr(module, "answers") else {"part_failed"}
    return frozenset(FAULTS) - never


# Who never saw the page cannot tell these from it.
TELLING_IF_KNOWN = frozenset(
    {"second_page", "mass_loss", "emptied", "other_page", "other_markup", "stale"}
)
# Pages that seem good and say what is not so: not for long enough to be believed.
LYING = frozenset({"stale", "stale_told", "second_page", "mass_loss", "emptied", "other_page"})
