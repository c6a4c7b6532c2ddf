"""Rows of results in the form that all benchmarks share: a file per cell, and the table made from all of them."""

from __future__ import annotations

import json
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


def _line(r: dict[str, Any]) -> str:
    interval = "" if not r["interval"] else f"{r['interval'][0]:.3g} – {r['interval'][1]:.3g}"
    value = "not measured" if r["value"] is None else f"{r['value']:.4g} {r['unit']}"
    met = {True: "yes", False: "**no**", None: ""}[r["met"]]
    bar = "" if r["bar"] is None else f"{r['bar']:g}"
    beside = "" if r["peer_value"] is None else f" {r['peer_value']:.4g}"
    peer = "" if r["peer"] is None else f"{r['peer']}{beside}"
    return f"| {r['cell']} | {r['measure']} | {value} | {interval} | {bar} | {met} | {peer} | {r['n'] or ''} |"
