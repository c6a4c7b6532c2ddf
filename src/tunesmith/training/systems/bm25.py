"""Finds passages by their words alone: BM25, the baseline that searching by meaning is often no better than."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.models.retrieve import CANDIDATES, Found, Shelf, best
from tunesmith.training.retrieval import RetrievalFitted, finish, in_chunks, load_fitted, shelf_of, train_rows
from tunesmith.training.systems import Job, Workload, system


@dataclass(frozen=True)
class ByWords:
    """Has learned nothing."""

    def find(self, texts: Sequence[str], shelf: Shelf, ctx: Context) -> Found:
        return best(shelf.by_words.scores(texts), CANDIDATES)

    def save(self, folder: Path) -> None:
        """Nothing: the index is made of the library when it is first asked."""


@dataclass(frozen=True)
class Bm25:
    """BM25 over the passages' words."""

    name: str = "bm25"
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "nothing"
    outputs: tuple[str, ...] = ("citations",)

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> RetrievalFitted:
        shelf = shelf_of(job, ctx, vectors=False)
        texts, golds = train_rows(train, shelf.library)
        found = in_chunks(partial(ByWords().find, shelf=shelf, ctx=ctx), texts)
        return finish(self.name, ByWords(), shelf, (found, golds), job, {})

    def load(self, folder: Path, job: Job, ctx: Context) -> RetrievalFitted:
        return load_fitted(self.name, ByWords(), folder)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds."""
        return 2.0 + 2e-4 * work.library_texts + 2e-3 * work.n_train, 1.0 + 2e-3 * work.n_predict


system("bm25")(Bm25())
