"""JSON: a list of objects, an object of objects, an object of columns, or {"data": [...]} around one of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.data.encoding import decode, read_bytes
from tunesmith.data.readers import Reading, reader, suffixes
from tunesmith.data.readers._flatten import columns_of, scalar
from tunesmith.data.readers._objects import loads, read_lines
from tunesmith.data.table import Table, check_cells, table_of


@reader("json")
@suffixes(".json")
def read(path: Path, how: Reading) -> Table:
    """The rows of a JSON file; a file of one object per line is read as jsonl."""
    text = decode(read_bytes(path), path.name, how.encoding)
    try:
        value = loads(text.text, path.name)
    except json.JSONDecodeError as error:
        first, _, rest = text.text.lstrip().partition("\n")
        if rest.strip() and _is_object(first):
            return read_lines(text.text, path.name, dict(text.repairs), nested=how.nested)
        raise DataError(
            f"{path.name}: line {error.lineno}, column {error.colno}: not JSON ({error.msg}).",
            hint="the file may be cut off: fetch it again, or mend that line.",
        ) from error
    columns = _columns(value, path.name, nested=how.nested)
    if not columns or not next(iter(columns.values())):
        raise DataError(
            f"{path.name} has no rows.", hint='give a list of objects: [{"text": "...", "label": "..."}, ...].'
        )
    return check_cells(table_of(columns, file=path.name, repairs=text.repairs))


def _columns(value: Any, name: str, *, nested: bool) -> dict[str, list[str | None]]:
    if isinstance(value, list):
        return columns_of(value, name, nested=nested)
    if not isinstance(value, Mapping):
        raise DataError(f"{name} holds one plain value, not rows.", hint="give a list of objects.")
    inner = list(value.values())
    even = bool(inner) and all(isinstance(item, list) for item in inner) and len({len(item) for item in inner}) == 1
    if even and (len(inner) > 1 or not all(isinstance(item, (Mapping, list)) for item in inner[0])):
        return {str(key): [_cell(item) for item in column] for key, column in value.items()}  # columns
    if inner and all(isinstance(item, Mapping) for item in inner):
        if _are_columns(value):
            return columns_of(_transposed(value), name, nested=nested)
        rows = columns_of(inner, name, nested=nested)
        if "key" not in rows:
            rows = {"key": [str(key) for key in value], **rows}
        return rows
    lists = {
        key: item for key, item in value.items() if isinstance(item, list) and item and isinstance(item[0], Mapping)
    }
    if len(lists) == 1:
        return columns_of(next(iter(lists.values())), name, nested=nested)
    if lists:
        raise DataError(
            f"{name} holds several lists of rows: {', '.join(lists)}.", hint="put each in a file of its own."
        )
    if all(isinstance(item, str) for item in inner) and len(inner) > 1:
        return {"key": [str(key) for key in value], "text": [scalar(item) for item in inner]}
    raise DataError(f"{name} holds one object, not rows.", hint="give a list of objects.")


def _are_columns(value: Mapping[str, Any]) -> bool:
    """{"text": {"0": ..., "1": ...}, "label": {"0": ...}} as DataFrame.to_json writes."""
    inner = list(value.values())
    keys = list(inner[0])
    plain = not any(isinstance(item, (Mapping, list)) for column in inner for item in list(column.values())[:5])
    return plain and keys[:2] in (["0"], ["0", "1"]) and all(list(column) == keys for column in inner)


def _transposed(value: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    keys = list(next(iter(value.values())))
    return [{name: column[key] for name, column in value.items()} for key in keys]


def _cell(item: Any) -> str | None:
    if isinstance(item, (Mapping, list)):
        one = columns_of([{"x": item}], "").values()
        return next(iter(one))[0] if one else None
    return scalar(item)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), (dict, list))
    except (json.JSONDecodeError, RecursionError):
        return False
