"""The page's card about a generalist that the user had compared with the shipped system."""

from __future__ import annotations

from typing import Any

from tunesmith.evaluation import wording
from tunesmith.evaluation.reading import Reading, mapping, number, pair, rows, text, whole


def generalist_card(reading: Reading) -> dict[str, Any] | None:
    """{sentence, metric, rows, note} of the report's "generalist"; None where none was asked."""
    told = mapping(reading.details.get("generalist"))
    compared = rows(told.get("comparisons"))
    if not compared:
        return None
    main = compared[0]
    name = text(main.get("metric"))
    low, high = pair(main.get("interval"))
    ours, theirs = mapping(told.get("specialised")), told
    score = [wording.score(number(main.get(key)), name) for key in ("score_a", "score_b")]
    sentence = (
        f"{wording.rung(text(main.get('a'))).title} scores {score[0]} against {score[1]}: a difference of "
        f"{wording.points(number(main.get('difference')), name)} ({wording.interval(low, high, name)}, "
        f"p {wording.p_value(number(main.get('p_value')))}, {wording.count(whole(main.get('n')), 'test row')})."
    )
    crossing = mapping(told.get("crossover"))
    answers, why = whole(crossing.get("answers")), text(crossing.get("why"))
    note = f"Asked: {text(told.get('source'))}. "
    note += f"By price alone the specialised model pays from {answers:,} answers on ({why})." if answers else f"{why}."
    currency = text(mapping(reading.details.get("estimates")).get("money")).rpartition(" ")[2]
    return {
        "sentence": sentence,
        "metric": wording.metric(name).title,
        "rows": [
            {
                "title": wording.rung(text(main.get("a"))).title,
                "cells": [
                    score[0],
                    _price(number(ours.get("per_answer")), currency),
                    wording.duration(number(ours.get("seconds_per_answer"))),
                ],
            },
            {
                "title": text(told.get("source")),
                "cells": [
                    score[1],
                    _price(number(theirs.get("price_per_answer")), currency),
                    wording.duration(number(theirs.get("seconds_per_answer"))),
                ],
            },
        ],
        "pairs": [
            {
                "target": wording.percent(number(row.get("target")), 0),
                "handed": wording.percent(number(row.get("handed_on"))),
                "score": wording.percent(number(row.get("score"))),
                "interval": wording.interval(*pair(row.get("interval")), "accuracy"),
                "price": _price(number(row.get("price_per_answer")), currency),
            }
            for row in rows(told.get("cascade"))
        ],
        "note": note + " Prices of the specialised model are energy alone, an estimate.",
    }


def _price(each: float | None, currency: str) -> str:
    return "not known" if each is None else f"{1000 * each:.3g} {currency}".strip()
