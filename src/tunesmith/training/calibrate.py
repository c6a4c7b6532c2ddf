"""Makes probabilities mean what they say: a calibrator fitted on rows that the system did not learn from.

Three families, each of which keeps the order of the labels, so that no answer changes: one temperature; a temperature
mixed with what it was and with not knowing; a temperature whose largest probability is bent into the share that was
right. Which of them is used is decided by cross-fitting. It is stored beside the Fitted it belongs to
(`calibration.json` in the same folder), so whoever reads a system back gets calibrated answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.checks import Check
from tunesmith.core.files import read_json, write_json
from tunesmith.core.predictions import Predictions
from tunesmith.training.folds import label_codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.core.context import Context
    from tunesmith.training.systems import Fitted

_FILE = "calibration.json"
_FILE_BEFORE = "temperature.json"  # {"temperature"}: runs of before 2026-11-23 have it
_LEAST_PROBABILITY = 1e-12
# With fewer rows more than one number cannot be told from chance.
_FEWEST_ROWS = 300
_FOLDS = 5
KINDS = ("temperature", "mixture", "beta")
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
class Calibrator:
    """A map of probabilities that keeps the order of the labels.

    kind "temperature": values (T,). p^(1/T), scaled to sum to 1 (Guo et al. 2017, section 4.2).
    kind "mixture":     values (T, a, b). (1 - a - b) p^(1/T) + a p + b/k (Zhang, Kailkhura & Han 2020, eq. 6).
    kind "beta":        values (T, u, v, m). The largest of p^(1/T), c, becomes 1 / (1 + exp(-u ln c + v ln(1 - c) - m))
                        (Kull et al. 2017, eq. 3), at least what keeps it the largest; the others share the rest.
    """

    kind: str
    values: tuple[float, ...]

    def __call__(self, probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """(n, k) calibrated probabilities of (n, k) probabilities; rows sum to 1."""
        p = apply_temperature(probabilities, self.values[0])
        if self.kind == "mixture":
            _, before, unknown = self.values
            raw = np.asarray(probabilities, dtype=np.float64)
            return np.asarray((1.0 - before - unknown) * p + before * raw + unknown / p.shape[1], dtype=np.float64)
        return _bent(p, self.values[1:]) if self.kind == "beta" else p


def fit_calibrator(
    probabilities: NDArray[np.floating[Any]], targets: Sequence[str], labels: Sequence[str], *, seed: int = 0
) -> Calibrator:
    """The calibrator that cross-fitting on these rows prefers.

    probabilities: (n, k) in the order of `labels`, of rows that the system did not learn from. The temperature, unless
    another family's stated confidence has a log loss out of fold that is lower by more than one standard error.
    """
    p, codes = np.asarray(probabilities, dtype=np.float64), label_codes(targets, labels)
    if len(codes) < _FEWEST_ROWS:
        return fit_family("temperature", p, codes)
    fold = np.random.default_rng([seed, 19]).permutation(len(codes)) % _FOLDS
    losses = {}
    for kind in KINDS:
        sure = np.empty(len(codes))
        for at in range(_FOLDS):
            sure[fold == at] = fit_family(kind, p[fold != at], codes[fold != at])(p[fold == at]).max(axis=1)
        losses[kind] = _binary_loss(sure, p.argmax(axis=1) == codes)
    best = "temperature"
    for kind in KINDS[1:]:
        gain = losses[best] - losses[kind]
        if gain.mean() > gain.std() / np.sqrt(len(gain)):
            best = kind
    return fit_family(best, p, codes)


def fit_family(kind: str, p: NDArray[np.float64], codes: NDArray[np.int64]) -> Calibrator:
    """The calibrator of one family. p: (n, k) of rows that the system did not learn from. codes: (n,) right columns."""
    from scipy.optimize import minimize

    temperature = fit_temperature_to(np.log(np.maximum(p, _LEAST_PROBABILITY)), codes)
    if kind == "temperature":
        return Calibrator(kind, (temperature,))
    warm = apply_temperature(p, temperature)
    if kind == "mixture":
        at = np.arange(len(codes))
        parts = np.stack([warm[at, codes], p[at, codes], np.full(len(codes), 1.0 / p.shape[1])], axis=1)  # (n, 3)
        weights = np.array([0.8, 0.1, 0.1])
        for _ in range(100):  # expectation maximisation: each step lowers the log loss
            shares = parts * weights
            shares /= np.maximum(shares.sum(axis=1, keepdims=True), _LEAST_PROBABILITY)
            weights = (shares.sum(axis=0) + np.array([1.0, 0.0, 0.0])) / (len(codes) + 1.0)
        return Calibrator(kind, (temperature, float(weights[1]), float(weights[2])))
    right = warm.argmax(axis=1) == codes
    features = _bend_features(warm.max(axis=1))

    def loss(values: NDArray[np.float64]) -> float:
        # Held to the identity by the weight of one row, so that rows that are all right do not ask for certainty.
        return float(_binary_loss(_sigmoid(features @ values), right).sum() + ((values - [1.0, 1.0, 0.0]) ** 2).sum())

    found = minimize(loss, [1.0, 1.0, 0.0], method="L-BFGS-B", bounds=[(0.0, 20.0), (0.0, 20.0), (-20.0, 20.0)])
    return Calibrator(kind, (temperature, *(float(v) for v in found.x)))


def _bend_features(c: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3): ln c, -ln(1 - c), 1."""
    c = np.clip(c, _LEAST_PROBABILITY, 1.0 - 1e-9)
    return np.stack([np.log(c), -np.log1p(-c), np.ones_like(c)], axis=1)


def _bent(p: NDArray[np.float64], values: Sequence[float]) -> NDArray[np.float64]:
    """(n, k) with the largest of each row replaced, and the others scaled to what is left."""
    at = np.arange(len(p))
    best = p.argmax(axis=1)
    c = p[at, best]
    others = p.copy()
    others[at, best] = 0.0
    second, rest = others.max(axis=1, initial=0.0), others.sum(axis=1)
    wanted = _sigmoid(_bend_features(c) @ np.asarray(values, dtype=np.float64))
    # With g for the largest, the second becomes (1 - g) second / rest: it stays below from second / (rest + second) on.
    least = np.where(rest > 0, second / np.maximum(rest + second, _LEAST_PROBABILITY), 1.0)
    g = np.where(rest > 0, np.minimum(np.maximum(wanted, least * (1.0 + 1e-9)), 1.0), 1.0)
    made = others * np.where(rest > 0, (1.0 - g) / np.maximum(rest, _LEAST_PROBABILITY), 0.0)[:, None]
    made[at, best] = g
    return np.asarray(made / made.sum(axis=1, keepdims=True), dtype=np.float64)


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)), dtype=np.float64)


def _binary_loss(sure: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) negative log-probability of whether the answer was right, in nats."""
    c = np.clip(sure, 1e-9, 1.0 - 1e-9)
    return np.asarray(-np.where(right, np.log(c), np.log1p(-c)), dtype=np.float64)


def keeps_answers(before: NDArray[np.floating[Any]], after: NDArray[np.float64], *, system: str | None = None) -> Check:
    """No row's most probable label is another one after calibration, and every row is still a distribution."""
    p, q = np.asarray(before, dtype=np.float64), after
    name, bound = "calibration keeps every answer", "= 0 rows changed, all finite, sums within 1e-06 of 1"
    at = np.arange(len(q))
    changed = int((q.max(axis=1) - q[at, p.argmax(axis=1)] > 1e-9).sum()) if len(q) else 0
    whole = bool(np.isfinite(q).all() and (q >= 0).all() and np.abs(q.sum(axis=1) - 1.0).max(initial=0.0) <= 1e-6)
    value = f"{changed} of {len(q)} changed" + ("" if whole else "; not a distribution")
    remedy = "a fault of Tunesmith: please report it with the run's 05-select folder."
    return Check(name, value, bound, changed == 0 and whole, remedy, system)


@dataclass(frozen=True)
class Calibrated:
    """A Fitted whose probabilities are calibrated."""

    fitted: Fitted
    calibrator: Calibrator

    @property
    def system(self) -> str:
        """Name of the System inside."""
        return self.fitted.system

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions:
        """The same answers with calibrated probabilities."""
        raw = self.fitted.predict(texts, ctx)
        if raw.probabilities is None:
            return raw
        return Predictions(raw.values, self.calibrator(raw.probabilities))

    def save(self, folder: Path) -> None:
        """The system inside and its calibrator; `load_calibrated` puts them together again."""
        self.fitted.save(folder)
        save_calibrator(self.calibrator, folder)

    def __getattr__(self, name: str) -> Any:
        if name == "fitted":  # not set yet while unpickling
            raise AttributeError(name)
        return getattr(self.fitted, name)


def save_calibrator(calibrator: Calibrator, folder: Path) -> None:
    """Write the calibrator beside a saved Fitted."""
    write_json(folder / _FILE, {"kind": calibrator.kind, "values": list(calibrator.values)})


def load_calibrator(folder: Path) -> Calibrator | None:
    """The calibrator that lies in `folder`, if any."""
    if (folder / _FILE).exists():
        about = read_json(folder / _FILE)
        return Calibrator(about["kind"], tuple(float(v) for v in about["values"]))
    if (folder / _FILE_BEFORE).exists():
        return Calibrator("temperature", (float(read_json(folder / _FILE_BEFORE)["temperature"]),))
    return None


def copy_calibrator(source: Path, folder: Path) -> None:
    """Give the system in `folder` the calibrator of the one in `source`, if that has one."""
    calibrator = load_calibrator(source)
    if calibrator is not None:
        save_calibrator(calibrator, folder)


def load_calibrated(fitted: Fitted, folder: Path) -> Fitted:
    """The Fitted read from `folder`, calibrated if a calibrator lies there."""
    calibrator = load_calibrator(folder)
    return fitted if calibrator is None else Calibrated(fitted, calibrator)
