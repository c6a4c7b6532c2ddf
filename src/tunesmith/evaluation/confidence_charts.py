"""The picture of what holding answers back buys: how right the rest is, by the share that goes to a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tunesmith.evaluation.charts import NARROW, WIDE
from tunesmith.evaluation.drawing import Drawing, Scale, coordinate, ticks, widened

# (share sent to a person, share of the rest that is right, its lower and upper limit)
Point = tuple[float, float, float, float]


@dataclass(frozen=True)
class Mark:
    """One promise in the picture: sent and right as promised, and in words."""

    target: float
    sent: float
    right: float
    said: str


def abstention(dev: Sequence[Point], test: Sequence[Point], marks: Sequence[Mark], *, narrow: bool) -> Markup:
    """Two curves over the share that is sent to a person: the judged rows with their 95 % band, and the test.

    A ring stands where a promise's threshold lies on the judged rows' curve; its dashed line is what was promised.
    """
    width, height = (NARROW, 300) if narrow else (WIDE, 320)
    left, right, top, bottom = 52, width - 16, 14, height - 52
    shown = max([mark.sent for mark in marks if mark.sent < 1.0], default=0.0)
    most = min(1.0, max(0.3, shown * 1.25))
    dev, test = ([p for p in curve if p[0] <= most] for curve in (dev, test))
    values = [v for p in [*dev, *test] for v in p[1:2]] + [p[2] for p in dev] + [m.target for m in marks]
    low, _ = widened(min(values, default=0.0), 1.0, least=0.02)
    x, y = Scale(0.0, most, left, right), Scale(max(0.0, low), 1.0, bottom, top)
    svg = Drawing(
        f"abstention-{'n' if narrow else 'w'}",
        width,
        height,
        title="How right the answers are that go out, by the share that goes to a person",
        desc="; ".join(mark.said for mark in marks) + ".",
        css="narrow" if narrow else "wide",
    )
    if dev:
        edge = [(x(s), y(hi)) for s, _, _, hi in dev] + [(x(s), y(max(lo, y.low))) for s, _, lo, _ in reversed(dev)]
        svg.path("M" + "L".join(f"{coordinate(a)} {coordinate(b)}" for a, b in edge) + "Z", "shade")
    for tick in ticks(y.low, 1.0, 5):
        svg.line(left, y(tick), right, y(tick), "grid")
        svg.text(left - 8, y(tick) + 4, f"{tick * 100:g}", "tick", anchor="end")
    svg.line(left, bottom, right, bottom, "axis")
    for tick in ticks(0.0, most, 4 if narrow else 8):
        svg.text(x(tick), bottom + 18, f"{tick * 100:g}", "tick", anchor="middle")
    svg.text((left + right) / 2, height - 10, "sent to a person, %", "axis-name", anchor="middle")
    svg.text(left + 6, top + 12, "right among the rest, %", "axis-name")
    if dev:
        svg.polyline([(x(s), y(a)) for s, a, _, _ in dev], "trace loss")
    if test:
        svg.polyline([(x(s), y(a)) for s, a, _, _ in test], "trace verdict")
    for mark in marks:
        if mark.sent <= most:
            svg.line(left, y(mark.target), x(mark.sent), y(mark.target), "ideal")
            svg.circle(x(mark.sent), y(mark.right), 5.5, "ring score", tip=mark.said)
    return svg.markup()


def abstention_legend() -> Markup:
    """The marks of the picture with their names."""
    items = (
        ('<path class="trace loss" d="M1 9H21"/>', "before the test was opened, with its 95 % band"),
        ('<path class="trace verdict" d="M1 9H21"/>', "on the test"),
        ('<circle class="ring score" cx="11" cy="9" r="5.5"/>', "where a promise's threshold lies"),
        ('<path class="ideal" d="M1 9H21"/>', "what is promised"),
    )
    made = "".join(
        f'<li><svg viewBox="0 0 22 18" width="22" height="18" aria-hidden="true">{mark}</svg>{words}</li>'
        for mark, words in items
    )
    return Markup(f'<ul class="legend">{made}</ul>')
