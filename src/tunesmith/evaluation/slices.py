"""Parts of the data on which a system does worse than on the rest: looked for on some rows, tested on others.

Candidates are found where looking costs nothing (answers to dev, or one half of the test) among lengths, labels, slice
columns, words and neighbours, and clusters of vectors. The few worst are then tested on rows that had no part in the
search, so that the p-values and intervals mean what they say however many were looked through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core import statistics as st
from tunesmith.tasks.metrics import words

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Fewer rows say nothing; a longer list is not read, and each more makes the tests of all weaker.
_FEWEST_ROWS, _FEWEST_FOUND = 10, 15
TESTED = 12
# Standard errors that a candidate must lie below the rest where it is looked for.
_WORTH_TESTING = 2.0
_SAME = 0.6  # overlap (Jaccard) above which two candidates are one
_WORDS_READ = 150
_ROWS_PER_CLUSTER, _MOST_CLUSTERS = 60, 24


@dataclass(frozen=True)
class Sample:
    """Answers with their row scores. All of length n.

    values: one metric, more is better. labels: the true ones, () for text tasks. columns: slice columns.
    vectors: (n, d) of the texts, or None.
    """

    texts: Sequence[str]
    values: NDArray[np.float64]
    labels: Sequence[str] = ()
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    vectors: NDArray[np.float32] | None = None

    def take(self, at: NDArray[np.integer]) -> Sample:
        """Some rows."""
        return Sample(
            [self.texts[int(i)] for i in at],
            self.values[at],
            [self.labels[int(i)] for i in at] if self.labels else (),
            {name: [column[int(i)] for i in at] for name, column in self.columns.items()},
            None if self.vectors is None else self.vectors[at],
        )


@dataclass(frozen=True)
class SliceScore:
    """One part, tested. score: mean of `metric` in it; rest: outside it. p: that both are the same.

    interval: simultaneous 95 % over all that were tested. found, found_n: score and rows where it was looked for.
    """

    slice: str
    value: str
    n: int
    metric: str
    score: float
    interval: tuple[float, float]
    rest: float
    p_value: float
    p_adjusted: float = 1.0
    found: float | None = None
    found_n: int = 0


@dataclass(frozen=True)
class _Candidate:
    slice: str
    value: str
    inside: NDArray[np.bool_]  # of the rows that were looked through
    picks: Callable[[Sample], NDArray[np.bool_]]
    strength: float  # standard errors below the rest


def halves(sample: Sample, *, seed: int) -> tuple[Sample, Sample]:
    """Two random halves, to look in one and to test on the other."""
    order = np.random.default_rng([seed, 31]).permutation(len(sample.values))
    middle = len(order) // 2
    return sample.take(np.sort(order[:middle])), sample.take(np.sort(order[middle:]))


def weak_slices(seen: Sample, fresh: Sample, *, metric: str, seed: int = 0) -> list[SliceScore]:
    """Parts that scored worse than the rest on `seen`, tested on `fresh`; the surely worse first, at most 12.

    Those that turn out no worse on `fresh` are left out of the list, but were counted: p is adjusted by Holm, the
    intervals by Bonferroni, over all that were tested. Fisher's exact test for right or wrong, else permutation.
    """
    if not len(seen.values) or not len(fresh.values):
        return []
    chosen = _distinct(_candidates(seen, seed=seed), fresh)
    is_share = bool(np.isin(fresh.values, (0.0, 1.0)).all())
    confidence = 1.0 - 0.05 / max(1, len(chosen))
    made = []
    for candidate in chosen:
        inside = candidate.picks(fresh)
        within, outside = fresh.values[inside], fresh.values[~inside]
        n = len(within)
        if is_share:
            interval = st.wilson(float(within.sum()), n, confidence=confidence)
            p = st.fisher(int(within.sum()), n, int(outside.sum()), len(outside))
        else:
            interval = st.bootstrap_mean(within, seed=seed, confidence=confidence)
            p = st.permute_groups(fresh.values, inside, seed=seed)
        there = seen.values[candidate.inside]
        made.append(SliceScore(
            candidate.slice, candidate.value, n, metric, float(within.mean()), interval, float(outside.mean()), p,
            found=float(there.mean()), found_n=len(there),
        ))  # fmt: skip
    adjusted = st.holm([part.p_value for part in made])
    made = [replace(part, p_adjusted=p) for part, p in zip(made, adjusted, strict=True)]
    lower = [part for part in made if part.score < part.rest]
    return sorted(lower, key=lambda part: (part.p_adjusted >= 0.05, part.score, part.slice, part.value))


def _candidates(seen: Sample, *, seed: int) -> list[_Candidate]:
    """All parts of `seen` that lie two standard errors below the rest."""
    found = [*_by_length(seen), *_by_column(seen), *_by_word(seen), *_by_cluster(seen, seed=seed)]
    made = []
    for name, value, inside, picks in found:
        strength = _below(seen.values, inside)
        if strength >= _WORTH_TESTING:
            made.append(_Candidate(name, value, inside, picks, strength))
    return made


def _distinct(candidates: Sequence[_Candidate], fresh: Sample) -> list[_Candidate]:
    """The strongest that are no copies of a stronger one and have rows enough to be tested; at most 12."""
    chosen: list[_Candidate] = []
    for candidate in sorted(candidates, key=lambda c: (-c.strength, c.slice, c.value)):
        if len(chosen) == TESTED:
            break
        if any(_overlap(candidate.inside, other.inside) > _SAME for other in chosen):
            continue
        n = int(candidate.picks(fresh).sum())
        if _FEWEST_ROWS <= n < len(fresh.values):
            chosen.append(candidate)
    return chosen


def _below(values: NDArray[np.float64], inside: NDArray[np.bool_]) -> float:
    """How many standard errors the mean inside lies below the mean outside; 0 where there are too few rows."""
    n, n_out = int(inside.sum()), int((~inside).sum())
    if n < _FEWEST_FOUND or n_out < _FEWEST_FOUND:
        return 0.0
    spread = float(values.var()) * (1 / n + 1 / n_out)
    return float((values[~inside].mean() - values[inside].mean()) / np.sqrt(spread)) if spread > 0 else 0.0


def _overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


_Part = tuple[str, str, "NDArray[np.bool_]", Callable[[Sample], "NDArray[np.bool_]"]]


def _by_length(seen: Sample) -> list[_Part]:
    """The thirds by number of words, cut where `seen` cuts them."""
    low, high = (int(np.quantile(_counts(seen), q, method="higher")) for q in (1 / 3, 2 / 3))

    def part(least: int, most: float) -> Callable[[Sample], NDArray[np.bool_]]:
        return lambda s: (_counts(s) > least) & (_counts(s) <= most)

    named = (
        (f"up to {low} words", part(-1, low)),
        (f"{low + 1} to {high} words", part(low, high)),
        (f"more than {high} words", part(high, np.inf)),
    )
    return [("length", name, picks(seen), picks) for name, picks in named]


def _counts(sample: Sample) -> NDArray[np.int64]:
    return np.array([len(text.split()) for text in sample.texts], dtype=np.int64)


def _by_column(seen: Sample) -> list[_Part]:
    """Every label and every value of a slice column that is not empty."""

    def equal(column: str, value: str) -> Callable[[Sample], NDArray[np.bool_]]:
        def picks(sample: Sample) -> NDArray[np.bool_]:
            cells = sample.labels if column == "" else sample.columns.get(column, [""] * len(sample.values))
            return np.array([cell == value for cell in cells], dtype=bool)

        return picks

    made: list[_Part] = []
    for column, cells in (("", seen.labels), *seen.columns.items()):
        for value, n in sorted(Counter(cells).items()):
            if value and n >= _FEWEST_FOUND:
                picks = equal(column, value)
                made.append((column or "label", value, picks(seen), picks))
    return made


def _by_word(seen: Sample) -> list[_Part]:
    """Every word, and every two that follow each other, of enough texts but not of most."""
    where: dict[str, list[int]] = {}
    for at, text in enumerate(seen.texts):
        for gram in _grams(text):
            where.setdefault(gram, []).append(at)
    n = len(seen.texts)
    made: list[_Part] = []
    for gram, rows in sorted(where.items()):
        if not _FEWEST_FOUND <= len(rows) <= n // 2:
            continue
        inside = np.zeros(n, dtype=bool)
        inside[rows] = True
        made.append(("contains", gram, inside, _containing(gram)))
    return made


def _containing(gram: str) -> Callable[[Sample], NDArray[np.bool_]]:
    return lambda sample: np.array([gram in _grams(text) for text in sample.texts], dtype=bool)


def _grams(text: str) -> set[str]:
    found = words(text)[:_WORDS_READ]
    return {*found, *(f"{a} {b}" for a, b in pairwise(found))}


def _by_cluster(seen: Sample, *, seed: int) -> list[_Part]:
    """Groups of texts that lie together, named by the words that are commoner in them than elsewhere."""
    k = min(_MOST_CLUSTERS, len(seen.texts) // _ROWS_PER_CLUSTER)
    if seen.vectors is None or k < 2:
        return []
    from sklearn.cluster import KMeans

    centres = KMeans(k, n_init=1, max_iter=30, random_state=seed).fit(seen.vectors).cluster_centers_

    def nearest(which: int) -> Callable[[Sample], NDArray[np.bool_]]:
        def picks(sample: Sample) -> NDArray[np.bool_]:
            if sample.vectors is None:
                return np.zeros(len(sample.values), dtype=bool)
            apart = -2.0 * sample.vectors @ centres.T + (centres**2).sum(axis=1)
            return np.asarray(apart.argmin(axis=1) == which)

        return picks

    grams = [set(words(text)[:_WORDS_READ]) for text in seen.texts]
    everywhere = Counter(word for some in grams for word in some)
    made: list[_Part] = []
    for which in range(k):
        picks = nearest(which)
        inside = picks(seen)
        here = Counter(word for some, is_in in zip(grams, inside, strict=True) if is_in for word in some)
        n = max(1, int(inside.sum()))
        telling = sorted(here, key=lambda w: (-(here[w] / n - everywhere[w] / len(grams)), w))[:4]
        made.append(("texts about", ", ".join(telling) or f"group {which + 1}", inside, picks))
    return made
