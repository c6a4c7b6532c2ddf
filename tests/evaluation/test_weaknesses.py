from __future__ import annotations

import numpy as np

from tunesmith.core.dataset import rows_of
from tunesmith.core.predictions import Predictions
from tunesmith.evaluation.verdict import Answers
from tunesmith.evaluation.weaknesses import regressions
from tunesmith.tasks import task

LABELS = ("a", "b")


def said(values: str, sure: float = 0.9) -> Predictions:
    p = np.array([[sure, 1 - sure] if v == "a" else [1 - sure, sure] for v in values])
    return Predictions(tuple(values), p)


def test_rows_that_tuning_lost_are_counted_and_the_surest_shown_first() -> None:
    truth = list("aabbaabb")
    test = rows_of([f"text {i}" for i in range(8)])
    p = np.array([[0.2, 0.8], [0.4, 0.6], *[[0.9, 0.1] if t == "a" else [0.1, 0.9] for t in truth[2:]]])
    tuned = Answers(Predictions(tuple("bb" + "bbaabb"), p))
    plain = Answers(said("aaaabbbb"))
    (found,) = regressions(
        task.get("classify"), "accuracy", truth, test, {"encoder": tuned, "tfidf": plain},
        tuned="encoder", others=("tfidf", "encoder", "few_shot"),
    )  # fmt: skip
    assert (found["n"], found["lost"], found["won"]) == (8, 2, 4)
    assert [row["id"] for row in found["rows"]] == [0, 1]
    assert (found["rows"][0]["truth"], found["rows"][0]["tuned"], found["rows"][0]["other"]) == ("a", "b", "a")


def test_only_rows_that_both_answered_are_compared() -> None:
    truth = list("abab")
    test = rows_of(["w", "x", "y", "z"])
    tuned = Answers(said("bb"), np.array([0, 3]))
    plain = Answers(said("aaab"))
    (found,) = regressions(
        task.get("classify"), "accuracy", truth, test, {"lm": tuned, "tfidf": plain}, tuned="lm", others=("tfidf",)
    )
    assert (found["n"], found["lost"], found["won"]) == (2, 1, 0)
    assert [row["text"] for row in found["rows"]] == ["w"]


def test_texts_are_lost_when_they_score_much_less() -> None:
    truth = ["The fee is 30 euros.", "No fever.", "It was on 3 May."]
    test = rows_of(truth)
    tuned = Answers(Predictions(("The fee is 80 euros.", "No fever.", "It was on 3 May.")))
    copied = Answers(Predictions(tuple(truth)))
    (found,) = regressions(
        task.get("rewrite"), "fact_f1", truth, test, {"lm": tuned, "copying": copied}, tuned="lm", others=("copying",)
    )
    assert (found["lost"], found["won"], found["labels"]) == (1, 0, [])
    assert found["rows"][0]["tuned"] == "The fee is 80 euros."
    assert regressions(task.get("rewrite"), "fact_f1", truth, test, {}, tuned=None, others=()) == []
