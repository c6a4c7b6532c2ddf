"""Counts words and pieces of words and weighs them: the baseline that every tuned model has to beat.

Word 1–2-grams and character 2–5-grams, sublinear TF-IDF, a linear head of the margin kind (measured as strong
as logistic regression at a third of its time) with a softmax temperature fitted out of fold.
"""

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
from tunesmith.training.calibrate import log_softmax, softmax
from tunesmith.training.choice import Settings, can_choose, choose, choose_lift, lift_offset, lifted
from tunesmith.training.experts import (
    CHOOSE_ON,
    COUNT_GRID,
    FOLDS,
    CountExpert,
    count_logits,
    count_seconds,
    fit_counts,
)
from tunesmith.training.folds import label_codes, row_folds, stratified_sample
from tunesmith.training.linear import load_arrays, save_arrays
from tunesmith.training.systems import Job, Workload, system

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DEFAULT: Settings = {"C": 1.0, "temperature": 0.2, "lift": 0.0}


@dataclass(frozen=True)
class TfidfFitted:
    """offset: (k,) added to the log-probabilities: what rare labels are lifted by. settings: C, temperature, lift."""

    system: ClassVar[str] = "tfidf"
    labels: tuple[str, ...]
    expert: CountExpert
    offset: NDArray[np.float64]
    settings: Settings

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        found = softmax(self.expert.log_probabilities(texts) + self.offset)
        return Predictions.from_probabilities(found, self.labels)

    def save(self, folder: Path) -> None:
        save_arrays(folder / "tfidf.safetensors", {**self.expert.arrays(), "offset": self.offset})
        write_json(folder / "tfidf.json", {"labels": list(self.labels), "settings": self.settings})


@dataclass(frozen=True)
class Tfidf:
    """TF-IDF with a linear head."""

    name: str = "tfidf"
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "nothing"
    outputs: tuple[str, ...] = ("label",)

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> TfidfFitted:
        settings = _settings(train, job, ctx)
        expert = fit_counts(train, settings, job, seed=ctx.seed)
        offset = lift_offset(settings, label_codes(train.targets, job.labels), n_labels=len(job.labels))
        return TfidfFitted(job.labels, expert, offset, settings)

    def load(self, folder: Path, job: Job, ctx: Context) -> TfidfFitted:
        about = read_json(folder / "tfidf.json")
        arrays = load_arrays(folder / "tfidf.safetensors")
        return TfidfFitted(tuple(about["labels"]), CountExpert.from_arrays(arrays), arrays["offset"], about["settings"])

    def cross_fit(self, rows: Rows, folds: Sequence[Sequence[int]], job: Job, ctx: Context) -> Predictions:
        settings = _settings(rows, job, ctx)
        logits = count_logits(rows, folds, [settings], job, seed=ctx.seed)(settings)
        said = log_softmax(logits / float(settings["temperature"]))
        found = lifted(said, label_codes(rows.targets, job.labels), folds, settings)
        return Predictions.from_probabilities(found, job.labels)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds."""
        return count_seconds(work)


def _settings(rows: Rows, job: Job, ctx: Context) -> Settings:
    """The settings given when refitting, else those that cross-validation on these rows prefers."""
    if job.frozen:
        return {key: job.options.get(key, value) for key, value in _DEFAULT.items()}
    if not can_choose(rows):
        return _DEFAULT
    some = rows.take(stratified_sample(rows, most=CHOOSE_ON, seed=ctx.seed))
    codes = label_codes(some.targets, job.labels)
    folds = row_folds(some, k=FOLDS, seed=ctx.seed)
    logits = count_logits(some, folds, COUNT_GRID, job, seed=ctx.seed)
    best = choose(COUNT_GRID, logits, some, codes, job)
    return {**best.settings, "lift": choose_lift(best.log_probabilities, some, codes, job)}


system("tfidf")(Tfidf())
