"""Whether a setting is better than the default, on dev rows that chose it and over seeds that did not.

    made = gain(theirs, ours, among=every_explored_setting, baseline=default, seed=0)
    made.low > 0        the gain is detectable

Two things make a gain look larger than it is. The seed: both settings are trained anew with seeds that chose
nothing, and what the gain varies by over them is part of its error. The choosing: the best of many settings on the
same rows leads by luck too. Its gain is therefore held against what the largest of as many gains exceeds by luck in
one of twenty draws of the rows (Westfall & Young 1993, the single-step maxT), never less than Student's t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import t as student

from tunesmith.core.statistics import macro_f1_of_draws
from tunesmith.training.dev_scores import Scored

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DRAWS = 400
_LEVEL = 0.95


@dataclass(frozen=True)
class Gain:
    """What a setting brings over the default, in units of the leading metric.

    value, low, high: mean over seeds, with its 95 % interval. error: its standard error, of rows and seeds together.
    seeds: how many. spread: standard deviation of one setting's score over seeds (root mean square of both).
    critical: standard errors from value to either end; 1.96 if neither seeds nor choosing cost anything.
    """

    value: float
    low: float
    high: float
    error: float
    seeds: int
    spread: float
    critical: float


def gain(
    default: Sequence[Scored], other: Sequence[Scored], *, among: Sequence[Scored], baseline: Scored, seed: int
) -> Gain:
    """default, other: the same seeds in the same order, at least two, all on the same dev rows.

    among: every setting that was explored to its end, by its one run. baseline: the default's run beside them.
    """
    assert len(default) == len(other) >= 2
    n = len(baseline.rows)
    at = np.random.default_rng([seed, 41]).integers(0, n, (_DRAWS, n))
    by_seed = np.array([b.lead - a.lead for a, b in zip(default, other, strict=True)])
    drawn = np.mean([draws_of(b, at) - draws_of(a, at) for a, b in zip(default, other, strict=True)], axis=0)
    of_rows, of_seeds = float(drawn.var()), float(by_seed.var(ddof=1)) / len(by_seed)
    error = float(np.sqrt(of_rows + of_seeds))
    if error == 0.0:
        return Gain(float(by_seed.mean()), float(by_seed.mean()), float(by_seed.mean()), 0.0, len(by_seed), 0.0, 1.96)
    freedom = (len(by_seed) - 1) * (error**2 / of_seeds) ** 2 if of_seeds > 0 else np.inf  # Welch, Satterthwaite
    critical = float(student.ppf(0.5 + _LEVEL / 2, freedom)) * luck_of_the_best(among, baseline, at)
    value = float(by_seed.mean())
    spread = np.mean([np.var([s.lead for s in some], ddof=1) for some in (default, other)])
    reach = critical * error
    return Gain(value, value - reach, value + reach, error, len(by_seed), float(np.sqrt(spread)), critical)


def luck_of_the_best(among: Sequence[Scored], baseline: Scored, at: NDArray[np.int64]) -> float:
    """How much wider an interval must be because its setting was the best of several; 1 for one alone.

    at: (draws, n) row positions.
    """
    if len(among) < 2:
        return 1.0
    base = draws_of(baseline, at)
    off = np.stack([draws_of(s, at) - base - (s.lead - baseline.lead) for s in among])  # (settings, draws)
    error = off.std(axis=1, keepdims=True)
    worst = np.where(error > 0, np.abs(off) / np.where(error > 0, error, 1.0), 0.0).max(axis=0)
    return max(1.0, float(np.quantile(worst, _LEVEL)) / 1.96)


def error_of(default: Scored, other: Scored, *, seed: int) -> float:
    """Standard error of the difference of two runs on the same rows: rows alone."""
    n = len(default.rows)
    at = np.random.default_rng([seed, 43]).integers(0, n, (_DRAWS, n))
    return float((draws_of(other, at) - draws_of(default, at)).std())


def draws_of(seen: Scored, at: NDArray[np.int64]) -> NDArray[np.float64]:
    """(draws,) the leading metric of draws of rows; at: (draws, n) positions."""
    values = seen.row_leads
    if values is not None:
        made: NDArray[np.float64] = values[at].mean(axis=1)
        return made
    if seen.job.task.leads != "macro_f1":
        return np.nan_to_num(np.array([seen.whole(rows) for rows in at], dtype=np.float64))
    truth, said = seen.codes
    return macro_f1_of_draws(truth, said, len(seen.job.labels), at)
