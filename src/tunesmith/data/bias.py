"""Whom a table serves worse: gaps between slices, predictions that hang on gender, slices with few rows.

All is read from a cheap probe (linear, on TF-IDF) that never saw the row it judges: what a linear model cannot learn
of a slice here, a tuned one has to learn against the data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.statistics import Interval, fisher, holm, wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FOLDS = 5
_FEWEST = 20  # rows of a slice that its errors are counted on
_MOST_VALUES = 50  # values of one slice column; more are no groups but identifiers
_PAIRS = (
    "he she", "him her", "his her", "himself herself", "man woman", "men women", "boy girl", "boys girls",
    "father mother", "dad mum", "son daughter", "brother sister", "husband wife", "uncle aunt", "mr mrs", "sir madam",
    "male female", "gentleman lady", "king queen", "actor actress", "waiter waitress", "nephew niece",
    "john mary", "james anna", "robert susan", "michael linda", "david karen", "peter julia", "thomas sarah",
)  # fmt: skip
_SWAPS = {a: b for pair in _PAIRS for a, b in (pair.split(), pair.split()[::-1])}
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Gap:
    """A slice with more errors than the rest.

    errors, elsewhere: shares of rows that the probe gets wrong; interval: Wilson's, of `errors`.
    p: Fisher's exact test, by Holm over all slices tested.
    """

    column: str
    value: str
    rows: int
    errors: float
    interval: Interval
    elsewhere: float
    p: float


@dataclass(frozen=True)
class Swapped:
    """What exchanging gendered words did. at: positions of texts that have some; changed: of those whose prediction
    changed. share: of changed among them, with its interval; None where no text has such a word."""

    at: NDArray[np.int64]
    changed: NDArray[np.int64]
    share: Interval | None


def errors_and_swaps(
    texts: Sequence[str], codes: NDArray[np.int64], groups: NDArray[np.int64], *, seed: int = 0
) -> tuple[NDArray[np.bool_], Swapped]:
    """((n,) whether a probe that saw no row of the group gets each text wrong, what swaps of gender change).

    Rows with equal `groups` stay in one fold. Raises ValueError for fewer than two classes.
    """
    from sklearn.linear_model import RidgeClassifier

    from tunesmith.data.probe import features

    if len(np.unique(codes)) < 2:
        raise ValueError("one class only")
    turned = [swap_gender(text) for text in texts]
    at = np.flatnonzero([a != b for a, b in zip(texts, turned, strict=True)])
    # Both readings are weighed by the same document frequencies.
    X = features([*texts, *(turned[i] for i in at.tolist())])
    X = X[:, np.unique(X[: len(texts)].indices)]
    own, other = X[: len(texts)], X[len(texts) :]
    _, place = np.unique(groups, return_inverse=True)
    folds = np.random.default_rng(seed).permutation(place.max() + 1)[place] % _FOLDS
    said = codes.copy()
    said_turned = codes[at].copy()
    for fold in range(_FOLDS):
        held = folds == fold
        if not held.any() or len(np.unique(codes[~held])) < 2:
            continue
        model = RidgeClassifier(alpha=1.0, solver="sparse_cg", random_state=seed).fit(own[~held], codes[~held])
        said[held] = model.predict(own[held])
        mine = folds[at] == fold
        if mine.any():
            said_turned[mine] = model.predict(other[mine])
    changed = at[said[at] != said_turned]
    return said != codes, Swapped(at, changed, wilson(len(changed), len(at)) if len(at) else None)


def swap_gender(text: str) -> str:
    """The text with he for she, Mary for John and the like exchanged both ways, capitals kept."""

    def other(match: re.Match[str]) -> str:
        word = match[0]
        new = _SWAPS.get(word.casefold())
        if new is None:
            return word
        return new.upper() if len(word) > 1 and word.isupper() else new.capitalize() if word[0].isupper() else new

    return _WORD.sub(other, text)


def gaps(wrong: NDArray[np.bool_], slices: Mapping[str, Sequence[str]], *, alpha: float = 0.05) -> list[Gap]:
    """Slices of at least 20 rows with more errors than the rest, by Holm at `alpha` over all that were tested."""
    tested: list[Gap] = []
    for column, values in slices.items():
        names, codes = np.unique(np.asarray(values, dtype=object).astype(str), return_inverse=True)
        if not 2 <= len(names) <= _MOST_VALUES:
            continue
        for code, name in enumerate(names.tolist()):
            inside = codes == code
            n, rest = int(inside.sum()), int((~inside).sum())
            if not name or n < _FEWEST or rest < _FEWEST:
                continue
            hits, others = int(wrong[inside].sum()), int(wrong[~inside].sum())
            p = fisher(hits, n, others, rest)
            tested.append(Gap(column, name, n, hits / n, wilson(hits, n), others / rest, p))
    adjusted = holm([gap.p for gap in tested])
    return [
        replace(gap, p=p) for gap, p in zip(tested, adjusted, strict=True) if p <= alpha and gap.errors > gap.elsewhere
    ]


def scarce(slices: Mapping[str, Sequence[str]], *, share: float) -> list[tuple[str, str, int]]:
    """(column, value, rows) of slices with fewer rows than `share` of an equal part."""
    found = []
    for column, values in slices.items():
        names, counts = np.unique(np.asarray(values, dtype=object).astype(str), return_counts=True)
        named = [(name, int(count)) for name, count in zip(names.tolist(), counts.tolist(), strict=True) if name]
        if 2 <= len(named) <= _MOST_VALUES:
            equal = sum(count for _, count in named) / len(named)
            found += [(column, name, count) for name, count in named if count < share * equal]
    return found
