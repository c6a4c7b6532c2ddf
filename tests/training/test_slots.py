from __future__ import annotations

import pytest

from tunesmith.training.slots import Filler, Form, form_of

ROWS = [
    ("Can I take EECS 281 ?", 'SELECT a FROM c WHERE dept = "EECS" AND number = 281'),
    ("Is EECS 203 easy ?", 'SELECT b FROM c WHERE dept = "EECS" AND number = 203'),
    ("Who teaches MATH 116 ?", 'SELECT t FROM c WHERE dept = "MATH" AND number = 116'),
    (
        "Does Dr. Jane Doe teach MATH 217 ?",
        'SELECT t FROM c WHERE name LIKE "%Jane Doe%" AND dept = "MATH" AND number = 217',
    ),
]


@pytest.fixture
def filler():
    return Filler.learn([text for text, _ in ROWS], [form_of(a, b) for a, b in ROWS])


def test_what_the_source_holds_becomes_a_slot():
    form = form_of(*ROWS[0])
    assert form == Form('SELECT a FROM c WHERE dept = "⟦0⟧" AND number = ⟦1⟧', ("EECS", "281"))
    assert form_of(*ROWS[3]).values == ("Jane Doe", "MATH", "217")
    assert form_of("the card", "SELECT 1") == Form("SELECT 1", ())
    assert form_of("7 and 7", "7, 7") == Form("⟦0⟧, ⟦0⟧", ("7",))


def test_slots_are_filled_by_what_stood_in_such_slots_before(filler):
    template = form_of(*ROWS[0]).template
    assert filler.fill(template, "May I take MATH 412 ?") == 'SELECT a FROM c WHERE dept = "MATH" AND number = 412'
    assert filler.fill(template, "I want 999 of ECON now") == 'SELECT a FROM c WHERE dept = "ECON" AND number = 999'


def test_a_source_without_a_value_gets_the_usual_one(filler):
    assert '"eecs"' in filler.fill(form_of(*ROWS[0]).template, "nothing here")


def test_every_row_is_given_back(filler):
    for text, target in ROWS:
        assert filler.fill(form_of(text, target).template, text) == target


def test_values_are_masked_by_their_kind(filler):
    assert filler.masked("Is MATH 581 easy ?") == filler.masked("Is EECS 482 easy ?")
    assert filler.masked("Is it easy ?") == "Is it easy ?"


def test_what_was_learned_survives_json(filler):
    again = Filler.from_dict(filler.to_dict())
    for text, target in ROWS:
        assert again.fill(form_of(text, target).template, text) == target


def test_odd_texts_do_no_harm(filler):
    for text in ("", "   ", '"', "⟦0⟧ 5", "日本語 7", "'" * 50):
        for template in ("⟦0⟧", "a ⟦3⟧ b", "", "⟦x⟧"):
            filler.fill(template, text)
        form_of(text, text)
        filler.masked(text)
