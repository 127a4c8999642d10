"""What an edit amounts to: one kind of the contract's closed list, with the words that show it.

A table of rules, tried in order; the first that applies names the edit. Each rule reads the changed
words in their place in the sentence. None rests on a similarity ratio ("12 killed" and "120 killed"
are 99 % alike). The word lists are English with a few words of other languages; an edit that they
do not know falls through to `append`, `typo` or `rewrite`. Never raises, whatever the text.

Changes outside of the text: authors are `name`; a new published time is `rewrite` (no word changed,
so it is no `figure`); media, embeds and links that were only added are `append`, lost or replaced
ones are `rewrite`; emphasis and the shape of blocks are `none`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from msgspec import Struct
from rapidfuzz.distance import OSA

from service.events import Kind, Run, Significance, rfc3339
from service.model import Embed, Entry, ListBlock, Mark, Paragraph, Quote, content_digest
from service.words import IDEOGRAPH, MARKS, tokens

MAX_EVIDENCE = 5
MAX_EVIDENCE_CHARS = 60  # for each side of an arrow
MAX_TYPOS = 3  # distinct words; more is a rewrite
MAX_POLARITY_WORDS = 4  # on each side; a longer change says more than "not"
MAX_FREE_WORDS = 3  # a change this small needs no unchanged words of its sentence around it

Evidence = tuple[str, ...]


class Block(Struct, frozen=True):
    """One place where a text changed: what went, what came, and the unchanged text around it.

    old, new: the plain words of what went and came. lead: the unchanged start of the sentence, as
    far as the change before. rest: its unchanged end, empty when the change itself ends it.
    """

    deleted: str
    inserted: str
    old: Evidence
    new: Evidence
    lead: str
    rest: str


class Edit(Struct, frozen=True):
    """What the rules look at. blocks: of the title and the body, where words changed."""

    before: Entry
    after: Entry
    changed: tuple[str, ...]
    blocks: tuple[Block, ...]


def significance(
    before: Entry, after: Entry, changed: tuple[str, ...], edits: dict[str, tuple[Run, ...]]
) -> Significance:
    """Name an edit by the first rule that applies.

    changed: names of the fields that differ (title, published, labels, authors, body, media).
    edits: word-level runs of the text fields, `title` and `body` (the body's text).
    """
    blocks = chain.from_iterable(map(_blocks, edits.values()))
    edit = Edit(before, after, changed, tuple(block for block in blocks if _differs(block)))
    tried = ((kind, rule(edit)) for kind, rule in RULES)
    kind, evidence = next((kind, found) for kind, found in tried if found is not None)
    return Significance(kind, tuple(dict.fromkeys(evidence))[:MAX_EVIDENCE])


# --- plain words: what is left without space, punctuation and case -------------------------------

_PLAIN = re.compile(
    rf"(?:(?<!\w)[-−])?\d+(?:[.,:٫٬]\d+)*|{IDEOGRAPH}"
    rf"|(?:(?!{IDEOGRAPH})(?:[^\W\d_]|[{MARKS}]))+|[^\w\s]"
)
# Apostrophes inside of words, and characters that only steer how others are set.
_UNHEARD = re.compile(
    r"(?<=\w)['’](?=\w)|[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe0e\ufe0f\ufeff]"
)
_GROUPED = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_TURKISH_ONLY = frozenset("ıİ")
_TURKISH = str.maketrans("Iİ", "ıi")


def _plain(text: str) -> Evidence:
    """The words of a text, and the signs that mean something (£, %, a minus), in one spelling."""
    folded = unicodedata.normalize("NFC", _UNHEARD.sub("", text).casefold())
    return tuple(_number(word) for word in _PLAIN.findall(folded) if _speaks(word))


# By category: currency, mathematics, emoji.
_SIGNS = ("Sc", "Sm", "So")


def _speaks(word: str) -> bool:
    if len(word) > 1 or word in "%‰٪":
        return True
    category = unicodedata.category(word)
    return category[0] in "LMN" or category in _SIGNS


def _number(word: str) -> str:
    """One spelling for a number: "12,000", "12000" and Arabic digits are the same."""
    if not word[-1].isdecimal():
        return word
    digits = word.replace("−", "-")
    if not word.isascii():
        digits = "".join(str(unicodedata.decimal(char, char)) for char in digits)
    return digits.replace(",", "") if _GROUPED.fullmatch(digits) else digits


def _same_words(before: str, after: str) -> bool:
    """Casing is Turkish (I/ı, İ/i) or that of all others; either makes two words the same."""
    if _plain(before) == _plain(after):
        return True
    turkish = not _TURKISH_ONLY.isdisjoint(before + after)
    return turkish and _plain(before.translate(_TURKISH)) == _plain(after.translate(_TURKISH))


# --- the changed places --------------------------------------------------------------------------


def _blocks(runs: tuple[Run, ...]) -> Iterator[Block]:
    previous = deleted = inserted = ""
    for op, text in (*runs, ("equal", "")):
        if op == "delete":
            deleted += text
        elif op == "insert":
            inserted += text
        else:
            if deleted or inserted:
                yield _block(deleted, inserted, previous, text)
            previous, deleted, inserted = text, "", ""


def _differs(block: Block) -> bool:
    """In more than space, punctuation and case; the next word tells a minus from a dash."""
    old, new, rest = block.deleted, block.inserted, _near_start(block.rest, 1)
    return not (_same_words(old, new) and _same_words(old + rest, new + rest))


def _block(deleted: str, inserted: str, previous: str, following: str) -> Block:
    ending = (inserted or deleted)[-1:]
    return Block(
        deleted,
        inserted,
        old=_plain(deleted),
        new=_plain(inserted),
        lead=_SENTENCE_END.split(previous)[-1],
        rest=_SENTENCE_END.split(ending + following, maxsplit=1)[0].removeprefix(ending),
    )


# One full stop, not a run of them: a page of full stops must not cost the square of its length.
_SENTENCE_END = re.compile(r"[.!?…؟۔][\"'”’»)\]]{0,3}(?:\s|$)|[。！？\n]")


def _sentences(text: str) -> list[Evidence]:
    """The plain words of every sentence that has any."""
    return [words for part in _SENTENCE_END.split(text) if (words := _plain(part))]


def _size(block: Block) -> int:
    return max(len(block.old), len(block.new))


def _in_place(block: Block) -> bool:
    """Is this a change inside of a sentence that otherwise stands, not another sentence?"""
    size = _size(block)
    return size <= MAX_FREE_WORDS or size <= len(_plain(block.lead)) + len(_plain(block.rest))


def _whole_sentences(block: Block) -> bool:
    """Did sentences come or go here while no other sentence changed?"""
    if block.deleted.strip() and block.inserted.strip():
        return False
    text = block.deleted if block.deleted.strip() else block.inserted
    starts = not block.lead.strip() or text.startswith("\n")
    return (starts and not block.rest.strip()) or len(_sentences(text)) > 1


def _arrow(old: str, new: str) -> str:
    return f"{_clipped(old)} → {_clipped(new)}"


def _clipped(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_EVIDENCE_CHARS else line[: MAX_EVIDENCE_CHARS - 1] + "…"


def _shown(block: Block) -> str:
    """Old and new words; when one side has none, with the word beside them (will → will not)."""
    old, new = block.deleted, block.inserted
    if block.old and block.new:
        return _arrow(old, new)
    lead = _near_end(block.lead, 1)
    tail = "" if _plain(lead) else _near_start(block.rest, 1)
    return _arrow(lead + old + tail, lead + new + tail)


_NEAR_CHARS = 60


def _near_end(text: str, words: int) -> str:
    return "".join(reversed(_first(reversed(tokens(text[-_NEAR_CHARS:])), words)))


def _near_start(text: str, words: int) -> str:
    return "".join(_first(tokens(text[:_NEAR_CHARS]), words))


def _first(pieces: Iterable[str], words: int) -> list[str]:
    taken: list[str] = []
    for piece in pieces:
        taken.append(piece)
        words -= bool(_plain(piece))
        if not words:
            break
    return taken


# --- none ----------------------------------------------------------------------------------------


def _none(edit: Edit) -> Evidence | None:
    before, after = edit.before, edit.after
    same = (
        set(edit.changed) <= {"title", "body"}
        and _same_words(before.title or "", after.title or "")
        and _same_words(before.text, after.text)
        and _attachments(before) == _attachments(after)
    )
    return () if same else None


def _attachments(entry: Entry) -> Counter[tuple[str, str]]:
    """Media, embeds and link targets: what an entry shows besides its words, with its kind."""
    media = (content_digest(Entry(id="", media=(medium,))) for medium in entry.media)
    embeds = (block for block in entry.body if isinstance(block, Embed))
    return Counter(
        [
            *(("media", medium) for medium in media),
            *(("embed", embed.url or embed.provider or "") for embed in embeds),
            *(("link", mark.url or "") for mark in _marks(entry) if mark.kind == "link"),
        ]
    )


def _marks(entry: Entry) -> Iterator[Mark]:
    for block in entry.body:
        if isinstance(block, Paragraph | Quote):
            yield from block.marks
        elif isinstance(block, ListBlock):
            yield from chain.from_iterable(item.marks for item in block.items)


# --- correction ----------------------------------------------------------------------------------

_CORRECTION_LABELS = {"correction", "clarification"}
_CORRECTION = re.compile(
    r"\b(?:corrections?|clarifications?|editor['’]s note|sprostowanie|korekta|errata|correção"
    r"|corrección|correzione|berichtigung|korrektur|düzeltme|تصحيح)\s?:"
    r"|^(?:correction|clarification)\b"
    r"|\bthis (?:post|entry|article|story|report|page|item|headline) (?:has been|was|is)"
    r" (?:since )?(?:corrected|amended|clarified|updated to (?:correct|clarify|reflect))\b"
    r"|\b(?:an|the) earlier version\b|\bearlier versions? of this\b"
    r"|\bwe have (?:corrected|amended|clarified)\b",
    re.IGNORECASE | re.MULTILINE,
)


def _correction(edit: Edit) -> Evidence | None:
    gained = _CORRECTION_LABELS & _labels(edit.after) - _labels(edit.before)
    before, after = _corrections(edit.before), _corrections(edit.after)
    return tuple(f"+{label}" for label in sorted(gained)) + tuple(after - before) or None


def _labels(entry: Entry) -> set[str]:
    return {label.casefold() for label in entry.labels}


def _corrections(entry: Entry) -> Counter[str]:
    text = f"{entry.title or ''}\n{entry.text}"
    return Counter(match.casefold() for match in _CORRECTION.findall(text))


# --- figure --------------------------------------------------------------------------------------


def _listed(words: str) -> tuple[str, ...]:
    return tuple(words.split())


_ONES = _listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen"
)
_TENS = _listed("twenty thirty forty fifty sixty seventy eighty ninety")
_VALUES = {word: str(value) for value, word in enumerate(_ONES)} | {
    word: str(10 * value) for value, word in enumerate(_TENS, start=2)
}
# Numbers of other languages, but for words that are others in English or in names.
_FOREIGN = {
    2: "dwa dwie dwóch zwei deux dois duas iki",
    3: "trzy trzech drei trois tres três tre üç",
    4: "cztery czterech vier quatre cuatro quatro quattro dört",
    5: "pięć pięciu fünf cinq cinco cinque beş",
    6: "sześć sześciu sechs seis altı",
    7: "siedem siedmiu sieben sept siete sete sette yedi",
    8: "osiem ośmiu acht huit ocho oito sekiz",
    9: "dziewięć dziewięciu neun neuf nueve nove dokuz",
    10: "dziesięć dziesięciu zehn diez dez dieci",
    11: "jedenaście jedenastu onze undici",
    12: "dwanaście dwunastu zwölf douze doce doze dodici",
    13: "trzynaście trzynastu dreizehn trece treze tredici",
    14: "czternaście vierzehn quatorze catorce catorze quattordici",
    15: "piętnaście piętnastu fünfzehn quinze quindici",
    16: "szesnaście sechzehn dieciséis dezesseis sedici",
    17: "siedemnaście siebzehn diecisiete dezessete diciassette",
    18: "osiemnaście achtzehn dieciocho dezoito diciotto",
    19: "dziewiętnaście neunzehn diecinueve dezenove diciannove",
    20: "dwadzieścia dwudziestu zwanzig vingt veinte vinte venti yirmi",
    30: "trzydzieści trzydziestu dreißig trente treinta trinta trenta otuz",
    40: "czterdzieści czterdziestu vierzig quarante cuarenta quarenta quaranta kırk",
    50: "pięćdziesiąt fünfzig cinquante cincuenta cinquenta cinquanta elli",
    60: "sześćdziesiąt sechzig soixante sesenta sessenta sessanta altmış",
    70: "siedemdziesiąt siebzig setenta settanta yetmiş",
    80: "osiemdziesiąt achtzig ochenta oitenta ottanta seksen",
    90: "dziewięćdziesiąt neunzig noventa novanta doksan",
    100: "hundert cien cem cento",
}
_VALUES |= {word: str(value) for value, words in _FOREIGN.items() for word in words.split()}
_AMOUNTS = _listed(
    "dozen dozens score scores hundred hundreds thousand thousands million millions billion"
    " billions half quarter third first second fourth fifth sixth seventh eighth ninth tenth"
    " several many"
)
_DATES = _listed(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june"
    " july august september october november december today tomorrow yesterday tonight morning"
    " afternoon evening midnight noon midday"
)
_SCALES = {"k": "thousand", "m": "million", "mn": "million", "bn": "billion", "tn": "trillion"} | {
    word: word for word in ("hundred", "thousand", "million", "billion", "trillion")
}
_MULTIPLES = {"hundred": 100, "thousand": 1000, "k": 1000}
_EVEN_TENS = frozenset(str(tens) for tens in range(20, 100, 10))
_UNITS = {
    "%": "percent", "٪": "percent", "‰": "permille", "percent": "percent", "per cent": "percent",
    "km": "kilometre", "kilometre": "kilometre", "kilometer": "kilometre", "mile": "mile",
    "metre": "metre", "meter": "metre", "cm": "centimetre", "mm": "millimetre", "ft": "foot",
    "foot": "foot", "feet": "foot", "inch": "inch", "inches": "inch", "yard": "yard",
    "kg": "kilogram", "kilogram": "kilogram", "gram": "gram", "lb": "pound", "tonne": "tonne",
    "ton": "ton", "litre": "litre", "liter": "litre", "gallon": "gallon", "acre": "acre",
    "hectare": "hectare", "mph": "mph", "km/h": "kmh", "kmh": "kmh", "kph": "kmh", "knot": "knot",
    "°c": "celsius", "°f": "fahrenheit", "celsius": "celsius", "fahrenheit": "fahrenheit", "c": "c",
    "am": "am", "pm": "pm", "minute": "minute", "min": "minute", "hour": "hour", "day": "day",
    "week": "week", "month": "month", "year": "year", "seconds": "second", "pound": "pound",
    "dollar": "dollar", "euro": "euro", "pence": "pence", "p": "pence", "zł": "zloty", "kw": "kw",
    "mw": "mw", "gw": "gw",
}  # fmt: skip


def _either(words: Iterable[str]) -> str:
    """A pattern for any of the words, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_GAP = "[ \u00a0\u202f-]{0,2}"
_AMOUNT = _either([*_VALUES, *_AMOUNTS])
_QUANTITY = re.compile(
    rf"(?P<sign>[£$€¥₺₽₴]\s?|(?<!\w)[-−](?=\d))?"
    rf"(?P<number>\d+(?:[.,:/٫٬–-]\d+)*|\b(?:{_AMOUNT})(?:[ -](?:and )?(?:{_AMOUNT}))*\b)"
    rf"(?:{_GAP}(?P<scale>{_either(_SCALES)})(?!\w))?(?:{_GAP}(?P<unit>{_either(_UNITS)})s?(?!\w))?"
    rf"|\b(?P<date>{_either(_DATES)})\b",
    re.IGNORECASE,
)


def _figure(edit: Edit) -> Evidence | None:
    """A number went and another came in its place. One that only came with text is none."""
    blocks = (block for block in edit.blocks if _in_place(block) and not _whole_sentences(block))
    return tuple(arrow for block in blocks for arrow in _figures(block)) or None


def _figures(block: Block) -> Iterator[str]:
    # With the word on either side, so that "5 km → 5 miles" and "12 → 12 million" are whole.
    lead, rest = _near_end(block.lead, 1), _near_start(block.rest, 1)
    old, new = (_quantities(lead + text + rest) for text in (block.deleted, block.inserted))
    yield from _replacements(_missing(old, new), _missing(new, old))


def _quantities(text: str) -> list[tuple[str, str]]:
    """Every quantity as (value in one spelling, as it was written)."""
    return [(_value(match), match.group().strip()) for match in _QUANTITY.finditer(text)]


def _value(match: re.Match[str]) -> str:
    """ "two", "2" and "٢" have one value, and so have "5 km" and "5 kilometres"."""
    found = {name: (text or "").casefold().strip() for name, text in match.groupdict().items()}
    words = re.split(r"[ –-](?:and )?", found["number"])
    number = " ".join(_summed(_VALUES.get(word, _number(word) if word else "") for word in words))
    if number.isdigit() and found["scale"] in _MULTIPLES:
        number, found["scale"] = str(int(number) * _MULTIPLES[found["scale"]]), ""
    scale, unit = _SCALES.get(found["scale"], ""), _UNITS.get(found["unit"], "")
    sign = found["sign"].replace("−", "-")
    return " ".join(part for part in (sign, number, scale, unit, found["date"]) if part)


def _summed(numbers: Iterable[str]) -> list[str]:
    """ "twenty five" is 25, "two hundred" is 200."""
    found: list[str] = []
    for number in numbers:
        if found and found[-1] in _EVEN_TENS and number.isdigit() and 0 < int(number) < 10:
            found[-1] = str(int(found[-1]) + int(number))
        elif found and found[-1].isdigit() and number in _MULTIPLES:
            found[-1] = str(int(found[-1]) * _MULTIPLES[number])
        else:
            found.append(number)
    return found


def _missing(some: list[tuple[str, str]], others: list[tuple[str, str]]) -> list[str]:
    """What `some` holds more often than `others`, as it was written."""
    left = Counter(value for value, _ in others)
    missing = []
    for value, written in some:
        if left[value]:
            left[value] -= 1
        else:
            missing.append(written)
    return missing


def _replacements(old: list[str], new: list[str]) -> list[str]:
    """Pairs in reading order when there are as many new ones as old ones, else all against all."""
    if not old or not new:
        return []
    if len(old) != len(new):
        return [_arrow(", ".join(old), ", ".join(new))]
    return [_arrow(*pair) for pair in zip(old, new, strict=True)]


# --- polarity ------------------------------------------------------------------------------------

# "no" is none before a number (No 10 Downing Street) and in Portuguese, where it means "in the".
_PORTUGUESE = re.compile(
    r"\b(?:não|em|uma|há|da|os|dos|das|nos|nas|às|pelo|pela|são|ao)\b", re.IGNORECASE
)
_NEGATION = re.compile(
    r"\b(?:not|never|none|nobody|nothing|nor|neither|without|cannot|no(?!\.?\s*\d)|\w+n['’]t"
    r"|nie|nigdy|não|nunca|jamais|nicht|kein|keine|keinen|pas|non(?![-–])|brak|bez|değil|yok|لا|لم|لن|ليس|ليست)\b",
    re.IGNORECASE,
)
_OPPOSITES = tuple(
    (frozenset(some.split()), frozenset(others.split()))
    for some, others in (
        ("confirmed confirms confirm", "denied denies deny unconfirmed suspected disputed alleged"),
        ("dead dies died killed", "alive injured survived survives wounded hurt unharmed missing"),
        ("missing", "found alive"),
        ("arrested arrests detained held jailed", "released freed escaped"),
        ("charged convicted guilty", "acquitted cleared innocent released"),
        ("accepted accepts accept agreed agrees agree", "rejected rejects reject refused refuses"),
        (
            "approved approves backed backs",
            "rejected rejects blocked blocks vetoed opposed opposes",
        ),
        ("passed passes pass", "failed fails fail defeated rejected"),
        ("win wins won", "lose loses lost draw draws drew"),
        ("rise rises rose up increased", "fall falls fell down decreased"),
        ("open opened opens reopened", "closed closes close shut"),
        ("true", "false"),
        ("safe", "unsafe trapped missing"),
        ("will", "may might could"),
        ("cancelled postponed suspended", "confirmed resumed resumes"),
        ("started begun began starts", "ended ends stopped stops"),
        ("success successful succeeded", "failure failed unsuccessful"),
    )
)
_REVERSAL = re.compile(r"(?:un|in|im|il|ir|dis|non)-?(?=\w{5})")


_TURKISH_NEGATION = re.compile(r"(\w{2,})m[ae]((?:d[ıiuü]|t[ıiuü]|m[ıiuü]ş|yacak|yecek)\w*)$")


def _polarity(edit: Edit) -> Evidence | None:
    blocks = (block for block in edit.blocks if _turned(block))
    return tuple(_shown(block) for block in blocks) or None


def _turned(block: Block) -> bool:
    if _size(block) > MAX_POLARITY_WORDS or _whole_sentences(block):
        return False
    old, new = set(block.old), set(block.new)
    return (
        _negations(block.deleted, block) != _negations(block.inserted, block)
        or any(_across(old, new, *pair) for pair in _OPPOSITES)
        or any(_reversed(word, other) or _negated(word, other) for word in old for other in new)
    )


def _negations(text: str, block: Block) -> int:
    found = [word.casefold() for word in _NEGATION.findall(text + _near_start(block.rest, 1))]
    if "no" in found and _portuguese(block):
        found = [word for word in found if word != "no"]
    return len(found)


def _portuguese(block: Block) -> bool:
    sentence = " ".join((block.lead, block.deleted, block.inserted, block.rest))
    return _PORTUGUESE.search(sentence) is not None


def _across(old: set[str], new: set[str], some: frozenset[str], others: frozenset[str]) -> bool:
    return bool((old & some and new & others) or (old & others and new & some))


def _reversed(word: str, other: str) -> bool:
    """armed → unarmed, legal → illegal."""
    shorter, longer = sorted((word, other), key=len)
    prefix = _REVERSAL.match(longer)
    return prefix is not None and longer[prefix.end() :] == shorter


def _negated(word: str, other: str) -> bool:
    """onaylandı → onaylanmadı: Turkish negates inside of a verb."""
    shorter, longer = sorted((word, other), key=len)
    found = _TURKISH_NEGATION.match(longer)
    return found is not None and found[1] + found[2] == shorter


# --- name ----------------------------------------------------------------------------------------

_WORD = re.compile(rf"(?:(?!\d)[\w{MARKS}])[\w{MARKS}]+")
# Capital at the start of a sentence, or shouted before a headline; never somebody's name.
_NO_NAMES = frozenset(
    _listed(
        "a an the it its he his she her they their we our you your this that these those there here"
        " in on at by for from to of with as and or but if so when while after before now then what"
        " who why how some all both one no not yes more most many watch breaking update updated"
        " live exclusive new latest just analysis video photo picture image"
    )
)


def _name(edit: Edit) -> Evidence | None:
    common = _common_words(edit)
    blocks = (block for block in edit.blocks if _in_place(block))
    return tuple(arrow for block in blocks for arrow in _renamed(block, common)) or _byline(edit)


def _common_words(edit: Edit) -> frozenset[str]:
    """Words that the entry also writes in lower case, and words that are never names."""
    texts = (text for entry in (edit.before, edit.after) for text in (entry.title, entry.text))
    words = (word for text in texts for word in _WORD.findall(text or ""))
    return _NO_NAMES.union(word for word in words if word.islower())


def _renamed(block: Block, common: frozenset[str]) -> Iterator[str]:
    old, new = _names(block.deleted, common), _names(block.inserted, common)
    gone = [name for name in old if not any(_same_name(name, other) for other in new)]
    come = [name for name in new if not any(_same_name(name, other) for other in old)]
    yield from _replacements(gone, come)


def _names(text: str, common: frozenset[str]) -> list[str]:
    """Runs of capitalised words: "Donald Trump" is one."""
    names: list[str] = []
    end = -1
    for match in _WORD.finditer(text):
        word = match.group()
        if not word[0].isupper() or word.casefold() in common:
            continue
        together = names and text[end : match.start()] in (" ", "-")
        names[-1:] = [f"{names[-1]}{text[end : match.end()]}"] if together else [*names[-1:], word]
        end = match.end()
    return names


def _same_name(old: str, new: str) -> bool:
    return _near(old, new) or _initials(old) == new or _initials(new) == old


def _initials(name: str) -> str:
    """PM for Prime Minister; a single word has none."""
    words = name.split()
    return "".join(word[0] for word in words) if len(words) > 1 else ""


def _byline(edit: Edit) -> Evidence | None:
    """Other authors, when nothing that was written or marked has changed."""
    if "authors" not in edit.changed or {"title", "body", "labels"} & set(edit.changed):
        return None
    names = [", ".join(author.name for author in e.authors) for e in (edit.before, edit.after)]
    return (_arrow(*names),)


# --- label, append, typo, rewrite ----------------------------------------------------------------


def _label(edit: Edit) -> Evidence | None:
    before, after = set(edit.before.labels), set(edit.after.labels)
    gained = [f"+{label}" for label in sorted(after - before)]
    lost = [f"-{label}" for label in sorted(before - after)]
    return (*gained, *lost) or None


def _append(edit: Edit) -> Evidence | None:
    """Everything that was there still is, and something came after it or as whole sentences."""
    before, after = edit.before, edit.after
    old, new = _attachments(before), _attachments(after)
    kept = (
        _grew(before.title or "", after.title or "")
        and _grew(before.text, after.text)
        and old <= new
    )
    words = [_clipped(block.inserted) for block in edit.blocks if block.new]
    added = sorted({f"+{kind}" for kind, _ in new - old})
    return (*words, *added) or None if kept else None


def _grew(before: str, after: str) -> bool:
    old, new = _plain(before), _plain(after)
    following = iter(_sentences(after))
    return old == new[: len(old)] or all(sentence in following for sentence in _sentences(before))


def _typo(edit: Edit) -> Evidence | None:
    # A word that is misspelt throughout counts once.
    sizes = {(block.deleted, block.inserted): _size(block) for block in edit.blocks}
    few = 0 < sum(sizes.values()) <= MAX_TYPOS
    return tuple(map(_shown, edit.blocks)) if few and all(map(_misspelt, edit.blocks)) else None


def _misspelt(block: Block) -> bool:
    """The same words with a letter or two changed, split or joined otherwise, or not said twice."""
    if not block.new:
        return _plain(block.lead)[-len(block.old) :] == block.old
    return "".join(block.old) == "".join(block.new) or _respelt(block) or _all_near(block)


def _all_near(block: Block) -> bool:
    old, new = _words(block.deleted), _words(block.inserted)
    return len(old) == len(new) and all(map(_near, old, new))


def _respelt(block: Block) -> bool:
    """two → 2, km → kilometres."""
    lead, rest = _near_end(block.lead, 1), _near_start(block.rest, 1)
    old, new = (_QUANTITY.sub(_value, lead + t + rest) for t in (block.deleted, block.inserted))
    return _same_words(old, new)


def _words(text: str) -> list[str]:
    return [token for token in tokens(text) if _plain(token)]


def _near(word: str, other: str) -> bool:
    """Are two words one, misspelt? Names have less slack: Iran is not Iraq, nor Gambia Zambia."""
    if _same_words(word, other):
        return True
    old, new = word.casefold(), other.casefold()
    if old[:1] != new[:1] or any(char.isdigit() for char in old + new):
        return False
    named = word[:1].isupper() and other[:1].isupper()
    slack = _name_slack if named else _word_slack
    return OSA.distance(old, new) <= slack(min(len(old), len(new)))


def _name_slack(letters: int) -> int:
    """Letters that may differ between two spellings of a name: none up to 5, one up to 9, two."""
    return (letters > 5) + (letters > 9)


def _word_slack(letters: int) -> int:
    """Letters that may differ between two spellings of a word: none up to 2, one up to 5, two."""
    return (letters > 2) + (letters > 5)


def _rewrite(edit: Edit) -> Evidence:
    return (
        *(_shown(block) for block in edit.blocks[:MAX_EVIDENCE]),
        *(_published(edit) if "published" in edit.changed else ()),
        *(field for field in edit.changed if field == "media"),
    )


def _published(edit: Edit) -> Evidence:
    times = [rfc3339(e.published) if e.published else "" for e in (edit.before, edit.after)]
    return (_arrow(*times),)


# The contract's order. The last rule always applies.
RULES: tuple[tuple[Kind, Callable[[Edit], Evidence | None]], ...] = (
    ("none", _none),
    ("correction", _correction),
    ("figure", _figure),
    ("polarity", _polarity),
    ("name", _name),
    ("label", _label),
    ("append", _append),
    ("typo", _typo),
    ("rewrite", _rewrite),
)
