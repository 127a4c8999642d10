"""What conditions match, in an event as it is and in its entry as it was before."""

from __future__ import annotations

from typing import Any

import pytest

from service.events import EntryEvent, Significance
from service.model import PageRef
from service.rules import Condition
from service.words import edits
from tests.alert_samples import entry_event
from workers.alerts.conditions import TEXT_CHARACTERS, Trace, Views, told, traced

CUP = PageRef(id="cup-final", url="https://news.example/cup")


def event(kind: str = "published", **given: Any) -> EntryEvent:
    return entry_event(kind, **given)


def holds(condition: Condition, seen: EntryEvent) -> bool | None:
    return traced(condition, Views(seen).event).holds


@pytest.mark.parametrize(
    ("condition", "seen", "is_so"),
    [
        (Condition(label=("key", "breaking")), event(), True),
        (Condition(label=("Breaking",)), event(), False),
        (Condition(page=("cup-*",)), event(page=CUP), True),
        (Condition(page=("cup-?",)), event(page=CUP), False),
        (Condition(page=("CUP-*",)), event(page=CUP), False),
        (Condition(author=("ana DUARTE",)), event(authors=("Bo", "Ana Duarte")), True),
        (Condition(author=("Ana",)), event(authors=("Ana Duarte",)), False),
        (Condition(type=("published",)), event(), True),
        (Condition(type=("edited",)), event(), False),
        (Condition(type=("edited",)), event("edited"), True),
        (Condition(kind=("figure",)), event("edited", significance=Significance("figure")), True),
        (Condition(kind=("figure",)), event("edited", significance=Significance("typo")), False),
        (Condition(kind=("figure",)), event(), False),
    ],
)
def test_what_an_event_is_like(condition: Condition, seen: EntryEvent, is_so: bool) -> None:
    assert holds(condition, seen) is is_so


@pytest.mark.parametrize(
    ("word", "text", "is_so"),
    [
        ("drone", "A DRONE fell.", True),
        ("drone", "Drones fell.", False),
        ("drone", "the drone’s pilot", True),
        ("drone", "anti-drone guns", True),
        ("drone", "hydrodrone", False),
        ("straße", "STRASSE gesperrt", True),
        ("київ", "У КИЇВ прибув", True),
        ("київ", "Київський", False),
        ("café", "the cafe\u0301 burns", True),
        ("caf", "the cafe\u0301 burns", False),
        ("cafe", "the cafe\u0301s burn", False),
        ("12", "12 dead", True),
        ("12", "12,000 dead", False),
        ("000", "12,000 dead", False),
        ("12", "1.12", False),
        ("12", "on 12, they said", True),
        ("12", "It was 12.", True),
        ("12,000", "some 12,000 dead", True),
        ("東京", "今日東京で地震", True),
        ("c++", "in C++ now", True),
        ("not", "don't", False),
        ("नमस्ते", "नमस्ते दुनिया", True),
        ("नमस्", "नमस्ते दुनिया", False),
    ],
)
def test_words_are_whole_whatever_their_case_and_script(word: str, text: str, is_so: bool) -> None:
    assert holds(Condition(word=(word,)), event(text=text)) is is_so
    assert holds(Condition(word=(word,)), event(title=text)) is is_so


@pytest.mark.parametrize(
    ("phrase", "text", "is_so"),
    [
        ("car bomb", "a car\u00a0 \tbomb went off", True),
        ("car   Bomb", "A CAR BOMB", True),
        ("car bomb", "a car bombing", False),
        ("car bomb", "by car\nbomb found", False),  # two paragraphs
        ("don't know", "we DON’T know", True),
    ],
)
def test_phrases_are_words_in_a_row_of_one_paragraph(phrase: str, text: str, is_so: bool) -> None:
    assert holds(Condition(phrase=(phrase,)), event(title=None, text=text)) is is_so


@pytest.mark.parametrize(
    ("pattern", "text", "is_so"),
    [
        (r"^\d+ (dead|killed)", "12 KILLED in raid", True),
        (r"^\d+ (dead|killed)", "At least 12 killed", False),
        (r"(?-i)NATO", "nato", False),
        (r"\bк\pL+в\b", "київ", False),  # in RE2, \b knows ASCII alone
        (r"к\pL+в", "КИЇВ", True),
    ],
)
def test_patterns_are_looked_for_in_each_line(pattern: str, text: str, is_so: bool) -> None:
    assert holds(Condition(regex=(pattern,)), event(title="Live", text=f"x\n{text}")) is is_so


def test_half_a_character_does_no_harm() -> None:
    assert holds(Condition(regex=("a.c",)), event(title="a\ud800c")) is True


def test_a_long_text_is_read_so_far_and_no_further() -> None:
    near, far = (" " * 0 + "x " * n + "drone" for n in (100, TEXT_CHARACTERS))
    assert holds(Condition(word=("drone",)), event(text=near)) is True
    assert holds(Condition(word=("drone",)), event(text=far)) is False


def test_all_parts_of_a_condition_must_hold_and_any_value_of_a_part() -> None:
    condition = Condition(label=("key", "breaking"), word=("general",), not_=Condition(page=("x",)))
    assert holds(condition, event()) is True
    assert holds(condition, event(labels=())) is False
    assert holds(condition, event(title="Nothing")) is False


def test_a_trace_says_what_was_found_and_what_is_there_instead() -> None:
    condition = Condition(
        label=("key",), any=(Condition(word=("bomb", "tank")), Condition(author=("Ana",)))
    )
    assert traced(condition, Views(event(authors=("Bo",))).event) == Trace(
        "all",
        False,
        parts=(
            Trace("label", False, ("key",), has=("breaking",)),
            Trace(
                "any",
                True,
                parts=(
                    Trace("word", True, ("bomb", "tank"), found=("bomb",)),
                    Trace("author", False, ("Ana",), has=("Bo",)),
                ),
            ),
        ),
    )


# --- before an edit ------------------------------------------------------------------------------


def edit(**given: Any) -> EntryEvent:
    return event("edited", **given)


@pytest.mark.parametrize(
    ("condition", "seen", "was"),
    [
        (Condition(label=("breaking",)), edit(gained=("breaking",), changed=("labels",)), False),
        (Condition(label=("breaking",)), edit(changed=("labels",)), True),
        (Condition(label=("key",)), edit(changed=("labels",)), None),
        (Condition(label=("key",)), edit(changed=("body",)), False),
        (Condition(author=("Ana",)), edit(authors=("Ana",)), True),
        (Condition(author=("Ana",)), edit(authors=("Ana",), changed=("authors",)), None),
        (Condition(word=("general",)), edit(), True),
        (Condition(word=("general",)), edit(changed=("title",)), None),
        (Condition(type=("edited",)), edit(), False),
        (Condition(not_=Condition(type=("edited",))), edit(), True),
        (Condition(kind=("typo",)), edit(significance=Significance("typo")), False),
        (Condition(page=("ukraine",)), edit(), True),
        (Condition(not_=Condition(label=("key",))), edit(changed=("labels",)), None),
        (Condition(label=("key",), page=("x",)), edit(changed=("labels",)), False),
        (Condition(any=(Condition(label=("key",)), Condition(page=("*",)))), edit(), True),
    ],
)
def test_what_an_entry_was_like_is_known_or_not_but_never_guessed(
    condition: Condition, seen: EntryEvent, was: bool | None
) -> None:
    assert traced(condition, Views(seen).before).holds is was


def test_the_words_before_come_back_from_those_of_the_edit() -> None:
    runs = {"title": edits("Drone shot down", "Plane shot down"), "body": edits("a b", "a c")}
    seen = edit(title="Plane shot down", text="a c", changed=("title", "body"), edits=runs)
    before = Views(seen).before
    assert before.lines == ("Drone shot down", "a b")
    assert traced(Condition(word=("drone",)), before).holds is True
    assert traced(Condition(word=("plane",)), before).holds is False


def test_the_entry_alone_leaves_open_what_happens_to_it() -> None:
    entry = Views(edit(significance=Significance("typo"))).entry
    assert traced(Condition(kind=("typo",)), entry).holds is None
    assert traced(Condition(kind=("typo",), word=("general",)), entry).holds is None
    assert traced(Condition(kind=("typo",), word=("nobody",)), entry).holds is False


# --- in words ------------------------------------------------------------------------------------


def test_it_is_told_what_was_found_and_is_new() -> None:
    condition = Condition(
        label=("breaking",), word=("bomb", "general"), not_=Condition(page=("x",))
    )
    runs = {"title": edits("General killed", "General killed in car bomb")}
    views = Views(edit(title="General killed in car bomb", changed=("title",), edits=runs))
    now, before = traced(condition, views.event), traced(condition, views.before)
    assert told(now) == ["the label breaking", "the word bomb", "the word general"]
    assert told(now, before) == []  # it was so before
    fresh = Condition(label=("breaking",), word=("bomb",))
    assert told(traced(fresh, views.event), traced(fresh, views.before)) == ["the word bomb"]
