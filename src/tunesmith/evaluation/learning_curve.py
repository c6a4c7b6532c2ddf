"""How a score grows with rows, and what more rows would bring: a power law through nested subsets.

s(n) = a - b n^-c with b >= 0, 0.1 <= c <= 1.5 and a at most 1 (Hestness et al. 2017, section 2; Viering & Loog 2023 for
how often it holds). It knows nothing of models: it is given scores. What it extrapolates to holds for more rows *of the
same kind*.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EXPONENTS = np.linspace(0.1, 1.5, 29)
_BOOTSTRAPS = 500
_FEWEST_SIZES = 3
_TRIED = 3  # sizes at which the law is tried on what is known
# No curve of a few sizes is known more exactly than this; keeps an interval where all orders happen to agree.
_LEAST_SPREAD = 0.002


@dataclass(frozen=True)
class Forecast:
    """What `rows` train rows are expected to score. gain: over the fitted score of the rows there are."""

    rows: int
    score: float
    interval: tuple[float, float]
    gain: float
    gain_interval: tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """Scores at nested sizes and the power laws that fit them.

    sizes: (m,) increasing; scores: (orders, m), each row one order of the rows. laws: (bootstraps, 3) of a, b, c;
    noise: standard deviation of a score at the largest size, from the luck of the rows. miss: by how much the law has
    missed on what is known, per doubling of the rows.
    """

    sizes: NDArray[np.int64]
    scores: NDArray[np.float64]
    laws: NDArray[np.float64]
    noise: float
    miss: float = 0.0

    def at(self, rows: int) -> NDArray[np.float64]:
        """(bootstraps,) expected score after training on so many rows."""
        a, b, c = self.laws.T
        return np.asarray(np.clip(a - b * rows**-c, 0.0, 1.0), dtype=np.float64)

    def forecast(self, rows: int, *, confidence: float = 0.95) -> Forecast:
        """Score and gain at `rows`; the interval is of the score that one training on such rows would have."""
        tail = (1 - confidence) / 2
        now, then = self.at(int(self.sizes[-1])), self.at(rows)
        rng = np.random.default_rng(0)
        luck = rng.normal(size=len(then)) * self.noise * math.sqrt(self.sizes[-1] / rows)
        astray = rng.normal(size=len(then)) * self.miss * abs(math.log2(rows / self.sizes[-1]))
        low, high = np.quantile(np.clip(then + luck + astray, 0.0, 1.0), [tail, 1 - tail])
        gain = then - now
        least, most = np.quantile(gain + astray, [tail, 1 - tail])
        middle = float(np.median(then))
        return Forecast(
            rows, middle, (float(min(low, middle)), float(max(high, middle))), float(np.median(gain)),
            (float(least), float(most)),
        )  # fmt: skip


def subset_sizes(n: int, *, least: int) -> list[int]:
    """Sizes of nested subsets: n, n/2, n/4 ... with steps of the square root of 2, none below `least`, at most nine."""
    sizes: list[int] = []
    for halvings in range(9):
        size = round(n / math.sqrt(2) ** halvings)
        if size < least and len(sizes) >= _FEWEST_SIZES:
            break
        sizes.append(max(size, 2))
    return sorted(set(sizes))


def fit_curve(sizes: Sequence[int], scores: NDArray[np.float64], *, seed: int = 0) -> Curve | None:
    """The power laws of bootstrap samples of the orders; None for fewer than three sizes or one order.

    scores: (orders, m). At the largest size all orders train on the same rows and agree: how far that one score may lie
    from its expectation is taken from the spread at half the size. (A subset of half the rows, drawn without
    replacement, spreads by sqrt(1/2) of what fresh rows would; a score at twice the rows by sqrt(1/2) again. The two
    factors cancel.) The noise enters each bootstrap sample. By how much laws through smaller sizes have missed the
    last three sizes widens every forecast with its doublings: without it, intervals held in 73 % of 60 tries.
    """
    n = np.asarray(sizes, dtype=np.int64)
    s = np.asarray(scores, dtype=np.float64)
    orders = len(s)
    if len(n) < _FEWEST_SIZES or orders < 2:
        return None
    half = int(np.argmin(np.abs(n - n[-1] / 2)))
    noise = max(_LEAST_SPREAD, float(s[:, half].std(ddof=1)))
    rng = np.random.default_rng([seed, 23])
    drawn = s[rng.integers(0, orders, (_BOOTSTRAPS, orders))].mean(axis=1)  # (bootstraps, m)
    # What all orders share: they are drawn from one table, and the larger the subset the more they share.
    shared = noise * np.sqrt(n / n[-1])
    drawn = drawn + rng.normal(size=drawn.shape) * shared
    spread = np.maximum(s.std(axis=0, ddof=1) / math.sqrt(orders), _LEAST_SPREAD) ** 2 + shared**2
    return Curve(n, s, _fitted(n, drawn, 1.0 / spread), noise, _miss(n, s.mean(axis=0), 1.0 / spread))


def _miss(n: NDArray[np.int64], means: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Root mean square of what laws through smaller sizes missed at twice their largest; 0 where none can be tried.

    A score that does not follow a power law (a label that is only now being learnt) shows itself here.
    """
    found = []
    for end in range(len(n) - 1, -1, -1):
        known = n <= n[end] / 2 * 1.05
        if known.sum() < _FEWEST_SIZES:
            break
        a, b, c = _fitted(n[known], means[None, known], weights[known])[0]
        found.append(float(means[end] - (a - b * float(n[end]) ** -c)))
        if len(found) == _TRIED:
            break
    return math.sqrt(sum(miss**2 for miss in found) / len(found)) if found else 0.0


def _fitted(n: NDArray[np.int64], drawn: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(bootstraps, 3): for each row of `drawn` the a, b, c with the least weighted squared error."""
    w = weights / weights.sum()
    best = np.full(len(drawn), np.inf)
    found = np.zeros((len(drawn), 3))
    means = drawn @ w
    for c in _EXPONENTS:
        x = n.astype(np.float64) ** -c
        centre = x @ w
        b = -((drawn - means[:, None]) * w) @ (x - centre) / ((x - centre) ** 2 @ w)
        b = np.maximum(b, 0.0)
        a = means + b * centre
        over = a > 1.0  # no score is above 1: the line is then held there
        b = np.where(over, np.maximum(((1.0 - drawn) * w) @ x / (x**2 @ w), 0.0), b)
        a = np.minimum(a, 1.0)
        error = ((drawn - a[:, None] + b[:, None] * x) ** 2) @ w
        better = error < best
        best = np.where(better, error, best)
        found[better] = np.column_stack([a, b, np.full(len(drawn), c)])[better]
    return found
