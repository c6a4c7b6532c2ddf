"""The gradient of one optimizer step, whatever it is cut into and however many processes share it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar

import torch

from tunesmith.core.errors import ModelError, RunError
from tunesmith.training.blame import not_finite
from tunesmith.training.parallel import ALONE, Group

B = TypeVar("B")
Loss = Callable[[torch.nn.Module, B], tuple[torch.Tensor, float]]


def accumulate(
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


def scale_and_clip(
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


def _forked(weights: dict[str, torch.nn.Parameter]) -> AbstractContextManager[None]:
    """A block after which the generators of the CPU and of the weights' devices are as they were."""
    devices = sorted({t.device for t in weights.values() if t.device.type in ("cuda", "xpu")}, key=str)
    if not devices:
        return torch.random.fork_rng(devices=[])
    return torch.random.fork_rng(devices=devices, device_type=devices[0].type)
