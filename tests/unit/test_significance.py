"""Every kind of edit, the order of kinds, and the pairs that a similarity score gets wrong."""

from datetime import UTC, datetime

import pytest

from service.events import Significance
from service.model import Author, Embed, Entry, Image, Line, ListBlock, Mark, Paragraph
from service.significance import significance
from service.words import edits

STORY = (
    "Rescue teams have reached the village. Officials say 12 people were killed in the blast and"
    " 30 more were taken to hospital.\nThe president is expected to visit the site on Monday."
)


def entry(title: str | None = None, text: str | None = None, **fields: object) -> Entry:
    body = () if text is None else tuple(Paragraph(line) for line in text.split("\n"))
    return Entry(**{"id": "e", "title": title, "body": body, **fields})  # type: ignore[arg-type]


def judged(before: Entry, after: Entry) -> Significance:
    fields = ("title", "published", "labels", "authors", "body", "media")
    changed = tuple(name for name in fields if getattr(before, name) != getattr(after, name))
    runs = {
        name: edits(old or "", new or "")
        for name, old, new in (
            ("title", before.title, after.title),
            ("body", before.text, after.text),
        )
        if old != new
    }
    return significance(before, after, changed, runs)


def title(before: str, after: str) -> tuple[str, tuple[str, ...]]:
    found = judged(entry(before), entry(after))
    return found.kind, found.evidence


def story(old: str, new: str) -> tuple[str, tuple[str, ...]]:
    """The story with one passage replaced."""
    assert old in STORY
    found = judged(entry(text=STORY), entry(text=STORY.replace(old, new)))
    return found.kind, found.evidence


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Man HELD", "Man held"),
        ('He said "no"', "He said “no”"),
        ("Jack's dog", "Jack’s dog"),
        ("the end", "The  end."),
        ("air-strike", "air strike"),
        ("12,000 people", "12000 people"),
        ("5km away", "5 km away"),
        ("a 2-1 win", "a 2–1 win"),
        ("cafe\u0301", "café"),
        ("soft\u00adhyphen", "softhyphen"),
        ("İSTANBUL'DA DEPREM", "İstanbul'da deprem"),
        ("KIZ ISPARTA", "kız ısparta"),
        ("ŻÓŁW", "żółw"),
    ],
)
def test_space_punctuation_and_case_change_nothing(before: str, after: str) -> None:
    assert title(before, after) == ("none", ())


@pytest.mark.parametrize(
    ("before", "after", "evidence"),
    [
        ("12 killed", "120 killed", "12 → 120"),
        ("Death toll in Lebanon rises to 356", "Death toll in Lebanon rises to 558", "356 → 558"),
        ("two people killed", "three people killed", "two → three"),
        ("12 people", "12,000 people", "12 → 12,000"),
        ("12 people ill", "12 million people ill", "12 → 12 million"),
        ("It is 5 km away", "It is 5 miles away", "5 km → 5 miles"),
        ("It costs £5m", "It costs $5m", "£5m → $5m"),
        ("It costs £5 now", "It costs £5m now", "£5 → £5m"),
        ("a rise of 5%", "a rise of 5", "5% → 5"),
        ("at 10:17 today", "at 10:25 today", "10:17 → 10:25"),
        ("He comes on Monday", "He comes on Tuesday", "Monday → Tuesday"),
        ("a low of -5 degrees", "a low of 5 degrees", "-5 → 5"),
        ("twenty-five hurt", "twenty-six hurt", "twenty-five → twenty-six"),
        ("Man Utd 2-1 Leeds", "Man Utd 2-2 Leeds", "2-1 → 2-2"),
        ("Zginęło 12 osób", "Zginęło 15 osób", "12 → 15"),
        ("Zginęło dziewięć osób", "Zginęło dziesięć osób", "dziewięć → dziesięć"),
        ("Morreram sessenta pessoas", "Morreram setenta pessoas", "sessenta → setenta"),
        ("Morte sessanta persone", "Morte settanta persone", "sessanta → settanta"),
        ("قتل ١٢ شخصا", "قتل ١٥ شخصا", "١٢ → ١٥"),
        ("東京で12人死亡", "東京で15人死亡", "12 → 15"),
    ],
)
def test_a_number_or_unit_that_replaces_another_is_a_figure(
    before: str, after: str, evidence: str
) -> None:
    assert title(before, after) == ("figure", (evidence,))


def test_every_changed_figure_is_named() -> None:
    assert story("12 people were killed in the blast and 30", "15 people were killed and 31") == (
        "figure",
        ("12 → 15", "30 → 31"),
    )


def test_a_number_in_another_sentence_is_not_the_number_that_changed() -> None:
    """A sentence that was swapped for another says nothing about its figures."""
    swapped = "The president is expected to visit the site on Monday."
    assert story(swapped, "Some 400 soldiers with 7 dogs search through rubble.")[0] == "rewrite"


@pytest.mark.parametrize(
    ("before", "after", "evidence"),
    [
        ("The PM will resign", "The PM will not resign", "will → will not"),
        ("The PM will resign", "The PM won't resign", "will → won't"),
        ("He has not agreed to go", "He has agreed to go", "has not → has"),
        ("Guilty, says jury", "Not guilty, says jury", "Guilty → Not guilty"),
        ("Mayor confirms talks", "Mayor denies talks", "confirms → denies"),
        ("Driver dead after crash", "Driver injured after crash", "dead → injured"),
        ("Man arrested by police", "Man released by police", "arrested → released"),
        ("Law passed by senate", "Law rejected by senate", "passed → rejected"),
        ("Police were armed", "Police were unarmed", "armed → unarmed"),
        ("On przyjdzie jutro", "On nie przyjdzie jutro", "On → On nie"),
        ("Yasa bugün onaylandı", "Yasa bugün onaylanmadı", "onaylandı → onaylanmadı"),
        (
            "Il presidente parte domani",
            "Il presidente non parte domani",
            "presidente → presidente non",
        ),
        ("Sonuç açıklandı", "Sonuç açıklanmadı", "açıklandı → açıklanmadı"),
    ],
)
def test_a_negation_or_opposite_verb_is_polarity(before: str, after: str, evidence: str) -> None:
    assert title(before, after) == ("polarity", (evidence,))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("The PM will not go", "The PM won't go"),
        ("No 10 says so", "Downing Street says so"),
        ("Dois mortos no Rio", "Dois mortos em Manaus"),
    ],
)
def test_what_only_looks_like_a_negation_is_none(before: str, after: str) -> None:
    assert title(before, after)[0] != "polarity"


@pytest.mark.parametrize(
    ("before", "after", "evidence"),
    [
        ("General Moskalik has died", "General Moskalkov has died", "Moskalik → Moskalkov"),
        ("Talks held in Iran", "Talks held in Iraq", "Iran → Iraq"),
        ("Talks held in Austria", "Talks held in Australia", "Austria → Australia"),
        ("Donald Trump to speak", "Joe Biden to speak", "Donald Trump → Joe Biden"),
        ("Spotkanie w Łodzi", "Spotkanie w Żywcu", "Łodzi → Żywcu"),
    ],
)
def test_a_name_that_replaces_another_is_a_name(before: str, after: str, evidence: str) -> None:
    assert title(before, after) == ("name", (evidence,))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("The man has left", "A man has left"),
        ("BREAKING: man has left", "UPDATE: man has left"),
        ("Prime Minister to speak", "PM to speak"),
    ],
)
def test_a_capital_alone_makes_no_name(before: str, after: str) -> None:
    assert title(before, after)[0] == "rewrite"


def test_a_word_that_the_entry_also_writes_small_is_no_name() -> None:
    text = "The officials spoke to police."
    found = judged(entry("Officials say so", text), entry("Police say so", text))
    assert found.kind == "rewrite"


@pytest.mark.parametrize(
    ("before", "after", "evidence"),
    [
        ("teh man left", "the man left", "teh → the"),
        ("An exposion in Moscow", "An explosion in Moscow", "exposion → explosion"),
        ("Zelensky arrives", "Zelenskiy arrives", "Zelensky → Zelenskiy"),
        ("the the man", "the man", "the the → the"),
        ("at the air port", "at the airport", "air port → airport"),
        ("two people", "2 people", "two → 2"),
        ("twenty-five people", "25 people", "twenty-five → 25"),
        ("two hundred people", "200 people", "two hundred → 200"),
        ("12 thousand people", "12,000 people", "12 thousand → 12,000"),
        ("It is 5 km away", "It is 5 kilometres away", "km → kilometres"),
        ("Trwa zebrnie rady", "Trwa zebranie rady", "zebrnie → zebranie"),
    ],
)
def test_a_few_misspelt_words_are_a_typo(before: str, after: str, evidence: str) -> None:
    assert title(before, after) == ("typo", (evidence,))


def test_many_misspelt_words_are_a_rewrite() -> None:
    assert title("teh adn fro wiht bakc", "the and for with back")[0] == "rewrite"


@pytest.mark.parametrize(
    "notice",
    [
        "Correction: this was wrong.",
        "CLARIFICATION: this was unclear.",
        "This post has been corrected.",
        "This post has been amended to say so.",
        "An earlier version said otherwise.",
        "Sprostowanie: było inaczej.",
    ],
)
def test_a_notice_of_correction_comes_before_what_it_corrects(notice: str) -> None:
    after = STORY.replace("12", "15") + "\n" + notice
    assert judged(entry(text=STORY), entry(text=after)).kind == "correction"


def test_the_label_correction_is_a_correction() -> None:
    found = judged(entry("A"), entry("A", labels=("correction",)))
    assert found == Significance("correction", ("+correction",))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("The market saw a fall", "The market saw a fall after a correction"),
        ("Correction: he left at noon", "Correction: he left at noon with friends"),
    ],
)
def test_the_word_alone_or_an_old_notice_is_no_new_correction(before: str, after: str) -> None:
    assert title(before, after)[0] == "append"


def test_labels_gained_and_lost_are_named() -> None:
    before, after = entry("A", labels=("key", "pinned")), entry("A", labels=("breaking", "pinned"))
    assert judged(before, after) == Significance("label", ("+breaking", "-key"))


def test_a_figure_comes_before_a_label() -> None:
    assert judged(entry("12 dead"), entry("13 dead", labels=("breaking",))).kind == "figure"


def test_a_label_comes_before_an_append() -> None:
    assert judged(entry("He left"), entry("He left Rome", labels=("key",))).kind == "label"


@pytest.mark.parametrize(
    ("before", "after", "evidence"),
    [
        ("He died", "He died in Rome", "in Rome"),
        ("He died.", "He died. Five were hurt.", "Five were hurt."),
        ("He died.", "He died. It was not known why.", "It was not known why."),
        ("One left. Two stayed.", "One left. He did not ask. Two stayed.", "He did not ask."),
        ("12 killed", "12 killed, 30 hurt", ", 30 hurt"),
    ],
)
def test_new_words_that_replace_none_are_an_append(before: str, after: str, evidence: str) -> None:
    """Neither its numbers nor its negations changed anything that was there."""
    assert title(before, after) == ("append", (evidence,))


def test_a_new_block_is_an_append_wherever_it_stands() -> None:
    assert story("hospital.\n", "hospital.\nNo 30 is not safe.\n")[0] == "append"


def test_a_first_title_is_an_append() -> None:
    assert judged(entry(None, "A"), entry("B", "A")) == Significance("append", ("B",))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Rescue teams have reached the village. ", ""),
        ("Rescue teams have reached the village.", "Nobody has come here so far."),
        ("reached the village", "arrived"),
    ],
)
def test_all_else_is_a_rewrite(old: str, new: str) -> None:
    assert story(old, new)[0] == "rewrite"


def test_other_authors_alone_are_a_name() -> None:
    before, after = entry("A", authors=(Author("Ann Bo"),)), entry("A", authors=(Author("Cy Do"),))
    assert judged(before, after) == Significance("name", ("Ann Bo → Cy Do",))


def test_another_time_alone_is_a_rewrite_with_both_times() -> None:
    """No word changed, so it is no figure, and no alert is updated for it."""
    times = [datetime(2025, 4, 25, 9, minute, tzinfo=UTC) for minute in (17, 25)]
    before, after = (entry("A", published=time) for time in times)
    evidence = "2025-04-25T09:17:00.000Z → 2025-04-25T09:25:00.000Z"
    assert judged(before, after) == Significance("rewrite", (evidence,))


def test_media_that_were_added_are_an_append_and_replaced_ones_a_rewrite() -> None:
    one, two = Image(alt="one"), Image(alt="two")
    bare, first, both = (entry("A", media=media) for media in ((), (one,), (one, two)))
    second = entry("A", media=(two,))
    assert judged(bare, first) == Significance("append", ("+media",))
    assert judged(first, both) == Significance("append", ("+media",))
    assert judged(first, second) == Significance("rewrite", ("media",))
    assert judged(both, first).kind == "rewrite"


def test_links_and_embeds_count_and_emphasis_does_not() -> None:
    plain = entry(body=(Paragraph("a b"),))
    strong = entry(body=(Paragraph("a b", (Mark(0, 1, "strong"),)),))
    linked = entry(body=(Paragraph("a b", (Mark(0, 1, "link", "https://example.org/"),)),))
    listed = entry(body=(ListBlock((Line("a b", (Mark(0, 1, "link", "https://a.example/"),)),)),))
    embedded = entry(body=(Paragraph("a b"), Embed("x", "https://x.example/1")))
    assert judged(plain, strong) == Significance("none")
    assert judged(plain, linked) == Significance("append", ("+link",))
    assert judged(plain, embedded) == Significance("append", ("+embed",))
    assert judged(linked, listed).kind == "rewrite"


def test_an_edit_of_another_field_is_never_none() -> None:
    time = datetime(2025, 4, 25, tzinfo=UTC)
    assert judged(entry("A b"), entry("a b", published=time)).kind == "rewrite"


def test_evidence_is_short() -> None:
    found = judged(entry("x"), entry("word " * 500))
    assert all(len(text) < 130 for text in found.evidence)


def test_vowel_marks_are_parts_of_words() -> None:
    assert title("قُتِلَ جندي", "قَتَلَ جندي")[0] != "none"
    assert title("कि हिन्दी", "की हिन्दी")[0] != "none"


def test_a_minus_at_the_start_counts_and_a_dash_does_not() -> None:
    assert title("-5 degrees", "5 degrees") == ("figure", ("-5 → 5",))
    assert title("- five left", "five left") == ("none", ())


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("W wypadku zginęły 2 osoby.", "W wypadku zginęły 3 osoby.", "figure"),
        ("Policja: napastnik nie żyje.", "Policja: napastnik żyje.", "polarity"),
        ("Minister Kowalski jest w Łodzi.", "Minister Nowak jest w Łodzi.", "name"),
        ("Polícia confirmou a morte.", "Polícia não confirmou a morte.", "polarity"),
        ("Caiu no rio, há dez feridos", "Caiu em rio, há dez feridos", "rewrite"),
        ("قتل 12 شخصا في الهجوم", "قتل 120 شخصا في الهجوم", "figure"),
        ("قتل ١٢ شخصا في الهجوم", "قتل ١٣ شخصا في الهجوم", "figure"),
        ("İstanbul'da yangın", "istanbul'da yangın", "none"),
        ("ISPARTA'DA DEPREM", "ısparta'da deprem", "none"),
    ],
)
def test_other_languages_are_read_for_what_can_be_told_in_them(
    before: str, after: str, kind: str
) -> None:
    assert title(before, after)[0] == kind
