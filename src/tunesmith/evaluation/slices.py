"""Parts of the data on which a system does worse than on the rest: looked for on some rows, tested on others.

Candidates are found where looking costs nothing (answers to dev, or one half of the test) among lengths, labels, slice
columns, words and pairs of them, and texts whose vectors lie together. The few worst are then tested on rows that had
no part in the search, so that the p-values and intervals mean what they say however many were looked through.
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
# Texts that scored badly around which neighbours are looked at, and how many of these, as shares of all.
_CENTRES, _SHARES = 150, (0.03, 0.06, 0.12)
# Of what there are thousands, the strongest few: chance alone makes some of them strong.
_MOST_OF = {"contains": 5, "texts about": 3}


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
class Candidate:
    """A part that may be weak. inside: of the rows looked through. picks: its rows of any Sample.

    strength: standard errors below the rest.
    """

    slice: str
    value: str
    inside: NDArray[np.bool_]
    picks: Callable[[Sample], NDArray[np.bool_]]
    strength: float


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
    chosen = candidates(seen, fresh, seed=seed)
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


def candidates(seen: Sample, fresh: Sample, *, seed: int = 0) -> list[Candidate]:
    """What will be tested: parts of `seen` that lie two standard errors below the rest.

    The strongest that are no copies of a stronger one and have rows enough in `fresh`; at most 12.
    """
    found = [*_by_length(seen), *_by_column(seen), *_by_word(seen), *_by_neighbourhood(seen, seed=seed)]
    made = []
    for name, value, inside, picks in found:
        strength = _below(seen.values, inside)
        if strength >= _WORTH_TESTING:
            made.append(Candidate(name, value, inside, picks, strength))
    chosen: list[Candidate] = []
    for candidate in sorted(made, key=lambda c: (-c.strength, c.slice, c.value)):
        if len(chosen) == TESTED:
            break
        if sum(c.slice == candidate.slice for c in chosen) >= _MOST_OF.get(candidate.slice, TESTED):
            continue
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


def _by_neighbourhood(seen: Sample, *, seed: int) -> list[_Part]:
    """The texts nearest to one that scored badly, as 3, 6 and 12 % of all, named by the words commoner in them."""
    n = len(seen.texts)
    bad = np.flatnonzero(seen.values < seen.values.mean())
    if seen.vectors is None or not bad.size or n < 2 * _FEWEST_FOUND:
        return []
    centres = np.sort(np.random.default_rng([seed, 47]).permutation(bad)[:_CENTRES])
    grams = [set(words(text)[:_WORDS_READ]) for text in seen.texts]
    everywhere = Counter(word for some in grams for word in some)
    made: list[_Part] = []
    for centre in seen.vectors[centres]:
        like = seen.vectors @ centre
        best: tuple[float, float] | None = None
        for share in _SHARES:
            least = float(np.sort(like)[-max(_FEWEST_FOUND, round(share * n))])
            strength = _below(seen.values, like >= least)
            if strength >= _WORTH_TESTING and (best is None or strength > best[0]):
                best = strength, least
        if best is None:
            continue
        picks = _near(centre, best[1])
        inside = picks(seen)
        here = Counter(word for some, is_in in zip(grams, inside, strict=True) if is_in for word in some)
        size = int(inside.sum())
        telling = sorted(here, key=lambda w: (-(here[w] / size - everywhere[w] / n), w))[:4]
        made.append(("texts about", ", ".join(telling) or "the same", inside, picks))
    return made


def _near(centre: NDArray[np.float32], least: float) -> Callable[[Sample], NDArray[np.bool_]]:
    def picks(sample: Sample) -> NDArray[np.bool_]:
        if sample.vectors is None:
            return np.zeros(len(sample.values), dtype=bool)
        return np.asarray(sample.vectors @ centre >= least)

    return picks
