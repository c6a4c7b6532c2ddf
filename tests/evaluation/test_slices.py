from __future__ import annotations

import numpy as np
import pytest

from tunesmith.evaluation.slices import Sample, halves, weak_slices

FILLER = [f"word{i}" for i in range(40)]


def sample(n: int, seed: int, *, weak: float = 0.9, labels: bool = True) -> Sample:
    """Right in 90 % of the rows, but `weak` of those that mention a fax."""
    rng = np.random.default_rng(seed)
    texts, right, column, truth = [], [], [], []
    for i in range(n):
        has_fax = i % 6 == 0
        texts.append(" ".join([*rng.choice(FILLER, int(rng.integers(3, 12))), *(["fax"] if has_fax else [])]))
        right.append(rng.random() < (weak if has_fax else 0.9))
        column.append("post" if i % 6 == 0 and i % 30 else "mail")
        truth.append("ab"[i // 6 % 2])
    values = np.array(right, dtype=np.float64)
    return Sample(texts, values, truth if labels else (), {"channel": column})


def test_a_weak_word_is_found_and_confirmed_on_other_rows() -> None:
    found = weak_slices(sample(900, 0, weak=0.5), sample(900, 1, weak=0.5), metric="accuracy")
    first = found[0]
    assert (first.slice, first.value, first.n) in [("contains", "fax", 150), ("channel", "post", 120)]
    assert first.p_adjusted < 0.001
    assert first.interval[0] < first.score < first.interval[1] < first.rest
    sure = [part for part in found if part.p_adjusted < 0.05]
    assert len(sure) == 1  # the word and the column are nearly the same rows


def test_what_is_no_weaker_than_the_rest_is_hardly_ever_called_weak() -> None:
    alarms = 0
    for seed in range(40):
        found = weak_slices(sample(400, 2 * seed), sample(400, 2 * seed + 1), metric="accuracy")
        alarms += any(part.p_adjusted < 0.05 for part in found)
    assert alarms <= 5  # 5 % of 40 is 2; six or more have a chance of 1 in 60


def test_scores_that_are_no_shares_are_tested_by_permutation() -> None:
    rng = np.random.default_rng(0)
    kind = ["short"] * 60 + ["long"] * 120
    made = [
        Sample(["a"] * 180, np.where(np.arange(180) < 60, 0.2, 0.7) + rng.normal(0, 0.05, 180), (), {"kind": kind})
        for _ in range(2)
    ]
    found = weak_slices(made[0], made[1], metric="fact_f1")
    assert [part.value for part in found] == ["short"]
    assert found[0].p_value < 0.01


def test_a_weak_cluster_is_named_by_its_words() -> None:
    rng = np.random.default_rng(0)

    def made(seed: int) -> Sample:
        rng = np.random.default_rng(seed)
        about = rng.integers(0, 4, 600)
        vectors = np.eye(8, dtype=np.float32)[about] + rng.normal(0, 0.05, (600, 8)).astype(np.float32)
        texts = [f"topic{a} {rng.choice(FILLER)} {i}" for i, a in enumerate(about)]
        values = (rng.random(600) < np.where(about == 2, 0.5, 0.95)).astype(float)
        return Sample([t.replace("topic2", "") for t in texts], values, (), {}, vectors)

    found = weak_slices(made(1), made(2), metric="accuracy", seed=int(rng.integers(9)))
    assert any(part.slice == "texts about" and part.p_adjusted < 0.01 for part in found)


def test_all_right_or_nothing_at_all_has_no_weak_part() -> None:
    right = Sample(["a b"] * 40, np.ones(40), ["x", "y"] * 20)
    assert weak_slices(right, right, metric="accuracy") == []
    none = Sample([], np.zeros(0))
    assert weak_slices(none, none, metric="accuracy") == []


def test_halves_share_no_row() -> None:
    one, two = halves(Sample([str(i) for i in range(101)], np.zeros(101)), seed=3)
    assert (len(one.texts), len(two.texts)) == (50, 51)
    assert not set(one.texts) & set(two.texts)


@pytest.mark.parametrize("tested", [0, 9])
def test_parts_with_too_few_fresh_rows_are_not_tested(tested: int) -> None:
    seen, fresh = sample(600, 0, weak=0.3), sample(600, 1, weak=0.3)
    at = [i for i in range(600) if i % 6] + [6 * i for i in range(tested)]
    assert all(part.n >= 10 for part in weak_slices(seen, fresh.take(np.array(at)), metric="accuracy"))
