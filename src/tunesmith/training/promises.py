"""Which answers may go out without a person, so that a wanted share of them is right: a threshold with a guarantee.

The threshold on the confidence is learnt from rows that the system did not learn from, and is certified: but for a
chance of `DOUBT` over the draw of those rows, at least `target` of the answers at or above it are right, on new rows of
the same kind. Nothing is assumed of the confidences: a badly calibrated system sends more to a person.
Source: learn then test (Angelopoulos et al. 2021, section 3.2.1: fixed sequences from several starts), with the exact
binomial test, as in selective classification (Geifman & El-Yaniv 2017).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.errors import ConfigError
from tunesmith.core.files import whole
from tunesmith.core.statistics import binomial_at_most, clopper_pearson

if TYPE_CHECKING:
    from numpy.typing import NDArray

DOUBT = 0.1
# Where sequences of tests start, as shares of the rows accepted: one start that fails must not end the search.
_STARTS = (0.0, 0.125, 0.25, 0.5)
_STEPS = 200  # thresholds that are tried


@dataclass(frozen=True)
class Promise:
    """What is promised of answers at or above a threshold.

    target: share of them that is right. threshold: of the confidence; None if no threshold can be certified.
    accepted, right: the share of the judged rows at or above it, and how many of these were right. n: judged rows.
    """

    target: float
    threshold: float | None
    accepted: float
    right: float | None
    n: int
    doubt: float = DOUBT

    @property
    def is_kept(self) -> bool:
        """Whether there is a threshold that keeps it."""
        return self.threshold is not None


@dataclass(frozen=True)
class Judged:
    """How sure a system was of answers to rows that it did not learn from, and which were right; both (n,)."""

    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.right)

    def promise(self, target: float, *, doubt: float = DOUBT) -> Promise:
        """The lowest threshold from which on a share of at least `target` is right, but for a chance of `doubt`.

        target: at least 0 and below 1; 0 accepts everything. Raises ConfigError for another.
        """
        if not 0.0 <= target < 1.0:
            raise ConfigError(
                f"accept_at: expected a share of right answers from 0 to below 1, got {target:g}.",
                hint="0.98 sends answers to a person until 98 % of the others are right.",
            )
        n = len(self)
        if target == 0.0:
            return Promise(target, 0.0, 1.0, float(self.right.mean()) if n else None, n, doubt)
        sure, wrong_above = self._sorted
        ends = self._ends
        starts = _starts(n, target, doubt)
        level = doubt / max(1, len(starts))
        best = 0
        for start in starts:
            for end in ends[ends >= start]:
                if binomial_at_most(int(wrong_above[end - 1]), int(end), 1.0 - target) > level:
                    break
                best = max(best, int(end))
        if not best:
            return Promise(target, None, 0.0, None, n, doubt)
        return Promise(target, float(sure[best - 1]), best / n, 1.0 - float(wrong_above[best - 1]) / best, n, doubt)

    def best_target(self, *, doubt: float = DOUBT) -> float:
        """The highest target (in tenths of a percent) that any threshold can be certified for."""
        tried = np.arange(999, 0, -1) / 1000
        low, high = 0, len(tried)
        while low < high:  # what can be certified at one target can be at every lower one, as near as starts differ
            middle = (low + high) // 2
            low, high = (low, middle) if self.promise(float(tried[middle]), doubt=doubt).is_kept else (middle + 1, high)
        return float(tried[low]) if low < len(tried) else 0.0

    def curve(self, points: int = 60) -> list[tuple[float, float, float, float]]:
        """(share sent to a person, share of the others that is right, its exact 95 % interval), from none sent on."""
        n = len(self)
        _, wrong_above = self._sorted
        least = max(1, min(n, 20))  # shares of fewer rows jump about
        at = np.unique(
            self._ends[
                np.searchsorted(self._ends, np.linspace(least, n, points), side="left").clip(max=len(self._ends) - 1)
            ]
        )
        made = []
        for end in at[::-1]:
            right = int(end - wrong_above[end - 1])
            low, high = clopper_pearson(right, int(end))
            made.append((1.0 - end / n, right / end, low, high))
        return made

    def kept(self, threshold: float) -> tuple[int, int]:
        """(answers at or above the threshold, how many of them are right)."""
        inside = self.confidence >= threshold
        return int(inside.sum()), int(self.right[inside].sum())

    @property
    def _sorted(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Confidences from the highest on, and how many answers were wrong up to each."""
        order = np.argsort(-self.confidence, kind="stable")
        return self.confidence[order], np.cumsum(~self.right[order])

    @property
    def _ends(self) -> NDArray[np.int64]:
        """How many rows each threshold that is tried accepts, ascending; rows of equal confidence go together."""
        sure, _ = self._sorted
        last_of_ties = np.flatnonzero(np.append(sure[1:] < sure[:-1], True)) + 1
        if len(last_of_ties) <= _STEPS:
            return np.asarray(last_of_ties, dtype=np.int64)
        at = np.unique(np.linspace(0, len(last_of_ties) - 1, _STEPS).round().astype(np.int64))
        return np.asarray(last_of_ties[at], dtype=np.int64)

    def save(self, path: Path) -> None:
        """Write both columns as parquet: no text, no label."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {"confidence": pa.array(self.confidence, pa.float64()), "right": pa.array(self.right, pa.bool_())}
        with whole(path) as draft:
            pq.write_table(pa.table(columns), draft)

    @classmethod
    def load(cls, path: Path) -> Judged:
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        return cls(
            table["confidence"].to_numpy().astype(np.float64),
            table["right"].to_numpy(zero_copy_only=False).astype(bool),
        )


def rows_needed(target: float, *, doubt: float = DOUBT) -> int:
    """So many rows, all right, are the fewest that certify anything."""
    return math.ceil(math.log(doubt / len(_STARTS)) / math.log(target)) if 0 < target < 1 else 0


def _starts(n: int, target: float, doubt: float) -> list[int]:
    """How many rows each sequence of tests begins with; fixed by n and target alone."""
    least = rows_needed(target, doubt=doubt)
    return sorted({max(least, math.ceil(share * n)) for share in _STARTS if max(least, math.ceil(share * n)) <= n})
