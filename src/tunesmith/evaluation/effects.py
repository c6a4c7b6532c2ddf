"""What a change of the training rows did to a score: a paired difference whose interval knows both kinds of luck.

Two models that answer the same rows differ by chance twice: other rows to judge on, and other rows to train on, would
have given another difference. A test over the judged rows alone takes every difference between two *fitted* models for
an effect of what made them; dropping rows at random then "helps" far more often than its level says. So each arm is
trained again on resampled rows, the same draws in both arms, and the spread of the difference is added.

Classes are integer codes 0..k-1; -1 stands for "no answer". Scores are macro-F1 over the labels with at least five
judged rows, all rarer ones counted as one label: the F1 of a label with one row is 0 or 1, and with twenty labels that
is five points on the toss of a coin, which no interval over rows knows of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tunesmith.core import statistics as st

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALPHA = 0.05
POWER = 0.8
# A gain below one point of the leading metric is not worth anybody's review.
WORTHWHILE = 0.01

FEWEST_OF_LABEL = 5

Claim = Literal["helps", "hurts", "does not help", "cannot be told"]


@dataclass(frozen=True)
class Effect:
    """Score of one arm minus that of the other, on the same rows. Scores and differences are between -1 and 1.

    interval: 95 %, over judged rows and training draws. p_value: two-sided; p_adjusted: after Holm over a family.
    detectable: the smallest true difference that would have been found with probability 0.8 at that level.
    error_rows, error_draws: the two standard errors that the interval is made of.
    """

    difference: float
    interval: tuple[float, float]
    p_value: float
    p_adjusted: float
    detectable: float
    with_: float
    without: float
    n: int
    draws: int
    error_rows: float
    error_draws: float

    @property
    def claim(self) -> Claim:
        """Helps or hurts: p < 0.05 after Holm. Does not help: a gain of one point can be ruled out. Else unknown."""
        if self.p_adjusted < ALPHA and self.difference != 0:
            return "helps" if self.difference > 0 else "hurts"
        return "does not help" if self.interval[1] < WORTHWHILE else "cannot be told"

    def to_dict(self) -> dict[str, Any]:
        """As JSON, the claim included."""
        return {**asdict(self), "interval": list(self.interval), "claim": self.claim}


def effect(
    truth: NDArray[np.int64],
    with_: NDArray[np.int64],
    without: NDArray[np.int64],
    classes: int,
    *,
    draws: Literal["resampled", "repeated"],
) -> Effect:
    """Macro-F1 of one arm minus that of the other.

    truth: (n,). with_, without: (draws, n), draw r of both arms made alike.
    draws: "resampled": the first is the fit on all rows, whose difference is the estimate; the others are fits on
    bootstrap samples of the same rows, and their spread is the error of training. "repeated": independent draws of the
    rows, whose mean is the estimate. One draw: the luck of training is not in the interval.
    Rows: infinitesimal jackknife of macro-F1 (Efron 1982, section 6), with two disagreements that were not seen added,
    as in `statistics.discordant_sd`. The two variances are added; degrees of freedom as Welch-Satterthwaite.
    """
    truth, (with_, without), classes = judged(truth, (with_, without), classes)
    n, times = len(truth), len(with_)
    scores = [np.array([st.macro_f1(truth, said, classes) for said in arm]) for arm in (with_, without)]
    gaps = scores[0] - scores[1]
    used = 1 if draws == "resampled" else times
    moves = np.mean(
        [_row_moves(truth, with_[r], classes) - _row_moves(truth, without[r], classes) for r in range(used)], axis=0
    )
    rows = float((moves**2).sum()) * n / max(1, n - 1)
    told = [float(s[0] if draws == "resampled" else s.mean()) for s in scores]
    return _judged_twice(gaps, rows, n, told, draws=draws)


def mean_effect(
    with_: NDArray[np.float64], without: NDArray[np.float64], *, draws: Literal["resampled", "repeated"]
) -> Effect:
    """The mean of one arm's row scores minus that of the other's, for scores between 0 and 1 of written answers.

    with_, without: (draws, n), draw r of both arms made alike; draws: as for `effect`, and the same two kinds of luck.
    """
    gaps = with_.mean(axis=1) - without.mean(axis=1)
    used = 1 if draws == "resampled" else len(with_)
    moves = (with_[:used] - without[:used]).mean(axis=0)
    n = len(moves)
    rows = float(moves.var(ddof=1)) / n if n > 1 else 0.0
    told = [float(arm[:used].mean()) for arm in (with_, without)]
    return _judged_twice(gaps, rows, n, told, draws=draws)


def _judged_twice(
    gaps: NDArray[np.float64], rows: float, n: int, told: Sequence[float], *, draws: Literal["resampled", "repeated"]
) -> Effect:
    """An Effect of the differences by draw, the variance over judged rows and both arms' scores."""
    from scipy.stats import t as student

    times = len(gaps)
    rows += 2.0 / ((n + 2) * max(n, 1))
    again = gaps[1:] if draws == "resampled" else gaps
    drawn = float(again.var(ddof=1)) / (1 if draws == "resampled" else times) if len(again) > 1 else 0.0
    error = math.sqrt(rows + drawn)
    bottom = rows**2 / max(1, n - 1) + (drawn**2 / (len(again) - 1) if len(again) > 1 else 0.0)
    freedom = (rows + drawn) ** 2 / bottom
    difference = float(gaps[0] if draws == "resampled" else gaps.mean())
    reach = float(student.ppf(1 - ALPHA / 2, freedom)) * error
    p = float(2 * student.sf(abs(difference) / error, freedom))
    return Effect(
        difference, (max(-1.0, difference - reach), min(1.0, difference + reach)), p, p,
        st.detectable(error * math.sqrt(n), n, alpha=ALPHA, power=POWER), told[0], told[1], n, times,
        math.sqrt(rows), math.sqrt(drawn),
    )  # fmt: skip


def family(effects: Sequence[Effect]) -> list[Effect]:
    """The effects with Holm's p-values, and what each can find at the level that Holm leaves it."""
    adjusted = st.holm([e.p_value for e in effects])
    made = []
    for one, p in zip(effects, adjusted, strict=True):
        level = ALPHA / max(1, sum(other.p_value >= one.p_value for other in effects))
        sd = math.hypot(one.error_rows, one.error_draws) * math.sqrt(one.n)
        made.append(replace(one, p_adjusted=p, detectable=st.detectable(sd, one.n, alpha=level, power=POWER)))
    return made


def score_interval(truth: NDArray[np.int64], said: NDArray[np.int64], classes: int) -> tuple[float, float, float]:
    """(mean macro-F1, low, high) of one arm's (draws, n) answers, over judged rows and repeated draws; 95 %."""
    from scipy.stats import t as student

    truth, (said,), classes = judged(truth, (said,), classes)
    scores = np.array([st.macro_f1(truth, one, classes) for one in said])
    moves = np.mean([_row_moves(truth, one, classes) for one in said], axis=0)
    n, times = len(truth), len(said)
    rows = float((moves**2).sum()) * n / max(1, n - 1)
    drawn = float(scores.var(ddof=1)) / times if times > 1 else 0.0
    if rows + drawn == 0:  # every answer right, or wrong: resampling shows no spread, yet n is finite
        return (float(scores.mean()), *st.wilson(float(scores.mean()) * n, n))
    bottom = rows**2 / max(1, n - 1) + (drawn**2 / (times - 1) if times > 1 else 0.0)
    reach = float(student.ppf(1 - ALPHA / 2, (rows + drawn) ** 2 / bottom)) * math.sqrt(rows + drawn)
    mean = float(scores.mean())
    return mean, max(0.0, mean - reach), min(1.0, mean + reach)


def judged(
    truth: NDArray[np.int64], said: Sequence[NDArray[np.int64]], classes: int
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]], int]:
    """The same with rare labels made one: (truth (n',), answers (draws, n') per arm, classes).

    A rare label is answered right only by itself. Where all rare labels together have fewer than five rows, those
    rows are left out, unless nothing would be left.
    """
    counts = np.bincount(truth, minlength=classes)
    rare = counts < FEWEST_OF_LABEL
    if not rare[truth].any():
        return truth, list(said), classes
    if rare[truth].sum() < FEWEST_OF_LABEL:
        keep = ~rare[truth] if not rare[truth].all() else np.ones(len(truth), dtype=bool)
        return truth[keep], [one[:, keep] for one in said], classes
    pooled = np.where(rare[truth], classes, truth)
    made = []
    for one in said:
        seldom = (one >= 0) & rare[np.maximum(one, 0)]
        made.append(np.where(seldom, np.where(one == truth, classes, -1), one))
    return pooled, made, classes + 1


def _row_moves(truth: NDArray[np.int64], said: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """(n,) by how much macro-F1 moves per unit of weight on each row; the values sum to 0.

    F1_c = 2 TP_c / D_c with D_c = said_c + true_c; a row moves TP of its class if right, and D of both its classes.
    """
    k = max(classes, 1)
    true = np.bincount(truth, minlength=k).astype(np.float64)
    answered = said >= 0
    right = said == truth
    total = true + np.bincount(said[answered], minlength=k)
    hits = np.bincount(truth[right], minlength=k)
    present = true > 0
    share = np.where(present, 1.0 / np.maximum(total, 1.0), 0.0) / max(1, int(present.sum()))
    slope = 2.0 * hits * share / np.maximum(total, 1.0)
    moves = 2.0 * right * share[truth] - slope[truth]
    moves[answered] -= slope[said[answered]]
    return np.asarray(moves, dtype=np.float64)
