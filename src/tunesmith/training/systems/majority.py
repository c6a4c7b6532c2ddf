"""The lowest rung: says how often each label occurs and always answers with the most frequent one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.files import read_json, write_json
from tunesmith.core.predictions import Predictions
from tunesmith.training.folds import label_codes, rest_of
from tunesmith.training.systems import Job, Workload, system

if TYPE_CHECKING:
    from numpy.typing import NDArray

# One imaginary row per label (Laplace), so that a label absent from a fold is improbable, not impossible.
_SMOOTHING = 1.0


@dataclass(frozen=True)
class MajorityFitted:
    """frequencies: (k,) float64 in the order of `labels`, sums to 1."""

    system: ClassVar[str] = "majority"
    labels: tuple[str, ...]
    frequencies: NDArray[np.float64]

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        return Predictions.from_probabilities(np.tile(self.frequencies, (len(texts), 1)), self.labels)

    def save(self, folder: Path) -> None:
        write_json(folder / "majority.json", {"labels": list(self.labels), "frequencies": self.frequencies.tolist()})


@dataclass(frozen=True)
class Majority:
    """Class frequencies of the train rows, weighted by Rows.weights."""

    name: str = "majority"
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "nothing"
    outputs: tuple[str, ...] = ("label",)

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> MajorityFitted:
        counts = np.bincount(label_codes(train.targets, job.labels), weights=train.weights, minlength=len(job.labels))
        smoothed = counts + _SMOOTHING
        return MajorityFitted(job.labels, smoothed / smoothed.sum())

    def load(self, folder: Path, job: Job, ctx: Context) -> MajorityFitted:
        about = read_json(folder / "majority.json")
        return MajorityFitted(tuple(about["labels"]), np.array(about["frequencies"], dtype=np.float64))

    def cross_fit(self, rows: Rows, folds: Sequence[Sequence[int]], job: Job, ctx: Context) -> Predictions:
        probabilities = np.zeros((len(rows), len(job.labels)))
        for held_out in folds:
            fitted = self.fit(rows.take(rest_of(held_out, len(rows))), rows.take([]), job, ctx)
            probabilities[list(held_out)] = fitted.frequencies
        return Predictions.from_probabilities(probabilities, job.labels)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds."""
        return 1e-6 * work.n_train * (1 + work.cross_fits), 1e-6 * work.n_predict


system("majority")(Majority())
