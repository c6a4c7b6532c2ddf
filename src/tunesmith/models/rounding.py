"""How far logits may lie apart that differ in nothing but the order of their sums, and how to make that little."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Relative L2 difference of logits that is rounding, by dtype.
SAME = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 1e-2}
# Weights may take so many bytes while they are wide: as activations of a training do where there is no limit.
_WIDE = 1_340_000_000


def bound_of(model: torch.nn.Module) -> float:
    """The largest relative difference of logits that is rounding, for the dtype of what is frozen in the model."""
    frozen = [t.dtype for t in model.parameters() if not t.requires_grad]
    return SAME.get(frozen[0] if frozen else next(model.parameters()).dtype, SAME[torch.float32])


@contextmanager
def widened(model: torch.nn.Module, *, most: int = _WIDE) -> Iterator[None]:
    """Inside, weights of 16 bits are in float32, unless that takes more than `most` bytes; then they are as before.

    In bfloat16 two right ways to compute the same logits lay up to 0.05 apart, and positions that were forgotten 0.12
    (SmolLM2-135M and Gemma 3 270M on three tables); in float32 a right way is at 0.000001.
    """
    short = [p for p in model.parameters() if p.is_floating_point() and p.dtype.itemsize == 2]
    if 4 * sum(p.numel() for p in short) > most:
        yield
        return
    before = [p.data for p in short]
    try:
        for p in short:
            p.data = p.data.float()
        yield
    finally:
        for p, data in zip(short, before, strict=True):
            p.data = data
