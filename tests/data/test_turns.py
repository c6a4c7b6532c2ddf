"""A question states nothing until it is answered."""

from __future__ import annotations

import pytest

from tunesmith.data.turns import stances


@pytest.mark.parametrize(
    "reply", ["No.", "Oh, no I don't.", "Nope, never had one.", "She hasn't.", "Well, not really."]
)
def test_a_no_denies_what_was_asked(reply: str) -> None:
    found = stances(f"Doctor: Hello. Any fever or cough?\nPatient: {reply}")
    for word in ("fever", "cough"):
        assert (found[word].stated, found[word].denied, found[word].asked) == (0, 1, 1)


@pytest.mark.parametrize("reply", ["Yes.", "Um, yeah, since Monday.", "I do.", "Sometimes."])
def test_a_yes_states_it(reply: str) -> None:
    found = stances(f"Doctor: Do you have a rash?\nPatient: {reply}")
    assert (found["rash"].stated, found["rash"].denied) == (1, 0)


def test_a_question_without_a_reply_says_nothing() -> None:
    found = stances("Doctor: Any fever?\nPatient: My son has a question first.\nPatient: No.")
    assert (found["fever"].stated, found["fever"].denied) == (0, 0)


def test_questions_of_one_turn_share_a_reply_and_those_of_another_do_not() -> None:
    found = stances("Doctor: Any fever? Any rash?\nPatient: No.\nDoctor: Any cough?\nPatient: Yes.")
    assert found["fever"].denied == found["rash"].denied == 1
    assert (found["cough"].stated, found["cough"].denied) == (1, 0)


def test_a_text_without_turns_is_read_sentence_by_sentence() -> None:
    found = stances("She has a rash. There is no fever.")
    assert found["rash"].stated == 1
    assert found["fever"].denied == 1
