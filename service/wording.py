"""What may be said in a template, and what is refused about one. Pure.

Owns the words of templates: `[alerts.templates]`, those of a channel and those of a rule. What a
field holds for an alert is for the alerts worker.
"""

from __future__ import annotations

from string import Formatter
from typing import Annotated

from msgspec import Meta, Struct

# What a template can say, by name.
FIELDS = {
    "word": "the rule and what has become of the alert: BREAKING, UPDATED, RETRACTED",
    "title": "the entry's headline, or its first sentence; how many more there are",
    "summary": "one or two sentences of its text, or the headlines of the others",
    "reason": "why the alert was raised, updated or retracted",
    "change": "on an update what changed, such as 9 killed → 12 killed",
    "page": "the page's title",
    "time": "when the entry was published, such as 2025-04-25 09:17 UTC",
    "link": "its address",
}
Template = Annotated[str, Meta(min_length=1, max_length=1000)]


class TemplateSettings(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What is said to people, with fields in braces.

    title: the headline. raised, updated, retracted: the text below it.
    """

    title: Template | None = None
    raised: Template | None = None
    updated: Template | None = None
    retracted: Template | None = None

    def __post_init__(self) -> None:
        for key in self.__struct_fields__:
            _check(key, getattr(self, key) or "")

    def given(self) -> dict[str, str]:
        """Those that are given, by key."""
        every = ((key, getattr(self, key)) for key in self.__struct_fields__)
        return {key: text for key, text in every if text is not None}


def _check(key: str, template: str) -> None:
    """Raises ValueError for what a template may not hold.

    Only `{field}` is understood, and `{{` and `}}` for braces: no attribute, index, conversion or
    format.
    """
    allowed = f"allowed: {', '.join(f'{{{name}}}' for name in FIELDS)}; {{{{ and }}}} for braces"
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{key}: {str(error).lower()}; {allowed}") from None
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if name not in FIELDS:
            raise ValueError(f"{key}: unknown field {{{name}}}; {allowed}")
        if spec or conversion:
            raise ValueError(f"{key}: {{{name}}} takes no format; {allowed}")
