"""Page text made safe to print. Pure."""

from __future__ import annotations

import unicodedata

# Control, format (also bidirectional overrides) and separator characters could move the cursor,
# colour what follows or turn text round. The joiners are needed by several scripts and by emoji.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")


def plain(text: str) -> str:
    """Text on one line, without a character that a terminal would act on."""
    safe = (" " if unicodedata.category(c) in _UNSAFE and c not in _JOINERS else c for c in text)
    return " ".join("".join(safe).split())
