"""Whether a system is right as often as it says it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.predictions import Predictions
from tunesmith.tasks.metrics import Bin, brier, codes, expected_calibration_error, reliability

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DRAWS = 50


@dataclass(frozen=True)
class Calibration:
    """ece: over 15 groups of equal size. ece_width: over 15 equal steps of confidence. brier: mean over rows.

    ece_floor: the mean `ece` of answers that are right just as often as these say, on as many rows: a group's share
    of right answers is never quite its confidence.
    """

    ece: float
    ece_width: float
    brier: float
    bins: tuple[Bin, ...]
    ece_floor: float = 0.0


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
        chance_of(sure),
    )


def chance_of(sure: NDArray[np.float64]) -> float:
    """The mean calibration error of answers that are right just as often as these confidences say."""
    draw = np.random.default_rng(0)
    drawn = [expected_calibration_error(sure, draw.random(len(sure)) < sure) for _ in range(_DRAWS)]
    return float(np.mean(drawn))
