"""results.json in the common form, and the table made from it. A row that was lost stays in the table."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

from booking import row

__all__ = ["read", "row", "table", "write"]

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"


def read() -> list[dict[str, Any]]:
    """The rows there are."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


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
