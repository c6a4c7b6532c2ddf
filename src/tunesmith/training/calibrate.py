"""Makes probabilities mean what they say: one temperature, fitted on rows that the system did not learn from.

A temperature never changes which label is most probable. It is stored beside the Fitted it belongs to
(`temperature.json` in the same folder), so whoever reads a system back gets calibrated answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.files import read_json, write_json
from tunesmith.core.predictions import Predictions
from tunesmith.training.folds import label_codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.core.context import Context
    from tunesmith.training.systems import Fitted

_FILE = "temperature.json"
_LEAST_PROBABILITY = 1e-12
# Beyond these a temperature says that the rows were too few or too easy, not how sure to be.
_COLDEST, _HOTTEST = 0.005, 50.0


def log_softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(n, k) log-probabilities of (n, k) logits, in float64."""
    z = np.asarray(logits, dtype=np.float64)
    z = z - z.max(axis=1, keepdims=True)
    return np.asarray(z - np.log(np.exp(z).sum(axis=1, keepdims=True)), dtype=np.float64)


def softmax(logits: NDArray[np.floating[Any]], *, temperature: float = 1.0) -> NDArray[np.float64]:
    """(n, k) probabilities of (n, k) logits divided by the temperature; rows sum to 1."""
    z = np.asarray(logits, dtype=np.float64) / temperature
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True), dtype=np.float64)


def log_loss(log_probabilities: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """Mean negative log-probability of the right label, in nats."""
    return float(-log_probabilities[np.arange(len(codes)), codes].mean())


def fit_temperature_to(logits: NDArray[np.floating[Any]], codes: NDArray[np.int64]) -> float:
    """The temperature that minimises the log loss of softmax(logits / temperature).

    logits: (n, k), of rows that the system did not learn from. codes: (n,) the right labels' columns.
    1.0 where there is no row. Each label gets 1/(n + 2) of the targets spread over all labels, so that rows which
    are all right do not ask for certainty. Convex in 1/temperature: a bounded search finds the minimum.
    Source: Guo et al. 2017, section 4.2.
    """
    if len(codes) == 0:
        return 1.0
    from scipy.optimize import minimize_scalar

    z = np.asarray(logits, dtype=np.float64)
    found = minimize_scalar(
        lambda log_t: _smoothed_loss(log_softmax(z / np.exp(log_t)), codes),
        bounds=(np.log(_COLDEST), np.log(_HOTTEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(found.x))


def _smoothed_loss(log_probabilities: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    share = 1.0 / (len(codes) + 2.0)
    # Clipped: an opinion that rules a label out would otherwise decide alone.
    spread = -float(np.maximum(log_probabilities, np.log(_LEAST_PROBABILITY)).mean())
    return (1.0 - share) * log_loss(log_probabilities, codes) + share * spread


def fit_temperature(probabilities: NDArray[np.floating[Any]], targets: Sequence[str], labels: Sequence[str]) -> float:
    """The temperature that makes out-of-fold (or dev) probabilities most likely to be right.

    probabilities: (n, k) in the order of `labels`. Above 1 the system was too sure of itself, below 1 not enough.
    """
    logits = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), _LEAST_PROBABILITY))
    return fit_temperature_to(logits, label_codes(targets, labels))


def apply_temperature(probabilities: NDArray[np.floating[Any]], temperature: float) -> NDArray[np.float64]:
    """(n, k) probabilities raised to 1/temperature and scaled to sum to 1; the largest stays the largest."""
    logits = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), _LEAST_PROBABILITY))
    return softmax(logits, temperature=temperature)


def expected_calibration_error(
    probabilities: NDArray[np.floating[Any]], targets: Sequence[str], labels: Sequence[str], *, bins: int = 15
) -> float:
    """Mean gap between confidence and accuracy over `bins` bins of equal width, weighted by rows (0 is perfect)."""
    p = np.asarray(probabilities, dtype=np.float64)
    if len(p) == 0:
        return 0.0
    confidence = p.max(axis=1)
    right = p.argmax(axis=1) == label_codes(targets, labels)
    which = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gap = np.bincount(which, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(p))


@dataclass(frozen=True)
class Calibrated:
    """A Fitted whose probabilities are softened or sharpened by a temperature."""

    fitted: Fitted
    temperature: float

    @property
    def system(self) -> str:
        """Name of the System inside."""
        return self.fitted.system

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        """The same answers with calibrated probabilities."""
        raw = self.fitted.predict(texts, ctx)
        if raw.probabilities is None:
            return raw
        return Predictions(raw.values, apply_temperature(raw.probabilities, self.temperature))

    def save(self, folder: Path) -> None:
        """The system inside and its temperature; `load_temperature` puts them together again."""
        self.fitted.save(folder)
        save_temperature(self.temperature, folder)

    def __getattr__(self, name: str) -> Any:
        if name == "fitted":  # not set yet while unpickling
            raise AttributeError(name)
        return getattr(self.fitted, name)


def save_temperature(temperature: float, folder: Path) -> None:
    """Write the temperature beside a saved Fitted."""
    write_json(folder / _FILE, {"temperature": temperature})


def load_temperature(fitted: Fitted, folder: Path) -> Fitted:
    """The Fitted read from `folder`, calibrated if a temperature lies there."""
    path = folder / _FILE
    if not path.exists():
        return fitted
    return Calibrated(fitted, float(read_json(path)["temperature"]))
