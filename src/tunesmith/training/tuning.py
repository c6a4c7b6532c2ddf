"""One tuned-encoder rung from rows to what predicts, with every check on the way.

The rung says what is trained for (its batches and loss) and which head the tuned vectors get; the rest is here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.models.methods import Range
from tunesmith.models.methods import method as methods
from tunesmith.training import adapters, tuned_encoder
from tunesmith.training.choice import Settings, leading_score
from tunesmith.training.embeddings import embed, encoder_spec
from tunesmith.training.folds import label_codes
from tunesmith.training.gradients import Loss
from tunesmith.training.heads import KernelHead
from tunesmith.training.linear import LinearHead, fit_logistic
from tunesmith.training.loop import LoopResult, Recipe, Steering
from tunesmith.training.loop import train as run_loop
from tunesmith.training.text_packing import choose_text_packing
from tunesmith.training.together import BESIDE, Together, fit_together
from tunesmith.training.tuned_encoder import Batch, TextBatches, Tuned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.models.encoder import Encoder
    from tunesmith.training.systems import Job

Head = LinearHead | KernelHead

_HEAD_GAIN = 5.0  # the head's learning rate over the adapter's
_HEAD_C = 20.0
_DEV_ROWS = 1000  # that are scored during training; all of them choose the mixture
_PATIENCE = 3
_CHECKED_TEXTS = 8
_ON_ENCODERS = ("lora", "ia3", "layernorm", "full")


def settings_of(default: Settings, job: Job) -> Settings:
    """The rung's settings: what the job gives, else the default.

    A method that does not fit an encoder (a 4-bit base, the head of a language model) leaves it at the default's.
    """
    found: Settings = {key: job.options.get(key, value) for key, value in default.items()}
    if found["method"] not in _ON_ENCODERS:
        found["method"] = default["method"]
    if found["method"] != default["method"] and "rate" not in job.options:
        sane = methods.get(str(found["method"])).search_space(encoder_spec(job))["rate"]
        assert isinstance(sane, Range)
        found["rate"] = math.sqrt(sane.low * sane.high)
    return found


@dataclass(frozen=True)
class Objective:
    """What a rung trains for.

    batches: step to micro-batches. loss: see `loop`. head: the head on tuned vectors, from the model and train rows'
    texts; called for every dev score and at the end.
    """

    batches: Callable[[int], Sequence[Batch]]
    loss: Loss[Batch]
    head: Callable[[Tuned], Head]


def tune(
    train: Rows,
    dev: Rows,
    job: Job,
    ctx: Context,
    *,
    system: str,
    settings: Settings,
    recipe: Recipe,
    objective: Callable[[Tuned, TextBatches], Objective],
    beside: Sequence[str] = BESIDE,
) -> tuple[Together, LoopResult]:
    """Train an adapter from the frozen encoder and a head that fits it; leave the best step on dev, checked and saved.

    settings: method, rank, layers, batch, and what else the method takes. beside: whose opinions may be added.
    """
    spec = encoder_spec(job)
    codes = label_codes(train.targets, job.labels)
    frozen_vectors = embed(train.texts, spec, ctx)
    start = job.shared(
        ("start", train.ids.tobytes()),
        lambda: fit_logistic(frozen_vectors, codes, train.weights, n_labels=len(job.labels), C=_HEAD_C),
    )

    def score_of(model: Tuned, aim: Objective) -> Callable[[], float]:
        return _dev_score(model, aim.head, dev, job, ctx)

    adapted = adapt(
        train, job, ctx, system=system, settings=settings, recipe=recipe, objective=objective, start=start,
        score_of=score_of if len(dev) and int(job.options.get("evaluations", 1)) else None,
    )  # fmt: skip
    learned = (train, frozen_vectors)
    together = fit_together(
        adapted.encoder, adapted.folder, adapted.aim.head(adapted.model), learned, dev, job, ctx, beside=beside
    )
    return together, adapted.result


@dataclass(frozen=True)
class Adapted:
    """What `adapt` leaves. encoder: the adapter merged. folder: the adapter in PEFT's layout. model: as trained."""

    encoder: Encoder
    folder: Path
    model: Tuned
    aim: Objective
    result: LoopResult


def adapt(
    train: Rows,
    job: Job,
    ctx: Context,
    *,
    system: str,
    settings: Settings,
    recipe: Recipe,
    objective: Callable[[Tuned, TextBatches], Objective],
    start: LinearHead,
    score_of: Callable[[Tuned, Objective], Callable[[], float]] | None,
) -> Adapted:
    """Train an adapter and the head `start` on top of it, with every check on the way.

    score_of: gives what is looked at on dev while training, from 0 to 1; None: nothing is. With job.frozen nothing is.
    """
    spec = encoder_spec(job)
    encoder = tuned_encoder.adapted_encoder(spec, settings, ctx, seed=ctx.seed)
    some = list(train.texts[:_CHECKED_TEXTS])
    ctx.check(tuned_encoder.check_untrained(encoder, embed(some, spec, ctx, keep=False), some, system=system))
    texts = TextBatches(encoder, train.texts, size=int(settings["batch"]), seed=ctx.seed)
    packing = choose_text_packing(encoder, texts.ids, asked=str(job.options.get("packing", "auto")))
    ctx.emit("decision", what=f"train.packing of {system}", choice=packing.choice, why=packing.why)
    model = Tuned(encoder, start.weight, start.bias, gain=_HEAD_GAIN, packed=packing.packed)
    aim = objective(model, texts)
    before = tuned_encoder.start_of(model)
    result = run_loop(
        model,
        aim.batches,
        aim.loss,
        recipe=recipe,
        folder=ctx.workdir / "loop",
        emit=ctx.emit,
        steering=Steering(
            score=None if job.frozen or score_of is None else score_of(model, aim),
            promising=job.promising,
            late=job.late,
        ),
        seed=ctx.seed,
    )
    ctx.check(tuned_encoder.check_moved(before, model, system=system))
    adapter = ctx.workdir / "adapter"
    adapters.save_adapter(encoder, adapter, spec, method=str(settings["method"]))
    merged = adapters.load_adapter(adapter, spec, ctx)
    unmerged = adapters.load_adapter(adapter, spec, ctx, merge=False)
    for check in tuned_encoder.check_reloaded(encoder, unmerged, merged, some, system=system):
        ctx.check(check)
    return Adapted(merged, adapter, model, aim, result)


def recipe_for(job: Job, *, rate: float, steps: int, evaluations: int) -> Recipe:
    """`steps` (or fewer, as the plan says) with dev scores on the way; refitting, the share of the schedule kept."""
    if job.frozen and "best_step" in job.options and "schedule_steps" in job.options:
        best = max(1, int(job.options["best_step"]))
        stop = job.plan.steps or best
        return Recipe(max(stop, round(int(job.options["schedule_steps"]) * stop / best)), rate, stop_step=stop)
    steps = job.plan.steps or steps
    return Recipe(
        steps, rate, evaluate_every=max(1, -(-steps // max(1, evaluations))), patience=_PATIENCE,
        pause_step=job.plan.pause_steps,
    )  # fmt: skip


def chosen(settings: Settings, together: Together, recipe: Recipe, result: LoopResult) -> Settings:
    """Everything that refitting needs to do the same again."""
    return {**settings, **together.settings, "best_step": result.best_step, "schedule_steps": recipe.steps}


def _dev_score(model: Tuned, head: Callable[[Tuned], Head], dev: Rows, job: Job, ctx: Context) -> Callable[[], float]:
    """The leading metric of the head on a fixed part of dev."""
    at = np.sort(np.random.default_rng([ctx.seed, 3]).permutation(len(dev))[:_DEV_ROWS])
    some = dev.take(at)

    def score() -> float:
        logits: NDArray[np.float64] = head(model).logits(model.encoder.embed(some.texts))
        return leading_score(logits, some, job)

    return score
