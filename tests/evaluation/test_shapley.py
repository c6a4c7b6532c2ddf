"""Values of rows for a nearest-neighbour vote, against the definition."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from tunesmith.evaluation.shapley import knn_shapley


def by_definition(vectors: np.ndarray, codes: np.ndarray, k: int) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    n = len(codes)
    weight = 1.0 / np.bincount(codes)[codes]

    def worth(rows: tuple[int, ...], asked: int) -> float:
        nearest = sorted(rows, key=lambda i: -float(unit[asked] @ unit[i]))[:k]
        return sum(codes[i] == codes[asked] for i in nearest) / k

    values = np.zeros(n)
    for asked in range(n):
        others = [i for i in range(n) if i != asked]
        for i in others:
            rest = [j for j in others if j != i]
            for size in range(len(rest) + 1):
                share = math.factorial(size) * math.factorial(len(rest) - size) / math.factorial(len(others))
                for some in itertools.combinations(rest, size):
                    values[i] += weight[asked] * share * (worth((*some, i), asked) - worth(some, asked))
    return values / weight.sum()


@pytest.mark.parametrize("k", [1, 3])
def test_the_closed_form_is_the_definition(k: int) -> None:
    rng = np.random.default_rng(k)
    vectors, codes = rng.normal(size=(7, 3)).astype(np.float32), np.array([0, 1, 0, 1, 2, 2, 0])
    assert knn_shapley(vectors, codes, neighbours=k) == pytest.approx(by_definition(vectors, codes, k), abs=1e-9)


def test_a_wrong_label_is_worth_least() -> None:
    rng = np.random.default_rng(3)
    vectors = np.concatenate([rng.normal(3, 1, (30, 8)), rng.normal(-3, 1, (30, 8))]).astype(np.float32)
    codes = np.repeat([0, 1], 30)
    codes[4] = 1
    values = knn_shapley(vectors, codes)
    assert int(values.argmin()) == 4
    assert values[4] < 0.5 * values.mean()


def test_the_values_add_up_to_the_mean_vote() -> None:
    rng = np.random.default_rng(4)
    vectors, codes = rng.normal(size=(40, 5)).astype(np.float32), np.repeat([0, 1], 20)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = unit @ unit.T
    np.fill_diagonal(near, -np.inf)
    votes = (codes[np.argsort(-near, axis=1)[:, :10]] == codes[:, None]).mean()
    assert knn_shapley(vectors, codes, neighbours=10).sum() == pytest.approx(votes)


def test_two_rows_are_worth_nothing() -> None:
    assert knn_shapley(np.ones((2, 3), np.float32), np.array([0, 1])).tolist() == [0, 0]
