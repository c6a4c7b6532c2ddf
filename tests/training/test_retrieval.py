"""What is learned from questions: how opinions count, how sure one may be, what is quoted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from tunesmith.core.library import Library, Passage
from tunesmith.models.retrieve import FEATURES, Finding, Found, Shelf
from tunesmith.tasks.citations import verify_citations
from tunesmith.training.quoting import answers, quote
from tunesmith.training.ranking import fit_weights, learned
from tunesmith.training.retrieval import _certainty, apart, cite_from, gold_places, unsupported

D = len(FEATURES)


def _finding(n: int, k: int, *, telling: int, seed: int = 0) -> tuple[Finding, list[set[int]]]:
    """Noise, but for one feature that is larger for the gold passage."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, k, D)).astype(np.float32)
    gold = rng.integers(0, k, n)
    features[np.arange(n), gold, telling] += 3.0
    return Finding(np.tile(np.arange(k), (n, 1)), features), [{int(g)} for g in gold]


def test_the_telling_opinion_is_found():
    finding, golds = _finding(200, 12, telling=9)
    weights = fit_weights(finding, golds)
    assert int(np.argmax(np.abs(weights.weight))) == 9
    other, right = _finding(100, 12, telling=9, seed=1)
    assert np.mean([at[0] in gold for at, gold in zip(weights.rank(other).at, right, strict=True)]) > 0.8
    assert learned(weights, finding, golds).passed


def test_the_weights_are_where_the_penalised_likelihood_is_flat():
    finding, golds = _finding(40, 6, telling=3)
    made = fit_weights(finding, golds)
    x = (finding.features - made.mean) / made.scale
    start = fit_weights(finding, [set()] * 40).weight

    def loss(w):
        score = x @ w
        logs = score - np.log(np.exp(score).sum(axis=1, keepdims=True))
        return -sum(logs[i, next(iter(g))] for i, g in enumerate(golds)) + 0.5 * ((w - start) ** 2).sum()

    assert np.abs(approx_fprime(made.weight, loss, 1e-6)).max() < 0.05


def test_without_questions_the_opinions_are_added_up():
    empty = Finding(np.zeros((0, 0), dtype=np.int64), np.zeros((0, 0, D), dtype=np.float32))
    weights = fit_weights(empty, [])
    assert weights.weight[FEATURES.index("meaning")] > 0
    assert weights.rank(empty).at.shape == (0, 0)
    assert learned(weights, empty, []).passed is None


def test_nothing_is_cited_that_is_less_probable_than_its_opposite():
    sure = np.array([0.95, 0.9, 0.8, 0.6, 0.55, 0.4, 0.3])
    assert cite_from(sure, np.ones(7, bool), precision=0.9) == pytest.approx(0.55, abs=1e-5)
    assert cite_from(sure, np.array([1, 1, 1, 0, 0, 0, 0], bool), precision=0.9) == pytest.approx(0.8, abs=1e-5)
    assert cite_from(sure, np.zeros(7, bool), precision=0.9) == pytest.approx(0.9)


def test_without_its_gold_passages_a_question_finds_the_next():
    found = Found(np.array([[4, 2, 7], [1, 3, 5], [6, 8, 9]]), np.array([[3.0, 2.0, 1.0]] * 3))
    made = unsupported(found, [{4}, {1, 3}, {0}])
    assert made.at[:, 0].tolist() == [2, 6]  # of the second question one other passage is left: it is left out
    assert made.score.tolist() == [[2.0, 1.0, 1.0], [3.0, 2.0, 1.0]]


def test_probabilities_are_right_as_often_as_they_say_and_never_certain():
    rng = np.random.default_rng(0)
    gap = rng.exponential(2.0, 2000)
    score = np.stack([gap, np.zeros(2000), *[np.full(2000, -1.0)] * 4], axis=1)
    right = rng.random(2000) < 1 / (1 + np.exp(1 - gap))
    found = Found(np.tile(np.arange(6), (2000, 1)), score)
    sure = _certainty(found, [{0} if r else {9} for r in right]).of(found)
    for low, high in ((0.0, 0.5), (0.5, 0.8), (0.8, 1.0)):
        some = (sure >= low) & (sure < high)
        assert abs(sure[some].mean() - right[some].mean()) < 0.05
    alike = Found(found.at[:40], np.tile([2.0, 1.0, 0.5, 0.4, 0.3, 0.2], (40, 1)))  # questions of one form
    same = _certainty(alike, [{0}] * 40)
    assert same.of(alike).min() > 0.9
    assert same.of(Found(found.at[:1], np.zeros((1, 6))))[0] < 0.5
    few = Found(found.at[:5], score[:5])
    assert _certainty(few, [{0}] * 5).of(few).max() < 0.999


def test_no_passage_is_on_both_sides():
    rng = np.random.default_rng(3)
    golds = [{int(a), int(b)} if rng.random() < 0.2 else {int(a)} for a, b in rng.integers(0, 80, (300, 2))]
    cuts = apart(golds, seed=0)
    for learn, held in cuts:
        assert not set().union(*(golds[i] for i in learn)) & set().union(*(golds[i] for i in held))
    few = apart([{0}, {0}, {0}, {0}], seed=0)  # one passage: cannot be kept apart
    assert sorted(i for _, held in few for i in held.tolist()) == [0, 1, 2, 3]


LONG = (
    "This chapter is about fees. Fees are due each month. "
    + "General words follow here and say little. " * 12
    + "A Recognised Body must keep all records of transactions for at least ten years. "
    + "More words that say little follow here. " * 12
)
SHELF = Shelf(Library((Passage("d", "1", LONG), Passage("d", "2", "Short and whole. Twice."), Passage("d", "3", "x"))))


def test_the_telling_part_is_quoted_byte_for_byte():
    citation = quote("How long must a Recognised Body keep records of transactions?", 0, SHELF)
    assert "ten years" in citation.quote
    assert len(citation.quote.split()) <= 70
    assert LONG[citation.start : citation.end] == citation.quote
    assert quote("anything", 1, SHELF).quote == "Short and whole. Twice."


def test_it_abstains_below_the_bound_and_of_empty_questions():
    found = Found(np.array([[0, 1], [1, 0], [2, 1]]), np.zeros((3, 2)))
    made = answers(["records?", "twice?", "  "], found, [0.9, 0.2, 0.99], SHELF, cite_at=0.5)
    assert [a.abstained for a in made] == [False, True, True]
    assert made[1].passages == (("d", "2"), ("d", "1"))
    assert made[2].passages == ()
    assert not any(verify_citations(a, SHELF.library) for a in made)


def test_gold_passages_outside_the_library_are_left_out():
    assert gold_places(['[["d", "1"], ["e", "9"]]', "nonsense"], SHELF.library) == [{0}, set()]
