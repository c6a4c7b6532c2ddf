"""Pairs of texts that say the same in other words, by sentence vectors.

Nearest neighbours are measured exactly up to 50,000 different texts (blocked matrix products), beyond that within
cells around sampled texts. Two thresholds, both read from the table itself:

* the whole texts must be as close as copies made of this table's own texts by one misspelling (the tenth percentile),
  and closer than all but one in ten thousand random pairs;
* the words that differ must be closer than words that stand in the same place elsewhere in the table (19 in 20 of
  those): "with apple pay" and "with google pay" are close as wholes, but "apple" and "google" are only neighbours.

What this does not see: texts whose meaning turns on one word that the encoder does not tell apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.duplicates import normalise
from tunesmith.data.near import Near, Pair
from tunesmith.data.wording import differing, says_otherwise

if TYPE_CHECKING:
    from numpy.typing import NDArray

Embed = Callable[[Sequence[str]], "NDArray[np.float32]"]

EXACT_UP_TO = 50_000
_BLOCK = 1024
_CELL = 5_000
_NEIGHBOURS = 12
_MADE = 200  # texts that thresholds are read from
_RANDOM = 50_000
_FEWEST = 20  # made texts below which a threshold says nothing
_SHORTEST = 3  # words; shorter texts have too little to say


@dataclass(frozen=True)
class Meaning:
    """pairs: numbers as in `Near.exact`. whole, words: the two thresholds (cosines), None where none could be read."""

    pairs: tuple[Pair, ...]
    whole: float | None
    words: float | None
    how: str


def meaning_pairs(texts: Sequence[str], near: Near, embed: Embed, *, seed: int = 0) -> Meaning:
    """Pairs among the different texts of `near` that are close in meaning and not in `near.pairs` already.

    embed: texts -> (n, width) float32 unit vectors. Pairs that differ in a number, a negation or another turning word
    are left out, however close.
    """
    first: dict[int, int] = {}
    for at, number in enumerate(near.exact.tolist()):
        first.setdefault(number, at)
    numbers = [n for n, at in first.items() if len(normalise(texts[at]).split()) >= _SHORTEST]
    originals = [texts[first[n]] for n in numbers]
    keys = [normalise(text) for text in originals]
    rng = np.random.default_rng(seed)
    made = _exchanged(keys, rng)
    if len(made) < _FEWEST:
        return Meaning(
            (), None, None, f"not measured: {len(keys):,} texts share too few places to read thresholds from"
        )
    vectors = embed(originals)
    whole = _whole_threshold(originals, vectors, embed, rng)
    pieces = embed([word for pair in made for word in pair])
    words = float(np.quantile((pieces[0::2] * pieces[1::2]).sum(axis=1), 0.95))
    known = {(pair.one, pair.other) for pair in near.pairs}
    close = []
    for a, b, cosine in _neighbours(vectors, whole, rng):
        one, other = sorted((numbers[a], numbers[b]))
        if (one, other) in known or says_otherwise(keys[a], keys[b]):
            continue
        close.append((one, other, a, b, cosine))
    parts = [differing(keys[a], keys[b]) for _, _, a, b, _ in close]
    kept = [at for at, (lost, gained) in enumerate(parts) if lost and gained]
    pieces = embed([piece for at in kept for piece in parts[at]]) if kept else np.zeros((0, 1), np.float32)
    agree = (pieces[0::2] * pieces[1::2]).sum(axis=1)
    found = sorted(
        Pair(close[at][0], close[at][1], "meaning", round(float(min(close[at][4], 1.0)), 3))
        for at, cosine in zip(kept, agree.tolist(), strict=True)
        if cosine >= words
    )
    how = f"cosine of at least {whole:.2f}, of the differing words {words:.2f}; both read from this table"
    return Meaning(tuple(found), whole, words, how)


def _exchanged(keys: Sequence[str], rng: np.random.Generator) -> list[tuple[str, str]]:
    """Pairs of words that stand between the same neighbours in two texts, at most one per place."""
    places: dict[tuple[str, str], set[str]] = defaultdict(set)
    for key in keys:
        words = ["", *key.split(), ""]
        for at in range(1, len(words) - 1):
            if len(words[at]) >= 4:
                places[words[at - 1], words[at + 1]].add(words[at])
    chosen = sorted((place, sorted(words)) for place, words in places.items() if len(words) > 1)
    picked = rng.permutation(len(chosen))[:_MADE]
    out = []
    for at in picked.tolist():
        words = chosen[at][1]
        a, b = rng.choice(len(words), size=2, replace=False)
        out.append((words[int(a)], words[int(b)]))
    return out


def _whole_threshold(
    texts: Sequence[str], vectors: NDArray[np.float32], embed: Embed, rng: np.random.Generator
) -> float:
    n = len(texts)
    a, b = rng.integers(0, n, size=(2, _RANDOM))
    chance = (vectors[a[a != b]] * vectors[b[a != b]]).sum(axis=1)
    picked = rng.permutation(n)[:_MADE]
    copies = embed([_misspelt(texts[int(at)], rng) for at in picked])
    like = (vectors[picked] * copies).sum(axis=1)
    return float(max(np.quantile(chance, 0.9999), np.quantile(like, 0.1)))


def _misspelt(text: str, rng: np.random.Generator) -> str:
    """The text with two neighbouring letters of its longest word changed over."""
    words = text.split()
    at = max(range(len(words)), key=lambda i: len(words[i]))
    word = words[at]
    if len(word) < 3:
        return text
    cut = int(rng.integers(1, len(word) - 1))
    words[at] = word[:cut] + word[cut + 1] + word[cut] + word[cut + 2 :]
    return " ".join(words)


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
