"""Pictures of a curation: what became of the rows, what each step found, labels and lengths before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from tunesmith.evaluation.charts import NARROW, WIDE
from tunesmith.evaluation.drawing import Drawing, Scale, fit, ticks

ACTIONS = {"drop": "dropped", "fix": "mended", "flag": "flagged", "keep": "kept", "": "untouched"}
# A part too small to be seen is still drawn this wide, in pixels.
_THINNEST = 3.0


def stacks(rows: Sequence[tuple[str, Mapping[str, int]]], *, ident: str, title: str, narrow: bool) -> Markup:
    """One bar per row, cut into what was done (action -> count); the longest bar fills the width."""
    width = NARROW if narrow else WIDE
    left, right, high = (10, width - 12, 76) if narrow else (150, width - 14, 56)
    most = max((sum(counts.values()) for _, counts in rows), default=0) or 1
    spoken = "; ".join(f"{name}: {_said(counts)}" for name, counts in rows)
    svg = Drawing(
        f"{ident}-{'n' if narrow else 'w'}", width, high * len(rows) + 4, title=title, desc=spoken,
        css="narrow" if narrow else "wide",
    )  # fmt: skip
    for at, (name, counts) in enumerate(rows):
        top = at * high + (24 if narrow else 6)
        svg.text(
            left if narrow else 14, top - 6 if narrow else top + 16,
            fit(name, width - 20 if narrow else left - 24, 14), "name strong",
        )  # fmt: skip
        x = float(left)
        for action in ACTIONS:
            count = counts.get(action, 0)
            if count:
                long = max(_THINNEST, (right - left) * count / most)
                svg.rect(x, top, long, 20, f"did-{action or 'none'}", tip=f"{count:,} {ACTIONS[action]}")
                x += long
        svg.text(left, top + 36, fit(_said(counts), width - left, 12.5), "tick")
    return svg.markup()


def _said(counts: Mapping[str, int]) -> str:
    return " · ".join(f"{counts[action]:,} {said}" for action, said in ACTIONS.items() if counts.get(action))


def bars(labels: Sequence[Mapping[str, Any]], *, narrow: bool) -> Markup:
    """Two bars per label: rows before (outline) and after (filled)."""
    width = NARROW if narrow else WIDE
    left, right, row = (10, width - 66, 54) if narrow else (220, width - 110, 38)
    most = max(max(one["before"], one["after"]) for one in labels) or 1
    x = Scale(0, most, left, right)
    spoken = "; ".join(f"{one['label']}: {one['before']} before, {one['after']} after" for one in labels)
    svg = Drawing(
        f"labels-{'n' if narrow else 'w'}", width, row * len(labels) + 8,
        title="Rows per label before and after", desc=spoken, css="narrow" if narrow else "wide",
    )  # fmt: skip
    for at, one in enumerate(labels):
        top = at * row + (22 if narrow else 6)
        if narrow:
            svg.text(left, top - 5, fit(str(one["label"]), width - 20, 13), "name")
        else:
            svg.text(14, top + 18, fit(str(one["label"]), left - 28, 13.5), "name")
        svg.rect(left, top, x(one["before"]) - left, 12, "was")
        svg.rect(left, top + 13, x(one["after"]) - left, 12, "now")
        said = f"{one['before']:,}" if one["before"] == one["after"] else f"{one['before']:,} → {one['after']:,}"
        if narrow:
            svg.text(width - 6, top - 5, said, "tick", anchor="end")
        else:
            svg.text(right + 10, top + 17, said, "tick")
    return svg.markup()


def histogram(found: Mapping[str, Sequence[float]], *, narrow: bool) -> Markup:
    """Rows per length of text: before as outlines, after filled, bins of equal width on a logarithmic axis."""
    width, height = (NARROW if narrow else WIDE), 200
    edges, before, after = found["edges"], found["before"], found["after"]
    left, right, base = 44, width - 10, height - 44
    y = Scale(0, max([*before, *after, 1]), base, 12)
    step = (right - left) / max(len(before), 1)
    svg = Drawing(
        f"lengths-{'n' if narrow else 'w'}", width, height, title="Lengths of the texts before and after",
        desc="; ".join(f"{edges[i]:g} to {edges[i + 1]:g} characters: {before[i]:g} before, {after[i]:g} after"
                       for i in range(len(before))), css="narrow" if narrow else "wide",
    )  # fmt: skip
    for tick in ticks(0, y.high, 4):
        svg.line(left, y(tick), right, y(tick), "grid")
        svg.text(left - 6, y(tick) + 4, f"{tick:g}", "tick", anchor="end")
    for i in range(len(before)):
        svg.rect(left + i * step + 1, y(before[i]), step - 2, base - y(before[i]), "was")
        svg.rect(left + i * step + step * 0.22, y(after[i]), step * 0.56, base - y(after[i]), "now")
    svg.line(left, base, right, base, "axis")
    every = 4 if narrow else 2
    for i in range(0, len(edges), every):
        svg.text(left + i * step, base + 17, f"{edges[i]:g}", "tick", anchor="middle")
    svg.text((left + right) / 2, base + 37, "characters", "axis-name", anchor="middle")
    return svg.markup()
