"""Makes a Plan of a Config: every 'auto' replaced, a reason beside each, a forecast before the work.

Machine and data decisions are made before ingest, the rungs' after curate (they need counts and a probe
of the speed on these texts). Each group is written to plan.yaml before the work that it governs, and kept
as long as what it was made from is unchanged: the clock never decides twice.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from tunesmith.core.config import dump_options, load_options
from tunesmith.core.context import Limits
from tunesmith.core.costs import CostOptions
from tunesmith.core.dataset import Dataset
from tunesmith.core.errors import ConfigError, DataError, MissingExtra, SourceUnavailable, did_you_mean
from tunesmith.core.events import Emit
from tunesmith.core.files import canonical, sha256_bytes, write_text
from tunesmith.core.forecasts import Quantity
from tunesmith.core.machine import free_cores, library_versions, usable_cores
from tunesmith.core.meter import metered
from tunesmith.core.run import keyed
from tunesmith.data.curate import CurateOptions
from tunesmith.data.ingest import IngestOptions, profile
from tunesmith.data.tags import label_counts
from tunesmith.evaluation.evaluate import CHUNK, EvaluateOptions
from tunesmith.evaluation.robustness import OUTPUTS, SHARE
from tunesmith.forecasting import Prices, Work, expect
from tunesmith.models.resolve import fetch, pin, resolve
from tunesmith.models.spec import ModelSpec, reason_against
from tunesmith.tasks import is_costly
from tunesmith.tasks import task as tasks
from tunesmith.training.budget import (
    Forecast,
    Probe,
    Size,
    is_cheap,
    plan_rungs,
    refits,
    repeats_within,
    spare,
    time_for_rungs,
)
from tunesmith.training.domain import DomainOptions, read_corpus
from tunesmith.training.domain_plan import Reading, asked_by, plan_reading, reads_documents, refuse_unread
from tunesmith.training.ladder import Ladder, prompt_of
from tunesmith.training.select import SelectOptions, needs_cross_validation
from tunesmith.training.systems import Declines, RungPlan, Tunes
from tunesmith.training.systems import system as systems
from tunesmith.training.train import TrainOptions
from tunesmith.training.tune import LEAST_FITS, TuneOptions
from tunesmith.training.within import longest_row, refuse_too_little, way_within

DEFAULT_BUDGET_S = 600.0
DEFAULT_ENCODER = "all-minilm-l6-v2"
DEFAULT_LM = "smollm2-135m-instruct"
# Texts whose lengths stand for those of all.
_SPREAD = 2_000


@dataclass(frozen=True)
class Config:
    """What the user asked: one table per stage and the dials that concern all of them."""

    data: IngestOptions
    curate: CurateOptions = field(default_factory=CurateOptions)
    domain: DomainOptions = field(default_factory=DomainOptions)
    model: SelectOptions = field(default_factory=SelectOptions)
    tune: TuneOptions = field(default_factory=TuneOptions)
    train: TrainOptions = field(default_factory=TrainOptions)
    evaluate: EvaluateOptions = field(default_factory=EvaluateOptions)
    cost: CostOptions = field(default_factory=CostOptions)
    budget: float | Literal["auto"] = field(
        default="auto", metadata={"unit": "duration", "help": "wall time from command to report, such as 10m"}
    )
    seed: int = field(default=0, metadata={"help": "seed of every random choice"})
    threads: int | Literal["auto"] = field(default="auto", metadata={"help": "threads; 'auto' takes the free cores"})
    device: Literal["auto", "cpu", "cuda", "mps"] = field(default="auto", metadata={"help": "where models run"})
    dtype: Literal["auto", "float32", "bfloat16"] = field(
        default="auto", metadata={"help": "of frozen weights in training; 'auto' probes what pays"}
    )
    max_memory: int | None = field(
        default=None,
        metadata={"unit": "bytes", "help": "memory that the process may hold, such as 2GB; none: no bound"},
    )


@dataclass(frozen=True)
class Decision:
    """One choice that was not the user's, and its reason."""

    what: str
    choice: str
    why: str


@dataclass(frozen=True)
class Plan:
    """A Config without 'auto' (the rungs may still be open until curate has run), and why.

    made_from: hashes of what each group of decisions was made from. forecasts: of single rungs. expected: of the run.
    """

    config: Config
    decisions: tuple[Decision, ...] = ()
    forecasts: tuple[Forecast, ...] = ()
    expected: tuple[Quantity, ...] = ()
    made_from: Mapping[str, str] = field(default_factory=dict)

    @property
    def limits(self) -> Limits:
        c = self.config
        assert c.threads != "auto", "machine decisions come first"
        held = c.dtype if c.train.base_dtype == "auto" else c.train.base_dtype
        return Limits(c.threads, c.device, held, c.max_memory)

    @property
    def prices(self) -> Prices:
        """What energy and money are estimated by."""
        e = self.config.evaluate
        return Prices(e.watts_per_core, e.price_per_kwh, e.currency, self.config.cost.grams_per_kwh)

    @property
    def budget_s(self) -> float:
        return DEFAULT_BUDGET_S if self.config.budget == "auto" else self.config.budget

    def save(self, path: Path) -> None:
        """Write plan.yaml: a valid config with the reasons under `plan`."""
        about = {
            "why": {d.what: f"{d.choice}: {d.why}" for d in self.decisions},
            "forecast": [asdict(f) for f in self.forecasts],
            "expected": [asdict(q) for q in self.expected],
            "made_from": dict(self.made_from),
        }
        table = {**dump_options(self.config), "plan": about}
        write_text(path, yaml.safe_dump(table, sort_keys=False, allow_unicode=True, width=110))


def read_config(text: str, *, base: Path | None = None) -> Config:
    """A Config from YAML text (a plan.yaml is one too). base: what relative paths in it are relative to."""
    try:
        table = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"config: not YAML: {str(error).splitlines()[0]}.") from error
    return config_from(table, base=base)


def config_from(table: Any, *, base: Path | None = None) -> Config:
    """A Config from a mapping; unknown keys are refused with the nearest name."""
    if not isinstance(table, Mapping):
        raise ConfigError("config: expected tables such as 'data:' and 'model:'.")
    table = {key: value for key, value in table.items() if key != "plan"}
    known = {option.name for option in fields(Config)}
    for key in table:
        if key not in known:
            raise ConfigError(f"config.{key}: no such table or option.", hint=did_you_mean(str(key), known))
    if "data" not in table:
        raise ConfigError("config.data: this table is required.", hint="data:\n  path: your.csv")
    if base is not None:
        table["data"] = _relative_to(table["data"], base)
        for name in ("curate", "domain"):
            if name in table:
                table[name] = _relative_to(table[name], base)
    return load_options(Config, table, where="config")


def open_plan(config: Config, folder: Path, emit: Emit) -> Plan:
    """The plan of a run folder, with machine and data decided; what was decided before is kept."""
    old = read_plan(folder / "plan.yaml")
    refuse_too_little(config.max_memory)
    machine_from = _hash(config.threads, config.device, config.dtype, config.max_memory, library_versions())
    beside = config.data.beside
    asked = (
        *paths_of(config.data),
        config.data.test,
        config.data.dev,
        beside.database,
        *beside.shelves,
        *config.domain.path,
    )
    files = [p for p in asked if p is not None]
    for file in files:
        existing(file)
    config.train.forget.require_probe()
    data_from = _hash(keyed(config.data), library_versions())  # by content and name: where a file lies says nothing
    made_from = {"machine": machine_from, "data": data_from}
    decisions: list[Decision] = []
    if old is not None and old.made_from.get("machine") == machine_from:
        c = old.config
        config = replace(config, threads=c.threads, device=c.device, dtype=c.dtype)
        decisions += [d for d in old.decisions if d.what in ("threads", "device", "dtype")]
    else:
        config, made = _decide_machine(config)
        decisions += made
    if old is not None and old.made_from.get("data") == data_from:
        beside = replace(beside, tests=old.config.data.beside.tests)
        config = replace(config, data=replace(old.config.data, path=config.data.path, beside=beside))
        decisions += [d for d in old.decisions if d.what.startswith("data.")]
    else:
        emit("note", text=f"looking at {', '.join(p.name for p in files)}")
        seen = profile(config.data)
        config = replace(config, data=seen.options)
        decisions += [Decision(f"data.{d.what}", str(d.choice), d.why) for d in seen.decisions]
    plan = Plan(config, tuple(decisions), made_from=made_from)
    if old is not None and {**old.made_from, **made_from} == dict(old.made_from):
        plan = replace(plan, made_from=old.made_from)  # the rungs may still stand: plan_work looks
    else:
        plan.save(folder / "plan.yaml")
    return plan


def plan_work(plan: Plan, data: Dataset, folder: Path, *, left_s: float, emit: Emit) -> Plan:
    """The plan with base models pinned and every rung's share of the time that is left."""
    plan = _with_robustness(plan, data)
    config = plan.config
    work_from = _hash(
        dict(plan.made_from).get("machine"), data.fingerprint, dump_options(config.model), dump_options(config.train),
        dump_options(config.tune), keyed(config.domain), plan.budget_s, config.seed,
    )  # fmt: skip
    made_from = {**plan.made_from, "work": work_from}
    old = read_plan(folder / "plan.yaml")
    if old is not None and old.made_from.get("work") == work_from:
        keep = [d for d in old.decisions if d.what.startswith(("model.", "train.", "tune.", "domain."))]
        config = replace(
            config, model=old.config.model, train=old.config.train, tune=old.config.tune,
            domain=replace(old.config.domain, path=config.domain.path),
        )  # fmt: skip
        return replace(
            plan, config=config, decisions=(*plan.decisions, *keep), forecasts=old.forecasts, expected=old.expected,
            made_from=made_from,
        )  # fmt: skip
    decisions: list[Decision] = []
    model = config.model
    rungs_asked = model.rungs
    names = _rungs_for(data, config)
    output = tasks.get(data.task).output
    if config.evaluate.accept_at and output not in ("label", "labels", "citations"):
        raise ConfigError(
            f"evaluate.accept_at: the task {data.task} answers with texts, which carry no probability to accept by.",
            hint="leave accept_at out.",
        )

    def serves(name: str) -> bool:
        return output in systems.get(name).outputs

    encoder, lm = "none", "none"
    lost: dict[str, str] = {}
    folders: dict[str, Path] = {}
    for kind, wanted in (("encoder", model.encoder), ("lm", model.lm)):
        if not any(serves(name) and systems.get(name).needs == kind for name in names) or wanted == "none":
            continue
        if kind == "lm" and output == "json" and find_spec("llguidance") is None:
            missing = MissingExtra("a language model bound to a schema", "structured")
            if wanted != "auto":
                raise missing
            lost[kind] = f"{missing.message} {missing.hint}"
            continue
        spec, place, why = _base_model(kind, wanted, model, emit)
        if spec is None or place is None:
            lost[kind] = why
            continue
        folders[kind] = place
        encoder, lm = (spec.uri, lm) if kind == "encoder" else (encoder, spec.uri)
        decisions.append(Decision(f"model.{kind}", spec.uri, why))
    corpus = None
    if config.domain.is_asked:
        refuse_unread(names, data.task, folders, lost.get("lm", "model.lm is 'none'"))
        corpus = read_corpus(data, config.domain, seed=config.seed)
    reading: Reading | None = None
    forecasts: list[Forecast] = []
    probe: Probe | None = None
    cores = 1.0
    if model.rungs == "auto":
        runnable = [n for n in names if serves(n) and systems.get(n).needs in ("nothing", *folders)]
        idle = _idle(runnable, data)
        runnable = [n for n in runnable if n not in idle]
        began = time.monotonic()
        too_large: dict[str, str] = {}
        if "lm" in folders:
            config, too_large, made = _within(plan, data, folders["lm"], runnable)
            decisions += made
            plan = replace(plan, config=config)
            runnable = [n for n in runnable if n not in too_large]
            if all(systems.get(n).needs != "lm" for n in runnable):
                del folders["lm"]
        with metered() as meter:
            probe = _probe(data, folders, plan.limits, emit)
        cores = max(0.01, meter.cpu_s / max(meter.wall_s, 1e-9))
        size = _size(data)
        left_s -= time.monotonic() - began  # what the probe took
        if config.tune.budget != "auto":
            left_s -= config.tune.budget
        if corpus is not None and "lm_domain" in runnable:
            must = "lm_domain" in (*model.at_least, *(() if model.only == "auto" else model.only))
            reading = plan_reading(
                config.domain, corpus, folders["lm"], base=lm, tokens_per_s=probe.lm_tokens_per_s, left_s=left_s,
                must=must,
            )  # fmt: skip
            left_s -= reading.seconds
            if not reading.run:
                runnable.remove("lm_domain")
                idle["lm_domain"] = reading.why
        named = () if model.only == "auto" else tuple(name for name in model.only if is_cheap(name))
        cross_fits = 0 if model.repeats == "auto" else model.folds * model.repeats
        if model.repeats == "auto" and data.labels and any(hasattr(systems.get(n), "cross_fit") for n in runnable):
            repeats, why = repeats_within(
                runnable, size, probe, folds=model.folds, budget_s=plan.budget_s, left_s=left_s,
                blunt=needs_cross_validation(size.n_dev),
            )  # fmt: skip
            model, cross_fits = replace(model, repeats=repeats), model.folds * repeats
            decisions.append(Decision("model.repeats", str(repeats), why))
        rungs, forecasts = plan_rungs(
            runnable, size, probe, budget_s=plan.budget_s, left_s=left_s, at_least=(*model.at_least, *named),
            cross_fits=cross_fits,
        )  # fmt: skip
        for name in names:
            if name not in runnable:
                why = f"it answers {' or '.join(systems.get(name).outputs)}, and this task asks for {output}"
                if name in too_large or name in idle:
                    why = too_large.get(name) or idle[name]
                elif serves(name):
                    why = lost.get(systems.get(name).needs, f"model.{systems.get(name).needs} is 'none'")
                rungs.append(RungPlan(name, run=False, why=why))
        model = replace(model, rungs=tuple(rungs))
        decisions += [Decision(f"model.rungs.{r.name}", _told(r), r.why) for r in rungs]
    elif corpus is not None:
        reading = plan_reading(
            config.domain, corpus, folders["lm"], base=lm, tokens_per_s=0.0, left_s=left_s, must=True
        )  # fmt: skip
    if reading is not None:
        config = replace(config, domain=reading.options)
        decisions.append(Decision("domain.tokens", f"{reading.options.tokens:,}" if reading.run else "0", reading.why))
    model = replace(model, encoder=encoder, lm=lm)
    training = config.train
    if training.refit == "auto":
        running = [r.name for r in cast("tuple[RungPlan, ...]", model.rungs) if r.run]
        refitted = refits(running, forecasts, _size(data), budget_s=plan.budget_s, left_s=left_s)
        training = replace(training, refit=tuple(refitted))
        why = "cheap rungs always; one trained by gradient if the budget leaves time to fit it again on train + dev"
        decisions.append(Decision("train.refit", ", ".join(refitted), why))
    tuning, why_so = _trials_forecast(
        config.tune, training, forecasts, budget_s=plan.budget_s, left_s=left_s, threads=plan.limits.threads
    )
    decisions += why_so
    config = replace(config, model=model, train=training, tune=tuning)
    plan = Plan(config, (*plan.decisions, *decisions), tuple(forecasts), (), made_from)
    if probe is not None:  # a plan made by hand has no speeds to forecast by
        refit = training.refit if isinstance(training.refit, tuple) else ()
        planned = cast("tuple[RungPlan, ...]", model.rungs)
        work = Work(
            data, planned, forecasts, probe, folders, refit, training, cores, plan.limits.dtype,
            trials_s=trials_s(tuning, forecasts), disturbed_s=float(config.evaluate.robustness),
            domain_s=reading.seconds if reading is not None and reads_documents(planned) else 0.0,
        )  # fmt: skip
        plan = replace(plan, expected=expect(work, plan.prices))
    plan.save(folder / "plan.yaml")
    if rungs_asked == "auto":
        # Only for the run that planned; whoever follows plan.yaml later follows it whatever the clock says.
        clock_s = time_for_rungs(left_s, plan.budget_s)
        config = replace(config, model=replace(config.model, clock_s=clock_s))
        if reading is not None:
            config = replace(config, domain=replace(config.domain, clock_s=reading.clock_s))
        plan = replace(plan, config=config)
    return plan


def _trials_forecast(
    tuning: TuneOptions, training: TrainOptions, forecasts: Sequence[Forecast], *,
    budget_s: float, left_s: float, threads: int,
) -> tuple[TuneOptions, list[Decision]]:  # fmt: skip
    """Who proposes settings, and how many trainings the time allows if forecasts hold; `plan_trials` knows better.

    left_s: what is left for the rungs and what follows; the budget of trials, where one was asked for, is taken off.
    """
    decisions = []
    if tuning.sampler == "auto":
        found = find_spec("optuna") is not None
        why = "Optuna is installed" if found else 'Optuna is not: pip install "tunesmith[tune]"'
        tuning = replace(tuning, sampler="tpe" if found else "random")
        decisions.append(Decision("tune.sampler", tuning.sampler, why))
    if tuning.at_once == "auto":
        side_by_side = max(1, usable_cores() // threads) if tuning.engine == "ray" else 1
        tuning = replace(tuning, at_once=side_by_side)
        if tuning.engine == "ray":
            decisions.append(Decision("tune.at_once", str(side_by_side), f"{usable_cores()} cores, {threads} each"))
    if tuning.fits == "auto" and forecasts:
        could = {f.name: f.fit_s for f in forecasts if isinstance(systems.get(f.name), Tunes) and f.fit_s > 0.0}
        again = max((s for name, s in could.items() if name in training.refit), default=0.0)
        seconds = spare(budget_s, left_s - sum(f.fit_s + f.predict_s for f in forecasts) - again)
        if tuning.budget != "auto":
            seconds = tuning.budget
        assert tuning.at_once != "auto"
        fits = round(tuning.at_once * seconds / max(could.values()), 1) if could else 0.0
        tuning = replace(tuning, fits=fits)
        why = f"about {seconds:.0f} s for trials of {', '.join(could) or 'nothing: no rung that trains will run'}"
        decisions.append(Decision("tune.fits", f"{fits:g}", f"{why}; counted anew when *select* has ended"))
    return tuning, decisions


def trials_s(tuning: TuneOptions, forecasts: Sequence[Forecast]) -> float:
    """Seconds that the planned trials will take: none where they are too few to be made."""
    could = [f.fit_s for f in forecasts if isinstance(systems.get(f.name), Tunes) and f.fit_s > 0.0]
    fits = tuning.fits
    if fits == "auto" or fits < LEAST_FITS or not could:
        return 0.0
    return fits * max(could) / (1 if tuning.at_once == "auto" else tuning.at_once)


def plan_trials(plan: Plan, asked: TuneOptions, data: Dataset, ladder: Ladder, folder: Path, *, left_s: float) -> Plan:
    """The plan with as many trainings for *tune* as the time left allows, by what the candidate's took in *select*.

    Only where nobody fixed the number; decided once, and written to plan.yaml before the first trial.
    """
    if asked.fits != "auto":
        return plan
    made_from = {**plan.made_from, "tune": _hash(plan.made_from.get("work"), dump_options(asked))}
    if plan.made_from.get("tune") == made_from["tune"]:
        return plan  # read back from plan.yaml
    tuning = plan.config.tune
    rung = None if ladder.candidate is None else ladder[ladder.candidate]
    each = 0.0 if rung is None else (rung.cost.train_wall_s or 0.0)
    if rung is None or not each:
        return replace(plan, config=replace(plan.config, tune=replace(tuning, fits=0.0)))
    each += (rung.cost.predict_cpu_s_per_example or 0.0) * rung.n
    seconds = (
        asked.budget if asked.budget != "auto" else spare(plan.budget_s, left_s - _after_trials(plan, data, ladder))
    )
    assert tuning.at_once != "auto"
    fits = round(tuning.at_once * max(0.0, seconds) / each, 1)
    why = f"{seconds:.0f} s for trials of {rung.name}, {each:.0f} s each"
    if fits < LEAST_FITS:
        why += f"; fewer than {LEAST_FITS} can show nothing"
    keep = tuple(d for d in plan.decisions if d.what != "tune.fits")
    plan = replace(
        plan, config=replace(plan.config, tune=replace(tuning, fits=fits)), made_from=made_from,
        decisions=(*keep, Decision("tune.fits", f"{fits:g}", why)),
    )  # fmt: skip
    plan.save(folder / "plan.yaml")
    # Only for the run that planned, as with the rungs' clock.
    tuning = replace(plan.config.tune, clock_s=max(1.0, seconds))
    return replace(plan, config=replace(plan.config, tune=tuning))


def _after_trials(plan: Plan, data: Dataset, ladder: Ladder) -> float:
    """Seconds that refitting and answering test will take, by what the rungs took in *select*."""
    refit = plan.config.train.refit
    grows = 1.0 + data.count("dev") / max(1, data.count("train"))
    again = [ladder[n] for n in (ladder.candidate, ladder.reference) if n is not None and n in refit]
    refits_s = sum(grows * (rung.cost.train_wall_s or 0.0) for rung in again)
    rows = {rung.name: rung.plan.test_rows or data.count("test") for rung in ladder.rungs if rung.ran}
    answers_s = sum((ladder[name].cost.predict_cpu_s_per_example or 0.0) * n for name, n in rows.items())
    disturbed = plan.config.evaluate.robustness
    return refits_s + answers_s + (0.0 if disturbed == "auto" else disturbed)


def _with_robustness(plan: Plan, data: Dataset) -> Plan:
    """The plan with the seconds that answering disturbed texts may take, a share of the budget."""
    if plan.config.evaluate.robustness != "auto":
        return plan
    task = tasks.get(data.task)
    served = task.output in OUTPUTS and not is_costly(task)
    seconds = round(SHARE * plan.budget_s, 1) if served else 0.0
    why = f"{SHARE:.0%} of the budget for answers to mistyped, reworded and padded test texts"
    made = Decision("evaluate.robustness", f"{seconds:g} s", why if served else "it does not apply to this task")
    evaluating = replace(plan.config.evaluate, robustness=seconds)
    return replace(plan, config=replace(plan.config, evaluate=evaluating), decisions=(*plan.decisions, made))


def read_plan(path: Path) -> Plan | None:
    """The plan that was written to `path`, or None if there is none that can be read."""
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
        about = table["plan"]
        why = [Decision(what, *_split(text)) for what, text in about["why"].items()]
        forecasts = [Forecast(**row) for row in about["forecast"]]
        quantities = [Quantity(**row) for row in about.get("expected", ())]
        return Plan(config_from(table), tuple(why), tuple(forecasts), tuple(quantities), about["made_from"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, ConfigError):
        return None  # damaged or hand-made: decide anew


def _split(text: str) -> tuple[str, str]:
    choice, _, why = text.partition(": ")
    return choice, why


def _decide_machine(config: Config) -> tuple[Config, list[Decision]]:
    decisions = []
    if config.threads == "auto":
        free = free_cores()
        decisions.append(Decision("threads", str(free), f"{free} of {usable_cores()} cores are free"))
        config = replace(config, threads=free)
    if config.device == "auto":
        import torch

        device: Literal["cpu", "cuda", "mps"] = "cpu"
        if torch.cuda.is_available():
            device = "cuda"
        elif torch.backends.mps.is_available():
            device = "mps"
        config = replace(config, device=device)
        decisions.append(Decision("device", device, "the fastest that torch finds here"))
    if config.dtype == "auto":
        from tunesmith.training.probe import probe_dtype

        assert config.threads != "auto"
        dtype, why = probe_dtype(config.threads, config.device)
        config = replace(config, dtype=dtype)
        decisions.append(Decision("dtype", dtype, why))
    return config, decisions


def _rungs_for(data: Dataset, config: Config) -> list[str]:
    output, model = tasks.get(data.task).output, config.model
    absent = [n for n in systems.names() if asked_by(n) and not getattr(config, asked_by(n)).is_asked]
    if model.only != "auto":
        for name in sorted(set(model.only) & set(absent)):
            raise ConfigError(
                f"model.only: {name} stands on documents, and there are none.",
                hint=f"name them with --{asked_by(name)}.",
            )
        if not any(output in systems.get(name).outputs for name in model.only):
            fitting = sorted(name for name, rung in systems.items() if output in rung.outputs)
            raise ConfigError(
                f"model.only: none of {', '.join(model.only)} answers {output}, which the task {data.task} asks for.",
                hint=f"choose from {', '.join(fitting)}, or name the task with --task.",
            )
        return list(model.only)
    found = {name: rung for name, rung in systems.items() if output in rung.outputs and name not in absent}
    # Cheap ones first: what they reach tells whether a costly one that pauses is promising.
    stands_on = {"nothing": 0, "encoder": 1, "lm": 2}
    return sorted(found, key=lambda n: (not is_cheap(n), stands_on[found[n].needs], found[n].kind == "tuned", n))


def _idle(names: Sequence[str], data: Dataset) -> dict[str, str]:
    """Rungs that say themselves that they are no use for these rows, and why."""
    held = {name: systems.get(name) for name in names}
    train = data.rows("train")
    told = {name: rung.why_not(train) for name, rung in held.items() if isinstance(rung, Declines)}
    return {name: why for name, why in told.items() if why is not None}


def _base_model(kind: str, wanted: str, model: SelectOptions, emit: Emit) -> tuple[ModelSpec | None, Path | None, str]:
    """(spec, folder, why); a default model that cannot be had is left out with the reason, a named one raises."""
    default = DEFAULT_ENCODER if kind == "encoder" else DEFAULT_LM
    spec = resolve(default if wanted == "auto" else wanted, "encoder" if kind == "encoder" else "lm")
    against = reason_against(spec, licence=model.licence, languages=model.languages)
    if against:
        if wanted != "auto":
            raise ConfigError(f"model.{kind}: {against}.", hint="see licences and languages:  tunesmith list models")
        return None, None, f"the default {kind} is out: {against}"
    try:
        spec = pin(spec)
        place = fetch(spec, emit)
    except SourceUnavailable as error:
        if wanted != "auto":
            raise
        return None, None, f"the default {kind} cannot be had here: {error.message}"
    why = "you named it" if wanted != "auto" else f"the default {kind}: {spec.licence}, runs on a laptop"
    return spec, place, why


def _within(
    plan: Plan, data: Dataset, folder: Path, names: Sequence[str]
) -> tuple[Config, dict[str, str], list[Decision]]:
    """The config with a dtype and a method that stay below max_memory, the rungs that cannot, and why."""
    config = plan.config
    names = [name for name in names if systems.get(name).needs == "lm"]
    if config.max_memory is None or not names:
        return config, {}, []
    longest = longest_row(data.rows("train"), folder, tasks.get(data.task), prompt_of(data))
    way = way_within(
        config.max_memory, folder, names, longest=longest, options=config.train.for_rungs(),
        dtype=cast("Literal['float32', 'bfloat16']", plan.limits.dtype),
        free_dtype=config.train.base_dtype == "auto" and any(d.what == "dtype" for d in plan.decisions),
    )  # fmt: skip
    decisions = []
    if way.dtype != plan.limits.dtype:
        decisions.append(Decision("train.base_dtype", way.dtype, way.why))
        config = replace(config, train=replace(config.train, base_dtype=way.dtype))
    if way.method is not None:
        decisions.append(Decision("train.method", way.method, way.why))
        config = replace(config, train=replace(config.train, method=way.method))
    return config, dict(way.not_run), decisions


def _probe(data: Dataset, folders: Mapping[str, Path], limits: Limits, emit: Emit) -> Probe:
    """Speeds on this machine and these texts, a few seconds in all."""
    from tunesmith.models.lm import release_memory
    from tunesmith.training import probe as probes
    from tunesmith.training.tuned_lm import FORWARDS_PER_TRAINED_TOKEN

    rows = data.rows("train")
    at = [int(i * len(rows) / 64) for i in range(min(64, len(rows)))]
    some = rows.take(at)
    emit("note", text="measuring the speed of this machine on these texts")
    encoder, reading, answering = 0.0, 0.0, 0.0
    if "encoder" in folders:
        encoder = probes.probe_encoder(folders["encoder"], some.texts, limits)
        texts = [*rows.texts, *data.rows("dev").texts]
        spread = sorted({int(i * len(texts) / _SPREAD) for i in range(_SPREAD)})
        reading, answering = probes.probe_reading(
            folders["encoder"], [texts[i] for i in spread], limits, n=len(texts), piece=CHUNK
        )
    if "lm" not in folders:
        words = probes.count_words(some.texts)
        return Probe(encoder, tokens_per_text=words, reading_texts_per_s=reading, answering_texts_per_s=answering)
    lm = probes.probe_lm(folders["lm"], some, tasks.get(data.task), prompt_of(data), limits)
    release_memory()  # or 0.5 to 0.8 GB of what it was measured with stay with the process until the run ends
    per_row = lm.train_s * lm.tokens_per_s / FORWARDS_PER_TRAINED_TOKEN
    return Probe(
        encoder, lm.tokens_per_s, lm.text_tokens, per_row, reading, answering, lm.row_tokens, lm.label_tokens,
        lm.written_tokens, lm.asked_token,
    )  # fmt: skip


def _size(data: Dataset) -> Size:
    train = data.rows("train")
    held = label_counts(train.targets) if data.task == "tag" else Counter(train.targets)
    counts = sorted(held[label] for label in data.labels)
    per_label = float(counts[len(counts) // 2]) if counts else float(len(train))
    output = tasks.get(data.task).output
    library = 0.0
    if data.library is not None and len(train):
        library = sum(map(len, data.library.texts)) / max(1.0, sum(map(len, train.texts)) / len(train))
    letters = sum(map(len, train.texts)) / max(1, len(train))
    return Size(
        len(train), data.count("dev"), data.count("test"), len(data.labels), per_label, output, library, letters
    )  # fmt: skip


def _told(rung: RungPlan) -> str:
    if not rung.run:
        return "not run"
    return "full" if rung.steps is None and rung.dev_rows is None else "subset"


def paths_of(options: IngestOptions) -> tuple[Path, ...]:
    """The files or folders to learn from."""
    return options.path if isinstance(options.path, tuple) else (options.path,)


def existing(path: Path) -> Path:
    """The path; DataError with the nearest name if nothing lies there."""
    if not path.exists():
        near = did_you_mean(path.name, [p.name for p in path.parent.iterdir()]) if path.parent.is_dir() else None
        raise DataError(f"{path}: no such file or folder.", hint=near)
    return path


def _relative_to(table: Any, base: Path) -> Any:
    if not isinstance(table, Mapping):
        return table
    found = dict(table)
    for key in ("path", "test", "dev", "reviews", "schema", "database", "documents"):
        value = found.get(key)
        if isinstance(value, str):
            found[key] = str(base / value)  # an absolute path stays what it is
        elif isinstance(value, list | tuple):
            found[key] = [str(base / one) if isinstance(one, str) else one for one in value]
    if "beside" in found:
        found["beside"] = _relative_to(found["beside"], base)
    return found


def _hash(*values: Any) -> str:
    return sha256_bytes(canonical(list(values)))[:16]
