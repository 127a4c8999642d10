"""The observer: what whoever polled at those moments must have published. Pure.

The rules of guarantee G2 (docs/guarantees.md), written a second time and shared with nobody.
Where two outcomes are both right it allows either, and goes on from the one that was chosen:
- an entry gone from the bottom of a page that may know that nothing lies below;
- a wording that differs from an earlier one only in what the markup does not surely show;
- an id that moved while title and text were both changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from tests.simulator.desk import Front, Post
from tests.simulator.edge import Served
from tests.simulator.markup import MARKUPS
from tests.simulator.view import Shown, is_moved, shown_on, surely_differ, surely_same

CONFIRM = 3  # good polls that agree, before something goes back in time
FEWEST_FOR_DOUBT = 3
MASS_LOSS = 0.5
SKEW = timedelta(seconds=2)

# A log stands in the order in which it was written, and not in that of its posts.
IN_ORDER_OF_CHANGES = frozenset({"wordpress"})

Verb = Literal["published", "edited", "removed", "restored"]
Belief = Literal["must", "may", "never"]
Sureness = Literal["surely", "perhaps", "no"]


@dataclass(frozen=True)
class Count:
    """Good polls in a row that agree on a change: so many at least, and at most.

    is_real: in one of them it was so at the desk.
    """

    least: int = 0
    most: int = 0
    is_real: bool = False

    def add(self, *, surely: bool, is_real: bool) -> Count:
        return Count(self.least + 1 if surely else 0, self.most + 1, self.is_real or is_real)


class Expected(Struct, frozen=True):
    """An event that a poll must or may bring. baseline: None if either will do.

    heir: a new post that may as well be this one, under another id.
    """

    verb: Verb
    shown: Shown
    must: bool
    baseline: bool | None = None
    may_split: bool = False
    is_real: bool = True
    heir: str | None = None


@dataclass
class Known:
    """A post as it was last published.

    back: what goes back in time and waits. below: the keys that stood under it when it was last
    shown. in_window: the last good page showed it, or should have, as far as one can tell.
    """

    subject: str
    shown: Shown
    earlier: list[Shown] = field(default_factory=list)
    revision: int = 1
    is_removed: bool = False
    missing: Count = Count()
    back: tuple[Shown, Count] | None = None
    below: frozenset[str] = frozenset()
    in_window: bool = True
    is_surely_in: bool = True


class Observer:
    """Follows what was served. moved: posts that stood elsewhere than at their place in time."""

    def __init__(self, markup: str, moved: set[str]) -> None:
        self.markup, self.moved = markup, moved
        self.can = frozenset(MARKUPS[markup].SHOWS)
        self.known: dict[str, Known] = {}
        self.is_open = False
        self._generated: datetime | None = None
        self._modified: datetime | None = None
        self._said: datetime | None = None
        self._horizon: datetime | None = None

    # --- is this page to be believed? ---

    def believes(self, served: Served) -> Belief:
        """Older copies, mass losses and strangers are not believed, whatever they say."""
        front = served.front
        if served.kind != "page" or front is None:
            return "never"
        if self._is_old(served):
            # A wrong clock of a page that is right does no harm, if nobody minds it.
            return "may" if served.is_true else "never"
        if not front.posts:
            return "never" if self.is_open and "withdrawn" not in self.can else "may"
        window = [key for key, one in self.known.items() if one.in_window and not one.is_removed]
        if not window:
            return "must"
        if not any(post.key in self.known for post in front.posts):
            is_telling = len(window) >= FEWEST_FOR_DOUBT and "withdrawn" not in self.can
            return "never" if is_telling and not self.is_outrun(front) else "may"
        gone = {
            key: self._is_missing(key, served, front)
            for key, one in self.known.items()
            if not one.is_removed
        }
        if _is_mass(sum(gone[key] == "surely" for key in window), len(window)):
            return "never"
        if _is_mass(sum(one != "no" for one in gone.values()), len(window)):
            return "may"
        # Whether a page that has become so short has lost its posts, or lets them slide: who knows.
        shown = {post.key for post in front.posts}
        surely = [key for key in window if self.known[key].is_surely_in]
        is_short = any(
            _is_mass(sum(key not in shown for key in keys), len(keys)) for keys in (window, surely)
        )
        return "may" if is_short else "must"

    def is_outrun(self, front: Front) -> bool:
        """Did the page go on by more than it shows? Then it is all newer."""
        known = [one.shown.post.published for one in self.known.values()]
        return bool(known) and all(
            post.key not in self.known and post.published > max(known) for post in front.posts
        )

    def is_settled(self, shown: Shown) -> bool:
        """Is the post known as it is shown here?"""
        known = self.known.get(shown.post.key)
        if known is None or known.is_removed or known.back is not None:
            return False
        return surely_same(shown, known.shown)

    def says_it_is_old(self, front: Front) -> bool:
        """Was the desk's last act, by the page's own word, before one that was seen?"""
        return self._said is not None and front.modified < self._said

    def _is_old(self, served: Served) -> bool:
        made, changed = served.generated, served.modified
        is_earlier = made and self._generated and made < self._generated - SKEW
        return bool(is_earlier or (changed and self._modified and changed < self._modified))

    # --- what follows from it? ---

    def expect(self, served: Served, front: Front) -> dict[str, Expected]:
        """What this page must or may bring, by post; counts the polls that agree."""
        shown = shown_on(front, served.names)
        if not self.is_open:
            times = (one.post.published for one in shown if not self._stands_out(one))
            self._horizon = min(times, default=None)
        self._note_clocks(served, front)
        found = {key: self._gone(key, served, front) for key in self.known}
        for place, one in enumerate(shown):
            found[one.post.key] = self._here(one, shown[place + 1 :])
        found |= self._heirs(shown, {post.key for post in front.posts})
        self._note_places(shown)
        self.is_open = True
        return {key: one for key, one in found.items() if one is not None}

    def happened(self, key: str, expected: Expected, subject: str) -> None:
        """The event was published."""
        known = self.known.get(key)
        if known is None:
            self.known[key] = Known(subject, expected.shown)
            return
        if expected.verb == "removed":
            known.is_removed, known.in_window, known.missing = True, False, Count()
            return
        if not surely_same(expected.shown, known.shown):
            known.earlier.append(known.shown)
        known.shown, known.is_removed, known.back = expected.shown, False, None
        known.in_window = True

    def inherits(self, heir: str, key: str, shown: Shown) -> None:
        """A new post was taken for the one with that key, under another id."""
        known = self.known.pop(key)
        self.known[heir] = Known(known.subject, shown, [*known.earlier, known.shown])

    def settle(self, front: Front, names: dict[str, str]) -> None:
        """After its events: where each post stands."""
        self._note_places(shown_on(front, names))

    def _note_clocks(self, served: Served, front: Front) -> None:
        # No answer was made after we had it.
        made, changed = served.generated, served.modified
        self._generated = _later(self._generated, min(made, served.at) if made else None)
        self._modified = _later(self._modified, min(changed, served.at) if changed else None)
        self._said = _later(self._said, front.modified)

    def _note_places(self, shown: Sequence[Shown]) -> None:
        keys = [one.post.key for one in shown]
        for place, key in enumerate(keys):
            if key in self.known:
                self.known[key].below = frozenset(keys[place + 1 :])
                self.known[key].in_window = not self.known[key].is_removed
                self.known[key].is_surely_in = True

    def _stands_out(self, shown: Shown) -> bool:
        """Can a reader tell that the post stands out of its order?"""
        return shown.is_pinned and "labels:pinned" in self.can

    # a post that is there

    def _here(self, one: Shown, under: Sequence[Shown]) -> Expected | None:
        known = self.known.get(one.post.key)
        if known is None:
            return Expected("published", one, must=True, baseline=self._is_no_news(one, under))
        known.missing = Count()
        if known.is_removed and is_moved(self.markup, one, known.shown):
            return Expected("restored", one, must=False, may_split=True)
        if known.is_removed:
            return self._goes_back("restored", known, one)
        if surely_same(one, known.shown):
            known.back = None
            return None
        if not surely_differ(self.markup, one, known.shown):
            known.back = None
            return Expected("edited", one, must=False)
        if self._is_dated_back(known, one) or self._was_said(known, one):
            return self._goes_back("edited", known, one)
        known.back = None
        return Expected("edited", one, must=True, may_split=self._may_split(known, one))

    def _heirs(self, shown: Sequence[Shown], there: set[str]) -> dict[str, Expected]:
        """New posts with the time and words of one that went. Who can tell them from it?"""
        found = {}
        for one in shown:
            if not self.is_open or one.post.key in self.known:
                continue
            for key, known in self.known.items():
                if key not in there and _is_heir(one.post, known.shown.post):
                    found[one.post.key] = Expected("published", one, must=False)
                    found[key] = Expected("edited", one, must=False, heir=one.post.key)
        return found

    def _is_no_news(self, one: Shown, under: Sequence[Shown]) -> bool | None:
        """Was it out before we came, and slid in from below? None: that cannot be told."""
        if not self.is_open:
            return True
        if "published" not in self.can or self._horizon is None or self._stands_out(one):
            return None
        if one.post.published >= self._horizon:
            return False
        if self.markup in IN_ORDER_OF_CHANGES:
            return None
        is_below = not any(other.post.key in self.known for other in under)
        return True if is_below else None

    def _was_said(self, known: Known, one: Shown) -> bool:
        return any(not surely_differ(self.markup, one, before) for before in known.earlier)

    def _is_dated_back(self, known: Known, one: Shown) -> bool:
        """Does the publisher date these words before those that we know?"""
        return "updated" in self.can and one.changed_at < known.shown.changed_at

    def _may_split(self, known: Known, one: Shown) -> bool:
        """With its id, title and words all changed, nothing tells that it is the same post."""
        before, now = known.shown.post, one.post
        return (
            is_moved(self.markup, one, known.shown)
            and before.title != now.title
            and (before.paragraphs, before.items) != (now.paragraphs, now.items)
        )

    def _goes_back(self, verb: Verb, known: Known, one: Shown) -> Expected | None:
        count = Count()
        if known.back is not None and not surely_differ(self.markup, known.back[0], one):
            count = known.back[1]
            if not surely_same(known.back[0], one):
                count = Count(0, count.most)
        count = count.add(surely=True, is_real=True)
        known.back = (one, count)
        if count.most >= CONFIRM:
            return Expected(verb, one, must=count.least >= CONFIRM)
        is_exact = any(surely_same(one, before) for before in known.earlier)
        if verb == "restored" or is_exact or self._is_dated_back(known, one):
            return None
        return Expected(verb, one, must=False)

    # a post that is not

    def _gone(self, key: str, served: Served, front: Front) -> Expected | None:
        known = self.known[key]
        if any(post.key == key for post in front.posts):
            return None
        known.back = None
        if known.is_removed:
            return None
        if key in front.withdrawn and "withdrawn" in self.can:
            return Expected("removed", known.shown, must=True)
        missing = self._is_missing(key, served, front)
        if missing == "no":
            known.missing, known.in_window = Count(), False
            return None
        known.is_surely_in = missing == "surely"
        known.below |= _under(known.below, front)
        is_real = key not in served.out or self._is_misled(key, front)
        known.missing = known.missing.add(surely=missing == "surely", is_real=is_real)
        if known.missing.most < CONFIRM:
            return None
        must = known.missing.least >= CONFIRM
        return Expected("removed", known.shown, must=must, is_real=known.missing.is_real)

    def _is_missing(self, key: str, served: Served, front: Front) -> Sureness:
        """Should this page show a known post that it does not show?

        So it is when an older one that stood under it is still there, and at its place. A log of
        changes need not show anything.
        """
        known = self.known[key]
        if any(post.key == key for post in front.posts):
            return "no"
        under = self._anchors(known, front)
        is_dated, moment = "published" in self.can, known.shown.post.published
        if self._stands_out(known.shown) or not under:
            is_over = any(post.published <= moment for post in front.posts)
            return "perhaps" if served.complete or is_over else "no"
        in_order = _in_order(front.posts) - self.moved - {front.pinned}
        is_sure = not is_dated or any(
            post.published < moment and post.key in in_order for post in under
        )
        is_odd = key in self.moved or known.shown.is_pinned
        is_sure = is_sure and not is_odd and "withdrawn" not in self.can
        return "surely" if is_sure else "perhaps"

    def _anchors(self, known: Known, front: Front) -> list[Post]:
        """What stood under a post and is there now; a pinned one says nothing."""
        shown = shown_on(front, {})
        return [
            one.post for one in shown if one.post.key in known.below and not self._stands_out(one)
        ]

    def _is_misled(self, key: str, front: Front) -> bool:
        """Has an editor moved the post, or another so that it seems to prove something?"""
        return bool(self.moved & ({key} | _in_order(front.posts)))


def _is_heir(one: Post, other: Post) -> bool:
    said = set(other.paragraphs)
    return one.published == other.published and not said.isdisjoint(one.paragraphs)


def _under(below: frozenset[str], front: Front) -> frozenset[str]:
    """What stands under the uppermost of these now."""
    keys, sound = [post.key for post in front.posts], below - {front.pinned}
    first = next((place for place, key in enumerate(keys) if key in sound), len(keys))
    return frozenset(keys[first:])


def _in_order(posts: Sequence[Post]) -> set[str]:
    """Keys of those that stand above none that is newer: no editor has moved them up."""
    found, newest = set(), None
    for post in reversed(posts):
        if newest is None or post.published >= newest:
            found.add(post.key)
            newest = post.published
    return found


def _is_mass(lost: int, window: int) -> bool:
    return lost >= FEWEST_FOR_DOUBT and lost > MASS_LOSS * window


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one and other else one or other
