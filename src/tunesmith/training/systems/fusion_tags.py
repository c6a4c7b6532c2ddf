"""Puts three opinions on every label together: n-gram counts, and linear and kernel heads on a frozen encoder.

Their scores are added with weights that are chosen out of fold, so an opinion that does not help gets no say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.predictions import Predictions
from tunesmith.training.experts import count_seconds, vector_seconds
from tunesmith.training.several import SetsFitted, cross_fit_sets, fit_sets, load_sets
from tunesmith.training.systems import Job, Workload, system

_PARTS = ("counts", "linear", "kernel")


@dataclass(frozen=True)
class FusionTags:
    """Counts and frozen encoder together, for each label."""

    name: str = "fusion_tags"
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "encoder"
    outputs: tuple[str, ...] = ("labels",)

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> SetsFitted:
        return fit_sets(self.name, train, job, ctx, parts=_PARTS)

    def load(self, folder: Path, job: Job, ctx: Context) -> SetsFitted:
        return load_sets(self.name, folder, job, _PARTS)

    def cross_fit(self, rows: Rows, folds: Sequence[Sequence[int]], job: Job, ctx: Context) -> Predictions:
        return cross_fit_sets(self.name, rows, folds, job, ctx, parts=_PARTS)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds."""
        # What it shares with the frozen rung, the reading of the texts, is paid for once there.
        counts = count_seconds(work)
        return counts[0] + vector_seconds(work), counts[1] + 1e-4 * work.n_predict


system("fusion_tags")(FusionTags())
