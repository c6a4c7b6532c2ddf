from __future__ import annotations

import numpy as np
import pytest

from tunesmith.core.predictions import Predictions
from tunesmith.core.statistics import wilson
from tunesmith.evaluation.calibration import calibration
from tunesmith.evaluation.errors import confused_pairs, telling_errors
from tunesmith.evaluation.scores import scores_of
from tunesmith.evaluation.verdict import Answers
from tunesmith.tasks import task

LABELS = ("a", "b", "c")


def _made(n=150, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    p = rng.dirichlet(np.ones(3), n)
    p[np.arange(n), truth] += 0.5
    p /= p.sum(axis=1, keepdims=True)
    return [LABELS[i] for i in truth], Predictions.from_probabilities(p, LABELS)


def test_every_score_lies_in_its_interval_with_its_n_and_the_leading_one_comes_first():
    truth, said = _made()
    found = scores_of(task.get("classify"), Answers(said), truth, sources=[""] * 150, labels=LABELS)
    assert next(iter(found)) == "macro_f1"
    assert set(found) == {"macro_f1", "accuracy", "brier", "ece", "log_loss"}
    for score in found.values():
        low, high = score.interval
        assert low <= score.value <= high
        assert low < high
        assert score.n == 150
    right = sum(a == b for a, b in zip(truth, said.values, strict=True))
    assert found["accuracy"].interval == wilson(right, 150)


def test_ten_right_answers_do_not_prove_perfection():
    found = scores_of(
        task.get("classify"),
        Answers(Predictions(tuple("abcabcabca"))),
        list("abcabcabca"),
        sources=[""] * 10,
        labels=LABELS,
    )
    assert found["macro_f1"].value == 1.0
    assert found["macro_f1"].interval == wilson(10, 10)


def test_a_subset_is_scored_on_its_own_rows():
    truth, said = _made()
    rows = np.array([3, 5, 8, 100])
    found = scores_of(
        task.get("classify"), Answers(said.take(rows), rows), truth, sources=[""] * 150, labels=LABELS, resamples=50
    )
    assert found["accuracy"].n == 4
    assert found["accuracy"].value == np.mean([truth[i] == said.values[i] for i in rows])


def test_answers_that_could_not_be_read_are_counted():
    found = scores_of(
        task.get("classify"),
        Answers(Predictions(("a", None, "b", None))),
        list("abba"),
        sources=[""] * 4,
        labels=LABELS,
    )
    assert found["unparsed"].value == 0.5


def test_text_scores_have_intervals_too():
    notes = [f"{i} mg of aspirin, no fever" for i in range(30)]
    found = scores_of(
        task.get("rewrite"),
        Answers(Predictions(tuple(notes[1:] + notes[:1]))),
        notes,
        sources=notes,
        labels=(),
        resamples=100,
    )
    assert next(iter(found)) == "fact_f1"
    assert all(score.interval[0] <= score.value + 1e-12 for score in found.values())


def test_calibration_needs_probabilities():
    truth, said = _made()
    made = calibration(said, truth, LABELS)
    assert made is not None
    assert sum(b.n for b in made.bins) == 150
    assert calibration(Predictions(said.values), truth, LABELS) is None


# ---------------------------------------------------------------- errors


def test_the_surest_mistakes_come_first_and_one_confusion_does_not_fill_the_list():
    n = 20
    p = np.tile([0.05, 0.9, 0.05], (n, 1))
    p[5] = [0.97, 0.01, 0.02]
    said = Predictions.from_probabilities(p, LABELS)
    truth = ["a"] * 5 + ["c"] + ["b"] * 14
    found = telling_errors(said, truth, texts=[f"text {i}" for i in range(n)], ids=range(100, 100 + n))
    assert [(e.id, e.truth, e.answer) for e in found] == [(105, "c", "a"), (100, "a", "b"), (101, "a", "b")]
    assert found[0].confidence == pytest.approx(0.97)


def test_right_answers_are_no_errors():
    assert telling_errors(Predictions(("a", "b")), ["a", "b"], texts=["", ""], ids=[0, 1]) == []


def test_text_errors_go_by_how_bad_they_are_and_long_ones_are_cut():
    found = telling_errors(
        Predictions(("x" * 5_000, "y", "z")),
        ["a", "b", "z"],
        texts=["", "", ""],
        ids=[0, 1, 2],
        badness=np.array([0.5, 0.9, 0]),
    )
    assert [e.id for e in found] == [1, 0]
    assert len(found[1].answer) == 1_200


def test_pairs_are_counted_with_their_share_of_the_true_label():
    truth, said = np.array([0, 0, 0, 0, 1, 2]), np.array([1, 1, 0, -1, 1, 0])
    found = confused_pairs(truth, said, LABELS)
    assert [(c.truth, c.answer, c.n, c.share) for c in found] == [
        ("a", "b", 2, 0.5), ("c", "a", 1, 1.0), ("a", "", 1, 0.25),
    ]  # fmt: skip
