"""How rows are divided."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.errors import DataError
from tunesmith.data.split import Shares, default_shares, divide, join_groups, times_of


@settings(max_examples=60, deadline=None)
@given(st.integers(20, 300), st.integers(1, 40), st.integers(2, 6), st.integers(0, 1000))
def test_groups_are_whole_and_every_label_is_in_train(n: int, most: int, labels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, max(2, n // most), size=n)
    names = [f"l{g % labels}" for g in groups]  # a label per group
    part = divide(groups, names, Shares(0.2, 0.15), rng=rng)
    for group in np.unique(groups):
        assert len(set(part[groups == group])) == 1
    assert {name for name, p in zip(names, part, strict=True) if p == "train"} == set(names)


def test_shares_are_kept_label_by_label() -> None:
    names = ["a"] * 100 + ["b"] * 50 + ["c"] * 10
    part = divide(np.arange(160), names, Shares(0.2, 0.1), rng=np.random.default_rng(0))
    for label, count in (("a", 100), ("b", 50), ("c", 10)):
        own = part[[name == label for name in names]]
        assert (own == "test").sum() == round(0.2 * count)
        assert (own == "dev").sum() == max(1, round(0.1 * count))


def test_a_label_with_one_row_stays_in_train() -> None:
    part = divide(np.arange(11), ["a"] * 10 + ["b"], Shares(0.3, 0.2), rng=np.random.default_rng(0))
    assert part[10] == "train"


def test_a_large_group_does_not_swallow_the_test() -> None:
    groups = np.array([0] * 50 + list(range(1, 51)))
    part = divide(groups, ["a"] * 100, Shares(0.2, 0.1), rng=np.random.default_rng(0))
    assert (part[:50] == "train").all()
    assert (part == "test").sum() == 20


def test_by_time_no_train_row_is_later_than_a_test_row_of_another_group() -> None:
    times = np.arange(100.0)
    groups = np.arange(100)
    groups[3] = 99  # an early copy of the latest row goes where the latest goes
    part = divide(groups, None, Shares(0.2, 0.1), rng=np.random.default_rng(0), times=times)
    assert part[3] == part[99] == "test"
    assert times[part == "train"].max() < times[part == "dev"].min()


def test_joined_groups_are_the_finest_common_coarsening() -> None:
    joined = join_groups(np.array([0, 0, 1, 2, 3]), np.array([5, 6, 6, -1, -1]))
    assert joined.tolist() == [0, 0, 0, 1, 2]


def test_small_tables_give_up_a_larger_share() -> None:
    assert default_shares(200, ready_test=False).test > default_shares(20_000, ready_test=False).test
    assert default_shares(1_000_000, ready_test=False).test * 1_000_000 == pytest.approx(20_000)
    assert default_shares(200, ready_test=True).test == 0


@pytest.mark.parametrize(
    "cells",
    [
        ["2024-01-02", "2024-01-03", "2023-12-31"],
        ["2024-01-02T10:00:00Z", "2024-01-02T12:00:00+01:00", "2024-01-02T09:00:00Z"],
        ["02/01/2024", "03/01/2024", "31/12/2023"],
        ["1/13/2024", "1/14/2024", "1/12/2024"],
        ["17", "18.5", "3"],
    ],
)
def test_times_of_usual_kinds_are_ordered(cells: list[str]) -> None:
    times = times_of(cells, "when", ["f: row 1", "f: row 2", "f: row 3"])
    assert times[2] < times[0] < times[1]


def test_a_cell_that_is_no_time_is_named() -> None:
    with pytest.raises(DataError, match=r"f: row 2, column 'when': 'later'"):
        times_of(["2024-01-01", "later"], "when", ["f: row 1", "f: row 2"])
