"""By how much a random split would have flattered the score, measured on train and dev rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.probe import features, out_of_fold
from tunesmith.data.summary import codes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FOLDS = 5
_ROUNDS = 4
_MOST_ROWS = 2500
_FEWEST_ROWS = 50


def split_inflation(
    texts: Sequence[str], labels: Sequence[str] | None, groups: NDArray[np.int64], *, rng: np.random.Generator
) -> dict[str, Any]:
    """Accuracy of a fixed cheap classifier under random folds less that under folds that keep groups whole.

    Returns {"measured": bool, "sentence"} and, if measured, "difference", "interval" (95 %, bootstrap over
    groups), "random", "grouped" (accuracies) and "n". Positive: a random split would have looked better.
    """
    sizes = np.bincount(np.unique(groups, return_inverse=True)[1].ravel())
    if labels is None:
        return {"measured": False, "sentence": "not measured: the cheap probe only knows labels, not written answers."}
    if not (sizes > 1).any():
        return {
            "measured": False,
            "sentence": "no duplicates: there is nothing that a random split could have flattered.",
        }
    at = _whole_groups(groups, rng)
    if len(at) < _FEWEST_ROWS or len({labels[int(i)] for i in at}) < 2:
        return {"measured": False, "sentence": f"not measured: {len(at)} rows are too few."}
    codes = codes_of([labels[int(i)] for i in at])
    _, number = np.unique(groups[at], return_inverse=True)
    number = number.ravel()
    X = features([texts[int(i)] for i in at])
    foldings = [_folds(units, codes, rng) for _ in range(_ROUNDS) for units in (np.arange(len(at)), number)]
    right = out_of_fold(X, codes, foldings)
    random, grouped = right[0::2].mean(axis=0), right[1::2].mean(axis=0)
    gain = random - grouped
    low, high = _cluster_bootstrap(gain, number, rng)
    difference = float(gain.mean())
    points = f"{100 * difference:+.1f} points (95 % interval {100 * low:+.1f} to {100 * high:+.1f}, {len(at):,} rows)"
    says = (
        "a random split would have flattered" if low > 0 else "it is not shown that a random split would have flattered"
    )
    return {
        "measured": True,
        "difference": round(difference, 4),
        "interval": [round(low, 4), round(high, 4)],
        "random": round(float(random.mean()), 4),
        "grouped": round(float(grouped.mean()), 4),
        "n": len(at),
        "sentence": f"{says} the accuracy of a cheap classifier: {points}.",
    }


def _whole_groups(groups: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions of at most about _MOST_ROWS rows, whole groups at a time."""
    if len(groups) <= _MOST_ROWS:
        return np.arange(len(groups))
    _, number = np.unique(groups, return_inverse=True)
    number = number.ravel()
    rank = rng.permutation(number.max() + 1)
    rows_before = np.zeros(number.max() + 1, dtype=np.int64)
    sizes = np.bincount(number)
    order = np.argsort(rank)
    rows_before[order] = np.cumsum(sizes[order])
    chosen = np.flatnonzero(rows_before[number] <= _MOST_ROWS)
    return chosen if len(chosen) else np.arange(min(len(groups), _MOST_ROWS))


def _folds(units: NDArray[np.int64], codes: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """(n,) fold of each row: units are dealt out in turn, label by label, so that folds are stratified."""
    _, first, number = np.unique(units, return_index=True, return_inverse=True)
    order = rng.permutation(len(first))
    order = order[np.argsort(codes[first][order], kind="stable")]
    fold = np.empty(len(first), dtype=np.int64)
    fold[order] = np.arange(len(first)) % _FOLDS
    return fold[number.ravel()]


def _cluster_bootstrap(
    gain: NDArray[np.float64], number: NDArray[np.int64], rng: np.random.Generator, *, rounds: int = 2000
) -> tuple[float, float]:
    """95 % percentile interval of the mean, groups resampled with replacement."""
    sums, sizes = np.bincount(number, weights=gain), np.bincount(number)
    k = len(sums)
    means = np.empty(rounds)
    for at in range(rounds):
        drawn = rng.integers(0, k, size=k)
        means[at] = sums[drawn].sum() / sizes[drawn].sum()
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
