"""Measures what the curation steps find, on rows whose faults are known, beside the peers that look for the same.

    python benchmarks/data/run.py [--only CELL ...] [--shared DIR] [--work DIR] [--peer CELL=PYTHON ...] [--quick]
    python benchmarks/data/run.py --table        # results.json and table.md from results/, nothing measured

A cell is a module of this folder with `measure(asked) -> rows` (report.row makes one). Its rows are written to
results/<cell>.json as it ends; a cell that is there is not measured again unless it is named with --only.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import booking  # noqa: E402
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
    "label_errors_scale",
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
    booking.add_options(parser, CELLS, HERE)
    parser.add_argument("--data", type=Path, help="cell label_errors: plant errors in this table; nothing is written")
    parser.add_argument("--input", default="text", help="its column of texts")
    parser.add_argument("--labels", default="label", help="its column of labels")
    parser.add_argument("--rows", type=int, default=1_000_000, help="cells scale, label_errors_scale: rows to curate")
    asked = parser.parse_args()
    if asked.data is not None:
        asked.only = ["label_errors"]
    booking.measure(report.BOOK, CELLS, asked, written=asked.data is None)


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
