"""The one side door of a stage: where to work, with what seed and limits, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tunesmith.core.checks import Check, require
from tunesmith.core.events import Emit, EventLog


@dataclass(frozen=True)
class Limits:
    """What the machine may be asked for; decided once, written to plan.yaml, obeyed on resume.

    threads: threads of every numeric library. device: "cpu", "cuda", "mps". dtype: of frozen weights in
    training, "float32" or "bfloat16". max_memory_bytes: None means no bound.
    """

    threads: int = 1
    device: str = "cpu"
    dtype: str = "float32"
    max_memory_bytes: int | None = None


def _record_nothing(check: Check) -> None:
    require(check)


@dataclass(frozen=True)
class Context:
    """What a stage gets besides its inputs and options.

    workdir: a folder of the stage's own; what is in it survives a kill, so a stage may keep finished
             parts there and find them again. The key of the stage's inputs guards it.
    check:   records a Check and raises CheckFailed if it does not hold.
    """

    workdir: Path
    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    emit: Emit = field(default_factory=lambda: EventLog(None))
    check: Callable[[Check], None] = _record_nothing
