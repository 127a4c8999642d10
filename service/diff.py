"""What changed between what is known of a page and a snapshot of it, and what to doubt. Pure.

The rules of guarantee G2:
- an older copy, a page that lost most of its entries, or one that shares none with the page we know
  is doubted: nothing changes but the page's health;
- what goes forward (a new entry, new words) counts at once;
- what goes back (an entry withdrawn, restored, or returned to an earlier wording) counts when
  `confirm_polls` good polls in a row agree on it: a stale copy can produce nothing else;
- a page whose own clock goes back is held: it changes nothing until as many polls agree on it;
- what the page itself says is gone (a tombstone) is gone at once;
- an entry below the window, and one that slides back into it from below, is no news;
- a page that went on by more than it shows is believed, and says that it was out of sight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from service.coverage import announces_pause, successor
from service.events import (
    Change,
    EntryChange,
    EntryData,
    EntryEvent,
    EntryType,
    Event,
    Observed,
    PageChange,
    PageData,
    PageEvent,
    PageType,
    Run,
    chain,
)
from service.history import changed_fields, text_edits
from service.match import Matched, is_pinned, match, past
from service.model import (
    Clocks,
    Entry,
    EntryState,
    Head,
    Health,
    HealthStatus,
    PageMeta,
    PageRef,
    PageState,
    PageStatus,
    Pending,
    PendingKind,
    Snapshot,
    content_digest,
    digest,
)
from service.significance import significance
from service.words import edits

# Fewer entries than this prove nothing by being gone.
FEWEST_FOR_DOUBT = 3
# Servers of one site disagree on the time by about this much.
CLOCK_SKEW = timedelta(seconds=2)
# How many earlier wordings are remembered, to tell a return from a new edit.
EARLIER_KEPT = 32
SWITCH = "if that is right: stoppress pages source ID NAME; the entries are taken as they then are"
BEGIN_AGAIN = "if that is right, remove the page and add it again: a new baseline begins"
# Keys among the pending that are no entry's.
HEAD, CLOCK = "", "clock"


class Policy(Struct, frozen=True):
    """How sure to be: see PollSettings for the meaning of each."""

    confirm_polls: int = 3
    mass_loss: float = 0.5
    gap_s: float = 3600.0


class Doubt(Struct, frozen=True):
    """Why a snapshot is not believed, and the page health that follows."""

    code: str
    detail: str
    health: HealthStatus = "degraded"
    fix: str = ""


class Step(Struct, frozen=True):
    """What a snapshot changes: events to be, and the meta but for their place in the chain.

    rebased: entries as another source reads them, learned: fields that no answer had a place for
    before; neither is an event.
    """

    changes: tuple[Change, ...]
    meta: PageMeta
    rebased: dict[str, EntryState] = {}
    learned: dict[str, dict[str, object]] = {}


def diff(
    state: PageState, snapshot: Snapshot, policy: Policy, clocks: Clocks | None = None
) -> Step | Doubt:
    """The step from `state` to `snapshot`, or the reason to stay. clocks: of the response."""
    clocks = msgspec.structs.replace(clocks or Clocks(), said=snapshot.modified)
    accepted = state.meta.clocks
    matched = match(state.meta, state.entries, snapshot)
    if _is_switched(state, snapshot):
        return _rebased(state, snapshot, matched, _newest(accepted, clocks))
    doubt = (
        _other_source(state, snapshot)
        or _older(accepted, clocks)
        or _implausible(state, snapshot, matched, policy)
    )
    if doubt is not None:
        return doubt
    differ = _Differ(state, snapshot, matched, policy)
    if _said_earlier(accepted, clocks):
        held = differ.held()
        return held or differ.step(_newest(accepted, clocks, said=snapshot.modified))
    return differ.step(_newest(accepted, clocks))


def advance(
    state: PageState, step: Step, at: datetime
) -> tuple[list[EntryEvent | PageEvent], PageState]:
    """The events of a step and the state after them. at: when the poll was."""
    events = chain(
        step.changes,
        sequence=state.meta.sequence,
        previousid=state.meta.last_event_id,
        at=at,
    )
    meta = msgspec.structs.replace(
        step.meta,
        version=state.meta.version + 1,
        sequence=state.meta.sequence + len(events),
        last_event_id=events[-1].id if events else state.meta.last_event_id,
    )
    entries = fold(state.entries, events) | step.rebased
    for key, fields in step.learned.items():
        entries[key] = _taught(entries[key], fields)
    return events, PageState(page=state.page, meta=meta, entries=entries)


def _taught(state: EntryState, fields: dict[str, object]) -> EntryState:
    entry = msgspec.structs.replace(state.entry, **fields)
    return msgspec.structs.replace(state, entry=entry, digest=content_digest(entry))


def fold(entries: Mapping[str, EntryState], events: Sequence[Event]) -> dict[str, EntryState]:
    """Entries after events: the only way in which what is known of an entry changes."""
    folded = dict(entries)
    for event in events:
        if isinstance(event, EntryEvent):
            folded[event.subject] = _folded(folded.get(event.subject), event)
    return folded


def _folded(before: EntryState | None, event: EntryEvent) -> EntryState:
    data = event.data
    now = content_digest(data.entry)
    earlier: tuple[str, ...] = ()
    if before is not None:
        earlier = before.earlier if now == before.digest else (*before.earlier, before.digest)
    return EntryState(
        entry=data.entry,
        revision=data.revision,
        baseline=before.baseline if before else data.baseline,
        removed=event.type == "stoppress.entry.removed",
        changed=data.observed.at,
        digest=now,
        earlier=earlier[-EARLIER_KEPT:],
    )


def degraded(state: PageState, health: Health, at: datetime) -> Step:
    """We have become blind on this page: one event says so."""
    data = PageData(
        page=state.ref,
        status=state.meta.status,
        observed=Observed(after=state.meta.last_good_poll, at=at),
        health=health,
    )
    change = PageChange("stoppress.page.degraded", data, digest(health.reason))
    return Step(changes=(change,), meta=msgspec.structs.replace(state.meta, degraded=True))


# --- doubt ---------------------------------------------------------------------------------------


def _other_source(state: PageState, snapshot: Snapshot) -> Doubt | None:
    """Two readings of one page differ in their words: no edit follows from that."""
    before = (state.meta.source, state.meta.variant)
    now = (snapshot.source, snapshot.variant)
    if not state.meta.opened or before == now:
        return None
    detail = f"read as {_named(*now)}, but followed as {_named(*before)} so far"
    return Doubt("page.source_changed", detail, fix=SWITCH)


def _named(source: str | None, variant: str) -> str:
    return f"{source} ({variant})" if variant else str(source)


def _older(accepted: Clocks, now: Clocks) -> Doubt | None:
    """Is this response older than one that was accepted? Each clock is compared with itself."""
    for name, limit in (("modified", timedelta(0)), ("generated", CLOCK_SKEW)):
        before, after = getattr(accepted, name), getattr(now, name)
        if before is not None and after is not None and after < before - limit:
            detail = f"{name} {after.isoformat()}, but {before.isoformat()} was seen already"
            return Doubt("page.stale_copy", detail, "stale")
    return None


def _said_earlier(accepted: Clocks, now: Clocks) -> bool:
    """Does the page itself say that it is older than what was accepted?"""
    return accepted.said is not None and now.said is not None and now.said < accepted.said


def _newest(accepted: Clocks, now: Clocks, *, said: datetime | None = None) -> Clocks:
    """The later of each clock. said: the page's own clock, where a return of it was confirmed."""

    def later(before: datetime | None, after: datetime | None) -> datetime | None:
        return max(before, after) if before and after else after or before

    return Clocks(
        modified=later(accepted.modified, now.modified),
        generated=later(accepted.generated, now.generated),
        said=said or later(accepted.said, now.said),
    )


def _implausible(
    state: PageState, snapshot: Snapshot, matched: Matched, policy: Policy
) -> Doubt | None:
    """Does this look like another page, or like part of one?"""
    window = [key for key in state.meta.window if not state.entries[key].removed]
    remembered, strange = _remembered(state), _is_strange(state, matched)
    if snapshot.partial or not remembered:
        return None
    if not matched.seen:
        return Doubt(
            "page.emptied", f"all of its {len(remembered)} entries vanished", fix=BEGIN_AGAIN
        )
    if strange and _is_renamed(state.meta.head, snapshot.head):
        detail = f"it calls itself {snapshot.head.url}, and none of its entries was there before"
        return Doubt("page.other_page", detail, fix=BEGIN_AGAIN)
    if len(remembered) < FEWEST_FOR_DOUBT:
        return None
    if strange and not (_in_gap(state, snapshot, policy) or _went_on(state, snapshot)):
        return Doubt("page.no_overlap", _no_overlap(matched), fix=BEGIN_AGAIN)
    lost = len(set(window) & set(matched.missing))
    if lost >= FEWEST_FOR_DOUBT and lost > policy.mass_loss * len(window):
        detail = f"{lost} of {len(window)} entries vanished at once"
        return Doubt("page.mass_loss", detail, fix=BEGIN_AGAIN)
    return None


def _is_renamed(before: Head, now: Head) -> bool:
    """Has the page's canonical address another path?"""
    if before.url is None or now.url is None:
        return False
    return urlsplit(before.url).path.rstrip("/") != urlsplit(now.url).path.rstrip("/")


def _no_overlap(matched: Matched) -> str:
    return f"none of its {len(matched.seen)} entries was there before"


def _remembered(state: PageState) -> list[Entry]:
    known = (state.entries[key] for key in past(state.meta))
    return [one.entry for one in known if not one.removed]


def _is_strange(state: PageState, matched: Matched) -> bool:
    return not any(entry.id in state.entries for entry in matched.seen)


def _went_on(state: PageState, snapshot: Snapshot) -> bool:
    """Is all of it newer than what we know, under the same title?"""
    before, now = state.meta.head.title, snapshot.head.title
    times = [entry.published for entry in _remembered(state) if entry.published]
    if not now or now != before or not times:
        return False
    newest = max(times)
    return all(entry.published and entry.published > newest for entry in snapshot.entries)


def _in_gap(state: PageState, snapshot: Snapshot, policy: Policy) -> bool:
    """Was the page out of sight for so long that what is new there is no news?"""
    last = state.meta.last_good_poll
    return last is not None and (snapshot.seen_at - last).total_seconds() > policy.gap_s


# --- another source ------------------------------------------------------------------------------


def _is_switched(state: PageState, snapshot: Snapshot) -> bool:
    """Has a person chosen another source than the one that the page was followed with?"""
    chosen = state.page.source
    is_asked = chosen not in (None, state.meta.source) or state.page.rereads > state.meta.rereads
    return state.meta.opened and is_asked and chosen in (None, snapshot.source)


def _rebased(state: PageState, snapshot: Snapshot, matched: Matched, clocks: Clocks) -> Step:
    """What the new source reads is taken as it is: no event says that its words differ."""
    rebased = {}
    for entry in matched.seen:
        before = state.entries.get(entry.id)
        rebased[entry.id] = EntryState(
            entry=entry,
            revision=before.revision if before else 1,
            baseline=before.baseline if before else True,
            changed=before.changed if before else snapshot.seen_at,
            digest=matched.digests[entry.id],
        )
    meta = msgspec.structs.replace(
        state.meta,
        source=snapshot.source,
        variant=snapshot.variant,
        rereads=state.page.rereads,
        silent=snapshot.silent,
        head=_merged(state.meta.head, snapshot.head),
        heads=(),
        clocks=clocks,
        window=tuple(entry.id for entry in matched.seen),
        below=(),
        pending={},
        aliases=matched.aliases,
        last_good_poll=snapshot.seen_at,
    )
    return Step((), meta, rebased)


# --- change --------------------------------------------------------------------------------------


class _Differ:
    """Walks one snapshot, oldest entry first, and collects changes."""

    def __init__(
        self, state: PageState, snapshot: Snapshot, matched: Matched, policy: Policy
    ) -> None:
        self.known, self.meta = state.entries, state.meta
        self.snapshot, self.matched, self.policy = snapshot, matched, policy
        self.rereads = state.page.rereads
        self.gap, self.since = _in_gap(state, snapshot, policy), state.page.since
        # A page that shares nothing with what we know was followed for a reason: it went on.
        is_known = len(_remembered(state)) >= FEWEST_FOR_DOUBT and not snapshot.partial
        self.outrun = is_known and _is_strange(state, matched)
        self.head = _merged(state.meta.head, snapshot.head)
        self.heads = state.meta.heads
        self.status: PageStatus = state.meta.status
        self.successor = state.meta.successor
        self.pending: dict[str, Pending] = {}
        self.changes: list[Change] = []
        self.learned: dict[str, dict[str, object]] = {}
        self.current: dict[str, Entry] = {}  # entries as they are after this snapshot
        self.ref = PageRef(
            id=state.page.id, url=state.page.url, title=self.head.title, source=snapshot.source
        )

    def held(self) -> Step | None:
        """Nothing but a count of the polls that agree; None once there are enough of them."""
        if self._confirmed(CLOCK, "updated", "") is not None:
            return None
        pending = self.meta.pending | self.pending
        return Step((), msgspec.structs.replace(self.meta, pending=pending))

    def step(self, clocks: Clocks) -> Step:
        if self.outrun and not self.meta.degraded:
            detail = f"{_no_overlap(self.matched)}: what came and slid out between is not known"
            health = Health(
                status="degraded",
                reason="page.outrun",
                detail=detail,
                since=self.meta.last_good_poll,
            )
            self._page("stoppress.page.degraded", health=health)
        if self.meta.degraded or self.outrun:
            self._page("stoppress.page.recovered")
        if self.meta.opened:
            self._follow()
        else:
            self._open()
        meta = msgspec.structs.replace(
            self.meta,
            opened=True,
            source=self.snapshot.source,
            variant=self.snapshot.variant,
            rereads=self.rereads,
            silent=self._silent(),
            successor=self.successor,
            head=self.head,
            heads=self.heads[-EARLIER_KEPT:],
            status=self.status,
            degraded=False,
            clocks=clocks,
            window=self.matched.window,
            below=self.matched.below,
            pending=self.pending,
            aliases=self.matched.aliases,
            horizon=self._oldest() if self.gap or not self.meta.opened else self.meta.horizon,
            last_good_poll=self.snapshot.seen_at,
        )
        learned = {key: fields for key, fields in self.matched.learned.items() if fields}
        for key, fields in self.learned.items():
            learned[key] = learned.get(key, {}) | fields
        return Step(changes=tuple(self.changes), meta=meta, learned=learned)

    def _silent(self) -> tuple[str, ...]:
        """Fields of which nothing could be known until now."""
        if not self.meta.opened:
            return self.snapshot.silent
        return tuple(name for name in self.meta.silent if name in self.snapshot.silent)

    def _open(self) -> None:
        for entry in self.matched.seen:
            self.current[entry.id] = entry
        self.status = self._page_says()
        self._page("stoppress.page.opened", summary=self.head.summary)
        for entry in self.matched.seen:
            self._entry(
                "stoppress.entry.published", entry, revision=1, baseline=self._is_old(entry)
            )
        self.successor = self._says_successor()

    def _follow(self) -> None:
        self._follow_head()
        for key in self.matched.withdrawn:
            self._entry("stoppress.entry.removed", self.known[key].entry, self.known[key].revision)
        for key in self.matched.missing:
            self._follow_missing(key)
        places = [n for n, e in enumerate(self.matched.seen) if e.id in self.known]
        lowest, highest = (places[0], places[-1]) if places else (0, -1)
        for place, entry in enumerate(self.matched.seen):
            if entry.id in self.known:
                self._follow_known(self.known[entry.id], entry)
            else:
                self._follow_new(entry, below=place < lowest, on_top=place > highest)
        self.successor = self._says_successor() or self.successor
        self._turn(self._page_says(), self._moment())

    # the page

    def _is_old(self, entry: Entry) -> bool:
        """Is an entry of the first snapshot no news? One that came after we left the page before
        is."""
        return self.since is None or entry.published is None or entry.published <= self.since

    def _says_successor(self) -> str | None:
        """Where the page says that it goes on, by itself or in its newest entry."""
        newest = self._newest()
        told = successor(newest, self.ref.url) if newest is not None else None
        return self.snapshot.successor or told

    def _follow_head(self) -> None:
        """A head that was never seen counts at once; a return to an earlier one is confirmed."""
        before, after = self.meta.head, self.head
        old, new = _head_digest(before), _head_digest(after)
        if old == new:
            return
        if new in self.heads and self._confirmed(HEAD, "updated", new) is None:
            self.head = before
            self.ref = msgspec.structs.replace(self.ref, title=before.title)
            return
        self.heads = (*self.heads, old)
        changed = tuple(n for n in ("title", "summary") if getattr(before, n) != getattr(after, n))
        if changed:
            runs = {n: edits(getattr(before, n) or "", getattr(after, n) or "") for n in changed}
            self._page("stoppress.page.updated", summary=after.summary, changed=changed, edits=runs)

    def _page_says(self) -> PageStatus:
        """Live, paused or ended, from the head and the newest entry."""
        if self.head.live is False or self._says_successor():
            return "ended"
        newest = self._newest()
        return "paused" if newest is not None and announces_pause(newest) else "live"

    def _newest(self) -> Entry | None:
        for key in reversed(self.matched.window):
            entry = self._now(key)
            if entry is not None and not is_pinned(entry):
                return entry
        return None

    def _moment(self) -> datetime | None:
        newest = self._newest()
        return newest.published if newest else None

    def _now(self, key: str) -> Entry | None:
        """The entry after this snapshot, None when it is withdrawn."""
        if key in self.current:
            return self.current[key]
        state = self.known.get(key)
        gone = state is None or state.removed or self._is_gone(key)
        return None if state is None or gone else state.entry

    def _is_gone(self, key: str) -> bool:
        missing = key in self.matched.missing and key not in self.pending
        return missing or key in self.matched.withdrawn

    def _turn(self, status: PageStatus, at: datetime | None) -> None:
        """Say that the page is now live, paused or ended, unless that is known."""
        if status == self.status:
            return
        self.status = status
        kinds: dict[PageStatus, PageType] = {
            "live": "stoppress.page.resumed",
            "paused": "stoppress.page.paused",
            "ended": "stoppress.page.ended",
        }
        self._page(kinds[status], moment=at)

    # entries

    def _follow_missing(self, key: str) -> None:
        state = self.known[key]
        pending = self._confirmed(key, "removed", state.digest)
        if pending is not None:
            observed = Observed(after=pending.after, at=pending.at)
            self._entry(
                "stoppress.entry.removed",
                state.entry,
                state.revision,
                observed=observed,
                uncertain=pending.uncertain,
            )

    def _follow_new(self, entry: Entry, *, below: bool, on_top: bool) -> None:
        pauses = announces_pause(entry)
        if on_top and self.status == "paused" and not pauses:
            self._turn("live", entry.published)
        self.current[entry.id] = entry
        baseline = (below and self._was_there(entry)) or self._is_dug_out(entry)
        uncertain = entry.id in self.matched.uncertain
        self._entry(
            "stoppress.entry.published", entry, revision=1, baseline=baseline, uncertain=uncertain
        )
        if on_top and self.status == "live" and pauses:
            self._turn("paused", entry.published)

    def _is_dug_out(self, entry: Entry) -> bool:
        """Was an old entry pinned on top, from below all that is shown? Then it is no news."""
        if not is_pinned(entry) or entry.published is None:
            return False
        oldest = self._oldest()
        return oldest is not None and entry.published < oldest

    def _was_there(self, entry: Entry) -> bool:
        """Did an entry from below the baseline slide up into the window? Then it is no news.

        Without times, that something above it went is what tells.
        """
        if entry.published is None or self.meta.horizon is None:
            return bool(self.matched.missing)
        return entry.published < self.meta.horizon

    def _follow_known(self, state: EntryState, entry: Entry) -> None:
        now = self.matched.digests[entry.id]
        if entry.published is None and state.entry.published is not None:
            entry = msgspec.structs.replace(entry, published=state.entry.published)
            now = content_digest(entry)
        if state.removed:
            self._follow_back("restored", state, entry, now)
        elif now == state.digest:
            return
        elif told := self._only_told(state, entry):
            self.learned[entry.id] = told
        elif now in state.earlier or _is_older(entry, state.entry):
            self._follow_back("edited", state, entry, now)
        else:
            self._edit(state, entry, self._observed())

    def _only_told(self, state: EntryState, entry: Entry) -> dict[str, object]:
        """What the page says of an entry only now, if that is all that is new: that is no edit."""
        before = state.entry
        may = {
            "published": before.published is None,
            "authors": not before.authors and entry.authors == self.meta.head.authors,
            "title": before.title is None and entry.title == self.meta.head.title,
        }
        told = {n: getattr(entry, n) for n, is_so in may.items() if is_so and getattr(entry, n)}
        if not told:
            return {}
        rest = msgspec.structs.replace(entry, **{name: getattr(before, name) for name in told})
        return told if content_digest(rest) == state.digest else {}

    def _follow_back(self, kind: PendingKind, state: EntryState, entry: Entry, now: str) -> None:
        pending = self._confirmed(entry.id, kind, now)
        if pending is None:
            return
        observed = Observed(after=pending.after, at=pending.at)
        if kind == "edited":
            self._edit(state, entry, observed)
            return
        self.current[entry.id] = entry
        revision = state.revision + (now != state.digest)
        self._entry("stoppress.entry.restored", entry, revision, observed=observed)

    def _edit(self, state: EntryState, entry: Entry, observed: Observed) -> None:
        self.current[entry.id] = entry
        changed = changed_fields(state.entry, entry)
        runs = text_edits(state.entry, entry, changed)
        data = EntryData(
            page=self.ref,
            entry=entry,
            revision=state.revision + 1,
            baseline=self.gap,
            observed=observed,
            changed=changed,
            gained=tuple(label for label in entry.labels if label not in state.entry.labels),
            edits=runs,
            significance=significance(state.entry, entry, changed, runs),
        )
        self.changes.append(EntryChange("stoppress.entry.edited", data, content_digest(entry)))

    # events

    def _observed(self) -> Observed:
        return Observed(after=self.meta.last_good_poll, at=self.snapshot.seen_at)

    def _confirmed(self, key: str, kind: PendingKind, now: str) -> Pending | None:
        """Count this poll's agreement on a change that goes back; the change once it is enough."""
        before = self.meta.pending.get(key)
        if before is not None and (before.kind, before.digest) == (kind, now):
            pending = msgspec.structs.replace(before, polls=before.polls + 1)
        else:
            observed = self._observed()
            pending = Pending(
                kind=kind,
                digest=now,
                polls=1,
                after=observed.after,
                at=observed.at,
                uncertain=key in self.matched.uncertain,
            )
        if pending.polls >= self.policy.confirm_polls:
            return pending
        self.pending[key] = pending
        return None

    def _entry(
        self,
        kind: EntryType,
        entry: Entry,
        revision: int,
        *,
        baseline: bool = False,
        observed: Observed | None = None,
        uncertain: bool = False,
    ) -> None:
        data = EntryData(
            page=self.ref,
            entry=entry,
            revision=revision,
            baseline=baseline or self.gap,
            observed=observed or self._observed(),
            uncertain=uncertain,
        )
        self.changes.append(EntryChange(kind, data, digest(revision, content_digest(entry))))

    def _page(
        self,
        kind: PageType,
        *,
        summary: str | None = None,
        moment: datetime | None = None,
        changed: tuple[str, ...] = (),
        edits: dict[str, tuple[Run, ...]] | None = None,
        health: Health | None = None,
    ) -> None:
        data = PageData(
            page=self.ref,
            status=self.status,
            health=health,
            observed=self._observed(),
            summary=summary,
            at=moment,
            next=self.successor if self.status == "ended" else None,
            changed=changed,
            edits=edits or {},
        )
        self.changes.append(
            PageChange(kind, data, digest(self.status, moment, _head_digest(self.head)))
        )

    def _oldest(self) -> datetime | None:
        times = [e.published for e in self.matched.seen if e.published and not is_pinned(e)]
        return min(times, default=None)


def _merged(before: Head, now: Head) -> Head:
    """The head now; what this snapshot does not say stays as it was."""
    return Head(
        title=now.title or before.title,
        summary=now.summary or before.summary,
        url=now.url or before.url,
        live=before.live if now.live is None else now.live,
        authors=now.authors,
    )


def _is_older(now: Entry, before: Entry) -> bool:
    """Does the publisher date this wording before the one that we know?"""
    if before.updated is None:
        return False
    return now.updated is None or now.updated < before.updated


def _head_digest(head: Head) -> str:
    return digest(head.title, head.summary, head.live)
