"""Which texts say the same in other words, by given vectors, and which only stand near each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from tunesmith.data.meaning import Reader, meaning_pairs
from tunesmith.data.near import near_pairs
from tunesmith.data.opposites import opposed

SAME = {"purchase": "buy", "obtain": "get", "funds": "money"}


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Sums of one random direction per word, synonyms sharing theirs."""
    out = []
    for text in texts:
        words = [SAME.get(word, word) for word in text.lower().split()]
        rows = [
            np.random.default_rng(sum(ord(c) << (4 * i) for i, c in enumerate(word))).normal(size=64) for word in words
        ]
        total = np.sum(rows, axis=0)
        out.append(total / np.linalg.norm(total))
    return np.array(out, dtype=np.float32)


def in_place(texts: Sequence[str], spans: Sequence[tuple[int, Sequence[tuple[int, int]]]]) -> NDArray[np.float32]:
    """The same of the words that the spans hold."""
    return embed([" ".join(texts[at][start:end] for start, end in where) for at, where in spans])


READER = Reader(embed, in_place)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("where can i buy the blue ticket for the train", "where can i purchase the blue ticket for the train", True),
        ("where can i buy the blue ticket for the train", "where can i sell the blue ticket for the train", False),
        ("where can i buy the blue ticket for the train", "where can i eat the blue ticket for the train", False),
        ("i get the money on day 3 of the trip", "i obtain the funds on day 3 of the trip", True),
        ("i get the money on day 3 of the trip", "i obtain the funds on day 4 of the trip", False),
        ("i get the money on the trip", "i never obtain the funds on the trip", False),
        ("we met Anna in the garden of the house", "we met Purchase in the garden of the house", False),
    ],
)
def test_synonyms_pair_and_other_words_numbers_names_and_negations_do_not(one: str, other: str, expected: bool) -> None:
    texts = [one, other, "something else that nobody here has asked before"]
    near = near_pairs(texts)
    found = meaning_pairs(texts, near, READER)
    assert [(pair.one, pair.other) for pair in found.pairs] == ([(0, 1)] if expected else [])
    assert all(0 < pair.score <= 1 and pair.kind == "meaning" for pair in found.pairs)


def test_pairs_that_wording_has_found_are_not_told_twice() -> None:
    texts = ["where can i buy the blue ticket for the train", "where can i buy the bleu ticket for the train"]
    near = near_pairs(texts)
    assert len(near.pairs) == 1
    assert meaning_pairs(texts, near, READER).pairs == ()


@pytest.mark.parametrize("texts", [[], ["a"], ["", "?"], ["one two three"]])
def test_tables_too_small_have_no_pairs(texts: list[str]) -> None:
    assert meaning_pairs(texts, near_pairs(texts), READER).pairs == ()


def test_opposites_are_of_one_set_and_two_sides() -> None:
    assert opposed(["week"], ["month"])
    assert opposed(["i", "buy"], ["sell"])
    assert not opposed(["buy"], ["purchase"])
    assert not opposed(["week"], ["sell"])
