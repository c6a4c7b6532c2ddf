"""Rows of results in the form that all benchmarks share, a file per cell, and the table made from all of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"


def row(
    measure: str, value: float | None, *, bar: float | None, unit: str, higher: bool = True, **more: Any
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
        "command": more.pop("command", "python benchmarks/data/run.py"), **more,
    }  # fmt: skip


def measured(cell: str) -> bool:
    """Whether the cell has rows."""
    return (RESULTS / f"{cell}.json").exists()


def save(cell: str, rows: list[dict[str, Any]]) -> None:
    """Writes the cell's rows in the place of those before."""
    RESULTS.mkdir(exist_ok=True)
    lines = [{**row, "cell": cell} for row in rows]
    (RESULTS / f"{cell}.json").write_text(json.dumps(lines, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write() -> None:
    """results.json and table.md of all cells. A row that was lost stays in both."""
    files = sorted(RESULTS.glob("*.json"))
    rows = [row for path in files for row in json.loads(path.read_text(encoding="utf-8"))]
    (HERE / "results.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    lines = ["| cell | measure | value | interval | bar | met | peer | n |", "|---|---|---|---|---|---|---|---|"]
    for r in rows:
        interval = "" if not r["interval"] else f"{r['interval'][0]:.3g} – {r['interval'][1]:.3g}"
        value = "not measured" if r["value"] is None else f"{r['value']:.4g} {r['unit']}"
        met = {True: "yes", False: "**no**", None: ""}[r["met"]]
        bar = "" if r["bar"] is None else f"{r['bar']:g}"
        peer = (
            "" if r["peer"] is None else f"{r['peer']}" + ("" if r["peer_value"] is None else f" {r['peer_value']:.4g}")
        )
        lines.append(
            f"| {r['cell']} | {r['measure']} | {value} | {interval} | {bar} | {met} | {peer} | {r['n'] or ''} |"
        )
    (HERE / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
