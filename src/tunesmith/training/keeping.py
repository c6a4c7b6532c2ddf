"""Forgetting as a budget: what holds a tuned model to what it knew, and the proof that it was held.

    retention = Retention.of(job.options)           what is asked: budget, probe file, controls
    keeping = Keeping.begin(lm, retention, …)       before an adapter is on: what the base says of the probes
    train(model, keeping.batches(batches), keeping.loss(loss), steering=Steering(guard=keeping.guard(model, start)), …)
    keeping.judged(model, result)                   the record, after a last look at a probe that nothing was steered by

Probe A is asked at every checkpoint and steers; probe B is asked once, at the end, and judges; rows that the base wrote
are replayed. The three have no row in common. What is lost is counted in points (training/drift.py).

Without a budget nothing is held, probe A is a few rows, and only ruin is watched for: a model that has lost nine tenths
of what the base gets right on its own text (with a budget half, and 5 points) is rolled back.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from tunesmith.core.checks import Check
from tunesmith.core.context import Context
from tunesmith.core.statistics import Interval
from tunesmith.models.lm import LanguageModel
from tunesmith.training.batches import Cut, Encoded, Packing, sample
from tunesmith.training.distillation import DistillationLoss, TaughtBatch, taught_batches
from tunesmith.training.drift import TOP, Items, Measured, Suite, worst
from tunesmith.training.guard import Drifts, Guard
from tunesmith.training.own_text import ROUND, own_text
from tunesmith.training.probe_file import halves, items_of, read_probe
from tunesmith.training.retention import Control, Retention
from tunesmith.training.teaching import taught_by

if TYPE_CHECKING:
    from tunesmith.training.gradients import Loss
    from tunesmith.training.loop import LoopResult

B = TypeVar("B")

OWN = "the base's own text"
_STEERED = 2 * ROUND  # rows of own text in each of probe A, probe B and the replayed ones
_AT_ONCE = 256  # tokens in a pass that asks the base of them
_WATCHED = 8  # rows of probe A where there is no budget
_RUIN, _LEAST_RUIN = 0.5, 5.0  # share of the base's accuracy on its own text, and points
# Without a budget nobody asked for the rest to be kept: a sound training for one task may lose a third in 40 steps.
_RUIN_FREE = 0.9
_REPLAYED = 2  # rows of the base's text in an optimizer step
_AIM = 0.7  # of the budget: what the weight of `hold` is steered to
_LEAST_HOLD, _MOST_HOLD = 0.02, 50.0
_SAME = 0.05  # points: an untrained adapter has forgotten nothing
SYSTEM = "lm"


@dataclass(frozen=True, eq=False)
class HeldBatch:
    """Some of the base's own rows in a step. scale: the step's weight over that of all such rows in it."""

    taught: TaughtBatch
    scale: float

    @property
    def tokens(self) -> Any:
        """Its tokens, for whoever counts memory."""
        return self.taught.tokens


class Keeping:
    """Probes and replayed rows of one training, with what the untuned model says of them."""

    def __init__(
        self, retention: Retention, control: Control, steer: Sequence[Suite], judge: Sequence[Suite], ctx: Context
    ) -> None:
        self.retention, self.control, self.steer, self.judge, self.ctx = retention, control, steer, judge, ctx
        self.weight = control.hold
        self.left_out: dict[str, str] = {}
        self.begins_at = 0.0  # points before the first step
        self._replayed: Callable[[int], list[TaughtBatch]] | None = None
        self._rows: tuple[Encoded, Any] | None = None

    @classmethod
    def begin(
        cls, lm: LanguageModel, retention: Retention, control: Control, ctx: Context, *, packing: Packing
    ) -> Keeping:
        """Writes and asks what is needed; lm: untuned, with no method on it.

        Without a budget one round of text for both probes. Raises DataError for a probe file that cannot be used.
        """
        held = retention.at_most is not None
        # Rows of probe B, probe A and replay.
        sizes = [_STEERED, _STEERED, _STEERED] if held else [ROUND - _WATCHED, _WATCHED]
        written = own_text(lm, sum(sizes), seed=ctx.seed, emit=ctx.emit)
        ends = np.cumsum([0, *sizes]).tolist()
        parts = [_part(written, range(a, b)) for a, b in itertools.pairwise(ends)]
        judge, steer = [_own(parts[0])], [_own(parts[1])]
        if retention.probe is not None:
            ours, theirs = halves(read_probe(Path(retention.probe)))
            judge += items_of(theirs, lm.template, context=lm.context)
            steer += items_of(ours, lm.template, context=lm.context) if held else []
        ctx.check(disjoint([*parts, *(one.encoded for one in (*steer[1:], *judge[1:]))]))
        suites = [[Suite.of(lm, items, packing=packing) for items in side] for side in (steer, judge)]
        # One decision for both halves: a suite that steers is judged.
        left_out = {s.items.name: why for side in suites for s in side if (why := s.why_not()) is not None}
        for_a, for_b = ([s for s in side if s.items.name not in left_out] for side in suites)
        made = cls(retention, control, for_a, for_b, ctx)
        made.left_out = left_out
        if held and control.hold:
            texts = [str(row) for row in range(sizes[2])]
            made._rows = (
                parts[2],
                taught_by(lm, parts[2], texts, top=TOP, at_once=_AT_ONCE, packing=packing),
            )
        return made

    @property
    def ruin(self) -> float:
        """Points on the base's own text that make another model of it."""
        share = _RUIN if self.retention.at_most is not None else _RUIN_FREE
        return max(_LEAST_RUIN, share * self.steer[0].base_accuracy())

    @property
    def at_most(self) -> float:
        """The budget; without one, what is no ruin."""
        return self.ruin if self.retention.at_most is None else self.retention.at_most

    @property
    def holds(self) -> bool:
        """Whether steps have a term on the base's own rows."""
        return self._rows is not None

    def lay_out(self, cut: Cut, seed: int) -> None:
        """How the replayed rows are cut into micro-batches."""
        if self._rows is None:
            return
        encoded, teaching = self._rows

        def replayed(step: int) -> list[TaughtBatch]:
            rows = sample(len(encoded), size=_REPLAYED, seed=seed + 1, step=step).tolist()
            return taught_batches(encoded, teaching, rows, **cut.told())

        self._replayed = replayed

    def batches(self, batches: Callable[[int], Sequence[Any]]) -> Callable[[int], Sequence[Any]]:
        """The same micro-batches, with some of the base's own rows in every step."""
        replayed = self._replayed
        if replayed is None:
            return batches

        def both(step: int) -> Sequence[Any]:
            found, own = batches(step), replayed(step)
            weight = sum(_weight(batch) for batch in found)
            own_weight = sum(_weight(batch) for batch in own)
            return [*found, *(HeldBatch(batch, weight / own_weight) for batch in own)]

        return both

    def loss(self, loss: Loss[Any]) -> Loss[Any]:
        """The same loss; on the base's own rows KL(base || tuned) a token, times what the hold weighs now.

        The mean over a step is (task's mean) + weight x (mean over the base's rows). Of the second only the gradient is
        handed on: what is drawn and watched stays the loss of the task.
        """
        if not self.holds:
            return loss
        held = DistillationLoss(share=1.0 - self.control.hard)

        def both(model: torch.nn.Module, batch: Any) -> tuple[torch.Tensor, float]:
            if not isinstance(batch, HeldBatch):
                return loss(model, batch)
            total, _ = held(model, batch.taught)
            term = self.weight * batch.scale * total
            return term - term.detach(), 0.0

        return both

    def guard(self, model: torch.nn.Module, start: Mapping[str, torch.Tensor]) -> Guard:
        """What the loop watches. start: the trained weights as they are now."""
        ruin = max(self.ruin, self.at_most)
        return Guard(start, lambda: worst(self.steer, model), self.at_most, ruin, self.follow)

    def follow(self, drifts: Drifts) -> None:
        """Set the weight of the hold from all that was measured so far; the same drifts give the same weight."""
        weight = self.control.hold
        for _, drift in drifts:
            weight *= min(2.0, max(0.5, drift / (_AIM * self.at_most)))
            weight = min(_MOST_HOLD, max(_LEAST_HOLD, weight)) if weight else 0.0
        self.weight = weight

    def untrained(self, model: torch.nn.Module, *, has_read: bool = False) -> Check:
        """Points that the model has forgotten before the first step: none, or the measure is wrong.

        has_read: the model is not the base but what reading documents made of it, which the drift then begins with.
        """
        found = worst(self.steer, model)
        if has_read:
            self.begins_at = found
            return Check.not_applicable(
                "points forgotten before the first step", f"<= {_SAME}",
                f"the base has read documents: {found:.2f} points", system=SYSTEM,
            )  # fmt: skip
        return Check(
            "points forgotten before the first step", _number(found), f"<= {_SAME}", abs(found) <= _SAME,
            "the method changes the model before any training, or the probe is at fault: choose another method.",
            SYSTEM,
        )  # fmt: skip

    def judged(self, model: torch.nn.Module, result: LoopResult, start: Mapping[str, torch.Tensor]) -> Judgement:
        """What has been forgotten on probe B. A model that is shown to have forgotten too much is rolled back to
        `start`, and measured again."""
        from tunesmith.training.loop import trainable

        found = self._measured(model)
        over = [name for name, one in found.items() if one.interval(seed=self.ctx.seed)[0] > self.at_most]
        why, back = result.rolled_back, result.best_step
        if over:
            points = ", ".join(f"{found[name].mean:.2f} points on {name}" for name in over)
            why, back = f"probe B: {points}, {self.at_most:g} allowed", 0
            with torch.no_grad():
                for name, tensor in trainable(model).items():
                    tensor.copy_(start[name])
            self.ctx.emit("train.rolled_back", step=result.steps_done, to=0, why=why)
            found = self._measured(model)
        suites = tuple(self._suite(suite, found[suite.items.name]) for suite in self.judge)
        drifts = (*(((0, self.begins_at),) if self.begins_at else ()), *result.drifts)
        return Judgement(self.retention.at_most, suites, why, back, drifts, dict(self.left_out))

    def _measured(self, model: torch.nn.Module) -> dict[str, Measured]:
        return {suite.items.name: suite.measure(model) for suite in self.judge}

    def _suite(self, suite: Suite, measured: Measured) -> SuiteResult:
        return SuiteResult(
            suite.items.name, suite.items.kind, suite.items.n, measured.mean, measured.interval(seed=self.ctx.seed),
            suite.base_accuracy(), measured.kl_per_token, measured.perplexity_ratio,
        )  # fmt: skip


@dataclass(frozen=True)
class SuiteResult:
    """What was forgotten on one suite of probe B: points with their 95 % interval; see `drift`."""

    name: str
    kind: str
    n: int
    points: float
    interval: Interval
    base_accuracy: float
    kl: float
    perplexity_ratio: float


@dataclass(frozen=True)
class Judgement:
    """The record of a training. rolled_back: why, "" if it was not; kept_step: of the weights that were kept.

    drifts: (step, points) on probe A. left_out: suites that say nothing, and why.
    """

    at_most: float | None
    suites: tuple[SuiteResult, ...]
    rolled_back: str
    kept_step: int
    drifts: tuple[tuple[int, float], ...] = ()
    left_out: dict[str, str] | None = None

    @property
    def to_base(self) -> bool:
        """Whether what was kept is the untuned model."""
        return bool(self.rolled_back) and self.kept_step == 0

    def checks(self) -> list[Check]:
        """The proofs that the budget was kept: on probe A where it steered, on probe B where it judges."""
        bound = "no budget was given (--forget-at-most)"
        names = ("points forgotten on probe A by what is kept", "points forgotten on probe B")
        if self.at_most is None:
            return [Check.not_applicable(name, "<= the budget", bound, system=SYSTEM) for name in names]
        remedy = "this is a fault in rolling back: please report it with the run folder."
        at = dict(self.drifts).get(self.kept_step, 0.0 if self.kept_step == 0 else math.nan)
        made = [Check(names[0], _number(at), f"<= {self.at_most:g}", at <= self.at_most, remedy, SYSTEM)]
        for suite in self.suites:
            half = suite.points - suite.interval[0]
            allowed = self.at_most + half
            told = f"<= {self.at_most:g} + {half:.3g} (half of the interval)"
            fine = suite.points <= allowed + 1e-9
            made.append(Check(f"{names[1]}: {suite.name}", _number(suite.points), told, fine, remedy, SYSTEM))
        return made

    def to_dict(self) -> dict[str, Any]:
        """JSON of it."""
        from dataclasses import asdict

        made = asdict(self)
        return {**made, "to_base": self.to_base}


def rolled_back(judgement: Judgement, start: Mapping[str, torch.Tensor], now: Mapping[str, torch.Tensor]) -> Check:
    """Where a training was rolled back to the untuned model: how far the weights are from it."""
    name, bound = "distance from the untuned model after rolling back to it", "= 0"
    if not judgement.to_base:
        return Check.not_applicable(name, bound, "the training was not rolled back to the untuned model", system=SYSTEM)
    squares = sum(float((now[key].detach() - start[key]).cpu().double().square().sum()) for key in start)
    distance = math.sqrt(squares) if math.isfinite(squares) else math.nan
    return Check(
        name, _number(distance), bound, distance == 0.0,
        "what was kept is not the untuned model: please report it with the run folder.", SYSTEM,
    )  # fmt: skip


def no_worse_on_dev(result: LoopResult) -> Check:
    """Dev score of the weights kept, less that of the untuned model."""
    name, bound = "dev score of what is kept, less the untuned model's", ">= 0"
    if result.untuned is None or result.best_score is None:
        return Check.not_applicable(name, bound, "there was no dev score (a refit has no dev rows)", system=SYSTEM)
    gain = result.best_score - result.untuned
    return Check(
        name, _number(gain), bound, gain >= 0.0,
        "a training that does harm was not rolled back: please report it with the run folder.", SYSTEM,
    )  # fmt: skip


def disjoint(parts: Sequence[Encoded]) -> Check:
    """Rows that two of the probes, or a probe and the replayed rows, have in common."""
    rows = [set(part.ids) for part in parts]
    shared = sum(len(rows[i] & rows[j]) for i in range(len(rows)) for j in range(i))
    return Check(
        "rows that probe A, probe B and replay share", shared, "= 0", shared == 0,
        "a probe that judges must not have steered: please report it with the run folder.", SYSTEM,
    )  # fmt: skip


def share_kept(result: LoopResult) -> float:
    """What the kept weights gained on dev, of the best gain that the same training saw whatever it forgot; 1: all."""
    if result.untuned is None or result.most is None or result.most <= result.untuned:
        return 1.0
    kept = result.untuned if result.best_score is None else result.best_score
    return (kept - result.untuned) / (result.most - result.untuned)


def _own(encoded: Encoded) -> Items:
    return Items(OWN, "expected", encoded, tuple(range(len(encoded))))


def _part(encoded: Encoded, rows: range) -> Encoded:
    return replace(
        encoded,
        ids=tuple(encoded.ids[i] for i in rows),
        n_prompt=tuple(encoded.n_prompt[i] for i in rows),
        n_end=tuple(encoded.n_end[i] for i in rows),
        weights=tuple(encoded.weights[i] for i in rows),
    )


def _weight(batch: Any) -> float:
    """What a micro-batch weighs in its step."""
    weights = getattr(batch, "weights", None)
    return float((batch.tokens.weights if weights is None else weights).sum())


def _number(value: float) -> float | str:
    return float(f"{value:.6g}") if math.isfinite(value) else "not finite"
