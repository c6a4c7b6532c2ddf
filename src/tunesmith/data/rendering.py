"""Input columns to the one text a model is given; the same at training and at prediction."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.data.mending import mend
from tunesmith.data.table import LIST_MARK, Table


def render_inputs(table: Table, inputs: Sequence[str]) -> list[str]:
    """One text per row: the plain value of a single column, else a `name: value` line per filled column.

    Raises DataError (nearest name) for a column that the table lacks.
    """
    columns = [[_plain(value) for value in table.values(name)] for name in inputs]
    if len(columns) == 1:
        return columns[0]
    return [
        "\n".join(f"{name}: {cell}" for name, cell in zip(inputs, cells, strict=True) if cell)
        for cells in zip(*columns, strict=True)
    ]


def texts_of(table: Table, inputs: Sequence[str]) -> list[str]:
    """What a model is given for each row, mended as in training; empty string where a row has no text."""
    return mend(render_inputs(table, inputs)).texts


def _plain(value: str | None) -> str:
    if not value:
        return ""
    return value.replace(LIST_MARK, "\n").strip()
