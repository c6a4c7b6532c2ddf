"""Measures the server beside the same model in the process, beside a plain loop, and under what it must survive.

    python benchmarks/serve/run.py [--only CELL ...] [--shared DIR] [--work DIR] [--quick]
    python benchmarks/serve/run.py --table          # results.json and table.md from results/, nothing measured

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

# Modules of this folder that are no cells.
_BESIDES = ("run", "report")


def cells() -> list[str]:
    """Every cell, by name."""
    found = (path for path in sorted(HERE.glob("*.py")) if path.stem not in _BESIDES)
    return [path.stem for path in found if "\ndef measure(" in path.read_text(encoding="utf-8")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    booking.add_options(parser, cells(), HERE)
    booking.measure(report.BOOK, cells(), parser.parse_args())


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
