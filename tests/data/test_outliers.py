"""A row far from its neighbours is found, by vectors or by words alone."""

from __future__ import annotations

import numpy as np

from tunesmith.data.outlying import lexical_vectors, neighbour_distances

ASKED = [f"how do i change the {what} of my {thing}" for what in ("pin", "limit", "address", "name", "colour")
         for thing in ("card", "account", "app", "savings book", "loan")]  # fmt: skip


def test_a_stranger_is_farthest_by_words_alone() -> None:
    texts = [*ASKED, "striker scores twice as visitors win the derby"]
    assert neighbour_distances(lexical_vectors(texts)).argmax() == len(ASKED)


def test_distances_are_those_of_a_plain_loop() -> None:
    draw = np.random.default_rng(0)
    X = draw.normal(size=(40, 5)).astype(np.float32)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    found = neighbour_distances(X)
    for at in range(40):
        others = np.sort(np.delete(X @ X[at], at))[-10:]
        assert np.isclose(found[at], 1 - others.mean(), atol=1e-6)  # float32 products


def test_texts_without_words_do_not_stop_it() -> None:
    assert np.isfinite(neighbour_distances(lexical_vectors(["", "?!", "", "..."]))).all()
