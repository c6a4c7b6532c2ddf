"""Every metric of one system on the test rows that it answered, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core import statistics as st
from tunesmith.evaluation.report import Score
from tunesmith.evaluation.verdict import Answers, additive
from tunesmith.tasks import Task
from tunesmith.tasks.metrics import all_labels, codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

# For metrics that must be computed anew on every draw; large tests need fewer draws for the same digits.
_SLOW_RESAMPLES, _SLOW_ROWS = 500, 5_000_000


def scores_of(
    task: Task,
    answers: Answers,
    references: Sequence[str],
    *,
    sources: Sequence[str],
    labels: Sequence[str],
    resamples: int = 2_000,
    seed: int = 0,
) -> dict[str, Score]:
    """The leading metric first, then the others by name; Wilson for shares of rows, bootstrap for the rest.

    references, sources: of every test row; `answers` says which of them the system answered.
    """
    at = np.arange(len(references)) if answers.rows is None else np.asarray(answers.rows)
    truth = [references[int(i)] for i in at]
    given = [sources[int(i)] for i in at]
    n = len(truth)
    found: dict[str, Score] = {}
    summed = additive(task)
    for name, values in task.row_scores(answers.predictions, truth, given, labels).items():
        is_share = bool(np.isin(values, (0.0, 1.0)).all()) and name not in task.guards
        interval = (
            st.wilson(float(values.sum()), n) if is_share else st.bootstrap_mean(values, resamples=resamples, seed=seed)
        )
        found[name] = Score(float(values.mean()), interval, n)
    for name, statistic in task.corpus_scores(answers.predictions, truth, given, labels).items():
        value = statistic(np.arange(n))
        if name in summed:
            counts, score = summed[name](answers.predictions, truth, given, labels)
            interval, _ = st.bootstrap_sums([counts], score, resamples=resamples, seed=seed)
            if interval[0] == interval[1]:
                interval = st.wilson(value * n, n)
        elif name == "macro_f1":
            names = all_labels(labels, truth)
            said = codes(answers.predictions.values, names)
            interval = st.bootstrap_macro_f1(codes(truth, names), said, len(names), resamples=resamples, seed=seed)
            if interval[0] == interval[1]:  # every answer right (or wrong): resampling shows no spread, yet n is finite
                interval = st.wilson(value * n, n)
        else:
            rng = np.random.default_rng(seed)
            times = min(resamples, max(100, min(_SLOW_RESAMPLES, _SLOW_ROWS // n)))
            draws = np.array([statistic(rng.integers(0, n, n)) for _ in range(times)])
            interval = _around(value, draws)
        found[name] = Score(value, interval, n)
    missing = sum(value is None for value in answers.predictions.values)
    if missing:
        found["unparsed"] = Score(missing / n, st.wilson(missing, n), n)
    order = [task.leads, *sorted(set(found) - {task.leads})]
    return {name: found[name] for name in order}


def _around(value: float, draws: NDArray[np.float64]) -> tuple[float, float]:
    """Percentile limits moved by the draws' bias: a gap such as ECE grows with every resampling of its rows."""
    low, high = np.nanquantile(draws, [0.025, 0.975]) - np.nanmean(draws) + value
    least = 0.0 if np.nanmin(draws) >= 0 else -np.inf
    return float(max(low, least)), float(high)
