"""The wall time that a peer may take from its rows to a model that answers, and how it is read and told."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any


class Clock:
    """Wall seconds since the rows were read; loading the libraries is not on it."""

    def __init__(self, budget_s: float) -> None:
        self.budget_s = budget_s
        self.restart()

    def restart(self) -> None:
        """Begin anew: what was done so far (timing a few steps, to know how many there is time for) does not count."""
        self.began = time.monotonic()

    @property
    def left_s(self) -> float:
        """Seconds that are left; below 0 when they are over."""
        return self.budget_s - (time.monotonic() - self.began)

    @property
    def spent_s(self) -> float:
        return self.budget_s - self.left_s


def step_seconds(ends: list[float]) -> float:
    """Median seconds between the ends of steps; the first, which warms up, is left out where there are others."""
    gaps = sorted(b - a for a, b in pairwise(ends[1:] if len(ends) > 2 else ends))
    return gaps[len(gaps) // 2]


def main(peer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """python PEER.py JOB.json RESULT.json"""
    told = peer(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    Path(sys.argv[2]).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
