"""Commands of a run: run, plan, show, predict."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from tunesmith.cli.options import (
    AcceptAt,
    Budget,
    Database,
    Dev,
    Device,
    Documents,
    Domain,
    Encoder,
    Engine,
    ForgetAtMost,
    Group,
    Input,
    Json,
    KeepLeaks,
    Languages,
    Licence,
    Lm,
    MaxLatency,
    MaxMemory,
    Only,
    Out,
    Prefer,
    Probe,
    Schema,
    Seed,
    Set,
    Source,
    Target,
    TaskName,
    Test,
    Tests,
    Threads,
    Time,
    Tune,
    Wage,
    options_of,
)
from tunesmith.cli.printing import print_json
from tunesmith.core.errors import ConfigError


def run(  # noqa: PLR0913 - a command line has as many options as people need
    source: Source,
    target: Target = None, input_: Input = None, task: TaskName = None, test: Test = None, dev: Dev = None,
    documents: Documents = None, domain: Domain = None,
    group: Group = None, time: Time = None, tests: Tests = None, database: Database = None,
    keep_leaks: KeepLeaks = False, budget: Budget = None, out: Out = None,
    seed: Seed = None, threads: Threads = None, device: Device = None, max_memory: MaxMemory = None,
    schema: Schema = None, encoder: Encoder = None, lm: Lm = None,
    max_latency: MaxLatency = None, licence: Licence = None, languages: Languages = None,
    only: Only = None, prefer: Prefer = None, tune: Tune = None, engine: Engine = None, set_: Set = None,
    accept_at: AcceptAt = None, wage: Wage = None, forget_at_most: ForgetAtMost = None, probe: Probe = None,
    require: Annotated[str | None, typer.Option(help="'better': exit 4 unless tuning was better")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """From raw file to verdict, report and model, in one go; the same command again goes on where it stopped."""
    if require not in (None, "better"):
        raise ConfigError(f"--require: expected 'better', got '{require}'.")
    options = options_of(locals())
    folder = _work(source, out, options, quiet=as_json)
    from tunesmith.pipeline import open_run

    report = open_run(folder).report
    _show(report.to_json(), folder, as_json=as_json)
    if require == "better" and report.claim != "better":
        raise typer.Exit(4)


def plan(  # noqa: PLR0913
    source: Annotated[str | None, typer.Argument(help="file, folder, config.yaml or run folder")] = None,
    target: Target = None, input_: Input = None, task: TaskName = None, test: Test = None, dev: Dev = None,
    documents: Documents = None, domain: Domain = None,
    group: Group = None, time: Time = None, tests: Tests = None, database: Database = None,
    keep_leaks: KeepLeaks = False, budget: Budget = None, out: Out = None,
    seed: Seed = None, threads: Threads = None, device: Device = None, max_memory: MaxMemory = None,
    schema: Schema = None, encoder: Encoder = None, lm: Lm = None,
    max_latency: MaxLatency = None, licence: Licence = None, languages: Languages = None,
    only: Only = None, prefer: Prefer = None, tune: Tune = None, set_: Set = None, accept_at: AcceptAt = None,
    wage: Wage = None, forget_at_most: ForgetAtMost = None, probe: Probe = None,
    base: Annotated[str | None, typer.Option(help="what of this model fits: a config.json, folder, id, or 70B")] = None,
    tokens: Annotated[int, typer.Option(help="with --base: of a row, or of a context that is served")] = 1024,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Every decision with its reason, and the forecast; or, with --base, what fits on a device. Nothing is trained."""
    if base is not None:
        _show_fit(base, device, tokens, as_json=as_json)
        return
    if source is None:
        raise ConfigError("plan: name a file to plan for, or a model with --base.", hint="tunesmith plan data.csv")
    options = options_of(locals())
    folder = _work(source, out, options, quiet=as_json, only_plan=True)
    from tunesmith.costing import waiting
    from tunesmith.forecasting import calibrated, lines
    from tunesmith.planning import read_plan

    made = read_plan(folder / "plan.yaml")
    assert made is not None
    if as_json:
        print_json(
            {
                "folder": str(folder),
                "decisions": [{"what": d.what, "choice": d.choice, "why": d.why} for d in made.decisions],
                "expected": [vars(q) for q in made.expected],
                "calibration": calibrated(),
                "people": vars(waiting(folder, made)),
                "forecast": [vars(f) for f in made.forecasts],
                "budget_s": made.budget_s,
            }
        )
        return
    for d in made.decisions:
        typer.echo(f"{d.what:<28} {d.choice:<34} {d.why}")
    typer.echo("")
    for f in made.forecasts:
        if f.fit_s or f.predict_s:
            typer.echo(f"{f.name:<14} about {f.fit_s:6.0f} s to fit, {f.predict_s:6.0f} s to answer")
    typer.echo(f"{'budget':<14} {made.budget_s:6.0f} s\n")
    typer.echo("\n".join(lines(made.expected, calibrated())))
    typer.echo(waiting(folder, made).line(made.config.cost, made.config.evaluate.currency))
    typer.echo(f"\nplan: {folder / 'plan.yaml'}   go on:  tunesmith run {folder}")


def _show_fit(base: str, device: str | None, tokens: int, *, as_json: bool) -> None:
    from dataclasses import asdict

    from tunesmith.core.config import parse_bytes
    from tunesmith.core.machine import memory_bytes
    from tunesmith.models.shapes import config_of, parameters_named
    from tunesmith.training.fits import fits, fits_by_count, lines

    if tokens < 1:
        raise ConfigError(f"--tokens {tokens}: expected at least 1.")
    room = memory_bytes()[0] if device in (None, "cpu") else parse_bytes(str(device), where="--device")
    count = parameters_named(base)
    fit = fits(config_of(base), room, tokens=tokens) if count is None else fits_by_count(count, room)
    if as_json:
        print_json(asdict(fit))
    else:
        typer.echo("\n".join(lines(fit)))


def show(
    folder: Annotated[Path, typer.Argument(help="run folder", show_default=False)],
    forecast: Annotated[bool, typer.Option("--forecast", help="what was expected of the run, and what came")] = False,
    cost: Annotated[bool, typer.Option("--cost", help="the cost ledger: people, machine, every rung")] = False,
    wage: Wage = None,
    full: Annotated[bool, typer.Option("--full", help="with --cost: time full fine-tuning now")] = False,
    against: Annotated[
        Path | None, typer.Option(help="with --cost: a run on the same data that trained every weight")
    ] = None,
    trials: Annotated[bool, typer.Option("--trials", help="settings that were tried, and what came of it")] = False,
    as_json: Json = False,
) -> None:
    """Verdict, ladder, checks and cost of a finished run."""
    if (wage is not None or full or against is not None) and not cost:
        raise ConfigError(
            "--wage, --full and --against belong to the cost ledger.", hint=f"tunesmith show {folder} --cost"
        )
    if cost:
        _show_cost(folder, wage, against, full=full, as_json=as_json)
        return
    if trials:
        from tunesmith.evaluation.trials_card import lines as told_trials
        from tunesmith.evaluation.trials_card import read_trials

        tried = read_trials(folder)
        if tried is None:
            raise ConfigError(f"{folder}: no settings were tried there.", hint=f"go on with:  tunesmith run {folder}")
        if as_json:
            print_json(tried)
        else:
            typer.echo("\n".join(told_trials(tried)))
        return
    if forecast:
        from tunesmith.forecasting import calibrated, lines, read_forecast

        told = read_forecast(folder)
        if as_json:
            print_json({"expected": [{**vars(q), "held": q.held} for q in told], "calibration": calibrated()})
        else:
            typer.echo("\n".join(lines(told, calibrated())))
        return
    from tunesmith.pipeline import open_run

    _show(open_run(folder).report.to_json(), folder, as_json=as_json)


def compare(
    folder: Annotated[Path, typer.Argument(help="run folder", show_default=False)],
    other: Annotated[Path, typer.Argument(help="another one", show_default=False)],
    as_json: Json = False,
) -> None:
    """What two finished runs ship, in a paired test on the rows that both tested."""
    from tunesmith.comparing import compare as beside
    from tunesmith.evaluation.drawing import clean

    told = beside(folder, other)
    if as_json:
        print_json(told.to_json())
    else:
        typer.echo("\n".join(clean(line) for line in told.lines()))


def _show_cost(folder: Path, wage: float | None, against: Path | None, *, full: bool, as_json: bool) -> None:
    from dataclasses import replace

    from tunesmith.costing import ledger, measure_full
    from tunesmith.equal_quality import at_equal_quality
    from tunesmith.evaluation.drawing import clean

    if full:
        measure_full(folder)
    told = ledger(folder)
    if against is not None:
        told = replace(told, measured=at_equal_quality(folder, against))
    if wage is not None:
        from tunesmith.core.costs import CostOptions

        CostOptions(wage=wage)  # refused with a reason, if it makes no sense
        told = replace(told, rates=replace(told.rates, wage=wage))
    if as_json:
        print_json(told.to_json())
    else:
        typer.echo("\n".join(clean(line) for line in told.lines()))


def predict(
    folder: Annotated[Path, typer.Argument(help="run folder", show_default=False)],
    what: Annotated[str, typer.Argument(help="a table, a text, or - for one text per line on stdin")] = "-",
    out: Annotated[Path | None, typer.Option("--out", help="write here instead of to stdout")] = None,
    accept_at: AcceptAt = None,
    hand_on: Annotated[
        bool, typer.Option("--hand-on", help="ask the run's generalist for what is not accepted")
    ] = False,
    system: Annotated[str | None, typer.Option(help="a rung of the ladder that answers, instead of what ships")] = None,
    as_json: Json = False,
) -> None:
    """Answers of the shipped model: for a table, its columns in order with prediction and confidence added."""
    from tunesmith.pipeline import open_run
    from tunesmith.predicting import predict_lines, predict_table

    saved = open_run(folder, system=system)
    if what != "-" and Path(what).is_file():
        predict_table(saved, Path(what), out, as_json=as_json, accept_at=accept_at, hand_on=hand_on)
    elif what != "-" and Path(what).suffix.lower() in _TABLES:
        raise ConfigError(f"{what}: no such file.", hint="give an existing table, a text in quotes, or - for stdin.")
    else:
        predict_lines(
            saved, sys.stdin if what == "-" else [what], out, as_json=as_json, accept_at=accept_at, hand_on=hand_on
        )


_TABLES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".xlsx")


def _work(source: str, out: Path | None, options: dict[str, Any], *, quiet: bool, only_plan: bool = False) -> Path:
    """Run or plan; asks at most one question, and only on a terminal."""
    from tunesmith.console import Follower
    from tunesmith.costing import answered
    from tunesmith.data.detect import Unsure
    from tunesmith.pipeline import prepare, work

    while True:
        request = prepare(source, out=out, options=options)
        try:
            with Follower(quiet=quiet) as follow:
                work(request, listeners=[follow], only_plan=only_plan)
            return request.folder
        except Unsure as unsure:
            if quiet or not (sys.stdin.isatty() and sys.stdout.isatty()) or unsure.option in options:
                raise
            began = time.monotonic()
            typer.echo(unsure.question, err=True)
            for number, choice in enumerate(unsure.choices, 1):
                typer.echo(f"  {number}  {choice}", err=True)
            picked = typer.prompt("number or name", err=True)
            named = (
                unsure.choices[int(picked) - 1]
                if picked.isdigit() and 0 < int(picked) <= len(unsure.choices)
                else picked
            )
            options = {**options, unsure.option: named}
            answered(request.folder, unsure.option, time.monotonic() - began)


def _show(report: dict[str, Any], folder: Path, *, as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    from rich.console import Console

    from tunesmith.evaluation import terminal
    from tunesmith.evaluation.domain_card import read_domain
    from tunesmith.planning import read_plan

    plan = read_plan(folder / "plan.yaml")
    read = read_domain(folder) if plan is not None and plan.config.domain.is_asked else None
    terminal.show({**report, "domain": read}, Console(highlight=False))
    typer.echo(f"report: {folder / 'report.html'}\nuse it: tunesmith predict {folder} new.csv")
