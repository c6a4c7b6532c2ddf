"""Words and meaning added up: both opinions as shares of their best, weighed by what finds most for train questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.core.files import read_json, write_json
from tunesmith.models.retrieve import CANDIDATES, Found, Shelf, best
from tunesmith.models.spec import ModelSpec
from tunesmith.training.embeddings import embed, encoder_spec
from tunesmith.training.retrieval import RetrievalFitted, finish, in_chunks, load_fitted, shelf_of, train_rows
from tunesmith.training.systems import Job, Workload, system

_WEIGHTS = (0.2, 0.35, 0.5, 0.65, 0.8)
_AT = 5
_FILE = "hybrid.json"


@dataclass(frozen=True)
class Mixed:
    """meaning: the weight of meaning, 0 to 1; words have the rest."""

    spec: ModelSpec
    meaning: float

    def find(self, texts: Sequence[str], shelf: Shelf, ctx: Context) -> Found:
        words = shelf.by_words.scores(texts)
        words /= np.maximum(words.max(axis=1, keepdims=True, initial=0.0), 1e-9)
        queries = embed(texts, self.spec, ctx, keep=False)
        return best((1 - self.meaning) * words + self.meaning * shelf.by_meaning(queries), CANDIDATES)

    def save(self, folder: Path) -> None:
        write_json(folder / _FILE, {"meaning": self.meaning})


@dataclass(frozen=True)
class Hybrid:
    """BM25 and the frozen encoder with one weight between them."""

    name: str = "hybrid"
    kind: Literal["untuned", "tuned"] = "untuned"
    needs: Literal["nothing", "encoder", "lm"] = "encoder"
    outputs: tuple[str, ...] = ("citations",)
    is_cheap: bool = True

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> RetrievalFitted:
        shelf = shelf_of(job, ctx, vectors=True)
        texts, golds = train_rows(train, shelf.library)
        tried = (float(job.options["meaning"]),) if job.frozen and "meaning" in job.options else _WEIGHTS
        seen = []
        for weight in tried:
            finder = Mixed(encoder_spec(job), weight)
            found = in_chunks(lambda some, finder=finder: finder.find(some, shelf, ctx), texts)  # type: ignore[misc]
            seen.append((_recall(found, golds), finder, found))
        _, finder, found = max(seen, key=lambda one: one[0])
        return finish(self.name, finder, shelf, (found, golds), job, {"meaning": finder.meaning})

    def load(self, folder: Path, job: Job, ctx: Context) -> RetrievalFitted:
        return load_fitted(self.name, Mixed(encoder_spec(job), float(read_json(folder / _FILE)["meaning"])), folder)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds; the vectors are shared with the other rungs."""
        reading = 1.0 / max(work.encoder_texts_per_s, 1e-9)
        return 3.0 + 2e-4 * work.library_texts + 1e-2 * work.n_train, 1.0 + (reading + 3e-3) * work.n_predict


def _recall(found: Found, golds: Sequence[set[int]]) -> float:
    shares = [len(set(at[:_AT].tolist()) & gold) / len(gold) for at, gold in zip(found.at, golds, strict=True)]
    return float(np.mean(shares)) if shares else 0.0


system("hybrid")(Hybrid())
