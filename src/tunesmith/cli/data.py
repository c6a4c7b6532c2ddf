"""Commands of the data room: curate, evidence, contrast, value, findings, trace."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli.options import (
    Dev,
    Encoder,
    Group,
    Input,
    Json,
    KeepLeaks,
    Lm,
    Out,
    Seed,
    Set,
    Source,
    Target,
    TaskName,
    Test,
    Time,
    options_of,
)
from tunesmith.cli.printing import print_json, show_findings
from tunesmith.core.errors import ConfigError


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

    options = options_of(locals())
    asked = settings(steps=step or (), policies=policy or (), reviews=reviews)
    if asked:
        options["curate"] = {**options.get("curate", {}), **asked}
    with Follower(quiet=as_json) as follow:
        made = curate_table(
            source, out=out, options=options, undo=undo or (), by=by, dry_run=dry_run, listeners=[follow]
        )
    if as_json:
        print_json(made.to_json())
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
        show_findings(made.places, made.findings, 20)
        typer.echo("dry run: nothing was written. --json lists every finding; without --dry-run it is done.")
    else:
        typer.echo(f"see: tunesmith findings {made.folder}   one row: tunesmith trace {made.folder} ROW")


_DONE = {"drop": "dropped", "fix": "mended", "flag": "flagged", "keep": "kept as reviewed"}


System = Annotated[str, typer.Option("--system", help="what is trained: probe (cheap), or a rung of the ladder")]


Steps = Annotated[int | None, typer.Option("--steps", help="optimizer steps of a rung that trains by gradient")]


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

    options = options_of(locals())
    with Follower(quiet=as_json) as follow:
        found, made = measure_evidence(
            source, out=out, options=options, chosen=Chosen(system, steps, draws), listeners=[follow]
        )
    if as_json:
        print_json(made.to_json())
        return
    typer.echo("\n".join(found.lines()))
    typer.echo(f"see: {made.files[0]}")


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

    options = options_of(locals())
    with Follower(quiet=as_json) as follow:
        found, made = measure_contrast(
            source, generic=generic, out=out, options=options, chosen=Chosen(system, steps), rows=rows, seeds=seeds,
            prices=Prices(label_price, generic_price, hour_price), listeners=[follow],
        )  # fmt: skip
    if as_json:
        print_json(made.to_json())
        return
    typer.echo("\n".join(found.lines()))
    typer.echo(f"   {made.files[0]}")


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

    options = options_of(locals())
    with Follower(quiet=as_json) as follow:
        found, made = measure_value(
            source, out=out, options=options, features=features, label_price=label_price, listeners=[follow]
        )
    if as_json:
        print_json(made.to_json())
        return
    typer.echo("\n".join(found.lines(label_price=label_price)))
    for file in made.files:
        typer.echo(f"   {file}")


def findings(  # noqa: PLR0913
    folder: Annotated[Path, typer.Argument(help="run folder", show_default=False)],
    step: Annotated[list[str] | None, typer.Option("--step", help="only of this step (repeat)")] = None,
    kind: Annotated[str | None, typer.Option(help="only of this kind, where a step finds several")] = None,
    action: Annotated[str | None, typer.Option(help="only what was dropped, fixed, flagged or kept")] = None,
    accept: Annotated[str | None, typer.Option(help="do what is found in these rows: 3,5,10-20 or all")] = None,
    reject: Annotated[str | None, typer.Option(help="leave these rows as they were")] = None,
    withdraw: Annotated[str | None, typer.Option(help="take back what was decided about these rows")] = None,
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
    if accept is None and reject is None and withdraw is None and not edits:
        listed = Listed.open(folder, steps=steps, kind=kind, action=action)
        if as_json:
            print_json(listed.to_json())
        else:
            show_findings(listed.places, listed.findings, limit)
            if sys.stdout.isatty():  # from now on somebody thinks about them: the cost ledger counts that
                looked(folder, by or user_name())
            if (folder / "08-evaluate" / "stage.json").exists():
                typer.echo(f"where the model fails, what to label next:  tunesmith findings {folder} --model")
        return
    written = review(
        folder, edits, accept=accept, reject=reject, withdrawn=withdraw, steps=steps, kind=kind, field=field, by=by
    )
    if as_json:
        print_json({"written": written, "folder": str(folder)})
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
            print_json([vars(row) for row in rows])
            return
        for row in rows:
            said = f"row {row.row:>6}  doubt {row.doubt:.2f}  {row.prediction} or {row.second}: {row.text}"
            typer.echo(clean(" ".join(said.split()))[:200])
        return
    from tunesmith.evaluation.model_findings import findings_json, findings_lines

    details = saved.report.to_json()["details"]
    if as_json:
        print_json(findings_json(details))
        return
    for line in findings_lines(details):
        typer.echo(clean(line))


def _edit_of(pair: str) -> tuple[int, str]:
    row, equals, value = pair.partition("=")
    if not equals or not row.strip().isdecimal():
        raise ConfigError(f"--edit {pair}: expected ROW=VALUE.", hint="for example --edit 12=refund")
    return int(row), value


def trace(
    folder: Annotated[Path, typer.Argument(help="run folder", show_default=False)],
    row: Annotated[str, typer.Argument(help="row number, or file:line", show_default=False)],
    as_json: Json = False,
) -> None:
    """The story of one row, from file and line through every change to its split and what the models said."""
    from tunesmith.tracing import trace as story_of

    story = story_of(folder, row)
    if as_json:
        print_json(story.to_json())
    else:
        typer.echo("\n".join(story.lines()))
