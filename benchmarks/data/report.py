"""The book of this benchmark."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import booking

BOOK = booking.Book(Path(__file__).parent)
RESULTS = BOOK.results


def row(measure: str, value: float | None, *, bar: float | None, unit: str, **more: Any) -> dict[str, Any]:
    """One measurement (booking.row); without a command, that of all cells."""
    command = more.pop("command", "python benchmarks/data/run.py")
    return booking.row(measure, value, bar=bar, unit=unit, command=command, **more)
