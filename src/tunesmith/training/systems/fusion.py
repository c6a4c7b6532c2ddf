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
from tunesmith.training.choice import Settings, can_choose, choose
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
    counted,
    fit_counts,
    fit_vectors,
    vector_logits,
    vector_seconds,
)
from tunesmith.training.folds import label_codes, rest_of, row_folds, stratified_sample
from tunesmith.training.linear import load_arrays, save_arrays
from tunesmith.training.mixture import choose_mixture, lift_offset, mix, named, with_say
from tunesmith.training.ngrams import Counts, count
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
        return self.predict_vectors(texts, vectors)

    def predict_vectors(self, texts: Sequence[str] | Counts, vectors: NDArray[np.float32]) -> Predictions:
        """The same for texts whose vectors (n, width) are known."""
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
        return _fit(train, vectors, _settings(train, vectors, job, ctx), job, ctx)

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
        found = np.zeros((len(rows), len(job.labels)))
        counts = count(rows.texts) if float(settings["counts.weight"]) > 0.0 else None
        for held_out in folds:
            rest = rest_of(held_out, len(rows))
            some = None if counts is None else counts.take(rest)
            fitted = _fit(rows.take(rest), vectors[rest], settings, job, ctx, counts=some)
            said = fitted.predict_vectors(counted(rows, counts, held_out), vectors[held_out])
            assert said.probabilities is not None
            found[list(held_out)] = said.probabilities
        return Predictions.from_probabilities(found, job.labels)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds."""
        # What it shares with the frozen rung, the reading of the texts, is paid for once there.
        counts = count_seconds(work)
        return counts[0] + vector_seconds(work), counts[1] + 1e-4 * work.n_predict


def _settings(rows: Rows, vectors: NDArray[np.float32], job: Job, ctx: Context) -> Settings:
    """The settings given when refitting, else those that cross-validation on these rows prefers."""
    if job.frozen:
        return {key: job.options.get(key, value) for key, value in _DEFAULT.items()}
    if not can_choose(rows):
        return _DEFAULT
    at = stratified_sample(rows, most=CHOOSE_ON, seed=ctx.seed)
    some = rows.take(at)
    n_labels = len(job.labels)
    codes = label_codes(some.targets, job.labels)
    folds = row_folds(some, k=FOLDS, seed=ctx.seed)
    by_counts = count_logits(some, codes, folds, n_labels=n_labels, seed=ctx.seed)
    by_vectors = vector_logits(vectors[at], some, codes, folds, n_labels=n_labels, seed=ctx.seed)
    choices = {
        name: choose(_GRIDS[name], by_counts if name == "counts" else by_vectors, some, codes, job) for name in _PARTS
    }
    mixed = choose_mixture({name: choices[name].log_probabilities for name in _PARTS}, some, codes, job)
    parts = {f"{name}.{key}": value for name in _PARTS for key, value in choices[name].settings.items()}
    return {**_DEFAULT, **parts, **mixed}


def _fit(
    rows: Rows,
    vectors: NDArray[np.float32],
    settings: Settings,
    job: Job,
    ctx: Context,
    *,
    counts: Counts | None = None,
) -> FusionFitted:
    experts: dict[str, CountExpert | VectorExpert] = {}
    for name in with_say(settings, _PARTS):
        if name == "counts":
            experts[name] = fit_counts(rows, named(settings, name), job, seed=ctx.seed, counts=counts)
        else:
            experts[name] = fit_vectors(vectors, rows, named(settings, name), job, seed=ctx.seed)
    offset = lift_offset(settings, label_codes(rows.targets, job.labels), n_labels=len(job.labels))
    return FusionFitted(job.labels, encoder_spec(job), experts, offset, settings)


system("fusion")(Fusion())
