"""What several plain classifiers say of a row's label when that row was not shown to them.

All take (n, d) vectors and (n,) codes and return (n, n_labels) float32 log-probabilities, each scaled to be calibrated
on the labels given (`calibrated`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOOR = 1e-6  # of a probability: no classifier here can be surer than that from a few thousand rows
_FOLDS = 5
_MOST_FITTED = 40_000  # rows that a linear probe is fitted on
_MOST_NEIGHBOURS = 10_000  # rows that neighbours are sought among; a vote among a sample is a vote still
_CHUNK = 2_000
_MOST_NUMBERS = 200_000_000  # of kernel features, 0.8 GB
_MOST_SCALED = 20_000  # rows that a temperature is fitted on
_PENALTY = 0.3


def linear_probe(
    vectors: NDArray[np.float32],
    codes: NDArray[np.int64],
    n_labels: int,
    *,
    doubts_by: NDArray[np.float32] | None = None,
    C: float = 5.0,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Softmax regression out of five folds, calibrated.

    doubts_by: (n, features) of a kernel ridge that, within the rows fitted on, says how much each label is trusted;
    they are weighed by it. The doubts are found without the rows held out, so nothing of them leaks.
    """
    said = out_of_fold(vectors, codes, n_labels, doubts_by=doubts_by, C=C, seed=seed)
    return calibrated(_log(said), codes)


def out_of_fold(
    vectors: NDArray[np.float32],
    codes: NDArray[np.int64],
    n_labels: int,
    *,
    doubts_by: NDArray[np.float32] | None = None,
    C: float = 5.0,
    seed: int = 0,
) -> NDArray[np.float32]:
    """(n, n_labels) probabilities of that regression as it gives them; a label that a fold lacks gets the floor."""
    from sklearn.linear_model import LogisticRegression

    found = np.full((len(codes), n_labels), FLOOR, dtype=np.float32)
    folds = stratified_folds(codes, _FOLDS, seed=seed)
    draw = np.random.default_rng(seed)
    for fold in range(_FOLDS):
        held, fit = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if len(fit) > _MOST_FITTED:
            fit = np.sort(draw.permutation(fit)[:_MOST_FITTED])
        present = np.unique(codes[fit])
        if len(held) == 0 or len(present) == 0:
            continue
        if len(present) == 1:
            found[held, present[0]] = 1.0
            continue
        trust = None
        if doubts_by is not None:
            trust = trusted(ridge_leave_one_out(doubts_by[fit], codes[fit], n_labels), codes[fit])
        model = LogisticRegression(C=C, max_iter=200, tol=1e-3).fit(vectors[fit], codes[fit], sample_weight=trust)
        found[np.ix_(held, model.classes_)] = model.predict_proba(vectors[held])
    return found


def trusted(logs: NDArray[np.float32], codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) share of the given label against its strongest rival, 0 to 1."""
    own, other = own_and_best_other(logs, codes)
    return np.asarray(1.0 / (1.0 + np.exp(np.clip(other - own, -30, 30))), dtype=np.float64)


def ridge_leave_one_out(
    features: NDArray[np.float32], codes: NDArray[np.int64], n_labels: int, *, penalty: float = _PENALTY
) -> NDArray[np.float32]:
    """Ridge regression on one-hot labels, each row left out in closed form.

    f_i = (yhat_i - h_ii y_i) / (1 - h_ii) with h = X (X'X + penalty I)^-1 X', X with a column of ones.
    Source: Hastie, Tibshirani and Friedman, *The Elements of Statistical Learning*, section 7.10.
    """
    return calibrated(left_out(features, codes, n_labels, penalty=penalty) * 10.0, codes)


def left_out(
    features: NDArray[np.float32], codes: NDArray[np.int64], n_labels: int, *, penalty: float
) -> NDArray[np.float32]:
    """(n, n_labels) float32 fitted values of that regression, each row's without it."""
    from scipy.linalg import cho_factor, cho_solve

    n, d = features.shape
    parts = [slice(start, start + _CHUNK) for start in range(0, n, _CHUNK)]  # a million rows in fp64 at once: too much
    inner, XtY = penalty * np.eye(d + 1), np.zeros((d + 1, n_labels))
    for part in parts:
        X = _with_ones(features[part])
        inner += X.T @ X
        XtY += X.T @ np.eye(n_labels)[codes[part]]
    inverse = cho_solve(cho_factor(inner), np.eye(d + 1))
    beta = inverse @ XtY
    said = np.empty((n, n_labels), dtype=np.float32)
    for part in parts:
        X = _with_ones(features[part])
        leverage = np.clip(((X @ inverse) * X).sum(axis=1), 0.0, 1 - 1e-6)
        fitted = X @ beta
        fitted[np.arange(len(X)), codes[part]] -= leverage
        said[part] = fitted / (1 - leverage)[:, None]
    return said


def kernel_features(vectors: NDArray[np.float32], *, landmarks: int = 1_000, seed: int = 0) -> NDArray[np.float32]:
    """(n, at most landmarks) features whose products approximate a radial-basis kernel of unit vectors.

    Width: the median squared distance of a row to the landmarks. Source: Williams and Seeger 2001 (Nystroem).
    """
    n = len(vectors)
    draw = np.random.default_rng(seed)
    landmarks = max(50, min(landmarks, n, _MOST_NUMBERS // n))
    chosen = vectors[np.sort(draw.permutation(n)[:landmarks])].astype(np.float64)
    some = vectors[np.sort(draw.permutation(n)[: min(1_000, n)])].astype(np.float64)
    width = 0.5 * max(float(np.median(2 - 2 * some @ chosen.T)), 1e-6)
    values, basis = np.linalg.eigh(np.exp((chosen @ chosen.T - 1) / width))
    kept = values > 1e-6 * values.max()
    turn = basis[:, kept] / np.sqrt(values[kept])
    found = np.empty((n, int(kept.sum())), dtype=np.float32)
    for start in range(0, n, _CHUNK):
        part = vectors[start : start + _CHUNK].astype(np.float64)
        found[start : start + _CHUNK] = np.exp((part @ chosen.T - 1) / width) @ turn
    return found


def neighbour_vote(
    vectors: NDArray[np.float32], codes: NDArray[np.int64], n_labels: int, *, k: int = 50, seed: int = 0
) -> NDArray[np.float32]:
    """The labels of a row's k nearest others, smoothed by one vote that goes by the base rates.

    The nearest weighs 1, the others exp((cosine - the nearest's cosine) / 0.1).
    """
    n = len(codes)
    among = np.arange(n)
    if n > 2 * _MOST_NEIGHBOURS:
        among = np.sort(np.random.default_rng(seed).permutation(n)[:_MOST_NEIGHBOURS])
    k = max(1, min(k, len(among) - 1))
    prior = (np.bincount(codes, minlength=n_labels) + 1.0) / (n + n_labels)
    place = np.full(n, -1)
    place[among] = np.arange(len(among))
    said = np.empty((n, n_labels), dtype=np.float32)
    pool = vectors[among]
    for start in range(0, n, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, n))
        near = vectors[rows] @ pool.T  # (rows, among)
        own = place[rows]
        near[np.flatnonzero(own >= 0), own[own >= 0]] = -np.inf
        at = np.argpartition(-near, k - 1, axis=1)[:, :k]
        cosines = np.take_along_axis(near, at, axis=1).astype(np.float64)
        weights = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / 0.1)
        votes = np.zeros((len(rows), n_labels))
        for column in range(k):
            np.add.at(votes, (np.arange(len(rows)), codes[among[at[:, column]]]), weights[:, column])
        said[rows] = _log((votes + prior) / (votes.sum(axis=1, keepdims=True) + 1.0))
    return calibrated(said, codes)


def calibrated(logits: NDArray[np.float32], codes: NDArray[np.int64]) -> NDArray[np.float32]:
    """log_softmax(b * logits), with the b under which the given labels are likeliest (Guo et al. 2017, section 4.2)."""
    from scipy.optimize import minimize_scalar

    some = np.arange(len(codes))
    if len(some) > _MOST_SCALED:
        some = np.sort(np.random.default_rng(0).permutation(len(codes))[:_MOST_SCALED])
    few, own = logits[some].astype(np.float64), codes[some]

    def loss(power: float) -> float:
        return -float(log_softmax(np.exp(power) * few)[np.arange(len(own)), own].mean())

    best = minimize_scalar(loss, bounds=(-8, 4), method="bounded", options={"xatol": 0.02})
    return log_softmax(np.float32(np.exp(best.x)) * logits)


def own_and_best_other(
    said: NDArray[np.float32], codes: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(n,) values of the given labels and (n,) of each row's largest other one."""
    rows = np.arange(len(codes))
    own = said[rows, codes]
    others = said.copy()
    others[rows, codes] = -np.inf
    return own, others.max(axis=1)


def stratified_folds(codes: NDArray[np.int64], folds: int, *, seed: int) -> NDArray[np.int64]:
    """(n,) fold of each row; each label is spread as evenly as its rows allow."""
    order = np.random.default_rng(seed).permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    found = np.empty(len(codes), dtype=np.int64)
    found[order] = np.arange(len(codes)) % folds
    return found


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row by row, in the logits' own precision."""
    logits = logits - logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logits


def _with_ones(features: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.hstack([features.astype(np.float64), np.ones((len(features), 1))])


def _log(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    kept = np.maximum(probabilities, FLOOR)
    return np.asarray(np.log(kept / kept.sum(axis=1, keepdims=True)), dtype=np.float32)
