"""Nested objects to flat columns: {"a": {"b": 1}} is the column `a.b`; lists are joined by LIST_MARK."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.data.table import LIST_MARK

_DEEPEST = 24


def columns_of(rows: Iterable[Any], file: str, *, nested: bool = False) -> dict[str, list[str | None]]:
    """Columns of strings from rows that are objects (or bare strings, which become column `text`).

    nested: objects and lists stay whole, as JSON.
    """
    columns: dict[str, list[str | None]] = {}
    n = 0
    for n, row in enumerate(rows, start=1):
        flat: dict[str, str | None] = {}
        if isinstance(row, Mapping) and nested:
            flat = {str(key): _whole(value) for key, value in row.items()}
        elif isinstance(row, Mapping):
            _flatten(row, "", flat, 0, f"{file}: row {n}")
        elif isinstance(row, str):
            flat["text"] = _plain(row)
        elif isinstance(row, list):
            for at, item in enumerate(row, start=1):
                flat[f"column_{at}"] = scalar(item)
        else:
            raise DataError(
                f"{file}: row {n} is {_kind(row)}, not an object.",
                hint='each row must look like {"text": "...", "label": "..."}.',
            )
        for name, value in flat.items():
            if name not in columns:
                columns[name] = [None] * (n - 1)
            column = columns[name]
            if len(column) < n - 1:
                column.extend([None] * (n - 1 - len(column)))
            column.append(value)
    for column in columns.values():
        column.extend([None] * (n - len(column)))
    return columns


def scalar(value: Any) -> str | None:
    """One plain value as a string: whole floats without ".0", booleans as true and false, None and NaN as null."""
    if value is None or isinstance(value, str):
        return _plain(value) if value else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return str(value)


def _flatten(value: Any, name: str, flat: dict[str, str | None], depth: int, where: str) -> None:
    if depth > _DEEPEST:
        raise DataError(
            f"{where}, column '{name[:60]}…': nested more than {_DEEPEST} deep.", hint="flatten the rows first."
        )
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _flatten(inner, f"{name}.{key}" if name else str(key), flat, depth + 1, where)
    elif isinstance(value, (list, tuple)):
        if any(isinstance(item, (Mapping, list, tuple)) for item in value):
            _flatten_list(value, name, flat, depth, where)
        else:
            flat[name] = LIST_MARK.join(scalar(item) or "" for item in value) or None
    else:
        flat[name] = scalar(value)


def _flatten_list(items: Iterable[Any], name: str, flat: dict[str, str | None], depth: int, where: str) -> None:
    """A list of objects: one joined column per key, each with as many items as the list."""
    inner: list[dict[str, str | None]] = []
    for item in items:
        one: dict[str, str | None] = {}
        _flatten(item, name if not isinstance(item, Mapping) else "", one, depth + 1, where)
        inner.append({key if not isinstance(item, Mapping) else f"{name}.{key}": value for key, value in one.items()})
    for key in dict.fromkeys(key for one in inner for key in one):
        flat[key] = LIST_MARK.join((one.get(key) or "").replace(LIST_MARK, " ") for one in inner) or None


def _whole(value: Any) -> str | None:
    """A value in one cell: JSON where it is an object or a list."""
    if not isinstance(value, (Mapping, list, tuple)):
        return scalar(value)
    return json.dumps(value, ensure_ascii=False, default=scalar)


def _plain(value: str) -> str:
    return value.replace(LIST_MARK, " ") if LIST_MARK in value else value


def _kind(value: Any) -> str:
    return {int: "a number", float: "a number", bool: "true or false", type(None): "null"}.get(type(value), "no object")
