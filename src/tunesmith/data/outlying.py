"""How far rows lie from all others in a space of sentence vectors: outliers, and rows of another domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEIGHBOURS = 10
_MOST_COMPARED = 5_000  # rows that neighbours are sought among
_MOST_FITTED = 20_000
_BLOCK = 1_000


def lexical_vectors(texts: Sequence[str], *, width: int = 256, seed: int = 0) -> NDArray[np.float32]:
    """(n, at most width) float32 vectors of texts by their words alone: main axes of hashed TF-IDF, length at most 1.

    What stands in where no sentence encoder is at hand. A text whose words are rare on the main axes is short, and so
    far from everything. Source: Deerwester et al. 1990 (latent semantic analysis).
    """
    from sklearn.utils.extmath import randomized_svd

    from tunesmith.data.probe import features

    X = features(texts)
    X = X[:, np.unique(X.indices)]
    rank = min(width, min(X.shape) - 1)
    if rank < 1:
        return np.ones((len(texts), 1), dtype=np.float32)
    some = np.sort(np.random.default_rng(seed).permutation(len(texts))[:_MOST_FITTED])
    _, _, axes = randomized_svd(X[some], n_components=rank, random_state=seed)
    return np.asarray(X @ axes.T, dtype=np.float32)


def neighbour_distances(vectors: NDArray[np.float32], *, seed: int = 0) -> NDArray[np.float64]:
    """(n,) mean of 1 - product of each row with its ten nearest others, among at most 5,000 sampled rows.

    vectors: (n, d) of length 1 or less, n >= 2. Ten strangers that are alike are each other's neighbours and look at
    home. Source: Ramaswamy, Rastogi and Shim 2000 (distance to the nearest neighbours as outlyingness).
    """
    n = len(vectors)
    among = np.sort(np.random.default_rng(seed).permutation(n)[:_MOST_COMPARED])
    place = np.full(n, -1)
    place[among] = np.arange(len(among))
    k = max(1, min(_NEIGHBOURS, len(among) - 1))
    found = np.empty(n)
    pool = vectors[among]
    for start in range(0, n, _BLOCK):
        products = vectors[start : start + _BLOCK] @ pool.T  # (block, among)
        own = place[start : start + _BLOCK]
        products[np.flatnonzero(own >= 0), own[own >= 0]] = -1.0
        found[start : start + _BLOCK] = 1 - np.partition(products, -k, axis=1)[:, -k:].mean(axis=1)
    return found
