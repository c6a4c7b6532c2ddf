"""What a reader gives: columns of strings, where each row came from, and what had to be mended.

A Table knows nothing of targets, tasks or splits; every value is a string or null. A value that was a
list in the source is its items joined by LIST_MARK, so that later stages can still tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

# ASCII "record separator": stripped from every value that is read, so it can only have come from us.
LIST_MARK = "\x1e"

# One cell longer than this is a mistake in the file more often than a text (a book has about this many).
LONGEST_CELL = 1_000_000


@dataclass(frozen=True)
class Table:
    """Rows as they were read.

    data:     pyarrow Table, every column of type string, values stripped of nothing but LIST_MARK.
    file:     base name of the file of each row, pyarrow string array of the same length.
    row:      1-based data row in that file, int64.
    repairs:  kind of repair -> how many rows (or cells) it touched.
    warnings: sentences for the report.
    split:    "train", "dev" or "test" where the file's own name or folder says so, else null.
    line:     1-based line of the file that the row begins on, int64, null where unknown; None: a file without lines.
    """

    data: pa.Table
    file: pa.ChunkedArray
    row: pa.ChunkedArray
    repairs: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    split: pa.ChunkedArray | None = None
    line: pa.ChunkedArray | None = None

    def __len__(self) -> int:
        return int(self.data.num_rows)

    @property
    def names(self) -> list[str]:
        return [str(name) for name in self.data.column_names]

    def column(self, name: str) -> pa.ChunkedArray:
        """One column; raises DataError with the nearest name."""
        if name not in self.data.column_names:
            shown = ", ".join(self.names[:30]) + (", …" if len(self.names) > 30 else "")
            raise DataError(
                f"there is no column '{name}'. Columns: {shown}.",
                hint=did_you_mean(name, self.names) or "check the spelling and the header of the file.",
            )
        return self.data[name]

    def values(self, name: str) -> list[str | None]:
        """One column as Python strings."""
        return list(self.column(name).to_pylist())

    def take(self, at: Any) -> Table:
        """Some rows by position."""
        return replace(
            self,
            data=self.data.take(at),
            file=self.file.take(at),
            row=self.row.take(at),
            split=None if self.split is None else self.split.take(at),
            line=None if self.line is None else self.line.take(at),
        )

    def with_columns(self, data: pa.Table) -> Table:
        """The same rows with other columns."""
        return replace(self, data=data)


def table_of(
    columns: Mapping[str, Any],
    *,
    file: str,
    repairs: Mapping[str, int] | None = None,
    warnings: Iterable[str] = (),
    rows: Sequence[int] | None = None,
    lines: Any = None,
) -> Table:
    """A Table from columns of one file; rows are numbered 1..n unless given. lines: where each row begins, if known."""
    import numpy as np
    import pyarrow as pa

    broken: list[int] = []
    data = pa.table({whole_characters(name): _strings(values, broken) for name, values in columns.items()})
    if broken:
        repairs = {**(repairs or {}), "halves of characters replaced": len(broken)}
    n = data.num_rows
    numbers = np.arange(1, n + 1, dtype=np.int64) if rows is None else np.asarray(rows, dtype=np.int64)
    return Table(
        data,
        pa.chunked_array([pa.repeat(pa.scalar(file), n)]),
        pa.chunked_array([pa.array(numbers)]),
        {kind: count for kind, count in (repairs or {}).items() if count},
        tuple(warnings),
        line=None if lines is None else pa.chunked_array([pa.array(np.asarray(lines, dtype=np.int64))]),
    )


def stack(tables: Sequence[Table]) -> Table:
    """Tables under one another; columns are matched by name, absent ones are null."""
    import pyarrow as pa

    if len(tables) == 1:
        return tables[0]
    data = pa.concat_tables([t.data for t in tables], promote_options="default")
    repairs: dict[str, int] = {}
    for table in tables:
        for kind, count in table.repairs.items():
            repairs[kind] = repairs.get(kind, 0) + count

    def under(parts: Sequence[pa.ChunkedArray | None], kind: pa.DataType) -> pa.ChunkedArray | None:
        if all(part is None for part in parts):
            return None
        whole = [
            pa.chunked_array([pa.nulls(len(t), kind)]) if p is None else p for t, p in zip(tables, parts, strict=True)
        ]
        return pa.chunked_array([chunk for part in whole for chunk in part.chunks], kind)

    return Table(
        data,
        pa.chunked_array([chunk for t in tables for chunk in t.file.chunks], pa.string()),
        pa.chunked_array([chunk for t in tables for chunk in t.row.chunks], pa.int64()),
        repairs,
        tuple(dict.fromkeys(w for t in tables for w in t.warnings)),
        under([t.split for t in tables], pa.string()),
        under([t.line for t in tables], pa.int64()),
    )


def with_split(table: Table, split: str) -> Table:
    """The same rows, all said to belong to `split`."""
    import pyarrow as pa

    return replace(table, split=pa.chunked_array([pa.repeat(pa.scalar(split), len(table))]))


def check_cells(table: Table) -> Table:
    """The table, or DataError naming file, row and column of the first cell beyond LONGEST_CELL."""
    import numpy as np
    import pyarrow.compute as pc

    for name in table.names:
        lengths = pc.utf8_length(table.data[name])
        longest = pc.max(lengths).as_py()
        if longest is not None and longest > LONGEST_CELL:
            at = int(np.argmax(pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False) > LONGEST_CELL))
            raise DataError(
                f"{table.file[at].as_py()}: row {table.row[at].as_py()}, column '{name}': one cell has {longest:,} "
                f"characters; the limit is {LONGEST_CELL:,}.",
                hint="a quote that is never closed does this; otherwise cut the text or take the row out.",
            )
    return table


def whole_characters(text: str) -> str:
    """The text with halves of characters (lone surrogates) joined where both stand there, else replaced by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _strings(values: Any, broken: list[int]) -> pa.ChunkedArray:
    """The column; positions of the cells that held halves of characters are added to `broken`."""
    import pyarrow as pa

    if isinstance(values, pa.ChunkedArray):
        return values
    if isinstance(values, pa.Array):
        return pa.chunked_array([values])
    try:
        return pa.chunked_array([pa.array(values, pa.string())])
    except UnicodeEncodeError:  # JSON can say "\ud83d" alone
        whole = [None if value is None else whole_characters(value) for value in values]
        broken += [at for at, value in enumerate(values) if value != whole[at]]
        return pa.chunked_array([pa.array(whole, pa.string())])
