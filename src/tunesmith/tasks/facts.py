"""Facts in a text, and how many of them another text bears out.

A fact is one of five things, each found by rules that read any text the same way:

    number    a value with its unit: "76-year-old" = "76 years" = "seventy-six year"; "20mg" = "20 mg";
              "$1,200.50"; "12 %" = "12 percent"; "120/80". Values agree if equal and no two known units differ.
    date      day and month in either order, and time of day: "3 May" = "May 3rd" = "05/03" with a year; "10:30".
              A year is a number.
    name      a word written with a capital where none is due, or in capitals: "Smith", "MRI".
    term      any other content word, lightly stemmed: "headaches" = "headache".
    negation  a term or name that is denied: "no fever", "denies chest pain", "Any fever? No." A denied term and
              an asserted one are different facts, so a lost "no" costs both in fact_f1 and in unsupported_rate.

Numbers, dates, names and negations weigh 3, terms 1: there are few of the former and they do the harm.

Worked example. Reference "76-year-old man, no fever." Answer "A 67-year-old man without fever."
    reference: number 76 year (3), term man (1), negation fever (3)     total 7
    answer:    number 67 year (3), term man (1), negation fever (3)     total 7, agreeing 4
    precision = recall = 4/7, fact_f1 = 0.571. If the source is the reference, unsupported_rate = 3/7 = 0.429.

Word lists are English with the negations of some neighbours; elsewhere numbers, capitals and words still count,
and scripts without spaces are read as pairs of characters. The rules err alike on both sides of a comparison.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Literal

from tunesmith.tasks._vocabulary import (
    AGES,
    ENDS_NEGATION,
    FUNCTION,
    MONTHS,
    NEGATIONS,
    REACH,
    REACHES_BACK,
    SCALES,
    SMALL,
    TENS,
    UNITS,
)

Kind = Literal["number", "date", "term", "negation"]
HARD_WEIGHT, TERM_WEIGHT = 3.0, 1.0

_TOKEN = re.compile(
    r"(?P<clock>\b\d{1,2}:\d{2}\b)"
    r"|(?P<date>\b(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2}))\b)"
    r"|(?P<ratio>\b\d{1,4}/\d{1,4}\b)"
    r"|(?P<money>[$€£]\s?)?(?P<number>(?<![\w.])-?\d+(?:[.,]\d+)*)(?P<suffix>(?:st|nd|rd|th)\b|%|°[cCfF]?|[^\W\d_]+)?"
    r"|(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)*)"
    r"|(?P<sign>[%°]|[.!?。！？]+|[^\w\s])"
)
_SENTENCE_END = re.compile(
    r"(?<=[.!?。！？])(?<!\b[A-Z]\.)(?<!\b[MD]r\.)(?<!\bM[sx]\.)(?<!\bSt\.)(?<!\bMrs\.)(?<!\bProf\.)[\"'”’)]*\s+|\n+|(?<=[。！？])"
)
_SPEAKER = re.compile(r"^\s*[^\W\d_]+(?:\s[^\W\d_]+)?\s*:\s*")
_NO_SPACES = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")


@dataclass(frozen=True)
class Fact:
    """One fact. value: canonical form. unit: canonical unit of a number, None if none was seen."""

    kind: Kind
    value: str
    unit: str | None = None


@dataclass(frozen=True)
class Facts:
    """The facts of one text with their weights (a fact counts once, however often it is said)."""

    weights: Mapping[Fact, float]
    units: Mapping[str, frozenset[str | None]]  # units seen with each number, for agreement

    def supports(self, fact: Fact) -> bool:
        """Whether this text states the fact."""
        if fact.kind != "number":
            return fact in self.weights
        seen = self.units.get(fact.value)
        return seen is not None and (fact.unit is None or fact.unit in seen or None in seen)

    @property
    def total(self) -> float:
        return sum(self.weights.values())


def fact_f1(answer: str | None, reference: str) -> float:
    """Weighted F1 of the answer's facts against the reference's, 0 to 1.

    1 if neither states any fact; 0 if only one does, or the answer is None.
    """
    if answer is None:
        return 0.0
    a, r = facts(answer), facts(reference)
    if not a.weights or not r.weights:
        return float(not a.weights and not r.weights)
    # A word that is a name on one side weighs as a name on both ("Smith" first in one sentence, later in another).
    precision = _agreement(a, r)
    recall = _agreement(r, a)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def unsupported_rate(answer: str | None, source: str) -> float:
    """Share (by weight) of the answer's facts that its source does not state; 0 if it states none.

    A sentence that is copied, whole or from its beginning, is supported as it stands: copying scores 0.
    """
    if answer is None:
        return 0.0
    mine, known = facts(answer), facts(source)
    total = mine.total
    new = facts(_uncopied(answer, source))
    lacking = sum(weight for fact, weight in new.weights.items() if not known.supports(fact))
    return min(1.0, lacking / total) if total else 0.0


def unsupported_numbers(answer: str | None, source: str) -> tuple[int, int]:
    """Numbers and dates in the answer that the source lacks, and how many the answer has."""
    if answer is None:
        return 0, 0
    new, known = facts(_uncopied(answer, source)), facts(source)
    mine = [f for f in facts(answer).weights if f.kind in ("number", "date")]
    return sum(f.kind in ("number", "date") and not known.supports(f) for f in new.weights), len(mine)


@lru_cache(maxsize=4_096)
def facts(text: str) -> Facts:
    """The facts of a text."""
    weights: dict[Fact, float] = {}
    for fact, weight in _found(text):
        weights[fact] = max(weight, weights.get(fact, 0.0))
    units: dict[str, set[str | None]] = {}
    for fact in weights:
        if fact.kind == "number":
            units.setdefault(fact.value, set()).add(fact.unit)
    return Facts(weights, {value: frozenset(seen) for value, seen in units.items()})


def stem(word: str) -> str:
    """The word without a plural or simple verb ending; words of fewer than four letters stay."""
    w = word.casefold().replace("’", "'").removesuffix("'s")
    if len(w) > 4 and w.endswith("ies"):
        return w[:-3] + "y"
    if len(w) > 4 and w.endswith(("sses", "xes", "ches", "shes")):
        return w[:-2]
    if len(w) > 3 and w.endswith("s") and not w.endswith(("ss", "us", "is")):
        w = w[:-1]
    for ending in ("ing", "ed"):
        base = w.removesuffix(ending)
        if base != w and len(base) >= 4:
            return base[:-1] if base[-1] == base[-2] and base[-1] not in "lsz" else base
    return w.removesuffix("e") if len(w) > 4 else w


# ---------------------------------------------------------------- inside


def _agreement(one: Facts, other: Facts) -> float:
    agreed = total = 0.0
    for fact, weight in one.weights.items():
        heavier = max(weight, other.weights.get(fact, 0.0))
        total += heavier
        agreed += heavier * other.supports(fact)
    return agreed / total


def _uncopied(answer: str, source: str) -> str:
    """The answer without the sentences that begin like a sentence of the source and go on like it."""
    flat, starts = _beginnings(source)
    kept = []
    for sentence in _sentences(answer):
        plain = " ".join(sentence.split()).rstrip(".… ")
        if not plain or not any(flat.startswith(plain, at) for at in starts):
            kept.append(sentence)
    return "\n".join(kept)


@lru_cache(maxsize=4_096)
def _beginnings(source: str) -> tuple[str, tuple[int, ...]]:
    """The source with single spaces, and where its sentences begin in it."""
    flat = " ".join(source.split())
    starts, at = [], 0
    for sentence in _sentences(source):
        plain = " ".join(sentence.split())
        at = max(at, flat.find(plain, at))
        starts.append(at)
        at += len(plain)
    return flat, tuple(starts)


def _sentences(text: str) -> list[str]:
    return [part for part in _SENTENCE_END.split(text) if part.strip()]


@dataclass
class _Word:
    """A token on its way to a fact. at: position among the sentence's tokens. break_after: punctuation follows."""

    text: str
    is_name: bool
    denied: bool = False
    mark: str = ""  # punctuation that follows


def _found(text: str) -> Iterator[tuple[Fact, float]]:
    """Every fact with its weight, in reading order; the same fact may come more than once."""
    question: list[_Word] = []
    for sentence in _sentences(unicodedata.normalize("NFC", text)):
        numbers, spoken = _read(sentence)
        yield from ((fact, HARD_WEIGHT) for fact in numbers)
        _deny(spoken)
        if question and _answers_no(spoken):
            for word in question:
                word.denied = word.denied or word.mark != ":"  # not the speaker
        yield from _terms(question)
        asks = sentence.rstrip("\"'”’) \n").endswith(("?", "？"))
        question = spoken if asks else []
        if not asks:
            yield from _terms(spoken)
    yield from _terms(question)


def _terms(spoken: list[_Word]) -> Iterator[tuple[Fact, float]]:
    for word in spoken:
        lower = word.text.casefold().replace("’", "'")
        if lower in NEGATIONS:
            continue
        kind: Kind = "negation" if word.denied else "term"
        if _NO_SPACES.search(lower):
            pairs = [lower[i : i + 2] for i in range(max(1, len(lower) - 1))]
            yield from ((Fact(kind, pair), HARD_WEIGHT if word.denied else TERM_WEIGHT) for pair in pairs)
        elif word.is_name or (len(lower) > 2 and lower not in FUNCTION):
            yield Fact(kind, stem(lower)), HARD_WEIGHT if word.denied or word.is_name else TERM_WEIGHT


def _read(sentence: str) -> tuple[list[Fact], list[_Word]]:
    """Numbers and dates of a sentence, and its words with what follows them."""
    body = _SPEAKER.sub("", sentence)
    speaker = sentence[: len(sentence) - len(body)]
    tokens = list(_TOKEN.finditer(body))
    found: list[Fact] = []
    spoken: list[_Word] = [_Word(w, is_name=False, mark=":") for w in re.findall(r"[^\W\d_]+", speaker)]
    starts = len(spoken)
    i = 0
    while i < len(tokens):
        token = tokens[i]
        kind = token.lastgroup
        if token["clock"]:
            found.append(Fact("date", token["clock"].lstrip("0")))
        elif token["date"]:
            found += _date(token["date"])
        elif token["ratio"]:
            unit, skip = _unit(tokens, i + 1)
            found.append(Fact("number", "/".join(p.lstrip("0") or "0" for p in token["ratio"].split("/")), unit))
            i += skip
        elif token["number"]:
            numbers, skip = _number(tokens, i)
            found += numbers
            i += skip
        elif kind == "word" and (spelled := _spelled(tokens, i)) is not None:
            found.append(spelled[0])
            i += spelled[1]
        elif kind == "word":
            text = token["word"]
            month = MONTHS.get(text.casefold())
            if month and text[0].isupper() and (dated := _month_day(tokens, i, month)) is not None:
                found += dated[0]
                i += dated[1]
            else:
                spoken.append(_Word(text, _is_name(tokens, i, first=len(spoken) == starts)))
        elif spoken and token["sign"]:
            spoken[-1].mark = spoken[-1].mark or token["sign"]
        i += 1
    return found, spoken


def _is_name(tokens: list[re.Match[str]], i: int, *, first: bool) -> bool:
    """Capital where none is due; at a sentence's start only if the next word has one too, or it is an acronym."""
    text = tokens[i]["word"]
    lower = text.casefold()
    if not text[0].isupper() or lower in FUNCTION or lower in NEGATIONS or len(text) == 1 or "'" in text:
        return False
    if len(text) >= 2 and text.isupper():
        return True
    if not first:
        return len(text) > 2
    after = tokens[i + 1]["word"] if i + 1 < len(tokens) else None
    return bool(after and after[0].isupper() and len(after) > 1)


def _number(tokens: list[re.Match[str]], i: int) -> tuple[list[Fact], int]:
    """The number at token i with its unit, and how many further tokens that took."""
    token = tokens[i]
    value = _plain(token["number"])
    suffix = (token["suffix"] or "").casefold()
    if token["money"]:
        scale = SCALES.get(_word(tokens, i + 1))
        if scale:
            return [Fact("number", _scaled(value, scale), token["money"].strip())], 1
        return [Fact("number", value, token["money"].strip())], 0
    if suffix in ("st", "nd", "rd", "th"):
        month = MONTHS.get(_word(tokens, i + 1))
        skip = 1
        if month is None and _word(tokens, i + 1) == "of":
            month, skip = MONTHS.get(_word(tokens, i + 2)), 2
        day = _whole(value)
        return ([_day_month(day, month)], skip) if month and day else ([Fact("number", value)], 0)
    if suffix in ("am", "pm"):
        return [Fact("date", f"{value} {suffix}")], 0
    if suffix in ("k", "bn"):
        scale = 1_000 if suffix == "k" else 1_000_000_000
        return [Fact("number", _scaled(value, scale))], 0
    if suffix:
        return [Fact("number", value, UNITS.get(suffix, suffix))], 0
    month = MONTHS.get(_word(tokens, i + 1))
    day = _whole(value)
    if month and day and 1 <= day <= 31 and tokens[i + 1]["word"][0].isupper():
        return [_day_month(day, month)], 1
    scale = SCALES.get(_word(tokens, i + 1))
    if scale:
        unit, skip = _unit(tokens, i + 2)
        return [Fact("number", _scaled(value, scale), unit)], 1 + skip
    unit, skip = _unit(tokens, i + 1)
    return [Fact("number", value, unit)], skip


def _spelled(tokens: list[re.Match[str]], i: int) -> tuple[Fact, int] | None:
    """A number in words ("seventy-six", "two hundred and fifty"), or None. A bare "one" is rarely a number."""
    total, current, used, j = 0, 0, 0, i
    while j < len(tokens):
        word = _word(tokens, j)
        if word in SMALL:
            if used and _word(tokens, j - 1) in SMALL:
                break  # "two three" are two numbers
            current += SMALL[word]
        elif word in TENS:
            if used and (_word(tokens, j - 1) in SMALL or _word(tokens, j - 1) in TENS):
                break
            current += TENS[word]
        elif word in SCALES and used:
            if word == "hundred":
                current *= 100
            else:
                total, current = total + current * SCALES[word], 0
        elif used and (tokens[j]["sign"] == "-" or word == "and") and _starts_number(tokens, j + 1):
            if word == "and" and _word(tokens, j - 1) not in SCALES:
                break
        else:
            break
        used = j - i + 1
        j += 1
    if not used:
        return None
    unit, skip = _unit(tokens, i + used)
    if used == 1 and _word(tokens, i) == "one" and unit is None:
        return None
    return Fact("number", str(total + current), unit), used - 1 + skip


def _starts_number(tokens: list[re.Match[str]], i: int) -> bool:
    return _word(tokens, i) in SMALL or _word(tokens, i) in TENS


def _unit(tokens: list[re.Match[str]], i: int) -> tuple[str | None, int]:
    """The unit that begins at token i (a hyphen before it is passed over), and how many tokens it took."""
    skip = 0
    if i < len(tokens) and tokens[i]["sign"] in ("-", "‐", "–"):
        skip = 1
    if i + skip >= len(tokens):
        return None, 0
    text = (tokens[i + skip]["word"] or tokens[i + skip]["sign"] or "").casefold()
    unit = UNITS.get(text)
    if unit is None:
        return None, 0
    used = skip + 1
    if unit in AGES:  # "76 years old", "76-year-old": the word says nothing more
        dash = i + used < len(tokens) and tokens[i + used]["sign"] == "-"
        if _word(tokens, i + used + dash) == "old":
            used += 1 + dash
    return unit, used


def _month_day(tokens: list[re.Match[str]], i: int, month: int) -> tuple[list[Fact], int] | None:
    """ "May 3rd, 2024" or "May 2024" from the month at token i; None if no number follows."""
    after = tokens[i + 1] if i + 1 < len(tokens) else None
    if after is None or not after["number"]:
        return None
    value = _whole(_plain(after["number"]))
    if value and 1 <= value <= 31:
        return [_day_month(value, month)], 1
    if value and 1000 <= value <= 2999:
        return [Fact("date", f"month {month}"), Fact("number", str(value))], 1
    return None


def _day_month(day: int, month: int) -> Fact:
    low, high = sorted((day, month))  # 3/5 and 5/3 are told apart by custom only
    return Fact("date", f"{low}/{high}")


def _date(text: str) -> list[Fact]:
    parts = [int(part) for part in re.split(r"[-/.]", text)]
    year = next((p for p in (parts[2], parts[0]) if p > 31), None)
    if year is None:  # 03/05/24: the last is the year
        year, rest = 2000 + parts[2], parts[:2]
    else:
        rest = parts[:2] if year == parts[2] else parts[1:]
        year += 1900 if year < 100 else 0
    return [_day_month(rest[0], rest[1]), Fact("number", str(year))]


def _deny(spoken: list[_Word]) -> None:
    """Mark the words that a negation reaches, forward to the end of its clause or back before a bare "no"."""
    for i, word in enumerate(spoken):
        lower = word.text.casefold().replace("’", "'")
        if lower not in NEGATIONS:
            continue
        last = i + 1 == len(spoken)
        if not last and not word.mark.startswith((",", ".", ";", "!")):
            for later in spoken[i + 1 : i + 1 + REACH]:
                if later.text.casefold() in ENDS_NEGATION:
                    break
                later.denied = True
                if later.mark.startswith((".", ";", ":", "(", "?", "!")):
                    break
        elif lower in REACHES_BACK:
            for earlier in reversed(spoken[max(0, i - 4) : i]):
                # "Patient: No, I ..." names who speaks; "fever: no" is a finding.
                if earlier.mark.startswith((",", ".", ";")) or (earlier.mark.startswith(":") and not last):
                    break
                earlier.denied = True


def _answers_no(spoken: list[_Word]) -> bool:
    """Whether a sentence begins with a plain no (after the speaker's name, if any)."""
    start = next((i for i, w in enumerate(spoken) if w.mark != ":"), 0)
    return bool(spoken) and spoken[start].text.casefold() in ("no", "nope", "never", "none", "nein", "non", "não")


def _word(tokens: list[re.Match[str]], i: int) -> str:
    """Lower-case word at token i, "" if there is none."""
    return (tokens[i]["word"] or "").casefold() if i < len(tokens) else ""


def _plain(number: str) -> str:
    """Canonical digits: "1,200.50" -> "1200.5", "3,5" -> "3.5", "007" -> "7"."""
    if re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", number):
        number = number.replace(",", "")
    elif re.fullmatch(r"-?\d{1,3}(\.\d{3}){2,}(,\d+)?", number):
        number = number.replace(".", "").replace(",", ".")
    elif number.count(",") == 1 and "." not in number:
        number = number.replace(",", ".")
    if number.count(".") > 1 or "," in number:
        return number  # "1.2.3" is a version or an outline number: it is the fact as it stands
    return _digits(number)


def _digits(number: str) -> str:
    """The shortest writing of a number, exact however long it is; digits of other scripts as 0 to 9."""
    plain = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in number)
    sign, plain = ("-", plain[1:]) if plain.startswith("-") else ("", plain)
    before, _, after = plain.partition(".")
    before, after = before.lstrip("0") or "0", after.rstrip("0")
    return sign + before + ("." + after if after else "")


def _scaled(value: str, scale: int) -> str:
    """The number times a scale ("5" thousand); "1.2.3" thousand stays as it is written."""
    if value.count(".") > 1 or "," in value:
        return value
    with localcontext() as exact:
        exact.prec = len(value) + 12
        return _digits(format(Decimal(value) * scale, "f"))


def _whole(value: str) -> int | None:
    """A small whole number, or None."""
    return int(value) if value.isdecimal() and len(value) <= 4 else None
