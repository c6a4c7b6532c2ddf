"""The page's cards about how far the shipped system may be trusted alone: what goes to a person, what is foreign."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.evaluation import wording
from tunesmith.evaluation.charts import span
from tunesmith.evaluation.confidence_charts import Mark, Point, abstention, abstention_legend
from tunesmith.evaluation.drawing import widened
from tunesmith.evaluation.reading import Reading, mapping, number, pair, rows, text, whole

_STATES = {
    "held": "held",
    "within chance": "below, within chance",
    "broken": "broken",
    "nothing accepted": "nothing accepted",
    "cannot be promised": "cannot be promised",
}


def confidence(reading: Reading) -> dict[str, Any]:
    """The template's variables `abstention` and `scope`; None where the report says nothing of them."""
    details = reading.details
    return {
        "abstention": _abstention(mapping(details.get("abstention"))),
        "scope": _scope(mapping(details.get("scope"))),
        "robustness": _robustness(mapping(details.get("robustness"))),
        "slices_how": text(details.get("slices_how")),
        "regressions": [_regression(row) for row in rows(details.get("regressions"))[:4]],
        "label_next": [
            {key: text(row.get(key)) for key in ("what", "value", "why")}
            for row in rows(details.get("label_next"))[:12]
        ],
    }


def _abstention(found: Mapping[str, Any]) -> dict[str, Any] | None:
    if not found:
        return None
    if text(found.get("why")):
        return {"why": _sentence(text(found.get("why")))}
    targets = rows(found.get("targets"))
    marks = [
        Mark(
            target,
            sent,
            right,
            f"{wording.percent(sent)} to a person, {wording.percent(target)} promised",
        )
        for row in targets
        if (target := number(row.get("target"))) is not None
        and (sent := number(row.get("sent"))) is not None
        and (right := number(row.get("right"))) is not None
    ]
    dev, test = _curve(found.get("curve")), _curve(found.get("test_curve"))
    doubt = number(found.get("doubt")) or 0.1
    default = number(found.get("accept_at"))
    how = "out of fold" if text(found.get("how")) == "cross-validation" else "on dev"
    return {
        "why": "",
        "wide": abstention(dev, test, marks, narrow=False) if dev else "",
        "narrow": abstention(dev, test, marks, narrow=True) if dev else "",
        "legend": abstention_legend(),
        "said": _said(targets, default),
        "rows": [_target(row, default) for row in targets],
        "default": "" if default is None else wording.percent(default),
        "best": wording.percent(number(found.get("best_target"))),
        "note": f"Promised on {wording.count(whole(found.get('n_dev')), 'answer')} given {how}, to rows that the "
        f"system had not learned from; a promise fails by chance in at most {wording.percent(doubt)} of such runs.",
    }


def _said(targets: list[Mapping[str, Any]], default: float | None) -> str:
    """The promise that ships, else the first that sends anything to a person, in a sentence."""
    promised = [row for row in targets if number(row.get("threshold")) is not None and number(row.get("sent"))]
    shipped = [row for row in promised if number(row.get("target")) == default]
    for row in (*shipped, *promised):
        target, sent = wording.percent(number(row.get("target"))), wording.percent(number(row.get("sent")))
        return f"To have {target} right, send {sent} to a person."
    return ""


def _curve(found: object) -> list[Point]:
    given = found if isinstance(found, list | tuple) else []
    made: list[Point] = []
    for row in given[:400]:
        cells = [number(cell) for cell in row] if isinstance(row, list | tuple) else []
        if len(cells) == 4 and all(cell is not None for cell in cells):
            made.append((cells[0] or 0.0, cells[1] or 0.0, cells[2] or 0.0, cells[3] or 0.0))
    return sorted(made)


def _target(row: Mapping[str, Any], default: float | None) -> dict[str, Any]:
    low, high = pair(row.get("interval"))
    target = number(row.get("target"))
    threshold = number(row.get("threshold"))
    state = text(row.get("state"))
    dash = "–"
    promised = threshold is not None
    return {
        "target": wording.percent(target),
        "ships": target is not None and target == default,
        "sent": wording.percent(number(row.get("sent"))) if promised else dash,
        "threshold": f"{threshold:.2f}" if threshold is not None else dash,
        "test_sent": wording.percent(number(row.get("test_sent"))) if promised else dash,
        "test_right": wording.percent(number(row.get("test_right"))) if promised else dash,
        "interval": ""
        if low is None or high is None or not promised
        else f"{wording.percent(low)} – {wording.percent(high)}",
        "state": _STATES.get(state, state or "not recorded"),
    }


def _regression(row: Mapping[str, Any]) -> dict[str, Any]:
    tuned, other = (wording.rung(text(row.get(key))).title for key in ("tuned", "other"))
    lost, won, n = (whole(row.get(key)) or 0 for key in ("lost", "won", "n"))
    net = [
        f"{text(one.get('label'))} ({wording.count(whole(one.get('net')))} more lost than won)"
        for one in rows(row.get("labels"))[:6]
    ]
    return {
        "said": f"Of {wording.count(n, 'row')} that both answered, {tuned} lost {wording.count(lost)} that {other} has "
        f"right, and won {wording.count(won)} that it has wrong.",
        "net": net,
        "tuned": tuned,
        "other": other,
        "rows": [
            {key: text(one.get(key)) or "–" for key in ("text", "truth", "tuned", "other")}
            for one in rows(row.get("rows"))[:6]
        ],
    }


def _robustness(found: Mapping[str, Any]) -> dict[str, Any] | None:
    if not found:
        return None
    if text(found.get("why")):
        return {"why": _sentence(text(found.get("why")))}
    metric = text(found.get("metric")) or "accuracy"
    given = rows(found.get("kinds"))[:12]
    made = []
    spans = [(number(row.get("difference")), *pair(row.get("interval"))) for row in given]
    ends = [v for span in spans for v in span if v is not None]
    axis = widened(min([*ends, 0.0]), max([*ends, 0.0]), least=0.02)
    for row, (gap, low, high) in zip(given, spans, strict=True):
        n, changed, flipped = (whole(row.get(key)) or 0 for key in ("n", "changed", "flipped"))
        made.append({
            "name": text(row.get("name")),
            "changed": f"{wording.count(changed)} of {wording.count(n)} texts changed",
            "before": wording.score(number(row.get("before")), metric),
            "after": wording.score(number(row.get("after")), metric),
            "difference": wording.points(gap, metric),
            "interval": "" if low is None or high is None else wording.interval(low, high, metric),
            "chart": span(gap, low, high, 0.0, axis) if gap is not None else "",
            "flipped": wording.count(flipped),
            "worse": high is not None and high < 0,
        })  # fmt: skip
    return {"why": "", "rows": made, "metric": wording.metric(metric).title, "chosen": text(found.get("chosen"))}


def _scope(found: Mapping[str, Any]) -> dict[str, Any] | None:
    if not found:
        return None
    if text(found.get("why")):
        return {"why": _sentence(text(found.get("why")))}
    n, flagged = whole(found.get("n")), whole(found.get("flagged"))
    if not n or flagged is None:
        return None
    low, high = pair(found.get("interval"))
    by = "vectors of the frozen encoder" if text(found.get("kind")) == "vectors" else "words and letters"
    rest, inside = number(found.get("score_rest")), number(found.get("score_flagged"))
    facts = [
        ("Flagged on the test", f"{wording.percent(flagged / n)} of {wording.count(n)}"),
        ("95 % interval", "" if low is None or high is None else f"{wording.percent(low)} – {wording.percent(high)}"),
        ("Meant to be flagged of texts like these, at most", wording.percent(number(found.get("bound")))),
        ("Score of those flagged", wording.percent(inside) if inside is not None else ""),
        ("Score of the rest", wording.percent(rest) if rest is not None else ""),
    ]
    return {"why": "", "facts": [(key, said) for key, said in facts if said], "by": by}


def _sentence(words: str) -> str:
    """With a capital; what the report says here begins with no name."""
    return words[:1].upper() + words[1:]
