"""SmolLM2-135M at a learning rate 30 times too high: 2 tasks x 3 seeds, judged as in `harmful`."""

from __future__ import annotations

import argparse
from typing import Any

import forgetting
import harmful
import report

_RATE = 1e-3
_TASKS = {"banking77, 20 intents": "intents:20", "sms_spam": "messages"}


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    cases = [(table, seed) for table in _TASKS.values() for seed in range(3)][: 1 if asked.quick else None]
    runs = [_run(table, seed, asked) for table, seed in cases]
    return [
        report.row(
            "SmolLM2-135M, rate 30 times too high: caught, and what is kept is sound",
            sum(one["caught"] and one["sound"] for one in runs), bar=len(runs), unit="runs", cell="harmful_smollm2",
            n=len(runs), seeds=3, tasks=list(_TASKS), by=harmful.reasons(runs), why=[one["why"] for one in runs],
            cpu_s=[one["cpu_s"] for one in runs],
        )
    ]  # fmt: skip


def _run(table: str, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    rows = forgetting.rows_of_table(table, seed, asked)
    job = forgetting.job_of(rows, {"rate": harmful.TOO_HIGH * _RATE}, harmful.STEPS)
    return harmful.judged(table.replace(":", "-"), seed, harmful.TOO_HIGH, rows, job, asked)
