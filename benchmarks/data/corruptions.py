"""Corrupts one fact of an answer: a number, an entity or a polarity. Rules and words are the planter's own.

Nothing here is shared with what looks for them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

_TYPES = [
    "mother father brother sister son daughter wife husband aunt uncle grandmother grandfather",
    "left right bilateral", "upper lower", "anterior posterior lateral medial",
    "knee shoulder hip ankle wrist elbow foot hand back neck chest abdomen leg arm head",
    "heart lung kidney liver thyroid breast prostate colon bladder stomach brain",
    "diabetes hypertension asthma cancer stroke arthritis osteoporosis depression anemia glaucoma seizures COPD "
    "hypothyroidism pneumonia migraine gout hepatitis",
    "aspirin penicillin morphine codeine insulin prednisone ibuprofen Tylenol Lisinopril metformin Coumadin Zoloft "
    "albuterol Lasix Synthroid Norvasc Lipitor sulfa Vicodin",
    "fever chills nausea vomiting diarrhea cough headache dizziness fatigue rash pain swelling weakness numbness",
    "smoking drinking tobacco alcohol", "male female", "man woman boy girl", "married single divorced widowed",
    "Caucasian Hispanic African-American Asian", "daily weekly monthly", "morning evening night afternoon",
    "January February March April June July August September October November December",
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
]  # fmt: skip
_MATES = {word.casefold(): line.split() for line in _TYPES for word in line.split()}
_NUMBER = re.compile(r"(?<![\w.,/-])(?!\d+\.\s+[A-Z])\d+(?:\.\d+)?(?![\w])")  # no numbers of lists
_PROPER = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{3,}\b")
_SPELT = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def number(text: str, others: Sequence[str], rng: random.Random) -> str | None:
    """One number in digits (or, without any, one spelt small number) becomes another of as many digits."""
    found = list(_NUMBER.finditer(text))
    if not found:
        spelt = [m for m in re.finditer(r"\b[a-z]+\b", text) if m[0] in _SPELT]
        if not spelt:
            return None
        at = rng.choice(spelt)
        return text[: at.start()] + rng.choice([w for w in _SPELT if w != at[0]]) + text[at.end() :]
    at = rng.choice(found)
    while True:
        new = "".join(rng.choice("0123456789") if c.isdigit() else c for c in at[0])
        if float(new) != float(at[0]) and not (len(new) > 1 and new[0] == "0" and new[1] != "."):
            return text[: at.start()] + new + text[at.end() :]


def entity(text: str, others: Sequence[str], rng: random.Random) -> str | None:
    """One word becomes another of its type; else a proper name becomes one of another answer."""
    words = [m for m in re.finditer(r"[A-Za-z][A-Za-z-]+", text) if m[0].casefold() in _MATES]
    names = list(_PROPER.finditer(text))
    if not words and not names:
        return None
    at = rng.choice(words + names)
    if at in words:
        mates = [mate for mate in _MATES[at[0].casefold()] if mate.casefold() not in text.casefold()]
    else:
        mates = []
        for _ in range(200):
            mates = [name for name in _PROPER.findall(rng.choice(others)) if name not in text]
            if mates:
                break
    if not mates:
        return None
    new = rng.choice(mates)
    new = new.capitalize() if at[0][0].isupper() else new
    return text[: at.start()] + new + text[at.end() :]


_DENIALS = [
    (r"\bdenies\b", "reports"), (r"\bdenied\b", "reported"), (r"\b([Ww])ithout\b", r"\1ith"), (r"\b(is|was|are|were|"
     r"has|have|had|does|did|do|could|would|can) not\b", r"\1"), (r"\bnegative for\b", "positive for"),
    (r"\b(has|have|had|with|shows?|showed|was|is|there (?:is|was|are|were)) no\b", r"\1"), (r"\bnever\b", "often"),
    (r"\bNo (?=[a-z])", "Has "), (r"\bno (?=[a-z])", "some "), (r"\bnonsmoker\b", "smoker"),
]  # fmt: skip
_CLAIMS = [
    (r"\breports\b", "denies"), (r"\breported\b", "denied"), (r"\bcomplains of\b", "denies"), (r"\bstates\b", "denies"),
    (r"\b(is|was|are|were|does|did)\b(?! not| no)", r"\1 not"), (r"\b(has|have|had)\b (?!no|not|been)", r"\1 no "),
    (r"\bwith\b(?= [a-z])", "without"), (r"\bpositive for\b", "negative for"), (r"\bHas (?=[a-z])", "Has no "),
]  # fmt: skip


def negation(text: str, others: Sequence[str], rng: random.Random) -> str | None:
    """One denial becomes a claim or one claim a denial, each as often where both can be."""
    for rules in rng.sample([_DENIALS, _CLAIMS], 2):
        spots = [(m, instead) for pattern, instead in rules for m in re.finditer(pattern, text)]
        if spots:
            at, instead = rng.choice(spots)
            return text[: at.start()] + at.expand(instead) + text[at.end() :]
    return None


SWAPS = {"number": number, "entity": entity, "negation": negation}


def stated(before: str, after: str, kind: str, source: str) -> bool:
    """Whether the source states what was changed: the number or word that went, or the word that a polarity is of."""
    old, new = before.split(), after.split()
    start = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)) - 1)
    said = set(re.findall(r"[a-z]+|\d+(?:\.\d+)?", source.casefold()))
    if kind == "negation":
        around = re.findall(r"[a-z]{4,}", " ".join(new[start : start + 5]).casefold())
        return any(word in said and word not in _COMMON for word in around)
    gone = re.findall(r"[a-z]+|\d+(?:\.\d+)?", old[start].casefold())
    left = re.findall(r"[a-z]+|\d+(?:\.\d+)?", new[start].casefold())
    for token in set(gone) - set(left):
        if token in said or (token.isdigit() and any(all(w in said for w in words) for words in _spelt(int(token)))):
            return True
    return False


_COMMON = {"with", "that", "this", "from", "have", "been", "patient", "does", "there", "were", "which", "history"}
_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
_ONES += "seventeen eighteen nineteen"
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def _spelt(value: int) -> list[list[str]]:
    """How a small whole number is said, each way as the words that must be there."""
    if value < 20:
        return [[_ONES.split()[value]]]
    if value < 100:
        return [[_TENS[value // 10 - 2], *([_ONES.split()[value % 10]] if value % 10 else [])]]
    if value < 1000 and value % 100 == 0:
        return [[_ONES.split()[value // 100], "hundred"]]
    return []


def corrupt(
    answers: list[str], sources: Sequence[str], kind: str, *, share: float, seed: int, checkable: bool
) -> tuple[list[int], list[int]]:
    """Corrupts one fact of `kind` in a share of the answers that hold one, in place: (which, which could have been).

    checkable: only facts that the source states in the same words; else any fact of the answer.
    """
    rng = random.Random(f"{kind}-{seed}")
    able: dict[int, str] = {}
    for at, before in enumerate(answers):
        for _ in range(12):
            after = SWAPS[kind](before, answers, rng)
            if after is None:
                break
            if after != before and (not checkable or stated(before, after, kind, sources[at])):
                able[at] = after
                break
    order = sorted(able)
    rng.shuffle(order)
    changed = sorted(order[: max(1, round(share * len(order)))])
    for at in changed:
        answers[at] = able[at]
    return changed, sorted(able)
