"""What holds for any two texts."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from service.model import Entry, Paragraph
from service.significance import MAX_EVIDENCE, significance
from service.words import edits, tokens

_VOCABULARY = (
    "the man man's Iran Iraq not won't will 12 120 1,200 two km £ % - . ! “ \n İ ı قُتِلَ ١٢ 東京 é"
)
_texts = st.text() | st.lists(
    st.sampled_from([*_VOCABULARY.split(" "), " ", "  ", "\u0301", "\u200d"])
).map(" ".join)


def _entry(title: str, text: str) -> Entry:
    return Entry(id="e", title=title, body=(Paragraph(text),))


@given(_texts)
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(tokens(text)) == text


@given(_texts, _texts)
def test_runs_rebuild_both_texts(before: str, after: str) -> None:
    runs = edits(before, after)
    assert "".join(text for op, text in runs if op != "insert") == before
    assert "".join(text for op, text in runs if op != "delete") == after


@given(_texts, _texts)
def test_no_run_is_empty_and_a_delete_comes_before_its_insert(before: str, after: str) -> None:
    runs = edits(before, after)
    assert all(text for _, text in runs)
    allowed = {
        ("equal", "delete"),
        ("equal", "insert"),
        ("delete", "insert"),
        ("delete", "equal"),
        ("insert", "equal"),
    }
    assert {(first[0], second[0]) for first, second in pairwise(runs)} <= allowed


@given(_texts)
def test_a_text_does_not_differ_from_itself(text: str) -> None:
    assert edits(text, text) == ((("equal", text),) if text else ())


@given(_texts, _texts, _texts)
def test_every_edit_has_one_kind_and_bounded_evidence(title: str, before: str, after: str) -> None:
    """Whatever the language, an edit is named, and the same edit always gets the same name."""
    old, new = _entry(title, before), _entry(after, after)
    runs = {"title": edits(title, after), "body": edits(before, after)}
    found = significance(old, new, ("title", "body"), runs)
    assert found == significance(old, new, ("title", "body"), runs)
    assert len(found.evidence) <= MAX_EVIDENCE
    assert all(len(text) < 200 for text in found.evidence)


@given(_texts)
def test_an_unchanged_text_is_no_edit(text: str) -> None:
    entry = _entry(text, text)
    assert significance(entry, entry, ("body",), {"body": edits(text, text)}).kind == "none"
