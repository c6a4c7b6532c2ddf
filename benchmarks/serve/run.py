"""Measures the server beside the same model in the process, beside a plain loop, and under what it must survive.

    python benchmarks/serve/run.py [--only CELL ...] [--shared DIR] [--work DIR] [--quick]
    python benchmarks/serve/run.py --table          # results.json and table.md from results/, nothing measured

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

# Modules of this folder that are no cells.
_BESIDES = ("run", "report")


def cells() -> list[str]:
    """Every cell, by name."""
    found = (path for path in sorted(HERE.glob("*.py")) if path.stem not in _BESIDES)
    return [path.stem for path in found if "\ndef measure(" in path.read_text(encoding="utf-8")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = cells()
    parser.add_argument("--only", nargs="*", default=[], choices=known, metavar="CELL", help=", ".join(known))
    parser.add_argument("--shared", type=Path, default=HERE.parents[2] / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path("runs") / "serve-benchmark")
    parser.add_argument("--quick", action="store_true", help="fewer requests, nothing written")
    parser.add_argument("--table", action="store_true", help="only make the table of what was measured before")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    for name in () if asked.table else (asked.only or known):
        if not asked.only and not asked.quick and report.BOOK.measured(name):
            continue
        print(f"== {name}", file=sys.stderr, flush=True)
        rows = importlib.import_module(name).measure(asked)
        if not asked.quick:
            report.BOOK.save(name, rows)
        for row in rows:
            print(json.dumps(row, ensure_ascii=False), flush=True)
    if not asked.quick:
        report.BOOK.write()


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
