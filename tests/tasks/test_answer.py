"""Answers with citations: what verifying catches, and what is scored."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core.library import Library, Passage
from tunesmith.core.predictions import Predictions
from tunesmith.tasks import task
from tunesmith.tasks.citations import Citation, CitedAnswer, gold_of, references_of, verify_citations

TEXT = "A PFP Operator must keep records for six years. It must show them on request."
LIBRARY = Library(
    (Passage("3", "18.7.1", TEXT), Passage("3", "18.8", "Nothing is said here."), Passage("4", "1", "Six."))
)
QUOTE = "keep records for six years"


def _cited(**changes) -> CitedAnswer:
    start = TEXT.index(QUOTE)
    return CitedAnswer(QUOTE, (replace(Citation("3", "18.7.1", QUOTE, start, start + len(QUOTE)), **changes),))


def _faults(answer) -> list[str]:
    return [fault.fault for fault in verify_citations(answer, LIBRARY)]


def test_a_true_quote_has_no_fault_as_value_and_as_json():
    assert _faults(_cited()) == []
    assert _faults(_cited().to_json()) == []
    assert CitedAnswer.from_json(_cited().to_json()) == _cited()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"document": "5"}, "no such document"),
        ({"passage": "18.7.9"}, "no such passage"),
        ({"quote": "keep records for ten years"}, "altered quote"),
        ({"quote": QUOTE + " "}, "altered quote"),
        ({"passage": "18.8"}, "altered quote"),
        ({"start": 0, "end": len(QUOTE)}, "wrong place"),
        ({"start": -5, "end": 10_000}, "wrong place"),
        ({"quote": ""}, "no quote"),
    ],
)
def test_what_is_wrong_with_a_citation_is_named(change, fault):
    assert _faults(_cited(**change)) == [fault]


def test_a_quote_under_a_wrong_id_is_told_where_it_stands():
    fault = verify_citations(_cited(passage="18.8"), LIBRARY)[0]
    assert "3 § 18.7.1" in fault.about


def test_a_claim_without_a_quote_and_what_is_no_answer_are_faults():
    assert _faults(CitedAnswer("Six years.")) == ["no quote"]
    assert _faults(CitedAnswer("", abstained=True)) == []
    for bad in (
        None,
        "",
        "six years",
        "[]",
        "{}",
        '{"answer": 1, "citations": [{}]}',
        '{"answer": "x", "citations": 3}',
    ):
        assert _faults(bad) == ["not an answer"]


@given(st.integers(0, 10_000))
def test_any_change_of_a_letter_is_caught(seed):
    rng = random.Random(seed)
    at = rng.randrange(len(QUOTE))
    letter = rng.choice([c for c in "abcXYZ09 é" if c != QUOTE[at]])
    assert _faults(_cited(quote=QUOTE[:at] + letter + QUOTE[at + 1 :])) == ["altered quote"]


def test_looks_alike_is_not_enough():
    composed = Library((Passage("a", "1", "café"),))
    decomposed = CitedAnswer("x", (Citation("a", "1", "cafe\u0301", 0, 5),))
    assert [f.fault for f in verify_citations(decomposed, composed)] == ["altered quote"]


def test_scores_by_hand():
    answer = task.get("answer")
    a, b, c = ("d", "1"), ("d", "2"), ("d", "3")
    cites_a = CitedAnswer("q", (Citation("d", "1", "q", 0, 1),), (a, b, c)).to_json()
    cites_c = CitedAnswer("q", (Citation("d", "3", "q", 0, 1),), (c, b, a)).to_json()
    silent = CitedAnswer("", (), (b, a), abstained=True).to_json()
    golds = [gold_of([a, b]), gold_of([a]), gold_of([a]), gold_of([c])]
    scores = answer.score(Predictions((cites_a, cites_c, silent, None)), golds, ["?"] * 4, ())
    assert scores["recall_at_5"] == pytest.approx((1 + 1 + 1 + 0) / 4)
    assert scores["recall_at_1"] == pytest.approx((0.5 + 0 + 0 + 0) / 4)
    assert scores["mrr"] == pytest.approx((1 + 1 / 3 + 1 / 2 + 0) / 4)
    assert scores["answered"] == pytest.approx(0.5)
    assert scores["citation_precision"] == pytest.approx(0.5)


def test_what_abstains_is_right_of_nothing():
    answer = task.get("answer")
    gold = gold_of([("3", "18.7.1")])
    assert answer.is_right(_cited().to_json(), gold)
    assert not answer.is_right(_cited().to_json(), gold_of([("4", "1")]))
    assert not answer.is_right(CitedAnswer("", (), (("3", "18.7.1"),), abstained=True).to_json(), gold)
    assert not answer.is_right(None, gold)


def test_targets_are_read_as_written_and_nothing_else_is():
    assert references_of(gold_of([("3", "18.7.1"), ("3", "18.7.1"), ("ü", "§ 2")])) == (("3", "18.7.1"), ("ü", "§ 2"))
    assert references_of("no list") == references_of("") == references_of("[1, 2]") == ()


def test_an_answer_is_told_with_its_ids():
    answer = task.get("answer")
    assert answer.told(_cited().to_json()) == f"3 § 18.7.1: “{QUOTE}”"
    assert "nearest: 3 § 18.8" in answer.told(CitedAnswer("", (), (("3", "18.8"),), abstained=True).to_json())
    assert answer.cells(_cited().to_json())["passage"] == "18.7.1"
    assert set(answer.cells(None).values()) == {""}
    assert json.loads(_cited().to_json())["citations"][0]["document"] == "3"
