"""Label errors in a table of very many short rows, from file to file: time, memory, and what is found.

A row is two bank questions of one intent, and its label that intent; a tenth of the labels are any other one. Beyond
100,000 rows the step judges by hashed n-grams alone. `--rows` says how many rows (default a million).
"""

from __future__ import annotations

import csv
from argparse import Namespace
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import report
import scale

_WRONG = 0.1


def write_rows(path: Path, shared: Path, n: int) -> np.ndarray:
    """Write n rows (text, label); returns (n,) whether a label is wrong."""
    rng = np.random.default_rng(0)
    of: dict[str, list[str]] = defaultdict(list)
    with (shared / "banking77" / "train.csv").open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            of[row["category"]].append(" ".join(row["text"].split()))
    names = sorted(of)
    codes = rng.integers(0, len(names), size=n)
    wrong = rng.random(n) < _WRONG
    said = np.where(wrong, (codes + rng.integers(1, len(names), size=n)) % len(names), codes)
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["text", "label"])
        for code, label in zip(codes.tolist(), said.tolist(), strict=True):
            own = of[names[code]]
            first, second = (own[int(i)] for i in rng.integers(0, len(own), size=2))
            writer.writerow([f"{first} {second}", names[label]])
    return wrong


def measure(asked: Namespace) -> list[dict[str, Any]]:
    """Rows for time, memory, precision and recall."""
    n = 20_000 if asked.quick else asked.rows
    path, out = asked.work / f"labelled-{n}.csv", asked.work / f"label-errors-{n}"
    wrong = write_rows(path, asked.shared, n)
    found = scale.curated(path, out, ["label_errors"])
    flagged, judged = _flagged(out, n)
    hits = int((wrong & flagged).sum())
    more = {
        "n": n, "command": f"python benchmarks/data/run.py --only label_errors_scale --rows {n}",
        "planted": int(wrong.sum()), "judged": int(judged.sum()), "found": found["steps"],
    }  # fmt: skip
    whole = n >= 1_000_000
    return [
        report.row(f"{n:,} rows of 77 labels, label errors from file to file: CPU minutes, one thread",
                   found["cpu"] / 60, bar=30.0 if whole else None, unit="min", higher=False,
                   wall_minutes=round(found["wall"] / 60, 2), cpu_seconds_when_ended=found["ended_at_cpu"], **more),
        report.row(f"{n:,} rows of 77 labels, label errors from file to file: largest memory", found["peak"] / 1e9,
                   bar=6.0 if whole else None, unit="GB", higher=False, **more),
        report.row(f"{n:,} rows of 77 labels, precision of what is flagged", hits / max(int(flagged.sum()), 1),
                   bar=None, unit="share", **more),
        report.row(f"{n:,} rows of 77 labels, recall of wrong labels among the rows judged",
                   hits / max(int((wrong & judged).sum()), 1), bar=None, unit="share", **more),
    ]  # fmt: skip


def _flagged(run: Path, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(n,) whether a row of the file was flagged, and whether it was judged: test rows are not."""
    rows = pq.read_table(run / "01-ingest" / "dataset.parquet", columns=["id", "row", "split"])
    at = rows["row"].to_numpy() - 1
    place = dict(zip(rows["id"].to_pylist(), at.tolist(), strict=True))
    flagged, judged = np.zeros((2, n), dtype=bool)
    judged[at[rows["split"].to_numpy(zero_copy_only=False) != "test"]] = True
    found = pq.read_table(run / "02-curate" / "findings.parquet", columns=["id"])["id"].to_pylist()
    flagged[[place[row] for row in found]] = True
    return flagged, judged
