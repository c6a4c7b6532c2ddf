"""The page's card on whether more data or more tuning would pay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.evaluation.measured_charts import Trace, curve_legend, curves
from tunesmith.evaluation.reading import Reading, mapping, number, pair, rows, text, whole
from tunesmith.evaluation.verdict import METRIC_WORDS


def more_card(reading: Reading) -> dict[str, Any] | None:
    """{said, rows, pictures, note} of the report's "more_data"; {why} where nothing could be said; None without it."""
    told = mapping(reading.details.get("more_data"))
    if not told:
        return None
    if told.get("why"):
        return {"why": text(told["why"])}
    gains = [row for row in (_ahead(one) for one in rows(told.get("forecasts"))) if row is not None]
    tuning = _tuned(mapping(told.get("tuning")))
    traces = _traces(told)
    return {
        "said": text(told.get("said")),
        "rows": [*gains, *([tuning] if tuning else [])],
        "legend": curve_legend(traces) if traces else "",
        "pictures": [
            curves(traces, x_name="train rows", narrow=narrow, ident="more", title="Score by train rows")
            for narrow in (False, True)
            if traces
        ],
        "note": f"Labels: macro-F1 of a cheap probe ({text(told.get('trained'))}), trained on nested random parts of "
        f"{_count(told.get('of_train'))} train rows and judged on {_count(told.get('judged'))} dev rows. More rows of "
        "the same kind are meant. Intervals: 95 %.",
    }


def _ahead(one: Mapping[str, Any]) -> dict[str, str] | None:
    labels, gain, (low, high) = whole(one.get("labels")), number(one.get("gain")), pair(one.get("interval"))
    if labels is None or gain is None or low is None or high is None:
        return None
    return {"what": f"{labels:,} more labels", "gain": _points(gain), "interval": _between(low, high), "by": "macro-F1"}


def _tuned(one: Mapping[str, Any]) -> dict[str, str] | None:
    gain, (low, high) = number(one.get("gain")), pair(one.get("interval"))
    if gain is None or low is None or high is None:
        return None
    what = f"tuning, as tried here ({text(one.get('candidate'))} over {text(one.get('reference'))}, test)"
    metric = text(one.get("metric"))
    return {
        "what": what, "gain": _points(gain), "interval": _between(low, high), "by": METRIC_WORDS.get(metric, metric),
    }  # fmt: skip


def _traces(told: Mapping[str, Any]) -> list[Trace]:
    """The measured curve, and the forecast at the most rows."""
    curve = mapping(told.get("curve"))
    columns = [curve.get(name) for name in ("sizes", "scores", "spread")]
    if not all(isinstance(column, list) and column for column in columns):
        return []
    seen = [
        (float(size), score, score - 2 * spread, score + 2 * spread)
        for size, score, spread in zip(*columns, strict=True)
    ]
    ahead = []
    for one in rows(told.get("forecasts")):
        at, score, (low, high) = number(one.get("rows")), number(one.get("score")), pair(one.get("score_interval"))
        if at is not None and score is not None and low is not None and high is not None and at > seen[-1][0]:
            ahead.append((at, score, low, high))
    return [Trace("measured", "score", seen), *([Trace("forecast", "loss", [seen[-1], *ahead])] if ahead else [])]


def _points(value: float) -> str:
    return f"{100 * value:+.1f} points".replace("-", "\u2212")


def _between(low: float, high: float) -> str:
    return f"{100 * low:+.1f} to {100 * high:+.1f}".replace("-", "\u2212")


def _count(value: object) -> str:
    found = whole(value)
    return "?" if found is None else f"{found:,}"
