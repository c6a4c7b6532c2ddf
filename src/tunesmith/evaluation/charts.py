"""Pictures of a report as inline SVG: no script, no outside host, colours from the page's CSS classes.

Every chart has a title and a description for those who cannot see it, and text that is at least 12 units
high in a viewBox close to the size it is shown at: `ladder` and `difference` exist in a wide and a narrow
form, and the page shows the one that fits. All strings may be hostile; `Drawing` escapes them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from tunesmith.evaluation.drawing import Drawing, Scale, fit, ticks, widened, wrap
from tunesmith.evaluation.drawing import coordinate as _n

# Widths in pixels of the two forms; the page switches between them.
WIDE, NARROW = 760, 340


@dataclass(frozen=True)
class Dot:
    """One row of the ladder picture.

    score: None if there is none, and `note` says why. said, said_interval: the numbers in words.
    """

    name: str
    note: str
    tuned: bool
    ships: bool
    subset: bool
    score: float | None
    low: float | None
    high: float | None
    dev: float | None
    said: str
    said_interval: str
    ran: bool = True


def ladder_range(dots: Sequence[Dot]) -> tuple[float, float]:
    """The axis of the ladder: all rungs, unless a few weak ones would squeeze the rest into a corner.

    Those are left out of the range (and drawn at its edge with an arrow) when without them the axis is at
    most 35 % as long; at least half of the rungs, and never fewer than two, stay inside.
    """
    spans = sorted((min(_least(d)), max(_least(d))) for d in dots if d.score is not None)
    if not spans:
        return (0.0, 1.0)
    top = max(high for _, high in spans)
    full = top - spans[0][0]
    for drop in range(1, len(spans) - max(2, (len(spans) + 1) // 2) + 1):
        if top - spans[drop][0] <= 0.35 * full:
            return (spans[drop][0], top)
    return (spans[0][0], top)


def _least(dot: Dot) -> list[float]:
    return [v for v in (dot.score, dot.low, dot.high) if v is not None]


def ladder(dots: Sequence[Dot], *, metric: str, percent: bool, narrow: bool, ident: str = "ladder") -> Markup:
    """Scores of all rungs on the test with their 95 % intervals, best on top.

    Shape tells tuned (disc) from untuned (diamond); a dashed interval marks a score on a subset, a short
    upright stroke the score on dev; rungs not run stand at the bottom with the reason.
    """
    width = NARROW if narrow else WIDE
    left, right = (14, width - 14) if narrow else (262, width - 118)
    row = 62 if narrow else 50
    top = 8
    scored = [d for d in dots if d.score is not None]
    idle = [d for d in dots if d.score is None]
    idle_row = 58 if narrow else 46
    axis_y = top + row * len(scored)
    height = axis_y + (56 if scored else 0) + idle_row * len(idle) + 4
    low, high = widened(*ladder_range(dots), least=0.02)
    if percent:
        low, high = max(low, 0.0), min(high, 1.0 + 0.01)
    x = Scale(low, high, left, right)
    svg = Drawing(
        f"{ident}-{'n' if narrow else 'w'}",
        width,
        height,
        title=f"{metric} of every system on the test, best on top",
        desc="; ".join(_spoken(d) for d in dots) + ".",
        css="narrow" if narrow else "wide",
    )
    if scored:
        for tick in ticks(low, high, 4 if narrow else 6):
            svg.line(x(tick), top, x(tick), axis_y, "grid")
            svg.text(x(tick), axis_y + 18, f"{tick * 100:g}" if percent else f"{tick:g}", "tick", anchor="middle")
        svg.line(left, axis_y, right, axis_y, "axis")
        unit = ", %" if percent else ""
        svg.text((left + right) / 2, axis_y + 38, f"{metric} on the test{unit}", "axis-name", anchor="middle")
    for i, dot in enumerate(scored):
        y0 = top + i * row
        if dot.ships:
            svg.rect(1, y0 + 2, width - 2, row - 4, "band", radius=8)
        _label(svg, dot, y0, row, narrow=narrow, width=width)
        _dot(svg, dot, x, y0 + (row - 15 if narrow else row / 2))
    for i, dot in enumerate(idle):
        y0 = axis_y + (56 if scored else 0) + i * idle_row
        svg.line(8, y0, width - 8, y0, "grid")
        svg.text(
            14, y0 + 20, fit(f"{dot.name}: {'no test score' if dot.ran else 'not run'}", width - 28, 14), "name idle"
        )
        for k, part in enumerate(wrap(dot.note, width - 28, 13, lines=2 if narrow else 1)):
            svg.text(14, y0 + 37 + k * 15, part, "note")
    return svg.markup()


def _spoken(dot: Dot) -> str:
    if dot.score is None:
        return f"{dot.name}: {'no test score' if dot.ran else 'not run'}, {dot.note[:300] or 'no reason recorded'}"
    kind = "tuned" if dot.tuned else "untuned"
    return f"{dot.name} ({kind}{', ships' if dot.ships else ''}): {dot.said}, 95 % interval {dot.said_interval}"


def _label(svg: Drawing, dot: Dot, y0: float, row: float, *, narrow: bool, width: float) -> None:
    room = width - 128 if narrow else 238
    note = f"ships · {dot.note}" if dot.ships else dot.note
    name = fit(dot.name, room, 15 if dot.ships else 14)
    if narrow:
        svg.text(14, y0 + 20, name, "name strong" if dot.ships else "name")
        svg.text(width - 14, y0 + 20, dot.said, "value", anchor="end")
        svg.text(14, y0 + 35, fit(note, room + 20, 12), "note")
        svg.text(width - 14, y0 + 35, dot.said_interval, "note", anchor="end")
        return
    middle = y0 + row / 2
    svg.text(14, middle - 3, name, "name strong" if dot.ships else "name")
    svg.text(14, middle + 14, fit(note, room, 12.5), "note")
    svg.text(width - 14, middle - 3, dot.said, "value", anchor="end")
    svg.text(width - 14, middle + 14, dot.said_interval, "note", anchor="end")


def _dot(svg: Drawing, dot: Dot, x: Scale, y: float) -> None:
    assert dot.score is not None
    css = "tuned" if dot.tuned else "untuned"
    tip = _spoken(dot)
    if dot.score < x.low:
        # Left of the picture: an arrow, so that nobody reads a place off the axis.
        svg.path(
            f"M{_n(x.start + 12)} {_n(y - 6)}L{_n(x.start + 2)} {_n(y)}L{_n(x.start + 12)} {_n(y + 6)}", f"arrow {css}"
        )
        svg.line(x.start + 2, y, x.start + 26, y, f"arrow {css}")
        return
    if dot.low is not None and dot.high is not None:
        a, b = x(max(dot.low, x.low)), x(min(dot.high, x.high))
        svg.line(a, y, b, y, f"whisker {css}{' dashed' if dot.subset else ''}")
        for end in (a, b):
            svg.line(end, y - 5, end, y + 5, f"cap {css}")
    if dot.dev is not None and x.low <= dot.dev <= x.high:
        svg.line(x(dot.dev), y - 10, x(dot.dev), y + 10, "dev")
    draw = svg.circle if dot.tuned else svg.diamond
    draw(x(dot.score), y, 6.5 if dot.tuned else 8, f"mark {css}", tip=tip)


def legend(*, dev: bool, subset: bool) -> Markup:
    """The marks of the ladder picture with their names; only those that occur."""
    items = [
        ('<circle class="mark tuned" cx="11" cy="9" r="6"/>', "tuned: weights were adapted"),
        ('<path class="mark untuned" d="M11 1.5L18.5 9L11 16.5L3.5 9Z"/>', "untuned"),
        (
            '<path class="whisker calm" d="M1 9H21"/><path class="cap calm" d="M1 4V14M21 4V14"/>',
            "95 % interval: where the true score plausibly lies",
        ),
    ]
    if subset:
        items.append(('<path class="whisker calm dashed" d="M1 9H21"/>', "measured on a subset"))
    if dev:
        items.append(('<path class="dev" d="M11 0V18"/>', "score on dev, by which it was chosen"))
    made = "".join(
        f'<li><svg viewBox="0 0 22 18" width="22" height="18" aria-hidden="true">{mark}</svg>{escape(words)}</li>'
        for mark, words in items
    )
    return Markup(f'<ul class="legend">{made}</ul>')


def difference(
    value: float, low: float, high: float, *, left: str, right: str, said: str, percent: bool, narrow: bool
) -> Markup:
    """The difference between two systems with its interval, against the line of "no difference".

    left, right: what lies on either side of zero. said: the difference in words, with its interval.
    """
    width = NARROW if narrow else WIDE
    height = 96
    reach = max(abs(low), abs(high), abs(value), 0.005 if percent else 1e-6) * 1.18
    x = Scale(-reach, reach, 12, width - 12)
    y = 46
    svg = Drawing(
        f"diff-{'n' if narrow else 'w'}",
        width,
        height,
        title=f"Difference with its 95 % interval: {said}",
        desc=f"Left of zero: {left}. Right of zero: {right}.",
        css="narrow" if narrow else "wide",
    )
    half = width / 2 - 16
    svg.text(x(0) - 10, 14, fit(f"← {left}", half, 12.5), "note", anchor="end")
    svg.text(x(0) + 10, 14, fit(f"{right} →", half, 12.5), "note")
    svg.line(x(0), 4, x(0), 72, "zero")
    svg.line(12, 72, width - 12, 72, "axis")
    for tick in ticks(-reach, reach, 5 if narrow else 8):
        shown = f"{tick * 100:+g}" if percent else f"{tick:+g}"
        svg.line(x(tick), 72, x(tick), 76, "axis")
        svg.text(x(tick), 90, "0" if abs(tick) < 1e-12 else shown.replace("-", "\u2212"), "tick", anchor="middle")
    svg.line(x(low), y, x(high), y, "whisker verdict")
    for end in (low, high):
        svg.line(x(end), y - 8, x(end), y + 8, "cap verdict")
    svg.circle(x(value), y, 7, "mark verdict", tip=said)
    return svg.markup()


def curve(
    points: Sequence[tuple[float, float]], *, ident: str, name: str, what: str, percent: bool, css: str, best: str = ""
) -> Markup:
    """One quantity over training steps. best: "max" or "min" marks that point with its value."""
    width, height = 360, 190
    left, right, top, bottom = 48, width - 16, 16, height - 40
    steps = [s for s, _ in points]
    values = [v for _, v in points]
    low, high = widened(min(values), max(values), least=0.01 if percent else 1e-3, share=0.1)
    low = max(low, 0.0) if min(values) >= 0 else low
    x = Scale(min(steps), max(steps), left + 4, right)
    y = Scale(low, high, bottom, top)

    def say(value: float) -> str:
        return f"{value * 100:.1f} %" if percent else f"{value:.3g}"

    svg = Drawing(
        ident,
        width,
        height,
        title=f"{what} of {name} during training",
        desc=f"From {say(values[0])} at step {steps[0]:,.0f} to {say(values[-1])} at step {steps[-1]:,.0f}.",
        css="small",
    )
    for tick in ticks(low, high, 4):
        svg.line(left, y(tick), right, y(tick), "grid")
        svg.text(left - 8, y(tick) + 4, f"{tick * 100:g}" if percent else f"{tick:g}", "tick", anchor="end")
    svg.line(left, bottom, right, bottom, "axis")
    for tick in ticks(min(steps), max(steps), 4) if len(points) > 1 else steps:
        svg.text(x(tick), bottom + 17, f"{tick:,.0f}", "tick", anchor="middle")
    svg.text((left + right) / 2, height - 6, "training step", "axis-name", anchor="middle")
    placed = [(x(s), y(v)) for s, v in points]
    svg.polyline(placed, f"trace {css}")
    if len(points) <= 24:
        for at, (s, v) in zip(placed, points, strict=True):
            svg.circle(*at, 3, f"bead {css}", tip=f"step {s:,.0f}: {say(v)}")
    if best:
        k = values.index(max(values) if best == "max" else min(values))
        svg.circle(*placed[k], 5.5, f"ring {css}", tip=f"step {steps[k]:,.0f}: {say(values[k])}")
        above = placed[k][1] - 11
        anchor = "end" if placed[k][0] > right - 44 else "start" if placed[k][0] < left + 44 else "middle"
        svg.text(placed[k][0], above if above > 12 else placed[k][1] + 20, say(values[k]), "value", anchor=anchor)
    return svg.markup()


def reliability(bins: Sequence[tuple[float, float, int]]) -> Markup:
    """Stated confidence against the share that was right; bins: (confidence, accuracy, n).

    On the diagonal the system is as sure as it should be; below it, too sure. The area of a mark grows
    with the number of answers in its bin.
    """
    width, height = 340, 336
    left, right, top, bottom = 52, width - 12, 12, height - 52
    x, y = Scale(0, 1, left, right), Scale(0, 1, bottom, top)
    most = max((n for _, _, n in bins), default=1) or 1
    svg = Drawing(
        "reliability",
        width,
        height,
        title="How often it was right, by how sure it said it was",
        desc="; ".join(f"{n:,} answers at {c:.0%} confidence: {a:.0%} right" for c, a, n in bins) + ".",
        css="square",
    )
    svg.path(f"M{_n(x(0))} {_n(y(0))}L{_n(x(1))} {_n(y(1))}L{_n(x(1))} {_n(y(0))}Z", "shade")
    for tick in (0, 0.25, 0.5, 0.75, 1):
        svg.line(left, y(tick), right, y(tick), "grid")
        svg.text(left - 8, y(tick) + 4, f"{tick * 100:g}", "tick", anchor="end")
        svg.text(x(tick), bottom + 18, f"{tick * 100:g}", "tick", anchor="middle")
    svg.line(left, bottom, right, bottom, "axis")
    svg.line(x(0), y(0), x(1), y(1), "ideal")
    svg.text(x(0.97), y(0.06), "too sure", "note", anchor="end")
    svg.text(x(0.03), y(0.92), "not sure enough", "note")
    svg.text((left + right) / 2, height - 10, "how sure it said it was, %", "axis-name", anchor="middle")
    svg._parts.append(
        f'<text class="axis-name" transform="translate(14 {_n((top + bottom) / 2)}) rotate(-90)" '
        'text-anchor="middle">how often it was right, %</text>'
    )
    svg.polyline([(x(c), y(a)) for c, a, _ in bins], "trace verdict")
    for confidence, accuracy, n in bins:
        radius = 3.5 + 8.5 * math.sqrt(n / most)
        svg.circle(
            x(confidence),
            y(accuracy),
            radius,
            "bubble",
            tip=f"{n:,} answers: said {confidence:.0%}, right {accuracy:.0%}",
        )
    return svg.markup()


def bar(share: float | None, *, css: str = "") -> Markup:
    """A small bar for a table cell, 0 to 1; the number stands beside it, so it is hidden from screen readers."""
    filled = 0.0 if share is None else min(max(share, 0.0), 1.0) * 96
    return Markup(
        '<svg class="cellbar" viewBox="0 0 96 8" width="96" height="8" aria-hidden="true">'
        '<rect class="rail" x="0" y="0" width="96" height="8" rx="4"/>'
        f'<rect class="fill {escape(css)}" x="0" y="0" width="{_n(filled)}" height="8" rx="4"/></svg>'
    )


def span(
    value: float, low: float | None, high: float | None, overall: float | None, axis: tuple[float, float]
) -> Markup:
    """A dot with its interval for a table cell, with a stroke at the overall score."""
    x = Scale(axis[0], axis[1], 6, 154)
    parts = ['<svg class="cellspan" viewBox="0 0 160 18" width="160" height="18" aria-hidden="true">']
    parts.append('<line class="grid" x1="6" y1="9" x2="154" y2="9"/>')
    if overall is not None and axis[0] <= overall <= axis[1]:
        parts.append(f'<line class="dev" x1="{_n(x(overall))}" y1="1" x2="{_n(x(overall))}" y2="17"/>')
    if low is not None and high is not None:
        parts.append(f'<line class="whisker verdict" x1="{_n(x(low))}" y1="9" x2="{_n(x(high))}" y2="9"/>')
    parts.append(f'<circle class="mark verdict" cx="{_n(x(value))}" cy="9" r="4.5"/></svg>')
    return Markup("".join(parts))
