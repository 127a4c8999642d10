"""Does a script fit its recording? Pure: it raises ConfigError or says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from service.replay.forms import Recorded
from service.replay.script import Consent, Edit, Hazard, Label, Outage, Placed, Stale, Withdrawal


def check(items: Sequence[Placed], recorded: Sequence[Recorded]) -> None:
    """Refuse a table that names an absent entry, stands at a wrong time, or hides another change.

    items and recorded are given by time.
    """
    for one in items:
        _check_time(one, recorded)
        match one.item:
            case Edit() | Label() | Withdrawal():
                _check_entry(one, one.item, recorded)
                _check_after(one, one.item, items)
            case Stale() | Outage() | Consent():
                _check_hazard(one, one.item, items, recorded)
    for one in items:
        if isinstance(one.item, Label):
            _check_label(one, one.item, items, recorded)


def _check_time(one: Placed, recorded: Sequence[Recorded]) -> None:
    first, last, at = recorded[0].at, recorded[-1].at, one.item.at
    if not first < at <= last:
        raise one.refusal(
            f"at: {at.isoformat()} is outside of the recording",
            f"after {_like(first, at)}, not after {_like(last, at)}",
        )


def _check_entry(
    one: Placed, item: Edit | Label | Withdrawal, recorded: Sequence[Recorded]
) -> None:
    found = [entry for entry in recorded if entry.number == item.entry]
    if not found:
        raise one.refusal(
            f"entry: {item.entry} is not in the recording", f"allowed: 1 to {len(recorded)}"
        )
    if item.at <= found[0].at:
        raise one.refusal(
            f"at: entry {item.entry} is not published by then",
            f"after {_like(found[0].at, item.at)}",
        )
    if isinstance(item, Withdrawal) and found[0] is recorded[0]:
        raise one.refusal(
            f"entry: {item.entry} is the oldest, so it may just have left the page", "any other"
        )


def _check_after(one: Placed, item: Edit | Label | Withdrawal, items: Sequence[Placed]) -> None:
    gone = _withdrawal(item.entry, items)
    if gone is not None and gone is not item and gone.at <= item.at:
        raise one.refusal(
            f"at: entry {item.entry} is withdrawn by then", f"before {gone.at.isoformat()}"
        )


def _check_label(
    one: Placed, item: Label, items: Sequence[Placed], recorded: Sequence[Recorded]
) -> None:
    """The final state is the recording's: only an entry that leaves may gain another label."""
    has = any(o.number == item.entry and item.label in o.entry.labels for o in recorded)
    if not has and _withdrawal(item.entry, items) is None:
        raise one.refusal(
            f"label: entry {item.entry} has no label {item.label!r} in the recording",
            "name one that it has, or withdraw the entry later",
        )


def _check_hazard(
    one: Placed, item: Hazard, items: Sequence[Placed], recorded: Sequence[Recorded]
) -> None:
    """Two changes behind a hazard would be seen as one; a fresh copy is no stale one."""
    others = [o.at for o in recorded] + [o.item.at for o in items if o is not one]
    hidden = [at for at in others if item.at <= at < item.at + timedelta(seconds=item.for_s)]
    if hidden:
        raise one.refusal(
            f"for_s: the page changes at {_like(min(hidden), item.at)}, behind it",
            "choose a quiet time",
        )
    if not isinstance(item, Stale):
        return
    copied = item.at - timedelta(seconds=item.age_s)
    if copied < recorded[0].at:
        limit_s = (item.at - recorded[0].at).total_seconds()
        raise one.refusal(
            f"age_s: {item.age_s:g} s before, there was no page yet", f"at most {limit_s:g}"
        )
    changes = [o.at for o in recorded] + [o.item.at for o in items if not _is_hazard(o)]
    if not any(copied < at < item.at for at in changes):
        raise one.refusal(f"age_s: {item.age_s:g} s before, the page was the same", "an older copy")


def _withdrawal(number: int, items: Sequence[Placed]) -> Withdrawal | None:
    """The first withdrawal of an entry."""
    for one in items:
        if isinstance(one.item, Withdrawal) and one.item.entry == number:
            return one.item
    return None


def _is_hazard(one: Placed) -> bool:
    return isinstance(one.item, Stale | Outage | Consent)


def _like(moment: datetime, example: datetime) -> str:
    """A moment in the offset that the script's author writes."""
    return moment.astimezone(example.tzinfo).isoformat()
