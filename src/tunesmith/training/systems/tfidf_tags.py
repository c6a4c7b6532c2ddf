"""Counts words and pieces of words and weighs them for each label against the rest: the baseline for several labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.predictions import Predictions
from tunesmith.training.experts import count_seconds
from tunesmith.training.several import SetsFitted, cross_fit_sets, fit_sets, load_sets
from tunesmith.training.systems import Job, Workload, system

_PARTS = ("counts",)


@dataclass(frozen=True)
class TfidfTags:
    """TF-IDF with a linear head per label."""

    name: str = "tfidf_tags"
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "nothing"
    outputs: tuple[str, ...] = ("labels",)

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> SetsFitted:
        return fit_sets(self.name, train, job, ctx, parts=_PARTS)

    def load(self, folder: Path, job: Job, ctx: Context) -> SetsFitted:
        return load_sets(self.name, folder, job, _PARTS)

    def cross_fit(self, rows: Rows, folds: Sequence[Sequence[int]], job: Job, ctx: Context) -> Predictions:
        return cross_fit_sets(self.name, rows, folds, job, ctx, parts=_PARTS)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds."""
        return count_seconds(work)


system("tfidf_tags")(TfidfTags())
