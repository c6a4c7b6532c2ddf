"""How much an unknown word is spelt like a name, a place or a word of the language: letters in threes.

A naive Bayes model of character trigrams, counted over the lists of this package when it is first asked (some tens of
milliseconds). It is weak evidence, for words that no list holds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from tunesmith.data.personal import common, places, surnames
from tunesmith.data.personal.given import GIVEN

_CLASSES = ("person", "place", "word")


@lru_cache(maxsize=65536)
def spelt_like(word: str) -> tuple[float, float]:
    """(person against word, place against word): mean log ratio per trigram of a word in lower case."""
    counts, totals, size = _model()
    grams = _grams(word)
    value = dict.fromkeys(_CLASSES, 0.0)
    for name in _CLASSES:
        own, total = counts[name], totals[name]
        value[name] = sum(math.log((own[gram] + 0.5) / (total + 0.5 * size)) for gram in grams) / len(grams)
    return value["person"] - value["word"], value["place"] - value["word"]


def _grams(word: str) -> list[str]:
    padded = f"^{word}$"
    return [padded[at : at + 3] for at in range(len(padded) - 2)] or [padded]


@lru_cache(maxsize=1)
def _model() -> tuple[dict[str, Counter[str]], dict[str, int], int]:
    words: dict[str, Iterable[str]] = {
        "person": GIVEN | surnames.SURNAMES,
        "place": {word for name in places.PLACES for word in name.split() if len(word) > 3},
        "word": common.COMMON,
    }
    counts = {name: Counter(gram for word in sorted(own) for gram in _grams(word)) for name, own in words.items()}
    totals = {name: own.total() for name, own in counts.items()}
    return counts, totals, len(set().union(*counts.values()))
