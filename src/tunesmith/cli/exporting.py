"""Commands that take a model out of the house: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli.options import Json
from tunesmith.cli.printing import print_json, size
from tunesmith.console import Follower
from tunesmith.core.config import parse_bytes, parse_duration
from tunesmith.core.errors import ConfigError


def export(
    folder: Annotated[Path, typer.Argument(help="run folder", show_default=False)],
    to: Annotated[str | None, typer.Option(help="form (tunesmith list exporters); none: which can be had")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="folder to write (default: RUN/11-export/FORM)")] = None,
    quantize: Annotated[
        str | None, typer.Option(help="weights as int8, q8_0 or f16, where the form knows them")
    ] = None,
    system: Annotated[str | None, typer.Option(help="another rung than the one that ships")] = None,
    rows: Annotated[int | None, typer.Option(help="held rows to verify on (default 200)")] = None,
    max_size: Annotated[str | None, typer.Option(help="largest folder (50MB): the form that keeps to it")] = None,
    max_latency: Annotated[
        str | None, typer.Option(help="longest single answer (20ms, of one core): the form that keeps to it")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the model in a form that other programs run, verified by answering held rows with it."""
    from tunesmith.exporting import export_run, shipped

    if rows is not None and rows < 1:
        raise ConfigError(f"--rows {rows}: expected at least 1.")
    size_limit = None if max_size is None else parse_bytes(max_size, where="--max-size")
    time_limit = None if max_latency is None else parse_duration(max_latency, where="--max-latency")
    if to is None and size_limit is None and time_limit is None:
        from tunesmith.deploy.export import forms_for

        forms = list(forms_for(shipped(folder, system=system)))
        if as_json:
            print_json([{"to": name, "quantize": list(kinds), "why_not": why} for name, kinds, why in forms])
            return
        for name, kinds, why in forms:
            typer.echo(f"{name:<14} {', '.join(kinds) if why is None else f'no: {why}'}")
        typer.echo(f"\nwrite one:  tunesmith export {folder} --to FORM")
        return
    with Follower(quiet=as_json) as follow:
        done = export_run(
            folder, to, out=out, quantisation=quantize, system=system, rows=rows, max_size=size_limit,
            max_latency=time_limit, listen=follow,
        )  # fmt: skip
    if as_json:
        print_json(done.to_dict())
        return
    c = done.compared
    typer.echo(f"{done.to} {done.quantisation}   {size(done.size)}   {done.folder}")
    typer.echo(
        f"verified in a fresh process on {c.n} held rows: {c.agreement:.1%} of the answers equal, "
        f"{c.metric} {c.score:.3f} (original {c.original_score:.3f}, difference {c.difference:+.4f}, "
        f"{c.interval[0]:+.4f} to {c.interval[1]:+.4f})"
    )
    if c.logits is not None:
        typer.echo(f"logits differ by at most {c.logits[0]:.2g}, {c.logits[1]:.2g} in the mean (n = {c.logits_n})")
    if done.timed:
        cpu, clock = done.timed["cpu_ms_p50"], done.timed["wall_ms_p50"]
        typer.echo(
            f"one answer takes {cpu:.1f} ms of one core, {clock:.1f} ms by the clock (medians of {done.timed['n']:.0f})"
        )
    if done.why:
        typer.echo(f"why: {done.why}")
    typer.echo(f"use it: see {done.folder / 'README.md'}")
