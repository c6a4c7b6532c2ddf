"""What *tune* tried: for the page a picture of score against the time spent, for the terminal lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tunesmith.core.files import read_json
from tunesmith.evaluation import wording
from tunesmith.evaluation.charts import NARROW, WIDE
from tunesmith.evaluation.drawing import Drawing, Scale, ticks, widened
from tunesmith.evaluation.reading import mapping, number, rows, text

_SHOWN = 60


def read_trials(run: Path) -> dict[str, Any] | None:
    """{"study", "trials"} of a run folder, as *tune* left them; None for a run without the stage."""
    folder = run / "06-tune"
    if not (folder / "study.json").exists():
        return None
    journal = folder / "trials.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines() if journal.exists() else []
    return {"study": read_json(folder / "study.json"), "trials": [json.loads(line) for line in lines]}


def trials_card(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """{sentence, rows, wide, narrow} of the report's "tune" (`read_trials`); None where there is none."""
    tune = mapping(report.get("tune"))
    study = mapping(tune.get("study"))
    if not study:
        return None
    metric = text(study.get("metric")) or "score"
    seen = [mapping(row) for row in rows(tune.get("trials"))][:_SHOWN]
    drawn = [picture(seen, metric, narrow=narrow) for narrow in (False, True)] if _scored(seen) > 1 else []
    return {
        "sentence": sentence(study),
        "metric": wording.metric(metric).title,
        "rows": [_row(trial, study, metric) for trial in seen],
        "pictures": drawn,
    }


def sentence(study: Mapping[str, Any]) -> str:
    """What came of the study and why, for people."""
    rung, why = text(study.get("rung")), text(study.get("why"))
    state = text(study.get("state"))
    lead = {
        "chosen": f"Another setting of {rung} took the default's place: ",
        "default kept": f"{rung} keeps its default setting: ",
    }.get(state, "No other setting was tried: ")
    return f"{lead}{why}."


def lines(tune: Mapping[str, Any]) -> list[str]:
    """The same for the terminal: the sentence, and a line per trial."""
    study = mapping(tune.get("study"))
    metric = text(study.get("metric")) or "score"
    told = [sentence(study)]
    for trial in map(mapping, rows(tune.get("trials"))):
        row = _row(trial, study, metric)
        told.append(f"{row['number']:>3} {row['role']:<18} {row['score']:>10} {row['took']:>9}   {row['setting']}")
    return told


def picture(trials: Sequence[Mapping[str, Any]], metric: str, *, narrow: bool) -> Markup:
    """Scores on dev over the CPU time spent so far; the default's score as a line, pruned trials at their pause."""
    width, height = (NARROW, 300) if narrow else (WIDE, 320)
    left, right, top, base = 52, width - 20, 18, height - 50
    marks: list[tuple[float, float, str, str]] = []
    spent, default = 0.0, 0.0
    for trial in trials:
        spent += number(mapping(trial.get("cost")).get("train_cpu_s")) or 0.0
        state, role = text(trial.get("state")), text(trial.get("role"))
        score = number(trial.get("score") if state == "complete" else trial.get("paused_at"))
        if role == "default":
            default = score or 0.0
        if score is not None:
            marks.append((spent, score, state if state != "complete" else role, _said(trial, metric)))
    low, high = widened(min(m[1] for m in marks), max(m[1] for m in marks), least=0.04, share=0.1)
    x = Scale(0.0, max(m[0] for m in marks) or 1.0, left, right)
    y = Scale(max(0.0, low), min(1.0, high), base, top)
    svg = Drawing(
        f"trials-{'n' if narrow else 'w'}", width, height, title="Score on dev of every setting tried, by time spent",
        desc="; ".join(m[3] for m in marks) + ".", css="narrow" if narrow else "wide",
    )  # fmt: skip
    for tick in ticks(y.low, y.high, 5):
        svg.line(left, y(tick), right, y(tick), "grid")
        svg.text(left - 8, y(tick) + 4, f"{100 * tick:g}", "tick", anchor="end")
    svg.line(left, base, right, base, "axis")
    for at in ticks(0.0, x.high, 3 if narrow else 5):
        svg.text(x(at), base + 18, wording.duration(at), "tick", anchor="middle")
    svg.text((left + right) / 2, height - 8, "CPU time of the trials so far", "axis-name", anchor="middle")
    svg.text(left + 6, top + 4, f"{wording.metric(metric).title}, %", "axis-name")
    svg.line(left, y(default), right, y(default), "zero")
    for at, score, kind, tip in marks:
        if kind == "pruned":
            svg.diamond(x(at), y(score), 4.0, "bead loss", tip=tip)
        else:
            svg.circle(x(at), y(score), 6.5 if kind == "repeat" else 5.0, _CSS.get(kind, "bead loss"), tip=tip)
    return svg.markup()


_CSS = {"default": "ring score", "repeat": "ring score"}


def _scored(trials: Sequence[Mapping[str, Any]]) -> int:
    return sum(number(trial.get("score")) is not None for trial in trials)


def _row(trial: Mapping[str, Any], study: Mapping[str, Any], metric: str) -> dict[str, str]:
    state, role = text(trial.get("state")), text(trial.get("role"))
    score, took = number(trial.get("score")), number(mapping(trial.get("cost")).get("train_cpu_s"))
    of = number(trial.get("of"))
    what = role if of is None else f"seed of {'default' if of == 0 else f'{of:.0f}'}"
    said = wording.score(score, metric) if state == "complete" and score is not None else state
    chosen = study.get("state") == "chosen" and study.get("best") == trial.get("number")
    return {
        "number": f"{number(trial.get('number')) or 0:.0f}",
        "role": what + (" (chosen)" if chosen else ""),
        "score": said,
        "took": "" if took is None else wording.duration(took),
        "setting": _setting(trial),
        "why": text(trial.get("why")),
    }


def _setting(trial: Mapping[str, Any]) -> str:
    point = mapping(trial.get("point"))
    shown = {k: f"{v:.3g}" if isinstance(v, float) else str(v) for k, v in point.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _said(trial: Mapping[str, Any], metric: str) -> str:
    row = _row(trial, {}, metric)
    return f"trial {row['number']} ({row['role']}): {row['score']}, {row['setting']}"
