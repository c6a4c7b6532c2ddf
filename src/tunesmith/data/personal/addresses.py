"""Postal addresses: a street with its number in the orders of several countries, and the lines that follow it."""

# ruff: noqa: E501 - a pattern that is cut over lines is harder to read

from __future__ import annotations

import re
from collections.abc import Iterator

from tunesmith.data.personal.common import COMMON
from tunesmith.data.personal.places import COUNTRIES
from tunesmith.data.personal.spans import Span

_W = r"[^\W\d_][\w.'’-]*"  # a word of a street's name
_CAP = r"[^\W\d_a-zß-öø-ÿ][\w.'’-]*"
_NUMBER = r"\d{1,6}(?:[ -]?[A-Za-z](?!\w))?(?:[-/]\d{1,4})?"
_TYPE = (
    r"(?:street|str?|avenue|ave?|road|rd|drive|dr|lane|ln|boulevard|blvd|court|ct|place|pl|way|terrace|ter|close|crescent|cres|"
    r"square|sq|parkway|pkwy|highway|hwy|circle|cir|trail|trl|grove|gardens|row|mews|alley|walk|quay|esplanade|plaza|loop|"
    r"extensions?|streets|avenues|roads|parks|turnpike)\b\.?"
)
_PREFIX = (
    r"(?:(?i:rue|avenue|av\.?|boulevard|bd|chemin|allée|impasse|quai|via|viale|piazza|corso|vicolo|strada|calle|c/|avenida|avda\.?|"
    r"plaza|paseo|camino|carrera|rua|travessa|praça|largo|ulica|ul\.|aleja|al\.|plac|str\.|strasse|straße)|Am|An der|Auf der)"
)
_SUFFIX = (
    r"[^\W\d_]{2,}(?:straße|strasse|str\.|gasse|weg|platz|allee|ring|damm|ufer|gata|gatan|vägen|väg|veien|vegen|vej|vejen|gade|"
    r"straat|laan|plein|gracht|dijk|katu|kuja|tie|utca|út|ulice|ova|ská|vænget|vangen|stræde|stien|bakken|marken|parken)"
)
_UNIT = r"(?:apt|apartment|suite|ste|unit|flat|floor|fl|room|rm|bldg|building|appt|etage|wohnung|piso|top)\b\.? ?#?[\w-]{1,6}|#\s?\d{1,5}"
_GAP = r"[ \t]*(?:,[ \t]*)?(?:\n[\s>?*|]*)?(?:,\s*)?"  # a comma, a line's end, the marks of a quoted line

_BETWEEN = "a name between numbers"
_CORES: tuple[tuple[re.Pattern[str], float, str], ...] = (
    (re.compile(r"\b(?:PSC|Unit|CMR|USS|USNS|USNV|USCGC)[ ]\w+,? ?(?:Box ?\d+)?[\s>,]+(?:APO|FPO|DPO) A[AEP],? \d{5}(?:-\d{4})?", re.I), 0.97, "military post"),
    (re.compile(r"\b(?:P\.? ?O\.? ?Box|Post ?box|Postfach|Boîte postale|Apartado|Casella postale) ?#?\d+", re.I), 0.85, "post box"),
    (re.compile(rf"(?<![\w.,$€£-])(?:{_NUMBER},? )?{_NUMBER},? (?:{_W} ){{1,4}}?{_TYPE}(?: (?:{_CAP} ){{1,2}}{_TYPE})?(?! ?\d{{4}})(?: (?:north|south|east|west|[NSEW]{{1,2}})\b\.?)?(?: \d{{1,5}}\b)?", re.I), 0.85, "number, name and type of street"),
    (re.compile(rf"(?:(?<![\w.,$€£-])\d{{1,6}},? )?(?:{_CAP} )?{_SUFFIX},? {_NUMBER}(?![\w%])", re.I), 0.85, "a street's ending and number"),
    (re.compile(rf"(?:(?<![\w.,$€£-]){_NUMBER},? )?\b{_PREFIX} (?:(?:de|du|des|dei|delle|degli|della|del|di|la|le|do|da|dos|das|l'|d')[ ']?)*{_CAP}(?: (?:de |da |do |di |del )?{_CAP}){{0,3}},? (?:n[°ºo]\.? ?)?{_NUMBER}(?![\w%])"), 0.8, "type of street, name and number"),
    (re.compile(rf"(?<![\w.,$€£-]){_NUMBER},? (?:rue|avenue|boulevard|chemin|allée|impasse|quai|place)(?: (?:de|du|des|la|le|d'|l'))* ?{_CAP}(?: {_CAP}){{0,3}}"), 0.85, "number and street"),
    (re.compile(rf"(?<![\w.,$€£-])\d{{1,6}} (?:{_CAP} ){{1,4}}{_NUMBER}(?![\w%.,]\d)"), 0.7, _BETWEEN),
    (re.compile(rf"(?<![\w.,$€£-])\d{{1,6}} (?:{_W} ){{1,5}}(?:\d{{1,5}} )?(?=(?:apt|suite|apartment|flat)\b\.? ?#?\d)", re.I), 0.8, "number and name before a unit"),
    (re.compile(rf"\b(?:the )?corner of (?:{_CAP}|\d+)(?: (?:{_CAP}|\d+)){{0,4}} and (?:{_CAP}|\d+)(?: (?:{_CAP}|\d+)){{0,4}}"), 0.95, "corner of two streets"),
    (re.compile(rf"(?:located at|address is|address:|lives? (?:on|at|in)|living (?:on|at)|station is on|house is on) ((?:\d{{1,6}} )?{_CAP}(?: {_CAP}){{0,4}} ?\d{{1,5}}|\d{{1,6}} {_CAP}(?: {_CAP}){{0,4}})"), 0.8, "an address is spoken of"),
)  # fmt: skip
_COUNTRY = f"(?i:{'|'.join(sorted((re.escape(name) for name in COUNTRIES if len(name) > 3), key=len, reverse=True))})"
_POST = r"(?:[A-Z]{1,2}-)?\d{4,6}(?:-\d{3,4})?|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|[A-Z]\d[A-Z] ?\d[A-Z]\d|\d{3} \d{2}(?! ?\d)|\d{2}-\d{3}|\d{4} [A-Z]{2}"
_CITY = rf"(?:{_CAP})(?:[ -](?:{_CAP}|de|del|la|le|am|an|der|sur|di|upon|of|do|da|i)){{0,4}}"
_NEXT = (
    re.compile(rf"(?: {_CAP}){{1,3}}(?=[\s,>?*|]*(?:{_UNIT})(?!\w))"),
    re.compile(rf"{_GAP}(?:{_UNIT})(?!\w)", re.I),
    re.compile(rf"{_GAP}(?:{_POST})(?![\w])(?:[ ]{_CITY})?(?=$|[\s.,;?!)])"),
    re.compile(rf"{_GAP}(?:{_COUNTRY})(?:er)?\b(?:[ ,]+(?:{_POST})(?!\w))?", re.I),
    re.compile(
        rf"{_GAP}(?:{_CITY}){_GAP}(?:(?:[A-Z]{{2,3}}|nan|\d{{1,3}})\b{_GAP})?(?:(?:{_COUNTRY})(?:er)?\b[ ,]*)?(?:{_POST})(?!\w)"
    ),
    re.compile(rf"{_GAP}(?:{_CITY}){_GAP}(?:{_COUNTRY})(?:er)?\b", re.I),
    re.compile(rf"{_GAP}(?:{_CITY}),? [A-Z]{{2}}\b"),
    re.compile(rf"{_GAP}[^\W\d_]+(?: [^\W\d_]+)?,? [a-z]{{2}},? \d{{4,5}}\b"),
)
_LINE_CITY = re.compile(rf"(?:,[ \t]*|[ \t]*\n[\s>?*|]*){_CITY}(?=[ \t]*(?:$|\n|[.,?!](?:\s|$)))")
_UNIT_BEFORE = re.compile(rf"(?<!\w)(?:{_UNIT})[ ,]+\Z", re.I)
_WORDS = re.compile(r"[^\W\d_]{2,}")
_MEASURE = re.compile(
    r"^\d+ (?:x|per|of|to|and|or|in|on|at|for|by|the|a|an|days?|hours?|minutes?|weeks?|months?|years?|times|people|songs?)\b",
    re.I,
)


def find_addresses(text: str) -> Iterator[Span]:
    """Postal addresses, each from its number or street to the last line that belongs to it."""
    if not any(character.isdigit() for character in text) and "corner of" not in text:
        return
    for pattern, score, reason in _CORES:
        for match in pattern.finditer(text):
            start = match.start(1) if pattern.groups else match.start()
            end = match.end(1) if pattern.groups else match.end()
            core = text[start:end]
            if _MEASURE.match(core) or len(core) > 90 or (reason == _BETWEEN and _everyday(core)):
                continue
            unit = _UNIT_BEFORE.search(text, 0, start)
            start = unit.start() if unit else start
            further = _extended(text, end)
            yield Span("address", start, further, min(score + 0.08 * (further > end), 0.98), reason)


def _extended(text: str, end: int) -> int:
    """The end of the address whose street ends at `end`: units, town, region, country, postal code."""
    for _ in range(6):
        for pattern in _NEXT:
            match = pattern.match(text, end)
            if match and match.end() > end:
                end = match.end()
                break
        else:
            break
    town = _LINE_CITY.match(text, end) if text[end : end + 1] == "," else None
    return town.end() if town else end


def _everyday(core: str) -> bool:
    return all(word.casefold() in COMMON for word in _WORDS.findall(core))
