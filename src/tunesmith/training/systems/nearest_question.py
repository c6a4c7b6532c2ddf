"""The passages of the train questions that are most alike: what memory alone gives, and what tuning must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.files import read_json, write_json
from tunesmith.models.retrieve import CANDIDATES, Found, Shelf, WordIndex, best, words_of
from tunesmith.training.retrieval import RetrievalFitted, finish, load_fitted, shelf_of, train_rows
from tunesmith.training.systems import Job, Workload, system

_NAME = "nearest_question"
_FILE = "questions.json"


class Remembered:
    """Train questions with the positions of their passages in the library."""

    def __init__(self, texts: Sequence[str], golds: Sequence[set[int]]) -> None:
        self.texts, self.golds = tuple(texts), tuple(golds)
        self.index = WordIndex(self.texts, words_of)

    def find(self, texts: Sequence[str], shelf: Shelf, ctx: Context) -> Found:
        """A passage is as likely as the likest question that it answered."""
        return self.of(self.index.scores(texts), len(shelf.library))

    def of(self, alike: np.ndarray[tuple[int, int], np.dtype[np.float32]], n: int) -> Found:
        """The same from (questions, train questions) likenesses."""
        scores = np.zeros((len(alike), n), dtype=np.float32)
        for column, gold in enumerate(self.golds):
            for at in gold:
                np.maximum(scores[:, at], alike[:, column], out=scores[:, at])
        return best(scores, CANDIDATES)

    def save(self, folder: Path) -> None:
        write_json(folder / _FILE, [[text, sorted(gold)] for text, gold in zip(self.texts, self.golds, strict=True)])


@dataclass(frozen=True)
class NearestQuestion:
    """What the likest train questions were answered with."""

    name: str = _NAME
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "nothing"
    outputs: tuple[str, ...] = ("citations",)

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> RetrievalFitted:
        shelf = shelf_of(job, ctx, vectors=False)
        texts, golds = train_rows(train, shelf.library)
        finder = Remembered(texts, golds)
        alike = finder.index.scores(texts)
        np.fill_diagonal(alike, 0.0)  # what a question finds when it is not remembered itself
        return finish(_NAME, finder, shelf, (finder.of(alike, len(shelf.library)), golds), job, {})

    def load(self, folder: Path, job: Job, ctx: Context) -> RetrievalFitted:
        rows = read_json(folder / _FILE)
        finder = Remembered([text for text, _ in rows], [set(gold) for _, gold in rows])
        return load_fitted(_NAME, finder, folder)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds."""
        return 1.0 + 2e-3 * work.n_train, 0.5 + 2e-3 * work.n_predict


system(_NAME)(NearestQuestion())
