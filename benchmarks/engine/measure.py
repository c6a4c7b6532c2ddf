"""The numbers of one optimizer step on one table."""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path
from typing import Any

import rounds
import tasks

# Wall seconds that --quick may take in all; what cannot be finished is not begun.
QUICK_S = 280.0
# What --quick asks of the peer: where the other dtype is slower, its variants are too.
_QUICK_KINDS = ("no checkpointing", "packing")
# Padded tokens of the gradient gate: it is one more step of plain padded PEFT, which keeps 4 MB a token.
_GATE_TOKENS = 2400


def step_times(source: tasks.Source, asked: argparse.Namespace, began: float) -> dict[str, Any]:
    """The numbers of one optimizer step on this table."""
    folder = base(asked)
    labels = tuple(sorted(set(source.targets))) if source.task == "classify" else ()
    drawn = random.Random(asked.seed).sample(range(len(source)), min(_wanted(asked), len(source)))
    data, asker = tasks.encoded(source.take(drawn), folder, labels, longest=tasks.QUICK_TOKENS if asked.quick else None)
    found = _compare(source.name, data, asker, folder, asked, began)
    return {**found, "task": source.task}


def pair_times(asked: argparse.Namespace, began: float, *, prompt_tokens: int) -> dict[str, Any]:
    """The same of a step of preference pairs, the reading of the reference included on both sides."""
    folder = base(asked)
    data, asker = tasks.pairs(asked.shared, folder, _wanted(asked), prompt_tokens=prompt_tokens, seed=asked.seed)
    return _compare(f"pairs_{prompt_tokens}", data, asker, folder, asked, began, objective="pairs")


def base(asked: argparse.Namespace) -> Path:
    """The folder of the base model, fetched if need be."""
    from tunesmith.models.resolve import fetch, resolve

    return fetch(resolve(asked.model, "lm"), lambda *_, **__: None).resolve()


def _counts(asked: argparse.Namespace) -> tuple[int, int]:
    """(rounds, measured steps in each process)."""
    return (2, 2) if asked.quick else (asked.rounds or 5, 3)


def _wanted(asked: argparse.Namespace) -> int:
    """Examples of all rounds."""
    many, measured = _counts(asked)
    return max(8 * asked.batch, (1 + measured) * many * asked.batch)


def _compare(
    name: str, data: Any, asker: Any, folder: Path, asked: argparse.Namespace, began: float, objective: str = "answers"
) -> dict[str, Any]:
    from tunesmith.training.batches import sample

    work = asked.work / name.replace("/", "_")
    about = tasks.store(work / "rows.json", data, asker)
    n = len(data) // 2 if objective == "pairs" else len(data)
    size = min(asked.batch, n)
    order = tuple(tuple(sample(n, size=size, seed=asked.seed, step=step).tolist()) for step in range(max(1, n // size)))
    # TRL's preference trainer neither packs nor leaves out padding.
    variants = tuple(v for v, how in rounds.VARIANTS.items() if objective == "answers" or not how.dense)
    variants = tuple(v for v in variants if not asked.variants or v in asked.variants)
    quick: dict[str, Any] = {}
    if asked.quick:
        variants, why = _quick_variants(variants, asked.threads)
        quick = {"step_budget_s": 45.0, "deadline": began + QUICK_S}
        print(f"  {why}", file=sys.stderr, flush=True)
    many, measured = _counts(asked)
    plan = rounds.Plan(
        folder, work / "rows.json", work, asked.peer_python, size, asked.threads, order, rounds=many,
        measured=measured, pin=asked.threads if asked.pin else 0, variants=variants, objective=objective,
        gate_tokens=_GATE_TOKENS, **quick,
    )  # fmt: skip
    print(f"  {name}: {about}", file=sys.stderr, flush=True)
    found = rounds.compare(plan)
    return {
        **found, "data": name, "rows": about, "seeds": found["rounds"], "base": asked.model, "quick": asked.quick,
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def _quick_variants(names: tuple[str, ...], threads: int) -> tuple[tuple[str, ...], str]:
    """The peer's variants in the dtype that this machine is quicker in."""
    from tunesmith.training.probe import probe_dtype

    dtype, why = probe_dtype(threads)
    names = tuple(name for name in names if name.startswith(dtype) and name.endswith(_QUICK_KINDS))
    return names, f"peer's variants tried: {', '.join(names)} ({why})"
