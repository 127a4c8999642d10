"""How a text is cut into words, and how two texts are compared."""

import pytest

from service import words
from service.words import edits, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He won’t re-open.", ["He", " ", "won’t", " ", "re-open", "."]),
        ("1,200.5 at 12:30, 50%", ["1,200.5", " ", "at", " ", "12:30", ",", " ", "50%"]),
        ("a \n\n b", ["a", " \n\n ", "b"]),
        ("“Żółć”", ["“", "Żółć", "”"]),
        ("z\u0307o\u0301łw", ["z\u0307o\u0301łw"]),
        ("قُتِلَ ١٢", ["قُتِلَ", " ", "١٢"]),
        ("İstanbul'da", ["İstanbul'da"]),
        ("東京で12人", ["東", "京", "で", "12", "人"]),
        ("wait...", ["wait", ".", ".", "."]),
        ("", []),
    ],
)
def test_a_text_is_cut_into_words_spaces_and_marks(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("a b c", "a b c", [("equal", "a b c")]),
        ("12 killed", "120 killed", [("delete", "12"), ("insert", "120"), ("equal", " killed")]),
        (
            "He will go.",
            "He will not go.",
            [("equal", "He will"), ("insert", " not"), ("equal", " go.")],
        ),
        ("x a", "a", [("delete", "x "), ("equal", "a")]),
        ("a", "", [("delete", "a")]),
        ("", "a", [("insert", "a")]),
        ("a b", "a  b", [("equal", "a"), ("delete", " "), ("insert", "  "), ("equal", "b")]),
        ("", "", []),
    ],
)
def test_edits_are_runs_of_whole_words(
    before: str, after: str, expected: list[tuple[str, str]]
) -> None:
    assert list(edits(before, after)) == expected


def test_space_between_two_changed_words_belongs_to_the_change() -> None:
    assert edits("the old man left", "the young girl left") == (
        ("equal", "the "),
        ("delete", "old man"),
        ("insert", "young girl"),
        ("equal", " left"),
    )


def test_one_changed_word_in_three_hundred_is_one_small_change() -> None:
    """The trap of difflib's autojunk: frequent words must still count."""
    text = ["the", "and", "of"] * 100
    assert edits(" ".join(text), " ".join([*text[:150], "moon", *text[151:]])) == (
        ("equal", " ".join(text[:150]) + " "),
        ("delete", "the"),
        ("insert", "moon"),
        ("equal", " " + " ".join(text[151:])),
    )


def test_texts_too_large_to_compare_differ_between_their_shared_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hostile page must not decide how much memory a comparison takes."""
    monkeypatch.setattr(words, "MAX_COMPARED_PAIRS", 3)
    assert edits("start a same b end", "start c same d end") == (
        ("equal", "start "),
        ("delete", "a same b"),
        ("insert", "c same d"),
        ("equal", " end"),
    )
