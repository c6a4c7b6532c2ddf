"""Fields are counted by hand."""

from __future__ import annotations

import json

import pytest

from tunesmith.core.predictions import Predictions
from tunesmith.tasks import Prompt, task
from tunesmith.tasks.extract import units
from tunesmith.tasks.quotes import quotes
from tunesmith.tasks.schema import read_schema

EXTRACT = task.get("extract")


def _scores(said, truth):
    texts = [None if s is None else json.dumps(s) for s in said]
    return EXTRACT.score(Predictions(tuple(texts)), [json.dumps(t) for t in truth], [""] * len(truth), ())


def test_fields_are_counted_over_all_rows():
    truth = [{"a": "Ana", "b": 2, "c": None}, {"a": "Bo", "b": 3}, {}]
    said = [{"a": "ana.", "b": 5, "c": ""}, {"a": None, "b": 3.0}, {}]
    scores = _scores(said, truth)  # right: a of row 1, b of row 2; wrong: b of row 1; missed: b of row 1, a of row 2
    assert scores["field_precision"] == pytest.approx(2 / 3)
    assert scores["field_recall"] == pytest.approx(2 / 4)
    assert scores["field_f1"] == pytest.approx(4 / 7)
    assert scores["row_f1"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert scores["exact"] == pytest.approx(1 / 3)
    assert scores["f1 of a"] == pytest.approx(2 / 3)


def test_a_span_is_right_if_its_type_and_its_text_are():
    truth = [[{"type": "PERSON", "text": "Ana"}, {"type": "ORG", "text": "UN"}, {"type": "ORG", "text": "UN"}]]
    said = [[{"type": "ORG", "text": "un"}, {"type": "ORG", "text": "Ana"}]]
    scores = _scores(said, truth)
    assert scores["field_precision"] == pytest.approx(1 / 2)
    assert scores["field_recall"] == pytest.approx(1 / 3)
    assert scores["f1 of [PERSON]"] == 0.0


def test_no_answer_is_wrong_even_where_nothing_is_to_be_found():
    scores = _scores([None, None], [{"a": "x"}, {}])
    assert (scores["row_f1"], scores["exact"], scores["valid"]) == (0.0, 0.0, 0.0)


def test_lists_have_no_order_and_values_count_as_often_as_they_occur():
    assert units({"a": ["x", "y", "x"]}) == units({"a": ["x", "x", "Y"]})
    assert units({"a": ["x", "x"]}) != units({"a": ["x"]})
    assert units({"a": {"b": "1"}}).keys() == {("a.b", "1")}


def test_an_answer_that_does_not_obey_is_none():
    schema = '{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}'
    prompt = Prompt("", schema=schema)
    assert EXTRACT.parse('{"a": 1}', prompt) == '{"a":1}'
    for answer in ('{"a": "1"}', "{}", "[1]", '{"a": 1', "1", "", "NaN", "[" * 5000):
        assert EXTRACT.parse(answer, prompt) is None


def test_the_form_stands_in_the_prompt():
    schema = '{"type":"object","properties":{"a":{"enum":["x","y"]}},"required":["a"]}'
    messages = EXTRACT.render("text", Prompt("Extract.", (), (), schema))
    assert messages[0]["content"] == 'Extract.\nForm: {"a": "x" | "y"}'
    assert messages[-1] == {"role": "user", "content": "text"}


def test_detection_knows_objects_from_texts():
    assert EXTRACT.detect(['{"a": 1}', "[]", '[{"b": 2}]'], []) == 1.0
    assert EXTRACT.detect(["a", "b"], []) == 0.0


def test_quotes_take_whole_words_and_free_places_first():
    shape = read_schema('{"type":"array","items":{"type":"string"}}')
    found = quotes(["an", "Ana", "an", "no  where", "gone"], shape, "Ana has an axe, an apple, no\nwhere")
    assert [(q.start, q.end) for q in found] == [(8, 10), (0, 3), (16, 18), (26, 34), (None, None)]
