"""How a gain is judged: by rows, by seeds, and by how many settings it was the best of."""

import numpy as np
import pytest

from tunesmith.core.dataset import rows_of
from tunesmith.core.predictions import Predictions
from tunesmith.core.statistics import macro_f1, macro_f1_of_draws
from tunesmith.tasks import task
from tunesmith.training.dev_scores import Scored
from tunesmith.training.gain import draws_of, error_of, gain, luck_of_the_best
from tunesmith.training.systems import Job

CLASSIFY = task.get("classify")
JOB = Job(CLASSIFY, ("a", "b"), CLASSIFY.prompt(("a", "b"), inputs=("text",), target="kind"))


def scored(right):
    truth = ["a" if i % 2 else "b" for i in range(len(right))]
    said = tuple(t if ok else "ab"[t == "a"] for t, ok in zip(truth, right, strict=True))
    return Scored("x", rows_of([str(i) for i in range(len(right))], truth), Predictions(said), JOB)


def runs(draw, n, share, seeds):
    """`seeds` runs that are right about mostly the same rows."""
    hard = draw.random(n)
    return [scored(hard + draw.normal(0, 0.05, n) < share) for _ in range(seeds)], hard


def test_the_draws_are_those_of_the_metric():
    draw = np.random.default_rng(0)
    truth, said = draw.integers(0, 3, 50), draw.integers(-1, 3, 50)
    at = draw.integers(0, 50, (7, 50))
    by_hand = [macro_f1(truth[rows], said[rows], 3) for rows in at]
    assert macro_f1_of_draws(truth, said, 3, at) == pytest.approx(by_hand, abs=1e-12)
    one = scored(draw.random(50) < 0.7)
    assert draws_of(one, np.arange(50)[None])[0] == pytest.approx(one.lead, abs=1e-12)


def test_a_clear_gain_is_detectable_and_equal_settings_gain_nothing():
    draw = np.random.default_rng(1)
    hard = draw.random(800)
    low = [scored(hard + draw.normal(0, 0.03, 800) < 0.70) for _ in range(4)]
    high = [scored(hard + draw.normal(0, 0.03, 800) < 0.78) for _ in range(4)]
    found = gain(low[1:], high[1:], among=[high[0]], baseline=low[0], seed=0)
    assert 0.06 < found.value < 0.10
    assert found.low > 0
    assert found.seeds == 3
    same = gain(low[1:3], low[1:3], among=[low[1]], baseline=low[0], seed=0)
    assert (same.value, same.error) == (0.0, 0.0)


def test_seeds_that_disagree_widen_the_interval():
    draw = np.random.default_rng(2)
    hard = draw.random(800)
    base = [scored(hard < 0.70)] * 3
    calm = [scored(hard < 0.74)] * 3
    wild = [scored(hard < share) for share in (0.66, 0.74, 0.82)]
    steady = gain(base, calm, among=calm[:1], baseline=base[0], seed=0)
    shaky = gain(base, wild, among=wild[:1], baseline=base[0], seed=0)
    assert shaky.error > 1.5 * steady.error
    assert shaky.low < 0 < steady.low
    assert shaky.spread > 0.03 > steady.spread


def test_the_best_of_many_must_lead_by_more():
    draw = np.random.default_rng(3)
    base = scored(draw.random(400) < 0.7)
    many = [scored(draw.random(400) < 0.7) for _ in range(12)]
    at = draw.integers(0, 400, (400, 400))
    assert luck_of_the_best(many[:1], base, at) == 1.0
    assert 1.2 < luck_of_the_best(many, base, at) < 2.0


@pytest.mark.slow
def test_settings_that_are_all_alike_are_seldom_told_apart():
    """Type I: the best of ten settings that are the default, with fresh seeds, passes at most 1 time in 20 (n 400)."""
    draw = np.random.default_rng(4)
    passed = 0
    for number in range(300):
        hard = draw.random(400)

        def run(hard=hard):
            return scored(hard + draw.normal(0, 0.08, 400) < 0.75)

        base, tried = run(), [run() for _ in range(10)]
        best = max(tried, key=lambda s: s.lead)
        if best.lead - base.lead <= error_of(base, best, seed=0):
            continue
        found = gain([run(), run(), run()], [run(), run(), run()], among=tried, baseline=base, seed=number)
        passed += found.low > 0
    assert passed <= 15
