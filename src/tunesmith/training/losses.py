"""What a training step lowers. Each loss gives (sum, weight); the loop divides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, TypeVar

import torch
from torch.nn import functional

from tunesmith.models.lm import computing, head_at, recomputing, wide
from tunesmith.models.tree_attention import attending, read_tree
from tunesmith.training.batches import TokenBatch

B = TypeVar("B")

# Rows of logits that are widened at once: 12 MB of a vocabulary of 50,000.
_ROWS_AT_ONCE = 64


def answer_logits(model: torch.nn.Module, batch: TokenBatch) -> torch.Tensor:
    """(n, vocabulary) next-token logits, in the model's dtype, where supervised tokens are predicted from."""
    device = next(model.parameters()).device
    keep = (batch.keep[0].to(device), batch.keep[1].to(device))
    again: Callable[[], AbstractContextManager[None]] = nullcontext if batch.tree is None else partial(attending, model)
    with computing(model), head_at(model, keep), recomputing(model, batch.large, again=again):
        if batch.tree is not None:
            logits = read_tree(model, batch.tree)
        else:  # no mask: padding stands on the right, where causal attention never looks
            logits = model(input_ids=batch.ids.to(device), use_cache=False).logits[0]
    return logits


class _TokenLogProbs(torch.autograd.Function):
    """log softmax(logits)[target] by row. Kept for backward: the logits as they are, and one number a row."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        parts = logits.split(_ROWS_AT_ONCE)  # type: ignore[no-untyped-call]
        sums = torch.cat([wide(z).logsumexp(dim=1) for z in parts])
        ctx.save_for_backward(logits, targets, sums)
        return wide(logits.gather(1, targets[:, None])[:, 0]) - sums

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """d log p(target) / d z = [target] - softmax(z)."""
        logits, targets, sums = ctx.saved_tensors
        out = torch.empty_like(logits)
        parts = (t.split(_ROWS_AT_ONCE) for t in (out, logits, targets, sums, grads[0]))
        for there, z, target, total, grad in zip(*parts, strict=True):
            share = (wide(z) - total[:, None]).exp_().mul_(-grad[:, None])
            there.copy_(share.scatter_add_(1, target[:, None], grad[:, None]))
        return out, None


def token_log_probs(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """(n,) log P of each target, in float32 at least, without a second table as wide as the vocabulary being kept.

    logits: (n, vocabulary) of any floating type; targets: (n,). Their gradient is made in pieces, in their type.
    """
    found: torch.Tensor = _TokenLogProbs.apply(logits, targets)  # type: ignore[no-untyped-call]
    return found


def answer_loss(model: torch.nn.Module, batch: TokenBatch) -> tuple[torch.Tensor, float]:
    """Cross-entropy of the answers' tokens and of their ends, weighted by row; nothing of the prompt is learned.

    Returns the sum in nats and the weight of the tokens.
    """
    logits = wide(answer_logits(model, batch))
    losses = functional.cross_entropy(logits, batch.targets.to(logits.device), reduction="none")
    weights = batch.weights.to(logits.device)
    return (losses * weights).sum(), float(weights.sum())


@torch.no_grad()
def mean_loss(
    model: torch.nn.Module,
    batches: Sequence[B],
    *,
    loss: Callable[[torch.nn.Module, B], tuple[torch.Tensor, float]] = answer_loss,  # type: ignore[assignment]
) -> float:
    """The loss per token over several batches, without gradients, the model as it is."""
    total = weight = 0.0
    for batch in batches:
        part, part_weight = loss(model, batch)
        total += float(part)
        weight += part_weight
    return total / max(weight, 1e-12)
