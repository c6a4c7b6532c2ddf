"""What the report found about the shipped model, for `tunesmith findings`: as lines, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.evaluation import wording
from tunesmith.evaluation.reading import mapping, number, pair, rows, text, whole

_KEYS = ("slices", "slices_how", "confused", "regressions", "label_next", "robustness")
_ROWS, _PAIRS = 5, 8


def findings_json(details: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a report's details that say where the model fails; those that it lacks are left out."""
    return {key: details[key] for key in _KEYS if key in details}


def findings_lines(details: Mapping[str, Any]) -> list[str]:
    """The same for people; data cells are as they come, whoever prints them cleans them."""
    made: list[str] = []
    weak = rows(details.get("slices"))
    metric = wording.metric(text(details.get("slices_metric")) or "accuracy")
    made.append(f"weak parts, by {metric.title.lower()} ({text(details.get('slices_how')) or 'of the test'}):")
    made += [_slice(row) for row in weak] or ["   none: no part was surely below the rest"]
    pairs = rows(details.get("confused"))[:_PAIRS]
    if pairs:
        made.append("pairs mixed up most on the test:")
        made += [
            f"   {text(row.get('truth'))} taken for {text(row.get('answer')) or 'nothing'}: "
            f"{whole(row.get('n')) or 0} rows, "
            f"{wording.percent(number(row.get('share')))} of that label"
            for row in pairs
        ]
    for row in rows(details.get("regressions")):
        made += _regression(row)
    kinds = rows(mapping(details.get("robustness")).get("kinds"))
    if kinds:
        made.append("when texts come otherwise:")
        made += [_disturbed(row) for row in kinds]
    wanted = rows(details.get("label_next"))
    if wanted:
        made.append("what to label next:")
        made += [f"   {text(row.get('what'))}: {text(row.get('value'))}   {text(row.get('why'))}" for row in wanted]
    return made


def _slice(row: Mapping[str, Any]) -> str:
    low, high = pair(row.get("interval"))
    p = number(row.get("p_adjusted"))
    sure = "surely below the rest" if p is not None and p < 0.05 else "may be chance"
    about = f"{text(row.get('slice'))}: {text(row.get('value'))}"
    score, rest = (wording.percent(number(row.get(key))) for key in ("score", "rest"))
    span = "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"   {about:<44} {score}{span}, the rest {rest}; {whole(row.get('n')) or 0} rows; {sure}"


def _disturbed(row: Mapping[str, Any]) -> str:
    low, high = pair(row.get("interval"))
    before, after = (wording.percent(number(row.get(key))) for key in ("before", "after"))
    span = "" if low is None or high is None else f" ({100 * low:+.1f} to {100 * high:+.1f})"
    gap = 100 * (number(row.get("difference")) or 0.0)
    n, flipped = whole(row.get("n")) or 0, whole(row.get("flipped")) or 0
    return (
        f"   {text(row.get('name')):<20} {before} → {after}: {gap:+.1f}{span} points; {flipped} of {n} answers differ"
    )


def _regression(row: Mapping[str, Any]) -> list[str]:
    tuned, other = text(row.get("tuned")), text(row.get("other"))
    lost, won, n = (whole(row.get(key)) or 0 for key in ("lost", "won", "n"))
    made = [f"{tuned} against {other}: {lost} of {n} rows lost, {won} won"]
    for one in rows(row.get("rows"))[:_ROWS]:
        said = f"{text(one.get('tuned')) or 'nothing'}, {other} {text(one.get('other')) or 'nothing'}"
        made.append(
            f"   row {text(one.get('id'))}: {text(one.get('truth'))}; {tuned} says {said}: {text(one.get('text'))}"
        )
    return [line if len(line) <= 200 else line[:199] + "…" for line in made]
