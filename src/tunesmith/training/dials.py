"""What of a rung *tune* may vary: each dial with the values that it may take and the one that it has by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunesmith.models.methods import Choice, Range

Value = float | int | str | bool
Point = dict[str, Value]

# Rows below which a rung needs more steps to move at all, and from which larger steps and more weights are safe.
_FEW, _MANY = 1_000, 5_000


@dataclass(frozen=True)
class Dial:
    """span: what it may be. usual: what the rung takes by itself."""

    span: Choice | Range
    usual: Value

    def nearest(self, wanted: Value) -> Value:
        """The value of the span that is nearest to a number; `usual` where values are no numbers."""
        if not _is_number(wanted):
            return self.usual
        if isinstance(self.span, Range):
            return min(max(float(wanted), self.span.low), self.span.high)
        numbers = [value for value in self.span.values if _is_number(value)]
        return min(numbers, key=lambda value: abs(_log(value) - _log(wanted))) if numbers else self.usual


Dials = Mapping[str, Dial]


def usual(dials: Dials) -> Point:
    """The point that the rung stands at by itself."""
    return {name: dial.usual for name, dial in dials.items()}


def first_points(dials: Dials, *, n_rows: int) -> list[Point]:
    """Where to look first, from the size of the data, as multiples of what the rung does by itself.

    Few rows: twice the steps, and smaller ones for longer. Many: larger steps and a higher rank, or half the steps.
    Between: a rate on either side. What a rung has no dial for stays out.
    """
    if n_rows < _FEW:
        wanted: Sequence[Mapping[str, float]] = ({"steps": 2.0}, {"rate": 0.5, "steps": 2.0})
    elif n_rows < _MANY:
        wanted = ({"rate": 2.0}, {"rate": 0.5, "steps": 2.0})
    else:
        wanted = ({"rate": 1.5, "rank": 2.0}, {"rate": 2.0, "steps": 0.5})
    here = usual(dials)
    found: list[Point] = []
    for factors in wanted:
        moved = {name: dials[name].nearest(_times(here[name], by)) for name, by in factors.items() if name in dials}
        point = {**here, **moved}
        if point != here and point not in found:
            found.append(point)
    return found


def adapter_dials(default: Mapping[str, Value]) -> Dials:
    """Those of every encoder with low-rank adapters; default: the rung's own settings."""
    return {
        "rate": Dial(Range(0.125, 4.0, log=True), 1.0),
        "steps": Dial(Choice((0.5, 1.0, 2.0)), 1.0),
        "rank": Dial(Choice((4, 8, 16, 32)), default["rank"]),
        "layers": Dial(Choice((0.34, 0.5, 1.0)), default["layers"]),
    }


def adapter_options(point: Point, default: Mapping[str, Value]) -> Point:
    """A point as options: the rate as it is, steps left to the plan."""
    options = {name: value for name, value in point.items() if name != "steps"}
    if "rate" in point:
        options["rate"] = float(default["rate"]) * float(point["rate"])
    return options


def _times(value: Value, by: float) -> Value:
    return float(value) * by if _is_number(value) else value


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _log(value: Value) -> float:
    return math.log(max(float(value), 1e-9))
