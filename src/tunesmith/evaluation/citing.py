"""Proofs about citations, and answers with citations as people read them."""

from __future__ import annotations

from collections.abc import Mapping

from tunesmith.core.checks import Check
from tunesmith.core.library import Library
from tunesmith.core.predictions import Predictions
from tunesmith.evaluation.verdict import Answers
from tunesmith.tasks import Task
from tunesmith.tasks.citations import CitedAnswer, verify_citations

QUOTES = "every quote stands in the passage that is cited, byte for byte"


def quotes_hold(answers: Mapping[str, Answers], library: Library) -> list[Check]:
    """One Check per system: each quote of each answer was found again in the library, at its offsets.

    An answer that a model wrote freely and that cites nothing fails it too.
    """
    return [_quotes_hold(name, given.predictions, library) for name, given in answers.items()]


def _quotes_hold(name: str, predictions: Predictions, library: Library) -> Check:
    quotes = wrong = 0
    first = ""
    for value in predictions.values:
        answer = CitedAnswer.from_json(value)
        quotes += 0 if answer is None else len(answer.citations)
        for fault in verify_citations(value, library):
            wrong += 1
            first = first or f"{fault.fault}: {fault.about}"
    value_said = f"{wrong} of {quotes:,} quotes wrong" + (f" (first: {first[:160]})" if first else "")
    remedy = "the system cites what the documents do not say: do not ship it."
    return Check(QUOTES, value_said, "= 0 wrong", wrong == 0, remedy, name)


def readable(task: Task, predictions: Predictions) -> Predictions:
    """The same answers as people read them, where the task's own form is for machines."""
    if not hasattr(task, "told"):
        return predictions
    return Predictions(tuple(None if value is None else as_read(task, value) for value in predictions.values))


def as_read(task: Task, value: str) -> str:
    """An answer or a reference as people read it."""
    told = getattr(task, "told", None)
    return value if told is None or not value else str(told(value))
