"""Whether what is forecast of a run comes true: minutes and CPU inside their 80 % intervals, peak memory within 15 %.

Real runs of many kinds, one after the other. The interval of each is learnt from the runs of all other tables, so
nothing of a table is known beforehand. 25 minutes of a quiet core.

    python benchmarks/quality/forecast.py   # from results/: what the product leans on before it has runs of its own
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import report
import tables

from tunesmith.core.forecasts import ARITHMETIC, COVERAGE, Quantity, Turnout, expected
from tunesmith.core.statistics import binomial_two_sided, wilson

_QUANTITIES = {"minutes": "min", "CPU minutes": "min", "peak memory": "MB"}
# (table, rows or None for all, budget)
RUNS: tuple[tuple[str, int | None, str], ...] = (
    ("polarity:amazon", None, "45s"), ("polarity:film", 2500, "40s"), ("polarity:opinion", 1500, "60s"),
    ("polarity:tweets", 3000, "45s"), ("messages", None, "40s"), ("messages", 800, "60s"), ("messages", 3000, "45s"),
    ("news", 2000, "40s"), ("news", 6000, "60s"), ("comments", None, "40s"), ("comments", 600, "60s"),
    ("tweets:pcm", 2000, "40s"), ("tweets:kin", None, "45s"), ("tweets:swa", None, "40s"), ("tweets:twi", 1500, "60s"),
    ("tweets:ary", 2000, "45s"), ("intents:20", None, "60s"), ("intents:10", 600, "40s"), ("intents:40", 2000, "45s"),
    ("intents", None, "90s"), ("notes", 200, "60s"), ("notes", 500, "90s"), ("summaries", 200, "60s"),
    ("polarity", 4000, "90s"),
)  # fmt: skip


def measure(asked: Namespace) -> list[dict[str, Any]]:
    """Runs what is not there yet in `work`, then judges every run by the others."""
    runs = RUNS[:4] if asked.quick else RUNS
    found = [(name, _turnout(name, rows, budget, asked)) for name, rows, budget in runs]
    made = []
    for quantity, unit in _QUANTITIES.items():
        judged = [q for name, turnout in found if (q := _judged(quantity, name, turnout, found)) is not None]
        made += _rows(quantity, unit, judged)
    return [{**row, "turnouts": [vars(t) for _, t in found]} if row is made[0] else row for row in made]


def _turnout(name: str, rows: int | None, budget: str, asked: Namespace) -> Turnout:
    table = tables.table(name, asked.shared, asked.work, rows=rows)
    folder = asked.work / "forecast" / f"{table.stem}-{budget}"
    if not _done(folder):
        shutil.rmtree(folder, ignore_errors=True)  # half of a run would not be forecast from its start
        print(f"   {folder.name}", file=sys.stderr, flush=True)
        words = [sys.executable, "-m", "tunesmith", "run", str(table), "--target", "label", "--budget", budget]
        words += ["--threads", "1", "--out", str(folder), "--json"]
        subprocess.run(
            words, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "TUNESMITH_RECORD": str(asked.work)}
        )
    told = json.loads((folder / "forecast.json").read_text(encoding="utf-8"))
    kind = "text" if name.partition(":")[0] in ("notes", "summaries", "queries") else "label"
    return Turnout.of(kind, [Quantity(**q) for q in told["quantities"] if q["name"] in _QUANTITIES])


def _done(folder: Path) -> bool:
    """Whether the run has ended, with a forecast by today's arithmetic; runs of an earlier one are made again."""
    path = folder / "forecast.json"
    return path.exists() and json.loads(path.read_text(encoding="utf-8")).get("arithmetic") == ARITHMETIC


def _judged(quantity: str, name: str, turnout: Turnout, found: list[tuple[str, Turnout]]) -> Quantity | None:
    """The forecast that the runs of other tables give, with what came."""
    table = name.partition(":")[0]
    others = [t for other, t in found if other.partition(":")[0] != table]
    alike = [t for t in others if t.kind == turnout.kind]
    ratios = [t.actual[quantity] / t.raw[quantity] for t in (alike if len(alike) >= 9 else others)]
    made = expected(quantity, turnout.raw[quantity], ratios, unit="", why="")
    return None if made.low is None else made.with_actual(turnout.actual[quantity])


def _rows(quantity: str, unit: str, judged: list[Quantity]) -> list[dict[str, Any]]:
    n = len(judged)
    if not n:
        return [report.row(f"{quantity}: inside the interval", None, bar=COVERAGE, unit="of runs", cell="forecast")]
    held = sum(bool(q.held) for q in judged)
    widths = [q.high / q.low for q in judged if q.low and q.high]
    errors = [abs(q.likely / q.actual - 1) for q in judged if q.actual]
    p = binomial_two_sided(held, n, COVERAGE)
    share = report.row(
        f"{quantity}: inside the stated 80 % interval, learnt from other tables' runs", held / n, bar=None,
        unit="of runs", cell="forecast", n=n, interval=list(wilson(held, n)), p_value=p,
        errors=[round(e, 3) for e in errors],
    )  # fmt: skip
    share["bar"], share["met"] = COVERAGE, bool(held / n >= COVERAGE or p >= 0.05)
    width = report.row(
        f"{quantity}: width of that interval, high over low", float(np.median(widths)),
        bar=2.0 if quantity != "peak memory" else None, unit="x", higher=False, cell="forecast", n=n,
    )  # fmt: skip
    off = report.row(
        f"{quantity}: what is likely off what came, median", float(np.median(errors)),
        bar=0.15 if quantity == "peak memory" else None, unit="of what came", higher=False, cell="forecast", n=n,
        within_15=sum(e <= 0.15 for e in errors) / n,
    )  # fmt: skip
    return [share, width, off]


if __name__ == "__main__":
    saved = json.loads((report.BOOK.results / "forecast.json").read_text(encoding="utf-8"))
    turnouts = next(row["turnouts"] for row in saved if "turnouts" in row)
    for turnout in turnouts:
        for part in ("raw", "actual"):
            turnout[part] = {name: round(value, 4) for name, value in turnout[part].items()}
        turnout |= {"likely": {}, "low": {}, "high": {}}
    target = Path(__file__).parents[2] / "src" / "tunesmith" / "core" / "forecasts.json"
    target.write_text(json.dumps(turnouts, indent=1) + "\n", encoding="utf-8")
