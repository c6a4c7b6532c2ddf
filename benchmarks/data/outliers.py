"""Cell: rows of another domain among those of a table, found by the step `outliers` with and without an encoder."""

from __future__ import annotations

import argparse
import random
from typing import Any

import numpy as np
import registers
import report

SHARE, ROWS = 0.03, 1_500


def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows: a home table each, AUROC over all strangers, precision and recall of what is flagged."""
    from sklearn.metrics import roc_auc_score

    from tunesmith.data.distances import far_out
    from tunesmith.data.outlying import lexical_vectors, neighbour_distances
    from tunesmith.data.vectors import sentence_vectors

    texts = registers.other_genres(asked.shared)
    texts["notes"] = [row["answer"] for row in registers.mts_dialog(asked.shared, ["Validation", "TestSet"])]
    rows = []
    for home in ("bank questions", "text messages", "notes"):
        for name, embed in (("encoder", sentence_vectors), ("words alone", lexical_vectors)):
            values, hits = [], np.zeros(3)
            for other in texts:
                if other == home:
                    continue
                rng = random.Random(f"{home}-{other}")
                own = rng.sample(texts[home], min(ROWS, len(texts[home])))
                strangers = rng.sample(texts[other], round(SHARE * len(own)))
                vectors = embed(own + strangers)
                if vectors is None:
                    break
                truth = np.array([0] * len(own) + [1] * len(strangers))
                flagged, score = far_out(neighbour_distances(vectors), least=0.0, deviations=3.0)
                values.append(roc_auc_score(truth, score))
                hits += (truth[flagged].sum(), len(flagged), truth.sum())
            right, said, true = hits
            what = f"outliers among {home}, {name}"
            told = {
                "unit": "AUROC", "n": int(true), "interval": [min(values), max(values)] if values else None,
                "interval_is": "worst and best of four domains", "precision_of_flagged": float(right / max(said, 1)),
                "recall_of_flagged": float(right / max(true, 1)),
            }  # fmt: skip
            rows.append(report.row(what, float(np.mean(values)) if values else None, bar=None, **told))
    return rows
