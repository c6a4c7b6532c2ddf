"""Rows packed as a tree: every token is found again, shared beginnings stand once, segments nest."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tunesmith.models.tree import plant

PREFIX = list(range(100, 140))


def rows_of(tree, rows):
    return [tree.ids[where].tolist() for where in tree.where] == [list(row) for row in rows]


def random_rows(seed, n=12):
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        shared = rng.integers(0, 3, size=rng.integers(0, 30)).tolist() if rng.random() < 0.5 else []
        rows.append([*PREFIX[: rng.integers(1, 40)], *shared, *rng.integers(0, 4, size=rng.integers(0, 9)).tolist()])
    return rows


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("least", [1, 16, 10**9])
def test_every_row_is_found_again_at_its_positions(seed, least):
    rows = random_rows(seed)
    tree = plant(rows, least=least)
    assert rows_of(tree, rows)
    assert [tree.at[where].tolist() for where in tree.where] == [list(range(len(row))) for row in rows]


@pytest.mark.parametrize("seed", range(20))
def test_segments_nest_and_cover_the_packed_row_without_gaps(seed):
    tree = plant(random_rows(seed))
    covered = sorted((s.start, s.end) for s in tree.segments)
    assert covered[0][0] == 0
    assert covered[-1][1] == len(tree)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(covered))
    for s in tree.segments:
        if s.parent >= 0:
            parent = tree.segments[s.parent]
            assert parent.end <= s.start
            assert s.last <= parent.last


def test_a_shared_beginning_stands_once():
    tree = plant([[*PREFIX, 1, 2], [*PREFIX, 3], [*PREFIX, 4, 5, 6]])
    assert len(tree) == 40 + 2 + 1 + 3
    assert [s.parent for s in tree.segments] == [-1, 0, 0, 0]


def test_sharing_that_saves_too_little_is_not_worth_a_segment():
    rows = [[*PREFIX, 7, 7, 1], [*PREFIX, 7, 7, 2], [*PREFIX, 8, 3]]
    assert len(plant(rows, least=1)) == 40 + 2 + 1 + 1 + 2
    assert len(plant(rows, least=3)) == 40 + 3 + 3 + 2


def test_a_huge_least_shares_nothing():
    rows = [[*PREFIX, 1], [*PREFIX, 1], [*PREFIX]]
    tree = plant(rows, least=10**9)
    assert len(tree) == 41 + 40
    assert rows_of(tree, rows)
    assert all(s.parent == -1 for s in tree.segments)


def test_equal_rows_and_rows_that_begin_others_stand_once():
    rows = [PREFIX, PREFIX, [*PREFIX, 1, 2], [*PREFIX, 1, 2]]
    tree = plant(rows)
    assert len(tree) == 42
    assert rows_of(tree, rows)


def test_trees_within_trees():
    document, question = list(range(200, 260)), list(range(300, 330))
    rows = [
        [*PREFIX, *document, *question, 1],
        [*PREFIX, *document, *question, 2],
        [*PREFIX, *document, 5],
        [*PREFIX, 9],
    ]
    tree = plant(rows)
    assert len(tree) == 40 + 60 + 30 + 1 + 1 + 1 + 1
    assert rows_of(tree, rows)
