"""Searching by words, pieces of words and vectors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tunesmith.core.library import Library, Passage
from tunesmith.models.retrieve import FEATURES, Shelf, WordIndex, best, pairs_of, pieces_of, words_of

TEXTS = ["Records are kept for six years.", "Clients pay fees under Rule 4.2.1.", "Six clients complained.", "!!!"]
LIBRARY = Library(tuple(Passage("d1" if i < 2 else "d2", str(i), text) for i, text in enumerate(TEXTS)))
VECTORS = np.eye(4, dtype=np.float32)


def test_words_are_stemmed_and_common_ones_left_out():
    assert words_of("The obligations of an Obligation") == ["oblig", "oblig"]
    assert pairs_of("keep client records safe") == [
        "keep client", "client record", "record safe", "keep * record", "client * safe",
    ]  # fmt: skip
    assert pieces_of("a fee") == ["#fee", "fee#"]


def test_bm25_by_hand():
    texts = ["cat dog", "cat cat fish", "bird"]
    found = WordIndex(texts, str.split).scores(["cat"])[0]
    idf = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    mean = 6 / 3

    def bm25(tf, length):
        return idf * tf / (tf + 1.5 * (1 - 0.75 + 0.75 * length / mean))

    assert found == pytest.approx([bm25(1, 2), bm25(2, 3), 0.0], rel=1e-5)


def test_what_shares_nothing_and_what_is_empty_scores_nothing():
    index = WordIndex(TEXTS, words_of)
    assert index.scores(["zebra", "", "???"]).tolist() == [[0.0] * 4] * 3
    assert WordIndex(["", "!"], words_of).scores(["word"]).tolist() == [[0.0, 0.0]]


def test_the_best_come_first_and_ties_keep_their_order():
    found = best(np.array([[1.0, 3.0, 3.0, 2.0]]), 3)
    assert found.at.tolist() == [[1, 2, 3]]
    assert best(np.zeros((2, 3)), 99).at.shape == (2, 3)


def test_a_finding_says_what_each_opinion_thinks():
    shelf = Shelf(LIBRARY, VECTORS)
    finding = shelf.find(["How many years are records kept (see 4.2.1)?", "", "nothing known"], VECTORS[[0, 1, 2]])
    assert finding.features.shape == (3, 4, len(FEATURES))
    assert np.isfinite(finding.features).all()
    assert finding.at[0, 0] == 0
    value = dict(zip(FEATURES, finding.features[0, 0].tolist(), strict=True))
    assert value["words"] == value["words.rank"] == pytest.approx(1.0)
    assert value["meaning"] == pytest.approx(1.0)
    assert value["words.before"] == 0.0
    rule = dict(zip(FEATURES, finding.features[0, finding.at[0].tolist().index(1)].tolist(), strict=True))
    assert rule["numbers"] == pytest.approx(1.0)
    assert rule["words.before"] == pytest.approx(1.0)


def test_a_heading_is_searched_with_its_passage():
    library = Library((Passage("d", "1", "Thirty days.", "Annual leave"), Passage("d", "2", "Ten days.", "Sick pay")))
    assert best(Shelf(library).by_words.scores(["annual leave"]), 1).at.tolist() == [[0]]
