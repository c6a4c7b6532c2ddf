"""A head with a radial-basis kernel on unit vectors: kernel ridge regression onto the labels.

Where texts of one label lie in several clusters a linear head has to compromise and this one does not; measured
on 77 intents it is 1.3 points better than logistic regression, for a matrix factorisation of 2 to 4 seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_CENTRES = 4096  # above it the solution is sought in the span of so many random rows (Nyström)
_ROWS_AT_ONCE = 2048
_JITTER = 1e-4
_WIDTH = 0.5  # of the kernel, in median squared distances; 0.5 and 1 were measured alike, 0.25 worse
_FAR = 1e-3  # a median distance below this means that all texts are alike


@dataclass(frozen=True)
class KernelHead:
    """scores = exp(-|x - centre|² / scale) · alpha + prior.

    centres: (m, d) float32 unit vectors. alpha: (m, k) float32. prior: (k,) float32 share of each label.
    Scores estimate probabilities (least squares on 0/1), so they are no log-probabilities: give them a temperature.
    """

    centres: NDArray[np.float32]
    alpha: NDArray[np.float32]
    prior: NDArray[np.float32]
    scale: float

    def logits(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n, k) float64 scores for (n, d) unit vectors."""
        found = np.empty((len(vectors), len(self.prior)))
        for start in range(0, len(vectors), _ROWS_AT_ONCE):
            kernel = _kernel(vectors[start : start + _ROWS_AT_ONCE], self.centres, self.scale)
            found[start : start + _ROWS_AT_ONCE] = kernel @ self.alpha
        return found + self.prior

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What to save, by name."""
        return {"centres": self.centres, "alpha": self.alpha, "prior": self.prior, "scale": np.array([self.scale])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> KernelHead:
        """The head that `arrays` describes."""
        return cls(arrays["centres"], arrays["alpha"], arrays["prior"], float(arrays["scale"][0]))


def fit_kernel(
    vectors: NDArray[np.float32],
    codes: NDArray[np.int64],
    weights: NDArray[np.floating[Any]],
    *,
    n_labels: int,
    ridge: float,
    seed: int = 0,
) -> KernelHead:
    """Kernel ridge regression of the label indicators, each row's residual weighted by its weight.

    vectors: (n, d) unit vectors. ridge: strength of the regularisation, sane between 0.03 and 3; larger for
    noisier labels. The scale is half the median squared distance between rows.
    Above 4,096 rows the solution lies in the span of 4,096 of them (Nyström; Rudi et al. 2015, eq. 5).
    """
    n = len(vectors)
    targets = np.zeros((n, n_labels), dtype=np.float32)
    targets[np.arange(n), codes] = 1.0
    w = np.maximum(np.asarray(weights, dtype=np.float32), 1e-6)
    prior = np.bincount(codes, weights=w, minlength=n_labels) / w.sum()
    return fit_kernel_to(vectors, targets, prior, w, ridge=ridge, seed=seed)


def fit_kernel_to(
    vectors: NDArray[np.float32],
    targets: NDArray[np.float32],
    prior: NDArray[np.float64],
    weights: NDArray[np.floating[Any]],
    *,
    ridge: float,
    seed: int = 0,
) -> KernelHead:
    """The same for any indicators: a row may have several labels, or none.

    targets: (n, k) of zeros and ones; written over. prior: (k,) share of each label.
    """
    from scipy.linalg import cho_factor, cho_solve
    from scipy.linalg.blas import ssyrk

    rng = np.random.default_rng(seed)
    n, n_labels = targets.shape
    w = np.maximum(np.asarray(weights, dtype=np.float32), 1e-6)
    centres = vectors if n <= MOST_CENTRES else vectors[np.sort(rng.choice(n, MOST_CENTRES, replace=False))]
    some = centres[rng.permutation(len(centres))[:512]]
    apart = 2.0 - 2.0 * (some @ some.T)[np.triu_indices(len(some), 1)]
    scale = max(_WIDTH * float(np.median(apart)) if apart.size else 1.0, _FAR)
    targets -= prior.astype(np.float32)
    if n <= MOST_CENTRES:
        system = _kernel(vectors, vectors, scale)
        system[np.arange(n), np.arange(n)] += ridge / w
        right = targets
    else:
        system = np.asfortranarray(ridge * _kernel(centres, centres, scale))
        right = np.zeros((len(centres), n_labels), dtype=np.float32)
        for start in range(0, n, _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            kernel = _kernel(vectors[part], centres, scale)
            right += (kernel * w[part, None]).T @ targets[part]
            kernel *= np.sqrt(w[part, None])
            # Kᵀ W K is symmetric, and a triangle of it is all that a factorisation reads: half of the arithmetic.
            system = ssyrk(1.0, kernel.T, beta=1.0, c=system, overwrite_c=True, lower=True)
        # The normal equations square the condition number: float64, and a little added to the diagonal.
        system = system.astype(np.float64)
        system[np.diag_indices(len(centres))] += _JITTER * float(np.trace(system)) / len(centres)
        right = right.astype(np.float64)
    alpha = cho_solve(cho_factor(system, lower=True, overwrite_a=True, check_finite=False), right, check_finite=False)
    return KernelHead(np.ascontiguousarray(centres), alpha.astype(np.float32), prior.astype(np.float32), scale)


def _kernel(a: NDArray[np.float32], b: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """(n, m) float32: exp(-|a - b|² / scale) of unit vectors, for which |a - b|² = 2 - 2 a·b."""
    product = a @ b.T
    product -= 1.0
    product *= np.float32(2.0 / scale)
    return np.asarray(np.exp(product, out=product), dtype=np.float32)
