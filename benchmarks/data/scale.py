"""Scale: a table of many short rows through repair, personal-data patterns, leaks and duplicates, from file to file.

The rows are parts of text messages and bank questions put together anew, with copies, near copies, personal data and
damage planted at fixed rates. A child process reads, splits, runs the steps and writes the cleaned table; its wall
time, CPU time and largest memory count. `--rows` says how many rows (default a million).
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import report

STEPS = ("repair", "personal", "leaks", "duplicates")
_PARTS = re.compile(r"(?<=[.!?,;])\s+")
_PLANTED = {"equal": 0.05, "nearly equal": 0.03, "personal": 0.02, "damaged": 0.01}
_CHILD = """
import json, resource, sys, time
from tunesmith.curation import curate_table
began, cpu = time.monotonic(), time.process_time()
stages = {}
def follow(event):
    if event["event"] in ("stage.done", "curate.step"):
        stages[event.get("stage") or event["step"]] = round(time.process_time() - cpu, 1)
steps = {"curate": {"steps": sys.argv[3].split(",")}}
made = curate_table(sys.argv[1], out=sys.argv[2], options=steps, listeners=[follow])
print(json.dumps({
    "wall": time.monotonic() - began, "cpu": time.process_time() - cpu, "ended_at_cpu": stages,
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "steps": {s["step"]: s["counts"] for s in made.profile["steps"]}, "not_run": dict(made.profile["not_run"]),
}))
"""


def curated(path: Path, out: Path, steps: Sequence[str]) -> dict[str, Any]:
    """What it took to curate the file with those steps in a process of its own, on one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", _CHILD, str(path), str(out), ",".join(steps)]
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def write_rows(path: Path, shared: Path, n: int) -> dict[str, int]:
    """Write n rows (text, label); returns how many were planted of each kind."""
    rng = np.random.default_rng(0)
    parts: dict[str, list[str]] = {"message": [], "bank": []}
    for line in (shared / "sms_spam" / "sms_spam.jsonl").read_text(encoding="utf-8").splitlines():
        parts["message"] += [p for p in _PARTS.split(json.loads(line)["text"]) if len(p) > 8]
    with (shared / "banking77" / "train.csv").open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            parts["bank"] += [p for p in _PARTS.split(row["text"]) if len(p) > 8]
    planted = dict.fromkeys(_PLANTED, 0)
    kinds = rng.choice([*_PLANTED, ""], size=n, p=[*_PLANTED.values(), 1 - sum(_PLANTED.values())])
    labels = rng.choice(list(parts), size=n)
    before: list[tuple[str, str]] = []
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["text", "label"])
        for kind, label in zip(kinds.tolist(), labels.tolist(), strict=True):
            own = parts[label]
            text = " ".join(own[int(i)] for i in rng.integers(0, len(own), size=int(rng.integers(2, 5))))
            if kind in ("equal", "nearly equal") and before:
                text, label = before[int(rng.integers(0, len(before)))]
                if kind == "nearly equal":
                    at = int(rng.integers(0, len(text)))
                    text = f"{text[:at]}{text[at + 1 :]}".upper()
            elif kind == "personal":
                text += f" call {rng.integers(200, 999)}-{rng.integers(200, 999)}-{rng.integers(1000, 9999)}"
            elif kind == "damaged":
                text += " caf\u00c3\u00a9 &amp; bar"
            if kind:
                planted[kind] += 1
            if len(before) < 100_000:
                before.append((text, label))
            writer.writerow([text, label])
    return planted


def measure(asked: Namespace) -> list[dict[str, Any]]:
    """One row for the time and one for the memory."""
    n = 20_000 if asked.quick else asked.rows
    path = asked.work / f"rows-{n}.csv"
    planted = write_rows(path, asked.shared, n)
    found = curated(path, asked.work / f"scale-{n}", STEPS)
    command = f"python benchmarks/data/run.py --only scale --rows {n}"
    more = {"n": n, "command": command, "planted": planted, "found": found["steps"]}
    return [
        report.row(
            f"{n:,} rows, curated from file to file: CPU minutes, one thread", found["cpu"] / 60,
            bar=15.0 if n >= 1_000_000 else None, unit="min", higher=False, wall_minutes=round(found["wall"] / 60, 2),
            cpu_seconds_when_ended=found["ended_at_cpu"], **more,
        ),
        report.row(
            f"{n:,} rows, curated from file to file: largest memory", found["peak"] / 1e9,
            bar=6.0 if n >= 1_000_000 else None, unit="GB", higher=False, **more,
        ),
    ]  # fmt: skip
