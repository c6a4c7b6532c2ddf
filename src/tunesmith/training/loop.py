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

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import torch

from tunesmith.core.errors import ConfigError, ModelError, RunError
from tunesmith.core.events import Emit, progress
from tunesmith.core.files import canonical, read_json, sha256_bytes, write_json, write_text
from tunesmith.training import checkpoint
from tunesmith.training.blame import NotFinite, not_finite, sound_weights
from tunesmith.training.guard import HARM, USUAL, Guard, Seen
from tunesmith.training.parallel import ALONE, Group

B = TypeVar("B")
Batches = Callable[[int], Sequence[B]]
Loss = Callable[[torch.nn.Module, B], tuple[torch.Tensor, float]]

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


@dataclass
class _State:
    """What a checkpoint holds besides tensors."""

    step: int = 0  # optimizer steps done
    window_sum: float = 0.0
    window_weight: float = 0.0
    best_step: int = 0
    best_score: float | None = None
    without_gain: int = 0
    stopped: str | None = None
    curve: list[dict[str, float | None]] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)


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
    groups = _groups(weights, multiples)
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate, weight_decay=recipe.weight_decay)
    identity = _identity(weights, recipe, seed, multiples)
    if group.size > 1:
        group.agree("what is trained", sha256_bytes(canonical([identity, _digest(model.named_parameters())])))
    state, best = _resume(folder, weights, optimizer, identity, emit, group)
    score, promising = steering.score, steering.promising
    scored, asked = group.from_main([score is not None, promising is not None])
    keeps = group.rank == 0
    guard = steering.guard if group.size == 1 else None
    if guard is not None:
        _begin(guard, state, model, score, partial(_usual, model, batches, loss, recipe.last_step))
    if keeps:
        _write_curve(folder, state.curve)
    curve_every = max(1, recipe.steps // _CURVE_POINTS)
    saved_at = time.monotonic()

    with progress(emit, "train", recipe.last_step) as tick:
        tick(state.step)
        while state.stopped is None:
            step = state.step
            for some in optimizer.param_groups:
                some["lr"] = recipe.rate_at(step) * some["multiple"]
            try:
                total, weight = _accumulate(model, weights, batches(step), loss, seed=seed, step=step, group=group)
                _scale_and_clip(model, weights, weight, recipe.clip, step)
            except NotFinite as error:
                _give_up(error, state, guard)
                break
            optimizer.step()
            state.step += 1
            state.window_sum += total
            state.window_weight += weight
            over = group.from_main(_time_is_up(folder, state.step, steering.late, emit) if keeps else None)
            last = over or state.step >= recipe.last_step
            pausing = state.step == recipe.pause_step and asked and not last

            dev: float | None = None
            drift: float | None = None
            due = last or pausing or _due(state.step, recipe.evaluate_every)
            try:
                if guard is not None:
                    state.seen.lost(state.step, total / weight)
                    drift = _drift(model, guard, state) if due else None
                dev = _evaluate(model, score, state.step, group) if scored and due else None
            except NotFinite as error:
                _give_up(error, state, guard)
                break
            if dev is not None or drift is not None:
                if guard is not None and dev is not None:
                    state.seen.scored(state.step, dev)
                if guard is not None and not state.seen.within(guard.at_most):
                    pass  # not to be kept, and no sign of a training that gains nothing: held more firmly it comes back
                elif dev is None or state.best_score is None or dev > state.best_score:
                    state.best_step, state.best_score, state.without_gain = state.step, dev, 0
                    best = {name: tensor.detach().clone() for name, tensor in weights.items()}
                else:
                    state.without_gain += 1
            if dev is not None or drift is not None or last or _due(state.step, curve_every):
                mean = state.window_sum / max(state.window_weight, 1e-12)
                state.curve.append({"step": state.step, "loss": mean, "dev": dev})
                if guard is not None and guard.drift is not None:
                    state.curve[-1]["drift"] = drift
                state.window_sum = state.window_weight = 0.0
                if keeps:
                    _write_curve(folder, state.curve)

            if state.seen.harm is not None:
                state.stopped = HARM
            elif last:
                state.stopped = "the clock" if over and state.step < recipe.last_step else "all steps"
            elif recipe.patience is not None and state.without_gain >= recipe.patience:
                state.stopped = "no gain on dev"
            elif pausing and not group.from_main(_go_on(folder, state, promising, emit) if promising else None):
                state.stopped = "not promising"
            now = time.monotonic()
            if group.from_main(state.stopped is not None or pausing or now - saved_at >= checkpoint_every_s):
                try:
                    sound_weights(weights, step)
                except NotFinite as error:
                    _give_up(error, state, guard)
                    break
                if group.size > 1:
                    group.agree(f"the trained weights after step {state.step}", _digest(weights.items()))
                if keeps:
                    _save(folder, state, weights, optimizer, best, identity)
                saved_at = now
            tick(1)

    back, why = None, ""
    if guard is not None:
        back, why = state.seen.why_back(state.best_step if best else None, state.best_score, guard.at_most)
        if back == 0:
            best, state.best_step, state.best_score = dict(guard.start), 0, state.seen.untuned
        if back is not None:
            emit("train.rolled_back", step=state.step, to=back, why=why)
    if best is None:
        state.best_step = state.step
    else:
        with torch.no_grad():
            for name, tensor in weights.items():
                tensor.copy_(best[name])
    model.eval()
    seen = state.seen
    return LoopResult(
        state.step, state.best_step, state.best_score, tuple(state.curve), str(state.stopped), why,
        seen.untuned, seen.most, tuple(seen.drifts),
    )  # fmt: skip


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


def _accumulate(
    model: torch.nn.Module,
    weights: dict[str, torch.nn.Parameter],
    micro_batches: Sequence[B],
    loss: Loss[B],
    *,
    seed: int,
    step: int,
    group: Group = ALONE,
) -> tuple[float, float]:
    """Gradients of the loss summed over the micro-batches of all processes, left in the weights; (sum, weight)."""
    model.train()
    for tensor in weights.values():
        tensor.grad = None
    total = weight = 0.0
    again: Callable[[], object] | None = None
    with _forked(weights):
        for index in deal([float(getattr(batch, "cost", 1.0)) for batch in micro_batches], group.size)[group.rank]:
            torch.manual_seed(int.from_bytes(hashlib.sha256(b"%d %d %d" % (seed, step, index)).digest()[:7]))
            part, part_weight = loss(model, micro_batches[index])
            part.backward()  # type: ignore[no-untyped-call]  # of a loss that is not finite: to learn which layer did it
            total += float(part.detach())
            weight += part_weight
            if not math.isfinite(total):
                again = partial(loss, model, micro_batches[index])
                break
    if group.size > 1:
        total, weight = _add_up(weights, total, weight, step=step, n=len(micro_batches), group=group)
    if not math.isfinite(total):
        raise not_finite("loss", total, step, model, again=again)
    if weight <= 0.0:
        raise ModelError(f"step {step} has nothing to learn from: its examples weigh {weight} in all.")
    return total, weight


def deal(costs: Sequence[float], size: int) -> list[list[int]]:
    """Which micro-batches each of `size` processes computes, in order: costly ones first, each to whom has least.

    A process may have none. Source: Graham 1969 (longest processing time first; at most 4/3 of the best makespan).
    """
    shares: list[list[int]] = [[] for _ in range(size)]
    loads = [0.0] * size
    for index in sorted(range(len(costs)), key=lambda i: (-costs[i], i)):
        who = loads.index(min(loads))
        shares[who].append(index)
        loads[who] += costs[index]
    return [sorted(share) for share in shares]


def _add_up(
    weights: dict[str, torch.nn.Parameter], total: float, weight: float, *, step: int, n: int, group: Group
) -> tuple[float, float]:
    """Loss sum, weight and gradients, added up over the processes: one exchange of numbers, one of gradients.

    A weight that no process has a gradient for keeps none, as on one process.
    """
    reached = [float(tensor.grad is not None) for tensor in weights.values()]
    sums = torch.tensor([total, weight, float(n), *reached], dtype=torch.float64)
    group.add_up(sums)
    total, weight, batches, *anywhere = sums.tolist()
    if batches != n * group.size:
        raise RunError(
            f"step {step}: processes of the group have {batches:.0f} micro-batches in all, and this one has {n}.",
            hint="all processes need the same rows, in the same batches.",
        )
    shared = [tensor for tensor, count in zip(weights.values(), anywhere, strict=True) if count]
    if shared:
        parts = [torch.zeros_like(t) if t.grad is None else t.grad for t in shared]
        flat = torch.cat([part.reshape(-1) for part in parts])
        group.add_up(flat)
        at = 0
        for tensor in shared:
            tensor.grad = flat[at : at + tensor.numel()].view_as(tensor)
            at += tensor.numel()
    return total, weight


def _scale_and_clip(
    model: torch.nn.Module, weights: dict[str, torch.nn.Parameter], weight: float, clip: float | None, step: int
) -> None:
    """Turn the gradient of the sum into that of the mean, then bound its norm."""
    gradients = [tensor.grad for tensor in weights.values() if tensor.grad is not None]
    for gradient in gradients:
        gradient.div_(weight)
    norm = float(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients])))
    if not math.isfinite(norm):
        raise not_finite("gradient", norm, step, model)
    if clip is not None and norm > clip:
        for gradient in gradients:
            gradient.mul_(clip / norm)


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


def _begin(
    guard: Guard,
    state: _State,
    model: torch.nn.Module,
    score: Callable[[], float] | None,
    usual: Callable[[], float | None],
) -> None:
    """Score the untuned model, or tell the guard of what it knew where the training was stopped."""
    if state.step == 0:
        model.eval()
        state.seen.usual = usual()
        if score is not None:
            state.seen.untuned = _evaluate(model, score, 0, ALONE)
    if guard.told is not None:
        guard.told(state.seen.drifts)


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


def _drift(model: torch.nn.Module, guard: Guard, state: _State) -> float | None:
    """How far the model is from the untuned one, noted; None where nobody asks."""
    if guard.drift is None:
        return None
    drift = _evaluate(model, guard.drift, state.step, ALONE, what="drift")
    state.seen.drifted(state.step, drift, guard)
    return drift


def _give_up(error: NotFinite, state: _State, guard: Guard | None) -> None:
    """End a training whose numbers are no longer finite; the error itself where there is no good state to go back to.

    Nothing is written: resumed from the last checkpoint it comes to the same end.
    """
    if guard is None or error.frozen or not state.best_step:
        raise error
    state.seen.harm, state.stopped = error.message, HARM


def _go_on(folder: Path, state: _State, promising: Callable[[float], bool], emit: Emit) -> bool:
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


def _forked(weights: dict[str, torch.nn.Parameter]) -> AbstractContextManager[None]:
    """A block after which the generators of the CPU and of the weights' devices are as they were."""
    devices = sorted({t.device for t in weights.values() if t.device.type in ("cuda", "xpu")}, key=str)
    if not devices:
        return torch.random.fork_rng(devices=[])
    return torch.random.fork_rng(devices=devices, device_type=devices[0].type)


def _digest(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    """sha256 of names and bytes, whatever device and dtype."""
    found = hashlib.sha256()
    for name, tensor in tensors:
        found.update(name.encode())
        found.update(tensor.detach().contiguous().view(-1).view(torch.uint8).cpu().numpy().data)
    return found.hexdigest()


def _identity(weights: dict[str, torch.nn.Parameter], recipe: Recipe, seed: int, multiples: Mapping[str, float]) -> str:
    """What a checkpoint must have been made with: recipe, rates, seed, names, shapes and starting values."""
    start = {name: sha256_bytes(t.detach().cpu().numpy().tobytes()) for name, t in weights.items()}
    shapes = {name: list(t.shape) for name, t in weights.items()}
    rates = {name: float(multiple) for name, multiple in multiples.items()}
    made = {"recipe": asdict(recipe), "rates": rates, "seed": seed, "start": start, "shapes": shapes}
    return sha256_bytes(canonical(made))


def _save(
    folder: Path,
    state: _State,
    weights: dict[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    best: dict[str, torch.Tensor] | None,
    identity: str,
) -> None:
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        tensors[f"weight.{name}"] = tensor
        if best is not None:
            tensors[f"best.{name}"] = best[name]
        for key, value in optimizer.state[tensor].items():
            tensors[f"adam.{key}.{name}"] = value
    checkpoint.save(folder / "checkpoints", state.step, tensors, {"identity": identity, **asdict(state)})


def _resume(
    folder: Path,
    weights: dict[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    identity: str,
    emit: Emit,
    group: Group,
) -> tuple[_State, dict[str, torch.Tensor] | None]:
    """State, weights and optimizer as the newest sound checkpoint of this very training left them; the main process
    reads it for all."""
    found = checkpoint.latest(folder / "checkpoints", emit) if group.rank == 0 else None
    tensors, about = found or ({}, {})
    if about and about.pop("identity") != identity:
        emit("checkpoint.other", folder=folder.name, reason="made with other settings or data; starting anew")
        about = {}
    about = group.from_main(about)
    if not about:
        return _State(), None
    tensors = group.tensors_from_main(tensors)
    state = _State(**{**about, "seen": Seen.of(about["seen"])})
    best: dict[str, torch.Tensor] | None = {} if any(name.startswith("best.") for name in tensors) else None
    with torch.no_grad():
        for name, tensor in weights.items():
            tensor.copy_(tensors[f"weight.{name}"])
            if best is not None:
                best[name] = tensors[f"best.{name}"].to(tensor.device)
            slots: dict[str, Any] = {}
            for key in ("step", "exp_avg", "exp_avg_sq"):
                if f"adam.{key}.{name}" in tensors:
                    value = tensors[f"adam.{key}.{name}"]
                    slots[key] = value if key == "step" else value.to(tensor.device)
            if slots:
                optimizer.state[tensor] = slots
    emit("train.resumed", step=state.step)
    return state, best


def _write_curve(folder: Path, curve: list[dict[str, float | None]]) -> None:
    """steps.jsonl, whole each time (at most a few hundred lines): a resumed run cannot leave doubled lines."""
    import json

    write_text(folder / "steps.jsonl", "".join(json.dumps(entry) + "\n" for entry in curve))
