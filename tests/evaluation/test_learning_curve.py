"""Power laws through nested subsets."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.evaluation.learning_curve import fit_curve, subset_sizes


def law(n: np.ndarray, a: float = 0.9, b: float = 3.0, c: float = 0.5) -> np.ndarray:
    return a - b * n.astype(float) ** -c


def test_sizes_are_nested_halvings_and_not_too_small() -> None:
    sizes = subset_sizes(1600, least=100)
    assert sizes[-1] == 1600
    assert 800 in sizes
    assert sizes == sorted(sizes)
    assert sizes[0] >= 100
    assert len(subset_sizes(60, least=100)) == 3


def test_a_power_law_is_found_again_and_continued() -> None:
    sizes = subset_sizes(1600, least=100)
    rng = np.random.default_rng(0)
    scores = law(np.array(sizes)) + rng.normal(size=(8, len(sizes))) * 0.003
    scores[:, -1] = law(np.array(sizes))[-1]
    curve = fit_curve(sizes, scores)
    assert curve is not None
    ahead = curve.forecast(3200)
    assert ahead.score == pytest.approx(law(np.array([3200]))[0], abs=0.006)
    assert ahead.interval[0] < law(np.array([3200]))[0] < ahead.interval[1]
    gain = law(np.array([3200]))[0] - law(np.array([1600]))[0]
    assert ahead.gain_interval[0] < gain < ahead.gain_interval[1]
    assert curve.forecast(6400).gain > ahead.gain > 0


def test_a_flat_curve_expects_nothing_and_no_score_passes_one() -> None:
    sizes = [100, 200, 400]
    flat = fit_curve(sizes, np.full((4, 3), 0.7))
    assert flat is not None
    assert flat.forecast(800).gain < 0.01
    steep = fit_curve(sizes, np.tile([0.5, 0.8, 0.99], (4, 1)))
    assert steep is not None
    assert steep.forecast(10_000).interval[1] <= 1.0
    assert steep.forecast(10_000).score <= 1.0


def test_too_little_gives_no_curve() -> None:
    assert fit_curve([10, 20], np.zeros((4, 2))) is None
    assert fit_curve([10, 20, 40], np.zeros((1, 3))) is None


def test_about_nineteen_of_twenty_forecasts_hold_on_made_up_laws() -> None:
    rng = np.random.default_rng(1)
    held = 0
    sizes = np.array(subset_sizes(800, least=100))
    for _ in range(60):
        a, c = rng.uniform(0.75, 0.98), rng.uniform(0.3, 1.0)
        b = rng.uniform(0.1, 0.4) * 100**c
        noise = 0.012
        # All orders come from one table: they share its luck, and at the full size they agree.
        shared = rng.normal() * noise * np.sqrt(sizes / 800)
        own = rng.normal(size=(8, len(sizes))) * noise * np.sqrt(np.maximum(0, 800 / sizes - 1))
        curve = fit_curve(sizes.tolist(), law(sizes, a, b, c) + shared + own)
        assert curve is not None
        seen = law(np.array([1600]), a, b, c)[0] + rng.normal() * noise / np.sqrt(2)
        low, high = curve.forecast(1600).interval
        held += low <= seen <= high
    assert held >= 54  # at 95 % fewer than 54 of 60 would be seen in 3 of 100 tries
