from __future__ import annotations

import numpy as np
import pytest

from tunesmith.core.predictions import Predictions
from tunesmith.evaluation.sets import inspected_sets, per_label, set_calibration
from tunesmith.evaluation.verdict import Answers, verdict
from tunesmith.tasks import task
from tunesmith.tasks.label_sets import dump_set

LABELS = ("a", "b", "c")


def _drawn(n: int, *, right: float, seed: int = 0):
    rng = np.random.default_rng(seed)
    truth = rng.random((n, 3)) < (0.5, 0.3, 0.1)
    said = np.where(rng.random((n, 3)) < right, truth, ~truth)
    return [[dump_set(LABELS[j] for j in np.flatnonzero(row)) for row in table] for table in (truth, said)]


def test_single_labels_have_their_scores_by_hand():
    rows = per_label(Predictions(('["a"]', '["a","b"]', "[]")), ['["a"]', '["a"]', '["b"]'], LABELS)
    assert [(row["label"], row["n"], row["f1"]) for row in rows] == [("a", 2, 1.0), ("b", 1, 0.0)]
    assert rows[0]["interval"][0] < 1.0  # two rows, both right, prove little


def test_whole_sets_and_single_labels_are_calibrated_apart():
    rng = np.random.default_rng(1)
    p = rng.random((4000, 3))
    truth = rng.random((4000, 3)) < p
    given = p >= 0.5
    sets = [[dump_set(LABELS[j] for j in np.flatnonzero(row)) for row in table] for table in (truth, given)]
    sure = np.where(given, p, 1 - p).prod(axis=1)
    found = set_calibration(Predictions(tuple(sets[1]), None, sure, p), sets[0], LABELS)
    assert found["ece"] < found["ece_floor"] + 0.01
    assert found["ece_labels"] < 0.02
    assert set_calibration(Predictions(tuple(sets[1])), sets[0], LABELS) is None


def test_other_tasks_have_no_sets_to_inspect():
    assert inspected_sets(task.get("rewrite"), Answers(Predictions(("x",))), ["x"], ()) == {}


def test_the_verdict_compares_sets_by_a_paired_permutation_test():
    truth, good = _drawn(400, right=0.97)
    _, poor = _drawn(400, right=0.8, seed=0)
    answers = {"tuned": Answers(Predictions(tuple(good))), "plain": Answers(Predictions(tuple(poor)))}
    found = verdict(
        task.get("tag"), truth, sources=[""] * 400, labels=LABELS, answers=answers, candidate="tuned",
        reference="plain", permutations=2000,
    )  # fmt: skip
    assert found.claim == "better"
    main = found.comparisons[0]
    assert (main.metric, main.test) == ("micro_f1", "paired permutation")
    assert main.interval[0] < main.difference < main.interval[1]
    assert main.difference == pytest.approx(main.score_a - main.score_b)
    same = verdict(
        task.get("tag"), truth, sources=[""] * 400, labels=LABELS,
        answers={**answers, "tuned": answers["plain"]}, candidate="tuned", reference="plain", permutations=500,
    )  # fmt: skip
    assert not same.is_better
    assert same.p_value == 1.0
