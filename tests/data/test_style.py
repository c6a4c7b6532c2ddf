"""The house style is learnt from the other texts, and what is written otherwise stands out."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data.distances import far_out, robust_z
from tunesmith.data.style import style_of

WHO = ("The applicant", "The tenant", "The landlord", "The agent")
DID = ("states that the boiler has failed", "denies any damage to the kitchen", "reports damp in the north wall")
WHEN = ("since March", "after the winter", "for two weeks", "on three occasions", "without prior notice")
HOUSE = [f"{who} {did} {when}." for who in WHO for did in DID for when in WHEN]


def _rank(texts: list[str], at: int) -> int:
    return int((-style_of(texts).nats).argsort().tolist().index(at))


def test_a_text_in_another_voice_is_the_oddest() -> None:
    for stranger in (
        "hey u ok? i really wanna know why you didn't call me lol",
        "I have had no heating and my kitchen is wet, so please can you help me?",
        "THE TENANT REPORTS DAMP IN THE NORTH WALL SINCE MARCH.",
        "the tenant reports damp in the north wall and the landlord denies any damage to the kitchen since march",
    ):
        texts = [*HOUSE[:30], stranger, *HOUSE[30:]]
        assert _rank(texts, 30) == 0, stranger


def test_a_crowd_of_strangers_does_not_excuse_itself() -> None:
    strangers = [f"hi, can you tell me how i get my {thing} back?" for thing in ("card", "money", "coat", "cat")]
    texts = [*HOUSE, *strangers]
    assert set((-style_of(texts).nats).argsort()[:4].tolist()) == {60, 61, 62, 63}


def test_it_says_which_part_is_off() -> None:
    texts = [*HOUSE, "THE TENANT REPORTS DAMP IN THE NORTH WALL SINCE MARCH."]
    assert style_of(texts).why(60) == "capitals"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=12))
def test_any_text_gets_a_finite_number(texts: list[str]) -> None:
    found = style_of(texts)
    assert found.nats.shape == (len(texts),)
    assert np.isfinite(found.nats).all()


def test_robust_z_is_the_normal_z_of_normal_values() -> None:
    values = np.random.default_rng(1).normal(3, 2, size=4_000)
    assert np.allclose(robust_z(values), (values - 3) / 2, atol=0.15)  # medians of 4,000 draws
    assert robust_z(np.ones(5)).tolist() == [0.0] * 5


def test_far_out_needs_both_the_line_and_the_spread() -> None:
    values = np.array([*np.linspace(-1, 1, 50), 9.0])
    assert far_out(values, least=5)[0].tolist() == [50]
    assert far_out(values, least=20)[0].tolist() == []
    _, score = far_out(values, least=5)
    assert (np.diff(score) > 0).all()
    assert score[50] > 0.5 > score[49]
