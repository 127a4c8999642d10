"""What an entry's words say about the coverage itself: that it pauses. Pure."""

from __future__ import annotations

import re

from service.model import Entry

_PAUSE = re.compile(
    r"\bpaus(?:e|es|ing) (?:our|this|the) (?:rolling |live )*(?:coverage|page|blog|updates)\b",
    re.IGNORECASE,
)


def announces_pause(entry: Entry) -> bool:
    """Does this entry say that coverage pauses with it ("We're now pausing our live coverage")?"""
    return _PAUSE.search(entry.text) is not None
