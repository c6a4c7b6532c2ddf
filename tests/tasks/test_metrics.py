from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from rouge_score import rouge_scorer
from sklearn import metrics as sk

from tunesmith.tasks import metrics as m

ascii_text = some.text(alphabet="ab cd,.XY9\n-", max_size=60)


@given(ascii_text, ascii_text)
def test_rouge_l_is_the_reference_implementations(answer, reference):
    expected = rouge_scorer.RougeScorer(["rougeL"]).score(reference, answer)["rougeL"].fmeasure
    assert m.rouge_l(answer, reference) == pytest.approx(expected)


def test_rouge_l_by_hand():
    # LCS "the cat mat" = 3 of 4 and of 5 words: 2 * 3 / 9
    assert m.rouge_l("the cat the mat", "the cat on a mat") == pytest.approx(6 / 9)
    assert m.rouge_l("", "x") == 0.0
    assert m.rouge_l("Größe über alles", "GRÖSSE über alles") == 1.0


@given(some.lists(some.sampled_from("abcd"), max_size=30), some.lists(some.sampled_from("abcd"), max_size=30))
def test_the_bit_parallel_subsequence_is_the_table_one(a, b):
    table = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1, j + 1] = table[i, j] + 1 if x == y else max(table[i, j + 1], table[i + 1, j])
    assert m.longest_common_subsequence(a, b) == table[-1, -1]


def test_long_texts_are_quick():
    import time

    rng = np.random.default_rng(0)
    a, b = (" ".join(f"w{i}" for i in rng.integers(0, 500, 20_000)) for _ in "ab")
    began = time.process_time()
    m.rouge_l(a, b)
    assert time.process_time() - began < 2


def _labels(n=200, k=4, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, n)
    return truth, np.where(rng.random(n) < 0.7, truth, rng.integers(0, k, n)), rng.dirichlet(np.ones(k), n)


def test_per_class_scores_are_sklearns():
    truth, said, _ = _labels()
    expected = sk.precision_recall_fscore_support(truth, said, zero_division=0)
    found = m.per_class(truth, said, ("a", "b", "c", "d"))
    assert [f.precision for f in found] == pytest.approx(expected[0])
    assert [f.recall for f in found] == pytest.approx(expected[1])
    assert [f.f1 for f in found] == pytest.approx(expected[2])
    assert [f.n for f in found] == expected[3].tolist()


def test_confusion_counts_no_answer_in_its_own_column():
    table = m.confusion(np.array([0, 0, 1]), np.array([0, -1, 0]), 2)
    assert table.tolist() == [[1, 0, 1], [1, 0, 0]]


def test_brier_and_log_loss_are_sklearns():
    truth, _, p = _labels()
    onehot = np.eye(4)[truth]
    assert m.brier(p, truth).mean() == pytest.approx(((p - onehot) ** 2).sum(axis=1).mean())
    assert m.log_loss(p, truth).mean() == pytest.approx(sk.log_loss(truth, p))
    perfect = np.eye(4)[truth]
    assert m.brier(perfect, truth).max() == 0
    # a label that the system cannot say: all its probability is wrong
    assert m.brier(np.array([[1.0, 0.0]]), np.array([-1])) == pytest.approx([2.0])


@given(some.integers(1, 80), some.integers(0, 1000))
def test_calibration_error_by_the_definition(n, seed):
    rng = np.random.default_rng(seed)
    sure, right = rng.random(n), rng.random(n) < 0.6
    groups = m.reliability(sure, right)
    assert sum(group.n for group in groups) == n
    assert max(g.n for g in groups) - min(g.n for g in groups) <= 1  # no two confidences are equal here
    by_width = sum(
        inside.mean() * abs(sure[inside].mean() - right[inside].mean())
        for low in np.arange(15)
        if (inside := (sure > low / 15) & (sure <= (low + 1) / 15)).any()
    )
    assert m.expected_calibration_error(sure, right, equal="width") == pytest.approx(by_width)


def test_a_calibrated_system_has_almost_no_calibration_error_and_a_boastful_one_has_its_gap():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.3, 1.0, 20_000)
    right = rng.random(20_000) < sure
    assert m.expected_calibration_error(sure, right) < 0.02
    assert m.expected_calibration_error(np.full(1000, 0.9), np.arange(1000) < 600) == pytest.approx(0.3)
    assert np.isnan(m.expected_calibration_error(np.array([]), np.array([], dtype=bool)))


def _distance(answers, references):
    features = m.style_features(references)
    return m.style_distance(m.style_profile(answers, features), m.style_profile(references, features))


def test_style_distance_is_0_for_the_same_and_grows_with_another_way_of_writing():
    notes = ["The patient denies fever. The patient has a cough.", "The patient is a smoker."] * 20
    alike = ["The patient has a fever. The patient denies cough.", "The patient is a farmer."] * 20
    chatty = ["yeah so like, i guess you got a fever, huh?", "ok!! well, u smoke i think"] * 20
    assert _distance(notes, notes) == 0.0
    assert 0.0 < _distance(alike, notes) < _distance(chatty, notes) <= 1.0
    assert _distance([""], notes) == 1.0


def test_labels_unseen_in_train_get_a_place_after_the_known_ones():
    assert m.all_labels(("b", "a"), ["a", "z"], [None, "y"]) == ("b", "a", "y", "z")
    assert m.codes(["a", None, "q"], ("b", "a")).tolist() == [1, -1, -1]
