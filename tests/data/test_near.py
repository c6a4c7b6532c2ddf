"""Which pairs of texts are the same, and which only look so."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data import near as module
from tunesmith.data.near import near_pairs
from tunesmith.data.wording import Wording, edits

TABLE = [
    "can i top up my account with apple pay",
    "can i top up my account with google pay",
    "why was i charged a fee for the transfer of last monday",
    "my card has still not arrived at my new address in the city",
    "my card has not arrived and it is two weeks since i ordered it",
    "please tell me the exchange rate that you use for the transfer of euros",
    "the transfer of money to my account in the city is still pending",
]


def kind(one: str, other: str) -> str | None:
    found = near_pairs([*TABLE, one, other])
    a, b = sorted(found.exact[-2:].tolist())
    return next((pair.kind for pair in found.pairs if (pair.one, pair.other) == (a, b)), None)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("is my card frozen today", "is my crad frozen today", "spelling"),
        ("is my card frozen today", "ismy card forzen today", "spelling"),
        ("where is my transfer of last week then", "where is my tansfer of lastweek then", "spelling"),
        (
            "why has the payment with my card not gone through yet",
            "not gone through yet why has with my card the payment",
            "order",
        ),
        (
            "why has the payment with my card not gone through yet",
            "not gone thruogh yet why has with my card the payment",
            "spelling",
        ),
        (
            "there is a payment on my statement that i do not know",
            "there is a payment on my statement that i do not really know",
            "wording",
        ),
        ("how much is the fee for 20 euros", "how much is the fee for 30 euros", None),
        ("i want to visit the branch in london next week", "i want to visit the branch in boston next week", None),
        (
            "i received the money that was sent to me by my mother last week",
            "i never received the money that was sent to me by my mother last week",
            None,
        ),
        ("will it be delivered on sunday or so", "will it be delivered on monday or so", None),
        ("pound to euro", "euro to pound", None),
        ("i do not want to top up my card", "i do now want to top up my card", None),
        ("as soon as the card is here i will use it", "as son as the card is here i will use it", "spelling"),
        ("i don't know where my card is", "i dor't know where my card is", "spelling"),
        ("please unblock my new card for me", "please block my new card for me", None),
        ("where is my card", "where is my card pin", None),
    ],
)
def test_spelling_and_order_make_the_same_text_and_other_names_and_numbers_do_not(
    one: str, other: str, expected: str | None
) -> None:
    assert kind(one, other) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("card", "crad", 1), ("card", "card", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("amongst", "amosnt", 2)],
)
def test_edits_by_hand(one: str, other: str, expected: int) -> None:
    assert edits(one, other) == expected


@settings(max_examples=30, deadline=None)
@given(st.text("abcd", max_size=7), st.text("abcd", max_size=7))
def test_edits_are_symmetric_and_bounded(one: str, other: str) -> None:
    assert edits(one, other) == edits(other, one)
    assert min(3, abs(len(one) - len(other))) <= edits(one, other) <= max(len(one), len(other))
    assert edits(one, other) == min(3, edits(one, other, 9))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_every_text_with_two_mistakes_is_a_candidate(seed: int) -> None:
    draw = random.Random(seed)
    texts = [" ".join("".join(draw.choices("abcdefghij", k=draw.randint(2, 8))) for _ in range(7)) for _ in range(40)]
    copies = []
    for text in texts:
        letters = list(text)
        for _ in range(2):
            letters[draw.randrange(len(letters))] = draw.choice("abcdefghij")
        copies.append("".join(letters))
    candidates = {tuple(pair) for pair in module._candidates([*texts, *copies]).tolist()}
    assert all((at, at + 40) in candidates or texts[at] == copies[at] for at in range(40))


def test_pairs_do_not_depend_on_the_order_of_rows() -> None:
    texts = [
        *TABLE,
        "is my crad here",
        "is my card here",
        "my card arrived not has still at my new address in the city",
    ]
    turned = texts[::-1]
    pairs = {frozenset((texts[p.one], texts[p.other])) for p in near_pairs(texts).pairs}
    assert pairs == {frozenset((turned[p.one], turned[p.other])) for p in near_pairs(turned).pairs}
    assert len(pairs) == 2


@pytest.mark.parametrize("texts", [[], [""], ["", "", "?!"], ["a", "a"], ["\ud800 broken", "\ud800 broken text"]])
def test_strange_texts_do_not_break_it(texts: list[str]) -> None:
    found = near_pairs(texts)
    assert len(found.exact) == len(texts)
    assert len(found.groups()) == len(texts)


def test_a_pair_is_the_same_from_both_sides() -> None:
    wording = Wording(TABLE)
    for one in TABLE:
        for other in TABLE:
            forth, back = wording.compare(one, other), wording.compare(other, one)
            assert (forth is None) == (back is None)
    assert np.isfinite([p.score for p in near_pairs(TABLE).pairs]).all()
