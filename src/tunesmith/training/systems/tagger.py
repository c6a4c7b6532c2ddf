"""Fields and spans by tagging tokens: an encoder with an adapter, trained to say what every token is part of.

What it answers is quoted from the text, or chosen from the values that a place may have: it cannot be invalid, and
it cannot be made up.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from tunesmith.core.checks import Check
from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.files import read_json, write_json
from tunesmith.core.predictions import Predictions
from tunesmith.tasks.schema import read_schema
from tunesmith.training.choice import Settings
from tunesmith.training.systems import Job, Workload, system

if TYPE_CHECKING:
    from tunesmith.models.spec import ModelSpec
    from tunesmith.training.marking import Layout
    from tunesmith.training.rules import Rules
    from tunesmith.training.tagger import Tagger

_DEFAULT: Settings = {"method": "lora", "rank": 16, "rate": 1e-3, "batch": 16, "layers": 1.0}
# Passes over the rows: few rows need more of them.
_LEAST_PASSES, _MOST_PASSES, _TEXTS = 3.0, 12.0, 10_000
_EVALUATIONS = 6
_DEV_ROWS = 400
_CHECKED_TEXTS = 8
# Rates over the adapter's: of the layer on top, and of what looks say. These must be quicker than the encoder is to
# learn the train sentences by heart: nothing would be left for it to learn.
_OWN_GAIN, _LOOKS_GAIN = 5.0, 40.0
_FORWARDS_PER_TRAINED_TEXT = 3.6  # measured against the frozen encoder's pass over whole batches


@dataclass
class TaggerFitted:
    """The tagger, adapter folded in. folder: holds the adapter in PEFT's layout."""

    system: ClassVar[str] = "tagger"
    model: Tagger
    layout: Layout
    rules: Rules
    folder: Path
    settings: Settings
    curve: tuple[dict[str, float | None], ...] = field(default=())

    @property
    def method(self) -> str:
        return str(self.settings["method"])

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        from tunesmith.training.tagger import answers

        return Predictions(tuple(answers(self.model, self.layout, texts, self.rules)))

    def save(self, folder: Path) -> None:
        from tunesmith.training.linear import save_arrays

        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self.folder, folder / "adapter", dirs_exist_ok=True)
        own = {name: tensor.detach().cpu().numpy() for name, tensor in self.model.own().items()}
        save_arrays(folder / "tagger.safetensors", own)
        about = {**self.layout.to_dict(), **self.rules.to_dict()}
        write_json(folder / "tagger.json", {**about, "settings": self.settings, "curve": list(self.curve)})


@dataclass(frozen=True)
class TagTokens:
    """Options: method, rank, rate, epochs, batch, layers. One step is `batch` texts (16).

    Trains at most plan.steps, keeps the step that is best on dev; with job.frozen, trains plan.steps of the schedule
    that the first fit had.
    """

    name: str = "tagger"
    kind: Literal["untuned", "tuned"] = "tuned"
    needs: Literal["nothing", "encoder", "lm"] = "encoder"
    outputs: tuple[str, ...] = ("json",)

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> TaggerFitted:
        from tunesmith.training import adapters, tuned_encoder
        from tunesmith.training.embeddings import encoder_spec
        from tunesmith.training.loop import Steering
        from tunesmith.training.loop import train as run_loop
        from tunesmith.training.marking import Layout, tokens_of
        from tunesmith.training.rules import learn_rules
        from tunesmith.training.tagger import PieceBatches, answers, pieces_of, tag_codes, tagging_loss
        from tunesmith.training.tuning import recipe_for, settings_of

        settings = settings_of(_DEFAULT, job)
        settings["epochs"] = job.options.get("epochs", _passes(len(train)))
        spec = encoder_spec(job)
        values = [json.loads(target) for target in train.targets]
        layout = Layout.of(read_schema(job.prompt.schema), values, train.texts)
        marks = [layout.marks(value, text) for value, text in zip(values, train.texts, strict=True)]
        rules, seen = learn_rules(train.texts, marks)
        codes = [tag_codes(m, tokens_of(text)) for m, text in zip(marks, train.texts, strict=True)]
        chosen = [layout.chosen(value) for value in values]
        ctx.emit("tagger.layout", tags=len(layout.tags), choices=len(layout.choices), marks=sum(map(len, marks)))

        encoder = tuned_encoder.adapted_encoder(spec, settings, ctx, seed=ctx.seed)
        model = _model(encoder, layout, seed=ctx.seed)
        batches = PieceBatches(pieces_of(encoder, train.texts, seen), size=int(settings["batch"]), seed=ctx.seed)
        recipe = recipe_for(
            job, rate=float(settings["rate"]),
            steps=max(1, round(float(settings["epochs"]) * batches.steps_per_epoch)), evaluations=_EVALUATIONS,
        )  # fmt: skip
        judges = dev.take(np.sort(np.random.default_rng([ctx.seed, 3]).permutation(len(dev))[:_DEV_ROWS]))

        def score() -> float:
            said = Predictions(tuple(answers(model, layout, judges.texts, rules)))
            return float(job.task.score(said, judges.targets, judges.texts, ())[job.task.leads])

        before = tuned_encoder.start_of(model)
        result = run_loop(
            model,
            batches,
            tagging_loss(codes, chosen, model.sizes),
            recipe=recipe,
            folder=ctx.workdir / "loop",
            emit=ctx.emit,
            steering=Steering(
                score=None if job.frozen or not len(dev) else score, promising=job.promising, late=job.late
            ),
            seed=ctx.seed,
            multiples={n: _LOOKS_GAIN if n in ("looks", "words") else _OWN_GAIN for n in model.own()},
        )
        ctx.check(tuned_encoder.check_moved(before, model, system=self.name))
        adapter = ctx.workdir / "adapter"
        adapters.save_adapter(encoder, adapter, spec, method=str(settings["method"]))
        some = list(train.texts[:_CHECKED_TEXTS])
        merged = _with_own(adapters.load_adapter(adapter, spec, ctx), layout, model)
        for check in tuned_encoder.check_reloaded(
            encoder, adapters.load_adapter(adapter, spec, ctx, merge=False), merged.encoder, some, system=self.name
        ):
            ctx.check(check)
        alike = answers(model, layout, some, rules) == answers(merged, layout, some, rules)
        ctx.check(
            Check("answers of the merged tagger = trained", alike, "equal", alike,
                  "train with dtype float32, or with a method that merges exactly.", self.name)
        )  # fmt: skip
        settings = {**settings, "best_step": result.best_step, "schedule_steps": recipe.steps}
        return TaggerFitted(merged, layout, rules, adapter, settings, result.curve)

    def load(self, folder: Path, job: Job, ctx: Context) -> TaggerFitted:
        import torch

        from tunesmith.training.adapters import load_adapter
        from tunesmith.training.embeddings import encoder_spec
        from tunesmith.training.linear import load_arrays
        from tunesmith.training.marking import Layout
        from tunesmith.training.rules import Rules

        about = read_json(folder / "tagger.json")
        layout = Layout.from_dict(read_schema(job.prompt.schema), about)
        spec: ModelSpec = encoder_spec(job)
        model = _model(load_adapter(folder / "adapter", spec, ctx), layout, seed=0)
        arrays = load_arrays(folder / "tagger.safetensors")
        with torch.no_grad():
            for name, tensor in model.own().items():
                tensor.copy_(torch.tensor(arrays[name]))
        return TaggerFitted(
            model, layout, Rules.from_dict(about), folder / "adapter", about["settings"], tuple(about["curve"])
        )

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) seconds."""
        reading = 1.0 / max(work.encoder_texts_per_s, 1e-9)
        size = int(_DEFAULT["batch"])
        steps = round(_passes(work.n_train) * -(-work.n_train // size)) if work.steps is None else work.steps
        scoring = _EVALUATIONS * min(_DEV_ROWS, work.n_train // 4)
        each = 1.5 * reading + 1e-3
        return 5.0 + reading * _FORWARDS_PER_TRAINED_TEXT * steps * size + each * scoring, 1.0 + each * work.n_predict


def _passes(n_rows: int) -> float:
    return min(_MOST_PASSES, max(_LEAST_PASSES, _TEXTS / max(1, n_rows)))


def _model(encoder: Any, layout: Layout, *, seed: int) -> Tagger:
    from tunesmith.training.tagger import Tagger

    return Tagger(encoder, 1 + 2 * len(layout.tags), [len(choice.values) for choice in layout.choices], seed=seed)


def _with_own(encoder: Any, layout: Layout, trained: Tagger) -> Tagger:
    """A tagger on another encoder with the layers of one that was trained."""
    import torch

    model = _model(encoder, layout, seed=0)
    with torch.no_grad():
        for name, tensor in model.own().items():
            tensor.copy_(trained.own()[name])
    return model.eval()


system("tagger")(TagTokens())
