"""The training loop. It knows neither data nor model family: batches and loss are arguments.

    result = train(model, batches, loss, recipe=Recipe(steps=200, rate=1e-3), folder=workdir, emit=emit)

* `batches(step)` gives the micro-batches of one optimizer step and depends on nothing but the step (and the seed it
  was built with), so a resumed run needs no iterator state.
* `loss(model, micro_batch)` gives (sum, weight). The step's gradient is that of all sums over all weights, so how a
  batch is cut into micro-batches changes its memory and not its step.
* Random numbers inside a step (dropout) are seeded by (seed, step, micro-batch): there is no generator state to save
  either, and who computes a micro-batch does not change it.

Several processes share a training by calling `train` with the same arguments and their `group` (see `parallel`): the
micro-batches of a step are dealt out by their `cost`, where they have one, and sums, weights and gradients are added up
before anything is divided. It is the same optimizer step as on one process. The main process alone scores on dev,
decides and writes; replicas are compared by hash at the start, at every checkpoint and at the end.

What is trained is whatever has `requires_grad`, float32 or wider; frozen weights may be of any dtype.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch

from tunesmith.core.errors import ConfigError, ModelError
from tunesmith.core.events import Emit, progress
from tunesmith.core.files import canonical, read_json, sha256_bytes, write_json
from tunesmith.core.meter import cpu_seconds
from tunesmith.training.blame import NotFinite, not_finite, sound_weights
from tunesmith.training.gradients import B, Loss, accumulate, scale_and_clip
from tunesmith.training.guard import HARM, USUAL, Guard
from tunesmith.training.parallel import ALONE, Group
from tunesmith.training.resuming import State, digest, identity_of, resume, save, write_curve

Batches = Callable[[int], Sequence[B]]

# Points of a loss curve: enough to draw, few enough to read.
_CURVE_POINTS = 200
# An update must be a float32 number before anything can be said about what it did; sane rates end at 0.1.
_HIGHEST_RATE = 1e36
_ONE_RATE: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to train.

    steps: optimizer steps, numbered 0 … steps-1. rate: highest learning rate; LoRA likes 1e-4 … 2e-3.
    warmup: share of the steps in which the rate climbs to `rate`. schedule: what it does afterwards.
    clip: largest gradient norm; None leaves it alone.
    evaluate_every: steps between dev scores; None: only after the last step.
    patience: dev scores in a row without a gain that end the training; None: never.
    pause_step: after this many steps, ask `promising` whether to go on.
    stop_step: end after this many steps with the rates of the whole schedule (refitting at a best step).
    """

    steps: int
    rate: float
    warmup: float = 0.06
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    weight_decay: float = 0.0
    clip: float | None = 1.0
    evaluate_every: int | None = None
    patience: int | None = None
    pause_step: int | None = None
    stop_step: int | None = None

    @property
    def last_step(self) -> int:
        """Steps that will be done if nothing ends the training early."""
        return self.steps if self.stop_step is None else min(self.steps, self.stop_step)

    def rate_at(self, step: int) -> float:
        """The learning rate of a step; never 0, so that every step counts."""
        climb = round(self.warmup * self.steps)
        if step < climb:
            return self.rate * (step + 1) / (climb + 1)
        left = (self.steps - step) / max(1, self.steps - climb)  # 1 … 1/(steps-climb)
        if self.schedule == "linear":
            return self.rate * left
        if self.schedule == "cosine":
            return self.rate * 0.5 * (1.0 - math.cos(math.pi * left))
        return self.rate


@dataclass(frozen=True)
class Steering:
    """What may choose the weights that are kept, or end a training early; asked on the main process alone.

    score:     dev score, greater is better; called with the model in eval mode and without gradients.
    promising: asked once, at recipe.pause_step, with the best dev score so far; the answer is written down.
    late:      asked after every step whether the time is up; the step when it is, is written down and obeyed on resume.
    guard:     what the training may not do to the model (see `guard`); with it a training that goes wrong is rolled
               back. What is not finite is an error still where no checkpoint was good, and where several processes
               train.
    """

    score: Callable[[], float] | None = None
    promising: Callable[[float], bool] | None = None
    late: Callable[[], bool] | None = None
    guard: Guard | None = None


_UNSTEERED = Steering()


@dataclass(frozen=True)
class LoopResult:
    """What the training did; the model holds the weights of `best_step`.

    best_step: optimizer steps behind the weights kept. best_score: their dev score, None if there was none.
    curve:     [{"step", "loss", "dev"}], loss is the mean since the entry before; with a guard's drift also "drift".
    stopped:   "all steps", "no gain on dev", "not promising", "the clock", or "harm".
    rolled_back: why the guard gave up later steps for those of best_step; "" if it did not. best_step 0: the untuned
               weights.
    untuned, most: dev score before the first step, and the best of any state, good or not; None without a guard.
    drifts:    (step, drift) of the checkpoints.
    """

    steps_done: int
    best_step: int
    best_score: float | None
    curve: tuple[dict[str, float | None], ...]
    stopped: str
    rolled_back: str = ""
    untuned: float | None = None
    most: float | None = None
    drifts: tuple[tuple[int, float], ...] = ()


def train(
    model: torch.nn.Module,
    batches: Batches[B],
    loss: Loss[B],
    *,
    recipe: Recipe,
    folder: Path,
    emit: Emit,
    steering: Steering = _UNSTEERED,
    seed: int = 0,
    checkpoint_every_s: float = 30.0,
    multiples: Mapping[str, float] = _ONE_RATE,
    group: Group = ALONE,
) -> LoopResult:
    """Train what requires a gradient; leave the best weights (by dev score, else the last) in the model.

    folder:    gets steps.jsonl and checkpoints/; a loop that finds its own checkpoint there goes on from it and ends
               in the same bytes as one that was never stopped.
    checkpoint_every_s: at most so much work is lost; changes no result. 0 writes after every step.
    multiples: what a weight's rate is of the recipe's, by the weight's name (a method's `rates`); absent: 1.
    group:     the processes that share the steps. Of folder and steering only the main process's are used.
    Raises ModelError when the loss, a gradient, a dev score or a weight is not finite, naming step and layer;
    ConfigError for a rate that is none; RunError when processes of the group are not training the same.
    """
    if not 0.0 <= recipe.rate <= _HIGHEST_RATE:
        raise ConfigError(f"the learning rate is {recipe.rate:g}.", hint="train.rate: take one between 1e-6 and 0.1.")
    weights = trainable(model)
    optimizer = torch.optim.AdamW(_groups(weights, multiples), lr=recipe.rate, weight_decay=recipe.weight_decay)
    identity = identity_of(weights, recipe, seed, multiples)
    if group.size > 1:
        group.agree("what is trained", sha256_bytes(canonical([identity, digest(model.named_parameters())])))
    state, best = resume(folder, weights, optimizer, identity, emit, group)
    training = _Training(
        model, weights, optimizer, recipe, folder, emit, steering, group,
        guard=steering.guard if group.size == 1 else None, identity=identity, state=state, best=best,
        scores=group.from_main(steering.score is not None), asks=group.from_main(steering.promising is not None),
        every_s=checkpoint_every_s,
    )  # fmt: skip
    training.begin(partial(_usual, model, batches, loss, recipe.last_step))
    with progress(emit, "train", recipe.last_step) as tick:
        tick(state.step)
        while state.stopped is None:
            try:
                training.step(batches(state.step), loss, seed)
                training.look()
                training.keep()
            except NotFinite as error:
                training.give_up(error)
                break
            tick(1)
    return training.end()


@dataclass
class _Training:
    """One training under way: `train` calls step, look and keep in turn."""

    model: torch.nn.Module
    weights: dict[str, torch.nn.Parameter]
    optimizer: torch.optim.Optimizer
    recipe: Recipe
    folder: Path
    emit: Emit
    steering: Steering
    group: Group
    guard: Guard | None
    identity: str
    state: State
    best: dict[str, torch.Tensor] | None
    scores: bool  # whether the main process scores on dev, and below whether it is asked at the pause
    asks: bool
    every_s: float
    loss: float = math.nan  # mean of the last step
    saved_at: float = field(default_factory=lambda: time.monotonic())
    stepping_s: float = 0.0  # CPU seconds of the steps alone: what grows with their number

    @property
    def writes(self) -> bool:
        return self.group.rank == 0

    def begin(self, usual: Callable[[], float | None]) -> None:
        """Score the untuned model, or tell the guard of what it knew where the training was stopped."""
        if self.guard is not None and self.state.step == 0:
            self.model.eval()
            self.state.seen.usual = usual()
            if self.steering.score is not None:
                self.state.seen.untuned = _evaluate(self.model, self.steering.score, 0, ALONE)
        if self.guard is not None and self.guard.told is not None:
            self.guard.told(self.state.seen.drifts)
        if self.writes:
            write_curve(self.folder, self.state.curve)

    def step(self, micro_batches: Sequence[B], loss: Loss[B], seed: int) -> None:
        """One optimizer step."""
        state, number, began = self.state, self.state.step, cpu_seconds()
        for some in self.optimizer.param_groups:
            some["lr"] = self.recipe.rate_at(number) * some["multiple"]
        total, weight = accumulate(
            self.model, self.weights, micro_batches, loss, seed=seed, step=number, group=self.group
        )
        scale_and_clip(self.model, self.weights, weight, self.recipe.clip, number)
        self.optimizer.step()
        state.step += 1
        state.window_sum += total
        state.window_weight += weight
        self.loss = total / weight
        self.stepping_s += cpu_seconds() - began

    def look(self) -> None:
        """Score and measure where that is due, note the best state, and find out whether this was the last step."""
        state, recipe, guard = self.state, self.recipe, self.guard
        over = self.group.from_main(
            _time_is_up(self.folder, state.step, self.steering.late, self.emit) if self.writes else None
        )
        last = over or state.step >= recipe.last_step
        pausing = state.step == recipe.pause_step and self.asks and not last
        due = last or pausing or _due(state.step, recipe.evaluate_every)
        dev = drift = None
        if guard is not None:
            state.seen.lost(state.step, self.loss)
            drift = self._drift() if due else None
        if self.scores and due:
            dev = _evaluate(self.model, self.steering.score, state.step, self.group)
        if dev is not None or drift is not None:
            self._compare(dev)
        if dev is not None or drift is not None or last or _due(state.step, max(1, recipe.steps // _CURVE_POINTS)):
            self._note(dev, drift)
        if state.seen.harm is not None:
            state.stopped = HARM
        elif last:
            state.stopped = "the clock" if over and state.step < recipe.last_step else "all steps"
        elif recipe.patience is not None and state.without_gain >= recipe.patience:
            state.stopped = "no gain on dev"
        elif pausing and not self._goes_on():
            state.stopped = "not promising"

    def keep(self) -> None:
        """Write a checkpoint where one is due: sound weights only, the same on all processes."""
        state = self.state
        now = time.monotonic()
        pausing = state.step == self.recipe.pause_step and self.asks
        if not self.group.from_main(state.stopped is not None or pausing or now - self.saved_at >= self.every_s):
            return
        sound_weights(self.weights, state.step - 1)
        if self.group.size > 1:
            self.group.agree(f"the trained weights after step {state.step}", digest(self.weights.items()))
        if self.writes:
            save(self.folder, state, self.weights, self.optimizer, self.best, self.identity)
        self.saved_at = now

    def give_up(self, error: NotFinite) -> None:
        """End a training whose numbers are no longer finite; the error itself where no good state is left to go to.

        Nothing is written: resumed from the last checkpoint it comes to the same end.
        """
        if self.guard is None or error.frozen or not self.state.best_step:
            raise error
        self.state.seen.harm, self.state.stopped = error.message, HARM

    def end(self) -> LoopResult:
        """Leave the best weights in the model, undone where the guard says so."""
        state, seen = self.state, self.state.seen
        self.emit("train.spent", steps=state.step, cpu_seconds=round(self.stepping_s, 3))
        back, why = None, ""
        if self.guard is not None:
            reached = state.best_step if self.best else None
            back, why = seen.why_back(reached, state.best_score, self.guard.at_most)
            if back == 0:
                self.best, state.best_step, state.best_score = dict(self.guard.start), 0, seen.untuned
            if back is not None:
                self.emit("train.rolled_back", step=state.step, to=back, why=why)
        if self.best is None:
            state.best_step = state.step
        else:
            with torch.no_grad():
                for name, tensor in self.weights.items():
                    tensor.copy_(self.best[name])
        self.model.eval()
        return LoopResult(
            state.step, state.best_step, state.best_score, tuple(state.curve), str(state.stopped), why,
            seen.untuned, seen.most, tuple(seen.drifts),
        )  # fmt: skip

    def _drift(self) -> float | None:
        """How far the model is from the untuned one, noted; None where nobody asks."""
        assert self.guard is not None
        if self.guard.drift is None:
            return None
        drift = _evaluate(self.model, self.guard.drift, self.state.step, ALONE, what="drift")
        self.state.seen.drifted(self.state.step, drift, self.guard)
        return drift

    def _compare(self, dev: float | None) -> None:
        """Keep this state if it is the best good one so far."""
        state = self.state
        if self.guard is not None and dev is not None:
            state.seen.scored(state.step, dev)
        if self.guard is not None and not state.seen.within(self.guard.at_most):
            return  # not to be kept, and no sign of a training that gains nothing: held more firmly it comes back
        if dev is None or state.best_score is None or dev > state.best_score:
            state.best_step, state.best_score, state.without_gain = state.step, dev, 0
            self.best = {name: tensor.detach().clone() for name, tensor in self.weights.items()}
        else:
            state.without_gain += 1

    def _note(self, dev: float | None, drift: float | None) -> None:
        """A point of the curve."""
        state = self.state
        mean = state.window_sum / max(state.window_weight, 1e-12)
        state.curve.append({"step": state.step, "loss": mean, "dev": dev})
        if self.guard is not None and self.guard.drift is not None:
            state.curve[-1]["drift"] = drift
        state.window_sum = state.window_weight = 0.0
        if self.writes:
            write_curve(self.folder, state.curve)

    def _goes_on(self) -> bool:
        """Asked at the pause: the main process's decision, on every process."""
        ask = self.steering.promising
        return bool(self.group.from_main(_go_on(self.folder, self.state, ask, self.emit) if ask else None))


def trainable(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """The parameters that are trained, by name. Raises ModelError if there are none or one is below float32."""
    found = {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}
    if not found:
        raise ModelError("nothing in this model is set to be trained.", hint="apply a method (lora, …) first.")
    for name, tensor in found.items():
        if tensor.dtype not in (torch.float32, torch.float64):
            raise ModelError(
                f"the trained weight {name} is {tensor.dtype}; small updates vanish below float32.",
                hint="keep the base in bfloat16 if you like, and what is trained in float32.",
            )
    return found


def _groups(weights: dict[str, torch.nn.Parameter], multiples: Mapping[str, float]) -> list[dict[str, Any]]:
    """The optimizer's groups: weights whose rates are the same multiple of the recipe's, in the model's order."""
    for name, multiple in multiples.items():
        if name not in weights:
            raise ModelError(
                f"a rate is given for {name}, which is not trained.", hint="give rates for trained weights."
            )
        if not (math.isfinite(multiple) and multiple > 0.0):
            raise ModelError(f"the rate of {name} is {multiple} times the base rate.", hint="it must be above 0.")
    found: dict[float, list[torch.nn.Parameter]] = {}
    for name, tensor in weights.items():
        found.setdefault(float(multiples.get(name, 1.0)), []).append(tensor)
    return [{"params": tensors, "multiple": multiple} for multiple, tensors in found.items()]


def _evaluate(
    model: torch.nn.Module, score: Callable[[], float] | None, step: int, group: Group, *, what: str = "dev score"
) -> float:
    """The main process's dev score, on every process."""
    model.eval()
    with torch.no_grad():
        value = float(group.from_main(float(score()) if score is not None and group.rank == 0 else None))
    if not math.isfinite(value):
        raise not_finite(what, value, max(0, step - 1), model, again=score)
    return value


@torch.no_grad()
def _usual(model: torch.nn.Module, batches: Batches[B], loss: Loss[B], last_step: int) -> float | None:
    """The loss of the model as it is on the rows of the first steps; None where it is no number: step 0 tells."""
    total = weight = 0.0
    for step in range(min(USUAL, last_step)):
        for batch in batches(step):
            part, part_weight = loss(model, batch)
            total += float(part)
            weight += part_weight
    return total / weight if weight > 0.0 and math.isfinite(total) else None


def _go_on(folder: Path, state: State, promising: Callable[[float], bool], emit: Emit) -> bool:
    """The decision at the pause: made once, written before it is acted on, obeyed on resume."""
    path = folder / "pause.json"
    if path.exists():
        return bool(read_json(path)["go_on"])
    best = state.best_score if state.best_score is not None else float("nan")
    go_on = bool(promising(best))
    write_json(path, {"step": state.step, "score": state.best_score, "go_on": go_on})
    emit("train.pause", step=state.step, score=state.best_score, go_on=go_on)
    return go_on


def _time_is_up(folder: Path, step: int, late: Callable[[], bool] | None, emit: Emit) -> bool:
    """Whether this is the last step: the clock is asked once, what it said is written first and obeyed on resume."""
    path = folder / "clock.json"
    if path.exists():
        return step >= int(read_json(path)["stop_step"])
    if late is None or not late():
        return False
    write_json(path, {"stop_step": step})
    emit("decision", what="train.steps", choice=str(step), why="the clock: the time for this rung is up")
    return True


def _due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0
