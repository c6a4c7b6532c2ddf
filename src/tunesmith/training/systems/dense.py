"""Finds passages by meaning alone: cosine of the frozen encoder's vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.models.retrieve import CANDIDATES, Found, Shelf, best
from tunesmith.models.spec import ModelSpec
from tunesmith.training.embeddings import embed, encoder_spec
from tunesmith.training.retrieval import RetrievalFitted, finish, in_chunks, load_fitted, shelf_of, train_rows
from tunesmith.training.systems import Job, Workload, system


@dataclass(frozen=True)
class ByMeaning:
    """Has learned nothing."""

    spec: ModelSpec

    def find(self, texts: Sequence[str], shelf: Shelf, ctx: Context) -> Found:
        return best(shelf.by_meaning(embed(texts, self.spec, ctx, keep=False)), CANDIDATES)

    def save(self, folder: Path) -> None:
        """Nothing: the passages' vectors are saved with the library."""


@dataclass(frozen=True)
class Dense:
    """Cosine of question and passage."""

    name: str = "dense"
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "encoder"
    outputs: tuple[str, ...] = ("citations",)
    is_cheap: bool = True

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> RetrievalFitted:
        shelf = shelf_of(job, ctx, vectors=True)
        texts, golds = train_rows(train, shelf.library)
        finder = ByMeaning(encoder_spec(job))
        found = in_chunks(partial(finder.find, shelf=shelf, ctx=ctx), texts)
        return finish(self.name, finder, shelf, (found, golds), job, {})

    def load(self, folder: Path, job: Job, ctx: Context) -> RetrievalFitted:
        return load_fitted(self.name, ByMeaning(encoder_spec(job)), folder)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds: every passage is read once, for the other rungs too."""
        reading = work.reading_s * (work.library_texts + 1.2 * work.n_train)
        return 3.0 + reading, 1.0 + (work.answering_s + 1e-3) * work.n_predict


system("dense")(Dense())
