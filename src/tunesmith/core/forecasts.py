"""What a run is expected to take, with intervals learnt from how earlier forecasts turned out.

A forecast starts from a raw number (arithmetic on shapes and a probe of the machine). Earlier runs tell how the real
number compared with the raw one; their ratios, sorted, give the interval: split conformal prediction with the ratio as
score, which covers the next run with the stated probability if it is like the ones before, whatever the ratios'
distribution (Vovk, Gammerman and Shafer 2005, ch. 2; Lei et al. 2018, eq. 2).

The record lies in forecasts.jsonl under the cache folder: numbers only, no names, no data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.files import append_line
from tunesmith.core.places import record_root

# The share of runs whose real number lies inside the interval.
COVERAGE = 0.8
# Ranks for that coverage exist from so many ratios on.
_FEWEST = 9
# From so many of its own runs on, a machine is forecast by these alone; older ones than the last hundred are forgotten.
_OWN, _RECENT = 20, 100
# Of the arithmetic that raw numbers come from: ratios to those of another one say nothing about these.
ARITHMETIC = 4
_SHIPPED = Path(__file__).with_name("forecasts.json")


@dataclass(frozen=True)
class Quantity:
    """One number forecast. raw: before anything was learnt from earlier runs. actual: None until it is known.

    low and high hold `actual` with probability COVERAGE; equal where the number is known beforehand, None where there
    is nothing to learn an interval from.
    """

    name: str
    unit: str
    raw: float
    likely: float
    low: float | None
    high: float | None
    why: str
    actual: float | None = None

    @property
    def held(self) -> bool | None:
        """Whether the real number lies inside the interval; None while one of them is unknown."""
        if self.actual is None or self.low is None or self.high is None:
            return None
        return self.low <= self.actual <= self.high

    def with_actual(self, actual: float | None) -> Quantity:
        """The same forecast with what came of it."""
        return replace(self, actual=actual)


@dataclass(frozen=True)
class Turnout:
    """What was forecast of one finished run and what came: numbers by quantity.

    kind: of runs that resemble each other (the task's output). likely, low, high: empty for runs without a forecast.
    arithmetic: which one the raw numbers come from; 1 in lines that do not say.
    """

    kind: str
    raw: Mapping[str, float]
    actual: Mapping[str, float]
    likely: Mapping[str, float] = field(default_factory=dict)
    low: Mapping[str, float] = field(default_factory=dict)
    high: Mapping[str, float] = field(default_factory=dict)
    arithmetic: int = ARITHMETIC

    @classmethod
    def of(cls, kind: str, quantities: Sequence[Quantity]) -> Turnout:
        """The turnout of forecasts whose actual number is known; the others are left out."""
        known = [q for q in quantities if q.actual is not None and q.raw > 0]
        return cls(
            kind,
            {q.name: q.raw for q in known},
            {q.name: float(q.actual or 0.0) for q in known},
            {q.name: q.likely for q in known},
            {q.name: q.low for q in known if q.low is not None},
            {q.name: q.high for q in known if q.high is not None},
        )


class TrackRecord:
    """Earlier turnouts on this machine; `path` None means forecasts.jsonl in the cache folder."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or record_root() / "forecasts.jsonl"

    def add(self, turnout: Turnout) -> None:
        """Write a turnout down. OSError is the caller's."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        append_line(self.path, json.dumps(asdict(turnout)).encode())

    def turnouts(self) -> list[Turnout]:
        """Turnouts of this machine, oldest first; lines that cannot be read are left out."""
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        return [made for line in lines if (made := _turnout(line)) is not None]

    def ratios(self, name: str, kind: str) -> tuple[list[float], str]:
        """Real over raw of earlier runs of this kind (of all kinds where these are few), and whose runs they are.

        A machine with few runs of its own leans on those that were measured when Tunesmith was built.
        """
        own = self.turnouts()[-_RECENT:]
        mine = _ratios(own, name, kind)
        if len(mine) >= _OWN:
            return mine, f"{len(mine)} earlier runs on this machine"
        theirs = _ratios(shipped(), name, kind)
        if not mine:
            return theirs, f"{len(theirs)} runs on another machine: none on this one yet"
        return [*theirs, *mine], f"{len(mine)} earlier runs on this machine and {len(theirs)} on another"


@cache
def shipped() -> tuple[Turnout, ...]:
    """Turnouts measured when Tunesmith was built (benchmarks/quality, cell forecast)."""
    return tuple(Turnout(**{"arithmetic": 1, **row}) for row in json.loads(_SHIPPED.read_text(encoding="utf-8")))


def expected(name: str, raw: float, ratios: Sequence[float], *, unit: str, why: str) -> Quantity:
    """A quantity whose real number was `ratios` times the raw one in earlier runs.

    With n ratios the interval reaches from the floor(a (n + 1))-th to the ceil((1 - a) (n + 1))-th, a half of what
    COVERAGE leaves; without so many there is none.
    """
    seen = np.sort(np.asarray(ratios, dtype=np.float64))
    n = len(seen)
    if n == 0:
        return Quantity(name, unit, raw, raw, None, None, why)
    likely = raw * float(np.median(seen))
    tail = (1 - COVERAGE) / 2
    if n < _FEWEST:
        return Quantity(name, unit, raw, likely, None, None, why)
    low = seen[math.floor(tail * (n + 1) + 1e-9) - 1]
    high = seen[math.ceil((1 - tail) * (n + 1) - 1e-9) - 1]
    return Quantity(name, unit, raw, likely, raw * float(low), raw * float(high), why)


def known(name: str, value: float, *, unit: str, why: str) -> Quantity:
    """A number that needs no forecast."""
    return Quantity(name, unit, value, value, value, value, why, actual=value)


def calibration(turnouts: Sequence[Turnout], name: str) -> dict[str, Any] | None:
    """How earlier intervals of a quantity turned out: {n, held, width}; None where none was stated.

    width: median of high over low.
    """
    stated = [t for t in turnouts if name in t.actual and name in t.low and name in t.high]
    if not stated:
        return None
    held = sum(t.low[name] <= t.actual[name] <= t.high[name] for t in stated)
    widths = [t.high[name] / t.low[name] for t in stated if t.low[name] > 0]
    return {"n": len(stated), "held": held, "width": float(np.median(widths)) if widths else None}


def _ratios(turnouts: Sequence[Turnout], name: str, kind: str) -> list[float]:
    found = [
        (t.kind, t.actual[name] / t.raw[name])
        for t in turnouts
        if t.arithmetic == ARITHMETIC and name in t.actual and t.raw.get(name, 0.0) > 0
    ]
    alike = [ratio for its, ratio in found if its == kind]
    return alike if len(alike) >= _FEWEST else [ratio for _, ratio in found]


def _turnout(line: str) -> Turnout | None:
    try:
        made = Turnout(**{"arithmetic": 1, **json.loads(line)})
        numbers = [v for group in (made.raw, made.actual, made.likely, made.low, made.high) for v in group.values()]
        return made if all(isinstance(v, int | float) and math.isfinite(v) for v in numbers) else None
    except (ValueError, TypeError, AttributeError):
        return None
