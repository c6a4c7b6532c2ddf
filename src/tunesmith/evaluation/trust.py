"""How far the shipped system may be trusted: weak parts, confidence, foreign texts, disturbed texts.

Everything here looks at one system's answers to the test; what it costs is logged apart (event `inspected`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset, Rows
from tunesmith.core.meter import cpu_seconds
from tunesmith.evaluation.abstention import NO_CONFIDENCE, NO_JUDGED, abstention, judged_of
from tunesmith.evaluation.acceptance import Acceptance, about_scope
from tunesmith.evaluation.robustness import OUTPUTS, robustness, rows_for
from tunesmith.evaluation.verdict import Answers
from tunesmith.evaluation.weaknesses import Case, regressions, weaknesses
from tunesmith.tasks import Task, is_costly
from tunesmith.training.ladder import Ladder, Trained

_PROMPTED = ("few_shot", "zero_shot")

_PLURAL = {"label": "labels", "labels": "labels", "text": "texts", "json": "fields and spans", "citations": "passages"}


@dataclass(frozen=True)
class Trust:
    """The shipped system `winner` with what it answered, and what was asked for.

    metric: the verdict's. accept_at, robustness: of EvaluateOptions.
    """

    winner: str
    metric: str
    task: Task
    data: Dataset
    test: Rows
    references: Sequence[str]
    answers: Mapping[str, Answers]
    ladder: Ladder
    trained: Trained
    acceptance: Acceptance
    accept_at: float | None
    robustness: float | Literal["auto"]
    ctx: Context

    def details(self) -> dict[str, Any]:
        """What report.json holds of it: slices, regressions, label_next, abstention, scope, robustness."""
        made: dict[str, Any] = {}
        spent: dict[str, float] = {}
        for name, part in (("weak", self._weak), ("confidence", self._confidence), ("robustness", self._robustness)):
            began = cpu_seconds()
            made |= part()
            spent[name] = round(cpu_seconds() - began, 3)
        self.ctx.emit("inspected", cpu_seconds=spent)
        return made

    @cached_property
    def case(self) -> Case | None:
        """The rows that it answered with their scores; None where no metric is of single rows."""
        given = self.answers[self.winner]
        at = np.arange(len(self.test)) if given.rows is None else np.asarray(given.rows)
        rows, truth = self.test.take(at), [self.references[int(i)] for i in at]
        by_row = self.task.row_scores(given.predictions, truth, rows.texts, self.data.labels)
        metric = "accuracy" if self.task.output == "label" else of_rows(self.metric, by_row)
        return Case(self.winner, metric, rows, truth, by_row[metric], at) if metric in by_row else None

    def _weak(self) -> dict[str, Any]:
        if self.case is None:
            return {"slices": [], "regressions": [], "label_next": []}
        prompted = (r.name for r in self.ladder.rungs if r.name in _PROMPTED)
        others = () if is_costly(self.task) else tuple(dict.fromkeys((self.ladder.reference, *prompted)))
        lost = regressions(
            self.task, self.case.metric, self.references, self.test, self.answers, tuned=self.ladder.candidate,
            others=others,
        )  # fmt: skip
        return {**weaknesses(self.case, self.task, self.data, self.ladder, self.ctx), "regressions": lost}

    def _confidence(self) -> dict[str, Any]:
        given, case = self.answers[self.winner].predictions, self.case
        if case is None:
            return {"abstention": {"why": NO_CONFIDENCE}}
        scope = about_scope(self.acceptance, given, case.rows.texts, case.by_row, self.ctx)
        if given.confidence is None:
            return {"abstention": {"why": NO_CONFIDENCE}, "scope": scope}
        if self.acceptance.judged is None or not len(self.acceptance.judged):
            return {"abstention": {"why": NO_JUDGED}, "scope": scope}
        seen = judged_of(given, case.truth, self.task)
        how = self.ladder[self.winner].how
        return {
            "abstention": abstention(self.acceptance.judged, seen, how=how, accept_at=self.accept_at),
            "scope": scope,
        }

    def _robustness(self) -> dict[str, Any]:
        case, rung = self.case, self.ladder[self.winner]
        if self.task.output not in OUTPUTS:
            return _not_looked_at(f"disturbing the text would change which {_PLURAL[self.task.output]} are right.")
        if is_costly(self.task):
            return _not_looked_at(
                "each answer is judged by running it, and disturbed texts would need six times as many."
            )
        if case is None or self.robustness == "auto":
            return _not_looked_at("the plan allows no time for it.")
        # By the forecast, not by the clock: a run with the same plan looks at the same rows.
        forecast, measured = rung.plan.one_s, rung.cost.predict_cpu_s_per_example
        per_answer = (measured or 0.0) if forecast is None else forecast
        n, why = rows_for(self.robustness, per_answer_s=per_answer, n=len(case.rows))
        if not n:
            return _not_looked_at(why)
        made = robustness(
            self.trained.fitted(self.winner, self.ladder, self.ctx), self.task, case.rows, case.truth,
            self.answers[self.winner].predictions, metric=case.metric, labels=self.data.labels,
            language=self.data.notes.get("languages", {}).get("shares", {}), n=n, ctx=self.ctx,
        )  # fmt: skip
        return {"robustness": {"metric": case.metric, "rows": n, "chosen": why, "kinds": made}}


def _not_looked_at(why: str) -> dict[str, Any]:
    return {"robustness": {"why": why}}


def of_rows(metric: str, by_row: Mapping[str, object]) -> str:
    """The metric if single rows have a value of it, else the first that they have one of."""
    return metric if metric in by_row else next(iter(by_row))
