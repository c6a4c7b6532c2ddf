"""What a run under way shows: its stages, how far the present one is, scores, curves, memory; all from its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tunesmith.evaluation import charts, wording
from tunesmith.evaluation.drawing import Drawing, Scale, ticks, widened
from tunesmith.planning import Plan, read_plan
from tunesmith.studio import frame
from tunesmith.studio.progress import STAGES, Progress

_MARKS = {"done": "✓", "working": "●", "": "○"}
_MB = 1 << 20


def stages(progress: Progress, *, working: bool) -> Markup:
    """The list of stages with what came of each, and a bar for the work under way."""
    parts = []
    for name, words in STAGES.items():
        state = progress.stages.get(name, "")
        state = "" if state == "working" and not working else state
        more = progress.summaries.get(name, "") if state == "done" else ""
        if state == "working" and progress.task_done is not None:
            more = _bar(progress)
        elif state == "working" and progress.notes:
            more = progress.notes[-1]
        seconds = progress.seconds.get(name) if state == "done" else None
        took = "" if seconds is None else wording.duration(seconds)
        said = {"done": "done", "working": "under way", "": "to come"}[state]
        parts.append(
            frame.said(
                '<li class="{}"><span class="mark" aria-hidden="true">{}</span><div><strong>{}</strong>'
                '<span class="hidden">{}</span> <span class="muted small num">{}</span><div class="small">{}</div>'
                "</div></li>",
                state or "waiting", _MARKS[state], words, said, took, more,
            )
        )  # fmt: skip
    listed = frame.said('<ol class="stages">{}</ol>', Markup("").join(parts))
    if working and progress.stage is None:  # between two stages, or before the first
        listed += frame.said('<p class="small muted now">{} …</p>', (progress.notes or ["starting"])[-1])
    return listed


def _bar(progress: Progress) -> Markup:
    task = progress.task_done
    assert task is not None
    left = "" if task.left_s is None else wording.duration(task.left_s)
    return frame.said(
        '<span>{}</span><progress max="1" value="{}">{}</progress><span class="muted num">{}{}</span>',
        task.what, f"{task.share:.4f}", f"{task.share:.0%}", f"{task.share:.0%}",
        f" · about {left} left" if left else "",
    )  # fmt: skip


def facts(progress: Progress, plan: Plan | None, *, working: bool) -> Markup:
    """Time, time left, memory and checks in a line of figures."""
    rows: list[tuple[str, str]] = [("Time so far", wording.duration(progress.elapsed_s))]
    if plan is not None and working:
        rows.append(("Budget", wording.duration(plan.budget_s)))
        minutes = next((q for q in plan.expected if q.name == "minutes"), None)
        if minutes is not None:
            left = max(0.0, minutes.likely * 60 - progress.elapsed_s)
            rows.append(("Left, as forecast", f"about {wording.duration(left)}"))
    if progress.memory:
        rows.append(("Memory now", wording.size(progress.memory[-1][1])))
    if progress.checks:
        rows.append(("Checks passed", str(progress.checks.get("passed", 0))))
    cells = Markup("").join(frame.said("<div><dt>{}</dt><dd>{}</dd></div>", name, value) for name, value in rows)
    return frame.said('<dl class="stats">{}</dl>', cells)


def scores(progress: Progress) -> Markup:
    """Every system that was tried so far with its score on dev."""
    if not progress.rungs:
        return Markup("")
    rows = Markup("").join(
        frame.said(
            '<tr><th scope="row">{}</th><td class="n">{}</td><td class="small muted">{}</td></tr>',
            wording.rung(name).title,
            "not run" if rung.get("dev") is None else f"{rung['dev']:.4f}",
            str(rung.get("why") or "")[:160],
        )
        for name, rung in progress.rungs.items()
    )
    return frame.said(
        '<section class="card"><h2>Systems so far</h2><div class="scroll"><table><thead><tr><th scope="col">System</th>'
        '<th scope="col" class="n">Score on dev</th><th scope="col"></th></tr></thead><tbody>{}</tbody></table></div>'
        "</section>",
        rows,
    )


def curves(folder: Path, progress: Progress) -> Markup:
    """The loss of the latest training, and the memory over time."""
    drawn = []
    points = [(float(p["step"]), float(p["loss"])) for p in latest_curve(folder) if p.get("loss") is not None]
    if len(points) > 1:
        drawn.append(("Loss of the training", charts.curve(
            points, ident="live-loss", name="the training", what="loss", percent=False, css="loss")))  # fmt: skip
    scored = [(float(p["step"]), float(p["dev"])) for p in latest_curve(folder) if p.get("dev") is not None]
    if len(scored) > 1:
        drawn.append(("Score on dev", charts.curve(
            scored, ident="live-dev", name="the training", what="score", percent=False, css="score")))  # fmt: skip
    if len(progress.memory) > 1:
        drawn.append(("Memory of the process", memory_chart(progress.memory)))
    if not drawn:
        return Markup("")
    figures = Markup("").join(
        frame.said("<figure><figcaption>{}</figcaption>{}</figure>", title, chart) for title, chart in drawn
    )
    return frame.said('<section class="card"><div class="pairs">{}</div></section>', figures)


def latest_curve(folder: Path) -> list[dict[str, Any]]:
    """The points of the training that was written last; [] where none was."""
    found = [(path.stat().st_mtime, path) for path in folder.glob("0[567]-*/**/steps.jsonl")]
    if not found:
        return []
    try:
        lines = max(found)[1].read_text(encoding="utf-8").splitlines()
        points = [json.loads(line) for line in lines]
    except (OSError, ValueError):
        return []
    return [p for p in points if isinstance(p, dict) and isinstance(p.get("step"), int | float)]


def memory_chart(points: list[tuple[float, float]]) -> Markup:
    """Memory in MB over seconds."""
    width, height, left, bottom = 360, 190, 56, 150
    megabytes = [size / _MB for _, size in points]
    x = Scale(points[0][0], max(points[-1][0], points[0][0] + 1), left + 4, width - 16)
    low, high = widened(min(megabytes), max(megabytes), least=50, share=0.1)
    y = Scale(max(low, 0.0), high, bottom, 16)
    svg = Drawing("live-memory", width, height, title="Memory over time",
                  desc=f"Now {megabytes[-1]:,.0f} MB, at most {max(megabytes):,.0f} MB.", css="small")  # fmt: skip
    for tick in ticks(max(low, 0.0), high, 4):
        svg.line(left, y(tick), width - 16, y(tick), "grid")
        svg.text(left - 8, y(tick) + 4, f"{tick:,.0f}", "tick", anchor="end")
    svg.line(left, bottom, width - 16, bottom, "axis")
    for tick in ticks(points[0][0], max(points[-1][0], points[0][0] + 1), 4):
        svg.text(x(tick), bottom + 17, f"{tick:,.0f}", "tick", anchor="middle")
    svg.text((left + width) / 2, height - 6, "seconds; memory in MB", "axis-name", anchor="middle")
    svg.polyline([(x(s), y(m)) for (s, _), m in zip(points, megabytes, strict=True)], "trace score")
    return svg.markup()


def planned(folder: Path) -> Markup:
    """The forecast and every decision with its reason; "" without a plan."""
    plan = read_plan(folder / "plan.yaml")
    if plan is None:
        return Markup("")
    expected = Markup("").join(
        frame.said(
            "<div><dt>{}</dt><dd>{} {}</dd><span class='small muted'>{}</span></div>",
            q.name.capitalize(), _short(q.likely), "" if q.unit == q.name else q.unit,
            "" if q.low is None or q.low == q.high else f"{_short(q.low)} to {_short(q.high)}",
        )
        for q in plan.expected
    )  # fmt: skip
    rows = Markup("").join(
        frame.said('<tr><th scope="row"><bdi>{}</bdi></th><td><bdi>{}</bdi></td><td class="small">{}</td></tr>',
                   d.what, d.choice[:200], d.why[:400])
        for d in plan.decisions
    )  # fmt: skip
    return frame.said(
        '<section class="card"><h2>What it will take</h2><dl class="stats">{}</dl></section>'
        '<section class="card"><h2>What was decided, and why</h2><div class="scroll"><table><thead><tr>'
        '<th scope="col">What</th><th scope="col">Choice</th><th scope="col">Reason</th></tr></thead><tbody>{}</tbody>'
        "</table></div></section>",
        expected or Markup("<div><dd>no forecast</dd></div>"), rows,
    )  # fmt: skip


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def told_warnings(progress: Progress) -> Markup:
    """What the run warned of, each once."""
    unique = list(dict.fromkeys(progress.warnings))
    if not unique:
        return Markup("")
    items = Markup("").join(frame.said("<li>{}</li>", words) for words in unique)
    return frame.said('<div class="callout warn"><ul class="plainlist">{}</ul></div>', items)
