"""One cheap fixed classifier, for measuring how much a text says about a label. Never a rung of the ladder.

Hashed word 1-2-grams, TF-IDF, a linear classifier. Fixed settings: nothing here is searched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tunesmith.data.columns import WIDE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def features(texts: Sequence[str]) -> Any:
    """(n, 2**18) sparse TF-IDF rows of unit length."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    # Scripts written without spaces: each character is a word, so that 2-grams of them are features.
    texts = [text if text.isascii() else WIDE.sub(r" \g<0> ", text) for text in texts]
    hashed = HashingVectorizer(
        ngram_range=(1, 2), n_features=2**18, alternate_sign=False, norm=None, token_pattern=r"(?u)\w+"
    ).transform(texts)
    return TfidfTransformer(sublinear_tf=True).fit_transform(hashed)


def predictability(texts: Sequence[str], labels: Sequence[str], *, seed: int = 0) -> float:
    """How far above guessing the texts predict the labels: (accuracy - majority) / (1 - majority), 2-fold.

    0 means not at all, 1 perfectly. Naive Bayes on balanced classes, so that rare labels count.
    """
    import numpy as np
    from sklearn.naive_bayes import ComplementNB

    names, codes = np.unique(np.asarray(labels, dtype=object).astype(str), return_inverse=True)
    if len(names) < 2 or len(codes) < 20:
        return 0.0
    X = features(texts)
    X = X[:, np.unique(X.indices)]  # naive Bayes keeps a dense row per class
    half = np.random.default_rng(seed).permutation(len(codes)) % 2
    right = 0
    for side in (0, 1):
        fit, held = half != side, half == side
        if len(np.unique(codes[fit])) < 2:
            return 0.0
        right += int((ComplementNB().fit(X[fit], codes[fit]).predict(X[held]) == codes[held]).sum())
    majority = np.bincount(codes).max() / len(codes)
    return float((right / len(codes) - majority) / (1 - majority))


def out_of_fold(X: Any, codes: NDArray[np.int64], foldings: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """(foldings, n) whether a linear classifier fitted on the other folds gets each row right, 0 or 1.

    Ridge regression on one-hot classes with an intercept, solved once for all foldings: the held-out residuals
    of fold f are (I - H_ff)^-1 (Y - HY)_f with H = K (K + aI)^-1. Memory: three (n, n) float64 matrices.
    Source: Hastie, Tibshirani and Friedman, *The Elements of Statistical Learning*, section 7.10 (folds of one
    row), in its block form.
    """
    import numpy as np
    from scipy.linalg import cho_factor, cho_solve, solve

    n = len(codes)
    K = np.asarray((X @ X.T).todense()) + 1.0
    # H = I - a (K + aI)^-1
    H = cho_solve(cho_factor(K + np.eye(n), overwrite_a=True), np.eye(n))
    np.negative(H, out=H)
    H[np.diag_indices(n)] += 1.0
    Y = np.eye(int(codes.max()) + 1)[codes]
    residual = Y - H @ Y
    right = np.zeros((len(foldings), n))
    for at, folds in enumerate(foldings):
        for fold in np.unique(folds):
            held = np.flatnonzero(folds == fold)
            block = np.eye(len(held)) - H[np.ix_(held, held)]
            guess = (Y[held] - solve(block, residual[held], assume_a="pos")).argmax(axis=1)
            right[at, held] = guess == codes[held]
    return right
