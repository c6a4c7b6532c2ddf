"""The encoder tuned for sets of labels: an adapter on its upper layers and a head that judges every label by itself.

The head starts as the one that a frozen encoder would get. On dev it is decided whether n-gram counts and heads on the
frozen encoder may add their opinions, and from which probability on a label is given; `method` says what was.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.files import read_json, write_json
from tunesmith.core.predictions import Predictions
from tunesmith.models.spec import ModelSpec
from tunesmith.tasks.label_sets import indicators
from tunesmith.training.choice import Settings
from tunesmith.training.deciding import (
    Decider,
    common_threshold,
    decide,
    decider_of,
    fewest_labels,
    fit_decider,
    micro_f1,
    sigmoid,
)
from tunesmith.training.embeddings import embed, encoder_spec
from tunesmith.training.experts import VectorExpert
from tunesmith.training.linear import LinearHead, fit_each, load_arrays, save_arrays
from tunesmith.training.mixture import named
from tunesmith.training.several import USUAL, Expert, Read, fit_part, label_rates, load_expert, scores_of
from tunesmith.training.systems import Job, Workload, system

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.models.encoder import Encoder
    from tunesmith.training.tuned_encoder import TextBatches, Tuned
    from tunesmith.training.tuning import Objective

_DEFAULT: Settings = {"method": "lora", "rank": 16, "rate": 1e-3, "batch": 32, "layers": 0.5, "smoothing": 0.01}
_BESIDE = ("counts", "linear", "kernel")
_PARTS = ("tuned", *_BESIDE)
# Passes over the rows: few rows need more of them to move at all.
_LEAST_PASSES, _MOST_PASSES, _TEXTS = 2.0, 10.0, 10_000
_EVALUATIONS = 4
_DEV_ROWS = 1000
_LEAST_DEV = 30  # rows; below it thresholds are guesses and the tuned encoder speaks alone
_HEAD_C = 5.0
# What a trained text costs, in forward passes of the frozen encoder: as for one label (benchmarks/rungs).
_FORWARDS_PER_TRAINED_TEXT = 2.6


@dataclass(frozen=True)
class EncoderTagsFitted:
    """encoder: the tuned one, adapter merged. experts: who has a say, "tuned" among them. adapter: in PEFT's layout."""

    system: ClassVar[str] = "encoder_tags"
    labels: tuple[str, ...]
    spec: ModelSpec
    encoder: Encoder
    adapter: Path
    experts: dict[str, Expert]
    rates: NDArray[np.float64]
    decider: Decider
    settings: Settings
    curve: tuple[dict[str, float | None], ...] = ()

    @property
    def method(self) -> str:
        """The adapter's method, and whose opinions are added to the tuned encoder's."""
        return " + ".join([str(self.settings["method"]), *(name for name in self.experts if name != "tuned")])

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        scores = _scores(self.experts, texts, self.encoder, self.spec, ctx)
        return self.decider.predictions(scores, self.rates, self.labels)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.adapter, folder / "adapter", dirs_exist_ok=True)
        for name, expert in self.experts.items():
            save_arrays(folder / f"{name}.safetensors", expert.arrays())
        save_arrays(folder / "rates.safetensors", {"rates": self.rates})
        write_json(
            folder / "system.json",
            {
                "labels": list(self.labels),
                "encoder": self.spec.uri,
                "experts": list(self.experts),
                "settings": self.settings,
                "curve": list(self.curve),
            },
        )


@dataclass(frozen=True)
class EncoderTags:
    """Options: method, rank, rate, epochs, batch, layers, smoothing. One step is `batch` texts (32).

    Trains at most plan.steps, keeps the step that is best on dev; with job.frozen, trains plan.steps of the schedule
    that the first fit had, with its thresholds and its mixture.
    """

    name: str = "encoder_tags"
    kind: Literal["untuned", "tuned"] = "tuned"
    needs: Literal["nothing", "encoder", "lm"] = "encoder"
    outputs: tuple[str, ...] = ("labels",)

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> EncoderTagsFitted:
        from tunesmith.training.tuned_encoder import set_loss
        from tunesmith.training.tuning import Objective, adapt, recipe_for, settings_of

        settings = settings_of(_DEFAULT, job)
        settings["epochs"] = job.options.get("epochs", _passes(len(train)))
        spec = encoder_spec(job)
        truth, rates = indicators(train.targets, job.labels), label_rates(train.targets, job.labels)
        read = Read.of(train, _PARTS, spec, ctx)
        assert read.vectors is not None
        start = fit_each(read.vectors, truth, train.weights, kind="logistic", C=_HEAD_C)

        def objective(model: Tuned, batches: TextBatches) -> Objective:
            del model
            loss = set_loss(truth, train.weights, smoothing=float(settings["smoothing"]))
            return Objective(batches, loss, lambda now: LinearHead(*now.head()))

        def score_of(model: Tuned, aim: Objective) -> Callable[[], float]:
            return _dev_score(model, aim, dev, job, ctx)

        epoch = -(-len(train) // max(1, int(settings["batch"])))
        recipe = recipe_for(
            job, rate=float(settings["rate"]), steps=max(1, round(float(settings["epochs"]) * epoch)),
            evaluations=_EVALUATIONS,
        )  # fmt: skip
        adapted = adapt(
            train, job, ctx, system=self.name, settings=settings, recipe=recipe, objective=objective, start=start,
            score_of=score_of if len(dev) else None,
        )  # fmt: skip
        head = adapted.aim.head(adapted.model)
        choosing = not job.frozen and len(dev) >= _LEAST_DEV
        decider = decider_of(job.options if job.frozen else {"tuned.weight": 1.0}, ["tuned"], len(job.labels))
        if job.frozen:
            decider = decider_of(
                {**dict.fromkeys((f"{n}.weight" for n in _BESIDE), 0.0), **job.options}, _PARTS, len(job.labels)
            )
        beside = _BESIDE if choosing else [name for name in _BESIDE if decider.weights.get(name, 0.0) > 0.0]
        experts: dict[str, Expert] = {"tuned": VectorExpert(head, 1.0)}
        for name in beside:
            experts[name] = fit_part(name, read, truth, rates, named(USUAL, name), seed=ctx.seed)
        if choosing:
            scores = _scores(experts, dev.texts, adapted.encoder, spec, ctx)
            decider = fit_decider(
                scores, indicators(dev.targets, job.labels), rates, dev, job, must="tuned",
                least=fewest_labels(truth), seed=ctx.seed,
            )  # fmt: skip
            experts = {name: expert for name, expert in experts.items() if decider.weights[name] > 0.0}
            experts = experts if "tuned" in experts else {"tuned": VectorExpert(head, 1.0), **experts}
        made = {
            **settings, **decider.settings, "best_step": adapted.result.best_step, "schedule_steps": recipe.steps,
        }  # fmt: skip
        return EncoderTagsFitted(
            job.labels, spec, adapted.encoder, adapted.folder, experts, rates, decider, made, adapted.result.curve
        )

    def load(self, folder: Path, job: Job, ctx: Context) -> EncoderTagsFitted:
        from tunesmith.training.adapters import load_adapter

        about = read_json(folder / "system.json")
        experts = {name: load_expert(folder, name) for name in about["experts"]}
        spec, labels = encoder_spec(job), tuple(about["labels"])
        decider = decider_of(
            {f"{name}.weight": 0.0 for name in _BESIDE} | about["settings"], list(experts), len(labels)
        )
        return EncoderTagsFitted(
            labels, spec, load_adapter(folder / "adapter", spec, ctx), folder / "adapter", experts,
            load_arrays(folder / "rates.safetensors")["rates"], decider, about["settings"], tuple(about["curve"]),
        )  # fmt: skip

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) seconds."""
        reading = 1.0 / max(work.encoder_texts_per_s, 1e-9)
        batch = min(int(_DEFAULT["batch"]), max(1, work.n_train))
        steps = round(_passes(work.n_train) * -(-work.n_train // batch)) if work.steps is None else work.steps
        scoring = (_EVALUATIONS + 1) * min(_DEV_ROWS, work.n_train // 6)
        heads = 6.0 + 2e-5 * work.n_train * work.n_labels
        texts = steps * batch
        return heads + reading * (_FORWARDS_PER_TRAINED_TEXT * texts + scoring), 1.0 + 1.3 * reading * work.n_predict


def _passes(n_rows: int) -> float:
    return min(_MOST_PASSES, max(_LEAST_PASSES, _TEXTS / max(1, n_rows)))


def _dev_score(model: Tuned, aim: Objective, dev: Rows, job: Job, ctx: Context) -> Callable[[], float]:
    """Micro-F1 of the head alone at its best threshold on a fixed part of dev."""
    at = np.sort(np.random.default_rng([ctx.seed, 3]).permutation(len(dev))[:_DEV_ROWS])
    some = dev.take(at)
    truth = indicators(some.targets, job.labels)
    least = fewest_labels(truth)

    def score() -> float:
        p = sigmoid(aim.head(model).logits(model.encoder.embed(some.texts)))
        return micro_f1(decide(p, np.full(p.shape[1], common_threshold(p, truth, least=least)), least=least), truth)

    return score


def _scores(
    experts: dict[str, Expert], texts: Sequence[str], tuned: Encoder, spec: ModelSpec, ctx: Context
) -> dict[str, NDArray[np.float64]]:
    """(n, k) scores by part: the tuned one on its own vectors, the others on counts and on the frozen encoder's."""
    others = {name: expert for name, expert in experts.items() if name != "tuned"}
    frozen = embed(texts, spec, ctx, keep=False) if set(others) - {"counts"} else None
    mine = scores_of({"tuned": experts["tuned"]}, texts, tuned.embed(texts))
    return {**mine, **scores_of(others, texts, frozen)}


system("encoder_tags")(EncoderTags())
