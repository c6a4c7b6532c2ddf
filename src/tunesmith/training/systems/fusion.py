"""Puts three opinions together: n-gram counts, and a linear and a kernel head on a frozen encoder.

Their log-probabilities are added with weights that are chosen out of fold, so an opinion that does not help on
these rows gets no say.
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
from tunesmith.training.calibrate import log_softmax
from tunesmith.training.choice import Settings, can_choose, choose, lift_offset, lifted
from tunesmith.training.embeddings import embed, encoder_spec
from tunesmith.training.experts import (
    CHOOSE_ON,
    COUNT_GRID,
    FOLDS,
    KERNEL_GRID,
    LINEAR_GRID,
    CountExpert,
    VectorExpert,
    count_logits,
    count_seconds,
    fit_counts,
    fit_vectors,
    head_seconds,
    vector_logits,
    vector_seconds,
)
from tunesmith.training.folds import label_codes, row_folds, stratified_sample
from tunesmith.training.linear import load_arrays, save_arrays
from tunesmith.training.mixture import added, choose_mixture, mix, named, with_say
from tunesmith.training.systems import Job, Workload, system

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PARTS = ("counts", "linear", "kernel")
_GRIDS = {"counts": COUNT_GRID, "linear": LINEAR_GRID, "kernel": KERNEL_GRID}
_DEFAULT: Settings = {
    "counts.C": 1.0, "counts.temperature": 0.2, "counts.weight": 0.5,
    "linear.C": 5.0, "linear.head": "linear", "linear.temperature": 1.0, "linear.weight": 0.5,
    "kernel.ridge": 0.3, "kernel.head": "kernel", "kernel.temperature": 0.1, "kernel.weight": 0.0,
    "temperature": 1.0, "lift": 0.0,
}  # fmt: skip


@dataclass(frozen=True)
class FusionFitted:
    """experts: those of counts, linear and kernel that have a weight. offset: (k,) added to the log-probabilities."""

    system: ClassVar[str] = "fusion"
    labels: tuple[str, ...]
    spec: ModelSpec
    experts: dict[str, CountExpert | VectorExpert]
    offset: NDArray[np.float64]
    settings: Settings

    @property
    def method(self) -> str:
        """Which opinions have a say."""
        return " + ".join(f"{self.settings[f'{name}.weight']:.2f} {name}" for name in self.experts)

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        needs_vectors = any(name != "counts" for name in self.experts)
        vectors = embed(texts, self.spec, ctx, keep=False) if needs_vectors else np.zeros((len(texts), 0), np.float32)
        opinions = {
            name: e.log_probabilities(texts) if isinstance(e, CountExpert) else e.log_probabilities(vectors)
            for name, e in self.experts.items()
        }
        return Predictions.from_probabilities(mix(opinions, self.settings, self.offset), self.labels)

    def save(self, folder: Path) -> None:
        for name, expert in self.experts.items():
            save_arrays(folder / f"{name}.safetensors", expert.arrays())
        save_arrays(folder / "fusion.safetensors", {"offset": self.offset})
        write_json(
            folder / "fusion.json",
            {
                "labels": list(self.labels),
                "encoder": self.spec.uri,
                "experts": list(self.experts),
                "settings": self.settings,
            },
        )


@dataclass(frozen=True)
class Fusion:
    """Counts and frozen encoder together."""

    name: str = "fusion"
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "encoder"
    outputs: tuple[str, ...] = ("label",)

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> FusionFitted:
        vectors = embed(train.texts, encoder_spec(job), ctx)
        settings = _settings(train, vectors, job, ctx)
        experts: dict[str, CountExpert | VectorExpert] = {}
        for name in with_say(settings, _PARTS):
            own = named(settings, name)
            if name == "counts":
                experts[name] = fit_counts(train, own, job, seed=ctx.seed)
            else:
                experts[name] = fit_vectors(vectors, train, own, job, seed=ctx.seed)
        offset = lift_offset(settings, label_codes(train.targets, job.labels), n_labels=len(job.labels))
        return FusionFitted(job.labels, encoder_spec(job), experts, offset, settings)

    def load(self, folder: Path, job: Job, ctx: Context) -> FusionFitted:
        about = read_json(folder / "fusion.json")
        kinds: dict[str, type[CountExpert | VectorExpert]]
        kinds = {"counts": CountExpert, "linear": VectorExpert, "kernel": VectorExpert}
        experts = {
            name: kinds[name].from_arrays(load_arrays(folder / f"{name}.safetensors")) for name in about["experts"]
        }
        offset = load_arrays(folder / "fusion.safetensors")["offset"]
        return FusionFitted(tuple(about["labels"]), encoder_spec(job), experts, offset, about["settings"])

    def cross_fit(self, rows: Rows, folds: Sequence[Sequence[int]], job: Job, ctx: Context) -> Predictions:
        vectors = embed(rows.texts, encoder_spec(job), ctx)
        settings = _settings(rows, vectors, job, ctx)
        opinions = {}
        for name in with_say(settings, _PARTS):
            own = named(settings, name)
            if name == "counts":
                logits = count_logits(rows, folds, [own], job, seed=ctx.seed)
            else:
                logits = vector_logits(vectors, rows, folds, job, seed=ctx.seed)
            opinions[name] = log_softmax(logits(own) / float(own["temperature"]))
        said = added(opinions, settings)
        found = lifted(said, label_codes(rows.targets, job.labels), folds, settings)
        return Predictions.from_probabilities(found, job.labels)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds."""
        fit, answer = count_seconds(work, chosen="tfidf" in work.after)
        if "frozen" not in work.after:
            reading, answering = work.reading_s * work.n_train, work.answering_s * work.n_predict
            return fit + reading + vector_seconds(work), answer + answering
        # The vectors are there, the settings of both kinds of head, and the cross-validation of one: the dearer, say.
        whole, most = (head_seconds(n, n_labels=work.n_labels) for n in (work.n_train, round(0.8 * work.n_train)))
        return fit + sum(whole) + work.cross_fits * min(most), answer + 1e-4 * work.n_predict


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
    by_counts = count_logits(some, folds, COUNT_GRID, job, seed=ctx.seed)
    by_vectors = vector_logits(vectors[at], some, folds, job, seed=ctx.seed)
    choices = {
        name: choose(_GRIDS[name], by_counts if name == "counts" else by_vectors, some, codes, job) for name in _PARTS
    }
    mixed = choose_mixture({name: choices[name].log_probabilities for name in _PARTS}, some, codes, job)
    parts = {f"{name}.{key}": value for name in _PARTS for key, value in choices[name].settings.items()}
    return {**_DEFAULT, **parts, **mixed}


system("fusion")(Fusion())
