"""What each row is worth to a nearest-neighbour vote, in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEIGHBOURS = 10
_CELLS_AT_ONCE = 4_000_000
# Comparisons in all: above 5,000 rows not every row asks.
_MOST_COMPARED = 30_000_000
_FEWEST_ASKING = 300


def knn_shapley(
    vectors: NDArray[np.float32], codes: NDArray[np.int64], *, neighbours: int = NEIGHBOURS, seed: int = 0
) -> NDArray[np.float64]:
    """(n,) the Shapley value of each row for a k-nearest-neighbour vote on the other rows' labels.

    vectors: (n, d), compared by cosine. codes: (n,) labels. Each row is asked in turn and answered by all others, so
    that no dev row is needed; every label weighs the same, however many rows it has, as in macro-F1. Of large tables a
    random part asks. A row of low value has neighbours with other labels: it is wrong, odd or lies on a border.
    Source: Jia et al. 2019 (VLDB), theorem 1: with the N others sorted by distance and m_i whether the i-th has the
    label asked, s_N = m_N / N and s_i = s_{i+1} + (m_i - m_{i+1}) / k * min(k, i) / i.
    """
    n = len(vectors)
    values = np.zeros(n)
    if n < 3:
        return values
    k = min(neighbours, n - 1)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(length, 1e-12)
    rng = np.random.default_rng([seed, 29])
    asking = rng.permutation(n)[: max(_FEWEST_ASKING, _MOST_COMPARED // n)]
    counts = np.bincount(codes)
    weight = 1.0 / counts[codes]
    total = weight[asking].sum()
    place = np.arange(1, n)  # i = 1 .. N with N = n - 1
    step = np.minimum(k, place) / place / k
    for start in range(0, len(asking), max(1, _CELLS_AT_ONCE // n)):
        some = asking[start : start + max(1, _CELLS_AT_ONCE // n)]
        near = unit[some] @ unit.T
        near[np.arange(len(some)), some] = -np.inf  # nobody answers himself
        order = np.argsort(-near, axis=1, kind="stable")[:, : n - 1]
        match = (codes[order] == codes[some][:, None]).astype(np.float64)
        moves = (match[:, :-1] - match[:, 1:]) * step[:-1]
        worth = np.empty_like(match)
        worth[:, -1] = match[:, -1] / (n - 1)
        worth[:, :-1] = np.cumsum(moves[:, ::-1], axis=1)[:, ::-1] + worth[:, -1:]
        values += np.bincount(order.ravel(), (worth * (weight[some] / total)[:, None]).ravel(), minlength=n)
    return values
