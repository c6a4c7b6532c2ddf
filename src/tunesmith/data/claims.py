"""What a text claims, sentence by sentence, read as facts (`tasks.facts`): numbers, terms, and which are denied."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

from tunesmith.tasks.facts import Fact, facts, stem

_SENTENCE = re.compile(r"(?<=[.!?;。！？])\s+|\n+")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_MOST_READ = 20_000  # characters of a text


@dataclass(frozen=True)
class Sentence:
    """One sentence or turn. order: stems of its words. terms: stem -> denied. names: terms written as names."""

    numbers: tuple[Fact, ...]
    terms: dict[str, bool]
    names: frozenset[str]
    order: tuple[str, ...]


@dataclass(frozen=True)
class Claims:
    """A text as claims.

    numbers: value -> units it was seen with. polarity: stem -> (asserted, denied), a question and its reply read
    together. replied: per sentence its terms, read with the sentence before, stem -> denied. stems: of all words.
    """

    sentences: tuple[Sentence, ...]
    numbers: dict[str, frozenset[str | None]]
    polarity: dict[str, tuple[bool, bool]]
    replied: tuple[dict[str, bool], ...]
    stems: frozenset[str]


def claims_of(text: str) -> Claims:
    """The claims of a text, read to its 20,000th character."""
    parts = [part for part in _SENTENCE.split(text[:_MOST_READ]) if part and part.strip()]
    sentences = tuple(map(_sentence, parts))
    numbers: dict[str, set[str | None]] = defaultdict(set)
    for sentence in sentences:
        for number in sentence.numbers:
            numbers[number.value].add(number.unit)
    asserted: dict[str, tuple[bool, bool]] = {}
    for fact in facts(text[:_MOST_READ]).weights:
        if fact.kind in ("term", "negation"):
            yes, no = asserted.get(fact.value, (False, False))
            asserted[fact.value] = (yes or fact.kind == "term", no or fact.kind == "negation")
    replied = tuple(_polarity("\n".join(parts[max(0, at - 1) : at + 1])) for at in range(len(parts)))
    return Claims(
        sentences,
        {value: frozenset(units) for value, units in numbers.items()},
        asserted,
        replied,
        frozenset(word for sentence in sentences for word in sentence.order),
    )


@lru_cache(maxsize=50_000)
def _sentence(text: str) -> Sentence:
    weights = facts(text).weights
    terms = {f.value: f.kind == "negation" for f in weights if f.kind in ("term", "negation")}
    return Sentence(
        tuple(f for f in weights if f.kind in ("number", "date")),
        terms,
        frozenset(f.value for f, weight in weights.items() if f.kind == "term" and weight > 1),
        tuple(stem(word) for word in _WORD.findall(text)),
    )


def _polarity(text: str) -> dict[str, bool]:
    return {f.value: f.kind == "negation" for f in facts(text).weights if f.kind in ("term", "negation")}
