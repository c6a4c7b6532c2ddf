"""What commands print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import typer


def print_json(value: Any) -> None:
    """For machines: one indented document on stdout."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def show_findings(places: Sequence[str], found: Sequence[Any], limit: int) -> None:
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


def size(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / 1e6:,.1f} MB"
