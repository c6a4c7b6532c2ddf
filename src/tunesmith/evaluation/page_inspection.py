"""The page's sections about one system from near: how it learned, where it is strong and weak, what it got wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.evaluation import charts, wording
from tunesmith.evaluation.drawing import widened
from tunesmith.evaluation.reading import Reading, mapping, number, pair, rows, text, whole

# Beyond this many labels only the weakest and the strongest are shown at once.
_FEW_LABELS = 14
# Answers longer than this are laid out as texts, not as labels.
_LONGEST_LABEL = 80
# A mark of the calibration picture stands for at least so many answers, and so far from its neighbour.
_FEWEST_ANSWERS, _CLOSE = 20, 0.04


def inspection(reading: Reading) -> dict[str, Any]:
    """The template's variables for training curves, strengths, weaknesses and errors."""
    details = reading.details
    return {
        "curves": _curves(reading),
        "errors": _errors(details),
        "sliced": wording.metric(text(details.get("slices_metric")) or reading.leads),
        **_strengths(reading),
    }


def named(reading: Reading, key: str) -> str:
    """Whom a section is about: the rung that the details name, else the one that ships."""
    name = text(reading.details.get(key))
    rung = reading.rung(name) if name else None
    if rung is None or rung.ships:
        return "the system that ships"
    return f"“{rung.title}”, which does not ship,"


def _curves(reading: Reading) -> list[dict[str, Any]]:
    made = []
    percent = wording.metric(reading.leads).percent
    for i, rung in enumerate(reading.rungs):
        loss = [(step, value) for step, value, _ in rung.curve if value is not None]
        dev = [(step, value) for step, _, value in rung.curve if value is not None]
        drawn = []
        title = rung.title
        if loss:
            drawn.append(
                (
                    "Training loss, lower is better",
                    charts.curve(loss, ident=f"loss{i}", name=title, what="Loss", percent=False, css="loss"),
                )
            )
        if dev:
            what = f"{wording.metric(reading.leads).title} on dev"
            picture = charts.curve(
                dev, ident=f"dev{i}", name=title, what=what, percent=percent, css="score", best="max"
            )
            drawn.append((f"{what}{', %' if percent else ''}; the ring marks the best", picture))
        if drawn:
            note = f"Trained on {wording.count(rung.train_rows, 'row')}." if rung.train_rows else ""
            made.append({"title": title, "note": note, "charts": drawn})
    return made


def _strengths(reading: Reading) -> dict[str, Any]:
    details = reading.details
    return {
        "writer": f"Answer of {named(reading, 'errors_of').rstrip(',')}",
        "flagged": _flagged(reading, rows(details.get("flagged"))),
        "per_class": _per_class(rows(details.get("per_class"))),
        "confused": _confused(rows(details.get("confused"))),
        "calibration": _calibration(mapping(details.get("calibration"))),
        "slices": _slices(reading, rows(details.get("slices"))),
        "examples": [
            {key: text(row.get(key)) or "\u2013" for key in ("source", "reference", "answer")}
            for row in rows(details.get("examples"))[:20]
        ],
    }


def _per_class(found: list[Mapping[str, Any]]) -> dict[str, Any] | None:
    if not found:
        return None
    ordered = sorted(
        found, key=lambda row: (value if (value := number(row.get("f1"))) is not None else -1.0, text(row.get("label")))
    )
    made = [
        {
            "label": text(row.get("label")) or "(empty)",
            **{key: wording.percent(number(row.get(key))) for key in ("precision", "recall", "f1")},
            "interval": ""
            if pair(row.get("interval"))[0] is None
            else wording.interval(*pair(row.get("interval")), "f1"),
            "bar": charts.bar(number(row.get("f1"))),
            "n": wording.count(whole(row.get("n"))),
        }
        for row in ordered
    ]
    if len(made) <= _FEW_LABELS:
        return {"weak": made, "weak_said": "Every label, weakest first", "strong": [], "all": made}
    return {"weak": made[:8], "weak_said": "The weakest labels", "strong": made[-4:][::-1], "all": made}


def _confused(found: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    most = max((share for row in found[:12] if (share := number(row.get("share"))) is not None), default=0.0) or 1.0
    return [
        {
            "truth": text(row.get("truth")) or "(empty)",
            "answer": text(row.get("answer")) or "(no answer)",
            "n": wording.count(whole(row.get("n"))),
            "share": wording.percent(share := number(row.get("share"))),
            "bar": charts.bar(None if share is None else share / most, css="weak"),
        }
        for row in found[:12]
    ]


def _calibration(found: Mapping[str, Any]) -> dict[str, Any] | None:
    ece, brier, floor = (number(found.get(key)) for key in ("ece", "brier", "ece_floor"))
    bins = [
        (confidence, accuracy, n)
        for row in rows(found.get("bins"))
        if (confidence := number(row.get("confidence"))) is not None
        and (accuracy := number(row.get("accuracy"))) is not None
        and (n := whole(row.get("n")))
    ]
    if ece is None and brier is None and not bins:
        return None
    said = ""
    total = sum(n for _, _, n in bins)
    if total:
        confidence, accuracy = (sum(b[k] * b[2] for b in bins) / total for k in (0, 1))
        said = (
            f"Over {wording.count(total, 'answer')} it said it was {wording.percent(confidence)} sure on average, "
            f"and was right in {wording.percent(accuracy)}."
        )
    facts = [
        ("Calibration error (ECE)", wording.percent(ece)),
        *((("of it, chance with so few answers", wording.percent(floor)),) if floor is not None else ()),
        ("Brier score", wording.plain(brier)),
    ]
    labels = number(found.get("ece_labels"))
    if labels is not None:
        facts.insert(0, ("Calibration error of single labels", wording.percent(labels)))
    return {"chart": charts.reliability(_joined(sorted(bins))) if bins else None, "said": said, "facts": facts}


def _joined(bins: list[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    """Neighbouring bins as one where they are close or small: a mark of four answers says nothing.

    bins: (confidence, accuracy, n), by confidence.
    """
    made: list[tuple[float, float, int]] = []
    for confidence, accuracy, n in bins:
        if made and (made[-1][2] < _FEWEST_ANSWERS or confidence - made[-1][0] < _CLOSE):
            c, a, m = made.pop()
            made.append(((c * m + confidence * n) / (m + n), (a * m + accuracy * n) / (m + n), m + n))
        else:
            made.append((confidence, accuracy, n))
    return made


def _flagged(reading: Reading, found: list[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The score with and without the test rows that curation flagged."""
    return [
        {
            "reason": wording.humanize(text(row.get("reason"))),
            "system": wording.rung(text(row.get("system"))).title,
            "rows": wording.count(whole(row.get("rows"))),
            "with": wording.score(number(row.get("with")), reading.leads),
            "without": wording.score(number(row.get("without")), reading.leads),
        }
        for row in found[:24]
    ]


def _slices(reading: Reading, found: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    ships = reading.rung(reading.verdict.winner)
    said_of = text(reading.details.get("slices_metric")) or reading.leads
    whole_test = ships.scores.get(said_of) if ships is not None else None
    overall = whole_test.value if whole_test is not None else None
    scored = [(row, value) for row in found if (value := number(row.get("score"))) is not None][:12]
    if not scored:
        return []
    ends = [v for row, value in scored for v in (value, *pair(row.get("interval")), overall) if v is not None]
    axis = widened(min(ends), max(ends), least=0.02)
    made = []
    for row, value in scored:
        low, high = pair(row.get("interval"))
        p = number(row.get("p_adjusted"))
        sure = "not tested" if p is None else "yes" if p < 0.05 else "may be chance"
        made.append(
            {
                "slice": wording.humanize(text(row.get("slice"))),
                "value": text(row.get("value")),
                "n": wording.count(whole(row.get("n"))),
                "score": wording.score(value, said_of),
                "interval": "" if low is None else wording.interval(low, high, said_of),
                "said": sure,
                "p": "" if p is None else f"p {wording.p_value(p)}" if p < 0.001 else f"p = {wording.p_value(p)}",
                "chart": charts.span(value, low, high, overall, axis),
            }
        )
    return made


def _errors(details: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            # Labels stand in a line; written answers need a place of their own.
            "long": max(len(text(row.get("truth"))), len(text(row.get("answer")))) > _LONGEST_LABEL,
            "id": text(row.get("id")).replace(",", ""),
            "text": text(row.get("text")) or "(empty)",
            "truth": text(row.get("truth")) or "(empty)",
            "answer": text(row.get("answer")) or "(no answer)",
            "confidence": "" if (sure := number(row.get("confidence"))) is None else wording.percent(sure),
        }
        for row in rows(details.get("errors"))[:50]
    ]
