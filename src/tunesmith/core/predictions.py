"""What a Fitted says of some rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.files import whole

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Predictions:
    """Answers, one per row, in the order of the rows.

    values:        a label or a text; None where the answer could not be parsed.
    probabilities: (n, k) float64 in the order of the Dataset's labels, rows sum to 1; None for text tasks.
    confidences:   (n,) float64, how probable it is that an answer that is no label is right; None: not said.
    marginals:     (n, k) float64 in the order of the Dataset's labels, how probable each is by itself, where answers
                   are sets of labels; None: not said.
    """

    values: tuple[str | None, ...]
    probabilities: NDArray[np.float64] | None = None
    confidences: NDArray[np.float64] | None = None
    marginals: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def from_probabilities(cls, probabilities: NDArray[np.floating], labels: Sequence[str]) -> Predictions:
        """The most probable label of each row; ties go to the first label."""
        p = np.asarray(probabilities, dtype=np.float64)
        assert p.shape == (len(p), len(labels)), (p.shape, len(labels))
        return cls(tuple(labels[j] for j in p.argmax(axis=1)), p)

    @property
    def confidence(self) -> NDArray[np.float64] | None:
        """(n,) probability of the answer given, or None if nothing is said of it."""
        return self.confidences if self.probabilities is None else self.probabilities.max(axis=1)

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> Predictions:
        """The predictions of some rows, in the order asked."""
        at = np.asarray(rows, dtype=np.int64)
        p, c, m = self.probabilities, self.confidences, self.marginals
        return Predictions(
            tuple(self.values[int(i)] for i in at),
            None if p is None else p[at],
            None if c is None else c[at],
            None if m is None else m[at],
        )

    @classmethod
    def joined(cls, parts: Sequence[Predictions]) -> Predictions:
        """The predictions of several parts, one after the other; what only some parts say is left out."""

        def stacked(tables: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
            held = [table for table in tables if table is not None]
            return np.concatenate(held) if held and len(held) == len(tables) else None

        return cls(
            tuple(value for part in parts for value in part.values),
            stacked([part.probabilities for part in parts]),
            stacked([part.confidences for part in parts]),
            stacked([part.marginals for part in parts]),
        )

    def save(self, path: Path) -> None:
        """Write as parquet: `value` and, where there are such, `probabilities`, `confidence` and `marginals`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, pa.Array] = {"value": pa.array(self.values, pa.string())}
        if self.probabilities is not None:
            columns["probabilities"] = pa.array(list(self.probabilities), pa.list_(pa.float64()))
        if self.confidences is not None:
            columns["confidence"] = pa.array(self.confidences, pa.float64())
        if self.marginals is not None:
            columns["marginals"] = pa.array(list(self.marginals), pa.list_(pa.float64()))
        with whole(path) as draft:
            pq.write_table(pa.table(columns), draft)

    @classmethod
    def load(cls, path: Path) -> Predictions:
        import pyarrow.parquet as pq

        table = pq.read_table(path)

        def matrix(name: str) -> NDArray[np.float64] | None:
            if name not in table.column_names:
                return None
            return np.array(table[name].to_pylist(), dtype=np.float64).reshape(table.num_rows, -1)

        c = table["confidence"].to_numpy().astype(np.float64) if "confidence" in table.column_names else None
        return cls(tuple(table["value"].to_pylist()), matrix("probabilities"), c, matrix("marginals"))
