"""What the language model is trained for: answers as they stand, which of two is better, or what a teacher says.

goal = objective_of(lm, asker, train, dev, job, lengths, ctx)   encodes the rows, asks a teacher
goal.begin(model, packing)                                      before an adapter is on: reads what the base says
goal.lay_out(cut)                                               how micro-batches are cut, once it is known
train(model, goal.batches(size, seed), goal.loss, steering=Steering(score=lambda: goal.score(model)), …)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
import torch

from tunesmith.core.checks import Check
from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.models.lm import LanguageModel, release_memory
from tunesmith.models.resolve import fetch, resolve
from tunesmith.models.template import Asker
from tunesmith.training.batches import Cut, Encoded, Packing, TokenBatch, TokenBatches, encode, micro_batches
from tunesmith.training.distillation import DistillationLoss, TaughtBatch, TaughtBatches, taught_batches
from tunesmith.training.gradients import Loss
from tunesmith.training.losses import answer_loss, mean_loss
from tunesmith.training.preference import (
    PairBatch,
    PairBatches,
    PreferenceLoss,
    chosen_rows,
    encode_pairs,
    pair_batches,
    preferred,
    reference_log_probs,
)
from tunesmith.training.prompted import Lengths, lengths_of
from tunesmith.training.systems import Job
from tunesmith.training.teaching import Teaching, ask_teacher

Name = Literal["supervised", "dpo", "distill"]
Batches = Callable[[int], Sequence[Any]]
# Rows whose two answers are one, or one of them absent, are left out; more of them than this are a fault in the data.
MOST_LEFT_OUT = 0.1
_DEV_ROWS = 64
# Tokens in a pass that keeps nothing for a backward.
_READ_AT_ONCE = 1024


class Objective(Protocol):
    """What `Lm.fit` asks of an objective."""

    @property
    def encoded(self) -> Encoded:
        """Every sequence whose answer enters the loss; two per pair."""
        ...

    @property
    def name(self) -> Name:
        """Its name in the options."""
        ...

    @property
    def rate_factor(self) -> float:
        """What its usual learning rate is of that for plain answers."""
        ...

    @property
    def held_out(self) -> Encoded:
        """Dev answers that should become likely."""
        ...

    @property
    def n(self) -> int:
        """Examples to learn from: rows or pairs."""
        ...

    @property
    def teaches_ends(self) -> bool:
        """Whether the loss itself makes the end of an answer likely."""
        ...

    def begin(self, model: torch.nn.Module, packing: Packing) -> None:
        """Called once with the untrained model, no adapter on it."""
        ...

    def lay_out(self, cut: Cut) -> None:
        """Called once, after `begin`: how micro-batches are cut from now on."""
        ...

    def batches(self, size: int, seed: int) -> Batches:
        """The loop's micro-batches, `size` Examples in a step."""
        ...

    def loss(self, model: torch.nn.Module, batch: Any) -> tuple[torch.Tensor, float]:
        """The loop's loss."""
        ...

    def score(self, model: torch.nn.Module, *, through: Loss[Any] | None = None) -> float:
        """Minus the loss on dev, which must have rows; through: the same loss where a trunk is stored."""
        ...

    def about(self, model: torch.nn.Module) -> dict[str, float | int | str]:
        """What else is known of the trained model on dev, for its record."""
        ...


def objective_of(
    lm: LanguageModel, asker: Asker, train: Rows, dev: Rows, job: Job, ctx: Context
) -> tuple[Objective, Lengths]:
    """The objective that job.options ask for, and the token limits of its answers.

    "auto" is "dpo" where the rows have rejected answers, else "supervised". At most 64 dev rows are used.
    Raises ConfigError, DataError or ModelError where rows or teacher do not serve the objective.
    """
    given = job.options
    name, why = _name(str(given.get("objective", "auto")), train)
    ctx.emit("decision", what="train.objective", choice=name, why=why)
    some = dev if len(dev) <= _DEV_ROWS else dev.take(_drawn(len(dev), ctx.seed))
    if name == "dpo":
        train, some = _usable(train, ctx, part="train"), _usable(some, ctx, part="dev")
        lengths = _lengths(lm, job, [*train.targets, *train.rejected])
        loss = PreferenceLoss(
            float(given.get("beta", 0.1)), float(given.get("smoothing", 0.0)), float(given.get("chosen_weight", 0.0))
        )
        return Preference(asker, train, some, lengths, loss), lengths
    lengths = _lengths(lm, job, train.targets)
    if name == "supervised":
        return Supervised(asker, train, some, lengths), lengths
    told = DistillationLoss(float(given.get("teacher_share", 0.5)), float(given.get("temperature", 1.0)))
    teaching = _teaching(lm, asker, train + some, lengths, job, ctx)
    lengths = _lengths(lm, job, [lm.template.read(answer) for answer in teaching.answers])
    return Distilled(asker, train, some, lengths, teaching, told), lengths


class Supervised:
    """The answers as they stand: cross-entropy of their tokens."""

    name: Name = "supervised"
    rate_factor = 1.0
    teaches_ends = True

    def __init__(self, asker: Asker, train: Rows, dev: Rows, lengths: Lengths) -> None:
        most, room = lengths.max_tokens, lengths.room
        self.encoded = encode(train, asker, max_tokens=most, room=room)
        self.held_out = encode(dev, asker, max_tokens=most, room=room)
        self.n = len(train)
        self._cut = Cut(0, 0, "padded")
        self._dev: list[TokenBatch] = []

    def begin(self, model: torch.nn.Module, packing: Packing) -> None:
        """Nothing is asked of the untrained model."""
        del model, packing

    def lay_out(self, cut: Cut) -> None:
        self._cut = cut
        self._dev = micro_batches(self.held_out, range(len(self.held_out)), **cut.told())

    def batches(self, size: int, seed: int) -> Batches:
        return TokenBatches(self.encoded, size, seed, **self._cut.told())

    def loss(self, model: torch.nn.Module, batch: TokenBatch) -> tuple[torch.Tensor, float]:
        return answer_loss(model, batch)

    def score(self, model: torch.nn.Module, *, through: Loss[TokenBatch] | None = None) -> float:
        return -mean_loss(model, self._dev, loss=through or self.loss)

    def about(self, model: torch.nn.Module) -> dict[str, float | int | str]:
        del model
        return {}


class Preference:
    """Which of two answers is better (training/preference.py)."""

    name: Name = "dpo"
    # Both answers begin where the base put them: steps as large as those that teach an answer overshoot.
    rate_factor = 0.1

    def __init__(self, asker: Asker, train: Rows, dev: Rows, lengths: Lengths, loss: PreferenceLoss) -> None:
        self.encoded = encode_pairs(train, asker, max_tokens=lengths.max_tokens, room=lengths.room)
        self._pairs = encode_pairs(dev, asker, max_tokens=lengths.max_tokens, room=lengths.room)
        self.held_out = chosen_rows(self._pairs)
        self.n = len(train)
        self._loss = loss
        self.teaches_ends = loss.supervised > 0.0
        self._cut = Cut(0, 0, "padded")
        self._reference = self._on_dev = torch.zeros(0, 2)
        self._dev: list[PairBatch] = []

    def begin(self, model: torch.nn.Module, packing: Packing) -> None:
        """The untrained model's log-probabilities of all answers: the reference, read once."""
        self._reference = reference_log_probs(model, self.encoded, max_tokens=_READ_AT_ONCE, packing=packing)
        self._on_dev = reference_log_probs(model, self._pairs, max_tokens=_READ_AT_ONCE, packing=packing)

    def lay_out(self, cut: Cut) -> None:
        self._cut = cut
        self._dev = pair_batches(self._pairs, self._on_dev, range(len(self._on_dev)), **cut.told())

    def batches(self, size: int, seed: int) -> Batches:
        return PairBatches(self.encoded, self._reference, size, seed, **self._cut.told())

    def loss(self, model: torch.nn.Module, batch: PairBatch) -> tuple[torch.Tensor, float]:
        return self._loss(model, batch)

    def score(self, model: torch.nn.Module, *, through: Loss[PairBatch] | None = None) -> float:
        return -mean_loss(model, self._dev, loss=through or self.loss)

    def about(self, model: torch.nn.Module) -> dict[str, float | int | str]:
        """Reward accuracy and margin on dev pairs."""
        if not self._dev:
            return {}
        found = preferred(model, self._dev, self._loss)
        return {"pairs": found.n, "reward_accuracy": found.accuracy, "reward_margin": found.margin}


class Distilled:
    """What a teacher says and how sure it is (training/distillation.py)."""

    name: Name = "distill"
    rate_factor = 1.0
    teaches_ends = True

    def __init__(
        self, asker: Asker, train: Rows, dev: Rows, lengths: Lengths, teaching: Teaching, loss: DistillationLoss
    ) -> None:
        """teaching: of the train rows and then of the dev rows."""
        n = len(train)
        most, room = lengths.max_tokens, lengths.room
        self._on_train, self._on_dev = teaching.take(range(n)), teaching.take(range(n, n + len(dev)))
        self.encoded = encode(train, asker, max_tokens=most, room=room, answers=self._on_train.answers)
        self.held_out = encode(dev, asker, max_tokens=most, room=room, answers=self._on_dev.answers)
        self.n = n
        self._loss = loss
        self._cut = Cut(0, 0, "padded")
        self._dev: list[TaughtBatch] = []

    def begin(self, model: torch.nn.Module, packing: Packing) -> None:
        """Nothing is asked of the untrained model."""
        del model, packing

    def lay_out(self, cut: Cut) -> None:
        self._cut = cut
        self._dev = taught_batches(self.held_out, self._on_dev, range(len(self.held_out)), **cut.told())

    def batches(self, size: int, seed: int) -> Batches:
        return TaughtBatches(self.encoded, self._on_train, size, seed, **self._cut.told())

    def loss(self, model: torch.nn.Module, batch: TaughtBatch) -> tuple[torch.Tensor, float]:
        return self._loss(model, batch)

    def score(self, model: torch.nn.Module, *, through: Loss[TaughtBatch] | None = None) -> float:
        return -mean_loss(model, self._dev, loss=through or self.loss)

    def about(self, model: torch.nn.Module) -> dict[str, float | int | str]:
        del model
        return {}


def _name(asked: str, rows: Rows) -> tuple[Name, str]:
    """The objective's name, and why it is this one."""
    if asked == "auto":
        if rows.rejected:
            return "dpo", f"{len(rows):,} rows have a rejected answer beside the chosen one"
        return "supervised", "the rows have one answer each"
    for name in get_args(Name):
        if asked == name:
            return name, "you asked for it"
    raise ConfigError(f"train.objective: expected auto, {', '.join(get_args(Name))}, got '{asked}'.")


def _usable(rows: Rows, ctx: Context, *, part: str) -> Rows:
    """The rows with two different answers. Raises DataError where there are none to choose between at all."""
    if not len(rows):
        return rows
    if not rows.rejected:
        raise DataError(
            "train.objective is dpo, and the data has no rejected answers.",
            hint="name the columns prompt, chosen and rejected, or set train.objective: supervised.",
        )
    kept = [i for i in range(len(rows)) if rows.rejected[i].strip() not in ("", rows.targets[i].strip())]
    left_out = 1.0 - len(kept) / len(rows)
    ctx.check(
        Check(
            f"{part} pairs left out, as an answer is absent or both are the same",
            round(left_out, 6),
            f"<= {MOST_LEFT_OUT}",
            left_out <= MOST_LEFT_OUT,
            "give every row two different answers, or set train.objective: supervised.",
            "lm",
        )
    )
    return rows.take(kept)


def _teaching(lm: LanguageModel, asker: Asker, rows: Rows, lengths: Lengths, job: Job, ctx: Context) -> Teaching:
    """What the teacher of job.options says of the rows: from its file, from an earlier asking, or asked now."""
    given = job.options
    named = str(given.get("teacher", ""))
    if not named:
        raise ConfigError(
            "train.objective is distill, and there is no teacher.",
            hint="set train.teacher to a file (.parquet or .jsonl) or to a larger model of the same family.",
        )
    if Path(named).suffix in (".parquet", ".jsonl"):
        return Teaching.load(Path(named)).matched(rows, lm)
    kept = ctx.workdir / "teaching.parquet"
    if kept.exists():
        told = Teaching.load(kept)
        if told.texts == rows.texts:
            return told
    teacher = LanguageModel.load(fetch(resolve(named, "lm"), ctx.emit), ctx.limits)
    told = ask_teacher(
        teacher,
        rows,
        asker,
        top=int(given.get("teacher_top", 16)),
        max_tokens=lengths.max_tokens,
        room=lengths.room,
        at_once=_READ_AT_ONCE,
        write=bool(given.get("teacher_writes", False)),
    )
    told.save(kept)
    ctx.emit("teacher.asked", teacher=named, rows=len(rows), top=int(told.top_ids[0].shape[1]))
    del teacher
    release_memory()
    return told


def _lengths(lm: LanguageModel, job: Job, answers: Sequence[str]) -> Lengths:
    """Limits for these answers, or those of an earlier fit."""
    given = job.options
    if job.frozen and "max_tokens" in given:
        return Lengths(int(given["max_tokens"]), int(given["max_new_tokens"]))
    return lengths_of(lm.template, answers, lm.context)


def _drawn(n: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The positions of the dev rows that are used, in order."""
    return np.sort(np.random.default_rng([seed, 5]).choice(n, _DEV_ROWS, replace=False)).astype(np.int64)
