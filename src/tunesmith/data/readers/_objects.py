"""JSON values and lines of them, with every mistake turned into a DataError that says where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.data.readers._flatten import columns_of
from tunesmith.data.table import Table, check_cells, table_of


def loads(text: str, where: str) -> Any:
    """json.loads that refuses repeated keys and bottomless nesting; raises json.JSONDecodeError for bad syntax."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            names = [key for key, _ in items]
            twice = next(key for key in names if names.count(key) > 1)
            if any(value != found[key] for key, value in items if key == twice):
                raise DataError(
                    f"{where}: the column '{twice}' occurs twice in one object, with different values.",
                    hint="give one of them another name.",
                )
        return found

    try:
        return json.loads(text, object_pairs_hook=pairs)
    except RecursionError as error:
        raise DataError(f"{where}: nested too deep to read.", hint="flatten the rows first.") from error
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError):
            raise
        raise DataError(f"{where}: a number that cannot be read ({error}).", hint="write it as text.") from error


def read_lines(text: str, name: str, repairs: dict[str, int], *, nested: bool = False) -> Table:
    """A Table from one JSON object per line; raises DataError naming the first line that is none. nested: Reading's."""
    lines: list[int] = []

    def rows() -> Iterator[Any]:
        for at, line in enumerate(text.split("\n"), start=1):
            line = line.strip()
            if not line:
                continue
            try:
                value = loads(line, f"{name}: line {at}")
            except json.JSONDecodeError as error:
                raise DataError(
                    f"{name}: line {at}, column {error.colno}: not JSON ({error.msg}).",
                    hint="mend or delete that line; if it is the last one, the file was cut off.",
                ) from error
            lines.append(at)
            yield value

    columns = columns_of(rows(), name, nested=nested)
    if not columns:
        raise DataError(f"{name} has no rows.", hint='each line must look like {"text": "...", "label": "..."}.')
    return check_cells(table_of(columns, file=name, repairs=repairs, lines=lines))
