"""Whether a system is right as often as it says it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.core.predictions import Predictions
from tunesmith.tasks.metrics import Bin, brier, codes, expected_calibration_error, reliability


@dataclass(frozen=True)
class Calibration:
    """ece: over 15 groups of equal size. ece_width: over 15 equal steps of confidence. brier: mean over rows."""

    ece: float
    ece_width: float
    brier: float
    bins: tuple[Bin, ...]


def calibration(predictions: Predictions, references: Sequence[str], labels: Sequence[str]) -> Calibration | None:
    """How far stated confidence lies from the share that was right; None without probabilities."""
    sure = predictions.confidence
    if sure is None or predictions.probabilities is None:
        return None
    right = np.array([v == r for v, r in zip(predictions.values, references, strict=True)])
    return Calibration(
        expected_calibration_error(sure, right),
        expected_calibration_error(sure, right, equal="width"),
        float(brier(predictions.probabilities, codes(references, labels)).mean()),
        tuple(reliability(sure, right)),
    )
