"""Parquet files."""

from __future__ import annotations

from pathlib import Path

from tunesmith.core.errors import DataError
from tunesmith.data.readers import Reading, reader, suffixes
from tunesmith.data.readers._flatten import columns_of
from tunesmith.data.table import LIST_MARK, Table, check_cells, table_of


@reader("parquet")
@suffixes(".parquet", ".pq")
def read(path: Path, how: Reading) -> Table:
    """The rows of a parquet file; columns that are not strings are written as strings."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        data = pq.read_table(path, use_threads=False)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file.", hint="check the path and the spelling.") from error
    except PermissionError as error:
        raise DataError(
            f"{path.name}: no permission to read it.", hint=f"give yourself access: chmod u+r {path}"
        ) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(
            f"{path.name} is not a whole parquet file ({str(error).splitlines()[0].split(chr(39) + ': ')[-1][:160]}).",
            hint="write or fetch it again.",
        ) from error
    if data.num_rows == 0 or data.num_columns == 0:
        raise DataError(f"{path.name} has no rows.", hint="give a file with some rows.")
    if len(set(data.column_names)) < data.num_columns:
        twice = next(name for name in data.column_names if data.column_names.count(name) > 1)
        raise DataError(f"{path.name}: two columns are called '{twice}'.", hint="rename one of them.")
    columns: dict[str, object] = {}
    for name in data.column_names:
        column = data[name]
        kind = column.type
        if pa.types.is_dictionary(kind):
            column, kind = column.cast(kind.value_type), kind.value_type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            cast = column.cast(pa.string())
            columns[name] = pc.replace_substring(cast, LIST_MARK, " ")
        else:
            found = columns_of(({name: value} for value in column.to_pylist()), path.name, nested=how.nested)
            columns.update(found or {name: [None] * data.num_rows})
    return check_cells(table_of(columns, file=path.name))
