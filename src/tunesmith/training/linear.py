"""Linear heads on sparse or dense features: fitting and saving.

Knows nothing of texts. A head is two arrays and a temperature, so it saves without pickling and what is
read back gives the same bits.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tunesmith.core.files import whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The logit of a label that no train row has: never the answer, never exactly impossible.
_ABSENT = -30.0


@dataclass(frozen=True)
class LinearHead:
    """logits = x · weightᵀ + bias.

    weight: (k, d) float32. bias: (k,) float32. k is the number of labels, those without train rows included.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, features: Any) -> NDArray[np.float64]:
        """(n, k) float64 for (n, d) features, a numpy array or a scipy sparse matrix."""
        return np.asarray(features @ self.weight.T, dtype=np.float64) + self.bias

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What to save, by name."""
        return {"weight": self.weight, "bias": self.bias}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> LinearHead:
        """The head that `arrays` describes."""
        return cls(arrays["weight"], arrays["bias"])


def fit_margins(
    features: Any,
    codes: NDArray[np.int64],
    weights: NDArray[np.floating[Any]],
    *,
    n_labels: int,
    C: float,
    seed: int = 0,
) -> LinearHead:
    """A linear support-vector head, one label against the rest, squared hinge loss.

    C: inverse of the regularisation, sane between 0.01 and 10 for rows of length 1.
    Margins are no log-probabilities before a temperature is fitted.
    """
    from sklearn.svm import LinearSVC

    seen = np.unique(codes)
    if len(seen) < 2:
        return constant_head(int(features.shape[1]), seen, n_labels=n_labels)
    machine = LinearSVC(C=C, random_state=seed, tol=1e-3, max_iter=500)
    with _quiet():
        machine.fit(features, codes, sample_weight=np.asarray(weights, dtype=np.float64))
    return _spread(machine.coef_, machine.intercept_, seen, n_labels=n_labels)


def fit_logistic(
    features: NDArray[np.floating[Any]],
    codes: NDArray[np.int64],
    weights: NDArray[np.floating[Any]],
    *,
    n_labels: int,
    C: float,
) -> LinearHead:
    """A multinomial logistic head on dense features. C as in `fit_margins`, sane between 0.1 and 1,000."""
    from sklearn.linear_model import LogisticRegression

    seen = np.unique(codes)
    if len(seen) < 2:
        return constant_head(features.shape[1], seen, n_labels=n_labels)
    machine = LogisticRegression(C=C, max_iter=300, tol=1e-4)
    with _quiet():
        machine.fit(features, codes, sample_weight=np.asarray(weights, dtype=np.float64))
    return _spread(machine.coef_, machine.intercept_, seen, n_labels=n_labels)


def fit_each(
    features: Any,
    wanted: NDArray[np.bool_],
    weights: NDArray[np.floating[Any]],
    *,
    kind: Literal["margins", "logistic"],
    C: float,
    seed: int = 0,
) -> LinearHead:
    """A head of one problem per label, the rows that have it against the rest: rows may have several labels, or none.

    wanted: (n, k). kind: "margins" as `fit_margins`, for sparse features; "logistic" as `fit_logistic`, for dense ones.
    A label that all rows have, or none, gets the answer that they agree on.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    n_labels = wanted.shape[1]
    weight = np.zeros((n_labels, int(features.shape[1])), dtype=np.float32)
    bias = np.zeros(n_labels, dtype=np.float32)
    given = np.asarray(weights, dtype=np.float64)
    # As far from 0 as other labels' scores are, so that adding scores up does not blow up for these.
    sure = 3.0 if kind == "logistic" else 1.5
    for label in range(n_labels):
        has = wanted[:, label]
        if has.all() or not has.any():
            bias[label] = sure if len(has) and has.all() else -sure
            continue
        machine: Any = (
            LinearSVC(C=C, random_state=seed, tol=1e-3, max_iter=500)
            if kind == "margins"
            else LogisticRegression(C=C, max_iter=300, tol=1e-4)
        )
        with _quiet():
            machine.fit(features, has, sample_weight=given)
        weight[label], bias[label] = machine.coef_[0], machine.intercept_[0]
    return LinearHead(weight, bias)


def constant_head(width: int, seen: NDArray[np.int64], *, n_labels: int) -> LinearHead:
    """The head that always gives the one label seen (or, with none seen, all alike)."""
    bias = np.full(n_labels, _ABSENT, dtype=np.float32)
    bias[seen if len(seen) else slice(None)] = 0.0
    return LinearHead(np.zeros((n_labels, width), dtype=np.float32), bias)


def _spread(
    weight: NDArray[np.floating[Any]], bias: NDArray[np.floating[Any]], seen: NDArray[np.int64], *, n_labels: int
) -> LinearHead:
    """The head over all labels of one that was fitted over the labels seen (one row of weights for two labels)."""
    if len(seen) == 2:
        weight, bias = np.vstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    all_weight = np.zeros((n_labels, weight.shape[1]), dtype=np.float32)
    all_bias = np.full(n_labels, _ABSENT, dtype=np.float32)
    all_weight[seen], all_bias[seen] = weight, bias
    return LinearHead(all_weight, all_bias)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences "did not converge": the number of iterations is a setting, and cross-validation judges the result."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def save_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write arrays as a safetensors file: no pickles, and equal arrays give equal bytes (a zip keeps the hour)."""
    from safetensors.numpy import save_file

    with whole(path) as draft:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, draft)


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors file."""
    from safetensors.numpy import load_file

    return dict(load_file(path))
