"""The page's card of the cost ledger: data against compute, people against machines, every rung, full fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tunesmith.evaluation import wording
from tunesmith.evaluation.charts import NARROW, WIDE
from tunesmith.evaluation.drawing import Drawing, Scale
from tunesmith.evaluation.reading import mapping, number, rows, text, whole

_HALF, _THICK = 30, 18


@dataclass(frozen=True)
class Part:
    """What one side spent on one kind of work; value in the picture's unit."""

    kind: str
    who: str
    value: float
    said: str


def cost_card(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the template shows of the report's "cost" (costing.CostLedger.to_json); None where there is none."""
    told = mapping(report.get("cost"))
    machine = mapping(told.get("machine"))
    if not machine:
        return None
    rates = mapping(told.get("rates"))
    currency, paid = text(rates.get("currency")), number(rates.get("wage")) is not None
    people = rows(told.get("people"))
    device = text(told.get("device"))
    device = "" if device in ("", "cpu") else device
    parts = _parts(people, machine, currency, paid=paid)
    what = f"in {currency}, an estimate by your rates" if paid else "in minutes, as no wage was set (cost.wage)"
    unseen = "Time spent on the data before it came here is not known, unless cost.seconds_per_label says it."
    made = [_rung(row, currency, device=bool(device)) for row in rows(told.get("rungs"))]
    full, sentence = _full(mapping(told.get("full")), currency, device=bool(device))
    return {
        "pictures": [drawn(parts, narrow=narrow) for narrow in (False, True)],
        "caption": f"People and machines, data and compute, {what}. {unseen}",
        "paid": paid,
        "people": [_person(row, currency) for row in people],
        "metric": wording.metric(text(told.get("metric"))).title,
        "device": device,
        "rungs": [*made, *([full] if full else [])],
        "full": sentence,
        "note": text(told.get("estimates")),
    }


def _parts(
    people: list[Mapping[str, Any]], machine: Mapping[str, Any], currency: str, *, paid: bool
) -> list[Part]:  # fmt: skip
    made = []
    for kind in ("data", "compute"):
        mine = [row for row in people if text(row.get("kind")) == kind]
        # Timing full fine-tuning is machine time for compute like any other.
        theirs = [mapping(used) for name, used in machine.items() if (name == "data") == (kind == "data")]
        for who, some, field in (("people", mine, "seconds"), ("machine", theirs, "wall_s")):
            total = sum(number(row.get("money" if paid else field)) or 0.0 for row in some)
            said = _money(total, currency) if paid else wording.duration(total)
            made.append(Part(kind, who, total if paid else total / 60, said))
    return made


def drawn(parts: list[Part], *, narrow: bool) -> Markup:
    """Two bars for data, two for compute: people's and the machine's."""
    width = NARROW if narrow else WIDE
    left, right = (14, width - 96) if narrow else (180, width - 130)
    block = 2 * _HALF + (26 if narrow else 14)
    kinds = list(dict.fromkeys(part.kind for part in parts))
    most = max((part.value for part in parts), default=0.0)
    x = Scale(0.0, most or 1.0, left, right)
    svg = Drawing(
        f"cost-{'n' if narrow else 'w'}", width, block * len(kinds) + 8, title="What data and compute took of people "
        "and of the machine", desc="; ".join(f"{p.kind}, {p.who}: {p.said}" for p in parts) + ".",
        css="narrow" if narrow else "wide",
    )  # fmt: skip
    for at, kind in enumerate(kinds):
        top = at * block + 6
        svg.text(14, top + 15, kind.capitalize(), "name strong")
        first = top + (22 if narrow else 0)
        for which, part in enumerate(part for part in parts if part.kind == kind):
            y = first + which * _HALF
            if not narrow:
                svg.text(left - 12, y + 14, part.who, "tick", anchor="end")
            tip = f"{part.kind}, {part.who}: {part.said}"
            svg.rect(left, y, max(x(part.value) - left, 1.5), _THICK, f"fill {part.who}", radius=2, tip=tip)
            said = f"{part.said} {part.who}" if narrow else part.said
            svg.text(x(part.value) + 8, y + 14, said, "tick")
    return svg.markup()


def _person(row: Mapping[str, Any], currency: str) -> dict[str, str]:
    low, high = number(row.get("low")), number(row.get("high"))
    known = low is None or high is None or low == high
    return {
        "what": wording.humanize(text(row.get("what"))),
        "kind": text(row.get("kind")),
        "time": _time(number(row.get("seconds"))),
        "range": "" if known else f"{_time(low)} to {_time(high)}",
        "money": _money(number(row.get("money")), currency),
        "why": text(row.get("why")),
    }


def _rung(row: Mapping[str, Any], currency: str, *, device: bool) -> dict[str, Any]:
    used, answers = mapping(row.get("used")), mapping(row.get("thousand_answers"))
    score = number(row.get("score"))
    cells = [
        wording.ABSENT if score is None else f"{score:.3f}",
        wording.duration(number(used.get("cpu_s"))),
        *((wording.duration(number(used.get("device_s"))),) if device else ()),
        wording.size(number(row.get("peak_rss_bytes"))),
        wording.size(number(row.get("stored_bytes"))),
        _amount(number(row.get("energy_wh")), "Wh"),
        _money(number(row.get("money")), currency),
        _amount(number(row.get("co2_g")), "g"),
        _amount(number(answers.get("energy_wh")), "Wh"),
    ]
    title = wording.rung(text(row.get("name"))).title
    return {"title": title, "ships": row.get("ships") is True, "estimated": False, "cells": cells}


def _full(full: Mapping[str, Any], currency: str, *, device: bool) -> tuple[dict[str, Any] | None, str]:
    """The row of the full fine-tuning that a rung replaces, and a sentence about it."""
    if not full:
        return None, "No rung tuned the weights of a base, so there is no full fine-tuning that one replaces."
    base, rung = wording.base(text(full.get("base"))), wording.rung(text(full.get("system"))).title
    cpu, wall = mapping(full.get("cpu_s")), mapping(full.get("wall_s"))
    if not cpu:
        return None, f"What full fine-tuning of {base} would have cost was not measured: {text(full.get('skipped'))}."
    cells = [
        "not measured",
        _between(cpu, wording.duration),
        *((_between(wall, wording.duration),) if device else ()),
        wording.size(number(full.get("peak_rss_bytes"))),
        wording.size(number(full.get("stored_bytes"))),
        _amount(number(mapping(full.get("energy_wh")).get("likely")), "Wh"),  # as unsure as the time
        _money(number(mapping(full.get("money")).get("likely")), currency),
        _amount(number(mapping(full.get("co2_g")).get("likely")), "g"),
        "not measured",
    ]
    times = mapping(full.get("times_the_method"))
    low, high, likely = (number(times.get(key)) for key in ("low", "high", "likely"))
    timed = len(steps) if isinstance(steps := full.get("full_step_s"), list | tuple) else 0
    said = f"Full fine-tuning of {base} would have taken "
    if likely is not None and low is not None and high is not None:
        said += f"{likely:.2g} times the training of {rung} ({low:.2g} to {high:.2g}, 80\u00a0%): "
    said += f"an estimate from {timed} of {whole(full.get('steps')) or 0} steps. {text(full.get('quality'))}."
    return {"title": f"Full fine-tuning of {base}", "ships": False, "estimated": True, "cells": cells}, said


def _between(amount: Mapping[str, Any], told: Any) -> str:
    likely, low, high = (number(amount.get(key)) for key in ("likely", "low", "high"))
    return wording.ABSENT if likely is None else f"{told(likely)} ({told(low)} to {told(high)})"


def _time(seconds: float | None) -> str:
    return wording.ABSENT if seconds is None else "none" if seconds == 0 else wording.duration(seconds)


def _amount(value: float | None, unit: str) -> str:
    return wording.ABSENT if value is None else f"{wording.plain(value)}\u00a0{unit}"


def _money(value: float | None, currency: str) -> str:
    if value is None:
        return wording.ABSENT
    return f"{value:,.2f}\u00a0{currency}" if value >= 0.1 else f"{value:.2g}\u00a0{currency}"
