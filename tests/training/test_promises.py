from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.errors import ConfigError
from tunesmith.training.promises import DOUBT, Judged, rows_needed


def drawn(n: int, seed: int, *, sharp: float = 1.0) -> Judged:
    """Answers that are right just as often as they say, from half sure to certain."""
    rng = np.random.default_rng(seed)
    sure = 1.0 - 0.5 * rng.random(n) ** (1.0 + sharp)
    return Judged(sure, rng.random(n) < sure)


@pytest.mark.parametrize("target", [0.8, 0.95])
def test_a_promise_is_broken_no_more_often_than_it_says(target: float) -> None:
    population = drawn(50_000, 999)
    broken = kept = 0
    for seed in range(100):
        made = drawn(600, seed).promise(target)
        if made.threshold is None:
            continue
        n, right = population.kept(made.threshold)
        kept += 1
        broken += right / n < target
    assert kept > 50
    assert broken <= DOUBT * 100 + 2.33 * np.sqrt(DOUBT * (1 - DOUBT) * 100)  # one-sided 1 % of the binomial


def test_all_right_needs_as_many_rows_as_the_test_does() -> None:
    needed = rows_needed(0.98)
    assert 0.98**needed <= DOUBT / 4 < 0.98 ** (needed - 1)
    sure = np.linspace(0.5, 1.0, needed)
    assert Judged(sure, np.ones(needed, dtype=bool)).promise(0.98).is_kept
    assert not Judged(sure[1:], np.ones(needed - 1, dtype=bool)).promise(0.98).is_kept


def test_one_sure_mistake_does_not_end_the_search() -> None:
    right = np.ones(2000, dtype=bool)
    right[-1] = False  # the surest of all
    made = Judged(np.linspace(0.5, 1.0, 2000), right).promise(0.98)
    assert made.accepted > 0.9


def test_rows_of_equal_confidence_go_together() -> None:
    sure = np.array([0.9] * 300 + [0.6] * 300)
    right = np.array([True] * 300 + [True, False] * 150)
    made = Judged(sure, right).promise(0.95)
    assert (made.threshold, made.accepted, made.right) == (0.9, 0.5, 1.0)


def test_nothing_asked_accepts_everything_and_certainty_is_refused() -> None:
    judged = drawn(100, 0)
    assert (judged.promise(0.0).threshold, judged.promise(0.0).accepted) == (0.0, 1.0)
    for wrong in (1.0, -0.1, 98.0):
        with pytest.raises(ConfigError, match="accept_at"):
            judged.promise(wrong)


def test_the_best_target_can_be_promised_and_a_higher_one_cannot() -> None:
    judged = drawn(1500, 4)
    best = judged.best_target()
    assert 0.7 < best < 1.0
    assert judged.promise(best).is_kept
    assert Judged(np.zeros(0), np.zeros(0, dtype=bool)).best_target() == 0.0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 0.99))
def test_what_is_reported_of_a_promise_is_what_its_threshold_does(seed: int, target: float) -> None:
    judged = drawn(400, seed)
    made = judged.promise(target)
    if made.threshold is not None:
        n, right = judged.kept(made.threshold)
        assert made.accepted == pytest.approx(n / 400)
        assert made.right == pytest.approx(right / n)
        assert made.right > target


def test_the_curve_goes_from_everything_to_little_and_its_intervals_hold_the_share() -> None:
    curve = drawn(500, 1).curve()
    assert curve[0][0] == 0.0
    assert [sent for sent, *_ in curve] == sorted(sent for sent, *_ in curve)
    assert all(low <= right <= high for _, right, low, high in curve)


def test_judged_rows_survive_the_disk(tmp_path: Path) -> None:
    judged = drawn(50, 2)
    judged.save(tmp_path / "judged.parquet")
    again = Judged.load(tmp_path / "judged.parquet")
    assert np.array_equal(again.confidence, judged.confidence)
    assert np.array_equal(again.right, judged.right)
