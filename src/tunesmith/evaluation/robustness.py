"""What becomes of the shipped system's answers when texts come mistyped, in capitals, reworded or buried in chatter.

Answers to the disturbed texts are compared, row by row, with those to the texts as they are, on a fixed subset of the
test. How many rows is decided by the plan's forecast of the time of an answer and the seconds that it allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tunesmith.core import statistics as st
from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.events import progress
from tunesmith.core.predictions import Predictions
from tunesmith.evaluation.disturbances import DISTURBANCES
from tunesmith.tasks import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Share of the budget that answering disturbed texts may take.
SHARE = 0.02
OUTPUTS = ("label", "labels", "text")
_FEWEST_ROWS, _MOST_ROWS = 50, 300
_ENGLISH = 0.5


class Answers(Protocol):
    """What answers texts."""

    def predict(self, texts: Sequence[str], ctx: Context) -> Predictions: ...


@dataclass(frozen=True)
class Disturbed:
    """One disturbance on n rows, of which `changed` came out otherwise. before, after: mean of the metric.

    difference: after minus before, paired, with its 95 % interval. flipped: answers that are no longer the same.
    """

    name: str
    n: int
    changed: int
    before: float
    after: float
    difference: float
    interval: tuple[float, float]
    flipped: int


def rows_for(seconds: float, *, per_answer_s: float, n: int) -> tuple[int, str]:
    """How many rows are disturbed within `seconds`, and why. 0 where that is too few to say anything."""
    work = sum(one.work for one in DISTURBANCES)
    if seconds <= 0:
        return 0, "evaluate.robustness is 0."
    room = int(seconds / max(work * per_answer_s, 1e-9))
    rows = min(n, _MOST_ROWS, room)
    if rows < min(_FEWEST_ROWS, n):
        needs = _FEWEST_ROWS * work * per_answer_s
        return 0, f"{seconds:.0f} s allow for {room} rows; {_FEWEST_ROWS} would take about {needs:.0f} s."
    return rows, f"{rows} rows, drawn by the seed: {seconds:.0f} s at about {1000 * per_answer_s:.1f} ms an answer."


def robustness(
    fitted: Answers,
    task: Task,
    rows: Rows,
    truth: Sequence[str],
    given: Predictions,
    *,
    metric: str,
    labels: Sequence[str],
    language: Mapping[str, float],
    n: int,
    ctx: Context,
) -> list[dict[str, Any]]:
    """Every disturbance on the first n rows of one seeded permutation. given: the answers to the rows as they are.

    Rewording is left out where most rows are not English. What a killed stage had answered is not answered again.
    """
    at = np.sort(np.random.default_rng([ctx.seed, 41]).permutation(len(rows))[:n])
    rows, given, truth = rows.take(at), given.take(at), [truth[int(i)] for i in at]
    before = task.row_scores(given, truth, rows.texts, labels)[metric]
    english = language.get("en", 0.0) if language else 1.0  # unknown: rules that find nothing change nothing
    wanted = [d for d in DISTURBANCES if not d.english or english >= _ENGLISH]
    made = []
    with progress(ctx.emit, "disturbed texts", len(wanted) * len(rows)) as tick:
        for number, disturbance in enumerate(wanted):
            draw = np.random.default_rng([ctx.seed, 43, number])
            texts = [disturbance.make(text, draw) for text in rows.texts]
            path = ctx.workdir / "robustness" / f"{disturbance.name.replace(' ', '-')}.parquet"
            if not path.exists():
                fitted.predict(texts, ctx).save(path)
            said = Predictions.load(path)
            tick(len(rows))
            after = task.row_scores(said, truth, rows.texts, labels)[metric]
            same = [a == b for a, b in zip(said.values, given.values, strict=True)]
            changed = sum(a != b for a, b in zip(texts, rows.texts, strict=True))
            made.append(asdict(Disturbed(
                disturbance.name, len(rows), changed, float(before.mean()), float(after.mean()),
                float((after - before).mean()), _interval(before, after, seed=ctx.seed), same.count(False),
            )))  # fmt: skip
    return made


def _interval(before: NDArray[np.float64], after: NDArray[np.float64], *, seed: int) -> tuple[float, float]:
    """Of the mean of after minus before."""
    if bool(np.isin(np.concatenate([before, after]), (0.0, 1.0)).all()):
        only_after, only_before = st.discordant(after > 0, before > 0)
        return st.proportion_difference(only_after, only_before, len(before))
    return st.bootstrap_mean(after - before, seed=seed)
