from __future__ import annotations

import pytest

from tunesmith.core.predictions import Predictions
from tunesmith.tasks import task

REWRITE = task.get("rewrite")


def test_the_wording_names_the_columns_where_they_say_something():
    assert REWRITE.prompt((), inputs=("dialogue",), target="note").instruction == (
        "Read the dialogue and write the note. State only facts that the dialogue supports."
    )
    plain = REWRITE.prompt((), inputs=("text",), target="output").instruction
    assert "output" not in plain


def test_an_answer_is_the_text_without_its_margins():
    prompt = REWRITE.prompt((), inputs=("a",), target="b")
    assert REWRITE.parse("  two lines\nof text \n", prompt) == "two lines\nof text"
    assert REWRITE.parse(" \n ", prompt) is None


def test_copying_is_supported_and_not_right_and_the_reference_is_right():
    sources = ["Doctor: How old are you? Patient: I am 76. I have had a cough for 3 weeks."]
    notes = ["76-year-old patient with a cough for three weeks."]
    copy = REWRITE.score(Predictions(tuple(sources)), notes, sources, ())
    truth = REWRITE.score(Predictions(tuple(notes)), notes, sources, ())
    assert (copy["unsupported_rate"], truth["fact_f1"], truth["rouge_l"]) == (0.0, 1.0, 1.0)
    assert 0 < copy["fact_f1"] < 1
    assert copy["length_ratio"] > 1 == truth["length_ratio"]
    assert truth["style_distance"] == pytest.approx(0.0)
    assert REWRITE.leads in copy
    assert set(REWRITE.lower) <= set(copy)


def test_no_answer_scores_nothing_and_invents_nothing():
    score = REWRITE.score(Predictions((None,)), ["a note"], ["a source"], ())
    assert (score["fact_f1"], score["rouge_l"], score["unsupported_rate"]) == (0.0, 0.0, 0.0)
