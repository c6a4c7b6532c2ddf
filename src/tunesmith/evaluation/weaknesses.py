"""What somebody who wants a better model should look at: weak parts, rows that tuning lost, what to label next.

Weak parts are looked for among the answers to dev (or out of fold) and tested on the test; where there are too few of
those, one half of the test is searched and the other tested.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core import statistics as st
from tunesmith.core.context import Context
from tunesmith.core.dataset import Dataset, Rows
from tunesmith.evaluation.citing import as_read
from tunesmith.evaluation.errors import cut
from tunesmith.evaluation.slices import Sample, SliceScore, halves, weak_slices
from tunesmith.tasks import Task, is_costly
from tunesmith.training.dev_scores import Scored
from tunesmith.training.embeddings import embed
from tunesmith.training.ladder import Ladder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tunesmith.evaluation.verdict import Answers

# Fewer answers than this show no part that is weak; more are not needed and take time.
_FEWEST_SEEN, _MOST_SEEN, _MOST_VECTORS = 200, 4000, 8000
_SHOWN, _LABELS = 10, 6
# A text that scores so much less is one that tuning lost.
_LOST = 0.2


@dataclass(frozen=True)
class Case:
    """The system looked at, on the test rows that it answered. metric: of `by_row`, (n,) row scores."""

    system: str
    metric: str
    rows: Rows
    truth: Sequence[str]
    by_row: NDArray[np.float64]
    positions: NDArray[np.int64]  # of the rows in the test


def weaknesses(case: Case, task: Task, data: Dataset, ladder: Ladder, ctx: Context) -> dict[str, Any]:
    """`slices`, how they were found, and `label_next`, for report.json."""
    test = _test_sample(case, task, data)
    seen = _seen_sample(case, task, data, ladder, ctx)
    if seen is not None and len(seen.values) >= _FEWEST_SEEN:
        how = "looked for among the answers to rows that it had not learned from, tested on the test"
        fresh = test
    else:
        how = "looked for in one half of the test, tested on the other"
        seen, fresh = halves(test, seed=ctx.seed)
    seen, fresh = _with_vectors(seen, fresh, ladder, ctx)
    found = weak_slices(seen, fresh, metric=case.metric, seed=ctx.seed)
    return {
        "slices": [{**asdict(part), "system": case.system} for part in found],
        "slices_how": how,
        "label_next": label_next(seen, found, data) if task.output == "label" else [],
    }


def _test_sample(case: Case, task: Task, data: Dataset) -> Sample:
    columns = {name: [cells[int(i)] for i in case.positions] for name, cells in data.slices("test").items()}
    return Sample(case.rows.texts, case.by_row, case.truth if task.output == "label" else (), columns)


def _seen_sample(case: Case, task: Task, data: Dataset, ladder: Ladder, ctx: Context) -> Sample | None:
    """The answers that *select* judged the system by; None where it left none."""
    folder = ladder.place(case.system)
    if is_costly(task) or not (folder / "answers.parquet").exists():
        return None
    seen = Scored.load(folder, ladder.job(case.system))
    at = np.sort(np.random.default_rng([ctx.seed, 37]).permutation(len(seen.rows))[:_MOST_SEEN])
    rows, answers = seen.rows.take(at), seen.answers.take(at)
    by_row = task.row_scores(answers, rows.targets, rows.texts, data.labels)
    if case.metric not in by_row:
        return None
    cells: dict[str, dict[int, str]] = {}
    for split in ("train", "dev"):
        ids = data.rows(split, blind=True).ids.tolist()
        for name, values in data.slices(split).items():
            cells.setdefault(name, {}).update(zip(ids, values, strict=True))
    columns = {name: [known.get(int(i), "") for i in rows.ids] for name, known in cells.items()}
    return Sample(rows.texts, by_row[case.metric], rows.targets if task.output == "label" else (), columns)


def _with_vectors(seen: Sample, fresh: Sample, ladder: Ladder, ctx: Context) -> tuple[Sample, Sample]:
    """Both with the encoder's vectors, where rungs of this ladder have read the texts with it and they are not many."""
    ran = any(rung.ran and rung.needs == "encoder" for rung in ladder.rungs)
    if ladder.encoder is None or not ran or len(seen.values) + len(fresh.values) > _MOST_VECTORS:
        return seen, fresh
    made = []
    for s in (seen, fresh):
        vectors = embed(list(s.texts), ladder.encoder, ctx, keep=False)
        made.append(Sample(s.texts, s.values, s.labels, s.columns, vectors))
    return made[0], made[1]


def label_next(seen: Sample, found: Sequence[SliceScore], data: Dataset) -> list[dict[str, Any]]:
    """Of which rows more would help most: parts that are surely weak, then the labels behind most mistakes.

    errors: mistakes on the rows that *select* judged by. share: of all of them. rows: labelled in train.
    """
    total = float((1.0 - seen.values).sum())
    in_train = Counter(data.rows("train").targets)
    made: list[dict[str, Any]] = [
        {
            "what": part.slice,
            "value": part.value,
            "why": f"scores {100 * part.score:.1f} %, the rest {100 * part.rest:.1f} %, on rows not used to find it",
        }
        for part in found
        if part.p_adjusted < 0.05 and part.slice != "label"
    ][:_LABELS]
    missed: Counter[str] = Counter()
    for label, value in zip(seen.labels, seen.values, strict=True):
        missed[label] += int(value < 1.0)
    for label, errors in sorted(missed.items(), key=lambda item: (-item[1] / max(1, in_train[item[0]]) ** 0.5, item))[
        :_LABELS
    ]:
        if errors < 2 or total <= 0:
            continue
        made.append({
            "what": "label", "value": label, "errors": errors, "share": errors / total, "rows": in_train[label],
            "why": f"{errors} of {total:.0f} mistakes, with {in_train[label]:,} rows to learn from",
        })  # fmt: skip
    return made


def regressions(
    task: Task,
    metric: str,
    references: Sequence[str],
    test: Rows,
    answers: Mapping[str, Answers],
    *,
    tuned: str | None,
    others: Sequence[str],
) -> list[dict[str, Any]]:
    """What the tuned system gets wrong that another rung got right, and the reverse, on the rows both answered.

    lost, won: rows; p: exact McNemar for labels, sign flips for texts. rows: the surest (or worst) of those lost.
    """
    if tuned is None or tuned not in answers:
        return []
    made = []
    for other in others:
        if other not in answers or other == tuned:
            continue
        mine, theirs = (_on_all(task, metric, references, test, answers[name]) for name in (tuned, other))
        both = np.flatnonzero(np.isfinite(mine) & np.isfinite(theirs))
        if not both.size:
            continue
        gap = mine[both] - theirs[both]
        edge = 0.0 if task.output == "label" else _LOST
        lost, won = both[gap < -edge], both[gap > edge]
        is_share = task.output == "label"
        p = st.mcnemar_counts(len(won), len(lost)) if is_share else st.sign_flip(gap, permutations=2_000)
        sure = _confidence_on_all(len(references), answers[tuned])
        order = sorted(lost.tolist(), key=lambda i: (-(sure[i] if is_share else theirs[i] - mine[i]), i))
        by_label = Counter(references[i] for i in lost.tolist())
        by_label.subtract(references[i] for i in won.tolist())
        made.append({
            "tuned": tuned, "other": other, "n": int(both.size), "lost": len(lost), "won": len(won), "p_value": p,
            "labels": [
                {"label": label, "net": net} for label, net in by_label.most_common(_LABELS) if net > 1
            ] if is_share else [],
            "rows": [
                {
                    "id": int(test.ids[i]), "text": cut(test.texts[i]), "truth": cut(as_read(task, references[i])),
                    "tuned": cut(as_read(task, _said(answers[tuned], i))),
                    "other": cut(as_read(task, _said(answers[other], i))),
                }
                for i in order[:_SHOWN]
            ],
        })  # fmt: skip
    return made


def _on_all(task: Task, metric: str, references: Sequence[str], test: Rows, given: Answers) -> NDArray[np.float64]:
    """(n_test,) row scores, NaN where the system was not asked."""
    at = np.arange(len(references)) if given.rows is None else np.asarray(given.rows)
    truth, texts = [references[int(i)] for i in at], [test.texts[int(i)] for i in at]
    found = np.full(len(references), np.nan)
    labels = sorted(set(references))
    plain = type(given.predictions)(given.predictions.values)  # probabilities are not needed for being right
    found[at] = task.row_scores(plain, truth, texts, labels)[metric]
    return found


def _confidence_on_all(n: int, given: Answers) -> NDArray[np.float64]:
    found = np.zeros(n)
    sure = given.predictions.confidence
    if sure is not None:
        found[np.arange(n) if given.rows is None else np.asarray(given.rows)] = sure
    return found


def _said(given: Answers, at: int) -> str:
    place = at if given.rows is None else int(np.searchsorted(np.asarray(given.rows), at))
    return given.predictions.values[place] or ""
