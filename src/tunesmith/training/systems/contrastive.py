"""The encoder tuned by likeness, for few rows: texts of one label are drawn together, others pushed apart.

Every pair of rows teaches something, so a few rows per label go further than with cross-entropy alone. A kernel head
is then fitted on the tuned vectors; on dev it is decided who else has a say.
Source: Khosla et al. 2020, eq. 2 (supervised contrastive loss); the recipe for few rows follows Tunstall et al. 2022.
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
from tunesmith.models.methods import Range
from tunesmith.training.choice import Settings
from tunesmith.training.dials import Dial, Dials, Point, adapter_dials, adapter_options
from tunesmith.training.embeddings import encoder_spec
from tunesmith.training.folds import label_codes
from tunesmith.training.systems import Job, Workload, system
from tunesmith.training.together import Together

if TYPE_CHECKING:
    from tunesmith.training.heads import KernelHead
    from tunesmith.training.tuned_encoder import TextBatches, Tuned
    from tunesmith.training.tuning import Objective

_DEFAULT: Settings = {
    "method": "lora", "rank": 16, "rate": 1e-3, "batch": 64, "texts": 5000, "layers": 1.0, "sharpness": 0.07,
    "ridge": 0.3,
}  # fmt: skip
_EVALUATIONS = 3
# What a trained text costs, in forward passes of the frozen encoder (measured, benchmarks/rungs).
_FORWARDS_PER_TRAINED_TEXT = 3.5


@dataclass(frozen=True)
class ContrastiveFitted:
    """A kernel head on the tuned encoder and whoever else has a say."""

    system: ClassVar[str] = "contrastive"
    together: Together
    settings: Settings
    curve: tuple[dict[str, float | None], ...] = ()

    @property
    def method(self) -> str:
        """The adapter's method, and whose opinions are added to the tuned encoder's."""
        return " + ".join([f"contrastive {self.settings['method']}", *(n for n in self.together.names if n != "tuned")])

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        return self.together.predict(texts, ctx)

    def save(self, folder: Path) -> None:
        self.together.save(folder)
        write_json(folder / "contrastive.json", {"settings": self.settings, "curve": list(self.curve)})


@dataclass(frozen=True)
class Contrastive:
    """Options: method, rank, rate, batch, texts (that are read in training, repeats counted), layers, sharpness, ridge.

    A step is `batch` texts: two of each of as many labels. Trains at most plan.steps, keeps the step that is best on
    dev; with job.frozen, trains plan.steps of the first fit's schedule and takes its mixture.
    """

    name: str = "contrastive"
    kind: Literal["untuned", "tuned"] = "tuned"
    needs: Literal["nothing", "encoder", "lm"] = "encoder"
    outputs: tuple[str, ...] = ("label",)

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> ContrastiveFitted:
        from tunesmith.training.heads import fit_kernel
        from tunesmith.training.tuned_encoder import likeness_batches, likeness_loss
        from tunesmith.training.tuning import Objective, chosen, recipe_for, settings_of, tune

        settings = settings_of(_DEFAULT, job)
        codes = label_codes(train.targets, job.labels)

        def objective(model: Tuned, batches: TextBatches) -> Objective:
            model.weight.requires_grad_(False)  # the head is fitted afterwards
            model.bias.requires_grad_(False)

            def head(now: Tuned) -> KernelHead:
                return fit_kernel(
                    now.encoder.embed(train.texts), codes, train.weights, n_labels=len(job.labels),
                    ridge=float(settings["ridge"]), seed=ctx.seed,
                )  # fmt: skip

            pairs = likeness_batches(batches, codes, size=int(settings["batch"]), seed=ctx.seed)
            return Objective(pairs, likeness_loss(codes, sharpness=float(settings["sharpness"])), head)

        recipe = recipe_for(
            job,
            rate=float(settings["rate"]),
            steps=forecast_steps(len(train)),
            evaluations=int(job.options.get("evaluations", _EVALUATIONS)),
        )
        together, result = tune(
            train,
            dev,
            job,
            ctx,
            system=self.name,
            settings=settings,
            recipe=recipe,
            objective=objective,
            beside=("kernel",),  # of few rows, counts are a weak opinion: adding them was measured worse
        )
        return ContrastiveFitted(together, chosen(settings, together, recipe, result), result.curve)

    def dials(self, job: Job, *, n_rows: int) -> Dials:
        """Multiples of the rate and of the steps, the rank, which share of the layers learns, sharpness, ridge."""
        del job, n_rows
        own = {
            "sharpness": Dial(Range(0.05, 0.2, log=True), _DEFAULT["sharpness"]),
            "ridge": Dial(Range(0.03, 3.0, log=True), _DEFAULT["ridge"]),
        }
        return {**adapter_dials(_DEFAULT), **own}

    def steps(self, job: Job, *, n_rows: int) -> int:
        return forecast_steps(n_rows)

    def options_of(self, point: Point, job: Job) -> Point:
        from tunesmith.training.tuning import settings_of

        return adapter_options(point, settings_of(_DEFAULT, job))

    def load(self, folder: Path, job: Job, ctx: Context) -> ContrastiveFitted:
        about = read_json(folder / "contrastive.json")
        return ContrastiveFitted(
            Together.load(folder, encoder_spec(job), ctx), about["settings"], tuple(about["curve"])
        )

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) seconds."""
        reading = 1.0 / max(work.encoder_texts_per_s, 1e-9)
        steps = forecast_steps(work.n_train) if work.steps is None else work.steps
        texts = steps * int(_DEFAULT["batch"])
        scoring = (_EVALUATIONS + 1) * (work.n_train + min(1000, work.n_train // 8))
        heads = 6.0 + 1e-5 * work.n_train * work.n_labels
        return heads + reading * (_FORWARDS_PER_TRAINED_TEXT * texts + scoring), 1.0 + 1.3 * reading * work.n_predict


def forecast_steps(n_rows: int) -> int:
    """Optimizer steps of `batch` texts that the rung takes where nothing limits it: at most ten passes."""
    texts = min(int(_DEFAULT["texts"]), 10 * n_rows)
    return max(4, round(texts / int(_DEFAULT["batch"])))


system("contrastive")(Contrastive())
