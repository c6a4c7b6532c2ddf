"""Cell: texts of another manner planted among the notes of a dialogue data set, found by the step `style`.

The table is the validation and test parts, 5 % of whose answers are replaced: by one kind alone, and by all kinds
together. Only the training part was looked at while the step was made. Every seed plants anew.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import registers
import report

SHARE = 0.05


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows: AUROC a kind, of all kinds in one table, and what is flagged without being asked."""
    from sklearn.metrics import roc_auc_score

    base = registers.mts_dialog(asked.shared, ["Validation", "TestSet"])
    genres = registers.other_genres(asked.shared)
    kinds = [*genres, "dialogue", "patient's words", *registers.REWRITES]
    seeds = range(2 if asked.quick else 5)
    told: dict[str, Any] = {"unit": "AUROC", "seeds": len(seeds)}
    rows = []
    for kind in kinds:
        values, planted = [], 0
        for seed in seeds:
            table = [dict(row) for row in base]
            bad = registers.plant(table, kind, share=SHARE, genres=genres, seed=seed)
            _, score = _scored(table)
            values.append(roc_auc_score(_marked(len(table), bad), score))
            planted += len(bad)
        rows.append(
            report.row(f"style outliers, {kind} alone", float(np.mean(values)), bar=0.95, n=planted,
                       interval=[min(values), max(values)], interval_is="smallest and largest of the seeds", **told)
        )  # fmt: skip
    mixed = [kind for kind in kinds if kind != "tense changed over"]
    values, hits = [], []
    for seed in range(3 * len(seeds)):
        table = [dict(row) for row in base]
        bad = plant_all(table, mixed, genres, seed)
        flagged, score = _scored(table)
        truth = _marked(len(table), bad)
        values.append(roc_auc_score(truth, score))
        hits.append((truth[flagged].sum(), len(flagged), truth.sum()))
    right, said, true = np.sum(hits, axis=0)
    told["seeds"] = 3 * len(seeds)
    spread = [float(np.quantile(values, q)) for q in (0.025, 0.975)]
    rows.append(
        report.row("style outliers, ten kinds together", float(np.mean(values)), bar=0.95, n=int(true),
                   interval=spread, interval_is="95 % of the seeds", **told)
    )  # fmt: skip
    told["unit"] = "share"
    rows.append(report.row("style, precision of what is flagged", float(right / said), bar=None, n=int(said), **told))
    rows.append(report.row("style, recall of what is flagged", float(right / true), bar=None, n=int(true), **told))
    return rows


def plant_all(table: list[dict[str, str]], kinds: list[str], genres: dict[str, list[str]], seed: int) -> list[int]:
    """Plants every kind in its share of SHARE, no row twice; which rows."""
    free = list(range(len(table)))
    bad: list[int] = []
    for kind in kinds:
        part = [table[at] for at in free]
        took = [free[at] for at in registers.plant(part, kind, share=SHARE / len(kinds), genres=genres, seed=seed)]
        bad += took
        free = [at for at in free if at not in took]
    return bad


def _scored(table: list[dict[str, str]]) -> tuple[Any, Any]:
    from tunesmith.data.distances import far_out
    from tunesmith.data.style import style_of

    return far_out(style_of([row["answer"] for row in table]).nats, least=8.0)


def _marked(n: int, bad: list[int]) -> Any:
    truth = np.zeros(n)
    truth[bad] = 1
    return truth
