"""Paired differences of macro-F1 over judged rows and training draws."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.core import statistics as st
from tunesmith.evaluation.effects import WORTHWHILE, _row_moves, effect, family, judged, score_interval


def answers(rng: np.random.Generator, truth: np.ndarray, right: float, k: int, draws: int) -> np.ndarray:
    noise = rng.integers(0, k, (draws, len(truth)))
    return np.where(rng.random((draws, len(truth))) < right, truth, noise)


def test_row_moves_are_the_derivative_of_macro_f1() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 60)
    said = np.where(rng.random(60) < 0.7, truth, rng.integers(-1, 4, 60))
    moves = _row_moves(truth, said, 4)
    for row in (0, 7, 33):  # thousand copies of all rows and one more of this one: a step of 1/1000
        more = np.append(np.repeat(np.arange(60), 1000), row)
        step = (st.macro_f1(truth[more], said[more], 4) - st.macro_f1(truth, said, 4)) * 1000
        assert step == pytest.approx(moves[row], abs=2e-4)
    assert moves.sum() == pytest.approx(0, abs=1e-12)


def test_the_error_over_rows_agrees_with_the_bootstrap() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 5, 800)
    a, b = answers(rng, truth, 0.8, 5, 1), answers(rng, truth, 0.75, 5, 1)
    found = effect(truth, a, b, 5, draws="repeated")
    _, error = st.bootstrap_macro_f1_difference(truth, a[0], b[0], 5, resamples=3000)
    assert found.error_rows == pytest.approx(error, rel=0.08)
    assert found.difference == pytest.approx(st.macro_f1(truth, a[0], 5) - st.macro_f1(truth, b[0], 5))


def test_resampled_draws_widen_and_repeated_draws_average() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, 500)
    a, b = answers(rng, truth, 0.8, 3, 12), answers(rng, truth, 0.8, 3, 12)
    one = effect(truth, a[:1], b[:1], 3, draws="resampled")
    many = effect(truth, a, b, 3, draws="resampled")
    mean = effect(truth, a, b, 3, draws="repeated")
    assert one.error_draws == 0 < many.error_draws
    assert many.difference == one.difference
    assert mean.error_draws < many.error_draws
    assert many.interval[1] - many.interval[0] > one.interval[1] - one.interval[0]


def test_claims_follow_the_interval() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 3000)
    good, bad = answers(rng, truth, 0.9, 3, 1), answers(rng, truth, 0.6, 3, 1)
    assert effect(truth, good, bad, 3, draws="repeated").claim == "helps"
    assert effect(truth, bad, good, 3, draws="repeated").claim == "hurts"
    nothing = effect(truth, good, good, 3, draws="repeated")
    assert nothing.claim == "does not help"
    assert nothing.interval[1] < WORTHWHILE
    few = truth[:40]
    unknown = effect(few, good[:, :40], answers(rng, few, 0.9, 3, 1), 3, draws="repeated")
    assert unknown.claim == "cannot be told"
    assert unknown.detectable > WORTHWHILE


def test_a_family_is_adjusted_and_says_what_it_can_find() -> None:
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 3, 400)
    found = [effect(truth, answers(rng, truth, 0.8, 3, 3), answers(rng, truth, 0.8, 3, 3), 3, draws="repeated")
             for _ in range(4)]  # fmt: skip
    together = family(found)
    assert [e.p_adjusted for e in together] == st.holm([e.p_value for e in found])
    assert all(new.detectable >= old.detectable for new, old in zip(together, found, strict=True))


def test_the_interval_of_a_score_holds_its_mean() -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 3, 300)
    mean, low, high = score_interval(truth, answers(rng, truth, 0.8, 3, 4), 3)
    assert 0 < low < mean < high < 1
    assert score_interval(truth, truth[None], 3)[0] == 1.0
    assert score_interval(truth, truth[None], 3)[1] < 1.0


def test_labels_with_few_rows_count_as_one_and_only_the_right_one_counts() -> None:
    truth = np.array([0] * 10 + [1] * 10 + [2, 2, 3, 3, 3])
    said = truth.copy()
    said[[20, 22]] = 3, 2  # rare labels taken for each other
    said[0] = 3
    now, (answers_,), k = judged(truth, (said[None],), 4)
    assert now.tolist() == [0] * 10 + [1] * 10 + [4] * 5
    assert k == 5
    assert answers_[0, 20:].tolist() == [-1, 4, -1, 4, 4]
    assert answers_[0, 0] == -1
    few, (rest,), _ = judged(truth[:22], (said[None, :22],), 4)
    assert len(few) == 20
    assert rest.shape == (1, 20)
    same, _, _ = judged(truth[20:], (said[None, 20:],), 4)
    assert len(same) == 5
