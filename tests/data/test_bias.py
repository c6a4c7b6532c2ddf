"""A slice whose labels are worse is found, random slices are not; swaps of gender change what hangs on gender."""

from __future__ import annotations

import numpy as np

from tunesmith.data.bias import errors_and_swaps, gaps, scarce, swap_gender


def test_words_of_gender_are_exchanged_both_ways_with_their_capitals() -> None:
    assert swap_gender("He told MARY that John saw a woman.") == "She told JOHN that Mary saw a man."
    assert swap_gender("the shepherd") == "the shepherd"


def test_a_planted_gap_is_found_and_random_slices_are_not() -> None:
    draw = np.random.default_rng(0)
    groups = draw.integers(0, 4, size=800)
    wrong = draw.random(800) < np.where(groups == 2, 0.4, 0.1)
    random = {f"s{i}": draw.integers(0, 4, size=800).astype(str).tolist() for i in range(8)}
    found = gaps(wrong, {"region": groups.astype(str).tolist(), **random})
    assert [(gap.column, gap.value) for gap in found] == [("region", "2")]
    low, high = found[0].interval
    assert low < found[0].errors < high
    assert found[0].p < 0.001


def test_labels_that_hang_on_gender_change_with_it() -> None:
    texts = [f"{'he' if at % 2 else 'she'} asks about item {at}" for at in range(80)]
    codes = np.array([at % 2 for at in range(80)])
    wrong, swapped = errors_and_swaps(texts, codes, np.arange(80))
    assert wrong.sum() == 0
    assert len(swapped.changed) == 80
    assert swapped.share is not None
    assert swapped.share[0] > 0.9
    texts = [f"{'he' if at % 4 > 1 else 'she'} asks about {'cash' if at % 2 else 'cards'} {at}" for at in range(80)]
    _, swapped = errors_and_swaps(texts, codes, np.arange(80))
    assert len(swapped.changed) == 0


def test_scarce_slices_are_measured_against_an_equal_part() -> None:
    assert scarce({"region": ["a"] * 50 + ["b"] * 47 + ["c"] * 3}, share=0.1) == [("region", "c", 3)]
    assert scarce({"row": [str(at) for at in range(100)]}, share=0.1) == []
