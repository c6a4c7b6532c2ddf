"""The encoder tuned for the labels: an adapter on its upper layers and a head, trained together on cross-entropy.

The head starts as the one that a frozen encoder would get, so training begins where the frozen rung ends. On dev it
is decided whether n-gram counts and a head on the frozen encoder may add their opinions; `method` says what was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.files import read_json, write_json
from tunesmith.core.predictions import Predictions
from tunesmith.models.methods import Choice
from tunesmith.training.choice import Settings
from tunesmith.training.dials import Dial, Dials, Point, adapter_dials, adapter_options
from tunesmith.training.embeddings import encoder_spec
from tunesmith.training.folds import label_codes
from tunesmith.training.linear import LinearHead
from tunesmith.training.systems import Job, Workload, system
from tunesmith.training.together import Together

if TYPE_CHECKING:
    from tunesmith.training.tuned_encoder import TextBatches, Tuned
    from tunesmith.training.tuning import Objective

_DEFAULT: Settings = {
    "method": "lora",
    "rank": 16,
    "rate": 1e-3,
    "batch": 32,
    "layers": 0.5,
    "smoothing": 0.05,
}
# Passes over the rows: two are enough for thousands (dev no longer rises), few rows need more to move at all.
_LEAST_PASSES, _MOST_PASSES = 2.0, 8.0
_TEXTS = 8000
_EVALUATIONS = 3
# What a trained text costs, in forward passes of the frozen encoder (measured, benchmarks/rungs).
_FORWARDS_PER_TRAINED_TEXT = 2.6


@dataclass(frozen=True)
class EncoderFitted:
    """A tuned encoder's head and whoever else has a say."""

    system: ClassVar[str] = "encoder"
    together: Together
    settings: Settings
    curve: tuple[dict[str, float | None], ...] = ()

    @property
    def method(self) -> str:
        """The adapter's method, and whose opinions are added to the tuned encoder's."""
        return " + ".join([str(self.settings["method"]), *(n for n in self.together.names if n != "tuned")])

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        return self.together.predict(texts, ctx)

    def save(self, folder: Path) -> None:
        self.together.save(folder)
        write_json(folder / "encoder.json", {"settings": self.settings, "curve": list(self.curve)})


@dataclass(frozen=True)
class TunedEncoder:
    """Options: method, rank, rate, epochs, batch, layers, smoothing. One step is `batch` texts (32).

    Trains at most plan.steps, keeps the step that is best on dev; with job.frozen, trains plan.steps of the schedule
    that the first fit had and takes its mixture.
    """

    name: str = "encoder"
    kind: Literal["untuned", "tuned"] = "tuned"
    needs: Literal["nothing", "encoder", "lm"] = "encoder"
    outputs: tuple[str, ...] = ("label",)

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> EncoderFitted:
        from tunesmith.training.tuned_encoder import label_loss
        from tunesmith.training.tuning import Objective, chosen, recipe_for, settings_of, tune

        settings = settings_of(_DEFAULT, job)
        settings["epochs"] = job.options.get("epochs", _passes(len(train)))
        codes = label_codes(train.targets, job.labels)

        def objective(model: Tuned, batches: TextBatches) -> Objective:
            del model
            loss = label_loss(codes, train.weights, smoothing=float(settings["smoothing"]))
            return Objective(batches, loss, lambda now: LinearHead(*now.head()))

        epoch = -(-len(train) // max(1, int(settings["batch"])))
        recipe = recipe_for(
            job, rate=float(settings["rate"]), steps=max(1, round(float(settings["epochs"]) * epoch)),
            evaluations=int(job.options.get("evaluations", _EVALUATIONS)),
        )  # fmt: skip
        together, result = tune(
            train, dev, job, ctx, system=self.name, settings=settings, recipe=recipe, objective=objective
        )
        return EncoderFitted(together, chosen(settings, together, recipe, result), result.curve)

    def dials(self, job: Job, *, n_rows: int) -> Dials:
        """Multiples of the rate and of the steps, the rank, which share of the layers learns, label smoothing."""
        del job, n_rows
        return {**adapter_dials(_DEFAULT), "smoothing": Dial(Choice((0.0, 0.05, 0.15)), _DEFAULT["smoothing"])}

    def steps(self, job: Job, *, n_rows: int) -> int:
        return forecast_steps(n_rows)

    def options_of(self, point: Point, job: Job) -> Point:
        from tunesmith.training.tuning import settings_of

        return adapter_options(point, settings_of(_DEFAULT, job))

    def load(self, folder: Path, job: Job, ctx: Context) -> EncoderFitted:
        about = read_json(folder / "encoder.json")
        return EncoderFitted(Together.load(folder, encoder_spec(job), ctx), about["settings"], tuple(about["curve"]))

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) seconds."""
        reading = 1.0 / max(work.encoder_texts_per_s, 1e-9)
        steps = forecast_steps(work.n_train) if work.steps is None else work.steps
        texts = steps * min(int(_DEFAULT["batch"]), max(1, work.n_train))
        scoring = _EVALUATIONS * min(1000, work.n_train // 8)
        heads = 6.0 + 1e-5 * work.n_train * work.n_labels
        return heads + reading * (_FORWARDS_PER_TRAINED_TEXT * texts + scoring), 1.0 + 1.3 * reading * work.n_predict


def forecast_steps(n_rows: int) -> int:
    """Optimizer steps of `batch` texts that the rung takes where nothing limits it."""
    return max(1, round(_passes(n_rows) * -(-n_rows // int(_DEFAULT["batch"]))))


def _passes(n_rows: int) -> float:
    return min(_MOST_PASSES, max(_LEAST_PASSES, _TEXTS / max(1, n_rows)))


system("encoder")(TunedEncoder())
