"""The cheap probe: its algebra against reference implementations, and its features."""

from __future__ import annotations

import numpy as np
import pytest
from curated_case import tickets

from tunesmith.evaluation.dense_probe import DenseProbe, choose_ridge, count_vectors, leading_directions


def test_answers_are_those_of_ridge_regression() -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 12)).astype(np.float32)
    codes = rng.integers(0, 4, 60)
    train, ask = np.arange(60), np.arange(60, 90)
    weights = rng.integers(0, 4, 60).astype(np.float64)
    reference = Ridge(alpha=0.7).fit(X[:60], np.eye(4)[codes], sample_weight=weights).predict(X[60:])
    found = DenseProbe(X, 4, 0.7).answers(train, codes, ask, weights=weights)
    assert found.tolist() == reference.argmax(axis=1).tolist()


def test_a_class_without_rows_is_never_answered_and_no_rows_answer_nothing() -> None:
    X = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
    probe = DenseProbe(X, 3, 1.0)
    codes = np.array([0, 2] * 5)
    assert 1 not in probe.answers(np.arange(10), codes, np.arange(10, 20))
    assert probe.answers(np.arange(10), codes, np.arange(10, 20), weights=np.zeros(10)).tolist() == [-1] * 10


def test_the_closed_form_chooses_what_leaving_out_each_row_chooses() -> None:
    rng = np.random.default_rng(2)
    X = rng.normal(size=(40, 30)).astype(np.float32)
    codes = (X[:, 0] + rng.normal(size=40) > 0).astype(np.int64)
    Y = np.eye(2)[codes]

    def loss(ridge: float) -> float:
        total = 0.0
        for out in range(40):
            rest = np.arange(40) != out
            mean, prior = X[rest].mean(axis=0), Y[rest].mean(axis=0)
            A = X[rest] - mean
            W = np.linalg.solve(A.T @ A + ridge * np.eye(30), A.T @ (Y[rest] - prior))
            total += float(((Y[out] - prior - (X[out] - mean) @ W) ** 2).sum())
        return total

    grid = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
    # The mean is taken once over all rows, so that a near tie may fall to the neighbour on the grid.
    assert loss(choose_ridge(X, codes, 2)) <= 1.03 * min(loss(ridge) for ridge in grid)


def test_features_tell_topics_apart_and_are_the_same_every_time() -> None:
    data, _ = tickets(rows=300)
    train, dev = data.rows("train"), data.rows("dev")
    X = count_vectors([*train.texts, *dev.texts], width=64)
    assert X.shape == (300, 64)
    assert np.array_equal(X, count_vectors([*train.texts, *dev.texts], width=64))
    names = list(data.labels)
    codes = np.array([names.index(t) for t in train.targets])
    said = DenseProbe(X, 3, 1.0).answers(np.arange(len(train)), codes, np.arange(len(train), 300))
    right = np.mean([names[c] == t for c, t in zip(said, dev.targets, strict=True)])
    assert right > 0.8


def test_leading_directions_are_those_of_an_exact_decomposition() -> None:
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(0)
    dense = (rng.random((150, 400)) < 0.05) * rng.random((150, 400)) + 0.5 * rng.random((150, 1)) @ rng.random((1, 400))
    dense = dense.astype(np.float32)
    exact, values, _ = np.linalg.svd(dense.astype(np.float64), full_matrices=False)
    found = leading_directions(csr_matrix(dense), 20)
    assert found.shape == (150, 20)
    # Nearly all that 20 directions can hold, and the first of them as it is but for its sign.
    assert 0.98 * (values[:20] ** 2).sum() < (found**2).sum() <= (1 + 1e-5) * (values[:20] ** 2).sum()
    assert abs(abs(found[:, 0] @ exact[:, 0]) - values[0]) < 1e-4 * values[0]


def test_a_handful_of_texts_is_enough() -> None:
    assert count_vectors(["one text"]).shape[0] == 1
    assert count_vectors(["one text", "another"]).shape[0] == 2
    assert count_vectors([f"text {i}" for i in range(5)]).shape == (5, pytest.approx(4))
