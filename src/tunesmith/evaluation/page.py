"""report.html: one self-contained file made from report.json, for somebody who is not an engineer.

The page is derived and never keyed: it can be made again from report.json at any time, and it knows
nothing that is not in there. What a report lacks is shown as lacking. Data cells are hostile: autoescape
is on, every value passes through `clean`, there is no script, and the content security policy allows no
host and only the one style sheet, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from tunesmith.core.files import write_text
from tunesmith.evaluation import charts, palette, wording
from tunesmith.evaluation.cost_card import cost_card
from tunesmith.evaluation.domain_card import domain_card
from tunesmith.evaluation.drawing import clean
from tunesmith.evaluation.forecast_card import forecast_card
from tunesmith.evaluation.forgetting import forgetting_cards
from tunesmith.evaluation.generalist_card import generalist_card
from tunesmith.evaluation.more_card import more_card
from tunesmith.evaluation.page_confidence import confidence
from tunesmith.evaluation.page_data import data_sections
from tunesmith.evaluation.page_inspection import inspection, named
from tunesmith.evaluation.pareto import pareto_card
from tunesmith.evaluation.reading import Reading, Rung, mapping, number, pair, read, text, whole
from tunesmith.evaluation.trials_card import trials_card

if TYPE_CHECKING:
    import jinja2

# A text of the data longer than this is cut even when unfolded; the page must stay openable.
_LONGEST_TEXT = 20_000
_NBSP = "\u00a0"


def render(report: Mapping[str, Any]) -> str:
    """The page as one HTML document. report: the object of report.json with its "details"; any part may be absent."""
    reading = read(report)
    style = style_sheet()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    template = environment().get_template("page.html.j2")
    return template.render(
        style=Markup(style),
        style_hash=f"sha256-{digest}",
        longest=_LONGEST_TEXT,
        forecast=forecast_card(report),
        ledger=cost_card(report),
        trials=trials_card(report),
        documents=domain_card(report),
        generalist=generalist_card(reading),
        pareto=pareto_card(reading),
        more=more_card(reading),
        forgotten=forgetting_cards(reading),
        **_context(reading),
    )


def write_page(report: Mapping[str, Any], path: Path) -> None:
    """Write the page, whole or not at all. OSError is the caller's."""
    write_text(path, render(report))


@cache
def style_sheet() -> str:
    """Colours and style of every page that Tunesmith writes."""
    return palette.css_variables() + "\n" + Path(__file__).with_name("page.css").read_text(encoding="utf-8")


@cache
def environment() -> jinja2.Environment:
    """Templates of this folder: autoescape on, every value cleaned."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_cleaned,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters["short"] = _short
    return made


def _short(words: object, longest: int = 160) -> object:
    """A cell's words, cut where a whole document would burst the table; what is folded elsewhere stays whole."""
    if not isinstance(words, str):
        return words
    words = wording.brief(words)
    cut = words if len(words) <= longest else words[: longest - 1].rstrip() + "…"
    # Names such as label_one_of_many and model.rungs.lm break after a mark rather than anywhere.
    return Markup(re.sub(r"(?<=\w)([_.])(?=[A-Za-z_])", r"\1<wbr>", str(escape(clean(cut)))))


def _cleaned(value: object) -> object:
    if isinstance(value, Markup):
        return value
    return clean(value) if isinstance(value, str) else value


def _context(reading: Reading) -> dict[str, Any]:
    details = reading.details
    checks = {
        "failed": [c for c in reading.checks if c.state == "failed"],
        "passed": [c for c in reading.checks if c.state == "passed"],
        "other": [c for c in reading.checks if c.state == "does not apply"],
    }
    inspected = inspection(reading)
    n_failed = len(checks["failed"])
    return {
        "title": text(details.get("title")) or text(details.get("run")) or "a run without a title",
        "masthead": _masthead(reading),
        "verdict": reading.verdict,
        "lead": wording.metric(reading.leads),
        "sentence": wording.unbroken(reading.verdict.sentence) or reading.verdict.words.headline + ".",
        "figures": _figures(reading),
        "difference": _difference(reading),
        "failed": f"{n_failed} {'check' if n_failed == 1 else 'checks'} failed." if n_failed else "",
        "guards": _guards(reading),
        "choices": _choices(reading),
        "choices_note": _ended(text(mapping(details.get("ladder")).get("why"))),
        "ladder": _ladder(reading),
        "comparisons": _comparisons(reading),
        **inspected,
        **confidence(reading),
        "checks": checks if reading.checks else None,
        "costs": _costs(reading),
        **data_sections(reading),
        "decisions": reading.decisions,
        "use": _use(details),
        "footer": _footer(reading),
        "sections": _sections(reading, curves=bool(inspected["curves"])),
    }


def _sections(reading: Reading, *, curves: bool) -> dict[str, dict[str, str]]:
    lead = wording.metric(reading.leads)
    meaning = f" {lead.title} is {lead.plain}." if lead.plain else ""
    titles = {
        "verdict": ("Verdict", ""),
        "ladder": (
            "The ladder",
            f"Every system that was tried, from the simplest to the tuned ones, on the same test.{meaning}",
        ),
        "training": ("Training", "How the tuned systems learned, step by step."),
        "strengths": ("Strengths and weaknesses", f"What {named(reading, 'inspected')} does well and where it fails."),
        "errors": (
            "Errors to read",
            f"The most telling mistakes of {named(reading, 'errors_of')}. Reading them teaches more than any score.",
        ),
        "checks": (
            "Checks",
            "Proofs recorded while the run went on. A failed one stops the run; one that does not apply "
            "proves nothing.",
        ),
        "cost": ("Cost", "What each system took to make, and takes to use."),
        "data": ("The data", "Where the rows came from, what was mended, and what took no part."),
        "decisions": ("Decisions", "Everything that was chosen for you. Each can be overruled in the configuration."),
        "use": ("Use the model", ""),
        "limits": ("Limits and words", "What this report can and cannot tell."),
    }
    return {
        key: {"title": title, "lead": about} for key, (title, about) in titles.items() if key != "training" or curves
    }


def _masthead(reading: Reading) -> str:
    parts = [reading.task, *_created(reading.details)]
    total = reading.counts.get("rows")
    return " · ".join(part for part in (*parts, wording.count(total, "row") if total else "") if part)


def _created(details: Mapping[str, Any]) -> list[str]:
    said = text(details.get("created"))
    return [f"{said[:10]} {said[11:16]}".strip()] if said else []


def _figures(reading: Reading) -> list[tuple[str, str]]:
    v = reading.verdict
    found = [("Tuned against untuned", v.claim)]
    if v.difference is not None:
        found.append(("Difference", wording.points(v.difference, reading.leads)))
    if v.low is not None:
        found.append((f"95{_NBSP}% interval", wording.interval(v.low, v.high, reading.leads)))
    if v.p_value is not None:
        found.append(("p", wording.p_value(v.p_value)))
    if v.n is not None:
        found.append(("Test rows", wording.count(v.n)))
    return [(key, said) for key, said in found if said]


def _difference(reading: Reading) -> dict[str, Any] | None:
    v = reading.verdict
    if v.difference is None or v.low is None or v.high is None:
        return None
    metric = wording.metric(reading.leads)
    tuned, plain = reading.rung(reading.candidate), reading.rung(reading.reference)

    def draw(*, narrow: bool) -> Markup:
        return charts.difference(
            v.difference or 0.0,
            v.low or 0.0,
            v.high or 0.0,
            left="untuned is better",
            right="tuned is better",
            said=f"{wording.points(v.difference, reading.leads)}, {wording.interval(v.low, v.high, reading.leads)}",
            percent=metric.percent,
            narrow=narrow,
        )

    names = f"{tuned.title if tuned else 'tuned'} against {plain.title if plain else 'untuned'}"
    unit = " in points" if metric.percent else ""
    crosses = v.low <= 0 <= v.high
    meaning = (
        "The bar reaches over zero: the true difference may lie on either side."
        if crosses
        else "The whole bar lies on one side of zero: chance alone is an unlikely explanation."
    )
    caption = f"{names}: difference in {metric.title}{unit}. {meaning}"
    return {"wide": draw(narrow=False), "narrow": draw(narrow=True), "caption": caption}


def _guards(reading: Reading) -> list[str]:
    """One sentence for each thing that must not get worse."""
    ends = {
        "holds": "no worse, as it must be",
        "not shown": "not shown to be no worse",
        "broken": "worse, and must not be",
    }
    return [
        f"{wording.metric(g.metric).title}: {wording.score(g.candidate_value, g.metric)} for the tuned system, "
        f"{wording.score(g.best_value, g.metric)} for the best other "
        f"({wording.rung(g.best).title.lower()}): {ends[g.state]}."
        for g in reading.verdict.guards
    ]


def _choices(reading: Reading) -> list[dict[str, Any]]:
    """What ships, the other side of the comparison, and the frugal rung, each once."""
    ships = reading.rung(reading.verdict.winner)
    if ships is None:
        return []
    wanted = [
        (reading.candidate, "Best tuned system"),
        (reading.reference, "Best untuned system"),
        (reading.frugal, "Cheapest within reach"),
    ]
    shown = [ships, *(r for name, _ in wanted if name and (r := reading.rung(name)) is not None and r is not ships)]
    unique = list({rung.name: rung for rung in shown if rung.ran}.values())
    labels = {
        rung.name: [
            said for name, said in wanted if name == rung.name and not (rung is ships and name != reading.frugal)
        ]
        for rung in unique
    }
    return [_choice(reading, rung, ships, labels[rung.name]) for rung in unique]


def _choice(reading: Reading, rung: Rung, ships: Rung, labels: list[str]) -> dict[str, Any]:
    role = "This ships" if rung is ships else " · ".join(labels) or "Alternative"
    if rung is ships and labels:
        role += " · also the cheapest within reach"
    lead = rung.lead
    metric = wording.metric(reading.leads)
    under = [f"{metric.title} on the test"]
    if lead is not None and lead.low is not None:
        under.append(f"95{_NBSP}% interval {wording.interval(lead.low, lead.high, reading.leads)}")
    if rung.status == "subset" and lead is not None and lead.n is not None:
        under.append(f"on {wording.count(lead.n, 'test row')}; a subset was used")

    def beside(field: str) -> str:
        return "" if rung is ships else wording.ratio(getattr(rung.cost, field), getattr(ships.cost, field))

    c = rung.cost
    guarded = dict.fromkeys(g.metric for g in reading.verdict.guards)
    facts = [
        *(
            (wording.metric(name).title, wording.score(rung.scores[name].value, name), "")
            for name in guarded
            if name in rung.scores
        ),
        ("Training, wall time", wording.duration(c.train_wall_s), beside("train_wall_s")),
        ("Size on disk", wording.size(c.stored_bytes), beside("stored_bytes")),
        ("Memory at peak", wording.size(c.peak_rss_bytes), beside("peak_rss_bytes")),
        ("CPU per prediction", wording.duration(c.predict_cpu_s_per_example), beside("predict_cpu_s_per_example")),
    ]
    said = wording.score(lead.value, reading.leads) if lead is not None else "no test score"
    return {
        "ships": rung is ships,
        "role": role,
        "title": rung.title,
        "name": rung.name,
        "score": said,
        "under": under,
        "facts": facts,
    }


def _stands_on(rung: Rung) -> str:
    parts = ["tuned" if rung.tuned else "untuned", wording.base(rung.base)]
    if rung.method:
        parts.append(rung.method)
    return " · ".join(part for part in parts if part)


def _dots(reading: Reading) -> list[charts.Dot]:
    made = []
    whole_test = max((rung.lead.n or 0 for rung in reading.rungs if rung.lead is not None), default=0)
    for rung in reading.rungs:
        lead = rung.lead
        few = lead is not None and lead.n is not None and lead.n < whole_test
        note = " \u00b7 ".join(part for part in (rung.name, wording.base(rung.base), rung.method) if part)
        if lead is None:
            note = _without_prefix(rung.why) or "no reason recorded"
        elif few and lead.n is not None:
            note = f"{rung.name} \u00b7 scored on {wording.count(lead.n, 'row')}"
        elif rung.status == "subset" and rung.train_rows:
            note = f"{rung.name} \u00b7 trained on {wording.count(rung.train_rows, 'row')}"
        made.append(
            charts.Dot(
                name=rung.title,
                note=note,
                tuned=rung.tuned,
                ships=rung.ships,
                subset=few,
                score=None if lead is None else lead.value,
                low=None if lead is None else lead.low,
                high=None if lead is None else lead.high,
                dev=None if rung.dev is None else rung.dev.value,
                said="" if lead is None else wording.score(lead.value, reading.leads),
                said_interval=""
                if lead is None or lead.low is None
                else wording.interval(lead.low, lead.high, reading.leads),
                ran=rung.ran,
            )
        )
    return made


def _ended(words: str) -> str:
    """With a full stop; no capital, for the words may begin with a name."""
    words = words.strip()
    return words and words + ("" if words[-1] in ".!?" else ".")


def _without_prefix(why: str) -> str:
    return why[len("not run:") :].strip() if why.lower().startswith("not run:") else why


def _ladder(reading: Reading) -> dict[str, Any] | None:
    if not reading.rungs:
        return None
    dots = _dots(reading)
    metric = wording.metric(reading.leads)
    draw = {
        form: charts.ladder(dots, metric=metric.title, percent=metric.percent, narrow=form == "narrow")
        for form in ("wide", "narrow")
    }
    low, _ = charts.ladder_range(dots)
    outside = [dot.name for dot in dots if dot.score is not None and dot.score < low]
    others = list(dict.fromkeys(name for rung in reading.rungs for name in rung.scores if name != reading.leads))[:4]
    return {
        **draw,
        "any": any(dot.score is not None for dot in dots),
        "legend": charts.legend(dev=any(d.dev is not None for d in dots), subset=any(d.subset for d in dots)),
        "outside": f"Far to the left, outside the picture (arrows): {', '.join(outside)}." if outside else "",
        "others": [wording.metric(name).title for name in others],
        "rows": [_ladder_row(reading, rung, others) for rung in reading.rungs],
    }


def _ladder_row(reading: Reading, rung: Rung, others: Sequence[str]) -> dict[str, Any]:
    lead, dash = rung.lead, "\u2013"
    known = ("ships", "candidate", "reference", "frugal")
    return {
        "title": rung.title,
        "ships": rung.ships,
        "tags": [role for role in known if role in rung.roles],
        "sub": f"{rung.name}: {rung.plain}" if rung.plain else rung.name,
        "kind": _stands_on(rung),
        "score": dash if lead is None else wording.score(lead.value, reading.leads),
        "interval": dash if lead is None or lead.low is None else wording.interval(lead.low, lead.high, reading.leads),
        "n": dash if lead is None or lead.n is None else wording.count(lead.n),
        "dev": dash if rung.dev is None else wording.score(rung.dev.value, reading.leads),
        "others": [
            dash if name not in rung.scores else wording.score(rung.scores[name].value, name) for name in others
        ],
        "train_rows": dash if rung.train_rows is None else wording.count(rung.train_rows),
        "status": wording.STATUS.get(rung.status, rung.status),
        "why": _without_prefix(rung.why),
    }


def _comparisons(reading: Reading) -> list[dict[str, str]]:
    made = []
    for row in reading.comparisons:
        name = text(row.get("metric")) or reading.leads
        low, high = pair(row.get("interval"))
        adjusted = number(row.get("p_adjusted"))
        made.append(
            {
                "a": wording.rung(text(row.get("a"))).title,
                "b": wording.rung(text(row.get("b"))).title,
                "metric": wording.metric(name).title,
                "difference": wording.points(number(row.get("difference")), name),
                "interval": wording.interval(low, high, name),
                "p": wording.p_value(number(row.get("p_value")) if adjusted is None else adjusted),
                "test": text(row.get("test")),
                "n": wording.count(whole(row.get("n"))),
            }
        )
    return made


def _costs(reading: Reading) -> list[dict[str, Any]]:
    made = []
    for rung in reading.rungs:
        c = rung.cost
        if not rung.ran:
            continue
        cells = [
            wording.duration(c.train_wall_s),
            wording.duration(c.train_cpu_s),
            wording.size(c.peak_rss_bytes),
            wording.size(c.stored_bytes),
            wording.duration(c.predict_cpu_s_per_example),
        ]
        made.append({"title": rung.title, "ships": rung.ships, "cells": cells})
    return made


def _use(details: Mapping[str, Any]) -> dict[str, Any]:
    about = mapping(details.get("use"))
    run = text(details.get("run")) or "RUN"
    given = about.get("cli")
    lines = [text(line) for line in given if text(line)] if isinstance(given, list | tuple) else []
    return {
        "cli": lines or [f"tunesmith predict {run} new.csv", f"tunesmith show {run}"],
        "python": text(about.get("python")),
    }


def _footer(reading: Reading) -> list[str]:
    details = reading.details
    machine = mapping(details.get("machine"))
    memory, cores, threads = (number(machine.get(key)) for key in ("memory_bytes", "cores", "threads"))
    parts = [
        text(machine.get("cpu")),
        wording.count(cores, "core") if cores is not None else "",
        f"{wording.count(threads, 'thread')} used" if threads is not None else "",
        f"{wording.size(memory)} memory" if memory is not None else "",
        text(machine.get("device")),
        text(machine.get("dtype")),
    ]
    version = text(details.get("version"))
    return [
        line
        for line in (
            " · ".join(
                part
                for part in (
                    f"Tunesmith {version}" if version else "Tunesmith",
                    *_created(details),
                    text(details.get("run")),
                )
                if part
            ),
            f"Measured on: {', '.join(part for part in parts if part)}"
            if any(parts)
            else "The machine is not recorded.",
            f"Test fingerprint {reading.fingerprint}" if reading.fingerprint else "",
            "This page is one file. It contains no script and loads nothing from anywhere.",
        )
        if line
    ]
