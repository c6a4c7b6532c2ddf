"""Intervals, paired tests and power, with numpy alone. No room owns a second copy.

Two systems that answered the same rows are compared *paired*: what counts is where they differ. All
functions are deterministic in their `seed`. Classes are integer codes 0..k-1; -1 stands for "no answer"
and agrees with nothing.

    proportions   wilson, clopper_pearson, binomial_at_most, binomial_two_sided, mcnemar, proportion_difference, fisher
    means         sign_flip, bootstrap_mean, permute_groups
    macro-F1      macro_f1, permute_macro_f1, bootstrap_macro_f1, bootstrap_macro_f1_difference
    any ratio of sums over rows    permute_sums, bootstrap_sums
    families      holm
    power         detectable, required_n, discordant_sd
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Interval = tuple[float, float]
# Floating-point sums in another order differ in the last digits; such a tie must count as a tie.
_TIE = 1e-12
# Elements of the largest temporary array; keeps memory near 100 MB whatever n and the number of draws.
_CHUNK = 4_000_000
_NORMAL = NormalDist()


# ---------------------------------------------------------------- proportions


def binomial_two_sided(successes: int, trials: int, p: float = 0.5) -> float:
    """Exact two-sided binomial test: the probability of all outcomes no likelier than the one seen.

    trials 0 gives 1. Source: Sterne's method, as in R's binom.test.
    """
    if trials == 0:
        return 1.0
    logs = _log_binomial(trials, p)
    # Equal probabilities that differ by rounding must both count.
    return float(min(1.0, np.exp(logs[logs <= logs[successes] + 1e-7]).sum()))


def mcnemar(a_right: ArrayLike, b_right: ArrayLike) -> float:
    """Exact McNemar test that two systems are right equally often on the same rows; two-sided p.

    a_right, b_right: (n,) booleans. p = min(1, 2 P(X <= min(b, c))), X ~ Binomial(b + c, 1/2), with b and c
    the rows that only one of them has right. No such row: 1.
    """
    b, c = discordant(a_right, b_right)
    return mcnemar_counts(b, c)


def mcnemar_counts(only_a: int, only_b: int) -> float:
    """Exact McNemar from the two discordant counts."""
    total = only_a + only_b
    if total == 0:
        return 1.0
    return float(min(1.0, 2.0 * np.exp(_log_binomial(total, 0.5)[: min(only_a, only_b) + 1]).sum()))


def discordant(a_right: ArrayLike, b_right: ArrayLike) -> tuple[int, int]:
    """Rows that only a has right, and rows that only b has right."""
    a, b = np.asarray(a_right, dtype=bool), np.asarray(b_right, dtype=bool)
    assert a.shape == b.shape, (a.shape, b.shape)
    return int((a & ~b).sum()), int((b & ~a).sum())


def wilson(successes: float, n: int, *, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a proportion; n 0 gives (0, 1). Source: Wilson 1927, without correction."""
    if n == 0:
        return 0.0, 1.0
    z = _z(confidence)
    share = successes / n
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if successes == 0 else (middle - half) / scale
    high = 1.0 if successes == n else (middle + half) / scale
    return max(0.0, low), min(1.0, high)


def binomial_at_most(k: int, n: int, p: float) -> float:
    """P(X <= k) of X ~ Binomial(n, p), exact; n 0 gives 1."""
    if k >= n or p <= 0.0:
        return 1.0
    if k < 0 or p >= 1.0:
        return 0.0
    return float(min(1.0, np.exp(_log_binomial(n, p, most=k)).sum()))


def clopper_pearson(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Exact interval of a proportion: it covers at least so often, whatever the proportion; n 0 gives (0, 1).

    Source: Clopper & Pearson 1934; each limit leaves (1 - confidence) / 2 beyond it, found by bisection.
    """
    tail = (1 - confidence) / 2

    def limit(holds: Callable[[float], bool]) -> float:
        low, high = 0.0, 1.0
        for _ in range(50):  # 2^-50 is below the last digit that anybody reads
            middle = (low + high) / 2
            low, high = (middle, high) if holds(middle) else (low, middle)
        return (low + high) / 2

    least = 0.0 if successes == 0 else limit(lambda p: 1 - binomial_at_most(successes - 1, n, p) < tail)
    most = 1.0 if successes >= n else limit(lambda p: binomial_at_most(successes, n, p) > tail)
    return least, most


def proportion_difference(only_a: int, only_b: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Interval of the difference (a minus b) of two paired proportions from the discordant counts.

    Wald's with one row added to each discordant cell, so that it has a width even where nothing differs.
    Source: Bonett & Price 2012, eq. 7.
    """
    if n == 0:
        return -1.0, 1.0
    p, q = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    half = _z(confidence) * math.sqrt(max(0.0, p + q - (p - q) ** 2) / (n + 2))
    return max(-1.0, p - q - half), min(1.0, p - q + half)


def fisher(in_hits: int, in_n: int, out_hits: int, out_n: int) -> float:
    """Fisher's exact test that two groups of rows have the same share of hits; two-sided p.

    The hits are taken as given, and all splits of them no likelier than the one seen are added up.
    """
    n, hits = in_n + out_n, in_hits + out_hits
    if in_n == 0 or out_n == 0 or hits in (0, n):
        return 1.0
    logs = _log_factorials(1 << max(4, n.bit_length()))
    k = np.arange(max(0, hits - out_n), min(in_n, hits) + 1)
    log_p = (
        (logs[in_n] - logs[k] - logs[in_n - k])
        + (logs[out_n] - logs[hits - k] - logs[out_n - hits + k])
        - (logs[n] - logs[hits] - logs[n - hits])
    )
    return float(min(1.0, np.exp(log_p[log_p <= log_p[in_hits - k[0]] + 1e-7]).sum()))


# ---------------------------------------------------------------- means over rows


def sign_flip(
    differences: ArrayLike,
    *,
    permutations: int = 10_000,
    seed: int = 0,
    alternative: Literal["two-sided", "greater"] = "two-sided",
) -> float:
    """Paired permutation test that differences are symmetric about 0 (each keeps or flips its sign).

    differences: (n,) a minus b. Up to 14 nonzero differences are enumerated in full (exact); beyond, Monte
    Carlo with the +1 correction of Phipson & Smyth 2010: p = (1 + #{as extreme}) / (1 + permutations), so p
    is never 0 and the test never rejects too often.
    alternative: "greater" asks whether a is above b.
    """
    d = np.asarray(differences, dtype=np.float64)
    d = d[d != 0]
    if d.size == 0:
        return 1.0
    scale = float(np.abs(d).sum())
    seen = float(d.sum()) if alternative == "greater" else abs(float(d.sum()))
    if d.size <= 14:
        signs = 1.0 - 2.0 * ((np.arange(2**d.size)[:, None] >> np.arange(d.size)) & 1)
        sums = signs @ d
        extreme = sums if alternative == "greater" else np.abs(sums)
        return float((extreme >= seen - _TIE * scale).mean())
    rng = np.random.default_rng(seed)
    hits = 0
    for draws in _chunks(permutations, d.size):
        # The sum after flipping a random set: total - 2 * (sum of the flipped ones).
        sums = d.sum() - 2.0 * (_coins(rng, draws, d.size) @ d)
        extreme = sums if alternative == "greater" else np.abs(sums)
        hits += int((extreme >= seen - _TIE * scale).sum())
    return (1 + hits) / (1 + permutations)


def bootstrap_mean(
    values: ArrayLike,
    *,
    resamples: int = 2_000,
    seed: int = 0,
    confidence: float = 0.95,
    method: Literal["bca", "percentile"] = "bca",
) -> Interval:
    """Bootstrap interval of a mean over rows (or of a mean paired difference).

    values: (n,). One row or none, or all equal: the interval is that value and says nothing about the spread.
    Source of BCa: Efron 1987; acceleration from the jackknife.
    """
    v = np.asarray(values, dtype=np.float64)
    if v.size == 0:
        return math.nan, math.nan
    mean = float(v.mean())
    if v.size == 1 or np.ptp(v) == 0:
        return mean, mean
    rng = np.random.default_rng(seed)
    means = np.concatenate(
        [v[rng.integers(0, v.size, (draws, v.size))].mean(axis=1) for draws in _chunks(resamples, v.size)]
    )
    jackknife = (v.sum() - v) / (v.size - 1)
    return _bootstrap_interval(means, mean, jackknife, np.ones(v.size), confidence, method)


def permute_groups(values: ArrayLike, inside: ArrayLike, *, permutations: int = 2_000, seed: int = 0) -> float:
    """Permutation test that the rows inside a group have the mean of those outside; two-sided p, +1 correction.

    values: (n,). inside: (n,) booleans. A group of all rows or of none gives 1.
    """
    v, mask = np.asarray(values, dtype=np.float64), np.asarray(inside, dtype=bool)
    n, size = v.size, int(mask.sum())
    if size in (0, n):
        return 1.0
    seen = abs(float(v[mask].mean() - v.mean()))
    rng = np.random.default_rng(seed)
    hits = 0
    for draws in _chunks(permutations, n):
        drawn = np.argpartition(rng.random((draws, n)), size - 1, axis=1)[:, :size]
        hits += int((np.abs(v[drawn].mean(axis=1) - v.mean()) >= seen - _TIE).sum())
    return (1 + hits) / (1 + permutations)


# ---------------------------------------------------------------- macro-F1


def macro_f1(references: ArrayLike, predictions: ArrayLike, classes: int) -> float:
    """Mean F1 over the classes that occur in the references; NaN without references.

    F1_c = 2 TP_c / (predicted_c + true_c). A class that only the predictions name has no F1 of its own: it
    costs recall where it was said.
    """
    r, p = _codes(references), _codes(predictions)
    k = max(classes, 1)
    true = np.bincount(r, minlength=k)
    said = np.bincount(p[p >= 0], minlength=k)
    hit = np.bincount(r[r == p], minlength=k)
    return float(_macro(hit[None], said[None], true[None])[0])


def macro_f1_of_draws(
    references: ArrayLike, predictions: ArrayLike, classes: int, at: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(draws,) macro-F1 of rows drawn again and again; at: (draws, n) positions."""
    r, p, k = _codes(references), _codes(predictions), max(classes, 1)
    first = np.arange(len(at))[:, None] * k

    def counted(codes: NDArray[np.int64], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
        drawn = kept[at]
        return np.bincount((first + codes[at])[drawn], minlength=len(at) * k).reshape(len(at), k)

    return _macro(counted(r, r == p), counted(p, p >= 0), counted(r, r >= 0))


def permute_macro_f1(
    references: ArrayLike, a: ArrayLike, b: ArrayLike, classes: int, *, permutations: int = 10_000, seed: int = 0
) -> float:
    """Paired permutation test that two systems have the same macro-F1; two-sided p.

    references, a, b: (n,) class codes. Under the hypothesis the two answers of a row could have come from
    either system, so each row's pair is swapped with probability 1/2 and the difference computed anew.
    Rows with the same (reference, a, b) form one cell, and the number of its swaps is binomial: the work
    grows with the cells, not the rows. +1 correction as in `sign_flip`.
    """
    cells = _Cells.of(references, a, b, classes)
    differ = cells.a != cells.b
    if not differ.any():
        return 1.0
    k = max(classes, 1)
    true = np.bincount(cells.reference, cells.count, minlength=k)
    hit_a, said_a = cells.totals(cells.a, cells.count)
    hit_b, said_b = cells.totals(cells.b, cells.count)
    seen = abs(float((_macro(hit_a, said_a, true[None]) - _macro(hit_b, said_b, true[None]))[0]))
    count = cells.count[differ]
    # What one swap in a cell moves from a to b, per class: (cells, k) each.
    move_hit = (cells.hits(cells.b) - cells.hits(cells.a))[differ]
    move_said = (cells.says(cells.b) - cells.says(cells.a))[differ]
    touched = (move_hit != 0).any(axis=0) | (move_said != 0).any(axis=0)  # F1 of other classes stays as it is
    present = np.flatnonzero(touched & (true > 0))
    if present.size == 0:
        return 1.0
    move_hit, move_said, total = move_hit[:, present], move_said[:, present], true[present]
    rng = np.random.default_rng(seed)
    classes_present = int((true > 0).sum())
    hits = 0
    for draws in _chunks(permutations, max(count.size, 4 * present.size)):
        swaps = _swaps(rng, count, draws)
        hit, said = swaps @ move_hit, swaps @ move_said
        f_a = 2 * (hit_a[:, present] + hit) / (said_a[:, present] + said + total)
        f_b = 2 * (hit_b[:, present] - hit) / (said_b[:, present] - said + total)
        difference = np.abs((f_a - f_b).sum(axis=1)) / classes_present
        hits += int((difference >= seen - 1e-9).sum())
    return (1 + hits) / (1 + permutations)


def bootstrap_macro_f1(
    references: ArrayLike,
    predictions: ArrayLike,
    classes: int,
    *,
    resamples: int = 2_000,
    seed: int = 0,
    confidence: float = 0.95,
    method: Literal["bca", "percentile"] = "bca",
) -> Interval:
    """Bootstrap interval of one system's macro-F1 (rows resampled; a class absent from a draw is left out of it)."""
    cells = _Cells.of(references, predictions, predictions, classes)
    return _bootstrap_cells(cells, resamples, seed, confidence, method, paired=False)[0]


def bootstrap_macro_f1_difference(
    references: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    classes: int,
    *,
    resamples: int = 2_000,
    seed: int = 0,
    confidence: float = 0.95,
    method: Literal["bca", "percentile"] = "bca",
) -> tuple[Interval, float]:
    """Bootstrap interval of macro-F1 of a minus that of b on the same rows, and its standard error."""
    cells = _Cells.of(references, a, b, classes)
    return _bootstrap_cells(cells, resamples, seed, confidence, method, paired=True)


# ---------------------------------------------------------------- scores of sums


def permute_sums(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    score: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    permutations: int = 10_000,
    seed: int = 0,
) -> float:
    """Paired permutation test that two systems have the same score, where a score is a function of sums over rows.

    a, b: (n, m) counts per row of the two systems. score: (draws, m) sums to (draws,) scores. Each row's pair of counts
    is swapped with probability 1/2. Two-sided p, +1 correction as in `sign_flip`.
    """
    move = b - a
    move = move[(move != 0).any(axis=1)]
    if not len(move):
        return 1.0
    total_a, total_b = a.sum(axis=0)[None], b.sum(axis=0)[None]
    seen = abs(float((score(total_a) - score(total_b))[0]))
    rng = np.random.default_rng(seed)
    hits = 0
    for draws in _chunks(permutations, max(move.shape)):
        moved = _coins(rng, draws, len(move)) @ move
        hits += int((np.abs(score(total_a + moved) - score(total_b - moved)) >= seen - 1e-9).sum())
    return (1 + hits) / (1 + permutations)


def bootstrap_sums(
    counts: Sequence[NDArray[np.float64]],
    score: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    resamples: int = 2_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[Interval, float]:
    """BCa interval and standard error of one system's score, or of the first one's minus the second's.

    counts: one or two arrays (n, m) of counts per row; rows are resampled. score: as in `permute_sums`.
    """
    n = len(counts[0])
    if n == 0:
        return (math.nan, math.nan), math.nan

    def statistic(sums: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        scores = [score(part) for part in sums]
        return scores[0] - scores[1] if len(scores) == 2 else scores[0]

    totals = [part.sum(axis=0)[None] for part in counts]
    value = float(statistic(totals)[0])
    rng = np.random.default_rng(seed)
    drawn = []
    for size in _chunks(resamples, max(n, counts[0].shape[1])):
        weights = rng.multinomial(n, np.full(n, 1.0 / n), size).astype(np.float64)
        drawn.append(statistic([weights @ part for part in counts]))
    draws = np.concatenate(drawn)
    error = float(draws.std(ddof=1))
    if n == 1 or np.ptp(draws) == 0:
        return (value, value), error
    jackknife = statistic([total - part for total, part in zip(totals, counts, strict=True)])
    return _bootstrap_interval(draws, value, jackknife, np.ones(n), confidence, "bca"), error


# ---------------------------------------------------------------- families and power


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values over a family; rejecting those below 0.05 keeps the chance of any false one at 5 %.

    Source: Holm 1979, step-down, in the order given.
    """
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=lambda i: (p_values[i], i))):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = running
    return adjusted


def detectable(sd: float, n: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true paired difference that a two-sided test at `alpha` finds with probability `power`.

    sd: standard deviation of one row's paired difference. delta = (z_{1-alpha/2} + z_power) sd / sqrt(n).
    """
    return math.inf if n == 0 else (_NORMAL.inv_cdf(1 - alpha / 2) + _NORMAL.inv_cdf(power)) * sd / math.sqrt(n)


def required_n(sd: float, difference: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """How many rows a paired comparison needs to find `difference`; the inverse of `detectable`, rounded up."""
    assert difference > 0
    z = _NORMAL.inv_cdf(1 - alpha / 2) + _NORMAL.inv_cdf(power)
    return max(1, math.ceil((z * sd / difference) ** 2))


def discordant_sd(only_a: int, only_b: int, n: int) -> float:
    """Standard deviation of one row's difference in being right, from the share of rows where they differ.

    One row is added to each side (as in `proportion_difference`), so that few rows without a disagreement
    are not taken for proof that there is none.
    """
    return math.sqrt((only_a + only_b + 2) / (n + 2))


def paired_sd(differences: ArrayLike) -> float:
    """Standard deviation of one row's paired difference of a metric between 0 and 1.

    Two made-up rows that differ by +-1/2 are added, for the same reason as in `discordant_sd`.
    """
    d = np.asarray(differences, dtype=np.float64)
    centred = float(((d - d.mean()) ** 2).sum()) if d.size else 0.0
    return math.sqrt((centred + 0.5) / (d.size + 2))


# ---------------------------------------------------------------- inside


@dataclass(frozen=True)
class _Cells:
    """Rows with equal (reference, a, b), counted. All arrays of length m."""

    reference: NDArray[np.int64]
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    count: NDArray[np.int64]
    classes: int

    @classmethod
    def of(cls, references: ArrayLike, a: ArrayLike, b: ArrayLike, classes: int) -> _Cells:
        r, x, y = _codes(references), _codes(a), _codes(b)
        assert r.shape == x.shape == y.shape, (r.shape, x.shape, y.shape)
        k = max(classes, 1)
        code = (r * (k + 1) + x + 1) * (k + 1) + y + 1
        cells, count = np.unique(code, return_counts=True)
        return cls(cells // (k + 1) ** 2, cells // (k + 1) % (k + 1) - 1, cells % (k + 1) - 1, count, k)

    def hits(self, said: NDArray[np.int64]) -> NDArray[np.float64]:
        """(m, k): 1 where a row of the cell is a true positive of the class."""
        out = np.zeros((said.size, self.classes))
        right = np.flatnonzero(said == self.reference)
        out[right, said[right]] = 1.0
        return out

    def says(self, said: NDArray[np.int64]) -> NDArray[np.float64]:
        """(m, k): 1 where a row of the cell is given the class."""
        out = np.zeros((said.size, self.classes))
        answered = np.flatnonzero(said >= 0)
        out[answered, said[answered]] = 1.0
        return out

    def totals(self, said: NDArray[np.int64], count: NDArray[np.integer]) -> tuple[NDArray[Any], NDArray[Any]]:
        """(1, k) true positives and (1, k) predicted."""
        right = said == self.reference
        answered = said >= 0
        return (
            np.bincount(said[right], count[right], minlength=self.classes)[None],
            np.bincount(said[answered], count[answered], minlength=self.classes)[None],
        )


def _macro(hit: NDArray[Any], said: NDArray[Any], true: NDArray[Any]) -> NDArray[np.float64]:
    """(draws,) macro-F1 from (draws, k) counts, over the classes with true > 0."""
    present = true > 0
    f1 = np.where(present, 2.0 * hit / np.maximum(said + true, 1), 0.0)
    with np.errstate(invalid="ignore"):
        return np.asarray(f1.sum(axis=1) / present.sum(axis=1), dtype=np.float64)


def _bootstrap_cells(
    cells: _Cells,
    resamples: int,
    seed: int,
    confidence: float,
    method: Literal["bca", "percentile"],
    *,
    paired: bool,
) -> tuple[Interval, float]:
    """Interval and standard error of macro-F1 (of a, or of a minus b) when rows are resampled."""
    n = int(cells.count.sum())
    if n == 0:
        return (math.nan, math.nan), math.nan
    indicator = np.zeros((cells.count.size, cells.classes))
    indicator[np.arange(cells.count.size), cells.reference] = 1.0
    parts = [(cells.hits(said), cells.says(said)) for said in ((cells.a, cells.b) if paired else (cells.a,))]

    def difference(true: NDArray[Any], counts: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> NDArray[np.float64]:
        scores = [_macro(hit, said, true) for hit, said in counts]
        return np.asarray(scores[0] - scores[1]) if paired else scores[0]

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return difference(weights @ indicator, [(weights @ hit, weights @ says) for hit, says in parts])

    all_rows = cells.count.astype(np.float64)[None]
    value = float(statistic(all_rows)[0])
    rng = np.random.default_rng(seed)
    share = cells.count / n
    draws = np.concatenate(
        [
            statistic(rng.multinomial(n, share, size).astype(np.float64))
            for size in _chunks(resamples, max(cells.count.size, 4 * cells.classes))
        ]
    )
    error = float(draws.std(ddof=1))
    if n == 1 or np.ptp(draws) == 0:
        return (value, value), error
    # Leaving out one row of a cell takes that row's counts from the totals.
    jackknife = difference(
        all_rows @ indicator - indicator, [(all_rows @ hit - hit, all_rows @ says - says) for hit, says in parts]
    )
    return _bootstrap_interval(draws, value, jackknife, cells.count, confidence, method), error


def _bootstrap_interval(
    draws: NDArray[np.float64],
    value: float,
    jackknife: NDArray[np.float64],
    weights: NDArray[np.integer] | NDArray[np.floating],
    confidence: float,
    method: Literal["bca", "percentile"],
) -> Interval:
    """Percentile or BCa limits; `weights` says how many rows each jackknife value stands for."""
    tail = (1 - confidence) / 2
    low, high = tail, 1 - tail
    if method == "bca":
        below = float((draws < value).mean() + 0.5 * (draws == value).mean())
        if 0 < below < 1:
            keep = np.isfinite(jackknife)
            centre = np.average(jackknife[keep], weights=weights[keep])
            lack = centre - jackknife[keep]
            spread = float((weights[keep] * lack**2).sum())
            a = float((weights[keep] * lack**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
            z0 = _NORMAL.inv_cdf(below)
            low, high = (_bca_level(z0, a, _NORMAL.inv_cdf(level)) for level in (low, high))
    limits = np.quantile(draws, [low, high])
    return float(limits[0]), float(limits[1])


def _bca_level(z0: float, a: float, z: float) -> float:
    bottom = 1 - a * (z0 + z)
    return _NORMAL.cdf(z0 + (z0 + z) / bottom) if bottom > 0 else float(z > 0)


def _swaps(rng: np.random.Generator, count: NDArray[np.integer], draws: int) -> NDArray[np.float64]:
    """(draws, cells) how many rows of each cell are swapped: Binomial(count, 1/2)."""
    out = np.empty((draws, count.size))
    single = count == 1
    if single.any():
        out[:, single] = _coins(rng, draws, int(single.sum()))
    if not single.all():
        out[:, ~single] = rng.binomial(count[~single], 0.5, (draws, int((~single).sum())))
    return out


def _coins(rng: np.random.Generator, draws: int, n: int) -> NDArray[np.float64]:
    """(draws, n) of 0 and 1, one random bit each."""
    width = -(-n // 8)
    noise = np.frombuffer(rng.bytes(draws * width), dtype=np.uint8).reshape(draws, width)
    return np.unpackbits(noise, axis=1, count=n).astype(np.float64)


def _chunks(total: int, width: int) -> list[int]:
    """Sizes that add up to `total`, each times `width` at most _CHUNK (but at least 1)."""
    size = max(1, _CHUNK // max(1, width))
    full, rest = divmod(total, size)
    return [size] * full + ([rest] if rest else [])


def _codes(values: ArrayLike) -> NDArray[np.int64]:
    return np.asarray(values, dtype=np.int64)


def _z(confidence: float) -> float:
    return _NORMAL.inv_cdf(0.5 + confidence / 2)


@lru_cache(maxsize=4)
def _log_factorials(size: int) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, size + 1, dtype=np.float64)))])


def _log_binomial(n: int, p: float, *, most: int | None = None) -> NDArray[np.float64]:
    """(n + 1,) log probabilities of 0..n successes, or of 0..most."""
    assert 0 < p < 1
    logs = _log_factorials(1 << max(4, n.bit_length()))
    k = np.arange((n if most is None else most) + 1)
    return np.asarray(logs[n] - logs[k] - logs[n - k] + k * math.log(p) + (n - k) * math.log1p(-p), dtype=np.float64)
