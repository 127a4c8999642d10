"""Which entry of a snapshot is which that we know, and which are missing from its middle. Pure.

Native ids come first. An unknown id with exactly the content of one entry that has just gone is
that entry under a re-issued id; anything less certain is a new entry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

import msgspec
from msgspec import Struct

from service.model import Entry, EntryState, PageMeta, Snapshot, content_digest


class Matched(Struct, frozen=True):
    """A snapshot under our ids.

    seen: its entries, oldest first. missing: known entries of the last window that this one should
    show and doesn't, oldest first. window: the new window with the missing ones kept in place.
    digests: content digest of each seen entry.
    """

    seen: tuple[Entry, ...]
    digests: dict[str, str]
    missing: tuple[str, ...]
    window: tuple[str, ...]
    aliases: dict[str, str]


def match(meta: PageMeta, known: Mapping[str, EntryState], snapshot: Snapshot) -> Matched:
    """Bring a snapshot and what is known of its page together."""
    entries = oldest_first(snapshot.entries)
    now = {entry.id: content_digest(entry) for entry in entries}
    ids = _identify(meta, known, now)
    seen = tuple(_under(entry, ids[entry.id]) for entry in entries)
    present = {entry.id for entry in seen}
    lost = [key for key in meta.window if key not in present and not known[key].removed]
    if not snapshot.complete:
        lost = _inside(lost, meta.window, known, seen)
    return Matched(
        seen=seen,
        digests={ids[native]: content for native, content in now.items()},
        missing=tuple(lost),
        window=_merge([entry.id for entry in seen], meta.window, lost),
        aliases={n: own for n, own in (meta.aliases | ids).items() if n != own and own in known},
    )


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
    gone = [key for key in meta.window if key not in same and not known[key].removed]
    digests = Counter(strangers.values()) + Counter(known[key].digest for key in gone)
    owners = {known[key].digest: key for key in gone}
    claims = {n: owners[c] for n, c in strangers.items() if c in owners and digests[c] == 2}
    return _without_conflicts(ids | claims)


def _without_conflicts(ids: dict[str, str]) -> dict[str, str]:
    """Where two natives claim one of our ids, it stays with the one of that name."""
    holders = Counter(ids.values())
    return {
        native: own if holders[own] == 1 or native == own else native for native, own in ids.items()
    }


def _inside(
    lost: list[str],
    window: tuple[str, ...],
    known: Mapping[str, EntryState],
    seen: tuple[Entry, ...],
) -> list[str]:
    """Those of the lost that have a visible older neighbour: the window has not moved past them."""
    anchors = {entry.id for entry in seen if not is_pinned(entry)}
    times = [entry.published for entry in seen if entry.published and not is_pinned(entry)]
    oldest = min(times, default=None)
    places = {key: place for place, key in enumerate(window)}
    first = min((places[key] for key in anchors & places.keys()), default=len(window))
    inside = []
    for key in lost:
        entry = known[key].entry
        older = oldest is not None and entry.published is not None and entry.published <= oldest
        if places[key] > first and not older and not is_pinned(entry):
            inside.append(key)
    return inside


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
