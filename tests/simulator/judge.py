"""The judge: compares what was published with what the observer must have published.

Precision: no event that the desk's page does not bear out. Recall: none missing. Beside the rules
it checks the chain, the revisions and what the state is in the end.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from service.events import EntryEvent, PageEvent
from service.model import Entry, PageState
from tests.simulator.desk import Front
from tests.simulator.edge import Served
from tests.simulator.observer import IN_ORDER_OF_CHANGES, Expected, Observer
from tests.simulator.view import Shown, differences, native_id, shown_on

BLIND_AFTER = 3  # bad polls in a row, before that is told

Event = EntryEvent | PageEvent
# What differs from one finding to the next like it: keys, ids, values.
_NAMES = re.compile(r"\S*\d\S*|'.*'|\".*\"|\[.*\]")
Rule = Literal[
    "precision", "recall", "doubled", "content", "label", "chain", "revision", "order", "baseline",
    "identity", "final",
]  # fmt: skip


class Told(Struct, frozen=True):
    """What the subject made of one poll. error: the code of its refusal.

    held: it takes the page for older than one seen before, by the page's own word.
    """

    events: tuple[Event, ...]
    error: str | None = None
    held: bool = False


class Finding(Struct, frozen=True):
    """Something that is wrong. where: number and fault of the poll."""

    rule: Rule
    where: str
    detail: str

    @property
    def kind(self) -> str:
        """The same for all that are wrong in the same way."""
        return f"{self.rule}: {_NAMES.sub('', self.detail)}"

    def __str__(self) -> str:
        return f"{self.where}: {self.rule}: {self.detail}"


class Judge:
    """Follows one day. findings: all that was wrong. loose: posts that became two entries."""

    def __init__(self, markup: str, moved: set[str]) -> None:
        self.markup = markup
        self.observer = Observer(markup, moved)
        self.findings: list[Finding] = []
        self.events: Counter[str] = Counter()
        self.loose: set[str] = set()
        self._polls = 0
        self._fault = ""
        self._ids: list[str] = []
        self._keys: dict[str, str] = {}  # the desk's, by subject
        self._last: dict[str, EntryEvent] = {}  # by subject
        self._failures = 0
        self._is_blind = False
        self._is_ended = False
        self._head: tuple[str, str] | None = None
        self._heads: list[tuple[str, str]] = []

    def poll(self, served: Served, told: Told) -> None:
        """Compare what was served with what was told."""
        self._polls += 1
        self._fault = served.fault
        self._follow_chain(told.events)
        belief = self.observer.believes(served)
        front = served.front
        if told.error is not None:
            if belief == "must":
                self._find("recall", f"a good page was refused: {told.error}")
            self._bad(told)
        elif belief == "never" or front is None:
            self._unbelievable(served, told)
        elif told.held:
            self._held(front, told)
        else:
            self._good(served, front, told)

    def close(self, state: PageState, front: Front) -> None:
        """At the end of the day, when all is settled: what is known must be what is shown."""
        self._fault = "the end"
        for one in shown_on(front, {}):
            known = self.observer.known.get(one.post.key)
            if known is None:
                self._find("final", f"{one.post.key} is shown, and was never published")
            elif one.post.key not in self.loose:
                touched = replace(one.post, updated=known.shown.post.updated)
                self._final(known.subject, replace(one, post=touched), state)
        for subject, event in self._last.items():
            kept = state.entries.get(subject)
            if kept is None or kept.entry != event.data.entry:
                self._find("final", f"the state of {subject} is not what its last event says")
        if state.meta.sequence != len(self._ids):
            self._find("chain", f"{len(self._ids)} events of {state.meta.sequence} came")
        head = self._words(front)
        seen = self._words_of(state.meta.head.title, state.meta.head.summary)
        if head != seen:
            self._find("final", f"the head is {seen}, not {head}")

    def _final(self, subject: str, one: Shown, state: PageState) -> None:
        kept = state.entries.get(subject)
        if kept is None or kept.removed:
            self._find("final", f"{one.post.key} is shown, and is not in the state")
            return
        for wrong in differences(self.markup, one, kept.entry):
            self._find("final", f"{one.post.key}: {wrong}")

    def _find(self, rule: Rule, detail: str) -> None:
        self.findings.append(Finding(rule, f"poll {self._polls} ({self._fault})", detail))

    # --- every poll ---

    def _follow_chain(self, events: Sequence[Event]) -> None:
        for event in events:
            self.events[event.type.removeprefix("stoppress.")] += 1
            if event.id in self._ids:
                self._find("doubled", f"event id {event.id} comes twice")
            previous = self._ids[-1] if self._ids else None
            if event.previousid != previous or event.number != len(self._ids) + 1:
                self._find("chain", f"a gap before {event.type} of {event.subject}")
            self._ids.append(event.id)

    # --- polls that show nothing ---

    def _bad(self, told: Told) -> None:
        """The third in a row is told, once."""
        self._failures += 1
        is_due = self._failures >= BLIND_AFTER and not self._is_blind
        self._judge_page(told.events, must={"degraded"} if is_due else set())
        self._is_blind = self._is_blind or is_due
        self._none(event for event in told.events if isinstance(event, EntryEvent))

    def _unbelievable(self, served: Served, told: Told) -> None:
        """An answer that is no page, and was not refused: then nothing may follow from it."""
        if served.kind == "failed":
            self._find("precision", "an answer that failed was taken for a page")
        self._failures = 0
        self._none(told.events)

    def _held(self, front: Front, told: Told) -> None:
        if not self.observer.says_it_is_old(front):
            self._find("recall", "a page was held back that is not older than another")
        self._failures = 0
        self._none(told.events)

    def _none(self, events: Iterable[Event]) -> None:
        for event in events:
            self._find("precision", f"{event.type} of {event.subject}, where nothing was seen")

    # --- good polls ---

    def _good(self, served: Served, front: Front, told: Told) -> None:
        self._failures = 0
        self._judge_head(front, told.events)
        expected = self.observer.expect(served, front)
        self._judge_entries(served, front, told.events, expected)
        self.observer.settle(front, served.names)
        self._is_blind = False

    # the page itself

    def _words_of(self, title: str | None, summary: str | None) -> tuple[str, str]:
        can = self.observer.can
        return (
            title or "" if "head:title" in can else "",
            summary or "" if "head:summary" in can else "",
        )

    def _words(self, front: Front) -> tuple[str, str]:
        return self._words_of(front.title, front.summary)

    def _judge_head(self, front: Front, events: Sequence[Event]) -> None:
        head, must, may = self._words(front), set[str](), set[str]()
        if self._is_blind:
            must.add("recovered")
        elif self.observer.is_outrun(front):
            may |= {"degraded", "recovered"}
        if self._head is None:
            must.add("opened")
            self._head, self._is_ended = head, not front.live
        elif head != self._head:
            (may if head in self._heads else must).add("updated")
        if "live" in self.observer.can and not front.live and not self._is_ended:
            # A head that goes back in time is not believed yet, and its end with it.
            (must if head == self._head or "updated" in must else may).add("ended")
        told = self._judge_page(events, must=must, may=may)
        if told["updated"]:
            self._heads.append(self._head)
            self._head = head
        self._is_ended = self._is_ended or bool(told["ended"])

    def _judge_page(
        self, events: Iterable[Event], *, must: set[str], may: set[str] = frozenset()
    ) -> Counter[str]:
        told = Counter(
            event.type.rsplit(".", 1)[1] for event in events if isinstance(event, PageEvent)
        )
        for verb in must - told.keys():
            self._find("recall", f"page.{verb} was not told")
        for verb in told.keys() - must - may:
            self._find("precision", f"page.{verb} was told, and is not so")
        for verb, times in told.items():
            if times > 1:
                self._find("doubled", f"page.{verb} was told {times} times")
        return told

    # entries

    def _judge_entries(
        self,
        served: Served,
        front: Front,
        events: Sequence[Event],
        expected: dict[str, Expected],
    ) -> None:
        shown = shown_on(front, served.names)
        met: Counter[str] = Counter()
        places = []
        for event in events:
            if not isinstance(event, EntryEvent):
                continue
            key = self._key(event, shown)
            if key is None:
                self._find("precision", f"{_named(event)} is no post of this page")
                continue
            met[key] += 1
            self._judge_event(event, key, expected.get(key))
            if event.type.endswith("published"):
                places += [place for place, one in enumerate(shown) if one.post.key == key]
        for key in met.keys() - self.loose:
            if met[key] > 1:
                self._find("doubled", f"{key} has {met[key]} events at once")
        for key in expected.keys() - met.keys() - self.loose:
            if expected[key].must:
                self._find("recall", f"{key} was not {expected[key].verb}")
        is_log = self.markup in IN_ORDER_OF_CHANGES
        if (
            not is_log
            and _runs_down(front)
            and any(one <= other for one, other in pairwise(places))
        ):
            self._find("order", f"published in another order than the page has: {places}")

    def _key(self, event: EntryEvent, shown: Sequence[Shown]) -> str | None:
        """The desk's key of what an event is about: by the publisher's id, else by its words."""
        if event.subject in self._keys:
            return self._keys[event.subject]
        key = next(
            (
                one.post.key
                for one in shown
                if (native := native_id(self.markup, one)) == event.subject
                or (native is None and not differences(self.markup, one, event.data.entry)
                    and one.post.key not in self.observer.known)
            ),
            None,
        )  # fmt: skip
        if key is not None:
            self._keys[event.subject] = key
        return key

    def _judge_event(self, event: EntryEvent, key: str, expected: Expected | None) -> None:
        verb, before = event.type.rsplit(".", 1)[1], self._last.get(event.subject)
        self._last[event.subject] = event
        if key in self.loose:
            return
        if expected is None:
            self._find("precision", f"{_named(event)}: {key} was not {verb}")
            return
        if expected.heir is not None:
            self.observer.inherits(expected.heir, key, expected.shown)
            self._keys[event.subject] = expected.heir
            self.loose.add(key)
            return
        if verb == "published" and expected.may_split:
            self.loose.add(key)
            return
        if verb != expected.verb:
            self._find("precision", f"{_named(event)}: {key} was {expected.verb}, not {verb}")
            return
        if not expected.is_real:
            self._find("precision", f"{_named(event)}: {key} was out all the time")
        self._judge_identity(event, key)
        self._judge_content(event, key, expected, before)
        if expected.baseline not in (None, event.data.baseline):
            self._find("baseline", f"{key}: baseline is {event.data.baseline}")
        self.observer.happened(key, expected, event.subject)

    def _judge_identity(self, event: EntryEvent, key: str) -> None:
        known = self.observer.known.get(key)
        if known is not None and known.subject != event.subject:
            self._find("identity", f"{key} was {known.subject}, and is {event.subject} now")

    def _judge_content(
        self, event: EntryEvent, key: str, expected: Expected, before: EntryEvent | None
    ) -> None:
        verb, data = expected.verb, event.data
        for wrong in differences(self.markup, expected.shown, data.entry):
            self._find("label" if wrong.startswith("labels") else "content", f"{key}: {wrong}")
        last = before.data.revision if before else 0
        allowed = {
            "published": {1},
            "edited": {last + 1},
            "removed": {last},
            "restored": {last, last + 1},
        }
        if data.revision not in allowed[verb]:
            self._find("revision", f"{key} is {verb} as revision {data.revision} after {last}")
        if verb == "edited" and before is not None:
            self._judge_edits(event, key, before.data.entry)

    def _judge_edits(self, event: EntryEvent, key: str, before: Entry) -> None:
        """What an edit says that it changed is what it changed."""
        now, data = event.data.entry, event.data
        if not data.changed:
            self._find("content", f"{key}: an edit that changes nothing")
        pairs = {
            "title": (before.title or "", now.title or ""),
            "body": (before.text, now.text),
        }
        for name, runs in data.edits.items():
            old = "".join(text for op, text in runs if op != "insert")
            new = "".join(text for op, text in runs if op != "delete")
            if (old, new) != pairs[name]:
                self._find("content", f"{key}: the edits of its {name} do not rebuild it")
        if set(data.gained) != set(now.labels) - set(before.labels):
            self._find("label", f"{key}: gained {data.gained}")


def _runs_down(front: Front) -> bool:
    """Does the page seem to have its newest post on top? With few, moved by hand, none can tell."""
    pairs = list(pairwise(post.published for post in front.posts))
    return sum(above > below for above, below in pairs) >= sum(a < b for a, b in pairs)


def _named(event: EntryEvent) -> str:
    words: Mapping[str, object] = {"title": event.data.entry.title}
    return f"{event.type} of {event.subject} {words['title']!r}"
