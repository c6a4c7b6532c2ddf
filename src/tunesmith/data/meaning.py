"""Pairs of texts that say the same in other words, by sentence vectors.

Two texts that share most of their words are close as wholes even if they say two things ("with apple pay", "with google
pay"). So the words that differ are compared as well: where they stand, for there synonyms are told from opposites, and
read by themselves, for the more words differ, the more the place is all that they have in common. The cosine of the
wholes and that of what differs must together reach a bound. Pairs that differ in a number, a negation, a
name, or a word of one set (data/opposites.py) are left out, however close.

Nearest neighbours are measured exactly up to 50,000 different texts (blocked matrix products), beyond that within
cells around sampled texts.

What this does not see: opposites and siblings that the list lacks, and texts whose meaning turns on who does what.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.duplicates import normalise
from tunesmith.data.near import Near, Pair
from tunesmith.data.opposites import opposed
from tunesmith.data.wording import differing, says_otherwise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.models.encoder import Span

Embed = Callable[[Sequence[str]], "NDArray[np.float32]"]
InPlace = Callable[[Sequence[str], "Sequence[Span]"], "NDArray[np.float32]"]

EXACT_UP_TO = 50_000
# Cosine of the wholes plus cosine of what differs. On 351 exchanges of synonyms, 308 of opposites and 1,771 other
# changes in three tables (the words of benchmarks/data/synonyms.py that are for developing): finds 94 % of the first,
# leaves 99 % of the others alone; 1.40 finds 95 % and leaves 96 to 97 % alone.
BOUND = 1.5
# Share of a text's words that differ up to which they are compared in their places, and from which by themselves.
_FEW, _MOST = 0.3, 0.8
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


@dataclass(frozen=True)
class Reader:
    """How texts are read. embed: texts -> (n, width) float32 unit vectors of whole texts.

    in_place: texts and spans of their words -> the same of each span.
    """

    embed: Embed
    in_place: InPlace


def meaning_pairs(texts: Sequence[str], near: Near, reader: Reader, *, bound: float = BOUND, seed: int = 0) -> Meaning:
    """Pairs among the different texts of `near` that are close in meaning and not in `near.pairs` already.

    A pair's score is the mean of its two cosines. The wholes must besides be closer than all but one in ten thousand
    random pairs of the table.
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
    vectors = reader.embed(originals)
    whole = _least(vectors, rng)
    known = {(pair.one, pair.other) for pair in near.pairs}
    small = _mostly_small(originals)
    close: list[tuple[int, int, float]] = []
    spans: list[Span] = []
    pieces: list[str] = []
    shares: list[float] = []
    for a, b, cosine in _neighbours(vectors, whole, rng):
        if tuple(sorted((numbers[a], numbers[b]))) in known or says_otherwise(keys[a], keys[b]):
            continue
        lost, gained = differing(keys[a], keys[b])
        if not lost or not gained or opposed(lost.split(), gained.split()):
            continue
        if _names(originals[a], lost, small) and _names(originals[b], gained, small):
            continue
        close.append((a, b, cosine))
        left, right = _apart(keys[a], keys[b])
        spans += [(a, left), (b, right)]
        pieces += [lost, gained]
        shares.append(max(len(left) / len(keys[a].split()), len(right) / len(keys[b].split())))
    if not close:
        return Meaning((), whole)
    placed, alone = ((v[0::2] * v[1::2]).sum(axis=1) for v in (reader.in_place(keys, spans), reader.embed(pieces)))
    away = np.clip((np.array(shares) - _FEW) / (_MOST - _FEW), 0.0, 1.0)
    apart = (1 - away) * placed + away * alone
    found = []
    for (a, b, cosine), piece in zip(close, apart.tolist(), strict=True):
        if cosine + piece >= bound:
            one, other = sorted((numbers[a], numbers[b]))
            found.append(Pair(one, other, "meaning", round(min(max((cosine + piece) / 2, 0.0), 1.0), 3)))
    return Meaning(tuple(sorted(found)), whole)


def _apart(one: str, other: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Characters, as (from, to), of the words that the two do not have in common, in their order."""
    places = [[word.span() for word in re.finditer(r"\S+", text)] for text in (one, other)]
    found: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
    for kind, a, b, c, d in SequenceMatcher(None, one.split(), other.split(), autojunk=False).get_opcodes():
        if kind != "equal":
            found[0].extend(places[0][a:b])
            found[1].extend(places[1][c:d])
    return found


def _mostly_small(texts: Sequence[str]) -> set[str]:
    """Words that these texts write small at least as often as not: where they are capitalised, they are no names."""
    seen = Counter(word for text in texts for word in re.findall(r"[^\W\d_]+", text))
    return {word for word, n in seen.items() if word.islower() and n >= seen[word.capitalize()]}


def _names(text: str, words: str, small: set[str]) -> bool:
    """Whether a name stands among these words of the text: capitalised within a sentence, and not mostly small."""
    spoken = re.findall(r"[^\W\d_]+", text)
    if sum(word[:1].isupper() for word in spoken) > _TITLE * len(spoken):
        return False
    names = {name.casefold() for name in _NAME.findall(text)}
    return any(word in names and word not in small for word in words.split())


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
