"""Rungs that give a text any number of labels: each label against the rest, by counts of n-grams and by vectors.

The opinions are those of experts.py, one problem per label; how their scores become sets is deciding.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.files import read_json, write_json
from tunesmith.core.predictions import Predictions
from tunesmith.models.spec import ModelSpec
from tunesmith.tasks.label_sets import indicators
from tunesmith.training.choice import Settings
from tunesmith.training.deciding import Decider, best_scores, decider_of, fit_decider
from tunesmith.training.embeddings import embed, encoder_spec
from tunesmith.training.experts import (
    CHOOSE_ON,
    COUNT_GRID,
    FOLDS,
    KERNEL_GRID,
    LINEAR_GRID,
    CountExpert,
    VectorExpert,
)
from tunesmith.training.folds import make_folds, rest_of
from tunesmith.training.heads import fit_kernel_to
from tunesmith.training.linear import fit_each, load_arrays, save_arrays
from tunesmith.training.mixture import named
from tunesmith.training.ngrams import Counts, count, learn_vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.training.systems import Job, Workload

Expert = CountExpert | VectorExpert
GRIDS = {"counts": COUNT_GRID, "linear": LINEAR_GRID, "kernel": KERNEL_GRID}
USUAL: Settings = {
    "counts.C": 1.0, "linear.head": "linear", "linear.C": 5.0, "kernel.head": "kernel", "kernel.ridge": 0.3,
}  # fmt: skip
_FEWEST = 20  # rows below which nothing is chosen out of fold


@dataclass(frozen=True)
class Read:
    """Rows as experts read them: counts of n-grams, and vectors (n, width) of the frozen encoder; None where unused."""

    rows: Rows
    counts: Counts | None
    vectors: NDArray[np.float32] | None

    @classmethod
    def of(cls, rows: Rows, parts: Sequence[str], spec: ModelSpec | None, ctx: Context) -> Read:
        """What these parts need. spec: of the encoder; None if no part stands on one."""
        return cls(
            rows,
            count(rows.texts) if "counts" in parts else None,
            None if spec is None else embed(rows.texts, spec, ctx),
        )

    def take(self, at: Sequence[int] | NDArray[np.int64]) -> Read:
        """Some rows by position."""
        return Read(
            self.rows.take(at),
            None if self.counts is None else self.counts.take(at),
            None if self.vectors is None else self.vectors[np.asarray(at, dtype=np.int64)],
        )

    @property
    def texts(self) -> Sequence[str] | Counts:
        """The texts, or their counts where those are known."""
        return self.rows.texts if self.counts is None else self.counts


@dataclass(frozen=True)
class SetsFitted:
    """experts: those that have a say, by part. rates: (k,) shares of the labels among the train rows.

    spec: of the encoder; None where no expert stands on one.
    """

    system: str
    labels: tuple[str, ...]
    spec: ModelSpec | None
    experts: dict[str, Expert]
    rates: NDArray[np.float64]
    decider: Decider
    settings: Settings

    @property
    def method(self) -> str:
        """Whose opinions are added."""
        return " + ".join(self.experts) + ", one label against the rest"

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        """A set of labels per text."""
        vectors = None if self.spec is None else embed(texts, self.spec, ctx, keep=False)
        return self.predict_read(texts, vectors)

    def predict_read(self, texts: Sequence[str] | Counts, vectors: NDArray[np.float32] | None) -> Predictions:
        """The same for texts whose vectors (n, width) are known."""
        return self.decider.predictions(scores_of(self.experts, texts, vectors), self.rates, self.labels)

    def save(self, folder: Path) -> None:
        """A file per expert, and system.json."""
        for name, expert in self.experts.items():
            save_arrays(folder / f"{name}.safetensors", expert.arrays())
        save_arrays(folder / "rates.safetensors", {"rates": self.rates})
        about = {"labels": list(self.labels), "experts": list(self.experts), "settings": self.settings}
        write_json(folder / "system.json", about | ({} if self.spec is None else {"encoder": self.spec.uri}))


@dataclass(frozen=True)
class SetsSystem:
    """A rung of one or several opinions on every label.

    parts: names of GRIDS. forecast: (fit, predict) CPU seconds. alone: one of the parts is chosen, not their sum.
    """

    name: str
    parts: tuple[str, ...]
    forecast: Callable[[Workload], tuple[float, float]]
    alone: bool = False
    kind: Literal["untuned", "tuned"] = "untuned"
    outputs: tuple[str, ...] = ("labels",)

    @property
    def needs(self) -> Literal["nothing", "encoder", "lm"]:
        """Counting needs no base model; every other part reads with the encoder."""
        return "nothing" if self.parts == ("counts",) else "encoder"

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> SetsFitted:
        del dev
        return fit_sets(self.name, train, job, ctx, parts=self.parts, alone=self.alone)

    def load(self, folder: Path, job: Job, ctx: Context) -> SetsFitted:
        del ctx
        return load_sets(self.name, folder, job, self.parts)

    def cross_fit(self, rows: Rows, folds: Sequence[Sequence[int]], job: Job, ctx: Context) -> Predictions:
        return cross_fit_sets(self.name, rows, folds, job, ctx, parts=self.parts, alone=self.alone)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds."""
        return self.forecast(work)


def load_sets(system: str, folder: Path, job: Job, parts: Sequence[str]) -> SetsFitted:
    """What `SetsFitted.save` wrote."""
    about = read_json(folder / "system.json")
    experts = {name: load_expert(folder, name) for name in about["experts"]}
    labels = tuple(about["labels"])
    spec = encoder_spec(job) if any(name != "counts" for name in experts) else None
    rates = load_arrays(folder / "rates.safetensors")["rates"]
    decider = decider_of(about["settings"], parts, len(labels))
    return SetsFitted(system, labels, spec, experts, rates, decider, about["settings"])


def load_expert(folder: Path, name: str) -> Expert:
    """The expert of a part, from its file."""
    arrays = load_arrays(folder / f"{name}.safetensors")
    return CountExpert.from_arrays(arrays) if name == "counts" else VectorExpert.from_arrays(arrays)


def fit_sets(
    system: str, train: Rows, job: Job, ctx: Context, *, parts: Sequence[str], alone: bool = False
) -> SetsFitted:
    """Choose settings and thresholds out of fold on the train rows, then fit on all of them.

    parts: of counts, linear, kernel. alone: one of them only may have a say. With job.frozen, nothing is chosen.
    """
    read = Read.of(train, parts, _spec(job, parts), ctx)
    return _fit(system, read, _settings(read, job, ctx, parts=parts, alone=alone), job, ctx, parts=parts)


def cross_fit_sets(
    system: str,
    rows: Rows,
    folds: Sequence[Sequence[int]],
    job: Job,
    ctx: Context,
    *,
    parts: Sequence[str],
    alone: bool = False,
) -> Predictions:
    """Out-of-fold sets for every row; folds: disjoint lists of held-out positions."""
    read = Read.of(rows, parts, _spec(job, parts), ctx)
    settings = _settings(read, job, ctx, parts=parts, alone=alone)
    made: list[Predictions] = []
    for held_out in folds:
        fitted = _fit(system, read.take(rest_of(held_out, len(rows))), settings, job, ctx, parts=parts)
        unseen = read.take(np.asarray(held_out, dtype=np.int64))
        made.append(fitted.predict_read(unseen.texts, unseen.vectors))
    order = np.argsort(np.concatenate([np.asarray(fold, dtype=np.int64) for fold in folds]), kind="stable")
    return Predictions.joined(made).take(order)


def scores_of(
    experts: Mapping[str, Expert], texts: Sequence[str] | Counts, vectors: NDArray[np.float32] | None
) -> dict[str, NDArray[np.float64]]:
    """(n, k) raw scores by part."""
    made = {}
    for name, expert in experts.items():
        if isinstance(expert, CountExpert):
            made[name] = expert.head.logits(expert.vocabulary.rows(texts))
        else:
            assert vectors is not None
            made[name] = expert.head.logits(vectors)
    return made


def label_rates(targets: Sequence[str], labels: Sequence[str]) -> NDArray[np.float64]:
    """(k,) share of the rows that have each label, with one imaginary row that has it and one that has not."""
    truth = indicators(targets, labels)
    return np.asarray((truth.sum(axis=0) + 1.0) / (len(truth) + 2.0), dtype=np.float64)


def rarest(targets: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    """(n,) the code of each row's label that fewest rows have; k for rows without any. What folds are stratified by.

    Source: the order in which iterative stratification hands out labels (Sechidis, Tsoumakas & Vlahavas 2011).
    """
    truth = indicators(targets, labels)
    often = np.where(truth, truth.sum(axis=0), len(truth) + 1)
    found = often.argmin(axis=1) if truth.shape[1] else np.zeros(len(truth), dtype=np.int64)
    return np.where(truth.any(axis=1), found, len(labels)).astype(np.int64)


def fit_part(
    name: str, read: Read, truth: NDArray[np.bool_], rates: NDArray[np.float64], settings: Settings, *, seed: int
) -> Expert:
    """One expert with given settings (C or ridge). rates: (k,) shares of the labels."""
    weights = read.rows.weights
    if name == "counts":
        vocabulary = learn_vocabulary(read.texts)
        features = vocabulary.rows(read.texts)
        head = fit_each(features, truth, weights, kind="margins", C=float(settings["C"]), seed=seed)
        return CountExpert(vocabulary, head, 1.0)
    assert read.vectors is not None
    if name == "linear":
        return VectorExpert(fit_each(read.vectors, truth, weights, kind="logistic", C=float(settings["C"])), 1.0)
    ridge, wanted = float(settings["ridge"]), truth.astype(np.float32)
    return VectorExpert(fit_kernel_to(read.vectors, wanted, rates, weights, ridge=ridge, seed=seed), 1.0)


def _spec(job: Job, parts: Sequence[str]) -> ModelSpec | None:
    return encoder_spec(job) if any(name != "counts" for name in parts) else None


def _settings(read: Read, job: Job, ctx: Context, *, parts: Sequence[str], alone: bool) -> Settings:
    """The settings given when refitting, else those that cross-validation on these rows prefers."""
    usual = {key: value for key, value in USUAL.items() if key.partition(".")[0] in parts}
    if job.frozen:
        kept = ("prior", "bias", "thresholds", "least", "sure", *(f"{name}.weight" for name in parts))
        given = {key: job.options[key] for key in (*usual, *kept) if key in job.options}
        return {**usual, **given}
    if len(read.rows) < _FEWEST or len(set(read.rows.groups.tolist())) < 2:
        only = {f"{name}.weight": float(name == parts[0]) for name in parts} if alone else {}
        return {**usual, **only}
    if len(read.rows) > CHOOSE_ON:
        some = np.random.default_rng([ctx.seed, 13]).permutation(len(read.rows))[:CHOOSE_ON]
        read = read.take(np.sort(some))
    rows = read.rows
    truth = indicators(rows.targets, job.labels)
    folds = make_folds(rarest(rows.targets, job.labels), rows.groups, k=FOLDS, seed=ctx.seed)
    rates = label_rates(rows.targets, job.labels)
    chosen: Settings = {}
    best: dict[str, NDArray[np.float64]] = {}
    for name in parts:
        tried = [(c, _out_of_fold(name, read, truth, folds, c, seed=ctx.seed)) for c in GRIDS[name]]
        settings, best[name] = best_scores(tried, truth, rates, rows, job, seed=ctx.seed)
        chosen |= {f"{name}.{key}": value for key, value in settings.items()}
    decider = fit_decider(best, truth, rates, rows, job, alone=alone, seed=ctx.seed)
    return {**usual, **chosen, **decider.settings}


def _out_of_fold(
    name: str,
    read: Read,
    truth: NDArray[np.bool_],
    folds: Sequence[Sequence[int]],
    settings: Settings,
    *,
    seed: int,
) -> NDArray[np.float64]:
    """(n, k) scores by experts that did not see the row."""
    found = np.zeros(truth.shape)
    for held_out in folds:
        rest = rest_of(held_out, len(truth))
        rates = (truth[rest].sum(axis=0) + 1.0) / (len(rest) + 2.0)
        expert = fit_part(name, read.take(rest), truth[rest], rates, settings, seed=seed)
        unseen = read.take(np.asarray(held_out, dtype=np.int64))
        found[list(held_out)] = scores_of({name: expert}, unseen.texts, unseen.vectors)[name]
    return found


def _fit(system: str, read: Read, settings: Settings, job: Job, ctx: Context, *, parts: Sequence[str]) -> SetsFitted:
    labels = job.labels
    truth, rates = indicators(read.rows.targets, labels), label_rates(read.rows.targets, labels)
    decider = decider_of(settings, parts, len(labels))
    with_say = [name for name in parts if decider.weights[name] > 0.0] or [parts[0]]
    experts = {name: fit_part(name, read, truth, rates, named(settings, name), seed=ctx.seed) for name in with_say}
    spec = _spec(job, with_say)
    return SetsFitted(system, labels, spec, experts, rates, decider, settings)
