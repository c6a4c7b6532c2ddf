"""What rows are worth: which of them can go, which labels and slices lack rows, and what more rows would bring.

All of it by the cheap probe, judged on dev rows that took no part in the valuing. Nothing is dropped here.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import DataError
from tunesmith.core.events import Emit, progress
from tunesmith.evaluation.arms import Replay, codes_of
from tunesmith.evaluation.dense_probe import Vectors
from tunesmith.evaluation.effects import score_interval
from tunesmith.evaluation.learning_curve import Curve, Forecast, subset_sizes
from tunesmith.evaluation.trainers import probe_trainer
from tunesmith.evaluation.value_bench import (
    DRAWS,
    HALVINGS,
    ORDERS,
    SHARES,
    THE_SHARE,
    Bench,
    Removal,
    Slice,
    slices_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

MORE = (1.25, 1.5, 2.0, 4.0)
_FEWEST_JUDGED, _FEWEST_TRAINED = 20, 40


@dataclass(frozen=True)
class Check:
    """The curve tried on what is known: from half of the rows, the score of all of them."""

    predicted: float
    interval: tuple[float, float]
    seen: float

    @property
    def held(self) -> bool:
        """Whether the score seen lies in the interval."""
        return self.interval[0] <= self.seen <= self.interval[1]


@dataclass(frozen=True)
class Valuation:
    """ids: of the train rows; values: their KNN-Shapley values, mean 1 (below 0: does harm), in the same order.

    ranking: name of the way by which rows go, see RANKINGS; order: positions of the train rows, first to go first.
    """

    ids: NDArray[np.int64]
    values: NDArray[np.float64]
    ranking: str
    order: NDArray[np.int64]
    score: float
    interval: tuple[float, float]
    removals: tuple[Removal, ...]
    slices: tuple[Slice, ...]
    curve: Curve | None
    forecasts: tuple[Forecast, ...]
    check: Check | None
    judged: int
    trained: str
    seconds: float

    @property
    def spared(self) -> Removal | None:
        """The largest share that can go without costing a point; None if no share can be said to."""
        able = [r for r in self.removals if r.can_go]
        return able[-1] if able else None

    def lines(self, *, label_price: float | None = None) -> list[str]:
        """What to tell, in sentences. label_price: of one more label, in the user's money; None: no money is named."""
        told = [
            f"The cheap probe scores {_span(self.score, self.interval)} macro-F1 with {len(self.ids):,} train rows "
            f"on {self.judged:,} dev rows."
        ]
        told += [self._going(), self._lacking()]
        for f in self.forecasts:
            more = f.rows - len(self.ids)
            money = "" if label_price is None else f", {more * label_price:,.2f} at {label_price:g} a label"
            told.append(
                f"{more:,} more labels{money}: about {100 * f.gain:+.1f} points ({100 * f.gain_interval[0]:.1f} to "
                f"{100 * f.gain_interval[1]:.1f}), a score of {_span(f.score, f.interval)}."
            )
        if self.curve is None:
            told.append("Too few rows for a learning curve: nothing is said of what more labels would bring.")
        if self.check is not None:
            held = "which holds" if self.check.held else "which MISSED it: trust the forecasts above less"
            told.append(
                "Tried on what is known: from half of the rows the curve expected "
                f"{_span(self.check.predicted, self.check.interval)} with all of them, {held} "
                f"({100 * self.check.seen:.1f})."
            )
        return told

    def _going(self) -> str:
        """Which rows can go, and whether choosing them beats chance."""
        at = next(r for r in self.removals if r.share == THE_SHARE)
        e = at.against_random
        chance = f"not shown to be better than {100 * at.share:.0f} % at random ({100 * e.difference:+.1f} points)"
        beats = {
            "helps": f"better than {100 * at.share:.0f} % at random by {100 * e.difference:.1f} points",
            "hurts": f"WORSE than {100 * at.share:.0f} % at random by {-100 * e.difference:.1f} points",
        }.get(e.claim, chance)
        score = f"Without the {100 * at.share:.0f} % that are worth least: {_span(at.score, at.interval)}, {beats}."
        if self.spared is None:
            return f"{score} No share of the rows can be said to go without costing a point."
        return f"{score} {100 * self.spared.share:.0f} % can go: a loss of a point is ruled out."

    def _lacking(self) -> str:
        found = [s for s in self.slices if s.lacks]
        if not found:
            return "No label or slice is shown to lack rows."
        named = (f"{s.of} {s.name} ({s.train:,} rows, scores {100 * s.score:.1f})" for s in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        return f"Rows are lacking in: {', '.join(named)}{more}; half as many would cost them significantly."

    def to_dict(self) -> dict[str, Any]:
        """As JSON, the rows' values left out."""
        return {
            "metric": "macro_f1", "judged": self.judged, "train": len(self.ids), "trained": self.trained,
            "score": self.score, "interval": list(self.interval), "ranking": self.ranking,
            "seconds": round(self.seconds, 2),
            "removals": [
                {
                    "share": r.share, "score": r.score, "interval": list(r.interval), "random": r.random,
                    "random_interval": list(r.random_interval), "can_go": r.can_go,
                    "against_random": r.against_random.to_dict(), "against_all": r.against_all.to_dict(),
                }
                for r in self.removals
            ],
            "slices": [asdict(s) for s in self.slices],
            "curve": None if self.curve is None else {
                "sizes": self.curve.sizes.tolist(), "scores": self.curve.scores.mean(axis=0).tolist(),
                "spread": self.curve.scores.std(axis=0, ddof=1).tolist(),
            },
            "forecasts": [asdict(f) for f in self.forecasts],
            "check": None if self.check is None else {**asdict(self.check), "held": self.check.held},
        }  # fmt: skip


def value(data: Dataset, *, vectors: Vectors | None = None, seed: int = 0, emit: Emit | None = None) -> Valuation:
    """Value the train rows of a Dataset.

    vectors: makes (n, d) float32 of texts; None: the reduced TF-IDF of the cheap probe.
    Raises DataError for text tasks, and for fewer than 40 train or 20 dev rows.
    """
    began = time.monotonic()
    if data.task != "classify":
        raise DataError(f"rows are valued for labels, and this data's task is {data.task}.")
    train, replay = data.rows("train"), Replay(data, ())
    if len(train) < _FEWEST_TRAINED or len(replay.judged) < _FEWEST_JUDGED:
        raise DataError(
            f"{len(train):,} train and {len(replay.judged):,} dev rows are too few to value rows by; "
            f"{_FEWEST_TRAINED} and {_FEWEST_JUDGED} are needed."
        )
    names = tuple(sorted({*train.targets, *replay.truth}))
    ask = replay.arm(()).ask
    trainer = probe_trainer([*train.texts, *ask], (train.texts, train.targets), names, vectors=vectors)
    code = {name: at for at, name in enumerate(names)}
    bench = Bench(trainer, trainer.at(train.texts), codes_of(train.targets, code), trainer.at(ask),
                   codes_of(replay.truth, code), seed)  # fmt: skip
    sizes = subset_sizes(len(train), least=max(2 * len(names), 30))
    inner = subset_sizes(len(train) // 2, least=max(2 * len(names), 30))
    slices = slices_of(data, replay, train.targets)
    total = (1 + DRAWS) + len(SHARES) * (1 + 2 * DRAWS) + HALVINGS * len(slices) + ORDERS * (len(sizes) + len(inner))
    with progress(emit or _quiet, "value", total) as tick:
        bench.tick = tick
        started = time.monotonic()
        bench.full()
        if emit is not None:
            emit("note", text=f"value: {total} trainings of {trainer.about}, about "
                              f"{(time.monotonic() - started) * total:.0f} s")  # fmt: skip
        values = bench.values("harm", np.arange(len(train)))
        ranking = bench.suited()
        ranked = values if ranking == "harm" else bench.values(ranking, np.arange(len(train)))
        order = np.argsort(ranked, kind="stable")
        removals = bench.removals(order)
        measured = bench.slices(slices)
        curve = bench.curve(np.arange(len(train)), sizes, seed)
        half = np.sort(np.random.default_rng([seed, 31]).permutation(len(train))[: len(train) // 2])
        known = bench.curve(half, inner, seed + 1)
    score, low, high = score_interval(bench.truth, bench.full()[None], len(names))
    check = None
    if known is not None:
        guess = known.forecast(len(train))
        check = Check(guess.score, guess.interval, score)
    forecasts = () if curve is None else tuple(curve.forecast(round(len(train) * more)) for more in MORE)
    scaled = values / values.mean() if values.mean() > 0 else values
    return Valuation(
        train.ids, scaled, ranking, order, score, (low, high), removals, measured, curve, forecasts, check,
        len(bench.truth), trainer.about, time.monotonic() - began,
    )  # fmt: skip


def _span(score: float, interval: tuple[float, float]) -> str:
    return f"{100 * score:.1f} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def _quiet(event: str, **fields: Any) -> None:
    del event, fields
