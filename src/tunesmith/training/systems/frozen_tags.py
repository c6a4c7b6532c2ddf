"""Reads each text once with an encoder that stays as it is, and learns a head per label on the vectors.

The heads are linear (logistic regression) or a radial-basis kernel, whichever cross-validation prefers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.predictions import Predictions
from tunesmith.training.experts import vector_seconds
from tunesmith.training.several import SetsFitted, cross_fit_sets, fit_sets, load_sets
from tunesmith.training.systems import Job, Workload, system

_PARTS = ("linear", "kernel")


@dataclass(frozen=True)
class FrozenTags:
    """Frozen encoder with a head per label."""

    name: str = "frozen_tags"
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "encoder"
    outputs: tuple[str, ...] = ("labels",)

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> SetsFitted:
        return fit_sets(self.name, train, job, ctx, parts=_PARTS, alone=True)

    def load(self, folder: Path, job: Job, ctx: Context) -> SetsFitted:
        return load_sets(self.name, folder, job, _PARTS)

    def cross_fit(self, rows: Rows, folds: Sequence[Sequence[int]], job: Job, ctx: Context) -> Predictions:
        return cross_fit_sets(self.name, rows, folds, job, ctx, parts=_PARTS, alone=True)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds."""
        reading = 1.0 / max(work.encoder_texts_per_s, 1e-9)
        return 3.0 + reading * work.n_train + vector_seconds(work), 0.2 + reading * work.n_predict


system("frozen_tags")(FrozenTags())
