"""Pairs of texts that say the same in other words, by sentence vectors.

Two texts that share most of their words are close as wholes even if they say two things ("with apple pay", "with google
pay"). So the words that differ are read by themselves as well: the cosine of the wholes and the cosine of what differs
must together reach a bound. Pairs that differ in a number, a negation, a name, or a word of one set (data/opposites.py)
are left out, however close.

Nearest neighbours are measured exactly up to 50,000 different texts (blocked matrix products), beyond that within
cells around sampled texts.

What this does not see: opposites and siblings that the list lacks, and texts whose meaning turns on who does what.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.duplicates import normalise
from tunesmith.data.near import Near, Pair
from tunesmith.data.opposites import opposed
from tunesmith.data.wording import differing, says_otherwise

if TYPE_CHECKING:
    from numpy.typing import NDArray

Embed = Callable[[Sequence[str]], "NDArray[np.float32]"]

EXACT_UP_TO = 50_000
# Cosine of the wholes plus cosine of what differs. Measured on 200 exchanges of synonyms and 600 of other words in
# three tables: 1.38 keeps 87 % of the former and 1 to 2 % of the latter (docs/stages/curate.md: what that gives
# elsewhere).
BOUND = 1.38
_WHOLE = 0.8
_BLOCK = 1024
_CELL = 5_000
_NEIGHBOURS = 12
_RANDOM = 50_000
_SHORTEST = 3  # words; shorter texts have too little to say
_NAME = re.compile(r"(?<=[a-z0-9,;)] )[A-Z][^\W\d_]+")
_TITLE = 0.6  # share of capitalised words from which capitals mark no names


@dataclass(frozen=True)
class Meaning:
    """pairs: numbers as in `Near.exact`. whole: the least cosine of two wholes that was looked at."""

    pairs: tuple[Pair, ...]
    whole: float


def meaning_pairs(texts: Sequence[str], near: Near, embed: Embed, *, bound: float = BOUND, seed: int = 0) -> Meaning:
    """Pairs among the different texts of `near` that are close in meaning and not in `near.pairs` already.

    embed: texts -> (n, width) float32 unit vectors. A pair's score is the mean of its two cosines. The wholes must
    besides be closer than all but one in ten thousand random pairs of the table.
    """
    first: dict[int, int] = {}
    for at, number in enumerate(near.exact.tolist()):
        first.setdefault(number, at)
    numbers = [n for n, at in first.items() if len(normalise(texts[at]).split()) >= _SHORTEST]
    if len(numbers) < 2:
        return Meaning((), _WHOLE)
    originals = [texts[first[n]] for n in numbers]
    keys = [normalise(text) for text in originals]
    rng = np.random.default_rng(seed)
    vectors = embed(originals)
    whole = _least(vectors, rng)
    known = {(pair.one, pair.other) for pair in near.pairs}
    close: list[tuple[int, int, float]] = []
    pieces: list[str] = []
    for a, b, cosine in _neighbours(vectors, whole, rng):
        if tuple(sorted((numbers[a], numbers[b]))) in known or says_otherwise(keys[a], keys[b]):
            continue
        lost, gained = differing(keys[a], keys[b])
        if not lost or not gained or opposed(lost.split(), gained.split()):
            continue
        if _names(originals[a], lost) and _names(originals[b], gained):
            continue
        close.append((a, b, cosine))
        pieces += [lost, gained]
    if not close:
        return Meaning((), whole)
    read = embed(pieces)
    apart = (read[0::2] * read[1::2]).sum(axis=1)
    found = []
    for (a, b, cosine), piece in zip(close, apart.tolist(), strict=True):
        if cosine + piece >= bound:
            one, other = sorted((numbers[a], numbers[b]))
            found.append(Pair(one, other, "meaning", round(min(max((cosine + piece) / 2, 0.0), 1.0), 3)))
    return Meaning(tuple(sorted(found)), whole)


def _names(text: str, words: str) -> bool:
    """Whether a name stands among these words of the text: capitalised within a sentence that is no headline."""
    spoken = re.findall(r"[^\W\d_]+", text)
    if sum(word[:1].isupper() for word in spoken) > _TITLE * len(spoken):
        return False
    names = {name.casefold() for name in _NAME.findall(text)}
    return any(word in names for word in words.split())


def _least(vectors: NDArray[np.float32], rng: np.random.Generator) -> float:
    a, b = rng.integers(0, len(vectors), size=(2, _RANDOM))
    chance = (vectors[a[a != b]] * vectors[b[a != b]]).sum(axis=1)
    return float(min(max(_WHOLE, np.quantile(chance, 0.9999)), 0.95)) if len(vectors) >= _CELL else _WHOLE


def _neighbours(vectors: NDArray[np.float32], floor: float, rng: np.random.Generator) -> list[tuple[int, int, float]]:
    """(a, b, cosine) with a < b, for each text its twelve nearest of at least `floor`; sorted."""
    n = len(vectors)
    cells = [np.arange(n)] if n <= EXACT_UP_TO else _cells(vectors, rng)
    found: dict[tuple[int, int], float] = {}
    for cell in cells:
        own = vectors[cell]
        for start in range(0, len(cell), _BLOCK):
            cosines = own[start : start + _BLOCK] @ own.T  # (block, cell)
            rows = np.arange(len(cosines))
            cosines[rows, rows + start] = -1.0
            most = min(_NEIGHBOURS, cosines.shape[1])
            top = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
            values = np.take_along_axis(cosines, top, axis=1)
            for row, column in np.argwhere(values >= floor).tolist():
                a, b = sorted((int(cell[start + row]), int(cell[top[row, column]])))
                found[a, b] = float(values[row, column])
    return [(a, b, cosine) for (a, b), cosine in sorted(found.items())]


def _cells(vectors: NDArray[np.float32], rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Overlapping cells: each text with its two nearest of some sampled texts."""
    centres = vectors[np.sort(rng.choice(len(vectors), size=len(vectors) // _CELL * 2, replace=False))]
    nearest = np.concatenate(
        [
            np.argpartition(-(vectors[start : start + _BLOCK] @ centres.T), 1, axis=1)[:, :2]
            for start in range(0, len(vectors), _BLOCK)
        ]
    )
    return [np.flatnonzero((nearest == cell).any(axis=1)) for cell in range(len(centres))]
