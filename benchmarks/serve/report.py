"""The book of this benchmark."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import booking

BOOK = booking.Book(Path(__file__).parent)


def row(measure: str, value: float | None, *, bar: float | None, unit: str, cell: str, **more: Any) -> dict[str, Any]:
    """One measurement of a cell (booking.row) with the command that repeats it."""
    command = f"python benchmarks/serve/run.py --only {cell}"
    return booking.row(measure, value, bar=bar, unit=unit, command=command, **more)
