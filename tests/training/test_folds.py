import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.dataset import rows_of
from tunesmith.core.errors import DataError
from tunesmith.training.folds import label_codes, make_folds, repeated_folds, rest_of, row_folds, stratified_sample


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 20)), min_size=2, max_size=120), st.integers(2, 6))
def test_folds_hold_every_row_once_and_keep_groups_whole(rows: list[tuple[int, int]], k: int) -> None:
    labels = np.array([label for label, _ in rows])
    groups = np.array([group for _, group in rows])
    if len(set(groups.tolist())) < 2:
        with pytest.raises(DataError, match="cannot be cut"):
            make_folds(labels, groups, k=k, seed=0)
        return
    folds = make_folds(labels, groups, k=k, seed=0)
    assert sorted(i for fold in folds for i in fold) == list(range(len(rows)))
    for group in set(groups.tolist()):
        members = set(np.flatnonzero(groups == group).tolist())
        assert sum(bool(members & set(held)) for held in folds) == 1


def test_each_label_is_spread_evenly_where_rows_stand_alone() -> None:
    labels = np.array([0] * 50 + [1] * 25 + [2] * 5)
    folds = make_folds(labels, np.arange(80), k=5, seed=3)
    assert [[int((labels[fold] == label).sum()) for label in range(3)] for fold in folds] == [[10, 5, 1]] * 5


def test_folds_repeat_by_seed_and_differ_between_repeats() -> None:
    rows = rows_of([f"text {i}" for i in range(60)], ["a", "b", "c"] * 20)
    first, second = repeated_folds(rows, k=4, repeats=2, seed=7)
    assert [first, second] == repeated_folds(rows, k=4, repeats=2, seed=7)
    assert first != second
    assert row_folds(rows, k=4, seed=1) != row_folds(rows, k=4, seed=2)


def test_more_folds_than_groups_become_as_many_as_groups() -> None:
    assert len(make_folds(["a", "b", "a"], np.array([0, 1, 2]), k=10, seed=0)) == 3


def test_the_rest_of_a_fold_is_what_it_does_not_hold() -> None:
    assert rest_of([1, 3], 5).tolist() == [0, 2, 4]


def test_a_target_that_is_no_label_is_named_with_the_nearest_one() -> None:
    with pytest.raises(DataError, match=r"'refnd'.*\n.*'refund'"):
        label_codes(["refund", "refnd"], ["card", "refund"])


def test_a_sample_keeps_proportions_and_rare_labels() -> None:
    rows = rows_of([str(i) for i in range(1000)], ["a"] * 700 + ["b"] * 297 + ["c"] * 3)
    at = stratified_sample(rows, most=100, seed=0)
    counts = [[rows.targets[i] for i in at].count(label) for label in "abc"]
    assert len(at) == 100
    assert abs(counts[0] - 70) <= 2
    assert counts[2] == 2
    assert stratified_sample(rows, most=1000, seed=0).tolist() == list(range(1000))
