"""What full fine-tuning would take: the arithmetic by hand, and why it is not timed."""

import numpy as np
import pytest

from tunesmith.training.replaced import Replaced, whole_of


def test_steps_of_the_method_are_exchanged_for_full_ones():
    made = whole_of(100.0, 20, [2.0] * 8, [5.0] * 8, 3.0)
    assert made.likely == pytest.approx(100 - 40 + 100 + 3)
    assert made.low < made.likely < made.high, "two equal trainings differ, however alike the steps"


def test_what_else_a_rung_took_is_never_below_nothing():
    assert whole_of(10.0, 20, [2.0] * 8, [5.0] * 8, -3.0).likely == pytest.approx(100)


def test_the_interval_holds_the_whole_training_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        n = int(rng.integers(20, 80))
        plain, full = rng.gamma(8, 0.25, n), rng.gamma(8, 0.6, n)
        speed = np.exp(rng.normal(0, 0.1))  # of the machine, when the whole training ran
        made = whole_of(30 + plain.sum(), n, plain[:8], full[:8], 0.0)
        held += made.low <= (30 + full.sum()) * speed <= made.high
    assert 0.75 <= held / 400 <= 0.93


def test_it_is_the_same_after_a_round_through_json():
    made = Replaced("encoder", "base", "lora", "", 20, (1.0,), (2.0,), whole_of(9, 3, [1, 1], [2, 2], 0), None, 5, 6)
    assert Replaced.from_dict(made.to_dict()) == made
