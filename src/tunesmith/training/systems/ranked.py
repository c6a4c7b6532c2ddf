"""A ranking learned from train questions over what words, pieces of words, meaning and neighbours say of each passage.

Its probabilities come from questions whose passages no question that it learned from had: so are those to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.models.retrieve import FEATURES, Finding, Found, Shelf
from tunesmith.models.spec import ModelSpec
from tunesmith.training.embeddings import embed, encoder_spec
from tunesmith.training.linear import load_arrays, save_arrays
from tunesmith.training.ranking import Weights, fit_weights, learned
from tunesmith.training.retrieval import CHUNK, RetrievalFitted, apart, finish, load_fitted, shelf_of, train_rows
from tunesmith.training.systems import Job, Workload, system

_FILE = "ranking.safetensors"


@dataclass(frozen=True)
class Learned:
    """How much each opinion counts."""

    spec: ModelSpec
    weights: Weights

    def find(self, texts: Sequence[str], shelf: Shelf, ctx: Context) -> Found:
        return self.weights.rank(shelf.find(texts, embed(texts, self.spec, ctx, keep=False)))

    def save(self, folder: Path) -> None:
        save_arrays(folder / _FILE, self.weights.arrays())


@dataclass(frozen=True)
class Ranked:
    """Opinions weighed by a conditional logit."""

    name: str = "ranked"
    kind: Literal["untuned", "tuned"] = "tuned"
    needs: Literal["nothing", "encoder", "lm"] = "encoder"
    outputs: tuple[str, ...] = ("citations",)
    is_cheap: bool = True

    def fit(self, train: Rows, dev: Rows, job: Job, ctx: Context) -> RetrievalFitted:
        shelf, spec = shelf_of(job, ctx, vectors=True), encoder_spec(job)
        texts, golds = train_rows(train, shelf.library)
        finding = _findings(texts, shelf, spec, ctx)
        founds, tried = [], []
        for learn, held in apart(golds, seed=ctx.seed):
            weights = fit_weights(_take(finding, learn), [golds[i] for i in learn])
            founds.append(weights.rank(_take(finding, held)))
            tried += [golds[i] for i in held]
        seen = Found(np.concatenate([f.at for f in founds]), np.concatenate([f.score for f in founds]))
        finder = Learned(spec, fit_weights(finding, golds))
        ctx.check(learned(finder.weights, finding, golds))
        return finish(self.name, finder, shelf, (seen, tried), job, {})

    def load(self, folder: Path, job: Job, ctx: Context) -> RetrievalFitted:
        arrays = load_arrays(folder / _FILE)
        weights = Weights(arrays["mean"], arrays["scale"], arrays["weight"])
        return load_fitted(self.name, Learned(encoder_spec(job), weights), folder)

    def seconds(self, work: Workload) -> tuple[float, float]:
        """Forecast (fit, predict) CPU seconds; the vectors are shared with the other rungs."""
        reading = 1.0 / max(work.encoder_texts_per_s, 1e-9)
        return 6.0 + 1e-3 * work.library_texts + 2e-2 * work.n_train, 2.0 + (reading + 1e-2) * work.n_predict


def _findings(texts: Sequence[str], shelf: Shelf, spec: ModelSpec, ctx: Context) -> Finding:
    vectors = embed(texts, spec, ctx)
    parts = [
        shelf.find(texts[start : start + CHUNK], vectors[start : start + CHUNK])
        for start in range(0, len(texts), CHUNK)
    ]
    if not parts:
        return Finding(np.zeros((0, 0), dtype=np.int64), np.zeros((0, 0, len(FEATURES)), dtype=np.float32))
    return Finding(np.concatenate([p.at for p in parts]), np.concatenate([p.features for p in parts]))


def _take(finding: Finding, at: Sequence[int] | np.ndarray[tuple[int], np.dtype[np.int64]]) -> Finding:
    rows = np.asarray(at, dtype=np.int64)
    return Finding(finding.at[rows], finding.features[rows])


system("ranked")(Ranked())
