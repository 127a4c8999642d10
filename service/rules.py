"""What a rule for alerts says: the tables `[alerts.rules.NAME]`, and the same as JSON. Pure.

Owns the words of rules and what is refused about them. What they match, and what follows from that,
is for the alerts worker.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import available_timezones

from msgspec import Meta, Struct, field

from service.events import Kind
from service.wording import TemplateSettings

if TYPE_CHECKING:
    import re2

BUILT_IN = "breaking"
MAX_DEPTH = 8
MAX_RULES = 200
# A regular expression is tried on a whole entry; its cost is at most the one times the other.
MAX_INSTRUCTIONS = 4_000
_MEMORY_BYTES = 1 << 20

Priority = Literal["high", "normal"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
QuietAction = Literal["hold", "drop"]
RuleName = Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,40}$")]
ChannelRef = Annotated[str, Meta(pattern=r"^[a-z]+(:[a-z0-9_-]{1,40})?$")]
Hours = Annotated[
    str, Meta(pattern=r"^(none|([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00))$")
]
Zone = Annotated[str, Meta(max_length=100)]
Days = Annotated[tuple[Day, ...], Meta(min_length=1)]
AtMost = Annotated[str, Meta(pattern=r"^[1-9]\d{0,3}/(minute|hour|day)$")]
Texts = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...],
    Meta(min_length=1, max_length=100),
]
Patterns = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=500)], ...],
    Meta(min_length=1, max_length=20),
]


class _Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table of the settings file, or an object of JSON. What is not given is left out."""


class Condition(_Table, frozen=True):
    """What an event must be like. All that is given must hold; of a list one value is enough.

    page: patterns of page ids, with * and ?. label: of the entry. author: whole names.
    word: whole words of its headline or text. phrase: words in a row. regex: as RE2 has them.
    type: published or edited. kind: what an edit amounts to.
    all, any, not: conditions of which every one, one or none must hold.
    """

    page: Texts = ()
    label: Texts = ()
    author: Texts = ()
    word: Texts = ()
    phrase: Texts = ()
    regex: Patterns = ()
    type: Annotated[tuple[Literal["published", "edited"], ...], Meta(min_length=1)] = ()
    kind: Annotated[tuple[Kind, ...], Meta(min_length=1)] = ()
    all: Annotated[tuple[Condition, ...], Meta(min_length=1, max_length=50)] = ()
    any: Annotated[tuple[Condition, ...], Meta(min_length=1, max_length=50)] = ()
    not_: Condition | None = field(default=None, name="not")

    def __post_init__(self) -> None:
        if not any_given(self):
            fields = ", ".join(self.__struct_encode_fields__)
            raise ValueError(f"a condition that says nothing; give one of {fields}")
        for word in self.word:
            if len(folded(word).split()) > 1:
                raise ValueError(f"word {word!r} is not one word; several are a phrase")
        for words in (*self.word, *self.phrase, *self.author):
            if not folded(words):
                raise ValueError(f"{words!r} holds nothing to look for")
        for pattern in self.regex:
            regex(pattern)
        if depth(self) > MAX_DEPTH:
            raise ValueError(f"conditions in conditions, more than {MAX_DEPTH} deep")


def any_given(condition: Condition) -> bool:
    """Does the condition say anything?"""
    return any(getattr(condition, name) for name in condition.__struct_fields__)


def within(condition: Condition) -> Iterator[Condition]:
    """The conditions directly inside of one."""
    yield from condition.all
    yield from condition.any
    if condition.not_ is not None:
        yield condition.not_


def depth(condition: Condition) -> int:
    """How deep conditions stand in it; 1 when there are none."""
    return 1 + max(map(depth, within(condition)), default=0)


class RuleSettings(_Table, frozen=True):
    """What to alert on, and how. What is not given is as in [alerts], where it is there.

    enabled: false turns the rule off. when: the condition.
    priority: high waits for nothing; normal without it, high for breaking.
    deadline_s: an alert that could not be delivered for so long goes to the dead letters.
    channels: where it goes, such as ntfy:phone; to all without it.
    quiet: hours without alerts, such as 23:00-07:00, or none. zone: whose hours these are.
    quiet_days: days on which they begin. quiet_action: what becomes of an alert of that time.
    group_s: alerts of one page within so long become one. at_most: so many, such as 5/hour; what
    is more waits and becomes one. templates: what its alerts say, whatever the channel.
    """

    enabled: bool = True
    when: Condition | None = None
    priority: Priority | None = None
    deadline_s: Annotated[float, Meta(gt=0, le=10_000_000)] | None = None
    channels: Annotated[tuple[ChannelRef, ...], Meta(min_length=1)] | None = None
    quiet: Hours | None = None
    zone: Zone | None = None
    quiet_days: Days | None = None
    quiet_action: QuietAction | None = None
    group_s: Annotated[float, Meta(gt=0, le=86_400)] | None = None
    at_most: AtMost | None = None
    templates: TemplateSettings | None = None

    def __post_init__(self) -> None:
        check_zone(self.zone)
        check_hours(self.quiet)
        waits = next((name for name in ("group_s", "at_most") if getattr(self, name)), None)
        if self.priority == "high" and waits:
            raise ValueError(f'priority = "high" waits for nothing: {waits} needs "normal"')


def check_zone(zone: str | None) -> None:
    """Raises ValueError for a zone that nobody knows."""
    if zone is not None and zone not in available_timezones():
        raise ValueError(f"zone {zone} is no IANA time zone, such as Europe/London")


def check_hours(hours: str | None) -> None:
    """Raises ValueError for quiet hours of no length."""
    if hours is not None and hours != "none" and len(set(hours.split("-"))) == 1:
        raise ValueError(f"quiet = {hours!r} is no time at all; a whole day is 00:00-24:00")


def check_rules(rules: dict[str, RuleSettings], channels: tuple[str, ...]) -> None:
    """Raises ValueError for rules that can't be. channels: the names of those that there are."""
    for name, rule in rules.items():
        if name != BUILT_IN and rule.when is None:
            raise ValueError(f'rules.{name}: when is missing; all that is new is when.page = ["*"]')
        if name == BUILT_IN and (rule.group_s or rule.at_most):
            raise ValueError(
                f"rules.{name}: it never waits; group_s and at_most are for other rules"
            )
        for channel in rule.channels or ():
            if channel not in channels:
                allowed = ", ".join(channels) or "none is set up"
                raise ValueError(f"rules.{name}.channels: no channel {channel}; allowed: {allowed}")


# --- text ----------------------------------------------------------------------------------------

# Apostrophes and hyphens have several spellings; other characters only steer how text is set.
_ALIKE = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "\u2010": "-"})
_UNHEARD = re.compile(
    "[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe0e\ufe0f\ufeff]|(?<=i)\u0307"
)


def folded(text: str) -> str:
    """Text in one spelling of cases, widths, apostrophes and what nobody sees.

    By Unicode: NFKC and casefold. White space becomes single spaces.
    """
    wide = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(_UNHEARD.sub("", wide).translate(_ALIKE).split())


@lru_cache(maxsize=2000)
def regex(pattern: str) -> re2._Regexp[str]:
    """A regular expression that takes linear time, whatever the text. Cases don't differ.

    Raises ValueError when it is none, or too large.
    """
    import re2  # only where a rule has one

    options = re2.Options()
    options.log_errors, options.never_capture, options.case_sensitive = False, True, False
    options.max_mem = _MEMORY_BYTES
    try:
        made = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0]
        said = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        allowed = "allowed: RE2 syntax, without look-around and backreferences"
        raise ValueError(f"regex {pattern!r}: {said}; {allowed}") from None
    if made.programsize > MAX_INSTRUCTIONS:
        raise ValueError(
            f"regex {pattern!r} is too large: {made.programsize} steps, allowed: {MAX_INSTRUCTIONS}"
        )
    return made
