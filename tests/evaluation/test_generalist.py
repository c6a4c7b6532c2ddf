"""The volume where tuning pays, and a file of predictions matched to the test."""

from __future__ import annotations

import pytest

from tunesmith.core.errors import ConfigError
from tunesmith.evaluation.generalist import GeneralistOptions, Spent, crossover


def test_the_crossover_is_the_cost_once_over_what_an_answer_saves() -> None:
    spent = Spent(once=10.0, per_answer=0.001, seconds_per_answer=0.1)
    assert crossover(spent, 0.011)["answers"] == 1000
    assert crossover(spent, 0.001)["answers"] is None
    assert "not known" in crossover(spent, None)["why"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"endpoint": "http://127.0.0.1:1/v1"}, "which model"),
        ({"endpoint": "localhost", "model": "m"}, "no address"),
        ({"price": -1.0}, "at least 0"),
        ({"rows": 0}, "start at 1"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_spent(options, said) -> None:
    with pytest.raises(ConfigError, match=said):
        GeneralistOptions(**options)
