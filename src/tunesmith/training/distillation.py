"""Learns a teacher's answers together with how sure the teacher was of every token.

At each supervised token: (1 - a) * cross-entropy with the teacher's token + a * T^2 * KL(teacher_T || student_T), T a
temperature that both distributions are flattened with. Source: Hinton, Vinyals and Dean 2015, section 2.

A teacher gives its k likeliest tokens. What is left of the probability is one further outcome, "any other token", for
teacher and student alike; these k + 1 probabilities, raised to 1/T and normalised again, are what is compared. With k
the whole vocabulary this is the paper's loss exactly; with fewer tokens, at T = 1, it is a lower bound of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from tunesmith.core.errors import ConfigError
from tunesmith.models.lm import wide
from tunesmith.training.batches import Encoded, Packing, TokenBatch, batch_of, row_groups, sample, supervised
from tunesmith.training.losses import answer_logits
from tunesmith.training.teaching import Teaching


@dataclass(frozen=True, eq=False)
class TaughtBatch:
    """Some rows and what the teacher said at each of their n supervised tokens: top_ids, top_log_probs (n, k)."""

    tokens: TokenBatch
    top_ids: torch.Tensor
    top_log_probs: torch.Tensor


def taught_batches(
    encoded: Encoded,
    teaching: Teaching,
    rows: Sequence[int],
    *,
    max_tokens: int,
    max_recomputed: int | None = None,
    packing: Packing = "tree",
) -> list[TaughtBatch]:
    """The rows in micro-batches. encoded: the teacher's answers, cut or whole, in the order of `teaching`."""
    batches = []
    for group, large in row_groups(
        encoded, rows, max_tokens=max_tokens, max_recomputed=max_recomputed, packing=packing
    ):
        kept = [len(supervised(encoded, row)) for row in group]
        ids = np.concatenate([teaching.top_ids[row][:n] for row, n in zip(group, kept, strict=True)])
        logs = np.concatenate([teaching.top_log_probs[row][:n] for row, n in zip(group, kept, strict=True)])
        tokens = batch_of(encoded, group, packing=packing, large=large)
        batches.append(TaughtBatch(tokens, torch.from_numpy(ids), torch.from_numpy(logs)))
    return batches


@dataclass(frozen=True, eq=False)
class TaughtBatches:
    """The micro-batches of every optimizer step, a pure function of (seed, step). size: rows in a step."""

    encoded: Encoded
    teaching: Teaching
    size: int
    seed: int
    max_tokens: int
    packing: Packing = "tree"
    max_recomputed: int | None = None

    def __call__(self, step: int) -> list[TaughtBatch]:
        rows = sample(len(self.encoded), size=self.size, seed=self.seed, step=step).tolist()
        return taught_batches(
            self.encoded, self.teaching, rows, max_tokens=self.max_tokens, max_recomputed=self.max_recomputed,
            packing=self.packing,
        )  # fmt: skip


@dataclass(frozen=True)
class DistillationLoss:
    """What a token costs; a Loss of the training loop over TaughtBatch: (sum over tokens by weight, their weight).

    share:       a, of the teacher's probabilities in the loss; 0 learns its answers only, 1 its probabilities only.
    temperature: T; above 1 the unlikely tokens count for more. 1 to 4 is sane.
    Raises ConfigError for values outside these bounds.
    """

    share: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ConfigError(f"the teacher's share is {self.share:g}.", hint="it lies between 0 and 1.")
        if not 0.0 < self.temperature < float("inf"):
            raise ConfigError(f"the temperature is {self.temperature:g}.", hint="it must be above 0; 1 to 4 is sane.")

    def __call__(self, model: torch.nn.Module, batch: TaughtBatch) -> tuple[torch.Tensor, float]:
        logits = wide(answer_logits(model, batch.tokens))
        hard = functional.cross_entropy(logits, batch.tokens.targets.to(logits.device), reduction="none")
        soft = _divergence(logits, batch.top_ids.to(logits.device), batch.top_log_probs.to(logits), self.temperature)
        losses = (1.0 - self.share) * hard + self.share * self.temperature**2 * soft
        weights = batch.tokens.weights.to(losses)
        return (losses * weights).sum(), float(batch.tokens.weights.sum())


def _divergence(logits: torch.Tensor, ids: torch.Tensor, logs: torch.Tensor, temperature: float) -> torch.Tensor:
    """(n,) KL(teacher_T || student_T) over the k listed tokens and all others as one."""
    log_probs = torch.log_softmax(logits, dim=-1)
    student = log_probs.gather(1, ids)
    teacher = logs
    if ids.shape[1] < logits.shape[1]:
        # Summed over the other tokens: 1 less the listed ones would lose its digits where the model is sure.
        others = log_probs.scatter(1, ids, float("-inf")).logsumexp(dim=1, keepdim=True)
        left = torch.log1p(-logs.double().exp().sum(dim=1, keepdim=True).clamp(max=1.0))
        student, teacher = torch.cat([student, others], dim=1), torch.cat([logs, left.to(logs)], dim=1)
    student = torch.log_softmax(student / temperature, dim=-1)
    teacher = torch.log_softmax(teacher / temperature, dim=-1)
    shares = teacher.exp()
    # What the teacher holds for impossible adds nothing, though its logarithm is minus infinity.
    return torch.where(shares > 0, shares * (teacher - student), torch.zeros_like(shares)).sum(dim=1)
