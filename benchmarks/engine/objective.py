"""What a step lowers: the answers' loss, or the preference of one answer over another, as the product has them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Objective:
    """make: micro-batches of some examples. loss: of the training loop. rows: the encoded rows of some examples.

    before: (wall, CPU) seconds per example that were spent before training (reading the reference of pairs).
    """

    make: Callable[[Sequence[int]], list[Any]]
    loss: Callable[[Any, Any], tuple[Any, float]]
    rows: Callable[[Sequence[int]], list[int]]
    before: tuple[float, float] = (0.0, 0.0)


def objective(name: str, model: Any, data: Any, examples: Sequence[int], *, cut: Any) -> Objective:
    """name: "answers" or "pairs" (rows 2i and 2i + 1 are chosen and rejected). examples: those that will be seen."""
    if name == "pairs":
        return _pairs(model, data, sorted(set(examples)), cut=cut)
    from tunesmith.training.batches import micro_batches
    from tunesmith.training.losses import answer_loss

    return Objective(lambda some: micro_batches(data, some, **cut.told()), answer_loss, list)


def _pairs(model: Any, data: Any, examples: list[int], *, cut: Any) -> Objective:

    from tunesmith.training.preference import PreferenceLoss, pair_batches, reference_log_probs

    def rows(some: Sequence[int]) -> list[int]:
        return [row for i in some for row in (2 * i, 2 * i + 1)]

    kept = rows(examples)
    columns = ("ids", "n_prompt", "n_end", "weights")
    seen = replace(data, **{name: tuple(getattr(data, name)[i] for i in kept) for name in columns})
    began = (time.perf_counter(), time.process_time())
    found = reference_log_probs(model, seen, max_tokens=1024, packing=cut.packing)
    reference = found.new_zeros(len(data) // 2, 2)
    reference[examples] = found
    wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    return Objective(
        lambda some: pair_batches(data, reference, some, **cut.told()), PreferenceLoss(), rows,
        (wall / len(examples), cpu / len(examples)),
    )  # fmt: skip
