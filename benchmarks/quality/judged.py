"""Answers to rows with known labels, by a model that did not see them: made once, cut at random many times.

Out-of-fold probabilities of the fusion rung (what ships most often on such tables) for every row of a data set, before
any calibration. A random half of them as dev and the rest as test is what a run has, without training again.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "data"))

import labelled

# Sets of which a whole run is made, and the share of right answers that it is asked to promise.
WHOLE = {"sms_spam": "0.99", "vader": "0.8"}
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


def cut(rows: Judged, n: int, seed: int) -> tuple[Judged, Judged]:
    """n rows at random, and all the others."""
    order = np.random.default_rng(seed).permutation(len(rows.codes))
    return rows.take(order[:n]), rows.take(order[n:])


def predictions(rows: Judged, probabilities: np.ndarray) -> Any:
    """What the rung would have said with these probabilities."""
    from tunesmith.core.predictions import Predictions

    return Predictions.from_probabilities(probabilities, rows.labels)


def vectors(name: str, asked: argparse.Namespace) -> np.ndarray:
    """(n, width) of the set's texts by the frozen encoder, kept under the work folder."""
    from tunesmith.core.context import Context
    from tunesmith.models.resolve import resolve
    from tunesmith.training.embeddings import embed

    texts = judged(name, asked.shared, asked.work).texts
    return embed(texts, resolve("all-minilm-l6-v2", "encoder"), Context(asked.work / name, seed=0))


def whole_run(name: str, asked: argparse.Namespace, *more: str) -> Path:
    """A finished run by the command line on the set's own split (vader: at random); kept under the work folder.

    Only rungs that need no training by gradient: what is measured here is the same for the others and costs less.
    """
    folder = (asked.work / "runs" / name).resolve()
    source = asked.work / f"{name}.csv"
    options = ["--target", "label", "--input", "text"]
    if name == "banking77":
        source = asked.shared / name / "train.csv"
        options = ["--target", "category", "--input", "text", "--test", str(asked.shared / name / "test.csv")]
    elif not source.exists():
        rows = judged(name, asked.shared, asked.work)
        with source.open("w", encoding="utf-8", newline="") as handle:
            table = csv.writer(handle)
            table.writerow(["text", "label"])
            table.writerows(zip(rows.texts, rows.targets, strict=True))
    for rung in ("majority", "tfidf", "frozen"):
        options += ["--only", rung]
    command = [sys.executable, "-m", "tunesmith", "run", str(source), *options, "--out", str(folder), *more]
    subprocess.run([*command, "--accept-at", WHOLE[name], "--seed", "0"], check=True, stdout=subprocess.DEVNULL)
    return folder


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
