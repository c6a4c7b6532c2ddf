"""The numbers of one optimizer step on one table."""

from __future__ import annotations

import argparse
import random
import sys
import time
from typing import Any

import rounds
import tasks

# Wall seconds that --quick may take in all; what cannot be finished is not begun.
QUICK_S = 280.0
# What --quick asks of the peer: where the other dtype is slower, its variants are too.
_QUICK_KINDS = ("no checkpointing", "packing")
# Padded tokens of the gradient gate in --quick: it is one more step of plain padded PEFT.
_QUICK_GATE_TOKENS = 2400


def step_times(source: tasks.Source, asked: argparse.Namespace, began: float) -> dict[str, Any]:
    """rounds.compare on this table: the numbers of one optimizer step."""
    from tunesmith.models.resolve import fetch, resolve
    from tunesmith.training.batches import sample

    folder = fetch(resolve(asked.model, "lm"), lambda *_, **__: None).resolve()
    labels = tuple(sorted(set(source.targets))) if source.task == "classify" else ()
    rounds_, measured = (2, 2) if asked.quick else (asked.rounds or 5, 3)
    wanted = max(8 * asked.batch, (1 + measured) * rounds_ * asked.batch)
    drawn = random.Random(asked.seed).sample(range(len(source)), min(wanted, len(source)))
    data, asker = tasks.encoded(source.take(drawn), folder, labels, longest=tasks.QUICK_TOKENS if asked.quick else None)
    work = asked.work / source.name.replace("/", "_")
    about = tasks.store(work / "rows.json", data, asker)
    size = min(asked.batch, len(data))
    order = tuple(
        tuple(sample(len(data), size=size, seed=asked.seed, step=step).tolist())
        for step in range(max(1, len(data) // size))
    )
    quick: dict[str, Any] = {}
    if asked.quick:
        variants, why = _quick_variants(asked.threads)
        quick = {
            "variants": variants,
            "gate_tokens": _QUICK_GATE_TOKENS,
            "step_budget_s": 45.0,
            "deadline": began + QUICK_S,
        }
        print(f"  {why}", file=sys.stderr, flush=True)
    plan = rounds.Plan(
        folder, work / "rows.json", work, asked.peer_python, asked.batch, asked.threads, order, rounds=rounds_,
        measured=measured, pin=asked.threads if asked.pin else 0, **quick,
    )  # fmt: skip
    print(f"  {source.name}: {source.task}, {about}", file=sys.stderr, flush=True)
    found = rounds.compare(plan)
    return {
        **found, "data": source.name, "task": source.task, "rows": about, "seeds": found["rounds"], "base": asked.model,
        "quick": asked.quick, "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def _quick_variants(threads: int) -> tuple[tuple[str, ...], str]:
    """The peer's variants in the dtype that this machine is quicker in."""
    from tunesmith.training.probe import probe_dtype

    dtype, why = probe_dtype(threads)
    names = tuple(name for name in rounds.VARIANTS if name.startswith(dtype) and name.endswith(_QUICK_KINDS))
    return names, f"peer's variants tried: {', '.join(names)} ({why})"
