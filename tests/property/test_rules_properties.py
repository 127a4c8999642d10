"""What holds of any condition, any event and any rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from service.events import EntryEvent, Significance
from service.model import PageRef
from service.rules import Condition, RuleSettings, folded, from_json, to_json
from service.words import edits
from tests.alert_samples import entry_event
from workers.alerts.conditions import Views, traced

NOW = datetime(2025, 4, 25, 9, 18, tzinfo=UTC)
LABELS = ("breaking", "key", "summary")
WORDS = ("drone", "tank", "12", "Київ", "東京")
AUTHORS = ("Ana", "Bo")
PAGES = tuple(PageRef(id=each, url=f"https://news.example/{each}") for each in ("war", "cup"))
KINDS = ("figure", "typo", "append", "rewrite", "label")


def some(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True).map(tuple)


leaves = st.one_of(
    st.builds(Condition, label=some(LABELS)),
    st.builds(Condition, word=some(WORDS)),
    st.builds(Condition, phrase=some(("drone tank", "12 drone"))),
    st.builds(Condition, regex=some(("dr.ne", "^12"))),
    st.builds(Condition, author=some(AUTHORS)),
    st.builds(Condition, page=some(("war", "c*"))),
    st.builds(Condition, type=some(("published", "edited"))),
    st.builds(Condition, kind=some(KINDS)),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Condition, all=st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Condition, any=st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Condition, not_=inner),
    ),
    max_leaves=5,
)
texts = st.lists(st.sampled_from([*WORDS, "the", "\n"]), max_size=6).map(" ".join)


@st.composite
def events(draw: st.DrawFn, **fixed: Any) -> EntryEvent:
    """An event of one of a few entries; an edit has the words and labels that make it one."""
    kind = draw(st.sampled_from(("published", "edited", "removed", "restored")))
    labels = draw(st.lists(st.sampled_from(LABELS), unique=True).map(tuple))
    given: dict[str, Any] = {
        "entry": draw(st.sampled_from(("e1", "e2", "e3"))),
        "page": draw(st.sampled_from(PAGES)),
        "labels": labels,
        "title": draw(texts),
        "text": draw(texts),
        "authors": draw(st.lists(st.sampled_from(AUTHORS), unique=True).map(tuple)),
        "at": NOW + timedelta(minutes=draw(st.integers(0, 600))),
        "sequence": draw(st.integers(1, 1000)),
    }
    if kind == "edited":
        before = draw(texts)
        given["edits"] = {"title": edits(before, given["title"])}
        given["changed"] = ("title", "labels")
        given["gained"] = tuple(each for each in labels if draw(st.booleans()))
        given["significance"] = Significance(draw(st.sampled_from(KINDS)))
    return entry_event(kind, **(given | fixed))


def value(condition: Condition, event: EntryEvent, view: str = "event") -> bool | None:
    return traced(condition, getattr(Views(event), view)).holds


VIEWS = st.sampled_from(("event", "before", "entry"))


@given(conditions, events(), VIEWS)
def test_not_turns_a_condition_round_and_twice_leaves_it(
    condition: Condition, event: EntryEvent, view: str
) -> None:
    plain, turned = value(condition, event, view), value(Condition(not_=condition), event, view)
    assert turned is (None if plain is None else not plain)
    assert value(Condition(not_=Condition(not_=condition)), event, view) is plain


@given(conditions, conditions, events(), VIEWS)
def test_not_any_is_all_not(one: Condition, other: Condition, event: EntryEvent, view: str) -> None:
    """De Morgan, in three values."""
    neither = Condition(not_=Condition(any=(one, other)))
    both_not = Condition(all=(Condition(not_=one), Condition(not_=other)))
    assert value(neither, event, view) is value(both_not, event, view)


@given(st.lists(conditions, min_size=1, max_size=4), events(), VIEWS, st.randoms())
def test_neither_order_nor_repetition_nor_nesting_matters(
    several: list[Condition], event: EntryEvent, view: str, random: Any
) -> None:
    shuffled = [*several, several[0]]
    random.shuffle(shuffled)
    for name in ("all", "any"):
        plain = Condition(**{name: tuple(several)})
        mixed = Condition(**{name: (Condition(**{name: tuple(shuffled)}),)})
        assert value(plain, event, view) is value(mixed, event, view)


@given(conditions, events())
def test_of_an_event_as_it_is_everything_is_known(condition: Condition, event: EntryEvent) -> None:
    assert value(condition, event) is not None


@given(conditions, events())
def test_what_is_known_of_the_entry_alone_holds_in_the_event(
    condition: Condition, event: EntryEvent
) -> None:
    alone = value(condition, event, "entry")
    assert alone is None or alone is value(condition, event)


@given(conditions, events())
def test_what_is_known_of_before_is_what_was(condition: Condition, event: EntryEvent) -> None:
    """Against every entry that the event allows to have been."""
    data = event.data
    if event.type != "stoppress.entry.edited":
        return
    known = value(condition, event, "before")
    lost = [each for each in LABELS if each not in data.entry.labels]
    kept = tuple(each for each in data.entry.labels if each not in data.gained)
    title = "".join(text for op, text in data.edits["title"] if op != "insert")
    for some_lost in (lost, lost[:1], []):
        entry = replace(data.entry, labels=(*kept, *some_lost), title=title)
        earlier = replace(
            event,
            type="stoppress.entry.restored",
            data=replace(data, entry=entry, significance=None),
        )
        assert known is None or known is value(condition, earlier)


@given(st.text(max_size=30))
def test_folding_twice_is_folding_once(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_breaks_a_condition(text: str, word: str) -> None:
    event = entry_event(title=text, text=word)
    words = tuple(each for each in word.split() if len(folded(each).split()) == 1)[:5]
    assert value(Condition(regex=(r"\pL\d",), word=words or ("x",)), event) is not None
    for each in words:
        assert value(Condition(word=(each,)), entry_event(title=f"a {each} b")) is True


@given(conditions)
def test_any_rule_is_the_same_after_json(condition: Condition) -> None:
    rules = {"any": RuleSettings(when=condition)}
    assert from_json(to_json(rules)) == rules
