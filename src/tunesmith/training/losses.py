"""What a training step lowers. Each loss gives (sum, weight); the loop divides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch.nn import functional

from tunesmith.models.lm import computing, head_at, recomputing
from tunesmith.models.tree_attention import attending, read_tree
from tunesmith.training.batches import TokenBatch


def answer_logits(model: torch.nn.Module, batch: TokenBatch) -> torch.Tensor:
    """(n, vocabulary) next-token logits, float32 at least, where the batch's supervised tokens are predicted from."""
    device = next(model.parameters()).device
    keep = (batch.keep[0].to(device), batch.keep[1].to(device))
    again: Callable[[], AbstractContextManager[None]] = nullcontext if batch.tree is None else partial(attending, model)
    with computing(model), head_at(model, keep), recomputing(model, batch.large, again=again):
        if batch.tree is not None:
            logits = read_tree(model, batch.tree)
        else:  # no mask: padding stands on the right, where causal attention never looks
            logits = model(input_ids=batch.ids.to(device), use_cache=False).logits[0]
    return logits if logits.dtype == torch.float64 else logits.float()


def answer_loss(model: torch.nn.Module, batch: TokenBatch) -> tuple[torch.Tensor, float]:
    """Cross-entropy of the answers' tokens and of their ends, weighted by row; nothing of the prompt is learned.

    Returns the sum in nats and the weight of the tokens.
    """
    logits = answer_logits(model, batch)
    losses = functional.cross_entropy(logits, batch.targets.to(logits.device), reduction="none")
    weights = batch.weights.to(logits.device)
    return (losses * weights).sum(), float(weights.sum())


@torch.no_grad()
def mean_loss(
    model: torch.nn.Module,
    batches: Sequence[TokenBatch],
    *,
    loss: Callable[[torch.nn.Module, TokenBatch], tuple[torch.Tensor, float]] = answer_loss,
) -> float:
    """The loss per token over several batches, without gradients, the model as it is."""
    total = weight = 0.0
    for batch in batches:
        part, part_weight = loss(model, batch)
        total += float(part)
        weight += part_weight
    return total / max(weight, 1e-12)
