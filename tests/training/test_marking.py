"""Answers as marks: there and back, and never invalid."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.tasks.schema import read_schema
from tunesmith.tasks.values import fault
from tunesmith.training.marking import Layout, Mark, tokens_of
from tunesmith.training.tagger import best_path, marks_of, tag_codes

SCHEMA = {
    "type": "object",
    "properties": {
        "who": {"type": ["string", "null"]},
        "to": {"type": "object", "properties": {"town": {"type": ["string", "null"]}}, "required": ["town"]},
        "count": {"type": ["integer", "null"]},
        "tone": {"enum": ["kind", "rude"]},
        "sure": {"type": ["boolean", "null"]},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}},
        "words": {"type": "array", "items": {"type": "string"}},
        "spans": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"type": {"enum": ["P", "T"]}, "text": {"type": "string"}},
                "required": ["type", "text"],
            },
        },
    },
    "required": ["who", "to", "count", "tone", "sure", "tags", "words", "spans"],
}
SHAPE = read_schema(json.dumps(SCHEMA))
TEXT = "Ana ordered 12 lamps to Oslo; Bo paid, said Kim."
VALUE = {
    "who": "Ana",
    "to": {"town": "Oslo"},
    "count": 12,
    "tone": "rude",
    "sure": None,
    "tags": ["b"],
    "words": ["lamps", "paid"],
    "spans": [{"type": "P", "text": "Bo"}, {"type": "P", "text": "Kim"}],
}


def _layout() -> Layout:
    return Layout.of(SHAPE, [VALUE], [TEXT])


def test_an_answer_comes_back_from_its_marks_and_choices():
    layout = _layout()
    built = layout.build(TEXT, layout.marks(VALUE, TEXT), layout.chosen(VALUE))
    assert json.loads(built) == VALUE


def test_and_from_the_tags_of_its_tokens():
    layout, spans = _layout(), tokens_of(TEXT)
    codes = tag_codes(layout.marks(VALUE, TEXT), spans)
    scores = np.full((len(spans), 1 + 2 * len(layout.tags)), -9.0)
    scores[np.arange(len(spans)), codes] = 0.0
    assert best_path(scores).tolist() == codes.tolist()
    assert json.loads(layout.build(TEXT, marks_of(codes, scores, spans), layout.chosen(VALUE))) == VALUE


def test_only_kinds_that_were_seen_have_a_tag_and_the_layout_is_read_back():
    layout = _layout()
    assert [t.name for t in layout.tags] == ["who", "to.town", "count", "words[]", "spans[P].text"]
    assert Layout.from_dict(SHAPE, json.loads(json.dumps(layout.to_dict()))) == layout


_AT = st.integers(0, 30)
_MARKS = st.lists(st.tuples(_AT, _AT, st.integers(0, 4), st.floats(0, 1)), max_size=8)


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=30), _MARKS, st.lists(st.integers(-1, 1), min_size=4, max_size=4))
def test_whatever_is_marked_the_answer_is_valid(text, places, chosen):
    layout = _layout()
    marks = [Mark(min(a, b), max(a, b), tag, score) for a, b, tag, score in places]
    assert fault(json.loads(layout.build(text, marks, chosen)), SHAPE) is None


@pytest.mark.parametrize("seed", range(5))
def test_the_best_path_is_the_best_of_all_allowed_ones(seed):
    scores = np.random.default_rng(seed).normal(size=(4, 5))
    allowed = [
        path
        for path in itertools.product(range(5), repeat=4)
        if all(c == 0 or c % 2 or (i and path[i - 1] in (c, c - 1)) for i, c in enumerate(path))
    ]
    best = max(allowed, key=lambda path: sum(scores[i, c] for i, c in enumerate(path)))
    assert best_path(scores).tolist() == list(best)


def test_a_mark_for_one_place_is_the_surest():
    layout = _layout()
    marks = [Mark(0, 3, 0, 0.4), Mark(30, 32, 0, 0.9)]
    assert json.loads(layout.build(TEXT, marks, [-1] * len(layout.choices)))["who"] == "Bo"


def test_tokens_split_letters_from_digits():
    assert ["CS550x-é_"[a:b] for a, b in tokens_of("CS550x-é_")] == ["CS", "550", "x", "-", "é", "_"]
