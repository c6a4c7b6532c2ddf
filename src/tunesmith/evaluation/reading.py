"""A report.json as frozen dataclasses, read with suspicion: what is absent stays absent, nothing is guessed.

Page and terminal both draw from a Reading. The dictionary may come from an older version, from another
tool or from a damaged file, so a value of the wrong kind counts as absent and never raises.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tunesmith.evaluation import wording


@dataclass(frozen=True)
class Score:
    """One metric of one rung. low, high: 95 % interval. n: rows it was measured on."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Cost:
    """What a rung cost, as measured; None where it was not."""

    train_cpu_s: float | None = None
    train_wall_s: float | None = None
    peak_rss_bytes: float | None = None
    stored_bytes: float | None = None
    predict_cpu_s_per_example: float | None = None


@dataclass(frozen=True)
class Rung:
    """One system: what the report's `systems` and the ladder's details say of it together.

    dev: the score it was chosen by, before the test was opened. ships: it is the verdict's winner.
    roles: among "ships", "candidate", "reference", "frugal".
    """

    name: str
    title: str
    plain: str
    tuned: bool
    status: str
    base: str = ""
    method: str = ""
    why: str = ""
    n: int | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)
    lead: Score | None = None
    dev: Score | None = None
    dev_how: str = ""
    cost: Cost = field(default_factory=Cost)
    curve: tuple[tuple[float, float | None, float | None], ...] = ()  # (step, loss, dev)
    train_rows: int | None = None
    roles: tuple[str, ...] = ()

    @property
    def ran(self) -> bool:
        return self.status != "not run"

    @property
    def ships(self) -> bool:
        return "ships" in self.roles


@dataclass(frozen=True)
class Guard:
    """A metric in which the candidate must be no worse. state: "broken", "not shown" or "holds"."""

    metric: str
    best: str
    candidate_value: float | None
    best_value: float | None
    state: str


@dataclass(frozen=True)
class Verdict:
    """The verdict, and the comparison in it turned so that a positive difference means "tuned is better"."""

    winner: str
    against: str
    claim: str
    sentence: str
    words: wording.ClaimWords
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    n: int | None = None
    guards: tuple[Guard, ...] = ()


@dataclass(frozen=True)
class CheckRow:
    """One recorded proof. state: "failed", "passed" or "does not apply"."""

    name: str
    state: str
    value: str
    bound: str
    remedy: str
    system: str


@dataclass(frozen=True)
class Reading:
    """The whole report. rungs: best test score first, then best dev score, then those not run."""

    task: str
    leads: str
    counts: Mapping[str, int]
    fingerprint: str
    verdict: Verdict
    rungs: tuple[Rung, ...]
    checks: tuple[CheckRow, ...]
    comparisons: tuple[Mapping[str, Any], ...]
    decisions: tuple[tuple[str, str, str], ...]  # what, choice, why
    details: Mapping[str, Any]
    candidate: str = ""
    reference: str = ""
    frugal: str = ""

    def rung(self, name: str) -> Rung | None:
        """The rung of that name, if the report has it."""
        return next((rung for rung in self.rungs if rung.name == name), None)


def number(value: object) -> float | None:
    """A finite number, or None for anything else (booleans too)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        as_float = float(value)
    except OverflowError:
        return None
    return as_float if math.isfinite(as_float) else None


def whole(value: object) -> int | None:
    """A finite number as an int, or None."""
    found = number(value)
    return None if found is None else int(found)


def text(value: object) -> str:
    """What a person would read for a JSON scalar; lists are joined, None is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        found = number(value)
        return str(value) if found is None else wording.plain(found)
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ", ".join(f"{text(key)}: {text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(text(item) for item in value)
    return str(value)


def mapping(value: object) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def rows(value: object) -> list[Mapping[str, Any]]:
    """The objects in a list; anything else in it is left out."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list | tuple) else []


def pair(value: object) -> tuple[float | None, float | None]:
    """[lo, hi] in order, or (None, None)."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return (None, None)
    low, high = number(value[0]), number(value[1])
    if low is None or high is None:
        return (None, None)
    return (min(low, high), max(low, high))


def read(report: Mapping[str, Any]) -> Reading:
    """The report as a Reading; never raises for what the report holds."""
    report = mapping(report)
    details = mapping(report.get("details"))
    ladder = mapping(details.get("ladder"))
    beside = mapping(details.get("verdict"))
    data = mapping(report.get("data"))
    leads = text(report.get("leads")) or "score"
    systems = rows(report.get("systems"))
    verdict = mapping(report.get("verdict"))
    winner, against = text(verdict.get("winner")), text(verdict.get("against"))
    tuned = {text(row.get("name")): _is_tuned(row) for row in systems}
    candidate = text(ladder.get("candidate")) or next((w for w in (winner, against) if w and tuned.get(w)), "")
    reference = text(ladder.get("reference")) or next((w for w in (winner, against) if w and tuned.get(w) is False), "")
    frugal = text(ladder.get("frugal"))
    roles = {"ships": winner, "candidate": candidate, "reference": reference, "frugal": frugal}
    extra = mapping(details.get("rungs"))
    found = [_rung(row, mapping(extra.get(text(row.get("name")))), leads, roles) for row in systems]
    return Reading(
        task=text(report.get("task")),
        leads=leads,
        counts={key: n for key in ("rows", "train", "dev", "test") if (n := whole(data.get(key))) is not None},
        fingerprint=text(data.get("fingerprint")),
        verdict=_verdict(verdict, candidate, tuple(_guard(row) for row in rows(beside.get("guards")))),
        rungs=tuple(sorted(found, key=_order)),
        checks=tuple(sorted((_check(row) for row in rows(report.get("checks"))), key=lambda c: _STATES.index(c.state))),
        comparisons=tuple(rows(report.get("comparisons"))),
        decisions=tuple(
            (text(row.get("what")), text(row.get("choice")), text(row.get("why")))
            for row in rows(report.get("decisions"))
        ),
        details=details,
        candidate=candidate,
        reference=reference,
        frugal=frugal,
    )


# As in verdict.py: 2 points are the largest harm that a guard lets pass.
_HARMLESS = 0.02
_STATES = ("failed", "passed", "does not apply")


def _is_tuned(row: Mapping[str, Any]) -> bool:
    return text(row.get("kind")) == "tuned"


def _order(rung: Rung) -> tuple[bool, bool, bool, float, str]:
    best = rung.lead or rung.dev
    return (not rung.ran, rung.lead is None, best is None, -(best.value if best else 0.0), rung.name)


def _rung(row: Mapping[str, Any], extra: Mapping[str, Any], leads: str, roles: Mapping[str, str]) -> Rung:
    name = text(row.get("name"))
    words = wording.rung(name)
    cost = mapping(row.get("cost"))
    status = text(row.get("status")) or text(extra.get("status")) or "full"
    scores = {key: made for key, value in mapping(row.get("scores")).items() if (made := _score(value)) is not None}
    dev = number(extra.get("dev"))
    low, high = pair(extra.get("interval"))
    curve = (
        (step, number(at.get("loss")), number(at.get("dev")))
        for at in rows(extra.get("curve"))
        if (step := number(at.get("step"))) is not None
    )
    return Rung(
        name=name,
        title=words.title or "a system without a name",
        plain=words.plain,
        tuned=_is_tuned(row),
        status=status,
        base=text(row.get("base")),
        method=text(row.get("method")),
        why=text(extra.get("why")) or text(row.get("why")),
        n=whole(row.get("n")),
        scores=scores,
        lead=scores.get(leads) if status != "not run" else None,
        dev=None if dev is None else Score(dev, low, high, whole(extra.get("n"))),
        dev_how=text(extra.get("how")),
        cost=Cost(*(number(cost.get(key)) for key in Cost.__dataclass_fields__)),
        curve=tuple(sorted(curve, key=lambda point: point[0])),
        train_rows=whole(extra.get("train_rows")),
        roles=tuple(role for role, holder in roles.items() if holder and holder == name),
    )


def _score(value: object) -> Score | None:
    about = mapping(value)
    found = number(about.get("value")) if about else number(value)
    if found is None:
        return None
    low, high = pair(about.get("interval"))
    return Score(found, low, high, whole(about.get("n")))


def _guard(row: Mapping[str, Any]) -> Guard:
    p, upper = number(row.get("p_value")), number(row.get("upper"))
    state = (
        "broken" if p is not None and p < 0.05 else "holds" if upper is not None and upper <= _HARMLESS else "not shown"
    )
    return Guard(
        text(row.get("metric")),
        text(row.get("best")),
        number(row.get("candidate_value")),
        number(row.get("best_value")),
        state,
    )


def _verdict(about: Mapping[str, Any], candidate: str, guards: tuple[Guard, ...]) -> Verdict:
    claim = text(about.get("claim"))
    low, high = pair(about.get("interval"))
    ahead = (number(about.get("difference")) or 0.0) > 0 and (
        p if (p := number(about.get("p_value"))) is not None else 1.0
    ) < 0.05
    # Ahead and significant, yet not "better": a guard held the claim back.
    blocking = [g for g in guards if g.state != "holds"] if ahead and not claim.startswith("better") else []
    blocking.sort(key=lambda g: g.state != "broken")
    words = wording.claim(
        claim,
        candidate=bool(candidate) or not text(about.get("winner")),
        harmed=wording.metric(blocking[0].metric).title if blocking else "",
        shown=bool(blocking) and blocking[0].state == "broken",
    )
    return Verdict(
        winner=text(about.get("winner")),
        against=text(about.get("against")),
        claim=claim,
        sentence=text(about.get("sentence")),
        words=words,
        difference=number(about.get("difference")),
        low=low,
        high=high,
        p_value=number(about.get("p_value")),
        n=whole(about.get("n")),
        guards=guards,
    )


def _check(row: Mapping[str, Any]) -> CheckRow:
    passed = row.get("passed")
    applies = row.get("applies", passed is not None)
    # Anything but a plain True is not a pass: a check that cannot be read must not look green.
    state = "does not apply" if applies is False or (passed is None and applies is not True) else "passed"
    if state == "passed" and passed is not True:
        state = "failed"
    return CheckRow(
        name=text(row.get("name")),
        state=state,
        value=text(row.get("value")),
        bound=text(row.get("bound")).replace("<=", "≤").replace(">=", "≥"),
        remedy=text(row.get("remedy")),
        system=text(row.get("system")),
    )
