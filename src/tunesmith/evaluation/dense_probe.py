"""The cheap probe: the features of a cheap rung in some hundred dense columns, under a closed-form ridge head.

Trained again hundreds of times in seconds, so that what rows are worth can be measured with intervals. Its features are
those of the tfidf rung (n-gram counts, reduced by a truncated SVD) or of the frozen rung (an encoder's vectors). It is
a probe, not a rung: on 3,000 rows of two tables its accuracy was 0 to 3 points below the tfidf rung's (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.training.ngrams import count, learn_vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

Vectors = Callable[[Sequence[str]], "NDArray[np.float32]"]

# Columns; half of them where the counts are so many that the decomposition would take most of a minute.
WIDTH = 512
_MANY_COUNTS = 4_000_000
# Columns beyond those wanted, power iterations, and columns that are multiplied at once.
_SPARE, _POWER, _AT_ONCE = 10, 2, 64
_RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_CHOOSE_ON = 5_000


def count_vectors(texts: Sequence[str], *, width: int | None = None, seed: int = 0) -> NDArray[np.float32]:
    """(n, d) TF-IDF rows of the tfidf rung in their d leading singular directions; d at most `width` and n - 1.

    width: None: 512, or 256 where the counts are many. Learnt on all texts given, which needs no target.
    """
    known = count(texts)
    source: Any = texts if known is None else known
    rows = learn_vocabulary(source).rows(source)
    d = (WIDTH if rows.nnz <= _MANY_COUNTS else WIDTH // 2) if width is None else width
    d = max(1, min(d, min(rows.shape) - 1))
    if min(rows.shape) < 3:
        return np.asarray(rows.todense(), dtype=np.float32)
    return leading_directions(rows, d, seed=seed)


def leading_directions(rows: csr_matrix, d: int, *, seed: int = 0) -> NDArray[np.float32]:
    """(n, d) the rows in their d leading singular directions: left singular vectors times singular values.

    rows: (n, p) sparse, n and p more than d. Subspace iteration on rows rows', which is never formed: two power
    iterations from a random start, then Rayleigh-Ritz. Source: Halko, Martinsson & Tropp 2011, algorithms 4.4 and 5.3.
    All that is dense has n rows, but for p rows of a few columns; as many feature directions would be ten times that.
    """
    features = rows.T.tocsr()
    basis = np.random.default_rng(seed).standard_normal((rows.shape[0], min(d + _SPARE, *rows.shape)), dtype=np.float32)
    for _ in range(_POWER):
        basis, _ = np.linalg.qr(_squared(features, basis))
    image = _squared(features, basis)
    inner = (basis.T @ image).astype(np.float64)
    values, turn = np.linalg.eigh((inner + inner.T) / 2)
    leads = np.argsort(-values)[:d]
    scale = turn[:, leads] * np.sqrt(np.maximum(values[leads], 0.0))
    return np.asarray(basis @ scale.astype(np.float32), dtype=np.float32)


def _squared(features: csr_matrix, basis: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, k) rows rows' basis, a few columns at a time. features: (p, n), the rows transposed."""
    found = np.empty_like(basis, order="F")
    for at in range(0, basis.shape[1], _AT_ONCE):
        # Features in order of memory, both ways: what is added to is n rows of a few columns, and stays in the cache.
        some = np.ascontiguousarray(basis[:, at : at + _AT_ONCE])
        found[:, at : at + _AT_ONCE] = features.T @ (features @ some)
    return found


@dataclass(frozen=True)
class DenseProbe:
    """Ridge regression of the label indicators on dense rows.

    vectors: (n, d) float32, of every text that any arm trains on or answers. ridge: strength, chosen once.
    """

    vectors: NDArray[np.float32]
    classes: int
    ridge: float

    def answers(
        self,
        train: NDArray[np.int64],
        codes: NDArray[np.int64],
        ask: NDArray[np.int64],
        *,
        weights: NDArray[np.float64] | None = None,
    ) -> NDArray[np.int64]:
        """(m,) class codes for the texts at `ask`, after training on those at `train` with `codes`.

        weights: (n_train,) how often each row counts (a bootstrap sample's numbers); rows of weight 0 are left out.
        A class without a row is never answered; no row at all gives -1.
        """
        if weights is not None:
            keep = weights > 0
            train, codes, weights = train[keep], codes[keep], weights[keep]
        if not len(train):
            return np.full(len(ask), -1, dtype=np.int64)
        scores = self._scores(train, codes, ask, weights)
        return np.asarray(scores.argmax(axis=1), dtype=np.int64)

    def _scores(
        self,
        train: NDArray[np.int64],
        codes: NDArray[np.int64],
        ask: NDArray[np.int64],
        weights: NDArray[np.float64] | None,
    ) -> NDArray[np.float32]:
        from scipy.linalg import solve

        X = self.vectors[train]
        w = np.ones(len(train), dtype=np.float32) if weights is None else weights.astype(np.float32)
        centre = (w @ X) / w.sum()
        prior = np.bincount(codes, w, minlength=self.classes) / float(w.sum())
        # X' W (Y - prior): one scatter per class instead of an (n, k) matrix of indicators.
        right = np.zeros((self.classes, X.shape[1]), dtype=np.float32)
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
        centred = X - centre
        weighted = centred * w[:, None]
        right[codes[order][starts]] = np.add.reduceat(weighted[order], starts, axis=0)
        system = weighted.T @ centred
        system[np.diag_indices(len(system))] += self.ridge
        found = solve(system, right.T, assume_a="pos", check_finite=False)
        scores = (self.vectors[ask] - centre) @ found + prior.astype(np.float32)
        scores[:, prior == 0] = -np.inf
        return np.asarray(scores, dtype=np.float32)


def choose_ridge(vectors: NDArray[np.float32], codes: NDArray[np.int64], classes: int, *, seed: int = 0) -> float:
    """The strength with the least squared leave-one-out error, in closed form, on at most 5,000 of the rows.

    Residual of a row left out: (y - y^) / (1 - h), h its leverage, from one eigendecomposition for all strengths.
    Source: Golub, Heath & Wahba 1979, section 2.
    """
    at = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:_CHOOSE_ON])
    X = vectors[at].astype(np.float64)
    X -= X.mean(axis=0)
    Y = np.eye(classes)[codes[at]]
    Y -= Y.mean(axis=0)
    values, basis = np.linalg.eigh(X.T @ X)
    rotated = X @ basis
    right = rotated.T @ Y
    squared = rotated**2
    best, least = _RIDGES[0], np.inf
    for ridge in _RIDGES:
        shrink = 1.0 / (np.maximum(values, 0.0) + ridge)
        leverage = squared @ shrink + 1.0 / len(at)
        left_out = (Y - rotated @ (right * shrink[:, None])) / (1.0 - np.minimum(leverage, 0.999))[:, None]
        loss = float((left_out**2).sum())
        if loss < least:
            best, least = ridge, loss
    return best


def left_out_margins(
    vectors: NDArray[np.float32], codes: NDArray[np.int64], classes: int, *, ridge: float
) -> NDArray[np.float64]:
    """(n,) score of each row's own label minus that of the best other, by ridge regression on all other rows.

    Closed form as in `choose_ridge`; the centre is that of all rows. Below 0: the other rows would answer otherwise.
    """
    X = vectors.astype(np.float64)
    X -= X.mean(axis=0)
    Y = np.eye(classes)[codes]
    prior = Y.mean(axis=0)
    system = X.T @ X
    system[np.diag_indices(len(system))] += ridge
    across = np.linalg.solve(system, X.T)
    leverage = np.minimum(np.einsum("nd,dn->n", X, across) + 1.0 / len(X), 0.999)
    fitted = X @ (across @ (Y - prior)) + prior
    scores = (fitted - leverage[:, None] * Y) / (1.0 - leverage)[:, None]
    at = np.arange(len(codes))
    own = scores[at, codes].copy()
    scores[at, codes] = -np.inf
    return np.asarray(own - scores.max(axis=1), dtype=np.float64)
