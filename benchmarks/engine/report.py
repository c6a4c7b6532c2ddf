"""results.json in the common form, and the table made from it. A row that was lost stays in the table."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"


def read() -> list[dict[str, Any]]:
    """The rows there are."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


def row(
    measure: str, value: float | None, *, bar: float | None, unit: str, command: str, higher: bool = True, **more: Any
) -> dict[str, Any]:
    """One measurement in the schema that all benchmarks share; more: whatever else was seen."""
    from tunesmith.core.machine import describe

    met = None if bar is None or value is None else bool(value >= bar if higher else value <= bar)
    machine = describe()
    return {
        "measure": measure, "value": value, "interval": more.pop("interval", None), "unit": unit,
        "peer": more.pop("peer", None), "peer_value": more.pop("peer_value", None), "bar": bar, "met": met,
        "n": more.pop("n", None), "seeds": more.pop("seeds", 1),
        "machine": f"{machine['cpu']}, {machine['cores']} cores",
        "date": datetime.now(UTC).date().isoformat(), "command": command, **more,
    }  # fmt: skip


def write(rows: list[dict[str, Any]]) -> None:
    """Both files anew."""
    RESULTS.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    (HERE / "table.md").write_text(table(rows))


def table(rows: list[dict[str, Any]]) -> str:
    """The rows to read."""
    lines = [
        "| measure | value | interval | bar | aim | met | ours | peer | peer's variant | n |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        interval = "" if not r["interval"] else f"{r['interval'][0]:.3g} – {r['interval'][1]:.3g}"
        met = {True: "yes", False: "**no**", None: ""}[r["met"]]
        value = "not measured" if r["value"] is None else f"{r['value']:.3g} {r['unit']}"
        lines.append(
            f"| {r['measure']} | {value} | {interval} | {_number(r['bar'])} | {_number(r.get('aim'))} | {met} | "
            f"{_number(r.get('ours'))} | {_number(r['peer_value'])} | {r['peer'] or ''} | {r['n'] or ''} |"
        )
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
