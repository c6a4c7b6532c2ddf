"""Rows of results in the form that all benchmarks share: a file per cell, and the table made from all of them."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def row(
    measure: str, value: float | None, *, bar: float | None, unit: str, command: str, higher: bool = True, **more: Any
) -> dict[str, Any]:
    """One measurement; `more` is whatever else was seen. A value of None says that it could not be measured."""
    from tunesmith.core.machine import describe

    met = None if bar is None or value is None else bool(value >= bar if higher else value <= bar)
    machine = describe()
    return {
        "measure": measure, "value": value, "interval": more.pop("interval", None), "unit": unit,
        "peer": more.pop("peer", None), "peer_value": more.pop("peer_value", None), "bar": bar, "met": met,
        "n": more.pop("n", None), "seeds": more.pop("seeds", 1),
        "machine": f"{machine['cpu']}, {machine['cores']} cores", "date": datetime.now(UTC).date().isoformat(),
        "command": command, **more,
    }  # fmt: skip


@dataclass(frozen=True)
class Book:
    """What was measured by the cells of one benchmark, in its folder: results/<cell>.json, results.json, table.md."""

    folder: Path

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def measured(self, cell: str) -> bool:
        """Whether the cell has rows."""
        return (self.results / f"{cell}.json").exists()

    def rows(self, cell: str) -> list[dict[str, Any]]:
        """The cell's rows; none if it was not measured."""
        path = self.results / f"{cell}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []

    def save(self, cell: str, rows: list[dict[str, Any]]) -> None:
        """Writes the cell's rows in the place of those before."""
        self.results.mkdir(exist_ok=True)
        lines = [{**row, "cell": cell} for row in rows]
        text = json.dumps(lines, indent=1, ensure_ascii=False) + "\n"
        (self.results / f"{cell}.json").write_text(text, encoding="utf-8")

    def write(self) -> None:
        """results.json and table.md of all cells. A row that was lost stays in both."""
        files = sorted(self.results.glob("*.json"))
        rows = [row for path in files for row in json.loads(path.read_text(encoding="utf-8"))]
        whole = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
        (self.folder / "results.json").write_text(whole, encoding="utf-8")
        lines = ["| cell | measure | value | interval | bar | met | peer | n |", "|---|---|---|---|---|---|---|---|"]
        lines += map(_line, rows)
        (self.folder / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def measure(book: Book, known: Sequence[str], asked: argparse.Namespace, *, written: bool = True) -> None:
    """Measures the cells asked for, or all that have no rows yet; each is written as it ends. A cell is a module.

    asked: `add_options` made it. written: False where what is measured is not the benchmark itself (nor with --quick).
    """
    written = written and not asked.quick
    asked.work.mkdir(parents=True, exist_ok=True)
    for name in () if asked.table else (asked.only or known):
        if not asked.only and written and book.measured(name):
            continue
        print(f"== {name}", file=sys.stderr, flush=True)
        rows = importlib.import_module(name).measure(asked)
        if written:
            book.save(name, rows)
        for row in rows:
            print(json.dumps(row, ensure_ascii=False), flush=True)
    if written:
        book.write()


def add_options(parser: argparse.ArgumentParser, known: Sequence[str], here: Path) -> None:
    """The options that `measure` and the cells of the benchmark in the folder `here` read."""
    parser.add_argument("--only", nargs="*", default=[], choices=known, metavar="CELL", help=", ".join(known))
    parser.add_argument("--shared", type=Path, default=here.parents[2] / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path("runs") / f"{here.name}-benchmark")
    parser.add_argument(
        "--peer", nargs="*", default={}, action=_ByCell, metavar="CELL=PYTHON",
        help="interpreters that have a cell's peer installed",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="fewer rows, requests and seeds, nothing written")
    parser.add_argument("--table", action="store_true", help="only make the table of what was measured before")


class _ByCell(argparse.Action):
    """CELL=VALUE pairs as a dict."""

    def __call__(self, parser: Any, asked: Any, values: Any, option: str | None = None) -> None:
        odd = [given for given in values if "=" not in given]
        if odd:
            parser.error(f"{option}: '{odd[0]}' is not CELL=PYTHON.")
        setattr(asked, self.dest, dict(given.split("=", 1) for given in values))


def _line(r: dict[str, Any]) -> str:
    interval = "" if not r["interval"] else f"{r['interval'][0]:.3g} – {r['interval'][1]:.3g}"
    value = "not measured" if r["value"] is None else f"{r['value']:.4g} {r['unit']}"
    met = {True: "yes", False: "**no**", None: ""}[r["met"]]
    bar = "" if r["bar"] is None else f"{r['bar']:g}"
    beside = "" if r["peer_value"] is None else f" {r['peer_value']:.4g}"
    peer = "" if r["peer"] is None else f"{r['peer']}{beside}"
    return f"| {r['cell']} | {r['measure']} | {value} | {interval} | {bar} | {met} | {peer} | {r['n'] or ''} |"
