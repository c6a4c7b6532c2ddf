"""Answers to rows with known labels, by a model that did not see them: made once, cut at random many times.

Out-of-fold probabilities of the fusion rung (what ships most often on such tables) for every row of a data set, before
any calibration. A random half of them as dev and the rest as test is what a run has, without training again.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "data"))

import labelled

SETS = ("banking77", "vader", "sms_spam", "noisyag_news")
_MOST = 10_000  # rows of a set, so that reading them stays within the machine-hours
_FOLDS = 5


@dataclass(frozen=True)
class Judged:
    """probabilities: (n, k) as the rung gave them, by models that did not see the row. codes: (n,)."""

    name: str
    texts: list[str]
    labels: tuple[str, ...]
    codes: np.ndarray
    probabilities: np.ndarray

    @property
    def targets(self) -> list[str]:
        return [self.labels[i] for i in self.codes]

    def take(self, at: np.ndarray) -> Judged:
        """Some of the rows."""
        return Judged(self.name, [self.texts[i] for i in at], self.labels, self.codes[at], self.probabilities[at])


def judged(name: str, shared: Path, work: Path) -> Judged:
    """The set's rows and answers; made if they are not under `work` yet."""
    rows = _rows(name, shared)
    path = work / f"{name}.answers.npy"
    if not path.exists():
        np.save(path, _cross_fitted(rows, work))
    labels = tuple(rows.names)
    return Judged(name, rows.texts, labels, rows.codes, np.load(path))


def _rows(name: str, shared: Path) -> labelled.Labelled:
    if name == "banking77":
        both = [row for part in ("train", "test") for row in labelled._csv(shared / name / f"{part}.csv")]
        made = labelled.labelled(name, [r["text"] for r in both], [r["category"] for r in both])
    elif name == "vader":
        labelled.VADER_ROWS, kept = _MOST, labelled.VADER_ROWS
        made = labelled.vader(shared)
        labelled.VADER_ROWS = kept
    else:
        made = labelled.noisyag(shared) if name == "noisyag_news" else labelled.sms_spam(shared)
    _, first = np.unique(np.array(made.texts, dtype=object).astype(str), return_index=True)  # copies would be seen
    at = np.sort(first)
    return labelled.Labelled(name, [made.texts[i] for i in at], made.codes[at], made.truth[at], made.names)


def _cross_fitted(rows: labelled.Labelled, work: Path) -> np.ndarray:
    from tunesmith.core.context import Context
    from tunesmith.core.dataset import rows_of
    from tunesmith.models.resolve import resolve
    from tunesmith.tasks import task
    from tunesmith.training.folds import row_folds
    from tunesmith.training.systems import Job, system

    labels = tuple(rows.names)
    prompt = task.get("classify").prompt(labels, inputs=("text",), target="label")
    job = Job(task.get("classify"), labels, prompt, encoder=resolve("all-minilm-l6-v2", "encoder"))
    given = rows_of(rows.texts, [labels[i] for i in rows.codes])
    ctx = Context(work / rows.name, seed=0)
    found = system.get("fusion").cross_fit(given, row_folds(given, k=_FOLDS, seed=0), job, ctx)
    assert found.probabilities is not None
    return found.probabilities
