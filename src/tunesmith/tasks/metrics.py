"""Scores of labels, probabilities and texts. Pure functions of numpy arrays and strings.

    labels         codes, confusion, per_class
    probabilities  brier, log_loss, expected_calibration_error, reliability
    texts          rouge_l, words, length_ratio, style_profile, style_distance

Facts in texts are in facts.py; macro-F1 and every interval are in core/statistics.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORD = re.compile(r"[^\W_]+")
_MARK = re.compile(r"[^\W_]+|[^\w\s]")
# How many of the references' commonest words and marks stand for their style; the rest is one bucket.
_STYLE_FEATURES = 150


# ---------------------------------------------------------------- labels


def all_labels(labels: Sequence[str], *answers: Sequence[str | None]) -> tuple[str, ...]:
    """The known labels in their order, then any other that occurs, sorted (a test may hold a label unseen in train)."""
    known = set(labels)
    return (*labels, *sorted({a for some in answers for a in some if a is not None} - known))


def codes(values: Sequence[str | None], labels: Sequence[str]) -> NDArray[np.int64]:
    """(n,) position of each value among the labels; -1 for None or an unknown one."""
    at = {label: i for i, label in enumerate(labels)}
    return np.array([-1 if v is None else at.get(v, -1) for v in values], dtype=np.int64)


def confusion(references: NDArray[np.int64], predictions: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """(k, k + 1) counts: row = true class, column = answer; the last column is "no answer"."""
    said = np.where(predictions < 0, classes, predictions)
    return np.bincount(references * (classes + 1) + said, minlength=classes * (classes + 1)).reshape(
        classes, classes + 1
    )


@dataclass(frozen=True)
class ClassScore:
    """One class: of those called so, how many are (precision); of those that are, how many were found (recall)."""

    label: str
    n: int
    precision: float
    recall: float
    f1: float


def per_class(references: NDArray[np.int64], predictions: NDArray[np.int64], labels: Sequence[str]) -> list[ClassScore]:
    """Precision, recall and F1 of every class that occurs among references or answers; 0 where undefined."""
    table = confusion(references, predictions, len(labels))
    hit = np.diag(table[:, :-1])
    true, said = table.sum(axis=1), table[:, :-1].sum(axis=0)
    return [
        ClassScore(
            label,
            int(true[i]),
            float(hit[i] / said[i]) if said[i] else 0.0,
            float(hit[i] / true[i]) if true[i] else 0.0,
            float(2 * hit[i] / (said[i] + true[i])),
        )
        for i, label in enumerate(labels)
        if said[i] + true[i]
    ]


# ---------------------------------------------------------------- probabilities


def brier(probabilities: NDArray[np.float64], references: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) squared distance between the probabilities and the truth; 0 is perfect, 2 the worst.

    Source: Brier 1950, the form that sums over all k classes. references -1: a label the system cannot say.
    """
    known = references >= 0
    p_true = np.where(known, probabilities[np.arange(len(references)), np.maximum(references, 0)], 0.0)
    return np.asarray((probabilities**2).sum(axis=1) - 2 * p_true + 1.0, dtype=np.float64)


def log_loss(probabilities: NDArray[np.float64], references: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) minus the natural logarithm of the true label's probability, which counts as at least 1e-15."""
    known = references >= 0
    p_true = np.where(known, probabilities[np.arange(len(references)), np.maximum(references, 0)], 0.0)
    return np.asarray(-np.log(np.clip(p_true, 1e-15, 1.0)), dtype=np.float64)


@dataclass(frozen=True)
class Bin:
    """Answers of similar confidence: how sure the system was and how often it was right."""

    n: int
    low: float
    high: float
    confidence: float
    accuracy: float


def reliability(confidence: NDArray[np.float64], right: NDArray[np.bool_], *, bins: int = 15) -> list[Bin]:
    """Answers sorted by confidence and cut into at most `bins` groups of equal size; ties stay together."""
    at = _by_mass(confidence, bins)
    parts = [np.flatnonzero(at == group) for group in np.unique(at)]
    return [
        Bin(
            len(part),
            float(confidence[part].min()),
            float(confidence[part].max()),
            float(confidence[part].mean()),
            float(right[part].mean()),
        )
        for part in parts
    ]


def expected_calibration_error(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], *, bins: int = 15, equal: str = "mass"
) -> float:
    """Mean gap between confidence and accuracy over groups of similar confidence, weighted by their size.

    equal: "mass" cuts into groups of equal size, "width" cuts 0 to 1 into equal steps. NaN without rows.
    Source: Naeini et al. 2015 (width); Nixon et al. 2019 (mass).
    """
    n = len(confidence)
    if n == 0:
        return float("nan")
    if equal == "mass":
        at = _by_mass(confidence, bins)
    else:
        at = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(at, confidence - right.astype(np.float64), minlength=bins)
    return float(np.abs(gaps).sum() / n)


def _by_mass(confidence: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """(n,) group of each row: equal shares of the rows in order of confidence, ties in the first one's group.

    Ties that were cut by the order of the rows would make a constant confidence look miscalibrated.
    """
    n = len(confidence)
    rank = np.searchsorted(np.sort(confidence), confidence, side="left")
    return np.asarray(rank * min(bins, n) // max(n, 1), dtype=np.int64)


# ---------------------------------------------------------------- texts


def words(text: str) -> list[str]:
    """Lower-case runs of letters and digits, in any script."""
    return _WORD.findall(text.casefold())


def rouge_l(answer: str, reference: str) -> float:
    """ROUGE-L F1 over words, from the longest common subsequence of the two whole texts; 0 where either is empty.

    P = LCS / words(answer), R = LCS / words(reference), F = 2PR / (P + R). Source: Lin 2004, sentence level.
    """
    a, b = words(answer), words(reference)
    if not a or not b:
        return 0.0
    return 2.0 * longest_common_subsequence(a, b) / (len(a) + len(b))  # 2PR/(P+R) simplified


def longest_common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence; one big-integer addition per word of `b`.

    Source: Crochemore et al. 2001 / Hyyro 2004, the bit-vector recurrence V = (V + (V & M)) | (V & ~M).
    """
    masks: dict[str, int] = {}
    for i, word in enumerate(a):
        masks[word] = masks.get(word, 0) | 1 << i
    full = (1 << len(a)) - 1
    v = full
    for word in b:
        m = masks.get(word, 0)
        if m:
            v = ((v + (v & m)) | (v & ~m)) & full
    return len(a) - v.bit_count()


def length_ratio(answer_words: NDArray[np.float64], reference_words: NDArray[np.float64]) -> float:
    """Words written in all answers over words in all references; 1 means as long. NaN without reference words."""
    total = float(reference_words.sum())
    return float(answer_words.sum()) / total if total else float("nan")


def style_features(references: Sequence[str]) -> dict[str, int]:
    """The commonest words and punctuation marks of the references: what their style is measured by.

    Frequent words are function words in every language, so no word list is needed. Ties go by spelling.
    """
    counts = Counter(mark for text in references for mark in _MARK.findall(text.casefold()))
    common = sorted(counts, key=lambda mark: (-counts[mark], mark))[:_STYLE_FEATURES]
    return {mark: i for i, mark in enumerate(common)}


def style_profile(texts: Sequence[str], features: dict[str, int]) -> NDArray[np.float64]:
    """(n, features + 2) counts per text: each feature, any other word or mark, words that begin with a capital."""
    out = np.zeros((len(texts), len(features) + 2))
    for row, text in zip(out, texts, strict=True):
        for mark in _MARK.findall(text):
            row[features.get(mark.casefold(), len(features))] += 1
            row[-1] += mark[0].isupper()
    return out


def style_distance(answers: NDArray[np.float64], references: NDArray[np.float64]) -> float:
    """Jensen-Shannon distance (base 2, 0 to 1) between two sets of style profiles, each summed over its texts.

    0: the same use of common words, punctuation and capitals. 1: nothing in common (or no answers at all).
    """
    p, q = answers.sum(axis=0), references.sum(axis=0)
    if not p.sum() or not q.sum():
        return 0.0 if p.sum() == q.sum() else 1.0
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    return float(np.sqrt(max(0.0, (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2)))


def _relative_entropy(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    seen = p > 0
    return float((p[seen] * np.log2(p[seen] / q[seen])).sum())
