"""Reads each text once with an encoder that stays as it is, and learns a head on the vectors.

The head is linear (logistic regression) or a radial-basis kernel, whichever cross-validation prefers.
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
from tunesmith.models.spec import ModelSpec
from tunesmith.training.calibrate import log_softmax, softmax
from tunesmith.training.choice import Settings, can_choose, choose, choose_lift, lift_offset, lifted
from tunesmith.training.embeddings import embed, encoder_spec
from tunesmith.training.experts import (
    CHOOSE_ON,
    FOLDS,
    KERNEL_GRID,
    LINEAR_GRID,
    VectorExpert,
    choice_seconds,
    fit_vectors,
    head_seconds,
    vector_logits,
)
from tunesmith.training.folds import label_codes, row_folds, stratified_sample
from tunesmith.training.linear import load_arrays, save_arrays
from tunesmith.training.systems import Job, Workload, system

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DEFAULT: Settings = {"head": "linear", "C": 5.0, "ridge": 0.3, "temperature": 1.0, "lift": 0.0}


@dataclass(frozen=True)
class FrozenFitted:
    """offset: (k,) added to the log-probabilities. settings: head, C or ridge, temperature, lift."""

    system: ClassVar[str] = "frozen"
    labels: tuple[str, ...]
    spec: ModelSpec
    expert: VectorExpert
    offset: NDArray[np.float64]
    settings: Settings

    @property
    def method(self) -> str:
        """What stands on the encoder."""
        return f"{self.settings['head']} head"

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        vectors = embed(texts, self.spec, ctx, keep=False)
        found = softmax(self.expert.log_probabilities(vectors) + self.offset)
        return Predictions.from_probabilities(found, self.labels)

    def save(self, folder: Path) -> None:
        save_arrays(folder / "frozen.safetensors", {**self.expert.arrays(), "offset": self.offset})
        write_json(
            folder / "frozen.json",
            {"labels": list(self.labels), "encoder": self.spec.uri, "settings": self.settings},
        )


@dataclass(frozen=True)
class Frozen:
    """Frozen encoder with a head."""

    name: str = "frozen"
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "encoder"
    outputs: tuple[str, ...] = ("label",)

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> FrozenFitted:
        vectors = embed(train.texts, encoder_spec(job), ctx)
        settings = _settings(train, vectors, job, ctx)
        expert = fit_vectors(vectors, train, settings, job, seed=ctx.seed)
        offset = lift_offset(settings, label_codes(train.targets, job.labels), n_labels=len(job.labels))
        return FrozenFitted(job.labels, encoder_spec(job), expert, offset, settings)

    def load(self, folder: Path, job: Job, ctx: Context) -> FrozenFitted:
        about = read_json(folder / "frozen.json")
        arrays = load_arrays(folder / "frozen.safetensors")
        return FrozenFitted(
            tuple(about["labels"]), encoder_spec(job), VectorExpert.from_arrays(arrays), arrays["offset"],
            about["settings"],
        )  # fmt: skip

    def cross_fit(self, rows: Rows, folds: Sequence[Sequence[int]], job: Job, ctx: Context) -> Predictions:
        vectors = embed(rows.texts, encoder_spec(job), ctx)
        settings = _settings(rows, vectors, job, ctx)
        logits = vector_logits(vectors, rows, folds, job, seed=ctx.seed)(settings)
        said = log_softmax(logits / float(settings["temperature"]))
        found = lifted(said, label_codes(rows.targets, job.labels), folds, settings)
        return Predictions.from_probabilities(found, job.labels)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds."""
        whole, most = (max(head_seconds(n, n_labels=work.n_labels)) for n in (work.n_train, round(0.8 * work.n_train)))
        fit = 1.0 + work.reading_s * work.n_train + choice_seconds(work) + whole + work.cross_fits * most
        return fit, 0.2 + work.answering_s * work.n_predict


def _settings(rows: Rows, vectors: NDArray[np.float32], job: Job, ctx: Context) -> Settings:
    """The settings given when refitting, else those that cross-validation on these rows prefers."""
    if job.frozen:
        return {key: job.options.get(key, value) for key, value in _DEFAULT.items()}
    if not can_choose(rows):
        return _DEFAULT
    at = stratified_sample(rows, most=CHOOSE_ON, seed=ctx.seed)
    some = rows.take(at)
    codes = label_codes(some.targets, job.labels)
    folds = row_folds(some, k=FOLDS, seed=ctx.seed)
    logits = vector_logits(vectors[at], some, folds, job, seed=ctx.seed)
    best = choose([*LINEAR_GRID, *KERNEL_GRID], logits, some, codes, job)
    return {**best.settings, "lift": choose_lift(best.log_probabilities, some, codes, job)}


system("frozen")(Frozen())
