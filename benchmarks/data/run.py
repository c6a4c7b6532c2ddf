"""Measures what the curation steps find, on rows whose faults are known, beside the peers that look for the same.

    python benchmarks/data/run.py [--only CELL ...] [--shared DIR] [--work DIR] [--peer CELL=PYTHON ...] [--quick]
    python benchmarks/data/run.py --table        # results.json and table.md from results/, nothing measured

A cell is a module of this folder with `measure(asked) -> rows` (report.row makes one). Its rows are written to
results/<cell>.json as it ends; a cell that is there is not measured again unless it is named with --only.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import report  # noqa: E402

CELLS: tuple[str, ...] = (
    "repair",
    "personal",
    "style",
    "evidence",
    "evidence_planted",
    "evidence_texts",
    "duplicates",
    "label_errors",
    "label_errors_human",
    "valuation",
    "scale",
    "facts",
    "outliers",
    "meaning",
    "leaks",
    "language",
    "steps_speed",
    "bias",
    "answers",
    "contradictions",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], choices=CELLS, metavar="CELL", help=", ".join(CELLS))
    parser.add_argument("--shared", type=Path, default=HERE.parents[2] / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path("runs") / "data-benchmark")
    parser.add_argument(
        "--peer", nargs="*", default=[], metavar="CELL=PYTHON", help="interpreters that have a cell's peer installed"
    )
    parser.add_argument("--quick", action="store_true", help="fewer rows and seeds, nothing written")
    parser.add_argument("--data", type=Path, help="cell label_errors: plant errors in this table; nothing is written")
    parser.add_argument("--input", default="text", help="its column of texts")
    parser.add_argument("--labels", default="label", help="its column of labels")
    parser.add_argument("--rows", type=int, default=1_000_000, help="cell scale: rows to curate")
    parser.add_argument("--table", action="store_true", help="only make the table of what was measured before")
    asked = parser.parse_args()
    asked.peer = dict(given.split("=", 1) for given in asked.peer)
    asked.work.mkdir(parents=True, exist_ok=True)
    for name in () if asked.table else (asked.only or CELLS):
        if asked.data is not None and name != "label_errors":
            continue
        if not asked.only and not asked.quick and asked.data is None and report.BOOK.measured(name):
            continue
        print(f"== {name}", file=sys.stderr, flush=True)
        rows = importlib.import_module(name).measure(asked)
        if not asked.quick and asked.data is None:
            report.BOOK.save(name, rows)
        for row in rows:
            print(json.dumps(row, ensure_ascii=False), flush=True)
    if not asked.quick and asked.data is None:
        report.BOOK.write()


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
