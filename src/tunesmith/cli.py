"""The command line. Every command is a few lines over public functions; exit codes as below.

0 done   1 a fault of Tunesmith   2 the user can mend it   3 a check failed
4 the verdict is not `better` (with --require better)   130 stopped by Ctrl-C (can be resumed)
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tunesmith.core.errors import ConfigError, TunesmithError
from tunesmith.training.parallel import is_launched

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Raw data and a named task in, a small verified specialised language model out.",
)  # fmt: skip

Out = Annotated[Path | None, typer.Option("--out", help="run folder (default: runs/<name>-<mark>)")]
Json = Annotated[bool, typer.Option("--json", help="machine-readable result on stdout")]
Target = Annotated[list[str] | None, typer.Option(help="column with the answer (repeat to extract several fields)")]
Input = Annotated[list[str] | None, typer.Option("--input", help="input column (repeat for several)")]
TaskName = Annotated[str | None, typer.Option("--task", help="what is learned (tunesmith list tasks)")]
Schema = Annotated[Path | None, typer.Option(help="JSON Schema of the answers, for extract")]
Test = Annotated[Path | None, typer.Option(help="ready-made test file")]
Dev = Annotated[Path | None, typer.Option(help="ready-made dev file")]
Documents = Annotated[
    list[Path] | None, typer.Option("--documents", help="answer from these files and folders (repeat for several)")
]
Group = Annotated[str | None, typer.Option(help="column whose equal values stay on one side of the split")]
Tests = Annotated[str | None, typer.Option(help="column with tests that judge code; 'none' for none")]
Database = Annotated[Path | None, typer.Option(help="SQLite file or script that queries are judged on")]
Time = Annotated[str | None, typer.Option(help="column to split by time: test is the latest")]
KeepLeaks = Annotated[bool, typer.Option("--keep-leaks", help="keep train rows that copy test rows")]
Budget = Annotated[str | None, typer.Option(help="wall time from command to report, such as 10m")]
Seed = Annotated[int | None, typer.Option(help="seed of every random choice")]
Threads = Annotated[int | None, typer.Option(help="threads (default: the free cores)")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or mps; for plan --base: its memory, such as 24GB")]
MaxMemory = Annotated[str | None, typer.Option(help="memory that the process may hold, such as 2GB")]
Encoder = Annotated[str | None, typer.Option(help="encoder: catalogue name, hub id, folder, or none")]
Lm = Annotated[str | None, typer.Option(help="language model: catalogue name, hub id, folder, or none")]
Only = Annotated[list[str] | None, typer.Option("--only", help="consider only this rung (repeat for several)")]
MaxLatency = Annotated[str | None, typer.Option(help="longest wait for one answer, such as 40ms")]
Licence = Annotated[str | None, typer.Option(help="of base models: permissive, or names: apache-2.0,mit")]
Languages = Annotated[str | None, typer.Option(help="that base models must know: en,fr")]
Prefer = Annotated[str | None, typer.Option(help="best, or cheap: the cheapest within one standard error")]
Tune = Annotated[str | None, typer.Option("--tune", help="time for trials of other settings, such as 5m, or none")]
Engine = Annotated[str | None, typer.Option(help="where trials run: local, or ray (a cluster; extra ray)")]
Set = Annotated[list[str] | None, typer.Option("--set", help="any option of the config: model.worth=0.5")]
AcceptAt = Annotated[
    float | None,
    typer.Option("--accept-at", help="share of given answers that is to be right, such as 0.98; the rest to a person"),
]
Wage = Annotated[float | None, typer.Option(help="money for an hour of a person's time, for the cost ledger")]
ForgetAtMost = Annotated[
    float | None, typer.Option("--forget-at-most", help="points that a tuned language model may lose elsewhere: 1.0")
]
Probe = Annotated[
    Path | None, typer.Option("--probe", help="what a tuned model should still know: texts, or questions and answers")
]
Debug = Annotated[bool, typer.Option("--debug", help="show tracebacks")]
Source = Annotated[str, typer.Argument(help="file, folder, config.yaml or run folder", show_default=False)]


@app.callback()
def _global(debug: Debug = False) -> None:  # listed here for --help; `main` takes it off the line
    del debug


@app.command()
def run(  # noqa: PLR0913 - a command line has as many options as people need
    source: Source,
    target: Target = None, input_: Input = None, task: TaskName = None, test: Test = None, dev: Dev = None,
    documents: Documents = None,
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
    options = _options(locals())
    folder = _work(source, out, options, quiet=as_json)
    from tunesmith.pipeline import open_run

    report = open_run(folder).report
    _show(report.to_json(), folder, as_json=as_json)
    if require == "better" and report.claim != "better":
        raise typer.Exit(4)


@app.command()
def plan(  # noqa: PLR0913
    source: Annotated[str | None, typer.Argument(help="file, folder, config.yaml or run folder")] = None,
    target: Target = None, input_: Input = None, task: TaskName = None, test: Test = None, dev: Dev = None,
    documents: Documents = None,
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
    options = _options(locals())
    folder = _work(source, out, options, quiet=as_json, only_plan=True)
    from tunesmith.costing import waiting
    from tunesmith.forecasting import calibrated, lines
    from tunesmith.planning import read_plan

    made = read_plan(folder / "plan.yaml")
    assert made is not None
    if as_json:
        _print_json(
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
        _print_json(asdict(fit))
    else:
        typer.echo("\n".join(lines(fit)))


@app.command()
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
            _print_json(tried)
        else:
            typer.echo("\n".join(told_trials(tried)))
        return
    if forecast:
        from tunesmith.forecasting import calibrated, lines, read_forecast

        told = read_forecast(folder)
        if as_json:
            _print_json({"expected": [{**vars(q), "held": q.held} for q in told], "calibration": calibrated()})
        else:
            typer.echo("\n".join(lines(told, calibrated())))
        return
    from tunesmith.pipeline import open_run

    _show(open_run(folder).report.to_json(), folder, as_json=as_json)


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
        _print_json(told.to_json())
    else:
        typer.echo("\n".join(clean(line) for line in told.lines()))


@app.command()
def predict(
    folder: Annotated[Path, typer.Argument(help="run folder", show_default=False)],
    what: Annotated[str, typer.Argument(help="a table, a text, or - for one text per line on stdin")] = "-",
    out: Annotated[Path | None, typer.Option("--out", help="write here instead of to stdout")] = None,
    accept_at: AcceptAt = None,
    hand_on: Annotated[
        bool, typer.Option("--hand-on", help="ask the run's generalist for what is not accepted")
    ] = False,
    as_json: Json = False,
) -> None:
    """Answers of the shipped model: for a table, its columns in order with prediction and confidence added."""
    from tunesmith.pipeline import open_run
    from tunesmith.predicting import predict_lines, predict_table

    saved = open_run(folder)
    if what != "-" and Path(what).is_file():
        predict_table(saved, Path(what), out, as_json=as_json, accept_at=accept_at, hand_on=hand_on)
    elif what != "-" and Path(what).suffix.lower() in _TABLES:
        raise ConfigError(f"{what}: no such file.", hint="give an existing table, a text in quotes, or - for stdin.")
    else:
        predict_lines(
            saved, sys.stdin if what == "-" else [what], out, as_json=as_json, accept_at=accept_at, hand_on=hand_on
        )


_TABLES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".xlsx")


@app.command()
def curate(  # noqa: PLR0913
    source: Source,
    target: Target = None, input_: Input = None, task: TaskName = None, test: Test = None, dev: Dev = None,
    group: Group = None, time: Time = None, keep_leaks: KeepLeaks = False, out: Out = None, seed: Seed = None,
    step: Annotated[list[str] | None, typer.Option("--step", help="run only this step (repeat, in order)")] = None,
    policy: Annotated[list[str] | None, typer.Option("--policy", help="step=drop, fix, flag or off (repeat)")] = None,
    reviews: Annotated[Path | None, typer.Option(help="file of decisions (default: reviews.jsonl by the data)")] = None,
    undo: Annotated[list[str] | None, typer.Option("--undo", help="take back: all, a step, rows, step:rows")] = None,
    by: Annotated[str | None, typer.Option("--by", help="who decides, for the reviews")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done, leave nothing behind")] = False,
    set_: Set = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Clean a table without training anything: cleaned data, every finding, a before/after profile."""
    from tunesmith.console import Follower
    from tunesmith.curation import curate_table, settings

    options = _options(locals())
    asked = settings(steps=step or (), policies=policy or (), reviews=reviews)
    if asked:
        options["curate"] = {**options.get("curate", {}), **asked}
    with Follower(quiet=as_json) as follow:
        made = curate_table(
            source, out=out, options=options, undo=undo or (), by=by, dry_run=dry_run, listeners=[follow]
        )
    if as_json:
        _print_json(made.to_json())
        return
    was, now = made.profile["rows"]
    for told in made.profile["steps"]:
        typer.echo(f"   {told['step']:<16} " + ", ".join(f"{n:,} {_DONE[what]}" for what, n in told["counts"].items()))
    if made.profile["personal"]:
        held = (
            ", ".join(f"{one['values']:,} x {one['kind']}" for one in made.profile["personal"]["found"]) or "none found"
        )
        left = ", ".join(made.profile["personal"]["not_searched"])
        typer.echo(f"   personal data: {held}" + (f"; not searched: {left}" if left else ""))
    for name, why in made.profile["not_run"].items():
        typer.echo(f"   {name:<16} not run: {why}")
    if undo:
        typer.echo(f"   {made.undone:,} decisions written" if made.undone else "   there was nothing to take back")
    out = made.profile["left_out"]
    typer.echo(f"{was:,} → {now:,} rows" + (f"   ({out:,} without text or target take no part)" if out else ""))
    for file in made.files:
        typer.echo(f"   {file}")
    if dry_run:
        _show_findings(made.places, made.findings, 20)
        typer.echo("dry run: nothing was written. --json lists every finding; without --dry-run it is done.")
    else:
        typer.echo(f"see: tunesmith findings {made.folder}   one row: tunesmith trace {made.folder} ROW")


_DONE = {"drop": "dropped", "fix": "mended", "flag": "flagged", "keep": "kept as reviewed"}


System = Annotated[str, typer.Option("--system", help="what is trained: probe (cheap), or a rung of the ladder")]
Steps = Annotated[int | None, typer.Option("--steps", help="optimizer steps of a rung that trains by gradient")]


@app.command()
def evidence(  # noqa: PLR0913
    source: Source,
    target: Target = None, input_: Input = None, task: TaskName = None, test: Test = None, dev: Dev = None,
    group: Group = None, time: Time = None, out: Out = None, seed: Seed = None, system: System = "probe",
    steps: Steps = None,
    draws: Annotated[int | None, typer.Option(help="bootstrap samples to train on besides all rows")] = None,
    set_: Set = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Whether each curation step paid: the score on dev with it and without it, with an interval."""
    from tunesmith.console import Follower
    from tunesmith.measuring import Chosen, measure_evidence

    options = _options(locals())
    with Follower(quiet=as_json) as follow:
        found, made = measure_evidence(
            source, out=out, options=options, chosen=Chosen(system, steps, draws), listeners=[follow]
        )
    if as_json:
        _print_json(made.to_json())
        return
    typer.echo("\n".join(found.lines()))
    typer.echo(f"see: {made.files[0]}")


@app.command()
def contrast(  # noqa: PLR0913
    source: Source,
    generic: Annotated[Path | None, typer.Option(help="a generic set of the domain, with the same columns")] = None,
    target: Target = None, input_: Input = None, task: TaskName = None, test: Test = None, dev: Dev = None,
    group: Group = None, time: Time = None, out: Out = None, seed: Seed = None,
    system: Annotated[str, typer.Option("--system", help="rung of the ladder that is trained")] = "tfidf",
    steps: Steps = None,
    rows: Annotated[int | None, typer.Option(help="train rows per arm (default: what the smallest arm has)")] = None,
    seeds: Annotated[int, typer.Option(help="draws of the rows")] = 3,
    label_price: Annotated[float | None, typer.Option(help="what one of your labels costs")] = None,
    generic_price: Annotated[float | None, typer.Option(help="what one row of the generic set costs")] = None,
    hour_price: Annotated[float | None, typer.Option(help="what an hour of the machine costs")] = None,
    encoder: Encoder = None, lm: Lm = None, set_: Set = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Generic data, your data as it came, and curated: equal rows, same test, score and cost side by side."""
    from tunesmith.console import Follower
    from tunesmith.evaluation.contrast import Prices
    from tunesmith.measuring import Chosen, measure_contrast

    options = _options(locals())
    with Follower(quiet=as_json) as follow:
        found, made = measure_contrast(
            source, generic=generic, out=out, options=options, chosen=Chosen(system, steps), rows=rows, seeds=seeds,
            prices=Prices(label_price, generic_price, hour_price), listeners=[follow],
        )  # fmt: skip
    if as_json:
        _print_json(made.to_json())
        return
    typer.echo("\n".join(found.lines()))
    typer.echo(f"   {made.files[0]}")


@app.command("value")
def value_(  # noqa: PLR0913
    source: Source,
    target: Target = None, input_: Input = None, task: TaskName = None, test: Test = None, dev: Dev = None,
    group: Group = None, time: Time = None, out: Out = None, seed: Seed = None,
    features: Annotated[str, typer.Option(help="what the probe stands on: tfidf, or encoder")] = "tfidf",
    label_price: Annotated[float | None, typer.Option(help="what one more label costs; else no money is named")] = None,
    encoder: Encoder = None, set_: Set = None, as_json: Json = False,
) -> None:  # fmt: skip
    """What rows are worth: which can go, which labels lack rows, what more labels would bring."""
    from tunesmith.console import Follower
    from tunesmith.measuring import measure_value

    options = _options(locals())
    with Follower(quiet=as_json) as follow:
        found, made = measure_value(
            source, out=out, options=options, features=features, label_price=label_price, listeners=[follow]
        )
    if as_json:
        _print_json(made.to_json())
        return
    typer.echo("\n".join(found.lines(label_price=label_price)))
    for file in made.files:
        typer.echo(f"   {file}")


@app.command()
def findings(  # noqa: PLR0913
    folder: Annotated[Path, typer.Argument(help="run folder", show_default=False)],
    step: Annotated[list[str] | None, typer.Option("--step", help="only of this step (repeat)")] = None,
    kind: Annotated[str | None, typer.Option(help="only of this kind, where a step finds several")] = None,
    action: Annotated[str | None, typer.Option(help="only what was dropped, fixed, flagged or kept")] = None,
    accept: Annotated[str | None, typer.Option(help="do what is found in these rows: 3,5,10-20 or all")] = None,
    reject: Annotated[str | None, typer.Option(help="leave these rows as they were")] = None,
    edit: Annotated[list[str] | None, typer.Option("--edit", help="ROW=VALUE: the right target (repeat)")] = None,
    field: Annotated[str, typer.Option(help="what --edit replaces: target or text")] = "target",
    by: Annotated[str | None, typer.Option("--by", help="who decides")] = None,
    limit: Annotated[int, typer.Option(help="how many to show; 0 for all")] = 50,
    model: Annotated[bool, typer.Option("--model", help="only where the shipped model fails")] = False,
    next_: Annotated[Path | None, typer.Option("--next", help="unlabelled table: which rows to label first")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """What curation found in which row and why, to accept or reject; where the model fails, what to label next."""
    if model or next_ is not None:
        _show_model_findings(folder, next_, limit, as_json=as_json)
        return
    from tunesmith.costing import looked
    from tunesmith.reviewing import Listed, review, user_name

    steps = [name.replace("-", "_") for name in step or ()]
    edits = [_edit_of(pair) for pair in edit or ()]
    if accept is None and reject is None and not edits:
        listed = Listed.open(folder, steps=steps, kind=kind, action=action)
        if as_json:
            _print_json(listed.to_json())
        else:
            _show_findings(listed.places, listed.findings, limit)
            if sys.stdout.isatty():  # from now on somebody thinks about them: the cost ledger counts that
                looked(folder, by or user_name())
            if (folder / "08-evaluate" / "stage.json").exists():
                typer.echo(f"where the model fails, what to label next:  tunesmith findings {folder} --model")
        return
    written = review(folder, edits, accept=accept, reject=reject, steps=steps, kind=kind, field=field, by=by)
    if as_json:
        _print_json({"written": written, "folder": str(folder)})
    else:
        typer.echo(f"{written:,} decisions written; apply them:  tunesmith curate {folder}")


def _show_model_findings(folder: Path, pool: Path | None, limit: int, *, as_json: bool) -> None:
    """Where the shipped model fails; or, with a pool of unlabelled rows, which of them to label first."""
    from tunesmith.evaluation.drawing import clean
    from tunesmith.pipeline import open_run

    saved = open_run(folder)
    if pool is not None:
        from tunesmith.predicting import label_first

        rows = label_first(saved, pool, limit if limit > 0 else 1_000_000)
        if as_json:
            _print_json([vars(row) for row in rows])
            return
        for row in rows:
            said = f"row {row.row:>6}  doubt {row.doubt:.2f}  {row.prediction} or {row.second}: {row.text}"
            typer.echo(clean(" ".join(said.split()))[:200])
        return
    from tunesmith.evaluation.model_findings import findings_json, findings_lines

    details = saved.report.to_json()["details"]
    if as_json:
        _print_json(findings_json(details))
        return
    for line in findings_lines(details):
        typer.echo(clean(line))


def _edit_of(pair: str) -> tuple[int, str]:
    row, equals, value = pair.partition("=")
    if not equals or not row.strip().isdecimal():
        raise ConfigError(f"--edit {pair}: expected ROW=VALUE.", hint="for example --edit 12=refund")
    return int(row), value


@app.command()
def trace(
    folder: Annotated[Path, typer.Argument(help="run folder", show_default=False)],
    row: Annotated[str, typer.Argument(help="row number, or file:line", show_default=False)],
    as_json: Json = False,
) -> None:
    """The story of one row, from file and line through every change to its split and what the models said."""
    from tunesmith.tracing import trace as story_of

    story = story_of(folder, row)
    if as_json:
        _print_json(story.to_json())
    else:
        typer.echo("\n".join(story.lines()))


def _show_findings(places: Sequence[str], found: Sequence[Any], limit: int) -> None:
    """One line per finding; places: where each one's row comes from."""
    from tunesmith.evaluation.drawing import clean

    shown = list(zip(found, places, strict=True))[: limit if limit > 0 else None]
    for f, where in shown:
        change = f"   {f.field} → {f.fix[:60]!r}" if f.fix is not None and f.field == "target" else ""
        said = f"{f.id:>7}  {where:<24} {f.step:<14} {f.action:<5} {f.score:.2f}  {f.reason}{change}"
        typer.echo(clean(said + (f"   ({f.review} by a reviewer)" if f.review else "")))
    if len(shown) < len(found):
        typer.echo(f"… and {len(found) - len(shown):,} more (--limit 0 shows all, --json for machines)")
    if not found:
        typer.echo("nothing was found.")


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="models, methods, tasks, steps, systems, readers or sources")],
    as_json: Json = False,
) -> None:
    """What there is to choose from."""
    from tunesmith.doctor import listing

    rows = listing(what)
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['name']:<34} {row['about']}")


@app.command()
def doctor(as_json: Json = False) -> None:
    """What of Tunesmith works on this machine, and what to type where it does not."""
    from tunesmith.doctor import examine

    findings = examine()
    if as_json:
        _print_json(findings)
    else:
        for row in findings:
            typer.echo(f"{'ok  ' if row['ok'] else 'miss'} {row['what']:<26} {row['found']}")
            if not row["ok"] and row["remedy"]:
                typer.echo(f"     {row['remedy']}")
    if not all(row["ok"] for row in findings if row["needed"]):
        raise typer.Exit(2)


@app.command()
def runs(below: Annotated[Path, typer.Argument(help="folder with runs")] = Path("runs"), as_json: Json = False) -> None:
    """The runs below a folder: verdict and size of each."""
    from tunesmith.core.files import stored_bytes
    from tunesmith.core.run import stage_records
    from tunesmith.pipeline import SavedRun, runs_below

    rows: list[dict[str, Any]] = []
    for folder in runs_below(below):
        done = stage_records(folder)
        finished = "evaluate" in done
        sentence = (
            SavedRun(folder).report.sentence if finished else f"stopped after {list(done)[-1] if done else 'nothing'}"
        )
        rows.append({"folder": str(folder), "finished": finished, "bytes": stored_bytes(folder), "sentence": sentence})
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['folder']:<34} {_size(row['bytes']):>9}  {row['sentence']}")


@app.command()
def cache(remove: Annotated[str | None, typer.Option(help="delete this entry")] = None, as_json: Json = False) -> None:
    """Base models kept on this machine, with their sizes."""
    from tunesmith.core.places import cache_root
    from tunesmith.models import cache as store

    if remove is not None:
        store.remove(remove)
    rows = [{"name": e.name, "bytes": e.bytes, "path": str(e.path)} for e in store.entries()]
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['name']:<60} {_size(int(str(row['bytes']))):>9}")
    typer.echo(f"{cache_root()}  {_size(sum(int(str(row['bytes'])) for row in rows))} in all")


def main() -> None:
    """Entry point: runs a command and turns errors into messages and exit codes.

    Of several processes that a launcher started (torchrun, `accelerate launch`), the main one runs the command.
    """
    debug = "--debug" in sys.argv or bool(os.environ.get("TUNESMITH_DEBUG"))
    if not debug:  # libraries' words to their own developers
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
    if not is_launched():
        _command(debug=debug)
        return
    from tunesmith.training.workers import taking_part

    with taking_part() as is_main:
        if is_main:
            _command(debug=debug)


def _command(*, debug: bool) -> None:
    sys.argv = [word for word in sys.argv if word != "--debug"]  # allowed anywhere on the line
    _complete_undo(sys.argv)
    try:
        code = app(standalone_mode=False, prog_name="tunesmith")  # an Exit comes back as its code
    except TunesmithError as error:
        if debug:
            raise
        _complain(error.message, error.hint)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _complain("stopped.", "the same command goes on where it stopped.")
        sys.exit(130)
    except OSError as error:
        if debug:
            raise
        _complain(_told(error), "free some space or choose another place with --out, then run the same command again.")
        sys.exit(2)
    except Exception as error:
        _exit_for(error, debug=debug)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _complete_undo(words: list[str]) -> None:
    """`--undo` without anything behind it that it could mean takes back everything."""
    if words[1:2] != ["curate"] or "--undo" not in words:
        return
    at = words.index("--undo") + 1
    alone = at == len(words) or words[at].startswith("-")
    # `curate --undo data.csv` names the data; where the data was named before, whatever follows is what is meant.
    named_before = any(not word.startswith("-") for word in words[2 : at - 1])
    if alone or (not named_before and Path(words[at]).exists()):
        words.insert(at, "all")


def _exit_for(error: Exception, *, debug: bool) -> None:
    """Exit codes of the command-line library's own exceptions; anything else is a fault of ours."""
    code = getattr(error, "exit_code", None)
    if code is not None and hasattr(error, "show"):  # wrong usage
        error.show()
        sys.exit(2)
    if type(error).__name__ == "Abort":  # what the library makes of Ctrl-C
        _complain("stopped.", "the same command goes on where it stopped.")
        sys.exit(130)
    if debug:
        raise error
    _complain(
        f"unexpected fault: {type(error).__name__}: {error}",
        "this is a bug in tunesmith: please report it with the output of the same command with --debug.",
    )
    sys.exit(1)


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


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """The keys of the config that a command line names; left out what is unset, or no option of the command."""
    names = ("task", "schema", "test", "dev", "group", "time", "tests", "database", "budget", "seed", "threads",
             "device", "max_memory")  # fmt: skip
    options: dict[str, Any] = {name: given[name] for name in names if given.get(name) is not None}
    for name in ("schema", "test", "dev", "database"):
        if name in options:
            options[name] = str(options[name])
    if given.get("target"):
        options["target"] = ",".join(given["target"])
    if given.get("input_"):
        options["inputs"] = list(given["input_"])
    if given.get("documents"):
        options["documents"] = [str(path) for path in given["documents"]]
    if given.get("keep_leaks"):
        options["keep_leaks"] = True
    model = {name: given[name] for name in ("encoder", "lm", "prefer", "max_latency") if given.get(name) is not None}
    if given.get("languages"):
        model["languages"] = _listed(given["languages"])
    if given.get("licence"):
        one = given["licence"]
        model["licence"] = one if one in ("any", "permissive") else _listed(one)
    if given.get("only"):
        model["only"] = list(given["only"])
    if model:
        options["model"] = model
    if given.get("tune") is not None:
        options["tune"] = {"fits": 0.0} if given["tune"] == "none" else {"budget": given["tune"]}
    if given.get("engine") is not None:
        options.setdefault("tune", {})["engine"] = given["engine"]
    if given.get("accept_at") is not None:
        options.setdefault("evaluate", {})["accept_at"] = given["accept_at"]
    if given.get("wage") is not None:
        options["cost"] = {"wage": given["wage"]}
    forget = {"at_most": given.get("forget_at_most"), "probe": None if (p := given.get("probe")) is None else str(p)}
    if kept := {name: value for name, value in forget.items() if value is not None}:
        options.setdefault("train", {})["forget"] = kept
    for pair in given.get("set_") or []:
        _set(options, pair)
    return options


def _listed(words: str) -> list[str]:
    """What commas separate."""
    return [word.strip() for word in words.split(",") if word.strip()]


def _set(options: dict[str, Any], pair: str) -> None:
    import yaml

    key, equals, text = pair.partition("=")
    *tables, name = key.split(".")
    if not equals:
        raise ConfigError(f"--set {pair}: expected table.option=value.", hint="for example --set model.worth=0.5")
    value = yaml.safe_load(text)
    for table in tables:
        options = options.setdefault(table, {})
        if not isinstance(options, dict):
            raise ConfigError(f"--set {pair}: '{table}' is an option, not a table of them.")
    options[name] = value


def _show(report: dict[str, Any], folder: Path, *, as_json: bool) -> None:
    if as_json:
        _print_json(report)
        return
    from rich.console import Console

    from tunesmith.evaluation import terminal

    terminal.show(report, Console(highlight=False))
    typer.echo(f"report: {folder / 'report.html'}\nuse it: tunesmith predict {folder} new.csv")


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def _complain(message: str, hint: str | None) -> None:
    typer.echo(f"tunesmith: {message}", err=True)
    if hint:
        typer.echo(f"  {hint}", err=True)


def _told(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
