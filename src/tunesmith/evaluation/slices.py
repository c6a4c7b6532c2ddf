"""Parts of the test on which a system does worse than on the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core import statistics as st

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Fewer rows say nothing; a longer list is not read.
_FEWEST_ROWS = 10
_SHOWN = 12


@dataclass(frozen=True)
class SliceScore:
    """One part of the test. score: mean of `metric` in it; rest: outside it. p: that both are the same."""

    slice: str
    value: str
    n: int
    metric: str
    score: float
    interval: tuple[float, float]
    rest: float
    p_value: float
    p_adjusted: float = 1.0


def worst_slices(
    values: NDArray[np.float64],
    *,
    metric: str,
    texts: Sequence[str],
    labels: Sequence[str] = (),
    columns: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
) -> list[SliceScore]:
    """The parts that score lower than the rest, worst first; at most 12.

    values: (n,) one metric's row scores, more is better. texts: inputs, cut into thirds by their length in
    words. labels: true labels (() for text tasks). columns: the Dataset's slice columns. All of length n.
    The p-values (Fisher's exact test for right or wrong, else permutation) are adjusted by Holm over every part
    that was looked at, shown or not.
    """
    parts = {"length": _lengths(texts), **({"label": labels} if labels else {}), **(columns or {})}
    is_share = bool(np.isin(values, (0.0, 1.0)).all())
    found: list[SliceScore] = []
    for name, members in parts.items():
        given = np.array(members, dtype=object)
        for value in sorted(set(members)):
            inside = given == value
            n = int(inside.sum())
            if value == "" or n < _FEWEST_ROWS or n == len(values):
                continue
            within, outside = values[inside], values[~inside]
            if is_share:
                interval = st.wilson(float(within.sum()), n)
                p = st.fisher(int(within.sum()), n, int(outside.sum()), len(outside))
            else:
                interval = st.bootstrap_mean(within, seed=seed)
                p = st.permute_groups(values, inside, seed=seed)
            found.append(SliceScore(name, value, n, metric, float(within.mean()), interval, float(outside.mean()), p))
    adjusted = st.holm([part.p_value for part in found])
    found = [replace(part, p_adjusted=p) for part, p in zip(found, adjusted, strict=True)]
    lower = [part for part in found if part.score < part.rest]
    # A part that is surely worse comes before one that may be worse by chance.
    return sorted(lower, key=lambda part: (part.p_adjusted >= 0.05, part.score, part.slice, part.value))[:_SHOWN]


def _lengths(texts: Sequence[str]) -> list[str]:
    """Which third of the test, by words, each text lies in."""
    counts = np.array([len(text.split()) for text in texts])
    low, high = (int(np.quantile(counts, q, method="higher")) for q in (1 / 3, 2 / 3)) if len(counts) else (0, 0)
    names = (f"up to {low} words", f"{low + 1} to {high} words", f"more than {high} words")
    return [names[0] if c <= low else names[1] if c <= high else names[2] for c in counts]
