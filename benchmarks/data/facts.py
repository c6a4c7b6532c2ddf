"""Cell: one number, entity or polarity swapped in notes of dialogues, found by the step `facts`.

The table is every part of the data set; swaps are planted in a fifth of those answers of the validation and test
parts that hold such a fact, and only these parts are scored. Only the training part was looked at while the step was
made. Two questions: swaps of facts that the source states in the same words, and swaps of any fact. A third of the
numbers of these notes are not in their dialogue, so a swap of those leaves no trace.
"""

from __future__ import annotations

import argparse
from typing import Any

import corruptions
import numpy as np
import registers
import report

SHARE = 0.2
SEEDS = 3
OWN = {"number": "number", "entity": "word", "negation": "polarity"}


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows: AUROC a kind by all evidence and by that of its kind; precision and recall of what is flagged."""
    from sklearn.metrics import roc_auc_score

    from tunesmith.data.grounding import KINDS, grounding

    train = registers.mts_dialog(asked.shared, ["Training"])
    held = registers.mts_dialog(asked.shared, ["Validation", "TestSet"])
    rows = []
    for checkable in (True, False):
        told = "that the source states" if checkable else "of any kind"
        hits = np.zeros(3)
        for kind in corruptions.SWAPS:
            values: dict[str, list[float]] = {"all": [], "own": [], "able": []}
            n = 0
            for seed in range(1 if asked.quick else SEEDS):
                answers = [row["answer"] for row in held]
                sources = [row["dialogue"] for row in held]
                bad, able = corruptions.corrupt(
                    answers, sources, kind, share=SHARE, seed=seed, checkable=checkable
                )  # fmt: skip
                truth = np.zeros(len(held))
                truth[bad] = 1
                n += len(bad)
                seen = grounding([r["dialogue"] for r in train] + sources, [r["answer"] for r in train] + answers)
                nats = {name: value[len(train) :] for name, value in seen.nats.items()}
                every = np.logaddexp.reduce(np.array([nats[name] for name in KINDS]), axis=0)
                own = nats[OWN[kind]]
                values["all"].append(roc_auc_score(truth, every))
                values["own"].append(roc_auc_score(truth, own))
                values["able"].append(roc_auc_score(truth[able], own[able]))
                flagged = own > np.log(0.95 / 0.05)
                hits += (truth[flagged].sum(), flagged.sum(), truth.sum())
            mean = {name: float(np.mean(value)) for name, value in values.items()}
            told_all = {"unit": "AUROC", "n": n, "seeds": len(values["own"])}
            rows.append(report.row(f"facts {told}, {kind}: evidence of that kind", mean["own"], bar=0.9,
                                   among_rows_with_such_a_fact=mean["able"], **told_all))  # fmt: skip
            rows.append(report.row(f"facts {told}, {kind}: all evidence", mean["all"], bar=0.9, **told_all))
        right, said, true = hits
        rows.append(report.row(f"facts {told}, precision of what is flagged", float(right / max(said, 1)), bar=None,
                               unit="share", n=int(said)))  # fmt: skip
        rows.append(report.row(f"facts {told}, recall of what is flagged", float(right / true), bar=None, unit="share",
                               n=int(true)))  # fmt: skip
    return rows
