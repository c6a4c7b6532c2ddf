"""Does a table have a header, and what are its columns called."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tunesmith.core.errors import DataError
from tunesmith.data.words import is_known_column_name

_NUMBER = re.compile(r"^[+-]?(\d+([.,]\d+)?|[.,]\d+)([eE][+-]?\d+)?%?$")


def has_header(records: Sequence[Sequence[str]]) -> bool:
    """Whether the first record names the columns.

    It does not if a cell of it is a number, empty, very long, or turns up again as a value below; it does if
    a cell is a usual column name or a number column starts with a word. Ties go to "yes".
    """
    if not records:
        return False
    first = [cell.strip() for cell in records[0]]
    values = [_is_value(cell) for cell in first]
    if len(records) == 1:
        return any(map(is_known_column_name, first)) and not any(values)
    body = [record for record in records[1:] if len(record) == len(first)] or list(records[1:])
    columns = [[record[at].strip() for record in body if at < len(record)] for at in range(len(first))]
    # A word that turns up below is a value, even one that columns are often called by ("spam").
    known = [is_known_column_name(cell) and cell not in below for cell, below in zip(first, columns, strict=True)]
    if sum(known) >= max(1, (len(first) + 1) // 2) and not any(values):
        return True
    votes = 1.0 + 2.0 * sum(known)
    for cell, is_value, below in zip(first, values, columns, strict=True):
        filled = [value for value in below if value]
        if _NUMBER.match(cell):
            votes -= 4.0
        elif is_value:
            votes -= 3.0
        elif filled and sum(map(bool, map(_NUMBER.match, filled))) > 0.9 * len(filled):
            votes += 3.0
        if cell and cell in filled:
            votes -= 3.0 if filled.count(cell) > 1 else 1.5
        elif cell and filled and len(set(filled)) <= 0.2 * len(filled):
            votes += 1.0  # a column of few values, none of which is the first cell
    return votes > 0


def column_names(names: Sequence[str], rows: Sequence[Sequence[str]], file: str) -> dict[str, int]:
    """Column name -> position. Unnamed columns are numbered; a column that repeats another one whole is left out.

    Raises DataError if two different columns share a name.
    """
    found: dict[str, int] = {}
    for at, raw in enumerate(names):
        name = raw.strip() or f"column_{at + 1}"
        if not raw.strip() and all(not row[at].strip() for row in rows):
            continue  # a trailing delimiter on every line
        if name in found:
            other = found[name]
            if all(row[at] == row[other] for row in rows):
                continue
            raise DataError(
                f"{file}: columns {other + 1} and {at + 1} are both called '{name}' and differ.",
                hint="give one of them another name in the header.",
            )
        found[name] = at
    return found


def _is_value(cell: str) -> bool:
    return bool(_NUMBER.match(cell)) or _is_long(cell)


def _is_long(cell: str) -> bool:
    return len(cell) > 60 or len(cell.split()) > 6 or (len(cell) > 12 and cell[-1:] in ".?!")
