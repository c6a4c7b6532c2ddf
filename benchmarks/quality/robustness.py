"""What disturbed texts cost the shipped system, and what confidence, slices and disturbed texts add to a run's time.

Whole runs by the command line, on the sets' own splits where they have one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import judged
import report


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for name in list(judged.WHOLE)[: 1 if asked.quick else None]:
        folder = judged.whole_run(name, asked)
        made = json.loads((folder / "08-evaluate" / "report.json").read_text(encoding="utf-8"))
        found = made["details"]["robustness"]
        for kind in found.get("kinds", ()):
            rows.append(report.row(
                f"{kind['name']}, {name}", 100 * kind["difference"], bar=None, unit=f"points of {found['metric']}",
                cell="robustness", n=kind["n"], interval=[100 * v for v in kind["interval"]], before=kind["before"],
                after=kind["after"], changed=kind["changed"], flipped=kind["flipped"], ships=made["verdict"]["winner"],
            ))  # fmt: skip
        parts = _parts(folder)
        stages = [json.loads(p.read_text(encoding="utf-8"))["cpu_seconds"] for p in sorted(folder.glob("*/stage.json"))]
        rows.append(report.row(
            f"CPU time of all that is said of trust, {name}", sum(parts.values()) / sum(stages), bar=0.05, higher=False,
            unit="of the run", cell="robustness", run_cpu_s=sum(stages), parts=parts,
        ))  # fmt: skip
    return rows


def _parts(folder: Path) -> dict[str, float]:
    """CPU seconds of weak parts, confidence and disturbed texts, as the run logged them last."""
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return next(e["cpu_seconds"] for e in map(json.loads, reversed(lines)) if e["event"] == "inspected")
