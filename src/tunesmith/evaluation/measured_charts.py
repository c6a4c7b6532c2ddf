"""Pictures of what was measured about data: effects of steps as a forest, scores against rows as curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from tunesmith.evaluation import wording
from tunesmith.evaluation.charts import NARROW, WIDE
from tunesmith.evaluation.drawing import Drawing, Scale, fit, ticks, widened


def evidence_section(evidence: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the page shows of `Evidence.to_dict`; None if nothing was measured."""
    if not evidence or not evidence["steps"]:
        return None
    bars = [
        Bar(step["step"], step["claim"], e["difference"], *e["interval"])
        for step in evidence["steps"]
        if (e := step["left_out"]) is not None
    ]
    if evidence["together"] is not None:
        all_of_it = evidence["together"]
        bars.append(Bar("all steps", all_of_it["claim"], all_of_it["difference"], *all_of_it["interval"]))
    metric = str(evidence.get("metric", "macro_f1"))
    pictures = [forest(bars, narrow=narrow, metric=metric) for narrow in (False, True)] if bars else []
    return {"how": evidence["how"], "lines": evidence["lines"][:-1], "pictures": pictures}


@dataclass(frozen=True)
class Bar:
    """One effect of a forest. note: a few words beside the name."""

    name: str
    note: str
    value: float
    low: float
    high: float


def forest(
    bars: Sequence[Bar],
    *,
    narrow: bool,
    ident: str = "evidence",
    title: str = "What each step did to the score, in points",
    metric: str = "macro_f1",
) -> Markup:
    """Differences in points with their 95 % intervals, against the line of no difference."""
    width = NARROW if narrow else WIDE
    left, right, row = (14, width - 14, 60) if narrow else (230, width - 100, 44)
    reach = max(max(abs(b.low), abs(b.high)) for b in bars) * 1.1 or 0.01
    x = Scale(-reach, reach, left, right)
    base = row * len(bars) + 8
    svg = Drawing(
        f"{ident}-{'n' if narrow else 'w'}", width, base + 44, title=title,
        desc="; ".join(f"{b.name} ({b.note}): {_said(b)}" for b in bars) + ".", css="narrow" if narrow else "wide",
    )  # fmt: skip
    for tick in ticks(-reach, reach, 4 if narrow else 6):
        svg.line(x(tick), 4, x(tick), base, "grid")
        svg.text(x(tick), base + 17, f"{100 * tick:+g}".replace("-", "\u2212"), "tick", anchor="middle")
    svg.line(x(0), 4, x(0), base, "zero")
    svg.line(left, base, right, base, "axis")
    axis = f"points of {wording.within(wording.metric(metric).title)}: left worse, right better"
    svg.text((left + right) / 2, base + 37, axis, "axis-name", anchor="middle")
    for at, b in enumerate(bars):
        top = at * row
        y = top + (row - 13 if narrow else row / 2 + 4)
        svg.text(14, top + 18, fit(b.name, (width - 110) if narrow else left - 28, 14), "name")
        svg.text(14, top + 35, fit(b.note, (width - 110) if narrow else left - 28, 12.5), "note")
        said = wording.points(b.value, "macro_f1")
        svg.text(width - 14, (top + 18) if narrow else y + 4, said, "value", anchor="end")
        svg.line(x(b.low), y, x(b.high), y, "whisker verdict")
        for end in (b.low, b.high):
            svg.line(x(end), y - 5, x(end), y + 5, "cap verdict")
        svg.circle(x(b.value), y, 6, "mark verdict", tip=_said(b))
    return svg.markup()


@dataclass(frozen=True)
class Trace:
    """One curve: points of (x, score, low, high); css: "score", "loss" or "verdict" of the page's style."""

    name: str
    css: str
    points: Sequence[tuple[float, float, float, float]]


def curves(
    traces: Sequence[Trace], *, x_name: str, narrow: bool, ident: str, title: str, percent_x: bool = False
) -> Markup:
    """Scores with their intervals against rows (or shares of them), one line per trace, names at their ends."""
    width, height = (NARROW if narrow else WIDE), 300
    left, right, top, base = 50, width - 20, 16, height - 48
    places = sorted({p[0] for t in traces for p in t.points})
    lows, highs = [p[2] for t in traces for p in t.points], [p[3] for t in traces for p in t.points]
    low, high = widened(min(lows), max(highs), least=0.02)
    x, y = Scale(places[0], places[-1], left + 6, right - 6), Scale(max(low, 0.0), min(high, 1.0), base, top)
    spoken = (f"{t.name}: " + ", ".join(f"{p[0]:g}: {100 * p[1]:.1f} %" for p in t.points) for t in traces)
    svg = Drawing(
        f"{ident}-{'n' if narrow else 'w'}", width, height, title=title, desc="; ".join(spoken) + ".",
        css="narrow" if narrow else "wide",
    )  # fmt: skip
    for tick in ticks(y.low, y.high, 5):
        svg.line(left, y(tick), right, y(tick), "grid")
        svg.text(left - 8, y(tick) + 4, f"{100 * tick:g}", "tick", anchor="end")
    svg.line(left, base, right, base, "axis")
    for tick in ticks(places[0], places[-1], 4 if narrow else 7):
        svg.text(x(tick), base + 17, f"{100 * tick:g} %" if percent_x else f"{tick:,.0f}", "tick", anchor="middle")
    svg.text((left + right) / 2, base + 38, x_name, "axis-name", anchor="middle")
    for t in traces:
        for at, _, least, most in t.points:
            svg.line(x(at), y(least), x(at), y(most), f"whisker {t.css}")
        svg.polyline([(x(p[0]), y(p[1])) for p in t.points], f"trace {t.css}")
        for at, score, least, most in t.points:
            tip = f"{t.name}, {at:g}: {100 * score:.1f} % ({100 * least:.1f} to {100 * most:.1f})"
            svg.circle(x(at), y(score), 3.5, f"bead {t.css}", tip=tip)
    return svg.markup()


def curve_legend(traces: Sequence[Trace]) -> Markup:
    """The lines of `curves` with their names."""
    made = "".join(
        f'<li><svg viewBox="0 0 22 18" width="22" height="18" aria-hidden="true"><path class="trace {t.css}" '
        f'd="M1 9H21"/><circle class="bead {t.css}" cx="11" cy="9" r="3.5"/></svg>{escape(t.name)}</li>'
        for t in traces
    )
    return Markup(f'<ul class="legend">{made}</ul>')


def _said(b: Bar) -> str:
    low, high = (f"{100 * limit:+.1f}".replace("-", "\u2212") for limit in (b.low, b.high))
    return f"{wording.points(b.value, 'macro_f1')}, 95 % interval {low} to {high}"
