"""Which labels are probably wrong, how probably, and what they should be.

Several classifiers that were not shown a row's label say what they would call it (`label_signals`). Rows are ranked by
how small the given label is in the product of their calibrated probabilities: one classifier that rules it out decides.
That is right where wrong labels fall anywhere. Where they fall on labels that the true one, or the very text, suggests,
the best other label counts too (the log margin), and extremes say little: the margin in the *mean* of the probabilities
is added, which asks that the classifiers agree on a rival. Which noise it is shows in the rows on which classifiers and
labels disagree: with many labels by how often the given label is their second choice, beyond chance; with few, where
the second choice is often the only one left, by whether any error falls elsewhere than the text's own doubt explains.

The probability that a label is wrong comes from a mixture fitted to the labels given: right, wrong anywhere, or wrong
as the text suggests.

Sources: Hinton 2002 (products of experts); Dawid and Skene 1979 (labels as noisy readings of a hidden one).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.data.label_signals import (
    FLOOR,
    calibrated,
    kernel_features,
    linear_probe,
    log_softmax,
    neighbour_vote,
    own_and_best_other,
    ridge_leave_one_out,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

# In four other tables with four kinds of planted errors, acting from here on gained 2.8 points on clean test rows, as
# much as the true labels would, and lost 1.5 in the worst case; with no errors planted it gave -1.3 to 4.9 points.
SURE = 0.6
MOST_NUMBERS = 200_000_000  # rows times labels: 0.8 GB per array, of which four are held at a time
_SECOND_VIEW = 0.7  # weight of the n-gram vectors beside the sentence vectors where both stand in one vector
# Second choice beyond chance from which the best other label counts wholly; from and up to which the margin in the mean
# does, and how much (it is at most 1, a log margin some 10). Chosen on other data, and noise, than is reported.
_RIVAL = 0.25
_FROM, _WHOLLY, _WEIGHT = 0.2, 0.5, 6.0
# Share of rows with an error that doubt does not explain, up to which the margin takes over where labels are few, and
# its weight then: all but alone. Chosen on seven other tables (two to 77 labels) with the kinds of noise reported.
_UNEXPLAINED, _ALONE = 0.006, 100.0
_LANDMARKS_OF_DOUBTS = 500  # of a regression that is solved anew in each fold
_MOST_FITTED = 20_000  # rows that the mixture is fitted on
# Labels in part wrong make classifiers that are calibrated on them too shy; by how much, the table cannot say where
# errors look like the truth. From 2 on, the rate of planted errors was met best (0.10 for 0.10; 0.08 from 1.5).
_SHARPNESS = np.geomspace(2.0, 6.0, 8)
_BLUNTER = (1.0, 1.5, 2.0, 3.0, 4.5)  # the same where only the kind of noise is asked for
_ROUNDS = 60


@dataclass(frozen=True)
class Noise:
    """How the labels given seem to come from the true ones.

    rate: share of wrong labels. anywhere: share of the wrong ones that fall on any label; the others fall where the
    text suggests them. second_choice: how often, beyond chance, a doubted label is the classifiers' second choice.
    """

    rate: float
    anywhere: float
    second_choice: float


@dataclass(frozen=True)
class LabelScores:
    """One value per row.

    score:       (n,) larger means more likely wrong; ranks rows, no unit.
    probability: (n,) that the label is wrong; never falls as the score rises.
    proposed:    (n,) the likeliest other label. confidence: (n,) probability that it is the right one.
    """

    score: NDArray[np.float64]
    probability: NDArray[np.float64]
    proposed: NDArray[np.int64]
    confidence: NDArray[np.float64]
    noise: Noise


def score_labels(
    sentences: NDArray[np.float32] | None,
    ngrams: NDArray[np.float32],
    codes: NDArray[np.int64],
    n_labels: int,
    *,
    probabilities: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> LabelScores:
    """Score how probably each label is wrong.

    sentences: (n, d) unit vectors of a sentence encoder, None where there is none. ngrams: (n, e) unit vectors of
    `ngrams.ngram_vectors`. codes: (n,) 0..n_labels-1, at least two different. probabilities: (n, n_labels) that a model
    gave each row while not trained on it (cross-fitted), if at hand. Raises DataError if the shapes differ, if there is
    only one label, or beyond MOST_NUMBERS rows times labels.
    """
    n = len(codes)
    lengths = {len(given) for given in (sentences, ngrams, probabilities) if given is not None}
    if lengths != {n} or (probabilities is not None and probabilities.shape[1] != n_labels):
        raise DataError("vectors, labels and probabilities differ in their number of rows or labels.")
    if len(np.unique(codes)) < 2:
        raise DataError("label errors cannot be told where all rows have one label.")
    if n * n_labels > MOST_NUMBERS:
        raise DataError(f"{n:,} rows of {n_labels:,} labels are more than can be judged at once.")
    return combine(_signals(sentences, ngrams, codes, n_labels, probabilities, seed), codes)


def action_for(wrong: float, sure: float) -> Literal["fix", "drop", "flag"]:
    """What to do unasked with a row whose label is wrong with probability `wrong`, the proposed one right with `sure`.

    Relabel where the proposed label is sure enough, else drop where only the given one is surely wrong.
    """
    return "fix" if sure >= SURE else "drop" if wrong >= SURE else "flag"


def combine(signals: Iterator[tuple[bool, NDArray[np.float32]]], codes: NDArray[np.int64]) -> LabelScores:
    """The same from calibrated (n, k) log-probabilities, each with whether it also counts in the mean."""
    product: NDArray[np.float32] | None = None
    mean: NDArray[np.float32] | None = None
    for agrees, logs in signals:
        if agrees:
            mean = np.exp(logs) if mean is None else mean + np.exp(logs)
        product = logs if product is None else product + logs
    assert product is not None
    assert mean is not None
    mean /= mean.sum(axis=1, keepdims=True)
    product = calibrated(product, codes)
    own, other = own_and_best_other(product, codes)
    second = _second_choice(product, codes, other > own)
    k = product.shape[1]
    many = (k - 2) / k  # how far the second choice is to be heard
    rival = many * min(1.0, second / _RIVAL)
    weight = _WEIGHT * many * float(np.clip((second - _FROM) / (_WHOLLY - _FROM), 0, 1))
    if k > 2:
        weight += _ALONE * (1 - many) * max(0.0, 1 - unexplained(product, codes) / _UNEXPLAINED)
    own_mean, other_mean = own_and_best_other(mean, codes)
    score = -own.astype(np.float64) + rival * other + weight * (other_mean.astype(np.float64) - own_mean)
    return _judged(product, codes, score, second)


def _signals(
    sentences: NDArray[np.float32] | None,
    ngrams: NDArray[np.float32],
    codes: NDArray[np.int64],
    k: int,
    probabilities: NDArray[np.float64] | None,
    seed: int,
) -> Iterator[tuple[bool, NDArray[np.float32]]]:
    """One at a time, for each may take a gigabyte."""
    if probabilities is not None:
        yield True, calibrated(np.log(np.maximum(probabilities, FLOOR)).astype(np.float32), codes)
    first = ngrams if sentences is None else sentences
    both = ngrams
    if sentences is not None:
        both = np.hstack([sentences, _SECOND_VIEW * ngrams])
        both /= np.linalg.norm(both, axis=1, keepdims=True)
    yield True, linear_probe(first, codes, k, seed=seed)
    doubts = kernel_features(both, landmarks=_LANDMARKS_OF_DOUBTS, seed=seed)
    yield False, linear_probe(first, codes, k, doubts_by=doubts, seed=seed)
    yield True, ridge_leave_one_out(kernel_features(both, seed=seed), codes, k)
    yield True, neighbour_vote(first, codes, k, seed=seed)
    if sentences is not None:
        yield True, ridge_leave_one_out(kernel_features(sentences, seed=seed), codes, k)
        yield False, linear_probe(ngrams, codes, k, seed=seed)


def _second_choice(logs: NDArray[np.float32], codes: NDArray[np.int64], doubted: NDArray[np.bool_]) -> float:
    """How often the given label of a doubted row is second, 0 as by chance, 1 always."""
    k = int(logs.shape[1])
    some = logs[doubted]
    if k < 3 or len(some) == 0:
        return 0.0
    own = some[np.arange(len(some)), codes[doubted]]
    second = float(((some > own[:, None]).sum(axis=1) == 1).mean())
    chance = 1 / (k - 1)
    return max(0.0, (second - chance) / (1 - chance))


def unexplained(logs: NDArray[np.float32], codes: NDArray[np.int64]) -> float:
    """Share of rows whose label is wrong beyond what doubt explains.

    A mixture of right labels, p(own); of errors that fall in proportion to the row's doubt on what the text suggests,
    the sum over the true label y of p(y) (1 - p(y)) p(own) / (1 - p(y)) = p(own) (1 - p(own)) up to a constant; and of
    errors that fall anywhere, whose share this is.
    """
    logs, codes = _some(logs, codes)
    rows = np.arange(len(codes))
    best, found = -np.inf, 1.0
    for sharpness in _BLUNTER:
        p = np.exp(log_softmax(np.float32(sharpness) * logs)).astype(np.float64)
        own = p[rows, codes]
        doubt = max(float((p * (1 - p)).sum(axis=1).mean()), 1e-12)
        shares, likelihood = _shares(np.stack([own, (1 - own) / (logs.shape[1] - 1), own * (1 - own) / doubt]))
        if likelihood > best:
            best, found = likelihood, float(shares[1])
    return found


def _judged(
    logs: NDArray[np.float32], codes: NDArray[np.int64], score: NDArray[np.float64], second: float
) -> LabelScores:
    """Probabilities from the mixture, made to rise with the score."""
    from sklearn.isotonic import IsotonicRegression

    sharpness, shares = _mixture(logs, codes)
    parts = _densities(logs, codes, sharpness) * shares[:, None]
    wrong = 1 - parts[0] / np.maximum(parts.sum(axis=0), 1e-12)
    probability = IsotonicRegression(y_min=0.0, y_max=1.0).fit_transform(score, wrong)
    rows = np.arange(len(codes))
    p = np.exp(log_softmax(np.float32(sharpness) * logs))
    p[rows, codes] = 0.0
    proposed = p.argmax(axis=1).astype(np.int64)
    confidence = probability * p[rows, proposed] / np.maximum(p.sum(axis=1), 1e-12)
    rate = float(1 - shares[0])
    noise = Noise(rate, float(shares[1] / max(rate, 1e-12)), second)
    return LabelScores(score, probability, proposed, confidence.astype(np.float64), noise)


def _mixture(logs: NDArray[np.float32], codes: NDArray[np.int64]) -> tuple[float, NDArray[np.float64]]:
    """(sharpness of the classifiers, shares of right, wrong anywhere, wrong as the text suggests).

    The shares by expectation-maximisation for each sharpness; the likeliest of them all. A wrong label is what calls
    for classifiers that are sharp and yet sometimes far off.
    """
    logs, codes = _some(logs, codes)
    best, found = -np.inf, (1.0, np.array([0.9, 0.05, 0.05]))
    for sharpness in _SHARPNESS:
        shares, likelihood = _shares(_densities(logs, codes, float(sharpness)))
        if likelihood > best:
            best, found = likelihood, (float(sharpness), shares)
    return found


def _shares(densities: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Shares of a mixture's three parts by expectation-maximisation, and the mean log-likelihood under them."""
    shares = np.array([0.85, 0.1, 0.05])
    for _ in range(_ROUNDS):
        parts = densities * shares[:, None]
        shares = (parts / np.maximum(parts.sum(axis=0), 1e-12)).mean(axis=1)
    return shares, float(np.log(np.maximum((densities * shares[:, None]).sum(axis=0), 1e-12)).mean())


def _some(logs: NDArray[np.float32], codes: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """At most _MOST_FITTED rows."""
    if len(codes) <= _MOST_FITTED:
        return logs, codes
    some = np.sort(np.random.default_rng(0).permutation(len(codes))[:_MOST_FITTED])
    return logs[some], codes[some]


def _densities(logs: NDArray[np.float32], codes: NDArray[np.int64], sharpness: float) -> NDArray[np.float64]:
    """(3, n) how likely the given label is if it is right, wrong anywhere, wrong as the text suggests."""
    rows = np.arange(len(codes))
    p = np.exp(log_softmax(np.float32(sharpness) * logs))
    suggested = (1 - p) * np.exp(log_softmax(np.float32(sharpness / 2) * logs))
    suggested /= np.maximum(suggested.sum(axis=1, keepdims=True), 1e-12)
    own = p[rows, codes].astype(np.float64)
    return np.stack([own, (1 - own) / (logs.shape[1] - 1), suggested[rows, codes].astype(np.float64)])
