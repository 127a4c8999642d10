"""When an entry was published, from the words a page shows. Pure: the observation time is given.

Owns the rules for what such words leave out: the year, the date, the zone. Never guesses a zone
that it does not know, nor which of two numbers is the month: then there is no time.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from msgspec import Struct

# A clock that is a little slow must not push a new entry into last year, or into yesterday.
_YEAR_SLACK = timedelta(days=1)
_DAY_SLACK = timedelta(minutes=5)
# 29 February can be eight years back: 1896 and 1904, 2096 and 2104.
_YEARS_BACK = 8
# Years before the web or far ahead are a publisher's slip, and no time zone can bear year 1.
_YEARS = range(1990, 2200)
# Longer words are no time.
_MAX_CHARS = 120

# English, German, French, Spanish, Portuguese, Italian, Polish (both cases), Dutch; no accents.
# Three letters or more of a name are enough, unless they begin two months ("jui").
_MONTHS = tuple(
    tuple(names.split())
    for names in (
        "january januar janner janvier enero janeiro gennaio styczen stycznia januari",
        "february februar fevrier febrero fevereiro febbraio luty lutego februari",
        "march marz maerz mars marzo marco marzec marca maart mrt",
        "april avril abril aprile kwiecien kwietnia",
        "may mai mayo maio maggio maj maja mei",
        "june juni juin junio junho giugno czerwiec czerwca",
        "july juli juillet julio julho luglio lipiec lipca",
        "august aout agosto sierpien sierpnia augustus",
        "september septembre septiembre setembro settembre wrzesien wrzesnia",
        "october oktober octobre octubre outubro ottobre pazdziernik pazdziernika",
        "november novembre noviembre novembro listopad listopada",
        "december dezember decembre diciembre dezembro dicembre grudzien grudnia",
    )
)
_WEEKDAYS = frozenset(
    word
    for language in (
        "mon monday tue tues tuesday wed weds wednesday thu thur thurs thursday fri friday",
        "sat saturday sun sunday",
        "mo montag di dienstag mi mittwoch do donnerstag fr freitag sa samstag sonnabend so",
        "sonntag",
        "lun lundi mar mardi mer mercredi jeu jeudi ven vendredi sam samedi dim dimanche",
        "lunes martes mie miercoles jue jueves vie viernes sab sabado dom domingo",
        "seg segunda ter terca qua quarta qui quinta sex sexta feira",
        "lunedi martedi mercoledi gio giovedi venerdi sabato domenica",
        "pon poniedzialek wt wtorek sr sroda czw czwartek pt piatek sob sobota nd niedziela",
        "ma maandag dinsdag wo woensdag donderdag vr vrijdag za zaterdag zo zondag",
    )
    for word in language.split()
)
# Words between the parts of a time that say nothing of it.
_JOINTS = frozenset(
    (
        *("published", "posted", "updated", "at", "on", "uhr", "um", "am", "den", "der"),
        *("le", "a", "as", "las", "el", "de", "alle", "om", "o"),
    )
)

_OFFSETS_MINUTES = {
    "utc": 0,
    "coordinated universal time": 0,
    "gmt": 0,
    "greenwich mean time": 0,
    "western european time": 0,
    "western european summer time": 60,
    "bst": 60,
    "british summer time": 60,
    "irish standard time": 60,
    "cet": 60,
    "central european time": 60,
    "central european standard time": 60,
    "west africa time": 60,
    "west africa standard time": 60,
    "cest": 120,
    "central european summer time": 120,
    "eet": 120,
    "eastern european time": 120,
    "eastern european standard time": 120,
    "central africa time": 120,
    "south africa standard time": 120,
    "israel standard time": 120,
    "israel daylight time": 180,
    "eest": 180,
    "eastern european summer time": 180,
    "east africa time": 180,
    "moscow standard time": 180,
    "arabian standard time": 180,
    "gulf standard time": 240,
    "pakistan standard time": 300,
    "india standard time": 330,
    "indochina time": 420,
    "china standard time": 480,
    "hong kong standard time": 480,
    "singapore standard time": 480,
    "australian western standard time": 480,
    "japan standard time": 540,
    "korean standard time": 540,
    "australian eastern standard time": 600,
    "aest": 600,
    "australian eastern daylight time": 660,
    "aedt": 660,
    "new zealand standard time": 720,
    "new zealand daylight time": 780,
    "brasilia standard time": -180,
    "argentina standard time": -180,
    "atlantic standard time": -240,
    "atlantic daylight time": -180,
    "est": -300,
    "eastern standard time": -300,
    "edt": -240,
    "eastern daylight time": -240,
    "cst": -360,
    "central standard time": -360,
    "cdt": -300,
    "central daylight time": -300,
    "mst": -420,
    "mountain standard time": -420,
    "mdt": -360,
    "mountain daylight time": -360,
    "pst": -480,
    "pacific standard time": -480,
    "pdt": -420,
    "pacific daylight time": -420,
    "mez": 60,
    "mesz": 120,
    "wet": 0,
    "msk": 180,
    "sast": 120,
    "jst": 540,
    "kst": 540,
    "nzst": 720,
    "nzdt": 780,
}
# Names that mean another offset in summer.
_PLACES = {
    "et": "America/New_York",
    "eastern time": "America/New_York",
    "ct": "America/Chicago",
    "central time": "America/Chicago",
    "mt": "America/Denver",
    "mountain time": "America/Denver",
    "pt": "America/Los_Angeles",
    "pacific time": "America/Los_Angeles",
    "uk time": "Europe/London",
    "london time": "Europe/London",
}

_ISO = re.compile(r"(\d{4}-\d{2}-\d{2})t(?=\d{2}:)")
_SHIFT = re.compile(r"(?:utc|gmt)\s*[+-]\d{1,2}(?::?\d{2})?(?!\d)")
_SHIFTED = re.compile(r"(?:utc|gmt)\s*([+-])(\d{1,2})(?::?(\d{2}))?", re.IGNORECASE)
_YEAR_ON = r"(?:,?\s+(?:de\s+)?(?P<year>\d{4}))?(?![\d:.h])"
_SPELLED = str.maketrans({"’": "'", "ł": "l", "Ł": "L"})
_DATES = (
    re.compile(r"(?<!\d)(?P<year>\d{4})-(?P<number>\d{2})-(?P<day>\d{2})(?!\d)"),
    re.compile(
        r"(?<![\d.:])(?P<day>\d{1,2})\.\s?(?P<number>\d{1,2})\."
        r"(?:\s?(?P<year>\d{4}|\d{2})(?![\d:.h]))?"
    ),
    re.compile(
        r"(?<![\d:.h])(?P<day>\d{1,2})(?:st|nd|rd|th|er|\.)?\s+(?:de\s+)?(?P<month>[a-z]{3,})\.?"
        + _YEAR_ON
    ),
    re.compile(r"(?<![a-z])(?P<month>[a-z]{3,})\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?" + _YEAR_ON),
)
_CLOCK = re.compile(
    r"(?<![\d:.,])(?P<hour>\d{1,2})"
    r"(?:(?:[:.]|\s?h\s?)(?P<minute>\d{2})(?:(?<=:\d\d):(?P<second>\d{2})(?:\.\d+)?)?|(?=\s?[ap]\.?m)"
    r"|(?=\s?uhr))(?![\d:.]\d|\d)\s?(?P<half>[ap]\.?m\b\.?)?"
)
_BETWEEN = re.compile(r"[\s|,;•·–—()-]+")
_RECORDED = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")

_NUMBER = (
    r"(?:\d{1,3}|half an?|an?|one|two|three|four|five|six|seven|eight|nine|ten|(?:a )?few|several"
    r"|ein(?:e[mnr]?)?|wenigen|einigen|une?|una|uno|um|uma|unos|unas|quelques|pochi|poche|alcuni"
    r"|een|enkele|kilka)"
)
_UNIT = (
    r"(?:s|secs?|seconds?|sek(?:unden?)?|segundos?|secondes?|second[oi]|seconden|sekund[ay]?"
    r"|m|mins?|minutes?|minuten?|minutos?|minut[oiay]?|h|hrs?|hours?|std|stunden?|horas?|heures?"
    r"|or[ae]|uur|uren|godz|godzin[ay]?|d|days?|tag(?:en?)?|dias?|jours?|j|giorn[oi]|dag(?:en)?|dni"
    r"|w|wks?|weeks?|wochen?|semanas?|semaines?|settiman[ae]|weken|tydzien|tygodni[ae]?"
    r"|months?|monate?n?|mes(?:es)?|mois|mesi|maand(?:en)?|miesiac[ae]?|miesiecy"
    r"|years?|jahre?n?|anos?|ans?|ann[oi]|jaar|rok|lata?|moments?|momentos?|instants?|instantes"
    r"|augenblick(?:en)?)\.?"
)
_ABOUT = r"(?:(?:about|around|over|almost|less than|more than|etwa|ca\.?|environ) )?"
_SPAN = (
    rf"(?:{_NUMBER}\s?|un'){_UNIT}"
    rf"(?:,? (?:and |und |et |y |e )?{_NUMBER}\s?{_UNIT})?"
)
_DAY = (
    "(?:today|yesterday|heute|gestern|aujourd'hui|hier|hoy|ayer|hoje|ontem|oggi|ieri|dzis|dzisiaj"
    "|wczoraj|vandaag|gisteren)"
)
_NOW = (
    "(?:(?:just |right )?now|moments ago|just in|gerade eben|(?:so)?eben|jetzt|a l'instant"
    "|maintenant|ahora(?: mismo)?|agora(?: mesmo)?|adesso|poco fa|przed chwila|teraz|zojuist)"
)
_RELATIVE = re.compile(
    r"(?:(?:first |last )?(?:updated|published|posted|modified),? |aktualisiert |mis a jour )?(?:"
    rf"{_ABOUT}{_SPAN} (?:ago|fa|temu|geleden|atras)"
    rf"|(?:vor|hace|ha|il y a) {_ABOUT}(?:{_SPAN}|poco|pouco|kurzem)"
    rf"|\d{{1,3}}\s?(?:s|secs?|m|mins?|h|hrs?|d)\.?|{_NOW}"
    rf"|{_DAY},?(?: (?:at|um|a|a las|as|alle|om|o))? \d{{1,2}}[:.h]\d{{2}}"
    r"(?:\s?(?:[ap]\.?m\.?|uhr))?)"
)


class When(Struct, frozen=True):
    """What the words mean. at: the instant (UTC).

    dated: the words settle it, but for a year that they leave out. Otherwise the day was filled in
    from the time of observation, or which of two equal times it was when the clocks went back.
    clock: the time of day as the words have it, in whatever zone.
    """

    at: datetime
    dated: bool
    clock: time


class _Clock(Struct, frozen=True):
    """What the words say. day, month, year: None where they say nothing."""

    clock: time
    zone: str | None
    day: int | None = None
    month: int | None = None
    year: int | None = None


def when(text: str, *, seen_at: datetime, default_zone: str | None = None) -> When | None:
    """What words like "10:17 British Summer Time 25 April" mean, or an ISO 8601 date-time.

    A year that is not said is the latest that puts the instant no more than a day after `seen_at`;
    a date that is not said is the latest that puts it no more than five minutes after. Words
    without a zone are read in `default_zone` (IANA name), and mean no time when there is none.
    None when the words, or their zone, are not known; for a date alone; for relative words.
    """
    if exact := instant(text):
        return When(exact, True, exact.time())
    said = _read(_plain(text))
    zone = _zone(said, default_zone) if said else None
    if said is None or zone is None:
        return None
    try:
        at = _latest(said, zone, seen_at.astimezone(UTC))
    except OverflowError:  # the first or last days of the calendar
        return None
    if at is None:
        return None
    return When(at, said.day is not None and not _comes_twice(at, zone), said.clock)


def published(text: str, *, seen_at: datetime, default_zone: str | None = "UTC") -> datetime | None:
    """The instant (UTC) that the words mean, as `when` reads them."""
    read = when(text, seen_at=seen_at, default_zone=default_zone)
    return read.at if read else None


def is_relative(text: str) -> bool:
    """Whether words only say how long ago something was, or on which day seen from today.

    Such words change by themselves: they are neither a time nor part of a text.
    """
    return len(text) <= _MAX_CHARS and _is_relative(text)


def is_clock(text: str) -> bool:
    """Whether words are a time of day, with or without a date and a zone, and nothing else."""
    said = _read(_plain(text))
    return said is not None and (said.zone is None or named_zone(said.zone) is not None)


def instant(text: str) -> datetime | None:
    """An ISO 8601 date-time with a zone as an instant in UTC; None for anything else."""
    try:
        moment = datetime.fromisoformat(text.strip())
        believable = moment.tzinfo is not None and moment.year in _YEARS
        return moment.astimezone(UTC) if believable else None
    except (ValueError, OverflowError):
        return None


def compact(moment: datetime) -> str:
    """An instant to the minute as part of an id: 20250425T0917Z."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%MZ")


def named_zone(name: str) -> tzinfo | None:
    """What an English zone name stands for ("British Summer Time", "GMT+2", "ET")."""
    words = " ".join(name.lower().replace("(", " ").replace(")", " ").split())
    if words in _OFFSETS_MINUTES:
        return timezone(timedelta(minutes=_OFFSETS_MINUTES[words]))
    if words in _PLACES:
        return ZoneInfo(_PLACES[words])
    shifted = _SHIFTED.fullmatch(words)
    if shifted is None:
        return None
    minutes = int(shifted[2]) * 60 + int(shifted[3] or 0)
    if minutes > 14 * 60:
        return None
    return timezone(timedelta(minutes=-minutes if shifted[1] == "-" else minutes))


def recorded_at(name: str) -> datetime | None:
    """The end of the day (UTC) that a file name gives as YYYY-MM-DD: when a recording was seen."""
    found = _RECORDED.search(name)
    return instant(f"{found[0]}T23:59:00Z") if found else None


@lru_cache(maxsize=1024)
def _is_relative(text: str) -> bool:
    return _RELATIVE.fullmatch(_plain(text)) is not None


# --- reading the words ---------------------------------------------------------------------------


def _plain(text: str) -> str:
    """Words in lower case without accents, with one kind of space and apostrophe; "" if long."""
    if len(text) > _MAX_CHARS:
        return ""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text.translate(_SPELLED))
        text = "".join(one for one in decomposed if not unicodedata.combining(one))
    return " ".join(text.lower().split())


@lru_cache(maxsize=1024)
def _read(words: str) -> _Clock | None:
    """The parts of a time, each taken out of the words; what is left must be a zone or nothing."""
    words = _ISO.sub(r"\1 ", words)
    shift = _SHIFT.search(words)
    left = words if shift is None else _without(words, shift)
    dated = _date(left)
    left = left if dated is None else _without(left, dated[0])
    found = _CLOCK.search(left)
    clock = _time(found) if found else None
    if found is None or clock is None:
        return None
    day, month, year = dated[1:] if dated else (None, None, None)
    if year is not None and year not in _YEARS:
        return None
    rest = _rest(_without(left, found), has_date=dated is not None)
    if shift is not None:
        return None if rest else _Clock(clock, shift[0], day, month, year)
    return _Clock(clock, rest or None, day, month, year)


def _without(words: str, found: re.Match[str]) -> str:
    return f"{words[: found.start()]} | {words[found.end() :]}"


def _rest(words: str, *, has_date: bool) -> str:
    """What is left of the words once joints, marks and, beside a date, weekdays are gone."""
    ignored = _JOINTS | _WEEKDAYS if has_date else _JOINTS
    parts = (part.strip(".:") for part in _BETWEEN.split(words))
    return " ".join(part for part in parts if part and part not in ignored)


def _date(words: str) -> tuple[re.Match[str], int, int, int | None] | None:
    """The first date in the words, as day, month and the year if there is one."""
    for pattern in _DATES:
        for found in pattern.finditer(words):
            number = found.groupdict().get("number")
            month = int(number) if number else _month(found["month"])
            if month is not None:
                year = int(found["year"]) if found["year"] else None
                year = 2000 + year if year is not None and len(found["year"]) == 2 else year
                return found, int(found["day"]), month, year
    return None


def _time(found: re.Match[str]) -> time | None:
    hour, minute, half = int(found["hour"]), int(found["minute"] or 0), found["half"]
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    try:
        return time(hour, minute, int(found["second"] or 0))
    except ValueError:
        return None


def _month(word: str) -> int | None:
    """1 for "January" or "Jan"."""
    months = [
        number
        for number, names in enumerate(_MONTHS, start=1)
        if any(name.startswith(word) for name in names)
    ]
    return months[0] if len(months) == 1 else None


# --- filling in what they leave out --------------------------------------------------------------


def _zone(said: _Clock, default_zone: str | None) -> tzinfo | None:
    if said.zone is not None:
        return named_zone(said.zone)
    return ZoneInfo(default_zone) if default_zone else None


def _latest(said: _Clock, zone: tzinfo, seen_at: datetime) -> datetime | None:
    """The latest instant that fits the words and is not in the future of the observation."""
    if said.day is None or said.month is None:
        today = seen_at.astimezone(zone).date()
        days = iter([today - timedelta(days=back) for back in (-1, 0, 1)])
        latest = seen_at + _DAY_SLACK
    elif said.year is not None:
        days = _dates(said.day, said.month, [said.year])
        latest = None
    else:
        years = range(seen_at.year + 1, seen_at.year - _YEARS_BACK - 1, -1)
        days = _dates(said.day, said.month, years)
        latest = seen_at + _YEAR_SLACK
    instants = (_at(day, said.clock, zone, seen_at) for day in days)
    return next((one for one in instants if latest is None or one <= latest), None)


def _dates(day: int, month: int, years: Iterable[int]) -> Iterator[date]:
    """The day of the month in each of these years, where it exists."""
    for year in years:
        try:
            yield date(year, month, day)
        except ValueError:
            continue


def _at(day: date, clock: time, zone: tzinfo, seen_at: datetime) -> datetime:
    """The instant of a wall clock time.

    One that happens twice is the later unless that is still to come; fold 0 moves a time that the
    clock skips forward (PEP 495).
    """
    wall = datetime.combine(day, clock, tzinfo=zone)
    first, second = wall.astimezone(UTC), wall.replace(fold=1).astimezone(UTC)
    return second if first < second <= seen_at else first


def _comes_twice(at: datetime, zone: tzinfo) -> bool:
    """Whether the wall clock shows this time twice."""
    wall = at.astimezone(zone)
    return wall.replace(fold=0).astimezone(UTC) < wall.replace(fold=1).astimezone(UTC)
