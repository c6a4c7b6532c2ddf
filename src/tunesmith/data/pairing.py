"""How well an input and an answer go together, measured for any two rows of a table, from several sides.

What goes with what differs from table to table: a summary repeats its source, a translation no word of it, a query
follows a pattern. So besides what input and answer share, answers are predicted from inputs, and inputs from answers,
by regressions and by nearest neighbours, always without the rows at hand. Each measure is compared with the same
input's measure with other rows' answers, and with the same answer's with other rows' inputs.

Sources: canonical correlation by regression between two views (Hotelling 1936; Hastie, Tibshirani and Friedman,
*The Elements of Statistical Learning*, sections 3.4 and 3.7); mean similarity as the correction for hubs, answers that
are close to everything (Radovanovic, Nanopoulos and Ivanovic 2010).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.columns import WIDE
from tunesmith.data.ngrams import ngram_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

FOLDS = 5
_HASHED = 2**18
_NEIGHBOURS = 10
_MOST_ASKED = 5_000  # rows that neighbours are sought among
_BLOCK = 1_000
_PENALTIES = (0.03, 0.3, 3.0)  # of the regressions, times the mean eigenvalue
_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_NAME = re.compile(r"(?<=[a-z0-9,;)] )[A-Z][^\W\d_]+")


@dataclass(frozen=True)
class Sides:
    """Inputs and answers as vectors: of each row what it is, and what the other side lets one expect of it.

    Every array has a row per row of the table. direct: (inputs, answers), unit vectors in one space, whose product
    says how alike they are; dense or sparse. expected: (what the input lets expect, the answer) and, every second one,
    (what the answer lets expect, the input), centred unit vectors, learnt without the rows of the same fold. shared:
    sparse binary (inputs, answers), one column a number, or a name, of any answer. lengths: (what the input lets
    expect, the answer's), logs of characters. fold: (n,) 0 to FOLDS - 1.
    """

    direct: list[tuple[Any, Any]]
    expected: list[tuple[Vectors, Vectors]]
    shared: list[tuple[Any, Any]]
    lengths: tuple[NDArray[np.float64], NDArray[np.float64]]
    fold: NDArray[np.int64]

    @property
    def n_measures(self) -> int:
        return len(self.direct) + len(self.expected) + 1

    def measures(self, rows: NDArray[np.int64], of: NDArray[np.int64]) -> NDArray[np.float32]:
        """(measures, len(rows), len(of)) how well the input of each of `rows` goes with the answer of each of `of`."""
        found = [_product(one[rows], other[of]) for one, other in self.direct]
        for at, (one, other) in enumerate(self.expected):
            # Every second one is learnt the other way: from answers what their inputs are.
            found.append(_product(other[rows], one[of]) if at % 2 else _product(one[rows], other[of]))
        expected, own = self.lengths
        found.append(-np.abs(expected[rows][:, None] - own[of][None, :]).astype(np.float32))
        return np.stack(found)

    def overlaps(self, rows: NDArray[np.int64], of: NDArray[np.int64]) -> NDArray[np.float32]:
        """(2 kinds, len(rows), len(of)) share of the answer's numbers, and names, that the input has; 0.5 of none."""
        found = []
        for said, written in self.shared:
            total = np.asarray(written[of].sum(axis=1)).ravel()
            found.append((_product(said[rows], written[of]) + 0.5) / (total + 1.0)[None, :])
        return np.stack(found).astype(np.float32)


def _product(one: Any, other: Any) -> NDArray[np.float32]:
    found = one @ other.T
    return np.asarray(found.todense() if hasattr(found, "todense") else found, dtype=np.float32)


def read(
    inputs: Sequence[str], answers: Sequence[str], sentences: tuple[Vectors, Vectors] | None, *, seed: int = 0
) -> Sides:
    """The two sides of a table. sentences: unit vectors of a sentence encoder, of inputs and of answers, or None."""
    n = len(inputs)
    fold = np.random.default_rng(seed).permutation(n) % FOLDS
    words = _words(inputs, answers)
    both = ngram_vectors([*inputs, *answers], seed=seed)
    grams = (both[:n], both[n:])
    dense = [grams] if sentences is None else [sentences, grams]
    X, Y = (np.hstack([view[side] for view in dense]) for side in (0, 1))
    expected = []
    for predict in (_regressed, _voted):
        for one, other in ((X, Y), (Y, X)):
            expected.append(_centred(predict(one, other, fold), other))
    logs = [np.log1p([len(text) for text in side]) for side in (inputs, answers)]
    features = np.hstack([X, logs[0][:, None].astype(np.float32)])
    length = _regressed(features, logs[1][:, None].astype(np.float32), fold)[:, 0].astype(np.float64)
    direct: list[tuple[Any, Any]] = [words, grams]
    if sentences is not None:
        direct.append(sentences)
    return Sides(direct, expected, [_tokens(inputs, answers, _NUMBER), _tokens(inputs, answers, _NAME)],
                 (length, logs[1]), fold)  # fmt: skip


def _words(inputs: Sequence[str], answers: Sequence[str]) -> tuple[Any, Any]:
    """Sparse TF-IDF rows of unit length of words, one space for both sides."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    spaced = [text if text.isascii() else WIDE.sub(r" \g<0> ", text) for text in (*inputs, *answers)]
    hashed = HashingVectorizer(
        n_features=_HASHED, alternate_sign=False, norm=None, token_pattern=r"(?u)\w+", dtype=np.float32
    ).transform(spaced)
    X = TfidfTransformer(sublinear_tf=True).fit_transform(hashed).tocsr()
    X = X[:, np.unique(X.indices)]
    return X[: len(inputs)], X[len(inputs) :]


def _tokens(inputs: Sequence[str], answers: Sequence[str], pattern: re.Pattern[str]) -> tuple[Any, Any]:
    """Sparse binary rows: which numbers, or names, of any answer each input and each answer has."""
    from scipy.sparse import csr_matrix

    written = [set(pattern.findall(text)) for text in answers]
    place = {token: at for at, token in enumerate(sorted(set().union(*written)))}
    said = [set(re.findall(r"\w+(?:[.,:/]\d+)*", text)) & place.keys() for text in inputs]

    def matrix(rows: list[set[str]]) -> Any:
        at = [place[token] for row in rows for token in sorted(row)]
        starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
        return csr_matrix((np.ones(len(at), dtype=np.float32), at, starts), shape=(len(rows), max(1, len(place))))

    return matrix([set(row) for row in said]), matrix(written)


def _centred(expected: Vectors, own: Vectors) -> tuple[Vectors, Vectors]:
    """Both less the mean of `own`, of unit length."""
    mean = own.mean(axis=0)
    return _unit(expected - mean), _unit(own - mean)


def _unit(X: Vectors) -> Vectors:
    return np.asarray(X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def _regressed(X: Vectors, Y: Vectors, fold: NDArray[np.int64]) -> Vectors:
    """(n, width of Y) ridge regression of Y on X, fitted on the other folds; the penalty that predicts best there."""
    found = np.empty(Y.shape, dtype=np.float32)
    for held in np.unique(fold):
        fit = fold != held
        mx, my = X[fit].mean(axis=0), Y[fit].mean(axis=0)
        A, B = (X[fit] - mx).astype(np.float64), (Y[fit] - my).astype(np.float64)
        values, axes = np.linalg.eigh(A.T @ A)
        values = np.maximum(values, 0.0)
        turned = axes.T @ (A.T @ B)
        U = A @ axes
        best, chosen = np.inf, _PENALTIES[0]
        for penalty in _PENALTIES:
            shrunk = values + penalty * max(float(values.mean()), 1e-12)
            leverage = (U**2 / shrunk).sum(axis=1)
            rest = (B - U @ (turned / shrunk[:, None])) / np.maximum(1 - leverage, 1e-3)[:, None]
            error = float((rest**2).mean())
            if error < best:
                best, chosen = error, penalty
        shrunk = values + chosen * max(float(values.mean()), 1e-12)
        weights = axes @ (turned / shrunk[:, None])
        found[~fit] = (X[~fit] - mx) @ weights + my
    return found


def _voted(X: Vectors, Y: Vectors, fold: NDArray[np.int64]) -> Vectors:
    """(n, width of Y) mean of Y over the ten nearest rows of other folds, the nearer ones counting more."""
    rng = np.random.default_rng(0)
    found = np.empty(Y.shape, dtype=np.float32)
    X = _unit(X)
    for held in np.unique(fold):
        pool = np.flatnonzero(fold != held)
        if len(pool) > _MOST_ASKED:
            pool = np.sort(rng.permutation(pool)[:_MOST_ASKED])
        asking = np.flatnonzero(fold == held)
        k = min(_NEIGHBOURS, len(pool))
        for start in range(0, len(asking), _BLOCK):
            rows = asking[start : start + _BLOCK]
            products = X[rows] @ X[pool].T  # (block, pool)
            top = np.argpartition(-products, k - 1, axis=1)[:, :k]
            near = np.take_along_axis(products, top, axis=1)
            weight = np.exp(8 * (near - near.max(axis=1, keepdims=True)))
            weight /= weight.sum(axis=1, keepdims=True)
            found[rows] = np.einsum("bk,bkd->bd", weight, Y[pool[top]])
    return found
