"""The page's card that holds a run against what was expected of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.evaluation import wording
from tunesmith.evaluation.reading import mapping, number, rows, text

_MB = 1e6


def forecast_card(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """{rows, note} of the report's "forecast" (core/forecasts.py, Quantity by Quantity); None where there is none."""
    told = [row for row in map(_row, rows(report.get("forecast"))) if row is not None]
    if not told:
        return None
    outside = sum(row["held"] is False for row in told)
    judged = sum(row["held"] is not None for row in told)
    note = "Intervals hold with 80 %, as learnt from earlier runs; energy and money are estimates by your prices."
    if judged:
        note = f"{judged - outside} of {judged} came out inside. {note}"
    return {"rows": told, "note": note}


def _row(quantity: object) -> dict[str, Any] | None:
    q = mapping(quantity)
    name, unit = text(q.get("name")), text(q.get("unit"))
    likely, low, high, actual = (number(q.get(key)) for key in ("likely", "low", "high", "actual"))
    if not name or likely is None:
        return None
    between = low is not None and high is not None and low != high
    held = None if not between or actual is None or low is None or high is None else low <= actual <= high
    interval = (
        f"{_told(low, unit)} to {_told(high, unit)}" if between else "counted" if low is not None else "no interval yet"
    )
    came = "" if actual is None or (low is not None and not between) else _told(actual, unit)
    return {
        "name": name,
        "likely": _told(likely, unit),
        "interval": interval,
        "came": came,
        "held": held,
        "why": text(q.get("why")),
    }


def _told(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit == "min":
        return wording.duration(60 * value)
    if unit == "MB":
        return wording.size(_MB * value)
    if 0 < value < 0.01:
        return f"below 0.01 {unit}"
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}"
    return f"{digits} {unit}"
