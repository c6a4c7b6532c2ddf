from dataclasses import replace

import numpy as np
import pytest

from tunesmith.core.context import Context
from tunesmith.core.dataset import rows_of
from tunesmith.tasks import task
from tunesmith.training.systems import Job, system

LABELS = ("a", "b", "c")


@pytest.fixture
def job() -> Job:
    what = task.get("classify")
    return Job(what, LABELS, what.prompt(LABELS, inputs=("text",), target="topic"))


def test_it_answers_the_most_frequent_label_with_its_smoothed_share(job, tmp_path):
    rows = rows_of(["x"] * 7, ["b"] * 5 + ["a"] * 2)
    answers = (
        system.get("majority").fit(rows, rows.take([]), job, Context(tmp_path)).predict(["y", "z"], Context(tmp_path))
    )
    assert answers.values == ("b", "b")
    assert answers.probabilities[0] == pytest.approx([3 / 10, 6 / 10, 1 / 10])  # one imaginary row per label


def test_weights_count(job, tmp_path):
    rows = rows_of(["x"] * 3, ["a", "b", "b"])
    heavy = replace(rows, weights=np.array([5.0, 1.0, 1.0], dtype=np.float32))
    assert system.get("majority").fit(heavy, rows.take([]), job, Context(tmp_path)).predict(["y"], None).values == (
        "a",
    )


def test_out_of_fold_answers_leave_the_fold_out(job, tmp_path):
    rows = rows_of(["x"] * 5, ["a", "a", "b", "b", "b"])
    answers = system.get("majority").cross_fit(rows, [[0, 1], [2, 3, 4]], job, Context(tmp_path))
    assert answers.values == ("b", "b", "a", "a", "a")
