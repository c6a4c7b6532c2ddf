"""Write code from a text: Python judged by its tests, SQL by what it returns, either else by its normal form."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.predictions import Predictions
from tunesmith.tasks import Averaged, Message, Prompt, task, turns
from tunesmith.tasks.classify import humanise
from tunesmith.tasks.judging import Language, Reference, execute, python, sql

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FENCE = re.compile(r"```[\w+-]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)
# Code that a person would not take for a sentence: a definition, an import, a call, an assignment, ...
_PYTHON_MARKS = re.compile(
    r"^\s*(?:def |class |import |from \w+ import |return |@|for .*:$|if .*:$|\w+ = |\w+\()", re.M
)
_LOOKED_AT = 300  # targets that detection reads


class Code(Averaged):
    """Code for a text. Leads with the share of rows solved, by the strongest evidence that each row has."""

    name = "code"
    leads = "solved"
    output = "text"
    lower: tuple[str, ...] = ("broken_tests",)
    guards: tuple[str, ...] = ()
    is_costly_to_judge = True  # answers are run

    def detect(self, targets: Sequence[str], inputs: Sequence[str]) -> float:
        """The share of targets that are SQL or Python and not sentences."""
        filled = [t for t in targets if t.strip()][:_LOOKED_AT]
        if len(filled) < 2:
            return 0.0
        return sum(language_of(t) != "" for t in filled) / len(filled)

    def prompt(self, labels: Sequence[str], *, inputs: Sequence[str], target: str) -> Prompt:
        """Says which language where the target's name does."""
        what = humanise(target)
        kind = "an SQL query" if {"sql", "query"} & set(what.split()) else "code"
        kind = "Python code" if {"python", "py", "function"} & set(what.split()) else kind
        return Prompt(f"Write {kind} that does what the text asks for. Answer with the code alone.")

    def render(self, text: str, prompt: Prompt) -> list[Message]:
        return turns(text, prompt)

    def parse(self, answer: str, prompt: Prompt) -> str | None:
        """The first fenced block if there is one, else all of it; None if nothing is left."""
        fenced = _FENCE.search(answer)
        return (fenced.group(1) if fenced else answer).strip() or None

    def row_scores(
        self, predictions: Predictions, references: Sequence[str], sources: Sequence[str], labels: Sequence[str]
    ) -> Mapping[str, NDArray[np.float64]]:
        """Each 0 or 1. solved: tests passed; or the same rows returned; or the same normal form.

        exact_match: the same normal form. valid_syntax: it parses in the language of the reference.
        Raises SandboxUnavailable where there are tests and no sandbox, MissingExtra where there is SQL and no sqlglot.
        """
        read = [Reference.read(reference) for reference in references]
        exact = np.array([_equal(v, r) for v, r in zip(predictions.values, read, strict=True)], dtype=np.float64)
        valid = np.array([_valid(v, r) for v, r in zip(predictions.values, read, strict=True)], dtype=np.float64)
        solved = exact.copy()
        tested = [i for i, reference in enumerate(read) if reference.tests]
        judged = python.judge_all([predictions.values[i] for i in tested], [read[i] for i in tested])
        solved[tested] = [float(verdict.passed) for verdict in judged]
        for i, reference in enumerate(read):
            if reference.database:
                solved[i] = float(_returns_the_same(predictions.values[i], reference, exact=bool(exact[i])))
        return {"solved": solved, "exact_match": exact, "valid_syntax": valid}

    def corpus_scores(
        self, predictions: Predictions, references: Sequence[str], sources: Sequence[str], labels: Sequence[str]
    ) -> Mapping[str, Callable[[NDArray[np.int64]], float]]:
        """broken_tests, where there are tests: the share of rows whose own reference fails, which nobody can solve."""
        read = [Reference.read(reference) for reference in references]
        if not any(reference.tests for reference in read):
            return {}
        python.judge_all([r.text for r in read if r.tests], [r for r in read if r.tests])
        broken = np.array([bool(r.tests) and not python.way_for(r).passed for r in read], dtype=np.float64)
        return {"broken_tests": lambda at: float(broken[at].mean())}


def language_of(text: str) -> Language:
    """ "sql" or "python" if the text is that rather than a sentence, else ""."""
    if sql.looks_like_sql(text):
        return "sql"
    if _PYTHON_MARKS.search(text) and python.is_valid(text.strip()):
        return "python"
    return ""


def _equal(answer: str | None, reference: Reference) -> bool:
    if answer is None:
        return False
    if answer.strip() == reference.text:
        return True
    language = language_of(reference.text)
    if language == "":
        return " ".join(answer.split()) == " ".join(reference.text.split())
    form = sql.normalised if language == "sql" else python.normalised
    wanted = form(reference.text)
    return wanted is not None and form(answer.strip()) == wanted


def _valid(answer: str | None, reference: Reference) -> bool:
    if answer is None:
        return False
    language = language_of(reference.text)
    return language == "" or (sql.is_valid(answer) if language == "sql" else python.is_valid(answer))


def _returns_the_same(answer: str | None, reference: Reference, *, exact: bool) -> bool:
    """By what both return; by the normal form where the reference itself returns nothing that tells."""
    if answer is None:
        return False
    wanted = execute.query(reference.text, reference.database)
    if wanted.why or not wanted.rows:
        return exact
    got = execute.query(answer, reference.database)
    return execute.same(wanted, got, ordered=_ORDERED.search(_outermost(reference.text)) is not None)


def _outermost(text: str) -> str:
    """The text without what stands in parentheses: whose order decides is the outer query."""
    kept, depth = [], 0
    for sign in text:
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            kept.append(sign)
    return "".join(kept)


task("code")(Code())
