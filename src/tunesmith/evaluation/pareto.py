"""The picture of the choice: how good each system is, by how long an answer takes, and which of them no other beats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tunesmith.evaluation import wording
from tunesmith.evaluation.charts import NARROW, WIDE
from tunesmith.evaluation.drawing import Drawing, Scale, fit, text_width, ticks, widened
from tunesmith.evaluation.reading import Reading, mapping, number

_SIZE, _LINE = 12.5, 15.0
# What is further below the best than this, and than so many times the middle one, would flatten the picture.
_NEAR, _REACH = 0.1, 2.5


@dataclass(frozen=True)
class Placed:
    """One system: its score, and the seconds of one answer. tuned: whether its weights were."""

    name: str
    score: float
    seconds: float
    tuned: bool
    ships: bool


def frontier(systems: Sequence[Placed]) -> list[Placed]:
    """Those to which no other is as good and quicker, or as quick and better; quickest first (Pareto)."""
    best = -math.inf
    made = []
    for system in sorted(systems, key=lambda s: (s.seconds, -s.score)):
        if system.score > best:
            made.append(system)
            best = system.score
    return made


def pareto_card(reading: Reading) -> dict[str, Any] | None:
    """{wide, narrow, said} for the page; None with fewer than two systems whose speed was measured."""
    about = mapping(reading.details.get("rungs"))
    found = []
    for rung in reading.rungs:
        seconds = number(mapping(about.get(rung.name)).get("latency_s"))
        if rung.ran and rung.lead is not None and seconds is not None and seconds > 0:
            found.append(Placed(rung.title, rung.lead.value, seconds, rung.tuned, rung.ships))
    if len(found) < 2:
        return None
    shown = near_the_best(found)
    names = [system.name for system in frontier(found) if system in shown]
    far = [system.name for system in found if system not in shown]
    said = f"No other system is both quicker and better than these: {', '.join(names)}."
    return {
        "wide": drawn(shown, reading.leads, narrow=False),
        "narrow": drawn(shown, reading.leads, narrow=True),
        "said": said + (f" Far below, and not drawn: {', '.join(far)}." if far else ""),
    }


def near_the_best(systems: Sequence[Placed]) -> list[Placed]:
    """Those near enough to the best for the others to be told apart beside them; two at least."""
    scores = sorted((system.score for system in systems), reverse=True)
    reach = max(_NEAR, _REACH * (scores[0] - scores[len(scores) // 2]))
    return [system for system in systems if system.score >= min(scores[0] - reach, scores[1])]


def drawn(systems: Sequence[Placed], metric: str, *, narrow: bool) -> Markup:
    """Scores over seconds on a logarithmic scale; a line through the systems that no other beats."""
    width, height = (NARROW, 320) if narrow else (WIDE, 340)
    left, right, top, base = 52, width - 20, 18, height - 50
    low, high = widened(min(s.score for s in systems), max(s.score for s in systems), least=0.04, share=0.1)
    least, most = (f(math.log10(s.seconds) for s in systems) for f in (min, max))
    x = Scale(math.floor(least), max(math.ceil(most), math.floor(least) + 1), left, right)
    y = Scale(max(0.0, low), min(1.0, high), base, top)
    best = frontier(systems)
    svg = Drawing(
        f"pareto-{'n' if narrow else 'w'}", width, height, title="How good each system is, by how long an answer takes",
        desc="; ".join(_said(s, metric) for s in systems) + ".", css="narrow" if narrow else "wide",
    )  # fmt: skip
    for tick in ticks(y.low, y.high, 5):
        svg.line(left, y(tick), right, y(tick), "grid")
        svg.text(left - 8, y(tick) + 4, f"{100 * tick:g}", "tick", anchor="end")
    svg.line(left, base, right, base, "axis")
    every = 2 if narrow and x.high - x.low > 4 else 1
    for power in range(round(x.low), round(x.high) + 1, every):
        svg.text(x(power), base + 18, wording.duration(10.0**power), "tick", anchor="middle")
    svg.text((left + right) / 2, height - 8, "one answer takes", "axis-name", anchor="middle")
    svg.text(left + 6, top + 4, f"{wording.metric(metric).title}, %", "axis-name")
    if len(best) > 1:
        svg.polyline([(x(math.log10(s.seconds)), y(s.score)) for s in best], "trace loss")
    taken: list[tuple[float, float, float]] = []  # from, to, baseline
    for system in sorted(systems, key=lambda s: (not s.ships, -s.score)):
        at, up = x(math.log10(system.seconds)), y(system.score)
        mark = svg.circle if system.tuned else svg.diamond
        mark(
            at,
            up,
            6.5 if system.ships else 5.0,
            "ring score" if system.ships else "bead loss",
            tip=_said(system, metric),
        )
        _label(svg, system.name, at, up, taken, (left, right, top, base))
    return svg.markup()


def _label(
    svg: Drawing, name: str, at: float, up: float, taken: list[tuple[float, float, float]],
    bounds: tuple[float, float, float, float],
) -> None:  # fmt: skip
    """The name beside its mark, on the first of some places where it covers no other name."""
    left, right, top, base = bounds
    words = fit(name, (right - left) * 0.5, _SIZE)
    wide = text_width(words, _SIZE)
    for shift in (4.0, 4.0 + _LINE, 4.0 - _LINE, 4.0 + 2 * _LINE, 4.0 - 2 * _LINE):
        for start in (at + 11, at - 11 - wide):
            line = up + shift
            inside = start >= left and start + wide <= right + 16 and top <= line <= base - 2
            free = all(start > b or start + wide < a or abs(line - height) >= _LINE - 2 for a, b, height in taken)
            if inside and free:
                taken.append((start, start + wide, line))
                svg.text(start, line, words, "tick")
                return


def _said(system: Placed, metric: str) -> str:
    return f"{system.name}: {wording.score(system.score, metric)}, {wording.duration(system.seconds)} an answer"
