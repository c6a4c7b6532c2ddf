"""What a run is expected to take, said before anything is spent, and what came of it.

Raw numbers from arithmetic and the plan's probe; intervals from how earlier forecasts turned out (core/forecasts.py).
Forecast is what comes after the plan: select, tune, train, evaluate and the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.costs import CLEANEST, DIRTIEST
from tunesmith.core.dataset import Dataset, Rows
from tunesmith.core.errors import RunError
from tunesmith.core.events import read_events
from tunesmith.core.files import read_json, write_json
from tunesmith.core.forecasts import ARITHMETIC, COVERAGE, Quantity, TrackRecord, Turnout, calibration, expected, known
from tunesmith.core.meter import resident_bytes
from tunesmith.core.run import Run, stage_records
from tunesmith.evaluation.disturbances import DISTURBANCES
from tunesmith.evaluation.evaluate import pieces
from tunesmith.evaluation.robustness import rows_for
from tunesmith.tasks import task as tasks
from tunesmith.training.budget import Forecast, Probe, is_cheap
from tunesmith.training.systems import RungPlan
from tunesmith.training.systems import system as systems
from tunesmith.training.train import TrainOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What is forecast; the order in which people read it.
MINUTES, CPU, MEMORY, TOKENS, ENERGY, MONEY = "minutes", "CPU minutes", "peak memory", "tokens", "energy", "money"
CO2 = "CO2"
_LEARNT = (MINUTES, CPU, MEMORY)
_STAGES = ("domain", "select", "tune", "train", "evaluate")
# The end of every run whatever was trained: intervals, permutations, the page; and what a row of the test adds.
_REPORT_S, _REPORT_ROW_S = 1.0, 1.5e-3
# A fresh process that reads the run folder before it answers again, by what the rung needs.
_FRESH_S = {"nothing": 1.8, "encoder": 6.5, "lm": 9.0}
# Up to so many rows, tokens are counted; beyond, those of a sample.
_COUNTED, _SAMPLED = 5_000, 2_000
# Of the normal distribution: what 80 % lie within.
_Z80 = 1.2816
# Batches of an encoder, beside its weights: 100 kB a text, until what earlier ones have left is used again.
_ENCODING, _ENCODING_ROW = 256 << 20, 100_000
# Counting n-grams, for rungs, curves and what is unlike the texts trained on, measured on 24 tables: bytes a character,
# up to so many (labels are chosen on 5,000 rows); half of it where no rung counts. And what stages load besides.
_COUNTING, _MOST_COUNTED = 480, 900_000
_LOADED = {True: 110 << 20, False: 60 << 20}  # by whether there are labels
# Keys, values and logits of the rows that a prompted base answers at once.
_ANSWERING = 96 << 20
# Weight, gradient, two moments and the best weights of a tuned encoder.
_TUNED_COPIES = 5


@dataclass(frozen=True)
class Prices:
    """Watts of a busy core, what a kWh costs in which currency, its grams of CO2: assumptions that the user may set."""

    watts_per_core: float
    per_kwh: float
    currency: str
    grams_per_kwh: float = 480.0


@dataclass(frozen=True)
class Work:
    """What is going to be done, as the plan knows it.

    folders: of the base models that take part, "encoder" and "lm". refit: rungs that may be fitted again.
    cores: CPU seconds that a second of the probe got: below `threads` where other programs want them too.
    trials_s: of *tune*'s trials as planned. disturbed_s: most that answers to disturbed texts may take.
    domain_s: of reading documents before tuning; 0 where there are none.
    """

    data: Dataset
    rungs: Sequence[RungPlan]
    forecasts: Sequence[Forecast]
    probe: Probe
    folders: Mapping[str, Path]
    refit: Sequence[str]
    training: TrainOptions
    cores: float
    dtype: str
    trials_s: float = 0.0
    disturbed_s: float = 0.0
    domain_s: float = 0.0


def expect(work: Work, prices: Prices, *, record: TrackRecord | None = None) -> tuple[Quantity, ...]:
    """Every quantity with its interval. Takes a second or two where a language model takes part."""
    record = record or TrackRecord()
    kind = tasks.get(work.data.task).output

    def of(name: str, raw: float, unit: str, how: str) -> Quantity:
        ratios, whose = record.ratios(name, kind)
        return expected(name, raw, ratios, unit=unit, why=f"{how}; interval from {whose}")

    seconds, tokens = _seconds(work), _tokens(work)  # a tokenizer stays in memory
    cpu = of(CPU, seconds * work.cores / 60, "min", f"the probe got {work.cores:.2g} cores")
    energy, money, carbon = _priced(cpu, prices)
    return (
        of(MINUTES, seconds / 60, "min", "the rungs, trials, refitting, checks and the report, at the speed probed"),
        cpu,
        of(MEMORY, _memory(work) / 1e6, "MB", "weights, what training adds, and activations of the dearest rung"),
        tokens,
        energy,
        money,
        carbon,
    )


def settle(quantities: Sequence[Quantity], run: Run, prices: Prices, *, kind: str) -> tuple[Quantity, ...]:
    """Hold a finished run against what was expected of it: forecast.json, and a line in this machine's record.

    A run that was stopped and went on is told but not learnt from: its stages' times are those of the last try.
    """
    path = run.folder / "forecast.json"
    if path.exists():
        before = read_forecast(run.folder)
        if [replace(q, actual=None) for q in before] == [replace(q, actual=None) for q in quantities]:
            return before
    turned_out = with_actual(quantities, run.folder, prices)
    whole = bool(quantities) and _in_one_go(run.folder)
    told = {"quantities": [asdict(q) for q in turned_out], "learnt_from": whole, "arithmetic": ARITHMETIC}
    write_json(path, told)
    if whole:
        try:
            TrackRecord().add(Turnout.of(kind, [q for q in turned_out if q.name in _LEARNT]))
        except OSError as error:
            run.emit("note", text=f"what came of this run's forecasts could not be recorded: {error.strerror}")
    return turned_out


def with_actual(quantities: Sequence[Quantity], folder: Path, prices: Prices) -> tuple[Quantity, ...]:
    """The same quantities with what the run in `folder` really took."""
    records = stage_records(folder)
    done = [records[name] for name in _STAGES if name in records]
    cpu = sum(r["cpu_seconds"] for r in done) / 60
    energy = cpu / 60 * prices.watts_per_core
    actual = {
        MINUTES: sum(r["seconds"] for r in done) / 60,
        CPU: cpu,
        MEMORY: max((r["peak_rss_bytes"] for r in done), default=0) / 1e6,
        ENERGY: energy,
        MONEY: energy / 1000 * prices.per_kwh,
        CO2: energy / 1000 * prices.grams_per_kwh,
    }
    return tuple(q.with_actual(actual[q.name]) if q.name in actual else q for q in quantities)


def read_forecast(folder: Path) -> tuple[Quantity, ...]:
    """What was expected of a finished run, with what came; RunError where that is not known."""
    path = folder / "forecast.json"
    if not path.exists():
        raise RunError(f"{folder} holds no forecast with its outcome.", hint=f"finish it:  tunesmith run {folder}")
    return tuple(Quantity(**row) for row in read_json(path)["quantities"])


def lines(quantities: Sequence[Quantity], past: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The forecast in words, with what came where it is known; past: from `calibrated`."""
    made = []
    for q in quantities:
        between = "" if q.low is None or q.high is None or q.low == q.high else f"{_short(q.low)} to {_short(q.high)}"
        came = "" if q.actual is None or not between else f"came to {_short(q.actual)}"
        came += {True: "", False: ", outside", None: ""}[q.held] if came else ""
        made.append(f"{q.name:<12} {_short(q.likely):>9} {q.unit:<6} {between:<22} {came:<26} {q.why}".rstrip())
    if not quantities:
        made.append("no forecast: the rungs were given by hand, so nothing was probed.")
    for name, told in past.items():
        wide = f", median width {told['width']:.2f}x" if told["width"] else ""
        held = f"{told['held']} of {told['n']} times"
        made.append(f"so far on this machine: {name} inside its {COVERAGE:.0%} interval {held}{wide}")
    return made


def _short(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _in_one_go(folder: Path) -> bool:
    """Whether every stage was worked through once, from its start to its end."""
    starts = [
        (event.get("stage"), event.get("key"))
        for event in read_events(folder / "events.jsonl")
        if event["event"] == "stage.start" and event.get("stage") in _STAGES
    ]
    return len(starts) == len(set(starts))


def calibrated(record: TrackRecord | None = None) -> dict[str, dict[str, Any]]:
    """How the forecasts of this machine turned out so far, by quantity: {n, held, width}."""
    turnouts = (record or TrackRecord()).turnouts()
    found = {name: calibration(turnouts, name) for name in _LEARNT}
    return {name: told for name, told in found.items() if told is not None}


def _seconds(work: Work) -> float:
    """Raw seconds of everything after the plan; of the rungs that may be refitted, the dearest one is."""
    by_name = {f.name: f for f in work.forecasts}
    rungs = sum(f.fit_s + f.predict_s for f in work.forecasts)
    n_train, n_dev = work.data.count("train"), work.data.count("dev")
    grows = (n_train + n_dev) / max(1, n_train)
    again = [grows * by_name[name].fit_s for name in work.refit if name in by_name and not is_cheap(name)]
    report = _REPORT_S + _REPORT_ROW_S * work.data.count("test")
    return (
        work.domain_s
        + rungs
        + work.trials_s
        + max(again, default=0.0)
        + _answered_again(work)
        + _disturbed(work)
        + report
    )


def _answered_again(work: Work) -> float:
    """Seconds of the fresh process in which those that may ship, a tuned rung and another, answer a piece again.

    Which of the others it will be is not known beforehand: their mean.
    """
    starts: dict[str, list[float]] = {}
    answers: dict[str, list[float]] = {}
    for rung in _may_ship(work):
        made = systems.get(rung.name)
        rows = len(pieces(rung.test_rows or work.data.count("test"), made.needs)[0])
        starts.setdefault(made.kind, []).append(_FRESH_S[made.needs])
        answers.setdefault(made.kind, []).append(rows * (rung.one_s or 0.0))
    start = max((sum(some) / len(some) for some in starts.values()), default=0.0)
    return start + sum(sum(some) / len(some) for some in answers.values())


def _disturbed(work: Work) -> float:
    """Seconds of answers to disturbed texts, as many as are allowed: the mean of those that may ship."""
    found = []
    for rung in _may_ship(work):
        n, _ = rows_for(work.disturbed_s, per_answer_s=rung.one_s or 0.0, n=work.data.count("test"))
        found.append(n * (rung.one_s or 0.0) * sum(one.work for one in DISTURBANCES))
    return sum(found) / len(found) if found else 0.0


def _may_ship(work: Work) -> list[RungPlan]:
    """The rungs that run and that dev is likely to choose among: a costly one that is not tuned seldom wins."""
    running = [rung for rung in work.rungs if rung.run and rung.name != "majority"]
    likely = [rung for rung in running if is_cheap(rung.name) or systems.get(rung.name).kind == "tuned"]
    return likely or running


def _memory(work: Work) -> float:
    """Raw bytes of the process at its peak: what it holds now, the dearest of the rungs that run, and counting."""
    running = [systems.get(rung.name) for rung in work.rungs if rung.run]
    costs = [0.0]
    if "encoder" in work.folders and any(rung.needs == "encoder" for rung in running):
        tuned = any(rung.needs == "encoder" and rung.kind == "tuned" for rung in running)
        rows = work.data.count("train") + work.data.count("dev")
        batches = min(_ENCODING, _ENCODING_ROW * rows)
        costs.append(_weights(work.folders["encoder"]) * (_TUNED_COPIES if tuned else 1) + batches)
    if "lm" in work.folders and any(rung.needs == "lm" for rung in running):
        costs.append(_of_lm(work, trains=any(rung.needs == "lm" and rung.kind == "tuned" for rung in running)))
    return resident_bytes() + max(costs) + _counting(work)


def _counting(work: Work) -> float:
    """Raw bytes of counting n-grams, and of what is loaded after the plan."""
    parts = (work.data.rows(part, blind=True) for part in ("train", "dev", "test"))
    characters = sum(len(text) for rows in parts for text in rows.texts)
    labels = bool(work.data.labels)
    return _LOADED[labels] + _COUNTING * min(characters, _MOST_COUNTED) * (1.0 if labels else 0.5)


def _of_lm(work: Work, *, trains: bool) -> float:
    from transformers import AutoConfig

    from tunesmith.models.methods import method as methods
    from tunesmith.training.memory import needs_of
    from tunesmith.training.tuned_lm import BATCH

    options = work.training.for_rungs()
    config = AutoConfig.from_pretrained(work.folders["lm"], local_files_only=True, trust_remote_code=False)
    needs = needs_of(config, methods.get(str(options.get("method", "lora"))), options, dtype=work.dtype)
    if not trains:
        return needs.weights + _ANSWERING
    batch = int(int(options.get("batch", BATCH)) * max(work.probe.tokens_per_prompt, work.probe.tokens_per_text))
    return needs.weights + max(needs.unlimited(batch), _ANSWERING)


def _weights(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def _tokens(work: Work) -> Quantity:
    """Tokens of the train rows, texts and answers once, for the language model, else for the encoder."""
    rows = work.data.rows("train")
    folder = work.folders.get("lm") or work.folders.get("encoder")
    some = rows if len(rows) <= _COUNTED else rows.take(np.linspace(0, len(rows) - 1, _SAMPLED).astype(int).tolist())
    each = _counted(some, folder)
    what = "tokens" if folder is not None else "words"
    if len(some) == len(rows):
        return known(TOKENS, float(each.sum()), unit=what, why=f"all {len(rows):,} train rows, counted")
    likely = float(each.mean()) * len(rows)
    margin = _Z80 * float(each.std(ddof=1)) / len(some) ** 0.5 * len(rows)  # a plain number: plan.yaml takes no other
    why = f"{len(some):,} of {len(rows):,} train rows, counted; interval of their mean"
    return Quantity(TOKENS, what, likely, likely, likely - margin, likely + margin, why)


def _counted(rows: Rows, folder: Path | None) -> NDArray[np.float64]:
    """(n,) tokens of each row, or its words where no base model takes part."""
    texts = [f"{text} {target}" for text, target in zip(rows.texts, rows.targets, strict=True)]
    if folder is None:
        return np.array([len(text.split()) for text in texts], dtype=np.float64)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    ids = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    return np.array([len(row) for row in ids], dtype=np.float64)


def _priced(cpu: Quantity, prices: Prices) -> tuple[Quantity, Quantity, Quantity]:
    """Energy, money and CO2, which follow from CPU time by the user's prices: estimates, as sure as the CPU time."""
    watts = f"{prices.watts_per_core:g} W for each busy core (evaluate.watts_per_core): an estimate"
    kwh = f"{prices.per_kwh:g} {prices.currency} a kWh (evaluate.price_per_kwh): an estimate"
    per_minute = prices.watts_per_core / 60
    energy = _scaled(cpu, ENERGY, per_minute, unit="Wh", why=watts)
    grams = f"{prices.grams_per_kwh:g} g a kWh (cost.grams_per_kwh; {CLEANEST:g} to {DIRTIEST:g} by country): estimate"
    money = _scaled(energy, MONEY, prices.per_kwh / 1000, unit=prices.currency, why=kwh)
    return energy, money, _scaled(energy, CO2, prices.grams_per_kwh / 1000, unit="g", why=grams)


def _scaled(of: Quantity, name: str, factor: float, *, unit: str, why: str) -> Quantity:
    low, high = (None if bound is None else bound * factor for bound in (of.low, of.high))
    return Quantity(name, unit, of.raw * factor, of.likely * factor, low, high, why)
