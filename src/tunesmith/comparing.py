"""Two finished runs side by side: what each ships, in a paired test on the rows that both kept for testing.

Rows are the same where file and row number are, or, for runs of different files, where text and answer are. What one
run tested and the other trained on is not compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.errors import ConfigError, RunError
from tunesmith.core.predictions import Predictions
from tunesmith.evaluation import wording
from tunesmith.evaluation.report import Report
from tunesmith.evaluation.verdict import ALPHA, WORTHWHILE, Answers, Comparison, compared
from tunesmith.pipeline import SavedRun, open_run
from tunesmith.tasks import task as tasks

# Fewer rows than this say nothing: not even five out of five can be told from chance (exact McNemar, p = 0.06).
FEWEST = 6
# Of rows in the same place of files with the same name, how many must have the same answer to be the same rows.
_SAME_FILE = 0.98


@dataclass(frozen=True)
class Side:
    """What one run ships, and what it costs. score: on the rows compared; own: the same metric on all of its test."""

    run: str
    system: str
    score: float
    own: float | None
    own_n: int
    claim: str | None
    train_cpu_s: float | None
    answer_cpu_s: float | None
    peak_rss_bytes: int | None
    stored_bytes: int | None


@dataclass(frozen=True)
class Differs:
    """A row on which one answer is better. id: of the first run's row; better: 0 or 1, which of the two."""

    id: int
    text: str
    target: str
    answers: tuple[str | None, str | None]
    better: int


@dataclass(frozen=True)
class Beside:
    """Two runs compared. guards: in metrics that what is better must not be worse in. left_out: (rows that only
    the first tested, only the second, whose answers disagree).

    agreement: rows on which (both answers are equally good, the first run's is better, the second's is).
    """

    task: str
    metric: str
    sides: tuple[Side, Side]
    comparison: Comparison
    guards: tuple[Comparison, ...]
    claim: str
    sentence: str
    paired_by: str
    left_out: tuple[int, int, int]
    agreement: tuple[int, int, int]
    rows: tuple[Differs, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON. difference, interval: second less first."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For a terminal."""
        one, two = self.sides
        title = wording.metric(self.metric).title
        told = [self.sentence, ""]
        table = [
            ("", one.run, two.run),
            ("Ships", one.system, two.system),
            (f"{title}, {self.comparison.n:,} rows", *(wording.score(s.score, self.metric) for s in self.sides)),
            (f"{title}, own test", *(_own(s, self.metric) for s in self.sides)),
            *guarded(self),
            *costs(self),
        ]
        width = max(len(row[0]) for row in table)
        second = max(len(row[1]) for row in table)
        told += [f"{a:<{width}}  {b:<{second}}  {c}".rstrip() for a, b, c in table]
        same, first, last = self.agreement
        told += ["", f"equally good on {same:,} rows; {one.run} better on {first:,}, {two.run} on {last:,}"]
        missing = left_out(self)
        return [*told, f"paired by {self.paired_by}; {missing}"] if missing else told


def guarded(beside: Beside) -> list[tuple[str, str, str]]:
    """(metric, first, second) of what must not get worse."""
    return [
        (wording.metric(g.metric).title, wording.score(g.score_b, g.metric), wording.score(g.score_a, g.metric))
        for g in beside.guards
    ]


def costs(beside: Beside) -> list[tuple[str, str, str]]:
    """(what, first, second) of what the two shipped systems cost, as measured."""
    one, two = beside.sides
    rows = [
        ("Training, CPU", wording.duration(one.train_cpu_s), wording.duration(two.train_cpu_s)),
        ("An answer, CPU", wording.duration(one.answer_cpu_s), wording.duration(two.answer_cpu_s)),
        ("Peak memory", wording.size(one.peak_rss_bytes), wording.size(two.peak_rss_bytes)),
        ("Stored", wording.size(one.stored_bytes), wording.size(two.stored_bytes)),
    ]
    return [row for row in rows if (row[1], row[2]) != (wording.ABSENT, wording.ABSENT)]


def left_out(beside: Beside) -> str:
    """Which test rows were not compared, in words; "" if all were."""
    (first, second, other), (one, two) = beside.left_out, beside.sides
    parts = [
        f"{first:,} rows are tested by {one.run} alone" if first else "",
        f"{second:,} by {two.run} alone" if second else "",
        f"{other:,} have another answer in each" if other else "",
    ]
    return ", ".join(filter(None, parts))


def compare(first: Path, second: Path, *, shown: int = 10, permutations: int = 10_000) -> Beside:
    """What two finished runs ship, on the rows that both tested.

    shown: rows at most, of each side, on which it is the better. Raises RunError where a run is not finished or was
    made by a version that kept no answers, ConfigError where tasks differ or too few rows are in both tests.
    """
    one, two = open_run(first), open_run(second)
    if one.report.task != two.report.task:
        raise ConfigError(
            f"{first.name} is a run of the task {one.report.task}, {second.name} of {two.report.task}: they have no "
            "score in common."
        )
    mine, other = _Tested.of(one), _Tested.of(two)
    by, at, there, unlike = _paired(mine, other)
    if len(at) < FEWEST:
        raise ConfigError(
            f"{first.name} and {second.name} have {wording.count(len(at), 'test row')} in common: too few to compare.",
            hint="run both on the same data, or give both the same test file with --test.",
        )
    task = tasks.get(one.report.task)
    metric = one.report.leads if one.report.leads == two.report.leads else task.leads
    texts, references = [mine.texts[i] for i in at], [mine.references[i] for i in at]
    labels = tuple(dict.fromkeys((*one.data.labels, *two.data.labels)))
    said = (mine.predictions.take(at), other.predictions.take(there))
    found, *guards = (
        compared(
            task,
            references,
            "second",
            "first",
            sources=texts,
            labels=labels,
            metric=name,
            permutations=permutations,
            answers={"first": Answers(said[0]), "second": Answers(said[1])},
        )
        for name in (metric, *task.guards)
    )
    scores = [_row_scores(task, made, references, texts, labels, metric) for made in said]
    gain = scores[1] - scores[0]
    if metric in task.lower:
        gain = -gain
    rows = [
        Differs(int(mine.ids[at[i]]), texts[i], references[i], (said[0].values[i], said[1].values[i]), int(gain[i] > 0))
        for chosen in (np.flatnonzero(gain < 0)[:shown], np.flatnonzero(gain > 0)[:shown])
        for i in chosen
    ]
    names = (first.name, second.name) if first.name != second.name else (str(first), str(second))
    sides = (_side(names[0], one.report, found.score_b, metric), _side(names[1], two.report, found.score_a, metric))
    claim, sentence = _claim(sides, found, guards, task.lower)
    missing = (len(mine.ids) - len(at) - unlike, len(other.ids) - len(at) - unlike, unlike)
    return Beside(
        one.report.task, metric, sides, found, tuple(guards), claim, sentence, by, missing,
        (int((gain == 0).sum()), int((gain < 0).sum()), int((gain > 0).sum())), tuple(rows),
    )  # fmt: skip


@dataclass(frozen=True)
class _Tested:
    """The test rows that what a run ships has answered. All of length n."""

    ids: NDArray[np.int64]
    places: tuple[tuple[str, int], ...]
    texts: tuple[str, ...]
    references: tuple[str, ...]
    predictions: Predictions

    @classmethod
    def of(cls, run: SavedRun) -> _Tested:
        import pyarrow.parquet as pq

        path, name = run.folder / "08-evaluate" / "predictions.parquet", run.report.winner
        try:
            kept = pq.read_table(path)
        except OSError as error:
            raise RunError(
                f"{run.folder} has no answers to its test rows.", hint=f"run it again:  tunesmith run {run.folder}"
            ) from error
        if name not in kept.column_names:
            raise RunError(f"{path}: it has no answers of {name}.", hint="run it again in a new folder.")
        table = run.data.table
        rows = {number: at for at, number in enumerate(table["id"].to_pylist())}
        at = [rows[number] for number in kept["id"].to_pylist()]
        facts = {column: table[column].take(at).to_pylist() for column in ("file", "row", "text")}
        sure = kept[f"{name}.confidence"].to_numpy() if f"{name}.confidence" in kept.column_names else None
        answered = np.arange(len(at))
        if run.report[name].n < len(at):  # scored on a subset: whatever was not asked has neither answer nor confidence
            values = kept[name].to_pylist()
            answered = np.array(
                [i for i in answered if values[i] is not None or (sure is not None and np.isfinite(sure[i]))], dtype=int
            )
        return cls(
            kept["id"].to_numpy()[answered],
            tuple((str(facts["file"][i]), int(facts["row"][i])) for i in answered),
            tuple(str(facts["text"][i]) for i in answered),
            tuple(str(kept["target"][int(i)].as_py()) for i in answered),
            Predictions(tuple(kept[name].to_pylist())).take(answered),
        )


def _paired(one: _Tested, two: _Tested) -> tuple[str, list[int], list[int], int]:
    """(by what, positions in the one, in the other, rows in both whose answers disagree)."""
    at, there = _met(one.places, two.places)
    alike = [one.references[i] == two.references[j] for i, j in zip(at, there, strict=True)]
    if len(at) >= FEWEST and sum(alike) >= _SAME_FILE * len(at):
        return (
            "file and row", [i for i, same in zip(at, alike, strict=True) if same],
            [j for j, same in zip(there, alike, strict=True) if same], len(at) - sum(alike),
        )  # fmt: skip
    at, there = _met(one.texts, two.texts)
    kept = [(i, j) for i, j in zip(at, there, strict=True) if one.references[i] == two.references[j]]
    return "text", [i for i, _ in kept], [j for _, j in kept], len(at) - len(kept)


def _met(mine: Sequence[Any], other: Sequence[Any]) -> tuple[list[int], list[int]]:
    """Positions of equal keys, the n-th occurrence of one with the n-th of the same."""
    known = {key: j for j, key in enumerate(_numbered(other))}
    found = [(i, known[key]) for i, key in enumerate(_numbered(mine)) if key in known]
    return [i for i, _ in found], [j for _, j in found]


def _numbered(keys: Sequence[Any]) -> list[tuple[Any, int]]:
    seen: Counter[Any] = Counter()
    made = []
    for key in keys:
        made.append((key, seen[key]))
        seen[key] += 1
    return made


def _row_scores(
    task: Any, said: Predictions, references: Sequence[str], texts: Sequence[str], labels: Sequence[str], metric: str
) -> NDArray[np.float64]:
    """How good each answer is: in the metric where it is one of rows, else in the task's first that is."""
    rows = task.row_scores(said, references, texts, labels)
    return np.asarray(rows.get(metric, next(iter(rows.values()))), dtype=np.float64)


def _side(run: str, report: Report, score: float, metric: str) -> Side:
    shipped = report[report.winner]
    own = shipped.scores.get(metric)
    cost = shipped.cost
    return Side(
        run, report.winner, score, None if own is None else own.value, shipped.n, report.claim,
        cost.train_cpu_s, cost.predict_cpu_s_per_example, cost.peak_rss_bytes, cost.stored_bytes,
    )  # fmt: skip


def _claim(
    sides: tuple[Side, Side], found: Comparison, guards: Sequence[Comparison], lower: Sequence[str]
) -> tuple[str, str]:
    """(second better, first better, no evidence or underpowered (needs n = N); the same for people)."""
    one, two = sides
    name = wording.within(wording.metric(found.metric).title)
    scores = (
        f"{two.run} ships {two.system} with {wording.score(two.score, found.metric)}, {one.run} {one.system} with "
        f"{wording.score(one.score, found.metric)} ({name})"
    )
    basis = (
        f"{wording.points(found.difference, found.metric)} "
        f"(95 % interval {wording.interval(*found.interval, found.metric)}, "
        f"p {_p(found.p_value)}, {found.n:,} rows that both tested)"
    )
    if found.p_value < ALPHA and found.difference != 0:
        ahead = _ahead(found, lower)
        broken = next((g for g in guards if g.p_value < ALPHA and g.difference and _ahead(g, lower) != ahead), None)
        if broken is not None:
            mine, other = (broken.score_a, broken.score_b) if ahead else (broken.score_b, broken.score_a)
            harmed = wording.within(wording.metric(broken.metric).title)
            return "no evidence", (
                f"{sides[ahead].run} is not better, all told: {scores}: {basis}, but its {harmed} is "
                f"{wording.score(mine, broken.metric)} against {wording.score(other, broken.metric)}."
            )
        return ("first better", "second better")[ahead], f"{sides[ahead].run} is better: {scores}: {basis}."
    if found.detectable <= WORTHWHILE:
        return "no evidence", (
            f"No evidence of a difference: {scores}: {basis}. A true difference of 2 points would have been found."
        )
    return f"underpowered (needs n = {found.needs_n})", (
        f"Too few rows to tell: {scores}: {basis}. Only a true difference of "
        f"{wording.points(found.detectable, found.metric).lstrip('+')} or more would be found here; "
        f"{found.needs_n:,} rows are needed to find 2 points."
    )


def _ahead(found: Comparison, lower: Sequence[str]) -> int:
    """Which of the two is better: 0 for the first, 1 for the second."""
    return int((found.difference > 0) != (found.metric in lower))


def _p(value: float) -> str:
    said = wording.p_value(value)
    return said if said.startswith("<") else f"= {said}"


def _own(side: Side, metric: str) -> str:
    return wording.ABSENT if side.own is None else f"{wording.score(side.own, metric)} ({side.own_n:,} rows)"
