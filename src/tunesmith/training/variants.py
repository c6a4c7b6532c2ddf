"""Pairs of base and method that compete for the tuned place on the ladder, and what a share of their training gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.files import read_json, write_json
from tunesmith.models.spec import ModelSpec
from tunesmith.training.dev_scores import Scored, interval_of
from tunesmith.training.dials import Value
from tunesmith.training.halving import Reading
from tunesmith.training.systems import Fitted, Job, Tunes
from tunesmith.training.systems import system as systems
from tunesmith.training.trials import Ask, Stand, make

_ENCODER_WAYS: dict[str, tuple[str, dict[str, Value]]] = {
    "encoder LoRA, upper half": ("encoder", {"method": "lora", "layers": 0.5}),
    "encoder LoRA, all layers": ("encoder", {"method": "lora", "layers": 1.0}),
    "encoder ia3": ("encoder", {"method": "ia3", "layers": 1.0}),
    "encoder layernorm": ("encoder", {"method": "layernorm", "layers": 1.0}),
    "contrastive LoRA": ("contrastive", {"method": "lora"}),
    "contrastive ia3": ("contrastive", {"method": "ia3"}),
    "contrastive layernorm": ("contrastive", {"method": "layernorm"}),
}
# Of a short run: scoring must not cost more than the steps do, so that it is scored once, when it has ended.
_SHORT_DEV, _SHORT_EVALUATIONS = 256, 0
# Those with upper layers alone share what the others give, stored once.
_LM_WAYS: dict[str, dict[str, Value]] = {
    "LoRA": {"method": "lora"},
    "LoRA, top 8 layers": {"method": "lora", "top_layers": 8},
    "ia3": {"method": "ia3"},
    "layernorm": {"method": "layernorm"},
}


@dataclass(frozen=True)
class Variant:
    """One way of training. options: of the System, over those of the job. lm: another base than the job's."""

    name: str
    system: str
    options: dict[str, Value] = field(default_factory=dict)
    lm: ModelSpec | None = None


def variants(output: str, names: Sequence[str], *, lms: Sequence[ModelSpec]) -> list[Variant]:
    """Every way of the named tuned rungs that serves the output; of "lm" once for each base."""
    found = [
        Variant(name, rung, dict(options))
        for name, (rung, options) in _ENCODER_WAYS.items()
        if rung in names and output in systems.get(rung).outputs
    ]
    if "lm" in names and output in systems.get("lm").outputs:
        found += [
            Variant(f"{spec.id.rpartition('/')[2]} {way}", "lm", dict(options), spec)
            for spec in lms
            for way, options in _LM_WAYS.items()
        ]
    return found


class Comparison:
    """Trains variants for shares of their steps, each kept on disk: asked again it reads what was measured."""

    def __init__(self, ways: Sequence[Variant], train: Rows, dev: Rows, base: Job, ctx: Context) -> None:
        self.ways = {way.name: way for way in ways}
        # What does not depend on the variant (counts, heads on frozen vectors) is made once for all.
        self.train, self.dev, self.base, self.ctx = train, dev, replace(base, made={}), ctx

    @property
    def kinds(self) -> dict[str, str]:
        """Variants that cost and learn alike: of one rung and one base."""
        return {name: f"{way.system} {'' if way.lm is None else way.lm.uri}" for name, way in self.ways.items()}

    def read(self, name: str, share: float) -> Reading:
        """The reading of `halving.halve`."""
        done = self._place(name) / f"{share:.4f}.json"
        if not done.exists():
            write_json(done, vars(self._measure(name, share)))
        return Reading(**read_json(done))

    def fitted(self, name: str) -> Fitted:
        """What training the variant whole gave."""
        folder = self._place(name) / _folder_of(1.0) / "fitted"
        return systems.get(self.ways[name].system).load(folder, self._job(name), self.ctx)

    def _measure(self, name: str, share: float) -> Reading:
        way, job = self.ways[name], self._job(name)
        rung = systems.get(way.system)
        steps = rung.steps(job, n_rows=len(self.train)) if isinstance(rung, Tunes) else 1
        # One folder a share: a trial's number is its folder's name.
        dev = self.dev
        if share < 1.0:
            at = np.random.default_rng([self.ctx.seed, 47]).permutation(len(dev))[:_SHORT_DEV]
            dev, job = dev.take(np.sort(at)), replace(job, options={**job.options, "evaluations": _SHORT_EVALUATIONS})
        stand = Stand(way.system, self.train, dev, job, steps, self._place(name))
        ask = Ask(int(_folder_of(share)), "explore", {"steps": share}, self.ctx.seed)
        made = make(ask, stand, self.ctx)
        if made.score is None:
            return Reading(name, share, None, 0.0, made.spent_cpu_s, made.why)
        low, high = interval_of(Scored.load(stand.place(ask.number), job), seed=self.ctx.seed)
        return Reading(name, share, made.score, (high - low) / 3.92, made.spent_cpu_s, steps_s=made.steps_cpu_s)

    def _job(self, name: str) -> Job:
        way = self.ways[name]
        return replace(self.base, lm=way.lm or self.base.lm, options={**self.base.options, **way.options})

    def _place(self, name: str) -> Path:
        return self.ctx.workdir / "".join(c if c.isalnum() else "-" for c in name)


def _folder_of(share: float) -> str:
    return f"{round(1000 * share):03d}"
