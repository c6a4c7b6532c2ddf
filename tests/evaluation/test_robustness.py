from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tunesmith.core.context import Context
from tunesmith.core.dataset import rows_of
from tunesmith.core.predictions import Predictions
from tunesmith.evaluation.disturbances import (
    DISTURBANCES,
    capitals,
    lower_case,
    no_marks,
    padded,
    reworded,
    typos,
)
from tunesmith.evaluation.robustness import robustness, rows_for
from tunesmith.tasks import task


def draw() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_typo_changes_little_and_leaves_short_words_and_numbers_alone() -> None:
    text = "my new card has still not arrived after 14 days of waiting"
    made = typos(text, draw())
    assert made != text
    assert abs(len(made) - len(text)) <= 1
    assert sum(a != b for a, b in zip(made.split(), text.split(), strict=True)) == 1
    assert typos("a 12 of it", draw()) == "a 12 of it"


def test_marks_go_and_letters_stay() -> None:
    assert no_marks("Où est ma carte? C'est à moi!", draw()) == "Ou est ma carte C est a moi"
    assert (
        no_marks("\u0915\u093f\u0924\u093e\u092c", draw()) == "\u0915\u093f\u0924\u093e\u092c"
    )  # vowel signs are letters
    assert no_marks("?!", draw()) == "?!"  # nothing would be left


def test_rewording_keeps_case_and_says_the_same() -> None:
    made = reworded("Can you tell me why I can't pay?", draw())
    assert made in (
        "Could you tell me why I cannot pay?",
        "Could you tell me why I can not pay?",
    )
    assert reworded("kein Wort davon", draw()) == "kein Wort davon"


def test_padding_keeps_the_text_whole() -> None:
    made = padded("my card is lost", draw())
    assert "my card is lost" in made
    assert 40 <= len(made.split()) <= 65
    assert (capitals("Aß", draw()), lower_case("ABC", draw())) == ("ASS", "abc")


@pytest.mark.parametrize("disturbance", DISTURBANCES, ids=lambda d: d.name)
def test_a_disturbance_survives_anything_and_repeats_by_its_seed(disturbance) -> None:
    for text in ("", " ", "\ud800", "\u0301\u0301", "word", "x" * 5000, "\u5929\u6c14 weather"):
        once, again = (disturbance.make(text, np.random.default_rng(5)) for _ in range(2))
        assert once == again


def test_rows_follow_from_seconds_and_the_price_of_an_answer() -> None:
    assert rows_for(12.0, per_answer_s=0.01, n=3000)[0] == 150
    assert rows_for(12.0, per_answer_s=1e-5, n=3000)[0] == 300
    assert rows_for(12.0, per_answer_s=1e-5, n=40)[0] == 40
    none, why = rows_for(12.0, per_answer_s=0.5, n=3000)
    assert none == 0
    assert "would take about" in why
    assert rows_for(0.0, per_answer_s=0.5, n=3000)[0] == 0


class Shouting:
    """Right unless it is shouted at."""

    def __init__(self) -> None:
        self.asked = 0

    def predict(self, texts, ctx) -> Predictions:
        del ctx
        self.asked += len(texts)
        return Predictions(tuple("loud" if t.isupper() else "calm" for t in texts))


def test_what_a_disturbance_costs_is_measured_paired_on_the_same_rows_and_only_once(tmp_path: Path) -> None:
    rows = rows_of([f"it is about the card number {i}" for i in range(120)])
    truth = ["calm"] * 120
    system = Shouting()
    ctx = Context(tmp_path)

    def made(language):
        return robustness(
            system, task.get("classify"), rows, truth, Predictions(("calm",) * 120), metric="accuracy",
            labels=("calm", "loud"), language=language, n=80, ctx=ctx,
        )  # fmt: skip

    found = {row["name"]: row for row in made({"en": 1.0})}
    assert len(found) == len(DISTURBANCES)
    assert system.asked == 80 * len(DISTURBANCES)
    loud = found["in capitals"]
    assert (loud["before"], loud["after"], loud["difference"], loud["flipped"], loud["n"]) == (1.0, 0.0, -1.0, 80, 80)
    assert loud["interval"][1] < -0.9
    assert found["in small letters"]["changed"] == 0
    assert found["mistyped"]["difference"] == 0.0
    assert "reworded" not in {row["name"] for row in made({"fr": 0.9, "en": 0.1})}
    assert system.asked == 80 * len(DISTURBANCES)
