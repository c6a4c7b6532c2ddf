"""Cell: CPU-seconds of every registered step on 10,000 rows of a table of short questions, one after the other."""

from __future__ import annotations

import argparse
import csv
import time
from typing import Any

from leaks import dataset
from report import row

COMMAND = "python benchmarks/data/run.py --only steps_speed"


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Seconds of processor time, of all steps and of each; each step sees the rows as they came."""
    from tunesmith.data.steps import CannotRun, step

    with (asked.shared / "banking77" / "train.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))[: 1_000 if asked.quick else 10_000]
    cut = len(rows) // 5
    test = [r["text"] for r in rows[::5]][:cut]
    rest = [r for at, r in enumerate(rows) if at % 5]
    data = dataset(test, [r["text"] for r in rest], [r["category"] for r in rest])
    seconds: dict[str, float] = {}
    for name in step.names():
        given = {"meaning": "flag"} if name == "duplicates" else {}
        began = time.process_time()
        try:
            step.get(name)(data, **given)
        except CannotRun:
            continue
        seconds[name] = round(time.process_time() - began, 2)
    return [
        row(f"all {len(seconds)} steps on {len(rows):,} short rows, CPU-seconds of one core", sum(seconds.values()),
            bar=90, unit="s", higher=False, n=len(rows), by_step=seconds, command=COMMAND)
    ]  # fmt: skip
