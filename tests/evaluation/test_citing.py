"""The recorded check on quotes fails a system that alters one, invents an id or claims without a quote."""

from __future__ import annotations

import pytest

from tunesmith.core.checks import require
from tunesmith.core.errors import CheckFailed
from tunesmith.core.library import Library, Passage
from tunesmith.core.predictions import Predictions
from tunesmith.evaluation.citing import quotes_hold, readable
from tunesmith.evaluation.verdict import Answers
from tunesmith.tasks import task
from tunesmith.tasks.citations import Citation, CitedAnswer

LIBRARY = Library((Passage("law", "1", "Leave is thirty days."), Passage("law", "2", "Sick pay is ten weeks.")))
TRUE = CitedAnswer("thirty days", (Citation("law", "1", "thirty days", 9, 20),), (("law", "1"),))
SILENT = CitedAnswer("", (), (("law", "2"),), abstained=True)


def _check(*answers: CitedAnswer | str | None):
    values = tuple(a.to_json() if isinstance(a, CitedAnswer) else a for a in answers)
    return quotes_hold({"made": Answers(Predictions(values))}, LIBRARY)[0]


def test_true_quotes_and_silence_pass():
    made = _check(TRUE, SILENT, TRUE)
    require(made)
    assert made.value == "0 of 2 quotes wrong"
    assert made.system == "made"


@pytest.mark.parametrize(
    "bad",
    [
        CitedAnswer("forty days", (Citation("law", "1", "forty days", 9, 19),)),
        CitedAnswer("thirty days", (Citation("law", "7", "thirty days", 9, 20),)),
        CitedAnswer("thirty days", (Citation("bylaw", "1", "thirty days", 9, 20),)),
        CitedAnswer("thirty days", (Citation("law", "2", "thirty days", 9, 20),)),
        CitedAnswer("Everybody has thirty days."),
        "The answer is thirty days.",
        None,
    ],
)
def test_one_bad_answer_of_many_fails_the_run(bad):
    made = _check(TRUE, bad, SILENT)
    with pytest.raises(CheckFailed, match="byte for byte"):
        require(made)


def test_other_tasks_answers_stay_as_they_are():
    predictions = Predictions(("a", None))
    assert readable(task.get("classify"), predictions) is predictions
    assert readable(task.get("answer"), Predictions((TRUE.to_json(), None))).values == ("law § 1: “thirty days”", None)
