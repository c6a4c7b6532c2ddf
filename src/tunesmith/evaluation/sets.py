"""What a system that gives sets of labels does well and where it fails: label by label, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core import statistics as st
from tunesmith.evaluation.calibration import Calibration, chance_of
from tunesmith.evaluation.verdict import Answers
from tunesmith.tasks import Task
from tunesmith.tasks.label_sets import indicators, names_of
from tunesmith.tasks.metrics import expected_calibration_error, reliability

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.core.predictions import Predictions

_RESAMPLES = 1_000


def inspected_sets(task: Task, shipped: Answers, references: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """`per_class` and `calibration` for report.json; {} for a task whose answers are no sets of labels."""
    if task.output != "labels":
        return {}
    at = np.arange(len(references)) if shipped.rows is None else shipped.rows
    truth = [references[int(i)] for i in at]
    return {
        "per_class": per_label(shipped.predictions, truth, labels),
        "calibration": set_calibration(shipped.predictions, truth, labels),
    }


def per_label(predictions: Predictions, references: Sequence[str], labels: Sequence[str]) -> list[dict[str, Any]]:
    """Rows, precision, recall and F1 (with a 95 % bootstrap interval) of every label that is due or given anywhere."""
    names = names_of(labels, references, predictions.values)
    truth, said = indicators(references, names), indicators(predictions.values, names)
    made = []
    for code, label in enumerate(names):
        counts = np.stack([truth[:, code] & said[:, code], said[:, code], truth[:, code]], axis=1).astype(np.float64)
        hit, given, due = counts.sum(axis=0)
        if not given + due:
            continue
        interval, _ = st.bootstrap_sums([counts], _f1, resamples=_RESAMPLES)
        made.append({
            "label": label, "n": int(due), "precision": hit / given if given else 0.0,
            "recall": hit / due if due else 0.0, "f1": 2 * hit / (given + due),
            # Where every row agrees resampling shows no spread: so many rows all right, or all wrong, are no proof.
            "interval": interval if interval[0] < interval[1] else st.wilson(float(hit), int(max(given, due))),
        })  # fmt: skip
    return made


def set_calibration(
    predictions: Predictions, references: Sequence[str], labels: Sequence[str]
) -> dict[str, Any] | None:
    """How far the confidence in whole sets lies from the share that was right; None where none is stated.

    Besides what single labels have: `ece_labels`, over all pairs of a row and a label. brier: of single labels.
    """
    sure, p = predictions.confidences, predictions.marginals
    if sure is None or p is None:
        return None
    right = np.array([value == reference for value, reference in zip(predictions.values, references, strict=True)])
    truth = indicators(references, labels)
    found = Calibration(
        expected_calibration_error(sure, right),
        expected_calibration_error(sure, right, equal="width"),
        float(((p - truth) ** 2).mean()),
        tuple(reliability(sure, right)),
        chance_of(sure),
    )
    return {**asdict(found), "ece_labels": expected_calibration_error(p.ravel(), truth.ravel())}


def _f1(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(2 * sums[:, 0] / np.maximum(sums[:, 1] + sums[:, 2], 1.0))
