"""A stopwatch for optimizer steps, the same on both sides. Standard library only: it also runs beside the peer."""

from __future__ import annotations

import os
import resource
import sys
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Stopwatch:
    """Wall and CPU seconds of whole steps, warm-up left out of the count.

    warmup: steps that are not measured. most: measured steps after which it is enough. budget_s: wall seconds of
    measured steps after which no further one is begun. give_up_s: a first step that takes longer ends it.
    until: time.time() after which no further step is begun, be it only the warm-up that was done.
    """

    warmup: int
    most: int
    budget_s: float = float("inf")
    give_up_s: float = float("inf")
    until: float = float("inf")
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    began: tuple[float, float] = (0.0, 0.0)

    def start(self) -> None:
        """The first step begins."""
        self.began = (time.perf_counter(), time.process_time())

    def step(self) -> bool:
        """A step has ended and another may begin; whether that is enough."""
        now = (time.perf_counter(), time.process_time())
        self.wall_s.append(now[0] - self.began[0])
        self.cpu_s.append(now[1] - self.began[1])
        self.began = now
        measured = self.wall_s[self.warmup :]
        gave_up = len(self.wall_s) == 1 and self.wall_s[0] > self.give_up_s
        late = time.time() > self.until or (bool(measured) and sum(measured) >= self.budget_s)
        return gave_up or late or len(measured) >= self.most

    def result(self, examples: list[int]) -> dict[str, Any]:
        """Seconds per example over the measured steps. examples: rows in each of the steps, warm-up included.

        warm: False where nothing but the warm-up was done, which is then what is given.
        """
        first = self.warmup if len(self.wall_s) > self.warmup else 0
        done = sum(examples[first : len(self.wall_s)])
        return {
            "s_per_example": sum(self.wall_s[first:]) / done,
            "cpu_s_per_example": sum(self.cpu_s[first:]) / done,
            "steps": len(self.wall_s) - first, "examples": done, "warm": first == self.warmup,
            "step_wall_s": self.wall_s, "step_cpu_s": self.cpu_s,
        }  # fmt: skip


def peak_rss_bytes() -> int:
    """The largest resident memory that this process ever had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def pin(cores: int) -> None:
    """Bind this process to its first `cores` cores; 0: leave it where the system puts it."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
