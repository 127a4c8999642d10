"""Which entry of a snapshot is which that we know, and which are missing from its middle. Pure.

Native ids come first. An unknown id with exactly the content of one entry that has just gone is
that entry under a re-issued id; so is one that is far more like it than like any other (see
`service.likeness`). Anything less certain is a new entry.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from operator import lt

import msgspec
from msgspec import Struct

from service.likeness import TELLING_WORDS, Seen, likeness
from service.model import Entry, EntryState, PageMeta, Snapshot, content_digest, says_same

# How many entries that slid out of the window are remembered by place.
BELOW_KEPT = 100
# How many ids that the publisher gave an entry are remembered.
ALIASES_KEPT = 3
# A clock time without a date was read for the wrong day, also over a change of clocks.
_DAY = timedelta(days=1)
_CLOCK_CHANGE = timedelta(hours=1)


class Matched(Struct, frozen=True):
    """A snapshot under our ids.

    seen: its entries, oldest first. missing: known entries that this one should show and doesn't,
    oldest first. withdrawn: known entries that the page says are gone. window: the new window with
    the missing ones kept in place. below: what slid out of it. digests: content digest of each seen
    entry. learned: fields of known entries that no answer before this one had a place for.
    uncertain: ids of which it cannot be told whether they are one entry or two.
    """

    seen: tuple[Entry, ...]
    digests: dict[str, str]
    missing: tuple[str, ...]
    withdrawn: tuple[str, ...]
    window: tuple[str, ...]
    below: tuple[str, ...]
    aliases: dict[str, str]
    learned: dict[str, dict[str, object]]
    uncertain: frozenset[str] = frozenset()


def match(meta: PageMeta, known: Mapping[str, EntryState], snapshot: Snapshot) -> Matched:
    """Bring a snapshot and what is known of its page together."""
    entries = oldest_first(snapshot.entries)
    entries, learned = _told(entries, meta, known, snapshot)
    now = {entry.id: _digest(entry, _known_as(entry.id, meta, known)) for entry in entries}
    days = _another_day(meta, known, entries, set(snapshot.undated))
    if days:
        meta = msgspec.structs.replace(meta, aliases=meta.aliases | days)
    ids = _identify(meta, known, now)
    told, uncertain = _alike(meta, known, snapshot, entries, ids)
    ids |= told
    undated = {ids[native] for native in snapshot.undated if native in ids}
    seen = tuple(_settled(_under(one, ids[one.id]), known, undated) for one in entries)
    withdrawn = _withdrawn(meta, known, snapshot, seen)
    lost = _lost(meta, known, seen, withdrawn)
    missing = _missing(meta, known, snapshot, seen, lost)
    window_before = set(meta.window)
    kept = [key for key in lost if key in window_before] if snapshot.partial else missing
    window = _merge([entry.id for entry in seen], past(meta), kept)
    return Matched(
        seen=seen,
        digests={
            one.id: now[native.id] if one.published == native.published else content_digest(one)
            for one, native in zip(seen, entries, strict=True)
        },
        missing=tuple(missing),
        withdrawn=withdrawn,
        window=window,
        below=_below(lost, window),
        aliases=_aliases(meta, known, ids),
        learned=learned,
        uncertain=uncertain,
    )


def _aliases(
    meta: PageMeta, known: Mapping[str, EntryState], ids: Mapping[str, str]
) -> dict[str, str]:
    """Ids that are not ours: those of this snapshot, and a few more of each entry, newest last."""
    found = {native: own for native, own in ids.items() if native != own}
    kept = Counter(found.values())
    before = {}
    for native, own in reversed(meta.aliases.items()):
        if own in known and native not in ids and kept[own] < ALIASES_KEPT:
            before[native] = own
            kept[own] += 1
    return dict(reversed(before.items())) | found


def _told(
    entries: tuple[Entry, ...],
    meta: PageMeta,
    known: Mapping[str, EntryState],
    snapshot: Snapshot,
) -> tuple[tuple[Entry, ...], dict[str, dict[str, object]]]:
    """The entries with what is known of them where this answer, or those before, had no place.

    Also what this one says there for the first time, by our id.
    """
    fields = (*snapshot.silent, *(name for name in meta.silent if name not in snapshot.silent))
    if not meta.opened or not (fields or any(snapshot.repeated.values())):
        return entries, {}
    told, learned = [], {}
    for entry in entries:
        state = _known_as(entry.id, meta, known)
        if state is None:
            told.append(entry)
            continue
        again = (name for name, ids in snapshot.repeated.items() if entry.id in ids)
        kept = {name: getattr(state.entry, name) for name in (*fields, *again)}
        told.append(msgspec.structs.replace(entry, **kept))
        new = {n: getattr(entry, n) for n in fields if n not in snapshot.silent}
        learned[state.entry.id] = {n: value for n, value in new.items() if value != kept[n]}
    return tuple(told), learned


def past(meta: PageMeta) -> tuple[str, ...]:
    """Every entry that the page has shown and that is remembered by place, oldest first."""
    return (*meta.below, *meta.window)


def _below(lost: list[str], window: tuple[str, ...]) -> tuple[str, ...]:
    shown = set(window)
    return tuple(key for key in lost if key not in shown)[-BELOW_KEPT:]


def _known_as(native: str, meta: PageMeta, known: Mapping[str, EntryState]) -> EntryState | None:
    return known.get(meta.aliases.get(native, native))


def _digest(entry: Entry, state: EntryState | None) -> str:
    if state is not None and says_same(entry, state.entry):
        return state.digest
    return content_digest(entry)


def _settled(entry: Entry, known: Mapping[str, EntryState], undated: set[str]) -> Entry:
    """An entry whose day was filled in keeps the day on which it was first seen."""
    state = known.get(entry.id)
    if entry.id not in undated or state is None or not entry.published or not state.entry.published:
        return entry
    moved = abs(entry.published - state.entry.published)
    days = round(moved / _DAY)
    if abs(moved - days * _DAY) not in (timedelta(0), _CLOCK_CHANGE):
        return entry
    return msgspec.structs.replace(entry, published=state.entry.published)


def _withdrawn(
    meta: PageMeta, known: Mapping[str, EntryState], snapshot: Snapshot, seen: Sequence[Entry]
) -> tuple[str, ...]:
    shown = {entry.id for entry in seen}
    named = (meta.aliases.get(native, native) for native in snapshot.withdrawn)
    return tuple(
        key for key in named if key in known and key not in shown and not known[key].removed
    )


def _lost(
    meta: PageMeta,
    known: Mapping[str, EntryState],
    seen: Sequence[Entry],
    withdrawn: tuple[str, ...],
) -> list[str]:
    """Entries that were shown before and that this snapshot does not show, in their order."""
    elsewhere = {entry.id for entry in seen} | set(withdrawn)
    return [key for key in past(meta) if key not in elsewhere and not known[key].removed]


def _missing(
    meta: PageMeta,
    known: Mapping[str, EntryState],
    snapshot: Snapshot,
    seen: Sequence[Entry],
    lost: list[str],
) -> list[str]:
    if snapshot.partial:
        return []
    return lost if snapshot.complete else _inside(lost, meta, known, seen)


def _alike(
    meta: PageMeta,
    known: Mapping[str, EntryState],
    snapshot: Snapshot,
    entries: Sequence[Entry],
    ids: Mapping[str, str],
) -> tuple[dict[str, str], frozenset[str]]:
    """Unknown entries that are entries which have gone, and ids of which that can't be told."""
    seen = [_under(entry, ids[entry.id]) for entry in entries]
    if all(entry.id in known for entry in seen):
        return {}, frozenset()
    lost = set(_lost(meta, known, seen, ()))
    if not lost or snapshot.partial:
        return {}, frozenset()
    shown = {entry.id for entry in seen} & known.keys()
    gone = _standing([(key, known[key].entry) for key in past(meta)], lost, shown)
    strangers = {entry.id for entry in seen if entry.id not in known}
    new = _standing([(entry.id, entry) for entry in seen], strangers, shown)
    found = likeness(new, gone)
    return found.same, found.uncertain


def _standing(order: Sequence[tuple[str, Entry]], wanted: set[str], shown: set[str]) -> list[Seen]:
    """The wanted entries of an order (oldest first), each with what it stands on."""
    under: str | None = None
    standing = []
    for key, entry in order:
        if key in wanted:
            standing.append(Seen(entry, under))
        if key in shown:
            under = key
    return standing


def oldest_first(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Entries in the order in which the page says they came. A page may run either way."""
    times = [entry.published for entry in entries if entry.published and not is_pinned(entry)]
    rises = sum(above < below for above, below in pairwise(times))
    falls = sum(above > below for above, below in pairwise(times))
    return entries if rises > falls else entries[::-1]


def is_pinned(entry: Entry) -> bool:
    """A pinned entry stands out of its order and says nothing about its neighbours."""
    return "pinned" in entry.labels


def _under(entry: Entry, own: str) -> Entry:
    return entry if entry.id == own else msgspec.structs.replace(entry, id=own)


def _identify(
    meta: PageMeta, known: Mapping[str, EntryState], now: Mapping[str, str]
) -> dict[str, str]:
    """Native id to our id, for every entry. now: content digests by native id.

    A known id whose words are now exactly those of another entry that nobody else shows has been
    handed on (ids made from time and place are): the words decide.
    """
    ids = {native: meta.aliases.get(native, native) for native in now}
    same = {own for n, own in ids.items() if own in known and known[own].digest == now[n]}
    strangers = {native: now[native] for native, own in ids.items() if own not in same}
    gone = [key for key in past(meta) if key not in same and _tells(known[key], key, meta)]
    digests = Counter(strangers.values()) + Counter(known[key].digest for key in gone)
    owners = {known[key].digest: key for key in gone}
    claims = {n: owners[c] for n, c in strangers.items() if c in owners and digests[c] == 2}
    return _resolved(ids, claims, known)


def _tells(state: EntryState, key: str, meta: PageMeta) -> bool:
    """May an entry that says the same be this one? Without times a few words are said twice."""
    if state.removed:
        return False
    is_long = len(state.entry.text.split()) >= TELLING_WORDS
    return state.entry.published is not None or (is_long and key in meta.window)


def _resolved(
    ids: Mapping[str, str], claims: Mapping[str, str], known: Mapping[str, EntryState]
) -> dict[str, str]:
    """Where two natives mean one of our ids, its words decide, then its name; the other is new."""
    named = [native for native, own in ids.items() if native == own]
    holders: dict[str, str] = {own: native for native, own in claims.items()}
    for native in (*named, *ids):
        if native not in claims:
            holders.setdefault(ids[native], native)
    wanted = {**ids, **claims}
    taken = {*known, *holders}
    found = {}
    for native, own in wanted.items():
        found[native] = own if holders[own] == native else _fresh(native, taken)
        taken.add(found[native])
    return found


def _fresh(native: str, taken: set[str]) -> str:
    """An id like that one that nobody has."""
    names = (native, *(f"{native}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def _another_day(
    meta: PageMeta, known: Mapping[str, EntryState], entries: Sequence[Entry], undated: set[str]
) -> dict[str, str]:
    """Ids for entries whose id says a time of day, and was that of an entry of another day."""
    found = {}
    for entry in entries:
        own = meta.aliases.get(entry.id, entry.id)
        state = known.get(own)
        if entry.id not in undated or state is None or own in meta.window:
            continue
        before = state.entry.published
        if before and entry.published and abs(entry.published - before) > _DAY / 2:
            found[entry.id] = _fresh(f"{entry.id}-{entry.published:%Y%m%d}", set(known))
    return found


def _inside(
    lost: list[str],
    meta: PageMeta,
    known: Mapping[str, EntryState],
    seen: Sequence[Entry],
) -> list[str]:
    """Those of the lost that have a visible older neighbour: the window has not moved past them.

    One whose removal is being confirmed stays missing while something older than it is shown,
    whatever was moved around it.
    """
    places = {key: place for place, key in enumerate(past(meta))}
    anchors = _in_order([e for e in seen if e.id in places and not is_pinned(e)], places)
    if not anchors:
        return []
    first = places[anchors[0].id]
    oldest = min((entry.published for entry in anchors if entry.published), default=None)
    inside = []
    for key in lost:
        entry, pending = known[key].entry, meta.pending.get(key)
        is_newer = oldest is None or entry.published is None or entry.published > oldest
        is_awaited = pending is not None and pending.kind == "removed" and oldest is not None
        is_above = places[key] > first and (is_newer or entry.published == oldest)
        if (is_above or (is_awaited and is_newer)) and not is_pinned(entry):
            inside.append(key)
    return inside


def _in_order(seen: Sequence[Entry], places: Mapping[str, int]) -> list[Entry]:
    """Most entries that stand in the order in which they stood; seen: oldest first.

    The others were moved, to the top of the page for instance: they say nothing about their
    neighbours. Of two that changed places, the one that stood higher is kept: it says less.
    """
    order = [places[entry.id] for entry in seen]
    if all(map(lt, order, order[1:])):
        return list(seen)
    under = _rising(order)
    over = _rising([-place for place in reversed(order)])[::-1]
    longest = max(under, default=0)
    held: dict[int, Entry] = {}
    for entry, below, above in zip(seen, under, over, strict=True):
        if below + above == longest + 1:  # in one of the longest, as number `below`
            held[below] = max(held.get(below, entry), entry, key=lambda one: places[one.id])
    return [held[rank] for rank in sorted(held)]


def _rising(order: Sequence[int]) -> list[int]:
    """For each number, how many the longest rising subsequence has that ends with it."""
    tails: list[int] = []
    lengths = []
    for number in order:
        place = bisect_left(tails, number)
        tails[place : place + 1] = [number]
        lengths.append(place + 1)
    return lengths


def _merge(present: list[str], window: tuple[str, ...], missing: list[str]) -> tuple[str, ...]:
    """The new order with each missing entry right after its nearest older neighbour."""
    after: dict[str | None, list[str]] = {}
    shown, lost = set(present), set(missing)
    anchor: str | None = None
    for key in window:
        if key in shown:
            anchor = key
        elif key in lost:
            after.setdefault(anchor, []).append(key)
    placed = [key for own in present for key in (own, *after.get(own, ()))]
    return (*after.get(None, ()), *placed)
