"""Commands about this machine: list, doctor, runs, cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tunesmith.cli.options import Json
from tunesmith.cli.printing import print_json, size


def list_(
    what: Annotated[str, typer.Argument(help="models, methods, tasks, steps, systems, readers, sources or exporters")],
    as_json: Json = False,
) -> None:
    """What there is to choose from."""
    from tunesmith.doctor import listing

    rows = listing(what)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['name']:<34} {row['about']}")


def doctor(as_json: Json = False) -> None:
    """What of Tunesmith works on this machine, and what to type where it does not."""
    from tunesmith.doctor import examine

    findings = examine()
    if as_json:
        print_json(findings)
    else:
        for row in findings:
            typer.echo(f"{'ok  ' if row['ok'] else 'miss'} {row['what']:<26} {row['found']}")
            if not row["ok"] and row["remedy"]:
                typer.echo(f"     {row['remedy']}")
    if not all(row["ok"] for row in findings if row["needed"]):
        raise typer.Exit(2)


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
        print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['folder']:<34} {size(row['bytes']):>9}  {row['sentence']}")


def cache(remove: Annotated[str | None, typer.Option(help="delete this entry")] = None, as_json: Json = False) -> None:
    """Base models kept on this machine, with their sizes."""
    from tunesmith.core.places import cache_root
    from tunesmith.models import cache as store

    if remove is not None:
        store.remove(remove)
    rows = [{"name": e.name, "bytes": e.bytes, "path": str(e.path)} for e in store.entries()]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['name']:<60} {size(int(str(row['bytes']))):>9}")
    typer.echo(f"{cache_root()}  {size(sum(int(str(row['bytes'])) for row in rows))} in all")
