"""More labels or more tuning: what the report says of the two."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tunesmith.evaluation.learning_curve import fit_curve
from tunesmith.evaluation.more_card import more_card
from tunesmith.evaluation.more_data import _gain, _said
from tunesmith.evaluation.page import render
from tunesmith.evaluation.reading import read

SIZES = [50, 70, 100, 141, 200]


def _curve(*, falls: float):
    draw = np.random.default_rng(0)
    clean = np.array([0.9 - falls * n**-0.5 for n in SIZES])
    return fit_curve(SIZES, clean + draw.normal(0, 0.003, (8, len(SIZES))))


def test_twice_the_rows_are_expected_to_bring_what_the_law_that_made_the_scores_brings() -> None:
    found = _gain(_curve(falls=3.0), 200, 400)
    truth = 3.0 * (200**-0.5 - 400**-0.5)
    low, high = found["interval"]
    assert low < truth < high
    assert low > 0


def test_a_flat_curve_promises_nothing() -> None:
    low, high = _gain(_curve(falls=0.0), 200, 400)["interval"]
    assert low <= 0.001
    assert high < 0.03


@pytest.mark.parametrize(
    ("twice", "tuning", "word"),
    [
        ([0.02, 0.04], None, "nothing was tuned"),
        ([-0.01, 0.04], None, "not shown"),
        ([0.02, 0.04], [-0.01, 0.01], "More labels are expected to pay more"),
        ([-0.01, 0.01], [0.02, 0.04], "Tuning has paid more"),
        ([-0.01, 0.01], [-0.01, 0.01], "Neither"),
        ([0.01, 0.05], [0.01, 0.05], "cannot be told"),
    ],
)
def test_one_is_said_to_pay_more_only_where_the_intervals_lie_apart(twice, tuning, word: str) -> None:
    assert word in _said({"interval": twice}, tuning and {"interval": tuning})


def test_the_card_shows_gains_and_both_pictures_and_survives_nonsense() -> None:
    curve = _curve(falls=3.0)
    told = {
        "curve": {"sizes": SIZES, "scores": curve.scores.mean(axis=0).tolist(), "spread": [0.01] * len(SIZES)},
        "forecasts": [{"labels": 200, **_gain(curve, 200, 400)}],
        "tuning": {"candidate": "<b>x", "reference": "y", "metric": "macro_f1", "gain": 0.01,
                   "interval": [-0.01, 0.03]},
        "said": "Neither.", "trained": "a probe", "judged": 60, "of_train": 200,
    }  # fmt: skip
    card = more_card(read({"details": {"more_data": told}}))
    assert card is not None
    assert card["rows"][0]["what"] == "200 more labels"
    assert len(card["pictures"]) == 2
    page = render({"details": {"more_data": told}})
    assert "More data or more tuning?" in page
    assert "<b>x" not in page
    draw = random.Random(0)
    for _ in range(200):
        broken = {key: draw.choice([None, 3, "x", [], {}, value]) for key, value in told.items()}
        more_card(read({"details": {"more_data": broken}}))
    assert more_card(read({})) is None
