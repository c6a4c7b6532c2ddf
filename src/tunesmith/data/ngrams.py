"""Texts as short dense vectors of their words and characters: what curation reads where no encoder is at hand.

TF-IDF of hashed word 1-2-grams and character 3-4-grams, projected on the main axes (latent semantic analysis,
Deerwester et al. 1990, by the randomised range finder of Halko, Martinsson and Tropp 2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.columns import WIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH = 256  # axes; a (WIDTH, WIDTH) inverse and a distance to all rows stay cheap
_HASHED = 2**18
_MOST_DECOMPOSED = 20_000  # texts that the axes and the document frequencies are taken from
_MOST_CHARACTERS = 2_000  # of a text; the rest of a long one changes its direction little
_CHUNK = 20_000


def ngram_vectors(texts: Sequence[str], *, width: int = WIDTH, seed: int = 0) -> NDArray[np.float32]:
    """(n, at most width) float32 unit vectors; one column of ones where there are fewer than two texts or n-grams."""
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.utils.extmath import randomized_svd

    n = len(texts)
    some = np.sort(np.random.default_rng(seed).permutation(n)[:_MOST_DECOMPOSED])
    counts = _counts([texts[int(i)] for i in some])
    weigh = [TfidfTransformer(sublinear_tf=True).fit(part) for part in counts]
    X = _stacked(counts, weigh)
    used = np.unique(X.indices)
    if n < 2 or len(used) < 2:
        return np.ones((n, 1), dtype=np.float32)
    rank = min(width, len(some) - 1, len(used) - 1)
    _, _, axes = randomized_svd(X[:, used], n_components=rank, n_iter=3, random_state=seed)
    turn = np.ascontiguousarray(axes.T)
    found = np.empty((n, rank), dtype=np.float32)
    for start in range(0, n, _CHUNK):
        part = X if n == len(some) else _stacked(_counts(texts[start : start + _CHUNK]), weigh)
        rows = part[start : start + _CHUNK] if n == len(some) else part
        projected = rows[:, used] @ turn
        found[start : start + _CHUNK] = projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-12)
    return found


def _counts(texts: Sequence[str]) -> list[Any]:
    """Two sparse (n, 2**18) matrices of n-gram counts: of words, of characters."""
    from sklearn.feature_extraction.text import HashingVectorizer

    plain = {"n_features": _HASHED, "alternate_sign": False, "norm": None, "dtype": np.float32}
    short = [text[:_MOST_CHARACTERS] for text in texts]
    # Scripts written without spaces: each character is a word, so that 2-grams of them are features.
    spaced = [text if text.isascii() else WIDE.sub(r" \g<0> ", text) for text in short]
    words = HashingVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\w+", **plain).transform(spaced)
    return [words, HashingVectorizer(analyzer="char_wb", ngram_range=(3, 4), **plain).transform(short)]


def _stacked(counts: Sequence[Any], weigh: Sequence[Any]) -> Any:
    from scipy.sparse import hstack

    return hstack([by.transform(part) for by, part in zip(weigh, counts, strict=True)]).tocsr()
