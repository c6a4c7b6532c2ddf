"""What the tuned systems have forgotten, for report.json; what the page and the terminal say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tunesmith.core.context import Context
from tunesmith.evaluation import wording
from tunesmith.evaluation.drawing import Drawing, Scale, ticks, widened
from tunesmith.evaluation.reading import Reading, mapping, number, pair, rows, text, whole
from tunesmith.training.ladder import Ladder, Rung, Trained
from tunesmith.training.systems import system as systems

_ENCODER = "an encoder gives vectors for its labels alone: it writes nothing that it could forget"


def forgetting(ladder: Ladder, trained: Trained, ctx: Context) -> dict[str, Any]:
    """{"forgetting": {rung: record or {"why_not"}}} for every tuned rung that ran; see training/keeping.py.

    The record is that of the weights that ship (the refit, where there was one); `checkpoints` are those of the
    training on train rows, which alone has dev scores: [{"step", "points", "dev_loss"}].
    """
    made = {rung.name: _about(rung, ladder, trained, ctx) for rung in ladder.rungs if rung.kind == "tuned" and rung.ran}
    return {"forgetting": made} if made else {}


def _about(rung: Rung, ladder: Ladder, trained: Trained, ctx: Context) -> dict[str, Any]:
    if rung.needs == "encoder":
        return {"why_not": _ENCODER}
    record = _record(rung, trained.path(rung.name, ladder), ladder, ctx)
    if record and rung.path is not None:
        record["dev"] = _record(rung, ladder.folder / rung.path, ladder, ctx).get("dev")
    if not record:
        return {"why_not": "no weights of a language model were trained"}
    seen = [
        {"step": at["step"], "points": at["drift"], "dev_loss": at.get("dev_loss")}
        for at in rung.curve
        if at.get("drift") is not None
    ]
    return {**record, "checkpoints": seen, "chosen_step": rung.settings.get("best_step")}


def _record(rung: Rung, folder: Path, ladder: Ladder, ctx: Context) -> dict[str, Any]:
    return dict(getattr(systems.get(rung.name).load(folder, ladder.job(rung.name), ctx), "forgetting", None) or {})


def forgetting_cards(reading: Reading) -> list[dict[str, Any]]:
    """One card per tuned rung: {title, sentence, rows, left_out, chart}; of those that cannot forget a sentence."""
    found = mapping(reading.details.get("forgetting"))
    return [_card(i, name, mapping(about)) for i, (name, about) in enumerate(found.items())]


def forgetting_lines(details: Mapping[str, Any]) -> list[str]:
    """The same in a line each, for the terminal."""
    found = mapping(details.get("forgetting"))
    return [f"forgotten by {name}: {_sentence(mapping(about))}" for name, about in found.items()]


def _card(i: int, name: str, about: Mapping[str, Any]) -> dict[str, Any]:
    left_out = [f"{suite}: {why}" for suite, why in mapping(about.get("left_out")).items()]
    return {
        "title": wording.rung(name).title,
        "sentence": _sentence(about),
        "rows": [_row(suite) for suite in rows(about.get("suites"))],
        "left_out": left_out,
        "chart": _chart(i, wording.rung(name).title, about),
    }


def _sentence(about: Mapping[str, Any]) -> str:
    if text(about.get("why_not")):
        return f"does not apply: {text(about.get('why_not'))}."
    suites = rows(about.get("suites"))
    told = "; ".join(_told(suite) for suite in suites) or "not measured"
    budget = number(about.get("at_most"))
    allowed = "no budget was set" if budget is None else f"{budget:g} allowed"
    back = text(about.get("rolled_back"))
    kept = "the untuned model" if about.get("to_base") else f"step {whole(about.get('kept_step')) or 0:,}"
    controls = text(about.get("controls"))
    held = f", held by {controls}" if controls and controls != "none" else ""
    return f"{told} ({allowed}{held})." + (f" Rolled back to {kept}: {back}." if back else "")


def _told(suite: Mapping[str, Any]) -> str:
    low, high = pair(suite.get("interval"))
    points = number(suite.get("points"))
    said = "not measured" if points is None else f"{points:.2f} points"
    between = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
    return f"{said} on {text(suite.get('name'))}{between}"


def _row(suite: Mapping[str, Any]) -> dict[str, Any]:
    low, high = pair(suite.get("interval"))
    base, points, kl, ratio = (number(suite.get(key)) for key in ("base_accuracy", "points", "kl", "perplexity_ratio"))
    return {
        "name": text(suite.get("name")),
        "n": wording.count(whole(suite.get("n"))),
        "base": "" if base is None else f"{base:.1f} %",
        "points": "" if points is None else f"{points:.2f}",
        "interval": "" if low is None or high is None else f"{low:.2f} to {high:.2f}",
        "kl": "" if kl is None else f"{kl:.3f}",
        "perplexity": "" if ratio is None else f"{100 * (ratio - 1):+.1f} %",
    }


def _chart(i: int, name: str, about: Mapping[str, Any]) -> Markup | None:
    """Loss on dev against points forgotten, one mark a checkpoint, with the budget as a line; None for under two."""
    seen = [
        (number(at.get("points")), number(at.get("dev_loss")), whole(at.get("step")))
        for at in rows(about.get("checkpoints"))
    ]
    placed = [(p, d, s) for p, d, s in seen if p is not None and d is not None and s is not None]
    untuned = _untuned_loss(about)
    if untuned is not None:
        placed.insert(0, (0.0, untuned, 0))
    if len(placed) < 2:
        return None
    return _draw(
        f"forgotten{i}", name, placed, budget=number(about.get("at_most")), kept=whole(about.get("chosen_step"))
    )


def _untuned_loss(about: Mapping[str, Any]) -> float | None:
    """Of the training with dev scores: the refit has none, and then the picture begins at the first checkpoint."""
    dev = about.get("dev")
    first = number(dev[0]) if isinstance(dev, list | tuple) and dev else None
    return None if first is None else -first


def _draw(
    ident: str, name: str, placed: Sequence[tuple[float, float, int]], *, budget: float | None, kept: int | None
) -> Markup:
    width, height = 420, 220
    left, right, top, bottom = 52, width - 16, 18, height - 42
    points, losses = [p for p, _, _ in placed], [d for _, d, _ in placed]
    most = max([*points, budget or 0.0, 0.1])
    low, high = widened(min(losses), max(losses), least=1e-3, share=0.1)
    low = max(low, 0.0)
    x, y = Scale(min([*points, 0.0]), 1.08 * most, left, right), Scale(low, high, bottom, top)
    last = placed[-1]
    allowed = "" if budget is None else f" {budget:g} points are allowed."
    svg = Drawing(
        ident,
        width,
        height,
        title=f"What {name} learned against what it forgot, checkpoint by checkpoint",
        desc=f"At the last, step {last[2]:,}: loss on dev {last[1]:.3g}, {last[0]:.2f} points forgotten.{allowed}",
        css="small",
    )
    for tick in ticks(low, high, 4):
        svg.line(left, y(tick), right, y(tick), "grid")
        svg.text(left - 8, y(tick) + 4, f"{tick:g}", "tick", anchor="end")
    svg.line(left, bottom, right, bottom, "axis")
    for tick in ticks(min([*points, 0.0]), 1.08 * most, 5):
        svg.text(x(tick), bottom + 17, f"{tick:g}", "tick", anchor="middle")
    svg.text((left + right) / 2, height - 6, "points forgotten on probe A", "axis-name", anchor="middle")
    if budget is not None:
        svg.line(x(budget), top, x(budget), bottom, "ideal")
        svg.text(x(budget) - 5, top + 6, f"budget {budget:g}", "note", anchor="end")
    marks = [(x(p), y(d)) for p, d, _ in placed]
    svg.polyline(marks, "trace score")
    for at, (p, d, step) in zip(marks, placed, strict=True):
        tip = f"step {step:,}: loss {d:.3g}, {p:.2f} points forgotten"
        svg.circle(*at, 3, "bead score", tip=tip)
        if step == kept:
            svg.circle(*at, 6, "ring score", tip=f"kept, {tip}")
    return svg.markup()
