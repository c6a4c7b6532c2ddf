"""The mistakes that teach most when read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.predictions import Predictions
from tunesmith.tasks.metrics import confusion

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Longer cells are cut where people read them; predictions.parquet has them whole.
_SHOWN_CHARACTERS = 1_200
_OF_ONE_KIND = 2


@dataclass(frozen=True)
class ErrorShown:
    """One mistake. id: the Example's. confidence: None for text."""

    id: int
    text: str
    truth: str
    answer: str
    confidence: float | None


@dataclass(frozen=True)
class Confused:
    """A label that was taken for another n times; share: of the rows with the true label."""

    truth: str
    answer: str
    n: int
    share: float


def telling_errors(
    predictions: Predictions,
    references: Sequence[str],
    *,
    texts: Sequence[str],
    ids: Sequence[int] | NDArray[np.int64],
    badness: NDArray[np.float64] | None = None,
    shown: int = 10,
) -> list[ErrorShown]:
    """The worst first. Labels: wrong with the highest confidence, at most two of one confused pair.

    badness: (n,) how bad each answer is, for texts (rows with 0 or less are no errors).
    """
    sure = predictions.confidence
    if badness is None:
        wrong = np.array([v != r for v, r in zip(predictions.values, references, strict=True)])
        badness = wrong * (1.0 if sure is None else sure)
    order = np.lexsort((np.arange(len(badness)), -badness))
    kinds: Counter[tuple[str, str | None]] = Counter()
    found: list[ErrorShown] = []
    for i in order:
        kind = (references[i], predictions.values[i])
        if badness[i] <= 0 or len(found) == shown:
            break
        kinds[kind] += 1
        if kinds[kind] > _OF_ONE_KIND:
            continue
        confidence = None if sure is None else float(sure[i])
        answer = predictions.values[i] or ""
        found.append(ErrorShown(int(ids[i]), cut(texts[i]), cut(references[i]), cut(answer), confidence))
    return found


def confused_pairs(
    references: NDArray[np.int64], predictions: NDArray[np.int64], labels: Sequence[str], *, shown: int = 12
) -> list[Confused]:
    """The pairs of labels that are mixed up most often, by count."""
    table = confusion(references, predictions, len(labels))
    totals = table.sum(axis=1)
    names = [*labels, ""]
    pairs = [
        Confused(labels[i], names[j], int(table[i, j]), float(table[i, j] / totals[i]))
        for i, j in zip(*np.nonzero(table), strict=True)
        if i != j
    ]
    return sorted(pairs, key=lambda pair: (-pair.n, -pair.share, pair.truth, pair.answer))[:shown]


def cut(text: str) -> str:
    """The text, cut where people read it."""
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
