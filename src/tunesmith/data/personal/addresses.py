"""Postal addresses: a street with its number in the orders of several countries, and the lines that follow it."""

# ruff: noqa: E501 - a pattern that is cut over lines is harder to read

from __future__ import annotations

import re

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
    r"[^\W\d_]{2,}(?:straße|strasse|str\.|gasse|weg|platz|allee|damm|ufer|gata|gatan|vägen|väg|veien|vegen|vej|vejen|gade|"
    r"straat|laan|plein|gracht|katu|kuja|ntie|utca|ulice|vænget|vangen|stræde|stien|bakken)"
)
_UNIT = r"(?:apt|apartment|suite|ste|unit|flat|floor|fl|room|rm|bldg|building|appt|etage|wohnung|piso)\b\.? ?#?[\w-]{1,6}|#\s?\d{1,5}(?!\d|;)"
_GAP = r"[ \t]*(?:,[ \t]*)?(?:\n[\s>?*|]*)?(?:,\s*)?"  # a comma, a line's end, the marks of a quoted line

_PART = r"(?:de|du|des|del|della|di|da|do|dos|das|la|le|les|el|al|ibn|bin|van|der|den|het|ten|von|vom|zu|zum|zur|am|an|im|af|av|på|i|z|ze|na|nad|pod|u|o|ul\.|u\.|út|tér|of|the|y|e|og|och|und|et|à|sur|sous|en|aan|op|in)"
_LINE = rf"(?:{_CAP}|\d{{1,5}}[.a-zA-Z]?|{_PART})"  # one part of a street's line
_BETWEEN = "a name between numbers"
_UNIT_AFTER = "number and name before a unit"
_WEAK = (_BETWEEN, _UNIT_AFTER, "name and number before a unit", "a street's ending and number")
_POST_BOXES = ("post box", "military post")
_CORES: tuple[tuple[re.Pattern[str], float, str], ...] = (
    (re.compile(r"\b(?:PSC|Unit|CMR|USS|USNS|USNV|USCGC)[ ]\w+,? ?(?:Box ?\d+)?[\s>,]+(?:APO|FPO|DPO) A[AEP],? \d{5}(?:-\d{4})?", re.I), 0.97, "military post"),
    (re.compile(r"(?<!\w)(?:(?<![\w.,$€£-])\d{1,6} )?(?:P\.? ?O\.? ?Box|Post ?box|Postfach|Boîte postale|Apartado|Casella postale) ?#?\d+", re.I), 0.85, "post box"),
    (re.compile(rf"(?<![\w.,$€£-])(?:{_NUMBER},? )?{_NUMBER},? (?:{_W} ){{1,4}}?{_TYPE}(?: (?:{_W} ){{1,2}}{_TYPE})?(?! ?\d{{4}})(?: (?:north|south|east|west|[NSEW]{{1,2}})\b\.?)?(?: \d{{1,5}}\b)?", re.I), 0.85, "number, name and type of street"),
    (re.compile(rf"(?:(?<![\w.,$€£-])\d{{1,6}},? )?(?:{_CAP} )?{_SUFFIX},? {_NUMBER}(?![\w%])", re.I), 0.85, "a street's ending and number"),
    (re.compile(rf"(?:(?<![\w.,$€£-]){_NUMBER},? )?\b{_PREFIX} (?:(?:de|du|des|dei|delle|degli|della|del|di|la|le|do|da|dos|das|l'|d')[ ']?)*{_CAP}(?: (?:de |da |do |di |del )?{_CAP}){{0,3}},? (?:n[°ºo]\.? ?)?{_NUMBER}(?![\w%])"), 0.8, "type of street, name and number"),
    (re.compile(rf"(?<![\w.,$€£-]){_NUMBER},? (?:rue|avenue|boulevard|chemin|allée|impasse|quai|place)(?: (?:de|du|des|la|le|d'|l'))* ?{_CAP}(?: {_CAP}){{0,3}}"), 0.85, "number and street"),
    (re.compile(rf"(?<![\w.,$€£-])\d{{1,6}} (?:{_CAP} ){{1,4}}{_NUMBER}(?![\w%.,]\d)"), 0.7, _BETWEEN),
    (re.compile(rf"(?<![\w.,$€£-])\d{{1,6}} (?:{_W} ){{1,5}}(?:\d{{1,5}} )?(?=(?:apt|suite|apartment|flat)\b\.? ?#?\d)", re.I), 0.8, _UNIT_AFTER),
    (re.compile(rf"(?<![\w.,$€£-])\d{{1,6}},? (?:{_LINE}[ ,]){{1,8}}?(?:{_CAP}|\d{{1,5}})\.?(?=[\s,>?*|]+(?i:{_UNIT})(?!\w))"), 0.88, _UNIT_AFTER),
    (re.compile(rf"(?<!\w)(?:{_CAP} ){{1,4}}{_NUMBER} (?:{_LINE} ){{0,4}}{_CAP}\.?(?=[\s,>?*|]+(?i:{_UNIT})(?!\w))"), 0.87, "name and number before a unit"),
    (re.compile(rf"(?:(?<![\w.,$€£-])\d{{1,6}},? )?(?<!\w){_CAP} (?i:gate|gata|gatan|vei|veg|vej|plass|allé|gade|utca|út|tér|katu|tie|strasse|straße|weg|platz|gasse|caddesi|sokak|cad\.|sok\.|ulitsa|prospekt|marg|jalan) ?{_NUMBER}(?![\w%])"), 0.85, "name, type of street and number"),
    (re.compile(rf"(?:(?<![\w.,$€£-])\d{{1,6}} )?(?i:jalan|jl\.|ulitsa|ul\.|calle|rúa|rue|strada|via|rua|avenida|av\.) (?:{_PART} )*{_CAP}(?: (?:{_PART} )*{_CAP}){{0,3}},? (?:n[°ºo]\.? ?)?{_NUMBER}(?![\w%])"), 0.82, "type of street, name and number"),
    (re.compile(rf"\b(?:the )?corner of (?:{_LINE} ){{1,7}}and (?:[\w.'’-]+ ){{0,3}}{_CAP}(?: (?:{_CAP}|\d{{1,5}}))*"), 0.96, "corner of two streets"),
    (re.compile(rf"\b(?:the )?corner of (?:{_CAP}|\d+)(?: (?:{_CAP}|\d+)){{0,4}} and (?:{_CAP}|\d+)(?: (?:{_CAP}|\d+)){{0,4}}"), 0.95, "corner of two streets"),
    (re.compile(rf"(?:located at|address is|address:|lives? (?:on|at|in)|living (?:on|at)|station is on|house is on) ((?:\d{{1,6}} )?{_CAP}(?: {_CAP}){{0,4}} ?\d{{1,5}}|\d{{1,6}} {_CAP}(?: {_CAP}){{0,4}})"), 0.8, "an address is spoken of"),
)  # fmt: skip
_COUNTRY = f"(?i:{'|'.join(sorted((re.escape(name) for name in COUNTRIES if len(name) > 3), key=len, reverse=True))})"
_POST = r"(?:[A-Z]{1,2}-)?\d{4,6}(?:-\d{3,4})?|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|[A-Z]\d[A-Z] ?\d[A-Z]\d|\d{3} \d{2}(?! ?\d)|\d{2}-\d{3}|\d{4} [A-Z]{2}"
_CITY = rf"(?:{_CAP})(?:[ -](?:{_PART}[ -])?(?:(?:{_PART}[ -])?{_CAP}|an der {_CAP})){{0,4}}"
_NEXT = (
    re.compile(rf"(?: {_CAP}){{1,3}}(?=[\s,>?*|]*(?:{_UNIT})(?!\w))"),
    re.compile(rf"{_GAP}(?:{_UNIT})(?!\w)", re.I),
    re.compile(rf"{_GAP}(?:{_POST})(?![\w])(?:[ ]{_CITY})?(?=$|[\s.,;?!)])"),
    re.compile(rf"{_GAP}(?:{_COUNTRY})(?:er)?\b(?: \([A-Z]\w+\))?(?:[ ,]+(?:{_POST})(?!\w))?", re.I),
    re.compile(
        rf"{_GAP}(?:{_CITY}){_GAP}(?:(?:[A-Z]{{2,3}}|nan|\d{{1,3}})\b{_GAP})?(?:(?:{_COUNTRY})(?:er)?\b(?: \([A-Z]\w+\))?[ ,]*)?(?:{_POST})(?!\w)"
    ),
    re.compile(rf"{_GAP}(?:{_CITY}){_GAP}(?:{_COUNTRY})(?:er)?\b(?: \([A-Z]\w+\))?"),
    re.compile(rf"{_GAP}(?:{_CITY}),? [A-Z]{{2}}\b"),
    re.compile(rf"{_GAP}[^\W\d_]+(?: [^\W\d_]+)?,? [a-z]{{2}},? \d{{4,5}}\b"),
)
_LINE_CITY = re.compile(rf"(?:,[ \t]*|[ \t]*\n[\s>?*|]*){_CITY}(?=[ \t]*(?:$|\n|[.,?!](?:\s|$)))")
_SMALL = re.compile(_PART)
_STREET_WORDS = frozenset(
    "street avenue ave road drive lane boulevard blvd court place way terrace close crescent square parkway highway circle trail grove gardens row mews alley walk quay plaza loop rue via viale piazza corso strada calle avenida plaza paseo camino rua rúa travessa praça largo ulica chemin allée impasse quai gate gata gatan vei veg vej plass allé gade utca katu tie strasse straße weg platz gasse caddesi sokak jalan marg corner and ul dei delle degli della dello number no po box apt apartment suite unit flat floor postfach apartado str st rd dr ln".split()  # noqa: SIM905
)
_UNIT_BEFORE = re.compile(rf"(?<!\w)(?:{_UNIT})[ ,]+\Z", re.I)
_WORDS = re.compile(r"[^\W\d_]{2,}")
_MEASURE = re.compile(
    r"^(?:january|february|march|april|may|june|july|august|september|october|november|december)\b|^\d+,? (?:x|per|of|to|and|or|in|on|at|for|by|the|a|an|days?|hours?|minutes?|weeks?|months?|years?|times|people|songs?|gig|gb|mb|tb|ghz|mm|cm|km|kg|inch|percent|miles?|watts?)\b",
    re.I,
)


def find_addresses(text: str) -> list[Span]:
    """Postal addresses in order, each from its number or street to the last line that belongs to it."""
    if not any(character.isdigit() for character in text) and "corner of" not in text:
        return []
    # A text without any capitals is judged without them.
    lowered = not any(character.isupper() for character in text)
    found = []
    for pattern, score, reason in _CORES:
        for match in pattern.finditer(text):
            start = match.start(1) if pattern.groups else match.start()
            end = match.end(1) if pattern.groups else match.end()
            core = text[start:end]
            if text[max(0, start - 4) : start].casefold().endswith(("no. ", "no ")):
                continue  # a rank
            if (
                _MEASURE.match(core)
                or len(core) > 90
                or (reason not in _POST_BOXES and _unlikely(core, reason, lowered))
            ):
                continue
            unit = _UNIT_BEFORE.search(text, 0, start)
            start = unit.start() if unit else start
            further = _extended(text, end)
            if reason == _BETWEEN and further == end and not _alone(text, start, end):
                continue
            found.append(Span("address", start, further, min(score + 0.08 * (further > end), 0.98), reason))
    return _joined(found)


def _joined(found: list[Span]) -> list[Span]:
    """Overlapping spans as one: several patterns see parts of the same address."""
    whole: list[Span] = []
    for span in sorted(found, key=lambda s: s.start):
        if whole and span.start < whole[-1].end:
            last = whole[-1]
            best = max(last, span, key=lambda s: s.score)
            whole[-1] = Span("address", last.start, max(last.end, span.end), best.score, best.reason)
        else:
            whole.append(span)
    return whole


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


def _unlikely(core: str, reason: str, lowered: bool) -> bool:
    """Whether a street's line reads like prose: words in lower case that are neither particles nor types of street."""
    words = _WORDS.findall(core)
    if reason in _WEAK and all(word.casefold() in COMMON for word in words):
        return True
    if lowered:
        return False
    prose = any(w.islower() and not _SMALL.fullmatch(w) and w not in _STREET_WORDS for w in words)
    return prose or not any(word[0].isupper() for word in words)


def _alone(text: str, start: int, end: int) -> bool:
    """Whether nothing but blanks and signs stands beside it on its line."""
    line = text[text.rfind("\n", 0, start) + 1 : start]
    return not line.strip(" >?*|\t-") and text[end : end + 1] in ("", "\n", ",")
