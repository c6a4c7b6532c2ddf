"""contrast.html: arms side by side, as one self-contained file without script, under the rules of the other pages."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tunesmith.core.files import write_text
from tunesmith.evaluation.charts import span
from tunesmith.evaluation.measured_charts import Bar, forest
from tunesmith.evaluation.page import environment, style_sheet

_CLAIMS = {"helps": "better", "hurts": "worse", "does not help": "not better"}
_TITLE = "Macro-F1 of one arm against another, in points"


def render_contrast(told: Mapping[str, Any]) -> str:
    """The page as one HTML document. told: `Contrast.to_dict` with "title"."""
    style = style_sheet()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    arms = told["arms"]
    low, high = (pick(limit for arm in arms for limit in arm["interval"]) for pick in (min, max))
    room = max(0.02, 0.1 * (high - low))
    axis = (max(0.0, low - room), min(1.0, high + room))
    bars = [
        Bar(f"{g['arm']} against {g['against']}", _CLAIMS.get(g["claim"], "not to be told apart"), g["difference"],
            *g["interval"])
        for g in told["gains"]
    ]  # fmt: skip
    said = told["lines"][1 + len(arms) :]
    return environment().get_template("contrast.html.j2").render(
        style=Markup(style), style_hash=f"sha256-{digest}", title=told["title"],
        headline=said[0][:1].upper() + said[0][1:], lines=said[1:],
        arms=[_arm(arm, axis) for arm in arms],
        axis=f"{100 * axis[0]:.0f} to {100 * axis[1]:.0f}",
        kinds=[kind for kind in ("data", "compute") if any(kind in arm["money"] for arm in arms)],
        pictures=[forest(bars, narrow=narrow, ident="gains", title=_TITLE) for narrow in (False, True)] if bars else [],
    )  # fmt: skip


def write_contrast(told: Mapping[str, Any], path: Path) -> None:
    """Write the page, whole or not at all. OSError is the caller's."""
    write_text(path, render_contrast(told))


def _arm(arm: Mapping[str, Any], axis: tuple[float, float]) -> dict[str, Any]:
    low, high = arm["interval"]
    return {
        "name": arm["name"], "rows": f"{arm['rows']:,}", "labelled": f"{arm['labelled']:,}",
        "score": f"{100 * arm['score']:.1f}", "interval": f"{100 * low:.1f} to {100 * high:.1f}",
        "span": span(arm["score"], low, high, None, axis),
        "minutes": f"{(arm['seconds'] + arm['prepared_s']) / 60:.2f}",
        "money": {kind: f"{value:,.2f}" for kind, value in arm["money"].items()},
    }  # fmt: skip
