"""What a rung said of dev rows, and how two rungs compare on the rows that both have answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from tunesmith.core.dataset import Rows
from tunesmith.core.files import whole
from tunesmith.core.predictions import Predictions
from tunesmith.core.statistics import (
    bootstrap_macro_f1,
    bootstrap_macro_f1_difference,
    bootstrap_mean,
)
from tunesmith.training.systems import Job

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RESAMPLES = 500  # for choosing, not for reporting on test


@dataclass(frozen=True)
class Scored:
    """A rung's answers to some rows with known targets."""

    name: str
    rows: Rows
    answers: Predictions
    job: Job

    @cached_property
    def lead(self) -> float:
        """The leading metric over all rows."""
        return self._lead(self.rows, self.answers)

    def lead_on(self, ids: Sequence[int]) -> float | None:
        """The leading metric over those of the rows with these ids; None if there are none."""
        at = self._at(ids)
        return self._lead(self.rows.take(at), self.answers.take(at)) if at.size else None

    def part(self, ids: Sequence[int]) -> Scored:
        """The same restricted to rows with these ids, in the order of the ids."""
        at = self._at(ids)
        return Scored(self.name, self.rows.take(at), self.answers.take(at), self.job)

    @cached_property
    def row_leads(self) -> NDArray[np.float64] | None:
        """(n,) values whose mean is the leading metric; None if it is not a mean over rows."""
        scores = self.job.task.row_scores(self.answers, self.rows.references, self.rows.texts, self.job.labels)
        return scores.get(self.job.task.leads)

    @cached_property
    def whole(self) -> Callable[[NDArray[np.int64]], float]:
        """The leading metric as a function of row positions, where it is one of all rows together."""
        task = self.job.task
        return task.corpus_scores(self.answers, self.rows.references, self.rows.texts, self.job.labels)[task.leads]

    @cached_property
    def codes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(n,) label codes of the targets and of the answers; -1 where there is no answer."""
        code = {label: i for i, label in enumerate(self.job.labels)}
        truth = np.array([code[t] for t in self.rows.targets], dtype=np.int64)
        return truth, np.array([-1 if v is None else code.get(v, -1) for v in self.answers.values], dtype=np.int64)

    def save(self, folder: Path) -> None:
        """Write the rows (ids, texts and targets) and the answers to `folder`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.answers.save(folder / "answers.parquet")
        columns = {
            "id": pa.array(self.rows.ids),
            "text": pa.array(self.rows.texts, pa.string()),
            "target": pa.array(self.rows.targets, pa.string()),
            "weight": pa.array(self.rows.weights),
            "group": pa.array(self.rows.groups),
            **({"tests": pa.array(self.rows.tests, pa.string())} if self.rows.tests else {}),
        }
        with whole(folder / "rows.parquet") as draft:
            pq.write_table(pa.table(columns), draft)

    @classmethod
    def load(cls, folder: Path, job: Job) -> Scored:
        import pyarrow.parquet as pq

        t = pq.read_table(folder / "rows.parquet")
        rows = Rows(
            t["id"].to_numpy(), tuple(t["text"].to_pylist()), tuple(t["target"].to_pylist()), t["weight"].to_numpy(),
            t["group"].to_numpy(), tests=tuple(t["tests"].to_pylist()) if "tests" in t.column_names else (),
        )  # fmt: skip
        return cls(folder.name, rows, Predictions.load(folder / "answers.parquet"), job)

    def _at(self, ids: Sequence[int]) -> NDArray[np.int64]:
        place = {int(i): at for at, i in enumerate(self.rows.ids)}
        return np.array([place[int(i)] for i in ids if int(i) in place], dtype=np.int64)

    def _lead(self, rows: Rows, answers: Predictions) -> float:
        task = self.job.task
        return float(task.score(answers, rows.references, rows.texts, self.job.labels)[task.leads])


def interval_of(seen: Scored, *, seed: int) -> tuple[float, float]:
    """95 % bootstrap interval of the leading metric over the rows."""
    values = seen.row_leads
    if values is not None:
        return bootstrap_mean(values, resamples=_RESAMPLES, seed=seed)
    if seen.job.task.leads != "macro_f1":
        statistic, n = seen.whole, len(seen.rows)
        rng = np.random.default_rng(seed)
        draws = [statistic(rng.integers(0, n, n)) for _ in range(_RESAMPLES)]
        low, high = np.nanquantile(draws, [0.025, 0.975])
        return float(low), float(high)
    truth, said = seen.codes
    return bootstrap_macro_f1(truth, said, len(seen.job.labels), resamples=_RESAMPLES, seed=seed, method="percentile")


def subset(a: Scored, b: Scored, *, seed: int) -> tuple[float, float, float]:
    """(score of a, score of b, standard error of the difference) on the rows that both answered.

    No common row: (0, 0, infinity), so that nothing follows from it.
    """
    known = set(b.rows.ids.tolist())
    ids = [i for i in a.rows.ids.tolist() if i in known]
    if not ids:
        return 0.0, 0.0, float("inf")
    x, y = a.part(ids), b.part(ids)
    if x.row_leads is not None and y.row_leads is not None:
        d = x.row_leads - y.row_leads
        return x.lead, y.lead, float(d.std() / np.sqrt(d.size))
    if a.job.task.leads != "macro_f1":
        f, g, n = x.whole, y.whole, len(x.rows)
        rng = np.random.default_rng(seed)
        draws = [f(at) - g(at) for at in rng.integers(0, n, (_RESAMPLES, n))]
        return x.lead, y.lead, float(np.nanstd(draws))
    truth, said = x.codes
    _, error = bootstrap_macro_f1_difference(
        truth, said, y.codes[1], len(a.job.labels), resamples=_RESAMPLES, seed=seed, method="percentile"
    )
    return x.lead, y.lead, error


def challenge(champion: Scored, other: Scored, *, seed: int) -> bool:
    """Whether `other` is better on the rows that both answered.

    Where it answered fewer rows than the champion, it must lead by one standard error: the best of many
    small samples is mostly luck.
    """
    mine, its, error = subset(champion, other, seed=seed)
    return its - mine > (error if len(other.rows) < len(champion.rows) else 0.0)


def contest(
    tuned: Sequence[Scored],
    untuned: Sequence[Scored],
    prices: Mapping[str, float],
    *,
    worth: float,
    prefer: Literal["best", "cheap"],
    seed: int,
) -> tuple[str | None, str, str]:
    """(candidate: the tuned rung that dev prefers, or None; reference: the untuned one; which of them dev would ship).

    prices: of an answer, per rung. worth: points that a dearer rung must be ahead; prefer cheap: one standard error.
    """

    def pick(seen: Sequence[Scored]) -> Scored:
        return _pick(seen, prices, worth=worth, prefer=prefer, seed=seed)

    reference = pick(untuned)
    if not tuned:
        return None, reference.name, reference.name
    candidate = pick(tuned)
    return candidate.name, reference.name, pick([reference, candidate]).name


def _pick(
    seen: Sequence[Scored], prices: Mapping[str, float], *, worth: float, prefer: Literal["best", "cheap"], seed: int
) -> Scored:
    """The best of some rungs, or a cheaper one that is as good for all that matters."""
    best = max(seen, key=lambda s: (len(s.rows), s.lead))
    for other in sorted(seen, key=lambda s: s.lead):
        if other is not best and challenge(best, other, seed=seed):
            best = other
    for other in sorted(seen, key=lambda s: (prices[s.name], s.name)):
        if prices[other.name] >= prices[best.name]:
            break
        mine, its, error = subset(best, other, seed=seed)
        slack = worth / 100 if prefer == "best" else max(error, worth / 100)
        if mine - its <= slack:
            return other
    return best
