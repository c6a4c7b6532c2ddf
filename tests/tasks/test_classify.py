from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from tunesmith.core.predictions import Predictions
from tunesmith.tasks import task
from tunesmith.tasks.classify import humanise

CLASSIFY = task.get("classify")
LABELS = ("card", "card_arrival", "lost card", "Ä/B", "c++", "c")
PROMPT = CLASSIFY.prompt(LABELS, inputs=("text",), target="issue_type")


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("card_arrival", "card_arrival"),
        (" Card Arrival. \n", "card_arrival"),
        ("Label: lost card", "lost card"),
        ('"lost-card"', "lost card"),
        ("The answer is lost card, I think.", "lost card"),
        ("lost card\nbecause the person says so", "lost card"),
        ("ä b", "Ä/B"),
        ("c++", "c++"),
        ("c", "c"),
        ("card arrival or lost card", None),
        ("something else", None),
        ("", None),
    ],
)
def test_an_answer_is_read_as_the_label_it_means(answer, label):
    assert CLASSIFY.parse(answer, PROMPT) == label


def test_labels_that_differ_in_case_only_are_not_guessed():
    prompt = CLASSIFY.prompt(("Yes", "YES"), inputs=("text",), target="x")
    assert CLASSIFY.parse("YES", prompt) == "YES"
    assert CLASSIFY.parse("yes", prompt) is None


@given(some.lists(some.text(min_size=1, max_size=12), min_size=1, max_size=6, unique=True))
def test_every_label_is_read_back(labels):
    prompt = CLASSIFY.prompt(labels, inputs=("text",), target="y")
    assert all(CLASSIFY.parse(label, prompt) in (label, label.strip(), None) for label in labels)
    trimmed = [label for label in labels if label == label.strip()]
    assert all(CLASSIFY.parse(label, prompt) == label for label in trimmed)


def test_the_text_comes_last_and_alone_so_that_rows_share_the_rest():
    one, other = CLASSIFY.render("one text", PROMPT), CLASSIFY.render("other", PROMPT)
    assert one[:-1] == other[:-1]
    assert one[-1] == {"role": "user", "content": "one text"}
    assert one[0]["role"] == "system"
    assert all(label in one[0]["content"] for label in LABELS)
    assert "issue type" in one[0]["content"]


def test_the_parts_of_a_score_belong_together():
    labels = ("a", "b")
    truth = ["a", "a", "a", "b"]
    made = Predictions.from_probabilities(np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]]), labels)
    score = CLASSIFY.score(made, truth, [""] * 4, labels)
    assert score["accuracy"] == 0.75
    assert score["macro_f1"] == pytest.approx((2 * 2 / (2 + 3) + 2 * 1 / (2 + 1)) / 2)
    assert set(score) == {"accuracy", "macro_f1", "brier", "log_loss", "ece"}
    bare = CLASSIFY.score(Predictions(made.values), truth, [""] * 4, labels)
    assert set(bare) == {"accuracy", "macro_f1"}
    assert CLASSIFY.score(Predictions((None,) * 4), truth, [""] * 4, labels)["macro_f1"] == 0


def test_detection_tells_labels_from_texts():
    labels = ["refund", "order", "refund", "other"] * 30
    texts = [f"this is sentence number {i} with a tail of words" for i in range(120)]
    rewrite = task.get("rewrite")
    assert CLASSIFY.detect(labels, ()) > 0.9 > 0.1 > rewrite.detect(labels, ())
    assert rewrite.detect(texts, ()) > 0.9 > 0.1 > CLASSIFY.detect(texts, ())
    assert CLASSIFY.detect(["same"] * 50, ()) == 0.0
    assert CLASSIFY.detect([], ()) == 0.0


def test_column_names_become_words():
    assert humanise("noteBody_text") == "note body text"
