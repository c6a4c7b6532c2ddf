"""value.html: what rows are worth, as one self-contained file without script, under the rules of the other pages."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tunesmith.core.files import write_text
from tunesmith.evaluation.charts import span
from tunesmith.evaluation.measured_charts import Trace, curve_legend, curves
from tunesmith.evaluation.page import environment, style_sheet
from tunesmith.evaluation.value_bench import RANKINGS

_MOST_SLICES = 40


def render_value(told: Mapping[str, Any]) -> str:
    """The page as one HTML document. told: `Valuation.to_dict` with "lines" and "title"."""
    style = style_sheet()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    removal, growth = _removal(told), _growth(told)
    return environment().get_template("value.html.j2").render(
        style=Markup(style), style_hash=f"sha256-{digest}", title=told["title"], headline=told["lines"][0],
        lines=told["lines"][1:], ranking=RANKINGS[told["ranking"]],
        removal=_pictures(removal, "removal", "Score after taking rows out", "share of the train rows taken out", True),
        removal_legend=curve_legend(removal),
        growth=_pictures(growth, "growth", "Score by train rows", "train rows", False) if growth else [],
        growth_legend=curve_legend(growth) if growth else "",
        slices=[_slice(one, told["score"]) for one in told["slices"][:_MOST_SLICES]],
    )  # fmt: skip


def write_value(told: Mapping[str, Any], path: Path) -> None:
    """Write the page, whole or not at all. OSError is the caller's."""
    write_text(path, render_value(told))


def _pictures(traces: list[Trace], ident: str, title: str, x_name: str, percent: bool) -> list[Markup]:
    return [
        curves(traces, x_name=x_name, narrow=narrow, ident=ident, title=title, percent_x=percent)
        for narrow in (False, True)
    ]


def _removal(told: Mapping[str, Any]) -> list[Trace]:
    start = (0.0, told["score"], *told["interval"])
    chosen = [start, *((r["share"], r["score"], *r["interval"]) for r in told["removals"])]
    chance = [start, *((r["share"], r["random"], *r["random_interval"]) for r in told["removals"])]
    return [Trace("worth least", "score", chosen), Trace("at random", "loss", chance)]


def _growth(told: Mapping[str, Any]) -> list[Trace]:
    curve = told["curve"]
    if curve is None:
        return []
    seen = [
        (float(size), score, score - 2 * spread, score + 2 * spread)
        for size, score, spread in zip(curve["sizes"], curve["scores"], curve["spread"], strict=True)
    ]
    ahead = [(float(f["rows"]), f["score"], *f["interval"]) for f in told["forecasts"]]
    return [Trace("measured", "score", seen), Trace("forecast", "loss", [seen[-1], *ahead])]


def _slice(one: Mapping[str, Any], overall: float) -> dict[str, Any]:
    low, high = one["halved_interval"]
    halved = f"{100 * one['halved']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
    return {
        "name": one["name"], "of": one["of"], "train": f"{one['train']:,}", "dev": f"{one['dev']:,}",
        "score": f"{100 * one['score']:.1f}", "halved": halved.replace("-", "\u2212"), "lacks": one["lacks"],
        "span": span(one["score"], one["interval"][0], one["interval"][1], overall, (0.0, 1.0)),
    }  # fmt: skip
