"""When a training does harm: what is watched while it runs, and which weights it is rolled back to.

A state is *good* if it is finite, no worse on dev than the untuned model and, where there is a budget of forgetting, no
further from the untuned model than that. A training ends early where it does harm; what it leaves is the best good
state that it has seen, and the untuned weights where it has seen none.

What ends it: a loss, gradient, weight or dev score that is not finite (an error where no good state was seen before);
a training loss that is half as much again as the untuned model's (and 0.1 nats) for five steps on end; a dev score that
is clearly below the untuned model's, or a drift so large that the model has become another one, at two checkpoints
running. A drift above the budget ends nothing: held more firmly, a model comes back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

HARM = "harm"  # LoopResult.stopped
USUAL = 4  # steps whose rows say what the untuned model's loss is
# The loss of so many steps in a row, and how far above that of the untuned model each of them must be.
_STEPS, _TIMES, _NATS = 5, 1.5, 0.1
# Dev scores below the untuned model's by this share of it and this much, so many times in a row.
_SHARE, _SLACK, _SCORES = 0.1, 0.05, 2
_LOST = 2  # checkpoints in a row at which the model was another one

Drifts = Sequence[tuple[int, float]]  # (step, drift) of every checkpoint so far


@dataclass(frozen=True)
class Guard:
    """What a training may not do to a model.

    start:   trained weights before the first step, by name: the untuned model.
    drift:   how far the model as it is has come from the untuned one; None: nobody asks.
    at_most: largest drift of a state that may be kept, in the unit of `drift`. ruin: drift that ends a training.
    told:    called with the drifts of all checkpoints after each of them and on resume.
    """

    start: Mapping[str, torch.Tensor]
    drift: Callable[[], float] | None = None
    at_most: float = math.inf
    ruin: float = math.inf
    told: Callable[[Drifts], None] | None = None


@dataclass
class Seen:
    """What a guard remembers, kept in checkpoints.

    untuned: dev score before the first step. usual: the untuned model's loss on the rows of the first steps. above,
    below, gone: steps, dev scores and drifts in a row that were too bad. most: best dev score of any state. harm: why
    the training was ended.
    """

    untuned: float | None = None
    usual: float | None = None
    above: int = 0
    below: int = 0
    gone: int = 0
    most: float | None = None
    harm: str | None = None
    drifts: list[tuple[int, float]] = field(default_factory=list)

    @classmethod
    def of(cls, about: Mapping[str, object]) -> Seen:
        """From a checkpoint's JSON."""
        made = cls(**about)  # type: ignore[arg-type]
        made.drifts = [(int(step), float(value)) for step, value in made.drifts]
        return made

    def drifted(self, step: int, drift: float, guard: Guard) -> None:
        """Note a drift, and tell who follows it."""
        self.drifts.append((step, drift))
        self.gone = self.gone + 1 if drift > guard.ruin else 0
        if self.gone >= _LOST:
            self.harm = f"{drift:.2f} points forgotten at step {step}, of {guard.ruin:.3g} that leave it the same model"
        if guard.told is not None:
            guard.told(self.drifts)

    def lost(self, step: int, mean: float) -> None:
        """Note the mean training loss of a step (steps done so far, this one included)."""
        if self.usual is None:
            return
        self.above = self.above + 1 if mean > _TIMES * max(self.usual, 0.0) + _NATS else 0
        if self.above >= _STEPS:
            self.harm = (
                f"the training loss has been above {_TIMES:g} times the untuned model's {self.usual:.3g} for "
                f"{_STEPS} steps, {mean:.3g} at step {step}"
            )

    def scored(self, step: int, dev: float) -> None:
        """Note a dev score."""
        self.most = dev if self.most is None else max(self.most, dev)
        if self.untuned is None:
            return
        self.below = self.below + 1 if dev < self.untuned - _SHARE * abs(self.untuned) - _SLACK else 0
        if self.below >= _SCORES:
            self.harm = f"dev fell from {self.untuned:.4g} untuned to {dev:.4g} at step {step}"

    def within(self, at_most: float) -> bool:
        """Whether the last drift measured is within the budget; True where none was measured."""
        return not self.drifts or self.drifts[-1][1] <= at_most

    def why_back(self, best_step: int | None, best_score: float | None, at_most: float) -> tuple[int | None, str]:
        """(step to go back to, reason) once the training has ended; (None, "") if nothing needs to be undone.

        best_step: of the best good state, None if there was none.
        """
        no_better = best_score is not None and self.untuned is not None and best_score < self.untuned
        back = 0 if best_step is None or no_better else best_step
        if self.harm is not None:
            return back, self.harm
        if not self.within(at_most):
            step, value = self.drifts[-1]
            return back, f"{value:.2f} points forgotten at step {step}, {at_most:.3g} allowed"
        if no_better:
            assert best_score is not None
            assert self.untuned is not None
            return 0, f"no step was as good on dev as the untuned model ({best_score:.4g} against {self.untuned:.4g})"
        return None, ""
