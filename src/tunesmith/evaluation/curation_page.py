"""profile.html: what curation did to a table, before and after, as one self-contained file.

Made from the JSON of `data.comparison.compare`. As with the report, data cells are hostile: autoescape is on, every
value is cleaned, there is no script, and the content security policy allows only the one style sheet.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tunesmith.core.files import write_text
from tunesmith.evaluation import wording
from tunesmith.evaluation.charts import NARROW, WIDE
from tunesmith.evaluation.drawing import Drawing, Scale, fit, ticks
from tunesmith.evaluation.measured_charts import evidence_section
from tunesmith.evaluation.page import environment, style_sheet

_MOST_LABELS = 24
_ACTIONS = {"drop": "dropped", "fix": "mended", "flag": "flagged", "keep": "kept as reviewed"}
_TITLES = {"drop": "Dropped", "fix": "Mended", "flag": "Flagged", "keep": "Kept"}
# Before is an outline and after is filled: told apart without colour too.
_CSS = """
.was{fill:var(--card);stroke:var(--edge);stroke-width:1.25}
.now{fill:var(--tuned)}
.key{display:inline-block;width:14px;height:12px;border-radius:2px;background:var(--tuned)}
.key.before{background:var(--card);border:1.25px solid var(--edge)}
"""


def render_profile(profile: Mapping[str, Any]) -> str:
    """The page as one HTML document."""
    style = style_sheet() + _CSS
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    before, after = profile["rows"]
    labels = list(profile["labels"])
    return environment().get_template("curation.html.j2").render(
        style=Markup(style), style_hash=f"sha256-{digest}", title=profile.get("title", ""),
        headline=_headline(before, after, profile["steps"]),
        numbers=_numbers(profile),
        labels=[_bars(labels[:_MOST_LABELS], narrow=narrow) for narrow in (False, True)] if labels else [],
        every_label=labels, labels_left=max(0, len(labels) - _MOST_LABELS),
        lengths=[_histogram(profile["histogram"], narrow=narrow) for narrow in (False, True)],
        length_rows=_length_rows(profile["lengths"]),
        languages=_languages(profile["languages"]),
        steps=[_step(told) for told in profile["steps"]], not_run=profile["not_run"],
        evidence=evidence_section(profile.get("evidence")),
    )  # fmt: skip


def write_profile(profile: Mapping[str, Any], path: Path) -> None:
    """Write the page, whole or not at all. OSError is the caller's."""
    write_text(path, render_profile(profile))


def _headline(before: int, after: int, steps: Sequence[Mapping[str, Any]]) -> str:
    total = {action: sum(step["counts"].get(action, 0) for step in steps) for action in _ACTIONS}
    done = ", ".join(f"{count:,} {_ACTIONS[action]}" for action, count in total.items() if count)
    rows = f"{before:,} rows came in and {after:,} are left"
    return f"{rows}. Findings: {done}." if done else f"{rows}. Nothing was found."


def _numbers(profile: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    rows = [("Rows", *(f"{n:,}" for n in profile["rows"]))]
    rows += [(f"Rows for {part}", f"{a:,}", f"{b:,}") for part, (a, b) in profile["splits"].items()]
    before, after = profile["copies"]
    rows += [(f"Copies: {kind}", f"{before[kind]:,}", f"{after.get(kind, 0):,}") for kind in before]
    return [(str(name), str(a), str(b)) for name, a, b in rows]


def _length_rows(lengths: Sequence[Mapping[str, float]]) -> list[tuple[str, str, str]]:
    names = {"shortest": "Shortest", "p5": "5 % are shorter", "median": "Median", "p95": "5 % are longer",
             "longest": "Longest", "mean_words": "Words on average"}  # fmt: skip
    return [
        (said, *(f"{found[name]:,.4g}" if name in found else "–" for found in lengths))  # type: ignore[misc]
        for name, said in names.items()
    ]


def _languages(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    shares = [dict(one.get("shares", {})) for one in found]
    names = sorted({*shares[0], *shares[1]}, key=lambda name: -shares[0].get(name, 0))
    return [(name, *(wording.percent(s[name]) if name in s else "–" for s in shares)) for name in names]


def _step(told: Mapping[str, Any]) -> dict[str, Any]:
    counts = ", ".join(f"{n:,} {_ACTIONS[action]}" for action, n in told["counts"].items())
    examples = [{**example, "title": _TITLES[example["action"]]} for example in told["examples"]]
    return {"name": told["step"], "counts": counts, "examples": examples}


def _bars(labels: Sequence[Mapping[str, Any]], *, narrow: bool) -> Markup:
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


def _histogram(found: Mapping[str, Sequence[float]], *, narrow: bool) -> Markup:
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
