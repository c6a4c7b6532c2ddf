"""Names of persons, places and organisations, from lists, shape and the words around them.

Every run of capitalised words (and, in lower case, a word behind a strong cue) gets a sum of evidence for each of the
three kinds; the largest above 1 is reported, with score 1 - exp(-sum). The weights were set by hand on the templates
of presidio-research that the benchmark does not report. Scripts without capitals are not searched.
"""

# ruff: noqa: ARG001, E501, SIM905 - cues are clearest uncut, and the three kinds are judged by one signature

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from tunesmith.data.personal import common, places, surnames
from tunesmith.data.personal.given import GIVEN
from tunesmith.data.personal.spans import Span

_TOKEN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+|\n|[^\w\s]")
_LETTER = re.compile(r"[^\W\d_]")
_TITLES = frozenset(
    "mr mrs ms miss mx dr prof professor sir madam lord lady herr frau monsieur madame señor señora signor signora don doña capt captain sgt lt col gen rev aunt uncle president senator judge officer".split()
)
_KIN = frozenset(
    "friend wife husband son daughter brother sister mother father mom dad kid child boss colleague cousin partner girlfriend boyfriend nephew niece grandson granddaughter neighbor neighbour manager ceo singer player actor actress author composer guitarist ex".split()
)
_SAYING = frozenset(
    "said says asked replied told answered explained added wrote writes thinks believes knows wants likes loves lives works died married smiled laughed agreed insisted points spent retired".split()
)
_BEING = frozenset("is was has had will would can could should does did and who whose".split())
_NAMED = re.compile(
    r"(?:\bname(?:'s|’s| is|d|:| on [\w ]{1,20}is| of)|\bcall(?:s|ed)? (?:me|him|her)|\bi am|\bi['’]m|\bthis is|\bit['’]s under|\bmeet|\bdear|\bhi|\bhello|\bhey|\bnamed (?:him|her|it)|\bspeak(?:ing)? (?:to|with)|\btalk(?:ing)? (?:to|with)|\bsigned by|\bregards,?|\bsincerely,?|\bcheers,?|\bthanks,?|\bby|\bfeatures|\bfollow up with|\bremember me,)\s*$",
    re.I,
)
_NAME_STRONG = re.compile(
    r"(?:\b(?:my|his|her|full|last|first|maiden|sur|family|given|partner['’]s|user)\s?name(?:['’]s| is|:)?|\bname:|\b(?:calls?|called) (?:me|him|her)|\bnamed (?:him|her)|\bi am called|\bfollow up with|\buser:)\s*$",
    re.I,
)
_PLACE_STRONG = re.compile(
    r"\b(?:liv(?:e[sd]?|ing) in|moved (?:here |there |back )?(?:from|to|in)|born in|travel(?:l?ing|l?ed)? to|fl(?:ew|y|ying) to|originally from|grew up in|arrived? (?:at|in|from)|come[s]? from|came from|returned to|visit(?:ed|ing)?|based in|city of|town of|village of|trip to|i['’]m in|i am from|i['’]m from|where:)\s*$",
    re.I,
)
_PLACE_BEFORE = frozenset("in from near at towards outside across".split())
_ORG_STRONG = re.compile(
    r"\b(?:work(?:s|ed|ing)? (?:for|at)|employed (?:by|at)|hired by|company|ceo of|founder of|year at|job at|recorded for|shares? (?:of|in)|customer of)\s*$",
    re.I,
)
_ADDRESS = frozenset("apt suite box psc apo unit".split())
_COMPASS = frozenset("north south east west northern southern eastern western central new old upper lower".split())


class Token(NamedTuple):
    """One word, number, sign or line end of a text."""

    text: str
    low: str
    start: int
    end: int
    opens: bool  # first word of a sentence or line


def find_names(text: str, *, common_here: Collection[str] = frozenset()) -> Iterator[Span]:
    """Persons, places and organisations; common_here: more words, lower case, that are no names (seen in the data)."""
    if _LETTER.search(text) is None:
        return
    tokens = _tokens(text)
    shouting = _shouts(tokens)
    taken: set[int] = set()
    for first, last in _runs(tokens, shouting, common_here):
        taken.update(range(first, last))
        span = _judged(text, tokens, first, last, common_here)
        if span is not None:
            yield span
    yield from _lower_case(text, tokens, taken, common_here, shouting)


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    opens = True
    for match in _TOKEN.finditer(text):
        value = match.group()
        if value == "\n" or value in '.!?:>"“”*•|«»(':
            initial = value == "." and found and len(found[-1].text) == 1 and found[-1].text.isupper()
            title = value == "." and found and found[-1].low in _TITLES
            opens = opens if initial or title else True
            found.append(Token(value, value, match.start(), match.end(), False))
            continue
        word = value[0].isalpha()
        if word and value[-2:] in ("'s", "’s"):
            value = value[:-2]
        found.append(Token(value, value.lower(), match.start(), match.start() + len(value), opens and word))
        opens = opens and not word
    return found


def _shouts(tokens: list[Token]) -> bool:
    words = [t.text for t in tokens if t.text[0].isalpha() and len(t.text) > 1]
    return len(words) > 3 and sum(w.isupper() for w in words) > 0.7 * len(words)


def _ordinary(low: str, common_here: Collection[str]) -> bool:
    """Whether a word is one of the language rather than a name."""
    if low in common.COMMON or low in common_here:
        return True
    if low in GIVEN or low in surnames.SURNAMES or low in places.PLACES:
        return False
    if "'" in low or "’" in low:
        return low.split("'")[0].split("’")[0] in common.COMMON
    if "-" in low and all(part in common.COMMON or part in common_here for part in low.split("-")):
        return True
    stem = (
        low[:-3]
        if low.endswith("ing")
        else low[:-2]
        if low.endswith(("ed", "er", "es", "ly"))
        else low[:-1]
        if low[-1] == "s"
        else low
    )
    if stem != low and (stem in common.COMMON or stem + "e" in common.COMMON):
        return True
    return len(low) > 6 and low.endswith(common.ENDINGS)


def _capital(token: Token) -> bool:
    return token.text[0].isupper()


def _runs(tokens: list[Token], shouting: bool, common_here: Collection[str]) -> Iterator[tuple[int, int]]:
    """(first, end) token positions of runs of capitalised words, without ordinary words at a sentence's start."""
    at, n = 0, len(tokens)
    while at < n:
        if not tokens[at].text[0].isalpha() or not _capital(tokens[at]):
            at += 1
            continue
        last = at + 1
        while last < n:
            token, before = tokens[last], tokens[last - 1]
            if (
                token.text == "."
                and len(before.text) == 1
                and before.text.isupper()
                and last + 1 < n
                and _capital(tokens[last + 1])
            ) or (
                token.text[0].isalpha()
                and _joined(tokens, last)
                and (
                    _capital(token)
                    or (
                        token.low in surnames.PARTICLES
                        and last + 1 < n
                        and _capital(tokens[last + 1])
                        and _joined(tokens, last + 1)
                    )
                )
            ):
                last += 1
            else:
                break
        first = at
        listed = _listed(tokens, first)
        if listed > first + 1:
            at = listed
            yield first, listed
            continue
        last = min(
            [
                last,
                *(
                    inner
                    for inner in range(first + 1, last)
                    if tokens[inner].low in _ADDRESS or _listed(tokens, inner) > inner + 1
                ),
            ]
        )
        at = last
        while first < last and (
            _skipped(tokens, first, shouting, common_here) or tokens[first].low in _TITLES or tokens[first].text == "."
        ):
            first += 1
        while last > first and tokens[last - 1].text == ".":
            last -= 1
        if first < last:
            yield from _parts(tokens, first, last, common_here, shouting)


def _listed(tokens: list[Token], at: int) -> int:
    """The end of the longest listed place that starts at a token; `at` itself if there is none."""
    for end in range(min(at + places.LONGEST, len(tokens)), at, -1):
        if " ".join(t.low for t in tokens[at:end]) in places.PLACES and all(
            _joined(tokens, i) for i in range(at + 1, end)
        ):
            return end
    return at


def _parts(
    tokens: list[Token], first: int, last: int, common_here: Collection[str], shouting: bool
) -> Iterator[tuple[int, int]]:
    if not shouting:
        yield first, last
        return
    start = first
    for at in range(first, last + 1):
        if at == last or _ordinary(tokens[at].low, common_here):
            if at > start:
                yield start, at
            start = at + 1


def _joined(tokens: list[Token], at: int) -> bool:
    """Whether only blanks lie between a token and the one before it (a possessive ends a name)."""
    return tokens[at].start - tokens[at - 1].end <= 1


def _skipped(tokens: list[Token], at: int, shouting: bool, common_here: Collection[str]) -> bool:
    token = tokens[at]
    if token.low == "i" or (len(token.text) == 1 and token.opens and token.low == "a"):
        return True
    if not _ordinary(token.low, common_here):
        return False
    if token.low in GIVEN and at + 1 < len(tokens) and tokens[at + 1].text[0].isupper() and _joined(tokens, at + 1):
        return _ordinary(tokens[at + 1].low, common_here)
    return token.opens or shouting or token.low in common.COMMON


def _judged(text: str, tokens: list[Token], first: int, last: int, common_here: Collection[str]) -> Span | None:
    words = [t for t in tokens[first:last] if t.text != "."]
    start, end = words[0].start, words[-1].end
    full = " ".join(t.low for t in words)
    before = text[max(0, start - 45) : start]
    same_line = before.rsplit("\n", 1)[-1]
    previous = tokens[first - 1] if first else None
    following = tokens[last] if last < len(tokens) else None
    ordinary = sum(_ordinary(t.low, common_here) for t in words if t.low not in surnames.PARTICLES)
    evidence = {
        "person": _person(tokens, words, first, last, same_line, previous, following, ordinary),
        "place": _place(words, full, same_line, previous, following, ordinary),
        "organisation": _organisation(words, same_line, following, ordinary),
    }
    kind, value = max(evidence.items(), key=lambda item: item[1][0])
    total, why = value
    if total < 1.0:
        return None
    return Span(kind, start, end, min(round(1 - math.exp(-total), 3), 0.97), why or "shape")


_Evidence = tuple[float, str]


def _person(
    tokens: list[Token], words: list[Token], first: int, last: int, before: str, previous: Token | None,
    following: Token | None, ordinary: int,
) -> _Evidence:  # fmt: skip
    total = 0.0
    why: list[str] = []
    given = sum(t.low in GIVEN for t in words)
    family = sum(
        t.low in surnames.SURNAMES or (len(t.low) > 6 and t.low.endswith(surnames.ENDINGS)) for t in words
    )  # fmt: skip
    initials = sum(len(t.text) == 1 for t in words)
    long = len(words) - initials
    if given:
        total, why = total + 1.3, [*why, "a given name"]
    if family:
        total, why = total + 0.9, [*why, "a family name"]
    if initials and long:
        total, why = total + 1.3, [*why, "an initial"]
    titled = first > 0 and (
        previous is not None
        and (previous.low in _TITLES or (previous.text == "." and first > 1 and tokens[first - 2].low in _TITLES))
    )
    if titled:
        total, why = total + 2.5, [*why, "a title before it"]
    if _NAME_STRONG.search(before) or _NAMED.search(before):
        total, why = total + 1.4, [*why, "introduced"]
    elif previous is not None and previous.low in _KIN:
        total, why = total + 1.2, [*why, "kinship or role before it"]
    if following is not None and following.low in _SAYING:
        total, why = total + 1.2, [*why, "a verb of persons after it"]
    elif following is not None and following.low in _BEING:
        total += 0.5
    if following is not None and following.text in ("'", "’"):
        total += 0.5
    opens = words[0].opens
    if following is not None and following.text == ":" and opens:
        total, why = total + 0.9, [*why, "a speaker"]
    if following is not None and following.text in (",", "!") and opens and len(words) == 1:
        total += 0.5
    if 2 <= long <= 3 and not ordinary:
        total, why = total + 0.9, [*why, "two or three capitalised words"]
    if not ordinary:
        total += 0.5 if opens else 1.05
    total -= (0.5 if given and long > 1 else 1.2) * ordinary
    if previous is not None and previous.low in _PLACE_BEFORE and not given and not family:
        total -= 0.7
    if previous is not None and previous.low == "the" and not given:
        total -= 0.9
    if all(t.text.isupper() for t in words) and not given and not family and long:
        total -= 0.8
    if any(t.low in common.ORGANISATION or t.low in common.COMPANY for t in words[1:]):
        total -= 2
    return total, ", ".join(why)


def _place(
    words: list[Token], full: str, before: str, previous: Token | None, following: Token | None, ordinary: int
) -> _Evidence:  # fmt: skip
    total = 0.0
    why: list[str] = []
    listed = full in places.PLACES or (words[0].low in _COMPASS and " ".join(full.split()[1:]) in places.PLACES)
    if listed:
        total, why = total + 2.0, [*why, "listed"]
    elif len(words) > 1 and words[-1].low in places.COUNTRIES:
        total, why = total + 1.9, [*why, "ends in a country"]
    elif full.endswith(places.ENDINGS) and not ordinary:
        total, why = total + 0.5, [*why, "a place's ending"]
    if _PLACE_STRONG.search(before):
        total, why = total + 1.9, [*why, "a place is spoken of"]
    elif previous is not None and previous.low in _PLACE_BEFORE:
        total, why = total + 1.4, [*why, "a preposition of place"]
    if all(t.text.isupper() for t in words) and len(full) > 3 and not ordinary:
        total, why = total + 0.6, [*why, "capitals"]
    if not listed:
        total -= 0.4 * ordinary
        total -= 0.9 * any(
            t.low in GIVEN or t.low in surnames.SURNAMES or (len(t.low) > 6 and t.low.endswith(surnames.ENDINGS))
            for t in words
        )
        total -= 1.5 * any(t.low in common.COMPANY for t in words)
    if len(words) == ordinary and not listed:
        total -= 1
    return total, ", ".join(why)


def _organisation(words: list[Token], before: str, following: Token | None, ordinary: int) -> _Evidence:
    total = 0.0
    why: list[str] = []
    tail = words[1:]
    if any(t.low in common.COMPANY for t in tail):
        total, why = total + 3.5, [*why, "a company's form"]
    elif any(t.low in common.ORGANISATION for t in tail):
        total, why = total + 2.2, [*why, "a word of organisations"]
    if _ORG_STRONG.search(before):
        total, why = total + 2.2, [*why, "an employer is spoken of"]
    if len(words) == ordinary:
        total -= 1.5
    return total, ", ".join(why)


def _lower_case(
    text: str, tokens: list[Token], taken: set[int], common_here: Collection[str], shouting: bool
) -> Iterator[Span]:  # fmt: skip
    """Names without capitals: behind a strong cue, or a listed given name before an unknown word."""
    at = 0
    while at < len(tokens):
        token = tokens[at]
        at += 1
        if at - 1 in taken or len(token.low) < 3 or not token.text[0].islower() or _ordinary(token.low, common_here):
            continue
        end = at
        while (
            end < len(tokens)
            and end not in taken
            and end - at < 2
            and _joined(tokens, end)
            and tokens[end].text[0].islower()
            and not _ordinary(tokens[end].low, common_here)
        ):
            end += 1
        before = text[max(0, token.start - 45) : token.start]
        full = " ".join(t.low for t in tokens[at - 1 : end])
        listed = token.low in GIVEN
        if _NAME_STRONG.search(before) or re.search(r"\b(?:mr|mrs|ms|dr)\.? $", before):
            yield Span("person", token.start, tokens[end - 1].end, 0.8, "introduced, in lower case")
        elif listed and end > at:
            yield Span("person", token.start, tokens[end - 1].end, 0.75, "a given name in lower case and another")
        elif full in places.COUNTRIES or (_PLACE_STRONG.search(before) and "visit" not in before[-9:]):
            yield Span("place", token.start, tokens[end - 1].end, 0.75, "a place, in lower case")
        else:
            continue
        at = end
