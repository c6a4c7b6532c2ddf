"""Whether a text is like anything that was trained on: how near its nearest train text is, judged by dev's distances.

Two ways to measure, so that asking costs no more than the system that answers: vectors of the frozen encoder, or
TF-IDF of words and characters where no encoder is loaded. A text is flagged by its conformal p-value: of new texts like
those of dev a share of at most `FLAGGED` is flagged, whatever the distances look like (Vovk, Gammerman & Shafer 2005,
section 2.2; for outliers Bates et al. 2023). Where the system states a confidence, distance and doubt
are added as in Fisher's combination of p-values, which finds more of what lies near (measured in benchmarks/quality).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tunesmith.core.context import Context
from tunesmith.core.dataset import Rows
from tunesmith.models.spec import ModelSpec
from tunesmith.training.embeddings import embed
from tunesmith.training.linear import load_arrays, save_arrays
from tunesmith.training.ngrams import Vocabulary, learn_vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

Kind = Literal["vectors", "ngrams"]

FLAGGED = 0.02
# Train texts that are kept to be near to, and dev texts whose distances are the yardstick.
_MOST_REFERENCES, _MOST_DEV = 4096, 2000
_ROWS_AT_ONCE = 256
_FOLDER = "scope"


@dataclass(frozen=True)
class Scope:
    """What the texts trained on look like, and how far from them texts of dev lie.

    references: unit vectors (m, d) as float16, or rows (m, v) of TF-IDF in the columns of `vocabulary`.
    dev_ids, dev_distances: (n,) ids of dev Examples, and 1 - cosine to the nearest reference.
    """

    kind: Kind
    references: NDArray[np.float16] | csr_matrix
    dev_ids: NDArray[np.int64]
    dev_distances: NDArray[np.float64]
    encoder: ModelSpec | None = None
    vocabulary: Vocabulary | None = None

    def distances(self, texts: Sequence[str], ctx: Context) -> NDArray[np.float64]:
        """(n,) 1 - cosine of each text to the nearest reference, 0 to 2."""
        if not texts:
            return np.zeros(0)
        if self.kind == "vectors":
            assert self.encoder is not None
            return _to_nearest(embed(texts, self.encoder, ctx, keep=False), self.references)
        assert self.vocabulary is not None
        return _to_nearest(_halved(self.vocabulary.rows(texts)), self.references)

    def save(self, folder: Path) -> None:
        """Write the arrays to `folder`/scope/<kind>.safetensors; no text is in them."""
        arrays: dict[str, NDArray[Any]] = {"dev_ids": self.dev_ids, "dev_distances": self.dev_distances}
        if self.kind == "vectors":
            arrays["references"] = np.asarray(self.references)
        else:
            assert self.vocabulary is not None
            rows: Any = self.references
            arrays |= {"data": rows.data, "indices": rows.indices, "indptr": rows.indptr, **self.vocabulary.arrays()}
        save_arrays(folder / _FOLDER / f"{self.kind}.safetensors", arrays)


def fit_scopes(train: Rows, dev: Rows, encoder: ModelSpec | None, ctx: Context) -> list[Scope]:
    """A Scope of each kind that can be had: n-grams, and vectors where an encoder is given. [] without train or dev.

    The encoder's vectors are taken from what this process holds already, where it does.
    """
    if not len(train) or not len(dev):
        return []
    draw = np.random.default_rng([ctx.seed, 23])
    train = train.take(np.sort(draw.permutation(len(train))[:_MOST_REFERENCES]))
    dev = dev.take(np.sort(draw.permutation(len(dev))[:_MOST_DEV]))
    vocabulary = learn_vocabulary(train.texts)
    rows = _halved(vocabulary.rows(train.texts))
    nothing = np.zeros(0)
    blank = Scope("ngrams", rows, dev.ids, nothing, vocabulary=vocabulary)
    made = [replace(blank, dev_distances=blank.distances(dev.texts, ctx))]
    if encoder is not None:
        vectors = embed(train.texts, encoder, ctx, keep=False).astype(np.float16)
        blank = Scope("vectors", vectors, dev.ids, nothing, encoder=encoder)
        made.append(replace(blank, dev_distances=blank.distances(dev.texts, ctx)))
    return made


def load_scope(folder: Path, *, needs: str, encoder: ModelSpec | None) -> Scope | None:
    """The Scope under `folder` that asks for no more than the system does; None if there is none.

    needs: what the system stands on ("nothing", "encoder", "lm").
    """
    order: tuple[Kind, ...] = ("ngrams", "vectors") if needs == "nothing" else ("vectors", "ngrams")
    for kind in order:
        path = folder / _FOLDER / f"{kind}.safetensors"
        if not path.exists() or (kind == "vectors" and encoder is None):
            continue
        arrays = load_arrays(path)
        ids, distances = arrays["dev_ids"], arrays["dev_distances"]
        if kind == "vectors":
            return Scope(kind, arrays["references"], ids, distances, encoder=encoder)
        from scipy.sparse import csr_matrix

        vocabulary = Vocabulary.from_arrays(arrays)
        shape = (len(arrays["indptr"]) - 1, vocabulary.size)
        rows = csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)
        return Scope(kind, rows, ids, distances, vocabulary=vocabulary)
    return None


@dataclass(frozen=True)
class Yardstick:
    """The strangeness of dev texts, against which that of new texts is read.

    distances: (n,). confidences: (n,) of the system's answers to them, or None. strangeness: (n,) ascending.
    """

    distances: NDArray[np.float64]
    confidences: NDArray[np.float64] | None
    strangeness: NDArray[np.float64]

    @classmethod
    def of(cls, distances: NDArray[np.float64], confidences: NDArray[np.float64] | None = None) -> Yardstick:
        """From dev's distances and the calibrated confidences of the answers to the same texts."""
        far = np.sort(distances)
        sure = None if confidences is None else np.sort(confidences)
        return cls(far, sure, np.sort(_strangeness(far, sure, distances, confidences, among=True)))

    def p_values(
        self, distances: NDArray[np.float64], confidences: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """(n,) how many of the dev texts are at least as strange, each text counted among them: small means foreign."""
        strange = _strangeness(self.distances, self.confidences, distances, confidences)
        return _share_above(self.strangeness, strange)

    @property
    def can_flag(self) -> bool:
        """Whether there are dev texts enough for a p-value as small as `FLAGGED`."""
        return 1.0 / (len(self.strangeness) + 1.0) <= FLAGGED


def _strangeness(
    far: NDArray[np.float64],
    sure: NDArray[np.float64] | None,
    distances: NDArray[np.float64],
    confidences: NDArray[np.float64] | None,
    *,
    among: bool = False,
) -> NDArray[np.float64]:
    """(n,) Fisher's sum. among: the texts are those of dev, each ranked among the others as a new one is among all."""
    found = -np.log(_share_above(far, distances, among=among))
    if sure is not None and confidences is not None:
        found = found - np.log(_share_above(-sure[::-1], -confidences, among=among))
    # Beyond the farthest of dev ranks say no more; distance then still tells a strange text from a stranger one.
    return np.asarray(found + 1e-6 * distances, dtype=np.float64)


def _share_above(
    ascending: NDArray[np.float64], values: NDArray[np.float64], *, among: bool = False
) -> NDArray[np.float64]:
    """(1 + how many of `ascending` are at least the value) / (1 + how many there are).

    among: the values are those of `ascending` themselves, and each counts itself once, not twice.
    """
    itself = 0.0 if among else 1.0
    n = len(ascending)
    above = itself + n - np.searchsorted(ascending, values, side="left")
    return np.asarray(above / (n + itself), dtype=np.float64)


def _halved(rows: csr_matrix) -> csr_matrix:
    """Words and characters are scaled to length 1 each: both together to length 1 (rows without either stay 0)."""
    from scipy.sparse import diags

    norm = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return diags(1.0 / np.maximum(norm, 1e-12)).dot(rows).tocsr().astype(np.float32)


def _to_nearest(rows: Any, references: Any) -> NDArray[np.float64]:
    """(n,) 1 - the largest product of each row with a reference."""
    is_dense = isinstance(references, np.ndarray)
    held = references.astype(np.float32).T if is_dense else references.T.tocsr()
    found = np.empty(rows.shape[0])
    for start in range(0, rows.shape[0], _ROWS_AT_ONCE):
        part = rows[start : start + _ROWS_AT_ONCE]
        product = part @ held
        best = product.max(axis=1)
        found[start : start + _ROWS_AT_ONCE] = best if is_dense else best.toarray().ravel()
    return np.asarray(1.0 - found, dtype=np.float64)
