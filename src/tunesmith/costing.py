"""The cost ledger of a run: people and machines, data and compute, every rung, and the full fine-tuning replaced.

It reads what the run folder tells (stages, rungs, answers to questions) and the decisions beside the data; the wage
and the other rates may be changed afterwards, nothing is measured again for that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from tunesmith.core.context import Context
from tunesmith.core.costs import Attention, CostOptions, Moment, Rates, Used, pace
from tunesmith.core.errors import RunError
from tunesmith.core.events import EventLog, read_events
from tunesmith.core.files import canonical, read_json, sha256_bytes, write_json
from tunesmith.core.findings import load_findings
from tunesmith.core.meter import Cost
from tunesmith.core.run import stage_records
from tunesmith.data.reviews import Review, read_reviews, reviews_beside
from tunesmith.equal_quality import EqualQuality
from tunesmith.training.ladder import Ladder, Rung, Trained, standing
from tunesmith.training.parallel import is_launched
from tunesmith.training.replaced import COVERAGE, Replaced, full_in_place_of, steps_of, tuned_rung

if TYPE_CHECKING:
    from tunesmith.core.dataset import Dataset
    from tunesmith.planning import Plan

NAME, FULL = "cost.json", "full.json"
# What a stage's machine time was spent for.
_DATA = ("ingest", "curate", "label", "synthesize")
# Of the whole budget, that timing full fine-tuning may take, if so much is left.
_SHARE = 0.1
# Options that people are asked for and that are about the data.
_ABOUT_DATA = ("target", "task", "inputs")
# Decisions from which on the pace of a person is told.
_FEWEST_GAPS = 5
ANSWERED, LOOKED = "answered", "looked"


@dataclass(frozen=True)
class RungCost:
    """What one rung took. used, predict_cpu_s: of training (refitting included) and of one answer, as measured."""

    name: str
    kind: str
    base: str | None
    ships: bool
    score: float | None
    interval: tuple[float, float] | None
    n: int
    used: Used
    peak_rss_bytes: int | None
    stored_bytes: int | None
    predict_cpu_s: float | None


@dataclass(frozen=True)
class CostLedger:
    """Everything that a finished run cost. machine: time by what it was for, "data" and "compute".

    quality: what full fine-tuning is compared at. measured: a full fine-tuning that was really done, in another run.
    """

    people: tuple[Attention, ...]
    machine: Mapping[str, Used]
    rungs: tuple[RungCost, ...]
    full: Replaced | None
    metric: str
    rates: Rates
    device: str
    quality: str
    measured: EqualQuality | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON: what was measured, and what follows by the rates, which is an estimate."""
        rates = self.rates
        return {
            "estimates": f"Times and bytes are measured; energy, money and CO2 are estimates: {rates.assumed()}.",
            "rates": asdict(rates),
            "device": self.device,
            "people": [{**asdict(one), "money": one.money(rates.wage)} for one in self.people],
            "machine": {kind: {**asdict(used), **rates.machine(used).to_dict()} for kind, used in self.machine.items()},
            "metric": self.metric,
            "rungs": [self._rung(rung) for rung in self.rungs],
            "full": None if self.full is None else self._full(self.full),
            "measured_full": None if self.measured is None else self.measured.to_dict(),
        }

    def _rung(self, rung: RungCost) -> dict[str, Any]:
        answers = Used(1000 * (rung.predict_cpu_s or 0.0), 1000 * (rung.predict_cpu_s or 0.0))
        thousand = None if rung.predict_cpu_s is None else self.rates.machine(answers).to_dict()
        return {**asdict(rung), **self.rates.machine(rung.used).to_dict(), "thousand_answers": thousand}

    def _full(self, full: Replaced) -> dict[str, Any]:
        about = {**full.to_dict(), "quality": self.quality}
        if full.cpu_s is None or full.wall_s is None:
            return about
        ends = {
            end: self.rates.machine(self._used(getattr(full.cpu_s, end), getattr(full.wall_s, end)))
            for end in ("likely", "low", "high")
        }
        told = {
            name: {end: getattr(spent, name) for end, spent in ends.items()} for name in ("energy_wh", "money", "co2_g")
        }
        took = full.took_wall_s if self.device != "cpu" else full.took_cpu_s  # once: refitting would be done again
        amount = full.wall_s if self.device != "cpu" else full.cpu_s
        times = {end: getattr(amount, end) / took for end in ("likely", "low", "high")} if took else None
        return {**about, **told, "times_the_method": times}

    def _used(self, cpu_s: float, wall_s: float) -> Used:
        return Used(cpu_s, wall_s, wall_s if self.device != "cpu" else 0.0)

    def lines(self) -> list[str]:
        """For a terminal."""
        measured = [] if self.measured is None else [self.measured.line()]
        return [*self._people_lines(), "", *self._machine_lines(), "", *self._rung_lines(), *self._full_lines(),
                *measured, "", self.to_json()["estimates"]]  # fmt: skip

    def _people_lines(self) -> list[str]:
        told = ["people"]
        for one in self.people:
            money = one.money(self.rates.wage)
            said = f"  {one.what:<22} {one.kind:<8} {_minutes(one.seconds):>10}"
            said += f"  ({_minutes(one.low)} to {_minutes(one.high)})" if one.low != one.high else ""
            said += "" if money is None else f"   {money:,.2f} {self.rates.currency}"
            told.append(f"{said}   {one.why}")
        return told

    def _machine_lines(self) -> list[str]:
        told = [f"machine{'':<16}{'CPU':>11}{'wall':>11}{'energy':>12}{self.rates.currency:>11}{'CO2':>11}"]
        for kind, used in self.machine.items():
            spent = self.rates.machine(used)
            told.append(
                f"  {kind:<21}{_seconds(used.cpu_s):>11}{_seconds(used.wall_s):>11}{spent.energy_wh:>9.3g} Wh"
                f"{spent.money:>11.2g}{spent.co2_g:>9.3g} g"
            )
        return told

    def _rung_lines(self) -> list[str]:
        told = [
            f"{'rung':<16}{self.metric:>10}{'CPU':>11}{'memory':>10}{'stored':>10}{'energy':>12}"
            f"{self.rates.currency:>10}{'CO2':>11}{'1,000 answers':>16}"
        ]
        for rung in self.rungs:
            spent = self.rates.machine(rung.used)
            row = self._rung(rung)["thousand_answers"]
            answers = "–" if row is None else f"{row['energy_wh']:.3g} Wh"
            score = "–" if rung.score is None else f"{rung.score:.3f}"
            told.append(
                f"{rung.name + (' *' if rung.ships else ''):<16}{score:>10}{_seconds(rung.used.cpu_s):>11}"
                f"{_bytes(rung.peak_rss_bytes):>10}{_bytes(rung.stored_bytes):>10}{spent.energy_wh:>9.3g} Wh"
                f"{spent.money:>10.2g}{spent.co2_g:>9.3g} g{answers:>16}"
            )
        return told

    def _full_lines(self) -> list[str]:
        if self.full is None:
            return ["full fine-tuning: no rung tuned the weights of a base, so there is none that it replaces."]
        about = self._full(self.full)
        head = f"full fine-tuning of {self.full.base.partition('@')[0] or 'the base'}"
        if self.full.cpu_s is None:
            return [f"{head}: not measured: {self.full.skipped}."]
        amount, energy, times = about["cpu_s"], about["energy_wh"], about["times_the_method"]
        said = f"{head} in the place of {self.full.system} ({self.full.method}), estimated from "
        said += f"{len(self.full.full_step_s)} steps of {self.full.steps}: {_seconds(amount['likely'])} of CPU "
        said += f"({_seconds(amount['low'])} to {_seconds(amount['high'])}, 80 %), {_bytes(self.full.peak_rss_bytes)} "
        said += f"of memory, {_bytes(self.full.stored_bytes)} stored, {energy['likely']:.3g} Wh"
        if times is not None:
            said += f"; {times['likely']:.2g} times the rung ({times['low']:.2g} to {times['high']:.2g})"
        return [f"{said}. {self.quality}."]


def keep_costs(
    folder: Path, plan: Plan, data: Dataset, ladder: Ladder, *, seed: int, left_s: float, emit: EventLog
) -> dict[str, Any]:
    """The finished run's ledger as JSON, in cost.json; full fine-tuning is timed if the budget leaves time for it."""
    rung = tuned_rung(ladder)
    if rung is not None and _stored(folder, rung) is None:
        may = min(left_s, _SHARE * plan.budget_s)
        options = plan.config.cost
        if options.full == "never":
            _keep(folder, rung, _skipped(rung, "cost.full is 'never'"))
        elif is_launched():
            _keep(folder, rung, _skipped(rung, "several processes train together, and it is timed on one"))
        else:
            _measure(folder, rung, plan, data, ladder, seed=seed, left_s=may, emit=emit)
    told = ledger(folder).to_json()
    write_json(folder / NAME, told)
    return told


def measure_full(folder: Path) -> Replaced:
    """Time full fine-tuning in the place of the finished run's tuned rung, whatever the budget; kept in the folder."""
    from tunesmith.pipeline import open_run

    saved = open_run(folder)
    ladder = Ladder.load(standing(folder))
    rung = tuned_rung(ladder)
    if rung is None:
        raise RunError(f"{folder}: no rung tuned the weights of a base, so there is nothing that full would replace.")
    return _measure(
        folder, rung, saved.plan, saved.data, ladder, seed=saved.plan.config.seed, left_s=math.inf,
        emit=EventLog(folder / "events.jsonl"),
    )  # fmt: skip


def ledger(folder: Path, *, options: CostOptions | None = None) -> CostLedger:
    """The ledger of a finished run. options: other rates than the run was asked for.

    Raises RunError where the run is not finished.
    """
    from tunesmith.pipeline import open_run

    saved = open_run(folder)
    plan = saved.plan
    options = options or plan.config.cost
    report = saved.report
    ladder, trained = Ladder.load(standing(folder)), Trained.load(folder / "07-train")
    device = plan.limits.device
    evaluate = plan.config.evaluate
    rates = Rates(
        evaluate.watts_per_core, options.watts_device if device != "cpu" else 0.0, evaluate.price_per_kwh,
        options.grams_per_kwh, evaluate.currency, options.wage, options.machine_hour,
    )  # fmt: skip
    rungs = []
    for rung in ladder.rungs:
        if not rung.ran:
            continue
        result = report[rung.name]
        lead = result.scores.get(report.leads)
        rungs.append(
            RungCost(
                rung.name, rung.kind, rung.base, rung.name == report.winner,
                None if lead is None or not math.isfinite(lead.value) else lead.value,
                None if lead is None else lead.interval, result.n, _spent(rung, trained, device),
                result.cost.peak_rss_bytes, result.cost.stored_bytes, result.cost.predict_cpu_s_per_example,
            )
        )  # fmt: skip
    tuned = tuned_rung(ladder)
    full = None
    if tuned is not None:
        full = _stored(folder, tuned) or _skipped(tuned, f"tunesmith show {folder} --cost --full  measures it")
    return CostLedger(
        people=tuple(people(folder, plan, options)),
        machine=_machine(folder, full, device),
        rungs=tuple(rungs),
        full=full,
        metric=report.leads,
        rates=rates,
        device=device,
        quality="At equal steps and rows; how good the fully tuned model would be was not measured",
    )


def people(folder: Path, plan: Plan, options: CostOptions) -> list[Attention]:
    """What people did: questions answered, findings decided, labels given as far as the user counts them."""
    from tunesmith.planning import paths_of

    events = read_events(folder / "events.jsonl")
    made = []
    for kind in ("data", "compute"):
        asked = [e for e in events if e["event"] == ANSWERED and (e.get("option") in _ABOUT_DATA) == (kind == "data")]
        spent = sum(min(float(e.get("seconds", 0.0)), options.pause) for e in asked)
        why = f"{len(asked)} asked in the terminal" if asked else "none asked"
        made.append(Attention("questions", kind, len(asked), 0, spent, spent, spent, why))
    mine = _about(folder, read_reviews(plan.config.curate.reviews or reviews_beside(paths_of(plan.config.data))).lines)
    looks = [Moment(_seconds_of(str(e["t"])), str(e.get("by", "")), False) for e in events if e["event"] == LOOKED]
    found = pace([*_moments(mine), *looks], pause_s=options.pause)
    likely, low, high = found.likely(options.pause)
    times, rows = len(found.gaps) + found.unseen, len({r.ruling.row for r in mine})
    why = "no finding was decided"
    if times:
        why = f"{rows:,} rows in {times:,} decisions; gaps above {options.pause:g} s are pauses"
        why += f"; the beginning of {found.unseen} was not seen" if found.unseen else ""
    made.append(Attention("findings", "data", times, rows, likely, low, high, why))
    labels = _labelled(folder)
    each = options.seconds_per_label
    spent = 0.0 if each is None else labels * each
    why = (
        f"{labels:,} labels came with the data; cost.seconds_per_label would count them"
        if each is None
        else f"{labels:,} labels that came with the data, {each:g} s each, as you say"
    )
    return [*made, Attention("labels", "data", 0 if each is None else labels, labels, spent, spent, spent, why)]


@dataclass(frozen=True)
class Waiting:
    """Findings that wait for a person, and the seconds that deciding all of them one by one would take (80 %).

    likely: None while fewer than 5 decisions about this data say how long one takes. seen: how many did.
    """

    findings: int
    seen: int
    likely: float | None = None
    low: float | None = None
    high: float | None = None

    def line(self, options: CostOptions, currency: str) -> str:
        """In words, with money where there is a wage."""
        head = f"{'people':<12} {self.findings:,} findings wait for a decision"
        if self.likely is None or self.low is None or self.high is None:
            return f"{head}; how long one takes is known after {_FEWEST_GAPS} ({self.seen} so far)"
        said = f"{head}: {_minutes(self.likely)} if all are ({_minutes(self.low)} to {_minutes(self.high)})"
        money = "" if options.wage is None else f", {self.likely / 3600 * options.wage:,.2f} {currency}"
        return f"{said}{money}; from {self.seen} decisions about this data"


def waiting(folder: Path, plan: Plan) -> Waiting:
    """What a planned run leaves to people: flagged findings that nobody decided, by the pace of those that were."""
    from tunesmith.planning import paths_of

    found = load_findings(folder / "02-curate" / "findings.parquet")
    open_ones = sum(f.action == "flag" and f.review is None for f in found)
    options = plan.config.cost
    mine = _about(folder, read_reviews(plan.config.curate.reviews or reviews_beside(paths_of(plan.config.data))).lines)
    gaps = np.asarray(pace(_moments(mine), pause_s=options.pause).gaps)
    k = len(gaps)
    if k < _FEWEST_GAPS:
        return Waiting(open_ones, k)
    likely = open_ones * float(gaps.mean())
    spread = float(gaps.std(ddof=1)) * math.sqrt(open_ones**2 / k + open_ones)
    reach = float(stdtrit(k - 1, (1 + COVERAGE) / 2)) * spread
    return Waiting(open_ones, k, likely, max(0.0, likely - reach), likely + reach)


def answered(folder: Path, option: str, seconds: float) -> None:
    """Write down that a person answered a question of the terminal."""
    EventLog(folder / "events.jsonl")(ANSWERED, option=option, seconds=round(seconds, 2))


def looked(folder: Path, by: str) -> None:
    """Write down that a person was shown findings, from when on they may think about them; never a reason to fail."""
    try:
        EventLog(folder / "events.jsonl")(LOOKED, by=by)
    except OSError:
        return


def _about(folder: Path, reviews: Sequence[Review]) -> list[Review]:
    """The reviews that are about rows of the run."""
    if not reviews:
        return []
    import pyarrow.parquet as pq

    rows = set(pq.read_table(folder / "01-ingest" / "dataset.parquet", columns=["hash"])["hash"].to_pylist())
    return [review for review in reviews if review.ruling.row in rows]


def _moments(reviews: Sequence[Review]) -> list[Moment]:
    found = [(_seconds_of(review.when), review.by) for review in reviews]
    return [Moment(at, by) for at, by in found if math.isfinite(at)]


def _seconds_of(when: str) -> float:
    try:
        return datetime.fromisoformat(when).timestamp()
    except ValueError:
        return math.nan


def _labelled(folder: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(folder / "01-ingest" / "dataset.parquet").num_rows)


def _spent(rung: Rung, trained: Trained, device: str) -> Used:
    """Training and refitting."""
    costs = [rung.cost, trained.costs.get(rung.name, Cost())]
    cpu, wall = sum(c.train_cpu_s or 0.0 for c in costs), sum(c.train_wall_s or 0.0 for c in costs)
    return Used(cpu, wall, wall if device != "cpu" and rung.needs != "nothing" else 0.0)


def _machine(folder: Path, full: Replaced | None, device: str) -> dict[str, Used]:
    found = {"data": Used(), "compute": Used()}
    for name, record in stage_records(folder).items():
        wall = float(record["seconds"])
        busy = wall if device != "cpu" and name in ("domain", "select", "tune", "train", "evaluate") else 0.0
        used = Used(float(record["cpu_seconds"]), wall, busy)
        found["data" if name in _DATA else "compute"] += used
    if full is not None and full.probe_cpu_s:
        busy = full.probe_wall_s if device != "cpu" else 0.0
        found["timing full fine-tuning"] = Used(full.probe_cpu_s, full.probe_wall_s, busy)
    return found


def _measure(
    folder: Path, rung: Rung, plan: Plan, data: Dataset, ladder: Ladder, *, seed: int, left_s: float, emit: EventLog
) -> Replaced:
    emit("note", text=f"timing a few steps of full fine-tuning in the place of {rung.name}")
    ctx = Context(folder / "full", seed, plan.limits, EventLog(None))
    made = full_in_place_of(rung, ladder, data, plan.config.train.for_rungs(), ctx, left_s=left_s)
    if made.skipped.startswith("time:"):
        made = replace(made, skipped=f"{made.skipped}; tunesmith show {folder} --cost --full  measures it")
    _keep(folder, rung, made)
    return made


def _skipped(rung: Rung, why: str) -> Replaced:
    return Replaced(rung.name, rung.base or "", str(rung.settings.get("method", "")), skipped=why)


def _keep(folder: Path, rung: Rung, made: Replaced) -> None:
    write_json(folder / FULL, {"of": _mark(rung), **made.to_dict()})


def _stored(folder: Path, rung: Rung) -> Replaced | None:
    """What was measured (or skipped) for this very rung before."""
    path = folder / FULL
    if not path.exists():
        return None
    about = dict(read_json(path))
    return Replaced.from_dict(about) if about.pop("of", None) == _mark(rung) else None


def _mark(rung: Rung) -> str:
    return sha256_bytes(canonical([rung.name, rung.base, rung.settings, steps_of(rung), rung.train_rows]))[:16]


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if value < 600 else f"{value / 60:.3g} min" if value < 36000 else f"{value / 3600:.3g} h"


def _bytes(value: float | None) -> str:
    if value is None:
        return "–"
    return (
        f"{value / 1e9:.2g} GB"
        if value >= 1e9
        else f"{value / 1e6:.3g} MB"
        if value >= 1e5
        else f"{value / 1e3:.2g} kB"
    )
