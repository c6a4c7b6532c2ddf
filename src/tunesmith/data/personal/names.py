"""Names of persons, places and organisations, from lists, shape, spelling and the words around them.

Every run of capitalised words (and, in lower case, a word behind a strong cue) is judged by the evidence of
`evidence.py`. Scripts without capitals are not searched.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from tunesmith.data.personal import common, evidence, places, surnames
from tunesmith.data.personal.evidence import TITLES, Around
from tunesmith.data.personal.given import GIVEN
from tunesmith.data.personal.spans import Span

_TOKEN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+|\n|[^\w\s]")
_LETTER = re.compile(r"[^\W\d_]")
_GAP = re.compile(r"[\s,>?|*]*")
# Before a word in lower case only what is hardly followed by anything but a place counts.
_LIVED_IN = re.compile(
    r"\b(?:liv(?:e|es|ed|ing) in|moved (?:here |there |back )?(?:from|to)|born in|travel(?:l?ing|l?ed)? to|"
    r"fl(?:ew|y|ying) to|originally from|grew up in|come[s]? from|came from|city of|town of)\s*$",
    re.I,
)
_ADDRESS = frozenset(("apt", "suite", "box", "psc", "apo", "unit"))
_LEAST = 0.45  # probability of the kind
# Without one of these, a short word in capitals that no list holds is an abbreviation and no person.
_INTRODUCED = frozenset(("title before", "named", "introduced", "signed", "speaker"))
_FIRMS = frozenset(("company's form", "organisation listed"))  # with one of these it is no person
_ARTICLES = frozenset(("a before", "an before"))  # "a Reporting Entity" is a term, unless a list knows the name
_LISTED = frozenset(("given first", "given alone", "given within", "family last", "family alone"))
_SURE = 0.9  # a name of this score makes its words names elsewhere in the text


class Token(NamedTuple):
    """One word, number, sign or line end of a text."""

    text: str
    low: str
    start: int
    end: int
    opens: bool  # first word of a sentence or line


class Candidate(NamedTuple):
    """A run of words that may be a name: characters start to end, and what is seen there."""

    start: int
    end: int
    around: Around


def find_names(
    text: str, *, common_here: Collection[str] = frozenset(), addresses: Sequence[tuple[int, int]] = ()
) -> Iterator[Span]:
    """Persons, places and organisations.

    common_here: more words, in lower case, that are no names (seen in the data). addresses: (start, end) of postal
    addresses; what lies inside one is no name of its own.
    """
    if _LETTER.search(text) is None:
        return
    tokens = _tokens(text)
    judged = [(found, _judged(found)) for found in _candidates(text, tokens, common_here, addresses)]
    sure = {
        word.lower()
        for found, span in judged
        if span is not None and span.kind == "person" and span.score >= _SURE
        for word in found.around.words
        if len(word) > 2 and word.lower() not in common.COMMON and word.lower() not in surnames.PARTICLES
    }
    for found, span in judged:
        if span is not None:
            yield span
        elif all(word.lower() in sure for word in found.around.words):
            yield Span("person", found.start, found.end, 0.7, "part of a name that is sure elsewhere in the text")
    taken = [(found.start, found.end) for found, _ in judged]
    yield from _lower_case(text, tokens, taken, common_here)


def candidates(
    text: str, *, common_here: Collection[str] = frozenset(), addresses: Sequence[tuple[int, int]] = ()
) -> list[Candidate]:
    """The runs that `find_names` judges, for learning how."""
    return list(_candidates(text, _tokens(text), common_here, addresses))


def _judged(found: Candidate) -> Span | None:
    seen = evidence.features(found.around)
    sums = evidence.totals(seen)
    no_person = "short capitals" in seen and not _INTRODUCED.intersection(seen)
    term = _ARTICLES.intersection(seen) and not _LISTED.intersection(seen)
    if no_person or term or _FIRMS.intersection(seen):
        sums["person"] = -math.inf
    kind, total = max(sums.items(), key=lambda item: item[1])
    score = math.exp(total) / (1 + sum(math.exp(other) for other in sums.values()))
    if score < _LEAST:
        return None
    own = evidence.weights()[kind]
    speaking = sorted((name for name in seen if own.get(name, 0) > 0.3), key=lambda name: -own[name])
    return Span(kind, found.start, found.end, min(round(score, 3), 0.97), ", ".join(speaking[:3]) or "shape")


def _candidates(
    text: str, tokens: list[Token], common_here: Collection[str], addresses: Sequence[tuple[int, int]]
) -> Iterator[Candidate]:
    written_low = {token.text for token in tokens if token.text.islower()}
    loud = _shouts(tokens)
    for first, last in _runs(tokens, loud, common_here):
        words = [token for token in tokens[first:last] if token.text not in (".", ",")]
        if all(len(word.text) == 1 for word in words):
            continue  # spelt-out abbreviations
        start, end = words[0].start, words[-1].end
        if any(low < end and start < high for low, high in addresses):
            continue
        previous = tokens[first - 1] if first else None
        following = tokens[last] if last < len(tokens) else None
        above = text[max(0, start - 45) : start]
        yield Candidate(
            start,
            end,
            Around(
                words=tuple(word.text for word in words),
                ordinary=tuple(_ordinary(t.low, common_here) and t.low not in surnames.PARTICLES for t in words),
                opens=words[0].opens,
                before=above.rsplit("\n", 1)[-1],
                above=above,
                after=text[end : end + 40],
                previous=previous.low if previous else "",
                before_that=tokens[first - 2].low if first > 1 else "",
                previous_capital=previous is not None and _capital(previous),
                following=following.low if following else "",
                following_capital=following is not None and _capital(following),
                after_address=any(high <= start and _GAP.fullmatch(text, high, start) for _, high in addresses),
                loud=loud[first],
                before_address=any(end <= low and _GAP.fullmatch(text, end, low) for low, _ in addresses),
                lower_elsewhere=any(word.low in written_low for word in words if word.low not in surnames.PARTICLES),
            ),
        )


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    opens = True
    for match in _TOKEN.finditer(text):
        value = match.group()
        if value == "\n" or value in '.!?:>"“”*•|«»(':
            initial = value == "." and found and len(found[-1].text) == 1 and found[-1].text.isupper()
            title = value == "." and found and found[-1].low in TITLES
            opens = opens if initial or title else True
            found.append(Token(value, value, match.start(), match.end(), False))
            continue
        word = value[0].isalpha()
        if word and value[-2:] in ("'s", "’s"):
            value = value[:-2]
        found.append(Token(value, value.lower(), match.start(), match.start() + len(value), opens and word))
        opens = opens and not word
    return found


def _shouts(tokens: list[Token]) -> list[bool]:
    """For each token, whether its sentence is in capitals or has those of a headline: capitals say nothing there."""
    loud = [False] * len(tokens)
    first = 0
    for at in range(len(tokens) + 1):
        if at < len(tokens) and tokens[at].text not in (".", "!", "?", "\n", "|"):
            continue
        words = [t.text for t in tokens[first:at] if t.text[0].isalpha() and len(t.text) > 1]
        long = [word for word in words if len(word) > 3]
        upper = len(words) > 3 and sum(word.isupper() for word in words) > 0.7 * len(words)
        headline = len(long) > 4 and sum(word[0].isupper() for word in long) > 0.8 * len(long)
        # Names in a row (a header, a list of authors) have no ordinary words among them; headlines do.
        if upper or (headline and sum(word.lower() in common.COMMON for word in long) > 0.3 * len(long)):
            loud[first:at] = [True] * (at - first)
        first = at + 1
    return loud


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


def _runs(tokens: list[Token], shouting: Sequence[bool], common_here: Collection[str]) -> Iterator[tuple[int, int]]:
    """(first, end) token positions of runs of capitalised words, without ordinary words at a sentence's start."""
    at, n = 0, len(tokens)
    while at < n:
        if not tokens[at].text[0].isalpha() or not _capital(tokens[at]):
            at += 1
            continue
        end = _firm(tokens, at, common_here)
        if end > at:
            yield at, end
            at = end
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
                and (len(tokens[last + 1].low) == 1 or tokens[last + 1].low not in common.COMMON)
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
            _skipped(tokens, first, shouting[first], common_here)
            or tokens[first].low in TITLES
            or tokens[first].text == "."
        ):
            first += 1
        while last > first and tokens[last - 1].text == ".":
            last -= 1
        if first < last:
            yield from _parts(tokens, first, last, common_here, shouting[first])


def _firm(tokens: list[Token], at: int, common_here: Collection[str]) -> int:
    """The end of "Ashby, Lund and Okafor" where it starts here, else `at`.

    Family names in a row are more often a firm than three people; what an organisation may end in belongs to it.
    """
    if at and tokens[at - 1].text == ":":
        return at
    if at + 5 > len(tokens) or tokens[at + 1].text != "," or tokens[at + 3].low not in ("and", "&"):
        return at
    for token in (tokens[at], tokens[at + 2], tokens[at + 4]):
        given = token.low in GIVEN and token.low not in surnames.SURNAMES
        if not token.text[0].isalpha() or not _capital(token) or given or _ordinary(token.low, common_here):
            return at
    end = at + 5
    if end < len(tokens) and _capital(tokens[end]) and _joined(tokens, end):
        return end + 1 if tokens[end].low in common.ORGANISATION else at
    return end


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
    return token.opens or shouting or token.low in common.COMMON or "'" in token.low or "’" in token.low


def _lower_case(
    text: str, tokens: list[Token], runs: Sequence[tuple[int, int]], common_here: Collection[str]
) -> Iterator[Span]:
    """Names without capitals: behind a strong cue, or a listed given name before an unknown word."""
    taken = {at for at, token in enumerate(tokens) if any(low < token.end and token.start < high for low, high in runs)}
    # A text that has capitals within its sentences would have given them to a name.
    uncapitalised = not any(_capital(token) and not token.opens and token.low != "i" for token in tokens)
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
        if evidence.NAMED.search(before) or re.search(r"\b(?:mr|mrs|dr)\.? $|\bms\. $", before):
            yield Span("person", token.start, tokens[end - 1].end, 0.8, "introduced, in lower case")
        elif listed and end > at and uncapitalised:
            yield Span("person", token.start, tokens[end - 1].end, 0.75, "a given name in lower case and another")
        elif full in places.COUNTRIES or (_LIVED_IN.search(before)):
            yield Span("place", token.start, tokens[end - 1].end, 0.75, "a place, in lower case")
        else:
            continue
        at = end
