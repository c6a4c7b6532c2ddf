"""The pages, one module each: it registers the addresses that it answers."""

from __future__ import annotations

from tunesmith.studio.pages import attempt, compare, data, result, review, rows, runs, use
from tunesmith.studio.served import Served


def register(served: Served) -> None:
    """Make every page known to NiceGUI."""
    for module in (runs, result, data, review, rows, attempt, compare, use):
        module.register(served)
