"""A swapped fact leaves traces on both sides; what notes add of their own does not look swapped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data.claims import claims_of
from tunesmith.data.copying import Vocabulary
from tunesmith.data.grounding import grounding, out_of_fold

DRUGS = ("aspirin", "insulin", "codeine", "heparin", "warfarin")
PAINS = ("headache", "backache", "earache", "toothache")


def _visits(n: int = 90) -> tuple[list[str], list[str]]:
    sources, answers = [], []
    for at in range(n):
        age, drug, pain = 20 + 7 * at % 61, DRUGS[at % 5], PAINS[at % 4]
        fever = at % 3 == 0
        sources.append(
            f"Doctor: How old are you?\nPatient: I am {age} years old and I have a {pain}.\nDoctor: Any fever?\n"
            f"Patient: {'Yes, since Monday.' if fever else 'No.'}\nDoctor: Do you take {drug}?\nPatient: Yes, {drug}."
        )
        no = "The patient reports fever." if fever else "The patient denies fever."
        answers.append(f"This is a {age}-year-old seen on {at % 28 + 1}/{at % 12 + 1} with {pain}. {no} Takes {drug}.")
    return sources, answers


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("number", "-year-old", "9-year-old"),
        ("word", "Takes codeine", "Takes heparin"),
        ("polarity", "denies", "reports"),
    ],
)
def test_a_swapped_fact_stands_out(kind: str, before: str, after: str) -> None:
    sources, answers = _visits()
    at = next(i for i in range(40, 90) if before in answers[i] and "denies" in answers[i])
    answers[at] = answers[at].replace(before, after)
    seen = grounding(sources, answers)
    assert seen.nats[kind].argmax() == at  # type: ignore[index]
    assert seen.worst[kind][at]  # type: ignore[index]


def test_what_every_note_adds_is_no_evidence() -> None:
    sources, answers = _visits()
    seen = grounding(sources, answers)
    assert (seen.nats["number"] < np.log(19)).all()  # every note has a date that nobody said


def test_a_reply_settles_the_polarity_of_its_question() -> None:
    claims = claims_of("Doctor: Any fever?\nPatient: No.\nDoctor: Any cough?\nPatient: Yes.")
    assert claims.polarity["fever"] == (False, True)
    assert claims.polarity["cough"] == (True, False)
    assert claims.replied[1]["fever"]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60)), min_size=1, max_size=8))
def test_any_texts_get_finite_numbers(rows: list[tuple[str, str]]) -> None:
    seen = grounding([source for source, _ in rows], [answer for _, answer in rows])
    assert all(np.isfinite(values).all() for values in seen.nats.values())


def test_a_counterfeit_leaves_the_word_that_it_replaces_over_in_the_source() -> None:
    sources, answers = _visits()
    said, written = list(map(claims_of, sources)), list(map(claims_of, answers))
    words = Vocabulary.learn(said, written, out_of_fold, seed=0)
    row = next(i for i in range(90) if "codeine" in sources[i])
    near = ["take"]
    own, kept, gone = (
        dict(zip(("most", "in_place"), (traces[7], traces[8]), strict=True))
        for traces in (
            words.traces(row, "codein", near, own=True),
            words.traces(row, "heparin", near, own=False),
            words.traces(row, "heparin", near, own=False, gone="codein"),
        )
    )
    assert "codein" in said[row].stems
    assert own == kept, "as long as the answer has the word, nothing is missing"
    assert gone["most"] > kept["most"]
    assert gone["in_place"] > kept["in_place"]
