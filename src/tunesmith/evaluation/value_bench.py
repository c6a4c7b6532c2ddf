"""Trains the cheap probe on parts of the train rows, to see what the parts are worth. Nothing is dropped here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core import statistics as st
from tunesmith.core.dataset import Dataset
from tunesmith.evaluation.arms import Replay
from tunesmith.evaluation.dense_probe import left_out_margins
from tunesmith.evaluation.effects import ALPHA, WORTHWHILE, Effect, effect, judged, score_interval
from tunesmith.evaluation.learning_curve import Curve, fit_curve
from tunesmith.evaluation.shapley import knn_shapley
from tunesmith.evaluation.trainers import ProbeTrainer

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
THE_SHARE = 0.3
DRAWS, ORDERS, HALVINGS = 10, 8, 3
_FEWEST_OF_SLICE = 5
_MOST_SLICES = 40
# How rows can be ranked; the lowest go first. Which way suits a table is tried on train rows alone.
RANKINGS = {
    "harm": "rows whose neighbours have other labels go first (KNN-Shapley)",
    "ease": "rows that the others answer most surely right go first",
    "certainty": "rows that the others answer most surely, right or wrong, go first",
}


@dataclass(frozen=True)
class Removal:
    """The lowest-valued share of the train rows taken out. Scores are macro-F1 on dev.

    against_random: minus the same share at random, mean of several draws. against_all: minus all rows, over training
    draws too. random: mean score of the random draws.
    """

    share: float
    score: float
    interval: tuple[float, float]
    random: float
    random_interval: tuple[float, float]
    against_random: Effect
    against_all: Effect

    @property
    def can_go(self) -> bool:
        """Whether a loss of a point or more can be ruled out."""
        return self.against_all.interval[0] > -WORTHWHILE


@dataclass(frozen=True)
class Slice:
    """A label, or a value of a slice column. score: F1 of a label, accuracy of a slice, on its dev rows, with interval.

    halved: what half of its train rows less would cost it (negative: worse), with interval and p after Holm.
    lacks: it scores below the rest, and more rows still pay.
    """

    name: str
    of: str
    train: int
    dev: int
    score: float
    interval: tuple[float, float]
    halved: float
    halved_interval: tuple[float, float]
    p_adjusted: float
    lacks: bool


def slices_of(
    data: Dataset, replay: Replay, targets: Sequence[str]
) -> list[tuple[str, str, NDArray[np.bool_], NDArray[np.bool_]]]:
    """(name, of what, which train rows, which judged rows) of labels and slices that both have enough rows of."""
    dev_ids = data.rows("dev", blind=True).ids.tolist()
    at = {row: i for i, row in enumerate(dev_ids)}
    judged_at = [at[row] for row in replay.judged.tolist()]
    found = [("label", np.array(targets), np.array(replay.truth))]
    dev_slices = data.slices("dev")
    for name, values in data.slices("train").items():
        found.append((name, np.array(values), np.array(dev_slices[name])[judged_at]))
    made = []
    for of, here, there in found:
        for name in np.unique(here):
            train, dev = here == name, there == name
            if train.sum() >= 4 and dev.sum() >= _FEWEST_OF_SLICE and name:
                made.append((str(name), of, train, dev))
    made.sort(key=lambda one: (one[1] != "label", int(one[2].sum())))
    return made[:_MOST_SLICES]


class Bench:
    """Trains the probe on parts of the rows; everything by position among train rows and judged rows."""

    def __init__(
        self,
        trainer: ProbeTrainer,
        at: NDArray[np.int64],
        codes: NDArray[np.int64],
        ask: NDArray[np.int64],
        truth: NDArray[np.int64],
        seed: int,
    ) -> None:
        self.trainer, self.at, self.codes, self.ask, self.truth, self.seed = trainer, at, codes, ask, truth, seed
        self.classes = len(trainer.names)
        self.tick: Callable[[int], None] = lambda _: None
        self._full: NDArray[np.int64] | None = None

    def full(self) -> NDArray[np.int64]:
        """The answers after training on all rows, computed once."""
        if self._full is None:
            self._full = self.answers(np.arange(len(self.at)))
        return self._full

    def answers(self, rows: NDArray[np.int64], weights: NDArray[np.float64] | None = None) -> NDArray[np.int64]:
        self.tick(1)
        return self.trainer.probe.answers(self.at[rows], self.codes[rows], self.ask, weights=weights)

    def values(self, ranking: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) what these train rows are worth to each other, by one of RANKINGS."""
        vectors, codes = self.trainer.probe.vectors[self.at[rows]], self.codes[rows]
        if ranking == "harm":
            return knn_shapley(vectors, codes, seed=self.seed)
        margins = left_out_margins(vectors, codes, self.classes, ridge=self.trainer.probe.ridge)
        return -margins if ranking == "ease" else -np.abs(margins)

    def suited(self) -> str:
        """The ranking whose lowest 30 % cost least when one half of the train rows is valued and the other judges."""
        halves = np.array_split(np.random.default_rng([self.seed, 47]).permutation(len(self.at)), 2)
        scores = dict.fromkeys(RANKINGS, 0.0)
        for here, there in (halves, halves[::-1]):
            for ranking in RANKINGS:
                kept = here[np.argsort(self.values(ranking, here), kind="stable")[round(THE_SHARE * len(here)) :]]
                said = self.trainer.probe.answers(self.at[kept], self.codes[kept], self.at[there])
                truth, (one,), classes = judged(self.codes[there], [said[None]], self.classes)
                scores[ranking] += st.macro_f1(truth, one[0], classes)
        return max(scores, key=lambda ranking: scores[ranking])

    def removals(self, order: NDArray[np.int64]) -> tuple[Removal, ...]:
        """The removal curve: the first rows of the order against as many at random, and against taking out none."""
        n = len(order)
        rng = np.random.default_rng([self.seed, 37])
        samples = [rng.multinomial(n, np.full(n, 1 / n)).astype(np.float64) for _ in range(DRAWS)]
        everything = np.arange(n)
        whole = np.stack([self.full(), *(self.answers(everything, w) for w in samples)])
        made = []
        for share in SHARES:
            out = round(share * n)
            kept = np.sort(order[out:])
            lean = np.stack([self.answers(kept), *(self.answers(kept, w[kept]) for w in samples)])
            chance = np.stack([self.answers(np.sort(rng.permutation(n)[out:])) for _ in range(DRAWS)])
            same = np.repeat(lean[:1], DRAWS, axis=0)
            score, *limits = score_interval(self.truth, lean[:1], self.classes)
            by_chance, *about = score_interval(self.truth, chance, self.classes)
            made.append(
                Removal(
                    share, score, (limits[0], limits[1]), by_chance, (about[0], about[1]),
                    effect(self.truth, same, chance, self.classes, draws="repeated"),
                    effect(self.truth, lean, whole, self.classes, draws="resampled"),
                )
            )  # fmt: skip
        return tuple(made)

    def slices(self, slices: Sequence[tuple[str, str, NDArray[np.bool_], NDArray[np.bool_]]]) -> tuple[Slice, ...]:
        """Each slice's score and what half of its rows less would cost it; the worst first."""
        full, everything = self.full(), np.arange(len(self.at))
        rng = np.random.default_rng([self.seed, 41])
        overall = float((full == self.truth).mean())
        found = []
        for name, of, train, dev in slices:
            own = np.flatnonzero(train)
            gaps, moves = [], np.zeros(len(self.truth))
            code = self.trainer.names.index(name) if of == "label" else -1
            score, move = self._of(full, dev, code)
            for _ in range(HALVINGS):
                gone = rng.permutation(own)[: len(own) // 2]
                less, after = self._of(self.answers(np.setdiff1d(everything, gone)), dev, code)
                gaps.append(less - score)
                moves += (after - move) / HALVINGS
            m = int(dev.sum())
            drawn = float(np.var(gaps, ddof=1)) / HALVINGS
            error = math.sqrt(float((moves**2).sum()) + drawn + 2.0 / ((m + 2) * m))
            gap = float(np.mean(gaps))
            p = 2 * _normal_tail(abs(gap) / error)
            interval = st.wilson(score * m, m)
            found.append((name, of, len(own), m, score, interval, gap, (gap - 1.96 * error, gap + 1.96 * error), p))
        adjusted = st.holm([one[-1] for one in found])
        made = [
            Slice(*one[:-1], p_adjusted=p, lacks=p < ALPHA and one[6] < 0 and one[4] < overall)
            for one, p in zip(found, adjusted, strict=True)
        ]
        return tuple(sorted(made, key=lambda s: (not s.lacks, s.score)))

    def _of(self, said: NDArray[np.int64], dev: NDArray[np.bool_], code: int) -> tuple[float, NDArray[np.float64]]:
        """(F1 of a label, or accuracy on a slice where code is -1; by how much each judged row moves it)."""
        right = (said == self.truth) & dev
        if code < 0:
            share = float(right.sum() / dev.sum())
            return share, np.where(dev, (right - share) / dev.sum(), 0.0)
        claimed = said == code
        size = claimed.sum() + dev.sum()
        f1 = 2.0 * float(right.sum()) / float(size)
        return f1, (2.0 * right - f1 * (claimed.astype(float) + dev)) / size

    def curve(self, rows: NDArray[np.int64], sizes: Sequence[int], seed: int) -> Curve | None:
        """The learning curve on some rows; the subsets of an order are nested."""
        rng = np.random.default_rng([seed, 43])
        scores = np.zeros((ORDERS, len(sizes)))
        whole: float | None = None
        for order in range(ORDERS):
            shuffled = rng.permutation(rows)
            for at, size in enumerate(sizes):
                if size == len(rows) and whole is not None:
                    self.tick(1)
                    scores[order, at] = whole
                    continue
                said = self.answers(np.sort(shuffled[:size]))
                truth, (one,), classes = judged(self.truth, [said[None]], self.classes)
                scores[order, at] = st.macro_f1(truth, one[0], classes)
                whole = scores[order, at] if size == len(rows) else whole
        return fit_curve(sizes, scores, seed=seed)


def _normal_tail(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))
