"""The table of Examples out of what was read, and the test targets sealed beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.files import whole
from tunesmith.data.columns import Column
from tunesmith.data.detect import Detected
from tunesmith.data.mending import mend
from tunesmith.data.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_SLICES = 4
_MOST_SLICE_VALUES = 12


def seal(
    path: Path, answers: Sequence[str | None], splits: NDArray[np.str_], judges: Sequence[str] | None
) -> Path | None:
    """Write the targets of test rows, and what judges them, to `path`; None where there are no test rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    at = np.flatnonzero(splits == "test")
    if len(at) == 0:
        return None
    table = pa.table({"id": pa.array(at, pa.int64()), "target": pa.array([answers[int(i)] for i in at], pa.string())})
    if judges is not None:
        table = table.append_column("tests", pa.array([judges[int(i)] for i in at], pa.string()))
    with whole(path) as draft:
        pq.write_table(table, draft)
    return path


def with_original(data: Any, raw: Sequence[str], said: Sequence[str | None]) -> Any:
    """The table with the columns original.text and original.target: what was read, where it is not what stands there.

    The targets of test rows are left out, for they are sealed.
    """
    import pyarrow as pa

    targets = data["target"].to_pylist()
    texts = [was if was != now else None for was, now in zip(raw, data["text"].to_pylist(), strict=True)]
    answers = [was if now is not None and was != now else None for was, now in zip(said, targets, strict=True)]
    data = data.append_column("original.text", pa.array(texts, pa.string()))
    return data.append_column("original.target", pa.array(answers, pa.string()))


def examples(
    table: Table,
    found: Detected,
    columns: Mapping[str, Column],
    texts: Sequence[str],
    answers: Sequence[str | None],
    splits: NDArray[np.str_],
    groups: NDArray[np.int64],
    changed: Sequence[int],
    hashes: Sequence[str],
) -> Any:
    """pyarrow Table with the Dataset's columns and those to score by; targets of test rows are null."""
    import pyarrow as pa

    n = len(table)
    mended = np.zeros(n, dtype=np.int64)
    mended[list(changed)] = 1
    sealed = splits == "test"
    data = {
        "id": pa.array(np.arange(n, dtype=np.int64)),
        "text": pa.array(texts, pa.string()),
        "target": pa.array(answers, pa.string(), mask=sealed | np.array([a is None for a in answers])),
        "split": pa.array(splits.astype(object), pa.string()),
        "weight": pa.array(np.ones(n, dtype=np.float32)),
        "group": pa.array(groups.astype(np.int64)),
        "file": table.file,
        "row": table.row,
        "hash": pa.array(hashes, pa.string()),
        "changes": pa.ListArray.from_arrays(
            pa.array(np.concatenate([[0], np.cumsum(mended)]).astype(np.int32)),
            pa.array(["repair"] * int(mended.sum()), pa.string()),
        ),
    }
    if table.line is not None:
        data["line"] = table.line
    for name, values in _slices(table, found, columns, texts).items():
        data[f"slice.{name}"] = pa.array(values, pa.string())
    return pa.table(data)


def with_rejected(data: Any, rejected: Sequence[str | None] | None) -> Any:
    """The table with the answers that targets are preferred to, where the data has such; sealed with the targets."""
    import pyarrow as pa

    if rejected is None:
        return data
    if "slice.rejected" in data.column_names:  # short answers look like a column to score by; test rows have them too
        data = data.drop_columns(["slice.rejected"])
    mended = mend([value or "" for value in rejected]).texts
    sealed = data["split"].to_numpy(zero_copy_only=False) == "test"
    kept = [None if hidden or not value else value for value, hidden in zip(mended, sealed, strict=True)]
    return data.append_column("rejected", pa.array(kept, pa.string()))


def with_tests(data: Any, judges: Sequence[str] | None) -> Any:
    """The table with what judges answers besides the targets, where there is such; sealed with the targets."""
    import pyarrow as pa

    if judges is None:
        return data
    sealed = data["split"].to_numpy(zero_copy_only=False) == "test"
    kept = [None if hidden or not value else value for value, hidden in zip(judges, sealed, strict=True)]
    return data.append_column("tests", pa.array(kept, pa.string()))


def _slices(
    table: Table, found: Detected, columns: Mapping[str, Column], texts: Sequence[str]
) -> dict[str, list[str | None]]:
    """Short strings to score by: the text's length, and columns of few values that are neither input nor answer."""
    lengths = np.array([len(text) for text in texts])
    low, high = np.quantile(lengths, [1 / 3, 2 / 3]) if len(lengths) else (0.0, 0.0)
    names = np.array(["short", "medium", "long"])
    slices: dict[str, list[str | None]] = {"length": names[(lengths > low).astype(int) + (lengths > high)].tolist()}
    for name, column in columns.items():
        if len(slices) > _MOST_SLICES:
            break
        leaking = "gives the answer away" in found.ignored.get(name, "")
        if name in (found.target, found.split, *found.inputs) or leaking:
            continue
        kinds = column.kind in ("category", "integer") and column.filled >= 0.9 * column.n
        if kinds and 2 <= column.distinct <= _MOST_SLICE_VALUES:
            slices[name] = [value.strip()[:60] if value else None for value in table.values(name)]
    return slices
