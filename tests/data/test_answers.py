"""An answer that stands beside the wrong input is found, and so is the row where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data.contradictions import contradictions
from tunesmith.data.mismatch import Mismatch, mismatch
from tunesmith.data.pairing import read

CITIES = ["Leeds", "York", "Bath", "Derby", "Hull", "Ely", "Wells", "Truro", "Ripon", "Durham"]
GOODS = ["lamps", "chairs", "kettles", "carpets", "mirrors", "pianos"]


def _orders(n: int = 120) -> tuple[list[str], list[str]]:
    inputs, answers = [], []
    for at in range(n):
        city, goods = CITIES[at * 7 % 10], GOODS[at * 5 % 6]
        inputs.append(f"Customer {at}: where are the {goods} that I had sent to {city}?")
        answers.append(f"Your {goods} have left for {city} and should be there soon.")
    return inputs, answers


@pytest.fixture(scope="module")
def judged() -> tuple[list[str], dict[int, str], Mismatch]:
    inputs, answers = _orders()
    moved = [11, 47, 80]
    before = {at: answers[at] for at in moved}
    for at, answer in zip(moved, [answers[80], answers[11], answers[47]], strict=True):
        answers[at] = answer
    return answers, before, mismatch(inputs, answers, None)


def test_exchanged_answers_stand_out(judged: tuple[list[str], dict[int, str], Mismatch]) -> None:
    _, before, seen = judged
    assert set(np.argsort(-seen.nats)[:3].tolist()) == set(before)
    assert all(seen.probability[at] > 0.5 for at in before)


def test_the_answer_that_was_theirs_is_proposed(judged: tuple[list[str], dict[int, str], Mismatch]) -> None:
    answers, before, seen = judged
    proposed = {at: answers[seen.partner[at]] for at in before if seen.partner[at] >= 0}
    assert len(proposed) >= 2
    assert all(before[at] == answer for at, answer in proposed.items())


def test_losses_of_a_model_decide_between_alike_rows(judged: tuple[list[str], dict[int, str], Mismatch]) -> None:
    from tunesmith.data.mismatch import _with_losses

    wrong = np.arange(100) < 20
    probability = np.where(wrong, 0.6, 0.1)
    losses = np.random.default_rng(0).normal(np.where(wrong, 3.0, 0.5), 0.3)
    losses[99] = 3.2  # nothing else speaks against this one
    losses[98] = np.nan
    nats, after = _with_losses(np.zeros(100), probability, losses)
    assert after[99] > 0.5 > after[50]
    assert after[98] == pytest.approx(0.1)
    assert nats[98] == 0.0


def test_a_table_without_wrong_answers_is_left_alone() -> None:
    seen = mismatch(*_orders(), None)
    assert (seen.probability < 0.5).all()


def test_one_answer_for_all_says_nothing() -> None:
    seen = mismatch([f"question {at}" for at in range(60)], ["yes"] * 60, None)
    assert not seen.probability.any()
    assert (seen.partner == -1).all()


def test_what_is_expected_of_a_row_does_not_come_from_it() -> None:
    inputs, answers = _orders(60)
    before = read(inputs, answers, None)
    fold = before.fold
    row = int(np.flatnonzero(fold == fold[0])[1])
    X = np.eye(60, dtype=np.float32)
    Y = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    from tunesmith.data.pairing import _regressed, _voted

    for predict in (_regressed, _voted):
        first = predict(X, Y, fold)
        other = Y.copy()
        other[row] += 100.0
        assert np.array_equal(predict(X, other, fold)[fold == fold[row]], first[fold == fold[row]])


@settings(max_examples=2, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30)), min_size=50, max_size=60))
def test_any_texts_get_finite_numbers(rows: list[tuple[str, str]]) -> None:
    seen = mismatch([asked for asked, _ in rows], [answer for _, answer in rows], None)
    assert np.isfinite(seen.nats).all()
    assert ((seen.probability >= 0) & (seen.probability <= 1)).all()


ASKED = ["how long does a transfer to another bank take", "how long does a tranfser to another bank take",
         "How long does a transfer to another bank take?!", "can i open an account for my children"]  # fmt: skip


def test_neighbours_contradict_a_number() -> None:
    answers = ["It takes 2 days.", "A transfer takes 2 days.", "It takes 5 days.", "Yes, from 12 years on."]
    found = contradictions([*ASKED[:1], ASKED[1], ASKED[1].replace("take", "taek"), ASKED[3]], answers, None)
    assert [clash.row for clash in found] == [2]
    assert "5 day" in found[0].why


def test_neighbours_contradict_a_denial() -> None:
    answers = ["The bank charges a fee.", "The bank charges no fee.", "", ""]
    found = contradictions([ASKED[0], ASKED[1], "a b c d", ASKED[3]], answers, None)
    assert [clash.row for clash in found] == [0, 1]


def test_the_same_in_other_words_is_no_contradiction() -> None:
    answers = ["It takes 2 days.", "The money is there after 2 days.", "Soon.", "Yes."]
    assert not contradictions([ASKED[0], ASKED[1], "a b c d", ASKED[3]], answers, None)
