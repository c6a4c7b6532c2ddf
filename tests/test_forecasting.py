"""What a run is expected to take, from what its plan says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tunesmith.core.dataset import rows_of
from tunesmith.forecasting import Work, _answered_again, _counting, _disturbed, _seconds
from tunesmith.planning import trials_s
from tunesmith.training.budget import Forecast, Probe
from tunesmith.training.systems import RungPlan
from tunesmith.training.tune import TuneOptions


class Counts:
    """Rows of a split, as many as were said."""

    def count(self, split: str) -> int:
        return {"train": 800, "dev": 200, "test": 1000}[split]


def work(*rungs: RungPlan, **others: Any) -> Work:
    forecasts = [Forecast(rung.name, 10.0, 5.0, 15.0) for rung in rungs if rung.run]
    base: Any = {"data": Counts(), "rungs": rungs, "forecasts": forecasts, "probe": Probe(), "folders": {}}
    return Work(**{**base, "refit": (), "training": None, "cores": 1.0, "dtype": "float32", **others})


TFIDF, FUSION = RungPlan("tfidf", one_s=0.001), RungPlan("fusion", one_s=0.009)


def test_a_fresh_process_answers_a_piece_again_whichever_of_the_cheap_rungs_it_will_be() -> None:
    counts, both = _answered_again(work(TFIDF)), _answered_again(work(TFIDF, FUSION))
    assert both > counts
    assert both == pytest.approx((counts + _answered_again(work(FUSION))) / 2)
    # a tuned rung is answered for beside the best of the others
    tuned = RungPlan("encoder", one_s=0.01)
    assert _answered_again(work(TFIDF, tuned)) == pytest.approx(_answered_again(work(tuned)) + 200 * 0.001)
    assert _answered_again(work(TFIDF, RungPlan("encoder", run=False))) == counts


def test_disturbed_texts_take_no_longer_than_they_may_and_nothing_where_that_says_nothing() -> None:
    assert _disturbed(work(FUSION, disturbed_s=0.5)) == 0.0  # too few rows
    assert 4.0 < _disturbed(work(FUSION, disturbed_s=6.0)) <= 6.0
    assert _disturbed(work(TFIDF, disturbed_s=600.0)) < 3.0  # of 300 rows at the most


def test_counting_takes_memory_with_the_letters_up_to_a_point_and_more_of_it_for_labels() -> None:
    def counting(characters: int, labels: tuple[str, ...] = ("a", "b")) -> float:
        class Letters:
            def rows(self, split: str, *, blind: bool) -> Any:
                return rows_of(["x" * characters] if split == "train" and blind else [])

        Letters.labels = labels  # type: ignore[attr-defined]
        return _counting(work(TFIDF, data=Letters()))

    assert counting(200_000) - counting(100_000) == pytest.approx(48e6)
    assert counting(200_000, ()) - counting(100_000, ()) == pytest.approx(24e6)
    assert counting(2_000_000) == counting(1_000_000) > counting(800_000)


def test_trials_are_part_of_the_forecast_where_they_can_show_anything() -> None:
    alone = work(TFIDF, RungPlan("encoder"))
    forecasts = list(alone.forecasts)
    assert trials_s(TuneOptions(fits=8.0, at_once=1), forecasts) == pytest.approx(80.0)
    assert trials_s(TuneOptions(fits=8.0, at_once=2), forecasts) == pytest.approx(40.0)
    assert trials_s(TuneOptions(fits=3.0, at_once=1), forecasts) == 0.0
    assert trials_s(TuneOptions(fits=8.0, at_once=1), forecasts[:1]) == 0.0, "nothing that learns by gradient"
    assert _seconds(replace(alone, trials_s=80.0)) == pytest.approx(_seconds(alone) + 80.0)
