"""A small real job for the language-model systems: two kinds of ticket, and the tiny model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.core.checks import Check, require
from tunesmith.core.context import Context, Limits
from tunesmith.core.dataset import Rows, rows_of
from tunesmith.models.resolve import resolve
from tunesmith.tasks import task
from tunesmith.testing import tiny_lm
from tunesmith.training.systems import Job, RungPlan

LABELS = ("billing", "login")


def tickets(n: int, *, start: int = 0) -> Rows:
    """n rows, alternating between the two labels."""
    texts, targets = [], []
    for i in range(start, start + n):
        billing = i % 2 == 0
        texts.append(f"I was charged twice for order {i}." if billing else f"I cannot log in with password {i}.")
        targets.append(LABELS[0] if billing else LABELS[1])
    return rows_of(texts, targets)


def echoes(n: int, *, start: int = 0) -> Rows:
    """n rows whose answer says what the text is about."""
    texts = [f"The order {i} came late. Nobody called." for i in range(start, start + n)]
    return rows_of(texts, [f"Order {i} late." for i in range(start, start + n)])


def job_of(folder: Path, *, text: bool = False, steps: int | None = 24, context: int = 1024, **options: Any) -> Job:
    """A Job on a tiny model, which is made if it is not there."""
    if not (folder / "tiny").exists():
        tiny_lm(folder / "tiny", context=context)
    kind = task.get("rewrite" if text else "classify")
    labels = () if text else LABELS
    prompt = kind.prompt(labels, inputs=["text"], target="topic")
    lm = resolve(str(folder / "tiny"), "lm")
    return Job(kind, labels, prompt, None, lm, RungPlan("lm", steps=steps), {"rate": 5e-3, **options})


def context_of(folder: Path, checks: list[Check] | None = None, **changes: Any) -> Context:
    """A Context that collects checks and stops at one that fails, as the pipeline's does."""

    def record(check: Check) -> None:
        if checks is not None:
            checks.append(check)
        require(check)

    folder.mkdir(parents=True, exist_ok=True)
    return replace(Context(folder, 0, Limits(), lambda event, **fields: None, record), **changes)
