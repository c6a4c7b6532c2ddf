"""Excel workbooks: the first sheet with rows, its header wherever it begins."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from tunesmith.core.errors import DataError, did_you_mean
from tunesmith.data.encoding import read_bytes
from tunesmith.data.readers import Reading, reader, suffixes
from tunesmith.data.readers._flatten import scalar
from tunesmith.data.readers._header import column_names, has_header
from tunesmith.data.table import LIST_MARK, Table, check_cells, table_of

# A header further down than this is not looked for.
_TITLE_ROWS = 30


@reader("xlsx")
@suffixes(".xlsx", ".xlsm")
def read(path: Path, how: Reading) -> Table:
    """The rows of one sheet; rows above the header (a title, a date) are left out and counted."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    content = read_bytes(path)
    if not content.startswith(b"PK"):
        raise DataError(f"{path.name} is no xlsx file.", hint="save it as .xlsx or .csv from your spreadsheet program.")
    try:
        book = load_workbook(path, read_only=True, data_only=True)
        try:
            sheets = {name: _cells(book[name]) for name in _wanted(book, how, path)}
        finally:
            book.close()
    except DataError:
        raise
    except (
        InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError, ParseError, TypeError,
        IndexError, AttributeError, SyntaxError, NotImplementedError, zipfile.LargeZipFile, *_zlib_errors(),
    ) as error:  # fmt: skip
        raise DataError(
            f"{path.name} is not a whole xlsx workbook ({type(error).__name__}: {str(error)[:120]}).",
            hint="open it in your spreadsheet program and save it again, or as csv.",
        ) from error
    sheet = next((name for name, rows in sheets.items() if len(rows) > 1), None)
    if sheet is None:
        raise DataError(f"{path.name} has no sheet with rows.", hint="give a sheet with a header and some rows.")
    others = [name for name, rows in sheets.items() if name != sheet and len(rows) > 1]
    warnings = (
        [f"{path.name} has {len(others) + 1} sheets with rows; '{sheet}' was read (--sheet chooses another)."]
        if others
        else []
    )
    return _table(sheets[sheet], path, warnings)


def _zlib_errors() -> tuple[type[Exception], ...]:
    import zlib

    return (zlib.error,)


def _wanted(book: Any, how: Reading, path: Path) -> list[str]:
    names = [str(sheet.title) for sheet in book.worksheets]
    if how.sheet is None:
        return names
    if how.sheet not in names:
        raise DataError(f"{path.name} has no sheet '{how.sheet}'.", hint=did_you_mean(how.sheet, names))
    return [how.sheet]


def _cells(sheet: Any) -> list[tuple[int, list[str]]]:
    """(row number in the sheet, cells) of every row that holds something."""
    rows = []
    sheet.reset_dimensions()  # writers often state the wrong size
    for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
        cells = [(scalar(value) or "").replace(LIST_MARK, " ") for value in row]
        while cells and not cells[-1].strip():
            cells.pop()
        if cells:
            rows.append((number, cells))
    return rows


def _table(rows: Sequence[tuple[int, list[str]]], path: Path, warnings: list[str]) -> Table:
    top = _header_row([cells for _, cells in rows[:_TITLE_ROWS]], max(len(cells) for _, cells in rows))
    width = max(len(cells) for _, cells in rows[top:])
    even = [cells + [""] * (width - len(cells)) for _, cells in rows[top:]]
    headed = has_header(even[:400])
    names = even[0] if headed else [f"column_{at + 1}" for at in range(width)]
    if not headed:
        warnings = [*warnings, f"{path.name} has no header; columns are called column_1 to column_{width}."]
    body = even[1:] if headed else even
    if not body:
        raise DataError(f"{path.name} has a header and no rows.", hint="give a sheet with some rows.")
    columns = column_names(names, body, path.name)
    numbers = [number for number, _ in rows[top:]][1 if headed else 0 :]
    return check_cells(
        table_of(
            {name: [row[at] or None for row in body] for name, at in columns.items()},
            file=path.name,
            repairs={"rows above the header left out": top},
            warnings=warnings,
            rows=numbers,
        )
    )


def _header_row(rows: Sequence[Sequence[str]], width: int) -> int:
    """Position of the first row that fills most of the columns."""
    for at, cells in enumerate(rows):
        if sum(bool(cell.strip()) for cell in cells) >= max(2, 0.6 * width) or width == 1:
            return at
    return 0
