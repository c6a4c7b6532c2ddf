"""How much has to go to a person so that the rest is as right as wanted: promised on dev, looked at on the test.

The promise (a threshold on the confidence) is made of answers to rows that the system did not learn from, before
the seal is opened; the test only says whether it held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tunesmith.core.predictions import Predictions
from tunesmith.core.statistics import clopper_pearson
from tunesmith.tasks import Task
from tunesmith.training.promises import Judged, Promise, rows_needed

TARGETS = (0.9, 0.95, 0.98, 0.99)
NO_CONFIDENCE = "answers that are texts carry no probability, so none of them can be held back by it."
NO_JUDGED = "the answers to dev are not in this run folder."


@dataclass(frozen=True)
class Kept:
    """One promise, and what the test made of it.

    sent, right: on the judged rows; test_sent, test_right, interval (exact, 95 %), n: on the test. state: "held" (as
    right as promised), "within chance" (below, but the interval reaches it), "broken", "nothing accepted",
    "cannot be promised".
    """

    target: float
    threshold: float | None
    sent: float
    right: float | None
    test_sent: float | None
    test_right: float | None
    interval: tuple[float, float] | None
    n: int
    state: str


def judged_of(predictions: Predictions, references: Sequence[str], task: Task) -> Judged:
    """How sure a system was, and which of its answers were right. predictions: must have a confidence.

    A label is right if it is the reference; a task with other answers says so by `is_right`.
    """
    sure = predictions.confidence
    assert sure is not None
    said = getattr(task, "is_right", lambda value, reference: value == reference)
    right = [said(value, reference) for value, reference in zip(predictions.values, references, strict=True)]
    return Judged(sure, np.array(right, dtype=bool))


def abstention(dev: Judged, test: Judged, *, how: str, accept_at: float | None) -> dict[str, Any]:
    """What report.json holds: each promise with its state, and the curves of dev and test.

    how: "dev" or "cross-validation", what the judged rows are. accept_at: what the run ships with.
    """
    wanted = sorted({*TARGETS, *([accept_at] if accept_at else [])})
    base = float(dev.right.mean()) if len(dev) else 0.0
    # What full acceptance certainly reaches is no question, except the one that was asked.
    asked = [t for t in wanted if t == accept_at or t > base - 0.02]
    return {
        "how": how,
        "n_dev": len(dev),
        "n_test": len(test),
        "doubt": dev.promise(0.5).doubt,
        "accept_at": accept_at,
        "targets": [asdict(held(dev.promise(t), test)) for t in asked],
        "curve": dev.curve(),
        "test_curve": test.curve(),
        "best_target": dev.best_target(),
        "least_rows": {f"{t:g}": rows_needed(t) for t in asked},
    }


def held(promise: Promise, test: Judged) -> Kept:
    """Whether the promise held on the test."""
    sent = 1.0 - promise.accepted
    if promise.threshold is None:
        return Kept(promise.target, None, 1.0, None, None, None, None, 0, "cannot be promised")
    n, right = test.kept(promise.threshold)
    test_sent = 1.0 - n / len(test) if len(test) else 1.0
    if not n:
        state: str = "nothing accepted"
        return Kept(promise.target, promise.threshold, sent, promise.right, test_sent, None, None, 0, state)
    low, high = clopper_pearson(right, n)
    state = "held" if right / n >= promise.target else "within chance" if high >= promise.target else "broken"
    return Kept(promise.target, promise.threshold, sent, promise.right, test_sent, right / n, (low, high), n, state)
